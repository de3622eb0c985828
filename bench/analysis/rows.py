# SPDX-License-Identifier: GPL-2.0
"""Computes the rows of summary.json from raw records.

Everything is computed from bench/out/raw; two runs of the same seeds give the same
rows.
"""

import functools
import json
import os
import typing

import numpy

import algorithms
import load
import scenario as scenarios
from runs import Run, link_name
from . import fluid, optimum
from .intervals import (difference95, half_share95, interval95, mean,
                        percentile, ratio95, rounded, share95)
from .records import by_query, is_late, parts, read_run, select

# Recovered: over BINS bins of BIN_MS the miss rate is within NORMAL of the rate before
# the burst, itself capped at NORMAL.
NORMAL, BIN_MS, BINS = 0.05, 100, 5
# The first queries of new connections; their miss rate is also reported separately.
FIRST = 3
# A gap between DCTCP's miss rate and the lower bound that is worth closing.
GAP = 0.01


class Shares(typing.NamedTuple):
    """Miss rates and completion times of a part of one run's responses."""

    late: float  # miss rate of responses
    late_queries: float  # and of queries
    took: numpy.ndarray  # completion times in ns
    first: float  # miss rate of the first FIRST queries of each service
    queries: int


@functools.lru_cache(None)
def _run_shares(directory, slack, services, member, algorithm):
    everything, _ = read_run(directory)
    lates, firsts, took = [], [], []
    late_queries = queries = 0
    for i in services:
        records = select(everything[i], member, algorithm)
        late = is_late(records, slack)
        lates.append(late)
        firsts.append(late[records["query"] < FIRST])
        late_queries += len(numpy.unique(records["query"][late]))
        queries += len(numpy.unique(records["query"]))
        took.append(records["took_ns"])
    return Shares(float(numpy.concatenate(lates).mean()), late_queries / queries,
                  numpy.concatenate(took),
                  float(numpy.concatenate(firsts).mean()), queries)


def late_shares(scenario, raw, point, algorithm):
    """For each part of a point, the miss rates of its seeds, and the number of queries."""
    runs = Run(scenario, point, algorithm).seed_directories(raw)
    for _, services, member in parts(point, algorithm):
        seen = [_run_shares(d, point["slack"], tuple(services), member, algorithm)
                for d in runs.values()]
        yield [s.late for s in seen], sum(s.queries for s in seen)


def bounds(directories, slack, rate_mbps, base_rtt_us):
    """For each run, the lower bound of the miss rate and the miss rates of both fluid
    models.
    """
    found = [read_run(d)[0][0] for d in directories]
    sizes = [by_query(records, "bytes") for records in found]
    dues = [numpy.floor(by_query(records, "deadline_ns").astype(float) * slack)
            for records in found]
    lengths = [optimum.wire_ns(size, rate_mbps) for size in sizes]
    in_time = [due - base_rtt_us * 1000 for due in dues]
    # all runs at once, because each step takes as long for many queries as for one
    required = numpy.split(
        fluid.late_required(numpy.concatenate(lengths),
                            numpy.concatenate(in_time)),
        numpy.cumsum([len(length) for length in lengths])[:-1])
    return [(sum(optimum.min_missed(s, d, rate_mbps, base_rtt_us)
                 for s, d in zip(size.tolist(), due.tolist())) / size.size,
             fluid.late_equal(length, due_in_time),
             float(numpy.mean(late)))
            for size, due, length, due_in_time, late
            in zip(sizes, dues, lengths, in_time, required)]


def recovery_ms(directory, slack, burst_from_ms, burst_to_ms):
    """(ms from the end of the burst to recovery, None) or (None, ms observed).

    Recovered: over BINS bins of BIN_MS, the miss rate of first attempts is at
    most NORMAL above the rate before the burst. That rate is capped at NORMAL;
    otherwise a high rate before the burst would let a high rate after it count
    as recovered.
    """
    records = select(read_run(directory)[0][0], None, "")
    late = is_late(records, slack)
    sent_ms = records["sent_ns"] / 1e6
    before = late[sent_ms < burst_from_ms]
    limit = NORMAL + min(NORMAL, before.mean() if len(before) else 0)
    start = burst_to_ms
    while start + BINS * BIN_MS <= sent_ms.max():
        now = late[(sent_ms >= start) & (sent_ms < start + BINS * BIN_MS)]
        if len(now) and now.mean() <= limit:
            return start - burst_to_ms, None
        start += BIN_MS
    return None, start - burst_to_ms


def _spread(took):
    took = numpy.sort(took)
    return {"p50": rounded(percentile(took, 0.5) / 1e6, 3),
            "p99": rounded(percentile(took, 0.99) / 1e6, 3),
            "max": rounded(took[-1] / 1e6, 3)}


