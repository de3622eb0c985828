// SPDX-License-Identifier: GPL-2.0
/*
 * d2tcp holders: list the users that keep tcp_d2tcp from being unloaded. The
 * module is held by each socket under d2tcp, in any state, by each network
 * namespace whose default is d2tcp, and by each thread that is inside one of
 * the socket options.
 *
 * TCP_CONGESTION can be read only through a descriptor, so the sockets of every
 * process are duplicated with pidfd_getfd(2). That needs root, and changes
 * nothing.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <d2tcp.h>

#include "command.h"
#include "walk.h"

/* Sockets of other processes that could not be duplicated. */
static unsigned int unseen;

static bool under_d2tcp(int fd)
{
	char name[16] = "";
	socklen_t len = sizeof(name);

	/* d2tcp-reno is the fallback without ECN */
	return getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len) == 0 &&
	       (!strcmp(name, "d2tcp") || !strcmp(name, "d2tcp-reno"));
}

static void print_address(int fd, bool peer)
{
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} a;
	char text[INET6_ADDRSTRLEN] = "?";
	socklen_t len = sizeof(a);

	if (peer ? getpeername(fd, &a.sa, &len) : getsockname(fd, &a.sa, &len)) {
		printf("-");
	} else if (a.sa.sa_family == AF_INET6) {
		inet_ntop(AF_INET6, &a.in6.sin6_addr, text, sizeof(text));
		printf("[%s]:%u", text, ntohs(a.in6.sin6_port));
	} else {
		inet_ntop(AF_INET, &a.in.sin_addr, text, sizeof(text));
		printf("%s:%u", text, ntohs(a.in.sin_port));
	}
}

static const char *state_of(int fd)
{
	static const char *const names[] = {
		"?", "established", "connecting", "connecting", "closing",
		"closing", "closed", "closed", "half closed", "closing",
		"listening", "closing",
	};
	struct tcp_info info;
	socklen_t len = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) ||
	    info.tcpi_state >= sizeof(names) / sizeof(names[0]))
		return names[0];
	return names[info.tcpi_state];
}

/* Lists the sockets of one process; returns how many were not listed before. */
static unsigned int sockets_of(const char *pid, struct seen *seen)
{
	char path[300], target[64], comm[64];
	unsigned int found = 0;
	struct dirent *e;
	int pidfd, fd;
	struct stat st;
	ssize_t n;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%.20s/fd", pid);
	dir = opendir(path);
	if (!dir)
		return 0;
	pidfd = (int)syscall(SYS_pidfd_open, atoi(pid), 0);
	while ((e = readdir(dir))) {
		n = readlinkat(dirfd(dir), e->d_name, target,
			       sizeof(target) - 1);
		if (n < 0 || strncmp(target, "socket:[", 8))
			continue;
		fd = (int)syscall(SYS_pidfd_getfd, pidfd, atoi(e->d_name), 0);
		if (fd < 0) {
			/* a descriptor closed in between is not counted */
			unseen += errno != EBADF && errno != ESRCH;
			continue;
		}
		if (under_d2tcp(fd) && !fstat(fd, &st)) {
			name_of(pid, comm, sizeof(comm));
			printf("process %s (%s), descriptor %s: ", pid, comm,
			       e->d_name);
			print_address(fd, false);
			printf(" to ");
			print_address(fd, true);
			printf(", %s\n", state_of(fd));
			found += !seen_before(seen, st.st_ino);
		}
		close(fd);
	}
	if (pidfd >= 0)
		close(pidfd);
	closedir(dir);
	return found;
}

/* Lists a thread that sleeps inside one of the options, in a page fault or on
 * the socket lock. /proc shows the system call in which a thread sleeps.
 */
