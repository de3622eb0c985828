// SPDX-License-Identifier: GPL-2.0
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "args.h"
#include "util.h"

static void set(const struct arg *arg, const char *option, char *text)
{
	switch (arg->kind) {
	case ARG_CALL:
		arg->call(option, text);
		break;
	case ARG_FLAG:
		*(bool *)arg->to = true;
		break;
	case ARG_TEXT:
		*(const char **)arg->to = text;
		break;
	case ARG_UINT:
		*(unsigned int *)arg->to = parse_u64(option, text, arg->min,
						     arg->max);
		break;
	case ARG_U64:
		*(uint64_t *)arg->to = parse_u64(option, text, arg->min,
						 arg->max);
		break;
	case ARG_REAL:
		*(double *)arg->to = parse_real(option, text, arg->low,
						arg->high);
		break;
	case ARG_DIST:
		*(struct dist *)arg->to = parse_dist(option, text);
		break;
	}
	if (arg->given)
		*arg->given = true;
}

void parse_args(const char *part, int argc, char **argv,
		const struct arg *args, size_t count)
{
	struct option longs[ARGS_MAX + 1] = { 0 };
	char option[32];
	size_t i;
	int o;

	if (count > ARGS_MAX)
		die("%s has more options than ARGS_MAX", part);
	for (i = 0; i < count; i++) {
		longs[i].name = args[i].name;
		longs[i].has_arg = args[i].kind == ARG_FLAG ? no_argument :
							      required_argument;
		/* above '?', which getopt_long() returns for an error */
		longs[i].val = 256 + (int)i;
	}
	while ((o = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (o < 256)
			exit(2);
		snprintf(option, sizeof(option), "--%s", args[o - 256].name);
		set(&args[o - 256], option, optarg);
	}
	if (optind < argc)
		bad("%s: unexpected argument '%s'", part, argv[optind]);
}
