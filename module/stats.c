// SPDX-License-Identifier: GPL-2.0
/*
 * Counters per network namespace, and /proc/net/d2tcp.
 *
 * Each CPU has a row of counters (CPUs beyond 32 share rows), so that CPUs do
 * not contend for cache lines. The rows are part of the namespace's net_generic
 * memory rather than a per-CPU allocation, because that must be freed in .exit,
 * which runs before the .exit of built-in users of kernel sockets, and such a
 * socket may still count.
 */
#include <linux/cache.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/smp.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>
#include "stats.h"

#ifndef CONFIG_PROC_FS
#error D2TCP needs a kernel with CONFIG_PROC_FS, for its counters
#endif

#define D2TCP_STATS_ROWS	(NR_CPUS < 32 ? NR_CPUS : 32)

struct d2tcp_stats_row {
	atomic_long_t n[D2TCP_STATS];
} ____cacheline_aligned_in_smp;

static const char *const d2tcp_stat_names[D2TCP_STATS] = {
	[D2TCP_STAT_ARMED]	= "D2tcpArmed",
	[D2TCP_STAT_MET]	= "D2tcpMet",
	[D2TCP_STAT_MISSED]	= "D2tcpMissed",
	[D2TCP_STAT_CLEARED]	= "D2tcpCleared",
	[D2TCP_STAT_MERGED]	= "D2tcpMerged",
	[D2TCP_STAT_ARMED_LATE]	= "D2tcpArmedLate",
	[D2TCP_STAT_ABANDONED]	= "D2tcpAbandoned",
	[D2TCP_STAT_TIGHT]	= "D2tcpBelowMinBudget",
	[D2TCP_STAT_ECN]	= "D2tcpFlowsEcn",
	[D2TCP_STAT_NO_ECN]	= "D2tcpFlowsNoEcn",
	[D2TCP_STAT_EXPECTED]	= "D2tcpExpected",
	[D2TCP_STAT_EXPECT_MET]	= "D2tcpExpectedMet",
	[D2TCP_STAT_EXPECT_MISSED] = "D2tcpExpectedMissed",
	[D2TCP_STAT_GRANTS]	= "D2tcpGrants",
	[D2TCP_STAT_RELEASED]	= "D2tcpReleased",
	[D2TCP_STAT_RENEWALS]	= "D2tcpRenewals",
	[D2TCP_STAT_BYTES_HELD]	= "D2tcpBytesHeld",
	[D2TCP_STAT_ABSORBED]	= "D2tcpMarksAbsorbed",
};

static unsigned int d2tcp_stats_id __read_mostly;

/**
 * d2tcp_count() - count in the namespace of a socket
 * @sk: the socket
 * @what: what to count
 * @n: how many
 */
void d2tcp_count(const struct sock *sk, enum d2tcp_counter what,
		 unsigned int n)
{
	struct d2tcp_stats_row *row = net_generic(sock_net(sk), d2tcp_stats_id);

	/* Callers may be preempted and moved, or interrupted by a softirq that
	 * counts too: any row will do, but each addition must be atomic.
	 */
	row += raw_smp_processor_id() % D2TCP_STATS_ROWS;
	atomic_long_add(n, &row->n[what]);
}

static int d2tcp_stats_show(struct seq_file *seq, void *unused)
{
	struct d2tcp_stats_row *row = net_generic(seq_file_single_net(seq),
						  d2tcp_stats_id);
	unsigned long sum;
	int what, i;

	for (what = 0; what < D2TCP_STATS; what++) {
		sum = 0;
		for (i = 0; i < D2TCP_STATS_ROWS; i++)
			sum += atomic_long_read(&row[i].n[what]);
		seq_printf(seq, "%-32s%lu\n", d2tcp_stat_names[what], sum);
	}
	return 0;
}

static int __net_init d2tcp_stats_init(struct net *net)
{
	if (!proc_create_net_single("d2tcp", 0444, net->proc_net,
				    d2tcp_stats_show, NULL))
		return -ENOMEM;
	return 0;
}

static void __net_exit d2tcp_stats_exit(struct net *net)
{
	remove_proc_entry("d2tcp", net->proc_net);
}

static struct pernet_operations d2tcp_stats_ops = {
	.init	= d2tcp_stats_init,
	.exit	= d2tcp_stats_exit,
	.id	= &d2tcp_stats_id,
	.size	= D2TCP_STATS_ROWS * sizeof(struct d2tcp_stats_row),
};

int d2tcp_stats_register(void)
{
	return register_pernet_subsys(&d2tcp_stats_ops);
}

void d2tcp_stats_unregister(void)
{
	unregister_pernet_subsys(&d2tcp_stats_ops);
}
