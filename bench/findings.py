# SPDX-License-Identifier: GPL-2.0
"""What the rows say, in sentences and in a table of the paper's claims.

Every number in them is computed from the rows; a finding about a scenario that was
not run is left out.
"""

from tables import share

PAPER = "D2TCP, SIGCOMM 2012"


def loads(rows, **want):
    """Rows of whole queries: no member of a mix, no single service."""
    return [r for r in rows if "late_share" in r and not r["mix"] and
            not r["service"] and all(r.get(k) == v for k, v in want.items())]


def where(row):
    """Rate, fan-in and slack of a row."""
    return "%g Gbit/s, fan-in %s, slack %s" % (
        row["rate_mbps"] / 1000, row["fan_in"], row["slack"])


def worse(row):
    """Whether it is later than dctcp by more than the interval."""
    found = row["late_minus_dctcp"]
    return found["half95"] is not None and found["mean"] > found["half95"]


def better(row):
    found = row["late_minus_dctcp"]
    return found["half95"] is not None and -found["mean"] > found["half95"]


def points(x):
    return "%.1f" % (100 * x)


def count(n, what):
    """"1 point", "2 points", "no point"."""
    return "%s %s%s" % (n or "no", what, "" if n <= 1 else "s")


def base_of(rows, row, name="dctcp"):
    """The row of another algorithm at the same point."""
    same = ("scenario", "fan_in", "slack", "rate_mbps", "service", "deadline_ms",
            "background_flows", "retries", "retry_after_ms", "arrival", "racks")
    return next(r for r in rows if r.get("algorithm") == name and
                "late_share" in r and not r["mix"] and
                all(r.get(k) == row.get(k) for k in same))


def acting(rows):
    """Rows of d2tcp at the points where the law can act."""
    return [r for r in loads(rows, algorithm="d2tcp") if r.get("law_can_act")
            and r["late_minus_dctcp"]]


def quarter_slack(mine):
    """The least slack from which on the ratio is a quarter at most, or None.

    Where dctcp misses nothing there is no ratio, and nothing to gain.
    """
    found = None
    for row in sorted(mine, key=lambda r: -r["slack"]):
        ratio = row["late_over_dctcp"]["ratio"]
        if ratio is not None and ratio > 0.25:
            break
        if ratio is not None:
            found = row["slack"]
    return found


def series(rows):
    """{(rate, fan-in, scenario): rows over slack}, three slacks at least."""
    found = {}
    for row in rows:
        found.setdefault((row["rate_mbps"], row["fan_in"], row["scenario"]),
                         []).append(row)
    return {k: v for k, v in sorted(found.items())
            if len({r["slack"] for r in v}) > 2}


def about_region(rows):
    mine = acting(rows)
    if not mine:
        return
    late = [r for r in mine if worse(r)]
    gains = sum(better(r) for r in mine)
    yield "Where the law can act (%s), d2tcp is later than DCTCP by more than " \
        "the 95 %% interval at %s, and earlier at %d%s." % (
            count(len(mine), "point"), count(len(late), "of them") if late
            else "none of them", gains,
            ": " + "; ".join(where(r) for r in late) if late else "")
    for (rate, fan_in, _), some in series(mine).items():
        found = quarter_slack(some)
        some = sorted(some, key=lambda r: r["slack"])
        text = ", ".join("%s: %.2f" % (r["slack"], r["late_over_dctcp"]["ratio"])
                         for r in some
                         if r["late_over_dctcp"]["ratio"] is not None)
        yield "At %g Gbit/s and fan-in %d (fair window %.1f packets) its late " \
            "share is at most a quarter of DCTCP's %s. Ratio by slack: %s." % (
                rate / 1000, fan_in, some[0]["fluid"]["fair_window"],
                "from slack %s on" % found if found else
                "at no slack that was run", text)
    ones = [r for r in mine if r["late_over_dctcp"]["ratio"] is not None]
    if len(ones) > 5:
        yield "What decides it is whether sharing by required rate would do: " \
            "over these points the ratio of the two correlates by %.2f with " \
            "that of the two fluids, and by %.2f with the fair window." % (
                correlation([r["late_over_dctcp"]["ratio"] for r in ones],
                            [r["fluid"]["required"] / r["fluid"]["equal"]
                             for r in ones]),
                correlation([r["late_over_dctcp"]["ratio"] for r in ones],
                            [r["fluid"]["fair_window"] for r in ones]))


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
            if r.get("law_can_act") is False and r["late_minus_dctcp"]]
    if not mine:
        return
    small = [r for r in mine if r["fluid"]["fair_window"] < 4]
    if small:
        late = [r for r in small if worse(r)]
        same = [r for r in small if not worse(r) and not better(r)]
        yield "Where the fair window is below 4 packets (%s) it makes no " \
            "difference at %d, is better at %d and worse at %d%s." % (
                count(len(small), "point"), len(same),
                sum(better(r) for r in small), len(late),
                ": " + "; ".join("%s (%+.1f points)" % (
                    where(r), 100 * r["late_minus_dctcp"]["mean"])
                    for r in late[:6]) if late else "")
    tight = [r for r in mine if r["fluid"]["fair_window"] >= 4]
    if tight:
        late = [r for r in tight if worse(r)]
        yield "Where deadlines are so tight that sharing by required rate " \
            "would not help much (%s), it is better at %d and worse at %d%s." % (
                count(len(tight), "point"), sum(better(r) for r in tight),
                len(late), ": " + "; ".join("%s (%+.1f points)" % (
                    where(r), 100 * r["late_minus_dctcp"]["mean"])
                    for r in late[:6]) if late else "")


