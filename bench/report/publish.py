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
        [CLAIMS] + list(claims.claims(everything))) + [""], path)
    text = between_marks(text, "findings", said + [
        "- " + line for line in selection.findings(everything)] + [""], path)
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
        "- " + line for line in selection.headlines(everything)] + [
            "", "By `%s`." % settings["command"]], readme)
    for name in os.listdir(docs):
        if name.endswith(".png"):
            os.remove(os.path.join(docs, name))
    for name in wanted:
        shutil.copyfile(os.path.join(out, name), os.path.join(docs, name))
    for where, what in ((path, text), (readme, front)):
        with open(where, "w") as f:
            f.write(what)
