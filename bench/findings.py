# SPDX-License-Identifier: GPL-2.0
"""What the rows say, in sentences and in a table of the paper's claims.

Every number in them is computed from the rows; a finding about a scenario that was
not run is left out.
"""

import scenario as scenarios
from tables import share

PAPER = "D2TCP, SIGCOMM 2012"


def loads(rows, **want):
    """Rows of whole queries: no member of a mix, no single service."""
    return [r for r in rows if "late_share" in r and not r["mix"] and
            not r["service"] and all(r.get(k) == v for k, v in want.items())]


def where(row):
    """A point in words: scenario, rate, fan-in, slack, and what else it sweeps."""
    text = "%s: %g Gbit/s, fan-in %s, slack %s" % (
        row["scenario"], row["rate_mbps"] / 1000, row["fan_in"], row["slack"])
    if "exponential" in str(row.get("deadline_ms")):
        text += ", deadlines %s" % row["deadline_ms"]
    if row.get("background_flows"):
        text += ", %s" % count(row["background_flows"], "background flow")
    return text


def compared(row):
    """Whether the row was compared with dctcp, and how surely."""
    return bool(row.get("late_minus_dctcp")) and \
        row["late_minus_dctcp"]["half95"] is not None


def worse(row):
    """Whether it is later than dctcp by more than the interval."""
    return compared(row) and \
        row["late_minus_dctcp"]["mean"] > row["late_minus_dctcp"]["half95"]


def better(row):
    return compared(row) and \
        -row["late_minus_dctcp"]["mean"] > row["late_minus_dctcp"]["half95"]


def verdict(row):
    return "worse" if worse(row) else "better" if better(row) else \
        "no difference"


def some_of(rows):
    """Where rows are and by how much: the tables have each."""
    if len(rows) == 1:
        return "%s, by %+.1f points" % (
            where(rows[0]), 100 * rows[0]["late_minus_dctcp"]["mean"])
    slacks = [r["slack"] for r in rows]
    means = [100 * r["late_minus_dctcp"]["mean"] for r in rows]
    return "at slack %s%s, by %+.1f to %+.1f points" % (
        min(slacks), " to %s" % max(slacks) if max(slacks) > min(slacks)
        else "", min(means), max(means))


def points(x):
    return "%.1f" % (100 * x)


def count(n, what):
    """"1 point", "2 points", "no points"."""
    return "%s %s%s" % (n or "no", what, "" if n == 1 else "s")


def base_of(rows, row, name="dctcp"):
    """The row of another algorithm at the same point, or None."""
    keys = [k for k in scenarios.SWEPT if k in row] + ["scenario", "service"]
    return next((r for r in rows if r.get("algorithm") == name and
                 "late_share" in r and not r["mix"] and
                 all(r.get(k) == row.get(k) for k in keys)), None)


def beside(rows, name, **want):
    """Pairs of rows of d2tcp and of another algorithm at the same point."""
    pairs = [(r, base_of(rows, r, name))
             for r in loads(rows, algorithm="d2tcp", **want)]
    return [(r, other) for r, other in pairs
            if other and r.get("late_minus_dctcp")]


def acting(rows):
    """Rows of d2tcp at the points where the law can act."""
    return [r for r in loads(rows, algorithm="d2tcp") if r.get("law_can_act")
            and compared(r)]


def known(row):
    """Whether the ratio to dctcp means something: it has an interval, and dctcp was
    late now and then.
    """
    found = row["late_over_dctcp"]
    return bool(found and found["ratio"] is not None and found["ci95"])


def quarter_slack(mine):
    """The least slack from which on the ratio is a quarter at most, or None.

    It is so at a point where the ratio is at most that; where there is none, since
    hardly anybody is late under dctcp, there is nothing to say.
    """
    found = None
    for row in sorted(filter(known, mine), key=lambda r: -r["slack"]):
        if row["late_over_dctcp"]["ratio"] > 0.25:
            break
        found = row
    return found and found["slack"]


