# SPDX-License-Identifier: GPL-2.0
"""Mininet, with the commands of all nodes and links run in a few batches.

Starting programs takes most of the time. So `ip -batch`, `tc -batch` and
`bridge -batch` run once for all switches, and ip and tc once per host.
"""

import os
import subprocess

from mininet import util
from mininet.net import Mininet

from . import nodes, queues, topos

# Mininet raises limits and socket buffers when its first network is created;
# the bench keeps the defaults of a host (SETTINGS).
Mininet.inited = True
util.numCores.ncores = os.cpu_count()

# New namespaces inherit these from the initial one, where they are restored
# when the network stops.
SETTINGS = (
    # switch ports need no addresses: IPv6 autoconfiguration on a thousand of
    # them would be a flood
    ("net/core/devconf_inherit_init_net", "1"),
    ("net/ipv6/conf/default/disable_ipv6", "1"),
    # the defaults of a host with ample memory; those of a small guest are lower
    ("net/ipv4/tcp_rmem", "4096 131072 6291456"),
    ("net/ipv4/tcp_wmem", "4096 16384 4194304"),
    # a large fan-in needs a large neighbour table
    ("net/ipv4/neigh/default/gc_thresh1", "8192"),
    ("net/ipv4/neigh/default/gc_thresh2", "16384"),
    ("net/ipv4/neigh/default/gc_thresh3", "32768"))
# Where the kernel serves this network alone, as in the lab.
LAB_SETTINGS = (("net/ipv6/conf/all/disable_ipv6", "1"),)


def batch(program, lines, netns=None):
    """Runs ip, tc or bridge once for many lines."""
    command = [program] + (["-n", netns] if netns else []) + ["-batch", "-"]
    done = subprocess.run(command, input="".join(x + "\n" for x in lines),
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False)
    if done.returncode or done.stdout.strip():
        raise SystemExit("network: %s: %s" % (" ".join(command),
                                              done.stdout.strip()))


def write_settings(settings):
    """Sets the sysctls that this kernel has; returns their previous values."""
    before = []
    for setting, value in settings:
        path = "/proc/sys/" + setting
        if not os.path.exists(path):
            continue
        with open(path) as f:
            before.append((setting, f.read().strip()))
        with open(path, "w") as f:
            f.write(value)
    return before


class Net(Mininet):
    """Builds a Topo of topos.py in batches; any other as Mininet does.

    `aggregators` and `workers` are hosts; `ports` has the switch ports with a
    queue and their rates in Mbit/s.
    """

    settings = SETTINGS
    changed = ()

    def __init__(self, topo=None, **options):
        self.ours = isinstance(topo, topos.Incast)
        if self.ours:
            options["controller"] = None
        super().__init__(topo, **options)

    def build(self):
        if not self.ours:
            super().build()
            return
        self.changed = write_settings(self.settings)
        super().build()
        self.aggregators = [h for h in self.hosts if h.aggregator]
        self.workers = [h for h in self.hosts if not h.aggregator]
        self.ports = {intf.name: intf.queue for link in self.links
                      for intf in (link.intf1, link.intf2) if intf.queue}
        self.set_up_switches()
        for host in self.hosts:
            self.set_up_host(host)

    def set_up_switches(self):
        batch("ip", [line for part in self.switches for line in part.lines()] +
              [line for link in self.links for line in link.lines])
        # Static entries for every host, so that nothing is flooded.
        batch("bridge", ["fdb add %s dev %s master static" % (host.mac, port)
                         for host in self.hosts
                         for port in self.ports_towards(host)])
        lines, filters = [], []
        for port, rate_mbps in self.ports.items():
            queue, classes = queues.switch_port(port, rate_mbps,
                                                self.topo.point,
                                                self.topo.priorities)
            lines += queue
            filters += classes
        batch("tc", lines + filters)

    def set_up_host(self, host):
        # aggregators send to each other when a link is checked
        peers = [h for h in self.hosts if h is not host and (
            h.aggregator or host.aggregator)]
        ip, tc = host.lines(self.topo.point, peers)
        batch("ip", ip, host.name)
        batch("tc", tc, host.name)
        # connections must not inherit the metrics of earlier ones
        host.set_sysctl("net/ipv4/tcp_no_metrics_save", 1)
        host.defaultIntf().setIP(host.ip + "/16")

    def ports_towards(self, host):
        """The port of each switch that leads to the host."""
        found, reached, todo = [], {host}, [host]
        for node in todo:
            for intf in node.intfList():
                link = intf.link
                far = link.intf2 if link.intf1 is intf else link.intf1
                if isinstance(far.node, nodes.Bridge) and \
                        far.node not in reached:
                    reached.add(far.node)
                    todo.append(far.node)
                    found.append(far.name)
        return found

    def stop(self):
        # super().stop() forgets the links
        ends = [link.intf1.name for link in self.links] if self.ours else []
        super().stop()
        if not self.ours:
            return
        # A namespace lives as long as its processes; its port must go now.
        batch("ip", ["link del " + end for end in ends] +
              ["link del %s" % switch for switch in self.switches] +
              ["netns del %s" % host for host in self.hosts])
        write_settings(self.changed)


class LabNet(Net):
    """For a kernel that serves this network alone."""

    settings = SETTINGS + LAB_SETTINGS
