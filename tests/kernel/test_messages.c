// SPDX-License-Identifier: GPL-2.0
/*
 * Messages, in every way in which a program may write them: every row of
 * docs/messages.md. Also budgets, counters and tracepoints.
 */
#include "kernel.h"
#include "peer.h"
#include "trace.h"
#include <linux/inet_diag.h>
#include <linux/tls.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#define MS	1000000ull

static struct peer peer;

/* Acknowledges the first n bytes of the stream. */
static void ack_to(uint32_t n)
{
	peer_drain(&peer);
	peer_ack(&peer, peer.iss + 1 + n, false);
}

static void option(int fd, int level, int opt, int value)
{
	CHECK_OK(setsockopt(fd, level, opt, &value, sizeof(value)));
}

/* --- ways to write -------------------------------------------------------- */

TEST(a message may be written in parts)
{
	uint32_t at = 0;
	int i;

	peer_open(&peer, "d2tcp", true, NULL);
	CHECK_OK(set_deadline(peer.sock, 60000 * MS, 10000, D2TCP_F_RELATIVE));
	for (i = 0; i < 4; i++) {
		peer_write(&peer, 2500);
		/* bytes not yet written count too */
		CHECK_EQ(get_info(peer.sock).bytes_left, 10000 - at);
		at += 2500;
		CHECK_EQ(get_info(peer.sock).met, 0);
		ack_to(at);
	}
	CHECK_EQ(get_info(peer.sock).met, 1);
	CHECK_EQ(get_info(peer.sock).outstanding, 0);
	/* of unknown length: settled when all written data is acknowledged */
	CHECK_OK(set_deadline_int(peer.sock, 60000000));
	peer_write(&peer, 2500);
	CHECK_EQ(get_info(peer.sock).bytes_left, 2500);
	peer_write(&peer, 500);
	CHECK_EQ(get_info(peer.sock).bytes_left, 3000);
	ack_to(12500);
	CHECK_EQ(get_info(peer.sock).outstanding, 1);
	ack_to(13000);
	CHECK_EQ(get_info(peer.sock).outstanding, 0);
	CHECK_EQ(get_info(peer.sock).met, 2);
	peer_close(&peer);
}

static void held_back(bool cork)
{
	char buf[1000] = { 0 };
	struct segment s;

	peer_open(&peer, "d2tcp", true, NULL);
	option(peer.sock, IPPROTO_TCP, TCP_NODELAY, 1);
	if (cork)
		option(peer.sock, IPPROTO_TCP, TCP_CORK, 1);
	CHECK_OK(set_deadline_int(peer.sock, 60000000));
	CHECK_EQ(send(peer.sock, buf, 600, cork ? 0 : MSG_MORE), 600);
	CHECK(!peer_data(&peer, &s), "half a segment was sent");
	CHECK_EQ(get_info(peer.sock).bytes_left, 600);
	CHECK_EQ(send(peer.sock, buf, 900, cork ? 0 : MSG_MORE), 900);
	/* a full segment leaves; the rest waits, still part of the message */
	CHECK(peer_data(&peer, &s) && s.len == PEER_MSS, "no full segment");
	ack_to(1000);
	CHECK_EQ(get_info(peer.sock).outstanding, 1);
	CHECK_EQ(get_info(peer.sock).bytes_left, 500);
	if (cork)
		option(peer.sock, IPPROTO_TCP, TCP_CORK, 0);
	else
		CHECK_EQ(send(peer.sock, buf, 100, 0), 100);
	CHECK(peer_data(&peer, &s), "still held back");
	ack_to(cork ? 1500 : 1600);
	CHECK_EQ(get_info(peer.sock).outstanding, 0);
	CHECK_EQ(get_info(peer.sock).met, 1);
	peer_close(&peer);
}

TEST(data held back by MSG_MORE and TCP_CORK is part of the message)
{
	held_back(false);
	held_back(true);
}

TEST(a message may be written with sendfile)
{
	const size_t size = 300000;
	int file, known, left;
	struct pair p;
	char *buf;
	off_t at;

	file = memfd_create("message", 0);
	CHECK(file >= 0, "memfd_create: %s", strerror(errno));
	CHECK_OK(ftruncate(file, size));
	buf = malloc(size);
	fresh_net();
	for (known = 0; known < 2; known++) {
		p = connected(AF_INET, "d2tcp", "d2tcp");
		CHECK_OK(set_deadline(p.client, 60000 * MS, known ? size : 0,
				      D2TCP_F_RELATIVE));
		at = 0;
		left = size;
		while (left) {
			ssize_t n = sendfile(p.client, file, &at, left);

			CHECK(n > 0, "sendfile: %s", strerror(errno));
			left -= n;
			n = recv(p.server, buf, size, MSG_DONTWAIT);
			(void)n;
		}
		while (get_info(p.client).outstanding)
			if (recv(p.server, buf, size, MSG_DONTWAIT) < 0)
				sleep_us(1000);
		CHECK(get_info(p.client).met >= 1, "not met");
		CHECK_EQ(get_info(p.client).missed, 0);
		if (known)
			CHECK_EQ(get_info(p.client).met, 1);
		close_pair(&p);
	}
	free(buf);
	close(file);
}

