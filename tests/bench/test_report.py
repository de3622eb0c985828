#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Tests of the report's sentences, and of its output directory. Prints TAP."""

import itertools
import json
import os
import shutil
import sys
import tempfile
import unittest
import unittest.mock

import numpy

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "bench"))
import report  # noqa: E402
import algorithms  # noqa: E402
from analysis import records as raw_records  # noqa: E402
from report import claims as paper  # noqa: E402
from report import plots  # noqa: E402
from report import queries  # noqa: E402
from report import room  # noqa: E402
from report import selection  # noqa: E402
from report import sentences  # noqa: E402
from report import style  # noqa: E402
from report import tables  # noqa: E402
from report import titles  # noqa: E402
from report import traces  # noqa: E402
import run  # noqa: E402
import scenario as scenarios  # noqa: E402
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tap  # noqa: E402

INCAST = os.path.join(ROOT, "build", "incast")


class Findings(unittest.TestCase):
    @staticmethod
    def row(algorithm, slack, late, base=0.0, half=0.01, **more):
        ratio = late / base if base else None
        return {
            "scenario": "s", "mix": "", "service": "", "algorithm": algorithm,
            "slack": slack, "fan_in": 8, "rate_mbps": 1000,
            "late_share": late, "certain": True, "law_can_act": True,
            "drops": 0, "late_minus_dctcp": None if algorithm == "dctcp" else {
                "mean": late - base, "half95": half},
            "late_over_dctcp": None if algorithm == "dctcp" else {
                "ratio": ratio, "ci95": ratio and [0.9 * ratio, 1.1 * ratio]},
            "fluid": {"equal": 0.2, "required": 0.05, "fair_window": 4.0}} \
            | more

    def rows(self, *lines):
        found = []
        for slack, base, late in lines:
            found.append(self.row("dctcp", slack, base))
            found.append(self.row("d2tcp", slack, late, base))
        return found

    def text(self, rows):
        return " ".join(selection.findings(rows))

    def test_the_slack_from_which_it_is_a_quarter(self):
        rows = self.rows((1.0, 0.4, 0.04), (1.2, 0.2, 0.1), (1.4, 0.1, 0.02),
                         (1.6, 0.05, 0.01), (1.8, 0.0, 0.0))
        mine = queries.acting(rows)
        self.assertEqual(queries.quarter_slack(mine), 1.4)
        self.assertTrue(queries.surely(mine, 1.4))
        self.assertIn("from slack 1.4 on.", self.text(rows))
        self.assertIsNone(queries.quarter_slack(
            queries.acting(self.rows((1.0, 0.4, 0.04), (1.2, 0.2, 0.1)))))
        # a quarter that is inside the interval is reported as such
        rows = self.rows((1.2, 0.2, 0.1), (1.4, 0.1, 0.024))
        self.assertIn("from slack 1.4 on (the interval", self.text(rows))

    def test_a_point_where_hardly_anybody_is_late_decides_nothing(self):
        rows = self.rows((1.2, 0.2, 0.02), (1.4, 0.1, 0.01))
        # one miss each, and no interval
        rows += [self.row("dctcp", 2.4, 1e-4),
                 self.row("d2tcp", 2.4, 1e-4, 1e-4, late_over_dctcp={
                     "ratio": 1.0, "ci95": None})]
        self.assertEqual(queries.quarter_slack(queries.acting(rows)), 1.2)

    def test_a_point_that_is_worse_is_named(self):
        rows = self.rows((1.0, 0.2, 0.3), (1.2, 0.2, 0.1), (1.4, 0.1, 0.02))
        self.assertIn("deadlines at 2 and more at 1 (s: 1 Gbit/s, fan-in 8, slack "
                      "1.0, by +10.0 points)", self.text(rows))
        self.assertIn("more at 2 (at slack 1.0 to 1.2, by +5.0 to +10.0 "
                      "points)", self.text(self.rows((1.0, 0.2, 0.3),
                                                     (1.2, 0.2, 0.25))))

    def test_what_lies_outside_is_told_apart(self):
        def outside(**fluid):
            rows = self.rows((1.2, 0.2, 0.1))
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

        good = self.rows((1.2, 0.2, 0.02), (1.4, 0.1, 0.01))
        bad = self.rows((1.2, 0.2, 0.19), (1.4, 0.1, 0.09))
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

    def test_what_is_said_of_hosts_is_what_is_known_of_them(self):
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

    def grants(self, *lines, name="grant-dctcp"):
        """Rows of DCTCP and of grants: (slack, DCTCP's misses, misses, bound, more)."""
        found = []
        for slack, base, late, bound, more in lines:
            gap = (base - late) / (base - bound) if base - bound > 0.01 else None
            at = {"late_share_optimum": bound, "first_late_share": 0.5} | more
            found.append(self.row("dctcp", slack, base, **at | {
                "queries_over_dctcp": None, "closed_gap": None}))
            found.append(self.row(name, slack, late, base, closed_gap=gap, **at))
        return found

    def test_what_grants_reach_and_where_they_do_not(self):
        closed = {"queries_per_s": 50, "queries_over_dctcp": {"ratio": 0.99,
                                                              "ci95": None}}
        rows = self.grants(
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
        other = self.text(self.grants((1.0, 0.4, 0.5, 0.0, {"load": 0.6}),
                                      (1.2, 0.2, 0.5, 0.0, {"load": 0.6}),
                                      name="grant-cubic"))
        self.assertIn("workers under CUBIC) misses fewer deadlines than DCTCP at 0 of "
                      "2 settings and more at 2 (s: 2; by +10.0 to +30.0 points)", other)
        self.assertIn("a min of -1.50", other)
        self.assertIn("slack 1.2, load 60 %:", other)
        self.assertNotIn("closed loop", other)

    def test_grants_beside_priorities_and_long_flows(self):
        rows = self.grants((1.0, 0.4, 0.04, 0.0, {}), (1.2, 0.2, 0.1, 0.0, {}))
        rows += [self.row("dctcp-prio", 1.0, 0.05, 0.4),
                 self.row("dctcp-prio", 1.2, 0.02, 0.2)]
        self.assertIn("grant-dctcp misses fewer deadlines than DCTCP with four strict "
                      "priorities at 1 of 2 settings and more at 1 (by the means); the "
                      "largest difference there is at s: 1 Gbit/s, fan-in 8, slack "
                      "1.2: 10.0 % against 2.0 %.", self.text(rows))
        flows = [self.row("dctcp", 1.0, 0.1), self.row(
            "grant-dctcp", 1.0, 0.1, 0.1, background_flows=2, load=0.4,
            background_over_dctcp={"ratio": 0.8, "ci95": [0.75, 0.85]})]
        self.assertIn("Beside grant-dctcp, background flows, which the receiver does not "
                      "schedule, get at least 0.750 of their throughput beside DCTCP",
                      self.text(flows))
        self.assertIn("load the link equally under both, 0.800.", self.text(flows))

    def test_settings_that_differ_in_more_than_the_slack_are_told_apart(self):
        row = self.row("dctcp", 1.0, 0.1, think_ms="uniform(2, 6)", load=0.484,
                       aggregators=4, aggregator_hosts=1)
        self.assertEqual(sentences.where(row), "s: 1 Gbit/s, fan-in 8, slack 1.0, think "
                         "time uniform(2, 6) ms, 4 aggregators on 1 host, load 48 %")
        self.assertNotIn("think", sentences.where(row | {"think_ms": "0"}))

    def test_columns_are_shown_where_they_say_something(self):
        def headings(rows):
            return [c[0] for c in tables.columns(rows)]

        plain = self.rows((1.0, 0.4, 0.3))
        more = ["first 3 missed %", "gap closed", "load %", "queries/s"]
        self.assertFalse(set(more) & set(headings(plain)))
        rows = self.grants((1.0, 0.4, 0.04, 0.0, {"load": 0.2, "queries_per_s": 9}))
        self.assertTrue(set(more) <= set(headings(rows)))
        cells = {c[0]: c[1](rows[1]) for c in tables.columns(rows) if c[0] in more}
        self.assertEqual([cells[name] for name in more],
                         ["50.0", "0.90", "20", "9.0"])
        self.assertEqual(tables.throughput_ratio({"queries_over_dctcp": {
            "ratio": 0.97, "ci95": [0.95, 1.01]}}), "0.970 (0.950 to 1.010)")
        self.assertEqual(tables.throughput_ratio({}), "-")

    def test_no_subset_of_rows_breaks_the_report(self):
        with open(os.path.join(ROOT, "tests", "bench", "rows.json")) as f:
            rows = [r | {"fidelity": {"rate_mbps": r["rate_mbps"]}}
                    for r in json.load(f)["rows"]]
        whole = self.text(rows)
        for words in ("same queries at", "(dctcp-prio) misses", "background flow",
                      "CUBIC misses", "with d = 2", "tree", "grant-dctcp", "grant-cubic",
                      "on new connections", "workers wait", "does not schedule",
                      "several aggregators", "arrive at random"):
            self.assertIn(words, whole)
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



class Output(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.directory)

    def test_a_directory_of_somebody_else_is_left_alone(self):
        mine = os.path.join(self.directory, "raw", "mine.txt")
        os.makedirs(os.path.dirname(mine))
        with open(mine, "w") as f:
            f.write("mine")
        with self.assertRaises(scenarios.ScenarioError) as caught:
            report.make_room(self.directory)
        self.assertIn("not of the bench", str(caught.exception))
        self.assertTrue(os.path.exists(mine))

    def test_what_other_commands_leave_is_no_obstacle(self):
        # make check runs everything that writes there before this test
        self.assertTrue(report.is_ours(os.path.join(ROOT, "bench", "out")))
        # files of an older make check are no obstacle either
        out = os.path.join(self.directory, "out")
        os.makedirs(out)
        with open(os.path.join(out, "cost.md"), "w") as f:
            f.write("old")
        report.make_room(out)
        self.assertEqual(sorted(os.listdir(out)), [room.MARKER, "raw"])

    def test_our_own_is_emptied(self):
        out = os.path.join(self.directory, "new", "out")
        old = os.path.join(report.make_room(out), "old")
        with open(old, "w") as f:
            f.write("old")
        report.make_room(out)
        self.assertFalse(os.path.exists(old))

    def leave(self, rows=(), **settings):
        """Leaves the output of a run in self.directory."""
        for name, what in (("summary.json", {"rows": list(rows)}),
                           (report.SETTINGS, {
                               "command": "make x", "ratio": []} | settings)):
            with open(os.path.join(self.directory, name), "w") as f:
                json.dump(what, f)

    def refused(self):
        with self.assertRaises(scenarios.ScenarioError) as caught:
            report.publish(self.directory, self.directory)
        return str(caught.exception)

    def test_only_results_of_whole_sets_are_published(self):
        self.assertIn("make bench first", self.refused())
        scenario = dict(scenarios.load("paper-regime", "default"))
        # one scenario of many: the documents show whole sets
        self.leave(scenarios=[scenario])
        self.assertIn("not those of the whole set default: ", self.refused())
        self.enterContext(unittest.mock.patch.object(
            scenarios, "chosen", lambda which: [scenario]))
        for change, said in (({"seeds": 3}, "not those of set default"),
                             ({"seed_list": [3]}, "not those of set default"),
                             ({"set": "full"}, "not those of set full"),
                             ({"algorithms": ["dctcp"]}, "not those of"),
                             ({"params": ["late_d=512"]}, "not those of")):
            self.leave(scenarios=[scenario | change])
            self.assertIn(said, self.refused())

    def test_a_publication_replaces_the_last_one_and_nothing_else(self):
        scenario = dict(scenarios.load("coexistence", "default")) | {
            "pictures": [["new.svg", "the message"]]}
        self.enterContext(unittest.mock.patch.object(
            scenarios, "chosen", lambda which: [scenario]))
        rows = [{"scenario": "coexistence", "flows": "dctcp+d2tcp",
                 "algorithm": a, "claim": "", "seeds": 2, "mbps": 470.0,
                 "mbps_ci95": [469, 471], "share": 0.5, "share_ci95": [0.5, 0.5],
                 "share_predicted": None, "alpha": None, "share_by_alpha": None,
                 "marks": 1, "drops": 0, "kernel": "6", "mix": "",
                 "fidelity": {"rate_mbps": 1000}} for a in ("dctcp", "d2tcp")]
        self.leave(rows, scenarios=[scenario],
                   ratio=[["both.svg", "what both show"], ["new.svg", "more"]])
        results = os.path.join(self.directory, "docs", "results")
        os.makedirs(results)
        marks = "\n".join("<!-- %s: written by make publish -->\n"
                          "<!-- %s ends: written by make publish -->" % (n, n)
                          for n in ("picture", "claims", "findings", "contents"))
        for path, text in (
                ("docs/results/README.md", "by hand\n" + marks),
                ("docs/results/by-hand.md", "kept"),
                ("docs/results/gone.md",
                 "<!-- written by make publish -->\nold"),
                ("docs/results/gone.svg", "old"), ("new.svg", "<svg/>"),
                ("both.svg", "<svg/>"),
                ("README.md", "no place")):
            with open(os.path.join(self.directory, path), "w") as f:
                f.write(text)
        self.assertIn("has no place", self.refused())
        before = sorted(os.listdir(results))
        with open(os.path.join(self.directory, "README.md"), "w") as f:
            f.write("front\n" + marks)
        # nothing is removed where something is missing or in the way
        os.rename(os.path.join(self.directory, "new.svg"),
                  os.path.join(self.directory, "away"))
        self.assertIn("has no new.svg", self.refused())
        os.rename(os.path.join(self.directory, "away"),
                  os.path.join(self.directory, "new.svg"))
        with open(os.path.join(results, "coexistence.md"), "w") as f:
            f.write("by hand")
        self.assertIn("was written by hand", self.refused())
        os.remove(os.path.join(results, "coexistence.md"))
        self.assertEqual(sorted(os.listdir(results)), before)
        report.publish(self.directory, self.directory)
        self.assertEqual(sorted(os.listdir(results)), [
            "README.md", "both.svg", "by-hand.md", "coexistence.md", "new.svg"])
        with open(os.path.join(results, "coexistence.md")) as f:
            page = f.read()
        self.assertIn("![the message](new.svg)", page)
        self.assertEqual(page.count("| 470.0 |"), 2)
        with open(os.path.join(results, "README.md")) as f:
            index = f.read()
        self.assertTrue(index.startswith("by hand\n"))
        self.assertIn("[coexistence](coexistence.md): " + scenario["claim"],
                      index)
        self.assertIn("By `make x`.", index)
        with open(os.path.join(self.directory, "README.md")) as f:
            front = f.read()
        # the text of the first picture is its message
        self.assertIn("![what both show](docs/results/both.svg)", front)
        self.assertNotIn("new.svg", front)


class Traces(unittest.TestCase):
    """One query of two answers, of 1000 and 2000 bytes, sent 5 s after the boot."""

    TRACE = """# tracer: nop
 x-1 [000] ..s1. 5.000100: d2tcp_grant: saddr=::ffff:10.0.0.1 daddr=::ffff:10.0.0.3 \
port=4000 peer=5000 granted=500 edge=500 flying=500
 x-1 [000] ..s1. 5.000900: tcp_probe: family=AF_INET src=10.0.0.1:4000 \
dest=10.0.0.3:5000 mark=0x0 data_len=500 snd_nxt=0x1 snd_una=0x1
 x-1 [000] ..s1. 5.001000: d2tcp_grant: saddr=::ffff:10.0.0.1 daddr=::ffff:10.0.0.3 \
port=4000 peer=5000 granted=1500 edge=2000 flying=1500
 x-1 [000] ..s1. 5.001900: tcp_probe: family=AF_INET src=10.0.0.1:4000 \
dest=10.0.0.3:5000 mark=0x0 data_len=1500 snd_nxt=0x1 snd_una=0x1
 x-1 [000] ..s1. 5.002000: tcp_probe: family=AF_INET src=10.0.0.3:5000 \
dest=10.0.0.1:4000 mark=0x0 data_len=40 snd_nxt=0x1 snd_una=0x1
 x-1 [000] ..s1. 5.002000: tcp_probe: family=AF_INET src=10.0.0.1:4001 \
dest=10.0.0.2:5000 mark=0x0 data_len=0 snd_nxt=0x1 snd_una=0x1
 x-1 [000] ..s1. 5.002100: d2tcp_grant: saddr=::ffff:10.0.0.1 daddr=::ffff:10.0.0.2 \
port=4001 peer=5000 granted=1000 edge=1000 flying=1000
 x-1 [000] ..s1. 5.003000: tcp_probe: family=AF_INET src=10.0.0.1:4001 \
dest=10.0.0.2:5000 mark=0x0 data_len=1000 snd_nxt=0x1 snd_una=0x1
 x-1 [000] ..s1. 5.009000: d2tcp_grant: saddr=::ffff:10.0.0.1 daddr=::ffff:10.0.0.2 \
port=4001 peer=5000 granted=9 edge=9 flying=9
"""
    EXTRA = {"start_ns": 4 * 10**9, "workers": ["10.0.0.2", "10.0.0.3"]}

    def setUp(self):
        self.directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.directory)
        where = os.path.join(self.directory, "s", "trace-grants", "seed1")
        os.makedirs(where)
        self.trace = os.path.join(os.path.dirname(where), "trace.txt")
        with open(self.trace, "w") as f:
            f.write(self.TRACE)
        with open(os.path.join(os.path.dirname(where), "job.json"), "w") as f:
            json.dump({"slack": 2.0, "seeds": [1], "algorithm": "grant-dctcp",
                       "point": {"fan_in": 2}}, f)
        with open(os.path.join(where, "load.json"), "w") as f:
            json.dump(self.EXTRA, f)
        path = os.path.join(where, "records-0.csv")
        with open(path, "w") as f:
            f.write("query,attempt,worker,bytes,deadline_ns,sent_ns,took_ns\n"
                    "0,0,0,7,1,0,5\n0,0,1,7,1,0,5\n"
                    "1,0,0,1000,1250000,1000000000,3000000\n"
                    "1,0,1,2000,1000000,1000000000,1900000\n")
        run.compress(path)

    def test_a_trace_has_what_was_granted_and_what_arrived(self):
        self.assertEqual(traces.read_grants(self.trace), {
            "10.0.0.3": [(5.0001, 500), (5.001, 2000)],
            "10.0.0.2": [(5.0021, 1000), (5.009, 9)]})
        self.assertEqual(traces.read_arrivals(self.trace, self.EXTRA["workers"]), {
            "10.0.0.3": [(5.0009, 500), (5.0019, 1500)],
            "10.0.0.2": [(5.003, 1000)]})

    def test_the_picture_of_a_query_has_its_answers_by_deadline(self):
        (name, said), = plots.plot_grants({"name": "s"}, [{"kernel": "6"}],
                                          self.directory, self.directory)
        self.assertEqual(said, "The receiver grants responses by deadline: of 1 pair of "
                         "responses, 1 completes in that order")
        with open(os.path.join(self.directory, name), encoding="utf-8") as f:
            picture = f.read()
        self.assertLess(picture.index(">2 KB<"), picture.index(">1 KB<"))
        (records,), extra = raw_records.read_run(os.path.join(
            self.directory, "s", "trace-grants", "seed1"))
        first, second = plots.last_query(
            records, 2.0, extra, traces.read_grants(self.trace),
            traces.read_arrivals(self.trace, extra["workers"]))
        # by deadline; what comes after an answer belongs to the next one
        self.assertEqual([(round(ms, 3), n) for ms, n in first["granted"]],
                         [(0.1, 500), (1.0, 2000)])
        self.assertEqual([(round(ms, 3), n) for ms, n in first["arrived"]],
                         [(0.9, 500), (1.9, 2000)])
        self.assertEqual([(round(ms, 3), n) for ms, n in second["granted"]],
                         [(2.1, 1000)])
        self.assertEqual([(a["due"], a["missed"], a["done"])
                          for a in (first, second)],
                         [(2.0, False, 1.9), (2.5, True, 3.0)])

    def test_without_grants_in_the_trace_there_is_no_picture(self):
        with open(self.trace, "w") as f:
            f.write("# tracer: nop\n")
        self.assertEqual(list(plots.plot_grants({"name": "s"}, [], self.directory,
                                                self.directory)), [])


