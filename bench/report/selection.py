# SPDX-License-Identifier: GPL-2.0
"""Which findings are shown where, and in which order."""

import dataclasses

from . import in_short, sentences as say

IN_SHORT = (in_short.about_law, in_short.about_priorities, in_short.about_grants,
            in_short.about_load, in_short.about_others)


@dataclasses.dataclass(frozen=True)
class Question:
    """A question of readers, and what answers it."""

    name: str  # of its page
    text: str
    about: tuple  # the sentences, the most important first
    scenarios: tuple  # whose pages have the tables and pictures
    pictures: tuple = ()  # of all scenarios together


QUESTIONS = (
    Question("question-law", "Does the paper's law help?",
             (say.about_all, say.about_region, say.about_slack, say.about_outside,
              say.about_reasons, say.about_thousand, say.about_exponential,
              say.about_services, say.about_tree, say.about_differentiation),
             ("paper-regime", "slack-10g", "fan-in-1g", "fan-in-10g", "exponential",
              "services", "tree", "differentiation", "same-deadline", "min-rto"),
             ("ratio.svg",)),
    Question("question-receiver", "What do grants by the receiver achieve?",
             (say.about_grants, say.about_grants_and_time, say.about_grants_at_first,
              say.about_grants_and_flows, say.about_grants_elsewhere),
             ("paper-regime", "slack-10g", "fan-in-1g", "fan-in-10g", "thinking",
              "sharing", "upstream", "tree"), ("gap.svg",)),
    Question("question-priorities", "Are priorities at the switches better?",
             (say.about_prio, say.about_grants_and_prio),
             ("paper-regime", "thinking", "open-loop", "open-loop-10g")),
    Question("question-load", "What happens when queries overlap?",
             (say.about_load, say.about_recovery),
             ("open-loop", "open-loop-10g", "metastability")),
    Question("question-others", "What happens to other traffic?",
             (say.about_coexistence, say.about_background, say.about_peers),
             ("coexistence", "coexistence-incast", "beside-flows", "background")),
    Question("question-certainty", "How certain is this?", (say.about_certainty,), ()),
)


def in_short_of(rows):
    """The findings in five sentences."""
    for about in IN_SHORT:
        yield from about(rows)


def answers(question, rows):
    """The sentences that answer a question."""
    for about in question.about:
        yield from about(rows)


def findings(rows):
    """All findings."""
    for question in QUESTIONS:
        yield from answers(question, rows)
