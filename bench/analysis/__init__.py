# SPDX-License-Identifier: GPL-2.0
"""From raw records to the rows of summary.json.

    records.py    where the records of a run lie, and reading them
    rows.py       a row per point, algorithm and part of it
    intervals.py  means over seeds, their intervals, paired comparisons
    optimum.py    the fewest misses of any schedule
    fluid.py      ideal sharing, and what the law predicts

Nothing here draws or prints: that is report/.
"""

from .rows import late_shares, make_rows

__all__ = ["late_shares", "make_rows"]
