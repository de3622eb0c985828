// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Budgets that travel with requests: their texts, deadlines and reserves, and
 * whether a response can still be in time.
 */
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

#include "public.h"

/* States of <netinet/tcp.h>, which cannot be included: its struct tcp_info is
 * older and conflicts with that of <linux/tcp.h>.
 */
#define ESTABLISHED	1
#define CLOSE_WAIT	8

#define NSEC_PER_USEC	1000
#define NSEC_PER_SEC	1000000000LL
#define GRPC_DIGITS	8		/* max */
#define GRPC_MOST	99999999

/* From the finest unit to the coarsest. */
static const struct {
	char name;
	d2tcp_nsec ns;
} units[] = {
	{ 'n', 1 },
	{ 'u', NSEC_PER_USEC },
	{ 'm', 1000000 },
	{ 'S', NSEC_PER_SEC },
	{ 'M', 60 * NSEC_PER_SEC },
	{ 'H', 3600 * NSEC_PER_SEC },
};

#define UNITS	(sizeof(units) / sizeof(units[0]))

static int fail(int err)
{
	errno = err;
	return -1;
}

static d2tcp_nsec saturated_sum(d2tcp_nsec a, d2tcp_nsec b)
{
	d2tcp_nsec sum;

	if (!__builtin_add_overflow(a, b, &sum))
		return sum;
	return b < 0 ? INT64_MIN : INT64_MAX;
}

static d2tcp_nsec now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * NSEC_PER_SEC + now.tv_nsec;
}

/* The time left until a deadline. CLOCK_MONOTONIC is never negative. */
static d2tcp_nsec left_until(d2tcp_nsec deadline)
{
	return saturated_sum(deadline, -now_ns());
}

/* The number of digits at the start of a text. */
static size_t digits_of(const char *text, size_t length)
{
	size_t n = 0;

	while (n < length && text[n] >= '0' && text[n] <= '9')
		n++;
	return n;
}

PUBLIC int d2tcp_parse_grpc_timeout(const char *text, size_t length,
				    d2tcp_nsec *budget)
{
	const size_t digits = digits_of(text, length);
	d2tcp_nsec value = 0;
	size_t i;

	if (!digits || digits > GRPC_DIGITS || length != digits + 1)
		return fail(EINVAL);
	for (i = 0; i < digits; i++)
		value = 10 * value + text[i] - '0';
	for (i = 0; i < UNITS; i++) {
		if (units[i].name != text[digits])
			continue;
		if (__builtin_mul_overflow(value, units[i].ns, budget))
			*budget = INT64_MAX;
		return 0;
	}
	return fail(EINVAL);
}

PUBLIC int d2tcp_print_grpc_timeout(d2tcp_nsec budget,
				    char text[D2TCP_BUDGET_SIZE])
{
	size_t i = 0;

	if (budget < 0)
		budget = 0;
	/* INT64_MAX nanoseconds are 2.6 million hours */
	while (budget / units[i].ns > GRPC_MOST)
		i++;
	snprintf(text, D2TCP_BUDGET_SIZE, "%lld%c",
		 (long long)(budget / units[i].ns), units[i].name);
	return 0;
}

PUBLIC int d2tcp_parse_usec(const char *text, size_t length, d2tcp_nsec *budget)
{
	d2tcp_nsec value = 0;
	size_t i;

	if (!length || digits_of(text, length) != length)
		return fail(EINVAL);
	for (i = 0; i < length; i++)
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, text[i] - '0', &value))
			return fail(ERANGE);
	if (__builtin_mul_overflow(value, NSEC_PER_USEC, &value))
		return fail(ERANGE);
	*budget = value;
	return 0;
}

PUBLIC int d2tcp_print_usec(d2tcp_nsec budget, char text[D2TCP_BUDGET_SIZE])
{
	snprintf(text, D2TCP_BUDGET_SIZE, "%lld",
		 (long long)(budget < 0 ? 0 : budget / NSEC_PER_USEC));
	return 0;
}

PUBLIC int d2tcp_start_budget(d2tcp_nsec budget, d2tcp_nsec *deadline)
{
	*deadline = saturated_sum(now_ns(), budget);
	return 0;
}

PUBLIC int d2tcp_child_budget(d2tcp_nsec deadline, d2tcp_nsec reserve,
			      d2tcp_nsec *budget)
{
	d2tcp_nsec left;

	if (reserve < 0)
		return fail(EINVAL);
	left = saturated_sum(left_until(deadline), -reserve);
	if (left <= 0)
		return fail(ETIMEDOUT);
	*budget = left;
	return 0;
}

/* The time until @bytes more are acknowledged: a round trip for the last window
 * of bytes, and one for each full window before it. The receiver's window is
 * left out: a receiver that expects the response opens it in time.
 */
static d2tcp_nsec transfer_ns(const struct tcp_info *ti, d2tcp_bytes bytes)
{
	const d2tcp_nsec srtt = (d2tcp_nsec)ti->tcpi_rtt * NSEC_PER_USEC;
	const uint64_t window = (uint64_t)ti->tcpi_snd_cwnd * ti->tcpi_snd_mss;
	uint64_t ahead = (uint64_t)ti->tcpi_unacked * ti->tcpi_snd_mss +
			 ti->tcpi_notsent_bytes;
	d2tcp_nsec ns;

	if (!srtt || !window)
		return 0;
	if (__builtin_add_overflow(ahead, bytes, &bytes))
		return INT64_MAX;
	/* full windows before the last one, which may be full too */
	if (__builtin_mul_overflow(bytes ? (bytes - 1) / window : 0, srtt, &ns))
		return INT64_MAX;
	return saturated_sum(ns, srtt);
}

PUBLIC int d2tcp_check_time(int fd, d2tcp_nsec deadline, d2tcp_nsec work,
			    d2tcp_bytes response)
{
	struct tcp_info ti = { 0 };
	socklen_t len = sizeof(ti);
	d2tcp_nsec left;

	if (work < 0)
		return fail(EINVAL);
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &ti, &len))
		return errno == EOPNOTSUPP ? fail(ENOPROTOOPT) : -1;
	if (ti.tcpi_state != ESTABLISHED && ti.tcpi_state != CLOSE_WAIT)
		return fail(ENOTCONN);
	left = saturated_sum(left_until(deadline), -work);
	if (left < transfer_ns(&ti, response))
		return fail(ETIMEDOUT);
	return 0;
}

/* The earliest deadline that is not before @start; 0: none. */
static d2tcp_nsec earliest_from(const d2tcp_nsec *deadlines, size_t n,
				d2tcp_nsec start)
{
	d2tcp_nsec earliest = 0;
	size_t i;

	for (i = 0; i < n; i++)
		if (deadlines[i] && deadlines[i] >= start &&
		    (!earliest || deadlines[i] < earliest))
			earliest = deadlines[i];
	return earliest;
}

PUBLIC int d2tcp_set_earliest(int fd, const d2tcp_nsec *deadlines, size_t n)
{
	d2tcp_nsec earliest = earliest_from(deadlines, n, now_ns());
	struct d2tcp_info info;

	/* deadlines that have passed count only if all have */
	if (!earliest)
		earliest = earliest_from(deadlines, n, INT64_MIN);
	if (earliest)
		return d2tcp_set_deadline(fd, earliest, 0);
	/* clear a deadline that was set for bytes that were never written */
	if (d2tcp_get_info(fd, &info))
		return -1;
	return info.outstanding && !info.bytes_left ? d2tcp_clear(fd) : 0;
}
