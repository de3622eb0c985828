#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Runs scenarios on real hosts, by Ansible: docs/hosts.md.

    bench/hosts/run.py --inventory FILE --scenario NAME [--set SET] [--seeds N]
                       [--algorithms A,B] [--flows A+B,C+D] [--out DIR]
    bench/hosts/run.py --inventory FILE --restore

The network is that of the hosts: of a scenario's topology only the fan-in counts, and the
minimum RTO. Leaves are spread over the workers, several on one where there are fewer.
"""

import argparse
import csv
import ipaddress
import json
import math
import os
import re
import secrets
import shutil
import subprocess
import sys
import tarfile
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "bench"))
import algorithms  # noqa: E402
from analysis.records import link_name, run_name  # noqa: E402
import guest  # noqa: E402
import load  # noqa: E402
import report  # noqa: E402
import run  # noqa: E402
import scenario as scenarios  # noqa: E402

ECHO_PORT = 4999
ACCEPT_S = 60  # for Ansible to reach all hosts
PLAYBOOK = os.path.join(HERE, "play.yml")


def read_inventory(path):
    """Addresses on the measured network: {host: address}, aggregator first."""
    done = subprocess.run(["ansible-inventory", "-i", path, "--list"],
                          stdout=subprocess.PIPE, check=False)
    if done.returncode:
        raise run.JobError("%s: ansible-inventory cannot read it" % path)
    found = json.loads(done.stdout)
    names = {group: found.get(group, {}).get("hosts", [])
             for group in ("aggregator", "workers")}
    if len(names["aggregator"]) != 1 or not names["workers"]:
        raise run.JobError("%s: needs a group 'aggregator' of one host and a "
                           "group 'workers' of one or more; it has %d and %d"
                           % (path, len(names["aggregator"]),
                              len(names["workers"])))
    hostvars = found["_meta"]["hostvars"]
    addresses = {}
    for name in names["aggregator"] + names["workers"]:
        mine = hostvars.get(name, {})
        address = mine.get("d2tcp_address", mine.get("ansible_host", name))
        try:
            addresses[name] = str(ipaddress.IPv4Address(address))
        except ValueError:
            raise run.JobError("%s: the address of %s is '%s'; d2tcp_address = "
                               "an IPv4 address is needed"
                               % (path, name, address)) from None
    return addresses


def places(point, addresses):
    """Where the workers of a point listen: hosts in turn, several on each."""
    workers = list(addresses)[1:]
    return [load.Place(workers[i % len(workers)],
                       addresses[workers[i % len(workers)]],
                       load.PORT + 2 * (i // len(workers)))
            for i in range(point["fan_in"])]


def make_job(scenario, point, algorithm, addresses):
    """What the playbook does for a point under an algorithm."""
    slack = point["slack"] if scenarios.depends_on_slack(algorithm, point) \
        else 1.0
    plan = load.plan(point, algorithms.members(algorithm), slack,
                     places(point, addresses))
    workers = {host: plan.worker + [word for end in ends
                                    for word in ("--listen", end)]
               for host, ends in plan.listens.items()}
    where = scenarios.label(scenario, scenarios.without_slack(point))
    name = run_name(algorithm, point)
    return {"text": "%s %s: %s" % (scenario["name"], where, name),
            "directory": os.path.join(scenario["name"], where, name,
                                      "from-seed%d" % scenario["seed_list"][0]),
            "seeds": scenario["seed_list"],
            "load": [" ".join(word.replace(" ", "") for word in line)
                     for line in plan.aggregate],
            "workers": {host: " ".join(args)
                        for host, args in workers.items()}}


def make_flows_jobs(scenario, point, addresses):
    """The same for a point of long flows, each to a port of its own: a job for
    each seed.
    """
    aggregator, *workers = addresses
    flows = load.long_flows(point)
    # none waits for ever, whatever happens to the others
    sink = ["--seconds", str(point["seconds"]), "--settle-ms", "2000",
            "--accept-s", str(ACCEPT_S), "--tell"]
    within = ACCEPT_S + math.ceil(point["seconds"]) + 30
    senders = {}
    for i, ((algorithm, claim), worker) in enumerate(zip(flows, workers)):
        end = "%s:%d,%s" % (addresses[aggregator], load.PORT + i, algorithm.cc)
        sink += ["--listen", end]
        senders[worker] = [" ".join(
            [str(i), "--to", end, "--from", addresses[worker], "--life-s",
             str(within), "--tell"] + load.claim_options(claim))]
    where = scenarios.label(scenario, point)
    for seed in scenario["seed_list"]:
        yield {"text": "%s %s, seed %d" % (scenario["name"], where, seed),
               "directory": os.path.join(
                   scenario["name"], where, run_name("flows", point),
                   "from-seed%d" % seed, "seed%d" % seed),
               "within_s": within, "sink": " ".join(sink), "senders": senders,
               "sources": [addresses[worker] for worker in senders]}


def make_jobs(scenario, addresses):
    jobs = {}
    for point in scenarios.points(scenario):
        for algorithm in scenario["algorithms"]:
            for job in make_flows_jobs(scenario, point, addresses) \
                    if "flows" in point else \
                    [make_job(scenario, point, algorithm, addresses)]:
                jobs[job["directory"]] = job
    return list(jobs.values())


def check_scenario(scenario, workers):
    """Says why a scenario cannot run on hosts."""
    for point in scenarios.points(scenario):
        count = point.get("flows", "").count("+") + 1
        if count > workers:
            # on one host they would share its link, not the switch's port
            raise run.JobError("%s: %d flows need a worker each, and there "
                               "%s %d; --flows chooses others"
                               % (point["flows"], count,
                                  "is" if workers == 1 else "are", workers))
    if scenario.get("aggregators", 1) != 1:
        raise run.JobError("scenario %s has several aggregators, which runs in "
                           "the lab only" % scenario["name"])
    if isinstance(scenario["rto_min_ms"], list):
        raise run.JobError("scenario %s sweeps rto_min_ms, which runs in the "
                           "lab only" % scenario["name"])


def modules():
    """The modules that make module has built: {kernel release: path}."""
    found = {}
    build = os.path.join(ROOT, "build")
    for name in sorted(os.listdir(build)):
        path = os.path.join(build, name, "tcp_d2tcp.ko")
        if name.startswith("module-") and os.path.exists(path):
            found[name[len("module-"):]] = path
    return found


def play(inventory, out, variables):
    """Runs the playbook; what it says goes to the terminal."""
    path = os.path.join(out, "variables.json")
    with open(path, "w") as f:
        json.dump(variables, f, indent=1, sort_keys=True)
    done = subprocess.run(
        ["ansible-playbook", "-i", inventory, PLAYBOOK, "-e", "@" + path],
        env=os.environ | {"ANSIBLE_NOCOWS": "1",
                          "ANSIBLE_RETRY_FILES_ENABLED": "0"}, check=False)
    if done.returncode:
        raise run.JobError("ansible-playbook failed (%d); what it says above "
                           "tells the host" % done.returncode)


def read_clocks(directory, workers):
    """What the readings of each clock said, in us, and the most it gained between
    two: a job's deadlines may be off by that.
    """
    found = {}
    for name in workers:
        path = os.path.join(directory, "clock-" + name)
        with open(path) as f:
            ahead, rtts = zip(*(map(int, line.split()) for line in f))
        steps = [abs(b - a) for a, b in zip(ahead, ahead[1:])]
        found[name] = {"readings": len(ahead), "ahead_us": -ahead[0] / 1000,
                       "rtt_us": max(rtts) / 1000,
                       "least_rtt_us": min(rtts) / 1000,
                       "gained_us": (ahead[0] - ahead[-1]) / 1000,
                       "most_in_a_job_us": max(steps, default=0) / 1000}
    return found


def unpack(path, raw, names):
    """What a host has sent, as far as its name is such a one, and nothing else."""
    try:
        with tarfile.open(path) as packed:
            for member in packed.getmembers():
                if not member.isfile():
                    continue
                if ".." in member.name.split("/") or not re.fullmatch(
                        r"\./[A-Za-z0-9_./=+-]*/(%s)" % names, member.name):
                    raise run.JobError("%s holds a file '%s'"
                                       % (path, member.name))
                to = os.path.join(raw, member.name)
                os.makedirs(os.path.dirname(to), exist_ok=True)
                # "x": another host's is not replaced
                with open(to, "xb") as f:
                    shutil.copyfileobj(packed.extractfile(member), f)
    except tarfile.TarError as error:
        raise run.JobError("%s: %s" % (path, error)) from None


def finish_flows(where, host):
    """flows.json as run.py of the lab leaves it."""
    alphas = []
    for i in range(len(host["bytes"])):
        path = os.path.join(where, "flow-%d" % i)
        with open(path) as f:
            alpha = f.read().strip()
        if not re.fullmatch(r"([01]\.\d+)?", alpha):
            raise run.JobError("%s: alpha is '%s'" % (path, alpha))
        alphas.append(float(alpha) if alpha else None)
        os.remove(path)
    guest.write_json(os.path.join(where, "flows.json"), {
        "bytes": host["bytes"], "alpha": alphas, "packets": None,
        "marks": host["marks"], "drops": None, "kernel": host["kernel"]})


def finish_load(where, names, host):
    """load.json, and the records compressed, as run.py of the lab leaves them."""
    said = host["said"]
    guest.write_json(os.path.join(where, "load.json"), {
        "duration_ns": max(s["duration_ns"] for s in said),
        "background_bytes": said[0]["background_bytes"],
        "background_ns": said[0]["duration_ns"], "packets": None,
        "marks": host["marks"], "drops": None, "kernel": host["kernel"]})
    for name in names:
        if name.startswith("records"):
            run.compress(os.path.join(where, name))


def spread_out(raw, collected, chosen, addresses, clocks):
    """The records as run.py of the lab leaves them."""
    for i, name in enumerate(addresses):
        unpack(os.path.join(collected, "out-%s.tar.gz" % name), raw,
               r"flow-\d+" if i else r"records-\d+\.csv|host\.json")
    for where, _, names in os.walk(raw):
        if "host.json" not in names:
            continue
        with open(os.path.join(where, "host.json")) as f:
            host = json.load(f)
        os.remove(os.path.join(where, "host.json"))
        if "bytes" in host:
            finish_flows(where, host)
        else:
            finish_load(where, names, host)
    for scenario in chosen:
        for point in scenarios.points(scenario):
            directory = os.path.join(raw, "links", link_name(point))
            os.makedirs(directory, exist_ok=True)
            guest.write_json(os.path.join(directory, "link.json"), {
                "rate_mbps": None, "mark_us": None, "base_rtt_us": round(
                    min(c["least_rtt_us"] for c in clocks.values()), 1)})


def print_clocks(clocks):
    print("\nClocks, in us: how far a worker's was ahead of the aggregator's, known "
          "to half of the round trip, what it gained over the run, and the most "
          "within a job")
    for name, c in sorted(clocks.items()):
        print("  %s: %+.1f ± %.1f, gained %+.1f, at most %.1f" % (
            name, c["ahead_us"], c["rtt_us"] / 2, c["gained_us"],
            c["most_in_a_job_us"]))
        if c["most_in_a_job_us"] > 500 + c["rtt_us"]:
            print("  %s: its clock moves too much for deadlines of "
                  "milliseconds; let both follow the same time" % name)


def positive(text):
    if not re.fullmatch(r"[1-9]\d*", text):
        raise argparse.ArgumentTypeError("a whole number from 1, not '%s'" % text)
    return int(text)


def run_on(inventory, out, variables):
    """The playbook, and what a failure leaves on the hosts put back."""
    name = secrets.token_hex(8)
    try:
        play(inventory, out, variables | {"restore_only": False,
                                          "run_name": name})
    except (run.JobError, KeyboardInterrupt):
        # when a host cannot be reached, Ansible leaves the others as they are
        print("\nhosts: that failed; now what is left is put back")
        try:
            play(inventory, out, {"restore_only": True, "run_name": name})
        except run.JobError:
            raise run.JobError("not every host could be put back: see above; "
                               "--restore does it when they can be reached"
                               ) from None
        raise


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inventory", required=True, metavar="FILE")
    parser.add_argument("--scenario", metavar="NAME")
    parser.add_argument("--set", default="default", metavar="SET")
    parser.add_argument("--seeds", type=positive, metavar="N",
                        help="instead of the scenario's number")
    parser.add_argument("--queries", type=positive, metavar="N",
                        help="instead of the scenario's number")
    parser.add_argument("--algorithms", metavar="A,B",
                        help="instead of the scenario's")
    parser.add_argument("--flows", metavar="A+B,C+D",
                        help="long flows, instead of the scenario's")
    parser.add_argument("--out", default=os.path.join(ROOT, "bench",
                                                          "out-hosts"),
                        metavar="DIR", type=os.path.abspath,
                        help="where results go (bench/out-hosts)")
    parser.add_argument("--restore", action="store_true",
                        help="only put back what a broken run has left")
    args = parser.parse_args()
    if not args.restore and not args.scenario:
        parser.error("--scenario NAME is needed")
    return parser, args


def choose_flows(parser, scenario, args):
    """Which long flows a scenario of those runs."""
    if args.algorithms or args.queries:
        parser.error("scenario %s is of long flows: it takes --flows, not "
                     "--algorithms or --queries" % scenario["name"])
    if args.flows is None:
        return
    # each once: a second row of the same is nothing new
    scenario["flows"] = list(dict.fromkeys(args.flows.split(",")))
    for flows in scenario["flows"]:
        if not scenarios.FLOWS.fullmatch(flows):
            parser.error("--flows %s: allowed is %s" % (
                flows, scenarios.ALLOWED[scenarios.FLOWS]))


def choose(parser, args, addresses):
    """The scenarios that are wanted, with what the options change in them."""
    chosen = scenarios.chosen(args.set, args.scenario)
    for scenario in chosen:
        if "flows" in scenario:
            choose_flows(parser, scenario, args)
        elif args.flows is not None:
            parser.error("--flows is for scenarios of long flows, and %s is "
                         "none" % scenario["name"])
        check_scenario(scenario, len(addresses) - 1)
        if args.algorithms:
            scenario["algorithms"] = args.algorithms.split(",")
            for name in scenario["algorithms"]:
                if name not in algorithms.NAMES:
                    parser.error("--algorithms %s: there are %s" % (
                        name, ", ".join(algorithms.NAMES)))
        if args.queries:
            scenario["queries"] = args.queries
        scenario["seed_list"] = list(range(
            1, (args.seeds or scenario["seeds"]) + 1))
        scenario |= {"params": [], "set": args.set, "trace": False,
                     "hosts": len(addresses)}
    return chosen


def variables_of(chosen, addresses, incast, collected):
    """What the playbook is told."""
    aggregator, *workers = addresses
    return {
        "jobs": [job for s in chosen for job in make_jobs(s, addresses)],
        "files": [incast, os.path.join(HERE, "host.sh")],
        "modules": modules(), "collected": collected,
        "rto_min_ms": chosen[0]["rto_min_ms"],
        "echo_address": "%s:%d" % (addresses[aggregator], ECHO_PORT),
        "peers": {name: [addresses[w] for w in workers] if name == aggregator
                  else [addresses[aggregator]] for name in addresses}}


def write_clocks(out, clocks):
    with open(os.path.join(out, "clocks.csv"), "w") as f:
        writer = csv.DictWriter(f, ["host"] + list(next(iter(
            clocks.values()))))
        writer.writeheader()
        writer.writerows({"host": n} | c for n, c in sorted(clocks.items()))


def main():
    parser, args = parse_options()
    if not shutil.which("ansible-playbook"):
        raise run.JobError("ansible-playbook is missing: apt-get install "
                           "ansible-core")
    if args.restore:
        with tempfile.TemporaryDirectory() as tmp:
            play(args.inventory, tmp, {"restore_only": True})
        return
    addresses = read_inventory(args.inventory)
    chosen = choose(parser, args, addresses)
    incast = os.path.join(ROOT, "build", "incast")
    if not os.path.exists(incast):
        raise run.JobError("build/incast is missing: make incast")
    collected = os.path.join(args.out, "collected")
    variables = variables_of(chosen, addresses, incast, collected)
    raw = report.make_room(args.out)
    os.makedirs(collected)
    run_on(args.inventory, args.out, variables)
    clocks = read_clocks(collected, list(addresses)[1:])
    spread_out(raw, collected, chosen, addresses, clocks)
    shutil.rmtree(collected)
    write_clocks(args.out, clocks)
    report.write(chosen, raw, args.out, " ".join(["bench/hosts/run.py"]
                                                 + sys.argv[1:]))
    print_clocks(clocks)
    print("\nreport: %s" % os.path.relpath(os.path.join(args.out,
                                                        "index.html")))


if __name__ == "__main__":
    try:
        main()
    except (run.JobError, scenarios.ScenarioError, OSError) as error:
        print("hosts: %s" % error, file=sys.stderr)
        sys.exit(1)
