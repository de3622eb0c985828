// SPDX-License-Identifier: GPL-2.0
/*
 * incast - a fan-in load generator with deadlines.
 */
#include <stdio.h>
#include <string.h>

#include "parts.h"

static const char usage[] =
"usage: incast worker --listen ADDRESS:PORT [--cc NAME] [--deadlines]\n"
"              [--shared-clock]\n"
"       incast aggregate --worker ADDRESS:PORT... --out FILE [OPTION]...\n"
"       incast receive --listen ADDRESS:PORT --count N [--out FILE]\n"
"       incast train --to ADDRESS:PORT --id N --gap-ns NS --count N [--at NS]\n"
"       incast ping --to ADDRESS:PORT [--count N]\n"
"\n"
"worker      answers each request with the size it asks for. --deadlines: gives\n"
"            each answer its deadline first (needs --cc d2tcp). --shared-clock:\n"
"            deadlines count from the sending of the query by the aggregator's\n"
"            clock, else from its arrival\n"
"aggregate   queries all workers over persistent connections and writes a CSV\n"
"            line per response: query, worker, bytes, deadline_ns (from the\n"
"            sending of the query, without slack), sent_ns (from the start of the\n"
"            run) and took_ns. Options:\n"
"  --queries N            how many (100)\n"
"  --query-bytes N        of all answers to a query together, with\n"
"  --spread X             each uniform in [1 - X, 1 + X] times its share (0)\n"
"  --response-bytes DIST  or the size of each answer\n"
"  --deadline-ms DIST     from the sending of the query (none)\n"
"  --slack S              multiplies the deadlines that workers hear (1)\n"
"  --think-ms DIST        each worker waits so long before it answers (0)\n"
"  --min-gap-ms X         closed loop: the next query when all answers are in,\n"
"                         and at least X ms after the last one was sent (0)\n"
"  --poisson RATE         open loop: queries at random, RATE a second\n"
"  --background N         long flows without deadlines beside the queries (0)\n"
"  --cc NAME              congestion control of the aggregator's sockets\n"
"  --seed N               of all that is drawn (1)\n"
"  --dry-run              write what would be asked, and ask nobody\n"
"  --start-align-ms X     start at a multiple of X ms of the clock (0: at once)\n"
"            DIST: a number, \"uniform(a, b)\" or \"exponential(mean)\"\n"
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
