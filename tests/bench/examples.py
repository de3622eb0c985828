# SPDX-License-Identifier: GPL-2.0
"""Rows of summary.json for the tests of the report."""


def row(algorithm, slack, late, base=0.0, half=0.01, **more):
    """A row of an algorithm; `base` is DCTCP's miss rate."""
    ratio = late / base if base else None
    return {
        "scenario": "s", "mix": "", "service": "", "algorithm": algorithm,
        "slack": slack, "fan_in": 8, "rate_mbps": 1000,
        "late_share": late, "certain": True, "law_can_act": True,
        "drops": 0, "late_minus_dctcp": None if algorithm == "dctcp" else {
            "mean": late - base, "half95": half},
        "late_over_dctcp": None if algorithm == "dctcp" else {
            "ratio": ratio, "ci95": ratio and [0.9 * ratio, 1.1 * ratio]},
        "fluid": {"equal": 0.2, "required": 0.05, "fair_window": 4.0}} \
        | more


def rows(*lines):
    """Rows of DCTCP and d2tcp: (slack, DCTCP's misses, misses)."""
    found = []
    for slack, base, late in lines:
        found.append(row("dctcp", slack, base))
        found.append(row("d2tcp", slack, late, base))
    return found


def grants(*lines, name="grant-dctcp"):
    """Rows of DCTCP and of grants: (slack, DCTCP's misses, misses, bound, more)."""
    found = []
    for slack, base, late, bound, more in lines:
        gap = (base - late) / (base - bound) if base - bound > 0.01 else None
        at = {"late_share_optimum": bound, "first_late_share": 0.5} | more
        found.append(row("dctcp", slack, base, **at | {
            "queries_over_dctcp": None, "closed_gap": None}))
        found.append(row(name, slack, late, base, closed_gap=gap, **at))
    return found