static unsigned int caller_at(const char *path, struct seen *seen)
{
	/* numbers of 32-bit programs on x86-64; 64-bit ones do not use them */
	enum { GET_32 = 365, SET_32 = 366 };
	long number, fd, level, option;
	char comm[64], pid[24];
	const char *task;
	int fields;
	FILE *f;

	(void)seen;
	f = fopen(path, "r");
	if (!f)
		return 0;
	fields = fscanf(f, "%ld %lx %lx %lx", &number, &fd, &level, &option);
	fclose(f);
	/* the arguments are ints; the registers' upper halves are undefined */
	if (fields != 4 || (int)level != SOL_IP ||
	    (int)option < D2TCP_DEADLINE || (int)option > D2TCP_EXPECT_INFO ||
	    (number != SYS_setsockopt && number != SYS_getsockopt &&
	     number != SET_32 && number != GET_32))
		return 0;
	/* the path is /proc/PID/task/TID/syscall */
	task = strstr(path, "/task/") + strlen("/task/");
	snprintf(pid, sizeof(pid), "%.*s", (int)strcspn(task, "/"), task);
	name_of(pid, comm, sizeof(comm));
	printf("thread %s (%s): in socket option %#x of descriptor %d\n", pid,
	       comm, (int)option, (int)fd);
	return 1;
}

/* Is d2tcp the default of the network namespace at this path? */
static bool is_default(const char *path)
{
	char text[32] = "";
	int st = 1, fd;
	pid_t pid;
	FILE *f;

	/* in a child, because some namespaces cannot be left again */
	pid = fork();
	if (!pid) {
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || setns(fd, CLONE_NEWNET))
			_exit(1);
		/* /proc/sys/net is that of the reader's namespace */
		f = fopen("/proc/sys/net/ipv4/tcp_congestion_control", "r");
		if (!f || !fgets(text, sizeof(text), f))
			_exit(1);
		_exit(strcmp(text, "d2tcp\n") != 0);
	}
	if (pid < 0 || waitpid(pid, &st, 0) < 0)
		return false;
	return WIFEXITED(st) && WEXITSTATUS(st) == 0;
}

static unsigned int namespace_at(const char *path, struct seen *seen)
{
	struct stat st;

	if (stat(path, &st) || seen_before(seen, st.st_ino) ||
	    !is_default(path))
		return 0;
	printf("network namespace %s: net.ipv4.tcp_congestion_control is d2tcp\n",
	       path);
	return 1;
}

static unsigned int callers_of(const char *pid, struct seen *seen)
{
	char dir[64];

	snprintf(dir, sizeof(dir), "/proc/%.20s/task", pid);
	return each_entry(dir, "/syscall", true, seen, caller_at);
}

int holders(int argc, char **argv)
{
	struct seen sockets = { 0 }, nets = { 0 };
	unsigned int found;
	long refs = -1;
	FILE *f;

	(void)argv;
	if (argc > 1) {
		fprintf(stderr, "d2tcp holders: takes no arguments\n");
		return 2;
	}
	f = fopen("/sys/module/tcp_d2tcp/refcnt", "r");
	if (!f || fscanf(f, "%ld", &refs) != 1) {
		fprintf(stderr, "d2tcp holders: the module tcp_d2tcp is not loaded\n");
		return 1;
	}
	fclose(f);
	if (geteuid()) {
		fprintf(stderr, "d2tcp holders: needs root, to inspect the sockets of other processes\n");
		return 1;
	}
	found = each_entry("/proc", NULL, true, &sockets, sockets_of);
	found += each_entry("/proc", NULL, true, &sockets, callers_of);
	found += each_entry("/proc", "/ns/net", true, &nets, namespace_at);
	found += each_entry("/run/netns", "", false, &nets, namespace_at);
	if (refs > (long)found)
		printf("%ld more not visible in /proc: connections that are closing or not yet accepted, kernel sockets, callers of an option through io_uring or socketcall(), namespaces without a process or a name; on Linux 6.1 also references leaked by refused sysctls\n",
		       refs - (long)found);
	if (unseen)
		printf("%u sockets could not be inspected: kernel.yama.ptrace_scope, or another security policy, forbids it\n",
		       unseen);
	if (!refs)
		printf("nothing holds tcp_d2tcp\n");
	return refs ? 3 : 0;
}
