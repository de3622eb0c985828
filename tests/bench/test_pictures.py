#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Tests of the report's pictures, their titles and their style. Prints TAP."""

import itertools
import json
import os
import shutil
import sys
import tempfile
import unittest

import numpy

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "bench"))
import algorithms  # noqa: E402
from analysis import records as raw_records  # noqa: E402
from report import plots  # noqa: E402
from report import style  # noqa: E402
from report import titles  # noqa: E402
from report import traces  # noqa: E402
import run  # noqa: E402
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import examples  # noqa: E402
import tap  # noqa: E402


class Traces(unittest.TestCase):
    """One query with responses of 1000 and 2000 bytes, sent 5 s after the boot."""

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

    def test_a_trace_has_the_bytes_granted_and_arrived(self):
        self.assertEqual(traces.read_grants(self.trace), {
            "10.0.0.3": [(5.0001, 500), (5.001, 2000)],
            "10.0.0.2": [(5.0021, 1000), (5.009, 9)]})
        self.assertEqual(traces.read_arrivals(self.trace, self.EXTRA["workers"]), {
            "10.0.0.3": [(5.0009, 500), (5.0019, 1500)],
            "10.0.0.2": [(5.003, 1000)]})

    def test_the_picture_of_a_query_has_its_responses_by_deadline(self):
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
        # by deadline; bytes after the end of a response belong to the next one
        self.assertEqual([(round(ms, 3), n) for ms, n in first["granted"]],
                         [(0.1, 500), (1.0, 2000)])
        self.assertEqual([(round(ms, 3), n) for ms, n in first["arrived"]],
                         [(0.9, 500), (1.9, 2000)])
        self.assertEqual([(round(ms, 3), n) for ms, n in second["granted"]],
                         [(2.1, 1000)])
        self.assertEqual([(r["due"], r["missed"], r["done"])
                          for r in (first, second)],
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
        "no deficiency": [[1, 0, 0], [0, 1, 0], [0, 0, 1]]}

    @staticmethod
    def lab(colour, seen_by):
        """CIELAB (D65) of "#rrggbb" after a simulation of colour vision."""
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
        # a check of the simulation: deuteranopia makes these two colours alike
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
        def title(*lines):
            return titles.of_misses(examples.rows(*lines), "slack")

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
        rows = examples.rows((1.0, 0.2, 0.1), (1.2, 0.2, 0.2))
        both = rows + [examples.row("dctcp-prio", s, 0.05, 0.2) for s in (1.0, 1.2)]
        self.assertTrue(titles.of_misses(both, "slack").endswith(
            "at slack 1.0; dctcp-prio misses fewer than d2tcp"))
        # not where they were run at some of the points only, or miss more
        for some in (both[:-1], rows + [examples.row("dctcp-prio", s, 0.3, 0.2)
                                        for s in (1.0, 1.2)]):
            self.assertNotIn("dctcp-prio", titles.of_misses(some, "slack"))

    def test_titles_say_what_sets_a_panel_apart(self):
        rows = [r | {"seeds": 2, "kernel": "6", "late_share_ci95": None,
                     "late_share_optimum": None, "fan_in": fan_in, "service": service}
                for fan_in in (8, 16) for service in ("", "a")
                for r in examples.rows((1.0, 0.2, 0.2), (1.2, 0.2, 0.2), (1.4, 0.2, 0.2))]
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
                         "under DCTCP and 2 of 2 under d2tcp")
        for retries, wait, said in ((0, "-", "60 queries/s, no retries: a"),
                                    (1, "0", "60 queries/s, 1 retry, at once: a"),
                                    (2, "uniform(0, 100)", "60 queries/s, 2 retries, "
                                     "after uniform(0, 100) ms: a")):
            self.assertEqual(titles.of_panel((
                ("arrival", "poisson(60)"), ("retries", retries),
                ("retry_after_ms", wait)), burst), said + burst[1:])

    def test_no_change_under_both_is_said_once(self):
        rows = examples.rows((1.0, 0.2, 0.2)) + [
            examples.row("grant-dctcp", 1.0, 0.2, 0.2)]
        self.assertEqual(titles.of_misses(rows, "slack"), "Neither d2tcp nor "
                         "grant-dctcp differs from DCTCP within the intervals")
        self.assertEqual(titles.of_recovery([{
            "algorithm": "dctcp", "recovered": n, "seeds": 2} for n in (0, 0)]),
                         "After the burst the miss rate recovers in no run")
        self.assertEqual(titles.of_recovery([{
            "algorithm": "dctcp", "recovered": n, "seeds": 2} for n in (2, 2)]),
                         "After the burst the miss rate recovers in every run")

    def test_the_title_of_times_names_the_algorithms_that_were_run(self):
        def title(*names):
            return titles.of_times([{"algorithm": n, "fct_ms": {"p99": 9}}
                                    for n in names], 15)

        self.assertEqual(title("reno", "cubic"), "Completion times of responses")
        self.assertEqual(title("dctcp", "reno", "d2tcp", "grant-dctcp"), (
            "99 % of responses complete within 9.0 ms under DCTCP, 9.0 ms under d2tcp "
            "and 9.0 ms under grant-dctcp; half of the deadlines are below 15.0 ms"))

    def test_grants_and_loads_in_titles(self):
        rows = examples.rows((1.0, 0.2, 0.3), (1.2, 0.2, 0.1))
        for algorithm, late in (("dctcp-prio", 0.05), ("grant-dctcp", 0.01)):
            rows += [examples.row(algorithm, s, late, 0.2) for s in (1.0, 1.2)]
        self.assertEqual(titles.of_misses(rows, "slack"), (
            "d2tcp misses fewer deadlines than DCTCP at slack 1.2; more at slack 1.0; "
            "dctcp-prio misses fewer than d2tcp; grant-dctcp misses fewer than DCTCP "
            "everywhere"))
        rows = [examples.row("grant-dctcp", 1.0, late, 0.2, load=load, arrival=arrival)
                for load, late, arrival in ((0.2, 0.1, "poisson(48)"),
                                            (0.48, 0.3, "poisson(115)"),
                                            (0.602, 0.4, "poisson(143)"))]
        self.assertEqual(titles.of_misses(rows, "arrival"),
                         "grant-dctcp misses fewer deadlines than DCTCP at a load of "
                         "20 %; more from a load of 48 % on")

    def test_the_gap_picture_shows_each_algorithm_that_closes_it(self):
        rows = examples.grants((1.0, 0.4, 0.04, 0.0, {"kernel": "6"}),
                               (1.2, 0.2, 0.0, 0.0, {}))
        with tempfile.TemporaryDirectory() as out:
            (name, said), = plots.plot_gap(rows, out)
            self.assertEqual(said, "Of the gap between DCTCP and the lower bound, "
                             "grant-dctcp closes 0.95 in the median")
            self.assertTrue(os.path.exists(os.path.join(out, name)))
            # not without grants
            self.assertEqual(plots.plot_gap(examples.rows((1.0, 0.2, 0.1)), out),
                             [])

    def test_the_same_rows_give_the_same_bytes(self):
        rows = [r | {"seeds": 2, "kernel": "6", "late_share_ci95": [0, 0.5],
                     "late_share_optimum": None}
                for r in examples.rows((1.0, 0.2, 0.3), (1.2, 0.2, 0.1))]
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
