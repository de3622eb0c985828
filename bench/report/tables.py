# SPDX-License-Identifier: GPL-2.0
"""Rows of summary.json as tables of text: for the terminal, the page, the docs."""

import algorithms
from analysis import FIRST
import scenario as scenarios


def share(x):
    return "-" if x is None else "%.1f" % (100 * x)


def between(interval, factor=1, digits=1):
    if not interval or None in interval:
        return "-"
    return " to ".join("%.*f" % (digits, factor * x) for x in interval)


def number(x):
    return "-" if x is None else str(x)


def difference(row, which="late_minus_dctcp"):
    """Difference from DCTCP in points; "none" where the interval contains 0."""
    found = row.get(which)
    if not found or found["half95"] is None:
        return "-"
    if abs(found["mean"]) <= found["half95"]:
        return "none"
    return "%+.1f ± %.1f" % (100 * found["mean"], 100 * found["half95"])


def ratio(found, digits=2):
    """Ratio to DCTCP and its interval; "none" where the interval contains 1."""
    if not found or found["ratio"] is None:
        return "-"
    if found["ci95"] is None:
        return "?"
    low, high = found["ci95"]
    if low <= 1 <= high:
        return "none"
    return "%.*f (%.*f to %.*f)" % (digits, found["ratio"], digits,
                                    max(0, low), digits, high)


def throughput_ratio(row):
    """Ratio of the queries per second to those under DCTCP, and its interval."""
    found = row.get("queries_over_dctcp")
    if not found or found["ratio"] is None:
        return "-"
    return "%.3f" % found["ratio"] + (
        " (%s)" % between(found["ci95"], digits=3) if found["ci95"] else "")


def fluids(row):
    found = row.get("fluid")
    if not found:
        return "-"
    return "%.1f / %.1f" % (100 * found["equal"], 100 * found["required"])


def recovery(row):
    if row["recovery_ms"] is None:
        return "%d of %d in %.0f" % (row["recovered"], row["seeds"],
                                     row["watched_ms"])
    return "%.0f" % row["recovery_ms"]


def granted(row):
    """Whether the row's aggregator uses D2TCP_EXPECT."""
    return algorithms.BY_NAME[row["algorithm"]].grants


# heading, text of a row, and when the column is shown: the key that at least one row
# must have, a test that one must pass, or None for always
QUERIES = (
    ("mix", lambda r: r["mix"], "mix"),
    ("service", lambda r: r["service"] or "all", "service"),
    ("load %", lambda r: "-" if r.get("load") is None
     else "%.0f" % (100 * r["load"]), "load"),
    ("algorithm", lambda r: r["algorithm"], None),
    ("seeds", lambda r: str(r["seeds"]), None),
    ("missed %", lambda r: share(r["late_share"]) + ("" if r["certain"]
                                                   else " *"), None),
    ("95 % interval", lambda r: between(r["late_share_ci95"], 100), None),
    ("diff. from DCTCP", difference, None),
    ("ratio to DCTCP", lambda r: ratio(r["late_over_dctcp"]), None),
    ("diff. from nodeadline", lambda r: difference(r, "late_minus_control"),
     "late_minus_control"),
    ("lower bound %", lambda r: share(r["late_share_optimum"]),
     "late_share_optimum"),
    ("fluid models %", fluids, "fluid"),
    ("law can act", lambda r: {True: "yes", False: "no"}.get(
        r.get("law_can_act"), "-"), "fluid"),
    ("gap closed", lambda r: "-" if r.get("closed_gap") is None
     else "%.2f" % r["closed_gap"], "closed_gap"),
    ("first %d missed %%" % FIRST, lambda r: share(r.get("first_late_share")),
     granted),
    ("queries missed %", lambda r: share(r["query_late_share"]), None),
    ("queries/s", lambda r: "-" if r.get("queries_per_s") is None
     else "%.1f" % r["queries_per_s"], "queries_per_s"),
    ("queries/s ratio", throughput_ratio, "queries_over_dctcp"),
    ("p50 ms", lambda r: "%.2f" % r["fct_ms"]["p50"], None),
    ("p99 ms", lambda r: "%.2f" % r["fct_ms"]["p99"], None),
    ("max ms", lambda r: "%.2f" % r["fct_ms"]["max"], None),
    ("background Mbit/s", lambda r: "%.1f" % r["background_mbps"],
     "background_ci95"),
    ("background ratio", lambda r: ratio(r.get("background_over_dctcp"), 3),
     "background_ci95"),
    ("attempts", lambda r: "%.2f" % r.get("askings_per_query", 1),
     "askings_per_query"),
    ("recovered after ms", recovery, "recovered"),
    ("marks", lambda r: number(r["marks"]), None),
    ("drops", lambda r: number(r["drops"]), None),
    ("uplink marks", lambda r: str(r["uplink_marks"]), "uplink_marks"),
    ("uplink drops", lambda r: str(r["uplink_drops"]), "uplink_drops"),
)
FLOWS = (
    ("flow", lambda r: r["algorithm"] + (":" + r["claim"] if r["claim"]
                                         else ""), None),
    ("seeds", lambda r: str(r["seeds"]), None),
    ("Mbit/s", lambda r: "%.1f" % r["mbps"], None),
    ("95 % interval", lambda r: between(r["mbps_ci95"]), None),
    ("share %", lambda r: share(r["share"]), None),
    ("95 % interval", lambda r: between(r["share_ci95"], 100), None),
    ("law predicts %", lambda r: share(r["share_predicted"]),
     "share_predicted"),
    ("alpha", lambda r: "-" if r["alpha"] is None else "%.3f" % r["alpha"],
     "alpha"),
    ("by its alpha %", lambda r: share(r["share_by_alpha"]),
     "share_by_alpha"),
    ("marks", lambda r: number(r["marks"]), None),
    ("drops", lambda r: number(r["drops"]), None),
)
NOTE = "missed: responses that complete after their deadline (*: half of the 95 % " \
    "interval is wider than the scenario's half_width). diff. from DCTCP or from d2tcp-nodeadline, in " \
    "points, and ratio to DCTCP: paired by seed; \"none\" where the 95 % interval contains no " \
    "difference, ? where the ratio has no interval. lower bound: the percentage that " \
    "every schedule misses. fluid models: misses when the link is shared equally / by " \
    "required rate; the law can act where the second is at most half of the first and " \
    "the fair window is 4 packets or more. gap closed: the fraction of the gap between " \
    "DCTCP and the lower bound that the algorithm closes, where the gap is more than a " \
    "point. " + \
    "first %d missed: in the first %d queries on new connections. " % (FIRST, FIRST) + \
    "queries missed: queries with at least one missed response. queries/s: in a closed " \
    "loop, and its ratio to that under DCTCP. load: of the bottleneck, headers " \
    "included. attempts: per query, the first included. recovered after: from the end " \
    "of the burst; \"3 of 4 in 4500\" where not every seed recovered while queries " \
    "were sent."
