# SPDX-License-Identifier: GPL-2.0
"""Turns raw records into summary.json, a table, plots and a page.

Everything here is computed from bench/out/raw; two runs of the same seeds give
the same bytes in summary.json.
"""

import csv
import html
import json
import math
import os
import re
import shutil

import matplotlib
matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

import optimum  # noqa: E402
import scenario as scenarios  # noqa: E402

# The 97.5 % point of Student's t for 1 to 30 degrees of freedom, then 1.96.
T975 = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
        2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
        2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042]
# Okabe and Ito's colours: told apart by everyone.
COLOURS = {"cubic": "#999999", "reno": "#56B4E9", "bbr": "#CC79A7",
           "dctcp": "#E69F00", "d2tcp-nodeadline": "#0072B2",
           "d2tcp": "#009E73"}
MARKERS = {"cubic": "s", "reno": "v", "bbr": "^", "dctcp": "o",
           "d2tcp-nodeadline": "x", "d2tcp": "D"}


def run_name(algorithm, slack):
    """Directory of a job; the slack only where the traffic depends on it."""
    if algorithm in scenarios.WITH_DEADLINES:
        return "%s-slack%s" % (algorithm, slack)
    return algorithm


def seed_name(seed):
    """Directory of one run below that of its job."""
    return "seed%d" % seed


MARKER = "made-by-bench"  # a directory without it is not ours to empty


def make_room(out):
    """An empty directory for raw records below `out`, which is ours or new.

    What an earlier run left in it is removed; a directory with other files is
    refused.
    """
    if os.path.isdir(out) and os.listdir(out) and \
            not os.path.exists(os.path.join(out, MARKER)):
        raise scenarios.ScenarioError(
            "%s holds files that are not of the bench; name a new or an empty "
            "directory" % out)
    shutil.rmtree(out, ignore_errors=True)
    raw = os.path.join(out, "raw")
    os.makedirs(raw)
    with open(os.path.join(out, MARKER), "w") as f:
        f.write("bench/run.py empties this directory when it runs again.\n")
    return raw


def read_run(directory):
    """Records of a run as dicts of integers, and what else was measured."""
    with open(os.path.join(directory, "records.csv")) as f:
        records = [{k: int(v) for k, v in row.items()}
                   for row in csv.DictReader(f)]
    with open(os.path.join(directory, "load.json")) as f:
        return records, json.load(f)


def is_late(record, slack):
    # the worker's deadline, computed as the load generator computes it
    return record["took_ns"] > int(record["deadline_ns"] * slack)


def percentile(ordered, share):
    """Nearest rank."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def half95(values):
    """Half of the 95 % interval of the mean, by Student's t; None for one."""
    n = len(values)
    if n < 2:
        return None
    mean = sum(values) / n
    spread = math.sqrt(sum((v - mean) ** 2 for v in values) / (n - 1))
    t = T975[n - 2] if n - 2 < len(T975) else 1.96
    return t * spread / math.sqrt(n)


def interval95(shares):
    """95 % interval of the mean of shares over seeds; None for one."""
    half = half95(shares)
    if half is None:
        return None
    mean = sum(shares) / len(shares)
    return [max(0.0, mean - half), min(1.0, mean + half)]


def paired(late, base):
    """Mean of the differences of two algorithms seed by seed, and its half
    interval: both were asked the same, so this tells more than two intervals.
    """
    differences = [a - b for a, b in zip(late, base)]
    return {"mean": rounded(sum(differences) / len(differences)),
            "half95": rounded(half95(differences))}


def least_share(records, slack, link):
    by_query = {}
    for r in records:
        by_query.setdefault(r["query"], []).append(r)
    late = sum(optimum.least_late_of_query(
        [r["bytes"] for r in rs],
        [int(r["deadline_ns"] * slack) for r in rs],
        link["rate_mbps"], link["base_rtt_us"]) for rs in by_query.values())
    return late / len(records)


def rounded(x, digits=6):
    return None if x is None else round(x, digits)