class Pictures(unittest.TestCase):
    # Machado, Oliveira and Fernandes 2009, severity 1.0, on linear RGB
    SEEN_BY = {
        "deuteranopia": [[0.367322, 0.860646, -0.227968],
                         [0.280085, 0.672501, 0.047413],
                         [-0.011820, 0.042940, 0.968881]],
        "protanopia": [[0.152286, 1.052583, -0.204868],
                       [0.114503, 0.786281, 0.099216],
                       [-0.003882, -0.048116, 1.051998]],
        "most": [[1, 0, 0], [0, 1, 0], [0, 0, 1]]}

    @staticmethod
    def lab(colour, seen_by):
        """CIELAB (D65) of "#rrggbb" as somebody sees it."""
        part = numpy.array([int(colour[i:i + 2], 16) for i in (1, 3, 5)]) / 255
        part = numpy.where(part <= 0.04045, part / 12.92,
                           ((part + 0.055) / 1.055) ** 2.4)
        part = numpy.clip(numpy.array(seen_by) @ part, 0, 1)
        xyz = numpy.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722],
                           [0.0193, 0.1192, 0.9505]]) @ part
        xyz = xyz / [0.9505, 1, 1.089]
        f = numpy.where(xyz > 0.008856, numpy.cbrt(xyz), 7.787 * xyz + 16 / 116)
        return numpy.array([116 * f[1] - 16, 500 * (f[0] - f[1]),
                            200 * (f[1] - f[2])])

    def test_colours_and_markers_differ_for_every_reader(self):
        markers = [a.marker for a in algorithms.TABLE]
        self.assertEqual(len(set(markers)), len(markers))
        for colours in ([a.colour for a in algorithms.TABLE],
                        style.OTHER_COLOURS):
            for a, b in itertools.combinations(colours, 2):
                for name, matrix in self.SEEN_BY.items():
                    apart = numpy.linalg.norm(self.lab(a, matrix)
                                              - self.lab(b, matrix))
                    self.assertGreater(apart, 25, "%s, %s: %s" % (a, b, name))
        # blue and orange differ for everyone, these two only for most
        green, grey = "#009E73", "#999999"
        self.assertLess(numpy.linalg.norm(
            self.lab(green, self.SEEN_BY["deuteranopia"]) -
            self.lab(grey, self.SEEN_BY["deuteranopia"])), 25)

    def test_an_algorithm_has_one_name_in_pictures_and_sentences(self):
        names = [a.shown for a in algorithms.TABLE]
        self.assertEqual(len(set(names)), len(names))
        # sentences that are always about these two contain their names
        self.assertEqual([algorithms.shown(name) for name in (
            algorithms.BASE, algorithms.LAW, "cubic+d2tcp")],
                         ["DCTCP", "d2tcp", "CUBIC + d2tcp"])
        self.assertEqual(plots.flow_names("dctcp+d2tcp:near+d2tcp:near"),
                         "DCTCP +\n2 near")

    def test_labels_are_moved_apart_and_stay_inside(self):
        self.assertEqual(style.spread([1, 5], 1, 0, 10), [1, 5])
        self.assertEqual(style.spread([0, 0, 0], 1, 0, 10), [0, 1, 2])
        self.assertEqual(style.spread([9, 10, 10], 1, 0, 10), [8, 9, 10])
        self.assertEqual(style.spread([], 1, 0, 10), [])

    def test_a_title_says_what_the_rows_say(self):
        make = Findings()

        def title(*lines):
            return titles.of_misses(make.rows(*lines), "slack")

        self.assertEqual(
            title((1.0, 0.2, 0.3), (1.2, 0.2, 0.1), (1.4, 0.1, 0.02)),
            "d2tcp misses fewer deadlines than DCTCP from slack 1.2 on; more at "
            "slack 1.0")
        self.assertEqual(title((1.0, 0.2, 0.1), (1.2, 0.2, 0.1)),
                         "d2tcp misses fewer deadlines than DCTCP everywhere")
        self.assertEqual(title((1.0, 0.2, 0.2), (1.2, 0.1, 0.1)),
                         "d2tcp and DCTCP do not differ within the intervals")
        self.assertEqual(
            title((1.0, 0.2, 0.3), (1.2, 0.2, 0.2), (1.4, 0.2, 0.2)),
            "d2tcp misses more deadlines than DCTCP at slack 1.0")
        rows = make.rows((1.0, 0.2, 0.1), (1.2, 0.2, 0.2))
        both = rows + [make.row("dctcp-prio", s, 0.05, 0.2) for s in (1.0, 1.2)]
        self.assertTrue(titles.of_misses(both, "slack").endswith(
            "at slack 1.0; dctcp-prio misses fewer than d2tcp"))
        # not where they were run at some of the points only, or miss more
        for some in (both[:-1], rows + [make.row("dctcp-prio", s, 0.3, 0.2)
                                        for s in (1.0, 1.2)]):
            self.assertNotIn("dctcp-prio", titles.of_misses(some, "slack"))

    def test_titles_say_what_sets_a_panel_apart(self):
        make = Findings()
        rows = [r | {"seeds": 2, "kernel": "6", "late_share_ci95": None,
                     "late_share_optimum": None, "fan_in": fan_in, "service": service}
                for fan_in in (8, 16) for service in ("", "a")
                for r in make.rows((1.0, 0.2, 0.2), (1.2, 0.2, 0.2), (1.4, 0.2, 0.2))]
        scenario = {"name": "s", "slack": [1.0, 1.2, 1.4], "fan_in": [8, 16],
                    "algorithms": ["dctcp", "d2tcp"]}
        same = "d2tcp and DCTCP do not differ within the intervals"
        with tempfile.TemporaryDirectory() as out:
            found = [said for _, said in plots.plot_misses(scenario, rows, out)]
        self.assertEqual(found, ["Fan-in 8, all services: " + same,
                                 "Fan-in 8, service a: " + same,
                                 "Fan-in 16, all services: " + same,
                                 "Fan-in 16, service a: " + same])
        burst = titles.of_recovery([{"algorithm": a, "recovered": n, "seeds": 2}
                                    for a, n in (("dctcp", 0), ("d2tcp", 2))])
        self.assertEqual(burst, "After the burst the miss rate recovers in 0 of 2 runs "
                         "of DCTCP and 2 of 2 of d2tcp")
        for retries, wait, said in ((0, "-", "60 queries/s, no retries: a"),
                                    (1, "0", "60 queries/s, 1 retry, at once: a"),
                                    (2, "uniform(0, 100)", "60 queries/s, 2 retries, "
                                     "after uniform(0, 100) ms: a")):
            self.assertEqual(titles.of_panel((
                ("arrival", "poisson(60)"), ("retries", retries),
                ("retry_after_ms", wait)), burst), said + burst[1:])

    def test_no_change_under_both_is_said_once(self):
        make = Findings()
        rows = make.rows((1.0, 0.2, 0.2)) + [make.row("grant-dctcp", 1.0, 0.2, 0.2)]
        self.assertEqual(titles.of_misses(rows, "slack"), "Neither d2tcp nor "
                         "grant-dctcp differs from DCTCP within the intervals")
        self.assertEqual(titles.of_recovery([{
            "algorithm": "dctcp", "recovered": n, "seeds": 2} for n in (0, 0)]),
                         "After the burst the miss rate recovers in no run")
        self.assertEqual(titles.of_recovery([{
            "algorithm": "dctcp", "recovered": n, "seeds": 2} for n in (2, 2)]),
                         "After the burst the miss rate recovers in every run")

    def test_times_name_those_that_were_run(self):
        def title(*names):
            return titles.of_times([{"algorithm": n, "fct_ms": {"p99": 9}}
                                    for n in names], 15)

        self.assertEqual(title("reno", "cubic"), "Completion times of responses")
        self.assertEqual(title("dctcp", "reno", "d2tcp", "grant-dctcp"), (
            "99 % of responses complete within 9.0 ms under DCTCP, 9.0 ms under d2tcp "
            "and 9.0 ms under grant-dctcp; half of the deadlines are below 15.0 ms"))

    def test_grants_and_loads_in_titles(self):
        make = Findings()
        rows = make.rows((1.0, 0.2, 0.3), (1.2, 0.2, 0.1))
        for algorithm, late in (("dctcp-prio", 0.05), ("grant-dctcp", 0.01)):
            rows += [make.row(algorithm, s, late, 0.2) for s in (1.0, 1.2)]
        self.assertEqual(titles.of_misses(rows, "slack"), (
            "d2tcp misses fewer deadlines than DCTCP at slack 1.2; more at slack 1.0; "
            "dctcp-prio misses fewer than d2tcp; grant-dctcp misses fewer than DCTCP "
            "everywhere"))
        rows = [make.row("grant-dctcp", 1.0, late, 0.2, load=load, arrival=arrival)
                for load, late, arrival in ((0.2, 0.1, "poisson(48)"),
                                            (0.48, 0.3, "poisson(115)"),
                                            (0.602, 0.4, "poisson(143)"))]
        self.assertEqual(titles.of_misses(rows, "arrival"),
                         "grant-dctcp misses fewer deadlines than DCTCP at a load of "
                         "20 %; more from a load of 48 % on")

    def test_the_gap_picture_shows_each_algorithm_that_closes_it(self):
        rows = Findings().grants((1.0, 0.4, 0.04, 0.0, {"kernel": "6"}),
                                 (1.2, 0.2, 0.0, 0.0, {}))
        with tempfile.TemporaryDirectory() as out:
            (name, said), = plots.plot_gap(rows, out)
            self.assertEqual(said, "Of the gap between DCTCP and the lower bound, "
                             "grant-dctcp closes 0.95 in the median")
            self.assertTrue(os.path.exists(os.path.join(out, name)))
            # not without grants
            self.assertEqual(plots.plot_gap(Findings().rows((1.0, 0.2, 0.1)), out),
                             [])

    def test_the_same_rows_give_the_same_bytes(self):
        rows = [r | {"seeds": 2, "kernel": "6", "late_share_ci95": [0, 0.5],
                     "late_share_optimum": None}
                for r in Findings().rows((1.0, 0.2, 0.3), (1.2, 0.2, 0.1))]
        scenario = {"name": "s", "slack": [1.0, 1.2],
                    "algorithms": ["dctcp", "d2tcp"]}
        found = []
        with tempfile.TemporaryDirectory() as out:
            for _ in range(2):
                (name, said), = plots.plot_misses(scenario, rows, out)
                self.assertEqual(name, "s-misses.svg")
                with open(os.path.join(out, name), encoding="utf-8") as f:
                    found.append(f.read())
        self.assertEqual(*found)
        # text stays text: a reader can search it, and its first words are the title
        self.assertIn(said.split()[0] + " ", found[0])
        self.assertIn(">DCTCP<", found[0])


if __name__ == "__main__":
    tap.main(sys.modules["__main__"])
