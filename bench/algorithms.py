# SPDX-License-Identifier: GPL-2.0
"""The algorithms that the bench compares, and their properties.

To add one, add a row to TABLE: no other file of the bench depends on a name.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Algorithm:
    """A congestion control, what workers and aggregator do besides, and its style."""

    name: str  # in scenarios, options, records and tables
    shown: str  # in pictures and sentences
    cc: str  # TCP_CONGESTION of all hosts
    colour: str
    marker: str  # matplotlib's
    deadlines: bool = False  # workers set the deadline of each response
    priorities: bool = False  # DSCP by time left, a queue per class at each port
    grants: bool = False  # the aggregator declares what it expects: D2TCP_EXPECT
    jitter: bool = False  # workers wait jitter_ms before they respond
    line: str = "-"

    @property
    def module(self):
        """The kernel module that must be loaded, or None."""
        return MODULES.get("d2tcp" if self.grants else self.cc)

    @property
    def reacts_to_marks(self):
        """Whether it cuts its window by the fraction of marked packets, as DCTCP does."""
        return self.cc in ("dctcp", "d2tcp")

    @property
    def mixes(self):
        """Whether its workers can respond to the same query as those of another."""
        return not (self.priorities or self.jitter or self.grants)


# Any two colours differ by at least 30 in CIELAB, also as readers with deuteranopia
# or protanopia see them (tests/bench/test_pictures.py checks 25).
TABLE = (
    Algorithm("cubic", "CUBIC", "cubic", "#9D7069", "s"),
    Algorithm("reno", "Reno", "reno", "#D7B876", "v"),
    Algorithm("bbr", "BBR", "bbr", "#71598A", "^"),
    Algorithm("dctcp", "DCTCP", "dctcp", "#E69F00", "o"),
    Algorithm("dctcp-prio", "dctcp-prio", "dctcp", "#36002F", "P",
              priorities=True),
    Algorithm("dctcp-jitter", "dctcp-jitter", "dctcp", "#866409", "*",
              jitter=True),
    Algorithm("d2tcp-nodeadline", "d2tcp-nodeadline", "d2tcp", "#6BB5FF", "x",
              line="--"),
    Algorithm("grant-dctcp", "grant-dctcp", "dctcp", "#0A3B12", "<",
              grants=True),
    Algorithm("grant-cubic", "grant-cubic", "cubic", "#5DCCCE", ">",
              grants=True),
    Algorithm("grant-d2tcp", "grant-d2tcp", "d2tcp", "#2A00F6", "p",
              deadlines=True, grants=True),
    Algorithm("d2tcp", "d2tcp", "d2tcp", "#1665D1", "D", deadlines=True),
)
MODULES = {"d2tcp": "tcp_d2tcp"}  # built by this project

BY_NAME = {a.name: a for a in TABLE}
NAMES = tuple(BY_NAME)

BASE = "dctcp"  # every other algorithm is compared with it
LAW = "d2tcp"  # the algorithm under test
CONTROL = "d2tcp-nodeadline"  # its code without deadlines
PRIORITIES = "dctcp-prio"
GRANTS = "grant-dctcp"  # the receiver's side, with unchanged senders
PLAIN_TCP = "cubic"  # TCP in the paper's claims
# Further algorithms whose misses the findings compare with BASE's.
PEERS = ("cubic", "reno", "bbr", "dctcp-jitter")
# All with grants, GRANTS first.
GRANTED = (GRANTS,) + tuple(a.name for a in TABLE
                            if a.grants and a.name != GRANTS)


def members(name):
    """The algorithms of a mix "A+B", or of a single name."""
    return [BY_NAME[part] for part in name.split("+")]


def shown(name):
    """The name of an algorithm, or of a mix, in pictures and sentences."""
    return " + ".join(a.shown for a in members(name))


def modules(some):
    """The kernel modules that the algorithms need, without duplicates."""
    return sorted({a.module for a in some if a.module})