TEST(retransmitted data is counted once)
{
	uint32_t sack[2];
	struct segment s;
	int n;

	peer_open(&peer, "d2tcp", true, NULL);
	CHECK_OK(set_deadline(peer.sock, 60000 * MS, 8000, D2TCP_F_RELATIVE));
	peer_write(&peer, 8000);
	CHECK(peer_data(&peer, &s), "no data");
	/* the first packet is lost, the others arrive */
	for (n = 0; n < 7; n++) {
		sack[0] = s.seq + s.len;
		sack[1] = s.seq + s.len * (n + 2);
		peer_send(&peer, TH_ACK, 0, s.seq, sack, 1, 0);
	}
	peer_drain(&peer);
	/* the receiver may still drop selectively acknowledged data */
	CHECK_EQ(get_info(peer.sock).bytes_left, 8000);
	CHECK_EQ(get_info(peer.sock).outstanding, 1);
	ack_to(8000);
	CHECK_EQ(get_info(peer.sock).met, 1);
	CHECK_EQ(get_info(peer.sock).outstanding, 0);
	ack_to(8000);
	CHECK_EQ(get_info(peer.sock).met, 1);
	peer_close(&peer);
}

TEST(a message armed in the middle of another ends it)
{
	peer_open(&peer, "d2tcp", true, NULL);
	CHECK_OK(set_deadline(peer.sock, 60000 * MS, 10000, D2TCP_F_RELATIVE));
	peer_write(&peer, 4000);
	CHECK_EQ(get_info(peer.sock).bytes_left, 10000);
	CHECK_OK(set_deadline(peer.sock, 90000 * MS, 5000, D2TCP_F_RELATIVE));
	CHECK_EQ(get_info(peer.sock).outstanding, 2);
	peer_write(&peer, 5000);
	ack_to(4000);
	CHECK_EQ(get_info(peer.sock).met, 1);
	CHECK_EQ(get_info(peer.sock).bytes_left, 5000);
	ack_to(9000);
	CHECK_EQ(get_info(peer.sock).met, 2);
	CHECK_EQ(get_info(peer.sock).cleared, 0);
	peer_close(&peer);
}

TEST(a message ended after all of it was acknowledged settles at once)
{
	peer_open(&peer, "d2tcp", true, NULL);
	CHECK_OK(set_deadline(peer.sock, 60000 * MS, 10000, D2TCP_F_RELATIVE));
	peer_write(&peer, 4000);
	ack_to(4000);
	CHECK_EQ(get_info(peer.sock).outstanding, 1);
	CHECK_EQ(get_info(peer.sock).met, 0);
	CHECK_OK(set_deadline(peer.sock, 90000 * MS, 5000, D2TCP_F_RELATIVE));
	CHECK_EQ(get_info(peer.sock).met, 1);
	CHECK_EQ(get_info(peer.sock).outstanding, 1);
	CHECK_EQ(get_info(peer.sock).bytes_left, 5000);
	peer_close(&peer);
}

TEST(a budget is capped at the farthest deadline)
{
	struct d2tcp_info info;

	peer_open(&peer, "d2tcp", true, NULL);
	CHECK_OK(set_budget(peer.sock, INT32_MAX));
	peer_write(&peer, 1000);
	info = get_info(peer.sock);
	CHECK_EQ(info.outstanding, 1);
	CHECK(info.time_left_ns <= (int64_t)D2TCP_FARTHEST_NS &&
	      info.time_left_ns > (int64_t)D2TCP_FARTHEST_NS -
	      1000 * (int64_t)MS, "%lld", (long long)info.time_left_ns);
	peer_close(&peer);
}

TEST(a socket that is not connected reports neither ECN nor fallback)
{
	union tcp_cc_info cc;
	socklen_t len = sizeof(cc);
	int fd, listening;

	fresh_net();
	for (listening = 0; listening < 2; listening++) {
		fd = tcp_socket(AF_INET, "d2tcp");
		CHECK_OK(set_budget(fd, 5000));
		if (listening)
			CHECK_OK(listen_on(fd, AF_INET, 4997));
		CHECK_EQ(get_info(fd).flags, D2TCP_INFO_BUDGET);
		memset(&cc, 0xff, sizeof(cc));
		CHECK_OK(getsockopt(fd, IPPROTO_TCP, TCP_CC_INFO, &cc, &len));
		CHECK_EQ(len, sizeof(cc.dctcp));
		CHECK_EQ(cc.dctcp.dctcp_enabled, 0);
		close(fd);
	}
}

TEST(messages settle after the peer has shut down its side)
{
	char buf[8];

	peer_open(&peer, "d2tcp", true, NULL);
	CHECK_OK(set_deadline(peer.sock, 60000 * MS, 3000, D2TCP_F_RELATIVE));
	peer_write(&peer, 2000);
	/* after its FIN the peer only receives */
	peer_drain(&peer);
	peer_send(&peer, TH_ACK | TH_FIN, 0, peer.iss + 1, NULL, 0, 0);
	CHECK_EQ(recv(peer.sock, buf, sizeof(buf), 0), 0);
	peer_write(&peer, 1000);
	CHECK_EQ(get_info(peer.sock).bytes_left, 3000);
	ack_to(3000);
	CHECK_EQ(get_info(peer.sock).met, 1);
	/* and a message armed after the FIN */
	CHECK_OK(set_deadline(peer.sock, 60000 * MS, 500, D2TCP_F_RELATIVE));
	peer_write(&peer, 500);
	ack_to(3500);
	CHECK_EQ(get_info(peer.sock).met, 2);
	peer_close(&peer);
}

/* --- TLS ------------------------------------------------------------------ */

/* The first user of a cipher waits up to 60 s of the guest's clock for its
 * module. That clock leaps while a guest waits for a file of a busy host, so one
 * timeout is not the last word.
 */
static int set_tls_key(int fd, const void *key, socklen_t len)
{
	int tries, err = -1;

	for (tries = 0; err && tries < 20; tries++) {
		err = setsockopt(fd, SOL_TLS, TLS_TX, key, len);
		if (err && errno != ETIMEDOUT)
			break;
	}
	return err;
}

