// SPDX-License-Identifier: GPL-2.0
/*
 * d2tcp stats: the counters of /proc/net/d2tcp, of every network namespace. A process
 * can read those of its own namespace only, so a child enters each one.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command.h"
#include "escape.h"
#include "serve.h"
#include "walk.h"

#define COUNTERS	64	/* max; the module has fewer */
#define NAME_SIZE	64

struct counter {
	char name[NAME_SIZE];
	unsigned long value;
};

/* A namespace: its name in /run/netns, "init", "own", or net: and its inode. */
struct netns {
	char name[256];
	struct counter counter[COUNTERS];
	size_t n;
};

static struct netns *all;
static size_t count;
static unsigned int unreadable;

static const struct {
	const char *name, *help;
} helps[] = {
	{ "D2tcpArmed", "Messages given a deadline" },
	{ "D2tcpMet", "Messages acknowledged by their deadline" },
	{ "D2tcpMissed", "Messages acknowledged after their deadline" },
	{ "D2tcpCleared", "Messages cleared or replaced by the program" },
	{ "D2tcpMerged", "Messages merged with another one" },
	{ "D2tcpArmedLate", "Messages whose deadline had passed when it was set" },
	{ "D2tcpAbandoned", "Messages outstanding when their connection ended" },
	{ "D2tcpBelowMinBudget", "Messages whose deadline was closer than min_budget_us when it was set" },
	{ "D2tcpFlowsEcn", "Connections with ECN" },
	{ "D2tcpFlowsNoEcn", "Connections without ECN, where deadlines have no effect" },
	{ "D2tcpExpected", "Answers that were expected" },
	{ "D2tcpExpectedMet", "Expected answers complete by their deadline" },
	{ "D2tcpExpectedMissed", "Expected answers complete after their deadline" },
	{ "D2tcpGrants", "Grants given to senders" },
	{ "D2tcpReleased", "Sockets released because no expected data arrived" },
	{ "D2tcpRenewals", "Grants sent again because no data followed them" },
	{ "D2tcpBytesHeld", "Bytes not yet granted when their request left" },
	{ "D2tcpMarksAbsorbed", "ACKs from which the echo of a mark was removed" },
};

static void read_counters(struct netns *ns, FILE *f)
{
	while (ns->n < COUNTERS &&
	       fscanf(f, "%63s %lu", ns->counter[ns->n].name,
		      &ns->counter[ns->n].value) == 2)
		ns->n++;
}

static struct netns *add(const char *name)
{
	all = realloc(all, (count + 1) * sizeof(*all));
	if (!all) {
		perror("d2tcp stats");
		exit(1);
	}
	memset(&all[count], 0, sizeof(*all));
	snprintf(all[count].name, sizeof(all[count].name), "%s", name);
	return &all[count++];
}

/* Reads the counters of an open namespace, in a child, because some namespaces cannot be
 * left again.
 */
static bool read_namespace(struct netns *ns, int fd)
{
	int status = 1, ends[2];
	char text[4096];
	ssize_t n;
	pid_t pid;
	FILE *f;

	if (pipe(ends)) {
		perror("d2tcp stats");
		exit(1);
	}
	pid = fork();
	if (!pid) {
		if (setns(fd, CLONE_NEWNET))
			_exit(1);
		fd = open("/proc/thread-self/net/d2tcp", O_RDONLY | O_CLOEXEC);
		while ((n = read(fd, text, sizeof(text))) > 0)
			if (write(ends[1], text, n) != n)
				_exit(1);
		_exit(n != 0);
	}
	close(ends[1]);
	f = fdopen(ends[0], "r");
	if (f) {
		read_counters(ns, f);
		fclose(f);
	}
	if (pid > 0)
		waitpid(pid, &status, 0);
	return ns->n && WIFEXITED(status) && !WEXITSTATUS(status);
}

static unsigned int namespace_at(const char *path, struct seen *seen)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st, init;
	struct statfs fs;
	char name[256];

	/* the process has ended, or a name has lost its namespace */
	if (fd < 0)
		return 0;
	if (fstatfs(fd, &fs) || fs.f_type != NSFS_MAGIC || fstat(fd, &st) ||
	    seen_before(seen, st.st_ino)) {
		close(fd);
		return 0;
	}
	if (!strncmp(path, "/run/netns/", 11))
		/* the whole path where the name alone would be ambiguous */
		snprintf(name, sizeof(name), "%s", path +
			 (strcmp(path + 11, "init") && strcmp(path + 11, "own") &&
			  strncmp(path + 11, "net:", 4) ? 11 : 0));
	else if (!stat("/proc/1/ns/net", &init) && init.st_ino == st.st_ino)
		snprintf(name, sizeof(name), "init");
	else
		snprintf(name, sizeof(name), "net:%lu", (unsigned long)st.st_ino);
	if (!read_namespace(add(name), fd)) {
		count--;
		unreadable++;
	}
	close(fd);
	return 0;
}

static unsigned long value_of(const struct netns *ns, const char *name)
{
	size_t i;

	for (i = 0; i < ns->n; i++)
		if (!strcmp(ns->counter[i].name, name))
			return ns->counter[i].value;
	return 0;
}

