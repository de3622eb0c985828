# SPDX-License-Identifier: GPL-2.0
"""The two topologies of the bench, as Mininet's Topo.

    s1 --- agg0            star: workers and aggregators below one switch
     | \-- w0, w1, ...

    s1 --- agg0            tree: workers in racks, each with a switch and an
     |                     uplink to s1
    r0 --- w0, w2, ...
    r1 --- w1, w3, ...

Both take the keys of a scenario's point (docs/bench.md) and, at Mininet's prompt,
single values: `--topo incast,leaves=8,mark_us=120`.
"""

from mininet.topo import Topo

import scenario as scenarios
from . import nodes

# of a point at Mininet's prompt, and of the programs that need no scenario
DEFAULTS = {"rate_mbps": 1000, "host_delay_us": 75, "buffer_packets": 400,
            "mark_us": 240, "rto_min_ms": 10, "marker": "codel",
            "aggregators": 1}
RACKS = {"racks": 2, "uplink_mbps": 1000}


class Incast(Topo):
    """The base of star and tree: hosts below switches."""

    racks = 0

    def make_point(self, leaves, own, defaults):
        wrong = sorted(set(own) - set(defaults))
        if wrong:
            raise ValueError("%s: no such parameter; known are leaves, "
                             "%s" % (", ".join(wrong),
                                                 ", ".join(sorted(defaults))))
        point = defaults | own | {"fan_in": leaves}
        if point["marker"] not in scenarios.MARKERS:
            raise ValueError("marker %s: known are %s" % (
                point["marker"], ", ".join(scenarios.MARKERS)))
        if not 1 <= leaves <= 1000:
            raise ValueError("leaves %s: must be 1 to 1000" % leaves)
        return point

    def lay_out(self, point, priorities):
        self.point, self.priorities, self.in_order = point, priorities, []
        count = point.get("aggregator_hosts", point.get("aggregators", 1))
        self.addSwitch("s1", cls=nodes.Bridge)
        for rack in range(self.racks):
            self.addSwitch("r%d" % rack, cls=nodes.Bridge, dpid="%x" % (2 + rack))
        for rack in range(self.racks):
            self.addLink("r%d" % rack, "s1", cls=nodes.Veth,
                         intfName1="u-r%d" % rack, intfName2="d-r%d" % rack,
                         queue=point["uplink_mbps"])
        names = ["agg%d" % i for i in range(count)] + \
            ["w%d" % i for i in range(point["fan_in"])]
        for i, name in enumerate(names):
            switch = "s1"
            if self.racks and i >= count:
                switch = "r%d" % ((i - count) % self.racks)
            mac = "02:00:00:00:%02x:%02x" % divmod(1 + i, 256)
            self.addHost(name, cls=nodes.Host, mac=mac, aggregator=i < count,
                         ip="10.0.%d.%d" % divmod(1 + i, 250))
            self.addLink(switch, name, cls=nodes.Veth, mac=mac,
                         intfName1="p-" + name, intfName2="eth0",
                         params1={"queue": point["rate_mbps"]})

    # Links in the order in which they were added, not sorted by name: the
    # kernel numbers the interfaces in that order.
    def addLink(self, node1, node2, **opts):
        key = super().addLink(node1, node2, **opts)
        self.in_order.append((node1, node2, key,
                              self.linkInfo(node1, node2, key)))
        return key

    def iterLinks(self, withKeys=False, withInfo=False):
        for node1, node2, key, info in self.in_order:
            yield ((node1, node2) + ((key,) if withKeys else ()) +
                   ((info,) if withInfo else ()))

    def links(self, sort=False, withKeys=False, withInfo=False):
        return list(self.iterLinks(withKeys, withInfo))

    def switches(self, sort=True):
        return super().switches(False)


class Star(Incast):
    def build(self, leaves=8, point=None, priorities=False, **own):
        point = point or self.make_point(leaves, own, DEFAULTS)
        self.lay_out(point, priorities)


class Tree(Incast):
    def build(self, leaves=8, point=None, priorities=False, **own):
        point = point or self.make_point(leaves, own, DEFAULTS | RACKS)
        self.racks = point["racks"]
        self.lay_out(point, priorities)


TOPOS = {"star": Star, "tree": Tree}
