# SPDX-License-Identifier: GPL-2.0
"""The network of a point of the bench, and the programs that run on it."""

import json
import subprocess

from . import queues
from .net import LabNet
from .topos import TOPOS


class Network:
    """The started network of a point: `aggregators` and `workers` are hosts."""

    def __init__(self, point, priorities=False):
        self.point = point
        self.started = []
        self.net = LabNet(TOPOS[point["topology"]](point=point,
                                                   priorities=priorities))
        self.net.start()
        self.aggregators, self.workers = self.net.aggregators, self.net.workers
        self.ports = self.net.ports

    def start(self, host, args, wait_for=None):
        """Starts a program on a host and waits for the line `wait_for`."""
        process = subprocess.Popen(host.command(args) if host else args,
                                   stdout=subprocess.PIPE, stderr=None)
        self.started.append(process)
        if wait_for:
            line = process.stdout.readline().decode().strip()
            if line != wait_for:
                raise SystemExit("network: %s printed '%s'"
                                 % (" ".join(args)[:1000], line))
        return process

    def finish(self, process):
        """The output of a program; it must exit with status 0."""
        out = process.communicate()[0].decode()
        if process.returncode:
            raise SystemExit("network: '%s' failed (%d)" % (
                " ".join(process.args)[:1000], process.returncode))
        return out

    def run(self, host, args):
        """Returns the output of a program run on a host; failure ends the job."""
        return self.finish(self.start(host, args))

    def queue_counters(self):
        """Packets, marks and drops so far at the ports to the aggregators, and
        marks and drops at the uplinks of a tree.
        """
        sums = {"packets": 0, "marks": 0, "drops": 0}
        watched = ["p-" + a.name for a in self.aggregators]
        uplinks = [p for p in self.ports if p.startswith("u-")]
        if uplinks:
            sums |= {"uplink_marks": 0, "uplink_drops": 0}
        for dev in watched + uplinks:
            out = subprocess.run(
                ["tc", "-s", "-j", "qdisc", "show", "dev", dev], check=True,
                stdout=subprocess.PIPE).stdout
            up = "uplink_" if dev in uplinks else ""
            for counts in map(queues.counted, json.loads(out)):
                if not counts:
                    continue
                packets, marks, drops = counts
                if not up:
                    sums["packets"] += packets
                sums[up + "marks"] += marks
                sums[up + "drops"] += drops
        return sums

    def stop(self):
        """Kills the programs started; the network ends with the lab kernel."""
        for process in self.started:
            process.kill()
            process.wait()
