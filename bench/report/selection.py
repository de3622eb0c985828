# SPDX-License-Identifier: GPL-2.0
"""Which findings are shown where, and in which order."""

from . import sentences as say


# for the README: where the law helps, where it does not, what does better
BOTTOM_LINE = (say.about_region, say.about_outside, say.about_prio,
               say.about_grants, say.about_load)
HEADLINES = (say.about_all, say.about_region, say.about_slack_in_short,
             say.about_outside, say.about_prio, say.about_grants,
             say.about_grants_and_prio, say.about_grants_and_time,
             say.about_grants_and_flows, say.about_load, say.about_background,
             say.about_services, say.about_coexistence)
# the most important first
FINDINGS = (say.about_all, say.about_region, say.about_slack, say.about_reasons,
            say.about_prio, say.about_grants, say.about_grants_and_prio,
            say.about_grants_and_time, say.about_grants_at_first,
            say.about_grants_and_flows, say.about_grants_elsewhere, say.about_load,
            say.about_outside, say.about_thousand,
            say.about_peers, say.about_exponential, say.about_services,
            say.about_background, say.about_coexistence,
            say.about_differentiation, say.about_tree, say.about_recovery,
            say.about_certainty)


def bottom_line(rows):
    """The sentences of the README."""
    for about in BOTTOM_LINE:
        yield from about(rows)


def headlines(rows):
    """The findings at the top of the page."""
    for about in HEADLINES:
        yield from about(rows)


def findings(rows):
    """All findings."""
    for about in FINDINGS:
        yield from about(rows)
