# SPDX-License-Identifier: GPL-2.0
"""The report as one page of HTML: computes the values that page.html shows."""

import os

import jinja2

from runs import link_name
import scenario as scenarios
from . import claims, selection, tables

HERE = os.path.dirname(os.path.abspath(__file__))

# Published proposals, and what they need that stock Linux or switches lack.
OTHERS = [
    ("proposal", "published", "why not here"),
    ("D3 (SIGCOMM 2011)", "\"effectively doubles the peak load\" of a data centre "
     "network (abstract)", "routers read rate requests and write grants into "
     "headers, every round trip"),
    ("PDQ (SIGCOMM 2012)", "mean completion time about 30 % lower than TCP, RCP and "
     "D3 (project page), by simulation", "switches keep a list of flows per link and "
     "pause flows"),
    ("pFabric (SIGCOMM 2013)", "near-optimal completion times even at the 99th "
     "percentile for short flows (abstract), by simulation",
     "switches send the packet with the highest priority first and drop the one "
     "with the lowest"),
]

CLAIMS = ("claim (%s)" % claims.PAPER, "claimed", "measured here", "conditions",
          "verdict")


def write_page(parts, everything, measured, ratio, command, out):
    """Writes index.html.

    `parts` are (scenario, its rows, its pictures), a picture is (file, message);
    `ratio` has pictures of all scenarios together; `measured` has the links as
    they were measured, by name.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE), autoescape=True,
        undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    seeds = sorted({r["seeds"] for r in everything})
    values = {
        "command": command,
        "seeds": "Seeds per point: %d to %d" % (seeds[0], seeds[-1]),
        "in_short": list(selection.in_short_of(everything)),
        "questions": [(q.text, list(selection.answers(q, everything)))
                      for q in selection.QUESTIONS],
        "ratio": ratio,
        "claims": [CLAIMS] + list(claims.claims(everything)),
        "others": OTHERS,
        "scenarios": [{
            "name": scenario["name"], "claim": scenario["claim"],
            "setting": tables.setting(scenario, rows), "pictures": pictures,
            "cells": list(tables.table(scenario, rows)),
            "note": tables.note(rows)} for scenario, rows, pictures in parts],
    } | where_measured(parts, everything, measured)
    with open(os.path.join(out, "index.html"), "w") as f:
        f.write(environment.get_template("page.html").render(values))


def where_measured(parts, everything, measured):
    """The values that differ between the lab and real hosts."""
    kernel = everything[0]["kernel"]
    hosts = parts[0][0]["hosts"]
    if hosts:
        return {"measured": "on %d real hosts, Linux %s" % (hosts, kernel),
                "base_rtt_us": everything[0]["fidelity"]["base_rtt_us"]}
    return {"measured": "with the real kernel, Linux %s, and the real module, in "
            "virtual time: results do not depend on the speed or load of the machine"
            % kernel, "links": list(links(parts, measured))}


def links(parts, measured):
    """Table of the links: each value as described and as measured."""
    yield ("scenario", "rate", "measured", "base RTT us", "measured",
           "mark us", "measured", "uplink rate", "measured", "uplink marks at")
    seen = set()
    for scenario, _, _ in parts:
        for point in scenarios.points(scenario):
            link = measured[link_name(point)]
            line = (scenario["name"], point["rate_mbps"], link["rate_mbps"],
                    2 * point["host_delay_us"], link["base_rtt_us"],
                    point["mark_us"], link["mark_us"],
                    point.get("uplink_mbps", "-"),
                    link.get("uplink_rate_mbps", "-"),
                    link.get("uplink_mark_us", "-"))
            if line not in seen:
                seen.add(line)
                yield line
