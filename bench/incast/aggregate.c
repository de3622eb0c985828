// SPDX-License-Identifier: GPL-2.0
/*
 * incast aggregate: sends each query to all workers at once, waits for their
 * responses, and records when each was complete. Whether a response missed its
 * deadline is judged by this clock, from the time the query was sent.
 *
 * A query that is not complete by its last deadline may be retried. Workers
 * cannot tell a retry from a new query: they respond to every attempt, in order,
 * as services do whose requests cannot be cancelled.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "args.h"
#include "d2tcp.h"
#include "parts.h"
#include "util.h"
#include "wire.h"

struct drawn {			/* what a query requests of one worker */
	uint32_t size;
	uint32_t think_us;	/* includes jitter */
	uint64_t deadline_ns;	/* as drawn, before slack */
};

struct query {
	uint64_t at_ns;		/* open loop: arrival, from the start */
	uint64_t timeout_ns;	/* last deadline, from the send time */
};

struct attempt {		/* to get the responses: the first, or a retry */
	unsigned int query, retry;
	uint64_t sent_ns;
	unsigned int waiting;	/* responses not yet complete */
};

struct event {			/* open loop */
	uint64_t at_ns;		/* from the start */
	enum { SEND, CHECK } what;
	unsigned int query, retry;	/* retry 0: the first attempt */
	unsigned int attempt;	/* CHECK: its index */
};

struct conn {
	int fd;
	unsigned int worker;
	pthread_t thread;
};

struct worker {
	struct sockaddr_in addr;
	const char *cc;
};

static struct {
	struct worker *worker;
	unsigned int workers;
	unsigned int queries, retries;
	uint64_t query_bytes;
	double spread;
	struct dist bytes, deadline_ms, think_ms, jitter_ms, retry_ms;
	bool has_bytes, has_deadline, dry_run, expect;
	double slack, min_gap_ms, poisson;
	double burst, burst_from_ms, burst_to_ms, until_ms;
	uint64_t start_at_ns, start_in_ms;
	unsigned int background;
	in_port_t background_port;	/* network order; 0: worker's port */
	const char *background_cc;
	const char *cc, *out;
	uint64_t seed;
} opt = {
	.queries = 100,
	.slack = 1,
	.seed = 1,
};

static struct query *queries;
static struct drawn *all_drawn;		/* [query][worker] */
static struct attempt *attempts;		/* in the order they were sent */
static uint64_t *all_took_ns;		/* [attempt][worker]; 0 until complete */
static unsigned int sent;		/* attempts */
static struct event *heap;
static unsigned int events;
static struct conn *conns;		/* to workers, then background */
static uint64_t start_ns;

/* Protects waiting of each attempt, and done. All other data is written before
 * the threads start, belongs to one of them, or is ordered by the sockets, see
 * send_query().
 */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t all_in = PTHREAD_COND_INITIALIZER;
static unsigned int done;	/* attempts whose responses are complete */

static struct drawn *drawn(unsigned int query, unsigned int worker)
{
	return &all_drawn[(size_t)query * opt.workers + worker];
}

static uint64_t *took_ns(unsigned int attempt, unsigned int worker)
{
	return &all_took_ns[(size_t)attempt * opt.workers + worker];
}

static uint64_t with_slack(uint64_t deadline_ns)
{
	return (double)deadline_ns * opt.slack;
}

static void *zalloc(size_t n, size_t size)
{
	void *p = calloc(n, size);

	if (!p)
		die("out of memory");
	return p;
}

/*
 * Arrivals are a Poisson process whose rate changes for the time of a burst.
 * Returns the time, in s, at which the integral of its rate reaches @sum.
 */
static double arrival_s(double sum)
{
	double from = opt.burst_from_ms / 1e3, to = opt.burst_to_ms / 1e3;

	if (!opt.burst || sum <= from * opt.poisson)
		return sum / opt.poisson;
	sum -= from * opt.poisson;
	if (sum <= (to - from) * opt.burst)
		return from + sum / opt.burst;
	return to + (sum - (to - from) * opt.burst) / opt.poisson;
}

