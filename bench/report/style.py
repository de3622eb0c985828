# SPDX-License-Identifier: GPL-2.0
"""How every picture looks: sizes, axis labels, and one style per algorithm."""

import os
import textwrap

import matplotlib
matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

import algorithms  # noqa: E402

SIZE = (5.2, 4.0)
WORDS = {"fan_in": "fan-in", "slack": "deadline slack (factor)",
         "background_flows": "background flows", "deadline_ms": "deadlines (ms)",
         "rate_mbps": "Mbit/s"}


def line_style(algorithm):
    """How the line of an algorithm is drawn: keywords of matplotlib."""
    one = algorithms.BY_NAME[algorithm]
    return {"color": one.colour, "marker": one.marker, "markersize": 5,
            "linestyle": one.line}


def colour(algorithm):
    return algorithms.BY_NAME[algorithm].colour


def save(figure, out, name, below):
    """Writes a picture with its setting below; returns its name."""
    size = 7.5
    width, height = figure.get_size_inches()
    # a character is about half as wide as high
    lines = textwrap.wrap(below, int(72 * width / (0.54 * size)))
    figure.tight_layout(rect=(
        0, (1.3 * size * len(lines) / 72 + 0.08) / height, 1, 1))
    figure.text(0.5, 0.03 / height, "\n".join(lines), ha="center",
                va="bottom", fontsize=size, color="#444444")
    figure.savefig(os.path.join(out, name), dpi=140)
    plt.close(figure)
    return name
