#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Runs scenarios in the lab and reports: what `make bench` calls.

Every job is a boot of the lab kernel: a point of a scenario under one algorithm,
for all seeds one after the other. It depends on nothing else, and what a seed
gives does not depend on the seeds after it. As many jobs run side by side as
there are processors.
"""

import argparse
import concurrent.futures
import json
import os
import re
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import report  # noqa: E402
import scenario as scenarios  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LAB = os.path.join(ROOT, "tests", "lab", "lab")
TOPOLOGY = os.path.join(ROOT, "bench", "topology.py")
# the least of a guest, and what each host in it adds
GUEST_MB, HOST_MB = 448, 4
# of the module, docs/abi.md
PARAMETERS = ("shift_g", "alpha_on_init", "d_min", "d_max", "late_d")


class Progress:
    """How far it is: one line, rewritten on a terminal, else now and then."""

    def __init__(self, total):
        self.total, self.done, self.start = total, 0, time.monotonic()
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
         "/usr/bin/python3", TOPOLOGY, job_file],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        raise JobError("%s failed (%d):\n%s" % (
            job["text"], done.returncode,
            done.stdout.decode(errors="replace")))


def run_all(jobs, workers):
    """Runs the jobs side by side; the first failure ends the rest."""
    progress = Progress(len(jobs))
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        futures = {pool.submit(run_job, job): job for job in jobs}
        try:
            for future in concurrent.futures.as_completed(futures):
                future.result()
                progress.step(futures[future]["text"])
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def check_fidelity(scenario, point, link):
    """Names every way in which the emulated link is not what it should be."""
    frame_us = 1514 * 8 / point["rate_mbps"]
    rtt_us = 2 * point["host_delay_us"]
    wrong = []
    if abs(link["rate_mbps"] / point["rate_mbps"] - 1) > 0.005:
        wrong.append("rate %.2f Mbit/s, not %s within 0.5 %%"
                     % (link["rate_mbps"], point["rate_mbps"]))
    if abs(link["base_rtt_us"] / rtt_us - 1) > 0.05:
        wrong.append("base RTT %.1f us, not %.1f within 5 %%"
                     % (link["base_rtt_us"], rtt_us))
    if link["mark_us"] is None:
        wrong.append("marking threshold not found: all packets were marked, "
                     "or none")
    elif link["longest_unmarked_us"] > point["mark_us"] + frame_us or \
            link["shortest_marked_us"] < point["mark_us"] - frame_us:
        wrong.append(
            "marking threshold between %.1f and %.1f us, not %s us within one "
            "packet of %.1f us" % (
                min(link["longest_unmarked_us"], link["shortest_marked_us"]),
                max(link["longest_unmarked_us"], link["shortest_marked_us"]),
                point["mark_us"], frame_us))
    if wrong:
        raise JobError("scenario %s, %s: the emulated link is not as "
                       "described:\n  %s" % (
                           scenario["name"], scenarios.label(scenario, point),
                           "\n  ".join(wrong)))


def make_jobs(scenario, raw, module):
    """Checks, loads and one traced load of a scenario, as lists of jobs."""
    checks, loads = {}, {}
    for point in scenarios.points(scenario):
        bare = scenarios.without_slack(point)
        where = scenarios.label(scenario, bare)
        base = os.path.join(raw, scenario["name"], where)
        checks[where] = {
            "do": "check", "point": bare, "module": module,
            "directory": os.path.join(base, "link"),
            "text": "%s %s: checking the link" % (scenario["name"], where)}
        for algorithm in scenario["algorithms"]:
            # Others never see a deadline: one run is judged at every slack.
            slack = point["slack"] \
                if algorithm in scenarios.WITH_DEADLINES else 1.0
            name = report.run_name(algorithm, point["slack"])
            loads[where, name] = {
                "do": "load", "point": bare, "algorithm": algorithm,
                "seeds": scenario["seed_list"], "slack": slack,
                "params": scenario["params"],
                "module": module, "directory": os.path.join(base, name),
                "text": "%s %s: %s" % (scenario["name"], where, name)}
    traced = []
    if "d2tcp" in scenario["algorithms"]:
        middle = list(scenarios.points(scenario))
        middle = middle[len(middle) // 4]
        name = report.run_name("d2tcp", middle["slack"])
        where = scenarios.label(scenario, scenarios.without_slack(middle))
        job = dict(loads[where, name], trace=True)
        job["seeds"] = job["seeds"][:1]
        job["directory"] = os.path.join(raw, scenario["name"], "trace")
        job["text"] += " (traced)"
        traced = [job]
    return list(checks.values()), list(loads.values()), traced


def module_path():
    """Where module/build.sh puts the module for the lab kernel."""
    kernel = subprocess.run([LAB, "kdir"], check=True, stdout=subprocess.PIPE
                            ).stdout.decode().strip()
    with open(os.path.join(kernel, "include", "generated",
                           "utsrelease.h")) as f:
        release = f.read().split('"')[1]
    return os.path.join(ROOT, "build", "module-" + release, "tcp_d2tcp.ko")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", default="default", metavar="SET",
                        help="default, full or night")
    parser.add_argument("--scenario", default="", metavar="NAME",
                        help="this one only")
    parser.add_argument("--out", default=os.path.join(ROOT, "bench", "out"),
                        metavar="DIR", help="where results go (bench/out)")
    parser.add_argument("--seeds", metavar="N",
                        help="so many instead of the scenario's number, or "
                        "certain ones: 3,8,9")
    parser.add_argument("--algorithms", metavar="A,B",
                        help="instead of the scenario's")
    parser.add_argument("--param", action="append", default=[],
                        metavar="NAME=VALUE",
                        help="load the module with this parameter")
    parser.add_argument("--publish", action="store_true",
                        help="run nothing; put the results of the last run "
                        "into docs/results.md")
    args = parser.parse_args()
    if args.seeds is not None and \
            not re.fullmatch(r"[1-9]\d*(,[1-9]\d*)*,?", args.seeds):
        parser.error("--seeds %s: whole numbers from 1" % args.seeds)
    algorithms = args.algorithms.split(",") if args.algorithms else []
    for name in algorithms:
        if name not in scenarios.ALGORITHMS:
            parser.error("--algorithms %s: there are %s"
                         % (name, ", ".join(scenarios.ALGORITHMS)))

    for param in args.param:
        name, _, value = param.partition("=")
        if name not in PARAMETERS or not value.isdigit():
            parser.error("--param %s: NAME=NUMBER, NAME one of %s"
                         % (param, ", ".join(PARAMETERS)))

    started = time.monotonic()
    chosen = scenarios.chosen(args.set, args.scenario)
    out = os.path.abspath(args.out)
    if args.publish:
        report.publish(out, os.path.join(ROOT, "docs"))
        return
    for scenario in chosen:
        scenario["algorithms"] = algorithms or scenario["algorithms"]
        seeds = args.seeds or str(scenario["seeds"])
        scenario["seed_list"] = \
            [int(s) for s in seeds.split(",") if s] if "," in seeds \
            else list(range(1, int(seeds) + 1))
        scenario["seeds"] = len(scenario["seed_list"])
        scenario["params"] = args.param

    module = module_path()
    for path, verb in ((module, "module KDIR=$(tests/lab/lab kdir)"),
                       (os.path.join(ROOT, "build", "incast"), "incast")):
        if not os.path.exists(path):
            raise JobError("%s is missing: make %s (make bench does it)"
                           % (os.path.relpath(path), verb))
    raw = report.make_room(out)
    workers = len(os.sched_getaffinity(0))
    work = [make_jobs(scenario, raw, module) for scenario in chosen]
    run_all([job for checks, _, _ in work for job in checks], workers)
    for scenario, (checks, _, _) in zip(chosen, work):
        for job in checks:
            with open(os.path.join(job["directory"], "link.json")) as f:
                check_fidelity(scenario, job["point"], json.load(f))
    run_all([job for _, loads, traced in work for job in loads + traced],
            workers)
    report.write(chosen, raw, out)
    print("\n%d runs in %.0f s; report: %s" % (
        sum(len(job["seeds"]) for _, loads, _ in work for job in loads),
        time.monotonic() - started,
        os.path.relpath(os.path.join(out, "index.html"))))


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
