# SPDX-License-Identifier: GPL-2.0
"""The report: summary.json, tables on the terminal, pictures, one page, the docs."""

import html
import json
import os
import shutil

import findings
import plots
import rows as results
import scenario as scenarios
import tables

MARKER = "made-by-bench"  # a directory without it is not ours to empty
SETTINGS = "settings.json"


def is_ours(out):
    """Whether nothing is lost when the bench empties a directory."""
    if not os.path.isdir(out) or os.path.exists(os.path.join(out, MARKER)):
        return True
    # make check has left this one there, once
    return set(os.listdir(out)) <= {"cost.md"}


def make_room(out):
    """An empty directory for raw records below `out`, which is ours or new.

    What an earlier run left in it is removed; a directory with other files is
    refused.
    """
    if not is_ours(out):
        raise scenarios.ScenarioError(
            "%s holds files that are not of the bench; name a new or an empty "
            "directory" % out)
    shutil.rmtree(out, ignore_errors=True)
    raw = os.path.join(out, "raw")
    os.makedirs(raw)
    with open(os.path.join(out, MARKER), "w") as f:
        f.write("bench/run.py empties this directory when it runs again.\n")
    return raw


PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>D2TCP: who misses deadlines</title>
<style>
body { font: 16px/1.5 sans-serif; max-width: 76rem; margin: 1.5rem auto;
       padding: 0 1rem; color: #222; }
h1 { line-height: 1.2; }
h2 { margin-top: 2.2rem; border-top: 1px solid #ccc; padding-top: 1rem; }
.pictures { display: flex; flex-wrap: wrap; gap: .6rem; }
.pictures a { flex: 1 1 20rem; max-width: 36rem; }
img { width: 100%%; height: auto; border: 1px solid #ddd; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; white-space: nowrap; }
table.words { white-space: normal; }
th, td { padding: .2rem .5rem; text-align: right; }
.words th, .words td { text-align: left; vertical-align: top; min-width: 7rem; }
th { border-bottom: 2px solid #888; }
tr:nth-child(even) td { background: #f4f4f4; }
.note { color: #555; font-size: 14px; }
li { margin: .3rem 0; }
summary { cursor: pointer; color: #0050a0; margin: .5rem 0; }
</style></head><body>
<h1>D2TCP: who misses deadlines</h1>
<p>Leaves answer a query into one port of a switch that marks with ECN, at the same
time; each answer has a deadline. Measured %(measured)s.
<b>Slack</b> is what a scenario's deadlines are multiplied with, <b>fan-in</b> how many
leaves answer, <b>late</b> the share of responses complete after their deadline. The
<b>fair window</b> is what each flow's window would be if all shared evenly what path and
queue hold, (BDP + K) / fan-in.</p>
<p class="note">Command: <code>%(command)s</code>. %(seeds)s</p>
<h2>Findings</h2>
<ul>
%(headlines)s
</ul>
<div class="pictures">%(ratio)s</div>
<details><summary>All findings</summary>
<ul>
%(findings)s
</ul>
</details>
<h2>The paper's claims</h2>
<div class="wide">%(claims)s</div>
%(scenarios)s
%(limits)s
<h2>What does not run on Linux</h2>
<p>These were published with figures of their own, from other networks; they are not
measurements of ours and do not compare with the tables above.</p>
<div class="wide">%(others)s</div>
</body></html>
"""

# The two chapters on what to believe, for the lab and for real hosts.
IN_LAB = """<h2>Is the emulated network what it should be?</h2>
<p>Each link is measured before it is used, and the bench stops when one is off: rate within
0.5 %%, base round trip within 5 %%, marking threshold within a packet.</p>
<div class="wide">%(fidelity)s</div>
<h2>What this cannot show</h2>
<ul>
<li>Processors cost nothing here: no host is ever too slow to send, receive or acknowledge,
and nothing is offloaded (no TSO, GRO or interrupt moderation). Real hosts send bursts of
up to 64 KB; a marking threshold has to allow for them.</li>
<li>The switch is a Linux queue per port with a fixed buffer. Real switches share a
buffer among ports, which forgives more incast and lets ports disturb each other.</li>
<li>Marking is by time in the queue (K packets at line rate), exact to a packet.</li>
<li>All hosts have the same round trip, and one clock: what a worker thinks of a deadline
is what the aggregator thinks of it.</li>
<li>Seeds differ in sizes, deadlines and arrivals. Intervals are about those, not about
networks of another kind. Seeds are added until the interval is narrow enough, from
what the first ones say of the spread; where that happened 95 %% intervals hold somewhat
less than 95 %% (docs/bench.md). One comparison in twenty errs, and there are many.</li>
<li>dctcp-prio has the whole buffer and threshold in each of its queues, and
deadlines that everyone declares truly; whoever may mark packets may also lie.</li>
</ul>"""
ON_HOSTS = """<h2>What this cannot show</h2>
<ul>
<li>The network was taken as it is: rates, buffers and marking are not measured here, and
no least possible share is given.</li>
<li>Each host has a clock of its own. Deadlines reach a worker by the offset measured before
the run, known to half a round trip; clocks.csv has offsets, round trips and drift. Lateness is
judged by the aggregator's clock alone.</li>
<li>Other traffic and other programs on the hosts are in the results; two runs differ.</li>
<li>Base round trip, the shortest seen: %(fidelity)s us.</li>
</ul>"""

# What others published, and what they need that stock Linux and switches have not.
OTHERS = [
    ("proposal", "published", "why not here"),
    ("D3 (SIGCOMM 2011)", "\"effectively doubles the peak load\" of a data centre "
     "network (abstract)", "routers read rate requests and write grants into "
     "headers, every round trip"),
    ("PDQ (SIGCOMM 2012)", "mean completion time about 30 % lower than TCP, RCP and "
     "D3 (project page), by simulation", "switches keep a list of flows per link and "
     "pause them"),
    ("pFabric (SIGCOMM 2013)", "near-optimal completion times even at the 99th "
     "percentile for short flows (abstract), by simulation",
     "switches send the best and drop the worst packet by a priority in each"),
]


def html_table(cells, kind=""):
    lines = ["<tr>%s</tr>" % "".join(
        "<%s>%s</%s>" % (tag, html.escape(str(c)), tag) for c in row)
        for tag, row in zip(["th"] + ["td"] * len(cells), cells)]
    return "<table%s>\n%s\n</table>" % (
        " class=\"%s\"" % kind if kind else "", "\n".join(lines))


def html_pictures(pictures):
    return "\n".join("<a href=\"%s\"><img src=\"%s\" alt=\"%s\" loading=\"lazy\">"
                     "</a>" % (name, name, html.escape(alt))
                     for name, alt in pictures)


CLAIMS = ("claim (%s)" % findings.PAPER, "claimed", "measured here", "conditions",
          "verdict")


def write_page(parts, everything, ratio, command, out):
    body = []
    for scenario, rows, pictures in parts:
        cells = list(tables.table(scenario, rows))
        body.append(
            "<h2>%s</h2>\n<p>Tested: %s</p>\n<div class=\"pictures\">%s</div>\n"
            "<p class=\"note\">%s.</p>\n<details%s><summary>The table (%d rows)"
            "</summary>\n<p class=\"note\">%s</p>\n<div class=\"wide\">%s</div>"
            "</details>\n" % (
                html.escape(scenario["name"]), html.escape(scenario["claim"]),
                html_pictures(pictures),
                html.escape(tables.setting(scenario, rows)),
                " open" if len(rows) <= 12 else "", len(rows),
                html.escape(tables.note(rows)), html_table(cells)))
    seeds = sorted({r["seeds"] for r in everything})
    kernel = html.escape(everything[0]["kernel"])
    if parts[0][0].get("hosts"):
        measured = "on %d real hosts, Linux %s" % (parts[0][0]["hosts"], kernel)
        limits = ON_HOSTS % {
            "fidelity": everything[0]["fidelity"]["base_rtt_us"]}
    else:
        measured = "with the real kernel, Linux %s, and the real module, in " \
            "virtual time: how fast or busy the machine was changes nothing" \
            % kernel
        limits = IN_LAB % {"fidelity": html_table(list(fidelity(parts)))}
    with open(os.path.join(out, "index.html"), "w") as f:
        f.write(PAGE % {
            "measured": measured, "limits": limits,
            "command": html.escape(command),
            "seeds": "Seeds per point: %d to %d; the records of every run lie beside "
                     "this page, in <code>raw/</code>." % (seeds[0], seeds[-1]),
            "headlines": "\n".join("<li>%s</li>" % html.escape(text) for text
                                   in findings.headlines(everything)),
            "findings": "\n".join("<li>%s</li>" % html.escape(text)
                                  for text in findings.findings(everything)),
            "ratio": html_pictures([(name, "late share of d2tcp by that of dctcp, "
                                     "against slack") for name in ratio]),
            "claims": html_table([CLAIMS] + list(findings.claims(everything)),
                                 "words"),
            "scenarios": "\n".join(body),
            "others": html_table(OTHERS, "words"),
        })


def fidelity(parts):
    """The links as described and as measured."""
    yield ("scenario", "rate", "measured", "base RTT us", "measured",
           "mark us", "measured", "uplink rate", "measured", "uplink marks at")
    seen = set()
    for scenario, _, _ in parts:
        for point in scenarios.points(scenario):
            link = scenario["links"][results.link_name(point)]
            line = (scenario["name"], point["rate_mbps"], link["rate_mbps"],
                    2 * point["host_delay_us"], link["base_rtt_us"],
                    point["mark_us"], link["mark_us"],
                    point.get("uplink_mbps", "-"),
                    link.get("uplink_rate_mbps", "-"),
                    link.get("uplink_mark_us", "-"))
            if line not in seen:
                seen.add(line)
                yield line


def write(chosen, raw, out, command):
    """summary.json, tables on the terminal, pictures and index.html."""
    everything, parts = [], []
    for scenario in chosen:
        rows = list(results.make_rows(scenario, raw))
        scenario["links"] = {}
        for point in scenarios.points(scenario):
            name = results.link_name(point)
            with open(os.path.join(raw, "links", name, "link.json")) as f:
                scenario["links"][name] = json.load(f)
        everything += rows
        tables.print_table(scenario, rows)
        parts.append((scenario, rows, plots.pictures(scenario, rows, raw, out)))
    with open(os.path.join(out, "summary.json"), "w") as f:
        json.dump({"rows": everything}, f, indent=1, sort_keys=True)
        f.write("\n")
    ratio = plots.plot_ratio(everything, out)
    with open(os.path.join(out, SETTINGS), "w") as f:
        json.dump({"command": command, "scenarios": [
            s | {"pictures": [p for p, _ in pictures]}
            for s, _, pictures in parts], "ratio": ratio}, f, indent=1,
                  sort_keys=True)
        f.write("\n")
    write_page(parts, everything, ratio, command, out)
    print("\nFindings:")
    for text in findings.findings(everything):
        print("- " + text)


def markdown_table(cells):
    cells = [[str(c).replace("|", "\\|") for c in row] for row in cells]
    return ["| %s |" % " | ".join(cells[0]), "|%s" % ("---|" * len(cells[0]))] + \
        ["| %s |" % " | ".join(row) for row in cells[1:]]


MARK = "<!-- %s: written by make publish -->"


def between_marks(text, name, lines, path):
    """Replaces what stands between the two marks of a name."""
    begin, end = MARK % name, MARK % (name + " ends")
    if begin not in text or end not in text:
        raise scenarios.ScenarioError(
            "%s has no place for %s: '%s' and '%s' are missing"
            % (path, name, begin, end))
    head, rest = text.split(begin, 1)
    return head + "\n".join([begin] + lines + [end]) + rest.split(end, 1)[1]


def publish(out, root):
    """Puts the last results into docs/results.md and README.md.

    They must be those of whole scenarios as they are in their files, in one of the
    sets.
    """
    if not os.path.exists(os.path.join(out, SETTINGS)):
        raise scenarios.ScenarioError("%s has no results: make bench first"
                                      % out)
    with open(os.path.join(out, "summary.json")) as f:
        everything = json.load(f)["rows"]
    with open(os.path.join(out, SETTINGS)) as f:
        settings = json.load(f)
    for scenario in settings["scenarios"]:
        if scenario["params"] or "seed_list" in scenario or any(
                scenario[k] != v for k, v in scenarios.load(
                    scenario["name"], scenario["set"]).items()):
            raise scenarios.ScenarioError(
                "the results of %s are not those of set %s as it is in its file"
                % (scenario["name"], scenario["set"]))
    which = settings["scenarios"][0]["set"]
    missing = {s["name"] for s in scenarios.chosen(which)} - \
        {s["name"] for s in settings["scenarios"]}
    if missing:
        raise scenarios.ScenarioError(
            "the results are not those of the whole set %s: %s missing"
            % (which, ", ".join(sorted(missing))))
    docs = os.path.join(root, "docs")
    path = os.path.join(docs, "results.md")
    with open(path) as f:
        text = f.read()
    said = ["", "By `%s`." % settings["command"], ""]
    text = between_marks(text, "claims", said + markdown_table(
        [CLAIMS] + list(findings.claims(everything))) + [""], path)
    text = between_marks(text, "findings", said + [
        "- " + line for line in findings.findings(everything)] + [""], path)
    lines = said + [tables.NOTE, "", tables.FLOW_NOTE, ""]
    wanted = list(settings["ratio"])
    if wanted:
        lines += ["![late share of d2tcp by that of dctcp](ratio.png)", ""]
    for scenario in settings["scenarios"]:
        rows = [r for r in everything if r["scenario"] == scenario["name"]]
        # the page has the rest
        shown = [p for p in scenario["pictures"] if "-times-" not in p]
        wanted += shown
        lines += ["### %s" % scenario["name"], "",
                  "Tested: " + scenario["claim"], "",
                  tables.setting(scenario, rows) + ".", ""]
        lines += ["![%s](%s)" % (p[:-4], p) for p in shown]
        lines += ["", "<details><summary>%d rows</summary>" % len(rows), ""]
        lines += markdown_table(list(tables.table(scenario, rows)))
        lines += ["", "</details>", ""]
    text = between_marks(text, "tables", lines, path)
    readme = os.path.join(root, "README.md")
    with open(readme) as f:
        front = f.read()
    front = between_marks(front, "findings", [
        "- " + line for line in findings.headlines(everything)] + [
            "", "By `%s`." % settings["command"]], readme)
    for name in os.listdir(docs):
        if name.endswith(".png"):
            os.remove(os.path.join(docs, name))
    for name in wanted:
        shutil.copyfile(os.path.join(out, name), os.path.join(docs, name))
    for where, what in ((path, text), (readme, front)):
        with open(where, "w") as f:
            f.write(what)
