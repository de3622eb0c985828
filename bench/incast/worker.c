// SPDX-License-Identifier: GPL-2.0
/*
 * incast worker: sends a response of the requested size to each request, and sets
 * its deadline before it writes the first byte. One process can be many workers,
 * each in a network namespace of its own, because a thousand processes take longer
 * to start than the benchmark takes to run.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <libd2tcp.h>

#include "args.h"
#include "parts.h"
#include "util.h"
#include "wire.h"

#define PENDING	4096		/* max requests queued per connection */

struct pending {
	struct request req;	/* in host order */
	uint64_t arrived_ns;
};

struct listener {
	struct sockaddr_in listen;
	const char *netns, *cc;
	bool deadlines;
	int fd;
};

struct conn {
	struct conn *next;
	const struct listener *listener;
	int fd;
	int tos;		/* as last set */
	bool wants_out;
	size_t got;		/* bytes of the request being read */
	union {
		struct request req;
		char bytes[sizeof(struct request)];
	} in;
	struct pending fifo[PENDING];
	unsigned int first, count;
	uint64_t written;	/* of the response to fifo[first] */
};

static struct {
	struct listener *listener;
	unsigned int listeners;
	bool shared_clock;
	int64_t clock_offset_ns;	/* this clock minus the aggregator's */
	uint64_t dscp_ns[WIRE_CLASSES - 1];
	unsigned int dscps;
} opt;

static struct conn *conns;
static char filler[256 * 1024];
static int epoll_fd, timer_fd;
static bool thinks;		/* a request had a think time */

static void want_out(struct conn *c, bool want)
{
	struct epoll_event ev = {
		.events = EPOLLIN | (want ? EPOLLOUT : 0),
		.data.ptr = c,
	};

	if (c->wants_out == want)
		return;
	c->wants_out = want;
	if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &ev))
		die("epoll_ctl: %s", strerror(errno));
}

/* For strict-priority queues, an operator's alternative to d2tcp: the less time
 * is left, the higher the class of the packets.
 */
static void classify(struct conn *c, uint64_t due_ns)
{
	uint64_t now = now_ns();
	unsigned int class = 0;
	int tos;

	while (class < opt.dscps && due_ns > now + opt.dscp_ns[class])
		class++;
	tos = WIRE_TOS(class);
	if (tos == c->tos)
		return;
	c->tos = tos;
	set_int(c->fd, IPPROTO_IP, IP_TOS, tos, "IP_TOS");
}

static void arm(struct conn *c, const struct pending *p)
{
	uint64_t due = (opt.shared_clock ?
			p->req.sent_ns + opt.clock_offset_ns : p->arrived_ns) +
		       p->req.deadline_ns;

	if (!p->req.deadline_ns)
		return;
	if (opt.dscps)
		classify(c, due);
	if (c->listener->deadlines && d2tcp_set_deadline(c->fd, due, p->req.size))
		die("setting a deadline: %s", d2tcp_strerror(errno));
}

static uint64_t ready_ns(const struct pending *p)
{
	return p->arrived_ns + p->req.think_us * 1000ull;
}

static void drop(struct conn *c)
{
	struct conn **p;

	for (p = &conns; *p != c; p = &(*p)->next)
		;
	*p = c->next;
	close(c->fd);
	free(c);
}

/* Writes responses until the socket would block or the think time of the next
 * one has not passed yet. False when the connection is gone.
 */
static bool respond(struct conn *c)
{
	struct pending *p;
	struct response head;
	uint64_t left;
	ssize_t n;

	while (c->count) {
		p = &c->fifo[c->first];
		if (p->req.think_us && ready_ns(p) > now_ns())
			break;
		if (!c->written)
			arm(c, p);
		left = sizeof(filler);
		if (!(p->req.flags & WIRE_ENDLESS) &&
		    p->req.size - c->written < left)
			left = p->req.size - c->written;
		memset(&head, 0, sizeof(head));
		head.id = htole64(p->req.id);
		head.size = htole32(p->req.size);
		head.magic = htole32(WIRE_MAGIC);
		if (c->written < sizeof(head)) {
			/* the rest of the filler is already zero */
			memcpy(filler, (char *)&head + c->written,
			       sizeof(head) - c->written);
		}
		n = send(c->fd, filler, left, MSG_NOSIGNAL);
		memset(filler, 0, sizeof(head));
		if (n < 0 && errno == EAGAIN) {
			want_out(c, true);
			return true;
		}
		if (n < 0)
			return false;
		c->written += n;
		if (p->req.flags & WIRE_ENDLESS || c->written < p->req.size)
			continue;
		c->written = 0;
		c->first = (c->first + 1) % PENDING;
		c->count--;
	}
	want_out(c, false);
	return true;
}

