# SPDX-License-Identifier: GPL-2.0
"""Means over seeds and their 95 % confidence intervals, by Student's t.

Seeds are paired: with the same seed every algorithm serves the same queries. The interval
of a miss rate is at least as wide as the exact one of no miss.
"""

import math

from scipy.special import stdtr

# The 97.5 % point of Student's t for 1 to 30 degrees of freedom.
T975 = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
        2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
        2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042]
Z = 1.959964


def t975(freedom):
    """The 97.5 % point of Student's t."""
    if freedom <= len(T975):
        return T975[freedom - 1]
    # the first two terms of its expansion around the normal quantile
    # (Abramowitz and Stegun, 26.7.5); the error is below 0.0003 from 31 on
    return Z + (Z ** 3 + Z) / (4 * freedom) + \
        (5 * Z ** 5 + 16 * Z ** 3 + 3 * Z) / (96 * freedom ** 2)


def mean(values):
    return sum(values) / len(values)


def half95(values):
    """Half of the 95 % interval of the mean; None for one value."""
    n = len(values)
    if n < 2:
        return None
    middle = mean(values)
    spread = math.sqrt(sum((v - middle) ** 2 for v in values) / (n - 1))
    return t975(n - 1) * spread / math.sqrt(n)


def interval95(values, low=-math.inf, high=math.inf):
    """95 % interval of the mean, clipped to [low, high]; None for one value."""
    half = half95(values)
    if half is None:
        return None
    return [max(low, mean(values) - half), min(high, mean(values) + half)]


def _none_missed(trials):
    """Upper end of the exact interval of no success in `trials` independent trials
    (Clopper and Pearson, Biometrika, 1934).
    """
    return 1 - 0.025 ** (1 / trials)


def _ends(middle, half, trials):
    """The interval around a mean share, not clipped.

    Few misses say as little about the rate of misses as none do: where they are rare, the
    spread between seeds is often too small. So the interval reaches at least as far as
    that of no miss, and, mirrored, as that of nothing else.
    """
    bound = _none_missed(trials)
    return min(middle - half, 1 - bound), max(middle + half, bound)


def share95(shares, trials):
    """95 % interval of the mean of shares in [0, 1], each of a seed; `trials` is how
    many independent trials all of them consist of. None for one seed whose share is
    neither 0 nor 1.
    """
    middle, half = mean(shares), half95(shares)
    if half is None:
        if middle not in (0, 1):
            return None
        half = 0
    low, high = _ends(middle, half, trials)
    return [max(0.0, low), min(1.0, high)]


def half_share95(shares, trials):
    """Half of that interval, not clipped; infinite where there is none."""
    middle, half = mean(shares), half95(shares)
    if half is None:
        if middle not in (0, 1):
            return math.inf
        half = 0
    low, high = _ends(middle, half, trials)
    return (high - low) / 2


def seeds_needed(shares, trials, half_width):
    """How many seeds bring half of the interval of the mean share below `half_width`.

    Estimated from the spread of the seeds that were run, which consist of `trials` trials,
    with Student's t for the new number of seeds.
    """
    n = len(shares)
    if n < 2 or half_share95(shares, trials) < half_width:
        return n
    middle, each = mean(shares), trials / n
    spread = half95(shares) * math.sqrt(n) / t975(n - 1)
    while True:
        n += 1
        low, high = _ends(middle, t975(n - 1) * spread / math.sqrt(n), each * n)
        if (high - low) / 2 < half_width:
            return n


def difference95(values, base):
    """Mean of the paired differences, half of its 95 % interval, and the p value of no
    difference (two-sided t test); the latter two are None for one pair.
    """
    differences = [a - b for a, b in zip(values, base)]
    middle, half = mean(differences), half95(differences)
    if half is None:
        return middle, None, None
    freedom = len(differences) - 1
    if half == 0:
        return middle, half, 0.0 if middle else 1.0
    t = abs(middle) / half * t975(freedom)
    return middle, half, float(2 * stdtr(freedom, -t))


def discoveries(ps, rate=0.05):
    """The largest of the p values that counts at this false-discovery rate (Benjamini
    and Hochberg, J. R. Statist. Soc. B, 1995); 0 if none does.
    """
    ordered = sorted(ps)
    return max((p for i, p in enumerate(ordered, 1)
                if p <= rate * i / len(ordered)), default=0.0)


def ratio95(values, base):
    """Ratio of two paired means and its 95 % interval, by Fieller's theorem.

    E. C. Fieller, "Some problems in interval estimation", 1954. The interval is
    None for one pair, and where the base does not differ significantly from 0.
    Both are None for a base of 0.
    """
    n, x, y = len(values), mean(values), mean(base)
    if y == 0:
        return None, None
    ratio = x / y
    if n < 2:
        return ratio, None
    t = t975(n - 1)
    scale = n * (n - 1)
    xx = sum((v - x) ** 2 for v in values) / scale
    yy = sum((v - y) ** 2 for v in base) / scale
    xy = sum((v - x) * (w - y) for v, w in zip(values, base)) / scale
    g = t * t * yy / (y * y)
    if g >= 1:
        return ratio, None
    middle = ratio - t * t * xy / (y * y)
    inside = xx - 2 * ratio * xy + ratio * ratio * yy - \
        t * t * (xx * yy - xy * xy) / (y * y)
    reach = t / abs(y) * math.sqrt(max(0.0, inside))
    low, high = sorted(((middle - reach) / (1 - g), (middle + reach) / (1 - g)))
    return ratio, [low, high]


def percentile(ordered, share):
    """Nearest rank."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def rounded(x, digits=6):
    """Rounds a number or the numbers of a list; None stays None."""
    if x is None:
        return None
    if isinstance(x, list):
        return [rounded(v, digits) for v in x]
    return round(float(x), digits)