static void draw_query(unsigned int q)
{
	double share = (double)opt.query_bytes / opt.workers, unit, size, ms;
	unsigned int w;

	for (w = 0; w < opt.workers; w++) {
		struct drawn *d = drawn(q, w);

		unit = draw_unit(opt.seed, DRAW_SIZE, q, w);
		size = opt.has_bytes ? draw(&opt.bytes, unit) :
		       share * (1 - opt.spread + 2 * opt.spread * unit);
		size = fmin(fmax(round(size), WIRE_MIN_SIZE), INT32_MAX);
		d->size = size;
		unit = draw_unit(opt.seed, DRAW_DEADLINE, q, w);
		if (opt.has_deadline)
			d->deadline_ns = fmax(1, draw(&opt.deadline_ms,
						      unit) * 1e6);
		ms = draw(&opt.think_ms,
			  draw_unit(opt.seed, DRAW_THINK, q, w)) +
		     draw(&opt.jitter_ms,
			  draw_unit(opt.seed, DRAW_JITTER, q, w));
		d->think_us = fmin(ms * 1e3, UINT32_MAX);
		if (with_slack(d->deadline_ns) > queries[q].timeout_ns)
			queries[q].timeout_ns = with_slack(d->deadline_ns);
	}
}

/* Makes all random draws, before anything is sent. */
static void draw_all(void)
{
	const struct dist one = { DIST_EXPONENTIAL, 1, 0 };
	double steps = 0;
	unsigned int q;

	for (q = 0; q < opt.queries; q++) {
		if (opt.poisson) {
			queries[q].at_ns = arrival_s(steps) * NSEC;
			if (opt.until_ms &&
			    queries[q].at_ns > opt.until_ms * 1e6) {
				opt.queries = q;
				break;
			}
			steps += draw(&one, draw_unit(opt.seed, DRAW_ARRIVAL,
						      q, 0));
		}
		draw_query(q);
	}
}

static void send_request(struct conn *c, const struct request *r)
{
	ssize_t n = send(c->fd, r, sizeof(*r), MSG_NOSIGNAL);

	/* 40 bytes always fit: the send buffer is empty, or nearly */
	if (n != sizeof(*r))
		die("sending a query: %s",
		    n < 0 ? strerror(errno) : "no room in the send buffer");
}

/* Declares the response to the next request to the receiver's side of d2tcp. */
static void expect(const struct conn *c, uint64_t due_ns, uint32_t bytes)
{
	const struct d2tcp_deadline d = {
		.deadline_ns = due_ns, .bytes = bytes,
	};

	if (setsockopt(c->fd, SOL_IP, D2TCP_EXPECT, &d, sizeof(d)))
		die("D2TCP_EXPECT: %s", strerror(errno));
}

static unsigned int send_query(unsigned int query, unsigned int retry)
{
	struct attempt *a = &attempts[sent];
	unsigned int w;

	/* Written before the query is sent; the receiving threads read it
	 * after a response to the query arrives. So the sockets order both.
	 */
	a->query = query;
	a->retry = retry;
	a->waiting = opt.workers;
	a->sent_ns = now_ns();
	for (w = 0; w < opt.workers; w++) {
		const struct drawn *d = drawn(query, w);
		const struct request req = {
			.magic = htole32(WIRE_MAGIC),
			.id = htole64(sent),
			.sent_ns = htole64(a->sent_ns),
			.deadline_ns = htole64(with_slack(d->deadline_ns)),
			.size = htole32(d->size),
			.think_us = htole32(d->think_us),
		};

		if (opt.expect && d->deadline_ns)
			expect(&conns[w], a->sent_ns +
			       with_slack(d->deadline_ns), d->size);
		send_request(&conns[w], &req);
	}
	return sent++;
}

static void wait_done(unsigned int n)
{
	pthread_mutex_lock(&lock);
	while (done < n)
		pthread_cond_wait(&all_in, &lock);
	pthread_mutex_unlock(&lock);
}

static void closed_loop(void)
{
	const uint64_t gap_ns = opt.min_gap_ms * 1e6;
	unsigned int i;

	for (i = 0; i < opt.queries; i++) {
		if (i) {
			wait_done(i);
			sleep_until(attempts[i - 1].sent_ns + gap_ns);
		}
		send_query(i, 0);
	}
}

/* Whether a comes before b. Ties are broken by query and attempt, so that the
 * order of insertion does not matter.
 */
