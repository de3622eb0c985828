# SPDX-License-Identifier: GPL-2.0
"""Commands for tc, as lines of `tc -batch`."""

import math

FRAME = 1514  # bytes of a full Ethernet frame, as the shaper counts them
CLASSES = 4  # priorities by time left: WIRE_CLASSES in incast/wire.h


def shaper(dev, rate_mbps):
    """Shapes `dev` with a burst of one frame, so that frames leave evenly."""
    return ["qdisc add dev %s root handle 1: htb default 1" % dev,
            "class add dev %s parent 1: classid 1:1 htb rate %gmbit ceil "
            "%gmbit burst %d cburst %d quantum %d"
            % (dev, rate_mbps, rate_mbps, FRAME, FRAME, FRAME)]


def delay(dev, delay_us):
    return "qdisc add dev %s parent 1:1 handle 2: netem delay %gus " \
        "limit 100000" % (dev, delay_us)


def red_threshold(rate_mbps, mark_us):
    """The marking threshold in bytes: what the link sends in `mark_us`."""
    return round(rate_mbps * mark_us / 8)


def marking(dev, parent, handle, point, rate_mbps):
    """Marking at a single threshold, as DCTCP expects of switches.

    CoDel marks packets whose queueing delay exceeds ce_threshold and leaves
    those without ECT alone; its target is so high that its control law never
    acts. RED marks packets that find more than the threshold in the
    queue, and drops those without ECT, as most switches do; with the smallest
    burst that tc accepts, its average follows the queue within two packets.
    """
    head = "qdisc add dev %s parent %s handle %s: " % (dev, parent, handle)
    if point.get("marker", "codel") == "codel":
        return head + "codel limit %d target 10s interval 100s ecn " \
            "ce_threshold %gus" % (point["buffer_packets"], point["mark_us"])
    threshold = red_threshold(rate_mbps, point["mark_us"])
    return head + "red limit %d min %d max %d avpkt %d burst %d " \
        "probability 1 bandwidth %gmbit ecn" % (
            point["buffer_packets"] * FRAME, threshold, threshold + 1, FRAME,
            math.ceil(threshold / FRAME), rate_mbps)


def switch_port(dev, rate_mbps, point, priorities=False):
    """The queue of a port: lines for queues, and lines for filters.

    With priorities there is one queue per class and one for all other traffic,
    each with the whole buffer and threshold to itself.
    """
    lines = shaper(dev, rate_mbps)
    if not priorities:
        return lines + [marking(dev, "1:1", "2", point, rate_mbps)], []
    lines.append("qdisc add dev %s parent 1:1 handle 2: prio bands %d priomap%s"
                 % (dev, CLASSES + 1, (" %d" % CLASSES) * 16))
    lines += [marking(dev, "2:%d" % (i + 1), "%d" % (10 + i), point, rate_mbps)
              for i in range(CLASSES + 1)]
    # CS5 is the most urgent: WIRE_TOS in incast/wire.h
    return lines, ["filter add dev %s parent 2: protocol ip prio 1 u32 match ip "
                   "tos %#x 0xe0 flowid 2:%d" % (dev, (5 - i) << 5, i + 1)
                   for i in range(CLASSES)]


def counted(queue):
    """(packets, marks, drops) of a marking queue as `tc -s -j` shows it, or None
    for another kind of queue.
    """
    if queue["kind"] == "codel":
        # marks of ce_threshold; those of CoDel's control law must stay 0
        return queue["packets"], queue.get("ce_mark", 0), queue["drops"]
    if queue["kind"] == "red":
        return queue["packets"], queue.get("marked", 0), queue["drops"]
    return None
