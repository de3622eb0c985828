#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Scenario files: reading, checking, and the points they sweep.

A scenario is bench/scenarios/NAME.toml. Any number may be a list: lists are
swept. A table [full] or [night] overrides keys in that set of points;
`sets` names the sets that the scenario belongs to (default: all). docs/bench.md
describes each key.

A scenario is read-only. The options of a command change it through with_options().

Called as a program, `scenario.py SET [NAME]`, it checks the files.
"""

import itertools
import math
import os
import re
import sys
import tomllib
import types

import algorithms

DIRECTORY = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                         "scenarios")
SETS = ("default", "full", "night")
TOPOLOGIES = ("star", "tree")
MARKERS = ("codel", "red")  # network/queues.py builds them
CLAIMS = ("near", "far")  # deadlines of long flows: d at its maximum or minimum

NUMBER = r"\s*\d+(\.\d+)?\s*"
DISTRIBUTION = re.compile(r"%s|uniform\(%s,%s\)|exponential\(%s\)"
                          % ((NUMBER,) * 4))
POISSON = re.compile(r"poisson\(%s\)" % NUMBER)

FLOW = r"(%s)|%s:(%s)" % ("|".join(algorithms.NAMES), algorithms.LAW,
                          "|".join(CLAIMS))
FLOWS = re.compile(r"(%s)([+](%s))*" % (FLOW, FLOW))
ALGORITHM = re.compile("|".join(algorithms.NAMES))
MARKER = re.compile("|".join(MARKERS))

# key: (kind, min, max); the kind is "real", "whole", or a pattern for text
SWEPT = {
    "rate_mbps": ("real", 1, 100000),
    "racks": ("whole", 2, 100),
    "uplink_mbps": ("real", 1, 100000),
    "aggregators": ("whole", 1, 16),
    "aggregator_hosts": ("whole", 1, 16),
    "host_delay_us": ("real", 1, 1000000),
    "buffer_packets": ("whole", 2, 1000000),
    "mark_us": ("real", 1, 1000000),
    "marker": (MARKER, None, None),
    "rto_min_ms": ("whole", 1, 10000),
    "fan_in": ("whole", 2, 1000),
    "flows": (FLOWS, None, None),
    "seconds": ("whole", 1, 3600),
    "query_bytes": ("whole", 1, 10**12),
    "response_bytes": (DISTRIBUTION, None, None),
    "response_spread": ("real", 0, 1),
    "deadline_ms": (DISTRIBUTION, None, None),
    "slack": ("real", 0.001, 1000),
    "queries": ("whole", 1, 1000000),
    "min_gap_ms": ("real", 0, 100000),
    "arrival": (POISSON, None, None),
    "burst_rate": ("real", 0.001, 1000000),
    "burst_from_ms": ("real", 0, 10000000),
    "burst_to_ms": ("real", 0, 10000000),
    "until_ms": ("real", 1, 10000000),
    "retries": ("whole", 0, 100),
    "retry_after_ms": (DISTRIBUTION, None, None),
    "think_ms": (DISTRIBUTION, None, None),
    "jitter_ms": (DISTRIBUTION, None, None),
    "background_flows": ("whole", 0, 1000),
    "background": (ALGORITHM, None, None),
}
# Keys that a service may set for itself, besides its name.
SERVICE = ("query_bytes", "response_bytes", "response_spread", "deadline_ms",
           "arrival", "queries", "think_ms")
ALLOWED = {DISTRIBUTION: "\"NUMBER\", \"uniform(A, B)\" or "
           "\"exponential(MEAN)\"",
           POISSON: "\"poisson(RATE)\"",
           ALGORITHM: ", ".join(algorithms.NAMES),
           MARKER: ", ".join(MARKERS),
           FLOWS: "algorithms, and %s, joined by +" % " and ".join(
               algorithms.LAW + ":" + c for c in CLAIMS)}
DEFAULTS = {"slack": 1.0, "think_ms": "0", "background_flows": 0,
            "response_spread": 0.0, "min_gap_ms": 0,
            # the window of the jitter described in the DCTCP paper (section 2.3.2)
            "jitter_ms": "uniform(0, 10)", "retry_after_ms": "0",
            "half_width": 0.01}
OTHER = ("claim", "topology", "seeds", "most_seeds", "half_width",
         "algorithms", "sets", "services", "trace")
NETWORK = ("claim", "topology", "rate_mbps", "host_delay_us",
           "buffer_packets", "mark_us", "rto_min_ms", "seeds")
REQUIRED = NETWORK + ("fan_in", "deadline_ms", "queries", "algorithms")
REQUIRED_FLOWS = NETWORK + ("flows", "seconds")


# What the options of a command may change, besides keys of the file.
# "seed_list": these seeds, instead of blocks of `seeds` until the interval is narrow
# enough; "params": NAME=VALUE of the module; "hosts": how many real hosts, 0 in the lab
OPTIONS = {"seed_list": None, "params": [], "hosts": 0}


class ScenarioError(Exception):
    """A scenario is invalid; the message names what is wrong and what is allowed."""


def names():
    """The names of all scenarios, in the order in which the report shows them."""
    found = {f[:-5] for f in os.listdir(DIRECTORY) if f.endswith(".toml")}
    first = [n for n in ("paper-regime", "slack-10g", "fan-in-1g",
                         "fan-in-10g") if n in found]
    return first + sorted(found - set(first))


def _check_value(where, key, value):
    kind, low, high = SWEPT[key]
    if isinstance(kind, re.Pattern):
        if kind is DISTRIBUTION and type(value) in (int, float):
            value = str(value)
        if not (isinstance(value, str) and kind.fullmatch(value.strip())):
            raise ScenarioError("%s: %s = %r; allowed is %s"
                                % (where, key, value, ALLOWED[kind]))
        return
    types = (int,) if kind == "whole" else (int, float)
    if isinstance(value, bool) or not isinstance(value, types) or \
            not low <= value <= high:
        raise ScenarioError("%s: %s = %r; allowed is a %s number from %s to %s"
                            % (where, key, value, kind, low, high))


def _check_one_of(where, key, value, allowed):
    if value not in allowed:
        raise ScenarioError("%s: %s = %r; allowed are %s"
                            % (where, key, value, ", ".join(allowed)))


def _check(where, raw):
    """Refuses an invalid scenario before anything is run."""
    _check_required(where, raw)
    _check_keys(where, raw)
    _check_one_of(where, "topology", raw["topology"], TOPOLOGIES)
    _check_lists(where, raw)
    _check_seeds(where, raw)
    if (raw["topology"] == "tree") != ("racks" in raw) or \
            ("racks" in raw) != ("uplink_mbps" in raw):
        raise ScenarioError("%s: racks and uplink_mbps belong to a tree, and "
                            "a tree needs both" % where)
    # an aggregator cannot be on two hosts, and services are on one
    if _extreme(max, raw, "aggregator_hosts") > \
            _extreme(min, raw, "aggregators"):
        raise ScenarioError("%s: aggregator_hosts exceeds aggregators" % where)
    if "flows" not in raw:
        _check_queries(where, raw)


def _extreme(of, raw, key):
    """The largest or smallest of the values that a key has; 1 if it has none."""
    value = raw.get(key, 1)
    return of(value) if isinstance(value, list) else value


def _check_required(where, raw):
    given = set(raw)
    if "services" in raw:
        _check_services(where, raw)
        for key in SERVICE:
            if all(key in service for service in raw["services"]):
                given.add(key)
    for key in REQUIRED_FLOWS if "flows" in raw else REQUIRED:
        if key not in given:
            raise ScenarioError("%s: '%s' is missing" % (where, key))


def _check_keys(where, raw):
    for key, value in raw.items():
        if key in SWEPT:
            values = value if isinstance(value, list) else [value]
            if not values:
                raise ScenarioError("%s: %s is an empty list" % (where, key))
            for one in values:
                _check_value(where, key, one)
        elif key not in OTHER:
            raise ScenarioError(
                "%s: '%s' is not known; known are %s"
                % (where, key, ", ".join(sorted(set(OTHER) | set(SWEPT)))))


def _check_lists(where, raw):
    """Checks the lists of algorithms and of sets."""
    for key in ("algorithms", "sets"):
        if not isinstance(raw.get(key, []), list):
            raise ScenarioError("%s: %s = %r; allowed is a list"
                                % (where, key, raw[key]))
    for name in raw.get("algorithms", []):
        for member in str(name).split("+"):
            _check_one_of(where, "algorithms", member, algorithms.NAMES)
        members = algorithms.members(str(name))
        if len(members) > 1 and not all(m.mixes for m in members):
            raise ScenarioError("%s: algorithms = %r; %s cannot be mixed" % (
                where, name, " and ".join(
                    a.name for a in algorithms.TABLE if not a.mixes)))
    for name in raw.get("sets", []):
        _check_one_of(where, "sets", name, SETS)


def _check_seeds(where, raw):
    """Checks the numbers of seeds, the wanted width and the switch of the trace."""
    for key in ("seeds", "most_seeds"):
        seeds = raw.get(key, 1)
        if isinstance(seeds, bool) or not isinstance(seeds, int) or seeds < 1:
            raise ScenarioError("%s: %s = %r; allowed is a whole number from 1"
                                % (where, key, seeds))
    if raw.get("most_seeds", raw["seeds"]) < raw["seeds"]:
        raise ScenarioError("%s: most_seeds = %r is below seeds = %r"
                            % (where, raw["most_seeds"], raw["seeds"]))
    if not isinstance(raw.get("trace", False), bool):
        raise ScenarioError("%s: trace = %r; allowed is true or false"
                            % (where, raw["trace"]))
    half = raw.get("half_width", 0.01)
    if isinstance(half, bool) or not isinstance(half, (int, float)) or \
            not 0 < half < 1:
        raise ScenarioError("%s: half_width = %r; allowed is a number between "
                            "0 and 1" % (where, half))


def _check_queries(where, raw):
    """Checks keys of queries that require or exclude each other."""
    for service in raw.get("services", [{}]):
        whole = raw | service
        if ("query_bytes" in whole) == ("response_bytes" in whole):
            raise ScenarioError("%s: one of query_bytes and response_bytes is "
                                "needed, and not both" % where)
        if "arrival" in whole and raw.get("min_gap_ms"):
            raise ScenarioError("%s: arrival (open loop) and min_gap_ms "
                                "(closed loop) exclude each other" % where)
        if "arrival" not in whole and ("burst_rate" in raw or
                                       "retries" in raw or
                                       "until_ms" in raw):
            raise ScenarioError("%s: bursts, retries and until_ms need arrival "
                                "(open loop)" % where)
    burst = [k for k in ("burst_rate", "burst_from_ms", "burst_to_ms")
             if k in raw]
    if burst and len(burst) < 3:
        raise ScenarioError("%s: a burst needs burst_rate, burst_from_ms and "
                            "burst_to_ms" % where)


def _check_services(where, raw):
    """Checks the services, which share the workers; each is a table with a name."""
    if not isinstance(raw["services"], list) or not raw["services"] or \
            not all(isinstance(s, dict) for s in raw["services"]):
        raise ScenarioError("%s: services must be tables [[services]]" % where)
    for service in raw["services"]:
        if not re.fullmatch(r"[a-z0-9-]+", str(service.get("name", ""))):
            raise ScenarioError("%s: name = %r; the name of a service "
                                "consists of a-z, 0-9 and -" % (where, service.get("name")))
        for key, value in service.items():
            if key in SERVICE:
                _check_value("%s, service %s" % (where, service["name"]),
                             key, value)
            elif key != "name":
                raise ScenarioError(
                    "%s, service %s: '%s' is not known; known are name, %s"
                    % (where, service["name"], key, ", ".join(SERVICE)))


def chosen(which, name=""):
    """The scenarios of a set, or the one called `name`."""
    if which not in SETS:
        raise ScenarioError("there is no set '%s'; there are %s"
                            % (which, ", ".join(SETS)))
    found = [load(n, which) for n in ([name] if name else names())]
    if name and not found[0]:
        raise ScenarioError("scenario %s is not in set %s; it is in %s" % (
            name, which, ", ".join(s for s in SETS if load(name, s))))
    return [scenario for scenario in found if scenario]


def load(name, which):
    """The scenario as it is in set `which`; None if it is not in it."""
    path = os.path.join(DIRECTORY, name + ".toml")
    if not os.path.exists(path):
        raise ScenarioError("there is no scenario '%s'; there are %s"
                            % (name, ", ".join(names())))
    with open(path, "rb") as f:
        try:
            raw = tomllib.load(f)
        except tomllib.TOMLDecodeError as error:
            raise ScenarioError("%s: %s" % (name, error)) from error
    overrides = {s: raw.pop(s) for s in SETS if s in raw}
    for one in ("default",) + SETS:
        _check(name if one == "default" else "%s [%s]" % (name, one),
               raw | overrides.get(one, {}))
    if which not in raw.get("sets", SETS):
        return None
    found = DEFAULTS | OPTIONS | raw | overrides.get(which, {}) | {
        "name": name, "set": which}
    found.setdefault("most_seeds", found["seeds"])
    if "flows" in found:
        # a run of long flows is named by its flows, not by an algorithm
        found["algorithms"] = ["flows"]
    return types.MappingProxyType(found)


def with_options(scenario, **changes):
    """The scenario with the changes that the options of a command make."""
    for key in changes:
        if key not in OPTIONS and key not in SWEPT and key not in OTHER:
            raise ScenarioError("%s: '%s' is not known" % (scenario["name"], key))
    return types.MappingProxyType(scenario | changes)


def points(scenario):
    """Every combination of the lists, as dicts without lists, in order."""
    keys = [k for k in SWEPT if k in scenario]
    lists = [v if isinstance(v, list) else [v]
             for v in (scenario[k] for k in keys)]
    for combination in itertools.product(*lists):
        point = dict(zip(keys, combination), topology=scenario["topology"])
        if "flows" in point:
            point["fan_in"] = max(2, point["flows"].count("+") + 1)
        if point.get("retries") == 0 and isinstance(
                scenario["retry_after_ms"], list):
            # without retries, the time to wait before them makes no difference
            if point["retry_after_ms"] != scenario["retry_after_ms"][0]:
                continue
            point["retry_after_ms"] = "-"
        if "services" in scenario:
            point["services"] = scenario["services"]
        yield point


def depends_on_slack(algorithm, point):
    """Whether deadlines influence the traffic, so that each slack needs its own runs."""
    return bool(point.get("retries")) or "flows" not in point and any(
        a.deadlines or a.priorities or a.grants for a in algorithms.members(algorithm))


def without_slack(point):
    return {k: v for k, v in point.items() if k != "slack"}


def swept(scenario):
    """The keys whose values make the points of the scenario."""
    return [k for k in SWEPT if isinstance(scenario.get(k), list)
            and len(scenario[k]) > 1]


def label(scenario, point):
    """Short name of a point: the swept keys and their values.

    It names directories, some of which the lab mounts: no commas, no blanks.
    """
    text = "+".join("%s=%s" % (k, point[k]) for k in swept(scenario)
                    if k in point)
    return re.sub(r"[^A-Za-z0-9_.=+-]+", "_", text) or "all"


def optimum_kind(point):
    """The method that gives a tight lower bound for this point, or "none"."""
    closed = "arrival" not in point
    thinks = float(point["think_ms"]) > 0 \
        if re.fullmatch(NUMBER, str(point["think_ms"])) else True
    alone = point.get("aggregators", 1) == 1 and "services" not in point
    if point["topology"] == "star" and closed and not thinks and alone:
        return "moore-hodgson"
    return "none"


def one_port(point):
    """Whether all responses pass one port of a switch, and no other link decides."""
    return point["topology"] == "star" and \
        point.get("aggregator_hosts", point.get("aggregators", 1)) == 1


def mean(text):
    """The mean of a distribution, or the rate of "poisson(RATE)"."""
    kind, *p = distribution(text)
    return sum(p) / 2 if kind == "uniform" else p[0]


def distribution(text):
    """("fixed", x), ("uniform", a, b) or ("exponential", mean)."""
    numbers = [float(x) for x in re.findall(r"\d+(?:\.\d+)?", str(text))]
    kind = re.match(r"\s*(uniform|exponential|)", str(text)).group(1)
    return (kind or "fixed", *numbers)


def below(text, x):
    """The probability that a value of the distribution is at most x."""
    kind, *p = distribution(text)
    if kind == "uniform" and p[1] > p[0]:
        return min(1.0, max(0.0, (x - p[0]) / (p[1] - p[0])))
    if kind == "exponential":
        return 1 - math.exp(-x / p[0]) if x > 0 else 0.0
    return 1.0 if x >= p[0] else 0.0


def quantile(mixture, q):
    """The quantile q of a mixture, which is a list of (weight, distribution)."""
    whole = sum(weight for weight, _ in mixture)
    low, high = 0.0, 1.0
    while sum(w * below(d, high) for w, d in mixture) < q * whole:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        if sum(w * below(d, middle) for w, d in mixture) < q * whole:
            low = middle
        else:
            high = middle
    return high


if __name__ == "__main__":
    try:
        chosen(*sys.argv[1:3])
    except ScenarioError as error:
        sys.exit("bench: %s" % error)
