#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Runs one job of the bench inside the lab kernel.

Called as `guest.py JOB.json` by run.py through tests/lab/lab. Builds the point's
network, then does what the job's "do" says:

"check"  measures the emulated link itself and writes link.json
"load"   runs the load generator once per seed M and writes load.json and, for
         each service N, records-N.csv into the directory seedM
"flows"  runs long flows once per seed M and writes flows.json into seedM

All output goes below the directory of JOB.json. While a run is measured, this
program sleeps in poll(); only compiled programs run.
"""

import ctypes
import json
import os
import random
import subprocess
import sys
import time

import algorithms
import link
import load
from network import Network

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
INCAST = os.path.join(ROOT, "build", "incast")
TRACING = "/sys/kernel/tracing/"


def uptime_ns():
    with open("/proc/uptime") as f:
        return int(float(f.read().split()[0]) * 10**9)


def wait_for_second():
    """Sleeps until the guest's clock shows a whole second.

    In virtual time each reading of the clock takes 256 ns, so earlier work,
    such as Python's imports, shifts everything after it, and the same seed
    would give other results. From here on, every job starts at the same time.
    """
    when = (ctypes.c_long * 2)(uptime_ns() // 10**9 + 1, 0)
    libc = ctypes.CDLL(None)
    # the second argument is TIMER_ABSTIME
    if libc.clock_nanosleep(time.CLOCK_MONOTONIC, 1, when, None):
        raise SystemExit("guest: clock_nanosleep failed")


def write_json(path, value):
    with open(path, "w") as f:
        json.dump(value, f, sort_keys=True)
        f.write("\n")


def check_link(point, built):
    """Measures the link of a point. `built` replaces keys of the point, for
    tests that build another link than the one described.
    """
    net = Network(point | built | {"aggregators": 1 + link.beside(point)})
    found = link.measure(net, INCAST, uptime_ns)
    net.stop()
    return found


def load_modules(some, params):
    """Loads the kernel modules that the algorithms need, with parameters."""
    for module in algorithms.modules(some):
        subprocess.run(["modprobe", module] + params + (
            ["expect=1"] if any(a.grants for a in some) else []), check=True)
        # modprobe does not fail on a parameter that the module does not have
        for param in params:
            name, value = param.split("=")
            with open("/sys/module/%s/parameters/%s" % (module, name)) as f:
                if int(f.read()) != int(value):
                    raise SystemExit("guest: %s does not take %s" % (module,
                                                                     param))


class Load:
    """A network and its workers, which serve every seed of a job."""

    def __init__(self, point, algorithm, slack, params):
        members = algorithms.members(algorithm)
        self.net = Network(point, members[0].priorities)
        load_modules(members + [load.background_of(point, members)], params)
        plan = load.plan(point, members, slack, [
            load.Place(host.name, host.ip) for host in self.net.workers])
        self.net.start(None, [INCAST, "worker"] + plan.all_workers(), "ready")
        self.commands = [[INCAST, "aggregate"] + line
                         for line in plan.aggregate]

    def run(self, seed, directory, traced=False):
        """Runs one seed: writes load.json, and records-N.csv per service."""
        os.makedirs(directory)
        before = self.net.queue_counters()
        # Every run starts at the same phase of the tick, and late enough for
        # all connections to be established.
        wait = 2 + len(self.net.workers) // 100
        start = (uptime_ns() // 10**9 + wait) * 10**9
        processes = [self.net.start(
            self.net.aggregators[n % len(self.net.aggregators)], command + [
                "--start-at-ns", str(start),
                # each service has draws of its own
                "--seed", str(seed + (n << 32)), "--out",
                os.path.join(directory, "records-%d.csv" % n)])
                     for n, command in enumerate(self.commands)]
        said = [json.loads(self.net.finish(p)) for p in processes]
        after = self.net.queue_counters()
        result = {"duration_ns": max(s["duration_ns"] for s in said),
                  "background_bytes": said[0]["background_bytes"],
                  "background_ns": said[0]["duration_ns"]}
        result.update({k: after[k] - before[k] for k in after})
        result["kernel"] = os.uname().release
        if traced:
            # to find the run in the trace
            result |= {"start_ns": start,
                       "workers": [host.ip for host in self.net.workers]}
        write_json(os.path.join(directory, "load.json"), result)


def start_trace(events):
    """Switches tracepoints on: "EVENT" or "EVENT if FILTER". Tracepoints that the module
    lacks are skipped.
    """
    settings = [("trace_clock", "mono"), ("buffer_size_kb", "16384")]
    for event in events:
        event, _, condition = event.partition(" if ")
        if os.path.isdir(TRACING + "events/" + event):
            settings += [("events/%s/filter" % event, condition or "0"),
                         ("events/%s/enable" % event, "1")]
    for name, value in settings:
        with open(TRACING + name, "w") as f:
            f.write(value)


def run_loads(job):
    """Runs the seeds of the job, one after the other."""
    run = Load(job["point"], job["algorithm"], job["slack"],
               job.get("params", []))
    if job.get("trace"):
        start_trace(job["trace"])
    for seed in job["seeds"]:
        run.run(seed, "seed%d" % seed, bool(job.get("trace")))
    if job.get("trace"):
        with open(TRACING + "trace") as f, open("trace.txt", "w") as out:
            out.write(f.read())
    run.net.stop()


def run_flows(net, flows, seconds, seed):
    """Bytes each flow delivered in `seconds`, and the mean alpha of each.

    A flow is (algorithm, claim), claim as in load.claim_options(). Alpha is None
    if the flow's congestion control does not report it.
    """
    agg, counts = net.aggregators[0], {}
    draw = random.Random(seed)
    # the flows have settled by then
    at_ns = uptime_ns() // 10**9 * 10**9 + 3 * 10**9
    plan = load.flows_by_clock(flows, agg.ip, seconds, at_ns,
                               [draw.randrange(20000) for _ in flows])
    sinks = [net.start(agg, [INCAST, "sink"] + line, "ready") for line in plan.sinks]
    senders = [net.start(host, [INCAST, "flow"] + line)
               for host, line in zip(net.workers, plan.flows)]
    for sink in sinks:
        for line in net.finish(sink).splitlines():
            address, count = line.split()
            counts[address] = int(count)
    said = [net.finish(sender).strip() for sender in senders]
    return [counts[host.ip] for host, _ in zip(net.workers, flows)], \
        [float(alpha) if alpha else None for alpha in said]


def run_long(job):
    """Runs the long flows of a point, once per seed."""
    point = job["point"]
    flows = load.long_flows(point)
    load_modules([a for a, _ in flows], job.get("params", []))
    net = Network(point)
    for seed in job["seeds"]:
        directory = "seed%d" % seed
        os.makedirs(directory)
        before = net.queue_counters()
        counts, alphas = run_flows(net, flows, point["seconds"], seed)
        result = {"bytes": counts, "alpha": alphas}
        after = net.queue_counters()
        result.update({k: after[k] - before[k] for k in after})
        result["kernel"] = os.uname().release
        write_json(os.path.join(directory, "flows.json"), result)
    net.stop()


def main():
    job_file = os.path.abspath(sys.argv[1])
    with open(job_file) as f:
        job = json.load(f)
    os.chdir(os.path.dirname(job_file))
    wait_for_second()
    if job["do"] == "check":
        write_json("link.json", check_link(job["point"],
                                           job.get("built", {})))
    elif job["do"] == "flows":
        run_long(job)
    else:
        run_loads(job)


if __name__ == "__main__":
    main()
