/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One shim per difference between the kernels this builds for. The D2TCP_HAVE_
 * macros come from the probes in ../Kbuild, which compile; no kernel version is
 * compared anywhere.
 */
#ifndef D2TCP_COMPAT_H
#define D2TCP_COMPAT_H

#include <linux/hrtimer.h>
#include <linux/sysctl.h>
#include <net/net_namespace.h>
#include <net/tcp.h>

/* The third argument, flags for the ACK, came with AccECN: upstream commit
 * "tcp: Pass flags to __tcp_send_ack", which is in Debian's 6.12 (its changelog
 * names it) and not in its 6.1. Zero asks for nothing special.
 */
static inline void d2tcp_send_ack(struct sock *sk, u32 rcv_nxt)
{
#if D2TCP_HAVE_SEND_ACK_FLAGS
	__tcp_send_ack(sk, rcv_nxt, 0);
#else
	__tcp_send_ack(sk, rcv_nxt);
#endif
}

/* Tables are given with their length, and have no empty last entry, since
 * upstream commit "sysctl: Add size to register_net_sysctl function" (6.6).
 * Before, the empty entry ended them.
 */
static inline struct ctl_table_header *
d2tcp_register_sysctl(struct net *net, const char *path,
		      struct ctl_table *table, size_t entries)
{
#if D2TCP_HAVE_SYSCTL_SIZE
	return register_net_sysctl_sz(net, path, table, entries);
#else
	return register_net_sysctl(net, path, table);
#endif
}

/* Handlers may not write to the table since upstream commit "sysctl: treewide:
 * constify the ctl_table argument of proc_handlers" (6.11).
 */
#if D2TCP_HAVE_SYSCTL_CONST
#define D2TCP_CTL_TABLE		const struct ctl_table
#else
#define D2TCP_CTL_TABLE		struct ctl_table
#endif

/* Was ECN negotiated, classic or accurate? In SYN_SENT the flag means offered,
 * not negotiated. AccECN removed TCP_ECN_OK: upstream commit 041fb11d518f ("tcp:
 * helpers for ECN mode handling").
 *
 * With AccECN (net.ipv4.tcp_ecn of 3 and more; the default is below) the core
 * counts the peer's marks into delivered_ce before .in_ack_event, and echoes CE
 * by a counter of its own, regardless of TCP_ECN_DEMAND_CWR. The law needs no more.
 */
static inline bool d2tcp_ecn(const struct tcp_sock *tp)
{
#if D2TCP_HAVE_ECN_MODE
	return tcp_ecn_mode_any(tp);
#else
	return tp->ecn_flags & TCP_ECN_OK;
#endif
}

/* Classic ECN (RFC 3168), where ECE echoes a mark; in AccECN the bit is a part of a
 * counter.
 */
static inline bool d2tcp_ecn_classic(const struct tcp_sock *tp)
{
#if D2TCP_HAVE_ECN_MODE
	return tcp_ecn_mode_rfc3168(tp);
#else
	return tp->ecn_flags & TCP_ECN_OK;
#endif
}

/* hrtimer_init() and setting the function were two steps until upstream commit
 * "hrtimers: Introduce hrtimer_setup() to replace hrtimer_init()" (6.13).
 */
static inline void
d2tcp_hrtimer_setup(struct hrtimer *timer,
		    enum hrtimer_restart (*function)(struct hrtimer *),
		    clockid_t clock, enum hrtimer_mode mode)
{
#if D2TCP_HAVE_HRTIMER_SETUP
	hrtimer_setup(timer, function, clock, mode);
#else
	hrtimer_init(timer, clock, mode);
	timer->function = function;
#endif
}

/* The start of a burst is a callback of its own, and no event any more, since
 * upstream commit d1e59a469737 (7.1): D2TCP_HAVE_TX_START. Where it is an
 * event, cong.c handles it as one.
 */

#endif /* D2TCP_COMPAT_H */
