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

/* Fields of every event: both ends of the flow, IPv4 as ::ffff:a.b.c.d so that readers
 * need one form only, and the address of the socket to distinguish flows.
 */
#define D2TCP_TRACE_FLOW						\
	__field(const void *, skaddr)					\
	__field(u16, sport)						\
	__field(u16, dport)						\
	__field(u16, family)						\
	__array(u8, saddr, 16)						\
	__array(u8, daddr, 16)

#define D2TCP_TRACE_ASSIGN_FLOW(sk)					\
	do {								\
		__entry->skaddr = sk;					\
		__entry->sport = ntohs(inet_sk(sk)->inet_sport);	\
		__entry->dport = ntohs(inet_sk(sk)->inet_dport);	\
		__entry->family = (sk)->sk_family;			\
		d2tcp_trace_addresses(sk, __entry->saddr,		\
				      __entry->daddr);			\
	} while (0)

#define D2TCP_TRACE_FMT	"saddr=%pI6c sport=%u daddr=%pI6c dport=%u"

#define D2TCP_TRACE_ARGS						\
	__entry->saddr, __entry->sport, __entry->daddr, __entry->dport

#ifndef D2TCP_TRACE_ADDRESSES
#define D2TCP_TRACE_ADDRESSES
static inline void d2tcp_trace_addresses(const struct sock *sk, u8 *saddr,
					 u8 *daddr)
{
	struct in6_addr from, to;

	ipv6_addr_set_v4mapped(inet_sk(sk)->inet_saddr, &from);
	ipv6_addr_set_v4mapped(inet_sk(sk)->inet_daddr, &to);
#if IS_ENABLED(CONFIG_IPV6)
	if (sk->sk_family == AF_INET6) {
		from = inet6_sk(sk)->saddr;
		to = sk->sk_v6_daddr;
	}
#endif
	memcpy(saddr, &from, sizeof(from));
	memcpy(daddr, &to, sizeof(to));
}
#endif

/* d2tcp_cut: a window was cut.
 *
 * alpha, p	2^-20
 * d		2^-8
 * before, after	the window in 2^-8 packets
 * bytes, left	the most urgent prefix, left in ns; 0, 0 without a deadline
 * srtt, mss	in 1/8 us and bytes: with bytes, left and before they give d
 * loss		1: halved after a loss; alpha, d and p were not used
 */
TRACE_EVENT(d2tcp_cut,

	TP_PROTO(const struct sock *sk, u32 alpha, u32 d, u32 p, u64 before,
		 u64 after, u32 bytes, s64 left, bool loss),

	TP_ARGS(sk, alpha, d, p, before, after, bytes, left, loss),

	TP_STRUCT__entry(
		D2TCP_TRACE_FLOW
		__field(s64, left)
		__field(u64, before)
		__field(u64, after)
		__field(u32, alpha)
		__field(u32, d)
		__field(u32, p)
		__field(u32, bytes)
		__field(u32, srtt)
		__field(u32, mss)
		__field(u8, loss)
	),

	TP_fast_assign(
		__entry->left = left;
		__entry->before = before;
		__entry->after = after;
		__entry->alpha = alpha;
		__entry->d = d;
		__entry->p = p;
		__entry->bytes = bytes;
		__entry->srtt = tcp_sk(sk)->srtt_us;
		__entry->mss = tcp_sk(sk)->mss_cache;
		__entry->loss = loss;
		D2TCP_TRACE_ASSIGN_FLOW(sk);
	),

	TP_printk(D2TCP_TRACE_FMT " alpha=%u d=%u p=%u before=%llu after=%llu bytes=%u left=%lld srtt=%u mss=%u loss=%u",
		  D2TCP_TRACE_ARGS, __entry->alpha, __entry->d, __entry->p,
		  __entry->before, __entry->after, __entry->bytes,
		  __entry->left, __entry->srtt, __entry->mss, __entry->loss)
);

/* d2tcp_arm: a message was given a deadline.
 *
 * left		ns until the deadline; negative: late by
 * bytes	its length; 0: unknown
 * seq		its first byte, a sequence number (before the handshake: from 0)
 * outstanding	messages that are armed, including this one
 * how		0: in a slot of its own, 1: replaced the message before it, of which
 *		nothing was written, 2: merged with the message before it
 * budget	1: armed by a standing budget, 0: by D2TCP_DEADLINE
 */