TEST(with kernel TLS the length includes the overhead of the records)
{
	static const struct tls12_crypto_info_aes_gcm_128 key = {
		.info.version = TLS_1_2_VERSION,
		.info.cipher_type = TLS_CIPHER_AES_GCM_128,
	};
	/* header, nonce and tag of each record of at most 16 KB */
	const size_t size = 40000, wire = 40000 + 3 * (5 + 8 + 16);
	char *buf = calloc(1, 65536);
	struct d2tcp_info info;
	struct pair p;

	fresh_net();
	p = connected(AF_INET, "d2tcp", "d2tcp");
	if (setsockopt(p.client, IPPROTO_TCP, TCP_ULP, "tls", 4))
		SKIP("this kernel has no TLS");
	CHECK_OK(set_tls_key(p.client, &key, sizeof(key)));
	CHECK_OK(set_deadline(p.client, 60000 * MS, wire, D2TCP_F_RELATIVE));
	CHECK_EQ(get_info(p.client).bytes_left, wire);
	CHECK_EQ(send(p.client, buf, size, 0), (ssize_t)size);
	CHECK_EQ(recv(p.server, buf, wire, MSG_WAITALL), (ssize_t)wire);
	info = settled(p.client);
	CHECK_EQ(info.met, 1);
	/* exactly: with one byte more the message stays outstanding */
	CHECK_OK(set_deadline(p.client, 60000 * MS, wire + 1,
			      D2TCP_F_RELATIVE));
	CHECK_EQ(send(p.client, buf, size, 0), (ssize_t)size);
	CHECK_EQ(recv(p.server, buf, wire, MSG_WAITALL), (ssize_t)wire);
	while (get_info(p.client).bytes_left > 1)
		sleep_us(1000);
	CHECK_EQ(get_info(p.client).outstanding, 1);
	/* with an unknown length the program adds no overhead */
	CHECK_OK(set_deadline_int(p.client, 60000000));
	CHECK_EQ(send(p.client, buf, size, 0), (ssize_t)size);
	CHECK_EQ(recv(p.server, buf, wire, MSG_WAITALL), (ssize_t)wire);
	CHECK_EQ(settled(p.client).met, 3);
	close_pair(&p);
	free(buf);
}

/* --- time ----------------------------------------------------------------- */

/* Absolute deadlines are set and read on the clock of this process. */
static void absolute_times(struct pair *p)
{
	struct d2tcp_deadline dl;
	struct d2tcp_info info;
	uint64_t due;

	due = clock_ns() + 5000 * MS;
	CHECK_OK(set_deadline(p->client, due, 1000, 0));
	info = get_info(p->client);
	CHECK(info.time_left_ns > 0 && info.time_left_ns <=
	      5000 * (int64_t)MS, "%lld", (long long)info.time_left_ns);
	dl = get_deadline(p->client);
	CHECK_EQ(dl.deadline_ns, due);
	CHECK_EQ(dl.bytes, 1000);
	/* setting the value just read does not change the deadline */
	CHECK_OK(set_deadline(p->client, dl.deadline_ns, dl.bytes, 0));
	CHECK_EQ(get_deadline(p->client).deadline_ns, due);
	/* in the past, and before the clock started */
	CHECK_OK(set_deadline(p->client, clock_ns() - MS, 1000, 0));
	CHECK(get_info(p->client).flags & D2TCP_INFO_LATE, "not late");
	CHECK_OK(set_deadline(p->client, 1, 1000, 0));
	CHECK(get_info(p->client).flags & D2TCP_INFO_LATE, "not late");
	CHECK(get_deadline(p->client).deadline_ns > 0, "no deadline");
	/* the earliest value is still read as a deadline */
	CHECK_OK(set_deadline(p->client, 0, 1000, 0));
	dl = get_deadline(p->client);
	CHECK(dl.deadline_ns > 0 && dl.deadline_ns < clock_ns(), "%llu",
	      (unsigned long long)dl.deadline_ns);
	/* and the farthest value is capped at the bound */
	due = clock_ns() + D2TCP_FARTHEST_NS;
	CHECK_OK(set_deadline(p->client, UINT64_MAX, 1000, 0));
	info = get_info(p->client);
	CHECK(info.time_left_ns <= (int64_t)D2TCP_FARTHEST_NS &&
	      info.time_left_ns > (int64_t)D2TCP_FARTHEST_NS -
	      1000 * (int64_t)MS, "%lld", (long long)info.time_left_ns);
	CHECK(get_deadline(p->client).deadline_ns >= due, "too near");
	CHECK_OK(set_deadline_int(p->client, 0));
	CHECK_EQ(get_deadline(p->client).deadline_ns, 0);
}

/* Runs in a time namespace whose clock is ahead of the kernel's by ahead_s. */
static void in_time_namespace(long ahead_s)
{
	struct pair p = connected(AF_INET, "d2tcp", "d2tcp");
	struct d2tcp_info info;
	struct timespec up;

	/* CLOCK_BOOTTIME has no offset here and shows that of this clock */
	clock_gettime(CLOCK_BOOTTIME, &up);
	CHECK((int64_t)clock_ns() / 1000000000 - up.tv_sec >= ahead_s - 1 &&
	      (int64_t)clock_ns() / 1000000000 - up.tv_sec <= ahead_s + 1,
	      "the clock is %lld s ahead",
	      (long long)clock_ns() / 1000000000 - up.tv_sec);
	CHECK_OK(set_deadline(p.client, 5000 * MS, 1000, D2TCP_F_RELATIVE));
	info = get_info(p.client);
	CHECK(info.time_left_ns > 0 && info.time_left_ns <=
	      5000 * (int64_t)MS, "%lld", (long long)info.time_left_ns);
	CHECK_OK(set_deadline_int(p.client, 0));
	absolute_times(&p);
	CHECK_OK(set_deadline(p.client, clock_ns() + 5000 * MS, 1000, 0));
	transfer(p.client, p.server, 1000);
	CHECK_EQ(get_info(p.client).met, 1);
	close_pair(&p);
}