def about_prio(rows):
    mine = [r for r in loads(rows, algorithm="dctcp-prio")
            if "fluid" in r]
    if not mine:
        return
    pairs = [(r, base_of(rows, r, "d2tcp")) for r in mine]
    first = sum(p["late_share"] < d["late_share"] for p, d in pairs)
    worst = max(pairs, key=lambda pair: pair[1]["late_share"]
                - pair[0]["late_share"])
    yield "Who may configure the queues of every switch does better without any " \
        "law: DCTCP with four priorities by time left misses fewer deadlines than " \
        "d2tcp at %d of %d points, at %s %s %% against %s %%." % (
            first, len(pairs), where(worst[0]),
            share(worst[0]["late_share"]), share(worst[1]["late_share"]))


def about_peers(rows):
    for name, words in (("cubic", "cubic, at the price of drops,"),
                        ("reno", "reno"), ("bbr", "bbr"),
                        ("dctcp-jitter", "jitter over dctcp")):
        mine = [r for r in loads(rows, algorithm=name) if "fluid" in r and
                r["late_minus_dctcp"]]
        if mine:
            yield "Against DCTCP %s misses fewer at %d of %d points and more at " \
                "%d, between %+.1f and %+.1f points." % (
                    words, sum(better(r) for r in mine), len(mine),
                    sum(worse(r) for r in mine),
                    100 * min(r["late_minus_dctcp"]["mean"] for r in mine),
                    100 * max(r["late_minus_dctcp"]["mean"] for r in mine))


def about_thousand(rows):
    mine = [r for r in loads(rows, algorithm="d2tcp") if r["fan_in"] >= 400]
    for r in mine:
        yield "%s: %s %% late under d2tcp, %s %% under DCTCP (%s), fair window " \
            "%.2f packets." % (
                where(r), share(r["late_share"]),
                share(base_of(rows, r)["late_share"]),
                "worse" if worse(r) else "better" if better(r)
                else "no difference", r["fluid"]["fair_window"])


def background(rows):
    return [r for r in loads(rows, algorithm="d2tcp")
            if r.get("background_over_dctcp")]


def about_background(rows):
    mine = background(rows)
    if not mine:
        return
    least = min(mine, key=lambda r: r["background_over_dctcp"]["ratio"])
    yield "Long flows beside the queries keep at least %.3f of the throughput " \
        "that they have beside DCTCP (%s at %s); of the deadlines beside them d2tcp " \
        "meets more at %d of %d points and fewer at %d." % (
            least["background_over_dctcp"]["ratio"],
            count(least["background_flows"], "flow")
            if "background_flows" in least else "the least", where(least),
            sum(better(r) for r in mine), len(mine),
            sum(worse(r) for r in mine))


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
        if name in ("dctcp+cubic", "d2tcp+cubic"):
            found[name.split("+")[0]] = some[0]["share"]
    return found


def about_coexistence(rows):
    found = against_cubic(rows)
    if len(found) == 2:
        yield "In one queue with cubic both starve, d2tcp with %s %% of the link " \
            "and DCTCP with %s %%: cubic hears no marks and fills the buffer. They " \
            "need a queue of their own." % (share(found["d2tcp"]),
                                            share(found["dctcp"]))
    both = flow_groups(rows, "coexistence").get("dctcp+d2tcp")
    if both:
        yield "Without deadlines d2tcp and DCTCP share a link %s to %s." % (
            share(both[1]["share"]), share(both[0]["share"]))
    mixes = [r for r in rows if r.get("mix") == "dctcp+d2tcp" and
             r["late_minus_dctcp"]]
    if mixes:
        yield "Half of the leaves under each, in the same queries: %s." % "; ".join(
            "%s %s %% late (alone: dctcp %s %%)" % (
                r["algorithm"], share(r["late_share"]),
                share(base_of(rows, r)["late_share"])) for r in mixes)


