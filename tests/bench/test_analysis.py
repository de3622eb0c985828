#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Tests of the lower bound, fluid models, statistics and rows. Prints TAP."""

import gzip
import itertools
import json
import math
import os
import random
import shutil
import sys
import tempfile
import unittest

import numpy

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "bench"))
from analysis import fluid  # noqa: E402
from analysis import intervals  # noqa: E402
from analysis import optimum  # noqa: E402
from analysis import records as raw_records  # noqa: E402
from analysis import rows as results  # noqa: E402
from report import tables  # noqa: E402
import run  # noqa: E402
import runs  # noqa: E402
import scenario as scenarios  # noqa: E402
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tap  # noqa: E402


def fewest_late(jobs):
    """The fewest late jobs, by trying every order."""
    best = len(jobs)
    for order in itertools.permutations(jobs):
        done = late = 0
        for length, due in order:
            done += length
            late += done > due
        best = min(best, late)
    return best


class Optimum(unittest.TestCase):
    def test_the_lower_bound_is_the_fewest_misses_of_all_orders(self):
        draw = random.Random(1)
        for _ in range(400):
            jobs = [(draw.randint(1, 20), draw.randint(1, 60))
                    for _ in range(draw.randint(1, 6))]
            self.assertEqual(optimum.min_late(jobs), fewest_late(jobs), jobs)

    def test_a_response_takes_its_frames_on_the_wire(self):
        self.assertEqual(optimum.wire_ns(1448, 1000), 1514 * 8)
        self.assertEqual(optimum.wire_ns(1449, 1000), (1449 + 132) * 8)
        # goodput is rate * 1448 / 1514
        self.assertAlmostEqual(
            1448000 * 8000 / optimum.wire_ns(1448000, 1000), 956.41, 2)


