#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Tests of the load generator, on loopback. Prints TAP."""

import os
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "bench"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tap  # noqa: E402

LAB = os.path.join(ROOT, "tests", "lab", "lab")
INCAST = os.path.join(ROOT, "build", "incast")


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
                 "are mutually exclusive"),
                (["worker"], "--listen ADDRESS:PORT is needed"),
                (["worker", "--listen", "127.0.0.1"], "ADDRESS:PORT"),
                (["worker", "--listen", "there:80"], "not an IPv4 address"),
                (["worker", "--listen", "127.0.0.1:80,d2tcp+x"],
                 "'+x' is not +deadlines"),
                (["worker", "--listen", "127.0.0.1:80,cubic+deadlines"],
                 "--deadlines needs --cc d2tcp"),
                (["worker", "--listen", "127.0.0.1:80", "--dscp-us", "5,5"],
                 "--dscp-us takes increasing times"),
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
                 "flow: more than one --to"),
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
