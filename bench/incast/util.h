/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Shared by the parts of incast: error exits, clock, sockets, and the numbers
 * and distributions of the command line.
 */
#ifndef INCAST_UTIL_H
#define INCAST_UTIL_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#define NSEC	1000000000ull

__attribute__((format(printf, 1, 2), noreturn)) void die(const char *fmt, ...);
__attribute__((format(printf, 1, 2))) void warn(const char *fmt, ...);
__attribute__((format(printf, 1, 2), noreturn)) void bad(const char *fmt, ...);

uint64_t now_ns(void);			/* CLOCK_MONOTONIC */
void sleep_until(uint64_t ns);

struct sockaddr_in parse_address(const char *option, const char *text);
uint64_t parse_u64(const char *option, const char *text, uint64_t min,
		   uint64_t max);
int64_t parse_i64(const char *option, const char *text);
double parse_real(const char *option, const char *text, double min,
		  double max);

void raise_file_limit(void);		/* to the hard limit */
uint64_t bytes_received(int fd);
void set_cc(int fd, const char *cc);
bool takes_deadlines(const char *cc);	/* NULL: the default, false */
void set_int(int fd, int level, int name, int value, const char *what);

/* "12.5", "uniform(10, 20)" or "exponential(30)" */
struct dist {
	enum { DIST_FIXED, DIST_UNIFORM, DIST_EXPONENTIAL } kind;
	double a, b;
};

struct dist parse_dist(const char *option, const char *text);

/*
 * A draw depends only on its arguments, never on when it is made: with the same
 * seed the requests are the same for every algorithm.
 */
enum draw { DRAW_SIZE = 1, DRAW_DEADLINE, DRAW_THINK, DRAW_ARRIVAL,
	    DRAW_JITTER, DRAW_RETRY };

double draw_unit(uint64_t seed, enum draw what, uint64_t query,
		 uint64_t worker);	/* [0, 1) */
double draw(const struct dist *d, double unit);

#endif /* INCAST_UTIL_H */
