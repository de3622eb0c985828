#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Scenario files: reading, checking, and the points they sweep.

A scenario is bench/scenarios/NAME.toml. Any number may be a list: lists are
swept. A table [full] or [night] says what differs in that set of points;
`sets` names the sets that the scenario belongs to (all, if absent). docs/bench.md
tells what each key means.

Called as a program, `scenario.py SET [NAME]`, it checks the files.
"""

import itertools
import os
import re
import sys
import tomllib

DIRECTORY = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                         "scenarios")
SETS = ("default", "full", "night")
ALGORITHMS = ("cubic", "reno", "bbr", "dctcp", "d2tcp-nodeadline", "d2tcp")
# Those whose traffic depends on the deadlines, and so on the slack.
WITH_DEADLINES = ("d2tcp",)
TOPOLOGIES = ("star",)

NUMBER = r"\s*\d+(\.\d+)?\s*"
DISTRIBUTION = re.compile(r"%s|uniform\(%s,%s\)|exponential\(%s\)"
                          % ((NUMBER,) * 4))
POISSON = re.compile(r"poisson\(%s\)" % NUMBER)

# key: (kind, least, most); kind "real", "whole", or a pattern for text
SWEPT = {
    "rate_mbps": ("real", 1, 100000),
    "host_delay_us": ("real", 1, 1000000),
    "buffer_packets": ("whole", 2, 1000000),
    "mark_us": ("real", 1, 1000000),
    "rto_min_ms": ("whole", 1, 10000),
    "fan_in": ("whole", 2, 1000),
    "query_bytes": ("whole", 1, 10**12),
    "response_bytes": (DISTRIBUTION, None, None),
    "response_spread": ("real", 0, 1),
    "deadline_ms": (DISTRIBUTION, None, None),
    "slack": ("real", 0.001, 1000),
    "queries": ("whole", 1, 1000000),
    "min_gap_ms": ("real", 0, 100000),
    "arrival": (POISSON, None, None),
    "think_ms": (DISTRIBUTION, None, None),
    "background_flows": ("whole", 0, 1000),
}
DEFAULTS = {"slack": 1.0, "think_ms": "0", "background_flows": 0,
            "response_spread": 0.0, "min_gap_ms": 0}
REQUIRED = ("claim", "topology", "rate_mbps", "host_delay_us",
            "buffer_packets", "mark_us", "rto_min_ms", "fan_in", "deadline_ms",
            "queries", "seeds", "algorithms")


class ScenarioError(Exception):
    """The file is not a scenario; says what is wrong and what is allowed."""


def names():
    return sorted(f[:-5] for f in os.listdir(DIRECTORY) if f.endswith(".toml"))


def _check_value(where, key, value):
    kind, least, most = SWEPT[key]
    if isinstance(kind, re.Pattern):
        if kind is DISTRIBUTION and type(value) in (int, float):
            value = str(value)
        if not (isinstance(value, str) and kind.fullmatch(value.strip())):
            raise ScenarioError(
                "%s: %s = %r; allowed is %s" % (where, key, value,
                "\"poisson(RATE)\"" if kind is POISSON else
                "\"NUMBER\", \"uniform(A, B)\" or \"exponential(MEAN)\""))
        return
    types = (int,) if kind == "whole" else (int, float)
    if isinstance(value, bool) or not isinstance(value, types) or \
            not least <= value <= most:
        raise ScenarioError("%s: %s = %r; allowed is a %s number from %s to %s"
                            % (where, key, value, kind, least, most))


def _check_one_of(where, key, value, allowed):
    if value not in allowed:
        raise ScenarioError("%s: %s = %r; allowed are %s"
                            % (where, key, value, ", ".join(allowed)))


def _check(where, raw):
    for key in REQUIRED:
        if key not in raw:
            raise ScenarioError("%s: '%s' is missing" % (where, key))
    for key, value in raw.items():
        if key in SWEPT:
            values = value if isinstance(value, list) else [value]
            if not values:
                raise ScenarioError("%s: %s is an empty list" % (where, key))
            for one in values:
                _check_value(where, key, one)
        elif key not in ("claim", "topology", "seeds", "algorithms", "sets"):
            raise ScenarioError(
                "%s: '%s' is not known; known are %s" % (where, key, ", ".join(
                    sorted(set(REQUIRED) | set(SWEPT) | {"sets"}))))
    _check_one_of(where, "topology", raw["topology"], TOPOLOGIES)
    for key in ("algorithms", "sets"):
        if not isinstance(raw.get(key, []), list):
            raise ScenarioError("%s: %s = %r; allowed is a list"
                                % (where, key, raw[key]))
    for name in raw["algorithms"]:
        _check_one_of(where, "algorithms", name, ALGORITHMS)
    for name in raw.get("sets", []):
        _check_one_of(where, "sets", name, SETS)
    seeds = raw["seeds"]
    if isinstance(seeds, bool) or not isinstance(seeds, int) or seeds < 1:
        raise ScenarioError("%s: seeds = %r; allowed is a whole number from 1"
                            % (where, seeds))
    if ("query_bytes" in raw) == ("response_bytes" in raw):
        raise ScenarioError("%s: one of query_bytes and response_bytes is "
                            "needed, and not both" % where)
    if "arrival" in raw and raw.get("min_gap_ms"):
        raise ScenarioError("%s: arrival (open loop) and min_gap_ms (closed "
                            "loop) exclude each other" % where)


def chosen(which, name=""):
    """The scenarios of a set, or the one called `name`."""
    if which not in SETS:
        raise ScenarioError("there is no set '%s'; there are %s"
                            % (which, ", ".join(SETS)))
    found = [load(n, which) for n in ([name] if name else names())]
    if name and not found[0]:
        raise ScenarioError("scenario %s is not in set %s" % (name, which))
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
    return DEFAULTS | raw | overrides.get(which, {}) | {"name": name}


def points(scenario):
    """Every combination of the lists, as dicts without lists, in order."""
    keys = [k for k in SWEPT if k in scenario]
    lists = [v if isinstance(v, list) else [v]
             for v in (scenario[k] for k in keys)]
    for combination in itertools.product(*lists):
        yield dict(zip(keys, combination), topology=scenario["topology"])


def without_slack(point):
    return {k: v for k, v in point.items() if k != "slack"}


def label(scenario, point):
    """Short name of a point among the others: what is swept, and its value."""
    swept = [k for k in SWEPT if isinstance(scenario.get(k), list)
             and len(scenario[k]) > 1 and k in point]
    return "+".join("%s=%s" % (k, point[k]) for k in swept) or "all"


def optimum_kind(point):
    """Whether a tight least late share is known for this point."""
    closed = "arrival" not in point
    thinks = float(point["think_ms"]) > 0 \
        if re.fullmatch(NUMBER, str(point["think_ms"])) else True
    if point["topology"] == "star" and closed and not thinks:
        return "moore-hodgson"
    return "none"


if __name__ == "__main__":
    try:
        chosen(*sys.argv[1:3])
    except ScenarioError as error:
        sys.exit("bench: %s" % error)
