# SPDX-License-Identifier: GPL-2.0
"""The emulated network, built by Mininet.

    queues.py    what tc is asked for: shapers, marking queues, priorities
    nodes.py     Mininet's Host, Switch, Intf and Link, which collect their work
    topos.py     Mininet's Topo for the star and for the tree
    net.py       Mininet itself, which does the collected work in a few batches
    emulated.py  the network of a point of the bench: Network
    mn.py        for `mn --custom`: the same network at Mininet's prompt

Hosts are network namespaces of their names with one interface, eth0, that has the
rate and the delay, outward. Switches are bridges in the first namespace; each port
has a rate and a marking queue, outward. Port `p-NAME` leads to host NAME; `u-rN`
from the switch of rack N up to the aggregation switch, `d-rN` back.
"""

try:
    # Mininet asks for distutils, and setuptools, where it is installed, takes
    # a second to answer in its place.
    import _distutils_hack
    _distutils_hack.remove_shim()
except (ImportError, AttributeError):
    pass

from .emulated import Network  # noqa: E402
from .queues import FRAME  # noqa: E402

__all__ = ["FRAME", "Network"]
