// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of the receiver's side (D2TCP_EXPECT), inside a booted kernel: the
 * arguments that the option accepts, the order in which answers arrive, and that
 * no sender stays held.
 *
 * Aggregator and workers are sockets on lo, which is shaped to 100 Mbit/s. The
 * window that a receiver advertises is read at the sender, from tcpi_snd_wnd.
 */
#include "kernel.h"
#include "trace.h"
#include <pthread.h>
#include <sys/wait.h>

#define MS		1000000ull
#define LOAD		"modprobe tcp_d2tcp expect=1"
#define ANSWER		500000
#define OPEN		60000	/* the window of a socket that is not held is larger */

static int expect_len(int fd, const void *value, socklen_t len)
{
	return setsockopt(fd, SOL_IP, D2TCP_EXPECT, value, len);
}

static int expect(int fd, uint64_t ns, uint64_t bytes)
{
	const struct d2tcp_deadline dl = {
		.deadline_ns = ns, .bytes = bytes, .flags = D2TCP_F_RELATIVE,
	};

	return expect_len(fd, &dl, sizeof(dl));
}

static int expect_standing(int fd, uint64_t ns, uint64_t bytes)
{
	const struct d2tcp_deadline dl = {
		.deadline_ns = ns, .bytes = bytes,
		.flags = D2TCP_F_RELATIVE | D2TCP_F_STANDING,
	};

	return expect_len(fd, &dl, sizeof(dl));
}

static struct d2tcp_expect_info expect_info(int fd)
{
	struct d2tcp_expect_info info;
	socklen_t len = sizeof(info);

	memset(&info, 0xff, sizeof(info));
	CHECK_OK(getsockopt(fd, SOL_IP, D2TCP_EXPECT_INFO, &info, &len));
	CHECK_EQ(len, sizeof(info));
	CHECK_EQ(info.size, sizeof(info));
	return info;
}

static uint32_t window_of(int fd)
{
	return tcp_info(fd).tcpi_snd_wnd;
}

/* lo as a slow link with small packets, in a namespace of its own */
static void slow_net(void)
{
	fresh_net();
	sh("ip link set lo mtu 1500 gso_max_segs 1 && "
	   "tc qdisc add dev lo root handle 1: htb default 1 && "
	   "tc class add dev lo parent 1: classid 1:1 htb rate 100mbit "
	   "burst 3000 cburst 3000 quantum 1514");
}

static void request(int fd)
{
	CHECK_EQ(send(fd, "?", 1, 0), 1);
}

/* A request of several packets, which the worker reads. */
static void long_request(const struct pair *p)
{
	char buf[20000] = "";
	size_t got = 0;
	ssize_t n;

	CHECK_EQ(send(p->client, buf, sizeof(buf), 0), sizeof(buf));
	while (got < sizeof(buf)) {
		n = recv(p->server, buf, sizeof(buf), MSG_DONTWAIT);
		if (n > 0)
			got += n;
		else
			sleep_us(50);
	}
	all_acked(p->client);
}

struct transfer {
	int from, to;
	size_t bytes;
	uint64_t end_ns;
};

static void *transfer_thread(void *arg)
{
	struct transfer *t = arg;
	char buf[65536] = "";
	size_t got = 0, put = 0;
	ssize_t n;

	fcntl(t->from, F_SETFL, O_NONBLOCK);
	while (got < t->bytes) {
		n = put < t->bytes ? send(t->from, buf, t->bytes - put <
					  sizeof(buf) ? t->bytes - put :
					  sizeof(buf), MSG_NOSIGNAL) : 0;
		put += n > 0 ? n : 0;
		n = recv(t->to, buf, sizeof(buf), MSG_DONTWAIT);
		if (n > 0)
			got += n;
		else
			sleep_us(50);
	}
	t->end_ns = clock_ns();
	return NULL;
}

/* Moves all transfers at once. */
static void move(struct transfer *t, int n)
{
	pthread_t thread[8];
	int i;

	for (i = 0; i < n; i++)
		CHECK_EQ(pthread_create(&thread[i], NULL, transfer_thread,
					&t[i]), 0);
	for (i = 0; i < n; i++)
		pthread_join(thread[i], NULL);
}

/* Opens two connections over a measured link; the clients expect answers. */
static void two_of(struct pair *p, int family)
{
	struct transfer t;
	int i;

	slow_net();
	for (i = 0; i < 2; i++) {
		p[i] = connected(family, "cubic", "cubic");
		CHECK_OK(expect(p[i].client, 500 * MS, ANSWER));
		request(p[i].client);
		t = (struct transfer){ p[i].server, p[i].client, ANSWER, 0 };
		move(&t, 1);
	}
}

static void two(struct pair *p)
{
	two_of(p, AF_INET);
}

static void close_two(const struct pair *p)
{
	close_pair(&p[0]);
	close_pair(&p[1]);
}

TEST(EXPECT takes the arguments of DEADLINE under any algorithm and refuses others)
{
	struct d2tcp_deadline dl = { .deadline_ns = 5 * MS, .bytes = 1000,
				     .flags = D2TCP_F_RELATIVE };
	char large[64] = "";
	socklen_t len = sizeof(dl);
	struct pair p;
	int fd, us = 1000;

	fresh_net();
	p = connected(AF_INET6, "reno", "reno");
	CHECK_OK(expect_len(p.client, &dl, sizeof(dl)));
	CHECK_OK(expect_len(p.client, &us, sizeof(us)));
	memcpy(large, &dl, sizeof(dl));
	CHECK_OK(expect_len(p.client, large, sizeof(large)));
	large[40] = 1;
	CHECK_ERRNO(expect_len(p.client, large, sizeof(large)), E2BIG);
	CHECK_ERRNO(expect_len(p.client, &dl, 23), EINVAL);
	dl.flags = 1u << 31;
	CHECK_ERRNO(expect_len(p.client, &dl, sizeof(dl)), EINVAL);
	dl.flags = D2TCP_F_RELATIVE;
	dl.reserved = 1;
	CHECK_ERRNO(expect_len(p.client, &dl, sizeof(dl)), EINVAL);
	dl.reserved = 0;
	CHECK_ERRNO(expect_len(p.client, (void *)8, sizeof(dl)), EFAULT);
	CHECK_ERRNO(expect_len(p.listener, &dl, sizeof(dl)), EINVAL);
	CHECK_ERRNO(expect(p.client, MS, 1ull << 31), ERANGE);
	CHECK_ERRNO(expect(p.client, MS, INT32_MAX), ERANGE);
	CHECK_ERRNO(getsockopt(p.client, SOL_IP, D2TCP_EXPECT, &dl, &len),
		    ENOPROTOOPT);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	CHECK_ERRNO(expect_len(fd, &dl, sizeof(dl)), ENOPROTOOPT);
	close(fd);
	close_pair(&p);
}

