# SPDX-License-Identifier: GPL-2.0
"""Pictures of the results: PNG files, one for each panel.

Panels stand side by side in a wide window and below each other in a narrow one.
"""

import json
import os
import re

import numpy

import algorithms
from analysis import records as results
from analysis.rows import BIN_MS
import scenario as scenarios
from .style import SIZE, WORDS, colour, line_style, plt, save
from .tables import setting


def x_key(scenario):
    """What stands on the horizontal axis: of what is swept, what has most values."""
    keys = [k for k in ("slack", "fan_in", "background_flows", "deadline_ms")
            if k in scenarios.swept(scenario)]
    return max(keys, key=lambda k: len(scenario[k]), default=None)


def panels(scenario, rows):
    """Rows by everything swept but the axis, and by service."""
    axis = x_key(scenario)
    keys = [k for k in scenarios.swept(scenario) if k != axis]
    found = {}
    for row in rows:
        name = tuple((k, row[k]) for k in keys)
        if any(r["service"] for r in rows):
            name += (("service", row["service"] or "all"),)
        found.setdefault(name, []).append(row)
    return found


def name_of(group):
    return ", ".join("%s %s" % (k.replace("_", "-"), v) for k, v in group)


def error_of(row):
    value = 100 * row["late_share"]
    low, high = row["late_share_ci95"] or [row["late_share"]] * 2
    return value, value - 100 * low, 100 * high - value


def plot_late(scenario, rows, out):
    """Late share against what is swept, or a bar for each algorithm."""
    names = []
    key = x_key(scenario)
    for n, (group, some) in enumerate(panels(scenario, rows).items(), 1):
        figure, axis = plt.subplots(figsize=SIZE)
        if key is None or some[0]["mix"] or any(r["mix"] for r in some):
            _bars(axis, some)
        else:
            _lines(axis, some, key)
        axis.set_title("%s: late responses%s" % (
            scenario["name"], "\n" + name_of(group) if group else ""),
            fontsize=10)
        axis.grid(alpha=0.3)
        names.append(save(figure, out, "%s-late-%d.png" % (
            scenario["name"], n), setting(scenario, some)))
    return names


def _bars(axis, some):
    labels = ["%s%s" % (r["algorithm"], "\nin " + r["mix"] if r["mix"] else "")
              for r in some]
    for i, row in enumerate(some):
        value, below, above = error_of(row)
        axis.barh(i, value, xerr=[[below], [above]], capsize=2,
                  color=colour(row["algorithm"]), ecolor="#444444")
    axis.set_yticks(range(len(some)), labels, fontsize=7)
    axis.invert_yaxis()
    axis.set_xlabel("responses late (%)")
    axis.set_xlim(left=0)


def _lines(axis, some, key):
    order = list(dict.fromkeys(r[key] for r in some))
    words = any(isinstance(v, str) for v in order)
    for algorithm in dict.fromkeys(r["algorithm"] for r in some):
        mine = [r for r in some if r["algorithm"] == algorithm]
        errors = [error_of(r) for r in mine]
        axis.errorbar(
            [order.index(r[key]) if words else r[key] for r in mine],
            [e[0] for e in errors], yerr=[[e[1] for e in errors],
                                          [e[2] for e in errors]],
            label=algorithm, capsize=2, **line_style(algorithm))
    mine = [r for r in some if r["algorithm"] == some[0]["algorithm"]]
    if mine[0]["late_share_optimum"] is not None:
        axis.plot([order.index(r[key]) if words else r[key] for r in mine],
                  [100 * r["late_share_optimum"] for r in mine],
                  color="black", linestyle=":", label="least possible")
    if words:
        axis.set_xticks(range(len(order)), order, fontsize=8)
    elif key == "fan_in" and max(order) > 8 * min(order):
        axis.set_xscale("log")
        axis.set_xticks(order, [str(v) for v in order], fontsize=8)
        axis.minorticks_off()
    else:
        axis.set_xticks(order, [str(v) for v in order], fontsize=8)
    axis.set_xlabel(WORDS.get(key, key))
    axis.set_ylabel("responses late (%)")
    axis.set_ylim(bottom=-1)
    axis.legend(fontsize=7)


