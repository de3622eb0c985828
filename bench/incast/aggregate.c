// SPDX-License-Identifier: GPL-2.0
/*
 * incast aggregate: asks all workers at once, waits for their answers, and
 * writes down when each was complete. Lateness is judged by this clock, from
 * the sending of the query.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <math.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "parts.h"
#include "util.h"
#include "wire.h"

struct response {
	uint32_t size;
	uint32_t think_us;
	uint64_t deadline_ns;	/* as drawn, without slack */
	uint64_t took_ns;	/* 0 until complete */
};

struct query {
	uint64_t at_ns;		/* open loop: when to send, from the start */
	uint64_t sent_ns;
	unsigned int waiting;	/* answers that are not in */
};

struct conn {
	int fd;
	unsigned int query;	/* the one whose answer comes next */
	uint64_t got;		/* bytes of it */
	struct answer head;
	uint64_t background;	/* bytes of an endless answer */
};

static struct {
	struct sockaddr_in *worker;
	unsigned int workers;
	unsigned int queries;
	uint64_t query_bytes;
	double spread;
	struct dist bytes, deadline_ms, think_ms;
	bool has_bytes, has_deadline;
	double slack, min_gap_ms, poisson, align_ms;
	unsigned int background;
	const char *cc, *out;
	uint64_t seed;
} opt = {
	.queries = 100,
	.slack = 1,
	.seed = 1,
};

static struct query *queries;
static struct response *responses;	/* [query][worker] */
static struct conn *conns;		/* workers, then background */
static unsigned int sent, done;		/* queries */
static uint64_t start_ns;
static int epoll_fd, timer_fd;

static struct response *response(unsigned int query, unsigned int worker)
{
	return &responses[(size_t)query * opt.workers + worker];
}

static void *zalloc(size_t n, size_t size)
{
	void *p = calloc(n, size);

	if (!p)
		die("out of memory");
	return p;
}

/* All that is random, before anything is sent. */
static void draw_all(void)
{
	double share = (double)opt.query_bytes / opt.workers;
	double at = 0, unit, size;
	unsigned int q, w;

	for (q = 0; q < opt.queries; q++) {
		queries[q].waiting = opt.workers;
		if (opt.poisson) {
			const struct dist gap = {
				DIST_EXPONENTIAL, NSEC / opt.poisson, 0,
			};

			queries[q].at_ns = at;
			at += draw(&gap, draw_unit(opt.seed, DRAW_ARRIVAL, q,
						   0));
		}
		for (w = 0; w < opt.workers; w++) {
			struct response *r = response(q, w);

			unit = draw_unit(opt.seed, DRAW_SIZE, q, w);
			size = opt.has_bytes ? draw(&opt.bytes, unit) :
			       share * (1 - opt.spread +
					2 * opt.spread * unit);
			size = fmin(fmax(round(size), WIRE_LEAST_SIZE),
				    INT32_MAX);
			r->size = size;
			unit = draw_unit(opt.seed, DRAW_DEADLINE, q, w);
			if (opt.has_deadline)
				r->deadline_ns = fmax(1, draw(&opt.deadline_ms,
							      unit) * 1e6);
			unit = draw_unit(opt.seed, DRAW_THINK, q, w);
			r->think_us = fmin(draw(&opt.think_ms, unit) * 1e3,
					   UINT32_MAX);
		}
	}
}

static void ask(struct conn *c, const struct request *r)
{
	ssize_t n = send(c->fd, r, sizeof(*r), MSG_NOSIGNAL);

	/* 40 bytes into an empty buffer, or almost */
	if (n != sizeof(*r))
		die("sending a query: %s",
		    n < 0 ? strerror(errno) : "no room in the socket");
}

static void send_query(void)
{
	struct query *q = &queries[sent];
	unsigned int w;

	q->sent_ns = now_ns();
	for (w = 0; w < opt.workers; w++) {
		const struct response *r = response(sent, w);
		const struct request req = {
			.magic = htole32(WIRE_MAGIC),
			.id = htole64(sent),
			.sent_ns = htole64(q->sent_ns),
			.deadline_ns = htole64((uint64_t)((double)r->deadline_ns
							  * opt.slack)),
			.size = htole32(r->size),
			.think_us = htole32(r->think_us),
		};

		ask(&conns[w], &req);
	}
	sent++;
}

static void set_timer(uint64_t ns)
{
	const struct itimerspec it = {
		.it_value = { .tv_sec = ns / NSEC, .tv_nsec = ns % NSEC },
	};

	timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &it, NULL);
}

