# SPDX-License-Identifier: GPL-2.0
"""The algorithms that the bench compares, and everything that depends on which it is.

A new algorithm is a row of TABLE. No other file of the bench knows a name.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Algorithm:
    """A congestion control, what else is done, and how it is drawn."""

    name: str  # in scenarios, records, tables
    cc: str  # TCP_CONGESTION of all hosts
    colour: str
    marker: str  # of matplotlib
    deadlines: bool = False  # workers set the deadline of each response
    priorities: bool = False  # DSCP by time left, a queue per class at each port
    jitter: bool = False  # workers wait jitter_ms before they answer
    line: str = "-"

    @property
    def module(self):
        """The kernel module that must be loaded, or None."""
        return MODULES.get(self.cc)

    @property
    def reacts_to_marks(self):
        """Whether a window is cut by the fraction of marks, as DCTCP does."""
        return self.cc in ("dctcp", "d2tcp")

    @property
    def mixes(self):
        """Whether it can answer in the same query as another algorithm."""
        return not (self.priorities or self.jitter)


# The colours of Okabe and Ito, which colour-blind readers can tell apart, and a brown.
TABLE = (
    Algorithm("cubic", "cubic", "#999999", "s"),
    Algorithm("reno", "reno", "#56B4E9", "v"),
    Algorithm("bbr", "bbr", "#CC79A7", "^"),
    Algorithm("dctcp", "dctcp", "#E69F00", "o"),
    Algorithm("dctcp-prio", "dctcp", "#D55E00", "P", priorities=True),
    Algorithm("dctcp-jitter", "dctcp", "#7F5F2F", "*", jitter=True),
    Algorithm("d2tcp-nodeadline", "d2tcp", "#0072B2", "x", line="--"),
    Algorithm("d2tcp", "d2tcp", "#009E73", "D", deadlines=True),
)
MODULES = {"d2tcp": "tcp_d2tcp"}  # built by this project

BY_NAME = {a.name: a for a in TABLE}
NAMES = tuple(BY_NAME)

BASE = "dctcp"  # every other algorithm is compared with it
LAW = "d2tcp"  # the algorithm under test
PRIORITIES = "dctcp-prio"
PLAIN_TCP = "cubic"  # where the paper's claims say TCP
# Peers whose misses the findings compare with BASE's.
PEERS = ("cubic", "reno", "bbr", "dctcp-jitter")


def members(name):
    """The algorithms of a mix, "A+B"; of one algorithm, itself."""
    return [BY_NAME[part] for part in name.split("+")]


def modules(some):
    """The modules that algorithms need, each once."""
    return sorted({a.module for a in some if a.module})
