#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Tests of scenarios on hosts, with Ansible; namespaces act as the hosts.

The verbs that change a host are also tested in the lab, with the module. Prints
TAP.
"""

import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "bench"))
import run  # noqa: E402
import tap  # noqa: E402

HOSTS = os.path.join(ROOT, "bench", "hosts")
INCAST = os.path.join(ROOT, "build", "incast")
LAB = os.path.join(ROOT, "tests", "lab", "lab")


def namespaces_work():
    name = "d2tcp-probe-%d" % os.getpid()
    if os.geteuid() or subprocess.run(
            ["ip", "netns", "add", name], stderr=subprocess.DEVNULL,
            check=False).returncode:
        return False
    subprocess.run(["ip", "netns", "del", name], check=True)
    return True


@unittest.skipUnless(namespaces_work(), "network namespaces need root")
class Ansible(unittest.TestCase):
    """Three hosts in namespaces, and a fourth namespace that runs Ansible."""

    @classmethod
    def setUpClass(cls):
        cls.tmp = tempfile.mkdtemp()
        cls.addClassCleanup(shutil.rmtree, cls.tmp)
        cls.ns = {n: "d2tcp-%d-%s" % (os.getpid(), n)
                  for n in ("drive", "agg", "w0", "w1")}
        cls.ip = {"drive": "10.99.0.1", "agg": "10.99.0.2",
                  "w0": "10.99.0.3", "w1": "10.99.0.4"}
        for name in cls.ns.values():
            subprocess.run(["ip", "netns", "add", name], check=True)
            cls.addClassCleanup(subprocess.run, ["ip", "netns", "del", name])
        lines = ["link add s1 type bridge", "link set s1 up",
                 "addr add 10.99.0.1/24 dev s1", "link set lo up"]
        for n in ("agg", "w0", "w1"):
            lines += ["link add p-%s type veth peer name eth0 netns %s"
                      % (n, cls.ns[n]), "link set p-%s master s1 up" % n]
        cls.ip_batch("drive", lines)
        os.chmod(cls.tmp, 0o700)
        for n in ("agg", "w0", "w1"):
            cls.ip_batch(n, ["link set lo up", "link set eth0 up",
                             "addr add %s/24 dev eth0" % cls.ip[n]])
        cls.inventory = cls.tmp + "/hosts.json"
        with open(cls.inventory, "w") as f:
            json.dump({"aggregator": {"hosts": {"agg": cls.host("agg")}},
                       "workers": {"hosts": {n: cls.host(n)
                                             for n in ("w0", "w1")}}}, f)

    @classmethod
    def host(cls, n):
        return {"ansible_host": cls.ns[n], "d2tcp_address": cls.ip[n],
                "ansible_connection": "ssh", "d2tcp_become": False,
                "ansible_ssh_executable": os.path.join(
                    ROOT, "tests", "bench", "into-namespace"),
                "ansible_ssh_transfer_method": "piped",
                "ansible_python_interpreter": "/usr/bin/python3",
                # they share a file system
                "d2tcp_directory": "%s/on-%s" % (cls.tmp, n)}

    @classmethod
    def inside(cls, n, args):
        return ["nsenter", "--net=/run/netns/" + cls.ns[n]] + args

    @classmethod
    def ip_batch(cls, n, lines):
        subprocess.run(["ip", "-n", cls.ns[n], "-batch", "-"], check=True,
                       input="\n".join(lines) + "\n", text=True)

    def look(self):
        """The state that a run may change, read without host.sh."""
        return {n: subprocess.run(self.inside(n, [
            "sh", "-c", "ip -4 route show table all; cat /proc/sys/net/ipv4/"
            "tcp_no_metrics_save; ls %s/on-%s 2>&1; pgrep -fc %s/on-%s/incast"
            % (self.tmp, n, self.tmp, n)]), stdout=subprocess.PIPE,
            check=False).stdout.decode() for n in ("agg", "w0", "w1")}

    def play(self, *args):
        out = os.path.join(self.tmp, "out")
        done = subprocess.run(
            self.inside("drive", [
                os.path.join(HOSTS, "run.py"), "--inventory", self.inventory,
                "--out", out] + list(args)), stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, check=False,
            env=os.environ | {"HOME": self.tmp, "LC_ALL": "C.UTF-8"})
        return done.returncode, done.stdout.decode(), out

    small = ("--scenario", "exponential", "--queries", "5", "--seeds", "2",
             "--algorithms", "reno,cubic")

    def test_a_scenario_runs_and_the_hosts_are_as_they_were(self):
        before = self.look()
        code, said, out = self.play(*self.small)
        self.assertEqual(code, 0, said)
        self.assertEqual(self.look(), before)
        with open(os.path.join(out, "summary.json")) as f:
            rows = json.load(f)["rows"]
        self.assertEqual([(r["algorithm"], r["seeds"], r["responses"],
                           r["late_share_optimum"]) for r in rows],
                         [("reno", 2, 2 * 5 * 40, None),
                          ("cubic", 2, 2 * 5 * 40, None)])
        with open(os.path.join(out, "clocks.csv")) as f:
            clocks = {r["host"]: r for r in csv.DictReader(f)}
        self.assertEqual(sorted(clocks), ["w0", "w1"])
        for clock in clocks.values():
            # they share a clock; the error is at most half the round trip
            self.assertLessEqual(abs(float(clock["ahead_us"])),
                                 float(clock["rtt_us"]) / 2 + 0.01)
        with open(os.path.join(out, "index.html")) as f:
            page = f.read()
        self.assertIn("3 real hosts", page)
        self.assertNotIn("virtual time", page)

    def test_long_flows_run_too(self):
        before = self.look()
        # in the first point the second worker is idle
        code, said, out = self.play(
            "--scenario", "coexistence", "--seeds", "2", "--flows",
            "reno,reno+cubic,reno")
        self.assertEqual(code, 0, said)
        self.assertEqual(self.look(), before)
        with open(os.path.join(out, "summary.json")) as f:
            rows = json.load(f)["rows"]
        self.assertEqual([(r["flows"], r["algorithm"], r["seeds"], r["drops"],
                           r["share_predicted"]) for r in rows],
                         [("reno", "reno", 2, None, None)] +
                         [("reno+cubic", a, 2, None, None)
                          for a in ("reno", "cubic")])
        for row in rows:
            self.assertGreater(row["mbps"], 0)
        self.assertTrue(os.path.exists(out + "/coexistence-shares.svg"))

    def test_a_sink_that_fails_stops_every_host(self):
        other = subprocess.Popen(self.inside("agg", [
            INCAST, "worker", "--listen", self.ip["agg"] + ":5000"]),
            stdout=subprocess.PIPE)
        other.stdout.readline()
        before = self.look()
        try:
            code, said, _ = self.play("--scenario", "coexistence", "--seeds",
                                      "1", "--flows", "reno+cubic")
        finally:
            other.kill()
            other.wait()
            other.stdout.close()
        self.assertEqual(code, 1)
        self.assertIn("listen at %s:5000: Address already in use"
                      % self.ip["agg"], said)
        self.assertIn("agg failed; its output is above", said)
        # no flow has started
        self.assertNotIn("TASK [Start the flows]", said)
        self.assertEqual(self.look(), before)

    def test_the_other_hosts_are_restored_when_one_is_lost(self):
        before = self.look()
        os.environ["D2TCP_LOST"] = "%s:%s/on-w1/flows" % (self.ns["w1"],
                                                          self.tmp)
        try:
            code, said, _ = self.play("--scenario", "coexistence", "--seeds",
                                      "1", "--flows", "reno+cubic")
        finally:
            del os.environ["D2TCP_LOST"]
        self.assertEqual(code, 1)
        self.assertIn("some hosts could not be restored", said)
        now = self.look()
        self.assertNotEqual(now["w1"], before["w1"])
        del now["w1"]
        self.assertEqual(now, {n: before[n] for n in now})
        code, said, _ = self.play("--restore")
        self.assertEqual(code, 0, said)
        self.assertEqual(self.look(), before)

    def test_a_failed_run_says_why_and_restores_the_hosts(self):
        # another process listens at the second worker's port
        other = subprocess.Popen(self.inside("w1", [
            INCAST, "worker", "--listen", self.ip["w1"] + ":5000"]),
            stdout=subprocess.PIPE)
        other.stdout.readline()
        before = self.look()
        try:
            code, said, _ = self.play(*self.small)
        finally:
            other.kill()
            other.wait()
            other.stdout.close()
        self.assertEqual(code, 1)
        self.assertIn("Address already in use", said)
        self.assertEqual(self.look(), before)

    def test_restore_undoes_an_interrupted_run(self):
        before = self.look()
        left = "%s/on-w0" % self.tmp
        os.makedirs(left, 0o700)
        subprocess.run(self.inside("w0", [
            "bash", os.path.join(HOSTS, "host.sh"), "prepare", left, "10",
            self.ip["agg"]]), check=True)
        self.assertNotEqual(self.look(), before)
        code, said, _ = self.play(*self.small)
        self.assertEqual(code, 1)
        self.assertIn("--restore restores the host", said)
        code, said, _ = self.play("--restore")
        self.assertEqual(code, 0, said)
        self.assertEqual(self.look(), before)

    def test_mistakes_are_named(self):
        with open(os.path.join(self.tmp, "empty.yml"), "w") as f:
            f.write("workers:\n  hosts:\n    a:\n")
        for args, said in (
                (("--scenario", "nosuch"), "there is no scenario 'nosuch'"),
                (("--scenario", "coexistence", "--flows", "reno+x"),
                 "--flows reno+x: allowed is"),
                (("--scenario", "coexistence", "--algorithms", "reno"),
                 "it takes --flows, not --algorithms"),
                (("--scenario", "exponential", "--flows", "reno"),
                 "--flows is for scenarios of long flows"),
                (("--scenario", "coexistence", "--flows", ""),
                 "--flows : allowed is"),
                (("--scenario", "coexistence", "--flows", "reno+reno+reno"),
                 "3 flows need a worker each, and there are 2"),
                (("--scenario", "exponential", "--seeds", "-1"),
                 "a whole number from 1, not '-1'"),
                (("--scenario", "exponential", "--queries", "0"),
                 "a whole number from 1, not '0'"),
                (("--scenario", "tree"), "several aggregators"),
                (("--scenario", "exponential", "--algorithms", "x"),
                 "--algorithms x: there are cubic"),
                (("--scenario", "exponential", "--inventory",
                  self.tmp + "/empty.yml"), "a group 'aggregator' of one host")):
            code, text, _ = self.play(*args)
            self.assertNotEqual(code, 0)
            self.assertIn(said, text)


class Verbs(unittest.TestCase):
    """host.sh in the lab, with the module."""

    @classmethod
    def setUpClass(cls):
        cls.tmp = tempfile.mkdtemp()
        cls.addClassCleanup(shutil.rmtree, cls.tmp)
        done = subprocess.run(
            [LAB, "run", "--out", cls.tmp, "--", "/usr/bin/python3",
             os.path.join(ROOT, "tests", "bench", "host_verbs.py"), cls.tmp,
             run.module_path()], stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, check=False)
        if done.returncode:
            raise AssertionError(done.stdout.decode())
        with open(os.path.join(cls.tmp, "verbs.json")) as f:
            cls.found = json.load(f)

    def test_a_directory_in_use_is_refused(self):
        code, said = self.found["busy"]
        self.assertEqual(code, 1)
        self.assertIn("/var/tmp/verbs exists", said)
        self.assertEqual(self.found["free"], [0, ""])

    def test_a_directory_that_others_may_write_is_refused(self):
        code, said = self.found["open"]
        self.assertEqual(code, 1)
        self.assertIn("others may write there", said)

    def test_services_send_their_queries_in_parallel(self):
        self.assertEqual(self.found["load"], [0, ""])
        self.assertEqual(self.found["files"], ["host.json", "records-0.csv",
                                               "records-1.csv"])
        self.assertEqual(len(json.loads(self.found["host"])["said"]), 2)

    def test_a_flow_that_cannot_connect_is_an_error(self):
        code, said = self.found["refused"]
        self.assertEqual(code, 1)
        self.assertIn("flow 3: ", said)
        self.assertIn("Connection refused", said)

    def test_a_sink_that_does_not_get_its_flows_is_an_error(self):
        code, said = self.found["alone"]
        self.assertEqual(code, 1)
        self.assertRegex(
            said, r"no flow has connected to [0-9.]*:6100 within 5 s")
        slow, stop = self.found["slow"]
        self.assertEqual(slow[0], 1)
        self.assertIn("the sink did not end within 1 s", slow[1])
        self.assertEqual((stop, self.found["slow-left"]), ([0, ""], "0"))

    def test_a_flow_from_an_unexpected_host_is_an_error(self):
        code, said = self.found["stranger"]
        self.assertEqual(code, 1)
        self.assertRegex(said, r"flows came from '[0-9.]+', not from '[0-9.]+'")

    def test_a_flow_that_ends_early_is_an_error(self):
        code, said = self.found["ended"]
        self.assertEqual(code, 1)
        self.assertRegex(said, r"the flow from [0-9.:]+ ended before it was "
                         "counted")

    def test_flows_leave_their_bytes_and_alpha(self):
        self.assertEqual(self.found["flows"], [[0, ""]] * 6)
        host = json.loads(self.found["flows-host"])
        self.assertEqual(len(host["bytes"]), 2)
        # beside reno d2tcp gets little of the 1 Gbit/s
        self.assertGreater(host["bytes"][0], 10**5)
        self.assertGreater(host["bytes"][1], 10**7)
        self.assertLessEqual(sum(host["bytes"]), 125 * 10**6)
        self.assertGreater(host["marks"], 0)
        alphas = self.found["alphas"]
        self.assertTrue(0 < float(alphas[0]) <= 1, alphas)
        self.assertEqual(alphas[1], "")

    def test_a_host_that_cannot_be_restored_is_reported(self):
        code, said = self.found["unlike"]
        self.assertEqual(code, 1)
        self.assertIn("> 10.9.0.0/16 dev eth0", said)
        self.assertIn("the host is not as it was", said)
        self.assertTrue(self.found["kept"])

    def test_prepare_adds_routes_and_the_module(self):
        self.assertEqual(self.found["prepare"], [0, ""])
        new = set(self.found["prepared"].splitlines()) - \
            set(self.found["before"].splitlines())
        self.assertTrue([line for line in new if line.startswith(
            "10.0.0.1 dev eth0") and "rto_min lock 10ms" in line], new)
        self.assertIn("tcp_d2tcp", new)
        # the host's own route is unchanged
        self.assertIn("10.0.0.0/16 dev eth0 scope link rto_min lock 7ms",
                      self.found["prepared"])

    def test_a_program_that_does_not_start_is_an_error(self):
        code, said = self.found["nonsense"]
        self.assertEqual(code, 1)
        self.assertIn("ADDRESS:PORT", said)

    def test_restore_skips_the_directory_of_another_run(self):
        self.assertEqual(self.found["other"], [[0, ""], True])

    def test_restore_undoes_every_change_and_can_be_repeated(self):
        self.assertEqual(self.found["restore"], [0, ""])
        self.assertEqual(self.found["after"], self.found["before"])
        self.assertEqual(self.found["left"].strip(), "0")
        self.assertEqual(self.found["again"], [0, ""])

    def test_deadlines_follow_the_offset_of_the_clock(self):
        right, off = self.found["settled"]
        self.assertEqual((right["D2tcpArmed"], right["D2tcpArmedLate"]), (20, 0))
        # a second off, all deadlines have passed
        self.assertEqual((off["D2tcpArmed"], off["D2tcpArmedLate"]), (40, 20))


if __name__ == "__main__":
    tap.main(sys.modules["__main__"])