/* Sends every query that is due, and sets the timer for the next. */
static void send_due(void)
{
	uint64_t due;

	while (sent < opt.queries) {
		if (opt.poisson) {
			due = start_ns + queries[sent].at_ns;
		} else if (!sent) {
			due = start_ns;
		} else {
			if (done < sent)
				return;
			due = queries[sent - 1].sent_ns +
			      (uint64_t)(opt.min_gap_ms * 1e6);
		}
		if (due > now_ns()) {
			set_timer(due);
			return;
		}
		send_query();
	}
}

static void check_head(const struct conn *c, unsigned int worker)
{
	if (le32toh(c->head.magic) != WIRE_MAGIC ||
	    le64toh(c->head.id) != c->query ||
	    le32toh(c->head.size) != response(c->query, worker)->size)
		die("worker %u answered query %u with something else", worker,
		    c->query);
}

static void read_answers(struct conn *c, unsigned int worker)
{
	static char buf[1 << 20];
	struct response *r;
	uint64_t left, i;
	ssize_t n;

	for (;;) {
		left = c->query == sent ? 1 :	/* nothing should come */
		       response(c->query, worker)->size - c->got;
		n = read(c->fd, buf, left < sizeof(buf) ? left : sizeof(buf));
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0)
			die("worker %u: %s", worker, strerror(errno));
		if (!n)
			die("worker %u closed the connection", worker);
		if (c->query == sent)
			die("worker %u sent more than was asked", worker);
		for (i = 0; i < (uint64_t)n && c->got + i < sizeof(c->head);
		     i++)
			((char *)&c->head)[c->got + i] = buf[i];
		c->got += n;
		r = response(c->query, worker);
		if (c->got < r->size)
			continue;
		check_head(c, worker);
		r->took_ns = now_ns() - queries[c->query].sent_ns;
		if (!--queries[c->query].waiting)
			done++;
		c->query++;
		c->got = 0;
	}
}

static void read_background(struct conn *c)
{
	static char buf[1 << 20];
	ssize_t n;

	while ((n = read(c->fd, buf, sizeof(buf))) > 0)
		c->background += n;
	if (n == 0 || errno != EAGAIN)
		die("a background flow ended: %s",
		    n ? strerror(errno) : "closed by the worker");
}

static int connect_to(const struct sockaddr_in *sa, unsigned int i)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u32 = i };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket: %s", strerror(errno));
	if (opt.cc)
		set_cc(fd, opt.cc);
	set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1, "TCP_NODELAY");
	if (connect(fd, (const struct sockaddr *)sa, sizeof(*sa)))
		die("connecting to worker %u: %s", i % opt.workers,
		    strerror(errno));
	/* blocking until here: the handshake is not part of the run */
	if (fcntl(fd, F_SETFL, O_NONBLOCK))
		die("fcntl: %s", strerror(errno));
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &ev))
		die("epoll_ctl: %s", strerror(errno));
	return fd;
}

static void start(void)
{
	uint64_t step = opt.align_ms * 1e6;
	unsigned int i;

	for (i = 0; i < opt.workers + opt.background; i++)
		conns[i].fd = connect_to(&opt.worker[i % opt.workers], i);
	start_ns = now_ns();
	if (step) {
		start_ns = (start_ns / step + 1) * step;
		sleep_until(start_ns);
	}
	for (i = opt.workers; i < opt.workers + opt.background; i++) {
		const struct request req = {
			.magic = htole32(WIRE_MAGIC),
			.flags = htole32(WIRE_ENDLESS),
			.size = htole32(WIRE_LEAST_SIZE),
		};

		ask(&conns[i], &req);
	}
}

static void run(void)
{
	struct epoll_event evs[64];
	uint64_t ticks;
	int n, i;

	send_due();
	while (done < opt.queries) {
		n = epoll_wait(epoll_fd, evs, 64, -1);
		if (n < 0 && errno != EINTR)
			die("epoll_wait: %s", strerror(errno));
		for (i = 0; i < n; i++) {
			unsigned int c = evs[i].data.u32;

			if (c == UINT32_MAX) {
				if (read(timer_fd, &ticks, sizeof(ticks)) < 0)
					continue;
			} else if (c < opt.workers) {
				read_answers(&conns[c], c);
			} else {
				read_background(&conns[c]);
			}
		}
		send_due();
	}
}

static void report(uint64_t end_ns)
{
	uint64_t background = 0;
	unsigned int q, w, i;
	FILE *f;

	for (i = opt.workers; i < opt.workers + opt.background; i++)
		background += conns[i].background;

	f = fopen(opt.out, "w");
	if (!f)
		die("%s: %s", opt.out, strerror(errno));
	fputs("query,worker,bytes,deadline_ns,sent_ns,took_ns\n", f);
	for (q = 0; q < opt.queries; q++) {
		for (w = 0; w < opt.workers; w++) {
			const struct response *r = response(q, w);

			fprintf(f, "%u,%u,%u,%llu,%llu,%llu\n", q, w, r->size,
				(unsigned long long)r->deadline_ns,
				(unsigned long long)(queries[q].sent_ns -
						     start_ns),
				(unsigned long long)r->took_ns);
		}
	}
	if (fclose(f))
		die("%s: %s", opt.out, strerror(errno));
	printf("{\"duration_ns\": %llu, \"background_bytes\": %llu}\n",
	       (unsigned long long)(end_ns - start_ns),
	       (unsigned long long)background);
}