TEST(absolute deadlines are on the clock of the time namespace)
{
	static const char *const offset[] = {
		"monotonic 1000 0", "monotonic -1 0", "monotonic 4000000000 0",
	};
	static const long ahead_s[] = { 1000, -1, 4000000000 };
	struct pair p;
	int st, fd, i;
	pid_t pid;

	fresh_net();
	p = connected(AF_INET, "d2tcp", "d2tcp");
	absolute_times(&p);
	close_pair(&p);
	/* so that a clock that is behind stays above 0 */
	while (clock_ns() < 3000 * MS)
		sleep_us(100000);
	/* a time_t of 32 bits cannot hold the last of them */
	for (i = 0; i < (sizeof(time_t) < 8 ? 2 : 3); i++) {
		st = -1;
		fflush(stdout);
		if (unshare(CLONE_NEWTIME))
			SKIP("this kernel has no time namespaces");
		CHECK_EQ(write_file("/proc/self/timens_offsets", offset[i]),
			 0);
		pid = fork();
		if (!pid) {
			if (!setjmp(test_end)) {
				in_time_namespace(ahead_s[i]);
				_exit(0);
			}
			fflush(stdout);
			_exit(1);
		}
		CHECK_EQ(waitpid(pid, &st, 0), pid);
		/* children of later tests must be in the first namespace */
		fd = open("/proc/1/ns/time", O_RDONLY);
		CHECK_OK(setns(fd, CLONE_NEWTIME));
		close(fd);
		CHECK_EQ(st, 0);
	}
}

/* --- sequence numbers that wrap ------------------------------------------- */

/* A connection whose first byte has this sequence number. */
static void start_at(int fd, uint32_t seq)
{
	option(fd, IPPROTO_TCP, TCP_REPAIR, 1);
	option(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, TCP_SEND_QUEUE);
	option(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, seq - 1);
	option(fd, IPPROTO_TCP, TCP_REPAIR, TCP_REPAIR_OFF_NO_WP);
}

static void wraps_at_5000(int fd)
{
	start_at(fd, 0u - 5000);
}

TEST(sequence numbers wrap within a message and between messages)
{
	int i;

	peer_open(&peer, "d2tcp", true, wraps_at_5000);
	CHECK_EQ(peer.iss + 1, 0u - 5000);
	CHECK_OK(set_deadline(peer.sock, 60000 * MS, 3000, D2TCP_F_RELATIVE));
	peer_write(&peer, 3000);
	CHECK_OK(set_deadline(peer.sock, 50000 * MS, 4000, D2TCP_F_RELATIVE));
	peer_write(&peer, 4000);
	CHECK_OK(set_deadline_int(peer.sock, 40000000));
	peer_write(&peer, 1000);
	CHECK_EQ(get_info(peer.sock).outstanding, 3);
	CHECK_EQ(get_info(peer.sock).bytes_left, 8000);
	for (i = 1; i <= 8; i++) {
		ack_to(1000 * i);
		CHECK_EQ(get_info(peer.sock).met, (i >= 3) + (i >= 7) +
			 (i >= 8));
		CHECK_EQ(get_info(peer.sock).bytes_left, 8000 - 1000 * i);
	}
	peer_close(&peer);
}

TEST(messages settle on a connection that carries more than 4 GiB)
{
	const size_t chunk = 64 << 20;
	uint64_t n, sent, messages = 0;
	char *buf = malloc(1 << 20);
	struct d2tcp_info info;
	struct utsname u;
	struct pair p;
	ssize_t r;

	uname(&u);
	if (!strstr(u.release, "d2tcp-uml"))
		SKIP("takes long, so one kernel does it; others test the wrap");
	fresh_net();
	p = connected(AF_INET, "d2tcp", "d2tcp");
	fcntl(p.client, F_SETFL, O_NONBLOCK);
	for (n = 0; n < 70; n++) {
		/* one in three of unknown length, one in seven late */
		CHECK_OK(set_deadline(p.client, n % 7 ? 600000 * MS : 0,
				      n % 3 ? chunk : 0, D2TCP_F_RELATIVE));
		messages++;
		for (sent = 0; sent < chunk; sent += r > 0 ? r : 0) {
			size_t most = chunk - sent < 1 << 20 ? chunk - sent :
							       1 << 20;

			r = send(p.client, buf, most, MSG_ZEROCOPY);
			/* MSG_TRUNC discards the data */
			recv(p.server, NULL, 64 << 20, MSG_TRUNC | MSG_DONTWAIT);
		}
		while (get_info(p.client).outstanding)
			if (recv(p.server, NULL, 64 << 20, MSG_TRUNC |
				 MSG_DONTWAIT) < 0)
				sleep_us(1000);
		info = get_info(p.client);
		CHECK_EQ(info.met + info.missed, messages);
	}
	CHECK(tcp_info(p.client).tcpi_bytes_acked > 1ull << 32, "%llu",
	      (unsigned long long)tcp_info(p.client).tcpi_bytes_acked);
	CHECK_EQ(info.missed, 10);
	CHECK_EQ(info.cleared, 0);
	close_pair(&p);
	free(buf);
}

/* --- the settings of a namespace ------------------------------------------ */

static const char default_budget[] =
	"/proc/sys/net/ipv4/d2tcp/default_budget_us";
static const char min_budget[] = "/proc/sys/net/ipv4/d2tcp/min_budget_us";

