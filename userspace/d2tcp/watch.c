// SPDX-License-Identifier: GPL-2.0
/*
 * d2tcp watch: lists the flows with deadlines or expected answers, and refreshes the
 * list. Root sees the flows of all processes in all namespaces, other users those of
 * their own processes.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <d2tcp.h>

#include "command.h"
#include "duration.h"
#include "escape.h"
#include "sockets.h"
#include "walk.h"

static const char usage[] =
	"usage: d2tcp watch [--interval TIME] [--count N] [--all] [--json]\n"
	"TIME is a whole number with a unit, us, ms or s, as in 500ms.\n";

struct flow {
	char pid[24], process[64], own[80], peer[80];
	struct d2tcp_info info;			/* size 0: not under d2tcp */
	struct d2tcp_expect_info expect;	/* size 0: no D2TCP_EXPECT_INFO */
};

static struct flow *flows;
static size_t count;
static struct seen seen;
static unsigned int unseen;

static int64_t interval_us = 1000000;
static long rounds;		/* 0: without end */
static bool all, json;

/* --- reading ------------------------------------------------------------------ */

static bool has_deadlines(const struct d2tcp_info *info)
{
	return info->size && (info->outstanding || info->met || info->missed ||
			      info->budget_us);
}

static bool has_expectations(const struct d2tcp_expect_info *expect)
{
	return expect->size && (expect->outstanding || expect->met ||
				expect->missed || expect->standing_ns);
}

static unsigned int add_flow(const struct held_socket *held)
{
	struct flow flow = { 0 };
	socklen_t len = sizeof(flow.info);

	/* both fail on sockets that are not TCP, and without the module */
	if (getsockopt(held->fd, SOL_IP, D2TCP_INFO, &flow.info, &len))
		flow.info.size = 0;
	len = sizeof(flow.expect);
	if (getsockopt(held->fd, SOL_IP, D2TCP_EXPECT_INFO, &flow.expect, &len))
		flow.expect.size = 0;
	if (!has_deadlines(&flow.info) && !has_expectations(&flow.expect) &&
	    !(all && flow.info.size))
		return 0;
	address_of(held->fd, true, flow.peer, sizeof(flow.peer));
	/* a listener, or not connected */
	if (!strcmp(flow.peer, "-") || seen_before(&seen, held->ino))
		return 0;
	address_of(held->fd, false, flow.own, sizeof(flow.own));
	snprintf(flow.pid, sizeof(flow.pid), "%s", held->pid);
	snprintf(flow.process, sizeof(flow.process), "%s", held->process);
	flows = realloc(flows, (count + 1) * sizeof(*flows));
	if (!flows) {
		perror("d2tcp watch");
		exit(1);
	}
	flows[count++] = flow;
	return 1;
}

static unsigned int flows_of(const char *pid, struct seen *unused)
{
	(void)unused;
	return each_socket(pid, &unseen, add_flow);
}

/* The time left of the most urgent outstanding message or answer; INT64_MAX if
 * there is none.
 */
static int64_t left_of(const struct flow *flow)
{
	int64_t left = INT64_MAX;

	if (flow->info.size && flow->info.outstanding)
		left = flow->info.time_left_ns;
	if (flow->expect.size && flow->expect.outstanding &&
	    flow->expect.time_left_ns < left)
		left = flow->expect.time_left_ns;
	return left;
}

/* The most urgent first; then in the order of process and address, which is stable. */
static int by_urgency(const void *a, const void *b)
{
	const int64_t left = left_of(a), other = left_of(b);
	const struct flow *f = a, *g = b;
	int order;

	if (left != other)
		return left < other ? -1 : 1;
	order = atoi(f->pid) - atoi(g->pid);
	order = order ? order : strcmp(f->own, g->own);
	return order ? order : strcmp(f->peer, g->peer);
}

static void read_flows(void)
{
	count = 0;
	unseen = 0;
	seen.n = 0;
	each_entry("/proc", NULL, true, NULL, flows_of);
	if (count)
		qsort(flows, count, sizeof(*flows), by_urgency);
}

/* --- printing ----------------------------------------------------------------- */

static const char *state_of(const struct flow *flow)
{
	if (!flow->info.size)
		return "expects";
	if (flow->info.flags & D2TCP_INFO_FALLBACK)
		return "no ECN";
	return flow->info.flags & D2TCP_INFO_ECN ? "aware" : "pending";
}

static void put_left(int64_t ns, uint32_t outstanding)
{
	if (outstanding)
		printf(" %11.3f", (double)ns * 1e-6);
	else
		printf(" %11s", "-");
}

static void print_flow(const struct flow *flow)
{
	const struct d2tcp_info *info = &flow->info;
	const struct d2tcp_expect_info *expect = &flow->expect;

	printf("%7s %-15.15s %21s %21s %-7s", flow->pid, flow->process, flow->own,
	       flow->peer, state_of(flow));
	if (info->size)
		printf(" %6.3f %5.2f %7.1f", info->alpha / 1048576.0,
		       info->imminence / 256.0, info->cwnd / 256.0);
	else
		printf(" %6s %5s %7s", "-", "-", "-");
	put_left(info->time_left_ns, info->outstanding);
	printf(" %7llu %6llu", (unsigned long long)info->met,
	       (unsigned long long)info->missed);
	put_left(expect->time_left_ns, expect->outstanding);
	printf(" %7llu %6llu\n", (unsigned long long)expect->met,
	       (unsigned long long)expect->missed);
}

