# SPDX-License-Identifier: GPL-2.0
"""Findings as sentences.

Every number is computed from the rows; a sentence about a scenario that was not run is
left out.
"""

from algorithms import (
    BASE, BY_NAME, GRANTED, GRANTS, LAW, PEERS, PLAIN_TCP, PRIORITIES, shown)
from analysis import FIRST
import scenario as scenarios
from .queries import (
    acting, against_plain_tcp, background, base_of, beside, better, compared,
    correlation, doubtful, flow_groups, gaps, known, law_errors, loads, middle_gap,
    quarter_slack, series, slowest, smallest_background, surely, verdict, worse)
from .tables import share
from .words import count, points, value, where


def some_of(rows):
    """The range of slacks and of differences; the tables have each row."""
    if len(rows) == 1:
        return "%s, by %+.1f points" % (
            where(rows[0]), 100 * rows[0]["late_minus_dctcp"]["mean"])
    slacks = [r["slack"] for r in rows]
    means = [100 * r["late_minus_dctcp"]["mean"] for r in rows]
    return "at slack %s%s, by %+.1f to %+.1f points" % (
        min(slacks), " to %s" % max(slacks) if max(slacks) > min(slacks)
        else "", min(means), max(means))


def by_scenario(rows):
    """How many of the rows are in each scenario, and the range of differences."""
    if len(rows) == 1:
        return some_of(rows)
    names = [r["scenario"] for r in rows]
    means = [100 * r["late_minus_dctcp"]["mean"] for r in rows]
    return "%s; by %+.1f to %+.1f points" % (
        ", ".join("%s: %d" % (name, names.count(name))
                  for name in dict.fromkeys(names)), min(means), max(means))


def about_all(rows):
    every = [r for r in loads(rows, algorithm=LAW) if compared(r)]
    if every:
        more = [r for r in every if worse(r)]
        yield "d2tcp and DCTCP ran the same queries at %s. d2tcp misses fewer " \
            "deadlines at %d and more at %d%s; at the others the 95 %% interval of the " \
            "difference contains 0." % (
                count(len(every), "setting"), sum(map(better, every)), len(more),
                " (%s)" % some_of(more) if more else "")


def about_region(rows):
    mine = acting(rows)
    if not mine:
        return
    more = [r for r in mine if worse(r)]
    yield "The paper's law can act where sharing by required rate would miss at most " \
        "half as many deadlines as equal sharing and the fair window is 4 packets or " \
        "more: of %s of this kind, d2tcp misses fewer deadlines than DCTCP at %d " \
        "and more at %d%s." % (
            count(len(mine), "setting"), sum(map(better, mine)), len(more),
            " (%s)" % some_of(more) if more else "")


def about_slack(rows):
    mine = acting(rows)
    for (rate, fan_in, _), some in series(mine).items():
        some = sorted(filter(known, some), key=lambda r: r["slack"])
        if not some:
            continue
        found = quarter_slack(some)
        yield "At %g Gbit/s and fan-in %d (fair window %.1f packets) d2tcp's miss " \
            "rate is at most a quarter of DCTCP's %s. Ratio by slack: %s." % (
                rate / 1000, fan_in, some[0]["fluid"]["fair_window"],
                "from slack %s on%s" % (found, "" if surely(some, found) else
                                        " (the interval reaches above a quarter)")
                if found else "at none of the slacks", ", ".join(
                    "%s: %.2f" % (r["slack"], r["late_over_dctcp"]["ratio"])
                    for r in some))


def about_reasons(rows):
    ones = [r for r in loads(rows, algorithm=LAW)
            if "fluid" in r and compared(r) and known(r) and
            r["fluid"]["equal"]]
    if len(ones) > 5:
        ratios = [r["late_over_dctcp"]["ratio"] for r in ones]
        fluids = correlation(ratios, [
            r["fluid"]["required"] / r["fluid"]["equal"] for r in ones])
        window = correlation(ratios, [r["fluid"]["fair_window"] for r in ones])
        yield "Over the %d settings that have fluid models and where DCTCP misses " \
            "some deadlines, the ratio of d2tcp's miss rate to DCTCP's has a " \
            "correlation of %+.2f with the ratio of the two models (how much " \
            "sharing by required rate would help) and of %+.2f with the fair " \
            "window." % (len(ones), fluids, window)