TEST(answers arrive by their deadlines and not in the order of requests)
{
	struct transfer t[2];
	struct pair p[2];
	long met;

	two(p);
	met = counter("D2tcpExpectedMet");
	/* 500 KB take 42 ms */
	CHECK_OK(expect(p[0].client, 200 * MS, ANSWER));
	request(p[0].client);
	CHECK_OK(expect(p[1].client, 70 * MS, ANSWER));
	request(p[1].client);
	t[0] = (struct transfer){ p[0].server, p[0].client, ANSWER, 0 };
	t[1] = (struct transfer){ p[1].server, p[1].client, ANSWER, 0 };
	move(t, 2);
	CHECK(t[1].end_ns + 30 * MS < t[0].end_ns,
	      "the urgent one arrived %lld us before the other",
	      (long long)(t[0].end_ns - t[1].end_ns) / 1000);
	/* the settling of the last bytes may wait for a delayed ACK */
	sleep_us(100000);
	CHECK_EQ(counter("D2tcpExpectedMet"), met + 2);
	close_two(p);
}

static void request_carries_the_hold(int family)
{
	struct pair p[2];
	uint32_t first, second;

	two_of(p, family);
	CHECK_OK(expect(p[0].client, 100 * MS, ANSWER));
	request(p[0].client);
	CHECK_OK(expect(p[1].client, 500 * MS, ANSWER));
	request(p[1].client);
	/* before the limit rises on the idle link */
	sleep_us(300);
	first = window_of(p[0].server);
	second = window_of(p[1].server);
	CHECK(first > 5000 && first < OPEN, "granted %u", first);
	CHECK(second < first, "held at %u beside %u", second, first);
	close_two(p);
}

TEST(the request carries the hold)
{
	request_carries_the_hold(AF_INET);
	request_carries_the_hold(AF_INET6);
}

/* The FIN counts one behind the last byte; without room for it a sender holds the
 * last segment back.
 */
TEST(an answer and the FIN behind it arrive together)
{
	char *buf = calloc(1, 65536);
	uint64_t start_ns;
	struct pair p[2];
	size_t got = 0;
	ssize_t n;

	two(p);
	CHECK_OK(expect(p[0].client, 100 * MS, 32768));
	request(p[0].client);
	start_ns = clock_ns();
	CHECK_EQ(send(p[0].server, buf, 32768, 0), 32768);
	CHECK_OK(shutdown(p[0].server, SHUT_WR));
	while ((n = recv(p[0].client, buf, 65536, 0)) > 0)
		got += n;
	CHECK_EQ(got, 32768);
	CHECK(clock_ns() - start_ns < 60 * MS, "%llu ms",
	      (unsigned long long)(clock_ns() - start_ns) / MS);
	free(buf);
	close_two(p);
}

#define NOTHING	UINT64_MAX
/* of about 40 ms that two answers in order are apart */
#define PREFERRED_MS	25

/* Expects an answer from each worker, of the declared length (NOTHING: no
 * expectation). Returns by how many ms the answer of p[urgent] arrives before the
 * other.
 */
static int ahead(struct pair *p, int urgent, uint64_t stated)
{
	struct transfer t[2];
	int i;

	for (i = 0; i < 2; i++) {
		if (stated != NOTHING)
			CHECK_OK(expect(p[i].client,
					(i == urgent ? 70 : 200) * MS, stated));
		request(p[i].client);
		t[i] = (struct transfer){ p[i].server, p[i].client, ANSWER, 0 };
	}
	move(t, 2);
	return ((int64_t)t[!urgent].end_ns - (int64_t)t[urgent].end_ns) /
	       (int64_t)MS;
}

TEST(answers of unknown length arrive by their deadlines)
{
	struct pair p[2];
	int i, ms;

	two(p);
	for (i = 0; i < 2; i++) {
		ms = ahead(p, i, 0);
		CHECK(ms > PREFERRED_MS, "%d: %d ms ahead", i, ms);
	}
	close_two(p);
}

/* One answer may always be first; it must not be the urgent one in both runs. */
TEST(without expectations neither answer is preferred)
{
	struct pair p[2];
	int ms[2], i;

	two(p);
	for (i = 0; i < 2; i++)
		ms[i] = ahead(p, i, NOTHING);
	CHECK(ms[0] <= 25 || ms[1] <= 25, "%d and %d ms ahead", ms[0], ms[1]);
	close_two(p);
}

TEST(a lone answer of unknown length arrives as fast as without an expectation)
{
	uint64_t took[2];
	struct transfer t;
	struct pair p[2];
	int i;

	two(p);
	for (i = 0; i < 2; i++) {
		if (i)
			CHECK_OK(expect(p[0].client, 100 * MS, 0));
		request(p[0].client);
		took[i] = clock_ns();
		t = (struct transfer){ p[0].server, p[0].client, ANSWER, 0 };
		move(&t, 1);
		took[i] = t.end_ns - took[i];
	}
	CHECK(took[1] < took[0] + took[0] / 20, "%llu us instead of %llu",
	      (unsigned long long)took[1] / 1000,
	      (unsigned long long)took[0] / 1000);
	close_two(p);
}

TEST(an answer of unknown length ends with the next and is judged by its last byte)
{
	long met, missed;
	struct transfer t;
	struct pair p[2];
	int i;

	two(p);
	met = counter("D2tcpExpectedMet");
	missed = counter("D2tcpExpectedMissed");
	for (i = 0; i < 2; i++) {
		/* 500 KB take 42 ms */
		CHECK_OK(expect(p[0].client, (i ? 20 : 100) * MS, 0));
		request(p[0].client);
		t = (struct transfer){ p[0].server, p[0].client, ANSWER, 0 };
		move(&t, 1);
		/* past the deadline, but too short for the socket to be released */
		sleep_us(100000);
		CHECK_EQ(counter("D2tcpExpectedMet"), met + i);
	}
	CHECK_OK(expect(p[0].client, 100 * MS, 1000));
	CHECK_EQ(counter("D2tcpExpectedMissed"), missed + 1);
	/* the one of known length starts behind the bytes that arrived */
	request(p[0].client);
	t = (struct transfer){ p[0].server, p[0].client, 1000, 0 };
	move(&t, 1);
	sleep_us(100000);
	CHECK_EQ(counter("D2tcpExpectedMet"), met + 2);
	CHECK_EQ(counter("D2tcpExpectedMissed"), missed + 1);
	close_two(p);
}