FLOW_NOTE = "near, far: deadlines so near or so far that d stays at 2 or at 0.5; other " \
    "flows have no deadline, so d is 1. law predicts: the shares of synchronised " \
    "sawtooths, from the link alone. by its alpha: the shares of sawtooths with the " \
    "mean alpha of each flow."


def columns(rows):
    chosen = FLOWS if "share" in rows[0] else QUERIES
    return [c for c in chosen if c[2] is None or any(
        c[2](r) if callable(c[2]) else r.get(c[2]) not in (None, "")
        for r in rows)]


def table(scenario, rows):
    """The table as lists of cells: the header, then a row per point and algorithm."""
    swept = scenarios.swept(scenario)
    wanted = columns(rows)
    yield [k.replace("_", "-") for k in swept] + [c[0] for c in wanted]
    for row in rows:
        yield [str(row[k]) for k in swept] + [c[1](row) for c in wanted]


def note(rows):
    return FLOW_NOTE if "share" in rows[0] else NOTE


def print_table(scenario, rows):
    """Prints the table of a scenario on the terminal."""
    cells = list(table(scenario, rows))
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    print("\n%s: %s" % (scenario["name"], scenario["claim"]))
    print(setting(scenario, rows) + "\n")
    words = ("algorithm", "flow", "flows", "service", "mix")
    for n, row in enumerate(cells):
        print("  ".join(c.ljust(w) if cells[0][i] in words else c.rjust(w)
                        for i, (c, w) in enumerate(zip(row, widths))).rstrip())
        if n == 0:
            print("  ".join("-" * w for w in widths))


def _text(value):
    return "/".join(map(str, value)) if isinstance(value, list) else str(value)


def setting(scenario, rows):
    """The scenario in a few lines, with the kernel."""
    def of(key):
        return _text(scenario[key])

    parts = ["%s" % scenario["topology"]]
    if scenario["hosts"]:
        parts = ["%d real hosts" % scenario["hosts"], "RTO min %s ms"
                 % of("rto_min_ms")]
    elif scenario["topology"] == "tree":
        parts[0] += " of %s racks, uplinks %s Mbit/s" % (of("racks"),
                                                         of("uplink_mbps"))
    if "aggregators" in scenario:
        parts.append("%s aggregators" % of("aggregators"))
    if "aggregator_hosts" in scenario:
        parts[-1] += " on %s hosts" % of("aggregator_hosts")
    if not scenario["hosts"]:
        parts += ["%s Mbit/s" % of("rate_mbps"), "%s us per host"
                  % of("host_delay_us"), "mark at %s us" % of("mark_us"),
                  "buffer %s packets" % of("buffer_packets"),
                  "RTO min %s ms" % of("rto_min_ms")]
    if "flows" in scenario:
        parts.append("%s s of long flows" % of("seconds"))
    else:
        parts.append("fan-in %s" % of("fan_in"))
        for service in scenario.get("services", [{}]):
            whole = scenario | service
            what = "%s bytes per query, spread %s" % (
                _text(whole["query_bytes"]), _text(whole["response_spread"])) \
                if "query_bytes" in whole else \
                "%s bytes per response" % _text(whole["response_bytes"])
            parts.append("%s%s, deadlines %s ms" % (
                service.get("name", "") + ": " if service else "", what,
                _text(whole["deadline_ms"])))
        parts.append("x slack %s" % of("slack"))
        if "arrival" in scenario:
            parts.append("%s queries/s" % of("arrival"))
        if "burst_rate" in scenario:
            parts.append("%s queries/s from %s to %s ms" % (
                of("burst_rate"), of("burst_from_ms"), of("burst_to_ms")))
        if "retries" in scenario:
            parts.append("retries %s after %s ms" % (of("retries"),
                                                     of("retry_after_ms")))
        if scenario["background_flows"] != 0:
            parts.append("%s background flows" % of("background_flows"))
        if any(member.jitter for name in scenario["algorithms"]
               for member in algorithms.members(name)):
            parts.append("jitter %s ms" % of("jitter_ms"))
    seeds = sorted({r["seeds"] for r in rows})
    parts.append("%s seeds" % (seeds[0] if len(seeds) == 1 else
                               "%d to %d" % (seeds[0], seeds[-1])))
    parts.append("Linux %s" % rows[0]["kernel"])
    return ", ".join(parts + scenario["params"])