def surely(mine, slack):
    """Whether a quarter is above the whole interval at that slack."""
    return all(r["late_over_dctcp"]["ci95"][1] <= 0.25 for r in mine
               if known(r) and r["slack"] == slack)


def series(rows):
    """{(rate, fan-in, scenario): rows over slack}, two slacks at least."""
    found = {}
    for row in rows:
        found.setdefault((row["rate_mbps"], row["fan_in"], row["scenario"]),
                         []).append(row)
    return {k: v for k, v in sorted(found.items())
            if len({r["slack"] for r in v}) > 1}


def about_all(rows):
    every = [r for r in loads(rows, algorithm="d2tcp") if compared(r)]
    if every:
        late = [r for r in every if worse(r)]
        yield "Of all %s where d2tcp and DCTCP were asked the same, d2tcp misses " \
            "fewer deadlines at %d and more at %d%s; else the difference is inside " \
            "its 95 %% interval." % (
                count(len(every), "setting"), sum(map(better, every)), len(late),
                " (%s)" % some_of(late) if late else "")


def about_region(rows):
    mine = acting(rows)
    if not mine:
        return
    late = [r for r in mine if worse(r)]
    yield "Where the paper's law should act - sharing by required rate would miss " \
        "at most half of what equal sharing misses, and the fair window is 4 " \
        "packets or more (%s) - it misses fewer at %d and more at %d%s." % (
            count(len(mine), "setting"), sum(map(better, mine)), len(late),
            " (%s)" % some_of(late) if late else "")


def about_slack(rows):
    mine = acting(rows)
    for (rate, fan_in, _), some in series(mine).items():
        some = sorted(filter(known, some), key=lambda r: r["slack"])
        if not some:
            continue
        found = quarter_slack(some)
        yield "At %g Gbit/s and fan-in %d (fair window %.1f packets) its late " \
            "share is at most a quarter of DCTCP's %s. Ratio by slack: %s." % (
                rate / 1000, fan_in, some[0]["fluid"]["fair_window"],
                "from slack %s on%s" % (found, "" if surely(some, found)
                                        else " (its interval reaches above)")
                if found else "at no slack of these", ", ".join(
                    "%s: %.2f" % (r["slack"], r["late_over_dctcp"]["ratio"])
                    for r in some))


def about_reasons(rows):
    ones = [r for r in loads(rows, algorithm="d2tcp")
            if "fluid" in r and compared(r) and known(r) and
            r["fluid"]["equal"]]
    if len(ones) > 5:
        ratios = [r["late_over_dctcp"]["ratio"] for r in ones]
        fluids = correlation(ratios, [
            r["fluid"]["required"] / r["fluid"]["equal"] for r in ones])
        window = correlation(ratios, [r["fluid"]["fair_window"] for r in ones])
        yield "What decides it: over all %d settings where the fluids are known and " \
            "DCTCP is late now and then, the ratio of the two late shares " \
            "correlates by %+.2f with that of the fluids (how much sharing by " \
            "required rate would help) and by %+.2f with the fair window." % (
                len(ones), fluids, window)


def correlation(xs, ys):
    """Pearson's."""
    n = len(xs)
    mx, my = sum(xs) / n, sum(ys) / n
    sxx = sum((x - mx) ** 2 for x in xs)
    syy = sum((y - my) ** 2 for y in ys)
    sxy = sum((x - mx) * (y - my) for x, y in zip(xs, ys))
    return sxy / (sxx * syy) ** 0.5 if sxx and syy else 0.0


def about_outside(rows):
    mine = [r for r in loads(rows, algorithm="d2tcp")
            if r.get("law_can_act") is False and compared(r)]
    classes = (
        ("Where windows are small (fair window below 4 packets", [
            r for r in mine if r["fluid"]["fair_window"] < 4]),
        ("Where deadlines are so tight that sharing by required rate would not "
         "halve what is missed (", [
             r for r in mine if r["fluid"]["fair_window"] >= 4 and
             r["fluid"]["required"] > r["fluid"]["equal"] / 2]),
        ("Where nobody would be late anyway (", [
            r for r in mine if r["fluid"]["fair_window"] >= 4 and
            not r["fluid"]["equal"]]))
    for words, some in classes:
        if not some:
            continue
        late = [r for r in some if worse(r)]
        yield "%s%s%s) it is better at %d, worse at %d%s." % (
            words, "" if words.endswith("(") else "; ",
            count(len(some), "setting"), sum(map(better, some)), len(late),
            ": " + some_of(late) if late else "")