class Fluids(unittest.TestCase):
    @staticmethod
    def shared_equally(lengths):
        """Finish times, computed from the end of each job to the next."""
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
        # required rates that fit the link at the start always fit it
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
        # the first is past its deadline, and takes an equal share of the link
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
        # in percent: mean 3, deviation sqrt(2.5); t = 2.776 for 5 values
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

    def test_p_values_and_false_discoveries(self):
        # a difference at the end of its 95 % interval has p = 0.05
        values = [0.1, 0.3, 0.2, 0.5]
        middle, half, _ = intervals.difference95(values, [0.0] * 4)
        base = [middle - half] * 4
        self.assertAlmostEqual(intervals.difference95(values, base)[2], 0.05, 4)
        self.assertEqual(intervals.difference95([1, 1], [1, 1]), (0, 0, 1.0))
        self.assertEqual(intervals.difference95([2, 2], [1, 1]), (1, 0, 0.0))
        self.assertEqual(intervals.difference95([2], [1]), (1, None, None))
        # the example of Benjamini and Hochberg (1995), section 3.2: four count
        ps = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459,
              0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0]
        self.assertEqual(intervals.discoveries(ps), 0.0095)
        self.assertEqual(intervals.discoveries([0.5, 0.9]), 0.0)
        self.assertEqual(intervals.discoveries([]), 0.0)

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

    def test_a_ratio_to_a_base_that_may_be_0_has_no_interval(self):
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
        need = intervals.seeds_needed(shares, 800, 0.01)
        self.assertGreater(need, 8)
        spread = intervals.half95(shares) * math.sqrt(8) / intervals.t975(7)
        self.assertLess(intervals.t975(need - 1) * spread / math.sqrt(need),
                        0.01)
        self.assertGreaterEqual(
            intervals.t975(need - 2) * spread / math.sqrt(need - 1), 0.01)
        self.assertEqual(intervals.seeds_needed(shares, 800, 0.1), 8)
        self.assertEqual(intervals.seeds_needed([0.1], 100, 0.01), 1)

    def test_the_interval_of_a_rate_that_is_0_or_1_is_exact(self):
        # no success in 10 trials: 1 - 0.025^(1/10)
        low, high = intervals.share95([0, 0], 10)
        self.assertEqual(low, 0)
        self.assertAlmostEqual(high, 0.308497, 6)
        low, high = intervals.share95([1, 1], 10)
        self.assertAlmostEqual(low, 1 - 0.308497, 6)
        self.assertEqual(high, 1)
        self.assertEqual(intervals.share95([0.4, 0.5, 0.6], 1000),
                         intervals.interval95([0.4, 0.5, 0.6], 0, 1))
        self.assertIsNone(intervals.share95([0.1], 10))
        self.assertEqual(intervals.half_share95([0.1], 10), math.inf)
        # one miss in a thousand responses does not make it narrower
        self.assertGreaterEqual(intervals.share95([0, 0.001], 10)[1], 0.308497)
        self.assertGreater(intervals.half_share95([0.001, 0.001], 10), 0.15)
        # with as many seeds as are said to be needed, and with one less
        for width in (0.01, 0.02, 0.1):
            need = intervals.seeds_needed([0, 0], 10, width)
            self.assertLess(intervals.half_share95([0] * need, 5 * need), width)
            self.assertGreaterEqual(
                intervals.half_share95([0] * (need - 1), 5 * (need - 1)), width)

    def test_the_coverage_of_intervals_of_rare_misses(self):
        # four seeds of 20 queries with 40 responses each; one query in ten misses one
        # of its deadlines, and one in a hundred misses all
        draw = random.Random(7)
        truth = 0.1 / 40 + 0.01
        held = student = 0
        for _ in range(2000):
            shares = []
            for _ in range(4):
                missed = sum(40 if u < 0.01 else 1 if u < 0.11 else 0
                             for u in (draw.random() for _ in range(20)))
                shares.append(missed / 800)
            low, high = intervals.share95(shares, 80)
            held += low <= truth <= high
            low, high = intervals.interval95(shares)
            student += low <= truth <= high
        self.assertGreaterEqual(held / 2000, 0.95)
        # Student's t alone is far from that
        self.assertLess(student / 2000, 0.7)

    def test_the_coverage_of_intervals_when_seeds_are_added(self):
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
                        intervals.seeds_needed(shares, 100 * len(shares),
                                               0.01) / first))
                low, high = intervals.interval95(shares)
                held += low <= 0.2 <= high
            return held / 1500

        for first, most, spread, bound in ((4, 20, 0.012, 0.9),
                                           (4, 20, 0.02, 0.9),
                                           (10, 40, 0.02, 0.93),
                                           (20, 40, 0.02, 0.93)):
            self.assertGreater(coverage(first, most, spread), bound)


