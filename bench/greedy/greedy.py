#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""The throughput that a flow with false deadlines takes from its neighbours.

Eight flows share a port that marks packets (network.DEFAULTS, the link of
paper-regime): seven honest flows and a greedy one. `greedy.py run MODULE [N]` boots
the lab once per case and prints the table of docs/greedy.md, or only its row N;
`greedy.py case CASE` runs one case inside the lab.
"""

import concurrent.futures
import json
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "bench"))
import algorithms  # noqa: E402
import guest  # noqa: E402
import network  # noqa: E402

LAB = os.path.join(ROOT, "tests", "lab", "lab")
FLOWS, SECONDS = 8, 3
POINT = network.DEFAULTS | {"topology": "star", "fan_in": FLOWS}
# 200 KB take 13 ms at a fair share; due in twice that, they are not urgent
HONEST = ["--bytes", "200000", "--due-us", "26000"]
LONGEST = 2 ** 31 - 1 - 2 ** 24
# a large send buffer holds many bytes, all of which count as due in 5 ms
NEAR = ["--bytes", "10000", "--due-us", "5000", "--sndbuf", "200000"]
SMALL = ["--bytes", "10000", "--due-us", "5000"]
LONG = ["--bytes", "200000", "--due-us", "1000000", "--claim-bytes",
        str(LONGEST)]
NONE = ["--bytes", "200000"]
LATE = ["--bytes", "10000", "--due-us", "1"]
# name, options of the neighbours and of the greedy flow, min_budget_us
CASES = [
    ("honest deadlines", HONEST, HONEST, 0),
    ("always 5 ms, in pieces of 10 KB", HONEST, NEAR, 0),
    ("the same, with the default send buffer", HONEST, SMALL, 0),
    ("always 5 ms, in pieces of 10 KB", HONEST, NEAR, 26000),
    ("always 5 ms, in pieces of 10 KB", HONEST, NEAR, 100000),
    ("1 s for 2 GB", HONEST, LONG, 0),
    ("1 s for 2 GB", HONEST, LONG, 26000),
    ("1 s for 2 GB", HONEST, LONG, 100000),
    ("no deadline at all", HONEST, NONE, 0),
    ("no deadline at all", HONEST, NONE, 26000),
    ("no deadline at all", HONEST, NONE, 100000),
    ("1 us, missed at once", HONEST, LATE, 0),
    ("1 us, missed at once", HONEST, LATE, 26000),
    ("no deadline, neighbours without deadlines", NONE, NONE, 0),
    ("always 5 ms, neighbours without deadlines", NONE, NEAR, 0),
    ("1 s for 2 GB, neighbours without deadlines", NONE, LONG, 0),
]


def measure(neighbours, claim, bound):
    """Rates in Mbit/s: of the greedy flow, and the mean of the others."""
    law = algorithms.BY_NAME[algorithms.LAW]
    guest.load_modules([law], [])
    net = network.Network(POINT)
    for host in net.workers:
        host.set_sysctl("net/ipv4/d2tcp/min_budget_us", bound)
    counts, _ = guest.run_flows(
        net, [(law, claim)] + [(law, neighbours)] * (FLOWS - 1),
        SECONDS, 1)
    net.stop()
    return {"greedy_mbps": counts[0] * 8e-6 / SECONDS,
            "others_mbps": sum(counts[1:]) * 8e-6 / SECONDS / (FLOWS - 1)}


def in_lab(case):
    """Boots the lab for one case."""
    module = sys.argv[2]
    done = subprocess.run(
        [LAB, "run", "--module", module, "--mem", "512", "--",
         "/usr/bin/python3", os.path.abspath(__file__), "case",
         json.dumps(case[1:])], stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout.decode().splitlines()[-1])


def main():
    if sys.argv[1] == "case":
        print(json.dumps(measure(*json.loads(sys.argv[2]))))
        return
    cases = CASES
    if sys.argv[3:4] > [""]:
        if not sys.argv[3].isdecimal() or \
                not 1 <= int(sys.argv[3]) <= len(CASES):
            sys.exit("greedy: CASE is a row from 1 to %d, not '%s'"
                     % (len(CASES), sys.argv[3]))
        cases = [CASES[int(sys.argv[3]) - 1]]
    print("| claim | min_budget_us | its rate, Mbit/s | each other flow, "
          "Mbit/s | ratio to a fair share |")
    print("|---|---|---|---|---|", flush=True)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for case, got in zip(cases, pool.map(in_lab, cases)):
            fair = (got["greedy_mbps"] +
                    (FLOWS - 1) * got["others_mbps"]) / FLOWS
            print("| %s | %d | %.1f | %.1f | %.2f |"
                  % (case[0], case[3], got["greedy_mbps"], got["others_mbps"],
                     got["greedy_mbps"] / fair), flush=True)


if __name__ == "__main__":
    main()
