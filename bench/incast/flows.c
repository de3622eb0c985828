// SPDX-License-Identifier: GPL-2.0
/*
 * incast flow, sink: long flows, whose throughput is what matters. A flow writes
 * messages back to back, with a deadline for each or without; what it claims of
 * them need not be true.
 *
 * A deadline that has passed makes nobody urgent, so whoever wants to be claims
 * one that is always near, by arming for each small piece that he writes.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <libd2tcp.h>

#include "parts.h"
#include "util.h"

#define MOST	1024

static struct {
	struct end {			/* flow: one, sink: one or more */
		struct sockaddr_in addr;
		const char *cc;
	} *end;
	unsigned int ends;
	const char *cc;
	uint64_t bytes, due_us, claim, wait_us, sndbuf, flows, seconds, at_ns,
		 settle_ms;
} opt = { .flows = 1, .settle_ms = 1000 };

/* ADDRESS:PORT[,CC] */
static void add_end(const char *option, char *text)
{
	char *comma = strchr(text, ',');
	struct end *end;

	opt.end = realloc(opt.end, (opt.ends + 1) * sizeof(*opt.end));
	if (!opt.end)
		die("out of memory");
	end = &opt.end[opt.ends++];
	end->cc = NULL;
	if (comma) {
		*comma = 0;
		end->cc = comma + 1;
	}
	end->addr = parse_address(option, text);
}

static void options(int argc, char **argv, const char *address)
{
	unsigned int i;
	enum { ADDRESS = 1, CC, BYTES, DUE, CLAIM, WAIT, SNDBUF, FLOWS, SECONDS,
	       AT, SETTLE };
	const struct option longs[] = {
		{ address, required_argument, NULL, ADDRESS },
		{ "cc", required_argument, NULL, CC },
		{ "bytes", required_argument, NULL, BYTES },
		{ "due-us", required_argument, NULL, DUE },
		{ "claim-bytes", required_argument, NULL, CLAIM },
		{ "wait-us", required_argument, NULL, WAIT },
		{ "sndbuf", required_argument, NULL, SNDBUF },
		{ "flows", required_argument, NULL, FLOWS },
		{ "at-ns", required_argument, NULL, AT },
		{ "settle-ms", required_argument, NULL, SETTLE },
		{ "seconds", required_argument, NULL, SECONDS },
		{ NULL, 0, NULL, 0 },
	};
	int o;

	while ((o = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (o) {
		case ADDRESS:
			add_end(address, optarg);
			break;
		case CC:
			opt.cc = optarg;
			break;
		case BYTES:
			opt.bytes = parse_u64("--bytes", optarg, 1, 1 << 30);
			break;
		case DUE:
			opt.due_us = parse_u64("--due-us", optarg, 1,
					       1ull << 40);
			break;
		case CLAIM:
			opt.claim = parse_u64("--claim-bytes", optarg, 1,
					      INT32_MAX);
			break;
		case WAIT:
			opt.wait_us = parse_u64("--wait-us", optarg, 0,
						1ull << 40);
			break;
		case SNDBUF:
			opt.sndbuf = parse_u64("--sndbuf", optarg, 1, 1 << 30);
			break;
		case FLOWS:
			opt.flows = parse_u64("--flows", optarg, 1, MOST);
			break;
		case AT:
			opt.at_ns = parse_u64("--at-ns", optarg, 1, INT64_MAX);
			break;
		case SETTLE:
			opt.settle_ms = parse_u64("--settle-ms", optarg, 0,
						  86400000);
			break;
		case SECONDS:
			opt.seconds = parse_u64("--seconds", optarg, 1, 86400);
			break;
		default:
			exit(2);
		}
	}
	if (optind < argc)
		bad("'%s' is no option", argv[optind]);
	if (!opt.ends)
		bad("--%s ADDRESS:PORT is needed", address);
	for (i = 0; i < opt.ends; i++)
		if (!opt.end[i].cc)
			opt.end[i].cc = opt.cc;
}

/* The mean of alpha over the looks at it, one for each message. */
static void print_alpha(const struct d2tcp_info *info, uint64_t sum,
			uint64_t looks)
{
	if (looks && info->flags & D2TCP_INFO_ECN)
		printf("%.6f\n", sum / (double)looks / (1 << 20));
}

static int tcp_socket(const char *cc)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket: %s", strerror(errno));
	if (cc)
		set_cc(fd, cc);
	return fd;
}