def about_outside(rows):
    mine = [r for r in loads(rows, algorithm=LAW)
            if r.get("law_can_act") is False and compared(r)]
    classes = (
        ("With small windows (fair window below 4 packets", [
            r for r in mine if r["fluid"]["fair_window"] < 4]),
        ("With deadlines so tight that sharing by required rate would not halve the "
         "misses (", [
             r for r in mine if r["fluid"]["fair_window"] >= 4 and
             r["fluid"]["required"] > r["fluid"]["equal"] / 2]),
        ("Where equal sharing misses no deadline (", [
            r for r in mine if r["fluid"]["fair_window"] >= 4 and
            not r["fluid"]["equal"]]))
    for words, some in classes:
        if not some:
            continue
        more = [r for r in some if worse(r)]
        yield "%s%s%s) d2tcp misses fewer than DCTCP at %d and more at %d%s." % (
            words, "" if words.endswith("(") else "; ",
            count(len(some), "setting"), sum(map(better, some)), len(more),
            " (%s)" % some_of(more) if more else "")


def about_prio(rows):
    pairs = beside(rows, PRIORITIES)
    if not pairs:
        return
    fewer = sum(p["late_share"] < d["late_share"] for d, p in pairs)
    d, p = max(pairs, key=lambda pair: pair[0]["late_share"]
               - pair[1]["late_share"])
    yield "DCTCP with four strict priorities by time left (%s) misses fewer deadlines " \
        "than d2tcp at %d of %s (by the means); the largest difference is at %s: " \
        "%s %% against %s %%. It requires five queues at every port of every switch, " \
        "here each with a full buffer and a marking threshold, and hosts that " \
        "declare their deadlines truthfully." % (
            shown(PRIORITIES), fewer, count(len(pairs), "setting"), where(d),
            share(p["late_share"]), share(d["late_share"]))


def about_grants(rows):
    for name in GRANTED:
        mine = [r for r in loads(rows, algorithm=name) if compared(r)]
        if not mine:
            continue
        more = [r for r in mine if worse(r)]
        yield "%s (the receiver grants responses by deadline, workers under %s) misses " \
            "fewer deadlines than DCTCP at %d of %s and more at %d%s." % (
                shown(name), shown(BY_NAME[name].cc),
                sum(map(better, mine)), count(len(mine), "setting"), len(more),
                " (%s)" % by_scenario(more) if more else "")
        yield from about_gap(rows, name)


def about_gap(rows, name):
    """The fraction of DCTCP's avoidable misses that an algorithm avoids."""
    mine = [r for r in gaps(rows, name) if base_of(rows, r)]
    if not mine:
        return
    low = min(mine, key=lambda r: r["closed_gap"])
    yield "Where the lower bound is tight and DCTCP misses more than a point above it " \
        "(%s), %s closes a median of %.2f of that gap and a min of %.2f (%s: %s %%, " \
        "DCTCP %s %%, lower bound %s %%)." % (
            count(len(mine), "setting"), shown(name), middle_gap(mine),
            low["closed_gap"], where(low), share(low["late_share"]),
            share(base_of(rows, low)["late_share"]),
            share(low["late_share_optimum"]))


def about_grants_and_prio(rows):
    pairs = beside(rows, PRIORITIES, GRANTS)
    if pairs:
        more = [(g, p) for g, p in pairs if g["late_share"] > p["late_share"]]
        yield "%s misses fewer deadlines than DCTCP with four strict priorities at %d " \
            "of %s and more at %d (by the means)%s. It needs no configuration of " \
            "switches and no change of workers." % (
                shown(GRANTS), sum(g["late_share"] < p["late_share"] for g, p in pairs),
                count(len(pairs), "setting"), len(more),
                "; the largest difference there is at %s: %s %% against %s %%"
                % largest(more) if more else "")


def largest(pairs):
    """The pair of rows that differ most: where, and both miss rates."""
    one, other = max(pairs, key=lambda p: p[0]["late_share"] - p[1]["late_share"])
    return where(one), share(one["late_share"]), share(other["late_share"])


