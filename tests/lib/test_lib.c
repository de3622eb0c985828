// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of libd2tcp's calls. Compiled with the installed headers only.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
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
		ETIMEDOUT, ENOTCONN,
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
	SAYS(ENOPROTOOPT, "expect=1");
	SAYS(EINVAL, "H, M, S, m, u or n");
	SAYS(9999, "unknown error");
	CHECK(d2tcp_version() == (LIBD2TCP_VERSION_MAJOR << 16 |
				  LIBD2TCP_VERSION_MINOR << 8 |
				  LIBD2TCP_VERSION_PATCH), "%#x",
	      d2tcp_version());
}

#define HOUR	3600000000000ll

TEST(budgets are parsed from grpc-timeout)
{
	static const struct {
		const char *text;
		d2tcp_nsec ns;
	} good[] = {
		{ "0n", 0 }, { "1n", 1 }, { "1u", 1000 }, { "007m", 7000000 },
		{ "99999999S", 99999999000000000 }, { "1M", 60000000000 },
		{ "2H", 2 * HOUR }, { "99999999H", INT64_MAX },
		{ "2562047H", 2562047 * HOUR }, { "2562048H", INT64_MAX },
	};
	d2tcp_nsec ns;
	size_t i;

	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		ns = -1;
		CHECK(d2tcp_parse_grpc_timeout(good[i].text,
					       strlen(good[i].text), &ns) == 0 &&
		      ns == good[i].ns, "%s: %lld", good[i].text,
		      (long long)ns);
	}
}

/* Every text of up to four of these characters is right, or refused and the budget
 * left alone.
 */
