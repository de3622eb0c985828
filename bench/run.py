#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Runs scenarios in the lab and reports: what `make bench` calls.

Every job is a boot of the lab kernel: a point of a scenario under one algorithm,
for a block of seeds one after the other. It depends on nothing else, and what a seed
gives does not depend on the seeds after it. As many jobs run side by side as
there are processors. Where a block of seeds leaves a late share too uncertain,
further blocks of the point are run, for all its algorithms.
"""

import argparse
import concurrent.futures
import gzip
import json
import math
import os
import re
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import algorithms  # noqa: E402
from analysis import intervals, late_shares  # noqa: E402
from analysis.records import link_name, run_name  # noqa: E402
import link  # noqa: E402
import report  # noqa: E402
import scenario as scenarios  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LAB = os.path.join(ROOT, "tests", "lab", "lab")
GUEST = os.path.join(ROOT, "bench", "guest.py")
# the least of a guest, and what each host in it adds
GUEST_MB, HOST_MB = 448, 2
# of the module, docs/abi.md
PARAMETERS = ("shift_g", "alpha_on_init", "d_min", "d_max", "late_d")


class Progress:
    """How far it is: one line, rewritten on a terminal, else now and then."""

    def __init__(self):
        self.total, self.done, self.start = 0, 0, time.monotonic()
        self.shown = -100.0
        self.lock = threading.Lock()

    def step(self, text):
        with self.lock:
            self.done += 1
            now = time.monotonic()
            line = "[%d/%d] %3.0f s  %s" % (self.done, self.total,
                                            now - self.start, text)
            if sys.stdout.isatty():
                end = "\n" if self.done == self.total else ""
                print("\r\033[K" + line, end=end, flush=True)
            elif now - self.shown >= 10 or self.done == self.total:
                self.shown = now
                print(line, flush=True)


class JobError(Exception):
    """A job failed; holds what it said."""


def run_job(job):
    """Boots the lab for one job; its results are in job["directory"]."""
    directory = job["directory"]
    os.makedirs(directory)
    job_file = os.path.join(directory, "job.json")
    with open(job_file, "w") as f:
        json.dump(job, f, indent=1, sort_keys=True)
    mem = GUEST_MB + HOST_MB * job["point"]["fan_in"]
    done = subprocess.run(
        [LAB, "run", "--out", directory, "--module", job["module"],
         "--mem", str(mem), "--",
         "/usr/bin/python3", GUEST, job_file],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        raise JobError("%s failed (%d):\n%s" % (
            job["text"], done.returncode,
            done.stdout.decode(errors="replace")))
    for where, _, names in os.walk(directory):
        for name in names:
            if name.startswith("records"):
                compress(os.path.join(where, name))


def compress(path):
    """Records are kept as .gz; the same records give the same bytes."""
    with open(path, "rb") as f, open(path + ".gz", "wb") as out, \
            gzip.GzipFile("", "wb", 6, out, mtime=0) as packed:
        packed.write(f.read())
    os.remove(path)


def run_all(jobs, workers, progress):
    """Runs the jobs side by side; the first failure ends the rest."""
    progress.total += len(jobs)
    # the longest first, so that no processor is left alone with one
    jobs = sorted(jobs, key=effort, reverse=True)
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        futures = {pool.submit(run_job, job): job for job in jobs}
        try:
            for future in concurrent.futures.as_completed(futures):
                future.result()
                progress.step(futures[future]["text"])
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def effort(job):
    """About how long a job takes, compared with others."""
    point = job["point"]
    if job["do"] == "check":
        return 0
    size = point.get("query_bytes", 26000 * point["fan_in"]) * \
        point.get("queries", 0) + point.get("seconds", 0) * \
        point["rate_mbps"] * 125000
    return size * len(job["seeds"]) + 3e6 * point["fan_in"]


def check_fidelity(scenario, point, found):
    """Refuses a link that is not as described: in which way, and what to do."""
    wrong = link.deviations(point, found)
    if wrong:
        raise JobError(
            "scenario %s, %s: the emulated link is not as described:\n  %s\n"
            "The lab kernel or the tools that set it up do not do what is asked "
            "of them. Build\nboth anew: make clean, rm -r the lab kernel (%s), "
            "make bench. If the\nlink is refused again, tests/check bench says "
            "whether this machine measures links right;\nplease report it with "
            "bench/out/raw/links." % (
                scenario["name"], scenarios.label(scenario, point),
                "\n  ".join(wrong), "tests/lab/lab kdir names it"))


def link_point(point):
    """What of a point the emulated link depends on."""
    keep = ("topology", "rate_mbps", "racks", "uplink_mbps", "host_delay_us",
            "buffer_packets", "mark_us", "rto_min_ms", "marker")
    found = {k: point[k] for k in keep if k in point}
    return found | {"fan_in": 2 * point.get("racks", 2)}


def make_checks(chosen, raw, module):
    """A job for each link that the scenarios use: (scenario, job)."""
    found = {}
    for scenario in chosen:
        for point in scenarios.points(scenario):
            name = link_name(point)
            found.setdefault(name, (scenario, {
                "do": "check", "point": link_point(point), "module": module,
                "directory": os.path.join(raw, "links", name),
                "text": "checking the link of %s" % scenario["name"]}))
    return list(found.values())


def make_loads(scenario, raw, module, seeds):
    """The jobs that run the seeds at each place; `seeds` is {place: [seed]}."""
    loads = {}
    for point in scenarios.points(scenario):
        bare = scenarios.without_slack(point)
        where = scenarios.label(scenario, bare)
        if not seeds.get(where):
            continue
        for algorithm in scenario["algorithms"]:
            # Others never see a deadline: one run is judged at every slack.
            slack = point["slack"] if scenarios.depends_on_slack(
                algorithm, point) else 1.0
            name = run_name(algorithm, point)
            loads[where, name] = {
                "do": "flows" if "flows" in point else "load", "point": bare,
                "algorithm": algorithm, "slack": slack,
                "seeds": seeds[where], "params": scenario["params"],
                "module": module, "directory": os.path.join(
                    raw, scenario["name"], where, name,
                    "from-seed%d" % seeds[where][0]),
                "text": "%s %s: %s" % (scenario["name"], where, name)}
    return list(loads.values())


def make_trace(scenario, raw, module):
    """One seed more of a point in the middle, with the module's tracepoint on."""
    if algorithms.LAW not in scenario["algorithms"] or \
            not scenario.get("trace"):
        return []
    middle = list(scenarios.points(scenario))
    middle = middle[len(middle) // 4]
    where = scenarios.label(scenario, scenarios.without_slack(middle))
    seeds = {where: [1]}
    wanted = run_name(algorithms.LAW, middle)
    job = next(j for j in make_loads(scenario, raw, module, seeds)
               if j["text"].endswith(": " + wanted))
    return [job | {"trace": True, "text": job["text"] + " (traced)",
                   "directory": os.path.join(raw, scenario["name"], "trace")}]


def seeds_needed(shares, half_width):
    """How many seeds bring the half-width of the mean below `half_width`.

    From the spread of those that were run, by Student's t for as many as there
    will be.
    """
    half = intervals.half95(shares)
    if half is None or half < half_width:
        return len(shares)
    n = len(shares)
    spread = half * math.sqrt(n) / intervals.t975(n - 1)
    while intervals.t975(n - 1) * spread / math.sqrt(n) >= half_width:
        n += 1
    return n


def next_seeds(scenario, raw, have):
    """Which seeds to run next where, {place: [seed]}; `have` is {place: count}."""
    wanted = {}
    first = scenario["seeds"]
    for point in scenarios.points(scenario):
        where = scenarios.label(scenario, scenarios.without_slack(point))
        need = first
        for algorithm in scenario["algorithms"]:
            if not have.get(where) or "flows" in point:
                break
            for shares in late_shares(scenario, raw, point, algorithm):
                need = max(need, seeds_needed(shares, scenario["half_width"]))
        # whole blocks: what a seed gives depends on those before it in its own
        need = min(first * math.ceil(need / first), scenario["most_seeds"])
        wanted[where] = max(wanted.get(where, 0), need)
    blocks = []
    for where, need in wanted.items():
        start = have.get(where, 0)
        for block in range(start, need, first):
            end = min(block + first, need)
            blocks.append((where, list(range(block + 1, end + 1))))
        have[where] = max(start, need)
    return blocks


def module_path():
    """Where module/build.sh puts the module for the lab kernel."""
    kernel = subprocess.run([LAB, "kdir"], check=True, stdout=subprocess.PIPE
                            ).stdout.decode().strip()
    with open(os.path.join(kernel, "include", "generated",
                           "utsrelease.h")) as f:
        release = f.read().split('"')[1]
    return os.path.join(ROOT, "build", "module-" + release, "tcp_d2tcp.ko")


def run_scenarios(chosen, raw, module, workers, progress):
    """Blocks of seeds until every late share is certain enough; counts runs."""
    have = {scenario["name"]: {} for scenario in chosen}
    traces = [job for s in chosen for job in make_trace(s, raw, module)]
    runs = 0
    while True:
        jobs = []
        for scenario in chosen:
            mine = have[scenario["name"]]
            if "seed_list" in scenario:
                blocks = [] if mine else [
                    (where, scenario["seed_list"]) for where in {
                        scenarios.label(scenario, scenarios.without_slack(p)): 0
                        for p in scenarios.points(scenario)}]
                mine["done"] = 1
            else:
                blocks = next_seeds(scenario, raw, mine)
            for where, seeds in blocks:
                jobs += make_loads(scenario, raw, module, {where: seeds})
        if not jobs:
            return runs
        runs += sum(len(job["seeds"]) for job in jobs)
        run_all(jobs + traces, workers, progress)
        traces = []


def parse_options():
    """The options of the command line, checked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", default="default", metavar="SET",
                        help="default, full or night")
    parser.add_argument("--scenario", default="", metavar="NAME",
                        help="this one only")
    parser.add_argument("--out", default=os.path.join(ROOT, "bench", "out"),
                        metavar="DIR", help="where results go (bench/out)",
                        type=os.path.abspath)
    parser.add_argument("--seeds", metavar="N",
                        help="so many instead of the scenario's number, or "
                        "certain ones: 3,8,9")
    parser.add_argument("--algorithms", metavar="A,B",
                        help="instead of the scenario's")
    parser.add_argument("--param", action="append", default=[],
                        metavar="NAME=VALUE",
                        help="load the module with this parameter")
    parser.add_argument("--report", action="store_true",
                        help="run nothing; make the report of the last run of "
                        "the set anew from its records")
    parser.add_argument("--publish", action="store_true",
                        help="run nothing; put the results of the last run "
                        "into docs/results.md and README.md")
    args = parser.parse_args()
    if args.seeds is not None and \
            not re.fullmatch(r"[1-9]\d*(,[1-9]\d*)*,?", args.seeds):
        parser.error("--seeds %s: whole numbers from 1" % args.seeds)
    for name in args.algorithms.split(",") if args.algorithms else []:
        if name not in algorithms.NAMES:
            parser.error("--algorithms %s: there are %s"
                         % (name, ", ".join(algorithms.NAMES)))
    for param in args.param:
        name, _, value = param.partition("=")
        if name not in PARAMETERS or not value.isdigit():
            parser.error("--param %s: NAME=NUMBER, NAME one of %s"
                         % (param, ", ".join(PARAMETERS)))
    return args


def choose(args):
    """The scenarios that are wanted, with what the options change in them."""
    chosen = scenarios.chosen(args.set, args.scenario)
    for scenario in chosen:
        if "flows" not in scenario and args.algorithms:
            scenario["algorithms"] = args.algorithms.split(",")
        if args.seeds and "," in args.seeds:
            scenario["seed_list"] = [int(s) for s in args.seeds.split(",") if s]
        elif args.seeds:
            scenario["seed_list"] = list(range(1, int(args.seeds) + 1))
        scenario["params"] = args.param
        scenario["set"] = args.set
    return chosen


def command_of(args):
    """The command that gives these results, as a report names it."""
    if args.seeds or args.algorithms or args.param:
        return " ".join(["bench/run.py"] + [
            a for a in sys.argv[1:] if a != "--report"])
    return "make bench SET=%s%s" % (
        args.set, " SCENARIO=" + args.scenario if args.scenario else "")


def built_module():
    """The module's path; the generator and it must be there."""
    module = module_path()
    for path, verb in ((module, "module KDIR=$(tests/lab/lab kdir)"),
                       (os.path.join(ROOT, "build", "incast"), "incast")):
        if not os.path.exists(path):
            raise JobError("%s is missing: make %s (make bench does it)"
                           % (os.path.relpath(path), verb))
    return module


def check_links(chosen, raw, module, workers, progress):
    """Measures every link that the scenarios use; stops if one is off."""
    checks = make_checks(chosen, raw, module)
    run_all([job for _, job in checks], workers, progress)
    for scenario, job in checks:
        with open(os.path.join(job["directory"], "link.json")) as f:
            check_fidelity(scenario, job["point"], json.load(f))


def main():
    started = time.monotonic()
    args = parse_options()
    if args.publish:
        # also where a scenario is named that does not exist
        scenarios.chosen(args.set, args.scenario)
        report.publish(args.out, ROOT)
        return
    chosen = choose(args)
    if args.report:
        report.write(chosen, os.path.join(args.out, "raw"), args.out,
                     command_of(args))
        return
    module = built_module()
    raw = report.make_room(args.out)
    workers = len(os.sched_getaffinity(0))
    progress = Progress()
    check_links(chosen, raw, module, workers, progress)
    runs = run_scenarios(chosen, raw, module, workers, progress)
    report.write(chosen, raw, args.out, command_of(args))
    print("\n%d runs in %.0f s; report: %s" % (
        runs, time.monotonic() - started,
        os.path.relpath(os.path.join(args.out, "index.html"))))


if __name__ == "__main__":
    try:
        main()
    except (JobError, scenarios.ScenarioError) as error:
        print("bench: %s" % error, file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        print("bench: %s" % error, file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("\nbench: interrupted", file=sys.stderr)
        sys.exit(130)
