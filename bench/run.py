#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Runs scenarios in the lab and reports: what `make bench` calls.

Each job is one boot of the lab kernel: a run (one algorithm at one point of a scenario) for
a block of seeds, one after the other. Jobs are independent, and the results of a seed
do not depend on the seeds after it. As many jobs run in parallel as there are processors.
Where the miss rate is still too uncertain after a block of seeds, further blocks of the
point are run, for all of its algorithms.
"""

import argparse
import concurrent.futures
import gzip
import hashlib
import json
import math
import os
import re
import shutil
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import algorithms  # noqa: E402
from analysis import late_shares, seeds_needed  # noqa: E402
import link  # noqa: E402
import report  # noqa: E402
from runs import Run, link_name, link_point, runs  # noqa: E402
import scenario as scenarios  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LAB = os.path.join(ROOT, "tests", "lab", "lab")
GUEST = os.path.join(ROOT, "bench", "guest.py")
# memory of a guest, and of each emulated host in it
GUEST_MB, HOST_MB = 448, 2
# parameters of the module: docs/abi.md
PARAMETERS = ("shift_g", "alpha_on_init", "d_min", "d_max", "late_d")


class Progress:
    """Shows progress: one line, rewritten on a terminal, otherwise every 10 s."""

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
    """A job failed; the message contains its output."""


DONE = "done"  # a job leaves this file in its directory when it is complete


def is_done(job):
    """Whether an earlier run, which this one resumes, has completed the same job."""
    try:
        with open(os.path.join(job["directory"], "job.json")) as f:
            return json.load(f) == json.loads(json.dumps(job)) and os.path.exists(
                os.path.join(job["directory"], DONE))
    except (OSError, ValueError):
        return False


def run_job(job):
    """Boots the lab for one job, which writes into job["directory"]."""
    directory = job["directory"]
    if is_done(job):
        return
    # of an earlier run that ended in the middle of the job
    shutil.rmtree(directory, ignore_errors=True)
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
    with open(os.path.join(directory, DONE), "w"):
        pass


def compress(path):
    """Replaces records by a .gz file; equal records give equal bytes."""
    with open(path, "rb") as f, open(path + ".gz", "wb") as out, \
            gzip.GzipFile("", "wb", 6, out, mtime=0) as packed:
        packed.write(f.read())
    os.remove(path)


def run_all(jobs, workers, progress):
    """Runs jobs in parallel; the first failure cancels the others."""
    progress.total += len(jobs)
    # the longest first, so that no processor idles while another finishes one
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
    """An estimate of how long a job takes, relative to others."""
    point = job["point"]
    if job["do"] == "check":
        return 0
    size = point.get("query_bytes", 26000 * point["fan_in"]) * \
        point.get("queries", 0) + point.get("seconds", 0) * \
        point["rate_mbps"] * 125000
    return size * len(job["seeds"]) + 3e6 * point["fan_in"]


def check_fidelity(scenario, point, found):
    """Refuses a link that differs from its description; the error says how it differs
    and what to do.
    """
    wrong = link.deviations(point, found)
    if wrong:
        raise JobError(
            "scenario %s, %s: the emulated link differs from its description:\n"
            "  %s\nThe lab kernel or the tools that configure the link are at fault. "
            "Rebuild both:\nmake clean, rm -r the lab kernel (%s), make bench. If "
            "the link is refused\nagain, tests/check bench checks whether this "
            "machine measures links correctly;\nplease report it with "
            "bench/out/raw/links." % (
                scenario["name"], scenarios.label(scenario, point),
                "\n  ".join(wrong), "tests/lab/lab kdir names it"))


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
    return [run.job(seeds[run.where], raw, module) for run in runs(scenario)
            if seeds.get(run.where)]


# Of each traced run: algorithm, directory, position of the point in the scenario (0 is
# the first, with the tightest deadlines), changes of the point, and events. Of a run with
# grants one query is drawn.
TRACES = (
    (algorithms.LAW, "trace", 1 / 4, {}, ["d2tcp/d2tcp_cut"]),
    (algorithms.GRANTS, "trace-grants", 0, {"queries": 5},
     ["d2tcp/d2tcp_grant", "tcp/tcp_probe if data_len > 0"]))


def make_traces(scenario, raw, module):
    """Jobs that run seed 1 of a point again, with tracepoints on."""
    if not scenario.get("trace"):
        return
    points = list(scenarios.points(scenario))
    for algorithm, name, part, change, events in TRACES:
        if algorithm in scenario["algorithms"]:
            run = Run(scenario, points[int(part * len(points))] | change, algorithm)
            yield run.job([1], raw, module) | {
                "trace": events, "text": run.text + " (traced)",
                "directory": os.path.join(raw, scenario["name"], name)}


def next_seeds(scenario, raw, have):
    """The seeds to run next, [(place, [seed])]; updates `have`, {place: count}."""
    wanted = {}
    first = scenario["seeds"]
    for point in scenarios.points(scenario):
        where = scenarios.label(scenario, scenarios.without_slack(point))
        need = first
        for algorithm in scenario["algorithms"]:
            if not have.get(where) or "flows" in point:
                break
            for shares, queries in late_shares(scenario, raw, point, algorithm):
                need = max(need, seeds_needed(shares, queries,
                                              scenario["half_width"]))
        # whole blocks: the results of a seed depend on earlier seeds of its block
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
    """The path where module/build.sh puts the module for the lab kernel."""
    kernel = subprocess.run([LAB, "kdir"], check=True, stdout=subprocess.PIPE
                            ).stdout.decode().strip()
    with open(os.path.join(kernel, "include", "generated",
                           "utsrelease.h")) as f:
        release = f.read().split('"')[1]
    return os.path.join(ROOT, "build", "module-" + release, "tcp_d2tcp.ko")


def run_scenarios(chosen, raw, module, workers, progress):
    """Runs blocks of seeds until every miss rate is certain enough; returns how many
    seeds were run.
    """
    have = {scenario["name"]: {} for scenario in chosen}
    traces = [job for s in chosen for job in make_traces(s, raw, module)]
    count = 0
    while True:
        jobs = []
        for scenario in chosen:
            mine = have[scenario["name"]]
            if scenario["seed_list"]:
                blocks = [] if mine else [
                    (where, scenario["seed_list"]) for where in dict.fromkeys(
                        run.where for run in runs(scenario))]
                mine["done"] = 1
            else:
                blocks = next_seeds(scenario, raw, mine)
            for where, seeds in blocks:
                jobs += make_loads(scenario, raw, module, {where: seeds})
        if not jobs:
            return count
        count += sum(len(job["seeds"]) for job in jobs)
        run_all(jobs + traces, workers, progress)
        traces = []


def parse_options():
    """The options of the command line, checked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", default="default", metavar="SET",
                        help="default, full or night")
    parser.add_argument("--scenario", default="", metavar="NAME",
                        help="run only this scenario")
    parser.add_argument("--out", default=os.path.join(ROOT, "bench", "out"),
                        metavar="DIR", help="where results go (bench/out)",
                        type=os.path.abspath)
    parser.add_argument("--seeds", metavar="N",
                        help="this many seeds instead of the scenario's number, "
                        "or a list: 3,8,9")
    parser.add_argument("--algorithms", metavar="A,B",
                        help="run these instead of the scenario's")
    parser.add_argument("--param", action="append", default=[],
                        metavar="NAME=VALUE",
                        help="load the module with this parameter")
    parser.add_argument("--resume", action="store_true",
                        help="continue the last run, which was interrupted or failed: "
                        "jobs that are complete are not run again")
    parser.add_argument("--report", action="store_true",
                        help="run nothing; rebuild the report of the last run of "
                        "the set from its records")
    parser.add_argument("--publish", action="store_true",
                        help="run nothing; put the results of the last run "
                        "into docs/results/ and README.md")
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
    """The scenarios to run, with the changes that the options make in them."""
    changes = {"params": args.param}
    if args.seeds and "," in args.seeds:
        changes["seed_list"] = [int(s) for s in args.seeds.split(",") if s]
    elif args.seeds:
        changes["seed_list"] = list(range(1, int(args.seeds) + 1))
    for scenario in scenarios.chosen(args.set, args.scenario):
        mine = {"algorithms": args.algorithms.split(",")} \
            if args.algorithms and "flows" not in scenario else {}
        yield scenarios.with_options(scenario, **changes, **mine)


