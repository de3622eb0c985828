# SPDX-License-Identifier: GPL-2.0
"""What fluids would do: where the law can act at all, and what it predicts.

Arrays are queries x responses, times in ns; a response's length is the time that its
frames take on the wire (optimum.wire_ns), counted like its due time from when the
first byte can arrive.
"""

import numpy

FRAME = 1514  # bytes of a full Ethernet frame


def late_equal(length, due):
    """Share of responses late when all active ones of a query share equally."""
    order = numpy.argsort(length, axis=1)
    ordered = numpy.take_along_axis(length, order, axis=1)
    count = length.shape[1]
    grown = numpy.diff(ordered, axis=1, prepend=0)
    finish = numpy.cumsum(grown * numpy.arange(count, 0, -1), axis=1)
    return float(numpy.mean(
        finish > numpy.take_along_axis(due, order, axis=1)))


def late_required(length, due, steps=1000):
    """Which are late when rates are as required: length left by time left.

    One that is late already gets an equal share of the link; what is left is
    divided among the others in proportion to the rate that each requires. The
    query's whole time is cut into `steps`, over which rates stay as they are.
    """
    left = length.astype(float)
    step = length.sum(axis=1, keepdims=True) / steps
    late = numpy.zeros(length.shape, bool)
    # what a step leaves over is served in further ones
    for n in range(2 * steps):
        active = left > 0
        if not active.any():
            break
        now = n * step
        time_left = due - now
        over = active & (time_left <= 0)
        late |= over
        share = numpy.where(over, 1 / numpy.maximum(
            active.sum(axis=1, keepdims=True), 1), 0)
        need = numpy.where(active & ~over,
                           left / numpy.maximum(time_left, 1e-9), 0)
        whole = need.sum(axis=1, keepdims=True)
        rest = 1 - share.sum(axis=1, keepdims=True)
        rate = share + numpy.where(whole > 0, need / numpy.where(
            whole > 0, whole, 1) * rest, 0)
        taken = rate * step
        ends = active & (taken >= left)
        late |= ends & (now + left / numpy.where(rate > 0, rate, 1) > due)
        left = numpy.where(ends, 0, left - numpy.where(active, taken, 0))
    return late | (left > 0)


def fair_window(point):
    """Packets of each when all share what the path and the queue hold: (BDP+K)/N."""
    frame_us = FRAME * 8 / point["rate_mbps"]
    return (2 * point["host_delay_us"] + point["mark_us"]) / frame_us \
        / point["fan_in"]


def shares_by_alpha(alphas, ds):
    """Shares of long flows that are cut together, from the alpha that each has."""
    cuts = [alpha ** d for alpha, d in zip(alphas, ds)]
    means = [(1 - p / 4) / p for p in cuts]
    return [m / sum(means) for m in means]


def sawtooth_shares(ds, point):
    """Shares of the link that long flows of the given d have under the law.

    The analysis of DCTCP's paper (SIGCOMM 2010, 3.3) with a cut of its own for
    each flow. The flows are synchronised: their windows grow by a packet a round
    trip for T of them, until together they are BDP + K + N and all are marked for
    one; each then gives up W p / 2, with p = alpha^d, which is what it had grown,
    T. So W = 2 T / p, of its window a flow has 1 - p / 4 on average, and it sees a
    share of marks of alpha = 1 / (T (1 - p / 4)). T follows from the sum of W.
    """
    frame_us = FRAME * 8 / point["rate_mbps"]
    whole = (2 * point["host_delay_us"] + point["mark_us"]) / frame_us \
        + len(ds)

    def windows(period):
        found = []
        for d in ds:
            alpha = min(1.0, 1 / period)
            for _ in range(50):
                alpha = min(1.0, 1 / (period * (1 - alpha ** d / 4)))
            found.append((2 * period / alpha ** d, alpha ** d))
        return found

    low, high = 1.0, whole
    for _ in range(100):
        middle = (low + high) / 2
        if sum(w for w, _ in windows(middle)) < whole:
            low = middle
        else:
            high = middle
    means = [w * (1 - p / 4) for w, p in windows(high)]
    return [m / sum(means) for m in means]