static void is_setting(const char *path, long want)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "cat %s", path);
	CHECK_EQ(atol(output(cmd)), want);
}

TEST(the settings of a namespace start at 0 and refuse values out of range)
{
	static const char *const paths[] = { default_budget, min_budget };
	int i;

	fresh_net();
	for (i = 0; i < 2; i++) {
		is_setting(paths[i], 0);
		CHECK_EQ(write_file(paths[i], "-1"), EINVAL);
		CHECK_EQ(write_file(paths[i], "2147483648"), EINVAL);
		CHECK_EQ(write_file(paths[i], "soon"), EINVAL);
		is_setting(paths[i], 0);
		CHECK_EQ(write_file(paths[i], "2147483647"), 0);
		is_setting(paths[i], 2147483647);
		CHECK_EQ(write_file(paths[i], "20000"), 0);
	}
	/* each namespace has its own */
	fresh_net();
	is_setting(default_budget, 0);
	is_setting(min_budget, 0);
}

TEST(the default budget applies to every socket without a budget of its own)
{
	struct pair p;

	fresh_net();
	p = connected(AF_INET, "d2tcp", "d2tcp");
	transfer(p.client, p.server, 5000);
	CHECK_EQ(get_info(p.client).met, 0);
	CHECK_EQ(write_file(default_budget, "5000000"), 0);
	/* at once, on open connections too; get of BUDGET does not show it */
	CHECK_EQ(get_info(p.client).budget_us, 5000000);
	CHECK(get_info(p.client).flags & D2TCP_INFO_BUDGET, "no budget");
	CHECK_EQ(get_budget(p.client), 0);
	transfer(p.client, p.server, 5000);
	CHECK_EQ(get_info(p.client).met, 1);
	transfer(p.server, p.client, 5000);
	CHECK_EQ(get_info(p.server).met, 1);
	/* the socket's own budget takes precedence, also 0, which means off */
	CHECK_OK(set_budget(p.client, 7000000));
	CHECK_EQ(get_info(p.client).budget_us, 7000000);
	CHECK_OK(set_budget(p.client, 0));
	CHECK_EQ(get_info(p.client).budget_us, 0);
	CHECK(!(get_info(p.client).flags & D2TCP_INFO_BUDGET), "a budget");
	transfer(p.client, p.server, 5000);
	CHECK_EQ(get_info(p.client).met, 1);
	/* a deadline for a message takes precedence too */
	CHECK_OK(set_deadline(p.server, 0, 5000, D2TCP_F_RELATIVE));
	transfer(p.server, p.client, 5000);
	CHECK_EQ(get_info(p.server).missed, 1);
	CHECK_EQ(get_info(p.server).met, 1);
	close_pair(&p);
}

TEST(a child inherits a budget of 0 from its listener)
{
	struct pair p;
	int fd;

	fresh_net();
	CHECK_EQ(write_file(default_budget, "5000000"), 0);
	fd = tcp_socket(AF_INET, "d2tcp");
	CHECK_OK(set_budget(fd, 0));
	CHECK_OK(listen_on(fd, AF_INET, 5900));
	p.listener = fd;
	p.client = tcp_socket(AF_INET, "d2tcp");
	CHECK_OK(connect_to(p.client, AF_INET, 5900));
	p.server = accept(fd, NULL, NULL);
	CHECK_EQ(get_info(p.server).budget_us, 0);
	CHECK_EQ(get_info(p.client).budget_us, 5000000);
	close_pair(&p);
}

TEST(a route and a default budget make an unmodified program deadline-aware)
{
	struct pair p;

	fresh_net();
	CHECK_EQ(write_file(default_budget, "5000000"), 0);
	sh("ip route replace local 127.0.0.1 dev lo table local proto kernel "
	   "scope host src 127.0.0.1 congctl d2tcp");
	/* neither side selects an algorithm */
	p = connected(AF_INET, NULL, NULL);
	CHECK(!strcmp(get_cc(p.client), "d2tcp"), "%s", get_cc(p.client));
	CHECK(!strcmp(get_cc(p.server), "d2tcp"), "%s", get_cc(p.server));
	transfer(p.client, p.server, 30000);
	transfer(p.server, p.client, 30000);
	CHECK_EQ(counter("D2tcpArmed"), 2);
	CHECK_EQ(counter("D2tcpMet"), 2);
	CHECK_EQ(counter("D2tcpFlowsEcn"), 2);
	CHECK_EQ(counter("D2tcpFlowsNoEcn"), 0);
	close_pair(&p);
}

static void set_us(const char *path, uint64_t us)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)us);
	CHECK_EQ(write_file(path, text), 0);
}

/* The d that 30 KB of written data would have if they were due in ns. */
static uint32_t d_when_due(uint64_t ns)
{
	struct d2tcp_info info;

	CHECK_OK(set_deadline(peer.sock, ns, 1, D2TCP_F_RELATIVE));
	info = get_info(peer.sock);
	/* the time left is reported as it was set, not as it is bounded */
	CHECK(info.time_left_ns <= (int64_t)ns, "%lld",
	      (long long)info.time_left_ns);
	CHECK_OK(set_deadline_int(peer.sock, 0));
	return info.imminence;
}

