// SPDX-License-Identifier: GPL-2.0
/*
 * The shim that `d2tcp run` preloads: sets the budget and the expectation on each TCP
 * socket of the program, unless the program has set its own.
 *
 * The budget is set when a socket is created, and again in connect(), because a failed
 * connect clears it; the expectation after connect(), or in listen(). On a socket from
 * another process, such as a listener of systemd's, they are set in listen() or accept().
 * Accepted sockets inherit them. An option that is refused is counted for `d2tcp run` and
 * changes nothing for the program.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <d2tcp.h>

#include "preload.h"

#define PUBLIC	__attribute__((visibility("default")))

static int budget_us, expect_us;	/* 0: not set */
static struct preload_report *report;	/* NULL: none */

/* The descriptors of sockets that socket() created or that have the options. If one is
 * closed and its number reused for a socket received from another process, that socket is
 * mistaken for a known one.
 */
static bool known[1 << 16];

static int (*next_socket)(int domain, int type, int protocol);
static int (*next_connect)(int fd, const struct sockaddr *address, socklen_t len);
static int (*next_listen)(int fd, int backlog);
static int (*next_accept)(int fd, struct sockaddr *address, socklen_t *len);
static int (*next_accept4)(int fd, struct sockaddr *address, socklen_t *len,
			   int flags);

/* Finds the function of this name in the library after this one. */
#define FIND(f) do { \
	if (!next_##f) \
		*(void **)&next_##f = dlsym(RTLD_NEXT, #f); \
} while (0)

static int from_environment(const char *name)
{
	const char *text = getenv(name);

	return text ? atoi(text) : 0;
}

static void map_report(void)
{
	unsigned long device, inode;
	const char *text;
	struct stat st;
	void *page;
	int fd;

	text = getenv(PRELOAD_REPORT);
	if (!text || sscanf(text, "%d:%lx:%lu", &fd, &device, &inode) != 3 ||
	    fstat(fd, &st) || st.st_dev != device || st.st_ino != inode ||
	    st.st_size != (off_t)sizeof(*report))
		return;
	page = mmap(NULL, sizeof(*report), PROT_READ | PROT_WRITE, MAP_SHARED,
		    fd, 0);
	if (page == MAP_FAILED)
		return;
	report = page;
	__atomic_fetch_add(&report->programs, 1, __ATOMIC_RELAXED);
}

/* Runs before main(), in the program that `d2tcp run` starts and in those that it starts.
 * All functions are found here, because they may later be called where dlsym() must not
 * be: in a child of a threaded program.
 */
__attribute__((constructor)) static void start(void)
{
	FIND(socket);
	FIND(connect);
	FIND(listen);
	FIND(accept);
	FIND(accept4);
	budget_us = from_environment(PRELOAD_BUDGET);
	expect_us = from_environment(PRELOAD_EXPECT);
	map_report();
}

static bool is_tcp(int fd)
{
	int domain, type, protocol;
	socklen_t len = sizeof(int);

	return !getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) &&
	       (domain == AF_INET || domain == AF_INET6) &&
	       !getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) &&
	       type == SOCK_STREAM &&
	       !getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) &&
	       protocol == IPPROTO_TCP;
}

static bool under_d2tcp(int fd)
{
	char name[16] = "";
	socklen_t len = sizeof(name);

	return !getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len) &&
	       !strncmp(name, "d2tcp", 5);
}

/* Counts a refusal in the report, with errno. */
static void refused(enum preload_option option, bool counted)
{
	if (!report || !counted)
		return;
	__atomic_store_n(&report->option[option].error, errno, __ATOMIC_RELAXED);
	__atomic_fetch_add(&report->option[option].refused, 1, __ATOMIC_RELAXED);
}

static void give_budget(int fd, bool select, bool counted)
{
	socklen_t len = sizeof(int);
	int now = 0;

	if (select && setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "d2tcp",
				 strlen("d2tcp"))) {
		refused(PRELOAD_SELECT, counted);
		return;
	}
	/* the program may have selected another congestion control */
	if (!under_d2tcp(fd))
		return;
	if (!getsockopt(fd, SOL_IP, D2TCP_BUDGET, &now, &len) && now)
		return;
	if (setsockopt(fd, SOL_IP, D2TCP_BUDGET, &budget_us, sizeof(budget_us)))
		refused(PRELOAD_SET_BUDGET, counted);
}

/* Whether the socket needs an expectation: the program has set none. Asked before it
 * connects, when it cannot have the namespace's default yet, which is replaced.
 */
static bool needs_expectation(int fd)
{
	struct d2tcp_expect_info now = { 0 };
	socklen_t len = sizeof(now);
	int before = errno;
	bool needs;

	if (!expect_us || !is_tcp(fd))
		return false;
	needs = getsockopt(fd, SOL_IP, D2TCP_EXPECT_INFO, &now, &len) ||
		(!now.standing_ns && !now.outstanding);
	errno = before;
	return needs;
}

static void give_expectation(int fd)
{
	struct d2tcp_deadline standing = {
		.deadline_ns = 1000ull * (unsigned int)expect_us,
		.flags = D2TCP_F_RELATIVE | D2TCP_F_STANDING,
	};
	int before = errno;

	if (setsockopt(fd, SOL_IP, D2TCP_EXPECT, &standing, sizeof(standing)))
		refused(PRELOAD_SET_EXPECT, true);
	errno = before;
}

/* Sets the budget. A socket that is seen for the first time is also counted, and put
 * under d2tcp. Keeps errno, which the program may read even after a call that succeeded.
 */
static void give_options(int fd, bool first)
{
	int before = errno;

	if (!is_tcp(fd))
		goto out;
	if (report && first)
		__atomic_fetch_add(&report->sockets, 1, __ATOMIC_RELAXED);
	if (budget_us)
		give_budget(fd, first, first);
	if ((size_t)fd < sizeof(known))
		known[fd] = true;
out:
	errno = before;
}

static bool is_known(int fd)
{
	return fd < 0 || (size_t)fd >= sizeof(known) || known[fd];
}

PUBLIC int socket(int domain, int type, int protocol)
{
	int fd;

	FIND(socket);
	fd = next_socket(domain, type, protocol);
	if (fd >= 0)
		give_options(fd, true);
	return fd;
}

/* The expectation follows the SYN. If it preceded it, the connection would advertise no
 * window before the first request, and a server that speaks first would have to wait.
 */
PUBLIC int connect(int fd, const struct sockaddr *address, socklen_t len)
{
	bool needs;
	int result;

	FIND(connect);
	give_options(fd, !is_known(fd));
	needs = needs_expectation(fd);
	result = next_connect(fd, address, len);
	if (needs && (!result || errno == EINPROGRESS))
		give_expectation(fd);
	return result;
}

PUBLIC int listen(int fd, int backlog)
{
	FIND(listen);
	if (!is_known(fd))
		give_options(fd, true);
	if (needs_expectation(fd))
		give_expectation(fd);
	return next_listen(fd, backlog);
}

PUBLIC int accept(int fd, struct sockaddr *address, socklen_t *len)
{
	FIND(accept);
	if (!is_known(fd)) {
		give_options(fd, true);
		if (needs_expectation(fd))
			give_expectation(fd);
	}
	return next_accept(fd, address, len);
}

PUBLIC int accept4(int fd, struct sockaddr *address, socklen_t *len, int flags)
{
	FIND(accept4);
	if (!is_known(fd)) {
		give_options(fd, true);
		if (needs_expectation(fd))
			give_expectation(fd);
	}
	return next_accept4(fd, address, len, flags);
}
