# SPDX-License-Identifier: GPL-2.0
"""The lower bound of the miss rate, which holds for every schedule.

Moore, "An n job, one machine sequencing algorithm for minimizing the number of
late jobs", Management Science 15(1), 1968 (with Hodgson's form of the rule):
optimal for jobs that are all available at once on one machine. Here the machine
is the bottleneck link, a job is a response, and its length is the time that its
frames take on the wire. The bound is tight only for that case: do not use it
with think times, open loops or several bottlenecks.
"""

import heapq

MSS = 1448  # payload of a full segment, with TCP timestamps
HEADERS = 66  # Ethernet 14, IPv4 20, TCP 32: also counted by the shaper


def wire_ns(size, rate_mbps):
    """Nanoseconds that a response of `size` bytes takes on the wire."""
    segments = -(-size // MSS)
    return (size + HEADERS * segments) * 8000 / rate_mbps


def min_late(jobs):
    """The fewest late jobs of (length, due) pairs, all available at time 0."""
    done = 0
    kept = []  # negated lengths of the jobs on time: a heap, longest first
    late = 0
    for length, due in sorted(jobs, key=lambda job: job[1]):
        heapq.heappush(kept, -length)
        done += length
        if done > due:
            done += heapq.heappop(kept)
            late += 1
    return late


def min_missed(sizes, deadlines_ns, rate_mbps, base_rtt_us):
    """The fewest responses of one query that miss their deadlines.

    Deadlines count from the sending of the query. Every schedule needs one base
    round trip for the query's way to the workers and the last frame's way back.
    """
    return min_late([
        (wire_ns(size, rate_mbps), deadline - base_rtt_us * 1000)
        for size, deadline in zip(sizes, deadlines_ns)])