def about_prio(rows):
    pairs = beside(rows, "dctcp-prio")
    if not pairs:
        return
    fewer = sum(p["late_share"] < d["late_share"] for d, p in pairs)
    d, p = max(pairs, key=lambda pair: pair[0]["late_share"]
               - pair[1]["late_share"])
    yield "DCTCP with four strict priorities by time left, for who may configure " \
        "the queues of every switch (and trusts whoever marks), misses fewer " \
        "deadlines than d2tcp at %d of %s; the largest difference is at %s, %s %% " \
        "against %s %%. Each of its queues has a buffer and a threshold of its own." % (
            fewer, count(len(pairs), "setting"), where(d),
            share(p["late_share"]), share(d["late_share"]))


def about_peers(rows):
    for name in ("cubic", "reno", "bbr", "dctcp-jitter"):
        mine = [r for r in loads(rows, algorithm=name) if compared(r)]
        if mine:
            drops = [r["drops"] for r in mine]
            yield "%s against DCTCP: fewer late at %d of %s, more at %d, between " \
                "%+.1f and %+.1f points%s%s." % (
                    name, sum(map(better, mine)), count(len(mine), "setting"),
                    sum(map(worse, mine)),
                    100 * min(r["late_minus_dctcp"]["mean"] for r in mine),
                    100 * max(r["late_minus_dctcp"]["mean"] for r in mine),
                    "; it drops packets at %d" % sum(map(bool, drops))
                    if None not in drops else "",
                    "; its jitter is taken off the deadlines, and helps only "
                    "where it avoids losses" if name == "dctcp-jitter" else "")


def about_thousand(rows):
    pairs = [(r, other) for r, other in beside(rows, "dctcp")
             if r["fan_in"] >= 400]
    if pairs:
        most, other = max(pairs, key=lambda pair: pair[0]["fan_in"])
        yield "With 400 leaves and more (%s) d2tcp differs from DCTCP by %+.1f to " \
            "%+.1f points, beyond the interval at %d; at %s %s %% are late under " \
            "d2tcp and %s %% under DCTCP." % (
                count(len(pairs), "setting"), *[100 * f(
                    r["late_minus_dctcp"]["mean"] for r, _ in pairs)
                    for f in (min, max)],
                sum(worse(r) or better(r) for r, _ in pairs), where(most),
                share(most["late_share"]), share(other["late_share"]))


def background(rows):
    return [r for r in loads(rows, algorithm="d2tcp")
            if r.get("background_over_dctcp")]


def least_background(rows):
    """The least lower end of the ratio of background throughputs, and the row."""
    mine = [r for r in background(rows) if r["background_over_dctcp"]["ci95"]]
    return min(mine, key=lambda r: r["background_over_dctcp"]["ci95"][0],
               default=None)


def about_background(rows):
    mine = background(rows)
    least = least_background(rows)
    if not least:
        return
    yield "Long flows beside the queries keep %.3f of the throughput that they have " \
        "beside DCTCP, or more (%.3f at the lower end of the interval; %s); of the " \
        "deadlines beside them d2tcp meets more at %d of %s and fewer at %d." % (
            least["background_over_dctcp"]["ratio"],
            least["background_over_dctcp"]["ci95"][0], where(least),
            sum(map(better, mine)), count(len(mine), "setting"),
            sum(map(worse, mine)))


def flow_groups(rows, scenario):
    found = {}
    for row in rows:
        if "share" in row and row["scenario"] == scenario:
            found.setdefault(row["flows"], []).append(row)
    return found