def plot_ratio(everything, out):
    """Late share of d2tcp by that of dctcp against slack, wherever both fluids are
    known; hollow where the law should not act.
    """
    lines = {}
    for row in everything:
        if "fluid" in row and row["algorithm"] == algorithms.LAW and \
                not row["mix"] and row["late_over_dctcp"] and \
                row["late_over_dctcp"]["ci95"] and row["fan_in"] < 100 and \
                row["scenario"] != "exponential":
            lines.setdefault((row["rate_mbps"], row["fan_in"],
                              row["scenario"]), []).append(row)
    lines = {k: v for k, v in lines.items() if len(v) > 1}
    if not lines:
        return []
    figure, axis = plt.subplots(figsize=(6.6, 4.8))
    for n, (key, some) in enumerate(sorted(lines.items())):
        colour = plt.get_cmap("tab10")(n)
        some = sorted(some, key=lambda r: r["slack"])
        x = [r["slack"] + 0.004 * n for r in some]
        y = [r["late_over_dctcp"]["ratio"] for r in some]
        axis.errorbar(x, y, yerr=[
            [v - max(0, r["late_over_dctcp"]["ci95"][0])
             for v, r in zip(y, some)],
            [r["late_over_dctcp"]["ci95"][1] - v for v, r in zip(y, some)]],
            color=colour, marker="o", markersize=4, capsize=2, linewidth=1,
            label="%g Gbit/s, fan-in %d (window %.1f)" % (
                key[0] / 1000, key[1], some[0]["fluid"]["fair_window"]))
        outside = [(v, w) for v, w, r in zip(x, y, some)
                   if not r["law_can_act"]]
        if outside:
            axis.plot(*zip(*outside), "o", color=colour, zorder=5,
                      markerfacecolor="white", markersize=5)
    axis.axhline(1, color="#888888", linewidth=0.8)
    axis.axhline(0.25, color="#888888", linewidth=0.8, linestyle="--")
    axis.set_ylim(0, 1.4)
    axis.set_xlabel(WORDS["slack"])
    axis.set_ylabel("late share of d2tcp, divided by that of DCTCP")
    axis.set_title("Below 1 d2tcp misses fewer deadlines than DCTCP\n(hollow: "
                   "where the law should not act; dashed: a quarter)",
                   fontsize=10)
    axis.legend(fontsize=7)
    axis.grid(alpha=0.3)
    return [save(figure, out, "ratio.png",
                 "Linux %s, intervals 95 %% (Fieller, paired by seed)"
                 % everything[0]["kernel"])]


