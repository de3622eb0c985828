# SPDX-License-Identifier: GPL-2.0
"""Numbers and points in words, for sentences and titles."""

import scenario as scenarios


def points(x):
    return "%.1f" % (100 * x)


def count(n, what):
    """"1 point", "2 points", "no points"; "2 retries"."""
    if n != 1:
        what = what[:-1] + "ies" if what.endswith("ry") else what + "s"
    return "%s %s" % (n or "no", what)


def value(key, x):
    """The value of a key of a point in words; "" if there is nothing to say."""
    zero = str(x) == "0"
    return {
        "service": lambda: "all services" if x == "all" else "service %s" % x,
        "deadline_ms": lambda: "deadlines %s ms" % x,
        "arrival": lambda: "%g queries/s" % scenarios.mean(x),
        "think_ms": lambda: "no think time" if zero else "think time %s ms" % x,
        "aggregator_hosts": lambda: "aggregators on %s" % count(x, "host"),
        "rto_min_ms": lambda: "min RTO %s ms" % x,
        "marker": lambda: {"codel": "CoDel", "red": "RED"}[x] + " switch",
        "background_flows": lambda: count(x, "background flow"),
        "racks": lambda: count(x, "rack"),
        "retries": lambda: count(x, "retry"),
        # without retries there is no wait before them
        "retry_after_ms": lambda: {"-": "", "0": "at once"}.get(
            str(x), "after %s ms" % x),
    }.get(key, lambda: "%s %s" % (key.replace("_", "-"), x))()


def panel(keys):
    """The keys in which a panel differs from the others of its scenario, in words."""
    return ", ".join(filter(None, (value(k, x) for k, x in keys)))


def where(row):
    """A point in words: scenario, rate, fan-in, slack, and other swept keys."""
    found = ["%g Gbit/s" % (row["rate_mbps"] / 1000), value("fan_in", row["fan_in"]),
             value("slack", row["slack"])]
    if "exponential" in str(row.get("deadline_ms")):
        found.append(value("deadline_ms", row["deadline_ms"]))
    if str(row.get("think_ms", "0")) != "0":
        found.append(value("think_ms", row["think_ms"]))
    if row.get("aggregator_hosts"):
        found.append("%d %s" % (row["aggregators"], value(
            "aggregator_hosts", row["aggregator_hosts"])))
    # that of all scenarios but one
    if row.get("rto_min_ms", 10) != 10:
        found.append(value("rto_min_ms", row["rto_min_ms"]))
    if row.get("marker"):
        found.append(value("marker", row["marker"]))
    if row.get("load"):
        found.append("load %.0f %%" % (100 * row["load"]))
    if row.get("background_flows"):
        found.append(value("background_flows", row["background_flows"]))
    return "%s: %s" % (row["scenario"], ", ".join(found))