def about_grants_and_time(rows):
    for name in GRANTED:
        row = slowest(rows, name)
        if row:
            all_ = [r["queries_over_dctcp"]["ratio"]
                    for r in loads(rows, algorithm=name)
                    if r.get("queries_over_dctcp")]
            yield "In a closed loop %s completes at least %.3f times as many queries " \
                "per second as DCTCP (%s), below 0.97 at %d of %s." % (
                    shown(name), row["queries_over_dctcp"]["ratio"], where(row),
                    sum(r < 0.97 for r in all_), count(len(all_), "setting"))


def about_grants_at_first(rows):
    # in an open loop the first queries rarely overlap others
    pairs = [(r, b) for r, b in beside(rows, BASE, GRANTS)
             if r.get("queries_per_s")]
    if pairs:
        means = [sum(r[key] for r in some) / len(some) for some in zip(*pairs)
                 for key in ("first_late_share", "late_share")]
        yield "In the first %d queries on new connections %s misses %s %% of the " \
            "deadlines, over all queries %s %%; for DCTCP it is %s %% and %s %% (means " \
            "over %s in a closed loop)." % (
                FIRST, shown(GRANTS), *map(share, means), count(len(pairs), "setting"))


def about_grants_and_flows(rows):
    for name in GRANTED:
        row = smallest_background(rows, name)
        if not row:
            continue
        open_loop = [r for r in background(rows, name) if "load" in r]
        yield "Beside %s, background flows, which the receiver does not schedule, get " \
            "at least %.3f of their throughput beside DCTCP (min of the lower ends of " \
            "the intervals; %s)%s." % (
                shown(name), row["background_over_dctcp"]["ci95"][0], where(row),
                "; in an open loop, where the queries load the link equally under both, "
                "%s" % " to ".join("%.3f" % f(
                    r["background_over_dctcp"]["ratio"] for r in open_loop)
                    for f in ((min, max) if len(open_loop) > 1 else (min,)))
                if open_loop else "")


def about_grants_elsewhere(rows):
    for scenario, words in (
            ("thinking", "workers wait before they respond"),
            ("sharing", "several aggregators query the same workers"),
            ("upstream", "the bottleneck is upstream of the last hop"),
            ("open-loop", "queries arrive at random"),
            ("open-loop-10g", "queries arrive at random at 10 Gbit/s"),
            ("beside-flows", "long flows share the link")):
        yield from listed(rows, scenario, "Misses of %s where %s"
                          % (shown(GRANTS), words), GRANTS)


def about_peers(rows):
    for name in PEERS:
        mine = [r for r in loads(rows, algorithm=name) if compared(r)]
        if mine:
            drops = [r["drops"] for r in mine]
            yield "%s misses fewer deadlines than DCTCP at %d of %s and more at %d, " \
                "between %+.1f and %+.1f points%s%s." % (
                    shown(name), sum(map(better, mine)), count(len(mine), "setting"),
                    sum(map(worse, mine)),
                    100 * min(r["late_minus_dctcp"]["mean"] for r in mine),
                    100 * max(r["late_minus_dctcp"]["mean"] for r in mine),
                    "; packets are dropped at %d" % sum(map(bool, drops))
                    if None not in drops else "",
                    "; the jitter takes up part of each deadline, so it helps only "
                    "where it avoids losses" if BY_NAME[name].jitter else "")


def about_thousand(rows):
    pairs = [(r, other) for r, other in beside(rows, BASE)
             if r["fan_in"] >= 400]
    if pairs:
        last, other = max(pairs, key=lambda pair: pair[0]["fan_in"])
        yield "At fan-in 400 and above (%s) d2tcp's miss rate differs from DCTCP's " \
            "by %+.1f to %+.1f points, by more than the interval at %d; at %s d2tcp " \
            "misses %s %% and DCTCP %s %%." % (
                count(len(pairs), "setting"), *[100 * f(
                    r["late_minus_dctcp"]["mean"] for r, _ in pairs)
                    for f in (min, max)],
                sum(worse(r) or better(r) for r, _ in pairs), where(last),
                share(last["late_share"]), share(other["late_share"]))


