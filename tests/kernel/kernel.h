/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Helpers of the tests inside a kernel: network namespaces, sysctls, pairs of
 * connected sockets, and the socket options.
 */
#ifndef KERNEL_H
#define KERNEL_H

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <d2tcp.h>

#include "../harness.h"

#define CHECK_ERRNO(call, err)						\
	do {								\
		int r_ = (call), e_ = r_ < 0 ? errno : 0;		\
									\
		checks++;						\
		if (e_ != (err))					\
			check_failed(__FILE__, __LINE__, #call,		\
				     "%s, not %s", strerrorname_np(e_),	\
				     strerrorname_np(err));		\
	} while (0)
#define CHECK_OK(call) CHECK_ERRNO(call, 0)

static inline uint64_t clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static inline void sleep_us(unsigned int us)
{
	const struct timespec t = { us / 1000000, us % 1000000 * 1000L };

	nanosleep(&t, NULL);
}

/* Runs a shell command, which must succeed. */
__attribute__((format(printf, 1, 2)))
static inline void sh(const char *fmt, ...)
{
	char cmd[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	CHECK(system(cmd) == 0, "failed: %s", cmd);
}

/* The output of a shell command, at most 64 KB. */
static inline const char *output(const char *cmd)
{
	static char text[65536];
	FILE *f = popen(cmd, "r");
	size_t n;

	CHECK(f, "popen %s", cmd);
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = 0;
	pclose(f);
	return text;
}

/* Returns to the network namespace in which the program was started. */
static inline void first_net(void)
{
	static int first = -1;

	if (first < 0)
		first = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	else
		CHECK_OK(setns(first, CLONE_NEWNET));
}

/* Enters a new namespace with lo up, without metrics or sysctls of earlier
 * tests.
 */
static inline void fresh_net(void)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd;

	first_net();
	CHECK_OK(unshare(CLONE_NEWNET));
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	CHECK_OK(ioctl(fd, SIOCSIFFLAGS, &ifr));
	close(fd);
}

/* Returns 0, or the errno of the open or write. */
static inline int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY), err = 0;

	if (fd < 0)
		return errno;
	if (write(fd, text, strlen(text)) < 0)
		err = errno;
	close(fd);
	return err;
}

static inline void sysctl_net(const char *name, const char *value)
{
	char path[256];
	int err;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv4/%s", name);
	err = write_file(path, value);
	CHECK(!err, "%s = %s: %s", name, value, strerror(err));
}

/* A counter of /proc/net/d2tcp in the current namespace. */
static inline long counter(const char *name)
{
	char line[128], found[64];
	long value = -1, v;
	FILE *f;

	f = fopen("/proc/net/d2tcp", "r");
	CHECK(f, "/proc/net/d2tcp: %s", strerror(errno));
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%63s %ld", found, &v) == 2 &&
		    !strcmp(found, name))
			value = v;
	fclose(f);
	CHECK(value >= 0, "/proc/net/d2tcp has no %s", name);
	return value;
}

static inline bool module_loaded(void)
{
	return strstr(output("cat /proc/modules"), "tcp_d2tcp ") != NULL;
}

/* --- sockets ------------------------------------------------------------- */

struct address {
	socklen_t len;
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	};
};

static inline struct address loopback(int family, uint16_t port)
{
	struct address a = { .len = sizeof(a.in) };

	if (family == AF_INET) {
		a.in.sin_family = AF_INET;
		a.in.sin_port = htons(port);
		a.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	} else {
		a.len = sizeof(a.in6);
		a.in6.sin6_family = AF_INET6;
		a.in6.sin6_port = htons(port);
		a.in6.sin6_addr = in6addr_loopback;
	}
	return a;
}

static inline int set_cc(int fd, const char *cc)
{
	return setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, cc, strlen(cc));
}

static inline const char *get_cc(int fd)
{
	static char name[16];
	socklen_t len = sizeof(name);

	memset(name, 0, sizeof(name));
	CHECK_OK(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len));
	return name;
}