TEST(a second expectation does not hide an outstanding answer of unknown length)
{
	struct transfer t;
	struct pair p[2];
	long released;

	two(p);
	released = counter("D2tcpReleased");
	CHECK_OK(expect(p[0].client, 300 * MS, 0));
	request(p[0].client);
	CHECK_OK(expect(p[0].client, 300 * MS, 1000));
	request(p[0].client);
	t = (struct transfer){ p[0].server, p[0].client, ANSWER, 0 };
	move(&t, 1);
	CHECK_EQ(counter("D2tcpReleased"), released);
	close_two(p);
}

TEST(clearing ends an answer of unknown length)
{
	const struct d2tcp_deadline none = { 0 };
	struct transfer t;
	struct pair p[2];
	long met;

	two(p);
	met = counter("D2tcpExpectedMet");
	CHECK_OK(expect(p[0].client, 400 * MS, 0));
	request(p[0].client);
	t = (struct transfer){ p[0].server, p[0].client, ANSWER, 0 };
	move(&t, 1);
	CHECK_OK(expect_len(p[0].client, &none, sizeof(none)));
	sleep_us(1000);
	CHECK_EQ(counter("D2tcpExpectedMet"), met + 1);
	CHECK(window_of(p[0].server) > OPEN, "still %u",
	      window_of(p[0].server));
	close_two(p);
}

TEST(a socket is released when its answer of unknown length does not arrive)
{
	struct pair p[2];
	long released;
	int i;

	two(p);
	released = counter("D2tcpReleased");
	CHECK_OK(expect(p[0].client, 400 * MS, ANSWER));
	request(p[0].client);
	CHECK_OK(expect(p[1].client, 450 * MS, 0));
	request(p[1].client);
	sleep_us(300);
	CHECK(window_of(p[1].server) < OPEN, "not held: %u",
	      window_of(p[1].server));
	for (i = 0; i < 40 && window_of(p[1].server) < OPEN; i++)
		sleep_us(10000);
	CHECK(i < 35, "still %u after %d ms", window_of(p[1].server), 10 * i);
	sleep_us(300000);
	CHECK_EQ(counter("D2tcpReleased"), released + 2);
	close_two(p);
}

TEST(STANDING needs a relative time and is refused for DEADLINE)
{
	struct d2tcp_deadline dl = { .deadline_ns = MS,
				     .flags = D2TCP_F_STANDING };
	struct pair p;

	fresh_net();
	p = connected(AF_INET, "d2tcp", "d2tcp");
	CHECK_ERRNO(expect_len(p.client, &dl, sizeof(dl)), EINVAL);
	dl.flags |= D2TCP_F_RELATIVE;
	CHECK_OK(expect_len(p.client, &dl, sizeof(dl)));
	CHECK_OK(expect_len(p.listener, &dl, sizeof(dl)));
	CHECK_ERRNO(setsockopt(p.client, SOL_IP, D2TCP_DEADLINE, &dl,
			       sizeof(dl)), EINVAL);
	CHECK_ERRNO(expect(p.listener, MS, 1000), EINVAL);
	dl.bytes = 1ull << 31;
	CHECK_ERRNO(expect_len(p.client, &dl, sizeof(dl)), ERANGE);
	dl.bytes = 0;
	dl.flags |= 4;
	CHECK_ERRNO(expect_len(p.client, &dl, sizeof(dl)), EINVAL);
	close_pair(&p);
}

TEST(a standing expectation orders the answers to all requests)
{
	struct pair p[2];
	int i, bytes, ms;

	for (bytes = 0; bytes <= ANSWER; bytes += ANSWER) {
		two(p);
		for (i = 0; i < 4; i++) {
			if (i % 2 == 0) {
				CHECK_OK(expect_standing(p[i / 2].client,
							 70 * MS, bytes));
				CHECK_OK(expect_standing(p[!(i / 2)].client,
							 200 * MS, bytes));
			}
			ms = ahead(p, i / 2, NOTHING);
			CHECK(ms > PREFERRED_MS, "%d bytes, %d: %d ms ahead",
			      bytes, i, ms);
		}
		close_two(p);
	}
}

TEST(under a standing expectation each request counts as one and releases no window)
{
	const struct d2tcp_deadline none = { 0 };
	long expected, met;
	struct transfer t;
	struct pair p[2];
	int i;

	two(p);
	CHECK_OK(expect_standing(p[0].client, 100 * MS, 20000));
	expected = counter("D2tcpExpected");
	met = counter("D2tcpExpectedMet");
	for (i = 0; i < 5; i++) {
		long_request(&p[0]);
		t = (struct transfer){ p[0].server, p[0].client, 20000, 0 };
		move(&t, 1);
		sleep_us(100000);
		CHECK_EQ(counter("D2tcpExpected"), expected + i + 1);
		CHECK_EQ(counter("D2tcpExpectedMet"), met + i + 1);
	}
	CHECK(window_of(p[0].server) < OPEN, "released: %u",
	      window_of(p[0].server));
	CHECK_OK(expect_len(p[0].client, &none, sizeof(none)));
	sleep_us(1000);
	CHECK(window_of(p[0].server) > OPEN, "cleared: %u",
	      window_of(p[0].server));
	request(p[0].client);
	sleep_us(1000);
	CHECK_EQ(counter("D2tcpExpected"), expected + 5);
	close_two(p);
}

TEST(a request during an answer under a standing expectation is not held)
{
	struct transfer t;
	struct pair p[2];
	uint64_t start_ns;
	int bytes;

	for (bytes = 0; bytes <= 40000; bytes += 40000) {
		two(p);
		CHECK_OK(expect_standing(p[0].client, 100 * MS, bytes));
		start_ns = clock_ns();
		request(p[0].client);
		t = (struct transfer){ p[0].server, p[0].client, 20000, 0 };
		move(&t, 1);
		request(p[0].client);
		t.bytes = 20000 + ANSWER;
		move(&t, 1);
		/* 540 KB take 45 ms */
		CHECK(t.end_ns - start_ns < 100 * MS, "%d: %llu ms", bytes,
		      (unsigned long long)(t.end_ns - start_ns) / MS);
		close_two(p);
	}
}