def about_background(rows):
    mine = background(rows)
    smallest = smallest_background(rows)
    if not smallest:
        return
    yield "%sbackground flows beside d2tcp get at least %.3f of their throughput beside " \
        "DCTCP (min of the lower ends of the intervals; %s). With background flows, " \
        "d2tcp misses fewer deadlines than DCTCP at %d of %s and more at %d." % (
            "At the same rate of queries (open loop), " if smallest.get("arrival")
            else "In a closed loop, ",
            smallest["background_over_dctcp"]["ci95"][0], where(smallest),
            sum(map(better, mine)), count(len(mine), "setting"),
            sum(map(worse, mine)))
    closed = [r for r in mine if r.get("queries_over_dctcp")]
    if closed and smallest.get("arrival"):
        yield "In a closed loop (background) the flows get what the queries leave: %s of " \
            "their throughput beside DCTCP, with %s of the queries per second." % (
                span([r["background_over_dctcp"]["ratio"] for r in closed]),
                span([r["queries_over_dctcp"]["ratio"] for r in closed]))


def span(ratios):
    return "%.3f to %.3f" % (min(ratios), max(ratios))


def about_load(rows):
    for rate in sorted({r["rate_mbps"] for r in loads(rows, algorithm=BASE)}):
        mine = {name: sorted((r for r in loads(rows, algorithm=name, rate_mbps=rate)
                              if r["scenario"].startswith("open-loop")
                              and r.get("load") and r["slack"] == 1),
                             key=lambda r: r["load"])
                for name in (BASE, LAW, PRIORITIES, GRANTS)}
        if len(mine[BASE]) < 2:
            continue
        yield "With queries that arrive at random and load a link of %g Gbit/s by %s %%, " \
            "%s." % (rate / 1000, " / ".join(
                "%.0f" % (100 * r["load"]) for r in mine[BASE]), "; ".join(
                    "%s misses %s %%" % (shown(name), " / ".join(
                        share(r["late_share"]) for r in some))
                    for name, some in mine.items() if some))


def about_coexistence(rows):
    for marker, switch in (
            ("codel", "leaves packets without ECT alone (CoDel's ce_threshold)"),
            ("red", "drops packets without ECT above the threshold (RED)")):
        found = against_plain_tcp(rows, marker)
        if len(found) == 2:
            yield "In one queue with a %s flow, which does not negotiate ECN, a d2tcp " \
                "flow has %s %% of the link and a DCTCP flow %s %% where the switch %s." \
                % (shown(PLAIN_TCP), share(found[LAW]), share(found[BASE]), switch)
    both = flow_groups(rows, "coexistence").get("%s+%s" % (BASE, LAW))
    if both and len(both) == 2:
        yield "Without deadlines, a d2tcp flow and a DCTCP flow that share a link get " \
            "%s %% and %s %% of it." % (
            share(both[1]["share"]), share(both[0]["share"]))
    for pair in ((BASE, LAW), (PLAIN_TCP, BASE), (PLAIN_TCP, LAW)):
        mixes = [r for r in rows if r.get("mix") == "+".join(pair)]
        # the members of a mix follow each other
        for row, other in zip(mixes[::2], mixes[1::2]):
            yield "With half of the workers under %s and half under %s (%s), their miss " \
                "rates are %s %% and %s %%." % (
                    shown(row["algorithm"]), shown(other["algorithm"]), where(row),
                    share(row["late_share"]), share(other["late_share"]))


def about_differentiation(rows):
    errors = law_errors(rows)
    pair = flow_groups(rows, "differentiation").get(
        "%s:near+%s:far" % (LAW, LAW))
    if not errors or not pair:
        return
    yield "A flow with d = 2 gets %s %% of a link that it shares with a flow with " \
        "d = 0.5. The law, given the alpha of each flow, predicts all shares within " \
        "%s points%s." % (
            share(pair[0]["share"]), points(errors[1]),
            "; given the link alone, with synchronised sawtooths, within %s"
            % points(errors[0]) if errors[0] is not None else "")


def listed(rows, scenario, words, name=LAW):
    """The miss rates of an algorithm and DCTCP at each point of a scenario."""
    pairs = beside(rows, BASE, name, scenario=scenario)
    if pairs:
        yield "%s: %s." % (words, "; ".join(
            "%s: %s %%, DCTCP %s %% (%s)" % (
                where(r).split(": ", 1)[1].split(", ", 1)[1],
                share(r["late_share"]), share(other["late_share"]), verdict(r))
            for r, other in pairs))


