// SPDX-License-Identifier: GPL-2.0
/*
 * d2tcp run: run an unmodified program with a budget, an expectation, or both on its TCP
 * sockets, which a preloaded shim sets.
 *
 * The program is executed in this process, because service managers know the service by
 * this process's id. A grandchild waits for the end of the program and reports.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command.h"
#include "duration.h"
#include "preload.h"
#include "shim.h"

static const char usage[] =
	"usage: d2tcp run [--budget TIME] [--expect TIME] [--verbose] [--] PROGRAM [ARGUMENT]...\n"
	"TIME is a whole number with a unit, us, ms or s, as in 20ms.\n";

/* The descriptor of the report; high, so that it does not collide with the program's. */
#define REPORT_FD	200

static int64_t budget_us, expect_us;
static bool verbose;

static int wrong(const char *format, const char *text)
{
	fprintf(stderr, "d2tcp run: ");
	fprintf(stderr, format, text);
	fprintf(stderr, "\n%s", usage);
	return -1;
}

/* Reads an option that takes a time, as "--budget 20ms" or "--budget=20ms". Returns the
 * number of arguments that it takes, 0 if it is another option, or -1 after a message.
 */
static int time_option(char **argv, const char *name, int64_t *value)
{
	size_t n = strlen(name);
	const char *text;
	char what[40];

	if (strncmp(argv[0], name, n) || (argv[0][n] && argv[0][n] != '='))
		return 0;
	text = argv[0][n] ? argv[0] + n + 1 : argv[1];
	if (!text)
		return wrong("%s takes a time", name);
	snprintf(what, sizeof(what), "d2tcp run: %s", name);
	*value = duration_us(what, text);
	if (*value < 0)
		return -1;
	return argv[0][n] ? 1 : 2;
}

/* Reads the options; returns the index of the program, or -1 after a message. */
static int options(int argc, char **argv)
{
	int i = 1, n;

	while (i < argc && argv[i][0] == '-') {
		if (!strcmp(argv[i], "--")) {
			i++;
			break;
		}
		n = time_option(argv + i, "--budget", &budget_us);
		if (!n)
			n = time_option(argv + i, "--expect", &expect_us);
		if (!n && !strcmp(argv[i], "--verbose")) {
			verbose = true;
			n = 1;
		}
		if (n < 0)
			return -1;
		if (!n)
			return wrong("unknown option '%s'", argv[i]);
		i += n;
	}
	if (!budget_us && !expect_us)
		return wrong("%s", "--budget, --expect or both are required");
	if (i >= argc)
		return wrong("%s", "no program given");
	return i;
}

static int set_number(const char *name, int64_t value)
{
	char text[24];

	if (!value)
		return unsetenv(name);
	snprintf(text, sizeof(text), "%lld", (long long)value);
	return setenv(name, text, 1);
}

/* Sets the shim's variables, and puts it before libraries that are already preloaded. */
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

static const char *refusal(enum preload_option option, int error)
{
	if (option == PRELOAD_SELECT && error == ENOENT)
		return "the module tcp_d2tcp is not loaded; load it with modprobe tcp_d2tcp";
	if (option == PRELOAD_SELECT && error == EPERM)
		return "this user may not select d2tcp; add it to the sysctl net.ipv4.tcp_allowed_congestion_control";
	if (option == PRELOAD_SET_EXPECT && error == ENOPROTOOPT)
		return "the module tcp_d2tcp is not loaded, is too old or was loaded without expect=1";
	if (option == PRELOAD_SET_EXPECT && error == ENOMEM)
		return "no memory, or as many sockets already expect answers as the sysctl net.ipv4.d2tcp.expect_max permits";
	return strerror(error);
}

static void explain(const char *program, const struct preload_report *report)
{
	static const char *const lacks[] = { "budget", "budget", "expectation" };
	bool refused = false;
	size_t i;

	if (!report->programs) {
		fprintf(stderr, "d2tcp run: %s has no deadlines: it did not load " PRELOAD_FILE ". It may be linked statically (as Go programs are), set-user-ID, or built for another C library; for such a program use a route with congctl d2tcp and the sysctl net.ipv4.d2tcp.default_budget_us\n",
			program);
		return;
	}
	if (!report->sockets) {
		fprintf(stderr, "d2tcp run: no TCP socket of %s was seen before it ended\n",
			program);
		return;
	}
	for (i = 0; i < PRELOAD_OPTIONS; i++) {
		if (!report->option[i].refused)
			continue;
		refused = true;
		fprintf(stderr, "d2tcp run: %u of %u TCP sockets have no %s: %s\n",
			report->option[i].refused, report->sockets, lacks[i],
			refusal(i, report->option[i].error));
	}
	if (verbose && !refused)
		fprintf(stderr, "d2tcp run: %u TCP sockets in %u programs\n",
			report->sockets, report->programs);
}

/* Waits for the end of the program and reports. Signals that end the program must not end
 * this process, which exits by itself after the report.
 */
static void report_on(int pidfd, const char *program,
		      const struct preload_report *report)
{
	static const int ignored[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE };
	struct pollfd ended = { .fd = pidfd, .events = POLLIN };
	int null = open("/dev/null", O_RDWR);
	size_t i;

	for (i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
	/* keep only stderr: a reader of the program's output must see its end */
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	while (poll(&ended, 1, -1) < 0 && errno == EINTR)
		;
	if (!report->not_started)
		explain(program, report);
	_exit(0);
}

/* Starts the process that reports, as a grandchild: the program that this process becomes
 * would not expect a child.
 */
static int start_reporter(const char *program, const struct preload_report *report)
{
	/* closed by exec */
	const int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	pid_t child = pidfd < 0 ? -1 : fork();

	if (!child) {
		if (!fork())
			report_on(pidfd, program, report);
		_exit(0);
	}
	return child < 0 || waitpid(child, NULL, 0) < 0 ? -1 : 0;
}

/* Creates the report, which the programs inherit, and fills in @text, by which they find
 * it.
 */
static struct preload_report *make_report(char *text, size_t size)
{
	struct preload_report *report;
	struct stat st;
	int fd, high;

	fd = memfd_create("d2tcp-run", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0 || ftruncate(fd, sizeof(*report)))
		return NULL;
	report = mmap(NULL, sizeof(*report), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	high = fcntl(fd, F_DUPFD, REPORT_FD);
	if (high < 0)
		high = fcntl(fd, F_DUPFD, 3);
	if (report == MAP_FAILED || high < 0 || fstat(high, &st) ||
	    fcntl(high, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		return NULL;
	close(fd);
	snprintf(text, size, "%d:%lx:%lu", high, (unsigned long)st.st_dev,
		 (unsigned long)st.st_ino);
	return report;
}

int run(int argc, char **argv)
{
	struct preload_report *report;
	char shim[PATH_MAX], text[64];
	int first, err;

	if (argc == 2 && !strcmp(argv[1], "--help")) {
		fputs(usage, stdout);
		return 0;
	}
	first = options(argc, argv);
	if (first < 0)
		return 2;
	if (shim_find("d2tcp run", shim, sizeof(shim)))
		return 1;
	report = make_report(text, sizeof(text));
	if (!report || start_reporter(argv[first], report) ||
	    set_environment(shim, text)) {
		perror("d2tcp run");
		return 1;
	}
	execvp(argv[first], argv + first);
	err = errno;
	report->not_started = 1;
	fprintf(stderr, "d2tcp run: %s: %s\n", argv[first], strerror(err));
	return err == ENOENT ? 127 : 126;
}
