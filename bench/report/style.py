# SPDX-License-Identifier: GPL-2.0
"""How every picture looks: size, fonts, title, labels of lines, file format.

Pictures are SVG with text as text: they stay sharp at any width, and the same rows give
the same bytes. At a phone's width of 360 pixels the smallest text is about 9 pixels high.
"""

import math
import os
import textwrap

import matplotlib
matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.transforms import ScaledTranslation  # noqa: E402

import algorithms  # noqa: E402

matplotlib.rcParams.update({
    "svg.fonttype": "none",
    "svg.hashsalt": "d2tcp",  # identifiers that do not change from run to run
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#666666",
    "axes.labelsize": 10,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.3,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "legend.fontsize": 9.5,
    "legend.frameon": False,
})

SIZE = (4.6, 3.5)  # inches, without the message, the note and a legend
LINE = 0.175  # inches from one name to the next
AXES = {"fan_in": "fan-in (workers)", "slack": "deadline slack (factor)",
        "background_flows": "background flows", "deadline_ms": "deadlines (ms)",
        "arrival": "load (% of the link)"}
MISSED = "missed deadlines (%)"
LOWER_BOUND = {"color": "#000000", "linestyle": ":", "linewidth": 1.5}
# For lines that are not algorithms, chosen as the colours of algorithms are.
OTHER_COLOURS = ("#1665D1", "#E69F00", "#36002F", "#5DCCCE", "#71598A",
                 "#866409", "#0A3B12", "#9D7069")
OTHER_MARKERS = "osD^vPX*"
MAIN = (algorithms.BASE, algorithms.LAW, algorithms.PRIORITIES,
        algorithms.GRANTS)


def line_style(algorithm, marker=True):
    """How the line of an algorithm is drawn: keywords of matplotlib."""
    one = algorithms.BY_NAME[algorithm]
    main = algorithm in MAIN
    found = {"color": one.colour, "linestyle": one.line,
             "linewidth": 2 if main else 1.2, "zorder": 3 if main else 2}
    if marker:
        found |= {"marker": one.marker, "markersize": 5.5 if main else 4.5}
    return found


def colour(algorithm):
    return algorithms.BY_NAME[algorithm].colour


def spread(wanted, gap, low, high):
    """Moves sorted positions so that neighbours are `gap` apart, within bounds."""
    placed = []
    for y in wanted:
        placed.append(max(y, placed[-1] + gap) if placed else max(y, low))
    for i in reversed(range(len(placed))):
        top = high if i == len(placed) - 1 else placed[i + 1] - gap
        placed[i] = min(placed[i], top)
    return placed


def label_lines(axis, lines):
    """Writes the name of each line at its right end, in the line's colour.

    `lines` are (text, x, y, colour) of the last point; names that would overlap are
    moved apart and joined to their lines. Call it when the limits of the axes are set.
    """
    low, high = axis.get_ylim()
    inches = axis.figure.get_size_inches()[1] * axis.get_position().height
    gap = (high - low) * LINE / inches
    lines = sorted(lines, key=lambda line: line[2])
    places = spread([y for _, _, y, _ in lines], gap, low + gap / 2, high)
    right = max((axis.transData.transform((x, 0))[0] for _, x, _, _ in lines),
                default=0)
    right = axis.transAxes.inverted().transform((right, 0))[0]
    for (text, x, y, shade), place in zip(lines, places):
        axis.annotate(
            text, (x, y), (right + 0.06, place), xycoords="data",
            textcoords=axis.get_yaxis_transform(), color=shade, fontsize=9.5,
            va="center", annotation_clip=False, arrowprops={
                # from the left end of the name, so that no line crosses another name
                "arrowstyle": "-", "relpos": (0, 0.5), "color": shade,
                "linewidth": 0.6, "shrinkA": 1, "shrinkB": 3})


def legend_below(axis, columns):
    """A legend below an axis, where names at the lines would collide. It hides no data,
    and the figure grows by its height.
    """
    handles, _ = axis.get_legend_handles_labels()
    grow(axis.figure, LINE * math.ceil(len(handles) / columns) + 0.1)
    # below the numbers and the label of the axis, whatever its height
    below = ScaledTranslation(0, -0.45, axis.figure.dpi_scale_trans)
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, 0), ncol=columns,
                bbox_transform=axis.transAxes + below, fontsize=8.5, borderpad=0)


def grow(figure, inches):
    """Makes a figure higher."""
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height + inches)


def save(figure, out, name, title, below):
    """Writes a picture with its message on top and a note below; returns its name.

    The figure grows by both, so that a long message leaves the axes as they are.
    """
    size = 8.5
    width = figure.get_size_inches()[0]
    # a character is about half as wide as high
    head = textwrap.wrap(title, int(72 * width / (0.65 * 11)), break_on_hyphens=False)
    foot = textwrap.wrap(below, int(72 * width / (0.54 * size)), break_on_hyphens=False)
    over, under = 1.25 * 11 * len(head) / 72 + 0.08, 1.3 * size * len(foot) / 72 + 0.06
    grow(figure, over + under)
    height = figure.get_size_inches()[1]
    figure.tight_layout(rect=(0, under / height, 1, 1 - over / height))
    figure.text(0.02, 1 - 0.06 / height, "\n".join(head), ha="left", va="top",
                fontsize=11, fontweight="bold", linespacing=1.15)
    figure.text(0.02, 0.03 / height, "\n".join(foot), ha="left", va="bottom",
                fontsize=size, color="#555555")
    figure.savefig(os.path.join(out, name + ".svg"), metadata={"Date": None})
    plt.close(figure)
    return name + ".svg"