def about_tree(rows):
    for name in (LAW, GRANTS):
        yield from listed(rows, "tree", "Misses of %s in the tree, where packets "
                          "are marked in two places" % shown(name), name)


def about_services(rows):
    for name in (LAW, GRANTS):
        mine = [r for r in rows if r["scenario"] == "services" and
                r["algorithm"] == name and r["service"] and compared(r)]
        if not mine:
            continue
        gain, loss = [[r["service"] for r in mine if f(r)]
                      for f in (better, worse)]
        yield "Services that share a rack: of %s %s misses fewer deadlines than " \
            "DCTCP at %d%s and more at %d%s." % (
                count(len(mine), "setting"), shown(name), len(gain),
                " (%s)" % ", ".join(sorted(set(gain))) if gain else "",
                len(loss), " (%s)" % ", ".join(sorted(set(loss)))
                if loss else "")


def about_exponential(rows):
    for name in (LAW, GRANTS):
        yield from listed(rows, "exponential", "Misses of %s for responses of 2 to 50 "
                          "KB with exponential deadlines" % shown(name), name)


def in_time(rows):
    return "%d of %d" % (sum(r["recovered"] for r in rows),
                         sum(r["seeds"] for r in rows))


def about_recovery(rows):
    mine = [r for r in rows if "recovered" in r]
    for retries in sorted({r.get("retries", 0) for r in mine}):
        for arrival in sorted({r["arrival"] for r in mine}, key=scenarios.mean):
            some = [r for r in mine if r.get("retries", 0) == retries and
                    r["arrival"] == arrival]
            if not some:
                continue
            times = [r["recovery_ms"] for r in some
                     if r["recovery_ms"] is not None]
            watched = [r["watched_ms"] for r in some if r["watched_ms"]]
            yield "After a burst, with %s before it and %s, %s runs recover " \
                "(%s)%s%s." % (
                    value("arrival", arrival), count(retries, "retry"),
                    in_time(some), ", ".join("%s %s" % (shown(a), in_time(
                        [r for r in some if r["algorithm"] == a]))
                        for a in dict.fromkeys(r["algorithm"] for r in some)),
                    ", after a mean of %s ms" % " to ".join(dict.fromkeys(
                        "%.0f" % f(times) for f in (min, max))) if times else "",
                    "; the runs that do not recover were observed for at least %.0f ms"
                    % min(watched) if watched else "")
    again = [r for r in mine if r.get("retries")]
    jitter = [r for r in again if str(r["retry_after_ms"]) != "0"]
    plain = [r for r in again if str(r["retry_after_ms"]) == "0"]
    if jitter and plain:
        attempts = [sum(r["askings_per_query"] for r in some) / len(some)
                    for some in (jitter, plain)]
        yield "With jitter before each retry %s runs recover, without it %s; a query " \
            "takes %.2f and %.2f attempts on average." % (
                in_time(jitter), in_time(plain), *attempts)


def about_slack_in_short(rows):
    done = {k: quarter_slack(v) for k, v in series(acting(rows)).items()}
    if done:
        yield "There d2tcp's miss rate is at most a quarter of DCTCP's %s." % "; ".join(
            "%s at %g Gbit/s and fan-in %d" % (
                "from slack %s on" % v if v else "at no slack that was run",
                rate / 1000, fan_in) for (rate, fan_in, _), v in done.items())


def about_certainty(rows):
    loose = [r for r in rows if r.get("certain") is False]
    if not any("certain" in r for r in rows):
        return
    yield "Half of the 95 %% interval of the miss rate is below the scenario's " \
        "half_width (1 point by default) in %s of %d rows; the others have a * in the " \
        "tables." % (
            "all" if not loose else "all but %d" % len(loose),
            sum("certain" in r for r in rows))
    every, differ, dropped = doubtful(rows)
    if differ:
        yield "Of %d comparisons with DCTCP, %d lie outside their 95 %% interval; at a " \
            "false-discovery rate of 5 %% over all of them (Benjamini and Hochberg) %s." % (
                every, differ, "all of these count" if not dropped else
                "%d of these do not count" % dropped)
    if any(r.get("late_minus_control") for r in rows):
        yield "d2tcp counts as better or worse only where it differs from DCTCP and from " \
            "d2tcp-nodeadline, its own code without deadlines."