static void options(int argc, char **argv)
{
	enum {
		WORKER = 1, QUERIES, QUERY_BYTES, SPREAD, BYTES, DEADLINE,
		SLACK, THINK, GAP, POISSON, BACKGROUND, CC, SEED, OUT, ALIGN,
	};
	static const struct option longs[] = {
		{ "worker", required_argument, NULL, WORKER },
		{ "queries", required_argument, NULL, QUERIES },
		{ "query-bytes", required_argument, NULL, QUERY_BYTES },
		{ "spread", required_argument, NULL, SPREAD },
		{ "response-bytes", required_argument, NULL, BYTES },
		{ "deadline-ms", required_argument, NULL, DEADLINE },
		{ "slack", required_argument, NULL, SLACK },
		{ "think-ms", required_argument, NULL, THINK },
		{ "min-gap-ms", required_argument, NULL, GAP },
		{ "poisson", required_argument, NULL, POISSON },
		{ "background", required_argument, NULL, BACKGROUND },
		{ "cc", required_argument, NULL, CC },
		{ "seed", required_argument, NULL, SEED },
		{ "out", required_argument, NULL, OUT },
		{ "start-align-ms", required_argument, NULL, ALIGN },
		{ NULL, 0, NULL, 0 },
	};
	int o, at;

	while (at = -1, (o = getopt_long(argc, argv, "", longs, &at)) != -1) {
		char name[32];

		if (at < 0)
			exit(2);
		snprintf(name, sizeof(name), "--%s", longs[at].name);
		switch (o) {
		case WORKER:
			opt.worker = realloc(opt.worker, (opt.workers + 1) *
					     sizeof(*opt.worker));
			if (!opt.worker)
				die("out of memory");
			opt.worker[opt.workers++] = parse_address(name, optarg);
			break;
		case QUERIES:
			opt.queries = parse_u64(name, optarg, 1, 1000000);
			break;
		case QUERY_BYTES:
			opt.query_bytes = parse_u64(name, optarg, 1, 1ull << 40);
			break;
		case SPREAD:
			opt.spread = parse_real(name, optarg, 0, 1);
			break;
		case BYTES:
			opt.bytes = parse_dist(name, optarg);
			opt.has_bytes = true;
			break;
		case DEADLINE:
			opt.deadline_ms = parse_dist(name, optarg);
			opt.has_deadline = true;
			break;
		case SLACK:
			opt.slack = parse_real(name, optarg, 0, 1e6);
			break;
		case THINK:
			opt.think_ms = parse_dist(name, optarg);
			break;
		case GAP:
			opt.min_gap_ms = parse_real(name, optarg, 0, 1e6);
			break;
		case POISSON:
			opt.poisson = parse_real(name, optarg, 1e-3, 1e9);
			break;
		case BACKGROUND:
			opt.background = parse_u64(name, optarg, 0, 65536);
			break;
		case CC:
			opt.cc = optarg;
			break;
		case SEED:
			opt.seed = parse_u64(name, optarg, 0, UINT64_MAX);
			break;
		case OUT:
			opt.out = optarg;
			break;
		case ALIGN:
			opt.align_ms = parse_real(name, optarg, 0, 1e6);
			break;
		}
	}
	if (optind < argc)
		bad("aggregate: '%s' is no option", argv[optind]);
	if (!opt.workers)
		bad("aggregate: at least one --worker ADDRESS:PORT is needed");
	if (!opt.out)
		bad("aggregate: --out FILE is needed");
	if (opt.has_bytes == !!opt.query_bytes)
		bad("aggregate: one of --query-bytes and --response-bytes is needed");
	if (opt.poisson && opt.min_gap_ms)
		bad("aggregate: --poisson and --min-gap-ms exclude each other");
}

int aggregate_main(int argc, char **argv)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u32 = UINT32_MAX };
	unsigned int i;

	options(argc, argv);
	queries = zalloc(opt.queries, sizeof(*queries));
	responses = zalloc((size_t)opt.queries * opt.workers,
			   sizeof(*responses));
	conns = zalloc(opt.workers + opt.background, sizeof(*conns));
	draw_all();
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (epoll_fd < 0 || timer_fd < 0 ||
	    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, timer_fd, &ev))
		die("epoll, timerfd: %s", strerror(errno));
	start();
	run();
	report(now_ns());
	for (i = 0; i < opt.workers + opt.background; i++)
		close(conns[i].fd);
	return 0;
}
