# SPDX-License-Identifier: GPL-2.0
"""The load generator's command lines, for the lab, real hosts and Mininet's prompt.

bench/incast/incast.c lists the options of each part. A command line is a list
of words, without the name of the program.
"""

import dataclasses

import algorithms
import scenario as scenarios

PORT, BACKGROUND_PORT = 5000, 5001
# Options of long flows: deadlines so near or so far that d stays at its bound.
CLAIMS = {"": [], "near": ["--due-us", "1000000", "--claim-bytes", "2130706432"],
          "far": ["--due-us", "1000000000", "--claim-bytes", "200000"]}


@dataclasses.dataclass(frozen=True)
class Place:
    """Where one worker listens; a host may have several workers."""

    host: str
    ip: str
    port: int = PORT


@dataclasses.dataclass
class Plan:
    """The command lines of one point under one algorithm."""

    # of the workers' hosts: {host: the arguments of --listen}
    listens: dict
    # options that every worker process gets
    worker: list
    # of the aggregator, one line per service
    aggregate: list

    def workers_of(self, host):
        """The line of a process that runs the workers of one host."""
        return self.worker + _each("--listen", self.listens[host])

    def all_workers(self):
        """The line of one process that runs all workers. Their hosts are network
        namespaces, and share the aggregator's clock.
        """
        return ["--shared-clock"] + self.worker + _each("--listen", [
            "%s/%s" % (host, end) for host, ends in self.listens.items()
            for end in ends])


@dataclasses.dataclass
class FlowPlan:
    """The command lines of the long flows of one point."""

    # of the aggregator, one line per sink
    sinks: list
    # of the workers, one line per flow
    flows: list


def _each(option, values):
    return [word for value in values for word in (option, value)]


def services_of(point):
    """The settings of each service: the point's, overridden by its own."""
    own = point.get("services") or [{}] * point.get("aggregators", 1)
    return [point | service for service in own]


def class_limits_us(point, slack):
    """Limits of the priority classes; each has a quarter of the deadlines."""
    mixture = [(service.get("share", 1), str(service["deadline_ms"]))
               for service in services_of(point)]
    limits = [scenarios.quantile(mixture, q / 4) * slack * 1000
              for q in (1, 2, 3)]
    return ",".join(str(max(i + 1, round(v))) for i, v in enumerate(limits))


def background_of(point, members):
    """The algorithm of the long flows beside the queries."""
    name = point.get("background")
    return algorithms.BY_NAME[name] if name else members[0]


def plan(point, members, slack, places):
    """The Plan for a list of Places; worker i runs members[i % n]."""
    background = background_of(point, members)
    ask, listens = [], {}
    for i, place in enumerate(places):
        member = members[i % len(members)]
        end = "%s:%d,%s" % (place.ip, place.port, member.cc)
        ask += ["--worker", end]
        mine = listens.setdefault(place.host, [])
        mine.append(end + ("+deadlines" if member.deadlines else ""))
        # one sender of long flows per host
        if point["background_flows"] and place.port == PORT:
            mine.append("%s:%d,%s" % (place.ip, BACKGROUND_PORT, background.cc))
    worker = ["--dscp-us", class_limits_us(point, slack)] \
        if members[0].priorities else []
    lines = [["--slack", repr(slack)] + (
        ["--expect"] if members[0].grants else []) + ask + requests(service, members[0])
             for service in services_of(point)]
    lines[0] += ["--background", str(point["background_flows"]),
                 "--background-via", "%d,%s" % (BACKGROUND_PORT, background.cc)]
    return Plan(listens, worker, lines)


def requests(service, algorithm):
    """The aggregator's options for sizes, deadlines, delays and arrivals."""
    args = ["--queries", str(service["queries"]),
            "--deadline-ms", str(service["deadline_ms"]),
            "--think-ms", str(service["think_ms"])]
    if "response_bytes" in service:
        args += ["--response-bytes", str(service["response_bytes"])]
    else:
        args += ["--query-bytes", str(service["query_bytes"]),
                 "--spread", str(service["response_spread"])]
    if algorithm.jitter:
        args += ["--jitter-ms", str(service["jitter_ms"])]
    if "arrival" not in service:
        return args + ["--min-gap-ms", str(service["min_gap_ms"])]
    return args + open_loop(service)


def open_loop(service):
    """Options of an open loop: queries do not wait for earlier responses."""
    args = ["--poisson", service["arrival"][len("poisson("):-1]]
    if "burst_rate" in service:
        args += ["--burst", "%r,%r,%r" % (
            service["burst_rate"], service["burst_from_ms"],
            service["burst_to_ms"])]
    if "until_ms" in service:
        args += ["--until-ms", str(service["until_ms"])]
    if service.get("retries"):
        args += ["--retries", str(service["retries"]),
                 "--retry-after-ms", str(service["retry_after_ms"])]
    return args


def long_flows(point):
    """The long flows of a point: [(algorithm, claim)], claim a key of CLAIMS."""
    return [(algorithms.BY_NAME[name], claim) for name, claim in (
        (flow + ":").split(":")[:2] for flow in point["flows"].split("+"))]


def flows_by_clock(flows, ip, seconds, at_ns, waits_us):
    """The FlowPlan where all processes share a clock: all sinks count from `at_ns`.

    `flows` are those of long_flows(); `ip` is the aggregator's address. There is a
    sink for each congestion control, because the listener decides whether ECN is used.
    """
    ends = {cc: "%s:%d" % (ip, PORT + i)
            for i, cc in enumerate(sorted({a.cc for a, _ in flows}))}
    return FlowPlan(
        [["--listen", end, "--cc", cc,
          "--flows", str(sum(a.cc == cc for a, _ in flows)),
          "--seconds", str(seconds), "--at-ns", str(at_ns)]
         for cc, end in ends.items()],
        [["--to", ends[a.cc], "--cc", a.cc, "--wait-us", str(wait_us)]
         + claim_options(claim) for (a, claim), wait_us in zip(flows, waits_us)])


def flows_by_signal(flows, ip, sources, seconds, accept_s, life_s):
    """The FlowPlan for hosts with clocks of their own: the sink sends each flow a
    signal when it begins to count.

    `sources` are the addresses of the flows. Each flow has a port of the sink to itself.
    Every process has a time limit, in case another one fails: the sink waits at most
    `accept_s` for its flows, which end after `life_s`.
    """
    ends = ["%s:%d,%s" % (ip, PORT + i, a.cc) for i, (a, _) in enumerate(flows)]
    return FlowPlan(
        [["--seconds", str(seconds), "--settle-ms", "2000", "--accept-s", str(accept_s),
          "--tell"] + _each("--listen", ends)],
        [["--to", end, "--from", source, "--life-s", str(life_s), "--tell"]
         + claim_options(claim)
         for end, source, (_, claim) in zip(ends, sources, flows)])


def claim_options(claim):
    """Options of a long flow; `claim` is a key of CLAIMS or a list of options."""
    args = CLAIMS[claim] if isinstance(claim, str) else claim
    return args if "--bytes" in args else args + ["--bytes", "200000"]
