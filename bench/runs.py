# SPDX-License-Identifier: GPL-2.0
"""The runs of a scenario, and the directories of their results.

    raw/links/LINK/link.json                          a link, as measured
    raw/SCENARIO/POINT/RUN/from-seedN/seedM/          one seed of a run
        records-I.csv.gz, load.json or flows.json
"""

import dataclasses
import glob
import os
import re
from collections.abc import Mapping

import scenario as scenarios

# The keys of a point that the emulated link depends on, besides the topology.
LINK = ("rate_mbps", "racks", "uplink_mbps", "host_delay_us", "buffer_packets",
        "mark_us", "marker")


def link_name(point):
    """Directory of the check of a point's link."""
    return "-".join([point["topology"]] + [
        "%s%s" % (k.split("_")[0], point[k]) for k in LINK if k in point])


def link_point(point):
    """The point as the check of its link needs it: with the fewest hosts."""
    found = {k: point[k] for k in ("topology", "rto_min_ms") + LINK if k in point}
    return found | {"fan_in": 2 * point.get("racks", 2)}


@dataclasses.dataclass(frozen=True)
class Run:
    """One algorithm at one point of a scenario, over any number of seeds."""

    scenario: Mapping
    point: dict
    algorithm: str  # or a mix, "A+B", or "flows"

    @property
    def _per_slack(self):
        return scenarios.depends_on_slack(self.algorithm, self.point)

    @property
    def name(self):
        """Name among the runs of a point.

        It contains the slack only where deadlines influence the traffic; otherwise
        the same records are judged at every slack.
        """
        return self.algorithm + ("-slack%s" % self.point["slack"]
                                 if self._per_slack else "")

    @property
    def slack(self):
        """The factor for the deadlines that workers are given."""
        return self.point["slack"] if self._per_slack else 1.0

    @property
    def where(self):
        """The point's label, the same at every slack."""
        return scenarios.label(self.scenario,
                               scenarios.without_slack(self.point))

    @property
    def text(self):
        """The run in words, for progress and errors."""
        return "%s %s: %s" % (self.scenario["name"], self.where, self.name)

    @property
    def directory(self):
        """Directory below raw/."""
        return os.path.join(self.scenario["name"], self.where, self.name)

    def block(self, seeds):
        """Directory below raw/ of the job that runs these seeds."""
        return os.path.join(self.directory, "from-seed%d" % seeds[0])

    def seed_directories(self, raw):
        """{seed: directory} of the seeds that were run."""
        pattern = os.path.join(glob.escape(os.path.join(raw, self.directory)),
                               "from-seed*", "seed*")
        found = {int(re.search(r"seed(\d+)$", path).group(1)): path
                 for path in glob.glob(pattern)}
        return dict(sorted(found.items()))

    def job(self, seeds, raw, module):
        """What guest.py does for these seeds; a JSON object."""
        return {
            "do": "flows" if "flows" in self.point else "load",
            "point": scenarios.without_slack(self.point),
            "algorithm": self.algorithm, "slack": self.slack, "seeds": seeds,
            "params": self.scenario["params"], "module": module,
            "directory": os.path.join(raw, self.block(seeds)),
            "text": self.text}


def runs(scenario):
    """The runs of a scenario, each once although points differ in slack."""
    found = {}
    for point in scenarios.points(scenario):
        for algorithm in scenario["algorithms"]:
            run = Run(scenario, point, algorithm)
            # the last one: its point carries the slack of its name
            found[run.directory] = run
    return list(found.values())
