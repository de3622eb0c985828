# SPDX-License-Identifier: GPL-2.0
"""The message of each picture, which is its title and its alternative text.

Messages are computed from the rows that the picture shows.
"""

from algorithms import BASE, GRANTS, LAW, PLAIN_TCP, PRIORITIES, TABLE, shown
from .queries import (
    acting, against_plain_tcp, better, compared, flow_groups, gaps, middle_gap,
    quarter_slack, series, worse)
from .tables import share
from .words import count, panel

AT = {"slack": "at slack %s", "fan_in": "at fan-in %s",
      "background_flows": "with background flows: %s",
      "deadline_ms": "with deadlines %s ms",
      "arrival": "at a load of %s %%"}


def at(row, key):
    """The value of a row on the horizontal axis: for arrivals the load in percent."""
    if key == "arrival" and "load" in row:
        return round(100 * row["load"])
    return row.get(key)


def listed(values):
    """"", "a", "a and b", "a, b and c"."""
    values = [str(v) for v in values]
    return " and ".join(part for part in (
        ", ".join(values[:-1]), *values[-1:]) if part)


def stretch(some, order, key):
    """Which values of the axis: "at slack 1.4", "from slack 1.4 on", "everywhere"."""
    if not any(isinstance(v, str) for v in order):
        some, order = sorted(some), sorted(order)
    if len(some) == len(order):
        return "everywhere" if len(order) > 1 else ""
    numbers = not any(isinstance(v, str) for v in order)
    name = AT[key].replace("at ", "", 1)
    ordered = numbers and len(some) > 1 and key in ("slack", "fan_in", "arrival")
    if ordered and some == order[-len(some):]:
        return "from %s on" % (name % some[0])
    if ordered and some == order[:len(some)]:
        return "up to %s" % (name % some[-1])
    return AT[key] % listed(some)


def of_panel(keys, message):
    """The message of one of several panels, which begins with what sets it apart."""
    head = panel(keys)
    if not head:
        return message
    if message.split()[0] not in {a.shown for a in TABLE}:
        message = message[0].lower() + message[1:]
    return "%s%s: %s" % (head[0].upper(), head[1:], message)


def of_misses(rows, key):
    """A panel of miss rates, with `key` on the axis or None."""
    mixes = [r for r in rows if r["mix"]]
    if mixes:
        return of_mixes(mixes)
    mine = [r for r in rows if r["algorithm"] == LAW and compared(r)]
    grants = [r for r in rows if r["algorithm"] == GRANTS and compared(r)]
    if not mine and not grants:
        return "Deadlines missed under each algorithm"
    if not mine:
        return against_base(GRANTS, grants, key)
    if grants and not any(better(r) or worse(r) for r in mine + grants):
        return "Neither %s nor %s differs from DCTCP within the intervals" % (
            shown(LAW), shown(GRANTS))
    return against_base(LAW, mine, key) + of_priorities(rows, mine, key) + (
        "; " + against_base(GRANTS, grants, key, " than DCTCP") if grants else "")


def against_base(algorithm, mine, key, than=" deadlines than DCTCP"):
    """Where the rows of an algorithm miss fewer or more deadlines than DCTCP's."""
    name = shown(algorithm)
    order = list(dict.fromkeys(at(r, key) for r in mine))
    fewer, more = [[at(r, key) for r in mine if f(r)] for f in (better, worse)]
    if key is None:
        word = "fewer" if fewer else "more" if more else ""
        return "%s misses %s%s" % (name, word, than) if word else \
            "%s and DCTCP do not differ within the intervals" % name
    said = "; ".join(
        ("%s misses %s%s %s" % (name, word, than, stretch(some, order, key))
         if n == 0 or not fewer else "%s %s" % (word, stretch(some, order, key)))
        for n, (word, some) in enumerate((("fewer", fewer), ("more", more)))
        if some)
    return (said or "%s and DCTCP do not differ within the intervals"
            % name).strip()


def of_priorities(rows, mine, key):
    prio = {at(r, key): r["late_share"] for r in rows
            if r["algorithm"] == PRIORITIES}
    pairs = [(r["late_share"], prio[at(r, key)]) for r in mine
             if at(r, key) in prio]
    # by more than half a point somewhere, and nowhere more
    if len(pairs) == len(mine) and all(p <= d for d, p in pairs) and \
            any(p < d - 0.005 for d, p in pairs):
        return "; %s misses fewer than %s" % (shown(PRIORITIES), shown(LAW))
    return ""


