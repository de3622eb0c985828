#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Tests of the report's tables. Prints TAP."""

import os
import sys
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "bench"))
from report import tables  # noqa: E402
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import examples  # noqa: E402
import tap  # noqa: E402


class Columns(unittest.TestCase):
    def test_columns_are_shown_where_a_row_has_a_value(self):
        def headings(rows):
            return [c[0] for c in tables.columns(rows)]

        plain = examples.rows((1.0, 0.4, 0.3))
        more = ["first 3 missed %", "gap closed", "load %", "queries/s"]
        self.assertFalse(set(more) & set(headings(plain)))
        rows = examples.grants((1.0, 0.4, 0.04, 0.0, {"load": 0.2, "queries_per_s": 9}))
        self.assertTrue(set(more) <= set(headings(rows)))
        cells = {c[0]: c[1](rows[1]) for c in tables.columns(rows) if c[0] in more}
        self.assertEqual([cells[name] for name in more],
                         ["50.0", "0.90", "20", "9.0"])
        self.assertEqual(tables.throughput_ratio({"queries_over_dctcp": {
            "ratio": 0.97, "ci95": [0.95, 1.01]}}), "0.970 (0.950 to 1.010)")
        self.assertEqual(tables.throughput_ratio({}), "-")

    def test_seeds_that_did_not_recover(self):
        row = {"seeds": 4, "recovered": 4, "recovery_ms": 700.0, "watched_ms": None}
        self.assertEqual(tables.recovery(row), "700")
        # docs/bench.md explains it
        self.assertEqual(tables.recovery(row | {
            "recovered": 3, "recovery_ms": None, "watched_ms": 4500.0}),
                         "3 of 4 in 4500")


if __name__ == "__main__":
    tap.main(sys.modules["__main__"])