/* Queues the request just read. False if it is malformed: the caller drops the
 * connection.
 */
static bool take(struct conn *c)
{
	const struct request *in = &c->in.req;
	struct pending *p;

	if (le32toh(in->magic) != WIRE_MAGIC ||
	    le32toh(in->size) < WIRE_MIN_SIZE) {
		warn("malformed request: is the peer incast aggregate?");
		return false;
	}
	if (c->count == PENDING)
		die("more than %d requests queued on one connection", PENDING);
	p = &c->fifo[(c->first + c->count++) % PENDING];
	p->arrived_ns = now_ns();
	p->req.flags = le32toh(in->flags);
	p->req.id = le64toh(in->id);
	p->req.sent_ns = le64toh(in->sent_ns);
	p->req.deadline_ns = le64toh(in->deadline_ns);
	p->req.size = le32toh(in->size);
	p->req.think_us = le32toh(in->think_us);
	thinks |= p->req.think_us;
	return true;
}

static bool hear(struct conn *c)
{
	ssize_t n;

	for (;;) {
		n = read(c->fd, c->in.bytes + c->got,
			 sizeof(c->in.bytes) - c->got);
		if (n < 0 && errno == EAGAIN)
			return true;
		if (n <= 0)
			return false;
		c->got += n;
		if (c->got == sizeof(c->in.bytes)) {
			c->got = 0;
			if (!take(c))
				return false;
		}
	}
}

static void welcome(const struct listener *listener)
{
	struct epoll_event ev = { .events = EPOLLIN };
	struct conn *c;
	int fd;

	fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM))
		die("accept: %s", strerror(errno));
	if (fd < 0)	/* the client is gone */
		return;
	set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1, "TCP_NODELAY");
	c = calloc(1, sizeof(*c));
	if (!c)
		die("out of memory");
	c->fd = fd;
	c->listener = listener;
	c->next = conns;
	conns = c;
	ev.data.ptr = c;
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &ev))
		die("epoll_ctl: %s", strerror(errno));
}

/* Sets the timer to the end of the think time that ends first. */
static void set_timer(void)
{
	struct itimerspec it = { 0 };
	uint64_t first = UINT64_MAX, ready;
	struct conn *c;

	if (!thinks)
		return;
	for (c = conns; c; c = c->next) {
		if (!c->count || c->wants_out)
			continue;
		ready = ready_ns(&c->fifo[c->first]);
		if (ready < first)
			first = ready;
	}
	if (first != UINT64_MAX) {
		it.it_value.tv_sec = first / NSEC;
		it.it_value.tv_nsec = first % NSEC;
	}
	timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &it, NULL);
}

static void think_time_over(void)
{
	struct conn *c, *next;
	uint64_t n;

	if (read(timer_fd, &n, sizeof(n)) < 0)
		return;
	for (c = conns; c; c = next) {
		next = c->next;
		if (c->count && !c->wants_out && !respond(c))
			drop(c);
	}
}

static void enter(const char *netns)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "/run/netns/%s", netns);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET))
		die("--listen %s: %s", netns, strerror(errno));
	close(fd);
}

static void listen_on(struct listener *listener)
{
	const struct sockaddr *sa = (const struct sockaddr *)&listener->listen;
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = listener };
	int fd;

	/* a socket stays in the namespace it was created in */
	if (listener->netns)
		enter(listener->netns);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		die("socket: %s", strerror(errno));
	set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR");
	/* on the listener, since the handshake negotiates ECN */
	if (listener->cc)
		set_cc(fd, listener->cc);
	if (bind(fd, sa, sizeof(listener->listen)))
		die("bind: %s", strerror(errno));
	if (listen(fd, 4096))
		die("listen: %s", strerror(errno));
	listener->fd = fd;
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &ev))
		die("epoll_ctl: %s", strerror(errno));
}