/* A socket under cc, or under the namespace's default if cc is NULL. */
static inline int tcp_socket(int family, const char *cc)
{
	int fd = socket(family, SOCK_STREAM, 0), one = 1;

	CHECK(fd >= 0, "socket: %s", strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (cc)
		CHECK_OK(set_cc(fd, cc));
	return fd;
}

static inline int listen_on(int fd, int family, uint16_t port)
{
	struct address a = loopback(family, port);

	if (bind(fd, &a.sa, a.len))
		return -1;
	return listen(fd, 16);
}

static inline int connect_to(int fd, int family, uint16_t port)
{
	struct address a = loopback(family, port);

	return connect(fd, &a.sa, a.len);
}

static inline int disconnect(int fd)
{
	const struct sockaddr sa = { .sa_family = AF_UNSPEC };

	return connect(fd, &sa, sizeof(sa));
}

struct pair {
	int listener, client, server;
};

/* A connection over lo. */
static inline struct pair connected(int family, const char *client_cc,
				    const char *server_cc)
{
	static uint16_t port = 5000;
	struct pair p;

	p.listener = tcp_socket(family, server_cc);
	CHECK_OK(listen_on(p.listener, family, ++port));
	p.client = tcp_socket(family, client_cc);
	CHECK_OK(connect_to(p.client, family, port));
	p.server = accept(p.listener, NULL, NULL);
	CHECK(p.server >= 0, "accept: %s", strerror(errno));
	return p;
}

static inline void close_pair(const struct pair *p)
{
	close(p->client);
	close(p->server);
	close(p->listener);
}

static inline void all_acked(int fd)
{
	int left = 1;

	/* SIOCOUTQ: bytes not acknowledged */
	while (ioctl(fd, TIOCOUTQ, &left) == 0 && left)
		sleep_us(1000);
}

/* Sends n bytes and waits until they are read and acknowledged. */
static inline void transfer(int from, int to, size_t n)
{
	char *buf = calloc(1, n);
	size_t got = 0;
	ssize_t r;

	CHECK((size_t)send(from, buf, n, 0) == n, "send: %s", strerror(errno));
	while (got < n) {
		r = recv(to, buf, n - got, 0);
		CHECK(r > 0, "recv: %s", strerror(errno));
		got += r;
	}
	free(buf);
	all_acked(from);
}

/* --- the options --------------------------------------------------------- */

static inline int set_deadline_int(int fd, int usec)
{
	return setsockopt(fd, SOL_IP, D2TCP_DEADLINE, &usec, sizeof(usec));
}

static inline int set_deadline(int fd, uint64_t ns, uint64_t bytes,
			       uint32_t flags)
{
	const struct d2tcp_deadline dl = {
		.deadline_ns = ns, .bytes = bytes, .flags = flags,
	};

	return setsockopt(fd, SOL_IP, D2TCP_DEADLINE, &dl, sizeof(dl));
}

static inline struct d2tcp_deadline get_deadline(int fd)
{
	struct d2tcp_deadline dl;
	socklen_t len = sizeof(dl);

	memset(&dl, 0xff, sizeof(dl));
	CHECK_OK(getsockopt(fd, SOL_IP, D2TCP_DEADLINE, &dl, &len));
	CHECK_EQ(len, sizeof(dl));
	return dl;
}

static inline int set_budget(int fd, int usec)
{
	return setsockopt(fd, SOL_IP, D2TCP_BUDGET, &usec, sizeof(usec));
}

static inline int get_budget(int fd)
{
	int usec = -1;
	socklen_t len = sizeof(usec);

	CHECK_OK(getsockopt(fd, SOL_IP, D2TCP_BUDGET, &usec, &len));
	CHECK_EQ(len, sizeof(usec));
	return usec;
}

static inline struct d2tcp_info get_info(int fd)
{
	struct d2tcp_info info;
	socklen_t len = sizeof(info);

	memset(&info, 0xff, sizeof(info));
	CHECK_OK(getsockopt(fd, SOL_IP, D2TCP_INFO, &info, &len));
	CHECK_EQ(len, sizeof(info));
	CHECK_EQ(info.size, sizeof(info));
	return info;
}

/* Waits until no message is outstanding on fd. */
static inline struct d2tcp_info settled(int fd)
{
	struct d2tcp_info info;
	int i;

	for (i = 0; i < 10000; i++) {
		info = get_info(fd);
		if (!info.outstanding)
			break;
		sleep_us(1000);
	}
	CHECK_EQ(info.outstanding, 0);
	return info;
}

static inline struct tcp_info tcp_info(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	CHECK_OK(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len));
	return info;
}

#endif /* KERNEL_H */
