# SPDX-License-Identifier: GPL-2.0
"""The pictures of the results, one for each panel.

Panels stand side by side in a wide window and below each other in a narrow one.
"""

import json
import os
import re

import numpy

import algorithms
from algorithms import shown
from analysis import BIN_MS, is_late, read_run, select
from runs import Run
import scenario as scenarios
from . import queries, titles, traces
from .words import value
from .style import (
    AXES, LOWER_BOUND, MISSED, OTHER_COLOURS, OTHER_MARKERS, SIZE, colour, label_lines,
    legend_below, line_style, plt, save)


def x_key(scenario):
    """The key on the horizontal axis: of the swept keys, the one with most values.

    None where bars are drawn: nothing is swept, or algorithms are mixed.
    """
    if any("+" in name for name in scenario["algorithms"]):
        return None
    keys = [k for k in ("slack", "fan_in", "background_flows", "deadline_ms",
                        "arrival")
            if k in scenarios.swept(scenario)]
    return max(keys, key=lambda k: len(scenario[k]), default=None)


def panels(scenario, rows):
    """Rows by every swept key but the one on the axis, and by service."""
    axis = x_key(scenario)
    keys = [k for k in scenarios.swept(scenario) if k != axis]
    found = {}
    for row in rows:
        name = tuple((k, row[k]) for k in keys)
        if any(r["service"] for r in rows):
            name += (("service", row["service"] or "all"),)
        found.setdefault(name, []).append(row)
    return found


