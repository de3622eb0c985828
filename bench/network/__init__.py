# SPDX-License-Identifier: GPL-2.0
"""The emulated network, built by Mininet.

    queues.py    commands for tc: shapers, marking queues, priorities
    nodes.py     Mininet's Host, Switch, Intf and Link, which collect commands
    topos.py     Mininet's Topo for the star and for the tree
    net.py       Mininet itself, which runs the commands in a few batches
    emulated.py  the network of a point of the bench: Network
    mn.py        for `mn --custom`: the same network at Mininet's prompt

Each host is a network namespace of its name with one interface, eth0, which
applies the rate and the delay on egress. Switches are bridges in the initial
namespace; each port has a rate and a marking queue on egress. Port `p-NAME`
leads to host NAME, `u-rN` from the switch of rack N up to the aggregation
switch, and `d-rN` back.
"""

try:
    # Mininet imports distutils; where setuptools is installed, its replacement
    # for distutils takes a second to load.
    import _distutils_hack
    _distutils_hack.remove_shim()
except (ImportError, AttributeError):
    pass

from .emulated import Network  # noqa: E402
from .net import Net  # noqa: E402
from .topos import DEFAULTS, Star, Tree  # noqa: E402

__all__ = ["DEFAULTS", "Net", "Network", "Star", "Tree"]