def _row(scenario, point, raw, link, runs, part, algorithm):
    names, services, member = part
    seen = [_run_shares(d, point["slack"], tuple(services), member, algorithm)
            for d in runs.values()]
    late = [s.late for s in seen]
    # Trials are queries, because the responses to one query are not independent.
    trials = sum(s.queries for s in seen)
    extras = [read_run(d)[1] for d in runs.values()]
    background = [e["background_bytes"] * 8000 / e["background_ns"]
                  for e in extras]
    # in an open loop arrivals decide how many queries there are
    rates = None if _open_loop(point) else [
        s.queries * 1e9 / e["duration_ns"] for s, e in zip(seen, extras)]
    row = {
        "scenario": scenario["name"], "mix": "", "service": "", **names,
        "deadlines": algorithms.BY_NAME[names["algorithm"]].deadlines,
        "seeds": len(late), "responses": sum(len(s.took) for s in seen),
        "late_share": rounded(mean(late)),
        "late_share_ci95": rounded(share95(late, trials)),
        "certain": half_share95(late, trials) < scenario["half_width"],
        "first_late_share": rounded(mean([s.first for s in seen])),
        "late_share_optimum": None,
        "optimum": scenarios.optimum_kind(point) if link["rate_mbps"] else "none",
        "query_late_share": rounded(mean([s.late_queries for s in seen])),
        "queries_per_s": rounded(rates and mean(rates), 3),
        "fct_ms": _spread(numpy.concatenate([s.took for s in seen])),
        "background_mbps": rounded(mean(background), 3),
        "kernel": extras[0]["kernel"].split("-")[0],
        "fidelity": {k: link[k] for k in ("rate_mbps", "base_rtt_us",
                                          "mark_us")},
    }
    if _open_loop(point) and scenarios.one_port(point) and link["rate_mbps"]:
        row["load"] = rounded(_offered(point), 4)
    for key in ("marks", "drops", "uplink_marks", "uplink_drops"):
        if key in extras[0]:
            # drops at real switches are not known
            row[key] = None if extras[0][key] is None else \
                sum(e[key] for e in extras)
    if point["background_flows"]:
        row["background_ci95"] = rounded(interval95(background, 0), 3)
    if point.get("retries"):
        row["askings_per_query"] = rounded(mean([sum(
            len(r["query"]) for r in read_run(d)[0]) / sum(
                int((r["attempt"] == 0).sum()) for r in read_run(d)[0])
            for d in runs.values()]), 3)
    if "burst_to_ms" in point:
        times = [recovery_ms(d, point["slack"], point["burst_from_ms"],
                             point["burst_to_ms"]) for d in runs.values()]
        known = [t for t, _ in times if t is not None]
        all_known = len(known) == len(times)
        row["recovered"] = len(known)
        row["watched_ms"] = rounded(min([w for _, w in times if w is not None],
                                        default=None), 1)
        row["recovery_ms"] = rounded(mean(known), 1) if all_known else None
        row["recovery_ci95"] = rounded(interval95(known, 0), 1) \
            if all_known else None
    return row, Seeds(late, background, rates)


class Seeds(typing.NamedTuple):
    """The values of each seed that are compared between algorithms."""

    late: list
    background: list
    rates: list | None  # queries per second


def _open_loop(point):
    return any("arrival" in service for service in load.services_of(point))


def _offered(point):
    """Bits per second of the responses, headers included, as a fraction of the rate."""
    offered = 0
    for service in load.services_of(point):
        size = scenarios.mean(service["response_bytes"]) \
            if "response_bytes" in service else \
            service["query_bytes"] / point["fan_in"]
        offered += scenarios.mean(service["arrival"]) * point["fan_in"] * \
            optimum.wire_ns(size, 1000)
    return offered * 1e-6 / point["rate_mbps"]


def _compare(row, late, base, what):
    """Adds the difference and the ratio of two lists of miss rates, paired by seed."""
    middle, half, p = difference95(late, base)
    # the ratio to a rate below one in a thousand is meaningless
    ratio, interval = ratio95(late, base) if mean(base) >= 0.001 \
        else (None, None)
    row["late_minus_" + what] = {"mean": rounded(middle),
                                 "half95": rounded(half), "p": rounded(p)}
    row["late_over_" + what] = {"ratio": rounded(ratio),
                                "ci95": rounded(interval)}


def _ratio(values, base):
    ratio, interval = ratio95(values, base)
    return {"ratio": rounded(ratio, 4), "ci95": rounded(interval, 4)}


def closed_gap(late, base, bound):
    """The closed fraction of the gap between DCTCP's miss rate and the lower bound: 0 is
    DCTCP's miss rate, 1 the bound. None where there is hardly a gap.
    """
    return (base - late) / (base - bound) if base - bound > GAP else None


