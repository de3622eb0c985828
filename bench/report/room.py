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


INPUTS = "inputs"  # what the records were made by


def make_room(out, inputs=""):
    """Creates an empty directory for raw records below `out`, and returns it. `inputs`
    identifies what they are made by.

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
    with open(os.path.join(raw, INPUTS), "w") as f:
        f.write(inputs + "\n")
    return raw


def room_to_resume(out, inputs):
    """The directory of raw records of an earlier run, made by the same inputs."""
    raw = os.path.join(out, "raw")
    try:
        with open(os.path.join(raw, INPUTS)) as f:
            before = f.read().strip()
    except OSError as error:
        raise scenarios.ScenarioError(
            "%s has no run to resume: make bench without RESUME" % out) from error
    if before != inputs:
        raise scenarios.ScenarioError(
            "the run in %s was made by another module, load generator or version of the "
            "bench and cannot be resumed: make bench without RESUME" % out)
    return raw
