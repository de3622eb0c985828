// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of libd2tcp's calls. Compiled with the installed headers only.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libd2tcp.h>

#include "../harness.h"

#define SAYS(err, text)							\
	CHECK(strstr(d2tcp_strerror(err), text), "%s", d2tcp_strerror(err))
#define FAILS(call, err)						\
	do {								\
		errno = 0;						\
		CHECK((call) == -1 && errno == (err), "%s",		\
		      strerror(errno));					\
	} while (0)

TEST(d2tcp_strerror has words for every errno)
{
	static const int own[] = {
		EINVAL, ERANGE, EOPNOTSUPP, ENOPROTOOPT, ENOENT, EPERM, E2BIG,
	};
	size_t i;
	int err;

	for (err = -5; err < 300; err++)
		CHECK(d2tcp_strerror(err) && *d2tcp_strerror(err), "%d", err);
	for (i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		CHECK(strcmp(d2tcp_strerror(own[i]), strerror(own[i])),
		      "no text of its own for %s", strerror(own[i]));
	SAYS(EOPNOTSUPP, "d2tcp_enable()");
	SAYS(ENOENT, "load the module");
	SAYS(EPERM, "tcp_allowed_congestion_control");
	SAYS(9999, "unknown error");
	CHECK(d2tcp_version() == (LIBD2TCP_VERSION_MAJOR << 16 |
				  LIBD2TCP_VERSION_MINOR << 8 |
				  LIBD2TCP_VERSION_PATCH), "%#x",
	      d2tcp_version());
}

TEST(calls without the module return the documented errno)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct d2tcp_info info;

	FAILS(d2tcp_enable(fd), ENOENT);
	FAILS(d2tcp_set_timeout(fd, 1000, 0), ENOPROTOOPT);
	FAILS(d2tcp_set_deadline(fd, 1, 0), ENOPROTOOPT);
	FAILS(d2tcp_clear(fd), ENOPROTOOPT);
	FAILS(d2tcp_set_budget(fd, 1000), ENOPROTOOPT);
	FAILS(d2tcp_get_info(fd, &info), ENOPROTOOPT);
	FAILS(d2tcp_clear(-1), EBADF);
	FAILS(d2tcp_clear(0), ENOTSOCK);
	close(fd);
}

TEST(calls with the module set and clear deadlines and budgets)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in sa = { .sin_family = AF_INET };
	struct d2tcp_info info;

	FAILS(d2tcp_set_timeout(fd, 1000, 0), EOPNOTSUPP);
	CHECK(d2tcp_enable(fd) == 0, "%s", strerror(errno));
	FAILS(d2tcp_set_deadline(fd, 0, 0), EINVAL);
	FAILS(d2tcp_set_timeout(fd, 1000, 1ull << 31), ERANGE);
	FAILS(d2tcp_set_budget(fd, 1u << 31), EINVAL);
	FAILS(d2tcp_set_budget(fd, -1), EINVAL);
	FAILS(d2tcp_set_budget(fd, INT64_MIN), EINVAL);
	CHECK(d2tcp_set_timeout(fd, 5000000, 12345) == 0, "timeout");
	CHECK(d2tcp_get_info(fd, &info) == 0, "info");
	CHECK(info.bytes_left == 12345 && info.outstanding == 1, "%llu, %u",
	      (unsigned long long)info.bytes_left, info.outstanding);
	CHECK(info.time_left_ns > 0 && info.time_left_ns <= 5000000, "%lld",
	      (long long)info.time_left_ns);
	CHECK(d2tcp_clear(fd) == 0, "clear");
	/* these are late, but they are deadlines */
	CHECK(d2tcp_set_deadline(fd, 0, 10) == 0, "deadline");
	CHECK(d2tcp_set_timeout(fd, 0, 0) == 0, "timeout 0");
	CHECK(d2tcp_set_budget(fd, 7000) == 0, "budget");
	CHECK(d2tcp_get_info(fd, &info) == 0, "info");
	CHECK(info.armed_late == 2 && info.cleared == 2 &&
	      info.budget_us == 7000, "%llu %llu %u",
	      (unsigned long long)info.armed_late,
	      (unsigned long long)info.cleared, info.budget_us);
	CHECK(d2tcp_clear(fd) == 0, "clear");
	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK(bind(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0, "bind");
	CHECK(listen(fd, 1) == 0, "listen");
	FAILS(d2tcp_set_timeout(fd, 1000, 0), EINVAL);
	close(fd);
}

