# SPDX-License-Identifier: GPL-2.0
"""The findings in five sentences. A sentence whose scenarios were not run is left out."""

from algorithms import BASE, GRANTED, GRANTS, LAW, PLAIN_TCP, PRIORITIES, shown
from .queries import (
    acting, against_plain_tcp, base_of, beside, better, compared, gaps, loads, middle_gap,
    worse)
from .tables import share
from .words import count, where


def _verdicts(rows):
    return "fewer at %d and more at %d" % (sum(map(better, rows)),
                                           sum(map(worse, rows)))


def about_law(rows):
    mine = acting(rows)
    others = [r for r in loads(rows, algorithm=LAW) if compared(r) and r not in mine]
    if not mine:
        return
    best = min(mine, key=lambda r: r["late_minus_dctcp"]["mean"])
    yield "The paper's law helps where deadlines leave slack and windows exceed a few " \
        "packets: of %s of this kind d2tcp misses fewer deadlines than DCTCP at %d and " \
        "more at %d, and gains most at %s (%s %%, DCTCP %s %%)%s." % (
            count(len(mine), "setting"), sum(map(better, mine)), sum(map(worse, mine)),
            where(best), share(best["late_share"]),
            share(base_of(rows, best)["late_share"]),
            "; at the other %d it misses %s" % (len(others), _verdicts(others))
            if others else "")


def about_priorities(rows):
    pairs = beside(rows, PRIORITIES)
    if not pairs:
        return
    yield "Four strict priorities by time left, at every port of every switch, miss " \
        "fewer deadlines than the law at %d of %s." % (
            sum(p["late_share"] < d["late_share"] for d, p in pairs),
            count(len(pairs), "setting"))


def about_grants(rows):
    found = [(name, gaps(rows, name)) for name in GRANTED]
    found = [(name, some) for name, some in found if some]
    if not found:
        return
    mine = [r for r in loads(rows, algorithm=GRANTS) if compared(r)]
    yield "Grants by the receiver need neither switches nor senders to change, and close " \
        "a median of %s of the gap between DCTCP and a tight lower bound%s." % (
            ", ".join("%.2f (%s, %s)" % (
                middle_gap(some), shown(name), count(len(some), "setting"))
                for name, some in found),
            "; compared with DCTCP at all %s, %s misses %s" % (
                count(len(mine), "setting"), shown(GRANTS), _verdicts(mine))
            if mine else "")


def about_load(rows):
    mine = [r for r in loads(rows, algorithm=BASE)
            if r["scenario"] == "open-loop" and r["slack"] == 1]
    if not mine:
        return
    row = min(mine, key=lambda r: abs(r["load"] - 0.6))
    some = [(name, base_of(rows, row, name)) for name in (LAW, PRIORITIES, GRANTS)]
    yield "All of this shrinks when queries overlap: with queries that arrive at random " \
        "and load a link of %g Gbit/s by %.0f %%, DCTCP misses %s %% of the deadlines%s." % (
            row["rate_mbps"] / 1000, 100 * row["load"], share(row["late_share"]),
            "".join(", %s %s %%" % (shown(name), share(r["late_share"]))
                    for name, r in some if r))


def about_others(rows):
    plain, red = (against_plain_tcp(rows, m).get(LAW) for m in ("codel", "red"))
    if plain is None or red is None:
        return
    yield "Flows without ECN need a queue of their own: beside one %s flow a d2tcp flow " \
        "gets %s %% of the link where the switch leaves packets without ECT alone, and " \
        "%s %% where it drops them above the threshold." % (
            shown(PLAIN_TCP), share(plain), share(red))
