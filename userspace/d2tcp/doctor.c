// SPDX-License-Identifier: GPL-2.0
/*
 * d2tcp doctor: reasons why deadlines have no effect on this host, and what to do about
 * them. The checks are in doctor_*.c; this file collects the problems that they find. A
 * child process enters each of the other network namespaces and checks it.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command.h"
#include "doctor.h"
#include "escape.h"
#include "walk.h"

static struct finding *findings;
static size_t count;
static struct net_state *nets;
static size_t net_count;
static unsigned int unreadable;

static void *grown(void *array, size_t n, size_t size)
{
	array = realloc(array, n * size);
	if (!array) {
		perror("d2tcp doctor");
		exit(1);
	}
	return array;
}

void found_copy(const struct finding *finding)
{
	findings = grown(findings, count + 1, sizeof(*findings));
	findings[count++] = *finding;
}

void found(const char *check, const char *netns, const char *action,
	   const char *problem, ...)
{
	struct finding finding = { 0 };
	va_list args;

	snprintf(finding.check, sizeof(finding.check), "%s", check);
	snprintf(finding.netns, sizeof(finding.netns), "%s", netns);
	snprintf(finding.action, sizeof(finding.action), "%s", action);
	va_start(args, problem);
	vsnprintf(finding.problem, sizeof(finding.problem), problem, args);
	va_end(args);
	found_copy(&finding);
}

bool read_line(const char *path, char *text, size_t size)
{
	FILE *f = fopen(path, "r");
	bool done = f && fgets(text, (int)size, f);

	if (f)
		fclose(f);
	if (!done)
		text[0] = 0;
	text[strcspn(text, "\n")] = 0;
	return done;
}

bool has_word(const char *text, const char *word)
{
	size_t n = strlen(word);
	const char *at;

	for (at = text; (at = strstr(at, word)); at += n)
		if ((at == text || strchr(" \t", at[-1])) &&
		    (!at[n] || strchr(" \t\n", at[n])))
			return true;
	return false;
}

/* --- network namespaces ----------------------------------------------------- */

/* Checks the namespace in a child, because some namespaces cannot be left again. The
 * child writes its state and then its findings; each write is shorter than PIPE_BUF.
 */
static void check_in_child(int fd, const char *name, int out)
{
	struct net_state state;
	size_t i;

	count = 0;
	memset(&state, 0, sizeof(state));
	if (setns(fd, CLONE_NEWNET))
		_exit(1);
	check_network(name, &state);
	if (write(out, &state, sizeof(state)) != sizeof(state))
		_exit(1);
	for (i = 0; i < count; i++)
		if (write(out, &findings[i], sizeof(*findings)) != sizeof(*findings))
			_exit(1);
	_exit(0);
}

/* Reads what the child found. */
static bool collect(int in)
{
	struct finding finding;
	struct net_state state;
	FILE *f = fdopen(in, "r");
	bool done = f && fread(&state, sizeof(state), 1, f) == 1;

	if (done) {
		nets = grown(nets, net_count + 1, sizeof(*nets));
		nets[net_count++] = state;
		while (fread(&finding, sizeof(finding), 1, f) == 1)
			found_copy(&finding);
	}
	if (f)
		fclose(f);
	return done;
}

static bool is_init(const struct stat *st)
{
	struct stat init;

	return !stat("/proc/1/ns/net", &init) && init.st_ino == st->st_ino;
}

/* Its name in /run/netns, "init", or one of its processes. */
static void name_of_net(const char *path, const struct stat *st, char *name,
			size_t size)
{
	char pid[24] = "", process[64];

	if (!strncmp(path, "/run/netns/", 11)) {
		snprintf(name, size, "%.90s", path + 11);
	} else if (is_init(st)) {
		snprintf(name, size, "init");
	} else {
		/* the path is /proc/PID/ns/net */
		sscanf(path, "/proc/%23[0-9]", pid);
		name_of(pid, process, sizeof(process));
		snprintf(name, size, "of process %s (%.60s)", pid, process);
	}
}

static unsigned int namespace_at(const char *path, struct seen *seen)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), ends[2], status = 0;
	struct statfs fs;
	struct stat st;
	char name[96];
	pid_t pid;

	/* the process has ended, or a name has lost its namespace */
	if (fd < 0)
		return 0;
	if (fstatfs(fd, &fs) || fs.f_type != NSFS_MAGIC || fstat(fd, &st) ||
	    seen_before(seen, st.st_ino))
		goto out;
	name_of_net(path, &st, name, sizeof(name));
	if (pipe(ends)) {
		perror("d2tcp doctor");
		exit(1);
	}
	pid = fork();
	if (!pid)
		check_in_child(fd, name, ends[1]);
	close(ends[1]);
	if (!collect(ends[0]))
		unreadable++;
	if (pid > 0)
		waitpid(pid, &status, 0);
out:
	close(fd);
	return 0;
}

/* A namespace without sockets, such as a sandbox, needs no default. */
static bool no_default(const struct net_state *net)
{
	return net->sockets && !net->is_default;
}

static bool no_budget(const struct net_state *net)
{
	return !net->budget && net->sockets && (net->is_default || net->connections);
}

