# SPDX-License-Identifier: GPL-2.0
"""Computes the rows of summary.json from raw records.

    records.py    reading the records of a run
    rows.py       a row per point, algorithm and part of it
    intervals.py  means over seeds, their intervals, paired comparisons
    optimum.py    the lower bound: the fewest misses of any schedule
    fluid.py      ideal sharing, and the law's predictions

Drawing and printing is the job of report/.
"""

from .intervals import discoveries, seeds_needed
from .optimum import min_late
from .records import is_late, read_run, select
from .rows import BIN_MS, FIRST, late_shares, make_rows

__all__ = ["BIN_MS", "FIRST", "discoveries", "is_late", "late_shares", "make_rows",
           "min_late", "read_run", "seeds_needed", "select"]
