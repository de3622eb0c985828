# SPDX-License-Identifier: GPL-2.0
"""Puts the last results into docs/results/ and README.md."""

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
WRITTEN = "<!-- written by make publish -->"  # first line of whole pages


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
        if any(scenario.get(k) != v for k, v in scenarios.load(
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


def published(scenario):
    """The pictures of a scenario that are published; the page has the others."""
    return [(name, message) for name, message in scenario["pictures"]
            if "-times" not in name]


def chapter(scenario, rows, by):
    """The page of a scenario: its claim, pictures and table."""
    yield from ("# " + scenario["name"], "", "Tested: " + scenario["claim"], "",
                tables.setting(scenario, rows) + ".", "")
    yield from ("![%s](%s)" % (message, name)
                for name, message in published(scenario))
    yield from ("", tables.note(rows), "")
    yield from markdown_table(list(tables.table(scenario, rows)))
    yield from ("", by)


def asked(everything):
    """The questions to which the rows have an answer."""
    return [q for q in selection.QUESTIONS if any(selection.answers(q, everything))]


def answer(question, settings, everything, by):
    """The page of a question: sentences, pictures, and where the tables are."""
    yield from ("# " + question.text, "")
    yield from ("- " + line for line in selection.answers(question, everything))
    yield ""
    yield from ("![%s](%s)" % (message, name) for name, message in settings["ratio"]
                if name in question.pictures)
    yield from ("", "Tables and pictures:", "") if question.scenarios else ()
    yield from ("- [%s](%s.md): %s" % (s["name"], s["name"], s["claim"])
                for s in settings["scenarios"] if s["name"] in question.scenarios)
    yield from ("", by)


def contents(settings):
    """The list of the scenarios, each with its claim."""
    for scenario in settings["scenarios"]:
        yield "- [%s](%s.md): %s" % (scenario["name"], scenario["name"],
                                     scenario["claim"])


def new_front(front, path, settings, everything, by):
    """README.md with the first picture of all scenarios together, and the five sentences."""
    front = between_marks(front, "picture", [
        "![%s](docs/results/%s)" % (message, name)
        for name, message in settings["ratio"][:1]], path)
    return between_marks(front, "findings", [
        "- " + line for line in selection.in_short_of(everything)] + ["", by],
        path)


def new_index(text, path, settings, everything, by):
    """docs/results/README.md with the claims, the five sentences and the contents."""
    text = between_marks(text, "claims", ["", by, ""] + markdown_table(
        [CLAIMS] + list(claims.claims(everything))) + [""], path)
    text = between_marks(text, "findings", [
        "", by, ""] + ["- " + line for line in selection.in_short_of(everything)] +
        [""] + ["![%s](%s)" % (message, name)
                for name, message in settings["ratio"]] +
        ["", "A page for each question:", ""] +
        ["- [%s](%s.md)" % (q.text, q.name) for q in asked(everything)] + [""], path)
    return between_marks(text, "contents", [""] + list(contents(settings)) + [""],
                         path)


def last_publication(results):
    """The files of the last publication: pictures, and pages not written by hand."""
    for name in os.listdir(results):
        path = os.path.join(results, name)
        if name.endswith(".md"):
            with open(path) as f:
                if f.readline().strip() == WRITTEN:
                    yield name
        elif name.endswith(".svg"):
            yield name


def replace_files(settings, pages, out, results):
    """Replaces the pictures and pages of the last publication by these."""
    old = list(last_publication(results))
    pictures = [name for name, _ in settings["ratio"]] + [
        name for s in settings["scenarios"] for name, _ in published(s)]
    for name in pictures:
        if not os.path.exists(os.path.join(out, name)):
            raise scenarios.ScenarioError("%s has no %s: make bench first"
                                          % (out, name))
    for name in pages:
        if os.path.exists(os.path.join(results, name)) and name not in old:
            raise scenarios.ScenarioError(
                "%s was written by hand, and publishing would overwrite it"
                % os.path.join(results, name))
    for name in old:
        os.remove(os.path.join(results, name))
    for name in pictures:
        shutil.copyfile(os.path.join(out, name), os.path.join(results, name))
    for name, lines in pages.items():
        with open(os.path.join(results, name), "w") as f:
            f.write("\n".join([WRITTEN] + lines) + "\n")


def publish(out, root):
    """Puts the last results, of a whole set, into docs/results/ and README.md."""
    everything, settings = read_results(out)
    check_whole_set(settings)
    results = os.path.join(root, "docs", "results")
    by = "By `%s`." % settings["command"]
    index, readme = [os.path.join(d, "README.md") for d in (results, root)]
    with open(index) as f, open(readme) as g:
        written = {index: new_index(f.read(), index, settings, everything, by),
                   readme: new_front(g.read(), readme, settings, everything, by)}
    pages = {s["name"] + ".md": list(chapter(s, [
        r for r in everything if r["scenario"] == s["name"]], by))
        for s in settings["scenarios"]}
    pages |= {q.name + ".md": list(answer(q, settings, everything, by))
              for q in asked(everything)}
    # nothing is written unless both have their places, and all files are there
    replace_files(settings, pages, out, results)
    for path, text in written.items():
        with open(path, "w") as f:
            f.write(text)