def of_mixes(rows):
    """Workers under two algorithms in the same query."""
    # the members of a mix follow each other
    for row, other in zip(rows[::2], rows[1::2]):
        if row["mix"] == "%s+%s" % (PLAIN_TCP, LAW):
            return "In one queue, workers under %s miss %s %%, and those under %s " \
                "%s %%" % (shown(row["algorithm"]), share(row["late_share"]),
                           shown(other["algorithm"]), share(other["late_share"]))
    return "Deadlines missed by workers that share a queue"


def of_ratio(rows):
    """The ratio of d2tcp's miss rate to DCTCP's, by slack."""
    found = [quarter_slack(some) for some in series(acting(rows)).values()]
    slacks = sorted({s for s in found if s})
    if not slacks:
        return "The miss rate of d2tcp, divided by DCTCP's"
    text = "from slack %s on" % slacks[0] if len(slacks) == 1 else \
        "from a slack of %s to %s on" % (slacks[0], slacks[-1])
    return "Where the law can act, d2tcp's miss rate is at most a quarter of DCTCP's " \
        "%s%s" % (text, "" if all(found) else ", at some settings")


def of_gap(rows, names):
    """The fraction of the gap to the lower bound that each algorithm closes."""
    return "Of the gap between DCTCP and the lower bound, %s in the median" % \
        listed("%s %s %.2f" % (shown(name), "" if n else "closes", middle_gap(
            gaps(rows, name))) for n, name in enumerate(names)).replace("  ", " ")


def of_times(rows, deadlines_p50):
    """The distribution of completion times of a point."""
    mine = {r["algorithm"]: r["fct_ms"]["p99"] for r in rows
            if r["algorithm"] in (LAW, BASE, GRANTS)}
    said = listed("%.1f ms under %s" % (v, shown(k)) for k, v in mine.items())
    return "99 %% of responses complete within %s; half of the deadlines are below " \
        "%.1f ms" % (said, deadlines_p50) if mine else \
        "Completion times of responses"


def of_shares(rows):
    """The shares of long flows."""
    plain, red = against_plain_tcp(rows), against_plain_tcp(rows, "red")
    if len(plain) == len(red) == 2:
        return "Beside a %s flow, a d2tcp flow gets %s %% of the link at a CoDel " \
            "switch and %s %% at a RED switch" % (
                shown(PLAIN_TCP), share(plain[LAW]), share(red[LAW]))
    if len(plain) == 2:
        return "Beside a %s flow, a d2tcp flow gets %s %% of the link and a DCTCP " \
            "flow %s %%" % (shown(PLAIN_TCP), share(plain[LAW]), share(plain[BASE]))
    pair = flow_groups(rows, "differentiation").get("%s:near+%s:far" % (LAW, LAW))
    if pair:
        return "A flow with a near deadline gets %s %% of a link that it shares " \
            "with a flow with a far one" % share(pair[0]["share"])
    return "Each flow's share of the link"


def of_recovery(rows):
    """Miss rates before, in and after a burst."""
    how = [(r["recovered"], r["seeds"]) for r in rows]
    said = "every run" if all(n == seeds for n, seeds in how) else \
        "no run" if not any(n for n, _ in how) else listed(
            "%d of %d%s under %s" % (*n, "" if i else " runs", shown(r["algorithm"]))
            for i, (n, r) in enumerate(zip(how, rows)))
    return "After the burst the miss rate recovers in " + said


def of_grants(responses):
    """One query, whose responses are granted by deadline."""
    order = [r["done"] for r in responses]
    pairs = [(a, b) for i, a in enumerate(order) for b in order[i + 1:]]
    right = sum(a < b for a, b in pairs)
    return "The receiver grants responses by deadline: of %s of responses, %d %s in " \
        "that order" % (count(len(pairs), "pair"), right,
                        "completes" if right == 1 else "complete")


def of_flows():
    """alpha, d and cwnd of flows: says what is drawn, and draws no conclusion."""
    return "d follows each flow's deadlines, and the cuts of its window follow d"
