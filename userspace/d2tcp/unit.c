// SPDX-License-Identifier: GPL-2.0
/*
 * d2tcp enable, disable: `d2tcp run` for a service of systemd. A drop-in file of the unit
 * preloads the shim into the service.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"
#include "duration.h"
#include "preload.h"
#include "program.h"
#include "shim.h"

static const char enable_usage[] =
	"usage: d2tcp enable UNIT [--budget TIME] [--expect TIME] [--root DIR]\n"
	"TIME is a whole number with a unit, us, ms or s, as in 20ms. The file is written\n"
	"below DIR instead of / if that is given.\n";
static const char disable_usage[] = "usage: d2tcp disable UNIT [--root DIR]\n";

#define DROP_IN	"60-d2tcp.conf"

struct options {
	const char *command, *usage;
	char unit[NAME_MAX];
	const char *root;
	int64_t budget_us, expect_us;
};

static int wrong(const struct options *o, const char *format, const char *text)
{
	fprintf(stderr, "d2tcp %s: ", o->command);
	fprintf(stderr, format, text);
	fprintf(stderr, "\n%s", o->usage);
	return 2;
}

static int failed(const struct options *o, const char *file)
{
	fprintf(stderr, "d2tcp %s: %s: %s\n", o->command, file, strerror(errno));
	return 1;
}

/* Names of units are those of systemd.unit(5); only services run programs. */
static int take_unit(struct options *o, const char *name)
{
	const char *type = strrchr(name, '.');

	if (!*name || strlen(name) >= sizeof(o->unit) - strlen(".service") ||
	    name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			"0123456789:-_.\\@")] || *name == '.')
		return wrong(o, "'%s' is no name of a unit", name);
	if (type && (!strcmp(type, ".socket") || !strcmp(type, ".timer") ||
		     !strcmp(type, ".target") || !strcmp(type, ".slice")))
		return wrong(o, "'%s' is not a service", name);
	snprintf(o->unit, sizeof(o->unit), "%s%s", name,
		 type && !strcmp(type, ".service") ? "" : ".service");
	return 0;
}

static int take_time(const struct options *o, const char *name, const char *text,
		     int64_t *us)
{
	char what[40];

	snprintf(what, sizeof(what), "d2tcp %s: %s", o->command, name);
	*us = duration_us(what, text);
	return *us < 0 ? 2 : 0;
}

static int take_option(struct options *o, const char *name, const char *value,
		       bool times)
{
	bool budget = times && !strcmp(name, "--budget");
	bool expect = times && !strcmp(name, "--expect");

	if (!budget && !expect && strcmp(name, "--root"))
		return wrong(o, "unknown option '%s'", name);
	if (!value)
		return wrong(o, "%s needs a value", name);
	if (budget)
		return take_time(o, name, value, &o->budget_us);
	if (expect)
		return take_time(o, name, value, &o->expect_us);
	o->root = value;
	return 0;
}

static int take_options(struct options *o, int argc, char **argv, bool times)
{
	int i, err;

	o->root = "";
	for (i = 1; i < argc; i++) {
		if (argv[i][0] != '-' && *o->unit)
			return wrong(o, "unexpected argument '%s'", argv[i]);
		if (argv[i][0] != '-') {
			err = take_unit(o, argv[i]);
		} else {
			err = take_option(o, argv[i], argv[i + 1], times);
			i++;
		}
		if (err)
			return err;
	}
	if (!*o->unit)
		return wrong(o, "%s", "a UNIT is required");
	if (times && !o->budget_us && !o->expect_us)
		return wrong(o, "%s", "--budget, --expect or both are required");
	return 0;
}

/* A property of the unit, without the newline. */
static int property(const struct options *o, const char *name, char *value,
		    size_t size)
{
	const char *const argv[] = { "systemctl", "show", "--value", "--property",
				     name, o->unit, NULL };

	if (program_read(argv, value, size))
		return 1;
	value[strcspn(value, "\n")] = 0;
	return 0;
}

/* Whether the program loads shared libraries. A script does by its interpreter. */
static bool is_static(const char *path)
{
	Elf64_Phdr program;
	bool found = false;
	Elf64_Ehdr head;
	int fd, i;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (read(fd, &head, sizeof(head)) == sizeof(head) &&
	    !memcmp(head.e_ident, ELFMAG, SELFMAG) &&
	    head.e_ident[EI_CLASS] == ELFCLASS64) {
		found = true;
		for (i = 0; i < head.e_phnum; i++)
			if (pread(fd, &program, sizeof(program), head.e_phoff +
				  (off_t)i * head.e_phentsize) == sizeof(program) &&
			    program.p_type == PT_INTERP)
				found = false;
	}
	close(fd);
	return found;
}

