# SPDX-License-Identifier: GPL-2.0
"""The emulated network: network namespaces, veths, bridges, queues.

Made with iproute2's batch mode, a few programs per host: what takes time in the lab
is starting programs, and a network of a thousand hosts is up in half a minute.
Everything lives in the lab's kernel and goes with it.

Hosts are network namespaces of their names with one interface, eth0, that has the
rate and the delay, outward. Switches are bridges in the first namespace; each port
has a rate and a marking queue, outward. Port `p-NAME` leads to host NAME; `u-rN` from
the switch of rack N up to the aggregation switch, `d-rN` back.
"""

import ctypes
import json
import os
import subprocess

FRAME = 1514  # bytes of a full Ethernet frame, as the shaper counts them
CLONE_NEWNET = 0x40000000
CLASSES = 4  # of packets by time left: WIRE_CLASSES in incast/wire.h
_libc = ctypes.CDLL(None, use_errno=True)


def batch(program, lines, netns=None):
    """One start of ip, tc or bridge for many lines."""
    command = [program] + (["-n", netns] if netns else []) + ["-batch", "-"]
    done = subprocess.run(command, input="".join(x + "\n" for x in lines),
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False)
    if done.returncode or done.stdout.strip():
        raise SystemExit("network: %s: %s" % (" ".join(command),
                                              done.stdout.strip()))