def make_rows(scenario, raw):
    """One row of summary.json per algorithm and point."""
    cache = {}
    for point in scenarios.points(scenario):
        bare = scenarios.without_slack(point)
        base = os.path.join(raw, scenario["name"],
                            scenarios.label(scenario, bare))
        with open(os.path.join(base, "link", "link.json")) as f:
            link = json.load(f)
        kind = scenarios.optimum_kind(point)
        slack = point["slack"]
        by_algorithm, rows, least = {}, [], {}
        for algorithm in scenario["algorithms"]:
            late, query_late, took = [], [], []
            sums = {"marks": 0, "drops": 0, "background_bytes": 0,
                    "duration_ns": 0}
            for seed in scenario["seed_list"]:
                directory = os.path.join(base, run_name(algorithm, slack),
                                         seed_name(seed))
                if directory not in cache:
                    cache[directory] = read_run(directory)
                records, extra = cache[directory]
                lates = [r for r in records if is_late(r, slack)]
                late.append(len(lates) / len(records))
                query_late.append(len({r["query"] for r in lates})
                                  / point["queries"])
                took += [r["took_ns"] for r in records]
                # every algorithm was asked the same
                if kind != "none" and seed not in least:
                    least[seed] = least_share(records, slack, link)
                for key in sums:
                    sums[key] += extra[key]
            took.sort()
            interval = interval95(late)
            row = {
                "scenario": scenario["name"],
                "algorithm": algorithm,
                "deadlines": algorithm in scenarios.WITH_DEADLINES,
                "seeds": scenario["seeds"],
                "responses": len(took),
                "late_share": rounded(sum(late) / len(late)),
                "late_share_ci95": interval and [rounded(x) for x in interval],
                "late_share_optimum":
                    rounded(sum(least.values()) / len(least)) if least
                    else None,
                "optimum": kind,
                "query_late_share":
                    rounded(sum(query_late) / len(query_late)),
                "fct_ms": {"p50": rounded(percentile(took, 0.5) / 1e6, 3),
                           "p99": rounded(percentile(took, 0.99) / 1e6, 3),
                           "max": rounded(took[-1] / 1e6, 3)},
                "background_mbps": rounded(
                    sums["background_bytes"] * 8000 / sums["duration_ns"], 3),
                "marks": sums["marks"],
                "drops": sums["drops"],
                "kernel": extra["kernel"].split("-")[0],
                "fidelity": {k: link[k] for k in
                             ("rate_mbps", "base_rtt_us", "mark_us")},
            }
            for key in scenarios.SWEPT:
                if key in ("fan_in", "slack", "rate_mbps") or \
                        isinstance(scenario.get(key), list):
                    row[key] = point[key]
            by_algorithm[algorithm] = late
            rows.append(row)
        for row in rows:
            row["late_minus_dctcp"] = None
            if row["algorithm"] != "dctcp" and "dctcp" in by_algorithm:
                row["late_minus_dctcp"] = paired(
                    by_algorithm[row["algorithm"]], by_algorithm["dctcp"])
            yield row


def difference(row):
    found = row["late_minus_dctcp"]
    if not found or found["half95"] is None:
        return "-"
    if abs(found["mean"]) <= found["half95"]:
        return "none"
    return "%+.1f ± %.1f" % (100 * found["mean"], 100 * found["half95"])


def share(x):
    return "-" if x is None else "%.1f" % (100 * x)


COLUMNS = (
    ("algorithm", lambda r: r["algorithm"]),
    ("late %", lambda r: share(r["late_share"])),
    ("95 % interval", lambda r: " to ".join(share(x) for x in
                                            r["late_share_ci95"] or [None])),
    ("less dctcp", difference),
    ("least %", lambda r: share(r["late_share_optimum"])),
    ("queries late %", lambda r: share(r["query_late_share"])),
    ("p50 ms", lambda r: "%.2f" % r["fct_ms"]["p50"]),
    ("p99 ms", lambda r: "%.2f" % r["fct_ms"]["p99"]),
    ("max ms", lambda r: "%.2f" % r["fct_ms"]["max"]),
    ("backgr. Mbit/s", lambda r: "%.1f" % r["background_mbps"]),
    ("marks", lambda r: str(r["marks"])),
    ("drops", lambda r: str(r["drops"])),
)


def table(scenario, rows):
    """The table as lists of cells: header, then a row per point, algorithm."""
    swept = [k for k in scenarios.SWEPT
             if isinstance(scenario.get(k), list) and len(scenario[k]) > 1]
    yield [k.replace("_", "-") for k in swept] + [name for name, _ in COLUMNS]
    for row in rows:
        yield [str(row[k]) for k in swept] + [f(row) for _, f in COLUMNS]


