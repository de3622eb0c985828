#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Tests of the report's output directory and of its publication. Prints TAP."""

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
from report import room  # noqa: E402
import scenario as scenarios  # noqa: E402
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tap  # noqa: E402


class Output(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.directory)

    def test_a_directory_with_other_files_is_left_alone(self):
        mine = os.path.join(self.directory, "raw", "mine.txt")
        os.makedirs(os.path.dirname(mine))
        with open(mine, "w") as f:
            f.write("mine")
        with self.assertRaises(scenarios.ScenarioError) as caught:
            report.make_room(self.directory)
        self.assertIn("not of the bench", str(caught.exception))
        self.assertTrue(os.path.exists(mine))

    def test_files_of_other_commands_are_no_obstacle(self):
        # make check runs everything that writes there before this test
        self.assertTrue(report.is_ours(os.path.join(ROOT, "bench", "out")))
        # files of an older make check are no obstacle either
        out = os.path.join(self.directory, "out")
        os.makedirs(out)
        with open(os.path.join(out, "cost.md"), "w") as f:
            f.write("old")
        report.make_room(out)
        self.assertEqual(sorted(os.listdir(out)), [room.MARKER, "raw"])

    def test_a_directory_of_the_bench_is_emptied(self):
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
        rows = [{"scenario": "coexistence", "marker": "codel",
                 "flows": "dctcp+d2tcp",
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
            "README.md", "both.svg", "by-hand.md", "coexistence.md", "new.svg",
            "question-others.md"])
        with open(os.path.join(results, "question-others.md")) as f:
            page = f.read()
        self.assertIn("# What happens to other traffic?\n", page)
        self.assertIn("share a link get 50.0 % and 50.0 % of it", page)
        self.assertIn("[coexistence](coexistence.md): " + scenario["claim"], page)
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
        self.assertIn("[What happens to other traffic?](question-others.md)", index)
        self.assertNotIn("Does the paper's law help?", index)
        with open(os.path.join(self.directory, "README.md")) as f:
            front = f.read()
        # the text of the first picture is its message
        self.assertIn("![what both show](docs/results/both.svg)", front)
        self.assertNotIn("new.svg", front)


if __name__ == "__main__":
    tap.main(sys.modules["__main__"])