/* Refuses a unit that does not exist, or in which the shim would have no effect. */
static int check_unit(const struct options *o)
{
	char text[4096], path[PATH_MAX];
	const char *at;

	if (property(o, "LoadState", text, sizeof(text)))
		return 1;
	if (strcmp(text, "loaded")) {
		fprintf(stderr, "d2tcp %s: systemd has no unit %s (%s)\n", o->command,
			o->unit, text);
		return 1;
	}
	if (property(o, "ExecStart", text, sizeof(text)))
		return 1;
	at = strstr(text, "path=");
	if (!at)
		return 0;
	at += strlen("path=");
	snprintf(path, sizeof(path), "%.*s", (int)strcspn(at, " ;"), at);
	if (is_static(path)) {
		fprintf(stderr, "d2tcp %s: %s is statically linked and loads no library; use d2tcp route\n",
			o->command, path);
		return 1;
	}
	return 0;
}

/* The libraries that the unit preloads already, with ":" before them, or nothing. */
static int preloaded(const struct options *o, const char *shim, char *list, size_t size)
{
	char text[4096], *word, *rest;

	*list = 0;
	if (property(o, "Environment", text, sizeof(text)))
		return 1;
	for (word = strtok_r(text, " ", &rest); word;
	     word = strtok_r(NULL, " ", &rest)) {
		if (strncmp(word, "LD_PRELOAD=", 11))
			continue;
		word += 11;
		/* by an earlier call */
		if (!strncmp(word, shim, strlen(shim)))
			word += strlen(shim);
		snprintf(list, size, "%s%s", *word && *word != ':' ? ":" : "", word);
	}
	return 0;
}

static int reload(const struct options *o, const char *done)
{
	const char *const argv[] = { "systemctl", "daemon-reload", NULL };
	char output[256];

	if (program_read(argv, output, sizeof(output)))
		return 1;
	printf("%s; systemctl restart %s applies it\n", done, o->unit);
	return 0;
}

static int make_directories(const struct options *o, char *path)
{
	char *at;

	for (at = strchr(path + strlen(o->root) + 1, '/'); at; at = strchr(at + 1, '/')) {
		*at = 0;
		if (mkdir(path, 0755) && errno != EEXIST)
			return failed(o, path);
		*at = '/';
	}
	return 0;
}

static int write_drop_in(const struct options *o, const char *path, const char *shim,
			 const char *others)
{
	char new[PATH_MAX + 8];
	int bad;
	FILE *f;

	snprintf(new, sizeof(new), "%s.new", path);
	f = fopen(new, "w");
	if (!f)
		return failed(o, new);
	fprintf(f, "# by d2tcp enable; d2tcp disable removes it\n[Service]\n"
		"Environment=LD_PRELOAD=%s%s\n", shim, others);
	if (o->budget_us)
		fprintf(f, "Environment=" PRELOAD_BUDGET "=%" PRId64 "\n",
			o->budget_us);
	if (o->expect_us)
		fprintf(f, "Environment=" PRELOAD_EXPECT "=%" PRId64 "\n",
			o->expect_us);
	bad = ferror(f);
	bad |= fclose(f);
	if (bad || rename(new, path)) {
		unlink(new);
		return failed(o, path);
	}
	return 0;
}

static int drop_in(const struct options *o, char *path, size_t size)
{
	return (size_t)snprintf(path, size, "%s/etc/systemd/system/%s.d/" DROP_IN,
				o->root, o->unit) < size ? 0 :
	       wrong(o, "'%s' is too long", o->root);
}

int enable(int argc, char **argv)
{
	struct options o = { .command = "enable", .usage = enable_usage };
	char path[PATH_MAX], shim[PATH_MAX], others[4096];
	int err;

	if (argc == 2 && !strcmp(argv[1], "--help")) {
		fputs(enable_usage, stdout);
		return 0;
	}
	err = take_options(&o, argc, argv, true);
	if (!err)
		err = drop_in(&o, path, sizeof(path));
	if (err)
		return err;
	if (check_unit(&o) || shim_find("d2tcp enable", shim, sizeof(shim)) ||
	    preloaded(&o, shim, others, sizeof(others)) ||
	    make_directories(&o, path) || write_drop_in(&o, path, shim, others))
		return 1;
	return reload(&o, path);
}

int disable(int argc, char **argv)
{
	struct options o = { .command = "disable", .usage = disable_usage };
	char path[PATH_MAX];
	int err;

	if (argc == 2 && !strcmp(argv[1], "--help")) {
		fputs(disable_usage, stdout);
		return 0;
	}
	err = take_options(&o, argc, argv, false);
	if (!err)
		err = drop_in(&o, path, sizeof(path));
	if (err)
		return err;
	if (unlink(path)) {
		if (errno == ENOENT)
			fprintf(stderr, "d2tcp disable: %s is not enabled: there is no %s\n",
				o.unit, path);
		else
			failed(&o, path);
		return 1;
	}
	*strrchr(path, '/') = 0;
	/* it may have other files */
	rmdir(path);
	return reload(&o, "removed");
}