def _load_rows(scenario, raw, point, link):
    found = []
    for algorithm in scenario["algorithms"]:
        runs = Run(scenario, point, algorithm).seed_directories(raw)
        for part in parts(point, algorithm):
            found.append(_row(scenario, point, raw, link, runs, part,
                              algorithm) + (runs,))
    base = {row["service"]: seeds for row, seeds, _ in found
            if row["algorithm"] == algorithms.BASE and not row["mix"]}
    control = {row["service"]: seeds for row, seeds, _ in found
               if row["algorithm"] == algorithms.CONTROL and not row["mix"]}
    limits = None
    # on real hosts the rate of the link is not known
    if scenarios.optimum_kind(point) != "none" and link["rate_mbps"]:
        # the queries are the same for every algorithm
        runs = found[0][2]
        limits = [rounded(mean(v)) for v in zip(*bounds(
            list(runs.values()), point["slack"], link["rate_mbps"],
            link["base_rtt_us"]))]
    # the fluid models have no long flows beside the queries
    apart = limits and not point["background_flows"]
    window = rounded(fluid.fair_window(point), 2)
    plain = Run(scenario, point, algorithms.BASE).seed_directories(raw)
    for row, seeds, _ in found:
        row["late_minus_dctcp"] = row["late_over_dctcp"] = None
        row["queries_over_dctcp"] = row["closed_gap"] = None
        if (row["algorithm"] != algorithms.BASE or row["mix"]) and \
                row["service"] in base:
            other = base[row["service"]]
            mine = other.late
            if row["mix"]:
                # the same workers in the run where all are under DCTCP
                member = row["mix"].split("+").index(row["algorithm"])
                mine = [_run_shares(d, point["slack"], (0,), member,
                                    row["mix"]).late for d in plain.values()]
            _compare(row, seeds.late, mine, algorithms.BASE)
            if row["algorithm"] == algorithms.LAW and not row["mix"] and \
                    row["service"] in control:
                _compare(row, seeds.late, control[row["service"]].late, "control")
            if point["background_flows"]:
                row["background_over_dctcp"] = _ratio(seeds.background,
                                                      other.background)
            if seeds.rates:
                row["queries_over_dctcp"] = _ratio(seeds.rates, other.rates)
            if limits and not row["mix"]:
                row["closed_gap"] = rounded(closed_gap(
                    mean(seeds.late), mean(mine), limits[0]), 4)
        if limits:
            row["late_share_optimum"] = limits[0]
        if apart:
            row["fluid"] = {"equal": limits[1], "required": limits[2],
                            "fair_window": window}
            row["law_can_act"] = window >= 4 and limits[2] <= limits[1] / 2 \
                and limits[1] > 0
        yield row


# d under each claim, with the module's default bounds
CLAIMED_D = {"": 1.0, "near": 2.0, "far": 0.5}


def _flow_rows(scenario, raw, point, link):
    """A row for each long flow of a point."""
    runs = []
    for directory in Run(scenario, point, "flows").seed_directories(
            raw).values():
        with open(os.path.join(directory, "flows.json")) as f:
            runs.append(json.load(f))
    flows = load.long_flows(point)
    shares = None
    # on real hosts the rate of the link is not known
    if link["rate_mbps"] and all(a.reacts_to_marks for a, _ in flows):
        shares = fluid.sawtooth_shares([CLAIMED_D[c] for _, c in flows], point)
    alphas = [[r["alpha"][i] for r in runs] for i in range(len(flows))]
    by_alpha = None
    if all(None not in mine for mine in alphas):
        alphas = [mean(mine) for mine in alphas]
        # without marks the law predicts nothing
        if min(alphas) > 0:
            by_alpha = fluid.shares_by_alpha(alphas, [CLAIMED_D[c]
                                                      for _, c in flows])
    else:
        alphas = [None if None in mine else mean(mine) for mine in alphas]
    for i, (algorithm, claim) in enumerate(flows):
        rates = [r["bytes"][i] * 8e-6 / point["seconds"] for r in runs]
        parts_of = [r["bytes"][i] / sum(r["bytes"]) for r in runs]
        yield {
            "scenario": scenario["name"], "algorithm": algorithm.name,
            "claim": claim, "flow": i, "seeds": len(runs),
            "mbps": rounded(mean(rates), 2),
            "mbps_ci95": rounded(interval95(rates, 0), 2),
            "share": rounded(mean(parts_of), 4),
            "share_ci95": rounded(interval95(parts_of, 0, 1), 4),
            "share_predicted": rounded(shares and shares[i], 4),
            "alpha": rounded(alphas[i], 4),
            "share_by_alpha": rounded(by_alpha and by_alpha[i], 4),
            "marks": sum(r["marks"] for r in runs),
            "drops": sum(r["drops"] for r in runs)
                     if runs[0]["drops"] is not None else None,
            "kernel": runs[0]["kernel"].split("-")[0],
            "fidelity": {k: link[k] for k in ("rate_mbps", "base_rtt_us",
                                              "mark_us")},
        }


def make_rows(scenario, raw):
    """The rows of a scenario: one per point, algorithm and part of it."""
    for point in scenarios.points(scenario):
        with open(os.path.join(raw, "links", link_name(point),
                               "link.json")) as f:
            link = json.load(f)
        make = _flow_rows if "flows" in point else _load_rows
        for row in make(scenario, raw, point, link):
            for key in scenarios.SWEPT:
                if key in point:
                    row.setdefault(key, point[key])
            yield row
