# SPDX-License-Identifier: GPL-2.0
"""The bench's network at Mininet's own prompt:

    sudo mn --custom bench/network/mn.py --topo incast,leaves=8 [--test pingall]

Topologies `incast` (a star) and `racks` (a tree); topos.py has their parameters.
The command `incast` at the prompt, and `--test incast`, run the load generator.
docs/mininet.md shows a session.
"""

import os
import shlex
import subprocess
import sys
import tempfile

# mn executes this file without a __file__
BENCH = os.path.dirname(os.path.dirname(os.path.abspath(
    sys._getframe().f_code.co_filename)))
sys.path.insert(0, BENCH)

from mininet.cli import CLI as MininetCLI  # noqa: E402
from mininet.log import output  # noqa: E402

import algorithms  # noqa: E402
import load  # noqa: E402
from network import Net, Star, Tree  # noqa: E402
import scenario as scenarios  # noqa: E402

INCAST = os.path.join(os.path.dirname(BENCH), "build", "incast")
LOAD = {"queries": 100, "cc": algorithms.BY_NAME[algorithms.LAW].cc,
        "deadlines": "yes",
        "query_bytes": 2000000, "deadline_ms": "uniform(14, 28)", "seed": 1}
HELP = """Runs a fan-in: agg0 queries all workers, which respond together.

    incast [KEY=VALUE]...

%s
Prints how many responses missed their deadline. To compare: cc=%s.
""" % ("".join("    %s=%s\n" % pair for pair in LOAD.items()),
       algorithms.BY_NAME[algorithms.BASE].cc)


class LoadError(Exception):
    """The load cannot be run; says why and what to do."""


def load_options(words):
    found = dict(LOAD)
    for word in words:
        key, separator, value = word.partition("=")
        if not separator or key not in LOAD:
            raise LoadError("incast: '%s' is not KEY=VALUE with KEY one of %s"
                            % (word, ", ".join(LOAD)))
        found[key] = value
    return found


def algorithm_there(cc):
    def available():
        with open("/proc/sys/net/ipv4/tcp_available_congestion_control") as f:
            return cc in f.read().split()
    if not available():
        subprocess.run(["modprobe", "-q", "tcp_" + cc], check=False)
    if not available():
        raise LoadError("incast: this kernel has no congestion control '%s'%s"
                        % (cc, ": make module lib command && sudo make install"
                           if cc in algorithms.MODULES else ""))


def plan_of(options, workers):
    """The generator's command lines for the options at the prompt."""
    cc = options["cc"]
    aware = options["deadlines"] == "yes" and any(
        a.cc == cc and a.deadlines for a in algorithms.TABLE)
    point = scenarios.DEFAULTS | {"response_spread": 0.5, "min_gap_ms": 5} | {
        key: options[key] for key in ("queries", "deadline_ms", "query_bytes")}
    # any congestion control of this kernel, in the bench's table or not
    member = algorithms.Algorithm(cc, cc, cc, "", "", deadlines=aware)
    return load.plan(point, [member], 1.0, [
        load.Place(host.name, host.ip) for host in workers])


def run_load(net, words):
    """Runs the generator: (options, completion times in ms, misses)."""
    options = load_options(words)
    if not getattr(net, "ours", False):
        raise LoadError("incast: the topology is not one of %s"
                        % ", ".join(topos))
    if not os.path.exists(INCAST):
        raise LoadError("incast: %s is missing: make incast" % INCAST)
    algorithm_there(options["cc"])
    plan = plan_of(options, net.workers)
    workers = subprocess.Popen([INCAST, "worker"] + plan.all_workers(),
                               stdout=subprocess.PIPE)
    try:
        if workers.stdout.readline().strip() != b"ready":
            raise LoadError("incast: the workers did not start")
        with tempfile.NamedTemporaryFile("r", suffix=".csv") as records:
            done = subprocess.run(net.aggregators[0].command(
                [INCAST, "aggregate", "--out", records.name, "--seed",
                 str(options["seed"])] + plan.aggregate[0]),
                stdout=subprocess.PIPE, check=False)
            if done.returncode:
                raise LoadError("incast: the load generator failed (%d)"
                                % done.returncode)
            rows = [line.strip().split(",") for line in records]
    finally:
        workers.kill()
        workers.wait()
    due, took = rows[0].index("deadline_ns"), rows[0].index("took_ns")
    times = sorted(int(row[took]) / 1e6 for row in rows[1:])
    return options, times, sum(int(row[took]) > int(row[due])
                               for row in rows[1:])


def show_load(net, words):
    options, times, missed = run_load(net, words)
    output("%s, fan-in %d: %d responses, %d missed their deadline (%.1f %%); "
           "median %.1f ms, longest %.1f ms\n" % (
               options["cc"], len(net.workers), len(times), missed,
               100 * missed / len(times), times[len(times) // 2], times[-1]))


def test_incast(net, *_args, **values):
    # on an exception mn would kill processes that look like Mininet's
    try:
        show_load(net, ["%s=%s" % pair for pair in values.items()])
    except LoadError as error:
        output("%s\n" % error)


class IncastCLI(MininetCLI):
    def __init__(self, mininet, stdin=sys.stdin, **params):
        if not stdin.isatty():
            # While a command runs, Mininet polls stdin too, to pass it on. A
            # pipe at its end is always ready: Mininet would spin, and in
            # virtual time the command would never end. Lines are read from
            # sys.stdin all the same; this one is never ready.
            end, self.open_end = os.pipe()
            stdin = os.fdopen(end)
        super().__init__(mininet, stdin=stdin, **params)

    def do_incast(self, line):
        """See `help incast`."""
        try:
            show_load(self.mn, shlex.split(line))
        except LoadError as error:
            output("%s\n" % error)

    def help_incast(self):
        output(HELP)


# The names that mn takes from this file: two tables and two classes.
topos = {"incast": Star, "racks": Tree}
tests = {"incast": test_incast}
Mininet = Net
CLI = IncastCLI


def findController():
    """Switches are bridges: no controller, and no warning about that."""
    return lambda *_args, **_kwargs: None