TEST(under min_budget_us no deadline counts as nearer than that)
{
	uint64_t finish;

	peer_open(&peer, "d2tcp", true, NULL);
	peer_write(&peer, 30000);
	CHECK_OK(set_deadline(peer.sock, 1000000 * MS, 1, D2TCP_F_RELATIVE));
	finish = get_info(peer.sock).finish_ns;
	CHECK(finish > 1000, "%llu", (unsigned long long)finish);
	CHECK_OK(set_deadline_int(peer.sock, 0));
	/* Ten seconds, so that none is late on a slow machine: d is at an end
	 * of the clamp in each case.
	 */
	CHECK_EQ(d_when_due(10000 * MS), 128);
	CHECK_OK(set_deadline(peer.sock, 10000 * MS, INT32_MAX - 100000,
			      D2TCP_F_RELATIVE));
	peer_write(&peer, 1000000);
	CHECK_EQ(get_info(peer.sock).imminence > 128, 1);
	set_us(min_budget, 2000000000);
	CHECK_EQ(counter("D2tcpBelowMinBudget"), 0);
	/* it also applies at once to messages armed before */
	CHECK_EQ(get_info(peer.sock).imminence, 128);
	CHECK_OK(set_deadline_int(peer.sock, 0));
	CHECK_EQ(d_when_due(10000 * MS), 128);
	CHECK_EQ(counter("D2tcpBelowMinBudget"), 1);
	/* a message that is already late does not count as below the bound */
	CHECK_OK(set_deadline(peer.sock, 0, 1, D2TCP_F_RELATIVE));
	CHECK_EQ(counter("D2tcpBelowMinBudget"), 1);
	CHECK_EQ(write_file("/sys/module/tcp_d2tcp/parameters/late_d", "500"),
		 0);
	/* a late message is no more urgent than one due at the bound */
	CHECK_EQ(get_info(peer.sock).imminence, 128);
	CHECK(get_info(peer.sock).flags & D2TCP_INFO_LATE, "not late");
	set_us(min_budget, 1);
	CHECK_EQ(get_info(peer.sock).imminence, 256);
	CHECK(get_info(peer.sock).flags & D2TCP_INFO_LATE, "not late");
	set_us(min_budget, 0);
	CHECK_EQ(get_info(peer.sock).imminence, 500);
	CHECK_EQ(write_file("/sys/module/tcp_d2tcp/parameters/late_d", "256"),
		 0);
	peer_close(&peer);
}

TEST(under min_budget_us bytes not yet written do not raise d above 1)
{
	uint64_t finish[2];
	int bound, i;

	for (bound = 0; bound < 2; bound++) {
		peer_open(&peer, "d2tcp", true, NULL);
		set_us(min_budget, bound ? 1000 : 0);
		peer_write(&peer, 20000);
		for (i = 0; i < 2; i++) {
			/* 30 KB written, and 30 KB or 2 GB claimed */
			CHECK_OK(set_deadline(peer.sock, 5000 * MS, i ?
					      2000000000 : 10000,
					      D2TCP_F_RELATIVE));
			if (!i)
				peer_write(&peer, 10000);
			finish[i] = get_info(peer.sock).finish_ns;
			CHECK(finish[i], "no round trip yet");
			/* the bytes left are reported as claimed */
			CHECK_EQ(get_info(peer.sock).bytes_left,
				 i ? 2000030000 : 30000);
		}
		CHECK(finish[1] > 10000 * finish[0], "%llu, %llu",
		      (unsigned long long)finish[0],
		      (unsigned long long)finish[1]);
		CHECK(!(get_info(peer.sock).flags & D2TCP_INFO_FEASIBLE),
		      "2 GB in 5 s are feasible");
		/* d of a flow without deadlines, no more and no less */
		CHECK_EQ(get_info(peer.sock).imminence, bound ? 256 : 512);
		peer_close(&peer);
	}
}

TEST(the initial namespace bounds all others and a new one copies its creator)
{
	uint32_t d;
	int fd;

	first_net();
	fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	peer_open(&peer, "d2tcp", true, NULL);
	peer_write(&peer, 30000);
	CHECK_OK(set_deadline(peer.sock, 5000 * MS, 2000000000,
			      D2TCP_F_RELATIVE));
	d = get_info(peer.sock).imminence;
	CHECK_EQ(d, 512);
	/* set in the initial namespace after the other one was created */
	first_net();
	set_us(min_budget, 1000);
	CHECK_EQ(get_info(peer.sock).imminence, 256);
	set_us(min_budget, 0);
	CHECK_EQ(get_info(peer.sock).imminence, 512);
	peer_close(&peer);
	/* a namespace created from within a bounded one */
	fresh_net();
	set_us(min_budget, 30000);
	CHECK_OK(unshare(CLONE_NEWNET));
	is_setting(min_budget, 30000);
	CHECK_OK(setns(fd, CLONE_NEWNET));
	close(fd);
	fresh_net();
	is_setting(min_budget, 0);
}

TEST(the root of a container inherits min_budget_us and cannot change it)
{
	int st = -1;
	pid_t pid;

	first_net();
	CHECK_EQ(write_file(min_budget, "30000"), 0);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		if (setjmp(test_end)) {
			fflush(stdout);
			_exit(1);
		}
		CHECK_OK(unshare(CLONE_NEWUSER | CLONE_NEWNET));
		CHECK_EQ(write_file("/proc/self/uid_map", "0 0 1"), 0);
		is_setting(min_budget, 30000);
		CHECK_EQ(write_file(min_budget, "0"), EPERM);
		CHECK_EQ(write_file(min_budget, "60000"), EPERM);
		is_setting(min_budget, 30000);
		/* it may set the budget of its own programs */
		CHECK_EQ(write_file(default_budget, "1000"), 0);
		is_setting(default_budget, 1000);
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &st, 0), pid);
	CHECK_EQ(write_file(min_budget, "0"), 0);
	CHECK_EQ(st, 0);
}

/* --- counters ------------------------------------------------------------- */

