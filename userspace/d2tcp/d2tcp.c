// SPDX-License-Identifier: GPL-2.0
/* The d2tcp command: picks the subcommand. */
#include <stdio.h>
#include <string.h>

#include "command.h"

static const char usage[] =
	"usage: d2tcp holders\n"
	"\n"
	"holders  list what keeps the module tcp_d2tcp from being unloaded: sockets\n"
	"         and threads inside a socket option, with their processes, and\n"
	"         network namespaces. Exit status 3 if there are any, 0 if nothing\n"
	"         holds it. Needs root\n";

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "holders"))
		return holders(argc - 1, argv + 1);
	if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "help"))) {
		fputs(usage, stdout);
		return 0;
	}
	if (argc > 1)
		fprintf(stderr, "d2tcp: there is no command '%s'\n", argv[1]);
	fputs(usage, stderr);
	return 2;
}
