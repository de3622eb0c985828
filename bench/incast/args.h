/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The command line of a part of incast, as a table with one row per option.
 */
#ifndef INCAST_ARGS_H
#define INCAST_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arg {
	const char *name;		/* without the dashes */
	enum {
		ARG_CALL,		/* call() parses the value */
		ARG_FLAG,		/* no value; to: bool */
		ARG_TEXT,		/* to: const char * */
		ARG_UINT,		/* min to max; to: unsigned int */
		ARG_U64,		/* min to max; to: uint64_t */
		ARG_REAL,		/* low to high; to: double */
		ARG_DIST,		/* to: struct dist */
	} kind;
	void *to;
	union {
		struct {
			uint64_t min, max;
		};
		struct {
			double low, high;
		};
		void (*call)(const char *option, char *text);
	};
	bool *given;			/* set to true if given; or NULL */
};

#define ARGS_MAX	40

/*
 * Parses the options. An unknown option or a wrong value ends the program with
 * an error message and status 2. @part names the part in messages.
 */
void parse_args(const char *part, int argc, char **argv,
		const struct arg *args, size_t count);

#endif /* INCAST_ARGS_H */