TRACE_EVENT(d2tcp_arm,

	TP_PROTO(const struct sock *sk, s64 left, u32 bytes, u32 seq,
		 u32 outstanding, u8 how, bool budget),

	TP_ARGS(sk, left, bytes, seq, outstanding, how, budget),

	TP_STRUCT__entry(
		D2TCP_TRACE_FLOW
		__field(s64, left)
		__field(u32, bytes)
		__field(u32, seq)
		__field(u32, outstanding)
		__field(u8, how)
		__field(u8, budget)
	),

	TP_fast_assign(
		__entry->left = left;
		__entry->bytes = bytes;
		__entry->seq = seq;
		__entry->outstanding = outstanding;
		__entry->how = how;
		__entry->budget = budget;
		D2TCP_TRACE_ASSIGN_FLOW(sk);
	),

	TP_printk(D2TCP_TRACE_FMT " left=%lld bytes=%u seq=%u outstanding=%u how=%u budget=%u",
		  D2TCP_TRACE_ARGS, __entry->left, __entry->bytes,
		  __entry->seq, __entry->outstanding, __entry->how,
		  __entry->budget)
);

/* d2tcp_settle: a message was acknowledged to its end.
 *
 * late		ns after the deadline; 0 or negative: met, with this much to spare
 * end		sequence number after its last byte
 * outstanding	messages that are still armed
 */
TRACE_EVENT(d2tcp_settle,

	TP_PROTO(const struct sock *sk, s64 late, u32 end, u32 outstanding),

	TP_ARGS(sk, late, end, outstanding),

	TP_STRUCT__entry(
		D2TCP_TRACE_FLOW
		__field(s64, late)
		__field(u32, end)
		__field(u32, outstanding)
	),

	TP_fast_assign(
		__entry->late = late;
		__entry->end = end;
		__entry->outstanding = outstanding;
		D2TCP_TRACE_ASSIGN_FLOW(sk);
	),

	TP_printk(D2TCP_TRACE_FMT " late=%lld end=%u outstanding=%u",
		  D2TCP_TRACE_ARGS, __entry->late, __entry->end,
		  __entry->outstanding)
);

/* d2tcp_hold: a packet, usually a request, leaves while bytes of the next answer are
 * not granted. Once per answer.
 *
 * left		ns until the answer is due; negative: late by
 * bytes	its length; 0: unknown
 * granted	granted up to this byte of the answer
 * flying	bytes in flight to all expecting sockets of the link
 */
TRACE_EVENT(d2tcp_hold,

	TP_PROTO(const struct sock *sk, s64 left, u32 bytes, s32 granted,
		 u64 flying),

	TP_ARGS(sk, left, bytes, granted, flying),

	TP_STRUCT__entry(
		D2TCP_TRACE_FLOW
		__field(s64, left)
		__field(u64, flying)
		__field(u32, bytes)
		__field(s32, granted)
	),

	TP_fast_assign(
		__entry->left = left;
		__entry->flying = flying;
		__entry->bytes = bytes;
		__entry->granted = granted;
		D2TCP_TRACE_ASSIGN_FLOW(sk);
	),

	TP_printk(D2TCP_TRACE_FMT " left=%lld bytes=%u granted=%d flying=%llu",
		  D2TCP_TRACE_ARGS, __entry->left, __entry->bytes,
		  __entry->granted, __entry->flying)
);

/* d2tcp_grant: bytes of an answer were granted.
 *
 * granted	number of bytes
 * edge		the answer is now granted up to this byte
 * flying	bytes in flight to all expecting sockets of the link, these included
 */
TRACE_EVENT(d2tcp_grant,

	TP_PROTO(const struct sock *sk, u32 granted, s32 edge, u64 flying),

	TP_ARGS(sk, granted, edge, flying),

	TP_STRUCT__entry(
		D2TCP_TRACE_FLOW
		__field(u64, flying)
		__field(u32, granted)
		__field(s32, edge)
	),

	TP_fast_assign(
		__entry->flying = flying;
		__entry->granted = granted;
		__entry->edge = edge;
		D2TCP_TRACE_ASSIGN_FLOW(sk);
	),

	TP_printk(D2TCP_TRACE_FMT " granted=%u edge=%d flying=%llu",
		  D2TCP_TRACE_ARGS, __entry->granted, __entry->edge,
		  __entry->flying)
);

/* d2tcp_expected: an answer is complete or, if its length was unknown, has ended.
 *
 * late		ns after the deadline; 0 or negative: met, with this much to spare
 * bytes	its length
 * outstanding	answers that are still expected on the socket
 */
TRACE_EVENT(d2tcp_expected,

	TP_PROTO(const struct sock *sk, s64 late, u32 bytes, u32 outstanding),

	TP_ARGS(sk, late, bytes, outstanding),

	TP_STRUCT__entry(
		D2TCP_TRACE_FLOW
		__field(s64, late)
		__field(u32, bytes)
		__field(u32, outstanding)
	),

	TP_fast_assign(
		__entry->late = late;
		__entry->bytes = bytes;
		__entry->outstanding = outstanding;
		D2TCP_TRACE_ASSIGN_FLOW(sk);
	),

	TP_printk(D2TCP_TRACE_FMT " late=%lld bytes=%u outstanding=%u",
		  D2TCP_TRACE_ARGS, __entry->late, __entry->bytes,
		  __entry->outstanding)
);

#endif /* D2TCP_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