def command_of(args):
    """The command that reproduces these results, as the report names it."""
    if args.seeds or args.algorithms or args.param:
        return " ".join(["bench/run.py"] + [
            a for a in sys.argv[1:] if a not in ("--report", "--resume")])
    return "make bench SET=%s%s" % (
        args.set, " SCENARIO=" + args.scenario if args.scenario else "")


def built_module():
    """The path of the module, after checking that module and generator are built."""
    module = module_path()
    for path, verb in ((module, "module KDIR=$(tests/lab/lab kdir)"),
                       (os.path.join(ROOT, "build", "incast"), "incast")):
        if not os.path.exists(path):
            raise JobError("%s is missing: make %s (make bench does it)"
                           % (os.path.relpath(path), verb))
    return module


def inputs(module):
    """A hash of everything that the records depend on besides the jobs themselves."""
    found = hashlib.sha256()
    files = [module, os.path.join(ROOT, "build", "incast")]
    for where, _, names in sorted(os.walk(os.path.join(ROOT, "bench"))):
        relative = os.path.relpath(where, os.path.join(ROOT, "bench"))
        if relative.split(os.sep)[0] in (".", "network"):
            files += [os.path.join(where, n) for n in sorted(names)
                      if n.endswith(".py")]
    for path in files:
        with open(path, "rb") as f:
            found.update(hashlib.sha256(f.read()).digest())
    return found.hexdigest()


def check_links(chosen, raw, module, workers, progress):
    """Measures every link that the scenarios use; stops if one is wrong."""
    checks = make_checks(chosen, raw, module)
    run_all([job for _, job in checks], workers, progress)
    for scenario, job in checks:
        with open(os.path.join(job["directory"], "link.json")) as f:
            check_fidelity(scenario, job["point"], json.load(f))


def main():
    started = time.monotonic()
    args = parse_options()
    if args.publish:
        # an error for a name that does not exist
        scenarios.chosen(args.set, args.scenario)
        report.publish(args.out, ROOT)
        return
    chosen = list(choose(args))
    if args.report:
        report.write(chosen, os.path.join(args.out, "raw"), args.out,
                     command_of(args))
        return
    module = built_module()
    raw = report.room_to_resume(args.out, inputs(module)) if args.resume \
        else report.make_room(args.out, inputs(module))
    workers = len(os.sched_getaffinity(0))
    progress = Progress()
    check_links(chosen, raw, module, workers, progress)
    count = run_scenarios(chosen, raw, module, workers, progress)
    report.write(chosen, raw, args.out, command_of(args))
    print("\n%d seeds in %.0f s; report: %s" % (
        count, time.monotonic() - started,
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
