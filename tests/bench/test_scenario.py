#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Tests of reading and checking scenario files. Prints TAP."""

import math
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "bench"))
import run  # noqa: E402
import scenario as scenarios  # noqa: E402
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tap  # noqa: E402

GOOD = """claim = "x"
topology = "star"
rate_mbps = 1000
host_delay_us = 75
buffer_packets = 400
mark_us = 240
rto_min_ms = 10
fan_in = [8, 16]
query_bytes = 2_000_000
response_spread = 0.5
deadline_ms = "uniform(10, 20)"
slack = [1.2, 1.4, 1.6]
queries = 100
min_gap_ms = 5
seeds = 20
algorithms = ["cubic", "dctcp", "d2tcp"]

[night]
fan_in = [4, 8, 16]
slack = [1.0, 1.2]
"""


class Scenarios(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.directory)
        self.was = scenarios.DIRECTORY
        self.good = GOOD
        scenarios.DIRECTORY = self.directory
        self.addCleanup(setattr, scenarios, "DIRECTORY", self.was)

    def load(self, text, which="default"):
        with open(os.path.join(self.directory, "x.toml"), "w") as f:
            f.write(text)
        return scenarios.load("x", which)

    def test_every_scenario_of_the_project_loads_in_every_set(self):
        scenarios.DIRECTORY = self.was
        self.assertIn("paper-regime", scenarios.names())
        self.assertEqual(scenarios.names()[0], "paper-regime")
        for name in scenarios.names():
            self.assertTrue(scenarios.load(name, "night"), name)
            for which in scenarios.SETS:
                scenario = scenarios.load(name, which)
                if not scenario:
                    continue
                points = list(scenarios.points(scenario))
                self.assertTrue(points)
                # each label names a directory of its own, which can be mounted
                labels = {scenarios.label(scenario, p) for p in points}
                self.assertEqual(len(labels), len(points))
                self.assertFalse([x for x in labels if "," in x or " " in x])

    def test_lists_are_swept(self):
        points = list(scenarios.points(self.load(self.good)))
        self.assertEqual([(p["fan_in"], p["slack"]) for p in points],
                         [(8, 1.2), (8, 1.4), (8, 1.6),
                          (16, 1.2), (16, 1.4), (16, 1.6)])
        self.assertEqual(len(list(scenarios.points(
            self.load(self.good, "night")))), 6)

    def test_mistakes_are_named_with_what_is_allowed(self):
        for old, new, said in (
                ("fan_in = [8, 16]", "fan_in = [8, 1001]",
                 "fan_in = 1001; allowed is a whole number from 2 to 1000"),
                ("fan_in = [8, 16]", "fan_in = []", "fan_in is an empty list"),
                ("mark_us = 240", "mark_us = \"240\"",
                 "mark_us = '240'; allowed is a real number"),
                ("mark_us = 240", "mark_ms = 240", "'mark_us' is missing"),
                ("mark_us = 240", "mark_us = 240\nmarks = 1",
                 "'marks' is not known; known are aggregator_hosts, "
                 "aggregators, algorithms"),
                ("\"uniform(10, 20)\"", "\"normal(1, 2)\"",
                 "deadline_ms = 'normal(1, 2)'; allowed is"),
                ("topology = \"star\"", "topology = \"ring\"",
                 "topology = 'ring'; allowed are star, tree"),
                ("\"cubic\", ", "\"cubik\", ",
                 "algorithms = 'cubik'; allowed are"),
                ("seeds = 20", "seeds = 0", "seeds = 0; allowed is"),
                ("seeds = 20", "seeds = 20\nsets = \"full\"",
                 "sets = 'full'; allowed is a list"),
                ("query_bytes = 2_000_000",
                 "query_bytes = 1\nresponse_bytes = \"5\"",
                 "one of query_bytes and response_bytes"),
                ("min_gap_ms = 5", "min_gap_ms = 5\narrival=\"poisson(9)\"",
                 "exclude each other"),
                ("slack = ", "most_seeds = 5\nslack = ",
                 "most_seeds = 5 is below seeds = 20"),
                ("slack = ", "half_width = 1\nslack = ",
                 "half_width = 1; allowed is a number between 0 and 1"),
                ("\"star\"", "\"tree\"", "a tree needs both"),
                ("slack = ", "racks = 2\nslack = ", "belong to a tree"),
                ("slack = ", "aggregator_hosts = 2\nslack = ",
                 "aggregator_hosts exceeds aggregators"),
                ("slack = ", "aggregators = [2, 4]\naggregator_hosts = [1, 3]\n"
                 "slack = ", "aggregator_hosts exceeds aggregators"),
                ("slack = ", "retries = 1\nslack = ",
                 "bursts, retries and until_ms need arrival"),
                ("\"cubic\",", "\"dctcp+dctcp-prio\",", "cannot be mixed"),
                ("slack = ", "background = \"x\"\nslack = ",
                 "background = 'x'; allowed is cubic, reno"),
                ("fan_in = ", "seconds = 1\nflows = \"d2tcp:soon\"\nfan_in = ",
                 "flows = 'd2tcp:soon'; allowed is algorithms, and d2tcp:near"),
                ("[night]", "[[services]]\nbytes = 5\n[night]",
                 "the name of a service"),
                ("[night]", "[[services]]\nname = \"a\"\nbytes = 5\n[night]",
                 "service a: 'bytes' is not known; known are name, query"),
                ("claim", "claim =", "x: Invalid")):
            self.assertIn(old, self.good)
            with self.assertRaises(scenarios.ScenarioError) as caught:
                self.load(self.good.replace(old, new, 1))
            self.assertIn(said, str(caught.exception))
        with self.assertRaises(scenarios.ScenarioError) as caught:
            scenarios.load("nosuch", "default")
        self.assertIn("there is no scenario 'nosuch'; there are x",
                      str(caught.exception))

    def test_a_number_will_do_for_a_distribution(self):
        scenario = self.load(self.good.replace(
            "query_bytes = 2_000_000", "response_bytes = 20000"))
        self.assertEqual(scenario["response_bytes"], 20000)

    def test_unknown_sets_and_scenarios_are_refused_before_anything_is_built(self):
        program = os.path.join(ROOT, "bench", "scenario.py")
        for args, said in ((["nosuch"], "there is no set 'nosuch'"),
                           (["default", "nosuch"],
                            "there is no scenario 'nosuch'")):
            done = subprocess.run([program] + args, check=False,
                                  stderr=subprocess.PIPE)
            self.assertEqual(done.returncode, 1)
            self.assertIn(said, done.stderr.decode())

    def test_the_bound_is_given_only_where_it_is_tight(self):
        point = next(scenarios.points(self.load(self.good)))
        self.assertEqual(scenarios.optimum_kind(point), "moore-hodgson")
        for change in ({"think_ms": "1"}, {"think_ms": "uniform(0, 1)"},
                       {"arrival": "poisson(100)"}, {"topology": "tree"},
                       {"aggregators": 2}, {"services": [{"name": "a"}]}):
            self.assertEqual(scenarios.optimum_kind(point | change), "none")

    def test_which_responses_share_one_port(self):
        point = next(scenarios.points(self.load(self.good)))
        for change, one in (({}, True), ({"aggregators": 2}, False),
                            ({"aggregators": 2, "aggregator_hosts": 1}, True),
                            ({"topology": "tree"}, False)):
            self.assertEqual(scenarios.one_port(point | change), one, change)

    def test_means(self):
        for text, mean in (("uniform(10, 20)", 15), ("7", 7), (7, 7),
                           ("exponential(30)", 30), ("poisson(115)", 115)):
            self.assertEqual(scenarios.mean(text), mean)

    def test_quantiles(self):
        for text, q, value in (("uniform(10, 20)", 0.25, 12.5), ("7", 0.5, 7),
                               ("exponential(30)", 0.5, 30 * math.log(2))):
            self.assertAlmostEqual(scenarios.quantile([(1, text)], q), value)
        # half at 10, half uniform from 0 to 10
        mixture = [(1, "10"), (1, "uniform(0, 10)")]
        self.assertAlmostEqual(scenarios.quantile(mixture, 0.25), 5)
        self.assertAlmostEqual(scenarios.quantile(mixture, 0.75), 10)

    def test_without_retries_there_is_no_waiting_for_them(self):
        scenario = self.load(self.good.replace("min_gap_ms = 5", """arrival = "poisson(5)"
retries = [0, 1]
retry_after_ms = ["0", "uniform(0, 5)"]""").replace("slack = [1.2, 1.4, 1.6]", ""))
        self.assertEqual([(p["retries"], p["retry_after_ms"])
                          for p in scenarios.points(scenario)
                          if p["fan_in"] == 8],
                         [(0, "-"), (1, "0"), (1, "uniform(0, 5)")])

    def test_which_algorithms_depend_on_the_slack(self):
        for algorithm, depends in (("dctcp", False), ("d2tcp", True),
                                   ("d2tcp-nodeadline", False),
                                   ("dctcp-prio", True), ("dctcp-jitter", False),
                                   ("grant-dctcp", True), ("grant-d2tcp", True),
                                   ("cubic+d2tcp", True)):
            self.assertEqual(scenarios.depends_on_slack(algorithm, {}),
                             depends, algorithm)
        self.assertTrue(scenarios.depends_on_slack("dctcp", {"retries": 1}))

    def test_blocks_of_seeds_follow_each_other(self):
        scenario = self.load(self.good.replace("seeds = 20",
                                               "seeds = 20\nmost_seeds = 50"))
        shares = {"fan_in=8": 0.04, "fan_in=16": 0.001}

        def late_shares(_, done, point, algorithm):
            where = "fan_in=%d" % point["fan_in"]
            yield ([0.2 + shares[where] * (-1) ** i
                    for i in range(done[where])], 100 * done[where])

        was, run.late_shares = run.late_shares, late_shares
        try:
            have = {}
            first = run.next_seeds(scenario, have, have)
            self.assertEqual(first, [("fan_in=8", list(range(1, 21))),
                                     ("fan_in=16", list(range(1, 21)))])
            # one point needs more than most_seeds; the other is done
            self.assertEqual(run.next_seeds(scenario, dict(have), have), [
                ("fan_in=8", list(range(21, 41))),
                ("fan_in=8", list(range(41, 51)))])
            self.assertEqual(run.next_seeds(scenario, dict(have), have), [])
        finally:
            run.late_shares = was


if __name__ == "__main__":
    tap.main(sys.modules["__main__"])