def plot_times(scenario, rows, raw, out):
    """Distribution of completion times, at the slack in the middle."""
    if "arrival" in scenario or "services" in scenario or \
            any(r["mix"] for r in rows):
        return []
    names = []
    points = list(scenarios.points(scenario))
    slacks = list(dict.fromkeys(p["slack"] for p in points))
    chosen = [p for p in points if p["slack"] == slacks[len(slacks) // 2]]
    chosen = [chosen[0]] if len(chosen) == 1 else [chosen[0], chosen[-1]]
    for n, point in enumerate(chosen, 1):
        figure, axis = plt.subplots(figsize=SIZE)
        deadlines = []
        for algorithm in scenario["algorithms"]:
            took = []
            for directory in results.seed_directories(
                    raw, scenario, point, algorithm).values():
                for records in results.read_run(directory)[0]:
                    took.append(records["took_ns"])
                    deadlines.append(records["deadline_ns"] * point["slack"])
            steps(axis, took, color=colour(algorithm), label=algorithm,
                  linestyle=algorithms.BY_NAME[algorithm].line)
        most = steps(axis, deadlines, color="black", linestyle=":",
                     label="deadlines")
        # the tail of cubic must not squeeze the rest
        axis.set_xlim(0, 1.2 * most)
        where = scenarios.label(scenario, point).replace("+", ", ")
        axis.set_title("%s: completion times\n%s" % (scenario["name"], where),
                       fontsize=10)
        axis.set_xlabel("ms")
        axis.set_ylabel("share of responses")
        axis.legend(fontsize=7)
        axis.grid(alpha=0.3)
        names.append(save(figure, out, "%s-times-%d.png" % (
            scenario["name"], n), setting(scenario, rows)))
    return names


def steps(axis, parts, **how):
    """A distribution function in at most 500 steps; returns the 99th percentile."""
    values = numpy.sort(numpy.concatenate(parts)) / 1e6
    share = numpy.linspace(0, 1, 501)
    axis.plot(numpy.quantile(values, share), share, **how)
    return numpy.quantile(values, 0.99)


def plot_shares(scenario, rows, out):
    """Long flows: what each got of the link, and what the law predicts."""
    groups = {}
    for row in rows:
        groups.setdefault(row["flows"], []).append(row)
    figure, axis = plt.subplots(figsize=(6.2, 1.2 + 0.45 * len(groups)))
    for y, some in enumerate(groups.values()):
        left = predicted = 0
        for row in some:
            width = 100 * row["share"]
            axis.barh(y, width, left=left, color=colour(row["algorithm"]),
                      edgecolor="white", hatch={"near": "//", "far": ".."}.get(
                          row["claim"]))
            if width > 6:
                axis.text(left + width / 2, y, "%s\n%.0f" % (
                    row["claim"] or row["algorithm"], width), ha="center",
                    va="center", fontsize=6)
            left += width
            if row["share_predicted"] is not None:
                predicted += 100 * row["share_predicted"]
                if predicted < 99.9:
                    axis.plot([predicted] * 2, [y - 0.45, y + 0.45],
                              color="black", linewidth=1.5)
    axis.set_yticks(range(len(groups)), [k.replace(algorithms.LAW + ":", "")
                                         for k in groups], fontsize=7)
    axis.invert_yaxis()
    axis.set_xlabel("share of the link (%)")
    axis.set_title("%s: long flows%s" % (
        scenario["name"], "\n(black: where the law draws the border)"
        if any(r["share_predicted"] for r in rows) else ""), fontsize=10)
    return [save(figure, out, "%s-shares.png" % scenario["name"],
                 setting(scenario, rows))]


def plot_recovery(scenario, rows, raw, out):
    """Late share of what was asked when, through a burst."""
    names = []
    points = list(scenarios.points(scenario))
    for n, point in enumerate(points, 1):
        figure, axis = plt.subplots(figsize=SIZE)
        for algorithm in scenario["algorithms"]:
            late, count = numpy.zeros(0), numpy.zeros(0)
            for directory in results.seed_directories(
                    raw, scenario, point, algorithm).values():
                records = results.select(results.read_run(directory)[0][0],
                                         None, "")
                bins = records["sent_ns"] // (BIN_MS * 10**6)
                length = 2 + int(point["until_ms"] / BIN_MS) \
                    if "until_ms" in point else 2 + int(max(bins))
                late = added(late, numpy.bincount(
                    bins, results.is_late(records, point["slack"]), length))
                count = added(count, numpy.bincount(bins, minlength=length))
            seen = count > 0
            axis.plot(numpy.nonzero(seen)[0] * BIN_MS / 1000,
                      100 * late[seen] / count[seen],
                      color=colour(algorithm), label=algorithm, linewidth=1)
        axis.axvspan(point["burst_from_ms"] / 1000,
                     point["burst_to_ms"] / 1000, color="#dddddd")
        axis.set_ylim(-2, 102)
        axis.set_xlabel("asked at (s); grey: the burst")
        axis.set_ylabel("responses late (%)")
        axis.set_title("%s\n%s" % (scenario["name"], name_of(
            [(k, point[k]) for k in scenarios.swept(scenario)])), fontsize=9)
        axis.legend(fontsize=7)
        axis.grid(alpha=0.3)
        names.append(save(figure, out, "%s-time-%d.png" % (
            scenario["name"], n), setting(scenario, rows)))
    return names


def added(a, b):
    """Sum of two arrays, the shorter one filled with zeros."""
    if len(a) < len(b):
        a, b = b, a
    a = a.astype(float)
    a[:len(b)] += b
    return a


TRACE = re.compile(
    r"\s(?P<time>\d+\.\d+): d2tcp_cut: .* daddr=\S+ .*alpha=(?P<alpha>\d+) "
    r"d=(?P<d>\d+) p=\d+ before=(?P<before>\d+) after=(?P<after>\d+) ")
SOURCE = re.compile(r"saddr=(\S+) ")


def plot_flows(scenario, rows, raw, out):
    """alpha, d and cwnd of a few flows, from the module's own tracepoint."""
    directory = os.path.join(raw, scenario["name"], "trace")
    if not os.path.isdir(directory):
        return []
    flows = {}
    with open(os.path.join(directory, "trace.txt")) as f:
        for line in f:
            found = TRACE.search(line)
            if found:
                flows.setdefault(SOURCE.search(line).group(1), []).append(
                    {k: float(v) for k, v in found.groupdict().items()})
    with open(os.path.join(directory, "job.json")) as f:
        job = json.load(f)
    if not flows:
        return []
    start = min(cuts[0]["time"] for cuts in flows.values())
    begin, end = 0.5, 0.6  # seconds of the run: alpha has settled by then
    figure, axes = plt.subplots(3, 1, sharex=True, figsize=(7, 6.4))
    in_order = sorted(flows.items(), key=lambda flow: [
        int(part) for part in flow[0].split(":")[-1].split(".")])
    for n, (source, cuts) in enumerate(in_order[:4]):
        cuts = [c for c in cuts if begin <= c["time"] - start <= end]
        x = [1000 * (c["time"] - start) for c in cuts]
        colour = plt.get_cmap("tab10")(n)
        label = source.replace("::ffff:", "")
        axes[0].plot(x, [c["alpha"] / 2**20 for c in cuts], color=colour,
                     label=label)
        axes[1].plot(x, [c["d"] / 256 for c in cuts], color=colour, marker=".",
                     linestyle="none")
        # no line across a pause: between two queries nothing is known
        times, windows = [], []
        for i, (t, c) in enumerate(zip(x, cuts)):
            if i and t - x[i - 1] > 3:
                times.append(t)
                windows.append(float("nan"))
            times += [t, t]
            windows += [c["before"] / 256, c["after"] / 256]
        axes[2].plot(times, windows, color=colour)
    axes[0].set_ylabel("alpha")
    axes[0].set_ylim(0, 1.02)
    axes[0].legend(fontsize=8, ncol=4)
    axes[1].set_ylabel("d at each cut")
    axes[2].set_ylabel("cwnd around each cut\n(packets)")
    axes[2].set_ylim(bottom=0)
    axes[2].set_xlabel("time (ms)")
    for axis in axes:
        axis.grid(alpha=0.3)
    figure.suptitle("%s: four flows of d2tcp, fan-in %s, slack %s" % (
        scenario["name"], job["point"]["fan_in"], job["slack"]), fontsize=11)
    return [save(figure, out, "%s-flows.png" % scenario["name"],
                 re.sub(r"[\d to]+ seeds", "seed %d" % job["seeds"][0],
                        setting(scenario, rows)))]


def pictures(scenario, rows, raw, out):
    """All pictures of a scenario: [(file, what it shows)]."""
    if "flows" in scenario:
        return [(name, "shares of long flows")
                for name in plot_shares(scenario, rows, out)]
    found = [(name, "share of responses late")
             for name in plot_late(scenario, rows, out)]
    if "burst_rate" in scenario:
        found = [(name, "late share over time")
                 for name in plot_recovery(scenario, rows, raw, out)]
    found += [(name, "distribution of completion times")
              for name in plot_times(scenario, rows, raw, out)]
    return found + [(name, "alpha, d and cwnd of four flows over time")
                    for name in plot_flows(scenario, rows, raw, out)]
