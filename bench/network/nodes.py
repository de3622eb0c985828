# SPDX-License-Identifier: GPL-2.0
"""Subclasses of Mininet's hosts, switches and links that collect commands.

Mininet's own run a shell per node, and several programs per link. Here each
node and link only has the lines of `ip -batch` and `tc -batch` that create it;
net.py runs the lines of all. A shell starts with a node's first command at
Mininet's prompt.
"""

import ctypes
import os

from mininet import node as mininet_node
from mininet.link import Intf, Link

from . import queues

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


class Lazy:
    """A node whose shell starts only with its first command."""

    isSetup = True  # else Mininet looks for mnexec and ifconfig
    awake = False
    enter = []  # the command that enters the node's namespace

    def startShell(self, mnopts=None):
        if self.awake:
            super().startShell(mnopts)

    def _popen(self, cmd, **params):
        # startShell() runs mnexec, whose -n would create another namespace
        if cmd[:2] == ["mnexec", "-cdn"]:
            cmd = ["ip", "netns", "exec", self.name, "mnexec", "-cd"] + cmd[2:]
        return super()._popen(cmd, **params)

    def wake(self):
        if not self.awake:
            self.awake = True
            self.startShell()

    def cmd(self, *args, **kwargs):
        self.wake()
        return super().cmd(*args, **kwargs)

    def sendCmd(self, *args, **kwargs):
        self.wake()
        return super().sendCmd(*args, **kwargs)

    def popen(self, *args, **kwargs):
        kwargs.setdefault("mncmd", self.enter)
        return super().popen(*args, **kwargs)


class Host(Lazy, mininet_node.Host):
    """A host. `with host:` runs its body in the host's network namespace."""

    def __init__(self, name, ip=None, mac=None, aggregator=False, **params):
        self.enter = ["nsenter", "--net=/run/netns/" + name]
        self.ip, self.mac, self.aggregator = ip, mac, aggregator
        super().__init__(name, ip=ip + "/16", **params)

    def config(self, **_params):
        """Replaces Mininet's, which runs ifconfig; see lines()."""
        return {}

    def lines(self, point, peers):
        """Lines for ip and for tc, to run in the host's namespace."""
        return [
            "link set lo up", "link set eth0 up",
            "addr add %s/16 dev eth0 noprefixroute" % self.ip,
            "route add 10.0.0.0/16 dev eth0 rto_min %gms" % point["rto_min_ms"]
        ] + ["neigh replace %s lladdr %s dev eth0" % (peer.ip, peer.mac)
             for peer in peers], queues.shaper("eth0", point["rate_mbps"]) + [
                 queues.delay("eth0", point["host_delay_us"])]

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

    def set_sysctl(self, setting, value):
        """Sets a sysctl of the host, given as net/ipv4/..."""
        with self, open("/proc/sys/" + setting, "w") as f:
            f.write(str(value))

    def command(self, args):
        return self.enter + args


class Bridge(Lazy, mininet_node.Switch):
    """A switch: a bridge in the namespace that Mininet runs in."""

    def __init__(self, name, **params):
        # a switch outside of a namespace would set up lo with ifconfig
        params["inNamespace"] = True
        super().__init__(name, **params)
        self.inNamespace = False
        self.controlIntf = None

    def lines(self):
        return ["link add %s type bridge mcast_snooping 0" % self.name,
                "link set %s up" % self.name]

    def start(self, _controllers):
        """Nothing to start: a bridge forwards once it is up."""

    def stop(self, deleteIntfs=True):
        """net.py removes it."""


class Port(Intf):
    """An end of a link; `queue`, at a switch, is its egress rate in Mbit/s."""

    def config(self, queue=None, **_params):
        self.queue = queue
        return {}

    def setIP(self, ipstr, prefixLen=None):
        self.ip, _, self.prefixLen = ipstr.partition("/")

    def updateIP(self):
        # Mininet's runs ifconfig for each host named at the prompt
        return self.ip

    def ifconfig(self, *args):
        # `link w0 s1 down` acts on the switch only: eth0 would lose its routes
        if isinstance(self.node, Bridge) or args not in (("up",), ("down",)):
            self.node.cmd("ip link set", self.name, *args)
        return ""

    def delete(self):
        self.node.delIntf(self)
        self.link = None


class Veth(Link):
    """A veth pair. `lines` creates it and, for a host, the namespace."""

    def __init__(self, node1, node2, mac=None, **params):
        for key in ("addr1", "addr2", "intf"):
            params.pop(key, None)
        self.mac = mac
        super().__init__(node1, node2, intf=Port, **params)
        end1, end2 = self.intf1.name, self.intf2.name
        if isinstance(node2, Host):
            # gso_max_segs 1, because the queues count an skb as one packet
            self.lines = [
                "netns add " + node2.name,
                "link add %s gso_max_segs 1 type veth peer name %s address %s "
                "gso_max_segs 1 netns %s" % (end1, end2, mac, node2.name),
                "link set %s master %s up" % (end1, node1)]
        else:
            self.lines = [
                "link add %s type veth peer name %s" % (end1, end2),
                "link set %s master %s" % (end1, node1),
                "link set %s master %s" % (end2, node2),
                "link set %s up" % end1, "link set %s up" % end2]

    @classmethod
    def makeIntfPair(cls, intfname1, intfname2, *_args, **_kwargs):
        """Replaces Mininet's, which runs ip."""
