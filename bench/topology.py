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

import csv
import json
import os
import random
import subprocess
import sys

from network import FRAME, Network
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


def check_queue(net, senders, rate_mbps, gap_mbps):
    """Rate and marking threshold of the queue where the senders' trains meet.

    The rate comes from the gaps between full frames that leave the busy port.
    The threshold comes from each packet's time in the queue: what it took from
    sender to receiver beyond the first packet, which found the queue empty. All send
    at gap_mbps; together that is more than the rate, and of what is too much the
    queue grows past the threshold and stays below the buffer.
    """
    out = os.path.join(os.getcwd(), "train.csv")
    agg = net.aggregators[0]
    address = "%s:%d" % (agg.ip, PORT)
    frame_ns = FRAME * 8000 / rate_mbps
    most = min(2.3 * net.point["mark_us"] * 1000 / frame_ns + 36,
               0.8 * net.point["buffer_packets"])
    over = 1 - rate_mbps / (gap_mbps * len(senders))
    count = int(most / over / len(senders))
    receiver = net.start(agg, [
        INCAST, "receive", "--listen", address, "--count",
        str(count * len(senders)), "--out", out], "ready")
    at = uptime_ns() + 2 * 10**9
    trains = [net.start(host, [
        INCAST, "train", "--to", address, "--id", str(i), "--count",
        str(count), "--gap-ns", str(int(FRAME * 8000 / gap_mbps)), "--at",
        str(at + int(i * frame_ns / 3))]) for i, host in enumerate(senders)]
    for process in trains + [receiver]:
        net.finish(process)
    with open(out) as f:
        rows = [{k: int(v) for k, v in row.items()}
                for row in csv.DictReader(f)]
    way = [r["received_ns"] - r["sent_ns"] for r in rows]
    queued = [(w - min(way), r["ce"]) for w, r in zip(way, rows)]
    marked = [q for q, ce in queued if ce]
    plain = [q for q, ce in queued if not ce]
    # The port is busy from the tenth packet on.
    busy = [r["received_ns"] for r in rows][10:]
    rate = (len(busy) - 1) * FRAME * 8000 / (busy[-1] - busy[0])
    return {
        "rate_mbps": round(rate, 2),
        # between the longest unmarked and the shortest marked stay
        "mark_us": round((max(plain) + min(marked)) / 2000, 1)
        if marked and plain else None,
        "longest_unmarked_us": round(max(plain) / 1000, 1) if plain else None,
        "shortest_marked_us": round(min(marked) / 1000, 1) if marked else None,
    }


def check_link(point):
    """Base RTT, rate and marking threshold as they really are.

    Of the port towards the aggregator and, in a tree, of a rack's uplink too.
    """
    net = Network(point)
    address = "%s:%d" % (net.aggregators[0].ip, PORT)
    echo = net.start(net.aggregators[0], [
        INCAST, "receive", "--listen", address, "--count", "1", "--out",
        "/dev/null"], "ready")
    rtt_ns = int(net.run(net.workers[0], [INCAST, "ping", "--to", address]))
    echo.kill()
    echo.wait()
    rate = point["rate_mbps"]
    if point["topology"] == "star":
        found = check_queue(net, net.workers[:2], rate, 0.9 * rate)
    else:
        racks, uplink = point["racks"], point["uplink_mbps"]
        # one worker of each rack, below the rate of its uplink
        found = check_queue(net, net.workers[:racks], rate,
                            0.9 * min(rate, uplink))
        # two of one rack
        found |= {"uplink_" + k: v for k, v in check_queue(
            net, [net.workers[0], net.workers[racks]], uplink,
            0.9 * min(rate, uplink)).items()}
    net.stop()
    return found | {"base_rtt_us": round(rtt_ns / 1000, 1)}


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
    if job["do"] == "check":
        write_json("link.json", check_link(job["point"]))
    elif job["do"] == "flows":
        run_long(job)
    else:
        run_loads(job)


if __name__ == "__main__":
    main()
