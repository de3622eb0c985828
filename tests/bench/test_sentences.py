#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Tests of the report's findings: queries, sentences and claims. Prints TAP."""

import itertools
import json
import os
import sys
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "bench"))
from report import claims as paper  # noqa: E402
from report import queries  # noqa: E402
from report import selection  # noqa: E402
import scenario as scenarios  # noqa: E402
from report import words  # noqa: E402
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import examples  # noqa: E402
import tap  # noqa: E402


class Findings(unittest.TestCase):
    def text(self, rows):
        return " ".join(selection.findings(rows))

    def test_the_slack_from_which_it_is_a_quarter(self):
        rows = examples.rows((1.0, 0.4, 0.04), (1.2, 0.2, 0.1), (1.4, 0.1, 0.02),
                             (1.6, 0.05, 0.01), (1.8, 0.0, 0.0))
        mine = queries.acting(rows)
        self.assertEqual(queries.quarter_slack(mine), 1.4)
        self.assertTrue(queries.surely(mine, 1.4))
        self.assertIn("from slack 1.4 on.", self.text(rows))
        self.assertIsNone(queries.quarter_slack(
            queries.acting(examples.rows((1.0, 0.4, 0.04), (1.2, 0.2, 0.1)))))
        # a quarter that is inside the interval is reported as such
        rows = examples.rows((1.2, 0.2, 0.1), (1.4, 0.1, 0.024))
        self.assertIn("from slack 1.4 on (the interval", self.text(rows))

    def test_a_point_with_hardly_any_miss_decides_nothing(self):
        rows = examples.rows((1.2, 0.2, 0.02), (1.4, 0.1, 0.01))
        # one miss each, and no interval
        rows += [examples.row("dctcp", 2.4, 1e-4),
                 examples.row("d2tcp", 2.4, 1e-4, 1e-4, late_over_dctcp={
                     "ratio": 1.0, "ci95": None})]
        self.assertEqual(queries.quarter_slack(queries.acting(rows)), 1.2)

    def test_a_point_that_is_worse_is_named(self):
        rows = examples.rows((1.0, 0.2, 0.3), (1.2, 0.2, 0.1), (1.4, 0.1, 0.02))
        self.assertIn("deadlines at 2 and more at 1 (s: 1 Gbit/s, fan-in 8, slack "
                      "1.0, by +10.0 points)", self.text(rows))
        self.assertIn("more at 2 (at slack 1.0 to 1.2, by +5.0 to +10.0 "
                      "points)", self.text(examples.rows((1.0, 0.2, 0.3),
                                                         (1.2, 0.2, 0.25))))

    def test_settings_where_the_law_cannot_act_have_their_own_sentences(self):
        def outside(**fluid):
            rows = examples.rows((1.2, 0.2, 0.1))
            rows[1] |= {"law_can_act": False,
                        "fluid": rows[1]["fluid"] | fluid}
            return self.text(rows)

        self.assertIn("below 4 packets; 1 setting)", outside(fair_window=3.9))
        self.assertIn("so tight", outside(required=0.15))
        self.assertIn("Where equal sharing misses no deadline (1 setting)",
                      outside(equal=0.0, required=0.0))

    def test_verdicts_follow_the_numbers(self):
        def verdict(rows, claim):
            return next(c[4] for c in paper.claims(rows)
                        if c[0].startswith(claim))

        good = examples.rows((1.2, 0.2, 0.02), (1.4, 0.1, 0.01))
        bad = examples.rows((1.2, 0.2, 0.19), (1.4, 0.1, 0.09))
        self.assertEqual(verdict(good, "Misses fewer deadlines than DCTCP"),
                         "holds with enough slack")
        self.assertEqual(verdict(bad, "Misses fewer deadlines than DCTCP"),
                         "not seen")
        for low, said in ((0.98, "holds"), (0.9, "does not hold")):
            rows = [good[0], good[1] | {"background_flows": 2,
                                        "background_over_dctcp": {
                                            "ratio": 1.0, "ci95": [low, 1.1]}}]
            self.assertEqual(verdict(rows, "Background flows"), said)
        for share, said in ((0.01, "holds for TCP, but"), (0.5, "holds"),
                            (0.7, "does not hold")):
            rows = [{"scenario": "coexistence", "flows": a + "+cubic",
                     "share": share, "algorithm": a, "mix": "",
                     "fidelity": {"rate_mbps": 1000}}
                    for a in ("dctcp", "d2tcp")]
            self.assertTrue(verdict(rows, "Coexists").startswith(said))

    def test_a_report_of_hosts_claims_only_what_was_measured_there(self):
        rows = [{"scenario": "coexistence", "flows": a + "+cubic",
                 "share": 0.4, "algorithm": a, "mix": "",
                 "fidelity": {"rate_mbps": None}} for a in ("dctcp", "d2tcp")]
        # d held; the shares follow from the alpha of each flow alone
        rows += [{"scenario": "differentiation", "flows": "d2tcp:near+d2tcp:far",
                  "algorithm": "d2tcp", "mix": "", "share": share,
                  "share_predicted": None, "share_by_alpha": by_alpha,
                  "fidelity": {"rate_mbps": None}}
                 for share, by_alpha in ((0.8, 0.77), (0.2, 0.23))]
        said = self.text(rows)
        self.assertIn("predicts all shares within 3.0 points.", said)
        self.assertNotIn("synchronised", said)
        claims = {c[0][:8]: c for c in paper.claims(rows)}
        self.assertEqual(claims["Coexists"][3], "one queue; CUBIC without ECN")
        self.assertEqual(claims["Flows wi"][2], "the law predicts the shares "
                         "within 3.0 points given each flow's alpha")
        self.assertEqual(claims["Flows wi"][4], "holds, given alpha")

    def test_the_sentences_on_grants(self):
        closed = {"queries_per_s": 50, "queries_over_dctcp": {"ratio": 0.99,
                                                              "ci95": None}}
        rows = examples.grants(
            (1.0, 0.40, 0.04, 0.0, closed), (1.2, 0.20, 0.10, 0.0, closed),
            (1.4, 0.10, 0.00, 0.0, closed | {"queries_over_dctcp": {
                "ratio": 0.94, "ci95": None}}),
            (1.6, 0.105, 0.40, 0.1, closed))
        said = self.text(rows)
        self.assertIn("grant-dctcp (the receiver grants responses by deadline, workers "
                      "under DCTCP) misses fewer deadlines than DCTCP at 3 of 4 settings "
                      "and more at 1 (s: 1 Gbit/s, fan-in 8, slack 1.6, by +29.5 "
                      "points).", said)
        # 0.9, 0.5 and 1; the last setting has no gap
        self.assertIn("more than a point above it (3 settings), grant-dctcp closes a "
                      "median of 0.90 of that gap and a min of 0.50 (s: 1 Gbit/s, "
                      "fan-in 8, slack 1.2: 10.0 %, DCTCP 20.0 %, lower bound 0.0 %).",
                      said)
        self.assertIn("completes at least 0.940 times as many queries per second as "
                      "DCTCP (s: 1 Gbit/s, fan-in 8, slack 1.4), below 0.97 at 1 of 4 "
                      "settings.", said)
        self.assertIn("In the first 3 queries on new connections grant-dctcp misses "
                      "50.0 % of the deadlines, over all queries 13.5 %", said)
        self.assertNotIn("four strict priorities", said)
        # each kind of sender has a sentence, and is compared with DCTCP alone
        other = self.text(examples.grants((1.0, 0.4, 0.5, 0.0, {"load": 0.6}),
                                          (1.2, 0.2, 0.5, 0.0, {"load": 0.6}),
                                          name="grant-cubic"))
        self.assertIn("workers under CUBIC) misses fewer deadlines than DCTCP at 0 of "
                      "2 settings and more at 2 (s: 2; by +10.0 to +30.0 points)", other)
        self.assertIn("a min of -1.50", other)
        self.assertIn("slack 1.2, load 60 %:", other)
        self.assertNotIn("closed loop", other)

    def test_grants_compared_with_priorities_and_beside_long_flows(self):
        rows = examples.grants((1.0, 0.4, 0.04, 0.0, {}), (1.2, 0.2, 0.1, 0.0, {}))
        rows += [examples.row("dctcp-prio", 1.0, 0.05, 0.4),
                 examples.row("dctcp-prio", 1.2, 0.02, 0.2)]
        self.assertIn("grant-dctcp misses fewer deadlines than DCTCP with four strict "
                      "priorities at 1 of 2 settings and more at 1 (by the means); the "
                      "largest difference there is at s: 1 Gbit/s, fan-in 8, slack "
                      "1.2: 10.0 % against 2.0 %.", self.text(rows))
        flows = [examples.row("dctcp", 1.0, 0.1), examples.row(
            "grant-dctcp", 1.0, 0.1, 0.1, background_flows=2, load=0.4,
            background_over_dctcp={"ratio": 0.8, "ci95": [0.75, 0.85]})]
        self.assertIn("Beside grant-dctcp, background flows, which the receiver does not "
                      "schedule, get at least 0.750 of their throughput beside DCTCP",
                      self.text(flows))
        self.assertIn("load the link equally under both, 0.800.", self.text(flows))

    def test_d2tcp_must_also_differ_from_itself_without_deadlines(self):
        rows = examples.rows((1.2, 0.2, 0.1))
        self.assertIn("fewer deadlines at 1 and more at 0", self.text(rows))
        same = [rows[0], rows[1] | {"late_minus_control": {"mean": 0.0, "half95": 0.01}}]
        said = self.text(same)
        self.assertIn("fewer deadlines at 0 and more at 0", said)
        self.assertIn("only where it differs from DCTCP and from d2tcp-nodeadline", said)
        more = examples.rows((1.2, 0.1, 0.2))
        more[1]["late_minus_control"] = {"mean": 0.05, "half95": 0.01}
        self.assertIn("fewer deadlines at 0 and more at 1", self.text(more))

    def test_how_many_verdicts_may_be_by_chance(self):
        rows = examples.rows((1.0, 0.2, 0.1), (1.2, 0.2, 0.1), (1.4, 0.2, 0.195))
        for row, p in zip(rows[1::2], (0.001, 0.04, 0.5)):
            row["late_minus_dctcp"]["p"] = p
        # 0.04 is above 2/3 of 0.05
        self.assertIn("Of 3 comparisons with DCTCP, 2 lie outside their 95 % interval; at "
                      "a false-discovery rate of 5 % over all of them (Benjamini and "
                      "Hochberg) 1 of these do not count.", self.text(rows))
        rows[3]["late_minus_dctcp"]["p"] = 0.03
        self.assertIn("all of these count", self.text(rows))

    def test_the_miss_rates_by_load(self):
        rows = []
        for load, dctcp, mine in ((0.1, 0.001, 0.002), (0.8, 0.4, 0.3)):
            at = {"scenario": "open-loop", "load": load, "arrival": "poisson(%g)" % load}
            rows += [examples.row("dctcp", 1.0, dctcp, **at),
                     examples.row("d2tcp", 1.0, mine, dctcp, **at)]
        self.assertIn("With queries that arrive at random and load a link of 1 Gbit/s by "
                      "10 / 80 %, DCTCP misses 0.1 / 40.0 %; d2tcp misses 0.2 / 30.0 %.",
                      self.text(rows))

    def test_background_flows_are_compared_at_the_same_rate_of_queries(self):
        def rows(ratio, **more):
            return [examples.row("dctcp", 1.0, 0.1, **more), examples.row(
                "d2tcp", 1.0, 0.1, 0.1, background_flows=2, background_over_dctcp={
                    "ratio": ratio, "ci95": [ratio - 0.01, ratio + 0.01]}, **more)]

        closed = rows(1.04, queries_over_dctcp={"ratio": 0.96, "ci95": None})
        self.assertIn("In a closed loop, background flows beside d2tcp get at least "
                      "1.030", self.text(closed))
        said = self.text(closed + rows(1.0, scenario="o", arrival="poisson(60)"))
        self.assertIn("At the same rate of queries (open loop), background flows beside "
                      "d2tcp get at least 0.990", said)
        self.assertIn("the flows get what the queries leave: 1.040 to 1.040 of their "
                      "throughput beside DCTCP, with 0.960 to 0.960 of the queries", said)

    def test_what_a_flow_without_ecn_leaves_depends_on_the_switch(self):
        rows = [{"scenario": "coexistence", "flows": a + "+cubic", "marker": marker,
                 "share": share, "algorithm": a, "mix": "",
                 "fidelity": {"rate_mbps": 1000}}
                for a in ("dctcp", "d2tcp")
                for marker, share in (("codel", 0.004), ("red", 0.995))]
        said = self.text(rows)
        self.assertIn("a d2tcp flow has 0.4 % of the link and a DCTCP flow 0.4 % where the "
                      "switch leaves packets without ECT alone", said)
        self.assertIn("a d2tcp flow has 99.5 % of the link and a DCTCP flow 99.5 % where "
                      "the switch drops packets without ECT", said)
        self.assertEqual([c[4] for c in paper.claims(rows) if c[0].startswith("Coexists")],
                         ["holds for TCP, but d2tcp starves, as DCTCP does",
                          "does not hold"])

    def test_settings_are_named_by_all_keys_in_which_they_differ(self):
        row = examples.row("dctcp", 1.0, 0.1, think_ms="uniform(2, 6)", load=0.484,
                           aggregators=4, aggregator_hosts=1)
        self.assertEqual(words.where(row), "s: 1 Gbit/s, fan-in 8, slack 1.0, think "
                         "time uniform(2, 6) ms, 4 aggregators on 1 host, load 48 %")
        self.assertNotIn("think", words.where(row | {"think_ms": "0"}))

    def test_five_sentences(self):
        with open(os.path.join(ROOT, "tests", "bench", "rows.json")) as f:
            rows = json.load(f)["rows"]
        rows += [{"scenario": "coexistence", "flows": "d2tcp+cubic", "marker": "red",
                  "share": 0.995, "algorithm": "d2tcp", "mix": "", "service": "",
                  "fidelity": {"rate_mbps": 1000}}]
        said = list(selection.in_short_of(rows))
        self.assertEqual(len(said), 5)
        for sentence, part in zip(said, ("law helps where", "strict priorities",
                                          "Grants by the receiver", "queries overlap",
                                          "99.5 % where it drops")):
            self.assertIn(part, sentence)
        self.assertEqual(list(selection.in_short_of([])), [])
        # every question has its scenarios
        names = set(scenarios.names())
        for question in selection.QUESTIONS:
            self.assertLessEqual(set(question.scenarios), names)

    def test_no_subset_of_rows_breaks_the_report(self):
        with open(os.path.join(ROOT, "tests", "bench", "rows.json")) as f:
            rows = [r | {"fidelity": {"rate_mbps": r["rate_mbps"]}}
                    for r in json.load(f)["rows"]]
        whole = self.text(rows)
        for said in ("same queries at", "(dctcp-prio) misses", "background flow",
                      "CUBIC misses", "with d = 2", "tree", "grant-dctcp", "grant-cubic",
                      "on new connections", "workers wait", "does not schedule",
                      "several aggregators", "arrive at random"):
            self.assertIn(said, whole)
        names = sorted({r["algorithm"] for r in rows})
        scenarios_ = sorted({r["scenario"] for r in rows})
        for size in (1, 2):
            for some in itertools.combinations(names, size):
                self.text([r for r in rows if r["algorithm"] in some])
        for name in scenarios_:
            mine = [r for r in rows if r["scenario"] == name]
            self.text(mine)
            list(paper.claims(mine))
            # on real hosts there are no fluid models, and drops and the law's
            # shares are not known
            hosts = [{k: v for k, v in r.items() if k not in (
                "fluid", "law_can_act")} | {"drops": None, "fidelity": {
                    "rate_mbps": None}} | ({"share_predicted": None}
                                           if "share" in r else {})
                     for r in mine]
            self.text(hosts)
            list(paper.claims(hosts))
            self.text([r | {"late_minus_dctcp": None, "late_over_dctcp": None}
                       for r in mine])
            self.text([r | {"fluid": r["fluid"] | {"equal": 0.0}}
                       if "fluid" in r else r for r in mine])

    def test_the_slack_for_five_percent_is_interpolated(self):
        rows = [{"slack": 1.0, "late_share": 0.10},
                {"slack": 1.2, "late_share": 0.02},
                {"slack": 1.4, "late_share": 0.01}]
        self.assertAlmostEqual(queries.slack_at(rows, 0.05), 1.125)
        self.assertIsNone(queries.slack_at(rows, 0.2))


if __name__ == "__main__":
    tap.main(sys.modules["__main__"])