int flow_main(int argc, char **argv)
{
	uint64_t sent, sum = 0, looks = 0, from;
	struct d2tcp_info info = { 0 };
	struct end *to;
	char *buf;
	ssize_t n;
	int fd;

	options(argc, argv, "to");
	to = opt.end;
	if (opt.ends > 1)
		bad("flow: one --to");
	if (!opt.bytes)
		bad("flow: --bytes is needed");
	if (opt.claim && !opt.due_us)
		bad("flow: --claim-bytes needs --due-us");
	if (opt.due_us && (!to->cc || strcmp(to->cc, D2TCP_NAME)))
		bad("flow: --due-us needs --cc " D2TCP_NAME);
	buf = calloc(1, opt.bytes);
	if (!buf)
		die("out of memory");
	if (opt.wait_us)
		sleep_until(now_ns() + opt.wait_us * 1000);
	fd = tcp_socket(to->cc);
	if (opt.sndbuf)
		set_int(fd, SOL_SOCKET, SO_SNDBUF, opt.sndbuf, "SO_SNDBUF");
	if (connect(fd, (struct sockaddr *)&to->addr, sizeof(to->addr)))
		die("connect: %s", strerror(errno));
	from = now_ns() + NSEC;		/* alpha has settled */
	for (;;) {
		if (now_ns() >= from && !d2tcp_get_info(fd, &info)) {
			sum += info.alpha;
			looks++;
		}
		if (opt.due_us &&
		    d2tcp_set_timeout(fd, opt.due_us * 1000, opt.claim ?
				      opt.claim : opt.bytes))
			die("setting a deadline: %s", d2tcp_strerror(errno));
		for (sent = 0; sent < opt.bytes; sent += n) {
			n = send(fd, buf + sent, opt.bytes - sent,
				 MSG_NOSIGNAL);
			if (n < 0 && (errno == ECONNRESET || errno == EPIPE)) {
				/* the sink has ended */
				print_alpha(&info, sum, looks);
				return 0;
			}
			if (n < 0)
				die("send: %s", strerror(errno));
		}
	}
}

/* Takes what comes, a system call per megabyte. */
static void *drain(void *arg)
{
	const int *fd = arg;

	while (recv(*fd, NULL, 1 << 20, MSG_WAITALL | MSG_TRUNC) > 0)
		;
	return NULL;
}

static int listen_at(const struct end *end)
{
	int fd = tcp_socket(end->cc);

	set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR");
	if (bind(fd, (const struct sockaddr *)&end->addr, sizeof(end->addr)))
		die("bind: %s", strerror(errno));
	if (listen(fd, MOST))
		die("listen: %s", strerror(errno));
	return fd;
}

int sink_main(int argc, char **argv)
{
	int listener[MOST], fd[MOST], err;
	struct sockaddr_in peer[MOST];
	uint64_t before[MOST], from;
	unsigned int i, flows;
	pthread_t thread;
	socklen_t len;

	options(argc, argv, "listen");
	if (!opt.seconds)
		bad("sink: --seconds is needed");
	if (opt.flows * opt.ends > MOST)
		bad("sink: at most %d flows", MOST);
	flows = opt.flows * opt.ends;
	for (i = 0; i < opt.ends; i++)
		listener[i] = listen_at(&opt.end[i]);
	puts("ready");
	fflush(stdout);
	for (i = 0; i < flows; i++) {
		len = sizeof(peer[i]);
		fd[i] = accept(listener[i / opt.flows],
			       (struct sockaddr *)&peer[i], &len);
		if (fd[i] < 0)
			die("accept: %s", strerror(errno));
		err = pthread_create(&thread, NULL, drain, &fd[i]);
		if (err)
			die("pthread_create: %s", strerror(err));
	}
	from = now_ns() + opt.settle_ms * 1000000;
	if (opt.at_ns && now_ns() > opt.at_ns)
		die("--at-ns has passed before all flows were there");
	if (opt.at_ns)
		from = opt.at_ns;
	sleep_until(from);
	for (i = 0; i < flows; i++)
		before[i] = bytes_received(fd[i]);
	sleep_until(from + opt.seconds * NSEC);
	for (i = 0; i < flows; i++)
		before[i] = bytes_received(fd[i]) - before[i];
	for (i = 0; i < flows; i++)
		printf("%s %llu\n", inet_ntoa(peer[i].sin_addr),
		       (unsigned long long)before[i]);
	fflush(stdout);
	sleep_until(now_ns() + NSEC);
	return 0;
}