def against_cubic(rows):
    """Shares that d2tcp and dctcp have beside as many cubic flows."""
    found = {}
    for name, some in flow_groups(rows, "coexistence").items():
        if name in ("dctcp+cubic", "d2tcp+cubic") and \
                some[0]["algorithm"] != "cubic":
            found[name.split("+")[0]] = some[0]["share"]
    return found


def about_coexistence(rows):
    found = against_cubic(rows)
    if len(found) == 2:
        yield "In one queue with a cubic flow, a d2tcp flow has %s %% of the link " \
            "and a DCTCP flow %s %%%s." % (
                share(found["d2tcp"]), share(found["dctcp"]),
                ": cubic hears no marks and fills the queue, and they need one of "
                "their own" if max(found.values()) < 0.1 else "")
    both = flow_groups(rows, "coexistence").get("dctcp+d2tcp")
    if both and len(both) == 2:
        yield "Without deadlines d2tcp and DCTCP share a link %s to %s." % (
            share(both[1]["share"]), share(both[0]["share"]))
    for mix in ("dctcp+d2tcp", "cubic+dctcp", "cubic+d2tcp"):
        mixes = [r for r in rows if r.get("mix") == mix]
        # the members of a mix follow each other
        for row, other in zip(mixes[::2], mixes[1::2]):
            yield "Half of the leaves under %s and half under %s, in the same " \
                "queries (%s): %s %% and %s %% late." % (
                    row["algorithm"], other["algorithm"], where(row),
                    share(row["late_share"]), share(other["late_share"]))


def law_errors(rows):
    """Largest error of the two predictions over all long flows, as shares; the
    first is None where the link is not known.
    """
    mine = [r for some in flow_groups(rows, "differentiation").values()
            for r in some if r["share_by_alpha"] is not None]
    if not mine:
        return None
    return (max((abs(r["share"] - r["share_predicted"]) for r in mine
                 if r["share_predicted"] is not None), default=None),
            max(abs(r["share"] - r["share_by_alpha"]) for r in mine))


def about_differentiation(rows):
    errors = law_errors(rows)
    pair = flow_groups(rows, "differentiation").get("d2tcp:near+d2tcp:far")
    if not errors or not pair:
        return
    yield "A flow whose d is held at 2 gets %s %% of a link that it shares with " \
        "one at 0.5. From the alpha that each flow had, the law predicts all " \
        "shares within %s points%s." % (
            share(pair[0]["share"]), points(errors[1]),
            "; from the link alone, with synchronised sawtooths, within %s"
            % points(errors[0]) if errors[0] is not None else "")


def listed(rows, scenario, words):
    """The late shares of d2tcp and dctcp at each point of a scenario."""
    pairs = beside(rows, "dctcp", scenario=scenario)
    if pairs:
        yield "%s: %s." % (words, "; ".join(
            "%s %s %% (dctcp %s %%, %s)" % (
                where(r).split(": ", 1)[1].split(", ", 1)[1],
                share(r["late_share"]), share(other["late_share"]), verdict(r))
            for r, other in pairs))


def about_tree(rows):
    yield from listed(rows, "tree", "In the tree, marked in two places, late "
                      "under d2tcp")


def about_services(rows):
    mine = [r for r in rows if r["scenario"] == "services" and
            r["algorithm"] == "d2tcp" and r["service"] and compared(r)]
    if mine:
        gain, loss = [[r["service"] for r in mine if f(r)]
                      for f in (better, worse)]
        yield "Services that share a rack: of %s d2tcp is better at %d%s and " \
            "worse at %d%s." % (
                count(len(mine), "setting"), len(gain),
                " (%s)" % ", ".join(sorted(set(gain))) if gain else "",
                len(loss), " (%s)" % ", ".join(sorted(set(loss)))
                if loss else "")


def about_exponential(rows):
    yield from listed(rows, "exponential", "Responses of 2 to 50 KB with "
                      "exponential deadlines, late under d2tcp")