TEST(an expectation for a single answer takes precedence over the standing one)
{
	struct transfer t;
	struct pair p[2];
	long missed, met;

	two(p);
	met = counter("D2tcpExpectedMet");
	missed = counter("D2tcpExpectedMissed");
	CHECK_OK(expect_standing(p[0].client, 1, ANSWER));
	CHECK_OK(expect(p[0].client, 100 * MS, ANSWER));
	request(p[0].client);
	t = (struct transfer){ p[0].server, p[0].client, ANSWER, 0 };
	move(&t, 1);
	request(p[0].client);
	move(&t, 1);
	sleep_us(100000);
	CHECK_EQ(counter("D2tcpExpectedMet"), met + 1);
	CHECK_EQ(counter("D2tcpExpectedMissed"), missed + 1);
	close_two(p);
}

static void inherited(int family, bool before_listen)
{
	const struct d2tcp_deadline none = { 0 };
	static uint16_t port = 6000;
	int listener, client, child, old;
	long expected;

	fresh_net();
	sysctl_net("ip_local_port_range", "20000 20100");
	listener = tcp_socket(family, "cubic");
	port++;
	if (before_listen)
		CHECK_OK(expect_standing(listener, 100 * MS, 0));
	CHECK_OK(listen_on(listener, family, port));
	client = tcp_socket(family, "cubic");
	CHECK_OK(connect_to(client, family, port));
	child = accept(listener, NULL, NULL);
	old = child;
	expected = counter("D2tcpExpected");
	if (!before_listen) {
		/* a socket that sent data before does not inherit */
		request(old);
		CHECK_OK(expect_standing(listener, 100 * MS, 0));
		client = tcp_socket(family, "cubic");
		CHECK_OK(connect_to(client, family, port));
		child = accept(listener, NULL, NULL);
		request(old);
		CHECK_EQ(counter("D2tcpExpected"), expected);
	}
	request(child);
	CHECK_EQ(counter("D2tcpExpected"), expected + 1);
	/* the client has a port of its own */
	request(client);
	CHECK_EQ(counter("D2tcpExpected"), expected + 1);
	CHECK_OK(expect_len(child, &none, sizeof(none)));
	request(child);
	CHECK_EQ(counter("D2tcpExpected"), expected + 1);
	CHECK_OK(expect_len(listener, &none, sizeof(none)));
	client = tcp_socket(family, "cubic");
	CHECK_OK(connect_to(client, family, port));
	child = accept(listener, NULL, NULL);
	request(child);
	CHECK_EQ(counter("D2tcpExpected"), expected + 1);
	close(listener);
}

TEST(accepted sockets inherit a standing expectation)
{
	int i;

	for (i = 0; i < 4; i++)
		inherited(i / 2 ? AF_INET6 : AF_INET, i % 2);
}

TEST(a standing expectation set before connect applies to all answers)
{
	struct transfer t;
	struct pair p[2];
	long expected;
	int fd, from, to, i;

	two(p);
	expected = counter("D2tcpExpected");
	fd = tcp_socket(AF_INET, "cubic");
	CHECK_OK(expect_standing(fd, 400 * MS, ANSWER));
	/* no socket listens there; the standing expectation survives */
	CHECK_ERRNO(connect_to(fd, AF_INET, 4990), ECONNREFUSED);
	disconnect(fd);
	CHECK_OK(listen_on(from = tcp_socket(AF_INET, "cubic"), AF_INET, 4999));
	CHECK_OK(connect_to(fd, AF_INET, 4999));
	to = accept(from, NULL, NULL);
	CHECK(to >= 0, "accept: %s", strerror(errno));
	for (i = 0; i < 3; i++) {
		request(fd);
		CHECK_EQ(counter("D2tcpExpected"), expected + i + 1);
		t = (struct transfer){ to, fd, ANSWER, 0 };
		move(&t, 1);
	}
	close(to);
	close(from);
	close(fd);
	close_two(p);
}

/* The kernel sends the RST through a raw socket, which is shorter than a TCP socket:
 * KASAN reports an access beyond its end.
 */
TEST(a refused connection beside a listener with a standing expectation)
{
	const struct d2tcp_deadline standing = {
		.deadline_ns = 5 * MS,
		.flags = D2TCP_F_RELATIVE | D2TCP_F_STANDING,
	};
	int fd, listener, i;

	fresh_net();
	listener = tcp_socket(AF_INET, "cubic");
	CHECK_OK(listen_on(listener, AF_INET, 4998));
	CHECK_OK(expect_len(listener, &standing, sizeof(standing)));
	for (i = 0; i < 2; i++) {
		fd = tcp_socket(i ? AF_INET6 : AF_INET, "cubic");
		CHECK_ERRNO(connect_to(fd, i ? AF_INET6 : AF_INET, 4999),
			    ECONNREFUSED);
		close(fd);
	}
	close(listener);
}

TEST(default_expect_us is 0 at first and refuses values out of range)
{
	const char *name = "/proc/sys/net/ipv4/d2tcp/default_expect_us";

	fresh_net();
	CHECK(!strcmp(output("cat /proc/sys/net/ipv4/d2tcp/default_expect_us"),
		      "0\n"), "not off at first");
	CHECK_EQ(write_file(name, "2147483647"), 0);
	CHECK_EQ(write_file(name, "2147483648"), EINVAL);
	CHECK_EQ(write_file(name, "-1"), EINVAL);
	/* a new namespace starts with none */
	CHECK_OK(unshare(CLONE_NEWNET));
	CHECK(!strcmp(output("cat /proc/sys/net/ipv4/d2tcp/default_expect_us"),
		      "0\n"), "inherited");
}

TEST(expect_echo_ce is 0 or 1 and 0 at first)
{
	const char *name = "/proc/sys/net/ipv4/d2tcp/expect_echo_ce";

	fresh_net();
	CHECK(!strcmp(output("cat /proc/sys/net/ipv4/d2tcp/expect_echo_ce"), "0\n"),
	      "not off at first");
	CHECK_EQ(write_file(name, "1"), 0);
	CHECK_EQ(write_file(name, "2"), EINVAL);
	CHECK_EQ(write_file(name, "-1"), EINVAL);
	CHECK_EQ(write_file(name, "x"), EINVAL);
	CHECK(!strcmp(output("cat /proc/sys/net/ipv4/d2tcp/expect_echo_ce"), "1\n"),
	      "a refused value changed it");
}