def print_table(scenario, rows):
    cells = list(table(scenario, rows))
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    print("\n%s: %s" % (scenario["name"], scenario["claim"]))
    print("%s" % setting(scenario, rows))
    print("late: share of responses after their deadline; less dctcp: minus "
          "that of dctcp, paired by seed, \nnone where the 95 % interval holds "
          "0; least: the share that no schedule could avoid\n")
    for n, row in enumerate(cells):
        print("  ".join(c.ljust(w) if i == cells[0].index("algorithm")
                        else c.rjust(w)
                        for i, (c, w) in enumerate(zip(row, widths))).rstrip())
        if n == 0:
            print("  ".join("-" * w for w in widths))


def setting(scenario, rows):
    """The scenario in one line, with the kernel: stands on every picture."""
    def text(key):
        value = scenario[key]
        return "/".join(map(str, value)) if isinstance(value, list) else value
    what = "%s bytes per query, spread %s" % (
        text("query_bytes"), text("response_spread")) \
        if "query_bytes" in scenario else \
        "%s bytes per response" % text("response_bytes")
    with_params = "".join(", %s" % p for p in scenario["params"])
    return ("%s: %s Mbit/s, %s us per host, mark at %s us, buffer %s, RTO min "
            "%s ms, %s, deadlines %s ms x slack, %d seeds, Linux %s%s" % (
                scenario["topology"], text("rate_mbps"),
                text("host_delay_us"), text("mark_us"),
                text("buffer_packets"), text("rto_min_ms"), what,
                text("deadline_ms"), scenario["seeds"], rows[0]["kernel"],
                with_params))


def save(figure, out, name, title):
    figure.text(0.5, 0.005, title, ha="center", va="bottom", fontsize=6.5,
                color="#444444", wrap=True)
    figure.savefig(os.path.join(out, name), dpi=120)
    plt.close(figure)
    return name


def groups(scenario, rows):
    """Rows by everything that is swept but the slack: one panel each."""
    keys = [k for k in scenarios.SWEPT if k != "slack"
            and isinstance(scenario.get(k), list)]
    found = {}
    for row in rows:
        found.setdefault(tuple((k, row[k]) for k in keys), []).append(row)
    return found


def name_of(group):
    return ", ".join("%s %s" % (k.replace("_", "-"), v) for k, v in group) \
        or "all"


def plot_late(scenario, rows, out):
    """Late share against deadline slack."""
    panels = groups(scenario, rows)
    figure, axes = plt.subplots(1, len(panels), squeeze=False, sharey=True,
                                figsize=(max(5, 4.2 * len(panels)), 4))
    for axis, (group, some) in zip(axes[0], panels.items()):
        for algorithm in scenario["algorithms"]:
            mine = [r for r in some if r["algorithm"] == algorithm]
            x = [r["slack"] for r in mine]
            y = [100 * r["late_share"] for r in mine]
            ci = [r["late_share_ci95"] or [r["late_share"]] * 2 for r in mine]
            axis.errorbar(
                x, y, yerr=[[v - 100 * c[0] for v, c in zip(y, ci)],
                            [100 * c[1] - v for v, c in zip(y, ci)]],
                label=algorithm, color=COLOURS[algorithm],
                marker=MARKERS[algorithm], markersize=5, capsize=2,
                linestyle="--" if algorithm == "d2tcp-nodeadline" else "-")
        if some[0]["late_share_optimum"] is not None:
            mine = [r for r in some
                    if r["algorithm"] == scenario["algorithms"][0]]
            axis.plot([r["slack"] for r in mine],
                      [100 * r["late_share_optimum"] for r in mine],
                      color="black", linestyle=":", label="least possible")
        axis.set_title(name_of(group), fontsize=10)
        axis.set_xlabel("deadline slack (factor)")
        axis.set_ylim(bottom=-1)
        axis.grid(alpha=0.3)
    axes[0][0].set_ylabel("responses late (%)")
    axes[0][-1].legend(fontsize=8)
    figure.suptitle("%s: late responses" % scenario["name"])
    figure.tight_layout(rect=(0, 0.06, 1, 1))
    return save(figure, out, "%s-late.png" % scenario["name"],
                setting(scenario, rows))