/* As many flows as the terminal has room for. */
static void print_text(void)
{
	const bool terminal = isatty(STDOUT_FILENO);
	struct winsize window = { 0 };
	size_t i, rows = count;

	if (terminal) {
		printf("\033[H\033[J");
		if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) &&
		    window.ws_row > 4 && rows > window.ws_row - 4u)
			rows = window.ws_row - 4u;
	}
	printf("%100s written by this host %6s answers expected\n", "", "");
	printf("%7s %-15s %21s %21s %-7s %6s %5s %7s %11s %7s %6s %11s %7s %6s\n", "pid",
	       "process", "local", "peer", "state", "alpha", "d", "cwnd", "left ms",
	       "met", "missed", "left ms", "met", "missed");
	for (i = 0; i < rows; i++)
		print_flow(&flows[i]);
	if (rows < count)
		printf("%zu more\n", count - rows);
	if (!count)
		printf("no flows with deadlines or expected answers%s\n",
		       geteuid() ? " among this user's processes" : "");
	if (!terminal)
		putchar('\n');
}

static void print_json(void)
{
	size_t i;

	printf("{\"flows\": [");
	for (i = 0; i < count; i++) {
		const struct flow *f = &flows[i];

		printf("%s{\"pid\": %s, \"process\": \"", i ? ", " : "", f->pid);
		put_escaped(f->process);
		printf("\", \"local\": \"%s\", \"peer\": \"%s\", \"state\": \"%s\"",
		       f->own, f->peer, state_of(f));
		if (f->info.size)
			printf(", \"alpha\": %.6f, \"d\": %.4f, \"cwnd\": %.3f, \"srtt_us\": %u, \"budget_us\": %u, \"outstanding\": %u, \"bytes_left\": %llu, \"time_left_ns\": %lld, \"met\": %llu, \"missed\": %llu",
			       f->info.alpha / 1048576.0, f->info.imminence / 256.0,
			       f->info.cwnd / 256.0, f->info.srtt_us,
			       f->info.budget_us, f->info.outstanding,
			       (unsigned long long)f->info.bytes_left,
			       (long long)f->info.time_left_ns,
			       (unsigned long long)f->info.met,
			       (unsigned long long)f->info.missed);
		if (f->expect.size)
			printf(", \"expected\": {\"outstanding\": %u, \"bytes\": %llu, \"arrived\": %llu, \"granted\": %llu, \"time_left_ns\": %lld, \"met\": %llu, \"missed\": %llu}",
			       f->expect.outstanding,
			       (unsigned long long)f->expect.bytes,
			       (unsigned long long)f->expect.arrived,
			       (unsigned long long)f->expect.granted,
			       (long long)f->expect.time_left_ns,
			       (unsigned long long)f->expect.met,
			       (unsigned long long)f->expect.missed);
		putchar('}');
	}
	printf("]}\n");
}

/* --- the command -------------------------------------------------------------- */

static int read_count(const char *text)
{
	char *end;

	errno = 0;
	rounds = strtol(text, &end, 10);
	if (!errno && *text && !*end && rounds > 0)
		return 0;
	fprintf(stderr, "d2tcp watch: --count: a whole number from 1, not '%s'\n", text);
	return 2;
}

static int options(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++) {
		const bool takes_value = !strcmp(argv[i], "--interval") ||
					 !strcmp(argv[i], "--count");

		if (takes_value && i + 1 == argc) {
			fprintf(stderr, "d2tcp watch: %s takes a value\n%s", argv[i],
				usage);
			return 2;
		}
		if (!strcmp(argv[i], "--all")) {
			all = true;
		} else if (!strcmp(argv[i], "--json")) {
			json = true;
		} else if (!strcmp(argv[i], "--count")) {
			if (read_count(argv[++i]))
				return 2;
		} else if (takes_value) {
			interval_us = duration_us("d2tcp watch: --interval",
						  argv[++i]);
			if (interval_us < 0)
				return 2;
		} else {
			fprintf(stderr, "d2tcp watch: unknown option '%s'\n%s",
				argv[i], usage);
			return 2;
		}
	}
	return 0;
}

int watch(int argc, char **argv)
{
	int status = options(argc, argv);
	struct timespec pause;
	long round;

	if (status)
		return status;
	if (access("/proc/net/d2tcp", R_OK)) {
		fprintf(stderr, "d2tcp watch: the module tcp_d2tcp is not loaded\n");
		return 1;
	}
	pause.tv_sec = interval_us / 1000000;
	pause.tv_nsec = interval_us % 1000000 * 1000;
	for (round = 1; ; round++) {
		read_flows();
		(json ? print_json : print_text)();
		if (fflush(stdout) || ferror(stdout)) {
			perror("d2tcp watch");
			return 1;
		}
		if (unseen && round == 1 && !geteuid())
			fprintf(stderr, "d2tcp watch: %u sockets could not be inspected: kernel.yama.ptrace_scope, or another security policy, forbids it\n",
				unseen);
		if (round == rounds)
			return 0;
		nanosleep(&pause, NULL);
	}
}
