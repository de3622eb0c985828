// SPDX-License-Identifier: GPL-2.0
/*
 * incast aggregate: asks all workers at once, waits for their answers, and
 * writes down when each was complete. Lateness is judged by this clock, from
 * the sending of the query.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <linux/tcp.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

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
	unsigned int worker;
	pthread_t thread;
};

static struct {
	struct sockaddr_in *worker;
	unsigned int workers;
	unsigned int queries;
	uint64_t query_bytes;
	double spread;
	struct dist bytes, deadline_ms, think_ms;
	bool has_bytes, has_deadline, dry_run;
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
static uint64_t start_ns;

/* Protects waiting of each query, and done; all else is written before the
 * threads start, or belongs to one of them.
 */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t all_in = PTHREAD_COND_INITIALIZER;
static unsigned int done;	/* queries with all answers in */

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

static void send_query(unsigned int i)
{
	struct query *q = &queries[i];
	unsigned int w;

	/* An answer is read only after its query was sent, and sent_ns is
	 * written before: the socket orders the two threads.
	 */
	q->sent_ns = now_ns();
	for (w = 0; w < opt.workers; w++) {
		const struct response *r = response(i, w);
		const struct request req = {
			.magic = htole32(WIRE_MAGIC),
			.id = htole64(i),
			.sent_ns = htole64(q->sent_ns),
			.deadline_ns = htole64((uint64_t)((double)r->deadline_ns
							  * opt.slack)),
			.size = htole32(r->size),
			.think_us = htole32(r->think_us),
		};

		ask(&conns[w], &req);
	}
}

static void wait_done(unsigned int n)
{
	pthread_mutex_lock(&lock);
	while (done < n)
		pthread_cond_wait(&all_in, &lock);
	pthread_mutex_unlock(&lock);
}

static void run(void)
{
	const uint64_t gap_ns = opt.min_gap_ms * 1e6;
	unsigned int i;

	for (i = 0; i < opt.queries; i++) {
		if (opt.poisson) {
			sleep_until(start_ns + queries[i].at_ns);
		} else if (i) {
			wait_done(i);
			sleep_until(queries[i - 1].sent_ns + gap_ns);
		}
		send_query(i);
	}
	wait_done(opt.queries);
}

static void receive(const struct conn *c, void *buf, size_t len, int flags)
{
	ssize_t n = recv(c->fd, buf, len, MSG_WAITALL | flags);

	if (n < 0)
		die("worker %u: %s", c->worker, strerror(errno));
	if ((size_t)n < len)
		die("worker %u closed the connection", c->worker);
}

/* A thread per worker takes its answers. It sleeps inside recv() until one is
 * complete: a system call per answer, not two per packet.
 */
static void *take_answers(void *arg)
{
	const struct conn *c = arg;
	struct answer head;
	unsigned int i;

	for (i = 0; i < opt.queries; i++) {
		struct response *r = response(i, c->worker);

		receive(c, &head, sizeof(head), 0);
		if (le32toh(head.magic) != WIRE_MAGIC ||
		    le64toh(head.id) != i || le32toh(head.size) != r->size)
			die("worker %u answered query %u with something else",
			    c->worker, i);
		/* for TCP: counted and thrown away */
		if (r->size > sizeof(head))
			receive(c, NULL, r->size - sizeof(head), MSG_TRUNC);
		r->took_ns = now_ns() - queries[i].sent_ns;
		pthread_mutex_lock(&lock);
		if (!--queries[i].waiting) {
			done++;
			pthread_cond_signal(&all_in);
		}
		pthread_mutex_unlock(&lock);
	}
	return NULL;
}

static void *take_background(void *arg)
{
	const struct conn *c = arg;

	for (;;)	/* until the process ends */
		receive(c, NULL, 1u << 30, MSG_TRUNC);
	return NULL;
}

static uint64_t bytes_received(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len))
		die("TCP_INFO: %s", strerror(errno));
	return info.tcpi_bytes_received;
}

static uint64_t background_received(void)
{
	uint64_t sum = 0;
	unsigned int i;

	for (i = opt.workers; i < opt.workers + opt.background; i++)
		sum += bytes_received(conns[i].fd);
	return sum;
}

static int connect_to(const struct sockaddr_in *sa, unsigned int worker)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket: %s", strerror(errno));
	if (opt.cc)
		set_cc(fd, opt.cc);
	set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1, "TCP_NODELAY");
	if (connect(fd, (const struct sockaddr *)sa, sizeof(*sa)))
		die("connecting to worker %u: %s", worker, strerror(errno));
	return fd;
}

static void start(void)
{
	uint64_t step = opt.align_ms * 1e6;
	unsigned int i, all = opt.workers + opt.background;
	struct rlimit files;
	pthread_attr_t attr;
	int err;

	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	for (i = 0; i < all; i++) {
		conns[i].worker = i % opt.workers;
		conns[i].fd = connect_to(&opt.worker[conns[i].worker],
					 conns[i].worker);
	}
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 128 * 1024);
	for (i = 0; i < all; i++) {
		err = pthread_create(&conns[i].thread, &attr, i < opt.workers ?
				     take_answers : take_background,
				     &conns[i]);
		if (err)
			die("pthread_create: %s", strerror(err));
	}
	start_ns = now_ns();
	if (step) {
		start_ns = (start_ns / step + 1) * step;
		sleep_until(start_ns);
	}
	for (i = opt.workers; i < all; i++) {
		const struct request req = {
			.magic = htole32(WIRE_MAGIC),
			.flags = htole32(WIRE_ENDLESS),
			.size = htole32(WIRE_LEAST_SIZE),
		};

		ask(&conns[i], &req);
	}
}

static void write_records(void)
{
	unsigned int q, w;
	FILE *f;

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
}

static void report(uint64_t end_ns)
{
	uint64_t background = background_received();

	write_records();
	printf("{\"duration_ns\": %llu, \"background_bytes\": %llu}\n",
	       (unsigned long long)(end_ns - start_ns),
	       (unsigned long long)background);
}

static void options(int argc, char **argv)
{
	enum {
		WORKER = 1, QUERIES, QUERY_BYTES, SPREAD, BYTES, DEADLINE,
		SLACK, THINK, GAP, POISSON, BACKGROUND, CC, SEED, OUT, ALIGN,
		DRY_RUN,
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
		{ "dry-run", no_argument, NULL, DRY_RUN },
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
		case DRY_RUN:
			opt.dry_run = true;
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
	options(argc, argv);
	queries = zalloc(opt.queries, sizeof(*queries));
	responses = zalloc((size_t)opt.queries * opt.workers,
			   sizeof(*responses));
	conns = zalloc(opt.workers + opt.background, sizeof(*conns));
	draw_all();
	if (opt.dry_run) {
		write_records();
		return 0;
	}
	start();
	run();
	report(now_ns());
	return 0;
}