/* The programs set no option before they set an expectation of their own. */
TEST(the default of a namespace orders the answers of unmodified programs)
{
	const struct d2tcp_deadline none = { 0 };
	struct pair p[2];
	long expected;
	int ms;

	slow_net();
	sysctl_net("d2tcp/default_expect_us", "200000");
	p[0] = connected(AF_INET, "cubic", "cubic");
	p[1] = connected(AF_INET6, "cubic", "cubic");
	/* the first answers measure the link */
	ahead(p, 0, NOTHING);
	expected = counter("D2tcpExpected");
	ahead(p, 0, NOTHING);
	CHECK_EQ(counter("D2tcpExpected"), expected + 2);
	/* the expectation of a program takes precedence, each way */
	CHECK_OK(expect_standing(p[1].client, 70 * MS, 0));
	ms = ahead(p, 1, NOTHING);
	CHECK(ms > PREFERRED_MS, "%d ms ahead", ms);
	CHECK_OK(expect_standing(p[1].client, 400 * MS, 0));
	ms = ahead(p, 0, NOTHING);
	CHECK(ms > PREFERRED_MS, "%d ms ahead", ms);
	expected = counter("D2tcpExpected");
	CHECK_OK(expect_len(p[0].client, &none, sizeof(none)));
	request(p[0].client);
	CHECK_EQ(counter("D2tcpExpected"), expected);
	/* the data of an accepted socket is no request */
	request(p[0].server);
	CHECK_EQ(counter("D2tcpExpected"), expected);
	close_two(p);
}

TEST(the default of a namespace ends where it is set to 0)
{
	struct pair p, before;
	struct transfer t;
	long expected;

	slow_net();
	before = connected(AF_INET, "cubic", "cubic");
	sysctl_net("d2tcp/default_expect_us", "100000");
	p = connected(AF_INET, "cubic", "cubic");
	expected = counter("D2tcpExpected");
	request(p.client);
	CHECK_EQ(counter("D2tcpExpected"), expected + 1);
	/* opened before */
	request(before.client);
	CHECK_EQ(counter("D2tcpExpected"), expected + 1);
	t = (struct transfer){ p.server, p.client, ANSWER, 0 };
	move(&t, 1);
	sysctl_net("d2tcp/default_expect_us", "0");
	request(p.client);
	CHECK_EQ(counter("D2tcpExpected"), expected + 1);
	move(&t, 1);
	CHECK(window_of(p.server) > OPEN, "%u", window_of(p.server));
	close_pair(&p);
	close_pair(&before);
}

/* Leaves p[1] held, behind p[0], whose worker does not answer. */
static void hold(struct pair *p)
{
	two(p);
	CHECK_OK(expect(p[0].client, 400 * MS, ANSWER));
	request(p[0].client);
	CHECK_OK(expect(p[1].client, 450 * MS, 100 * ANSWER));
	request(p[1].client);
	sleep_us(300);
	CHECK(window_of(p[1].server) < OPEN, "not held: %u",
	      window_of(p[1].server));
}

TEST(EXPECT_INFO fills shorter buffers with a prefix and is empty without expectations)
{
	const struct d2tcp_expect_info none = {
		.size = sizeof(none), .abi_version = 1 << 16 | 2,
		.flags = D2TCP_EXPECT_RELEASED,
	};
	unsigned char full[sizeof(none)], part[sizeof(none) + 8];
	struct pair p;
	socklen_t len, n;

	fresh_net();
	p = connected(AF_INET6, "reno", "reno");
	len = sizeof(full);
	CHECK_OK(getsockopt(p.client, SOL_IP, D2TCP_EXPECT_INFO, full, &len));
	CHECK(!memcmp(full, &none, sizeof(none)), "not empty at first");
	for (n = 0; n <= sizeof(part); n++) {
		memset(part, 0xee, sizeof(part));
		len = n;
		CHECK_ERRNO(getsockopt(p.client, SOL_IP, D2TCP_EXPECT_INFO,
				       part, &len), n < 8 ? EINVAL : 0);
		if (n < 8)
			continue;
		CHECK_EQ(len, n < sizeof(full) ? n : sizeof(full));
		CHECK(!memcmp(part, full, len), "%u bytes differ", len);
		CHECK(n == sizeof(part) || part[len] == 0xee, "beyond %u", len);
	}
	len = sizeof(full);
	CHECK_ERRNO(getsockopt(p.client, SOL_IP, D2TCP_EXPECT_INFO, (void *)8,
			       &len), EFAULT);
	CHECK_ERRNO(setsockopt(p.client, SOL_IP, D2TCP_EXPECT_INFO, &none,
			       sizeof(none)), ENOPROTOOPT);
	close_pair(&p);
}

TEST(EXPECT_INFO follows an answer from the request to its end)
{
	struct d2tcp_expect_info info;
	struct transfer t;
	struct pair p[2];

	hold(p);
	/* 500 KB of 400 ms, then 50 MB of 450 ms over 100 Mbit/s */
	info = expect_info(p[0].client);
	CHECK_EQ(info.flags, D2TCP_EXPECTING | D2TCP_EXPECT_HELD |
		 D2TCP_EXPECT_FEASIBLE);
	CHECK_EQ(info.outstanding, 1);
	CHECK_EQ(info.bytes, ANSWER);
	CHECK_EQ(info.arrived, 0);
	CHECK(info.granted > 5000 && info.granted < OPEN, "granted %llu",
	      (unsigned long long)info.granted);
	CHECK(info.time_left_ns > 300 * (int64_t)MS &&
	      info.time_left_ns < 400 * (int64_t)MS, "%lld",
	      (long long)info.time_left_ns);
	CHECK(info.rate > 8000 && info.rate < 16000, "rate %u", info.rate);
	CHECK(info.rtt_us > 0 && info.rtt_us < 1000, "rtt %u", info.rtt_us);
	CHECK_EQ(info.met, 1);
	info = expect_info(p[1].client);
	CHECK_EQ(info.flags, D2TCP_EXPECTING | D2TCP_EXPECT_HELD);
	CHECK_EQ(info.bytes, 100 * ANSWER);
	/* half of it arrives */
	t = (struct transfer){ p[0].server, p[0].client, ANSWER / 2, 0 };
	move(&t, 1);
	info = expect_info(p[0].client);
	CHECK_EQ(info.arrived, ANSWER / 2);
	CHECK(info.granted >= info.arrived && info.granted <= info.bytes,
	      "granted %llu", (unsigned long long)info.granted);
	t.bytes = ANSWER - ANSWER / 2;
	move(&t, 1);
	/* also where the ACK of the last byte is delayed */
	info = expect_info(p[0].client);
	CHECK_EQ(info.flags & ~D2TCP_EXPECT_RELEASED, 0);
	CHECK_EQ(info.outstanding, 0);
	CHECK_EQ(info.met, 2);
	CHECK_EQ(info.missed, 0);
	CHECK_EQ(info.released, 0);
	/* the other socket is released */
	sleep_us(400000);
	info = expect_info(p[1].client);
	CHECK_EQ(info.flags, D2TCP_EXPECT_RELEASED);
	CHECK_EQ(info.released, 1);
	close_two(p);
}

