// SPDX-License-Identifier: GPL-2.0
/*
 * d2tcp default-budget: the budget of every burst that a socket under d2tcp sends without
 * a deadline of its own; the namespace's sysctl default_budget_us.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "duration.h"

#define SETTING	"/proc/sys/net/ipv4/d2tcp/default_budget_us"
#define SAVED	"/etc/sysctl.d/60-d2tcp-default-budget.conf"
#define NEW	SAVED ".new"

static const char usage[] =
	"usage: d2tcp default-budget\n"
	"       d2tcp default-budget TIME|off [--save]\n"
	"TIME is a whole number with a unit, us, ms or s, as in 20ms.\n";

static int wrong(const char *format, const char *text)
{
	fprintf(stderr, "d2tcp default-budget: ");
	fprintf(stderr, format, text);
	fprintf(stderr, "\n%s", usage);
	return 2;
}

static int failed(const char *file)
{
	fprintf(stderr, "d2tcp default-budget: %s: %s\n", file, strerror(errno));
	return 1;
}

static FILE *open_setting(const char *mode)
{
	FILE *f = fopen(SETTING, mode);

	if (!f && errno == ENOENT)
		fprintf(stderr, "d2tcp default-budget: the module tcp_d2tcp is not loaded; load it with modprobe tcp_d2tcp\n");
	else if (!f)
		failed(SETTING);
	return f;
}

static int show(void)
{
	FILE *f = open_setting("r");
	int64_t us = 0;
	int n;

	if (!f)
		return 1;
	n = fscanf(f, "%" SCNd64, &us);
	fclose(f);
	if (n != 1)
		return failed(SETTING);
	if (us)
		printf("%" PRId64 "us\n", us);
	else
		puts("off");
	return 0;
}

static int write_number(FILE *f, const char *name, const char *before, int64_t us)
{
	int err;

	if (!f)
		return 1;
	err = fprintf(f, "%s%" PRId64 "\n", before, us) < 0;
	/* the kernel refuses a value when it is written */
	err |= fclose(f);
	return err ? failed(name) : 0;
}

/* Writes the file of sysctl(8) beside its place first, so that nothing is changed if that
 * is not possible.
 */
static int set(int64_t us, bool save)
{
	FILE *f;

	if (save && us) {
		f = fopen(NEW, "w");
		if (!f)
			return failed(NEW);
		if (write_number(f, NEW, "# by d2tcp default-budget --save\n"
				 "net.ipv4.d2tcp.default_budget_us = ", us))
			return 1;
	}
	if (write_number(open_setting("w"), SETTING, "", us)) {
		if (save && us)
			unlink(NEW);
		return 1;
	}
	if (save && us && rename(NEW, SAVED))
		return failed(SAVED);
	if (save && !us && unlink(SAVED) && errno != ENOENT)
		return failed(SAVED);
	return 0;
}

int default_budget(int argc, char **argv)
{
	bool save = argc == 3 && !strcmp(argv[2], "--save");
	int64_t us = 0;

	if (argc == 1)
		return show();
	if (argc == 2 && !strcmp(argv[1], "--help")) {
		fputs(usage, stdout);
		return 0;
	}
	if (argc > 3 || (argc == 3 && !save))
		return wrong("unexpected argument '%s'", argv[argc > 3 ? 3 : 2]);
	if (strcmp(argv[1], "off")) {
		us = duration_us("d2tcp default-budget", argv[1]);
		if (us < 0)
			return 2;
	}
	return set(us, save);
}