def law_errors(rows):
    """Largest error of the two predictions over all long flows, as shares."""
    mine = [r for some in flow_groups(rows, "differentiation").values()
            for r in some if r["share_predicted"] is not None
            and r["share_by_alpha"] is not None]
    if not mine:
        return None
    return (max(abs(r["share"] - r["share_predicted"]) for r in mine),
            max(abs(r["share"] - r["share_by_alpha"]) for r in mine))


def about_differentiation(rows):
    errors = law_errors(rows)
    pair = flow_groups(rows, "differentiation").get("d2tcp:near+d2tcp:far")
    if not errors or not pair:
        return
    yield "A flow whose d is held at 2 gets %s %% of a link that it shares with " \
        "one at 0.5. From the alpha that each flow had, the law predicts all " \
        "shares within %s points; from the link alone, with synchronised " \
        "sawtooths, within %s, as alpha is larger than that model has it." % (
            share(pair[0]["share"]), points(errors[1]), points(errors[0]))


def about_tree(rows):
    mine = [r for r in loads(rows, scenario="tree", algorithm="d2tcp")]
    if mine:
        yield "In the tree, marked in two places, the late share of d2tcp is: %s." \
            % "; ".join("fan-in %s, slack %s: %s %% (dctcp %s %%)" % (
                r["fan_in"], r["slack"], share(r["late_share"]),
                share(base_of(rows, r)["late_share"])) for r in mine)


def about_services(rows):
    mine = [r for r in rows if r["scenario"] == "services" and
            r["algorithm"] == "d2tcp" and r["service"] and
            r["late_minus_dctcp"]]
    if mine:
        gain = [r for r in mine if better(r)]
        loss = [r for r in mine if worse(r)]
        yield "Of the services that share a rack, d2tcp makes a difference to " \
            "%d of %d points: %d better (%s), %d worse (%s)." % (
                len(gain) + len(loss), len(mine), len(gain),
                ", ".join(sorted({r["service"] for r in gain})) or "-",
                len(loss), ", ".join(sorted({r["service"] for r in loss}))
                or "-")


def about_exponential(rows):
    mine = loads(rows, scenario="exponential", algorithm="d2tcp")
    if mine:
        yield "Responses of 2 to 50 KB with exponential deadlines: %s." % \
            "; ".join("fan-in %s, %s: %s %% (dctcp %s %%, %s)" % (
                r["fan_in"], r["deadline_ms"], share(r["late_share"]),
                share(base_of(rows, r)["late_share"]),
                "worse" if worse(r) else "better" if better(r)
                else "no difference") for r in mine)


def about_recovery(rows):
    mine = [r for r in rows if r["scenario"] == "metastability"]
    for retries in sorted({r["retries"] for r in mine}):
        some = [r for r in mine if r["retries"] == retries]
        yield "After a burst, with %s: back to normal in %d of %d runs; under " \
            "d2tcp in %d of %d, under DCTCP in %d of %d." % (
                count(retries, "retry") if retries < 2
                else "%d retries" % retries,
                sum(r["recovered"] for r in some),
                sum(r["seeds"] for r in some),
                *[f(r[k] for r in some if r["algorithm"] == a)
                  for a in ("d2tcp", "dctcp")
                  for f, k in ((sum, "recovered"), (sum, "seeds"))])
    jitter = [r for r in mine if r["retries"] and
              str(r["retry_after_ms"]) != "0"]
    plain = [r for r in mine if r["retries"] and
             str(r["retry_after_ms"]) == "0"]
    if jitter and plain:
        yield "Jitter of the retries brings %d of %d runs back to normal, " \
            "retries at once %d of %d: it spreads them and does not make them " \
            "fewer." % (sum(r["recovered"] for r in jitter),
                        sum(r["seeds"] for r in jitter),
                        sum(r["recovered"] for r in plain),
                        sum(r["seeds"] for r in plain))