TEST(EXPECT_INFO reports the granted bytes of short answers and of unknown length)
{
	struct d2tcp_expect_info info;
	struct transfer t;
	struct pair p[2];

	two(p);
	CHECK_OK(expect(p[0].client, 10 * MS, 1000));
	CHECK_OK(expect(p[0].client, 1, 2000));
	request(p[0].client);
	info = expect_info(p[0].client);
	CHECK_EQ(info.flags, D2TCP_EXPECTING | D2TCP_EXPECT_GRANTED |
		 D2TCP_EXPECT_FEASIBLE);
	CHECK_EQ(info.outstanding, 2);
	CHECK_EQ(info.granted, 1000);
	t = (struct transfer){ p[0].server, p[0].client, 1000, 0 };
	move(&t, 1);
	info = expect_info(p[0].client);
	CHECK_EQ(info.outstanding, 1);
	CHECK_EQ(info.bytes, 2000);
	CHECK_EQ(info.arrived, 0);
	CHECK(info.time_left_ns < 0 && !(info.flags & D2TCP_EXPECT_FEASIBLE),
	      "%lld left, %#x", (long long)info.time_left_ns, info.flags);
	t.bytes = 2000;
	move(&t, 1);
	CHECK_OK(expect_standing(p[0].client, 100 * MS, 0));
	CHECK_EQ(expect_info(p[0].client).standing_ns, 100 * MS);
	request(p[0].client);
	t.bytes = 3000;
	move(&t, 1);
	info = expect_info(p[0].client);
	CHECK_EQ(info.flags & ~D2TCP_EXPECT_HELD, D2TCP_EXPECTING |
		 D2TCP_EXPECT_STANDING | D2TCP_EXPECT_FEASIBLE);
	CHECK_EQ(info.bytes, 0);
	CHECK_EQ(info.arrived, 3000);
	CHECK_EQ(info.met, 2);
	CHECK_EQ(info.missed, 1);
	close_two(p);
}

TEST(expect_max bounds the expecting sockets of a namespace)
{
	const char *name = "/proc/sys/net/ipv4/d2tcp/expect_max";
	const struct d2tcp_deadline none = { 0 };
	struct pair p[2];
	int st = -1, i;
	pid_t pid;

	fresh_net();
	CHECK(!strcmp(output("cat /proc/sys/net/ipv4/d2tcp/expect_max"),
		      "65536\n"), "not 65536 at first");
	CHECK_EQ(write_file(name, "1048577"), EINVAL);
	CHECK_EQ(write_file(name, "-1"), EINVAL);
	CHECK_EQ(write_file(name, "1"), 0);
	for (i = 0; i < 2; i++)
		p[i] = connected(AF_INET, "cubic", "cubic");
	CHECK_OK(expect(p[0].client, MS, 1000));
	CHECK_ERRNO(expect(p[1].client, MS, 1000), ENOMEM);
	CHECK_ERRNO(expect_len(p[1].client, &none, sizeof(none)), ENOMEM);
	/* a socket that has state keeps it */
	CHECK_EQ(write_file(name, "0"), 0);
	CHECK_OK(expect(p[0].client, MS, 1000));
	CHECK_EQ(write_file(name, "1"), 0);
	close_pair(&p[0]);
	sleep_us(200000);
	CHECK_OK(expect(p[1].client, MS, 1000));
	close_pair(&p[1]);
	sleep_us(200000);
	/* the bound applies to a default too */
	sysctl_net("d2tcp/default_expect_us", "1000");
	CHECK_EQ(write_file(name, "0"), 0);
	p[0] = connected(AF_INET, "cubic", "cubic");
	request(p[0].client);
	CHECK_EQ(counter("D2tcpExpected"), 3);
	close_pair(&p[0]);
	/* a new namespace inherits it, and its own root may not change it */
	fflush(stdout);
	pid = fork();
	if (!pid) {
		if (setjmp(test_end)) {
			fflush(stdout);
			_exit(1);
		}
		CHECK_OK(unshare(CLONE_NEWUSER | CLONE_NEWNET));
		CHECK_EQ(write_file("/proc/self/uid_map", "0 0 1"), 0);
		CHECK(!strcmp(output("cat /proc/sys/net/ipv4/d2tcp/expect_max"),
			      "0\n"), "not inherited");
		CHECK_EQ(write_file(name, "5"), EPERM);
		/* it may set the default of its own programs */
		CHECK_EQ(write_file("/proc/sys/net/ipv4/d2tcp/default_expect_us",
				    "1000"), 0);
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &st, 0), pid);
	CHECK_EQ(st, 0);
}

TEST(a configured rate holds answers before the link is measured)
{
	const char *name = "/proc/sys/net/ipv4/d2tcp/expect_rate_mbps";
	struct d2tcp_expect_info info;
	struct transfer t;
	struct pair p;
	int i;

	for (i = 0; i < 2; i++) {
		slow_net();
		CHECK(!strcmp(output("cat /proc/sys/net/ipv4/d2tcp/expect_rate_mbps"),
			      "0\n"), "not measured at first");
		CHECK_EQ(write_file(name, "10000001"), EINVAL);
		CHECK_EQ(write_file(name, "10000000"), 0);
		/* half of the rate that can be measured */
		sysctl_net("d2tcp/expect_rate_mbps", i ? "50" : "0");
		p = connected(AF_INET, "cubic", "cubic");
		CHECK_OK(expect(p.client, 400 * MS, ANSWER));
		request(p.client);
		info = expect_info(p.client);
		CHECK_EQ(info.rate, i ? 6250 : 0);
		CHECK_EQ(info.flags, i ? D2TCP_EXPECTING | D2TCP_EXPECT_HELD |
			 D2TCP_EXPECT_FEASIBLE :
			 D2TCP_EXPECTING | D2TCP_EXPECT_GRANTED);
		t = (struct transfer){ p.server, p.client, ANSWER, 0 };
		move(&t, 1);
		/* back to the measured rate */
		sysctl_net("d2tcp/expect_rate_mbps", "0");
		CHECK_OK(expect(p.client, 400 * MS, ANSWER));
		request(p.client);
		info = expect_info(p.client);
		CHECK(info.rate > 8000, "%u", info.rate);
		close_pair(&p);
	}
}

