# SPDX-License-Identifier: GPL-2.0
"""Puts the last results into docs/results.md and README.md."""

import json
import os
import shutil

import scenario as scenarios
from . import claims, selection, tables
from .page import CLAIMS

SETTINGS = "settings.json"


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


def read_results(out):
    """The rows and the settings of the last run."""
    if not os.path.exists(os.path.join(out, SETTINGS)):
        raise scenarios.ScenarioError("%s has no results: make bench first"
                                      % out)
    with open(os.path.join(out, "summary.json")) as f:
        everything = json.load(f)["rows"]
    with open(os.path.join(out, SETTINGS)) as f:
        return everything, json.load(f)


def check_whole_set(settings):
    """Refuses results that are not those of a whole set as its files have it."""
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


def shown(scenario):
    """The pictures of a scenario that are published; the page has the others."""
    return [p for p in scenario["pictures"] if "-times-" not in p]


def chapters(settings, everything):
    """A chapter for each scenario: its claim, pictures and table."""
    if settings["ratio"]:
        yield from ("![late share of d2tcp by that of dctcp](ratio.png)", "")
    for scenario in settings["scenarios"]:
        rows = [r for r in everything if r["scenario"] == scenario["name"]]
        yield from ("### %s" % scenario["name"], "",
                    "Tested: " + scenario["claim"], "",
                    tables.setting(scenario, rows) + ".", "")
        yield from ("![%s](%s)" % (p[:-4], p) for p in shown(scenario))
        yield from ("", "<details><summary>%d rows</summary>" % len(rows), "")
        yield from markdown_table(list(tables.table(scenario, rows)))
        yield from ("", "</details>", "")


def replace_pictures(settings, out, docs):
    """The pictures of the last publication make place for these."""
    wanted = settings["ratio"] + [p for s in settings["scenarios"]
                                  for p in shown(s)]
    for name in os.listdir(docs):
        if name.endswith(".png"):
            os.remove(os.path.join(docs, name))
    for name in wanted:
        shutil.copyfile(os.path.join(out, name), os.path.join(docs, name))


def publish(out, root):
    """Puts the last results, of a whole set, into docs/results.md and README.md."""
    everything, settings = read_results(out)
    check_whole_set(settings)
    docs = os.path.join(root, "docs")
    path = os.path.join(docs, "results.md")
    with open(path) as f:
        text = f.read()
    by = "By `%s`." % settings["command"]
    said = ["", by, ""]
    text = between_marks(text, "claims", said + markdown_table(
        [CLAIMS] + list(claims.claims(everything))) + [""], path)
    text = between_marks(text, "findings", said + [
        "- " + line for line in selection.findings(everything)] + [""], path)
    text = between_marks(text, "tables", said + [
        tables.NOTE, "", tables.FLOW_NOTE, ""] +
        list(chapters(settings, everything)), path)
    readme = os.path.join(root, "README.md")
    with open(readme) as f:
        front = f.read()
    front = between_marks(front, "findings", [
        "- " + line for line in selection.bottom_line(everything)] + ["", by],
        readme)
    # nothing is written unless both have their places
    replace_pictures(settings, out, docs)
    for where, what in ((path, text), (readme, front)):
        with open(where, "w") as f:
            f.write(what)