/* Adds one finding for all namespaces that lack what the initial one has. */
static void compare(const char *check, bool (*lacks)(const struct net_state *),
		    const char *what, const char *action)
{
	char names[280] = "";
	size_t i, n = 0;

	for (i = 0; i < net_count; i++) {
		if (!lacks(&nets[i]))
			continue;
		if (n++ < 5)
			snprintf(names + strlen(names), sizeof(names) - strlen(names),
				 "%s%.48s", *names ? ", " : "", nets[i].name);
	}
	if (n)
		found(check, "", action,
		      "%s in the initial network namespace, but not in %zu others (%s%s)",
		      what, n, names, n > 5 ? ", ..." : "");
}

/* A namespace inherits the default congestion control when it is created, and
 * never inherits a default budget.
 */
static void compare_networks(void)
{
	size_t i;

	for (i = 0; i < net_count && strcmp(nets[i].name, "init"); i++)
		;
	if (i == net_count)
		return;
	if (nets[i].is_default)
		compare("namespaces", no_default, "d2tcp is the default",
			"if its programs use d2tcp: nsenter -t PID -n sysctl -w net.ipv4.tcp_congestion_control=d2tcp, with the id of one of them, or create the namespace again");
	if (nets[i].budget)
		compare("budgets", no_budget, "there is a default budget",
			"nsenter -t PID -n sysctl -w net.ipv4.d2tcp.default_budget_us=..., with the id of one of its processes");
}

/* Reports that nothing on this host selects d2tcp, if only root could. The list of the
 * algorithms that other users may select is the same for all namespaces.
 */
static void check_selection(void)
{
	char allowed[512];
	size_t i;

	for (i = 0; i < net_count; i++)
		if (nets[i].is_default || nets[i].connections)
			return;
	if (!read_line("/proc/sys/net/ipv4/tcp_allowed_congestion_control", allowed,
		       sizeof(allowed)) || has_word(allowed, "d2tcp") || has_route())
		return;
	found("selection", "",
	      "let every program select it: add d2tcp to the sysctl net.ipv4.tcp_allowed_congestion_control; or use a route with congctl d2tcp",
	      "nothing selects d2tcp: it is not the default, no route has it, no connection uses it, and only root may select it");
}

/* --- the report ------------------------------------------------------------- */

static void put_json(const char *text)
{
	putchar('"');
	put_escaped(text);
	putchar('"');
}

static void print_json(unsigned int connections, unsigned int fallback)
{
	size_t i;

	printf("{\"namespaces\": %zu, \"connections\": %u, \"fallback\": %u, \"problems\": [",
	       net_count, connections, fallback);
	for (i = 0; i < count; i++) {
		printf("%s\n {\"check\": ", i ? "," : "");
		put_json(findings[i].check);
		printf(", \"netns\": ");
		put_json(findings[i].netns);
		printf(", \"problem\": ");
		put_json(findings[i].problem);
		printf(", \"action\": ");
		put_json(findings[i].action);
		putchar('}');
	}
	printf("]}\n");
}

static void print_text(unsigned int connections, unsigned int fallback)
{
	size_t i;

	for (i = 0; i < count; i++)
		printf("%s%s%s: %s\n    %s\n", findings[i].check,
		       *findings[i].netns ? ", namespace " : "", findings[i].netns,
		       findings[i].problem, findings[i].action);
	printf("%zu %s in %zu network namespaces with %u connections under d2tcp, %u of them without ECN\n",
	       count, count == 1 ? "problem" : "problems", net_count, connections,
	       fallback);
}

int doctor(int argc, char **argv)
{
	const bool json = argc == 2 && !strcmp(argv[1], "--json");
	unsigned int connections = 0, fallback = 0;
	struct seen seen = { 0 };
	struct stat st, init;
	struct net_state own;
	bool loaded;
	size_t i;

	if (argc == 2 && !strcmp(argv[1], "--help")) {
		printf("usage: d2tcp doctor [--json]\n");
		return 0;
	}
	if (argc > 1 && !json) {
		fprintf(stderr, "d2tcp doctor: takes --json, not '%s'\n", argv[1]);
		return 2;
	}
	loaded = !access("/proc/net/d2tcp", R_OK);
	check_module(loaded);
	/* sysctl's files apply to the initial namespace; users other than root
	 * cannot tell whether this is it
	 */
	if (stat("/proc/self/ns/net", &st) || stat("/proc/1/ns/net", &init) ||
	    st.st_ino == init.st_ino)
		check_settings();
	if (loaded && !geteuid()) {
		each_entry("/run/netns", "", false, &seen, namespace_at);
		each_entry("/proc", "/ns/net", true, &seen, namespace_at);
	}
	if (loaded && !net_count) {
		fprintf(stderr, "d2tcp doctor: checks only the current network namespace; others need root with CAP_SYS_ADMIN\n");
		memset(&own, 0, sizeof(own));
		unreadable = 0;
		check_network("own", &own);
		nets = grown(nets, ++net_count, sizeof(*nets));
		nets[0] = own;
	}
	compare_networks();
	if (loaded)
		check_selection();
	if (unreadable)
		fprintf(stderr, "d2tcp doctor: %u network namespaces could not be checked\n",
			unreadable);
	for (i = 0; i < net_count; i++) {
		connections += nets[i].connections;
		fallback += nets[i].fallback;
	}
	(json ? print_json : print_text)(connections, fallback);
	if (fflush(stdout) || ferror(stdout)) {
		perror("d2tcp doctor");
		return 1;
	}
	return count ? 3 : unreadable ? 1 : 0;
}