TEST(the tracepoints report holds and grants and the end of answers)
{
	long long granted, edge, last = 0;
	struct transfer t;
	struct pair p[2];
	const char *f;
	long held;

	two(p);
	held = counter("D2tcpBytesHeld");
	trace_on("d2tcp_grant");
	trace_on("d2tcp_hold");
	while (trace_next("d2tcp_grant"))
		;
	CHECK_OK(expect(p[0].client, 400 * MS, ANSWER));
	request(p[0].client);
	f = trace_next("d2tcp_grant");
	CHECK(f, "the first grant was not traced");
	CHECK(strstr(f, "saddr=::ffff:127.0.0.1 ") &&
	      strstr(f, " daddr=::ffff:127.0.0.1 "), "%s", f);
	granted = trace_field(f, "granted");
	edge = trace_field(f, "edge");
	CHECK(granted > 5000 && granted < OPEN, "granted %lld", granted);
	/* the room for a FIN behind the last answer is open already */
	CHECK_EQ(edge, granted + 1);
	CHECK_EQ(trace_field(f, "flying"), granted + 1);
	f = trace_next("d2tcp_hold");
	CHECK(f, "the hold was not traced");
	CHECK_EQ(trace_field(f, "bytes"), ANSWER);
	CHECK_EQ(trace_field(f, "granted"), granted + 1);
	CHECK_EQ(trace_field(f, "flying"), granted + 1);
	CHECK(trace_field(f, "left") > 390 * (long long)MS &&
	      trace_field(f, "left") <= 400 * (long long)MS, "%s", f);
	CHECK_EQ(counter("D2tcpBytesHeld"), held + ANSWER - granted - 1);
	trace_off("d2tcp_hold");
	t = (struct transfer){ p[0].server, p[0].client, ANSWER, 0 };
	move(&t, 1);
	while ((f = trace_next("d2tcp_grant"))) {
		granted = trace_field(f, "granted");
		CHECK_EQ(trace_field(f, "edge"), edge + granted);
		edge += granted;
		last = edge;
	}
	CHECK_EQ(last, ANSWER);
	trace_off("d2tcp_grant");

	trace_on("d2tcp_expected");
	CHECK_OK(expect(p[0].client, 400 * MS, ANSWER));
	request(p[0].client);
	move(&t, 1);
	sleep_us(100000);
	f = trace_next("d2tcp_expected");
	CHECK(f, "the end was not traced");
	CHECK(trace_field(f, "late") < -200 * (long long)MS, "%s", f);
	CHECK_EQ(trace_field(f, "bytes"), ANSWER);
	CHECK_EQ(trace_field(f, "outstanding"), 0);
	CHECK_OK(expect(p[0].client, 1, 0));
	request(p[0].client);
	move(&t, 1);
	CHECK(!trace_next("d2tcp_expected"), "ended too early");
	CHECK_OK(expect(p[0].client, 400 * MS, 0));
	f = trace_next("d2tcp_expected");
	CHECK(f, "the end was not traced");
	CHECK(trace_field(f, "late") > 0, "%s", f);
	CHECK_EQ(trace_field(f, "bytes"), ANSWER);
	trace_off("d2tcp_expected");
	close_two(p);
}

TEST(a grant that no data follows is sent again and counted)
{
	struct pair p[2];

	hold(p);
	CHECK_EQ(counter("D2tcpRenewals"), 0);
	sleep_us(50000);
	CHECK(counter("D2tcpRenewals") > 0, "not counted");
	close_two(p);
}

TEST(a socket without expected data is released)
{
	struct pair p[2];
	long released;
	int i;

	hold(p);
	released = counter("D2tcpReleased");
	for (i = 0; i < 40 && window_of(p[1].server) < OPEN; i++)
		sleep_us(10000);
	CHECK(i < 35, "still %u after %d ms", window_of(p[1].server), 10 * i);
	sleep_us(300000);
	CHECK_EQ(counter("D2tcpReleased"), released + 2);
	close_two(p);
}

TEST(clearing and a request without an expectation open the window)
{
	const struct d2tcp_deadline none = { 0 };
	struct transfer t;
	struct pair p[2];

	hold(p);
	CHECK_OK(expect_len(p[1].client, &none, sizeof(none)));
	sleep_us(1000);
	CHECK(window_of(p[1].server) > OPEN, "cleared: %u",
	      window_of(p[1].server));
	t = (struct transfer){ p[0].server, p[0].client, ANSWER, 0 };
	move(&t, 1);
	/* the answer is complete, and the window stays at its end */
	CHECK(window_of(p[0].server) < OPEN, "after the answer: %u",
	      window_of(p[0].server));
	request(p[0].client);
	sleep_us(1000);
	CHECK(window_of(p[0].server) > OPEN, "not expected: %u",
	      window_of(p[0].server));
	close_two(p);
}

TEST(an answer that is longer than declared arrives too)
{
	struct transfer t;
	struct pair p[2];

	two(p);
	CHECK_OK(expect(p[0].client, 100 * MS, 1000));
	request(p[0].client);
	t = (struct transfer){ p[0].server, p[0].client, ANSWER, 0 };
	move(&t, 1);
	CHECK(t.end_ns, "did not arrive");
	close_two(p);
}

TEST(several answers on one connection arrive whole and are counted)
{
	struct transfer t;
	struct pair p[2];
	long met;
	int i;

	two(p);
	met = counter("D2tcpExpectedMet");
	/* more than GRANT_ANSWERS: the last ones are merged */
	for (i = 0; i < 12; i++) {
		CHECK_OK(expect(p[0].client, 900 * MS, 20000));
		request(p[0].client);
	}
	t = (struct transfer){ p[0].server, p[0].client, 12 * 20000, 0 };
	move(&t, 1);
	sleep_us(100000);
	CHECK_EQ(counter("D2tcpExpectedMet"), met + 8);
	close_two(p);
}

