// SPDX-License-Identifier: GPL-2.0
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/tcp.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <libd2tcp.h>

#include "util.h"

static void say(const char *fmt, va_list ap)
{
	fflush(stdout);
	fputs("incast: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
}

/* Reports a failure and exits with status 1. */
void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
	exit(1);
}

void warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
}

/* Reports a usage error and exits with status 2. */
void bad(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
	exit(2);
}

uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * NSEC + t.tv_nsec;
}

void sleep_until(uint64_t ns)
{
	const struct timespec t = {
		.tv_sec = ns / NSEC,
		.tv_nsec = ns % NSEC,
	};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL))
		;
}

struct sockaddr_in parse_address(const char *option, const char *text)
{
	struct sockaddr_in sa = { .sin_family = AF_INET };
	const char *colon = strchr(text, ':');
	char host[64];

	if (!colon || (size_t)(colon - text) >= sizeof(host))
		bad("%s takes ADDRESS:PORT, not '%s'", option, text);
	memcpy(host, text, colon - text);
	host[colon - text] = 0;
	if (inet_pton(AF_INET, host, &sa.sin_addr) != 1)
		bad("%s: '%s' is not an IPv4 address", option, host);
	sa.sin_port = htons(parse_u64(option, colon + 1, 1, 65535));
	return sa;
}

uint64_t parse_u64(const char *option, const char *text, uint64_t min,
		   uint64_t max)
{
	unsigned long long v;
	char *end;

	errno = 0;
	v = strtoull(text, &end, 10);
	if (errno || end == text || *end || *text == '-' || v < min ||
	    v > max)
		bad("%s takes a whole number from %llu to %llu, not '%s'",
		    option, (unsigned long long)min,
		    (unsigned long long)max, text);
	return v;
}

int64_t parse_i64(const char *option, const char *text)
{
	long long v;
	char *end;

	errno = 0;
	v = strtoll(text, &end, 10);
	if (errno || end == text || *end)
		bad("%s takes a whole number, not '%s'", option, text);
	return v;
}

double parse_real(const char *option, const char *text, double min,
		  double max)
{
	char *end;
	double v;

	v = strtod(text, &end);
	if (end == text || *end || !(v >= min && v <= max))
		bad("%s takes a number from %g to %g, not '%s'", option, min,
		    max, text);
	return v;
}

struct dist parse_dist(const char *option, const char *text)
{
	struct dist d = { .kind = DIST_FIXED };
	char *end;
	int n = 0;

	if (sscanf(text, " uniform ( %lf , %lf ) %n", &d.a, &d.b, &n) == 2 &&
	    n && !text[n] && d.a >= 0 && d.b >= d.a && isfinite(d.b)) {
		d.kind = DIST_UNIFORM;
		return d;
	}
	n = 0;
	if (sscanf(text, " exponential ( %lf ) %n", &d.a, &n) == 1 && n &&
	    !text[n] && d.a > 0 && isfinite(d.a)) {
		d.kind = DIST_EXPONENTIAL;
		return d;
	}
	d.a = strtod(text, &end);
	if (end == text || *end || !(d.a >= 0 && isfinite(d.a)))
		bad("%s takes a number, uniform(a, b) or exponential(mean), not '%s'",
		    option, text);
	return d;
}

static uint64_t mix(uint64_t z)		/* the finaliser of splitmix64 */
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

double draw_unit(uint64_t seed, enum draw what, uint64_t query,
		 uint64_t worker)
{
	const uint64_t odd = 0x9e3779b97f4a7c15ull;
	uint64_t z = mix(seed + odd);

	z = mix(z + (what + 1) * odd);
	z = mix(z + (query + 1) * odd);
	z = mix(z + (worker + 1) * odd);
	return (z >> 11) * 0x1p-53;
}

double draw(const struct dist *d, double unit)
{
	switch (d->kind) {
	case DIST_UNIFORM:
		return d->a + (d->b - d->a) * unit;
	case DIST_EXPONENTIAL:
		return -d->a * log1p(-unit);
	default:
		return d->a;
	}
}

void raise_file_limit(void)
{
	struct rlimit files;

	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
}

bool takes_deadlines(const char *cc)
{
	return cc && !strcmp(cc, D2TCP_NAME);
}

void set_cc(int fd, const char *cc)
{
	int err;

	if (takes_deadlines(cc)) {
		if (d2tcp_enable(fd))
			die("d2tcp: %s", d2tcp_strerror(errno));
		return;
	}
	err = setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, cc, strlen(cc));
	if (err && errno == ENOENT)
		die("--cc: the kernel has no congestion control '%s'", cc);
	if (err)
		die("--cc %s: %s", cc, strerror(errno));
}

void set_int(int fd, int level, int name, int value, const char *what)
{
	if (setsockopt(fd, level, name, &value, sizeof(value)))
		die("%s: %s", what, strerror(errno));
}

uint64_t bytes_received(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len))
		die("TCP_INFO: %s", strerror(errno));
	return info.tcpi_bytes_received;
}
