// SPDX-License-Identifier: GPL-2.0
/*
 * incast receive, train, ping, clock: tools to check an emulated link. A train
 * is a series of UDP datagrams, each filling an Ethernet frame of 1514 bytes,
 * marked ECT(0) and carrying its send time. The receiver, which shares a clock
 * with the sender, records when each arrived and whether it carries CE. Arrival
 * is the kernel's receive timestamp, because other processes may delay the
 * receiver.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <netinet/ip.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "args.h"
#include "parts.h"
#include "util.h"

#define PAYLOAD	1472	/* 1500 - 20 - 8 */

struct datagram {
	uint64_t sent_ns;
	uint64_t echoed_ns;	/* by the receiver's clock */
	uint32_t id;
	uint32_t seq;
	uint32_t echo;		/* to be sent back */
	char fill[PAYLOAD - 28];
};

_Static_assert(sizeof(struct datagram) == PAYLOAD, "one full frame");

static struct {
	struct sockaddr_in addr;
	unsigned int count, id;
	uint64_t gap_ns, at_ns;
	const char *out;
} opt = { .count = 20 };

static void set_address(const char *option, char *text)
{
	opt.addr = parse_address(option, text);
}

static void options(const char *part, int argc, char **argv,
		    const char *address)
{
	const struct arg args[] = {
		{ address, ARG_CALL, .call = set_address },
		{ "count", ARG_UINT, .to = &opt.count, .min = 1, .max = 1000000 },
		{ "id", ARG_UINT, .to = &opt.id, .min = 0, .max = UINT32_MAX },
		{ "gap-ns", ARG_U64, .to = &opt.gap_ns, .min = 1, .max = NSEC },
		{ "at", ARG_U64, .to = &opt.at_ns, .min = 0, .max = INT64_MAX },
		{ "out", ARG_TEXT, .to = &opt.out },
	};

	parse_args(part, argc, argv, args, sizeof(args) / sizeof(args[0]));
	if (!opt.addr.sin_port)
		bad("--%s ADDRESS:PORT is needed", address);
}

static int udp(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket: %s", strerror(errno));
	set_int(fd, IPPROTO_IP, IP_TOS, IPTOS_ECN_ECT0, "IP_TOS");
	return fd;
}

static int ecn_of(struct msghdr *msg)
{
	struct cmsghdr *c;

	for (c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c))
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS)
			return *(unsigned char *)CMSG_DATA(c) & IPTOS_ECN_MASK;
	return 0;
}

/* How far CLOCK_REALTIME, the clock of the kernel's timestamps, is ahead of
 * CLOCK_MONOTONIC.
 */
static uint64_t realtime_ahead(void)
{
	struct timespec real;

	clock_gettime(CLOCK_REALTIME, &real);
	return real.tv_sec * NSEC + real.tv_nsec - now_ns();
}

/* The arrival time of a datagram, on CLOCK_MONOTONIC. */
static uint64_t arrival_of(struct msghdr *msg, uint64_t ahead)
{
	struct timespec real;
	struct cmsghdr *c;

	for (c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET ||
		    c->cmsg_type != SCM_TIMESTAMPNS)
			continue;
		memcpy(&real, CMSG_DATA(c), sizeof(real));
		return real.tv_sec * NSEC + real.tv_nsec - ahead;
	}
	die("a datagram has no receive timestamp");
}

