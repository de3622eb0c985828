#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Tests of the load generator's command lines. Prints TAP."""

import os
import sys
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "bench"))
import algorithms  # noqa: E402
import load  # noqa: E402
import scenario as scenarios  # noqa: E402
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tap  # noqa: E402


def values(line, option):
    """The values that a command line gives to an option."""
    return [value for word, value in zip(line, line[1:]) if word == option]


class LongFlows(unittest.TestCase):
    flows = load.long_flows({"flows": "d2tcp:near+cubic+d2tcp:far"})

    def test_each_flow_goes_to_a_sink_that_expects_it(self):
        plan = load.flows_by_clock(self.flows, "10.0.0.1", 2, 5 * 10**9, [7, 8, 9])
        sinks = {values(line, "--listen")[0]: line for line in plan.sinks}
        # CUBIC and d2tcp need a listener each
        self.assertEqual(len(sinks), 2)
        for (algorithm, _), flow, wait in zip(self.flows, plan.flows, (7, 8, 9)):
            sink = sinks[values(flow, "--to")[0]]
            self.assertEqual(values(sink, "--cc"), [algorithm.cc])
            self.assertEqual(values(flow, "--cc"), [algorithm.cc])
            self.assertEqual(values(flow, "--wait-us"), [str(wait)])
        self.assertEqual(sorted(values(line, "--flows")[0] for line in plan.sinks),
                         ["1", "2"])
        for line in plan.sinks:
            self.assertEqual(values(line, "--at-ns"), ["5000000000"])

    def test_on_hosts_each_flow_has_a_port_and_all_have_a_time_limit(self):
        sources = ["10.0.0.%d" % i for i in (2, 3, 4, 5)]
        plan = load.flows_by_signal(self.flows, "10.0.0.1", sources, 2, 60, 92)
        sink, = plan.sinks
        ends = values(sink, "--listen")
        self.assertEqual(len(set(ends)), 3)
        self.assertEqual([values(f, "--to") for f in plan.flows], [[e] for e in ends])
        self.assertEqual([values(f, "--from")[0] for f in plan.flows], sources[:3])
        self.assertEqual(values(sink, "--accept-s"), ["60"])
        for line in plan.flows:
            self.assertEqual(values(line, "--life-s"), ["92"])
        for line in plan.sinks + plan.flows:
            self.assertIn("--tell", line)

    def test_claims_are_the_same_in_the_lab_and_on_hosts(self):
        lab = load.flows_by_clock(self.flows, "10.0.0.1", 2, 1, [0, 0, 0])
        hosts = load.flows_by_signal(self.flows, "10.0.0.1", list("abc"), 2, 60, 92)
        for option in ("--due-us", "--claim-bytes", "--bytes"):
            self.assertEqual([values(line, option) for line in lab.flows],
                             [values(line, option) for line in hosts.flows])
        self.assertEqual([bool(values(line, "--due-us")) for line in lab.flows],
                         [True, False, True])


class Workers(unittest.TestCase):
    def test_one_process_for_all_workers_or_one_for_each_host(self):
        point = scenarios.DEFAULTS | {"queries": 1, "deadline_ms": "5",
                                      "query_bytes": 9}
        plan = load.plan(point, algorithms.members("cubic+d2tcp"), 1.0, [
            load.Place("w0", "10.0.0.2"), load.Place("w1", "10.0.0.3")])
        self.assertEqual(plan.all_workers(), [
            "--shared-clock", "--listen", "w0/10.0.0.2:5000,cubic",
            "--listen", "w1/10.0.0.3:5000,d2tcp+deadlines"])
        self.assertEqual(plan.workers_of("w1"), [
            "--listen", "10.0.0.3:5000,d2tcp+deadlines"])


if __name__ == "__main__":
    tap.main(sys.modules["__main__"])