/* [NETNS/]ADDRESS:PORT[,CC[+deadlines]] */
static void add_listener(const char *option, char *text)
{
	struct listener *listener;
	char *slash, *end;

	opt.listener = realloc(opt.listener,
			       (opt.listeners + 1) * sizeof(*opt.listener));
	if (!opt.listener)
		die("out of memory");
	listener = &opt.listener[opt.listeners++];
	memset(listener, 0, sizeof(*listener));
	slash = strchr(text, '/');
	if (slash) {
		*slash = 0;
		listener->netns = text;
		text = slash + 1;
	}
	end = strchr(text, ',');
	if (end) {
		*end = 0;
		listener->cc = end + 1;
		end = strchr(listener->cc, '+');
		if (end && strcmp(end, "+deadlines"))
			bad("%s: '%s' is not +deadlines", option, end);
		if (end) {
			*end = 0;
			listener->deadlines = true;
		}
	}
	listener->listen = parse_address(option, text);
}

static void parse_dscp(const char *option, char *list)
{
	const size_t max = sizeof(opt.dscp_ns) / sizeof(opt.dscp_ns[0]);
	char *part, *rest;

	for (part = strtok_r(list, ",", &rest); part;
	     part = strtok_r(NULL, ",", &rest)) {
		if (opt.dscps == max)
			bad("%s takes at most %zu times", option, max);
		opt.dscp_ns[opt.dscps] = 1000 *
			parse_u64(option, part, 1, 1ull << 40);
		if (opt.dscps &&
		    opt.dscp_ns[opt.dscps] <= opt.dscp_ns[opt.dscps - 1])
			bad("%s takes increasing times, not '%s'", option,
			    part);
		opt.dscps++;
	}
}

static void parse_offset(const char *option, char *text)
{
	opt.shared_clock = true;
	opt.clock_offset_ns = parse_i64(option, text);
}

static void options(int argc, char **argv)
{
	const char *cc = NULL;
	bool deadlines = false;
	const struct arg args[] = {
		{ "listen", ARG_CALL, .call = add_listener },
		{ "cc", ARG_TEXT, .to = &cc },
		{ "deadlines", ARG_FLAG, .to = &deadlines },
		{ "shared-clock", ARG_FLAG, .to = &opt.shared_clock },
		{ "clock-offset-ns", ARG_CALL, .call = parse_offset },
		{ "dscp-us", ARG_CALL, .call = parse_dscp },
	};
	struct listener *listener;
	unsigned int i;

	parse_args("worker", argc, argv, args, sizeof(args) / sizeof(args[0]));
	if (!opt.listeners)
		bad("worker: --listen ADDRESS:PORT is needed");
	for (i = 0; i < opt.listeners; i++) {
		listener = &opt.listener[i];
		if (!listener->cc) {
			listener->cc = cc;
			listener->deadlines = deadlines;
		}
		if (listener->deadlines && !takes_deadlines(listener->cc))
			bad("worker: --deadlines needs --cc " D2TCP_NAME);
	}
}

static bool is_listener(const void *p)
{
	return p >= (void *)opt.listener &&
	       p < (void *)(opt.listener + opt.listeners);
}

int worker_main(int argc, char **argv)
{
	struct epoll_event ev = { .events = EPOLLIN };
	unsigned int i;
	struct conn *c;
	int n;

	options(argc, argv);
	signal(SIGPIPE, SIG_IGN);
	raise_file_limit();
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (epoll_fd < 0 || timer_fd < 0)
		die("epoll, timerfd: %s", strerror(errno));
	for (i = 0; i < opt.listeners; i++)
		listen_on(&opt.listener[i]);
	ev.data.ptr = &timer_fd;
	epoll_ctl(epoll_fd, EPOLL_CTL_ADD, timer_fd, &ev);
	puts("ready");
	fflush(stdout);

	for (;;) {
		/* one at a time: handling one may free another's conn */
		n = epoll_wait(epoll_fd, &ev, 1, -1);
		if (n < 0 && errno != EINTR)
			die("epoll_wait: %s", strerror(errno));
		if (n < 1)
			continue;
		if (is_listener(ev.data.ptr)) {
			welcome(ev.data.ptr);
		} else if (ev.data.ptr == &timer_fd) {
			think_time_over();
		} else {
			c = ev.data.ptr;
			if (!(ev.events & EPOLLIN || c->wants_out) ||
			    (ev.events & EPOLLIN && !hear(c)) || !respond(c))
				drop(c);
		}
		set_timer();
	}
}
