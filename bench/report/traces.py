# SPDX-License-Identifier: GPL-2.0
"""Reading the kernel's trace of a traced run.

A line of the trace is "TASK-PID [CPU] FLAGS TIME: EVENT: KEY=VALUE KEY=VALUE ...", the
time in seconds of CLOCK_MONOTONIC.
"""

import re

LINE = re.compile(r"\s(?P<time>\d+\.\d+): (?P<event>\w+): (?P<fields>.*)")
# the last IPv4 address in 10.0.0.1:5000, ::ffff:10.0.0.1 or [::ffff:10.0.0.1]:5000
ADDRESS = re.compile(r"(\d+\.\d+\.\d+\.\d+)\]?(:\d+)?$")


def events(path, name):
    """(time, {key: text}) of each event of that name."""
    with open(path) as f:
        for line in f:
            found = LINE.search(line)
            if found and found["event"] == name:
                yield float(found["time"]), dict(
                    re.findall(r"(\w+)=(\S+)", found["fields"]))


def address(text):
    """The IPv4 address of an end of a connection."""
    return ADDRESS.search(text).group(1)


def read_cuts(path):
    """{source address: [{time, alpha, d, before, after}]} of a trace."""
    flows = {}
    for time, fields in events(path, "d2tcp_cut"):
        flows.setdefault(address(fields["saddr"]), []).append({"time": time} | {
            k: float(fields[k]) for k in ("alpha", "d", "before", "after")})
    return dict(sorted(flows.items(), key=lambda flow: [
        int(part) for part in flow[0].split(".")]))


def read_grants(path):
    """{worker's address: [(time, bytes)]}: how many bytes of its response a worker may
    send.
    """
    flows = {}
    for time, fields in events(path, "d2tcp_grant"):
        flows.setdefault(address(fields["daddr"]), []).append(
            (time, int(fields["edge"])))
    return flows


def read_arrivals(path, workers):
    """{worker's address: [(time, bytes)]}: payloads as they arrive at the aggregator."""
    flows = {}
    for time, fields in events(path, "tcp_probe"):
        worker = address(fields["dest"])
        if worker in workers and fields["data_len"] != "0":
            flows.setdefault(worker, []).append((time, int(fields["data_len"])))
    return flows