class Records(unittest.TestCase):
    """Results that are computed from raw records."""

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
                ("link.json", "links/" + runs.link_name(point),
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
        # without marks, or without an alpha, the law predicts nothing
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
        self.assertEqual(raw_records.read_records(path)["took_ns"].tolist(), [8])

    def test_a_response_misses_when_it_takes_longer_than_deadline_times_slack(self):
        records = {"took_ns": numpy.array([1200]),
                   "deadline_ns": numpy.array([1000])}
        self.assertTrue(raw_records.is_late(records, 1.0).all())
        self.assertFalse(raw_records.is_late(records, 1.2).any())

    def test_shares_of_a_mix_and_without_retries(self):
        # worker 1 misses in both queries; the retry of query 1 does not count
        self.write([(0, 0, 0, 9, 10, 0, 9), (0, 0, 1, 9, 10, 0, 11),
                    (1, 0, 0, 9, 10, 5, 9), (1, 0, 1, 9, 10, 5, 11),
                    (1, 1, 0, 9, 10, 9, 99), (1, 1, 1, 9, 10, 9, 99)])
        for algorithm, member, late, queries in (
                ("dctcp", None, 0.5, 1), ("dctcp+d2tcp", 0, 0, 0),
                ("dctcp+d2tcp", 1, 1, 1)):
            found = results._run_shares(self.directory, 1.0, (0,), member,
                                        algorithm)
            self.assertEqual((found.late, found.late_queries, found.queries),
                             (late, queries, 2))
            self.assertEqual(len(found.took), 4 if member is None else 2)

    def test_the_first_queries_of_each_service_have_a_miss_rate(self):
        # the first two queries miss, and of the other service the fourth
        for name, late in (("records-0.csv", (0, 1)), ("records-1.csv", (3,))):
            self.write([(q, a, 0, 9, 10, 0, 11 if q in late or a else 9)
                        for a in (0, 1) for q in range(6)], name)
        self.assertEqual(results.FIRST, 3)
        for services, first, late in (((0,), 2 / 3, 1 / 3), ((1,), 0, 1 / 6),
                                      ((0, 1), 1 / 3, 1 / 4)):
            found = results._run_shares(self.directory, 1.0, services, None, "x")
            self.assertAlmostEqual(found.first, first)
            self.assertAlmostEqual(found.late, late)

    def load_rows(self, took, duration_ns, **change):
        """Rows of two seeds of ten queries; `took` by algorithm, in ns."""
        point = {"topology": "star", "fan_in": 2, "rate_mbps": 1000,
                 "host_delay_us": 75, "buffer_packets": 400, "mark_us": 240,
                 "rto_min_ms": 10, "query_bytes": 2 * 1448, "queries": 10,
                 "deadline_ms": "0.2"} | change
        scenario = scenarios.DEFAULTS | point | {
            "name": "s", "algorithms": list(took), "seeds": 2}
        raw = tempfile.mkdtemp(dir=self.directory)
        link = os.path.join(raw, "links", runs.link_name(point))
        os.makedirs(link)
        with open(os.path.join(link, "link.json"), "w") as f:
            json.dump({"rate_mbps": 1000, "mark_us": 240, "base_rtt_us": 150}, f)
        for one in scenarios.points(scenario):
            for algorithm, seeds in took.items():
                run_ = runs.Run(scenario, one, algorithm)
                for seed, ns in enumerate(seeds, 1):
                    self.directory = os.path.join(
                        raw, run_.block([1]), "seed%d" % seed)
                    os.makedirs(self.directory)
                    self.write([(q, 0, w, 1448, 200000, q * 10**6, ns(q, w))
                                for q in range(10) for w in range(2)])
                    with open(os.path.join(self.directory, "load.json"),
                              "w") as f:
                        json.dump({"kernel": "6", "background_bytes": 0,
                                   "background_ns": 1, "marks": 0, "drops": 0,
                                   "duration_ns": duration_ns[algorithm]}, f)
        return {r["algorithm"]: r for r in results.make_rows(scenario, raw)}

    # DCTCP misses both responses of each second query, grants those of the first
    TOOK = {"dctcp": 2 * [lambda q, w: 300000 if q % 2 else 9],
            "grant-dctcp": 2 * [lambda q, w: 9 if q else 300000]}

    def test_the_closed_gap_and_the_queries_per_second(self):
        rows = self.load_rows(self.TOOK, {"dctcp": 2 * 10**9,
                                          "grant-dctcp": 25 * 10**8})
        plain, grants = rows["dctcp"], rows["grant-dctcp"]
        # the lower bound is 0: 150 + 2 * 12.1 us are less than 200
        self.assertEqual((plain["late_share"], plain["late_share_optimum"],
                          grants["late_share"]), (0.5, 0, 0.1))
        self.assertEqual((plain["closed_gap"], grants["closed_gap"]), (None, 0.8))
        self.assertEqual((plain["queries_per_s"], grants["queries_per_s"]), (5, 4))
        self.assertIsNone(plain["queries_over_dctcp"])
        self.assertEqual(grants["queries_over_dctcp"],
                         {"ratio": 0.8, "ci95": [0.8, 0.8]})
        self.assertEqual([r["first_late_share"] for r in (plain, grants)],
                         [0.333333, 0.333333])
        self.assertNotIn("load", plain)

    def test_without_a_bound_or_a_gap_none_is_closed(self):
        same = {"dctcp": 10**9, "grant-dctcp": 10**9}
        thinking = self.load_rows(self.TOOK, same, think_ms="1")["grant-dctcp"]
        self.assertIsNone(thinking["closed_gap"])
        self.assertEqual(thinking["queries_per_s"], 10)
        for base, gap in ((0.031, 0.5), (0.0199, None), (0.01, None)):
            self.assertEqual(results.closed_gap((base + 0.01) / 2, base, 0.01), gap)

    def test_the_load_of_an_open_loop(self):
        same = {"dctcp": 10**9, "grant-dctcp": 10**9}
        row = self.load_rows(self.TOOK, same, arrival="poisson(4000)")["dctcp"]
        # 4000 queries of two frames, 24.224 us
        self.assertEqual(row["load"], 0.0969)
        self.assertIsNone(row["queries_per_s"])
        self.assertIsNone(row["queries_over_dctcp"])
        point = {"rate_mbps": 1000, "fan_in": 2, "topology": "star", "services": [
            {"name": "a", "response_bytes": "uniform(1000, 1896)",
             "arrival": "poisson(4000)"},
            {"name": "b", "query_bytes": 2896, "arrival": "poisson(2000)"}]}
        self.assertAlmostEqual(results._offered(point), 0.1453, 4)

    def test_parts_of_a_point(self):
        self.assertEqual([p[0] for p in raw_records.parts({}, "dctcp+d2tcp")], [
            {"algorithm": "dctcp", "mix": "dctcp+d2tcp"},
            {"algorithm": "d2tcp", "mix": "dctcp+d2tcp"}])
        services = {"services": [{"name": "a"}, {"name": "b"}]}
        self.assertEqual([(p[0].get("service"), list(p[1])) for p in
                          raw_records.parts(services, "dctcp")],
                         [(None, [0, 1]), ("a", [0]), ("b", [1])])
        self.assertEqual([list(p[1]) for p in raw_records.parts(
            {"aggregators": 2}, "dctcp")], [[0, 1]])

    def recovery(self, late, retry=False):
        """recovery_ms() with queries every 10 ms; late(i) is true for queries that miss."""
        # read_run() caches by directory, so each run gets a new one
        self.directory = tempfile.mkdtemp(dir=self.directory)
        ms = 10**6
        lines = [(i, 0, 0, 9, 5, i * 10 * ms, 9 if late(i) else 1)
                 for i in range(200)]
        if retry:
            lines += [(i, 1, 0, 9, 5, i * 10 * ms, 9) for i in range(200)]
        self.write(lines)
        return results.recovery_ms(self.directory, 1.0, 100, 200)

    def test_recovery_is_a_miss_rate_back_at_that_before_the_burst(self):
        # the last miss is before 500 ms, 300 ms after the burst
        self.assertEqual(self.recovery(lambda i: 10 <= i < 50), (300, None))
        # one in fifty still misses: 2 %
        self.assertEqual(self.recovery(lambda i: 10 <= i < 50 or i == 80),
                         (300, None))
        # three in fifty are more than 5 %; from 700 ms on there are two
        self.assertEqual(self.recovery(
            lambda i: 10 <= i < 50 or i in (60, 70, 80)), (500, None))
        # as many misses as before the burst are fine if these were few
        self.assertEqual(self.recovery(lambda i: i % 25 == 0), (0, None))
        self.assertEqual(self.recovery(lambda i: i % 2), (None, 1300))
        # not while observed: the last window starts at 1400
        self.assertEqual(self.recovery(lambda i: i >= 10), (None, 1300))
        # retries do not count
        self.assertEqual(self.recovery(lambda i: 10 <= i < 50, True),
                         (300, None))

    def test_bounds_are_those_of_the_draws(self):
        # two queries of two full frames each, 12.112 us apiece at 1 Gbit/s
        self.write([(q, 0, w, 1448, 13000 + 100000 * q, 0, 1)
                    for q in range(2) for w in range(2)])
        (bound, equal, required), = results.bounds([self.directory], 1.0, 1000,
                                                   0)
        self.assertEqual(bound, 0.25)
        self.assertEqual((equal, required), (0.5, 0.5))


if __name__ == "__main__":
    tap.main(sys.modules["__main__"])
