// SPDX-License-Identifier: GPL-2.0
/*
 * The shim that `d2tcp run` preloads: sets the budget and the expectation on each TCP
 * socket of the program, before it connects or listens.
 *
 * A socket gets its options when it is created, and again in connect() and listen():
 * a failed connect clears them, and a socket may come from another process, such as
 * systemd's listeners. Accepted sockets inherit them. An option that is refused is
 * counted for `d2tcp run` and changes nothing for the program.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <d2tcp.h>

#include "preload.h"

#define PUBLIC	__attribute__((visibility("default")))

static int budget_us, expect_us;	/* 0: not set */
static struct preload_report *report;	/* NULL: none */
static bool created[1 << 16];		/* by socket() in this process, by number */

static int from_environment(const char *name)
{
	const char *text = getenv(name);

	return text ? atoi(text) : 0;
}

/* Runs before main(), in each program that `d2tcp run` starts or that these start. */
__attribute__((constructor)) static void start(void)
{
	const char *path = getenv(PRELOAD_REPORT);
	void *page;
	int fd;

	budget_us = from_environment(PRELOAD_BUDGET);
	expect_us = from_environment(PRELOAD_EXPECT);
	fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	if (fd < 0)
		return;
	page = mmap(NULL, sizeof(*report), PROT_READ | PROT_WRITE, MAP_SHARED,
		    fd, 0);
	close(fd);
	if (page == MAP_FAILED)
		return;
	report = page;
	__atomic_fetch_add(&report->programs, 1, __ATOMIC_RELAXED);
}

static bool is_tcp(int fd)
{
	int domain, type, protocol, before = errno;
	socklen_t len = sizeof(int);
	bool tcp;

	tcp = !getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) &&
	       (domain == AF_INET || domain == AF_INET6) &&
	       !getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) &&
	       type == SOCK_STREAM &&
	       !getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) &&
	       protocol == IPPROTO_TCP;
	errno = before;
	return tcp;
}

static bool set_budget(int fd, unsigned int *option)
{
	*option = PRELOAD_CONGESTION;
	if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "d2tcp", strlen("d2tcp")))
		return false;
	*option = PRELOAD_SET_BUDGET;
	return !setsockopt(fd, SOL_IP, D2TCP_BUDGET, &budget_us, sizeof(budget_us));
}

static bool set_expect(int fd, unsigned int *option)
{
	struct d2tcp_deadline standing = {
		.deadline_ns = 1000ull * (unsigned int)expect_us,
		.flags = D2TCP_F_RELATIVE | D2TCP_F_STANDING,
	};

	*option = PRELOAD_SET_EXPECT;
	return !setsockopt(fd, SOL_IP, D2TCP_EXPECT, &standing, sizeof(standing));
}

/* Has this socket the options, as far as a single call tells? */
static bool configured(int fd)
{
	struct d2tcp_expect_info info = { 0 };
	char name[16] = "";
	socklen_t len;

	if (budget_us) {
		len = sizeof(name);
		return !getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len) &&
		       !strcmp(name, "d2tcp");
	}
	len = sizeof(info);
	return !getsockopt(fd, SOL_IP, D2TCP_EXPECT_INFO, &info, &len) &&
	       info.standing_ns == 1000ull * (unsigned int)expect_us;
}

/* A socket that gets the options for the first time is counted. Keeps errno, which the
 * program may look at after a call that succeeded.
 */
static void set_options(int fd, bool first)
{
	int before = errno;
	unsigned int option = 0;
	bool done = true;

	if (budget_us)
		done = set_budget(fd, &option);
	if (done && expect_us)
		done = set_expect(fd, &option);
	if (report && first) {
		__atomic_fetch_add(&report->sockets, 1, __ATOMIC_RELAXED);
		if (!done) {
			__atomic_store_n(&report->error, errno, __ATOMIC_RELAXED);
			__atomic_store_n(&report->option, option,
					 __ATOMIC_RELAXED);
			__atomic_fetch_add(&report->failed, 1, __ATOMIC_RELAXED);
		}
	}
	errno = before;
}

/* Finds the function of this name in the library after this one. */
#define FIND(f) do { \
	if (!next_##f) \
		*(void **)&next_##f = dlsym(RTLD_NEXT, #f); \
} while (0)

static int (*next_socket)(int domain, int type, int protocol);
static int (*next_connect)(int fd, const struct sockaddr *address, socklen_t len);
static int (*next_listen)(int fd, int backlog);

PUBLIC int socket(int domain, int type, int protocol)
{
	int fd;

	FIND(socket);
	fd = next_socket(domain, type, protocol);
	if (fd < 0 || !is_tcp(fd))
		return fd;
	set_options(fd, true);
	if ((size_t)fd < sizeof(created))
		created[fd] = true;
	return fd;
}

PUBLIC int connect(int fd, const struct sockaddr *address, socklen_t len)
{
	FIND(connect);
	/* after a failed connect; a socket without them is one that the program
	 * has chosen another congestion control for
	 */
	if (is_tcp(fd) && (!budget_us || configured(fd)))
		set_options(fd, false);
	return next_connect(fd, address, len);
}

PUBLIC int listen(int fd, int backlog)
{
	FIND(listen);
	if (is_tcp(fd) && !configured(fd))
		set_options(fd, (size_t)fd < sizeof(created) && !created[fd]);
	return next_listen(fd, backlog);
}
