#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""What is said of the rows, and where it is written. Prints TAP."""

import itertools
import json
import os
import shutil
import sys
import tempfile
import unittest
import unittest.mock

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "bench"))
import report  # noqa: E402
from report import claims as paper  # noqa: E402
from report import queries  # noqa: E402
from report import room  # noqa: E402
from report import selection  # noqa: E402
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
        # a quarter within the interval is said to be
        rows = self.rows((1.2, 0.2, 0.1), (1.4, 0.1, 0.024))
        self.assertIn("from slack 1.4 on (its interval", self.text(rows))

    def test_a_point_where_hardly_anybody_is_late_decides_nothing(self):
        rows = self.rows((1.2, 0.2, 0.02), (1.4, 0.1, 0.01))
        # one late response of each, and no interval
        rows += [self.row("dctcp", 2.4, 1e-4),
                 self.row("d2tcp", 2.4, 1e-4, 1e-4, late_over_dctcp={
                     "ratio": 1.0, "ci95": None})]
        self.assertEqual(queries.quarter_slack(queries.acting(rows)), 1.2)

    def test_a_point_that_is_worse_is_named(self):
        rows = self.rows((1.0, 0.2, 0.3), (1.2, 0.2, 0.1), (1.4, 0.1, 0.02))
        self.assertIn("fewer at 2 and more at 1 (s: 1 Gbit/s, fan-in 8, slack "
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
        self.assertIn("Where nobody would be late anyway (1 setting)",
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
        for share, said in ((0.01, "holds for TCP, and"), (0.5, "holds"),
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
        # d held, by the alpha of each alone
        rows += [{"scenario": "differentiation", "flows": "d2tcp:near+d2tcp:far",
                  "algorithm": "d2tcp", "mix": "", "share": share,
                  "share_predicted": None, "share_by_alpha": by_alpha,
                  "fidelity": {"rate_mbps": None}}
                 for share, by_alpha in ((0.8, 0.77), (0.2, 0.23))]
        said = self.text(rows)
        self.assertIn("predicts all shares within 3.0 points.", said)
        self.assertNotIn("synchronised", said)
        claims = {c[0][:8]: c for c in paper.claims(rows)}
        self.assertEqual(claims["Coexists"][3], "one queue; cubic without ECN")
        self.assertEqual(claims["Flows wi"][2], "shares as the law has them "
                         "within 3.0 points given each flow's alpha")
        self.assertEqual(claims["Flows wi"][4], "holds, given alpha")

    def test_no_subset_of_rows_breaks_the_report(self):
        with open(os.path.join(ROOT, "tests", "bench", "rows.json")) as f:
            rows = [r | {"fidelity": {"rate_mbps": r["rate_mbps"]}}
                    for r in json.load(f)["rows"]]
        whole = self.text(rows)
        for words in ("Of all", "dctcp-prio", "background flow", "cubic",
                      "d is held at 2", "tree"):
            self.assertIn(words, whole.replace("DCTCP with four", "dctcp-prio"))
        names = sorted({r["algorithm"] for r in rows})
        scenarios_ = sorted({r["scenario"] for r in rows})
        for size in (1, 2):
            for some in itertools.combinations(names, size):
                self.text([r for r in rows if r["algorithm"] in some])
        for name in scenarios_:
            mine = [r for r in rows if r["scenario"] == name]
            self.text(mine)
            list(paper.claims(mine))
            # of real hosts there are no fluids, and drops and the law's shares
            # are not known
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
        # in make check all that writes has run before this
        self.assertTrue(report.is_ours(os.path.join(ROOT, "bench", "out")))
        # nor is what an older make check left
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

    def test_only_results_of_the_default_set_are_published(self):
        with self.assertRaises(scenarios.ScenarioError) as caught:
            report.publish(self.directory, self.directory)
        self.assertIn("make bench first", str(caught.exception))
        scenario = scenarios.load("paper-regime", "default")
        scenario |= {"params": [], "set": "default"}
        # one of many: the documents show whole sets
        with open(os.path.join(self.directory, "summary.json"), "w") as f:
            json.dump({"rows": []}, f)
        with open(os.path.join(self.directory, report.SETTINGS), "w") as f:
            json.dump({"scenarios": [scenario], "command": "", "ratio": []}, f)
        with self.assertRaises(scenarios.ScenarioError) as caught:
            report.publish(self.directory, self.directory)
        self.assertIn("not those of the whole set default: ",
                      str(caught.exception))
        self.enterContext(unittest.mock.patch.object(
            scenarios, "chosen", lambda which: [scenario]))
        os.makedirs(os.path.join(self.directory, "docs"))
        with open(os.path.join(self.directory, "docs", "results.md"),
                  "w") as f:
            f.write("no place")
        with open(os.path.join(self.directory, "summary.json"), "w") as f:
            json.dump({"rows": []}, f)
        for change, said in (({}, "has no place"),
                             ({"seeds": 3}, "not those of set default"),
                             ({"seed_list": [3]}, "not those of set default"),
                             ({"set": "full"}, "not those of set full"),
                             ({"algorithms": ["dctcp"]}, "not those of"),
                             ({"params": ["late_d=512"]}, "not those of")):
            with open(os.path.join(self.directory, report.SETTINGS),
                      "w") as f:
                json.dump({"scenarios": [scenario | change],
                           "command": "", "ratio": []}, f)
            with self.assertRaises(scenarios.ScenarioError) as caught:
                report.publish(self.directory, self.directory)
            self.assertIn(said, str(caught.exception))


if __name__ == "__main__":
    tap.main(sys.modules["__main__"])