/* Receives --count datagrams of trains. Those of ping are only echoed. */
int receive_main(int argc, char **argv)
{
	const uint64_t ahead = realtime_ahead();
	struct datagram d;
	char control[256];
	struct sockaddr_in from;
	struct iovec iov = { .iov_base = &d, .iov_len = sizeof(d) };
	unsigned int n = 0;
	FILE *f = stdout;
	ssize_t len;
	int fd;

	options(argv[0], argc, argv, "listen");
	fd = udp();
	set_int(fd, IPPROTO_IP, IP_RECVTOS, 1, "IP_RECVTOS");
	set_int(fd, SOL_SOCKET, SO_TIMESTAMPNS, 1, "SO_TIMESTAMPNS");
	set_int(fd, SOL_SOCKET, SO_RCVBUF, 16 << 20, "SO_RCVBUF");
	if (bind(fd, (struct sockaddr *)&opt.addr, sizeof(opt.addr)))
		die("bind: %s", strerror(errno));
	if (opt.out) {
		f = fopen(opt.out, "w");
		if (!f)
			die("%s: %s", opt.out, strerror(errno));
	}
	puts("ready");
	fflush(stdout);
	fputs("id,seq,sent_ns,received_ns,ce\n", f);
	while (n < opt.count) {
		struct msghdr msg = {
			.msg_name = &from,
			.msg_namelen = sizeof(from),
			.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = control,
			.msg_controllen = sizeof(control),
		};

		len = recvmsg(fd, &msg, 0);
		if (len < 0)
			die("recvmsg: %s", strerror(errno));
		if ((size_t)len < offsetof(struct datagram, fill))
			continue;
		if (d.echo) {
			d.echoed_ns = now_ns();
			if (sendto(fd, &d, len, 0, (struct sockaddr *)&from,
				   sizeof(from)) < 0)
				die("sendto: %s", strerror(errno));
			continue;
		}
		fprintf(f, "%u,%u,%llu,%llu,%d\n", d.id, d.seq,
			(unsigned long long)d.sent_ns,
			(unsigned long long)arrival_of(&msg, ahead),
			ecn_of(&msg) == IPTOS_ECN_CE);
		n++;
	}
	if (fclose(f))
		die("writing: %s", strerror(errno));
	return 0;
}

int train_main(int argc, char **argv)
{
	struct datagram d = { 0 };
	unsigned int i;
	int fd;

	options(argv[0], argc, argv, "to");
	if (!opt.gap_ns)
		bad("train: --gap-ns is needed");
	fd = udp();
	d.id = opt.id;
	if (!opt.at_ns)
		opt.at_ns = now_ns();
	for (i = 0; i < opt.count; i++) {
		sleep_until(opt.at_ns + i * opt.gap_ns);
		d.seq = i;
		d.sent_ns = now_ns();
		if (sendto(fd, &d, sizeof(d), 0, (struct sockaddr *)&opt.addr,
			   sizeof(opt.addr)) != sizeof(d))
			die("sendto: %s", strerror(errno));
	}
	return 0;
}

/* The shortest of --count round trips of a small packet. @ahead is how far the
 * receiver's clock is ahead if both directions took equally long; its error is
 * at most half the round trip.
 */
static uint64_t shortest_rtt(int argc, char **argv, int64_t *ahead)
{
	const size_t len = offsetof(struct datagram, fill);
	const struct timeval patience = { .tv_sec = 1 };
	struct datagram d = { .echo = 1 };
	uint64_t rtt, min = UINT64_MAX;
	unsigned int i;
	ssize_t len_in;
	int fd;

	options(argv[0], argc, argv, "to");
	fd = udp();
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
		       sizeof(patience)))
		die("SO_RCVTIMEO: %s", strerror(errno));
	for (i = 0; i < opt.count; i++) {
		d.seq = i;
		d.sent_ns = now_ns();
		if (sendto(fd, &d, len, 0, (struct sockaddr *)&opt.addr,
			   sizeof(opt.addr)) < 0)
			die("sendto: %s", strerror(errno));
		/* skip replies to earlier pings */
		do {
			len_in = recv(fd, &d, sizeof(d), 0);
		} while (len_in > 0 && d.seq != i);
		if (len_in < 0 && errno == EAGAIN)
			continue;	/* lost */
		if (len_in < 0)
			die("no reply to ping %u: %s", i, strerror(errno));
		rtt = now_ns() - d.sent_ns;
		if (rtt >= min)
			continue;
		min = rtt;
		*ahead = d.echoed_ns - (d.sent_ns + rtt / 2);
	}
	if (min == UINT64_MAX)
		die("no reply to any of %u pings", opt.count);
	return min;
}

int ping_main(int argc, char **argv)
{
	int64_t ahead;

	printf("%llu\n",
	       (unsigned long long)shortest_rtt(argc, argv, &ahead));
	return 0;
}

int clock_main(int argc, char **argv)
{
	uint64_t rtt;
	int64_t ahead;

	rtt = shortest_rtt(argc, argv, &ahead);
	printf("%lld %llu\n", (long long)ahead, (unsigned long long)rtt);
	return 0;
}