def in_time(rows):
    return "%d of %d" % (sum(r["recovered"] for r in rows),
                         sum(r["seeds"] for r in rows))


def about_recovery(rows):
    mine = [r for r in rows if "recovered" in r]
    for retries in sorted({r.get("retries", 0) for r in mine}):
        for arrival in sorted({r["arrival"] for r in mine}):
            some = [r for r in mine if r.get("retries", 0) == retries and
                    r["arrival"] == arrival]
            if not some:
                continue
            times = [r["recovery_ms"] for r in some
                     if r["recovery_ms"] is not None]
            watched = [r["watched_ms"] for r in some if r["watched_ms"]]
            yield "After a burst, %s a second and %s: normal again in %s runs " \
                "(%s)%s%s." % (
                    arrival, "no retries" if not retries
                    else count(retries, "retry").replace("retrys", "retries"),
                    in_time(some), ", ".join("%s %s" % (a, in_time(
                        [r for r in some if r["algorithm"] == a]))
                        for a in dict.fromkeys(r["algorithm"] for r in some)),
                    ", after %.0f to %.0f ms on average" % (
                        min(times), max(times)) if times else "",
                    "; the others not within %.0f ms" % min(watched)
                    if watched else "")
    again = [r for r in mine if r.get("retries")]
    jitter = [r for r in again if str(r["retry_after_ms"]) != "0"]
    plain = [r for r in again if str(r["retry_after_ms"]) == "0"]
    if jitter and plain:
        asked = [sum(r["askings_per_query"] for r in some) / len(some)
                 for some in (jitter, plain)]
        yield "With jitter before each retry %s runs are normal again, without %s; " \
            "a query is asked %.2f and %.2f times on average." % (
                in_time(jitter), in_time(plain), *asked)


def headlines(rows):
    """The few findings that someone reads first."""
    for about in (about_all, about_region, about_slack_in_short, about_outside,
                  about_prio, about_background, about_services,
                  about_coexistence):
        yield from about(rows)


def about_slack_in_short(rows):
    done = {k: quarter_slack(v) for k, v in series(acting(rows)).items()}
    if done:
        yield "Its late share is at most a quarter of DCTCP's %s." % "; ".join(
            "%s at %g Gbit/s and fan-in %d" % (
                "from slack %s on" % v if v else "at no slack that was run",
                rate / 1000, fan_in) for (rate, fan_in, _), v in done.items())


def findings(rows):
    """Sentences, the most important first."""
    for about in (about_all, about_region, about_slack, about_reasons,
                  about_prio, about_outside, about_thousand,
                  about_peers, about_exponential, about_services,
                  about_background, about_coexistence, about_differentiation,
                  about_tree, about_recovery):
        yield from about(rows)
    loose = [r for r in rows if r.get("certain") is False]
    if not any("certain" in r for r in rows):
        return
    yield "Half of the 95 %% interval of the late share is below the wanted width " \
        "(1 point, where the scenario says nothing else) at %s of %d; those where " \
        "it is not have a * in the tables." % (
            "all" if not loose else "all but %d" % len(loose),
            sum("certain" in r for r in rows))


