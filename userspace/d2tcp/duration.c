// SPDX-License-Identifier: GPL-2.0
/* Durations on the command line. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "duration.h"

static const struct {
	const char *name;
	int64_t us;
} units[] = {
	{ "us", 1 },
	{ "ms", 1000 },
	{ "s", 1000000 },
};

/* The length of a unit in microseconds; 0 if there is no such unit. */
static int64_t unit_us(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (!strcmp(name, units[i].name))
			return units[i].us;
	return 0;
}

int64_t duration_us(const char *what, const char *text)
{
	size_t digits = strspn(text, "0123456789"), i;
	int64_t unit = unit_us(text + digits), us = 0;

	if (!digits || !unit) {
		fprintf(stderr, "%s: a whole number with a unit, us, ms or s, as in 20ms; not '%s'\n",
			what, text);
		return -1;
	}
	/* ends with at most 10 * INT_MAX + 9 */
	for (i = 0; i < digits && us <= INT_MAX; i++)
		us = 10 * us + (text[i] - '0');
	if (!us || us > INT_MAX / unit) {
		fprintf(stderr, "%s: from 1us to %ds, not '%s'\n", what,
			INT_MAX / 1000000, text);
		return -1;
	}
	return us * unit;
}
