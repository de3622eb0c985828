#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Tests of whole runs in the lab, and of the link check. Prints TAP."""

import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "bench"))
from analysis import optimum  # noqa: E402
from analysis import records as raw_records  # noqa: E402
import link  # noqa: E402
import report  # noqa: E402
from report import traces  # noqa: E402
import run  # noqa: E402
import scenario as scenarios  # noqa: E402
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tap  # noqa: E402

LAB = os.path.join(ROOT, "tests", "lab", "lab")
INCAST = os.path.join(ROOT, "build", "incast")


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

    def test_hosts_beside_the_aggregator_where_uplinks_do_not_fill_its_port(self):
        tree = {"topology": "tree", "racks": 2, "rate_mbps": 1000}
        for point, count in (({"topology": "star"}, 0),
                             (tree | {"uplink_mbps": 800}, 0),
                             (tree | {"uplink_mbps": 600}, 2),
                             (tree | {"uplink_mbps": 600, "racks": 4}, 0)):
            self.assertEqual(link.beside(point), count)

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
        """Runs a job: the directories of its runs, or that of a link check."""
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
        # and the results of a seed do not depend on later seeds
        results_ = self.jobs(seeds=(1, 2)), self.jobs(seeds=(1, 2, 3)), \
            self.jobs(seeds=(1,))
        for name in ("records-0.csv.gz", "load.json"):
            first, second = [self.bytes_of(d, name) for d in results_[0]]
            self.assertNotEqual(first, second)
            for again in results_[1:]:
                self.assertEqual(first, self.bytes_of(again[0], name))
            self.assertEqual(second, self.bytes_of(results_[1][1], name))

    def test_a_traced_run_gets_the_same_queries_and_records_its_cuts(self):
        # not the same run: the tracer reads the clock, which takes 256 ns
        plain, traced = self.job(), self.job(
            trace=["d2tcp/d2tcp_cut"])
        for key in ("query", "worker", "bytes", "deadline_ns"):
            self.assertEqual(*[raw_records.read_run(d)[0][0][key].tolist()
                               for d in (plain, traced)])
        cuts = self.bytes_of(os.path.dirname(traced), "trace.txt")
        self.assertGreater(cuts.count(b"d2tcp_cut: "), 50)
        path = os.path.join(os.path.dirname(traced), "trace.txt")
        self.assertEqual(len(traces.read_cuts(path)), 4)

    def test_arrivals_in_a_trace_are_all_bytes_of_the_responses(self):
        directory = self.job(algorithm="grant-dctcp", trace=[
            "tcp/tcp_probe if data_len > 0", "d2tcp/of_another_module"])
        (records,), extra = raw_records.read_run(directory)
        path = os.path.join(os.path.dirname(directory), "trace.txt")
        came = traces.read_arrivals(path, extra["workers"])
        self.assertEqual(len(came), 4)
        for worker, address in enumerate(extra["workers"]):
            self.assertEqual(sum(size for _, size in came[address]), records[
                "bytes"][records["worker"] == worker].sum())
        # times are those of the records
        last = extra["start_ns"] + (records["sent_ns"] + records["took_ns"]).max()
        self.assertAlmostEqual(max(t for some in came.values() for t, _ in some),
                               last / 1e9, 3)

    def whole(self, name, resume=False):
        """Runs a small scenario, from its first job to its summary."""
        out = os.path.join(self.tmp, name)
        scenario = scenarios.load("paper-regime", "default") | {
            "fan_in": [2, 4], "queries": 10, "query_bytes": 500000,
            "slack": [1.0, 1.2], "seeds": 2, "most_seeds": 4, "params": [],
            "set": "default", "trace": False}
        flows = scenarios.load("differentiation", "default") | {
            "flows": ["d2tcp:near+d2tcp:far"], "seconds": 1, "seeds": 2,
            "params": [], "set": "default"}
        chosen = [scenario, flows]
        raw = report.room_to_resume(out, "x") if resume else \
            report.make_room(out, "x")
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

    def test_an_interrupted_run_resumes_with_the_jobs_that_are_not_complete(self):
        out = self.whole("resumed")
        before = self.bytes_of(out, "summary.json")

        def times():
            return {path: os.stat(path).st_mtime_ns for path in glob.glob(
                os.path.join(out, "raw", "**", "records*.gz"), recursive=True)}

        old = times()
        broken = sorted(old)[0]
        # as after a kill in the middle of the job
        job = os.path.dirname(os.path.dirname(broken))
        os.remove(os.path.join(job, "done"))
        with open(broken, "wb") as f:
            f.write(b"half")
        self.whole("resumed", resume=True)
        self.assertEqual(self.bytes_of(out, "summary.json"), before)
        self.assertEqual({p for p, t in times().items() if t != old[p]},
                         {p for p in old if p.startswith(job + os.sep)})
        for where, inputs, said in ((out, "y", "cannot be resumed"),
                                    (self.tmp, "x", "has no run to resume")):
            with self.assertRaises(scenarios.ScenarioError) as caught:
                report.room_to_resume(where, inputs)
            self.assertIn(said, str(caught.exception))

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
        self.assertEqual(len(rows), 2 * 2 * 4)
        for row in rows:
            # where the interval needed more seeds, the point got most_seeds
            self.assertTrue(row["certain"] or row["seeds"] == 4)
            self.assertEqual(row["responses"],
                             row["seeds"] * 10 * row["fan_in"])
            self.assertTrue(0 <= row["late_share_optimum"] <=
                            row["late_share"] <= 1)
        page = self.bytes_of(quiet, "index.html").decode()
        for text in ("<h2>Findings</h2>", "paper-regime-misses-fan-in-2.svg",
                     "differentiation-shares.svg", "What this cannot show",
                     "pFabric"):
            self.assertIn(text, page)
        for name in set(part.split('"')[0] for part in
                        page.split('src="')[1:]):
            self.assertGreater(len(self.bytes_of(quiet, name)), 5000)

    def test_algorithms_differ_and_all_get_the_same_queries(self):
        queries = []
        took = set()
        for algorithm in ("cubic", "reno", "bbr", "dctcp", "dctcp-prio",
                          "dctcp-jitter", "d2tcp-nodeadline", "d2tcp",
                          "grant-dctcp", "grant-cubic", "grant-d2tcp"):
            (records,), extra = raw_records.read_run(
                self.job(algorithm=algorithm))
            queries.append([records[k].tolist() for k in (
                "query", "worker", "bytes", "deadline_ns")])
            took.add(tuple(records["took_ns"]))
            self.assertEqual(len(records["query"]), 40)
            if algorithm in ("cubic", "reno", "bbr", "grant-cubic"):
                self.assertEqual(extra["marks"], 0, algorithm)
            else:
                self.assertGreater(extra["marks"], 0, algorithm)
                self.assertEqual(extra["drops"], 0, algorithm)
            self.assertEqual(queries[0], queries[-1])
        self.assertEqual(len(took), 11)

    def test_with_priorities_the_order_is_that_of_the_deadlines(self):
        def in_order(algorithm):
            (records,), _ = raw_records.read_run(self.job(
                algorithm=algorithm, fan_in=8, queries=20,
                query_bytes=2000000))
            due = raw_records.by_query(records, "deadline_ns")
            took = raw_records.by_query(records, "took_ns")
            return sum(took[q, i] < took[q, j] for q in range(20)
                       for i in range(8) for j in range(8)
                       if due[q, i] < due[q, j]) / (20 * 28)

        # half of the pairs if deadlines play no role; each class has a quarter
        self.assertLess(in_order("dctcp"), 0.6)
        self.assertGreater(in_order("dctcp-prio"), 0.75)
        self.assertGreater(in_order("grant-dctcp"), 0.75)

    def test_jitter_is_in_the_completion_times(self):
        (records,), _ = raw_records.read_run(self.job(
            algorithm="dctcp-jitter", jitter_ms="uniform(100, 110)"))
        self.assertGreater(records["took_ns"].min(), 100 * 10**6)

    def test_a_tree_marks_in_two_places(self):
        tree = {"topology": "tree", "racks": 2, "uplink_mbps": 800,
                "aggregators": 2, "fan_in": 8, "query_bytes": 2000000}
        (first, second), extra = raw_records.read_run(self.job(**tree))
        self.assertGreater(extra["marks"], 0)
        self.assertGreater(extra["uplink_marks"], 0)
        # each aggregator has draws of its own
        self.assertNotEqual(first["bytes"].tolist(), second["bytes"].tolist())
        # an uplink that is no bottleneck does not mark
        _, extra = raw_records.read_run(self.job(**(tree | {
            "uplink_mbps": 10000, "aggregators": 1})))
        self.assertEqual(extra["uplink_marks"], 0)

    def test_aggregators_share_a_host_or_have_their_own(self):
        several = {"aggregators": 4, "algorithm": "dctcp", "query_bytes": 1000000}
        took = []
        for hosts in (1, 4):
            found, _ = raw_records.read_run(self.job(aggregator_hosts=hosts,
                                                     **several))
            self.assertEqual(len(found), 4)
            self.assertEqual(len({tuple(r["bytes"]) for r in found}), 4)
            took.append(sum(r["took_ns"].mean() for r in found))
        # four share one port, or have one each
        self.assertGreater(took[0], 2 * took[1])

    def test_each_service_requests_its_own_sizes(self):
        services = [{"name": "a", "response_bytes": "5000",
                     "deadline_ms": "10", "queries": 5},
                    {"name": "b", "response_bytes": "uniform(70000, 80000)",
                     "deadline_ms": "20", "arrival": "poisson(500)"}]
        (first, second), _ = raw_records.read_run(self.job(
            services=services, arrival="poisson(200)", min_gap_ms=None,
            query_bytes=None))
        self.assertEqual(set(first["bytes"]), {5000})
        self.assertEqual(set(first["deadline_ns"]), {10**7})
        self.assertEqual(len(first["query"]), 20)
        self.assertTrue(70000 <= second["bytes"].min())
        self.assertEqual(len(second["query"]), 40)

    def test_members_of_a_mix_run_the_algorithm_in_their_name(self):
        # half of the workers have no ECN; only their packets are dropped
        (records,), extra = raw_records.read_run(self.job(
            algorithm="cubic+dctcp", fan_in=8, query_bytes=4000000))
        self.assertGreater(extra["marks"], 0)
        self.assertGreater(extra["drops"], 0)
        self.assertEqual(len(records["query"]), 80)

    def test_queries_that_miss_are_retried(self):
        change = {"arrival": "poisson(100)", "min_gap_ms": None,
                  "queries": 40, "retries": 2, "burst_rate": 2000.0,
                  "burst_from_ms": 100, "burst_to_ms": 110,
                  "deadline_ms": "10"}
        for after, low, high in (("0", 0, 2), ("uniform(20, 30)", 20, 32)):
            (r,), _ = raw_records.read_run(self.job(
                algorithm="dctcp", retry_after_ms=after, **change))
            sent = {(q, a): t for q, a, t in zip(
                r["query"].tolist(), r["attempt"].tolist(),
                r["sent_ns"].tolist())}
            done = {}
            for q, a, t in zip(r["query"].tolist(), r["attempt"].tolist(),
                               (r["sent_ns"] + r["took_ns"]).tolist()):
                done[q, a] = max(t, done.get((q, a), 0))
            again = [(q, a) for q, a in sent if a]
            self.assertGreater(len(again), 3)
            for q, a in sent:
                timeout = sent[q, a] + 12 * 10**6
                # the kernel may end a wait 50 us late (prctl(2), timer slack):
                # a query that completes meanwhile is not retried
                if timeout < done[q, a] <= timeout + 50000:
                    continue
                late = done[q, a] > timeout and a < 2
                self.assertEqual((q, a + 1) in sent, late, (q, a))
                if late:
                    wait = (sent[q, a + 1] - timeout) / 1e6
                    self.assertTrue(low <= wait <= high, wait)
            # twenty queries are expected in the 10 ms of the burst
            burst = [t for (q, a), t in sent.items()
                     if not a and 100 <= t / 1e6 <= 110]
            self.assertTrue(8 <= len(burst) <= 35, len(burst))

    def test_shares_of_long_flows_follow_their_claims(self):
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

    def test_a_thousand_workers(self):
        job = {"fan_in": 1000, "rate_mbps": 10000, "mark_us": 78,
               "buffer_packets": 1000, "query_bytes": 5000000, "queries": 2}
        (records,), extra = raw_records.read_run(self.job(**job))
        self.assertEqual(len(records["query"]), 2000)
        self.assertGreater(extra["marks"], 0)
        # at most 4 GB for the whole guest
        self.assertLess(run.GUEST_MB + 1000 * run.HOST_MB, 4096)

    def test_deadlines_change_what_d2tcp_does(self):
        self.assertNotEqual(
            self.records(self.job(algorithm="d2tcp")),
            self.records(self.job(algorithm="d2tcp-nodeadline")))

    def test_the_link_check_measures_the_link_as_built(self):
        for change in ({}, {"mark_us": 120, "host_delay_us": 40},
                       {"rate_mbps": 10000, "mark_us": 78,
                        "host_delay_us": 25},
                       {"topology": "tree", "racks": 2, "uplink_mbps": 800},
                       {"topology": "tree", "racks": 2, "uplink_mbps": 300}):
            with open(os.path.join(self.job(do="check", **change),
                                   "link.json")) as f:
                found = json.load(f)
            point = self.point | change
            run.check_fidelity({"name": "x"}, point, found)
            # and another link is refused
            for other in ("mark_us", "rate_mbps", "uplink_mbps"):
                if other in point:
                    with self.assertRaises(run.JobError):
                        run.check_fidelity({"name": "x"}, point | {
                            other: point[other] * 2}, found)
            with self.assertRaises(run.JobError):
                run.check_fidelity({"name": "x"}, point | {
                    "host_delay_us": point["host_delay_us"] * 1.2}, found)

    def test_the_link_check_refuses_slightly_wrong_links(self):
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
                # and the message says what to do
                self.assertIn("make clean", str(caught.exception))

    def test_red_drops_packets_that_it_cannot_mark(self):
        with open(os.path.join(self.job(do="check", marker="red"),
                               "link.json")) as f:
            run.check_fidelity({"name": "x"}, self.point | {"marker": "red"},
                               json.load(f))
        _, extra = raw_records.read_run(self.job(queries=10, marker="red"))
        self.assertGreater(extra["marks"], 0)
        self.assertEqual(extra["drops"], 0)
        _, extra = raw_records.read_run(self.job(queries=10, marker="red",
                                             algorithm="cubic"))
        self.assertEqual(extra["marks"], 0)
        self.assertGreater(extra["drops"], 0)

    def test_no_response_is_faster_than_the_wire(self):
        (records,), _ = raw_records.read_run(self.job())
        self.assertTrue((records["took_ns"] > optimum.wire_ns(
            records["bytes"], self.point["rate_mbps"]) + 150000).all())

    def test_think_time_open_loop_and_background(self):
        (records,), extra = raw_records.read_run(self.job(
            think_ms="3", background_flows=2, queries=20))
        self.assertGreater(records["took_ns"].min(), 3000000)
        self.assertGreater(extra["background_bytes"], 100000)
        self.assertGreater(extra["marks"], 0)
        (records,), extra = raw_records.read_run(self.job(
            queries=20, arrival="poisson(2000)", min_gap_ms=None))
        sent = sorted(set(records["sent_ns"].tolist()))
        self.assertEqual(len(sent), 20)
        # 2000 queries per second do not wait for responses of 4 ms each
        self.assertLess(sent[-1] - sent[0], 20 * 4000000)

    def test_background_flows_may_run_something_else(self):
        _, extra = raw_records.read_run(self.job(
            background_flows=2, background="cubic", queries=20))
        self.assertGreater(extra["drops"], 0)
        _, extra = raw_records.read_run(self.job(background_flows=2, queries=20))
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


if __name__ == "__main__":
    tap.main(sys.modules["__main__"])