static bool earlier(const struct event *a, const struct event *b)
{
	if (a->at_ns != b->at_ns)
		return a->at_ns < b->at_ns;
	if (a->query != b->query)
		return a->query < b->query;
	return a->retry < b->retry;
}

static void push(struct event e)
{
	unsigned int i = events++;

	for (; i && earlier(&e, &heap[(i - 1) / 2]); i = (i - 1) / 2)
		heap[i] = heap[(i - 1) / 2];
	heap[i] = e;
}

static struct event pop(void)
{
	struct event first = heap[0], last = heap[--events];
	unsigned int i = 0, child;

	while ((child = 2 * i + 1) < events) {
		if (child + 1 < events && earlier(&heap[child + 1],
						  &heap[child]))
			child++;
		if (!earlier(&heap[child], &last))
			break;
		heap[i] = heap[child];
		i = child;
	}
	heap[i] = last;
	return first;
}

static bool complete(unsigned int attempt)
{
	bool yes;

	pthread_mutex_lock(&lock);
	yes = !attempts[attempt].waiting;
	pthread_mutex_unlock(&lock);
	return yes;
}

static void open_loop(void)
{
	struct event e;
	unsigned int i;

	for (i = 0; i < opt.queries; i++)
		push((struct event){ queries[i].at_ns, SEND, i, 0, 0 });
	while (events) {
		e = pop();
		sleep_until(start_ns + e.at_ns);
		if (e.what == SEND) {
			e.attempt = send_query(e.query, e.retry);
			if (e.retry == opt.retries)
				continue;
			e.what = CHECK;
			e.at_ns = attempts[e.attempt].sent_ns - start_ns +
				  queries[e.query].timeout_ns;
			push(e);
		} else if (!complete(e.attempt)) {
			e.what = SEND;
			e.retry++;
			e.at_ns = now_ns() - start_ns + 1e6 *
				draw(&opt.retry_ms,
				     draw_unit(opt.seed, DRAW_RETRY, e.query,
					       e.retry));
			push(e);
		}
	}
}

static void run(void)
{
	if (opt.poisson)
		open_loop();
	else
		closed_loop();
	wait_done(sent);
}

static void receive(const struct conn *c, void *buf, size_t len, int flags)
{
	ssize_t n = recv(c->fd, buf, len, MSG_WAITALL | flags);

	if (n < 0)
		die("worker %u: %s", c->worker, strerror(errno));
	if ((size_t)n < len)
		die("worker %u closed the connection", c->worker);
}

/* One thread per worker receives its responses. It sleeps in recv() until a
 * response is complete: two system calls per response, not two per packet.
 */
