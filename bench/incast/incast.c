// SPDX-License-Identifier: GPL-2.0
/*
 * incast - a fan-in load generator with deadlines.
 */
#include <stdio.h>
#include <string.h>

#include "parts.h"

static const char usage[] =
"usage: incast worker --listen LEAF... [--cc NAME] [--deadlines]\n"
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
"worker      answers each request with the size it asks for. LEAF is\n"
"            [NETNS/]ADDRESS:PORT[,CC[+deadlines]]: where one leaf listens, in\n"
"            which network namespace, and what differs from the options:\n"
"  --cc NAME              congestion control of the listener\n"
"  --deadlines            give each answer its deadline first (needs d2tcp)\n"
"  --shared-clock         deadlines count from the sending of the query by the\n"
"                         aggregator's clock, else from its arrival\n"
"  --clock-offset-ns N    the same, when this clock is N ahead of that one\n"
"  --dscp-us T,...        mark packets by the time left until the deadline: CS5 up\n"
"                         to the first T, then CS4, CS3, CS2 (up to three T)\n"
"aggregate   queries all workers over persistent connections and writes a CSV\n"
"            line per response: query, attempt (0, or the how manieth retry),\n"
"            worker, bytes, deadline_ns (from the sending of the query, without\n"
"            slack), sent_ns (from the start of the run) and took_ns. Options:\n"
"  --queries N            how many (100)\n"
"  --query-bytes N        of all answers to a query together, with\n"
"  --spread X             each uniform in [1 - X, 1 + X] times its share (0)\n"
"  --response-bytes DIST  or the size of each answer\n"
"  --deadline-ms DIST     from the sending of the query (none)\n"
"  --slack S              multiplies the deadlines that workers hear (1)\n"
"  --think-ms DIST        each worker waits so long before it answers (0)\n"
"  --jitter-ms DIST       and so long on top, to spread the answers (0)\n"
"  --min-gap-ms X         closed loop: the next query when all answers are in,\n"
"                         and at least X ms after the last one was sent (0)\n"
"  --poisson RATE         open loop: queries at random, RATE a second\n"
"  --burst RATE,FROM,TO   another rate between two times in ms from the start\n"
"  --until-ms X           open loop: no query after so long\n"
"  --retries N            open loop: ask again, up to N times, what is not complete\n"
"                         at the last of its deadlines (0)\n"
"  --retry-after-ms DIST  so long after that deadline (0)\n"
"  --background N         long flows without deadlines beside the queries (0)\n"
"  --background-via P,CC  at this port of the workers, under this control (that\n"
"                         of the worker)\n"
"  --cc NAME              congestion control of the aggregator's sockets\n"
"  --seed N               of all that is drawn (1)\n"
"  --dry-run              write what would be asked, and ask nobody\n"
"  --start-at-ns N        start at this time of CLOCK_MONOTONIC (at once)\n"
"  --start-in-ms N        or so long after all connections are there\n"
"            DIST: a number, \"uniform(a, b)\" or \"exponential(mean)\"\n"
"flow        writes messages of so many bytes back to back, for ever or --life-s.\n"
"            --due-us: each is due so long after its first byte is written;\n"
"            --claim-bytes: and is said to be that long; --wait-us: before it\n"
"            connects. At the end of the sink it prints the mean of alpha, under\n"
"            d2tcp, from a second after the start or, with --tell, from when the\n"
"            sink counts\n"
"sink        takes so many flows (1) at each address, lets them settle (1000 ms, or\n"
"            until --at-ns, a time of CLOCK_MONOTONIC), counts for some seconds,\n"
"            prints the sender's address and the bytes of each, in the order of the\n"
"            addresses, and takes on for another second, so that several can count\n"
"            at the same time. --accept-s: fails when they have not come by then;\n"
"            --tell: tells each by a byte when it begins to count\n"
"clock       how far the clock of incast receive is ahead of this one, in ns, and\n"
"            the round trip that it was read in: offset, round trip\n"
"receive, train, ping     check an emulated link: UDP trains marked ECT(0) that\n"
"            carry their time of sending, and a UDP echo\n";

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
