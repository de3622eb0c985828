# SPDX-License-Identifier: GPL-2.0
"""From rows to tables, pictures, sentences and the page.

    tables.py     rows as tables of text
    queries.py    queries on the rows
    words.py      numbers and points in words
    sentences.py  findings as sentences
    in_short.py   the five sentences that are shown first
    selection.py  which findings are shown where
    claims.py     the paper's claims beside the measurements
    style.py      how every picture looks
    titles.py     the message of each picture
    traces.py     the kernel's trace of a traced run
    plots.py      the pictures
    page.py       one page of HTML, from page.html
    publish.py    docs/results/ and README.md
    room.py       the output directory
"""

import json
import os
import textwrap

from analysis import make_rows
from runs import link_name
import scenario as scenarios
from . import page, plots, selection, tables
from .publish import SETTINGS, publish
from .room import is_ours, make_room, room_to_resume

__all__ = ["is_ours", "make_room", "publish", "room_to_resume", "write"]


def write(chosen, raw, out, command):
    """summary.json, tables on the terminal, pictures and index.html."""
    everything, parts, links = [], [], {}
    for scenario in chosen:
        rows = list(make_rows(scenario, raw))
        for point in scenarios.points(scenario):
            name = link_name(point)
            with open(os.path.join(raw, "links", name, "link.json")) as f:
                links[name] = json.load(f)
        everything += rows
        tables.print_table(scenario, rows)
        parts.append((scenario, rows, plots.pictures(scenario, rows, raw, out)))
    with open(os.path.join(out, "summary.json"), "w") as f:
        json.dump({"rows": everything}, f, indent=1, sort_keys=True)
        f.write("\n")
    ratio = plots.plot_ratio(everything, out) + plots.plot_gap(everything, out)
    with open(os.path.join(out, SETTINGS), "w") as f:
        json.dump({"command": command, "scenarios": [
            s | {"pictures": pictures}
            for s, _, pictures in parts], "ratio": ratio}, f, indent=1,
                  sort_keys=True)
        f.write("\n")
    page.write_page(parts, everything, links, ratio, command, out)
    for text in dict.fromkeys(tables.note(rows) for _, rows, _ in parts):
        print("\n" + textwrap.fill("Columns: " + text, 100))
    print("\nFindings:")
    for text in selection.findings(everything):
        print("- " + text)
