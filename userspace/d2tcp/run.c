// SPDX-License-Identifier: GPL-2.0
/*
 * d2tcp run - runs an unmodified program whose TCP sockets get a budget, an
 * expectation, or both, by a shim that it preloads.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command.h"
#include "duration.h"
#include "preload.h"

static const char usage[] =
	"usage: d2tcp run [--budget TIME] [--expect TIME] [--verbose] [--] PROGRAM [ARGUMENT]...\n"
	"TIME is a whole number with a unit, us, ms or s, as in 20ms.\n";

static int64_t budget_us, expect_us;
static bool verbose;

/* Reads the options; returns the index of the program, or -1 after a message. */
static int options(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc && argv[i][0] == '-'; i++) {
		int64_t *value = !strcmp(argv[i], "--budget") ? &budget_us :
				 !strcmp(argv[i], "--expect") ? &expect_us : NULL;
		char what[32];

		if (!strcmp(argv[i], "--")) {
			i++;
			break;
		}
		if (!strcmp(argv[i], "--verbose")) {
			verbose = true;
			continue;
		}
		if (!value) {
			fprintf(stderr, "d2tcp run: unknown option '%s'\n%s",
				argv[i], usage);
			return -1;
		}
		snprintf(what, sizeof(what), "d2tcp run: %s", argv[i]);
		if (++i == argc) {
			fprintf(stderr, "%s takes a time\n%s", what, usage);
			return -1;
		}
		*value = duration_us(what, argv[i]);
		if (*value < 0)
			return -1;
	}
	if (!budget_us && !expect_us)
		fprintf(stderr, "d2tcp run: --budget, --expect or both are required\n%s",
			usage);
	else if (i >= argc)
		fprintf(stderr, "d2tcp run: no program given\n%s", usage);
	else
		return i;
	return -1;
}

/* The shim: beside the command in a build tree, else below the lib directory beside it. */
static int find_shim(char *path, size_t size)
{
	static const char *const places[] = { "", "../lib/d2tcp/" };
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	const char *dir;
	size_t i;

	if (n < 0) {
		perror("d2tcp run: /proc/self/exe");
		return -1;
	}
	self[n] = 0;
	dir = dirname(self);
	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if ((size_t)snprintf(path, size, "%s/%s" PRELOAD_FILE, dir,
				     places[i]) < size && !access(path, R_OK))
			return 0;
	fprintf(stderr, "d2tcp run: %s: %s; is all of d2tcp installed?\n", path,
		strerror(errno));
	return -1;
}

static int set_number(const char *name, int64_t value)
{
	char text[24];

	if (!value)
		return unsetenv(name);
	snprintf(text, sizeof(text), "%lld", (long long)value);
	return setenv(name, text, 1);
}

/* Puts the shim before what is preloaded already. */
static int set_environment(const char *shim, const char *report)
{
	const char *before = getenv("LD_PRELOAD");
	char *list;
	int err;

	if (!before || !*before)
		err = setenv("LD_PRELOAD", shim, 1);
	else if (asprintf(&list, "%s:%s", shim, before) < 0)
		return -1;
	else
		err = setenv("LD_PRELOAD", list, 1);
	return err || set_number(PRELOAD_BUDGET, budget_us) ||
	       set_number(PRELOAD_EXPECT, expect_us) ||
	       setenv(PRELOAD_REPORT, report, 1) ? -1 : 0;
}

static pid_t child;

static void pass_on(int signal)
{
	kill(child, signal);
}

/* Signals for the program that may be sent to this process. */
static sigset_t passed_on(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	return set;
}

/* Waits for the program. The caller has blocked the signals that are passed on. */
static int wait_for(void)
{
	struct sigaction pass = { .sa_handler = pass_on };
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	sigset_t set = passed_on();
	int status, signal;

	for (signal = 1; signal < NSIG; signal++)
		if (sigismember(&set, signal) == 1)
			sigaction(signal, &pass, NULL);
	/* the terminal sends these to the program too */
	sigaction(SIGINT, &ignore, NULL);
	sigaction(SIGQUIT, &ignore, NULL);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return 1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static const char *refusal(const struct preload_report *report)
{
	if (report->option == PRELOAD_CONGESTION && report->error == ENOENT)
		return "the module tcp_d2tcp is not loaded; load it with modprobe tcp_d2tcp";
	if (report->option == PRELOAD_CONGESTION && report->error == EPERM)
		return "this user may not select d2tcp; add it to the sysctl net.ipv4.tcp_allowed_congestion_control";
	if (report->option == PRELOAD_SET_EXPECT && report->error == ENOPROTOOPT)
		return "the module tcp_d2tcp is not loaded, is too old or was loaded without expect=1";
	if (report->option == PRELOAD_SET_EXPECT && report->error == ENOMEM)
		return "no memory, or as many sockets as the sysctl net.ipv4.d2tcp.expect_max allows expect answers";
	return strerror(report->error);
}

static void explain(const char *program, const struct preload_report *report)
{
	if (!report->programs)
		fprintf(stderr, "d2tcp run: %s has no deadlines: it did not load the shim. It may be linked statically (as Go programs are) or set-user-ID; use a route with congctl d2tcp and the sysctl net.ipv4.d2tcp.default_budget_us for it\n",
			program);
	else if (!report->sockets)
		fprintf(stderr, "d2tcp run: %s has no deadlines: it opened no TCP socket through the C library\n",
			program);
	else if (report->failed)
		fprintf(stderr, "d2tcp run: %u of %u TCP sockets have no deadlines: %s\n",
			report->failed, report->sockets, refusal(report));
	else if (verbose)
		fprintf(stderr, "d2tcp run: %u TCP sockets in %u programs\n",
			report->sockets, report->programs);
}

int run(int argc, char **argv)
{
	int first = options(argc, argv), status, fd;
	char shim[PATH_MAX], path[64];
	struct preload_report *report;
	sigset_t set = passed_on(), before;

	if (first < 0)
		return 2;
	if (find_shim(shim, sizeof(shim)))
		return 1;
	/* the programs open it by this process's descriptor */
	fd = memfd_create("d2tcp-run", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, sizeof(*report)))
		goto failed;
	report = mmap(NULL, sizeof(*report), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (report == MAP_FAILED)
		goto failed;
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)getpid(), fd);
	sigprocmask(SIG_BLOCK, &set, &before);
	child = fork();
	if (child < 0)
		goto failed;
	if (!child) {
		sigprocmask(SIG_SETMASK, &before, NULL);
		if (set_environment(shim, path)) {
			perror("d2tcp run");
			_exit(126);
		}
		execvp(argv[first], argv + first);
		fprintf(stderr, "d2tcp run: %s: %s\n", argv[first], strerror(errno));
		_exit(errno == ENOENT ? 127 : 126);
	}
	status = wait_for();
	/* a program that could not be started has said so */
	if (status != 127 && status != 126)
		explain(argv[first], report);
	return status;
failed:
	perror("d2tcp run");
	return 1;
}