def file_of(scenario, kind, group):
    """A file name that stays the same when other panels are added."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", "-".join(
        [scenario["name"], kind] + ["%s-%s" % pair for pair in group])).strip("-")


def about(scenario, rows, *more):
    """The note below a picture: what it shows, and how sure it is."""
    seeds = sorted({r["seeds"] for r in rows})
    return "; ".join([
        scenario["name"], *more, "%s, Linux %s" % (
            "%d to %d seeds" % (seeds[0], seeds[-1]) if len(seeds) > 1 else
            "1 seed" if seeds == [1] else "%d seeds" % seeds[0],
            rows[0]["kernel"])])


def intervals(rows):
    """The note on error bars, or no note without them."""
    return ["bars: 95 % intervals"] if any(
        r["late_share_ci95"] and None not in r["late_share_ci95"]
        for r in rows) else []


def error_of(row):
    value = 100 * row["late_share"]
    low, high = row["late_share_ci95"] or [row["late_share"]] * 2
    return value, value - 100 * low, 100 * high - value


def plot_misses(scenario, rows, out):
    """Miss rates by the swept key, or a bar for each algorithm."""
    key = x_key(scenario)
    for group, some in panels(scenario, rows).items():
        figure, axis = plt.subplots(figsize=SIZE if key else (
            SIZE[0], 0.8 + 0.3 * len(some)))
        if key is None:
            _bars(axis, some)
        else:
            _lines(axis, some, key)
        title = titles.of_panel(group, titles.of_misses(some, key))
        yield save(figure, out, file_of(scenario, "misses", group), title,
                   about(scenario, some, *intervals(some))), title


def _bars(axis, some):
    labels = [shown(r["algorithm"]) + (
        "\nin " + shown(r["mix"]) if r["mix"] else "") for r in some]
    for i, row in enumerate(some):
        value, below, above = error_of(row)
        axis.barh(i, value, xerr=[[below], [above]], capsize=2,
                  color=colour(row["algorithm"]), ecolor="#444444")
    axis.set_yticks(range(len(some)), labels, fontsize=8)
    axis.invert_yaxis()
    axis.set_xlabel(MISSED)
    axis.set_xlim(left=0)
    axis.grid(False, axis="y")


def _lines(axis, some, key):
    order = list(dict.fromkeys(titles.at(r, key) for r in some))
    words = any(isinstance(v, str) for v in order)
    ends = []
    for algorithm in dict.fromkeys(r["algorithm"] for r in some):
        mine = [r for r in some if r["algorithm"] == algorithm]
        errors = [error_of(r) for r in mine]
        x = [order.index(titles.at(r, key)) if words else titles.at(r, key)
             for r in mine]
        axis.errorbar(x, [e[0] for e in errors], yerr=[
            [e[1] for e in errors], [e[2] for e in errors]], capsize=2,
            elinewidth=1, **line_style(algorithm))
        ends.append((shown(algorithm), x[-1], errors[-1][0], colour(algorithm)))
    mine = [r for r in some if r["algorithm"] == some[0]["algorithm"]]
    if mine[0]["late_share_optimum"] is not None:
        x = [order.index(titles.at(r, key)) if words else titles.at(r, key)
             for r in mine]
        y = [100 * r["late_share_optimum"] for r in mine]
        axis.plot(x, y, **LOWER_BOUND)
        ends.append(("lower bound", x[-1], y[-1], LOWER_BOUND["color"]))
    if words:
        axis.set_xticks(range(len(order)), order, fontsize=8)
    else:
        if key == "fan_in" and max(order) > 8 * min(order):
            axis.set_xscale("log")
            axis.minorticks_off()
        axis.set_xticks(order, [str(v) for v in order])
    axis.set_xlabel(AXES.get(key, key))
    axis.set_ylabel(MISSED)
    axis.set_ylim(bottom=-0.02 * axis.get_ylim()[1])
    label_lines(axis, ends)


def ratio_series(everything):
    """{(rate, fan-in, scenario): rows of d2tcp} where the fluid models are known."""
    lines = {}
    for row in everything:
        if "fluid" in row and row["algorithm"] == algorithms.LAW and \
                not row["mix"] and row["late_over_dctcp"] and \
                row["late_over_dctcp"]["ci95"] and row["fan_in"] < 100 and \
                row["scenario"] != "exponential":
            lines.setdefault((row["rate_mbps"], row["fan_in"],
                              row["scenario"]), []).append(row)
    return {k: v for k, v in sorted(lines.items()) if len(v) > 1}


def plot_ratio(everything, out):
    """The ratio of d2tcp's miss rate to DCTCP's by slack; hollow where the law cannot
    act.
    """
    lines = ratio_series(everything)
    if not lines:
        return []
    figure, axis = plt.subplots(figsize=SIZE)
    count = len(OTHER_COLOURS)
    for n, (key, some) in enumerate(lines.items()):
        shade = OTHER_COLOURS[n % count]
        some = sorted(some, key=lambda r: r["slack"])
        # beside each other, so that no interval hides another
        x = [r["slack"] + 0.004 * n for r in some]
        y = [r["late_over_dctcp"]["ratio"] for r in some]
        mark = OTHER_MARKERS[(n + n // count) % count]
        axis.errorbar(x, y, yerr=[
            [v - max(0, r["late_over_dctcp"]["ci95"][0])
             for v, r in zip(y, some)],
            [r["late_over_dctcp"]["ci95"][1] - v for v, r in zip(y, some)]],
            color=shade, marker=mark, markersize=4.5, capsize=2, linewidth=1.2,
            label="%g Gbit/s, fan-in %d (fair window %.1f)" % (
                key[0] / 1000, key[1], some[0]["fluid"]["fair_window"]))
        outside = [(v, w) for v, w, r in zip(x, y, some)
                   if not r["law_can_act"]]
        if outside:
            axis.plot(*zip(*outside), mark, color=shade, zorder=5,
                      markerfacecolor="white", markersize=5)
    axis.axhline(1, color="#666666", linewidth=1)
    axis.axhline(0.25, color="#666666", linewidth=1, linestyle="--")
    axis.set_ylim(0, 1.4)
    axis.set_xlabel(AXES["slack"])
    axis.set_ylabel("miss rate of d2tcp / miss rate of DCTCP")
    # most lines end near 0
    legend_below(axis, 1)
    title = titles.of_ratio(everything)
    return [(save(figure, out, "ratio", title, "hollow: the law cannot act (fair "
                  "window below 4 packets, or sharing by required rate would not halve "
                  "the misses); dashed: a quarter; bars: 95 % intervals, paired by seed; "
                  "Linux " + everything[0]["kernel"]), title)]


def plot_gap(everything, out):
    """The fraction of the gap between DCTCP's miss rate and the lower bound that each
    algorithm closes: a dot per setting, and the median.
    """
    names = [a.name for a in algorithms.TABLE if (a.grants or a.name in (
        algorithms.PRIORITIES, algorithms.LAW)) and queries.gaps(everything, a.name)]
    if not any(algorithms.BY_NAME[name].grants for name in names):
        return []
    figure, axis = plt.subplots(figsize=(SIZE[0], 0.8 + 0.42 * len(names)))
    for y, name in enumerate(names):
        mine = sorted(r["closed_gap"] for r in queries.gaps(everything, name))
        # beside each other, so that no point hides another
        where = [y + 0.3 * ((i * 5) % 11 / 10 - 0.5) for i in range(len(mine))]
        axis.plot([max(-1, v) for v in mine], where, algorithms.BY_NAME[name].marker,
                  color=colour(name), markersize=4, alpha=0.7)
        middle = queries.middle_gap(queries.gaps(everything, name))
        axis.plot([middle] * 2, [y - 0.35, y + 0.35], color="black", linewidth=2)
    axis.axvline(0, color="#666666", linewidth=1)
    axis.axvline(1, **LOWER_BOUND)
    axis.set_yticks(range(len(names)), map(shown, names))
    axis.set_ylim(len(names) - 0.4, -0.6)
    axis.grid(False, axis="y")
    axis.set_xlabel("closed gap (0: DCTCP, 1: lower bound)")
    title = titles.of_gap(everything, names)
    return [(save(figure, out, "gap", title, "one dot per setting where the bound is "
                  "tight and DCTCP's miss rate is more than one percentage point above it "
                  "(dots below -1 are drawn at -1); black: median; Linux "
                  + everything[0]["kernel"]), title)]


def plot_times(scenario, rows, raw, out):
    """Distribution of completion times, at the slack in the middle."""
    if "arrival" in scenario or "services" in scenario or \
            any(r["mix"] for r in rows):
        return
    points = list(scenarios.points(scenario))
    slacks = list(dict.fromkeys(p["slack"] for p in points))
    chosen = [p for p in points if p["slack"] == slacks[len(slacks) // 2]]
    chosen = [chosen[0]] if len(chosen) == 1 else [chosen[0], chosen[-1]]
    for point in chosen:
        figure, axis = plt.subplots(figsize=SIZE)
        deadlines = []
        for n, algorithm in enumerate(scenario["algorithms"]):
            took = []
            run = Run(scenario, point, algorithm)
            for directory in run.seed_directories(raw).values():
                for records in read_run(directory)[0]:
                    took.append(records["took_ns"])
                    deadlines.append(records["deadline_ns"] * point["slack"])
            # a marker at every fifth of the responses, beside those of other lines
            steps(axis, took, label=shown(algorithm), markevery=(3 * n % 40, 40),
                  **line_style(algorithm))
        middle, high = steps(axis, deadlines, label="deadlines", **LOWER_BOUND)
        # a long tail must not squeeze the rest
        axis.set_xlim(0, 1.2 * high)
        axis.set_xlabel("completion time (ms)")
        axis.set_ylabel("fraction of responses")
        # all lines end at 1, and cross before
        legend_below(axis, 2)
        group = [(k, point[k]) for k in scenarios.swept(scenario)]
        mine = [r for r in rows if all(r[k] == v for k, v in group)]
        title = titles.of_panel(group, titles.of_times(mine, middle))
        yield save(figure, out, file_of(scenario, "times", group), title,
                   about(scenario, mine)), title


def steps(axis, parts, **how):
    """A distribution function in at most 200 steps; returns its median and its 99th
    percentile.
    """
    values = numpy.sort(numpy.concatenate(parts)) / 1e6
    share = numpy.linspace(0, 1, 201)
    axis.plot(numpy.quantile(values, share), share, **how)
    return numpy.quantile(values, 0.5), numpy.quantile(values, 0.99)


def flow_names(flows):
    """The flows of a point in a few words: "2 near + 2 far"."""
    names = [claim or shown(name) for name, _, claim in (
        flow.partition(":") for flow in flows.split("+"))]
    counts = {name: names.count(name) for name in names}
    return " +\n".join(name if count == 1 else "%d %s" % (count, name)
                       for name, count in counts.items())


def plot_shares(scenario, rows, out):
    """The share of the link that each long flow got, and the shares that the law
    predicts.
    """
    groups = {}
    several = "marker" in scenarios.swept(scenario)
    for row in rows:
        name = flow_names(row["flows"])
        if several:
            name += " (%s)" % value("marker", row["marker"])
        groups.setdefault(name, []).append(row)
    figure, axis = plt.subplots(figsize=(SIZE[0], 0.9 + 0.42 * len(groups)))
    for y, some in enumerate(groups.values()):
        left = predicted = 0
        for row in some:
            width = 100 * row["share"]
            axis.barh(y, width, left=left, color=colour(row["algorithm"]),
                      edgecolor="white", hatch={"near": "//", "far": ".."}.get(
                          row["claim"]))
            if width > 12:
                axis.text(left + width / 2, y, "%s %.0f" % (
                    row["claim"] or shown(row["algorithm"]), width), ha="center",
                    va="center", fontsize=8, bbox={
                        "boxstyle": "square,pad=0.1", "facecolor": "white",
                        "edgecolor": "none", "alpha": 0.8})
            left += width
            if row["share_predicted"] is not None:
                predicted += 100 * row["share_predicted"]
                if predicted < 99.9:
                    axis.plot([predicted] * 2, [y - 0.45, y + 0.45],
                              color="black", linewidth=2)
    axis.set_yticks(range(len(groups)), groups, fontsize=8)
    axis.invert_yaxis()
    axis.grid(False, axis="y")
    axis.set_xlabel("share of the link (%)")
    title = titles.of_shares(rows)
    known = any(r["share_predicted"] for r in rows)
    yield save(figure, out, scenario["name"] + "-shares", title, about(
        scenario, rows, *["black: where the law predicts the border"]
        if known else [])), title


def plot_recovery(scenario, rows, raw, out):
    """Miss rate by the time of the query, through a burst."""
    for point in scenarios.points(scenario):
        figure, axis = plt.subplots(figsize=SIZE)
        ends = []
        for algorithm in scenario["algorithms"]:
            missed, count = numpy.zeros(0), numpy.zeros(0)
            run = Run(scenario, point, algorithm)
            for directory in run.seed_directories(raw).values():
                records = select(read_run(directory)[0][0],
                                         None, "")
                bins = records["sent_ns"] // (BIN_MS * 10**6)
                length = 2 + int(point["until_ms"] / BIN_MS) \
                    if "until_ms" in point else 2 + int(max(bins))
                missed = added(missed, numpy.bincount(
                    bins, is_late(records, point["slack"]), length))
                count = added(count, numpy.bincount(bins, minlength=length))
            seen = count > 0
            x = numpy.nonzero(seen)[0] * BIN_MS / 1000
            y = 100 * missed[seen] / count[seen]
            axis.plot(x, y, **line_style(algorithm, marker=False) | {"linewidth": 1.2})
            ends.append((shown(algorithm), x[-1], y[-1], colour(algorithm)))
        axis.axvspan(point["burst_from_ms"] / 1000,
                     point["burst_to_ms"] / 1000, color="#dddddd", zorder=1)
        axis.set_ylim(-2, 102)
        axis.set_xlabel("time of the query (s)")
        axis.set_ylabel(MISSED)
        label_lines(axis, ends)
        group = [(k, point[k]) for k in scenarios.swept(scenario)]
        mine = [r for r in rows if all(r[k] == v for k, v in group)]
        title = titles.of_panel(group, titles.of_recovery(mine))
        yield save(figure, out, file_of(scenario, "burst", group), title,
                   about(scenario, mine, "grey: the burst")), title


def added(a, b):
    """Sum of two arrays, the shorter one filled with zeros."""
    if len(a) < len(b):
        a, b = b, a
    a = a.astype(float)
    a[:len(b)] += b
    return a


def plot_flows(scenario, rows, raw, out):
    """alpha, d and cwnd of a few flows, from the module's own tracepoint."""
    directory = os.path.join(raw, scenario["name"], "trace")
    if not os.path.isdir(directory):
        return
    flows = traces.read_cuts(os.path.join(directory, "trace.txt"))
    with open(os.path.join(directory, "job.json")) as f:
        job = json.load(f)
    if not flows:
        return
    with open(os.path.join(directory, "seed%d" % job["seeds"][0], "load.json")) as f:
        workers = json.load(f)["workers"]
    start = min(cuts[0]["time"] for cuts in flows.values())
    begin, end = 0.5, 0.6  # seconds of the run: alpha has settled by then
    figure, axes = plt.subplots(3, 1, sharex=True,
                                figsize=(SIZE[0], 1.5 * SIZE[1]))
    drawn, ends = list(flows.items())[:4], []
    for n, (source, cuts) in enumerate(drawn):
        cuts = [c for c in cuts if begin <= c["time"] - start <= end]
        x = [1000 * (c["time"] - start) for c in cuts]
        shade = OTHER_COLOURS[n]
        alphas = [c["alpha"] / 2**20 for c in cuts]
        axes[0].plot(x, alphas, color=shade)
        if cuts:
            ends.append(("worker %d" % workers.index(source), x[-1], alphas[-1], shade))
        axes[1].plot(x, [c["d"] / 256 for c in cuts], color=shade,
                     marker=OTHER_MARKERS[n], markersize=3.5, linestyle="none")
        axes[2].plot(*windows_of(x, cuts), color=shade)
    axes[0].set_ylabel("alpha")
    axes[0].set_ylim(0, 1.02)
    axes[1].set_ylabel("d at each cut")
    axes[2].set_ylabel("cwnd (packets)")
    axes[2].set_ylim(bottom=0)
    axes[2].set_xlabel("time (ms)")
    figure.align_ylabels(axes)
    label_lines(axes[0], ends)
    title = titles.of_flows()
    yield save(figure, out, scenario["name"] + "-flows", title,
               "%s, fan-in %s, slack %s: %d flows of %s, seed %d, from the "
               "tracepoint d2tcp_cut; Linux %s" % (
                   scenario["name"], job["point"]["fan_in"], job["slack"], len(drawn),
                   shown(job["algorithm"]), job["seeds"][0], rows[0]["kernel"])), title


