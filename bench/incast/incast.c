// SPDX-License-Identifier: GPL-2.0
/*
 * incast - a fan-in load generator with deadlines.
 */
#include <stdio.h>
#include <string.h>

#include "parts.h"

static const char usage[] =
"usage: incast worker --listen WORKER... [--cc NAME] [--deadlines]\n"
"              [--shared-clock] [--clock-offset-ns N] [--dscp-us T,...]\n"
"       incast aggregate --worker ADDRESS:PORT[,CC]... --out FILE [OPTION]...\n"
"       incast flow --to ADDRESS:PORT --bytes N [--cc NAME] [--due-us N]\n"
"              [--claim-bytes N] [--wait-us N] [--sndbuf N] [--from ADDRESS]\n"
"              [--life-s N] [--tell]\n"
"       incast sink --listen ADDRESS:PORT[,CC]... --seconds N [--flows N]\n"
"              [--cc NAME] [--accept-s N] [--settle-ms N] [--at-ns N] [--tell]\n"
"       incast receive --listen ADDRESS:PORT --count N [--out FILE]\n"
"       incast train --to ADDRESS:PORT --id N --gap-ns NS --count N [--at NS]\n"
"       incast ping --to ADDRESS:PORT [--count N]\n"
"       incast clock --to ADDRESS:PORT [--count N]\n"
"\n"
"worker      sends a response of the requested size to each request. WORKER is\n"
"            [NETNS/]ADDRESS:PORT[,CC[+deadlines]]: where one worker listens, in\n"
"            which network namespace, and what overrides the options:\n"
"  --cc NAME              congestion control of the listener\n"
"  --deadlines            set the deadline of each response (needs d2tcp)\n"
"  --shared-clock         deadlines count from when the query was sent, by the\n"
"                         aggregator's clock; otherwise from its arrival\n"
"  --clock-offset-ns N    the same, when this clock is N ns ahead of that one\n"
"  --dscp-us T,...        mark packets by the time left to the deadline: CS5 up\n"
"                         to the first T, then CS4, CS3, CS2 (up to three T)\n"
"aggregate   sends queries to all workers over persistent connections and writes\n"
"            a CSV line per response: query, attempt (0, or the number of the\n"
"            retry), worker, bytes, deadline_ns (from when the query was sent,\n"
"            without slack), sent_ns (from the start of the run) and took_ns.\n"
"  --queries N            number of queries (100)\n"
"  --query-bytes N        size of all responses to a query together; each is\n"
"  --spread X             uniform in [1 - X, 1 + X] times an equal share (0)\n"
"  --response-bytes DIST  size of each response, instead of --query-bytes\n"
"  --deadline-ms DIST     deadline, from when the query was sent (none)\n"
"  --slack S              factor on the deadlines that workers are sent (1)\n"
"  --think-ms DIST        time that a worker waits before it responds (0)\n"
"  --jitter-ms DIST       further such time, to spread the responses (0)\n"
"  --min-gap-ms X         closed loop: next query when all responses are\n"
"                         complete, and at least X ms after the last query (0)\n"
"  --poisson RATE         open loop: Poisson arrivals, RATE queries per second\n"
"  --burst RATE,FROM,TO   another rate between two times in ms from the start\n"
"  --until-ms X           open loop: no new query after X ms\n"
"  --retries N            open loop: retry a query up to N times while it is not\n"
"                         complete by its last deadline (0)\n"
"  --retry-after-ms DIST  time from that deadline to the retry (0)\n"
"  --background N         long flows without deadlines beside the queries (0)\n"
"  --background-via P,CC  their port at the workers and congestion control\n"
"                         (those of the worker)\n"
"  --cc NAME              congestion control of the aggregator's sockets\n"
"  --seed N               seed of all random draws (1)\n"
"  --expect               declare deadline and size of each response to the\n"
"                         kernel (D2TCP_EXPECT) before its request is sent\n"
"  --dry-run              write the records without connecting or sending\n"
"  --start-at-ns N        start at this time of CLOCK_MONOTONIC (at once)\n"
"  --start-in-ms N        or N ms after all connections are established\n"
"            DIST: a number, \"uniform(a, b)\" or \"exponential(mean)\"\n"
"flow        writes messages of --bytes back to back, until the sink ends or for\n"
"            --life-s. --due-us: deadline of each message, from its first byte;\n"
"            --claim-bytes: claim this length for each; --wait-us: wait before\n"
"            connecting. When the sink ends, a d2tcp flow prints the mean of\n"
"            alpha, sampled from a second after connecting or, with --tell, from\n"
"            the sink's signal that it counts\n"
"sink        accepts --flows flows (1) at each address, lets them settle for\n"
"            --settle-ms (1000) or until --at-ns, a time of CLOCK_MONOTONIC, and\n"
"            counts for --seconds. It prints the sender's address and the bytes\n"
"            of each flow, in the order of the addresses, and receives for\n"
"            another second, so that several sinks can count at the same time.\n"
"            --accept-s: fail if the flows have not connected by then; --tell:\n"
"            signal the start of the count to each flow, by a byte\n"
"clock       prints how far the clock of incast receive is ahead of this one,\n"
"            and the round trip of that reading, both in ns\n"
"receive, train, ping     check an emulated link: UDP trains marked ECT(0) that\n"
"            carry their send times, and a UDP echo\n";

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*main)(int argc, char **argv);
	} parts[] = {
		{ "worker", worker_main },
		{ "aggregate", aggregate_main },
		{ "flow", flow_main },
		{ "sink", sink_main },
		{ "clock", clock_main },
		{ "receive", receive_main },
		{ "train", train_main },
		{ "ping", ping_main },
	};
	size_t i;

	if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
		fputs(usage, stdout);
		return 0;
	}
	for (i = 0; argc > 1 && i < sizeof(parts) / sizeof(parts[0]); i++)
		if (!strcmp(argv[1], parts[i].name))
			return parts[i].main(argc - 1, argv + 1);
	fputs(usage, stderr);
	return 2;
}
