#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Tests the Python module inside a kernel: test_python.py KO. Its structs are compared
with those of the header on the host, by `test_python.py sizes`.
"""

import errno
import os
import socket
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PYTHON = os.path.join(ROOT, "userspace", "python")
EXAMPLES = os.path.join(ROOT, "userspace", "examples")
sys.path.insert(0, PYTHON)
sys.path.insert(0, os.path.join(ROOT, "tests", "bench"))
import d2tcp  # noqa: E402
import tap  # noqa: E402


class Sizes(unittest.TestCase):
    def test_the_structs_are_those_of_the_header(self):
        source = """#include <d2tcp.h>
#include <stdio.h>
int main(void) { printf("%zu %zu %zu %x %x %x %x %x", sizeof(struct d2tcp_deadline),
    sizeof(struct d2tcp_info), sizeof(struct d2tcp_expect_info), D2TCP_DEADLINE,
    D2TCP_BUDGET, D2TCP_INFO, D2TCP_EXPECT, D2TCP_EXPECT_INFO); return 0; }"""
        with tempfile.TemporaryDirectory() as tmp:
            program = os.path.join(tmp, "sizes")
            subprocess.run(["gcc", "-xc", "-", "-o", program, "-I",
                            os.path.join(ROOT, "module", "uapi")],
                           input=source.encode(), check=True)
            found = subprocess.check_output(program).decode()
        self.assertEqual(found, "%d %d %d %x %x %x %x %x" % (
            d2tcp._DEADLINE.size, d2tcp._INFO.size, d2tcp._EXPECT_INFO.size,
            d2tcp.DEADLINE, d2tcp.BUDGET, d2tcp.INFO, d2tcp.EXPECT,
            d2tcp.EXPECT_INFO))


class Sockets(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        subprocess.run("ip link set lo up && insmod %s expect=1" % sys.argv[1],
                       shell=True, check=True)

    def pair(self, congestion_control=True):
        listener, client = socket.socket(), socket.socket()
        if congestion_control:
            d2tcp.enable(listener)
            d2tcp.enable(client)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        client.connect(listener.getsockname())
        accepted, _ = listener.accept()
        for s in listener, client, accepted:
            self.addCleanup(s.close)
        return client, accepted

    def refused(self, number, text, what, *args):
        with self.assertRaises(OSError) as caught:
            what(*args)
        self.assertEqual(caught.exception.errno, number)
        self.assertIn(text, str(caught.exception))

    def test_a_message_is_met_and_another_missed(self):
        client, accepted = self.pair()
        d2tcp.set_timeout(client, 60, 3)
        info = d2tcp.get_info(client)
        self.assertEqual((info.outstanding, info.bytes_left), (1, 3))
        self.assertTrue(59 < info.time_left <= 60, info)
        self.assertTrue(info.ecn and not info.fallback and not info.late)
        client.sendall(b"abc")
        accepted.recv(3)
        accepted.sendall(b"x")
        client.recv(1)
        self.assertEqual(d2tcp.get_info(client).met, 1)
        # the clock starts when the kernel does
        time.sleep(0.2)
        d2tcp.set_deadline(client, time.monotonic() / 2, 1)
        info = d2tcp.get_info(client)
        self.assertTrue(info.late and info.time_left < -0.01, info)
        d2tcp.clear(client)
        self.assertEqual(d2tcp.get_info(client).outstanding, 0)
        d2tcp.set_deadline(client, time.monotonic() + 30, 1)
        self.assertTrue(29 < d2tcp.get_info(client).time_left <= 30)
        # negative is late
        d2tcp.set_timeout(client, -0.5, 1)
        self.assertTrue(d2tcp.get_info(client).late)

    def test_budgets(self):
        client, _ = self.pair()
        d2tcp.set_budget(client, 0.020)
        self.assertAlmostEqual(d2tcp.get_info(client).budget, 0.020)
        d2tcp.set_budget(client, 0)
        self.assertEqual(d2tcp.get_info(client).budget, 0)
        for wrong in -1, 1e-9, 3000:
            with self.assertRaisesRegex(ValueError, "1e-6 to 2147 seconds"):
                d2tcp.set_budget(client, wrong)

    def test_expectations(self):
        client, accepted = self.pair(False)
        d2tcp.expect(client, 60, 1000)
        client.sendall(b"?")
        accepted.recv(1)
        accepted.sendall(bytes(400))
        client.recv(400)
        found = d2tcp.get_expectation(client)
        self.assertEqual((found.outstanding, found.size, found.arrived),
                         (1, 1000, 400))
        self.assertTrue(59 < found.time_left <= 60, found)
        accepted.sendall(bytes(600))
        client.recv(600)
        self.assertEqual(d2tcp.get_expectation(client).met, 1)
        d2tcp.expect_standing(client, 0.5)
        self.assertAlmostEqual(d2tcp.get_expectation(client).standing, 0.5)
        d2tcp.expect_standing(client, 0)
        self.assertEqual(d2tcp.get_expectation(client).standing, 0)
        with self.assertRaises(ValueError):
            d2tcp.expect_standing(client, -1)

    def test_errors_say_what_to_do(self):
        client, _ = self.pair(False)
        self.refused(errno.EOPNOTSUPP, "call enable()", d2tcp.set_timeout, client, 1)
        self.refused(errno.EOPNOTSUPP, "call enable()", d2tcp.get_info, client)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            self.refused(errno.ENOPROTOOPT, "not a TCP socket", d2tcp.get_info, udp)
        client, _ = self.pair()
        self.refused(errno.ERANGE, "2^31 bytes", d2tcp.set_timeout, client, 1, 2**32)
        with self.assertRaisesRegex(ValueError, "needs a size"):
            d2tcp.set_deadline(client, 0)
        with self.assertRaisesRegex(ValueError, "2\\^64"):
            d2tcp.set_timeout(client, 1, -1)


def fanout(*arguments):
    """Runs the example; returns what it printed."""
    done = subprocess.run(
        [sys.executable, "-B", os.path.join(EXAMPLES, "fanout.py"), *arguments],
        env=os.environ | {"PYTHONPATH": PYTHON}, capture_output=True, text=True,
        check=False, timeout=600)
    return done.returncode, done.stdout, done.stderr


class FanOut(unittest.TestCase):
    """The example of a client with asyncio."""

    def setUp(self):
        self.worker = subprocess.Popen(
            [sys.executable, "-B", os.path.join(EXAMPLES, "fanout.py"), "serve", "7070"],
            env=os.environ | {"PYTHONPATH": PYTHON})
        self.addCleanup(self.worker.wait)
        self.addCleanup(self.worker.kill)
        for _ in range(100):
            with socket.socket() as s:
                if not s.connect_ex(("127.0.0.1", 7070)):
                    return
            time.sleep(0.1)
        self.fail("the worker does not listen")

    def test_answers_to_a_query_are_expected(self):
        before = counter("D2tcpExpectedMet")
        code, said, errors = fanout("ask", "5000", "50000", *["127.0.0.1:7070"] * 10)
        self.assertEqual((code, said, errors), (0, "10 of 10 answers by the deadline\n", ""))
        self.assertEqual(counter("D2tcpExpectedMet") - before, 10)

    def test_only_answers_by_the_deadline_are_used(self):
        with socket.create_server(("127.0.0.1", 7071)):
            # which never answers
            code, said, _ = fanout("ask", "200", "50000", "127.0.0.1:7070",
                                   "127.0.0.1:7071")
        self.assertEqual((code, said), (0, "1 of 2 answers by the deadline\n"))

    def test_wrong_arguments_are_explained(self):
        for arguments in ((), ("ask", "20", "1000"), ("serve",)):
            code, _, errors = fanout(*arguments)
            self.assertEqual(code, 1)
            self.assertIn("fanout.py ask MS BYTES HOST:PORT", errors)


def counter(name):
    with open("/proc/net/d2tcp") as f:
        return int(dict(line.split() for line in f)[name])


class WithoutModule(unittest.TestCase):
    def test_the_fan_out_client_works_without_it_and_says_so(self):
        subprocess.run("ip link set lo up", shell=True, check=True)
        FanOut.setUp(self)
        code, said, errors = fanout("ask", "5000", "50000", "127.0.0.1:7070")
        self.assertEqual((code, said), (0, "1 of 1 answers by the deadline\n"))
        self.assertIn("no expectations: ", errors)
        self.assertIn("not loaded", errors)

    def test_errors_name_the_missing_module(self):
        with socket.socket() as s:
            for what, args in ((d2tcp.enable, ()), (d2tcp.get_info, ()),
                               (d2tcp.set_timeout, (1,)), (d2tcp.expect, (1,))):
                with self.assertRaisesRegex(OSError, "load the module|not loaded"):
                    what(s, *args)


def load_tests(loader, _tests, _pattern):
    """The tests of this mode, in this order."""
    wanted = [Sizes] if sys.argv[1:] == ["sizes"] else [WithoutModule, Sockets, FanOut]
    return unittest.TestSuite(map(loader.loadTestsFromTestCase, wanted))


if __name__ == "__main__":
    tap.main(sys.modules[__name__])