def plot_grants(scenario, rows, raw, out):
    """The last query of the traced run: when each response was granted and when it
    arrived.
    """
    directory = os.path.join(raw, scenario["name"], "trace-grants")
    if not os.path.isdir(directory):
        return
    path = os.path.join(directory, "trace.txt")
    if not traces.read_grants(path):
        return
    with open(os.path.join(directory, "job.json")) as f:
        job = json.load(f)
    seed = os.path.join(directory, "seed%d" % job["seeds"][0])
    (records,), extra = read_run(seed)
    responses = last_query(records, job["slack"], extra, traces.read_grants(path),
                           traces.read_arrivals(path, extra["workers"]))
    figure, axis = plt.subplots(figsize=(SIZE[0], 0.7 + 0.34 * len(responses)))
    for y, response in enumerate(responses):
        low = y + 0.38
        axis.fill_between(*stairs(response["arrived"], response, low), low, step="post",
                          color=colour(algorithms.GRANTS), alpha=0.3, linewidth=0,
                          label="arrived" if not y else None)
        axis.step(*stairs(response["granted"], response, low), where="post",
                  color=colour(algorithms.GRANTS), linewidth=1.2,
                  label="granted" if not y else None)
        axis.plot([response["due"]] * 2, [low, low - 0.76], color="#D00000"
                  if response["missed"] else "black", linewidth=2,
                  label="deadline" if not y else None)
    axis.set_yticks(range(len(responses)), [
        "%.0f KB" % (r["bytes"] / 1000) for r in responses], fontsize=8.5)
    axis.set_ylim(len(responses) - 0.5, -0.5)
    axis.set_xlim(left=0)
    axis.grid(False, axis="y")
    axis.set_ylabel("responses, by deadline")
    axis.set_xlabel("time since the query was sent (ms)")
    legend_below(axis, 3)
    title = titles.of_grants(responses)
    yield save(figure, out, scenario["name"] + "-grants", title,
               "%s, fan-in %s, slack %s: a query under %s, seed %d, from the "
               "tracepoints d2tcp_grant and tcp_probe; each response from its first byte "
               "(bottom) to its last (top); red: missed; Linux %s" % (
                   scenario["name"], job["point"]["fan_in"], job["slack"],
                   shown(job["algorithm"]), job["seeds"][0], rows[0]["kernel"])), title


