# SPDX-License-Identifier: GPL-2.0
"""Measures an emulated link and checks that it is as described.

measure() runs inside the lab. Trains of full frames from several senders meet
at a port and overload it. Each frame carries its send time, and the receiving
kernel timestamps its arrival. The queueing delay of a frame is its delay minus
that of a lone frame of the same sender, which finds the queue empty; lone
frames are sent first. Trains start at different phases of the clocks below, so
that they sample many queueing delays around the threshold.

Resolution: reading the clock takes CLOCK_NS of virtual time, which is also its
granularity. CoDel's own clock ticks every CODEL_NS, and CoDel marks a packet
when its delay in ticks exceeds the threshold in ticks. So a delay of T ticks
and a fraction is marked with the probability of that fraction, and the
threshold is measured half a tick after T.
"""

import csv
import os

CLOCK_NS = 256  # TIMER_MULTIPLIER of User Mode Linux
CODEL_NS = 1 << 10  # CODEL_SHIFT of the kernel
FRAME = 1514
PORT = 5000
TRAINS, LONE = 8, 16


def busy_frames(point, senders, rate_mbps, gap_mbps):
    """Frames per sender in a train, so that the queue grows past the threshold
    but not beyond the buffer.
    """
    frame_ns = FRAME * 8000 / rate_mbps
    queue = min(2.3 * point["mark_us"] * 1000 / frame_ns + 36,
                0.8 * point["buffer_packets"])
    over = 1 - rate_mbps / (gap_mbps * senders)
    return int(queue / over / senders)


def send(net, senders, incast, address, count, gap_ns, at, ids):
    trains = [net.start(host, [
        incast, "train", "--to", address, "--id", str(number), "--count",
        str(count), "--gap-ns", str(gap_ns), "--at", str(start)])
              for host, number, start in zip(senders, ids, at)]
    for train in trains:
        net.finish(train)


def read_frames(path):
    with open(path) as f:
        return [{k: int(v) for k, v in row.items()}
                for row in csv.DictReader(f)]


def stays(frames, senders):
    """(queueing delay in ns, marked) of each frame of the trains."""
    lone = {}
    for i in range(senders):
        took = [f["received_ns"] - f["sent_ns"] for f in frames if f["id"] == i]
        lone[i] = sum(took) / len(took)
    return [(f["received_ns"] - f["sent_ns"] - lone[f["id"] % senders], f["ce"])
            for f in frames if f["id"] >= senders]


def threshold(found):
    """(us, spacing in us): the queueing delay that best separates unmarked from
    marked frames, and the largest gap between measured delays around it. None
    for both when all frames were marked, or none.
    """
    found = sorted(found)
    marked = sum(ce for _, ce in found)
    if marked in (0, len(found)):
        return None, None
    # errors if the threshold lay after the first i frames, in order of delay
    best = wrong = len(found) - marked
    where = [0]
    for i, (_, ce) in enumerate(found, 1):
        wrong += 1 if ce else -1
        if wrong < best:
            best, where = wrong, []
        if wrong == best:
            where.append(i)
    first, last = max(where[0], 1), min(where[-1], len(found) - 1)
    near = [found[i][0] for i in range(max(first - 3, 0),
                                       min(last + 3, len(found)))]
    spacing = max(b - a for a, b in zip(near, near[1:]))
    middle = (found[first - 1][0] + found[last][0]) / 2
    return middle / 1000, spacing / 1000


