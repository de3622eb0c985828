#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Finds seeds of paper-regime that draw hard queries: hard.py SEEDS PERCENT

Of the seeds 1 to SEEDS, prints those for which, at fan-in 8 and slack 1.0,
every schedule misses at least PERCENT of the deadlines at 949 Mbit/s, as a list
for run.py --seeds. Prints mean and standard deviation over all seeds on stderr.
"""

import csv
import os
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import algorithms  # noqa: E402
import load  # noqa: E402
from analysis import min_late  # noqa: E402
import scenario as scenarios  # noqa: E402

INCAST = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(
    __file__))), "build", "incast")
FAN_IN, GOODPUT_MBPS = 8, 949


def lower_bound(scenario, seed, out):
    """Lower bound of the miss rate for one seed, in percent."""
    command = [INCAST, "aggregate", "--dry-run", "--out", out, "--seed",
               str(seed)] + load.requests(
                   scenario, algorithms.BY_NAME[algorithms.BASE])
    for worker in range(FAN_IN):
        command += ["--worker", "127.0.0.1:%d" % (worker + 1)]
    subprocess.run(command, check=True)
    by_query = {}
    with open(out) as f:
        for r in csv.DictReader(f):
            by_query.setdefault(r["query"], []).append(
                (int(r["bytes"]) * 8000 / GOODPUT_MBPS,
                 int(r["deadline_ns"])))
    late = sum(min_late(jobs) for jobs in by_query.values())
    return 100 * late / (FAN_IN * scenario["queries"])


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    if not os.path.exists(INCAST):
        sys.exit("hard.py: build/incast is missing: make incast")
    scenario = scenarios.load("paper-regime", "default")
    with tempfile.TemporaryDirectory() as tmp:
        shares = {seed: lower_bound(scenario, seed, os.path.join(tmp, "x"))
                  for seed in range(1, int(sys.argv[1]) + 1)}
    print("%d seeds: lower bound %.2f %% on average, standard deviation %.2f"
          % (len(shares), statistics.mean(shares.values()),
             statistics.pstdev(shares.values())), file=sys.stderr)
    print(",".join(str(s) for s, v in shares.items()
                   if v >= float(sys.argv[2])))


if __name__ == "__main__":
    main()
