/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints. docs/tracing.md shows how to read them.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM d2tcp

#if !defined(D2TCP_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define D2TCP_TRACE_H

#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/tracepoint.h>
#include <net/inet_sock.h>
#include <net/ipv6.h>

/* d2tcp_cut: a window was cut.
 *
 * alpha, p	2^-20
 * d		2^-8
 * before, after	the window in 2^-8 packets
 * bytes, left	the most urgent prefix, left in ns; 0, 0 without a deadline
 * srtt, mss	in 1/8 us and bytes: with bytes, left and before they give d
 * loss		1: halved after a loss; alpha, d and p had no part in it
 */
TRACE_EVENT(d2tcp_cut,

	TP_PROTO(const struct sock *sk, u32 alpha, u32 d, u32 p, u64 before,
		 u64 after, u32 bytes, s64 left, bool loss),

	TP_ARGS(sk, alpha, d, p, before, after, bytes, left, loss),

	TP_STRUCT__entry(
		__field(const void *, skaddr)
		__field(s64, left)
		__field(u64, before)
		__field(u64, after)
		__field(u32, alpha)
		__field(u32, d)
		__field(u32, p)
		__field(u32, bytes)
		__field(u32, srtt)
		__field(u32, mss)
		__field(u16, sport)
		__field(u16, dport)
		__field(u16, family)
		__field(u8, loss)
		__array(u8, saddr, 16)
		__array(u8, daddr, 16)
	),

	TP_fast_assign(
		const struct inet_sock *inet = inet_sk(sk);
		struct in6_addr addr;

		__entry->skaddr = sk;
		__entry->left = left;
		__entry->before = before;
		__entry->after = after;
		__entry->alpha = alpha;
		__entry->d = d;
		__entry->p = p;
		__entry->bytes = bytes;
		__entry->srtt = tcp_sk(sk)->srtt_us;
		__entry->mss = tcp_sk(sk)->mss_cache;
		__entry->sport = ntohs(inet->inet_sport);
		__entry->dport = ntohs(inet->inet_dport);
		__entry->family = sk->sk_family;
		__entry->loss = loss;

		/* IPv4 as ::ffff:a.b.c.d, so that a reader has one form */
		ipv6_addr_set_v4mapped(inet->inet_saddr, &addr);
#if IS_ENABLED(CONFIG_IPV6)
		if (sk->sk_family == AF_INET6)
			addr = inet6_sk(sk)->saddr;
#endif
		memcpy(__entry->saddr, &addr, sizeof(addr));
		ipv6_addr_set_v4mapped(inet->inet_daddr, &addr);
#if IS_ENABLED(CONFIG_IPV6)
		if (sk->sk_family == AF_INET6)
			addr = sk->sk_v6_daddr;
#endif
		memcpy(__entry->daddr, &addr, sizeof(addr));
	),

	TP_printk("saddr=%pI6c sport=%u daddr=%pI6c dport=%u alpha=%u d=%u p=%u before=%llu after=%llu bytes=%u left=%lld srtt=%u mss=%u loss=%u",
		  __entry->saddr, __entry->sport, __entry->daddr,
		  __entry->dport, __entry->alpha, __entry->d, __entry->p,
		  __entry->before, __entry->after, __entry->bytes,
		  __entry->left, __entry->srtt, __entry->mss, __entry->loss)
);

#endif /* D2TCP_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