static const char *const counters[] = {
	"D2tcpArmed", "D2tcpMet", "D2tcpMissed", "D2tcpCleared", "D2tcpMerged",
	"D2tcpArmedLate", "D2tcpAbandoned", "D2tcpBelowMinBudget",
	"D2tcpFlowsEcn", "D2tcpFlowsNoEcn",
	"D2tcpExpected", "D2tcpExpectedMet", "D2tcpExpectedMissed",
	"D2tcpGrants", "D2tcpReleased", "D2tcpRenewals", "D2tcpBytesHeld",
	"D2tcpMarksAbsorbed",
};

#define COUNTERS (sizeof(counters) / sizeof(counters[0]))

static void counts(const long *want)
{
	size_t i;

	for (i = 0; i < COUNTERS; i++)
		CHECK(counter(counters[i]) == want[i], "%s %ld, not %ld",
		      counters[i], counter(counters[i]), want[i]);
}

TEST(the counters of a namespace count its messages and flows)
{
	static const long none[COUNTERS];
	long n[COUNTERS] = { 0 };
	uint32_t base;
	int i;

	peer_open(&peer, "d2tcp", true, NULL);
	n[8]++;
	counts(n);
	base = peer.nxt;
	/* five messages, the fifth merged with the fourth */
	for (i = 0; i < 5; i++) {
		CHECK_OK(set_deadline(peer.sock, (i == 1 ? 0 : 60000) * MS,
				      1000, D2TCP_F_RELATIVE));
		peer_write(&peer, 1000);
		n[0]++;
	}
	n[4]++;
	n[5]++;
	counts(n);
	peer_drain(&peer);
	peer_ack(&peer, base + 5000, false);
	n[1] += 3;
	n[2]++;
	counts(n);
	/* armed twice before a byte is written; then all are cleared */
	CHECK_OK(set_deadline_int(peer.sock, 1000000));
	CHECK_OK(set_deadline_int(peer.sock, 1000000));
	n[0] += 2;
	n[3]++;
	counts(n);
	peer_write(&peer, 1000);
	CHECK_OK(set_deadline_int(peer.sock, 1000000));
	n[0]++;
	CHECK_OK(set_deadline_int(peer.sock, 0));
	n[3] += 2;
	counts(n);
	/* clearing no message and refused calls are not counted */
	CHECK_OK(set_deadline_int(peer.sock, 0));
	CHECK_ERRNO(set_deadline(peer.sock, MS, 1ull << 31, D2TCP_F_RELATIVE),
		    ERANGE);
	counts(n);
	/* messages outstanding when the algorithm changes or the flow ends */
	CHECK_OK(set_deadline_int(peer.sock, 1000000));
	peer_write(&peer, 1000);
	CHECK_OK(set_deadline_int(peer.sock, 1000000));
	n[0] += 2;
	CHECK_OK(set_cc(peer.sock, "reno"));
	n[6] += 2;
	counts(n);
	CHECK_OK(set_cc(peer.sock, "d2tcp"));
	n[8]++;
	CHECK_OK(set_deadline_int(peer.sock, 1000000));
	n[0]++;
	peer_close(&peer);
	n[6]++;
	counts(n);

	peer_open(&peer, "d2tcp", false, NULL);
	counts((const long [COUNTERS]){ [9] = 1 });
	peer_close(&peer);
	fresh_net();
	counts(none);
}

/* No byte of it was ever sent. */
TEST(a message on a socket that never connected does not count as abandoned)
{
	long n[COUNTERS] = { 0 };
	int fd;

	fresh_net();
	fd = tcp_socket(AF_INET, "d2tcp");
	CHECK_OK(set_deadline_int(fd, 1000000));
	n[0]++;
	close(fd);
	counts(n);
	/* nor if the connection is refused */
	fd = tcp_socket(AF_INET, "d2tcp");
	CHECK_OK(set_deadline_int(fd, 1000000));
	n[0]++;
	CHECK_ERRNO(connect_to(fd, AF_INET, 4999), ECONNREFUSED);
	close(fd);
	counts(n);
	/* nor on a listener */
	fd = tcp_socket(AF_INET, "d2tcp");
	CHECK_OK(set_deadline_int(fd, 1000000));
	n[0]++;
	CHECK_OK(listen_on(fd, AF_INET, 4998));
	close(fd);
	counts(n);
}

TEST(the counters file is read-only and has one name and value per line)
{
	const char *text;
	char name[64];
	size_t i;
	long v;

	fresh_net();
	text = output("cat /proc/net/d2tcp");
	for (i = 0; i < COUNTERS; i++) {
		CHECK_EQ(sscanf(text, "%63s %ld\n", name, &v), 2);
		CHECK(!strcmp(name, counters[i]), "%s", name);
		text = strchr(text, '\n') + 1;
	}
	CHECK_EQ(*text, 0);
	CHECK(write_file("/proc/net/d2tcp", "0") != 0, "it can be written");
}

/* --- tracepoints ---------------------------------------------------------- */

