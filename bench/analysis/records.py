# SPDX-License-Identifier: GPL-2.0
"""Reading the raw records of a run; runs.py says where they are."""

import functools
import gzip
import json
import os

import numpy


def read_records(path):
    """Records as {column: array of integers}."""
    with gzip.open(path, "rt") as f:
        columns = f.readline().strip().split(",")
        numbers = numpy.array(f.read().replace("\n", ",").split(",")[:-1],
                              dtype=numpy.int64)
    return dict(zip(columns, numbers.reshape(-1, len(columns)).T))


@functools.lru_cache(256)
def read_run(directory):
    """The records of each service, and the contents of load.json."""
    records = []
    while os.path.exists(os.path.join(
            directory, "records-%d.csv.gz" % len(records))):
        records.append(read_records(os.path.join(
            directory, "records-%d.csv.gz" % len(records))))
    with open(os.path.join(directory, "load.json")) as f:
        return records, json.load(f)


def is_late(records, slack):
    # the worker's deadline, computed as the load generator computes it
    return records["took_ns"] > numpy.floor(
        records["deadline_ns"].astype(float) * slack)


def parts(point, algorithm):
    """The rows of a point: one for all of it, one per service, or one per member of a
    mix.

    Yields (names, services, member): the keys "service", "algorithm" and "mix" of the
    row, the indices of its services, and the index of its member or None.
    """
    services = point.get("services") or []
    everything = range(max(len(services), point.get("aggregators", 1)))
    members = algorithm.split("+")
    if len(members) > 1:
        for i, name in enumerate(members):
            yield {"algorithm": name, "mix": algorithm}, everything, i
        return
    yield {"algorithm": algorithm}, everything, None
    for i, service in enumerate(services):
        yield {"algorithm": algorithm, "service": service["name"]}, [i], None


def select(records, member, algorithm, first_only=True):
    """The records of one member of a mix, or of all if `member` is None."""
    chosen = numpy.ones(len(records["query"]), bool)
    if member is not None:
        chosen &= records["worker"] % len(algorithm.split("+")) == member
    if first_only:
        chosen &= records["attempt"] == 0
    return {k: v[chosen] for k, v in records.items()}


def by_query(records, column):
    """A column as an array of queries x workers."""
    width = int(records["worker"].max()) + 1
    return records[column].reshape(-1, width)