def last_query(records, slack, extra, grants, arrivals):
    """The responses to the last query, by deadline. "granted" and "arrived" are the
    bytes so far, as (ms since the query was sent, bytes).
    """
    found = []
    for worker, source in enumerate(extra["workers"]):
        at = numpy.flatnonzero((records["worker"] == worker) &
                               (records["query"] == records["query"].max()))[0]
        sent_ns, took_ns, size = (int(records[k][at]) for k in (
            "sent_ns", "took_ns", "bytes"))
        due_ns = int(records["deadline_ns"][at] * slack)

        def during(events, sent_ns=sent_ns, took_ns=took_ns):
            # the trace has its times in us
            seen = [(time * 1e3 - (extra["start_ns"] + sent_ns) / 1e6, value)
                    for time, value in events]
            return [(ms, value) for ms, value in seen
                    if -0.001 <= ms <= took_ns / 1e6 + 0.001]

        came = during(arrivals.get(source, []))
        found.append({
            "due": due_ns / 1e6, "bytes": size, "missed": took_ns > due_ns,
            "done": took_ns / 1e6, "granted": during(grants.get(source, [])),
            "arrived": list(zip([ms for ms, _ in came], numpy.cumsum(
                [value for _, value in came]).tolist()))})
    return sorted(found, key=lambda response: response["due"])


def stairs(events, response, low):
    """The steps of a response as x and y; it is 0.76 high, upwards from `low`."""
    events = [(0, 0)] + events + [(response["done"], events[-1][1] if events else 0)]
    return [ms for ms, _ in events], [
        low - 0.76 * min(1, value / response["bytes"]) for _, value in events]


def windows_of(x, cuts):
    """Times and windows around each cut. Pauses between queries, in which the window is
    not known, have no line.
    """
    times, windows = [], []
    for i, (t, c) in enumerate(zip(x, cuts)):
        if i and t - x[i - 1] > 3:
            times.append(t)
            windows.append(float("nan"))
        times += [t, t]
        windows += [c["before"] / 256, c["after"] / 256]
    return times, windows


def pictures(scenario, rows, raw, out):
    """All pictures of a scenario: [(file, its message)]."""
    if "flows" in scenario:
        return list(plot_shares(scenario, rows, out))
    found = plot_recovery(scenario, rows, raw, out) \
        if "burst_rate" in scenario else plot_misses(scenario, rows, out)
    return [*found, *plot_times(scenario, rows, raw, out),
            *plot_flows(scenario, rows, raw, out),
            *plot_grants(scenario, rows, raw, out)]