def plot_times(scenario, rows, raw, out):
    """Distribution of completion times."""
    panels = groups(scenario, rows)
    slacks = scenario["slack"] if isinstance(scenario["slack"], list) \
        else [scenario["slack"]]
    slack = slacks[len(slacks) // 2]
    figure, axes = plt.subplots(1, len(panels), squeeze=False, sharey=True,
                                figsize=(max(5, 4.2 * len(panels)), 4))
    for axis, group in zip(axes[0], panels):
        point = next(p for p in scenarios.points(scenario)
                     if all(p[k] == v for k, v in group)
                     and p["slack"] == slack)
        base = os.path.join(raw, scenario["name"], scenarios.label(
            scenario, scenarios.without_slack(point)))
        deadlines = []
        for algorithm in scenario["algorithms"]:
            took = []
            for seed in scenario["seed_list"]:
                records, _ = read_run(os.path.join(
                    base, run_name(algorithm, slack), seed_name(seed)))
                took += [r["took_ns"] / 1e6 for r in records]
                deadlines = [r["deadline_ns"] * slack / 1e6 for r in records]
            took.sort()
            axis.plot(took, [(i + 1) / len(took) for i in range(len(took))],
                      color=COLOURS[algorithm], label=algorithm,
                      linestyle="--" if algorithm == "d2tcp-nodeadline"
                      else "-")
        deadlines.sort()
        axis.plot(deadlines, [(i + 1) / len(deadlines)
                              for i in range(len(deadlines))],
                  color="black", linestyle=":", label="deadlines")
        # the tail of cubic must not squeeze the rest
        axis.set_xlim(0, 1.2 * max(deadlines))
        axis.set_title("%s, slack %s" % (name_of(group), slack), fontsize=10)
        axis.set_xlabel("completion time (ms)")
        axis.grid(alpha=0.3)
    axes[0][0].set_ylabel("share of responses")
    axes[0][-1].legend(fontsize=8)
    figure.suptitle("%s: completion times" % scenario["name"])
    figure.tight_layout(rect=(0, 0.06, 1, 1))
    return save(figure, out, "%s-times.png" % scenario["name"],
                setting(scenario, rows))


TRACE = re.compile(
    r"\s(?P<time>\d+\.\d+): d2tcp_cut: .* daddr=\S+ .*alpha=(?P<alpha>\d+) "
    r"d=(?P<d>\d+) p=\d+ before=(?P<before>\d+) after=(?P<after>\d+) ")
SOURCE = re.compile(r"saddr=(\S+) ")


def plot_flows(scenario, rows, raw, out):
    """alpha, d and cwnd of a few flows, from the module's own tracepoint."""
    directory = os.path.join(raw, scenario["name"], "trace")
    if not os.path.isdir(directory):
        return None
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
        return None
    start = min(cuts[0]["time"] for cuts in flows.values())
    begin, end = 0.5, 0.6  # seconds of the run: alpha has settled by then
    figure, axes = plt.subplots(3, 1, sharex=True, figsize=(8, 7))
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
    figure.suptitle("%s: four flows of d2tcp, fan-in %s, slack %s, seed %s" % (
        scenario["name"], job["point"]["fan_in"], job["slack"], job["seeds"][0]))
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    return save(figure, out, "%s-flows.png" % scenario["name"],
                setting(dict(scenario, seeds=1), rows).replace(
                    "1 seeds", "seed %d" % job["seeds"][0]))


PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>D2TCP: incast benchmarks</title>
<style>
body { font: 16px/1.5 sans-serif; max-width: 62rem; margin: 2rem auto;
       padding: 0 1rem; color: #222; }
img { max-width: 100%%; height: auto; border: 1px solid #ddd; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 14px; white-space: nowrap; }
th, td { padding: .2rem .6rem; text-align: right; }
th { border-bottom: 2px solid #888; }
tr:nth-child(even) td { background: #f4f4f4; }
.note { color: #555; font-size: 14px; }
</style></head><body>
<h1>D2TCP: who misses deadlines</h1>
<p class="note">Measured on Linux %s in virtual time (User Mode Linux), the
network emulated by Mininet: the clock advances only while everyone waits, so
nothing here depends on how fast or busy the machine was.</p>
<p class="note"><b>Fan-in</b>: how many workers answer a query at once.
<b>Slack</b>: what the deadlines of the scenario are multiplied with.
<b>Late</b>: the share of responses that were complete after their deadline, by the
aggregator's clock. <b>Least</b>: the share that no schedule could avoid
(Moore-Hodgson per query on the bottleneck). <b>Less dctcp</b>: the late share minus
that of dctcp, in points, paired by seed; none where the interval holds 0.
<b>d2tcp-nodeadline</b>: d2tcp whose
programs set no deadlines; it should be where DCTCP is. Intervals are 95 %% over
seeds.</p>
%s</body></html>
"""


ALT = {"late": "share of responses late against deadline slack",
       "times": "distribution of completion times",
       "flows": "alpha, d and cwnd of four flows over time"}


def write_page(parts, kernel, out):
    body = []
    for scenario, rows, pictures in parts:
        cells = list(table(scenario, rows))
        lines = ["<tr>%s</tr>" % "".join(
            "<%s>%s</%s>" % (tag, html.escape(c), tag) for c in row)
            for tag, row in zip(["th"] + ["td"] * len(cells), cells)]
        link = rows[0]["fidelity"]
        body.append(
            "<h2>%s</h2>\n<p>%s</p>\n%s\n<div class=\"wide\"><table>\n%s\n"
            "</table></div>\n<p class=\"note\">%s</p>\n<p class=\"note\">The "
            "emulated link as measured: %s Mbit/s, base round trip %s us, "
            "marking from %s us of queueing on.</p>\n" % (
                html.escape(scenario["name"]), html.escape(scenario["claim"]),
                "\n".join("<p><img src=\"%s\" alt=\"%s\"></p>" % (
                    p, ALT[p[len(scenario["name"]) + 1:-4]])
                    for p in pictures), "\n".join(lines),
                html.escape(setting(scenario, rows)), link["rate_mbps"],
                link["base_rtt_us"], link["mark_us"]))
    with open(os.path.join(out, "index.html"), "w") as f:
        f.write(PAGE % (html.escape(kernel), "\n".join(body)))


MARK = "<!-- %s: written by make publish -->"
SETTINGS = "settings.json"


def publish(out, docs):
    """Puts table and pictures of the last bench into docs/results.md.

    What stands between the two marks of a scenario is replaced; the pictures
    are copied beside it.
    """
    if not os.path.exists(os.path.join(out, SETTINGS)):
        raise scenarios.ScenarioError("%s has no results: make bench first"
                                      % out)
    with open(os.path.join(out, "summary.json")) as f:
        everything = json.load(f)["rows"]
    with open(os.path.join(out, SETTINGS)) as f:
        chosen = json.load(f)
    path = os.path.join(docs, "results.md")
    with open(path) as f:
        text = f.read()
    for scenario in chosen:
        name = scenario["name"]
        if any(scenario[k] != v for k, v in scenarios.load(
                name, "default").items()) or scenario["params"]:
            raise scenarios.ScenarioError(
                "the results of %s are not those of the default set as it is "
                "in its file" % name)
        begin, end = MARK % name, MARK % (name + " ends")
        if begin not in text or end not in text:
            raise scenarios.ScenarioError("%s has no place for %s: '%s' and "
                                          "'%s' are missing"
                                          % (path, name, begin, end))
        rows = [r for r in everything if r["scenario"] == name]
        cells = list(table(scenario, rows))
        lines = ["", "| %s |" % " | ".join(cells[0]),
                 "|%s" % ("---|" * len(cells[0]))]
        lines += ["| %s |" % " | ".join(row) for row in cells[1:]]
        lines += ["", setting(scenario, rows) + ".", ""]
        for picture in sorted(os.listdir(out)):
            if picture.startswith(name) and picture.endswith(".png"):
                shutil.copyfile(os.path.join(out, picture),
                                os.path.join(docs, picture))
                lines += ["![%s](%s)" % (picture[:-4], picture), ""]
        head, rest = text.split(begin, 1)
        text = head + begin + "\n" + "\n".join(lines) + end + \
            rest.split(end, 1)[1]
    with open(path, "w") as f:
        f.write(text)


def write(chosen, raw, out):
    """summary.json, the table on the terminal, PNG plots and index.html."""
    everything, parts = [], []
    for scenario in chosen:
        rows = list(make_rows(scenario, raw))
        everything += rows
        print_table(scenario, rows)
        pictures = [plot_late(scenario, rows, out),
                    plot_times(scenario, rows, raw, out),
                    plot_flows(scenario, rows, raw, out)]
        parts.append((scenario, rows, [p for p in pictures if p]))
    with open(os.path.join(out, "summary.json"), "w") as f:
        json.dump({"rows": everything}, f, indent=1, sort_keys=True)
        f.write("\n")
    with open(os.path.join(out, SETTINGS), "w") as f:
        json.dump(chosen, f, indent=1, sort_keys=True)
        f.write("\n")
    write_page(parts, everything[0]["kernel"], out)
