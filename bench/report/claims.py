# SPDX-License-Identifier: GPL-2.0
"""The claims of the D2TCP paper beside what was measured."""

from algorithms import BASE, LAW, PLAIN_TCP, shown
from .queries import (
    acting, against_plain_tcp, background, base_of, beside, better, compared,
    law_errors, smallest_background, loads, quarter_slack, series, slack_at, surely)
from .tables import share
from .words import points

PAPER = "D2TCP, SIGCOMM 2012"


def fewer_misses(rows):
    done = {k: (quarter_slack(v), v) for k, v in series(acting(rows)).items()}
    if done:
        holds = [v for v, _ in done.values() if v]
        yield ("Misses fewer deadlines than DCTCP (abstract)", "75 % fewer",
               "; ".join("%g Gbit/s, fan-in %d: %s" % (
                   k[0] / 1000, k[1], "75 %% fewer from slack %s on%s" % (
                       v, "" if surely(some, v) else
                       " (the interval reaches above a quarter)") if v
                   else "less than 75 % fewer at every slack")
                   for k, (v, some) in done.items()),
               "where the law can act: sharing by required rate would miss at "
               "most half as many deadlines as equal sharing, and the fair window is "
               "4 packets or more",
               "holds with enough slack" if len(holds) == len(done)
               else "holds at some settings" if holds else "not seen")


def online_services(rows):
    small = [r for r in loads(rows, algorithm=LAW) if "fluid" in r and
             r["fluid"]["fair_window"] < 4 and r["fan_in"] >= 20
             and compared(r)]
    if small:
        same = sum(not better(r) for r in small)
        yield ("Fewer misses at the fan-in of online services (its axis reaches 40; "
               "evaluation)", "fewer at every fan-in",
               "not fewer at %d of %d settings with fan-in 20 or more and a fair "
               "window below 4 packets" % (same, len(small)),
               "windows near their floor of 2 packets",
               "does not hold there" if same > len(small) / 2 else
               "holds in part" if same else "holds")


def background_flows(rows):
    found = smallest_background(rows)
    if found:
        low = found["background_over_dctcp"]["ci95"][0]
        flows = sorted({r["background_flows"] for r in background(rows)})
        yield ("Background flows get nearly as high bandwidth as under TCP (sec. 1)",
               "nearly as high", "at least %.3f of their throughput beside "
               "DCTCP (lower end of the intervals)" % low,
               "%s long flows beside queries%s" % (
                   " to ".join(str(n) for n in sorted({flows[0], flows[-1]})),
                   " at the same rate (open loop)" if found.get("arrival")
                   else " in a closed loop"),
               "holds" if low >= 0.97 else "does not hold")


def coexistence(rows):
    plain = shown(PLAIN_TCP)
    hosts = any(r["fidelity"]["rate_mbps"] is None for r in rows)
    for marker, switch in (("codel", ", CoDel, which leaves packets without ECT alone"),
                           ("red", ", RED, which drops packets without ECT")):
        found = against_plain_tcp(rows, marker)
        if len(found) == 2:
            yield ("Coexists with TCP without degrading it (sec. 1)", "no harm to TCP",
                   "%s gets %s %% beside one d2tcp flow; d2tcp gets %s %%"
                   % (plain, share(1 - found[LAW]), share(found[LAW])),
                   "one queue%s; %s without ECN" % ("" if hosts else switch, plain),
                   "holds for TCP, but d2tcp starves, as DCTCP does"
                   if max(found.values()) < 0.1 else
                   "holds" if min(found.values()) <= 0.5 else "does not hold")


def more_bandwidth(rows):
    errors = law_errors(rows)
    if errors:
        yield ("Flows with nearer deadlines get more bandwidth, by p = alpha^d "
               "(testbed)", "nearer ones get more",
               "the law predicts the shares within %s points given each flow's "
               "alpha%s" % (points(errors[1]), ", within %s given the link alone"
                            % points(errors[0]) if errors[0] is not None else ""),
               "two to four long flows, d = 0.5, 1 or 2",
               "holds, given alpha" if errors[1] <= 0.05 else "holds in part")


def against_d3(rows):
    yield ("Misses fewer deadlines than D3 (abstract)", "50 % fewer",
           "not measured: D3 needs switches that grant rates", "-", "open")
    yield ("Deadlines 35 to 55 % tighter than D3's at 5 % missed (sec. 1)",
           "35 to 55 %", tighter(rows), "compared with DCTCP, since D3 does not run "
           "on Linux; slack interpolated", "another comparison")


def tighter(rows):
    """How much less slack d2tcp needs than DCTCP for a miss rate of 5 %."""
    found = []
    pairs = [(r, other) for r, other in beside(rows, BASE)
             if "fluid" in r and r["fluid"]["fair_window"] >= 4]
    for (rate, fan_in, _), some in series([r for r, _ in pairs]).items():
        mine = slack_at(some, 0.05)
        base = slack_at([base_of(rows, r) for r in some], 0.05)
        if mine and base:
            found.append("%g Gbit/s, fan-in %d: slack %.2f instead of %.2f, "
                         "%.0f %% tighter" % (rate / 1000, fan_in, mine, base,
                                              100 * (1 - mine / base)))
    return "; ".join(found) or "no interval between two slacks contains 5 % missed"


def claims(rows):
    """The paper's claims: (claim, claimed, measured here, conditions, verdict)."""
    for claim in (fewer_misses, online_services, background_flows, coexistence,
                  more_bandwidth, against_d3):
        yield from claim(rows)