def check_queue(net, senders, incast, rate_mbps, gap_mbps, now_ns):
    """Measures rate and threshold of the queue where the trains meet."""
    out = os.path.join(os.getcwd(), "train.csv")
    agg = net.aggregators[0]
    address = "%s:%d" % (agg.ip, PORT)
    n = len(senders)
    count = busy_frames(net.point, n, rate_mbps, gap_mbps)
    gap_ns = int(FRAME * 8000 / gap_mbps)
    frame_ns = FRAME * 8000 / rate_mbps
    receiver = net.start(agg, [
        incast, "receive", "--listen", address, "--count",
        str(n * LONE + TRAINS * n * count), "--out", out], "ready")
    for i, host in enumerate(senders):
        # a millisecond apart, each at another phase of the clocks
        send(net, [host], incast, address, LONE, 10**6 + 61, [
            now_ns() + 10**9], [i])
    for train in range(TRAINS):
        start = now_ns() + 10**9 + train * CODEL_NS // TRAINS
        send(net, senders, incast, address, count, gap_ns,
             # and at other phases between the senders
             [int(start + i * frame_ns * (train + 0.5) / TRAINS)
              for i in range(n)],
             [n + train * n + i for i in range(n)])
    net.finish(receiver)
    frames = read_frames(out)
    busy = bits = 0
    for train in range(TRAINS):
        came = [f["received_ns"] for f in frames
                if (f["id"] - n) // n == train and f["id"] >= n]
        # the port is busy from the tenth frame on
        busy += came[-1] - came[10]
        bits += (len(came) - 11) * FRAME * 8
    found = stays(frames, n)
    mark_us, spacing_us = threshold(found)
    return {
        "rate_mbps": round(bits * 1000 / busy, 2),
        "rate_error": round(2 * CLOCK_NS * TRAINS / busy, 5),
        "mark_us": mark_us and round(mark_us, 1),
        "mark_spacing_us": spacing_us and round(spacing_us, 2),
        "longest_unmarked_us": mark_us and round(
            max(q for q, ce in found if not ce) / 1000, 1),
        "shortest_marked_us": mark_us and round(
            min(q for q, ce in found if ce) / 1000, 1),
    }


def beside(point):
    """How many hosts beside the aggregator the check needs: two where the uplinks of
    a tree together cannot fill its port.
    """
    fills = point["topology"] != "tree" or \
        0.8 * point["racks"] * point["uplink_mbps"] > point["rate_mbps"]
    return 0 if fills else 2


def measure(net, incast, now_ns):
    """Measures base RTT, and rate and marking threshold of the port towards the
    aggregator and, in a tree, of a rack's uplink too.
    """
    point = net.point
    address = "%s:%d" % (net.aggregators[0].ip, PORT)
    echo = net.start(net.aggregators[0], [
        incast, "receive", "--listen", address, "--count", "1", "--out",
        "/dev/null"], "ready")
    rtt_ns = int(net.run(net.workers[0], [incast, "ping", "--to", address]))
    echo.kill()
    echo.wait()
    rate = point["rate_mbps"]
    if point["topology"] == "star":
        found = check_queue(net, net.workers[:2], incast, rate, 0.9 * rate,
                            now_ns)
    else:
        racks, uplink = point["racks"], point["uplink_mbps"]
        if beside(point):
            found = check_queue(net, net.aggregators[1:], incast, rate,
                                0.9 * rate, now_ns)
        else:
            # one worker of each rack, below the rate of its uplink
            found = check_queue(net, net.workers[:racks], incast, rate,
                                0.9 * min(rate, uplink), now_ns)
        # two workers of one rack
        found |= {"uplink_" + k: v for k, v in check_queue(
            net, [net.workers[0], net.workers[racks]], incast, uplink,
            0.9 * min(rate, uplink), now_ns).items()}
    return found | {"base_rtt_us": round(rtt_ns / 1000, 1)}


def expected_mark_us(point, rate_mbps):
    """The threshold that should be measured: (us, tolerance in us).

    CoDel rounds the threshold down to its ticks, and marks from half a tick
    after it on average. The tolerance is one tick: an error of two packets,
    which must be detected, moves the threshold by two ticks or more up to 11.8
    Gbit/s. RED marks by the bytes that a packet finds in the queue, through an
    average that lags by one packet.
    """
    if point.get("marker", "codel") == "red":
        frame_us = FRAME * 8 / rate_mbps
        return point["mark_us"] + frame_us, frame_us
    ticks = int(point["mark_us"] * 1000 / CODEL_NS)
    return (ticks + 0.5) * CODEL_NS / 1000, CODEL_NS / 1000


def deviations(point, link):
    """Messages on how the measured link deviates from that of the point."""
    wrong = []
    rtt_us = 2 * point["host_delay_us"]
    # half of the smallest deviation that must be detected, 10 %
    if abs(link["base_rtt_us"] / rtt_us - 1) > 0.05:
        wrong.append("base RTT %.1f us, not %.1f within 5 %%"
                     % (link["base_rtt_us"], rtt_us))
    for of in ("", "uplink_"):
        if of + "rate_mbps" not in link:
            continue
        should = point[of.replace("_", "_mbps") or "rate_mbps"]
        wrong += queue_deviations(point, should, of.replace("_", " "),
                                  {k[len(of):]: v for k, v in link.items()
                                   if k.startswith(of)})
    return wrong


def queue_deviations(point, should, what, queue):
    wrong = []
    # half of the smallest deviation that must be detected, 1 %
    if abs(queue["rate_mbps"] / should - 1) > 0.005:
        wrong.append("%srate %.2f Mbit/s, not %s within 0.5 %%"
                     % (what, queue["rate_mbps"], should))
    if queue.get("rate_error", 0) > 0.005:
        wrong.append("%srate is only known to within %.1f %%"
                     % (what, 100 * queue["rate_error"]))
    if queue["mark_us"] is None:
        return wrong + ["%smarking threshold not found: all packets were "
                        "marked, or none" % what]
    frame_us = FRAME * 8 / should
    mark_us, tolerance_us = expected_mark_us(point, should)
    ends = sorted((queue["longest_unmarked_us"], queue["shortest_marked_us"]))
    # RED's average is still high when the next train begins
    if point.get("marker", "codel") == "red":
        ends = [mark_us, mark_us]
    if ends[0] < point["mark_us"] - frame_us - tolerance_us or \
            ends[1] > point["mark_us"] + frame_us + tolerance_us:
        wrong.append("%smarking threshold between %.1f and %.1f us, not %s us "
                     "within one packet of %.1f us" % (
                         what, *ends, point["mark_us"], frame_us))
    elif abs(queue["mark_us"] - mark_us) > \
            tolerance_us + queue.get("mark_spacing_us", 0) / 2:
        wrong.append("%smarking threshold %.1f us, not %.1f within %.1f"
                     % (what, queue["mark_us"], mark_us, tolerance_us))
    if queue.get("mark_spacing_us", 0) > 2 * frame_us:
        wrong.append("%smarking threshold is only known to within %.1f us"
                     % (what, queue["mark_spacing_us"]))
    return wrong