TEST(budgets in no text but a grpc-timeout are parsed)
{
	static const char from[] = "09HMSmun hsN-+.\n";
	const unsigned int kinds = sizeof(from) - 1;
	unsigned int code, rest, len, digits, right = 0, wrong = 0;
	char text[5];
	d2tcp_nsec ns;

	for (len = 0; len <= 4; len++) {
		for (code = 0; code < kinds * kinds * kinds * kinds; code++) {
			for (rest = code, digits = 0; digits < len; digits++) {
				text[digits] = from[rest % kinds];
				rest /= kinds;
			}
			/* each text once */
			if (rest)
				break;
			text[len] = 0;
			digits = strspn(text, "09");
			ns = -7;
			if (digits && len == digits + 1 &&
			    strchr("HMSmun", text[digits])) {
				right++;
				CHECK(d2tcp_parse_grpc_timeout(text, len, &ns) == 0 &&
				      ns >= 0, "'%s'", text);
			} else {
				wrong++;
				FAILS(d2tcp_parse_grpc_timeout(text, len, &ns),
				      EINVAL);
				CHECK(ns == -7, "'%s': %lld", text,
				      (long long)ns);
			}
		}
	}
	/* one to three digits of two kinds, and six units */
	CHECK(right == (2 + 4 + 8) * 6, "%u", right);
	CHECK(wrong > 50000, "%u", wrong);
	FAILS(d2tcp_parse_grpc_timeout("123456789n", 10, &ns), EINVAL);
	FAILS(d2tcp_parse_grpc_timeout("12345678", 8, &ns), EINVAL);
	FAILS(d2tcp_parse_grpc_timeout("12345678nn", 10, &ns), EINVAL);
	/* of a longer text, as in a packet */
	CHECK(d2tcp_parse_grpc_timeout("12m34", 3, &ns) == 0 && ns == 12000000,
	      "%lld", (long long)ns);
	CHECK(d2tcp_parse_usec("1234", 2, &ns) == 0 && ns == 12000, "%lld",
	      (long long)ns);
	FAILS(d2tcp_parse_grpc_timeout("12m", 2, &ns), EINVAL);
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* A child's budget must not exceed its parent's, whatever the unit. */
TEST(budgets are printed rounded down by less than a part in 100000)
{
	char text[D2TCP_BUDGET_SIZE], us[D2TCP_BUDGET_SIZE];
	uint64_t state = 88172645463325252ull;
	d2tcp_nsec ns, back;
	int i;

	for (i = 0; i < 1000000; i++) {
		ns = next_random(&state) >> (1 + i % 63);
		CHECK(d2tcp_print_grpc_timeout(ns, text) == 0, "%d", i);
		CHECK(d2tcp_parse_grpc_timeout(text, strlen(text), &back) == 0, "%s", text);
		/* six digits or more, or exact */
		CHECK(back <= ns && ns - back <= ns / 100000, "%lld, %s",
		      (long long)ns, text);
		CHECK(d2tcp_print_usec(ns, us) == 0, "%d", i);
		CHECK(d2tcp_parse_usec(us, strlen(us), &back) == 0, "%s", us);
		CHECK(back == ns - ns % 1000, "%lld, %s", (long long)ns, us);
	}
	for (ns = -1; ns >= INT64_MIN / 4; ns *= 4) {
		d2tcp_print_grpc_timeout(ns, text);
		d2tcp_print_usec(ns, us);
		CHECK(!strcmp(text, "0n") && !strcmp(us, "0"), "%s, %s", text,
		      us);
	}
	d2tcp_print_grpc_timeout(99999999, text);
	CHECK(!strcmp(text, "99999999n"), "%s", text);
	d2tcp_print_grpc_timeout(100000000, text);
	CHECK(!strcmp(text, "100000u"), "%s", text);
	d2tcp_print_grpc_timeout(INT64_MAX, text);
	CHECK(!strcmp(text, "2562047H"), "%s", text);
}

TEST(budgets are parsed from microseconds)
{
	static const char *const wrong[] = {
		"", " 1", "1 ", "+1", "-1", "1u", "1.5", "0x1", "1e3", "\n",
	};
	d2tcp_nsec ns = -7;
	size_t i;

	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		FAILS(d2tcp_parse_usec(wrong[i], strlen(wrong[i]), &ns), EINVAL);
	FAILS(d2tcp_parse_usec("9223372036854776", 16, &ns), ERANGE);
	FAILS(d2tcp_parse_usec("99999999999999999999999", 23, &ns), ERANGE);
	CHECK(ns == -7, "%lld", (long long)ns);
	CHECK(d2tcp_parse_usec("9223372036854775", 16, &ns) == 0 &&
	      ns == 9223372036854775000, "%lld", (long long)ns);
	CHECK(d2tcp_parse_usec("000", 3, &ns) == 0 && ns == 0, "%lld",
	      (long long)ns);
}

static d2tcp_nsec monotonic(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ll + now.tv_nsec;
}

TEST(budgets of children are shorter by the reserve and by the time spent)
{
	const d2tcp_nsec before = monotonic();
	d2tcp_nsec deadline, child = -7, grandchild;

	CHECK(d2tcp_start_budget(HOUR, &deadline) == 0, "start");
	CHECK(deadline >= before + HOUR && deadline <= monotonic() + HOUR,
	      "%lld", (long long)deadline);
	FAILS(d2tcp_child_budget(deadline, HOUR, &child), ETIMEDOUT);
	FAILS(d2tcp_child_budget(deadline, INT64_MAX, &child), ETIMEDOUT);
	FAILS(d2tcp_child_budget(deadline, -1, &child), EINVAL);
	FAILS(d2tcp_child_budget(INT64_MIN, 0, &child), ETIMEDOUT);
	FAILS(d2tcp_child_budget(INT64_MIN, INT64_MAX, &child), ETIMEDOUT);
	FAILS(d2tcp_child_budget(before, 0, &child), ETIMEDOUT);
	CHECK(child == -7, "%lld", (long long)child);
	CHECK(d2tcp_child_budget(deadline, HOUR / 4, &child) == 0, "child");
	CHECK(child <= HOUR * 3 / 4 && child > HOUR / 2, "%lld",
	      (long long)child);
	/* on a host whose clock reads anything */
	CHECK(d2tcp_start_budget(child, &deadline) == 0, "start");
	CHECK(d2tcp_child_budget(deadline, HOUR / 4, &grandchild) == 0, "child");
	CHECK(grandchild <= child - HOUR / 4, "%lld", (long long)grandchild);
	CHECK(d2tcp_start_budget(INT64_MAX, &deadline) == 0 &&
	      deadline == INT64_MAX, "%lld", (long long)deadline);
	CHECK(d2tcp_start_budget(INT64_MIN, &deadline) == 0 && deadline < 0,
	      "%lld", (long long)deadline);
}

TEST(budgets that do not suffice are found before the work)
{
	int l = socket(AF_INET, SOCK_STREAM, 0), udp;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in sa = { .sin_family = AF_INET };
	const d2tcp_nsec soon = monotonic() + HOUR;
	socklen_t len = sizeof(sa);

	FAILS(d2tcp_check_time(fd, soon, 0, 0), ENOTCONN);
	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK(bind(l, (struct sockaddr *)&sa, sizeof(sa)) == 0 &&
	      listen(l, 1) == 0 &&
	      getsockname(l, (struct sockaddr *)&sa, &len) == 0, "listen");
	FAILS(d2tcp_check_time(l, soon, 0, 0), ENOTCONN);
	CHECK(connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0, "connect");
	CHECK(d2tcp_check_time(fd, soon, 0, 1000) == 0, "%s", strerror(errno));
	CHECK(d2tcp_check_time(fd, soon, HOUR / 2, 1000) == 0, "%s",
	      strerror(errno));
	FAILS(d2tcp_check_time(fd, soon, HOUR, 1000), ETIMEDOUT);
	FAILS(d2tcp_check_time(fd, soon, INT64_MAX, 1000), ETIMEDOUT);
	FAILS(d2tcp_check_time(fd, soon, -1, 1000), EINVAL);
	FAILS(d2tcp_check_time(fd, monotonic(), 0, 0), ETIMEDOUT);
	FAILS(d2tcp_check_time(fd, INT64_MIN, 0, 0), ETIMEDOUT);
	FAILS(d2tcp_check_time(fd, soon, 0, UINT64_MAX), ETIMEDOUT);
	CHECK(shutdown(fd, SHUT_WR) == 0, "shutdown");
	FAILS(d2tcp_check_time(fd, soon, 0, 1000), ENOTCONN);
	close(fd);
	FAILS(d2tcp_check_time(fd, soon, 0, 0), EBADF);
	udp = socket(AF_INET, SOCK_DGRAM, 0);
	FAILS(d2tcp_check_time(udp, soon, 0, 0), ENOPROTOOPT);
	close(udp);
	udp = socket(AF_UNIX, SOCK_STREAM, 0);
	FAILS(d2tcp_check_time(udp, soon, 0, 0), ENOPROTOOPT);
	FAILS(d2tcp_state(udp), ENOPROTOOPT);
	close(udp);
	close(l);
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
	FAILS(d2tcp_set_earliest(fd, (d2tcp_nsec[]){ 0, 5 }, 2), ENOPROTOOPT);
	CHECK(d2tcp_state(fd) == D2TCP_STATE_OTHER, "%d", d2tcp_state(fd));
	FAILS(d2tcp_state(-1), EBADF);
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

/* Connects a pair of sockets over lo; each end is selected first if asked. */
static void connected(int pair[2], int server, int client)
{
	int l = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in sa = { .sin_family = AF_INET };
	socklen_t len = sizeof(sa);

	pair[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (server)
		CHECK(d2tcp_enable(l) == 0, "enable");
	if (client)
		CHECK(d2tcp_enable(pair[0]) == 0, "enable");
	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK(bind(l, (struct sockaddr *)&sa, sizeof(sa)) == 0 &&
	      listen(l, 1) == 0 &&
	      getsockname(l, (struct sockaddr *)&sa, &len) == 0, "listen");
	if (server)
		CHECK(d2tcp_state(l) == D2TCP_STATE_PENDING, "listener");
	CHECK(connect(pair[0], (struct sockaddr *)&sa, sizeof(sa)) == 0,
	      "connect");
	pair[1] = accept(l, NULL, NULL);
	CHECK(pair[1] >= 0, "accept");
	close(l);
}

TEST(calls with the module name the state of a socket)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), pair[2], state;

	CHECK(d2tcp_state(fd) == D2TCP_STATE_OTHER, "%d", d2tcp_state(fd));
	CHECK(d2tcp_enable(fd) == 0, "enable");
	CHECK(d2tcp_state(fd) == D2TCP_STATE_PENDING, "%d", d2tcp_state(fd));
	close(fd);
	connected(pair, 1, 1);
	CHECK(d2tcp_state(pair[0]) == D2TCP_STATE_AWARE &&
	      d2tcp_state(pair[1]) == D2TCP_STATE_AWARE, "not aware");
	close(pair[0]);
	close(pair[1]);
	connected(pair, 0, 1);
	CHECK(d2tcp_state(pair[0]) == D2TCP_STATE_NO_ECN, "%d",
	      d2tcp_state(pair[0]));
	CHECK(d2tcp_state(pair[1]) == D2TCP_STATE_OTHER, "%d",
	      d2tcp_state(pair[1]));
	/* after the handshake */
	CHECK(d2tcp_enable(pair[1]) == 0, "enable");
	CHECK(d2tcp_state(pair[1]) == D2TCP_STATE_NO_ECN, "%d",
	      d2tcp_state(pair[1]));
	close(pair[0]);
	close(pair[1]);
	for (state = D2TCP_STATE_OTHER; state <= D2TCP_STATE_NO_ECN; state++)
		CHECK(d2tcp_state_text(state) != d2tcp_state_text(-1), "%d",
		      state);
	CHECK(strstr(d2tcp_state_text(D2TCP_STATE_NO_ECN), "handshake"), "%s",
	      d2tcp_state_text(D2TCP_STATE_NO_ECN));
}

/* A window is ten segments, and a round trip 20 ms. */
TEST(calls with the module estimate the time of a response)
{
	const d2tcp_nsec ms = 1000000;
	const d2tcp_bytes window = 10 * 1448;
	int pair[2];

	CHECK(system("ip link set lo up mtu 1500 && "
		     "tc qdisc add dev lo root netem delay 10ms") == 0, "netem");
	connected(pair, 1, 1);
	/* the last window is acknowledged after a round trip */
	FAILS(d2tcp_check_time(pair[1], monotonic() + 19 * ms, 0, 1), ETIMEDOUT);
	CHECK(d2tcp_check_time(pair[1], monotonic() + 21 * ms, 0, window) == 0,
	      "%s", strerror(errno));
	/* and each full window before it after another */
	FAILS(d2tcp_check_time(pair[1], monotonic() + 39 * ms, 0, window + 1),
	      ETIMEDOUT);
	CHECK(d2tcp_check_time(pair[1], monotonic() + 41 * ms, 0,
			       2 * window) == 0, "%s", strerror(errno));
	FAILS(d2tcp_check_time(pair[1], monotonic() + 41 * ms, 3 * ms,
			       2 * window), ETIMEDOUT);
	/* behind the bytes that the socket still has to send */
	CHECK(send(pair[1], "", 1, 0) == 1, "send");
	FAILS(d2tcp_check_time(pair[1], monotonic() + 41 * ms, 0, 2 * window),
	      ETIMEDOUT);
	CHECK(system("tc qdisc del dev lo root; ip link set lo mtu 65536") == 0,
	      "netem");
	close(pair[0]);
	close(pair[1]);
}

TEST(calls with the module set the earliest deadline of several streams)
{
	const d2tcp_nsec now = monotonic();
	d2tcp_nsec streams[] = { 0, now + HOUR / 6, now + HOUR / 60, 0 };
	struct d2tcp_info info;
	int pair[2];

	connected(pair, 1, 1);
	CHECK(d2tcp_set_earliest(pair[1], streams, 4) == 0, "earliest");
	CHECK(d2tcp_get_info(pair[1], &info) == 0, "info");
	CHECK(info.outstanding == 1 && info.time_left_ns <= HOUR / 60 &&
	      info.time_left_ns > HOUR / 100, "%u, %lld", info.outstanding,
	      (long long)info.time_left_ns);
	/* the second stream is the only one left */
	streams[2] = 0;
	CHECK(d2tcp_set_earliest(pair[1], streams, 4) == 0, "earliest");
	CHECK(d2tcp_get_info(pair[1], &info) == 0, "info");
	CHECK(info.time_left_ns > HOUR / 60, "%lld", (long long)info.time_left_ns);
	/* one that has passed counts only if all have */
	streams[0] = 1;
	CHECK(d2tcp_set_earliest(pair[1], streams, 4) == 0, "earliest");
	CHECK(d2tcp_get_info(pair[1], &info) == 0, "info");
	CHECK(info.time_left_ns > HOUR / 60, "%lld", (long long)info.time_left_ns);
	streams[1] = 0;
	CHECK(d2tcp_set_earliest(pair[1], streams, 4) == 0, "earliest");
	CHECK(d2tcp_get_info(pair[1], &info) == 0, "info");
	CHECK(info.time_left_ns < 0, "%lld", (long long)info.time_left_ns);
	/* none is left, and no byte was written: later bytes have no deadline */
	streams[0] = 0;
	CHECK(d2tcp_set_earliest(pair[1], streams, 4) == 0, "earliest");
	CHECK(d2tcp_get_info(pair[1], &info) == 0, "info");
	CHECK(info.outstanding == 0, "%u", info.outstanding);
	/* bytes that were written keep theirs: the peer's queue discipline holds the
	 * ACK back
	 */
	CHECK(system("ip link set lo up; tc qdisc add dev lo root netem delay 50ms")
	      == 0, "netem");
	streams[3] = monotonic() + HOUR / 6;
	CHECK(d2tcp_set_earliest(pair[1], streams, 4) == 0, "earliest");
	CHECK(send(pair[1], "x", 1, 0) == 1, "send");
	streams[3] = 0;
	CHECK(d2tcp_set_earliest(pair[1], streams, 4) == 0, "earliest");
	CHECK(d2tcp_set_earliest(pair[1], NULL, 0) == 0, "none");
	CHECK(d2tcp_get_info(pair[1], &info) == 0, "info");
	CHECK(info.outstanding == 1, "%u", info.outstanding);
	CHECK(system("tc qdisc del dev lo root") == 0, "netem");
	FAILS(d2tcp_set_earliest(-1, NULL, 0), EBADF);
	close(pair[0]);
	close(pair[1]);
}

int main(int argc, char **argv)
{
	return run_tests(argc, argv);
}