def findings(rows):
    """Sentences, the most important first."""
    for about in (about_region, about_prio, about_outside, about_thousand,
                  about_peers, about_exponential, about_services,
                  about_background, about_coexistence, about_differentiation,
                  about_tree, about_recovery):
        yield from about(rows)
    loose = [r for r in rows if r.get("certain") is False]
    yield "Half of the 95 %% interval of the late share is below the wanted width " \
        "(1 point, where the scenario says nothing else) at %s of %d; those where " \
        "it is not have a * in the tables." % (
            "all" if not loose else "all but %d" % len(loose),
            sum("certain" in r for r in rows))


def claims(rows):
    """The paper's claims: (claim, claimed, measured here, conditions, verdict)."""
    mine = acting(rows)
    if mine:
        done = {k: quarter_slack(v) for k, v in series(mine).items()}
        holds = [v for v in done.values() if v]
        yield ("Misses fewer deadlines than DCTCP (abstract)", "75 % fewer",
               "; ".join("%g Gbit/s, fan-in %d: %s" % (
                   k[0] / 1000, k[1], "75 %% fewer from slack %s on" % v if v
                   else "less than 75 % at every slack") for k, v
                   in done.items()),
               "where the law can act: sharing by required rate would miss at "
               "most half, and the fair window is 4 packets or more",
               "holds with enough slack" if holds and len(holds) == len(done)
               else "holds at some" if holds else "not seen")
    small = [r for r in loads(rows, algorithm="d2tcp") if "fluid" in r and
             r["fluid"]["fair_window"] < 4 and r["fan_in"] >= 20]
    if small:
        same = sum(not better(r) for r in small)
        yield ("The more flows fan in, the larger the gain (its fan-in axis reaches "
               "40)", "gains at every fan-in",
               "no gain at %d of %d points with fan-in 20 or more and a fair window "
               "below 4 packets" % (same, len(small)),
               "windows at their floor of 2 packets: every packet is marked",
               "does not hold" if same > len(small) / 2 else "holds in part")
    found = background(rows)
    if found:
        least = min(r["background_over_dctcp"]["ratio"] for r in found)
        yield ("Background flows get nearly as high bandwidth as under TCP (sec. 1)",
               "nearly as high", "at least %.3f of what they get beside DCTCP"
               % least, "1 to 8 long flows beside open-loop queries",
               "holds" if least >= 0.97 else "does not hold")
    cubic = against_cubic(rows)
    if len(cubic) == 2:
        yield ("Coexists with TCP without degrading it (sec. 1)", "no harm to TCP",
               "cubic keeps %s %% beside one d2tcp flow; d2tcp is left %s %%"
               % (share(1 - cubic["d2tcp"]), share(cubic["d2tcp"])),
               "one queue with step marking and a buffer of 400 packets; cubic "
               "without ECN", "holds for TCP, and d2tcp starves, as DCTCP does")
    errors = law_errors(rows)
    if errors:
        yield ("Flows with nearer deadlines get more bandwidth, by p = alpha^d "
               "(testbed)", "nearer ones get more",
               "shares as the law has them within %s points, given alpha"
               % points(errors[1]), "two to four long flows, d held at 0.5, 1, 2",
               "holds")
    yield ("Misses fewer deadlines than D3 (abstract)", "50 % fewer",
           "not measured: D3 needs switches that grant rates", "-", "open")
    yield ("Deadlines 35 to 55 % tighter than D3's at 5 % missed (sec. 1)",
           "35 to 55 %", tighter(rows), "against DCTCP, since D3 does not run on "
           "Linux; slack interpolated", "another comparison")


def tighter(rows):
    """How much less slack d2tcp needs than dctcp for 5 % late."""
    found = []
    for (rate, fan_in, scenario), some in series(
            [r for r in loads(rows, algorithm="d2tcp") if "fluid" in r
             and r["fluid"]["fair_window"] >= 4]).items():
        mine = slack_at(some, 0.05)
        base = slack_at([base_of(rows, r) for r in some], 0.05)
        if mine and base:
            found.append("%g Gbit/s, fan-in %d: slack %.2f instead of %.2f, "
                         "%.0f %% tighter" % (rate / 1000, fan_in, mine, base,
                                              100 * (1 - mine / base)))
    return "; ".join(found) or "not measured"


def slack_at(rows, level):
    """The slack at which a late share falls to `level`, between two points."""
    ordered = sorted(rows, key=lambda r: r["slack"])
    for one, two in zip(ordered, ordered[1:]):
        if one["late_share"] > level >= two["late_share"]:
            part = (one["late_share"] - level) / (one["late_share"] -
                                                  two["late_share"])
            return one["slack"] + part * (two["slack"] - one["slack"])
    return None