def claims(rows):
    """The paper's claims: (claim, claimed, measured here, conditions, verdict)."""
    done = {k: (quarter_slack(v), v) for k, v in series(acting(rows)).items()}
    if done:
        holds = [v for v, _ in done.values() if v]
        yield ("Misses fewer deadlines than DCTCP (abstract)", "75 % fewer",
               "; ".join("%g Gbit/s, fan-in %d: %s" % (
                   k[0] / 1000, k[1], "from slack %s on%s" % (
                       v, "" if surely(some, v) else
                       " (the interval reaches above a quarter)") if v
                   else "less than that at every slack")
                   for k, (v, some) in done.items()),
               "where the law should act: sharing by required rate would miss at "
               "most half of what equal sharing misses, and the fair window is 4 "
               "packets or more",
               "holds with enough slack" if len(holds) == len(done)
               else "holds at some settings" if holds else "not seen")
    small = [r for r in loads(rows, algorithm="d2tcp") if "fluid" in r and
             r["fluid"]["fair_window"] < 4 and r["fan_in"] >= 20
             and compared(r)]
    if small:
        same = sum(not better(r) for r in small)
        yield ("Fewer misses at the fan-in of online services (its axis reaches 40; "
               "evaluation)", "fewer at every fan-in",
               "no fewer at %d of %d settings with fan-in 20 or more and a fair "
               "window below 4 packets" % (same, len(small)),
               "windows near their floor of 2 packets",
               "does not hold there" if same > len(small) / 2 else
               "holds in part" if same else "holds")
    found = least_background(rows)
    if found:
        least = found["background_over_dctcp"]["ci95"][0]
        flows = sorted({r["background_flows"] for r in background(rows)})
        yield ("Background flows get nearly as high bandwidth as under TCP (sec. 1)",
               "nearly as high", "at least %.3f of what they get beside DCTCP "
               "(lower end of the intervals)" % least,
               "%s long flows beside queries"
               % " to ".join(str(n) for n in sorted({flows[0], flows[-1]})),
               "holds" if least >= 0.97 else "does not hold")
    cubic = against_cubic(rows)
    if len(cubic) == 2:
        yield ("Coexists with TCP without degrading it (sec. 1)", "no harm to TCP",
               "cubic keeps %s %% beside one d2tcp flow; d2tcp is left %s %%"
               % (share(1 - cubic["d2tcp"]), share(cubic["d2tcp"])),
               "one queue%s; cubic without ECN" % (
                   "" if any(r["fidelity"]["rate_mbps"] is None for r in rows)
                   else " with step marking and a buffer of 400 packets"), "holds for TCP, and d2tcp starves, as DCTCP does"
               if max(cubic.values()) < 0.1 else
               "holds" if min(cubic.values()) <= 0.5 else "does not hold")
    errors = law_errors(rows)
    if errors:
        yield ("Flows with nearer deadlines get more bandwidth, by p = alpha^d "
               "(testbed)", "nearer ones get more",
               "shares as the law has them within %s points given each flow's "
               "alpha%s" % (points(errors[1]), ", within %s from the link alone"
                            % points(errors[0]) if errors[0] is not None else ""),
               "two to four long flows, d held at 0.5, 1, 2",
               "holds, given alpha" if errors[1] <= 0.05 else "holds in part")
    yield ("Misses fewer deadlines than D3 (abstract)", "50 % fewer",
           "not measured: D3 needs switches that grant rates", "-", "open")
    yield ("Deadlines 35 to 55 % tighter than D3's at 5 % missed (sec. 1)",
           "35 to 55 %", tighter(rows), "against DCTCP, since D3 does not run on "
           "Linux; slack interpolated", "another comparison")


def tighter(rows):
    """How much less slack d2tcp needs than dctcp for 5 % late."""
    found = []
    pairs = [(r, other) for r, other in beside(rows, "dctcp")
             if "fluid" in r and r["fluid"]["fair_window"] >= 4]
    for (rate, fan_in, _), some in series([r for r, _ in pairs]).items():
        mine = slack_at(some, 0.05)
        base = slack_at([base_of(rows, r) for r in some], 0.05)
        if mine and base:
            found.append("%g Gbit/s, fan-in %d: slack %.2f instead of %.2f, "
                         "%.0f %% tighter" % (rate / 1000, fan_in, mine, base,
                                              100 * (1 - mine / base)))
    return "; ".join(found) or "5 % late lies outside the slacks that were run"


def slack_at(rows, level):
    """The slack at which a late share falls to `level`, between two points."""
    ordered = sorted(rows, key=lambda r: r["slack"])
    for one, two in zip(ordered, ordered[1:]):
        if one["late_share"] > level >= two["late_share"]:
            part = (one["late_share"] - level) / (one["late_share"] -
                                                  two["late_share"])
            return one["slack"] + part * (two["slack"] - one["slack"])
    return None
