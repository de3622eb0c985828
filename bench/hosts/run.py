#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Runs scenarios on real hosts, by Ansible: docs/hosts.md.

    bench/hosts/run.py --inventory FILE --scenario NAME [--set SET] [--seeds N]
                       [--algorithms A,B] [--flows A+B,C+D] [--out DIR]
    bench/hosts/run.py --inventory FILE --restore

The network is the hosts' own: of a scenario's topology only the fan-in and the minimum RTO
are used. A point's workers are spread over the worker hosts, several on each if there are
fewer hosts.
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
import guest  # noqa: E402
import load  # noqa: E402
import report  # noqa: E402
import run  # noqa: E402
from runs import link_name, runs  # noqa: E402
import scenario as scenarios  # noqa: E402

ECHO_PORT = 4999
ACCEPT_S = 60  # enough for Ansible to reach all hosts
PLAYBOOK = os.path.join(HERE, "play.yml")


def read_inventory(path):
    """Addresses in the measured network: {host: address}, aggregator first."""
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
    """The places where the workers of a point listen: hosts in turn, by port."""
    workers = list(addresses)[1:]
    return [load.Place(workers[i % len(workers)],
                       addresses[workers[i % len(workers)]],
                       load.PORT + 2 * (i // len(workers)))
            for i in range(point["fan_in"])]


def make_job(one, addresses):
    """The job of the playbook for a run of queries."""
    plan = load.plan(one.point, algorithms.members(one.algorithm), one.slack,
                     places(one.point, addresses))
    seeds = one.scenario["seed_list"]
    return {"text": one.text, "directory": one.block(seeds), "seeds": seeds,
            "load": [" ".join(word.replace(" ", "") for word in line)
                     for line in plan.aggregate],
            "workers": {host: " ".join(plan.workers_of(host))
                        for host in plan.listens}}


def make_flows_jobs(one, addresses):
    """The jobs of the playbook for a run of long flows, one per seed."""
    aggregator, *workers = addresses
    seconds = one.point["seconds"]
    within = ACCEPT_S + math.ceil(seconds) + 30
    plan = load.flows_by_signal(
        load.long_flows(one.point), addresses[aggregator],
        [addresses[worker] for worker in workers], seconds, ACCEPT_S, within)
    senders = {worker: [" ".join([str(i)] + line)]
               for i, (worker, line) in enumerate(zip(workers, plan.flows))}
    for seed in one.scenario["seed_list"]:
        yield {"text": "%s, seed %d" % (one.text, seed),
               "directory": os.path.join(one.block([seed]), "seed%d" % seed),
               "within_s": within, "sink": " ".join(plan.sinks[0]), "senders": senders,
               "sources": [addresses[worker] for worker in senders]}


def make_jobs(scenario, addresses):
    """The jobs of a scenario, for the playbook."""
    for one in runs(scenario):
        if "flows" in one.point:
            yield from make_flows_jobs(one, addresses)
        else:
            yield make_job(one, addresses)


def check_scenario(scenario, workers):
    """Refuses a scenario that cannot run on hosts."""
    for point in scenarios.points(scenario):
        count = point.get("flows", "").count("+") + 1
        if count > workers:
            # two flows of one host would share its link, not the switch port
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
    """The modules built by make module: {kernel release: path}."""
    found = {}
    build = os.path.join(ROOT, "build")
    for name in sorted(os.listdir(build)):
        path = os.path.join(build, name, "tcp_d2tcp.ko")
        if name.startswith("module-") and os.path.exists(path):
            found[name[len("module-"):]] = path
    return found


def play(inventory, out, variables):
    """Runs the playbook; its output goes to the terminal."""
    path = os.path.join(out, "variables.json")
    with open(path, "w") as f:
        json.dump(variables, f, indent=1, sort_keys=True)
    done = subprocess.run(
        ["ansible-playbook", "-i", inventory, PLAYBOOK, "-e", "@" + path],
        env=os.environ | {"ANSIBLE_NOCOWS": "1",
                          "ANSIBLE_RETRY_FILES_ENABLED": "0"}, check=False)
    if done.returncode:
        raise run.JobError("ansible-playbook failed (%d); its output above "
                           "names the host" % done.returncode)


def read_clocks(directory, workers):
    """The readings of each worker's clock, in us, and its largest change between two
    readings, which is the error that a job's deadlines may have.
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
    """Unpacks the archive of a host; refuses files whose names do not match `names`."""
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
                # "x": never replaces the file of another host
                with open(to, "xb") as f:
                    shutil.copyfileobj(packed.extractfile(member), f)
    except tarfile.TarError as error:
        raise run.JobError("%s: %s" % (path, error)) from None


def finish_flows(where, host):
    """Writes flows.json as guest.py does in the lab."""
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
    """Writes load.json and compresses the records, as in the lab."""
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
    """Arranges the collected records as run.py arranges those of the lab."""
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
    print("\nClocks, in us: a worker's offset from the aggregator's clock (known to "
          "half a round trip), its drift over the run, and its largest drift within "
          "a job")
    for name, c in sorted(clocks.items()):
        print("  %s: %+.1f ± %.1f, drift %+.1f, at most %.1f" % (
            name, c["ahead_us"], c["rtt_us"] / 2, c["gained_us"],
            c["most_in_a_job_us"]))
        if c["most_in_a_job_us"] > 500 + c["rtt_us"]:
            print("  %s: its clock drifts too much for deadlines of milliseconds; "
                  "synchronise both hosts to the same time server" % name)


def positive(text):
    if not re.fullmatch(r"[1-9]\d*", text):
        raise argparse.ArgumentTypeError("must be a whole number from 1, not '%s'" % text)
    return int(text)


def run_on(inventory, out, variables):
    """Runs the playbook; after a failure, restores the hosts."""
    name = secrets.token_hex(8)
    try:
        play(inventory, out, variables | {"restore_only": False,
                                          "run_name": name})
    except (run.JobError, KeyboardInterrupt):
        # when a host cannot be reached, Ansible stops and does not clean up the others
        print("\nhosts: failed; restoring the settings of all hosts")
        try:
            play(inventory, out, {"restore_only": True, "run_name": name})
        except run.JobError:
            raise run.JobError("some hosts could not be restored: see above; "
                               "run --restore when they can be reached"
                               ) from None
        raise


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inventory", required=True, metavar="FILE")
    parser.add_argument("--scenario", metavar="NAME")
    parser.add_argument("--set", default="default", metavar="SET")
    parser.add_argument("--seeds", type=positive, metavar="N",
                        help="this many instead of the scenario's number")
    parser.add_argument("--queries", type=positive, metavar="N",
                        help="this many instead of the scenario's number")
    parser.add_argument("--algorithms", metavar="A,B",
                        help="run these instead of the scenario's")
    parser.add_argument("--flows", metavar="A+B,C+D",
                        help="long flows to run instead of the scenario's")
    parser.add_argument("--out", default=os.path.join(ROOT, "bench",
                                                          "out-hosts"),
                        metavar="DIR", type=os.path.abspath,
                        help="where results go (bench/out-hosts)")
    parser.add_argument("--restore", action="store_true",
                        help="only restore the settings that an interrupted run changed")
    args = parser.parse_args()
    if not args.restore and not args.scenario:
        parser.error("--scenario NAME is needed")
    return parser, args


def flows_of(parser, scenario, args):
    """The long flows to run instead of the scenario's: changes of the scenario."""
    if args.algorithms or args.queries:
        parser.error("scenario %s is of long flows: it takes --flows, not "
                     "--algorithms or --queries" % scenario["name"])
    if args.flows is None:
        return {}
    # each once: repeating one would only repeat its row
    flows = list(dict.fromkeys(args.flows.split(",")))
    for one in flows:
        if not scenarios.FLOWS.fullmatch(one):
            parser.error("--flows %s: allowed is %s" % (
                one, scenarios.ALLOWED[scenarios.FLOWS]))
    return {"flows": flows}


def queries_of(parser, scenario, args):
    """The algorithms and queries to run instead of the scenario's."""
    changes = {}
    if args.flows is not None:
        parser.error("--flows is for scenarios of long flows, and %s is "
                     "none" % scenario["name"])
    if args.algorithms:
        changes["algorithms"] = args.algorithms.split(",")
        for name in changes["algorithms"]:
            if name not in algorithms.NAMES:
                parser.error("--algorithms %s: there are %s" % (
                    name, ", ".join(algorithms.NAMES)))
    if args.queries:
        changes["queries"] = args.queries
    return changes


def choose(parser, args, addresses):
    """The scenarios to run, with the changes that the options make in them."""
    for scenario in scenarios.chosen(args.set, args.scenario):
        mine = flows_of(parser, scenario, args) if "flows" in scenario else \
            queries_of(parser, scenario, args)
        # the switch marks as it does
        if "marker" in scenario:
            mine["marker"] = None
        scenario = scenarios.with_options(
            scenario, **mine, trace=False, hosts=len(addresses),
            seed_list=list(range(1, (args.seeds or scenario["seeds"]) + 1)))
        check_scenario(scenario, len(addresses) - 1)
        yield scenario


def variables_of(chosen, addresses, incast, collected):
    """The variables of the playbook."""
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
    chosen = list(choose(parser, args, addresses))
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
