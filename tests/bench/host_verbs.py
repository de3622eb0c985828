#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Runs the verbs of bench/hosts/host.sh on a lab host, for test_hosts.py.

host_verbs.py OUT MODULE, inside the lab. Writes OUT/verbs.json.
"""

import json
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "bench"))
import network  # noqa: E402
import guest  # noqa: E402

SCRIPT = os.path.join(ROOT, "bench", "hosts", "host.sh")
POINT = network.DEFAULTS | {"topology": "star", "rto_min_ms": 7, "fan_in": 2}
DIR = "/var/tmp/verbs"  # in the lab, where nothing else uses it


def look(host):
    """The state that a run may change, read without host.sh."""
    done = subprocess.run(host.command([
        "sh", "-c", "ip -4 route show table all; cat "
        "/proc/sys/net/ipv4/tcp_no_metrics_save; sed 's/ .*//' /proc/modules; "
        "ls /var/tmp"]), stdout=subprocess.PIPE, check=True)
    return done.stdout.decode()


def verb(host, *args):
    done = subprocess.run(host.command(["bash", SCRIPT] + list(args)),
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          check=False)
    return done.returncode, done.stdout.decode()


def settled(net, offset_ns):
    """The module's counters after 20 deadlines of a worker with this offset."""
    agg, worker = net.aggregators[0], net.workers[0]
    code, said = verb(worker, "start", DIR, "worker", "worker", "--listen",
                      worker.ip + ":6000,d2tcp+deadlines",
                      "--clock-offset-ns", str(offset_ns))
    if code:
        raise SystemExit(said)
    net.run(agg, [guest.INCAST, "aggregate", "--worker",
                  worker.ip + ":6000,d2tcp", "--queries", "20",
                  "--query-bytes", "5000", "--deadline-ms", "50", "--out",
                  "/dev/null"])
    verb(worker, "stop", DIR)
    # a message settles when it is acknowledged; the last ACK may be delayed
    subprocess.run(["sleep", "1"], check=True)
    with worker, open("/proc/net/d2tcp") as f:
        return {k: int(v) for k, v in (line.split() for line in f)}


def long_flows(net, found):
    """Long flows to the aggregator: failures, then one from each worker."""
    agg, *workers = net.aggregators + net.workers
    dirs = [DIR, DIR + "-too"]
    os.makedirs(dirs[1], 0o700)
    shutil.copy(guest.INCAST, dirs[1])
    out = DIR + "/out/flows"
    ends = [agg.ip + ":6100,d2tcp", agg.ip + ":6101,reno"]
    found["refused"] = verb(workers[0], "flows", DIR, out, "3 --bytes 1 --to "
                            + ends[0])
    sink = ["sink", DIR, "--seconds", "1", "--accept-s", "5", "--tell",
            "--listen", ends[0], "--listen", ends[1]]
    sources = [w.ip for w in workers]
    verb(agg, *sink)
    found["alone"] = verb(agg, "sunk", DIR, out, "30", *sources)
    # a flow from another host than the expected one
    verb(agg, "sink", DIR, "--seconds", "1", "--listen", ends[1])
    verb(workers[0], "flows", DIR, out, "0 --bytes 1000 --to " + ends[1])
    found["stranger"] = verb(agg, "sunk", DIR, out, "30", workers[1].ip)
    verb(workers[0], "flowed", DIR)
    # a flow that ends while it is counted
    verb(agg, "sink", DIR, "--seconds", "9", "--listen", ends[1])
    verb(workers[0], "flows", DIR, out, "0 --bytes 1000 --life-s 5 --to "
         + ends[1])
    found["ended"] = verb(agg, "sunk", DIR, out, "30", workers[0].ip)
    # no flow connects in time, so the sink must be stopped
    verb(agg, "sink", DIR, "--seconds", "1", "--listen", ends[1])
    found["slow"] = [verb(agg, "sunk", DIR, out, "1", workers[0].ip),
                     verb(agg, "stop", DIR)]
    found["slow-left"] = subprocess.run(
        ["pgrep", "-fc", "incast sink"], check=False,
        stdout=subprocess.PIPE).stdout.decode().strip()
    said = [verb(agg, *sink)]
    said += [verb(workers[i], "flows", dirs[i], out,
                  "%d --bytes 200000 --to %s --from %s --life-s 60 --tell"
                  % (i, ends[i], sources[i])) for i in (0, 1)]
    said.append(verb(agg, "sunk", DIR, out, "30", *sources))
    said += [verb(workers[i], "flowed", dirs[i]) for i in (0, 1)]
    found["flows"] = said
    found["alphas"] = []
    for i in (0, 1):
        with open("%s/flow-%d" % (out, i)) as f:
            found["alphas"].append(f.read().strip())
    with open(out + "/host.json") as f:
        found["flows-host"] = f.read()
    shutil.rmtree(dirs[1])


def main():
    out, module = sys.argv[1:]
    net = network.Network(POINT)
    agg, worker = net.aggregators[0], net.workers[0]
    worker.set_sysctl("net/ipv4/tcp_no_metrics_save", 0)
    found = {"before": look(worker)}
    os.makedirs(DIR)
    os.chmod(DIR, 0o755)
    found["open"] = verb(worker, "restore", DIR)
    os.chmod(DIR, 0o700)
    shutil.copy(guest.INCAST, DIR)
    shutil.copy(module, DIR)
    found["busy"] = verb(worker, "free", DIR)
    found["prepare"] = verb(worker, "prepare", DIR, "10", agg.ip)
    found["prepared"] = look(worker)
    found["nonsense"] = verb(worker, "start", DIR, "w", "worker", "--listen",
                             "nowhere")
    found["settled"] = [settled(net, 0)]
    found["settled"].append(settled(net, -10**9))
    verb(worker, "start", DIR, "worker", "worker", "--listen",
         worker.ip + ":6000")
    # two services; this host is the aggregator too
    with open(DIR + "/load", "w") as f:
        for size in ("5000", "6000"):
            f.write("--worker %s:6000 --queries 3 --response-bytes %s "
                    "--deadline-ms uniform(10,20)\n" % (worker.ip, size))
    found["load"] = verb(worker, "load", DIR, DIR + "/out/load", "7")
    with open(DIR + "/out/load/host.json") as f:
        found["host"] = f.read()
    found["files"] = sorted(os.listdir(DIR + "/out/load"))
    long_flows(net, found)
    verb(worker, "name", DIR, "mine")
    found["other"] = verb(worker, "restore", DIR, "yours"), os.path.exists(DIR)
    # a difference that restore cannot undo is reported, and DIR stays
    subprocess.run(worker.command(["ip", "route", "add", "10.9.0.0/16", "dev",
                                   "eth0"]), check=True)
    found["unlike"] = verb(worker, "restore", DIR)
    found["kept"] = os.path.exists(DIR)
    subprocess.run(worker.command(["ip", "route", "del", "10.9.0.0/16"]),
                   check=True)
    found["restore"] = verb(worker, "restore", DIR, "mine")
    found["after"] = look(worker)
    found["left"] = subprocess.run(["pgrep", "-c", "incast"], check=False,
                                   stdout=subprocess.PIPE).stdout.decode()
    found["free"] = verb(worker, "free", DIR)
    found["again"] = verb(worker, "restore", DIR)
    with open(os.path.join(out, "verbs.json"), "w") as f:
        json.dump(found, f)
    net.stop()


if __name__ == "__main__":
    main()
