#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Tests that the commands of the Makefile work in any order. Prints TAP.

Each test has a copy of the tree, with what earlier commands have left in it, and
one small scenario in place of all.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tap  # noqa: E402

SMALL = """
claim = "A small scenario."
topology = "star"
rate_mbps = 1000
host_delay_us = 75
buffer_packets = 400
mark_us = 240
rto_min_ms = 10
fan_in = 4
query_bytes = 400_000
deadline_ms = "uniform(2, 4)"
queries = 5
seeds = 2
most_seeds = 2
algorithms = ["dctcp", "d2tcp", "grant-dctcp"]
"""


class Commands(unittest.TestCase):
    def setUp(self):
        self.tmp = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.tmp)

    def copy(self, name):
        """A copy of the tree."""
        tree = os.path.join(self.tmp, name)
        # build/check has the sockets and pipes of tests that run now
        shutil.copytree(ROOT, tree, symlinks=True, ignore=lambda d, names: [
            n for n in names if n in (".git", "__pycache__") or
            os.path.join(d, n) == os.path.join(ROOT, "build", "check")])
        scenarios = os.path.join(tree, "bench", "scenarios")
        shutil.rmtree(scenarios)
        os.mkdir(scenarios)
        with open(os.path.join(scenarios, "small.toml"), "w") as f:
            f.write(SMALL)
        return tree

    def make(self, tree, *words, fails=False):
        done = subprocess.run(
            ["make", "-s"] + list(words), cwd=tree, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
            env={k: v for k, v in os.environ.items()
                 if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")})
        said = done.stdout.decode(errors="replace")
        self.assertEqual(done.returncode != 0, fails, "%s: %s" % (words, said))
        return said

    def summary(self, tree):
        """The rows, without what the link check measured, which may differ by a
        reading of the clock.
        """
        with open(os.path.join(tree, "bench", "out", "summary.json")) as f:
            rows = json.load(f)["rows"]
        self.assertEqual(len(rows), 3)
        return [{k: v for k, v in row.items() if k != "fidelity"}
                for row in rows]

    def files(self, tree):
        return sorted(os.path.join(d, n) for d, _, names in os.walk(
            os.path.join(tree, "bench", "out")) for n in names)

    def test_any_order_of_the_commands_works(self):
        first, last = self.copy("first"), self.copy("last")
        # make check of an older version has left this
        os.makedirs(os.path.join(last, "bench", "out"), exist_ok=True)
        shutil.rmtree(os.path.join(first, "bench", "out"), ignore_errors=True)
        if not self.files(last):
            with open(os.path.join(last, "bench", "out", "cost.md"), "w"):
                pass
        self.make(first, "bench")
        files, found = self.files(first), self.summary(first)
        for words in (["publish"], ["demo"], ["bench-greedy", "CASE=1"]):
            self.make(first, *words)
            self.assertEqual(self.files(first), files, words)
        self.assertEqual(self.summary(first), found)
        with open(os.path.join(first, "docs", "results", "README.md")) as f:
            self.assertIn("small", f.read())
        for words in (["bench-greedy", "CASE=1"], ["demo"], ["bench"]):
            self.make(last, *words)
        self.assertEqual([r["algorithm"] for r in self.summary(last)],
                         [r["algorithm"] for r in found])
        found = self.summary(last)
        # and again, with the results of the first time there
        self.make(last, "bench")
        self.assertEqual(self.summary(last), found)

    def test_a_row_that_the_table_of_greedy_flows_does_not_have(self):
        self.assertIn("CASE is a row from 1 to 16, not '17'", self.make(
            ROOT, "bench-greedy", "CASE=17", fails=True))


if __name__ == "__main__":
    tap.main(sys.modules["__main__"])
