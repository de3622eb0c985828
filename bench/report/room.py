# SPDX-License-Identifier: GPL-2.0
"""The output directory, which the bench empties before a run."""

import os
import shutil

import scenario as scenarios

MARKER = "made-by-bench"  # only directories with this file are emptied


def is_ours(out):
    """Whether the bench may empty the directory: it made it, or it is new."""
    if not os.path.isdir(out) or os.path.exists(os.path.join(out, MARKER)):
        return True
    # earlier versions of make check left this file there
    return set(os.listdir(out)) <= {"cost.md"}


def make_room(out):
    """Creates an empty directory for raw records below `out`, and returns it.

    The output of an earlier run is removed; a directory with other files is refused.
    """
    if not is_ours(out):
        raise scenarios.ScenarioError(
            "%s holds files that are not of the bench; name a new or an empty "
            "directory" % out)
    shutil.rmtree(out, ignore_errors=True)
    raw = os.path.join(out, "raw")
    os.makedirs(raw)
    with open(os.path.join(out, MARKER), "w") as f:
        f.write("bench/run.py empties this directory when it runs again.\n")
    return raw