TEST(an expectation set before connect applies to the first answer)
{
	struct transfer t;
	struct pair p[2];
	int fd, from, again;
	long met;

	two(p);
	met = counter("D2tcpExpectedMet");
	fd = tcp_socket(AF_INET, "cubic");
	for (again = 0; again < 2; again++) {
		/* no socket listens there; the expectation is dropped */
		CHECK_OK(expect(fd, 400 * MS, ANSWER));
		CHECK_ERRNO(connect_to(fd, AF_INET, 4990), ECONNREFUSED);
		disconnect(fd);
	}
	CHECK_OK(expect(fd, 400 * MS, ANSWER));
	CHECK_OK(listen_on(from = tcp_socket(AF_INET, "cubic"), AF_INET, 4999));
	CHECK_OK(connect_to(fd, AF_INET, 4999));
	again = accept(from, NULL, NULL);
	CHECK(again >= 0, "accept: %s", strerror(errno));
	request(fd);
	t = (struct transfer){ again, fd, ANSWER, 0 };
	move(&t, 1);
	sleep_us(100000);
	CHECK(counter("D2tcpExpectedMet") > met, "was not counted");
	close(again);
	close(from);
	close(fd);
	close_two(p);
}

/* The rate is that of the last ten seconds; after silence it is unknown again. */
TEST(a link that was silent for long has no rate and holds no answer)
{
	struct transfer t;
	struct pair p[2];
	int i;

	two(p);
	for (i = 0; i < 3; i++) {
		sleep_us(6000000);
		CHECK_OK(expect(p[0].client, 100 * MS, ANSWER));
		request(p[0].client);
		sleep_us(10000);
	}
	CHECK_OK(expect(p[1].client, 900 * MS, ANSWER));
	request(p[1].client);
	t = (struct transfer){ p[1].server, p[1].client, ANSWER, 0 };
	move(&t, 1);
	CHECK(t.end_ns, "did not arrive");
	close_two(p);
}

/* After a pause the shaper lets 100 KB through at once. In two intervals of 2 ms at most
 * 100 KB and 4 x 12.5 KB arrive, so one of them shows 37.5 KB per ms or less, and most
 * show 12.5 KB.
 */
TEST(a burst after a pause does not count as the rate of the link)
{
	struct transfer t;
	struct pair p[2];
	uint32_t rate;
	int i;

	two(p);
	sh("tc class change dev lo parent 1: classid 1:1 htb rate 100mbit "
	   "burst 100000 cburst 100000 quantum 1514");
	for (i = 0; i < 5; i++) {
		sleep_us(20000);
		CHECK_OK(expect(p[0].client, 500 * MS, ANSWER));
		request(p[0].client);
		t = (struct transfer){ p[0].server, p[0].client, ANSWER, 0 };
		move(&t, 1);
		rate = expect_info(p[0].client).rate;
		CHECK(rate > 8000 && rate < 40000, "rate %u", rate);
	}
	close_two(p);
}

/* Its worker sends a segment per ms, about an eighth of the link. The base is the
 * bandwidth-delay product of the link times 1.25 and 12 segments; the limit may rise to
 * four times the base, and the grants to four times the limit.
 */
TEST(the limit of a link that a slow worker leaves idle is bounded)
{
	struct d2tcp_expect_info info;
	uint64_t base = 0, most = 0, now;
	char buf[1448] = "";
	struct pair p[2];
	int i;

	two(p);
	CHECK_OK(expect(p[0].client, 900 * MS, 8000000));
	request(p[0].client);
	for (i = 0; i < 300; i++) {
		CHECK_EQ(send(p[0].server, buf, sizeof(buf), 0), sizeof(buf));
		sleep_us(1000);
		recv(p[0].client, buf, sizeof(buf), MSG_DONTWAIT);
		info = expect_info(p[0].client);
		if (most < info.granted - info.arrived)
			most = info.granted - info.arrived;
		now = (uint64_t)info.rate * info.rtt_us / 800 + 12 * sizeof(buf);
		/* the round trip may become shorter */
		if (base < now)
			base = now;
	}
	CHECK(most > 4 * base, "at most %llu bytes granted, base %llu",
	      (unsigned long long)most, (unsigned long long)base);
	CHECK(most <= 16 * base, "%llu bytes granted, base %llu",
	      (unsigned long long)most, (unsigned long long)base);
	close_two(p);
}

TEST(unloading the module opens every window)
{
	struct pair p[2];

	hold(p);
	sh("rmmod tcp_d2tcp");
	sleep_us(1000);
	CHECK(window_of(p[0].server) > OPEN, "%u", window_of(p[0].server));
	CHECK(window_of(p[1].server) > OPEN, "%u", window_of(p[1].server));
	sh(LOAD);
	close_two(p);
}

TEST(without expect=1 the option does not exist)
{
	int fd;

	sh("rmmod tcp_d2tcp && modprobe tcp_d2tcp");
	fd = tcp_socket(AF_INET, "cubic");
	CHECK_ERRNO(expect(fd, MS, 1000), ENOPROTOOPT);
	close(fd);
	sh("rmmod tcp_d2tcp && " LOAD);
}

TEST(a killed program leaves no reference to the module behind)
{
	pid_t pid = fork();
	struct pair p[2];

	if (!pid) {
		hold(p);
		kill(getpid(), SIGKILL);
	}
	waitpid(pid, NULL, 0);
	sleep_us(200000);
	sh("rmmod tcp_d2tcp && " LOAD);
	CHECK(module_loaded(), "not loaded");
}

TEST(a socket that a child shares and one closed while held are released)
{
	struct pair p[2];
	pid_t pid;
	int i;

	hold(p);
	pid = fork();
	if (!pid) {
		close(p[0].client);
		sleep_us(600000);
		_exit(0);
	}
	close(p[1].client);
	for (i = 0; i < 40 && window_of(p[1].server) < OPEN; i++)
		sleep_us(10000);
	CHECK(i < 35, "held by the child");
	waitpid(pid, NULL, 0);
	close(p[1].server);
	close_pair(&p[0]);
}

int main(int argc, char **argv)
{
	sh(LOAD);
	return run_tests(argc, argv);
}