TEST(the tracepoints report arming and settling)
{
	const char *f;
	uint32_t base;

	trace_on("d2tcp_arm");
	trace_on("d2tcp_settle");
	while (trace_next("d2tcp_"))
		;
	peer_open(&peer, "d2tcp", true, NULL);
	base = peer.nxt;
	CHECK_OK(set_deadline(peer.sock, 60000 * MS, 3000, D2TCP_F_RELATIVE));
	f = trace_next("d2tcp_arm");
	CHECK(f, "arming was not traced");
	CHECK(strstr(f, "saddr=::ffff:10.1.0.1 ") &&
	      strstr(f, " daddr=::ffff:10.1.0.2 "), "%s", f);
	CHECK_EQ(trace_field(f, "sport"), peer.port);
	CHECK_EQ(trace_field(f, "dport"), PEER_PORT);
	CHECK_EQ(trace_field(f, "left"), 60000 * MS);
	CHECK_EQ(trace_field(f, "bytes"), 3000);
	CHECK_EQ((uint32_t)trace_field(f, "seq"), base);
	CHECK_EQ(trace_field(f, "outstanding"), 1);
	CHECK_EQ(trace_field(f, "how"), 0);
	CHECK_EQ(trace_field(f, "budget"), 0);
	/* replaced by one that is late */
	CHECK_OK(set_deadline(peer.sock, 0, 2000, D2TCP_F_RELATIVE));
	f = trace_next("d2tcp_arm");
	CHECK_EQ(trace_field(f, "how"), 1);
	CHECK_EQ(trace_field(f, "left"), 0);
	peer_write(&peer, 2000);
	CHECK_OK(set_deadline_int(peer.sock, 50000000));
	f = trace_next("d2tcp_arm");
	CHECK_EQ(trace_field(f, "outstanding"), 2);
	CHECK_EQ(trace_field(f, "bytes"), 0);
	peer_write(&peer, 1000);
	sleep_us(1000);
	CHECK(!trace_next("d2tcp_settle"), "settled too early");
	peer_drain(&peer);
	peer_ack(&peer, base + 2000, false);
	f = trace_next("d2tcp_settle");
	CHECK(f, "settling was not traced");
	CHECK_EQ(trace_field(f, "sport"), peer.port);
	CHECK(trace_field(f, "late") >= (long long)MS, "%s", f);
	CHECK_EQ((uint32_t)trace_field(f, "end"), base + 2000);
	CHECK_EQ(trace_field(f, "outstanding"), 1);
	peer_ack(&peer, base + 3000, false);
	f = trace_next("d2tcp_settle");
	CHECK(f, "settling was not traced");
	CHECK(trace_field(f, "late") < 0, "%s", f);
	CHECK_EQ((uint32_t)trace_field(f, "end"), base + 3000);
	/* armed by a budget */
	CHECK_OK(set_budget(peer.sock, 40000000));
	peer_write(&peer, 1000);
	f = trace_next("d2tcp_arm");
	CHECK(f, "the budget's arming was not traced");
	CHECK_EQ(trace_field(f, "budget"), 1);
	CHECK_EQ(trace_field(f, "left"), 40000 * MS);
	CHECK_EQ((uint32_t)trace_field(f, "seq"), base + 3000);
	peer_close(&peer);
	trace_off("d2tcp_arm");
	trace_off("d2tcp_settle");
}

/* --- when a message settles and when it arrives --------------------------- */

/*
 * The longest time from the arrival of a message to its settling, for responses
 * of ten full segments and a tail. A receiver that reads at once sends its ACK
 * as it reads; if it is busy, the last ACK may wait for a timer.
 */
static uint64_t settling_lag(struct pair *p, int tail, bool busy)
{
	const int n = 10 * 1448 + tail;
	static char buf[65536];
	long long lag, worst = 0;
	uint64_t due, arrived;
	const char *f;
	int i, have;

	for (i = 0; i < 20; i++) {
		while (trace_next("d2tcp_settle"))
			;
		due = clock_ns() + 60000 * MS;
		CHECK_OK(set_deadline(p->client, due, n, 0));
		CHECK_EQ(send(p->client, buf, n, 0), n);
		have = 0;
		while (busy && have < n) {
			sleep_us(10);
			CHECK_OK(ioctl(p->server, FIONREAD, &have));
		}
		if (!busy)
			CHECK_EQ(recv(p->server, buf, n, MSG_WAITALL), n);
		arrived = clock_ns();
		settled(p->client);
		if (busy)
			CHECK_EQ(recv(p->server, buf, n, MSG_WAITALL), n);
		f = trace_next("d2tcp_settle");
		CHECK(f, "settling was not traced");
		/* the ACK may leave before the reader wakes: lag may be < 0 */
		lag = trace_field(f, "late") + (int64_t)(due - arrived);
		if (lag > worst)
			worst = lag;
	}
	return worst;
}

TEST(a message settles after the receiver has it by a delayed ACK at most)
{
	static const int tails[] = { 0, 1, 1000, 1448 };
	struct pair p;
	uint64_t lag;
	int t, i;

	fresh_net();
	/* segments like those of an Ethernet, and a delay of 75 us */
	sh("ip link set lo mtu 1500 gso_max_segs 1");
	sh("modprobe -q sch_netem; tc qdisc add dev lo root netem delay 75us");
	trace_on("d2tcp_settle");
	p = connected(AF_INET, "d2tcp", "d2tcp");
	/* get past the quick ACKs of a new connection */
	for (i = 0; i < 50; i++)
		transfer(p.client, p.server, 10000);
	for (t = 0; t < 8; t++) {
		lag = settling_lag(&p, tails[t / 2], t % 2);
		printf("# tail of %d bytes, read %s: settled at most %llu us after the receiver had it\n",
		       tails[t / 2], t % 2 ? "later" : "at once",
		       (unsigned long long)lag / 1000);
		/* TCP_DELACK_MAX and the delay of the ACK */
		CHECK(lag < 210 * MS, "%llu ns", (unsigned long long)lag);
	}
	trace_off("d2tcp_settle");
	close_pair(&p);
}

int main(int argc, char **argv)
{
	if (system("modprobe tcp_d2tcp")) {
		printf("Bail out! modprobe tcp_d2tcp failed\n");
		return 1;
	}
	/* for the tests in which a namespace or a route selects d2tcp */
	if (system("sysctl -qw net.ipv4.tcp_allowed_congestion_control="
		   "'reno cubic d2tcp'"))
		printf("# cannot add d2tcp to the allowed algorithms\n");
	return run_tests(argc, argv);
}
