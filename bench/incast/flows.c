// SPDX-License-Identifier: GPL-2.0
/*
 * incast flow, sink: long flows, measured by their throughput. A flow writes
 * messages back to back, with a deadline for each or with none. The deadlines
 * and lengths that it claims need not be true.
 *
 * A deadline that has passed does not make a flow urgent. A flow that always
 * wants to be urgent therefore claims a near deadline for each small piece that
 * it writes.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libd2tcp.h>

#include "args.h"
#include "parts.h"
#include "util.h"

#define MAX_FLOWS	1024

static struct {
	struct end {			/* flow: one, sink: one or more */
		struct sockaddr_in addr;
		const char *cc;
	} *end;
	unsigned int ends;
	const char *cc;
	struct sockaddr_in from;
	uint64_t bytes, due_us, claim, wait_us, sndbuf, flows, seconds, at_ns,
		 settle_ms, accept_s, life_s;
	bool tell;
} opt = { .flows = 1, .settle_ms = 1000 };

/* ADDRESS:PORT, in a buffer that the next call overwrites */
static const char *name_of(const struct sockaddr_in *sa)
{
	static char name[32];

	snprintf(name, sizeof(name), "%s:%d", inet_ntoa(sa->sin_addr),
		 ntohs(sa->sin_port));
	return name;
}

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
		if (!*end->cc)
			bad("%s: an algorithm is missing after the comma",
			    option);
	}
	end->addr = parse_address(option, text);
}

static void parse_from(const char *option, char *text)
{
	opt.from.sin_family = AF_INET;
	if (inet_pton(AF_INET, text, &opt.from.sin_addr) != 1)
		bad("%s: '%s' is not an IPv4 address", option, text);
}

/* @address is the name of the address option: "to" or "listen". */
static void options(const char *part, int argc, char **argv,
		    const char *address)
{
	const struct arg args[] = {
		{ address, ARG_CALL, .call = add_end },
		{ "cc", ARG_TEXT, .to = &opt.cc },
		{ "bytes", ARG_U64, .to = &opt.bytes, .min = 1, .max = 1 << 30 },
		{ "due-us", ARG_U64, .to = &opt.due_us, .min = 1, .max = 1ull << 40 },
		{ "claim-bytes", ARG_U64, .to = &opt.claim, .min = 1,
		  .max = INT32_MAX },
		{ "wait-us", ARG_U64, .to = &opt.wait_us, .min = 0, .max = 1ull << 40 },
		{ "sndbuf", ARG_U64, .to = &opt.sndbuf, .min = 1, .max = 1 << 30 },
		{ "flows", ARG_U64, .to = &opt.flows, .min = 1, .max = MAX_FLOWS },
		{ "at-ns", ARG_U64, .to = &opt.at_ns, .min = 1, .max = INT64_MAX },
		{ "settle-ms", ARG_U64, .to = &opt.settle_ms, .min = 0,
		  .max = 86400000 },
		{ "accept-s", ARG_U64, .to = &opt.accept_s, .min = 1, .max = 86400 },
		{ "from", ARG_CALL, .call = parse_from },
		{ "life-s", ARG_U64, .to = &opt.life_s, .min = 1, .max = 86400 },
		{ "tell", ARG_FLAG, .to = &opt.tell },
		{ "seconds", ARG_U64, .to = &opt.seconds, .min = 1, .max = 86400 },
	};
	unsigned int i;

	parse_args(part, argc, argv, args, sizeof(args) / sizeof(args[0]));
	if (!opt.ends)
		bad("--%s ADDRESS:PORT is needed", address);
	for (i = 0; i < opt.ends; i++)
		if (!opt.end[i].cc)
			opt.end[i].cc = opt.cc;
}

/*
 * Whether the sink counts now. Without --tell the flow gets no signal from the
 * sink and samples alpha from @from on, a second after connecting.
 */
static bool counted(int fd, uint64_t from)
{
	static bool signalled;
	char c;

	if (!opt.tell)
		return now_ns() >= from;
	if (!signalled)
		signalled = recv(fd, &c, 1, MSG_DONTWAIT) == 1;
	return signalled;
}

