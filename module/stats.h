/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Counters per network namespace, shown in /proc/net/d2tcp.
 */
#ifndef D2TCP_STATS_H
#define D2TCP_STATS_H

#include <net/sock.h>

/* The names that /proc/net/d2tcp shows are in stats.c, in this order. */
enum d2tcp_counter {
	D2TCP_STAT_ARMED,	/* messages given a deadline */
	D2TCP_STAT_MET,		/* acknowledged by their deadline */
	D2TCP_STAT_MISSED,	/* acknowledged later */
	D2TCP_STAT_CLEARED,	/* cleared or replaced by the program */
	D2TCP_STAT_MERGED,	/* merged with another: the ring was full */
	D2TCP_STAT_ARMED_LATE,	/* already late when armed */
	D2TCP_STAT_ABANDONED,	/* outstanding when their connection ended */
	D2TCP_STAT_TIGHT,	/* closer than min_budget_us when armed */
	D2TCP_STAT_ECN,		/* d2tcp started on a connection with ECN */
	D2TCP_STAT_NO_ECN,	/* or without: in the Reno fallback */
	D2TCP_STAT_EXPECTED,	/* answers that were expected */
	D2TCP_STAT_EXPECT_MET,	/* complete by their deadline */
	D2TCP_STAT_EXPECT_MISSED,	/* complete later */
	D2TCP_STAT_GRANTS,	/* grants given */
	D2TCP_STAT_RELEASED,	/* sockets released without expected data */
	D2TCP_STAT_RENEWALS,	/* grants sent again */
	D2TCP_STAT_BYTES_HELD,	/* bytes not granted when their request left */
	D2TCP_STAT_ABSORBED,	/* echoes of marks removed from ACKs */
	D2TCP_STATS
};

void d2tcp_count(const struct sock *sk, enum d2tcp_counter what,
		 unsigned int n);
int d2tcp_stats_register(void);
void d2tcp_stats_unregister(void);

#endif /* D2TCP_STATS_H */
