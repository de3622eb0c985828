# SPDX-License-Identifier: GPL-2.0
"""Queries on the rows of summary.json."""

import statistics

from algorithms import BASE, LAW, PLAIN_TCP
from analysis import discoveries
import scenario as scenarios


def loads(rows, **want):
    """Rows over whole queries, not of a member of a mix or a single service."""
    return [r for r in rows if "late_share" in r and not r["mix"] and
            not r["service"] and all(r.get(k) == v for k, v in want.items())]


def compared(row):
    """Whether the row has a difference from DCTCP with an interval."""
    return bool(row.get("late_minus_dctcp")) and \
        row["late_minus_dctcp"]["half95"] is not None


def _against(row):
    """The differences that decide: from DCTCP and, for d2tcp, from itself without
    deadlines, so that no other difference of the two modules is taken for theirs.
    """
    return [d for d in (row["late_minus_dctcp"], row.get("late_minus_control")) if d]


def worse(row):
    """Whether the row misses more than DCTCP, by more than the interval; d2tcp must also
    miss more than d2tcp-nodeadline, where that was run.
    """
    return compared(row) and all(d["mean"] > d["half95"] for d in _against(row))


def better(row):
    """Whether the row misses fewer than DCTCP, by more than the interval; d2tcp must also
    miss fewer than d2tcp-nodeadline, where that was run.
    """
    return compared(row) and all(-d["mean"] > d["half95"] for d in _against(row))


def doubtful(rows):
    """(comparisons with DCTCP, those outside their interval, those of the latter that do
    not count at a false-discovery rate of 5 %).
    """
    ps = [(r["late_minus_dctcp"]["p"], abs(r["late_minus_dctcp"]["mean"]) >
           r["late_minus_dctcp"]["half95"]) for r in rows
          if "late_share" in r and compared(r) and "p" in r["late_minus_dctcp"]]
    limit = discoveries([p for p, _ in ps])
    said = [p for p, differs in ps if differs]
    return len(ps), len(said), sum(p > limit for p in said)


def verdict(row):
    return "worse" if worse(row) else "better" if better(row) else \
        "no difference"


def base_of(rows, row, name=BASE):
    """The row of another algorithm at the same point, or None."""
    keys = [k for k in scenarios.SWEPT if k in row] + ["scenario", "service"]
    return next((r for r in rows if r.get("algorithm") == name and
                 "late_share" in r and not r["mix"] and
                 all(r.get(k) == row.get(k) for k in keys)), None)


def beside(rows, name, mine=LAW, **want):
    """Pairs of rows, of d2tcp or `mine` and of another algorithm at the same point."""
    pairs = [(r, base_of(rows, r, name))
             for r in loads(rows, algorithm=mine, **want)]
    return [(r, other) for r, other in pairs
            if other and r.get("late_minus_dctcp")]


def acting(rows):
    """Rows of d2tcp at the points where the law can act."""
    return [r for r in loads(rows, algorithm=LAW) if r.get("law_can_act")
            and compared(r)]


def known(row):
    """Whether the ratio to DCTCP is meaningful: it has an interval, so DCTCP missed
    some deadlines.
    """
    found = row["late_over_dctcp"]
    return bool(found and found["ratio"] is not None and found["ci95"])


def quarter_slack(mine):
    """The smallest slack from which on the ratio stays at or below 0.25, or None.

    Points without a ratio are skipped: DCTCP hardly misses a deadline there.
    """
    found = None
    for row in sorted(filter(known, mine), key=lambda r: -r["slack"]):
        if row["late_over_dctcp"]["ratio"] > 0.25:
            break
        found = row
    return found and found["slack"]


def surely(mine, slack):
    """Whether the whole interval of the ratio at that slack is at or below 0.25."""
    return all(r["late_over_dctcp"]["ci95"][1] <= 0.25 for r in mine
               if known(r) and r["slack"] == slack)


def series(rows):
    """{(rate, fan-in, scenario): rows}, where at least two slacks were run."""
    found = {}
    for row in rows:
        found.setdefault((row["rate_mbps"], row["fan_in"], row["scenario"]),
                         []).append(row)
    return {k: v for k, v in sorted(found.items())
            if len({r["slack"] for r in v}) > 1}


def correlation(xs, ys):
    """Pearson's correlation coefficient."""
    n = len(xs)
    mx, my = sum(xs) / n, sum(ys) / n
    sxx = sum((x - mx) ** 2 for x in xs)
    syy = sum((y - my) ** 2 for y in ys)
    sxy = sum((x - mx) * (y - my) for x, y in zip(xs, ys))
    return sxy / (sxx * syy) ** 0.5 if sxx and syy else 0.0


def gaps(rows, algorithm):
    """Rows of an algorithm that say which part of the gap to the bound it closes."""
    return [r for r in loads(rows, algorithm=algorithm)
            if r.get("closed_gap") is not None]


def middle_gap(mine):
    """The median of the closed gaps of rows."""
    return statistics.median(r["closed_gap"] for r in mine)


def slowest(rows, algorithm):
    """The row with the fewest queries per second relative to DCTCP, or None."""
    mine = [r for r in loads(rows, algorithm=algorithm)
            if r.get("queries_over_dctcp")]
    return min(mine, key=lambda r: r["queries_over_dctcp"]["ratio"], default=None)


def background(rows, algorithm=LAW):
    """Rows of an algorithm with long flows beside the queries."""
    return [r for r in loads(rows, algorithm=algorithm)
            if r.get("background_over_dctcp")]


def smallest_background(rows, algorithm=LAW):
    """The row with the smallest lower end of the ratio of background throughputs. In a
    closed loop the flows also get what slower queries leave to them, so rows with the
    same rate of queries are preferred.
    """
    mine = [r for r in background(rows, algorithm)
            if r["background_over_dctcp"]["ci95"]]
    mine = [r for r in mine if r.get("arrival")] or mine
    return min(mine, key=lambda r: r["background_over_dctcp"]["ci95"][0],
               default=None)


def flow_groups(rows, scenario, marker="codel"):
    """{flows of a point: their rows} of a scenario of long flows."""
    found = {}
    for row in rows:
        if "share" in row and row["scenario"] == scenario and \
                (row.get("marker") or "codel") == marker:
            found.setdefault(row["flows"], []).append(row)
    return found


def against_plain_tcp(rows, marker="codel"):
    """{algorithm: its share of the link} of d2tcp and DCTCP beside plain TCP."""
    found = {}
    for name, some in flow_groups(rows, "coexistence", marker).items():
        one, _, other = name.partition("+")
        if other == PLAIN_TCP and one in (BASE, LAW):
            found[one] = some[0]["share"]
    return found


def law_errors(rows):
    """The largest errors of the two predicted shares over all long flows: from the
    link (None if the link is unknown) and from each flow's alpha.
    """
    mine = [r for some in flow_groups(rows, "differentiation").values()
            for r in some if r["share_by_alpha"] is not None]
    if not mine:
        return None
    return (max((abs(r["share"] - r["share_predicted"]) for r in mine
                 if r["share_predicted"] is not None), default=None),
            max(abs(r["share"] - r["share_by_alpha"]) for r in mine))


def slack_at(rows, level):
    """The slack at which the miss rate falls to `level`, interpolated."""
    ordered = sorted(rows, key=lambda r: r["slack"])
    for one, two in zip(ordered, ordered[1:]):
        if one["late_share"] > level >= two["late_share"]:
            part = (one["late_share"] - level) / (one["late_share"] -
                                                  two["late_share"])
            return one["slack"] + part * (two["slack"] - one["slack"])
    return None
