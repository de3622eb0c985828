// SPDX-License-Identifier: GPL-2.0
/*
 * d2tcp holders: list the users that keep tcp_d2tcp from being unloaded. The
 * module is held by each socket under d2tcp, in any state, by each network
 * namespace whose default is d2tcp, and by each thread that is inside one of
 * the socket options.
 */
#define _GNU_SOURCE
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
#include "sockets.h"
#include "walk.h"

/* Sockets of other processes that could not be duplicated. */
static unsigned int unseen;

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

static struct seen listed;

/* Lists a socket under d2tcp; returns 1 if it was not listed before. */
static unsigned int list_socket(const struct held_socket *held)
{
	char own[80], peer[80];

	if (!under_d2tcp(held->fd))
		return 0;
	address_of(held->fd, false, own, sizeof(own));
	address_of(held->fd, true, peer, sizeof(peer));
	printf("process %s (%s), descriptor %s: %s to %s, %s\n", held->pid,
	       held->process, held->descriptor, own, peer, state_of(held->fd));
	return !seen_before(&listed, held->ino);
}

static unsigned int sockets_of(const char *pid, struct seen *seen)
{
	(void)seen;
	return each_socket(pid, &unseen, list_socket);
}

/* Lists a thread that sleeps inside one of the options, in a page fault or on
 * the socket lock. /proc shows the system call in which a thread sleeps.
 */
static unsigned int caller_at(const char *path, struct seen *seen)
{
	/* system calls of 32-bit programs on x86-64; 64-bit programs do not use
	 * these numbers
	 */
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
	struct seen nets = { 0 };
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
		fprintf(stderr, "d2tcp holders: needs root to inspect the sockets of other processes\n");
		return 1;
	}
	found = each_entry("/proc", NULL, true, NULL, sockets_of);
	found += each_entry("/proc", NULL, true, NULL, callers_of);
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
