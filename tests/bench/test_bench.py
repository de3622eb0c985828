#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""The bench: bound, statistics and scenario files here, whole runs in the lab.

Prints TAP.
"""

import gzip
import itertools
import json
import math
import os
import random
import shutil
import subprocess
import sys
import tempfile
import unittest
import unittest.mock

import numpy

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "bench"))
import findings  # noqa: E402
import fluid  # noqa: E402
import intervals  # noqa: E402
import optimum  # noqa: E402
import report  # noqa: E402
import rows as results  # noqa: E402
import run  # noqa: E402
import scenario as scenarios  # noqa: E402
import tables  # noqa: E402
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tap  # noqa: E402

LAB = os.path.join(ROOT, "tests", "lab", "lab")
INCAST = os.path.join(ROOT, "build", "incast")


def fewest_late(jobs):
    """By trying every order."""
    best = len(jobs)
    for order in itertools.permutations(jobs):
        done = late = 0
        for length, due in order:
            done += length
            late += done > due
        best = min(best, late)
    return best


class Optimum(unittest.TestCase):
    def test_least_late_is_the_fewest_of_all_orders(self):
        draw = random.Random(1)
        for _ in range(400):
            jobs = [(draw.randint(1, 20), draw.randint(1, 60))
                    for _ in range(draw.randint(1, 6))]
            self.assertEqual(optimum.least_late(jobs), fewest_late(jobs), jobs)

    def test_a_response_takes_its_frames_on_the_wire(self):
        self.assertEqual(optimum.wire_ns(1448, 1000), 1514 * 8)
        self.assertEqual(optimum.wire_ns(1449, 1000), (1449 + 132) * 8)
        # goodput is rate * 1448 / 1514
        self.assertAlmostEqual(
            1448000 * 8000 / optimum.wire_ns(1448000, 1000), 956.41, 2)


class Fluids(unittest.TestCase):
    @staticmethod
    def shared_equally(lengths):
        """Finish times, from one end of a job to the next."""
        left, now, finish = dict(enumerate(lengths)), 0, {}
        while left:
            step = min(left.values()) * len(left)
            now += step
            for i in list(left):
                left[i] -= step / len(left) if i not in finish else 0
            for i in [i for i, v in left.items() if v < 1e-9]:
                finish[i] = now
            left = {i: v for i, v in left.items() if i not in finish}
        return [finish[i] for i in range(len(lengths))]

    def test_equal_sharing_is_processor_sharing(self):
        draw = random.Random(2)
        for _ in range(200):
            lengths = [draw.uniform(1, 20) for _ in range(draw.randint(1, 6))]
            due = [draw.uniform(1, 90) for _ in lengths]
            late = [f > d for f, d in zip(self.shared_equally(lengths), due)]
            self.assertAlmostEqual(
                fluid.late_equal(numpy.array([lengths]), numpy.array([due])),
                sum(late) / len(late))

    def test_required_rate_meets_all_that_fit_together(self):
        # rates that need no more than the link at the start never need more
        draw = random.Random(3)
        for _ in range(30):
            due = numpy.array([[draw.uniform(5, 50) for _ in range(6)]])
            rates = numpy.array([[draw.random() for _ in range(6)]])
            rates /= 1.02 * rates.sum()
            self.assertEqual(fluid.late_required(rates * due, due).mean(), 0)

    def test_required_rate_cannot_beat_the_link(self):
        for n in range(1, 6):
            one = numpy.ones((1, n))
            self.assertEqual(fluid.late_required(one, 0.9 * n * one).mean(), 1)
            self.assertEqual(fluid.late_required(one, 1.01 * n * one).mean(), 0)
        # one is late already, and takes its share of what the other has
        length, due = numpy.array([[4., 4.]]), numpy.array([[1e-9, 7.]])
        self.assertEqual(fluid.late_required(length, due).mean(), 1)
        self.assertEqual(fluid.late_required(length, due + [0, 1.1]).mean(), 0.5)

    def test_each_query_counts_for_itself(self):
        length = numpy.array([[1., 1.], [2., 2.]])
        due = numpy.array([[2.1, 2.1], [3.9, 3.9]])
        self.assertEqual(fluid.late_required(length, due).mean(), 0.5)
        self.assertEqual(fluid.late_equal(length, due), 0.5)

    point = {"rate_mbps": 1000, "host_delay_us": 75, "mark_us": 240,
             "fan_in": 8}

    def test_fair_window(self):
        # BDP 12.4 packets, K 19.8
        self.assertAlmostEqual(fluid.fair_window(self.point), 32.2 / 8, 2)

    def test_sawtooths(self):
        for n in range(1, 5):
            for share in fluid.sawtooth_shares([1.0] * n, self.point):
                self.assertAlmostEqual(share, 1 / n)
        near, none, far = fluid.sawtooth_shares([2, 1, 0.5], self.point)
        self.assertGreater(near, none)
        self.assertGreater(none, far)
        self.assertAlmostEqual(near + none + far, 1)
        # DCTCP's own approximation for one flow: alpha = sqrt(2 / W)
        point = self.point | {"rate_mbps": 100000}
        whole = 390 / (1514 * 8 / 100000)
        alpha = math.sqrt(2 / whole)
        near, far = fluid.sawtooth_shares([1, 0.5], point)
        self.assertAlmostEqual(near / far, alpha ** -0.5, delta=0.15
                               * alpha ** -0.5)

    def test_shares_by_alpha(self):
        near, far = fluid.shares_by_alpha([0.25, 0.25], [2, 0.5])
        self.assertAlmostEqual(near / far, (16 - 0.25) / (2 - 0.25))


class Statistics(unittest.TestCase):
    def test_interval_is_students(self):
        # mean 3, standard deviation sqrt(2.5), t = 2.776 for 5 values
        low, high = intervals.interval95([0.01, 0.02, 0.03, 0.04, 0.05])
        self.assertAlmostEqual(low, 0.03 - 0.019628, 5)
        self.assertAlmostEqual(high, 0.03 + 0.019628, 5)
        self.assertIsNone(intervals.interval95([0.5]))
        self.assertEqual(intervals.interval95([0.0, 0.0]), [0.0, 0.0])
        self.assertEqual(intervals.interval95([0.0, 0.1], 0, 1)[0], 0)

    def test_t_beyond_the_table(self):
        # from printed tables of Student's t
        for freedom, value in ((30, 2.0423), (31, 2.0395), (40, 2.0211),
                               (60, 2.0003), (120, 1.9799)):
            self.assertAlmostEqual(intervals.t975(freedom), value, 3)

    def test_differences_are_paired_and_none_inside_their_interval(self):
        base = [0.1, 0.2, 0.3, 0.4]

        def compared(differences):
            row = {}
            results._compare(row, [x + d for x, d in zip(base, differences)],
                             base, "dctcp")
            return row

        got = compared((0.010, 0.012, 0.008, 0.010))
        self.assertAlmostEqual(got["late_minus_dctcp"]["mean"], 0.01, 6)
        # standard deviation 0.001633, t = 3.182 for 4 values
        self.assertAlmostEqual(got["late_minus_dctcp"]["half95"], 0.002598, 6)
        self.assertEqual(tables.difference(got), "+1.0 ± 0.3")
        got = compared((0.010, -0.012, 0.008, -0.010))
        self.assertEqual(tables.difference(got), "none")
        self.assertEqual(tables.ratio(got["late_over_dctcp"]), "none")
        self.assertEqual(tables.difference({"late_minus_dctcp": None}), "-")

    def test_the_ends_of_a_ratio_solve_fiellers_equation(self):
        draw = random.Random(4)
        for _ in range(50):
            n = draw.randint(3, 20)
            base = [draw.uniform(0.2, 0.3) for _ in range(n)]
            values = [b * draw.uniform(0.4, 0.6) for b in base]
            ratio, ends = intervals.ratio95(values, base)
            self.assertTrue(ends[0] < ratio < ends[1])
            for end in ends:
                apart = [v - end * b for v, b in zip(values, base)]
                self.assertAlmostEqual(abs(intervals.mean(apart)),
                                       intervals.half95(apart), 9)

    def test_a_ratio_to_what_may_be_nothing_has_no_interval(self):
        self.assertEqual(intervals.ratio95([0.1, 0.1], [0.0, 0.0]),
                         (None, None))
        self.assertIsNone(intervals.ratio95([0.1, 0.2], [0.0, 0.2])[1])
        self.assertEqual(tables.ratio({"ratio": 1.5, "ci95": None}), "?")

    def test_percentile_is_the_nearest_rank(self):
        values = list(range(1, 101))
        self.assertEqual(intervals.percentile(values, 0.5), 50)
        self.assertEqual(intervals.percentile(values, 0.99), 99)
        self.assertEqual(intervals.percentile([7], 0.99), 7)

    def test_as_many_seeds_as_the_interval_needs(self):
        draw = random.Random(5)
        shares = [0.2 + draw.gauss(0, 0.02) for _ in range(8)]
        need = run.seeds_needed(shares, 0.01)
        self.assertGreater(need, 8)
        spread = intervals.half95(shares) * math.sqrt(8) / intervals.t975(7)
        self.assertLess(intervals.t975(need - 1) * spread / math.sqrt(need),
                        0.01)
        self.assertGreaterEqual(
            intervals.t975(need - 2) * spread / math.sqrt(need - 1), 0.01)
        self.assertEqual(run.seeds_needed(shares, 0.1), 8)
        self.assertEqual(run.seeds_needed([0.1], 0.01), 1)

    def test_what_intervals_hold_when_seeds_are_added(self):
        # docs/bench.md: nine in ten from blocks of 4, 93 in a hundred of 10
        draw = random.Random(6)

        def coverage(first, most, spread):
            held = 0
            for _ in range(1500):
                shares = []
                need = first
                while len(shares) < need:
                    shares += [0.2 + draw.gauss(0, spread)
                               for _ in range(need - len(shares))]
                    need = min(most, first * math.ceil(
                        run.seeds_needed(shares, 0.01) / first))
                low, high = intervals.interval95(shares)
                held += low <= 0.2 <= high
            return held / 1500

        for first, most, spread, least in ((4, 20, 0.012, 0.9),
                                           (4, 20, 0.02, 0.9),
                                           (10, 40, 0.02, 0.93),
                                           (20, 40, 0.02, 0.93)):
            self.assertGreater(coverage(first, most, spread), least)


class Records(unittest.TestCase):
    """What is computed from raw records."""

    def setUp(self):
        self.directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.directory)

    def write(self, lines, name="records-0.csv"):
        """Records of (query, attempt, worker, bytes, deadline, sent, took)."""
        path = os.path.join(self.directory, name)
        with open(path, "w") as f:
            f.write("query,attempt,worker,bytes,deadline_ns,sent_ns,took_ns\n")
            for line in lines:
                f.write(",".join(map(str, line)) + "\n")
        run.compress(path)
        with open(os.path.join(self.directory, "load.json"), "w") as f:
            json.dump({"kernel": "6"}, f)

    def flow_rows(self, alphas):
        """Rows of two long flows on a link whose rate is not known."""
        point = {"topology": "star", "flows": "d2tcp:near+d2tcp:far",
                 "seconds": 2, "rate_mbps": 1000, "host_delay_us": 75,
                 "buffer_packets": 400, "mark_us": 240, "rto_min_ms": 10}
        scenario = scenarios.DEFAULTS | point | {
            "name": "s", "algorithms": ["flows"], "seeds": 1}
        raw = self.directory
        for name, where, what in (
                ("link.json", "links/" + results.link_name(point),
                 {"rate_mbps": None, "mark_us": None, "base_rtt_us": 90.0}),
                ("flows.json", "s/all/flows/from-seed1/seed1",
                 {"bytes": [3000000, 1000000], "alpha": alphas, "marks": 5,
                  "drops": None, "kernel": "6"})):
            os.makedirs(os.path.join(raw, where), exist_ok=True)
            with open(os.path.join(raw, where, name), "w") as f:
                json.dump(what, f)
        return list(results.make_rows(scenario, raw))

    def test_long_flows_on_a_link_that_is_not_known(self):
        near, far = self.flow_rows([0.25, 0.25])
        self.assertEqual((near["share"], far["share"]), (0.75, 0.25))
        self.assertEqual((near["mbps"], near["drops"], near["share_predicted"]),
                         (12.0, None, None))
        # p is 1/16 and 1/2: (1 - 1/64) * 16 = 15.75 against (1 - 1/8) * 2
        self.assertEqual(near["share_by_alpha"], 0.9)
        # nothing was marked: the law says nothing
        for alphas in ([0.0, 0.0], [0.0, 0.5], [None, 0.5]):
            self.assertEqual([r["share_by_alpha"]
                              for r in self.flow_rows(alphas)], [None, None])

    def test_records_are_compressed_to_the_same_bytes(self):
        self.write([(0, 0, 0, 5, 6, 7, 8)])
        path = os.path.join(self.directory, "records-0.csv.gz")
        with open(path, "rb") as f:
            first = f.read()
        self.assertFalse(os.path.exists(path[:-3]))
        os.utime(path, (1, 1))
        self.write([(0, 0, 0, 5, 6, 7, 8)])
        with open(path, "rb") as f:
            self.assertEqual(first, f.read())
        self.assertEqual(gzip.decompress(first).count(b"\n"), 2)
        self.assertEqual(results.read_records(path)["took_ns"].tolist(), [8])

    def test_late_is_after_the_deadline_times_slack(self):
        records = {"took_ns": numpy.array([1200]),
                   "deadline_ns": numpy.array([1000])}
        self.assertTrue(results.is_late(records, 1.0).all())
        self.assertFalse(results.is_late(records, 1.2).any())

    def test_shares_of_a_mix_and_without_retries(self):
        # worker 1 is late in both queries; the retry of query 1 does not count
        self.write([(0, 0, 0, 9, 10, 0, 9), (0, 0, 1, 9, 10, 0, 11),
                    (1, 0, 0, 9, 10, 5, 9), (1, 0, 1, 9, 10, 5, 11),
                    (1, 1, 0, 9, 10, 9, 99), (1, 1, 1, 9, 10, 9, 99)])
        for algorithm, member, late, queries in (
                ("dctcp", None, 0.5, 1), ("dctcp+d2tcp", 0, 0, 0),
                ("dctcp+d2tcp", 1, 1, 1)):
            share, query_share, took = results._run_shares(
                self.directory, 1.0, (0,), member, algorithm)
            self.assertEqual((share, query_share), (late, queries))
            self.assertEqual(len(took), 4 if member is None else 2)

    def test_parts_of_a_point(self):
        self.assertEqual([p[0] for p in results.parts({}, "dctcp+d2tcp")], [
            {"algorithm": "dctcp", "mix": "dctcp+d2tcp"},
            {"algorithm": "d2tcp", "mix": "dctcp+d2tcp"}])
        services = {"services": [{"name": "a"}, {"name": "b"}]}
        self.assertEqual([(p[0].get("service"), list(p[1])) for p in
                          results.parts(services, "dctcp")],
                         [(None, [0, 1]), ("a", [0]), ("b", [1])])
        self.assertEqual([list(p[1]) for p in results.parts(
            {"aggregators": 2}, "dctcp")], [[0, 1]])

    def recovery(self, late, retry=False):
        """Of queries every 10 ms for 2 s; late(i) says which."""
        # runs are read once: each is elsewhere
        self.directory = tempfile.mkdtemp(dir=self.directory)
        ms = 10**6
        lines = [(i, 0, 0, 9, 5, i * 10 * ms, 9 if late(i) else 1)
                 for i in range(200)]
        if retry:
            lines += [(i, 1, 0, 9, 5, i * 10 * ms, 9) for i in range(200)]
        self.write(lines)
        return results.recovery_ms(self.directory, 1.0, 100, 200)

    def test_recovery_is_when_no_more_is_late_than_before(self):
        # late until 500 ms: from 500 on, 300 ms after the burst, none is
        self.assertEqual(self.recovery(lambda i: 10 <= i < 50), (300, None))
        # one in fifty still: that is 2 %
        self.assertEqual(self.recovery(lambda i: 10 <= i < 50 or i == 80),
                         (300, None))
        # three in fifty are more than 5 %; gone from 810 ms on
        self.assertEqual(self.recovery(
            lambda i: 10 <= i < 50 or i in (60, 70, 80)), (500, None))
        # as late as always, if that was little; bad does not become normal
        self.assertEqual(self.recovery(lambda i: i % 25 == 0), (0, None))
        self.assertEqual(self.recovery(lambda i: i % 2), (None, 1300))
        # never, as far as can be seen: the last window starts at 1400
        self.assertEqual(self.recovery(lambda i: i >= 10), (None, 1300))
        # retries do not count
        self.assertEqual(self.recovery(lambda i: 10 <= i < 50, True),
                         (300, None))

    def test_bounds_are_those_of_the_draws(self):
        # two queries of two full frames each, 12.112 us apiece at 1 Gbit/s
        self.write([(q, 0, w, 1448, 13000 + 100000 * q, 0, 1)
                    for q in range(2) for w in range(2)])
        (least, equal, required), = results.bounds([self.directory], 1.0, 1000,
                                                   0)
        self.assertEqual(least, 0.25)
        self.assertEqual((equal, required), (0.5, 0.5))


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
        return " ".join(findings.findings(rows))

    def test_the_slack_from_which_it_is_a_quarter(self):
        rows = self.rows((1.0, 0.4, 0.04), (1.2, 0.2, 0.1), (1.4, 0.1, 0.02),
                         (1.6, 0.05, 0.01), (1.8, 0.0, 0.0))
        mine = findings.acting(rows)
        self.assertEqual(findings.quarter_slack(mine), 1.4)
        self.assertTrue(findings.surely(mine, 1.4))
        self.assertIn("from slack 1.4 on.", self.text(rows))
        self.assertIsNone(findings.quarter_slack(
            findings.acting(self.rows((1.0, 0.4, 0.04), (1.2, 0.2, 0.1)))))
        # a quarter within the interval is said to be
        rows = self.rows((1.2, 0.2, 0.1), (1.4, 0.1, 0.024))
        self.assertIn("from slack 1.4 on (its interval", self.text(rows))

    def test_a_point_where_hardly_anybody_is_late_decides_nothing(self):
        rows = self.rows((1.2, 0.2, 0.02), (1.4, 0.1, 0.01))
        # one late response of each, and no interval
        rows += [self.row("dctcp", 2.4, 1e-4),
                 self.row("d2tcp", 2.4, 1e-4, 1e-4, late_over_dctcp={
                     "ratio": 1.0, "ci95": None})]
        self.assertEqual(findings.quarter_slack(findings.acting(rows)), 1.2)

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
            return next(c[4] for c in findings.claims(rows)
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
        claims = {c[0][:8]: c for c in findings.claims(rows)}
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
            list(findings.claims(mine))
            # of real hosts there are no fluids, and drops and the law's shares
            # are not known
            hosts = [{k: v for k, v in r.items() if k not in (
                "fluid", "law_can_act")} | {"drops": None, "fidelity": {
                    "rate_mbps": None}} | ({"share_predicted": None}
                                           if "share" in r else {})
                     for r in mine]
            self.text(hosts)
            list(findings.claims(hosts))
            self.text([r | {"late_minus_dctcp": None, "late_over_dctcp": None}
                       for r in mine])
            self.text([r | {"fluid": r["fluid"] | {"equal": 0.0}}
                       if "fluid" in r else r for r in mine])

    def test_the_slack_for_five_percent_is_interpolated(self):
        rows = [{"slack": 1.0, "late_share": 0.10},
                {"slack": 1.2, "late_share": 0.02},
                {"slack": 1.4, "late_share": 0.01}]
        self.assertAlmostEqual(findings.slack_at(rows, 0.05), 1.125)
        self.assertIsNone(findings.slack_at(rows, 0.2))


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
                # each names a directory of its own, which can be mounted
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
                 "'marks' is not known; known are aggregators, algorithms"),
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
                ("slack = ", "retries = 1\nslack = ",
                 "bursts, retries and until_ms need arrival"),
                ("\"cubic\",", "\"dctcp+dctcp-prio\",", "cannot be mixed"),
                ("slack = ", "background = \"x\"\nslack = ",
                 "background = 'x'; allowed is cubic, reno"),
                ("fan_in = ", "seconds = 1\nflows = \"d2tcp:soon\"\nfan_in = ",
                 "flows = 'd2tcp:soon'; allowed is algorithms, and d2tcp:near"),
                ("[night]", "[[services]]\nbytes = 5\n[night]",
                 "a service has a name"),
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

    def test_what_does_not_exist_is_refused_before_anything_is_built(self):
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

    def test_what_depends_on_the_slack(self):
        for algorithm, depends in (("dctcp", False), ("d2tcp", True),
                                   ("d2tcp-nodeadline", False),
                                   ("dctcp-prio", True), ("dctcp-jitter", False),
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
            yield [0.2 + shares[where] * (-1) ** i for i in range(done[where])]

        was, results.late_shares = results.late_shares, late_shares
        try:
            have = {}
            first = run.next_seeds(scenario, have, have)
            self.assertEqual(first, [("fan_in=8", list(range(1, 21))),
                                     ("fan_in=16", list(range(1, 21)))])
            # one place needs more than it may have; the other is done
            self.assertEqual(run.next_seeds(scenario, dict(have), have), [
                ("fan_in=8", list(range(21, 41))),
                ("fan_in=8", list(range(41, 51)))])
            self.assertEqual(run.next_seeds(scenario, dict(have), have), [])
        finally:
            results.late_shares = was


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
        self.assertEqual(sorted(os.listdir(out)), [report.MARKER, "raw"])

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


class Fidelity(unittest.TestCase):
    link = {"rate_mbps": 999.6, "base_rtt_us": 151.0, "mark_us": 240,
            "longest_unmarked_us": 239.0, "shortest_marked_us": 251.0}
    uplink = {"uplink_rate_mbps": 799.9, "uplink_mark_us": 240,
              "uplink_longest_unmarked_us": 239.0,
              "uplink_shortest_marked_us": 251.0}

    def check(self, name="paper-regime", **change):
        scenario = scenarios.load(name, "default")
        point = next(scenarios.points(scenario))
        run.check_fidelity(scenario, point, self.link | change)

    def test_a_faithful_link_passes(self):
        self.check()
        self.check("tree", **self.uplink)

    def test_each_deviation_stops_the_scenario_and_is_named(self):
        for change, said in (
                ({"rate_mbps": 994.0}, "rate 994.00 Mbit/s"),
                ({"rate_mbps": 1006.0}, "rate 1006.00 Mbit/s"),
                ({"base_rtt_us": 160.0}, "base RTT 160.0 us"),
                ({"shortest_marked_us": 220.0}, "marking threshold between"),
                ({"longest_unmarked_us": 260.0}, "marking threshold between"),
                ({"mark_us": None}, "marking threshold not found")):
            with self.assertRaises(run.JobError) as caught:
                self.check(**change)
            self.assertIn(said, str(caught.exception))
            self.assertIn("paper-regime", str(caught.exception))
        for change, said in (
                ({"uplink_rate_mbps": 820.0}, "uplink rate 820.00 Mbit/s"),
                ({"uplink_longest_unmarked_us": 300.0},
                 "uplink marking threshold between")):
            with self.assertRaises(run.JobError) as caught:
                self.check("tree", **(self.uplink | change))
            self.assertIn(said, str(caught.exception))


class Runs(unittest.TestCase):
    """Whole runs in the lab, small ones."""

    @classmethod
    def setUpClass(cls):
        cls.tmp = tempfile.mkdtemp()
        cls.module = run.module_path()
        scenario = scenarios.load("paper-regime", "default")
        cls.point = scenarios.without_slack(
            next(scenarios.points(scenario))) | {
                "fan_in": 4, "queries": 10, "query_bytes": 500000}
        cls.count = 0

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.tmp)

    def jobs(self, seeds=(1,), do="load", algorithm="d2tcp", trace=False,
             params=(), built=(), **change):
        """Directories of the runs of one job, or of the job that checks."""
        type(self).count += 1
        directory = os.path.join(self.tmp, str(self.count))
        point = {k: v for k, v in (self.point | change).items()
                 if v is not None}
        run.run_job({
            "do": do, "point": point, "algorithm": algorithm,
            "built": dict(built), "seeds": seeds, "slack": 1.2, "module": self.module,
            "params": params, "trace": trace, "directory": directory, "text": "test"})
        if do == "check":
            return [directory]
        return [os.path.join(directory, "seed%d" % s) for s in seeds]

    def job(self, **change):
        return self.jobs(**change)[0]

    def bytes_of(self, directory, name):
        with open(os.path.join(directory, name), "rb") as f:
            return f.read()

    def records(self, directory, service=0):
        return self.bytes_of(directory, "records-%d.csv.gz" % service)

    def test_one_seed_one_result_another_seed_another(self):
        # and no seed changes because others come after it
        results_ = self.jobs(seeds=(1, 2)), self.jobs(seeds=(1, 2, 3)), \
            self.jobs(seeds=(1,))
        for name in ("records-0.csv.gz", "load.json"):
            first, second = [self.bytes_of(d, name) for d in results_[0]]
            self.assertNotEqual(first, second)
            for again in results_[1:]:
                self.assertEqual(first, self.bytes_of(again[0], name))
            self.assertEqual(second, self.bytes_of(results_[1][1], name))

    def test_a_traced_run_is_asked_the_same_and_leaves_its_cuts(self):
        # not the same run: the tracer reads the clock, which takes 256 ns
        plain, traced = self.job(), self.job(trace=True)
        for key in ("query", "worker", "bytes", "deadline_ns"):
            self.assertEqual(*[results.read_run(d)[0][0][key].tolist()
                               for d in (plain, traced)])
        cuts = self.bytes_of(os.path.dirname(traced), "trace.txt")
        self.assertGreater(cuts.count(b"d2tcp_cut: "), 50)

    def whole(self, name):
        """A small scenario from its first job to its summary."""
        out = os.path.join(self.tmp, name)
        scenario = scenarios.load("paper-regime", "default") | {
            "fan_in": [2, 4], "queries": 10, "query_bytes": 500000,
            "slack": [1.0, 1.2], "seeds": 2, "most_seeds": 4, "params": [],
            "set": "default", "trace": False}
        flows = scenarios.load("differentiation", "default") | {
            "flows": ["d2tcp:near+d2tcp:far"], "seconds": 1, "seeds": 2,
            "params": [], "set": "default"}
        chosen = [scenario, flows]
        raw = report.make_room(out)
        progress = run.Progress()
        with open(os.devnull, "w") as quiet:
            was, sys.stdout = sys.stdout, quiet
            try:
                checks = run.make_checks(chosen, raw, self.module)
                run.run_all([job for _, job in checks], 2, progress)
                run.run_scenarios(chosen, raw, self.module, 2, progress)
                report.write(chosen, raw, out, "a test")
            finally:
                sys.stdout = was
        return out

    def test_the_same_seeds_give_the_same_summary_on_a_busy_machine_too(self):
        quiet = self.whole("quiet")
        burners = [subprocess.Popen(
            [sys.executable, "-c", "while True: pass"])
            for _ in range(len(os.sched_getaffinity(0)))]
        try:
            busy = self.whole("busy")
        finally:
            for burner in burners:
                burner.kill()
                burner.wait()
        self.assertEqual(self.bytes_of(quiet, "summary.json"),
                         self.bytes_of(busy, "summary.json"))
        summary = json.loads(self.bytes_of(quiet, "summary.json"))
        rows = [r for r in summary["rows"] if r["scenario"] == "paper-regime"]
        self.assertEqual(len(rows), 2 * 2 * 5)
        for row in rows:
            # where the interval wanted more seeds, it got what there may be
            self.assertTrue(row["certain"] or row["seeds"] == 4)
            self.assertEqual(row["responses"],
                             row["seeds"] * 10 * row["fan_in"])
            self.assertTrue(0 <= row["late_share_optimum"] <=
                            row["late_share"] <= 1)
        page = self.bytes_of(quiet, "index.html").decode()
        for text in ("<h2>Findings</h2>", "paper-regime-late-1.png",
                     "differentiation-shares.png", "What this cannot show",
                     "pFabric"):
            self.assertIn(text, page)
        for name in set(part.split('"')[0] for part in
                        page.split('src="')[1:]):
            self.assertGreater(len(self.bytes_of(quiet, name)), 5000)

    def test_algorithms_differ_and_all_see_the_same_requests(self):
        asked = []
        took = set()
        for algorithm in ("cubic", "reno", "bbr", "dctcp", "dctcp-prio",
                          "dctcp-jitter", "d2tcp-nodeadline", "d2tcp"):
            (records,), extra = results.read_run(
                self.job(algorithm=algorithm))
            asked.append([records[k].tolist() for k in (
                "query", "worker", "bytes", "deadline_ns")])
            took.add(tuple(records["took_ns"]))
            self.assertEqual(len(records["query"]), 40)
            if algorithm in ("cubic", "reno", "bbr"):
                self.assertEqual(extra["marks"], 0, algorithm)
            else:
                self.assertGreater(extra["marks"], 0, algorithm)
                self.assertEqual(extra["drops"], 0, algorithm)
            self.assertEqual(asked[0], asked[-1])
        self.assertEqual(len(took), 8)

    def test_with_priorities_the_order_is_that_of_the_deadlines(self):
        def in_order(algorithm):
            (records,), _ = results.read_run(self.job(
                algorithm=algorithm, fan_in=8, queries=20,
                query_bytes=2000000))
            due = results.by_query(records, "deadline_ns")
            took = results.by_query(records, "took_ns")
            return sum(took[q, i] < took[q, j] for q in range(20)
                       for i in range(8) for j in range(8)
                       if due[q, i] < due[q, j]) / (20 * 28)

        # half of the pairs if deadlines play no role; a class is a quarter
        self.assertLess(in_order("dctcp"), 0.6)
        self.assertGreater(in_order("dctcp-prio"), 0.75)

    def test_jitter_is_in_the_completion_times(self):
        (records,), _ = results.read_run(self.job(
            algorithm="dctcp-jitter", jitter_ms="uniform(100, 110)"))
        self.assertGreater(records["took_ns"].min(), 100 * 10**6)

    def test_a_tree_marks_in_two_places(self):
        tree = {"topology": "tree", "racks": 2, "uplink_mbps": 800,
                "aggregators": 2, "fan_in": 8, "query_bytes": 2000000}
        (first, second), extra = results.read_run(self.job(**tree))
        self.assertGreater(extra["marks"], 0)
        self.assertGreater(extra["uplink_marks"], 0)
        # each aggregator asks on its own
        self.assertNotEqual(first["bytes"].tolist(), second["bytes"].tolist())
        # an uplink that is no bottleneck does not mark
        _, extra = results.read_run(self.job(**(tree | {
            "uplink_mbps": 10000, "aggregators": 1})))
        self.assertEqual(extra["uplink_marks"], 0)

    def test_services_ask_for_their_own(self):
        services = [{"name": "a", "response_bytes": "5000",
                     "deadline_ms": "10", "queries": 5},
                    {"name": "b", "response_bytes": "uniform(70000, 80000)",
                     "deadline_ms": "20", "arrival": "poisson(500)"}]
        (first, second), _ = results.read_run(self.job(
            services=services, arrival="poisson(200)", min_gap_ms=None,
            query_bytes=None))
        self.assertEqual(set(first["bytes"]), {5000})
        self.assertEqual(set(first["deadline_ns"]), {10**7})
        self.assertEqual(len(first["query"]), 20)
        self.assertTrue(70000 <= second["bytes"].min())
        self.assertEqual(len(second["query"]), 40)

    def test_members_of_a_mix_run_what_they_are_called(self):
        # no ECN for half of the leaves: what drops is theirs
        (records,), extra = results.read_run(self.job(
            algorithm="cubic+dctcp", fan_in=8, query_bytes=4000000))
        self.assertGreater(extra["marks"], 0)
        self.assertGreater(extra["drops"], 0)
        self.assertEqual(len(records["query"]), 80)

    def test_what_is_late_is_asked_again(self):
        change = {"arrival": "poisson(100)", "min_gap_ms": None,
                  "queries": 40, "retries": 2, "burst_rate": 2000.0,
                  "burst_from_ms": 100, "burst_to_ms": 110,
                  "deadline_ms": "10"}
        for after, least, most in (("0", 0, 2), ("uniform(20, 30)", 20, 32)):
            (r,), _ = results.read_run(self.job(
                algorithm="dctcp", retry_after_ms=after, **change))
            asked = {(q, a): t for q, a, t in zip(
                r["query"].tolist(), r["attempt"].tolist(),
                r["sent_ns"].tolist())}
            done = {}
            for q, a, t in zip(r["query"].tolist(), r["attempt"].tolist(),
                               (r["sent_ns"] + r["took_ns"]).tolist()):
                done[q, a] = max(t, done.get((q, a), 0))
            again = [(q, a) for q, a in asked if a]
            self.assertGreater(len(again), 3)
            for q, a in asked:
                timeout = asked[q, a] + 12 * 10**6
                # the kernel may end a wait 50 us late (prctl(2), timer slack):
                # what arrives meanwhile is not asked again
                if timeout < done[q, a] <= timeout + 50000:
                    continue
                late = done[q, a] > timeout and a < 2
                self.assertEqual((q, a + 1) in asked, late, (q, a))
                if late:
                    wait = (asked[q, a + 1] - timeout) / 1e6
                    self.assertTrue(least <= wait <= most, wait)
            # twenty come in the 10 ms of the burst
            burst = [t for (q, a), t in asked.items()
                     if not a and 100 <= t / 1e6 <= 110]
            self.assertTrue(8 <= len(burst) <= 35, len(burst))

    def test_long_flows_share_as_their_claims_are(self):
        directory = self.job(do="flows", algorithm="flows", seconds=1,
                             flows="d2tcp:near+d2tcp:far+dctcp", fan_in=3)
        found = json.loads(self.bytes_of(directory, "flows.json"))
        near, far, plain = found["bytes"]
        self.assertGreater(near, 1.5 * plain)
        self.assertGreater(plain, 1.5 * far)
        # all of the link: 956 Mbit/s of goodput
        self.assertAlmostEqual(sum(found["bytes"]) * 8e-6, 956, delta=15)
        self.assertTrue(0 < found["alpha"][0] < 1)
        self.assertIsNone(found["alpha"][2])

    def test_a_thousand_leaves(self):
        job = {"fan_in": 1000, "rate_mbps": 10000, "mark_us": 78,
               "buffer_packets": 1000, "query_bytes": 5000000, "queries": 2}
        (records,), extra = results.read_run(self.job(**job))
        self.assertEqual(len(records["query"]), 2000)
        self.assertGreater(extra["marks"], 0)
        # 4 GB at most, guest and all
        self.assertLess(run.GUEST_MB + 1000 * run.HOST_MB, 4096)

    def test_deadlines_change_what_d2tcp_does(self):
        self.assertNotEqual(
            self.records(self.job(algorithm="d2tcp")),
            self.records(self.job(algorithm="d2tcp-nodeadline")))

    def test_the_link_check_finds_what_is_there(self):
        for change in ({}, {"mark_us": 120, "host_delay_us": 40},
                       {"rate_mbps": 10000, "mark_us": 78,
                        "host_delay_us": 25},
                       {"topology": "tree", "racks": 2, "uplink_mbps": 800}):
            with open(os.path.join(self.job(do="check", **change),
                                   "link.json")) as f:
                link = json.load(f)
            point = self.point | change
            run.check_fidelity({"name": "x"}, point, link)
            # and it does tell one link from another
            for other in ("mark_us", "rate_mbps", "uplink_mbps"):
                if other in point:
                    with self.assertRaises(run.JobError):
                        run.check_fidelity({"name": "x"}, point | {
                            other: point[other] * 2}, link)
            with self.assertRaises(run.JobError):
                run.check_fidelity({"name": "x"}, point | {
                    "host_delay_us": point["host_delay_us"] * 1.2}, link)

    def test_the_link_check_refuses_what_is_slightly_wrong(self):
        fast = {"rate_mbps": 10000, "mark_us": 78, "host_delay_us": 25,
                "buffer_packets": 1000}
        for change in ({}, fast):
            point = self.point | change
            packets_us = 2 * 1514 * 8 / point["rate_mbps"]
            for key, wrong, said in (
                    ("mark_us", point["mark_us"] + packets_us, "threshold"),
                    ("mark_us", point["mark_us"] - packets_us, "threshold"),
                    ("rate_mbps", point["rate_mbps"] * 1.01, "rate "),
                    ("rate_mbps", point["rate_mbps"] * 0.99, "rate "),
                    ("host_delay_us", point["host_delay_us"] * 1.1, "RTT"),
                    ("host_delay_us", point["host_delay_us"] * 0.9, "RTT")):
                directory = self.job(do="check", built={key: wrong}, **change)
                with open(os.path.join(directory, "link.json")) as f:
                    found = json.load(f)
                with self.assertRaises(run.JobError, msg=found) as caught:
                    run.check_fidelity({"name": "x"}, point, found)
                self.assertIn(said, str(caught.exception))
                # and it says what to do
                self.assertIn("make clean", str(caught.exception))

    def test_red_marks_and_drops_what_cannot_be_marked(self):
        with open(os.path.join(self.job(do="check", marker="red"),
                               "link.json")) as f:
            run.check_fidelity({"name": "x"}, self.point | {"marker": "red"},
                               json.load(f))
        _, extra = results.read_run(self.job(queries=10, marker="red"))
        self.assertGreater(extra["marks"], 0)
        self.assertEqual(extra["drops"], 0)
        _, extra = results.read_run(self.job(queries=10, marker="red",
                                             algorithm="cubic"))
        self.assertEqual(extra["marks"], 0)
        self.assertGreater(extra["drops"], 0)

    def test_no_response_is_faster_than_the_wire(self):
        (records,), _ = results.read_run(self.job())
        self.assertTrue((records["took_ns"] > optimum.wire_ns(
            records["bytes"], self.point["rate_mbps"]) + 150000).all())

    def test_think_time_open_loop_and_background(self):
        (records,), extra = results.read_run(self.job(
            think_ms="3", background_flows=2, queries=20))
        self.assertGreater(records["took_ns"].min(), 3000000)
        self.assertGreater(extra["background_bytes"], 100000)
        self.assertGreater(extra["marks"], 0)
        (records,), extra = results.read_run(self.job(
            queries=20, arrival="poisson(2000)", min_gap_ms=None))
        sent = sorted(set(records["sent_ns"].tolist()))
        self.assertEqual(len(sent), 20)
        # 2000 a second do not wait for answers of 4 ms each
        self.assertLess(sent[-1] - sent[0], 20 * 4000000)

    def test_background_flows_may_run_something_else(self):
        _, extra = results.read_run(self.job(
            background_flows=2, background="cubic", queries=20))
        self.assertGreater(extra["drops"], 0)
        _, extra = results.read_run(self.job(background_flows=2, queries=20))
        self.assertEqual(extra["drops"], 0)

    def test_parameters_reach_the_module_or_the_job_fails(self):
        plain = self.records(self.job())
        self.assertNotEqual(plain, self.records(
            self.job(params=["d_max=256", "d_min=256"])))
        with self.assertRaises(run.JobError):
            self.job(params=["late_dd=512"])

    def test_a_failing_job_says_what_happened(self):
        with self.assertRaises(run.JobError) as caught:
            self.job(think_ms="soon")
        self.assertIn("--think-ms takes a number", str(caught.exception))


class Generator(unittest.TestCase):
    def said(self, *args):
        done = subprocess.run([INCAST] + list(args), stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False)
        return done.returncode, done.stdout.decode()

    def test_mistakes_are_named(self):
        whole = ["aggregate", "--worker", "127.0.0.1:1", "--out", "x",
                 "--query-bytes", "5"]
        for args, text in (
                (["aggregate"], "at least one --worker"),
                (whole[:-2], "one of --query-bytes and --response-bytes"),
                (whole + ["--response-bytes", "7"], "one of --query-bytes"),
                (whole + ["--deadline-ms", "soon"],
                 "--deadline-ms takes a number, uniform(a, b)"),
                (whole + ["--deadline-ms", "uniform(2, 1)"], "takes a number"),
                (whole + ["--queries", "-1"],
                 "--queries takes a whole number from 1"),
                (whole + ["--spread", "2"],
                 "--spread takes a number from 0 to 1"),
                (whole + ["--poisson", "5", "--min-gap-ms", "5"],
                 "exclude each other"),
                (["worker"], "--listen ADDRESS:PORT is needed"),
                (["worker", "--listen", "127.0.0.1"], "ADDRESS:PORT"),
                (["worker", "--listen", "there:80"], "not an IPv4 address"),
                (["worker", "--listen", "127.0.0.1:80,d2tcp+x"],
                 "'+x' is not +deadlines"),
                (["worker", "--listen", "127.0.0.1:80,cubic+deadlines"],
                 "--deadlines needs --cc d2tcp"),
                (["worker", "--listen", "127.0.0.1:80", "--dscp-us", "5,5"],
                 "--dscp-us takes times that grow"),
                (["worker", "--listen", "127.0.0.1:80", "--dscp-us",
                  "1,2,3,4"], "--dscp-us takes at most 3 times"),
                (whole + ["--burst", "5,3,1", "--poisson", "1"],
                 "--burst takes RATE,FROM,TO"),
                (whole + ["--retries", "1"], "--retries and --until-ms need --poisson"),
                (whole + ["--retries", "1", "--poisson", "5"],
                 "--retries needs --deadline-ms"),
                (["flow", "--to", "127.0.0.1:9"], "--bytes is needed"),
                (["flow", "--to", "127.0.0.1:9", "--bytes", "5", "--due-us",
                  "5"], "--due-us needs --cc d2tcp"),
                (["sink", "--listen", "127.0.0.1:9"],
                 "--seconds is needed"),
                (["sink", "--listen", "127.0.0.1:9,reno", "--listen",
                  "127.0.0.1:10", "--seconds", "1", "--flows", "513"],
                 "at most 1024 flows"),
                (["flow", "--to", "127.0.0.1:9", "--to", "127.0.0.1:10"],
                 "flow: one --to"),
                (["flow", "--to", "127.0.0.1:9,", "--bytes", "5"],
                 "--to: an algorithm is missing after the comma"),
                (["flow", "--to", "127.0.0.1:9", "--bytes", "5", "--from", "x"],
                 "--from: 'x' is not an IPv4 address"),
                (["worker", "--listen", "127.0.0.1:80", "--deadlines"],
                 "--deadlines needs --cc d2tcp"),
                (["train", "--to", "127.0.0.1:9"], "--gap-ns is needed"),
                (["frobnicate"], "usage: incast worker")):
            code, out = self.said(*args)
            self.assertEqual((code, text in out), (2, True), (args, out))

    def test_draws_follow_their_distributions(self):
        # 20000 draws of each; the mean is within four standard errors
        with tempfile.TemporaryDirectory() as tmp:
            out = os.path.join(tmp, "draws.csv")
            for dist, mean, error in (
                    ("uniform(10, 20)", 15e6, 10e6 / 12**.5 / 20000**.5),
                    ("exponential(30)", 30e6, 30e6 / 20000**.5),
                    ("7.5", 7.5e6, 1)):
                code, said = self.said(
                    "aggregate", "--dry-run", "--worker", "127.0.0.1:1",
                    "--worker", "127.0.0.1:2", "--queries", "10000", "--out",
                    out, "--response-bytes", "uniform(2000, 50000)",
                    "--deadline-ms", dist)
                self.assertEqual(code, 0, said)
                with open(out) as f:
                    rows = [line.split(",") for line in f][1:]
                got = [int(r[4]) for r in rows]
                self.assertEqual(len(got), 20000)
                self.assertLess(abs(sum(got) / 20000 - mean), 4 * error, dist)
                sizes = [int(r[3]) for r in rows]
                self.assertTrue(2000 <= min(sizes) < 2100)
                self.assertTrue(49900 < max(sizes) <= 50000)


    def test_arrivals_come_at_the_rates_of_before_within_and_after(self):
        with tempfile.TemporaryDirectory() as tmp:
            out = os.path.join(tmp, "arrivals.csv")
            code, said = self.said(
                "aggregate", "--dry-run", "--worker", "127.0.0.1:1",
                "--queries", "12000", "--out", out, "--query-bytes", "99",
                "--poisson", "1000", "--burst", "4000,1000,2000")
            self.assertEqual(code, 0, said)
            with open(out) as f:
                sent = [int(line.split(",")[5]) / 1e9 for line in f
                        if line[0].isdigit()]
            self.assertEqual(sent, sorted(sent))
            for begin, end, rate in ((0, 1, 1000), (1, 2, 4000),
                                     (2, 7, 1000)):
                got = sum(begin <= t < end for t in sent)
                want = rate * (end - begin)
                # within four standard deviations of a Poisson process
                self.assertLess(abs(got - want), 4 * want ** 0.5)


if __name__ == "__main__":
    tap.main(sys.modules["__main__"])
