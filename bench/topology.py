#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Runs one job of the bench inside the lab kernel.

Called as `topology.py JOB.json` by run.py through tests/lab/lab. Builds the
point's network, then does what the job asks for:

"check"  measures the emulated link itself and writes link.json
"load"   runs the load generator, once per seed, and writes records-N.csv, one for
         each service, and load.json into a directory seedN
"flows"  runs long flows, once per seed, and writes flows.json into a directory seedN

Everything is written below the directory of JOB.json. During the measured
phase this program sleeps in poll(); only compiled programs run.
"""

import ctypes
import json
import os
import random
import subprocess
import sys
import time

import link
from network import Network
import scenario as scenarios

PORT, BACKGROUND_PORT = 5000, 5001
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
INCAST = os.path.join(ROOT, "build", "incast")
# Long flows: deadlines so near, or so far, that d is at its bound all the time.
CLAIMS = {"": [], "near": ["--due-us", "1000000", "--claim-bytes", "2130706432"],
          "far": ["--due-us", "1000000000", "--claim-bytes", "200000"]}


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
    libc = ctypes.CDLL(None, use_errno=True)
    # the second argument is TIMER_ABSTIME
    if libc.clock_nanosleep(time.CLOCK_MONOTONIC, 1, when, None):
        raise SystemExit("topology: clock_nanosleep failed")


def check_link(point, built):
    """What the link of a point is, measured; `built`, in tests, is what is built
    in its place.
    """
    net = Network(point | built)
    found = link.measure(net, INCAST, uptime_ns)
    net.stop()
    return found


def load_module(params):
    subprocess.run(["modprobe", "tcp_d2tcp"] + params, check=True)
    # modprobe takes a parameter that the module has not for granted
    for param in params:
        name, value = param.split("=")
        with open("/sys/module/tcp_d2tcp/parameters/" + name) as f:
            if int(f.read()) != int(value):
                raise SystemExit("topology: %s was not taken" % param)


def services_of(point):
    """What each service asks for: the point, and what it says of its own."""
    own = point.get("services") or [{}] * point.get("aggregators", 1)
    return [point | service for service in own]


def class_limits_us(point, slack):
    """Where the classes of dctcp-prio end: each takes a quarter of the deadlines."""
    mixture = [(service.get("share", 1), str(service["deadline_ms"]))
               for service in services_of(point)]
    limits = [scenarios.quantile(mixture, q / 4) * slack * 1000
              for q in (1, 2, 3)]
    return ",".join(str(max(i + 1, round(v))) for i, v in enumerate(limits))


class Load:
    """The load generator on a network: one run per seed, same workers."""

    def __init__(self, point, algorithm, slack, params):
        members = [scenarios.KINDS[name] for name in algorithm.split("+")]
        self.net = Network(point, members[0].get("priorities", False))
        background = scenarios.KINDS[
            point.get("background", algorithm.split("+")[0])]
        if "d2tcp" in [m["cc"] for m in members + [background]]:
            load_module(params)
        worker = [INCAST, "worker", "--shared-clock"]
        if members[0].get("priorities"):
            worker += ["--dscp-us", class_limits_us(point, slack)]
        ask = []
        for i, host in enumerate(self.net.workers):
            member = members[i % len(members)]
            spec = "%s:%d,%s" % (host.ip, PORT, member["cc"])
            ask += ["--worker", spec]
            worker += ["--listen", "%s/%s%s" % (
                host.name, spec,
                "+deadlines" if member.get("deadlines") else "")]
            if point["background_flows"]:
                worker += ["--listen", "%s/%s:%d,%s" % (
                    host.name, host.ip, BACKGROUND_PORT, background["cc"])]
        self.net.start(None, worker, "ready")
        self.commands = []
        for number, service in enumerate(services_of(point)):
            command = [INCAST, "aggregate", "--slack", repr(slack)] + ask
            command += self.arguments(service, algorithm)
            if number == 0:
                command += [
                    "--background", str(point["background_flows"]),
                    "--background-via", "%d,%s" % (BACKGROUND_PORT,
                                                   background["cc"])]
            self.commands.append(command)

    @staticmethod
    def arguments(service, algorithm):
        args = ["--queries", str(service["queries"]),
                "--deadline-ms", str(service["deadline_ms"]),
                "--think-ms", str(service["think_ms"])]
        if "response_bytes" in service:
            args += ["--response-bytes", str(service["response_bytes"])]
        else:
            args += ["--query-bytes", str(service["query_bytes"]),
                     "--spread", str(service["response_spread"])]
        if scenarios.KINDS[algorithm.split("+")[0]].get("jitter"):
            args += ["--jitter-ms", str(service["jitter_ms"])]
        if "arrival" not in service:
            return args + ["--min-gap-ms", str(service["min_gap_ms"])]
        args += ["--poisson", service["arrival"][len("poisson("):-1]]
        if "burst_rate" in service:
            args += ["--burst", "%r,%r,%r" % (
                service["burst_rate"], service["burst_from_ms"],
                service["burst_to_ms"])]
        if "until_ms" in service:
            args += ["--until-ms", str(service["until_ms"])]
        if service.get("retries"):
            args += ["--retries", str(service["retries"]),
                     "--retry-after-ms", str(service["retry_after_ms"])]
        return args

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


def write_json(path, value):
    with open(path, "w") as f:
        json.dump(value, f, sort_keys=True)
        f.write("\n")


def run_loads(job):
    """Every seed of the job, one after the other."""
    here = os.getcwd()
    load = Load(job["point"], job["algorithm"], job["slack"],
                job.get("params", []))
    tracing = "/sys/kernel/tracing/"
    if job.get("trace"):
        for name, value in (("trace_clock", "mono"),
                            ("buffer_size_kb", "16384"),
                            ("events/d2tcp/d2tcp_cut/enable", "1")):
            with open(tracing + name, "w") as f:
                f.write(value)
    for seed in job["seeds"]:
        load.run(seed, os.path.join(here, "seed%d" % seed))
    if job.get("trace"):
        with open(tracing + "trace") as f, open("trace.txt", "w") as out:
            out.write(f.read())
    load.net.stop()


def flow_arguments(claim):
    """A name of CLAIMS, or arguments of incast flow, to which a size is added."""
    args = CLAIMS[claim] if isinstance(claim, str) else claim
    return args if "--bytes" in args else args + ["--bytes", "200000"]


def run_flows(net, flows, seconds, seed):
    """Bytes that each of the flows brought through in so many seconds, and alpha.

    A flow is (algorithm, claim): where its deadlines lie, one of CLAIMS, or the
    arguments of incast flow themselves.
    """
    agg = net.aggregators[0]
    sinks, counts = {}, {}
    # all count at the same time, when the flows have settled
    at = uptime_ns() // 10**9 * 10**9 + 3 * 10**9
    for cc in sorted({scenarios.KINDS[a]["cc"] for a, _ in flows}):
        # a listener for each: it decides whether ECN is used
        address = "%s:%d" % (agg.ip, PORT + len(sinks))
        sinks[cc] = address, net.start(agg, [
            INCAST, "sink", "--listen", address, "--cc", cc, "--flows",
            str(sum(scenarios.KINDS[a]["cc"] == cc for a, _ in flows)),
            "--seconds", str(seconds), "--at-ns", str(at)], "ready")
    draw = random.Random(seed)
    senders = []
    for host, (algorithm, claim) in zip(net.workers, flows):
        cc = scenarios.KINDS[algorithm]["cc"]
        senders.append(net.start(host, [
            INCAST, "flow", "--to", sinks[cc][0], "--cc", cc, "--wait-us",
            str(draw.randrange(20000))] + flow_arguments(claim)))
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
    flows = [(f + ":").split(":")[:2] for f in point["flows"].split("+")]
    if any(scenarios.KINDS[a]["cc"] == "d2tcp" for a, _ in flows):
        load_module(job.get("params", []))
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