static void *take_responses(void *arg)
{
	const struct conn *c = arg;
	struct response head;
	unsigned int i;
	uint32_t size;

	for (i = 0;; i++) {	/* until the process ends */
		receive(c, &head, sizeof(head), 0);
		size = drawn(attempts[i].query, c->worker)->size;
		if (le32toh(head.magic) != WIRE_MAGIC ||
		    le64toh(head.id) != i || le32toh(head.size) != size)
			die("worker %u: response to request %u is malformed",
			    c->worker, i);
		/* on TCP, MSG_TRUNC counts and discards the data */
		if (size > sizeof(head))
			receive(c, NULL, size - sizeof(head), MSG_TRUNC);
		*took_ns(i, c->worker) = now_ns() - attempts[i].sent_ns;
		pthread_mutex_lock(&lock);
		if (!--attempts[i].waiting) {
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

static uint64_t background_received(void)
{
	uint64_t sum = 0;
	unsigned int i;

	for (i = opt.workers; i < opt.workers + opt.background; i++)
		sum += bytes_received(conns[i].fd);
	return sum;
}

/* Before it connects, so that no window is open before the first request. Each request
 * has an expectation of its own, which takes precedence.
 */
static void expect_always(int fd)
{
	const struct d2tcp_deadline d = {
		.deadline_ns = 1000000000, .flags = D2TCP_F_RELATIVE |
						    D2TCP_F_STANDING,
	};

	if (setsockopt(fd, SOL_IP, D2TCP_EXPECT, &d, sizeof(d)))
		die("D2TCP_EXPECT: %s", strerror(errno));
}

static int connect_to(unsigned int worker, bool background)
{
	struct worker to = opt.worker[worker];
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket: %s", strerror(errno));
	if (background && opt.background_port) {
		to.addr.sin_port = opt.background_port;
		to.cc = opt.background_cc;
	}
	if (to.cc || opt.cc)
		set_cc(fd, to.cc ? to.cc : opt.cc);
	set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1, "TCP_NODELAY");
	if (opt.expect && !background)
		expect_always(fd);
	if (connect(fd, (const struct sockaddr *)&to.addr, sizeof(to.addr)))
		die("connecting to worker %u: %s", worker, strerror(errno));
	return fd;
}

static void start(void)
{
	unsigned int i, all = opt.workers + opt.background;
	pthread_attr_t attr;
	int err;

	raise_file_limit();
	for (i = 0; i < all; i++) {
		conns[i].worker = i % opt.workers;
		conns[i].fd = connect_to(conns[i].worker,
					 i >= opt.workers);
	}
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 128 * 1024);
	for (i = 0; i < all; i++) {
		err = pthread_create(&conns[i].thread, &attr, i < opt.workers ?
				     take_responses : take_background,
				     &conns[i]);
		if (err)
			die("pthread_create: %s", strerror(err));
	}
	start_ns = now_ns();
	if (opt.start_in_ms) {
		start_ns += opt.start_in_ms * 1000000;
	} else if (opt.start_at_ns) {
		if (start_ns > opt.start_at_ns)
			die("--start-at-ns passed before all workers were connected");
		start_ns = opt.start_at_ns;
	}
	sleep_until(start_ns);
	for (i = opt.workers; i < all; i++) {
		const struct request req = {
			.magic = htole32(WIRE_MAGIC),
			.flags = htole32(WIRE_ENDLESS),
			.size = htole32(WIRE_MIN_SIZE),
		};

		send_request(&conns[i], &req);
	}
}

static void write_records(void)
{
	unsigned int i, w;
	FILE *f;

	f = fopen(opt.out, "w");
	if (!f)
		die("%s: %s", opt.out, strerror(errno));
	fputs("query,attempt,worker,bytes,deadline_ns,sent_ns,took_ns\n", f);
	for (i = 0; i < sent; i++) {
		const struct attempt *a = &attempts[i];

		for (w = 0; w < opt.workers; w++) {
			const struct drawn *d = drawn(a->query, w);

			fprintf(f, "%u,%u,%u,%u,%llu,%llu,%llu\n", a->query,
				a->retry, w, d->size,
				(unsigned long long)d->deadline_ns,
				(unsigned long long)(a->sent_ns - start_ns),
				(unsigned long long)*took_ns(i, w));
		}
	}
	if (fclose(f))
		die("%s: %s", opt.out, strerror(errno));
}

/* For --dry-run: each query once, at its time of arrival (closed loop: 0). */
static void pretend(void)
{
	for (sent = 0; sent < opt.queries; sent++) {
		attempts[sent].query = sent;
		attempts[sent].sent_ns = queries[sent].at_ns;
	}
}

static void report(uint64_t end_ns)
{
	uint64_t background = background_received();

	write_records();
	printf("{\"duration_ns\": %llu, \"background_bytes\": %llu}\n",
	       (unsigned long long)(end_ns - start_ns),
	       (unsigned long long)background);
}

/* ADDRESS:PORT[,CC] */
static void add_worker(const char *name, char *text)
{
	char *cc = strchr(text, ',');
	struct worker *w;

	opt.worker = realloc(opt.worker, (opt.workers + 1) * sizeof(*w));
	if (!opt.worker)
		die("out of memory");
	w = &opt.worker[opt.workers++];
	w->cc = NULL;
	if (cc) {
		*cc = 0;
		w->cc = cc + 1;
	}
	w->addr = parse_address(name, text);
}

/* PORT[,CC] */
static void parse_background(const char *name, char *text)
{
	char *cc = strchr(text, ',');

	if (cc) {
		*cc = 0;
		opt.background_cc = cc + 1;
	}
	opt.background_port = htons(parse_u64(name, text, 1, 65535));
}

static void parse_burst(const char *name, char *text)
{
	int n = 0;

	if (sscanf(text, "%lf,%lf,%lf%n", &opt.burst, &opt.burst_from_ms,
		   &opt.burst_to_ms, &n) != 3 || text[n] ||
	    !(opt.burst > 0) || !isfinite(opt.burst) ||
	    !(opt.burst_from_ms >= 0) || !isfinite(opt.burst_to_ms) ||
	    !(opt.burst_to_ms > opt.burst_from_ms))
		bad("%s takes RATE,FROM,TO: queries per second and two times in ms, not '%s'",
		    name, text);
}

static const struct arg args[] = {
	{ "worker", ARG_CALL, .call = add_worker },
	{ "queries", ARG_UINT, .to = &opt.queries, .min = 1, .max = 1000000 },
	{ "query-bytes", ARG_U64, .to = &opt.query_bytes, .min = 1, .max = 1ull << 40 },
	{ "spread", ARG_REAL, .to = &opt.spread, .low = 0, .high = 1 },
	{ "response-bytes", ARG_DIST, .to = &opt.bytes, .given = &opt.has_bytes },
	{ "deadline-ms", ARG_DIST, .to = &opt.deadline_ms, .given = &opt.has_deadline },
	{ "slack", ARG_REAL, .to = &opt.slack, .low = 0, .high = 1e6 },
	{ "think-ms", ARG_DIST, .to = &opt.think_ms },
	{ "min-gap-ms", ARG_REAL, .to = &opt.min_gap_ms, .low = 0, .high = 1e6 },
	{ "poisson", ARG_REAL, .to = &opt.poisson, .low = 1e-3, .high = 1e9 },
	{ "background", ARG_UINT, .to = &opt.background, .min = 0, .max = 65536 },
	{ "cc", ARG_TEXT, .to = &opt.cc },
	{ "seed", ARG_U64, .to = &opt.seed, .min = 0, .max = UINT64_MAX },
	{ "out", ARG_TEXT, .to = &opt.out },
	{ "start-in-ms", ARG_U64, .to = &opt.start_in_ms, .min = 0, .max = 3600000 },
	{ "until-ms", ARG_REAL, .to = &opt.until_ms, .low = 0, .high = 1e9 },
	{ "background-via", ARG_CALL, .call = parse_background },
	{ "jitter-ms", ARG_DIST, .to = &opt.jitter_ms },
	{ "burst", ARG_CALL, .call = parse_burst },
	{ "retries", ARG_UINT, .to = &opt.retries, .min = 0, .max = 100 },
	{ "retry-after-ms", ARG_DIST, .to = &opt.retry_ms },
	{ "start-at-ns", ARG_U64, .to = &opt.start_at_ns, .min = 0, .max = INT64_MAX },
	{ "dry-run", ARG_FLAG, .to = &opt.dry_run },
	{ "expect", ARG_FLAG, .to = &opt.expect },
};

static void options(int argc, char **argv)
{
	parse_args("aggregate", argc, argv, args, sizeof(args) / sizeof(args[0]));
	if (!opt.workers)
		bad("aggregate: at least one --worker ADDRESS:PORT is needed");
	if (!opt.out)
		bad("aggregate: --out FILE is needed");
	if (opt.has_bytes == !!opt.query_bytes)
		bad("aggregate: one of --query-bytes and --response-bytes is needed");
	if (opt.poisson && opt.min_gap_ms)
		bad("aggregate: --poisson and --min-gap-ms are mutually exclusive");
	if (!opt.poisson && (opt.burst || opt.retries || opt.until_ms))
		bad("aggregate: --burst, --retries and --until-ms need --poisson");
	if (opt.retries && !opt.has_deadline)
		bad("aggregate: --retries needs --deadline-ms");
}

int aggregate_main(int argc, char **argv)
{
	size_t max;

	options(argc, argv);
	max = (size_t)opt.queries * (1 + opt.retries);
	queries = zalloc(opt.queries, sizeof(*queries));
	all_drawn = zalloc((size_t)opt.queries * opt.workers,
			   sizeof(*all_drawn));
	attempts = zalloc(max, sizeof(*attempts));
	all_took_ns = zalloc(max * opt.workers, sizeof(*all_took_ns));
	/* each query has at most one event pending */
	heap = zalloc(opt.queries, sizeof(*heap));
	conns = zalloc(opt.workers + opt.background, sizeof(*conns));
	draw_all();
	if (!opt.queries)
		bad("aggregate: no query arrives before --until-ms");
	if (opt.dry_run) {
		pretend();
		write_records();
		return 0;
	}
	start();
	run();
	report(now_ns());
	return 0;
}