TEST(calls with the module expect answers on sockets of any algorithm)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in sa = { .sin_family = AF_INET };
	struct d2tcp_expect_info info;

	CHECK(d2tcp_expect(fd, 5000000, 1000) == 0, "%s",
	      d2tcp_strerror(errno));
	CHECK(d2tcp_expect(fd, -1, 1000) == 0, "%s", d2tcp_strerror(errno));
	CHECK(d2tcp_expect(fd, 5000000, 0) == 0, "%s", d2tcp_strerror(errno));
	FAILS(d2tcp_expect(fd, 5000000, 1ull << 31), ERANGE);
	CHECK(d2tcp_expect_standing(fd, 7000000, 500) == 0, "%s",
	      d2tcp_strerror(errno));
	FAILS(d2tcp_expect_standing(fd, -1, 500), EINVAL);
	FAILS(d2tcp_expect_standing(fd, 7000000, 1ull << 31), ERANGE);
	memset(&info, 0xff, sizeof(info));
	CHECK(d2tcp_get_expect_info(fd, &info) == 0, "%s",
	      d2tcp_strerror(errno));
	CHECK(info.size == sizeof(info) && info.standing_ns == 7000000 &&
	      info.outstanding == 3 && info.bytes == 1000 &&
	      info.flags == (D2TCP_EXPECTING | D2TCP_EXPECT_STANDING),
	      "%u %llu %u %llu %#x", info.size,
	      (unsigned long long)info.standing_ns, info.outstanding,
	      (unsigned long long)info.bytes, info.flags);
	CHECK(d2tcp_expect_standing(fd, 0, 0) == 0, "%s",
	      d2tcp_strerror(errno));
	CHECK(d2tcp_get_expect_info(fd, &info) == 0, "info");
	CHECK(info.flags == D2TCP_EXPECT_RELEASED, "%#x", info.flags);
	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK(bind(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0, "bind");
	CHECK(listen(fd, 1) == 0, "listen");
	FAILS(d2tcp_expect(fd, 5000000, 1000), EINVAL);
	CHECK(d2tcp_expect_standing(fd, 5000000, 0) == 0, "%s",
	      d2tcp_strerror(errno));
	close(fd);
	FAILS(d2tcp_expect(fd, 5000000, 1000), EBADF);
}

/* A program that subtracts the time it spent from its budget may pass these. */
TEST(calls with the module take a negative time for a late message)
{
	static const d2tcp_nsec left[] = { -1, -5000000, INT64_MIN };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct d2tcp_info info;
	unsigned int i;

	CHECK(d2tcp_enable(fd) == 0, "%s", strerror(errno));
	for (i = 0; i < 3; i++) {
		CHECK(d2tcp_set_timeout(fd, left[i], 100) == 0, "timeout");
		CHECK(d2tcp_get_info(fd, &info) == 0, "info");
		CHECK(info.flags & D2TCP_INFO_LATE && info.time_left_ns <= 0,
		      "%#x, %lld left", info.flags,
		      (long long)info.time_left_ns);
		CHECK(d2tcp_set_deadline(fd, left[i], 0) == 0, "deadline");
		CHECK(d2tcp_get_info(fd, &info) == 0, "info");
		CHECK(info.flags & D2TCP_INFO_LATE, "%#x", info.flags);
		CHECK(info.armed_late == 2 * i + 2, "%llu",
		      (unsigned long long)info.armed_late);
	}
	close(fd);
}

TEST(calls with the module keep the settings when d2tcp is enabled again)
{
	int l = socket(AF_INET, SOCK_STREAM, 0);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in sa = { .sin_family = AF_INET };
	socklen_t len = sizeof(sa);
	struct d2tcp_info info;

	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK(bind(l, (struct sockaddr *)&sa, sizeof(sa)) == 0 &&
	      listen(l, 1) == 0 &&
	      getsockname(l, (struct sockaddr *)&sa, &len) == 0, "listen");
	CHECK(d2tcp_enable(fd) == 0, "enable");
	CHECK(d2tcp_enable(fd) == 0, "enable again");
	CHECK(connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0, "connect");
	CHECK(d2tcp_set_budget(fd, 7000) == 0, "budget");
	CHECK(d2tcp_set_timeout(fd, 1000000, 10) == 0, "timeout");
	/* enabling it again loses neither deadline nor budget */
	CHECK(d2tcp_enable(fd) == 0, "enable once more");
	CHECK(d2tcp_get_info(fd, &info) == 0, "info");
	CHECK(info.flags & D2TCP_INFO_FALLBACK && info.outstanding == 1 &&
	      info.budget_us == 7000, "%#x %u %u", info.flags,
	      info.outstanding, info.budget_us);
	close(fd);
	close(l);
}

TEST(calls with the module turn a sysctl default into the choice of a socket)
{
	int l = socket(AF_INET, SOCK_STREAM, 0), fd, child;
	struct sockaddr_in sa = { .sin_family = AF_INET };
	socklen_t len = sizeof(sa);
	struct d2tcp_info info;

	CHECK(system("sysctl -qw net.ipv4.tcp_congestion_control=d2tcp") == 0,
	      "sysctl");
	close(l);
	l = socket(AF_INET, SOCK_STREAM, 0);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	CHECK(d2tcp_enable(l) == 0, "enable");
	CHECK(system("sysctl -qw net.ipv4.tcp_congestion_control=cubic") == 0,
	      "sysctl");
	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK(bind(l, (struct sockaddr *)&sa, sizeof(sa)) == 0 &&
	      listen(l, 1) == 0 &&
	      getsockname(l, (struct sockaddr *)&sa, &len) == 0, "listen");
	CHECK(connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0, "connect");
	child = accept(l, NULL, NULL);
	CHECK(d2tcp_get_info(child, &info) == 0, "%s", d2tcp_strerror(errno));
	close(child);
	close(fd);
	close(l);
}

int main(int argc, char **argv)
{
	return run_tests(argc, argv);
}
