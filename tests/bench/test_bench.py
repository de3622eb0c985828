#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""The bench: bound, statistics and scenario files here, whole runs in the lab.

Prints TAP.
"""

import itertools
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "bench"))
import optimum  # noqa: E402
import report  # noqa: E402
import run  # noqa: E402
import scenario as scenarios  # noqa: E402

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


class Statistics(unittest.TestCase):
    def test_interval_is_students(self):
        # mean 3, standard deviation sqrt(2.5), t = 2.776 for 5 values
        low, high = report.interval95([0.01, 0.02, 0.03, 0.04, 0.05])
        self.assertAlmostEqual(low, 0.03 - 0.019628, 5)
        self.assertAlmostEqual(high, 0.03 + 0.019628, 5)
        self.assertIsNone(report.interval95([0.5]))
        self.assertEqual(report.interval95([0.0, 0.0]), [0.0, 0.0])

    def test_differences_are_paired_and_none_inside_their_interval(self):
        base = [0.1, 0.2, 0.3, 0.4]
        got = report.paired([x + d for x, d in zip(base, (
            0.010, 0.012, 0.008, 0.010))], base)
        self.assertAlmostEqual(got["mean"], 0.01, 6)
        # standard deviation 0.001633, t = 3.182 for 4 values
        self.assertAlmostEqual(got["half95"], 0.002598, 6)
        self.assertEqual(report.difference({"late_minus_dctcp": got}),
                         "+1.0 ± 0.3")
        got = report.paired([x + d for x, d in zip(base, (
            0.010, -0.012, 0.008, -0.010))], base)
        self.assertEqual(report.difference({"late_minus_dctcp": got}), "none")
        self.assertEqual(report.difference({"late_minus_dctcp": None}), "-")

    def test_percentile_is_the_nearest_rank(self):
        values = list(range(1, 101))
        self.assertEqual(report.percentile(values, 0.5), 50)
        self.assertEqual(report.percentile(values, 0.99), 99)
        self.assertEqual(report.percentile([7], 0.99), 7)

    def test_late_is_after_the_deadline_times_slack(self):
        record = {"took_ns": 1200, "deadline_ns": 1000}
        self.assertTrue(report.is_late(record, 1.0))
        self.assertFalse(report.is_late(record, 1.2))


class Scenarios(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.directory)
        self.was = scenarios.DIRECTORY
        with open(os.path.join(self.was, "paper-regime.toml")) as f:
            self.good = f.read()
        scenarios.DIRECTORY = self.directory
        self.addCleanup(setattr, scenarios, "DIRECTORY", self.was)

    def load(self, text, which="default"):
        with open(os.path.join(self.directory, "x.toml"), "w") as f:
            f.write(text)
        return scenarios.load("x", which)

    def test_every_scenario_of_the_project_loads_in_every_set(self):
        scenarios.DIRECTORY = self.was
        self.assertIn("paper-regime", scenarios.names())
        for name in scenarios.names():
            for which in scenarios.SETS:
                self.assertTrue(list(scenarios.points(
                    scenarios.load(name, which))))

    def test_lists_are_swept(self):
        points = list(scenarios.points(self.load(self.good)))
        self.assertEqual([(p["fan_in"], p["slack"]) for p in points],
                         [(8, 1.2), (8, 1.4), (8, 1.6),
                          (16, 1.2), (16, 1.4), (16, 1.6)])
        self.assertEqual(len(list(scenarios.points(
            self.load(self.good, "night")))), 54)

    def test_mistakes_are_named_with_what_is_allowed(self):
        for old, new, said in (
                ("fan_in = [8, 16]", "fan_in = [8, 1001]",
                 "fan_in = 1001; allowed is a whole number from 2 to 1000"),
                ("fan_in = [8, 16]", "fan_in = []", "fan_in is an empty list"),
                ("mark_us = 240", "mark_us = \"240\"",
                 "mark_us = '240'; allowed is a real number"),
                ("mark_us = 240", "mark_ms = 240", "'mark_us' is missing"),
                ("mark_us = 240", "mark_us = 240\nmarks = 1",
                 "'marks' is not known; known are algorithms"),
                ("\"uniform(10, 20)\"", "\"normal(1, 2)\"",
                 "deadline_ms = 'normal(1, 2)'; allowed is"),
                ("topology = \"star\"", "topology = \"ring\"",
                 "topology = 'ring'; allowed are star"),
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
                       {"arrival": "poisson(100)"}, {"topology": "tree"}):
            self.assertEqual(scenarios.optimum_kind(point | change), "none")


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
        scenario["params"] = []
        with open(os.path.join(self.directory, "results.md"), "w") as f:
            f.write("no place")
        with open(os.path.join(self.directory, "summary.json"), "w") as f:
            json.dump({"rows": []}, f)
        for change, said in (({}, "has no place"),
                             ({"seeds": 3}, "not those of the default set"),
                             ({"algorithms": ["dctcp"]}, "not those of"),
                             ({"params": ["late_d=512"]}, "not those of")):
            with open(os.path.join(self.directory, report.SETTINGS),
                      "w") as f:
                json.dump([scenario | change], f)
            with self.assertRaises(scenarios.ScenarioError) as caught:
                report.publish(self.directory, self.directory)
            self.assertIn(said, str(caught.exception))


class Fidelity(unittest.TestCase):
    link = {"rate_mbps": 999.6, "base_rtt_us": 151.0, "mark_us": 240,
            "longest_unmarked_us": 239.0, "shortest_marked_us": 251.0}

    def check(self, **change):
        scenario = scenarios.load("paper-regime", "default")
        point = next(scenarios.points(scenario))
        run.check_fidelity(scenario, point, self.link | change)

    def test_a_faithful_link_passes(self):
        self.check()

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
             params=(), **change):
        """Directories of the runs of one job, or of the job that checks."""
        type(self).count += 1
        directory = os.path.join(self.tmp, str(self.count))
        run.run_job({
            "do": do, "point": self.point | change, "algorithm": algorithm,
            "seeds": seeds, "slack": 1.2, "module": self.module,
            "params": params, "trace": trace, "directory": directory, "text": "test"})
        if do == "check":
            return [directory]
        return [os.path.join(directory, report.seed_name(s)) for s in seeds]

    def job(self, **change):
        return self.jobs(**change)[0]

    def bytes_of(self, directory, name):
        with open(os.path.join(directory, name), "rb") as f:
            return f.read()

    def test_one_seed_one_result_another_seed_another(self):
        # and no seed changes because others come after it
        results = self.jobs(seeds=(1, 2)), self.jobs(seeds=(1, 2, 3)), \
            self.jobs(seeds=(1,))
        for name in ("records.csv", "load.json"):
            first, second = [self.bytes_of(d, name) for d in results[0]]
            self.assertNotEqual(first, second)
            for again in results[1:]:
                self.assertEqual(first, self.bytes_of(again[0], name))
            self.assertEqual(second, self.bytes_of(results[1][1], name))

    def test_tracing_changes_nothing(self):
        plain, traced = self.job(), self.job(trace=True)
        self.assertEqual(self.bytes_of(plain, "records.csv"),
                         self.bytes_of(traced, "records.csv"))
        cuts = self.bytes_of(os.path.dirname(traced), "trace.txt")
        self.assertGreater(cuts.count(b"d2tcp_cut: "), 50)

    def test_a_busy_machine_changes_nothing(self):
        quiet = self.job()
        burners = [subprocess.Popen(
            [sys.executable, "-c", "while True: pass"])
            for _ in range(len(os.sched_getaffinity(0)))]
        try:
            busy = self.job()
        finally:
            for burner in burners:
                burner.kill()
                burner.wait()
        self.assertEqual(self.bytes_of(quiet, "records.csv"),
                         self.bytes_of(busy, "records.csv"))

    def test_algorithms_differ_and_all_see_the_same_requests(self):
        asked = []
        took = set()
        for algorithm in ("cubic", "dctcp", "d2tcp"):
            records, extra = report.read_run(self.job(algorithm=algorithm))
            asked.append([(r["query"], r["worker"], r["bytes"],
                           r["deadline_ns"]) for r in records])
            took.add(tuple(r["took_ns"] for r in records))
            self.assertEqual(len(records), 40)
            if algorithm == "cubic":
                self.assertEqual(extra["marks"], 0)
            else:
                self.assertGreater(extra["marks"], 0)
                self.assertEqual(extra["drops"], 0)
        self.assertEqual(asked[0], asked[1])
        self.assertEqual(asked[0], asked[2])
        self.assertEqual(len(took), 3)

    def test_deadlines_change_what_d2tcp_does(self):
        self.assertNotEqual(
            self.bytes_of(self.job(algorithm="d2tcp"), "records.csv"),
            self.bytes_of(self.job(algorithm="d2tcp-nodeadline"),
                          "records.csv"))

    def test_the_link_check_finds_what_is_there(self):
        for change in ({}, {"mark_us": 120, "host_delay_us": 40},
                       {"rate_mbps": 10000, "mark_us": 78,
                        "host_delay_us": 25}):
            with open(os.path.join(self.job(do="check", **change),
                                   "link.json")) as f:
                link = json.load(f)
            point = self.point | change
            run.check_fidelity({"name": "x"}, point, link)
            # and it does tell one link from another
            with self.assertRaises(run.JobError):
                run.check_fidelity({"name": "x"}, point | {
                    "mark_us": point["mark_us"] * 2}, link)
            with self.assertRaises(run.JobError):
                run.check_fidelity({"name": "x"}, point | {
                    "host_delay_us": point["host_delay_us"] * 1.2}, link)

    def test_no_response_is_faster_than_the_wire(self):
        records, _ = report.read_run(self.job())
        for r in records:
            self.assertGreater(r["took_ns"], optimum.wire_ns(
                r["bytes"], self.point["rate_mbps"]) + 150000)

    def test_think_time_open_loop_and_background(self):
        records, extra = report.read_run(self.job(
            think_ms="3", background_flows=2, queries=20))
        self.assertTrue(all(r["took_ns"] > 3000000 for r in records))
        self.assertGreater(extra["background_bytes"], 100000)
        point = dict(self.point)
        point.pop("min_gap_ms")
        point["arrival"] = "poisson(2000)"
        was, type(self).point = self.point, point
        try:
            records, _ = report.read_run(self.job(queries=20))
        finally:
            type(self).point = was
        sent = sorted({r["sent_ns"] for r in records})
        self.assertEqual(len(sent), 20)
        # 2000 a second do not wait for answers of 4 ms each
        self.assertLess(sent[-1] - sent[0], 20 * 4000000)

    def test_parameters_reach_the_module_or_the_job_fails(self):
        plain = self.bytes_of(self.job(), "records.csv")
        self.assertNotEqual(plain, self.bytes_of(
            self.job(params=["d_max=256", "d_min=256"]), "records.csv"))
        with self.assertRaises(run.JobError):
            self.job(params=["late_dd=512"])

    def test_a_failing_job_says_what_happened(self):
        with self.assertRaises(run.JobError) as caught:
            self.job(algorithm="nosuch")
        self.assertIn("no congestion control 'nosuch'", str(caught.exception))


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
                got = [int(r[3]) for r in rows]
                self.assertEqual(len(got), 20000)
                self.assertLess(abs(sum(got) / 20000 - mean), 4 * error, dist)
                sizes = [int(r[2]) for r in rows]
                self.assertTrue(2000 <= min(sizes) < 2100)
                self.assertTrue(49900 < max(sizes) <= 50000)


class Tap(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.n = 0

    def say(self, test, ok, text=""):
        self.n += 1
        for line in text.splitlines():
            print("# " + line)
        name = test.id().split(".", 1)[1].replace(".test_", ": ")
        print("%sok %d - %s" % ("" if ok else "not ", self.n,
                                name.replace("_", " ")), flush=True)

    def addSuccess(self, test):
        self.say(test, True)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.say(test, False, self._exc_info_to_string(err, test))

    def addError(self, test, err):
        super().addError(test, err)
        self.say(test, False, self._exc_info_to_string(err, test))


if __name__ == "__main__":
    suite = unittest.defaultTestLoader.loadTestsFromModule(
        sys.modules["__main__"])
    result = Tap()
    suite.run(result)
    print("1..%d" % result.n)
    sys.exit(not result.wasSuccessful())