class Host:
    """A host; also an entry for `with`: this process is inside meanwhile."""

    def __init__(self, name, number):
        self.name = name
        self.mac = "02:00:00:00:%02x:%02x" % divmod(number, 256)
        self.ip = "10.0.%d.%d" % divmod(number, 250)

    def __enter__(self):
        self.outside = os.open("/proc/self/ns/net", os.O_RDONLY)
        self._enter(os.open("/run/netns/" + self.name, os.O_RDONLY))

    def __exit__(self, *_):
        self._enter(self.outside)

    @staticmethod
    def _enter(fd):
        if _libc.setns(fd, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        os.close(fd)

    def write(self, setting, value):
        """Sets a sysctl of the host: net/ipv4/..."""
        with self, open("/proc/sys/" + setting, "w") as f:
            f.write(str(value))

    def command(self, args):
        return ["nsenter", "--net=/run/netns/" + self.name] + args


def shaper(dev, rate_mbps):
    """What is shaped leaves evenly: the burst is one frame."""
    return ["qdisc add dev %s root handle 1: htb default 1" % dev,
            "class add dev %s parent 1: classid 1:1 htb rate %gmbit ceil "
            "%gmbit burst %d cburst %d quantum %d"
            % (dev, rate_mbps, rate_mbps, FRAME, FRAME, FRAME)]


def marking(dev, parent, handle, point):
    """Step marking on sojourn time, as DCTCP's switches mark.

    The target is out of reach, so CoDel itself never acts.
    """
    return "qdisc add dev %s parent %s handle %s: codel limit %d " \
        "target 10s interval 100s ecn ce_threshold %gus" % (
            dev, parent, handle, point["buffer_packets"], point["mark_us"])


def switch_port(dev, rate_mbps, point, priorities=False):
    """The queue of a port; with priorities, one for each class and one for the rest.

    Each of those has the whole buffer and the whole threshold to itself.
    """
    lines = shaper(dev, rate_mbps)
    if not priorities:
        return lines + [marking(dev, "1:1", "2", point)], []
    lines.append("qdisc add dev %s parent 1:1 handle 2: prio bands %d priomap%s"
                 % (dev, CLASSES + 1, (" %d" % CLASSES) * 16))
    lines += [marking(dev, "2:%d" % (i + 1), "%d" % (10 + i), point)
              for i in range(CLASSES + 1)]
    # CS5 is the most urgent: WIRE_TOS in incast/wire.h
    return lines, ["filter add dev %s parent 2: protocol ip prio 1 u32 match ip "
                   "tos %#x 0xe0 flowid 2:%d" % (dev, (5 - i) << 5, i + 1)
                   for i in range(CLASSES)]


class Network:
    """The started network of a point: `aggregators` and `workers` are hosts."""

    def __init__(self, point, priorities=False):
        self.point = point
        count = point.get("aggregators", 1)
        self.aggregators = [Host("agg%d" % i, 1 + i) for i in range(count)]
        self.workers = [Host("w%d" % i, 1 + count + i)
                        for i in range(point["fan_in"])]
        self.started = []
        racks = point["racks"] if point["topology"] == "tree" else 0
        hosts = self.aggregators + self.workers

        # Every namespace takes these over from the first one.
        for setting, value in (
                # ports of a switch have no addresses: a thousand that greet
                # each other are a flood
                ("net/core/devconf_inherit_init_net", "1"),
                ("net/ipv6/conf/all/disable_ipv6", "1"),
                ("net/ipv6/conf/default/disable_ipv6", "1"),
                # as a host of some size has them by default; a guest with
                # little memory has less
                ("net/ipv4/tcp_rmem", "4096 131072 6291456"),
                ("net/ipv4/tcp_wmem", "4096 16384 4194304"),
                # a large fan-in needs a large neighbour table
                ("net/ipv4/neigh/default/gc_thresh1", "8192"),
                ("net/ipv4/neigh/default/gc_thresh2", "16384"),
                ("net/ipv4/neigh/default/gc_thresh3", "32768")):
            with open("/proc/sys/" + setting, "w") as f:
                f.write(value)

        links, fdb, self.ports = [], [], {}
        for bridge in ["s1"] + ["r%d" % i for i in range(racks)]:
            links += ["link add %s type bridge mcast_snooping 0" % bridge,
                      "link set %s up" % bridge]
        for i in range(racks):
            links += ["link add u-r%d type veth peer name d-r%d" % (i, i),
                      "link set u-r%d master r%d" % (i, i),
                      "link set d-r%d master s1" % i,
                      "link set u-r%d up" % i, "link set d-r%d up" % i]
            self.ports["u-r%d" % i] = point["uplink_mbps"]
            self.ports["d-r%d" % i] = point["uplink_mbps"]
        for i, host in enumerate(hosts):
            port = "p-" + host.name
            rack = (i - count) % racks if racks and i >= count else None
            bridge = "s1" if rack is None else "r%d" % rack
            self.ports[port] = point["rate_mbps"]
            # Whatever one skb holds is one packet to the queues.
            links += ["netns add " + host.name,
                      "link add %s gso_max_segs 1 type veth peer name eth0 "
                      "address %s gso_max_segs 1 netns %s"
                      % (port, host.mac, host.name),
                      "link set %s master %s up" % (port, bridge)]
            # Every way is known beforehand: nothing is flooded.
            fdb.append("fdb add %s dev %s master static" % (host.mac, port))
            for r in range(racks):
                if rack is None:
                    fdb.append("fdb add %s dev u-r%d master static"
                               % (host.mac, r))
            if rack is not None:
                fdb.append("fdb add %s dev d-r%d master static"
                           % (host.mac, rack))
                fdb += ["fdb add %s dev u-r%d master static" % (host.mac, r)
                        for r in range(racks) if r != rack]
        batch("ip", links)
        batch("bridge", fdb)
        queues, filters = [], []
        for port, rate in self.ports.items():
            queue, classes = switch_port(port, rate, point, priorities)
            queues += queue
            filters += classes
        batch("tc", queues + filters)
        for i, host in enumerate(hosts):
            peers = self.workers if i < count else self.aggregators
            batch("ip", [
                "link set lo up", "link set eth0 up",
                "addr add %s/16 dev eth0 noprefixroute" % host.ip,
                "route add 10.0.0.0/16 dev eth0 rto_min %gms"
                % point["rto_min_ms"]] + [
                    "neigh replace %s lladdr %s dev eth0" % (peer.ip, peer.mac)
                    for peer in peers], host.name)
            batch("tc", shaper("eth0", point["rate_mbps"]) + [
                "qdisc add dev eth0 parent 1:1 handle 2: netem delay %gus "
                "limit 100000" % point["host_delay_us"]], host.name)
            # metrics of earlier connections must not reach later ones
            host.write("net/ipv4/tcp_no_metrics_save", 1)

    def start(self, host, args, wait_for=None):
        """Starts a program on a host and waits until it says `wait_for`."""
        process = subprocess.Popen(host.command(args) if host else args,
                                   stdout=subprocess.PIPE, stderr=None)
        self.started.append(process)
        if wait_for:
            line = process.stdout.readline().decode().strip()
            if line != wait_for:
                raise SystemExit("network: %s said '%s'"
                                 % (" ".join(args)[:1000], line))
        return process

    def finish(self, process):
        """What a program said; it must have ended well."""
        out = process.communicate()[0].decode()
        if process.returncode:
            raise SystemExit("network: '%s' failed (%d)" % (
                " ".join(process.args)[:1000], process.returncode))
        return out

    def run(self, host, args):
        """Runs a program on a host; its output, or the end of the job."""
        return self.finish(self.start(host, args))

    def queue_counters(self):
        """Packets, marks and drops so far: towards the aggregators, and up the
        tree if there is one.
        """
        sums = {"packets": 0, "marks": 0, "drops": 0}
        watched = ["p-" + a.name for a in self.aggregators]
        uplinks = [p for p in self.ports if p.startswith("u-")]
        if uplinks:
            sums |= {"uplink_marks": 0, "uplink_drops": 0}
        for dev in watched + uplinks:
            out = subprocess.run(
                ["tc", "-s", "-j", "qdisc", "show", "dev", dev], check=True,
                stdout=subprocess.PIPE).stdout
            up = "uplink_" if dev in uplinks else ""
            for queue in json.loads(out):
                if queue["kind"] != "codel":
                    continue
                if not up:
                    sums["packets"] += queue["packets"]
                # marks by the threshold; those of CoDel itself must stay 0
                sums[up + "marks"] += queue.get("ce_mark", 0)
                sums[up + "drops"] += queue["drops"]
        return sums

    def stop(self):
        """Ends what was started; the network goes with the lab kernel."""
        for process in self.started:
            process.kill()
            process.wait()
