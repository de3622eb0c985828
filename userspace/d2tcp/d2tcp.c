// SPDX-License-Identifier: GPL-2.0
/* The d2tcp command: calls the subcommand that its first argument names. */
#include <stdio.h>
#include <string.h>

#include "command.h"

static const char usage[] =
	"usage: d2tcp holders\n"
	"\n"
	"holders  list the users that keep the module tcp_d2tcp from being unloaded:\n"
	"         sockets and threads inside a socket option, with their processes,\n"
	"         and network namespaces. The exit status is 3 if the module has\n"
	"         users, 0 if it has none. Needs root.\n";

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "holders"))
		return holders(argc - 1, argv + 1);
	if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "help"))) {
		fputs(usage, stdout);
		return 0;
	}
	if (argc > 1)
		fprintf(stderr, "d2tcp: unknown command '%s'\n", argv[1]);
	fputs(usage, stderr);
	return 2;
}