static void put_share(const char *what, unsigned long met, unsigned long missed)
{
	if (met + missed)
		printf("%s: %lu of %lu missed (%.1f %%)\n", what, missed,
		       met + missed, 100.0 * missed / (met + missed));
	else
		printf("%s: none\n", what);
}

static void print_text(void)
{
	size_t i, k;

	for (i = 0; i < count; i++) {
		printf("%snetwork namespace ", i ? "\n" : "");
		put_escaped(all[i].name);
		putchar('\n');
		for (k = 0; k < all[i].n; k++)
			printf("%-32s%lu\n", all[i].counter[k].name,
			       all[i].counter[k].value);
		put_share("messages with a deadline", value_of(&all[i], "D2tcpMet"),
			  value_of(&all[i], "D2tcpMissed"));
		put_share("expected answers", value_of(&all[i], "D2tcpExpectedMet"),
			  value_of(&all[i], "D2tcpExpectedMissed"));
	}
}

static void print_json(void)
{
	size_t i, k;

	printf("{\"namespaces\": [");
	for (i = 0; i < count; i++) {
		printf("%s\n {\"netns\": \"", i ? "," : "");
		put_escaped(all[i].name);
		printf("\", \"counters\": {");
		for (k = 0; k < all[i].n; k++)
			printf("%s\"%s\": %lu", k ? ", " : "",
			       all[i].counter[k].name, all[i].counter[k].value);
		printf("}}");
	}
	printf("]}\n");
}

/* D2tcpFlowsNoEcn is d2tcp_flows_no_ecn. */
static void metric_of(const char *name, char *metric, size_t size)
{
	size_t n = 0;

	for (; *name && n + 8 < size; name++) {
		if (*name >= 'A' && *name <= 'Z') {
			if (n)
				metric[n++] = '_';
			metric[n++] = (char)(*name - 'A' + 'a');
		} else {
			metric[n++] = *name;
		}
	}
	metric[n] = 0;
}

/* Prometheus' text format names the sample in HELP and TYPE, OpenMetrics (@family) the
 * metric, to which the sample's name adds _total.
 */
static void print_metric(const char *name, bool family)
{
	const char *suffix = family ? "" : "_total";
	char metric[2 * NAME_SIZE + 8];
	size_t i;

	metric_of(name, metric, sizeof(metric));
	for (i = 0; i < sizeof(helps) / sizeof(helps[0]); i++)
		if (!strcmp(helps[i].name, name))
			printf("# HELP %s%s %s.\n", metric, suffix, helps[i].help);
	printf("# TYPE %s%s counter\n", metric, suffix);
	for (i = 0; i < count; i++) {
		printf("%s_total{netns=\"", metric);
		put_escaped(all[i].name);
		printf("\"} %lu\n", value_of(&all[i], name));
	}
}

/* The samples of a metric must be together. */
static void print_prometheus(void)
{
	size_t k;

	for (k = 0; count && k < all[0].n; k++)
		print_metric(all[0].counter[k].name, false);
}

static void read_own(void)
{
	FILE *f = fopen("/proc/thread-self/net/d2tcp", "r");

	if (f) {
		read_counters(add("own"), f);
		fclose(f);
	}
	fprintf(stderr, "d2tcp stats: shows only the current network namespace; others need root with CAP_SYS_ADMIN\n");
	unreadable = 0;
}

static void collect(void)
{
	struct seen seen = { 0 };

	each_entry("/run/netns", "", false, &seen, namespace_at);
	each_entry("/proc", "/ns/net", true, &seen, namespace_at);
	if (!count)
		read_own();
	else if (unreadable)
		fprintf(stderr, "d2tcp stats: %u network namespaces could not be read\n",
			unreadable);
}

/* A scrape. Without the module there are no metrics, as with any other exporter. */
static void print_openmetrics(void)
{
	size_t k;

	if (!access("/proc/net/d2tcp", R_OK))
		collect();
	for (k = 0; count && k < all[0].n; k++)
		print_metric(all[0].counter[k].name, true);
	puts("# EOF");
}

int stats(int argc, char **argv)
{
	void (*print)(void) = print_text;

	if (argc == 3 && !strcmp(argv[1], "--listen"))
		return serve(argv[2], "application/openmetrics-text; version=1.0.0; charset=utf-8",
			     print_openmetrics);
	if (argc == 2 && !strcmp(argv[1], "--json")) {
		print = print_json;
	} else if (argc == 2 && !strcmp(argv[1], "--prometheus")) {
		print = print_prometheus;
	} else if (argc > 1) {
		fprintf(stderr, "d2tcp stats: takes --json, --prometheus or --listen PORT, not '%s'\n",
			argv[argc - 1]);
		return 2;
	}
	if (access("/proc/net/d2tcp", R_OK)) {
		fprintf(stderr, "d2tcp stats: the module tcp_d2tcp is not loaded\n");
		return 1;
	}
	collect();
	print();
	if (fflush(stdout) || ferror(stdout)) {
		perror("d2tcp stats");
		return 1;
	}
	return count && unreadable ? 1 : 0;
}
