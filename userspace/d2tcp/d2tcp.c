// SPDX-License-Identifier: GPL-2.0
/* The d2tcp command: calls the subcommand that its first argument names. */
#include <stdio.h>
#include <string.h>

#include <libd2tcp.h>

#include "command.h"

static const char usage[] =
	"usage: d2tcp default-budget [TIME|off [--save]]\n"
	"       d2tcp doctor [--json]\n"
	"       d2tcp enable UNIT [--budget TIME] [--expect TIME]\n"
	"       d2tcp disable UNIT\n"
	"       d2tcp holders\n"
	"       d2tcp route add PREFIX\n"
	"       d2tcp route del PREFIX\n"
	"       d2tcp run [--budget TIME] [--expect TIME] [--verbose] [--] PROGRAM ...\n"
	"       d2tcp stats [--json | --prometheus | --listen [ADDRESS:]PORT]\n"
	"       d2tcp watch [--interval TIME] [--count N] [--all] [--json]\n"
	"       d2tcp --version\n"
	"\n"
	"default-budget\n"
	"         show or set the budget of every burst that a socket under d2tcp sends\n"
	"         without a deadline of its own, in this network namespace. --save keeps\n"
	"         it across reboots.\n"
	"doctor   look for reasons why deadlines have no effect on this host, and say\n"
	"         what to do. As root, in every network namespace. The exit status is 3\n"
	"         if there are problems. --json prints one object.\n"
	"enable   like run, for a service of systemd: writes a drop-in file, which\n"
	"         disable removes. Needs root.\n"
	"holders  list the users that keep the module tcp_d2tcp from being unloaded:\n"
	"         sockets and threads inside a socket option, with their processes,\n"
	"         and network namespaces. The exit status is 3 if the module has\n"
	"         users, 0 if it has none. Needs root.\n"
	"route    put new connections to PREFIX under d2tcp, or no longer: adds congctl\n"
	"         d2tcp to its route. Without a route of its own, the prefix gets one by\n"
	"         the present next hop. Lost at reboot. Needs root.\n"
	"run      run PROGRAM, unmodified, with a standing budget on each of its TCP\n"
	"         sockets (--budget 20ms: under d2tcp, each burst of data is due that\n"
	"         long after its start), an expectation (--expect 30ms: the answer to\n"
	"         each request is due that long after it), or both. A shared library in\n"
	"         LD_PRELOAD sets them; a program that did not load it or that has no\n"
	"         TCP sockets is reported. --verbose also reports the number of sockets.\n"
	"         The exit status is the program's.\n"
	"stats    show the counters of every network namespace, as root; of the\n"
	"         current one otherwise. --json prints one object; --prometheus prints\n"
	"         text for the textfile collector of node_exporter; --listen serves\n"
	"         OpenMetrics at /metrics, on 127.0.0.1 unless an address is given.\n"
	"watch    show the flows with deadlines or expected answers, the most urgent\n"
	"         first, and refresh every second or --interval. --all shows every flow\n"
	"         under d2tcp too. Root sees the flows of all processes. --count ends it\n"
	"         after N lists; --json prints one object per line.\n";

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} verbs[] = {
	{ "default-budget", default_budget },
	{ "disable", disable },
	{ "doctor", doctor },
	{ "enable", enable },
	{ "holders", holders },
	{ "route", route },
	{ "run", run },
	{ "stats", stats },
	{ "watch", watch },
};

int main(int argc, char **argv)
{
	size_t i;

	for (i = 0; argc > 1 && i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (!strcmp(argv[1], verbs[i].name))
			return verbs[i].run(argc - 1, argv + 1);
	if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "help"))) {
		fputs(usage, stdout);
		return 0;
	}
	if (argc == 2 && !strcmp(argv[1], "--version")) {
		printf("d2tcp %d.%d.%d\n", LIBD2TCP_VERSION_MAJOR,
		       LIBD2TCP_VERSION_MINOR, LIBD2TCP_VERSION_PATCH);
		return 0;
	}
	if (argc > 1)
		fprintf(stderr, "d2tcp: unknown command '%s'\n", argv[1]);
	fputs(usage, stderr);
	return 2;
}
