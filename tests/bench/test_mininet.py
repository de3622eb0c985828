#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Tests of the network at Mininet's prompt, and of make demo. Prints TAP.

They run Debian's mn, unmodified, on the lab kernel and a stock Debian kernel.
"""

import os
import re
import subprocess
import sys
import unittest
import unittest.mock

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "bench"))
from network import net, topos  # noqa: E402
import scenario as scenarios  # noqa: E402
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tap  # noqa: E402

LAB = os.path.join(ROOT, "tests", "lab", "lab")
MN = "mn --custom bench/network/mn.py "
ONLY_UML = os.environ.get("KERNEL") == "uml"


def lab(script, kernel="uml", module=False):
    """Status and output, with stderr, of a shell script inside the lab."""
    options = ["--kernel", kernel]
    if module:
        options += ["--module", os.environ["D2TCP_MODULE"]]
    done = subprocess.run(
        [LAB, "run"] + options + ["--", "bash", "-c", script], cwd=ROOT,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, check=False)
    return done.returncode, done.stdout.decode()


class Prompt(unittest.TestCase):
    def all_reached(self, said, pairs):
        self.assertIn("Results: 0%% dropped (%d/%d received)" % (pairs, pairs),
                      said)
        self.assertNotIn("Caught exception", said)

    def test_every_host_reaches_every_other(self):
        sysctls = "sysctl net.ipv4.tcp_rmem net.ipv4.tcp_wmem net.ipv6 " \
            "net.ipv4.neigh.default net.core.devconf_inherit_init_net " \
            ">/tmp/%s; "
        _, said = lab(sysctls % "before" +
                      MN + "--topo incast,leaves=8 --test pingall; " +
                      MN + "--topo racks,leaves=5,racks=2 --test pingall; " +
                      sysctls % "after" +
                      "echo left; ip netns; ip -br link show type veth; "
                      "diff /tmp/before /tmp/after")
        star, _, tree = said.partition("completed in")
        self.all_reached(star, 9 * 8)
        self.all_reached(tree, 6 * 5)
        # nothing is left behind
        self.assertEqual(tree.split("left\n")[1].strip(), "")

    @unittest.skipIf(ONLY_UML, "only uml is wanted")
    def test_on_a_stock_kernel_too(self):
        _, said = lab(MN + "--topo incast,leaves=8 --test pingall; "
                      "printf 'incast queries=20 cc=dctcp\\n' | " + MN +
                      "--topo incast,leaves=4", kernel="6.12")
        self.all_reached(said, 9 * 8)
        self.assertRegex(said, r"dctcp, fan-in 4: 80 responses, \d+ missed")

    def test_the_prompt_runs_commands_and_the_load(self):
        _, said = lab("printf 'w0 ping -c 1 agg0\\nincast queries=20\\n"
                      "incast queries=20 cc=dctcp\\nincast frob\\nincast "
                      "cc=nonsense\\nhelp incast\\nlink w0 s1 down\\nw0 ping "
                      "-c 1 -W 1 agg0\\nlink w0 s1 up\\nw0 ping -c 1 agg0\\n' "
                      "| " + MN + "--topo incast,leaves=8", module=True)
        self.assertRegex(said, r"d2tcp, fan-in 8: 160 responses, \d+ missed")
        self.assertRegex(said, r"dctcp, fan-in 8: 160 responses, \d+ missed")
        self.assertIn("'frob' is not KEY=VALUE with KEY one of queries, cc",
                      said)
        self.assertIn("no congestion control 'nonsense'", said)
        self.assertIn("Prints how many responses missed", said)
        self.assertEqual(re.findall(r"(\d) received", said), ["1", "0", "1"])

    def test_the_link_is_that_of_the_bench(self):
        _, said = lab("printf 'w0 ping -c 3 -i 0.01 agg0\\nsh tc qdisc show "
                      "dev p-agg0\\n' | " + MN + "--topo incast,leaves=2,"
                      "host_delay_us=250,mark_us=120,buffer_packets=99")
        # 1 us for readings of the clock
        self.assertRegex(said, r"min/avg/max/mdev = 0\.50[01]/")
        self.assertIn("limit 99p", said)
        # mark_us = 120, rounded down to CoDel's ticks of 1.024 us
        self.assertIn("ce_threshold 119us", said)

    def test_unknown_parameters_are_reported_by_name(self):
        for wrong, right in (("incast,leafs=3", "leafs: no such parameter"),
                             ("incast,marker=blue", "codel, red"),
                             ("incast,leaves=0", "1 to 1000")):
            _, said = lab(MN + "--topo %s --test pingall" % wrong)
            self.assertIn(right, said)

    def test_other_topologies_are_left_to_mininet(self):
        _, said = lab(MN + "--topo single,3 --switch lxbr --test pingall")
        self.all_reached(said, 3 * 2)


class Defaults(unittest.TestCase):
    def test_they_are_the_link_of_paper_regime(self):
        scenario = scenarios.load("paper-regime", "default")
        for key, value in topos.DEFAULTS.items():
            self.assertEqual(value, scenario.get(key, {"marker": "codel",
                                                       "aggregators": 1}.get(key)))


class Batches(unittest.TestCase):
    def test_a_network_is_a_few_programs_per_host(self):
        started = []
        self.enterContext(unittest.mock.patch.object(
            net, "batch", lambda program, lines, netns=None: started.append(
                (program, netns))))
        self.enterContext(unittest.mock.patch.object(net.Net, "settings", ()))
        self.enterContext(unittest.mock.patch.object(
            topos.nodes.Host, "set_sysctl", lambda *_: None))
        popen = self.enterContext(unittest.mock.patch("subprocess.Popen"))
        made = net.Net(topos.Tree(leaves=30))
        popen.assert_not_called()
        self.assertEqual(len(made.workers), 30)
        # all three for the switches, and ip and tc for each host
        self.assertEqual(started[:3], [("ip", None), ("bridge", None),
                                       ("tc", None)])
        self.assertEqual(len(started), 3 + 2 * 31)


class Demo(unittest.TestCase):
    def test_it_shows_a_deadline_met_and_one_missed(self):
        status, said = lab("/usr/bin/python3 bench/demo.py", module=True)
        self.assertEqual(status, 0, said)
        self.assertIn("alpha     d  window  bytes left  time left", said)
        self.assertEqual(re.findall("the deadline was (met|missed)", said),
                         ["met", "met", "missed"])


if __name__ == "__main__":
    tap.main(sys.modules["__main__"])