/* Prints the mean of alpha, sampled once per message; nothing without ECN. */
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

	options("flow", argc, argv, "to");
	to = opt.end;
	if (opt.ends > 1)
		bad("flow: more than one --to");
	if (!opt.bytes)
		bad("flow: --bytes is needed");
	if (opt.claim && !opt.due_us)
		bad("flow: --claim-bytes needs --due-us");
	if (opt.due_us && !takes_deadlines(to->cc))
		bad("flow: --due-us needs --cc " D2TCP_NAME);
	buf = calloc(1, opt.bytes);
	if (!buf)
		die("out of memory");
	/* ends the flow even if the sink does not end */
	alarm(opt.life_s);
	if (opt.wait_us)
		sleep_until(now_ns() + opt.wait_us * 1000);
	fd = tcp_socket(to->cc);
	if (opt.sndbuf)
		set_int(fd, SOL_SOCKET, SO_SNDBUF, opt.sndbuf, "SO_SNDBUF");
	if (opt.from.sin_family &&
	    bind(fd, (struct sockaddr *)&opt.from, sizeof(opt.from)))
		die("--from: %s", strerror(errno));
	if (connect(fd, (struct sockaddr *)&to->addr, sizeof(to->addr)))
		die("connect to %s: %s", name_of(&to->addr), strerror(errno));
	from = now_ns() + NSEC;
	for (;;) {
		if (counted(fd, from) && !d2tcp_get_info(fd, &info)) {
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

/* Receives and discards the data, with one system call per megabyte. */
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
	if (bind(fd, (const struct sockaddr *)&end->addr, sizeof(end->addr)) ||
	    listen(fd, MAX_FLOWS))
		die("listen at %s: %s", name_of(&end->addr), strerror(errno));
	return fd;
}

static int accept_one(int listener, const struct end *end, uint64_t until,
		      struct sockaddr_in *peer)
{
	struct pollfd poller = { .fd = listener, .events = POLLIN };
	socklen_t len = sizeof(*peer);
	uint64_t now = now_ns();
	int fd;

	/* after @until a flow that has already connected is still accepted */
	if (until && poll(&poller, 1, now < until ?
			  (until - now) / 1000000 + 1 : 0) == 0)
		die("no flow has connected to %s within %llu s",
		    name_of(&end->addr), (unsigned long long)opt.accept_s);
	fd = accept(listener, (struct sockaddr *)peer, &len);
	if (fd < 0)
		die("accept at %s: %s", name_of(&end->addr), strerror(errno));
	return fd;
}

/* Fails if a flow ended before the count, because its bytes would be too few. */
static void still_there(int fd, const struct sockaddr_in *peer)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len))
		die("TCP_INFO: %s", strerror(errno));
	if (info.tcpi_state != TCP_ESTABLISHED)
		die("the flow from %s ended before it was counted",
		    name_of(peer));
}

int sink_main(int argc, char **argv)
{
	int listener[MAX_FLOWS], fd[MAX_FLOWS], err;
	uint64_t before[MAX_FLOWS], from, until;
	struct sockaddr_in peer[MAX_FLOWS];
	unsigned int i, flows;
	pthread_t thread;

	options("sink", argc, argv, "listen");
	if (!opt.seconds)
		bad("sink: --seconds is needed");
	if (opt.flows * opt.ends > MAX_FLOWS)
		bad("sink: at most %d flows", MAX_FLOWS);
	flows = opt.flows * opt.ends;
	raise_file_limit();
	for (i = 0; i < opt.ends; i++)
		listener[i] = listen_at(&opt.end[i]);
	puts("ready");
	fflush(stdout);
	until = opt.accept_s ? now_ns() + opt.accept_s * NSEC : 0;
	for (i = 0; i < flows; i++) {
		fd[i] = accept_one(listener[i / opt.flows],
				   &opt.end[i / opt.flows], until, &peer[i]);
		err = pthread_create(&thread, NULL, drain, &fd[i]);
		if (err)
			die("pthread_create: %s", strerror(err));
	}
	from = now_ns() + opt.settle_ms * 1000000;
	if (opt.at_ns && now_ns() > opt.at_ns)
		die("--at-ns passed before all flows were connected");
	if (opt.at_ns)
		from = opt.at_ns;
	sleep_until(from);
	for (i = 0; i < flows; i++) {
		before[i] = bytes_received(fd[i]);
		if (opt.tell)
			send(fd[i], "", 1, MSG_NOSIGNAL);
	}
	sleep_until(from + opt.seconds * NSEC);
	for (i = 0; i < flows; i++) {
		before[i] = bytes_received(fd[i]) - before[i];
		still_there(fd[i], &peer[i]);
	}
	for (i = 0; i < flows; i++)
		printf("%s %llu\n", inet_ntoa(peer[i].sin_addr),
		       (unsigned long long)before[i]);
	fflush(stdout);
	sleep_until(now_ns() + NSEC);
	return 0;
}
