#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Runs one job of the bench inside the lab kernel.

Called as `guest.py JOB.json` by run.py through tests/lab/lab. Builds the point's
network, then does what the job asks for:

"check"  measures the emulated link itself and writes link.json
"load"   runs the load generator, once per seed, and writes records-N.csv, one for
         each service, and load.json into a directory seedN
"flows"  runs long flows, once per seed, and writes flows.json into a directory seedN

Everything is written below the directory of JOB.json. During the measured phase
this program sleeps in poll(); only compiled programs run.
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

    In virtual time each reading of the clock takes 256 ns, so what happened before,
    Python's imports for one, shifts all that follows by as much, and the same seed
    gives another draw. Everything after this starts from the same time.
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
    """The link of a point, measured. Tests build another one instead: `built`
    replaces keys of the point.
    """
    net = Network(point | built)
    found = link.measure(net, INCAST, uptime_ns)
    net.stop()
    return found


def load_modules(some, params):
    """Loads the modules that algorithms need, with parameters of this project's."""
    for module in algorithms.modules(some):
        subprocess.run(["modprobe", module] + params, check=True)
        # modprobe does not complain about a parameter that the module does not have
        for param in params:
            name, value = param.split("=")
            with open("/sys/module/%s/parameters/%s" % (module, name)) as f:
                if int(f.read()) != int(value):
                    raise SystemExit("guest: %s does not take %s" % (module,
                                                                     param))


class Load:
    """The load generator on a network: the same workers for every seed."""

    def __init__(self, point, algorithm, slack, params):
        members = algorithms.members(algorithm)
        self.net = Network(point, members[0].priorities)
        load_modules(members + [load.background_of(point, members)], params)
        plan = load.plan(point, members, slack, [
            load.Place(host.name, host.ip) for host in self.net.workers])
        worker = [INCAST, "worker", "--shared-clock"] + plan.worker
        for host, ends in plan.listens.items():
            for end in ends:
                worker += ["--listen", "%s/%s" % (host, end)]
        self.net.start(None, worker, "ready")
        self.commands = [[INCAST, "aggregate"] + line
                         for line in plan.aggregate]

    def run(self, seed, directory):
        """Leaves records-N.csv for each service and load.json."""
        os.makedirs(directory)
        before = self.net.queue_counters()
        # Every run starts at the same place between two ticks, and late enough
        # for all to be connected.
        wait = 2 + len(self.net.workers) // 100
        start = (uptime_ns() // 10**9 + wait) * 10**9
        processes = [self.net.start(
            self.net.aggregators[n % len(self.net.aggregators)], command + [
                "--start-at-ns", str(start),
                # each service draws its own
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
        write_json(os.path.join(directory, "load.json"), result)


def start_trace():
    for name, value in (("trace_clock", "mono"), ("buffer_size_kb", "16384"),
                        ("events/d2tcp/d2tcp_cut/enable", "1")):
        with open(TRACING + name, "w") as f:
            f.write(value)


def run_loads(job):
    """Every seed of the job, one after the other."""
    run = Load(job["point"], job["algorithm"], job["slack"],
               job.get("params", []))
    if job.get("trace"):
        start_trace()
    for seed in job["seeds"]:
        run.run(seed, "seed%d" % seed)
    if job.get("trace"):
        with open(TRACING + "trace") as f, open("trace.txt", "w") as out:
            out.write(f.read())
    run.net.stop()


def run_flows(net, flows, seconds, seed):
    """Bytes that each flow delivered in `seconds`, and its alpha at the end.

    A flow is (algorithm, claim), claim as in load.claim_options(). Alpha is None
    where the flow's congestion control has none.
    """
    agg = net.aggregators[0]
    sinks, counts = {}, {}
    # all count from the same time, when the flows have settled
    at = uptime_ns() // 10**9 * 10**9 + 3 * 10**9
    for cc in sorted({a.cc for a, _ in flows}):
        # a listener for each: it decides whether ECN is used
        address = "%s:%d" % (agg.ip, load.PORT + len(sinks))
        sinks[cc] = address, net.start(agg, [
            INCAST, "sink", "--listen", address, "--cc", cc, "--flows",
            str(sum(a.cc == cc for a, _ in flows)),
            "--seconds", str(seconds), "--at-ns", str(at)], "ready")
    draw = random.Random(seed)
    senders = [net.start(host, [
        INCAST, "flow", "--to", sinks[a.cc][0], "--cc", a.cc, "--wait-us",
        str(draw.randrange(20000))] + load.claim_options(claim))
               for host, (a, claim) in zip(net.workers, flows)]
    for _, sink in sinks.values():
        for line in net.finish(sink).splitlines():
            address, count = line.split()
            counts[address] = int(count)
    said = [net.finish(sender).strip() for sender in senders]
    return [counts[host.ip] for host, _ in zip(net.workers, flows)], \
        [float(alpha) if alpha else None for alpha in said]


def run_long(job):
    """Long flows, once per seed."""
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
