# SPDX-License-Identifier: GPL-2.0
"""Fluid models: where the law can act, and the shares that it predicts.

Arrays are queries x responses, times in ns. The length of a response is the
time that its frames take on the wire (optimum.wire_ns); its due time counts
from when the first byte can arrive.
"""

import numpy

FRAME = 1514  # bytes of a full Ethernet frame


def late_equal(length, due):
    """Miss rate when the active responses of a query share the link equally."""
    order = numpy.argsort(length, axis=1)
    ordered = numpy.take_along_axis(length, order, axis=1)
    count = length.shape[1]
    grown = numpy.diff(ordered, axis=1, prepend=0)
    finish = numpy.cumsum(grown * numpy.arange(count, 0, -1), axis=1)
    return float(numpy.mean(
        finish > numpy.take_along_axis(due, order, axis=1)))


def late_required(length, due, steps=1000):
    """Which responses miss when the link is shared by required rate.

    The rate that a response requires is length left / time left. Past its
    deadline it gets an equal share of the link instead; the rest of the link is
    divided among the others in proportion to their required rates. The duration
    of a query is divided into `steps`, in which rates are constant.
    """
    left = length.astype(float)
    step = length.sum(axis=1, keepdims=True) / steps
    late = numpy.zeros(length.shape, bool)
    # capacity that a step leaves unused is made up for in further steps
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
    """Window in packets if all share path and queue equally: (BDP + K) / N."""
    frame_us = FRAME * 8 / point["rate_mbps"]
    return (2 * point["host_delay_us"] + point["mark_us"]) / frame_us \
        / point["fan_in"]


def shares_by_alpha(alphas, ds):
    """Shares of long flows whose windows are cut together, by their alphas."""
    cuts = [alpha ** d for alpha, d in zip(alphas, ds)]
    means = [(1 - p / 4) / p for p in cuts]
    return [m / sum(means) for m in means]


def sawtooth_shares(ds, point):
    """Shares of the link that the law gives to long flows of the given d.

    The analysis of DCTCP's paper (SIGCOMM 2010, 3.3), with a different cut for
    each flow. The flows are synchronised: their windows grow by one packet per
    round trip for T round trips, until their sum is BDP + K + N and all are
    marked for one round trip. Each flow then cuts W p / 2, with p = alpha^d,
    which equals its growth T. So W = 2 T / p, the average window is
    W (1 - p / 4), and the fraction of marked packets is
    alpha = 1 / (T (1 - p / 4)). T follows from the sum of W.
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
