#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Runs one job of the bench inside the lab kernel.

Called as `topology.py JOB.json` by run.py through tests/lab/lab. Builds the
scenario's network with Mininet, then does what the job asks for:

"check"  measures the emulated link itself and writes link.json
"load"   runs the load generator, once per seed, and writes records.csv and
         load.json into a directory seedN

Everything is written below the directory of JOB.json. During the measured
phase this program sleeps in poll(); only compiled programs run.
"""

import csv
import json
import os
import random
import resource
import subprocess
import sys

from mininet.link import Intf, Link
from mininet.log import setLogLevel
from mininet.net import Mininet
from mininet.nodelib import LinuxBridge
from mininet.topo import Topo

PORT = 5000
FRAME = 1514  # bytes of a full Ethernet frame, as the shaper counts them
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
INCAST = os.path.join(ROOT, "build", "incast")


def shell(node, *commands):
    """Runs commands on a node; none of them may say anything."""
    for command in commands:
        out = node.cmd(command)
        if out.strip():
            raise SystemExit("topology: %s: %s: %s"
                             % (node, command, out.strip()))


def batch_command(program, lines):
    """One start of ip or tc for many lines: starting is what takes time."""
    return "printf '%s\\n' | %s -batch -" % ("\\n".join(lines), program)


class ShapedIntf(Intf):
    """One end of a link: rate, and either delay or a marking queue."""

    def config(self, rate_mbps=None, delay_us=0, mark_us=None,
               buffer_packets=None, **params):
        result = super().config(**params)
        if rate_mbps is None:
            return result
        rate = "%gmbit" % rate_mbps
        # A burst of one frame: what is shaped leaves evenly, frame by frame.
        batch = ["qdisc add dev %s root handle 1: htb default 1" % self,
                 "class add dev %s parent 1: classid 1:1 htb rate %s ceil %s "
                 "burst %d cburst %d quantum %d"
                 % (self, rate, rate, FRAME, FRAME, FRAME)]
        if mark_us is None:
            batch.append("qdisc add dev %s parent 1:1 handle 2: netem "
                         "delay %gus limit 100000" % (self, delay_us))
        else:
            # Step marking on sojourn time, as DCTCP's switches mark; the
            # target is out of reach, so CoDel itself never acts.
            batch.append("qdisc add dev %s parent 1:1 handle 2: codel "
                         "limit %d target 10s interval 100s ecn "
                         "ce_threshold %gus"
                         % (self, buffer_packets, mark_us))
        # One skb of 64 KB would be one packet to the marking queue.
        shell(self.node, "ethtool -K %s tso off gso off gro off" % self,
              batch_command("tc", batch))
        return result


class Star(Topo):
    """One switch, the workers and the aggregator `agg`."""

    def build(self, point):
        switch = self.addSwitch("s1")
        queue = {"rate_mbps": point["rate_mbps"], "mark_us": point["mark_us"],
                 "buffer_packets": point["buffer_packets"]}
        host = {"rate_mbps": point["rate_mbps"],
                "delay_us": point["host_delay_us"]}
        names = ["agg"] + ["w%d" % i for i in range(point["fan_in"])]
        for i, name in enumerate(names):
            node = self.addHost(
                name, ip="10.0.%d.%d/16" % ((i + 1) // 250, (i + 1) % 250 + 1))
            self.addLink(node, switch, cls=Link, intf=ShapedIntf,
                         params1=host, params2=queue)


TOPOLOGIES = {"star": Star}


class Network:
    """The started network; `agg` and `workers` are Mininet hosts."""

    def __init__(self, point):
        self.point = point
        # mnexec closes every descriptor up to the limit, at each start of a
        # program. Mininet raises it to 16384; a few per host are enough.
        Mininet.init()
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE,
                           (256 + 16 * point["fan_in"], hard))
        self.net = Mininet(topo=TOPOLOGIES[point["topology"]](point=point),
                           switch=LinuxBridge, controller=None)
        self.net.start()
        self.agg = self.net["agg"]
        self.workers = [self.net["w%d" % i] for i in range(point["fan_in"])]
        self.started = []
        for host in [self.agg] + self.workers:
            dev = host.defaultIntf()
            # Every neighbour is known beforehand: nothing waits for ARP.
            batch = ["route change 10.0.0.0/16 dev %s rto_min %gms"
                     % (dev, point["rto_min_ms"])]
            batch += ["neigh replace %s lladdr %s dev %s"
                      % (peer.IP(), peer.MAC(), dev)
                      for peer in ([self.agg] if host is not self.agg
                                   else self.workers)]
            shell(host, batch_command("ip", batch),
                  # metrics of earlier connections must not reach later ones
                  "echo 1 > /proc/sys/net/ipv4/tcp_no_metrics_save")

    def start(self, host, args, wait_for=None):
        """Starts a program on a host and waits until it says `wait_for`."""
        process = host.popen(args, stdout=subprocess.PIPE, stderr=None)
        self.started.append(process)
        if wait_for:
            line = process.stdout.readline().decode().strip()
            if line != wait_for:
                raise SystemExit("topology: %s said '%s'"
                                 % (" ".join(args), line))
        return process

    def run(self, host, args):
        """Runs a program on a host; its output, or the end of the job."""
        process = host.popen(args, stdout=subprocess.PIPE, stderr=None)
        out = process.communicate()[0].decode()
        if process.returncode:
            raise SystemExit("topology: '%s' failed (%d)"
                             % (" ".join(args), process.returncode))
        return out

    def bottleneck(self):
        """Interface of the switch towards the aggregator."""
        return self.agg.defaultIntf().link.intf2

    def queue_counters(self):
        """Packets, marks and drops at the bottleneck so far."""
        dev = self.bottleneck().name
        out = subprocess.run(["tc", "-s", "-j", "qdisc", "show", "dev", dev],
                             check=True, stdout=subprocess.PIPE).stdout
        codel = [q for q in json.loads(out) if q["kind"] == "codel"][0]
        # marks by the threshold, and those of CoDel itself, which must stay 0
        return {"packets": codel["packets"],
                "marks": codel.get("ce_mark", 0),
                "drops": codel["drops"]}

    def stop(self):
        """Ends what was started; the network goes with the lab kernel."""
        for process in self.started:
            process.kill()
            process.wait()


def check_link(point):
    """Rate, base RTT and marking threshold as they really are.

    The rate comes from the gaps between full frames that leave the busy port.
    The threshold comes from each packet's time in the queue: what it took from
    sender to receiver beyond the first packet, which found the queue empty.
    """
    net = Network(point)
    here = os.getcwd()
    out = os.path.join(here, "train.csv")
    address = "%s:%d" % (net.agg.IP(), PORT)
    frame_ns = FRAME * 8000 / point["rate_mbps"]
    senders = net.workers[:2]
    # Two senders at 0.9 of the rate each: the queue grows past the threshold
    # and stays below the buffer.
    need = 2.6 * (point["mark_us"] * 1000 / frame_ns) + 40
    count = int(min(need, 0.9 * point["buffer_packets"]))
    receiver = net.start(net.agg, [
        INCAST, "receive", "--listen", address, "--count",
        str(count * len(senders)), "--out", out], "ready")
    rtt_ns = int(net.run(net.workers[0], [INCAST, "ping", "--to", address]))
    with open("/proc/uptime") as f:
        at = (int(float(f.read().split()[0])) + 2) * 10**9
    trains = [net.start(host, [
        INCAST, "train", "--to", address, "--id", str(i), "--count",
        str(count), "--gap-ns", str(int(frame_ns / 0.9)), "--at",
        str(at + int(i * frame_ns / 3))]) for i, host in enumerate(senders)]
    for process in trains + [receiver]:
        if process.wait():
            raise SystemExit("topology: checking the link failed")
    with open(out) as f:
        rows = [{k: int(v) for k, v in row.items()}
                for row in csv.DictReader(f)]
    net.stop()

    way = [r["received_ns"] - r["sent_ns"] for r in rows]
    queued = [(w - min(way), r["ce"]) for w, r in zip(way, rows)]
    marked = [q for q, ce in queued if ce]
    plain = [q for q, ce in queued if not ce]
    # The port is busy from the tenth packet on.
    busy = [r["received_ns"] for r in rows][10:]
    rate = (len(busy) - 1) * FRAME * 8000 / (busy[-1] - busy[0])
    return {
        "rate_mbps": round(rate, 2),
        "base_rtt_us": round(rtt_ns / 1000, 1),
        # between the longest unmarked and the shortest marked stay
        "mark_us": round((max(plain) + min(marked)) / 2000, 1)
        if marked and plain else None,
        "longest_unmarked_us": round(max(plain) / 1000, 1) if plain else None,
        "shortest_marked_us": round(min(marked) / 1000, 1) if marked else None,
    }


class Load:
    """The load generator on a network: one run per seed, same workers."""

    def __init__(self, point, algorithm, slack, params):
        self.net = Network(point)
        cc, deadlines = {
            "d2tcp": ("d2tcp", True),
            "d2tcp-nodeadline": ("d2tcp", False),
        }.get(algorithm, (algorithm, False))
        if cc == "d2tcp":
            subprocess.run(["modprobe", "tcp_d2tcp"] + params, check=True)
            # modprobe takes a parameter that the module has not for granted
            for param in params:
                name, value = param.split("=")
                with open("/sys/module/tcp_d2tcp/parameters/" + name) as f:
                    if int(f.read()) != int(value):
                        raise SystemExit("topology: %s was not taken" % param)
        self.command = [
            INCAST, "aggregate", "--cc", cc, "--slack", repr(slack),
            # every run starts at the same place between two ticks
            "--start-align-ms", "1000", "--queries", str(point["queries"])]
        for host in self.net.workers:
            address = "%s:%d" % (host.IP(), PORT)
            args = [INCAST, "worker", "--listen", address, "--cc", cc,
                    "--shared-clock"]
            self.net.start(host, args + (["--deadlines"] if deadlines else []),
                           "ready")
            self.command += ["--worker", address]
        if "response_bytes" in point:
            self.command += ["--response-bytes", str(point["response_bytes"])]
        else:
            self.command += ["--query-bytes", str(point["query_bytes"]),
                             "--spread", str(point["response_spread"])]
        self.command += ["--deadline-ms", str(point["deadline_ms"])]
        if "arrival" in point:
            rate = point["arrival"][len("poisson("):-1]
            self.command += ["--poisson", rate]
        else:
            self.command += ["--min-gap-ms", str(point["min_gap_ms"])]
        self.command += ["--think-ms", str(point["think_ms"]),
                         "--background", str(point["background_flows"])]

    def run(self, seed, directory):
        """Leaves records.csv and load.json in the directory."""
        os.makedirs(directory)
        before = self.net.queue_counters()
        result = json.loads(self.net.run(self.net.agg, self.command + [
            "--seed", str(seed), "--out",
            os.path.join(directory, "records.csv")]))
        after = self.net.queue_counters()
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


def main():
    job_file = os.path.abspath(sys.argv[1])
    with open(job_file) as f:
        job = json.load(f)
    os.chdir(os.path.dirname(job_file))
    setLogLevel("error")
    # Mininet draws MAC addresses; every run must have the same ones.
    random.seed(1)
    # A large fan-in needs a large neighbour table.
    for i, size in enumerate((8192, 16384, 32768), 1):
        subprocess.run(["sysctl", "-qw",
                        "net.ipv4.neigh.default.gc_thresh%d=%d" % (i, size)],
                       check=True)
    if job["do"] == "check":
        write_json("link.json", check_link(job["point"]))
    else:
        run_loads(job)


if __name__ == "__main__":
    main()
