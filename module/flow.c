// SPDX-License-Identifier: GPL-2.0
/*
 * One flow: its messages are armed, settled and cleared here, in the sequence
 * space of its socket, and the law computes how urgent they make the flow.
 */
#include <linux/ktime.h>
#include <net/tcp.h>
#include "flow.h"
#include "params.h"
#include "stats.h"
#include "sysctl.h"
#include "trace.h"
#include "uapi/d2tcp.h"

/* One after the last byte that the program wrote: without the FIN, which
 * counts one in write_seq. Before .init the stream is counted from 0; data that
 * Fast Open sent with the SYN, which counts one, is part of it.
 */
static u32 d2tcp_write_end(const struct sock *sk)
{
	const int fin_sent = TCPF_FIN_WAIT1 | TCPF_FIN_WAIT2 | TCPF_CLOSING |
			     TCPF_LAST_ACK;
	const struct d2tcp *ca = inet_csk_ca(sk);
	const struct tcp_sock *tp = tcp_sk(sk);

	if (!d2tcp_live(ca))
		return tp->packets_out ? tp->write_seq - tp->snd_una - 1 : 0;
	return tp->write_seq -
	       !!((1 << READ_ONCE(sk->sk_state)) & fin_sent);
}

/* First byte not acknowledged, at most the end of the written data: an acknowledged
 * FIN moves snd_una beyond it.
 */
static u32 d2tcp_una(const struct sock *sk, u32 wseq)
{
	const struct d2tcp *ca = inet_csk_ca(sk);
	u32 una = tcp_sk(sk)->snd_una;

	if (!d2tcp_live(ca))
		return 0;
	return after(una, wseq) ? wseq : una;
}

/**
 * d2tcp_open() - the state of a socket, ready for an option to be set
 * @sk: a socket under its lock for which d2tcp_is_ours()
 *
 * Return: the state; leftovers of another algorithm are cleared.
 */
struct d2tcp *d2tcp_open(struct sock *sk)
{
	struct d2tcp *ca = inet_csk_ca(sk);

	if (ca->mark != D2TCP_LIVE && ca->mark != D2TCP_EARLY) {
		memset(ca, 0, sizeof(*ca));
		ca->mark = D2TCP_EARLY;
	}
	return ca;
}

/* --- urgency ------------------------------------------------------------- */

/* W in 2^-8 packets; snd_cwnd is below 2^31, so W is below 2^40. */
static u64 d2tcp_window(const struct sock *sk, u32 cwnd_cnt)
{
	const struct d2tcp *ca = inet_csk_ca(sk);
	u32 cwnd = tcp_snd_cwnd(tcp_sk(sk));
	u32 part;

	/* of the next packet that Reno has gained so far: below 2^24 / 1 */
	part = (min_t(u32, cwnd_cnt, U16_MAX) << LAW_W_SHIFT) / max(cwnd, 1U);
	part = min_t(u32, part, (1U << LAW_W_SHIFT) - 1);
	return ((u64)cwnd << LAW_W_SHIFT) + ca->frac + part;
}

static u64 d2tcp_finish_ns(const struct sock *sk, const struct d2tcp_view *view)
{
	const struct tcp_sock *tp = tcp_sk(sk);

	return law_finish_ns(view->prefix.bytes, tp->srtt_us, view->window,
			     tp->mss_cache);
}

/* Computes d from the prefix that needs the highest rate; its bytes are capped
 * at @most, its time left is floored at @least_ns.
 */
static u32 d2tcp_urgency(const struct sock *sk, u32 una, u32 wseq, u64 now_ns,
			 u32 most, s64 least_ns, struct d2tcp_view *view)
{
	const struct d2tcp *ca = inet_csk_ca(sk);

	if (!deadline_urgent(&ca->ring, una, wseq, now_ns, most, least_ns,
			     &view->prefix))
		return LAW_D_ONE;
	view->finish_ns = d2tcp_finish_ns(sk, view);
	/* positive: with least_ns = 0 no late message is chosen */
	return law_imminence(view->finish_ns,
			     max_t(s64, view->prefix.left_ns, least_ns),
			     READ_ONCE(d2tcp_d_min), READ_ONCE(d2tcp_d_max));
}

/* Without min_budget_us: the most urgent message that is not late decides. A
 * late one counts with late_d, if that is more.
 */
static void d2tcp_unbounded(const struct sock *sk, u32 una, u32 wseq,
			    u64 now_ns, struct d2tcp_view *view)
{
	const struct d2tcp *ca = inet_csk_ca(sk);
	u32 d_late = READ_ONCE(d2tcp_late_d);
	struct deadline_prefix late;

	view->d = d2tcp_urgency(sk, una, wseq, now_ns, U32_MAX, 0, view);
	if (!deadline_late(&ca->ring, una, wseq, now_ns, &late) ||
	    (view->prefix.due_ns && d_late <= view->d))
		return;
	view->prefix = late;
	view->late = true;
	view->d = d_late;
	view->finish_ns = d2tcp_finish_ns(sk, view);
}

/* With min_budget_us the time left is floored at the bound, and bytes not yet
 * written cannot raise d above 1; otherwise a flow could defeat the bound by
 * claiming a long message. The cost: of a message longer than the send buffer
 * only the part in the buffer can raise d. A late message has at most d = 1.
 */
static void d2tcp_bounded(const struct sock *sk, u32 una, u32 wseq, u64 now_ns,
			  s64 least_ns, struct d2tcp_view *view)
{
	struct d2tcp_view written = { .window = view->window };
	u32 d_late = READ_ONCE(d2tcp_late_d);
	u32 d_written;

	d_written = d2tcp_urgency(sk, una, wseq, now_ns, wseq - una, least_ns,
				  &written);
	/* options and tracepoints show the message as it was declared */
	view->d = d2tcp_urgency(sk, una, wseq, now_ns, U32_MAX, least_ns, view);
	view->d = min(view->d, max(d_written, LAW_D_ONE));
	view->late = view->prefix.left_ns <= 0;
	if (view->late)
		view->d = min3(view->d, d_late, LAW_D_ONE);
}

/**
 * d2tcp_view() - the law's inputs and result for a socket
 * @sk: a socket under its lock for which d2tcp_is_ours()
 * @cwnd_cnt: its snd_cwnd_cnt, which the core clears before some callbacks
 * @now_ns: the time; may be 0 while nothing is outstanding
 * @view: filled in
 */
void d2tcp_view(const struct sock *sk, u32 cwnd_cnt, u64 now_ns,
		struct d2tcp_view *view)
{
	const struct d2tcp *ca = inet_csk_ca(sk);
	u32 wseq, una;
	s64 least_ns;

	memset(view, 0, sizeof(*view));
	view->window = d2tcp_window(sk, cwnd_cnt);
	view->d = LAW_D_ONE;
	view->armed = !deadline_none(&ca->ring);
	if (view->armed) {
		wseq = d2tcp_write_end(sk);
		una = d2tcp_una(sk, wseq);
		least_ns = (s64)d2tcp_min_budget_us(sk) * NSEC_PER_USEC;
		if (least_ns)
			d2tcp_bounded(sk, una, wseq, now_ns, least_ns, view);
		else
			d2tcp_unbounded(sk, una, wseq, now_ns, view);
	}
	view->p = law_pow(ca->alpha, view->d);
}

/**
 * d2tcp_look() - the law's inputs and result for a socket now
 * @sk: a socket under its lock for which d2tcp_is_ours()
 * @now_ns: the time
 * @view: filled in
 */
void d2tcp_look(const struct sock *sk, u64 now_ns, struct d2tcp_view *view)
{
	d2tcp_view(sk, tcp_sk(sk)->snd_cwnd_cnt, now_ns, view);
}

/* --- messages ------------------------------------------------------------ */

/**
 * d2tcp_settle() - remove the messages that are acknowledged, and count them
 * @sk: a socket under its lock
 * @ca: its state, with a message outstanding
 * @now_ns: the time at which they count as acknowledged
 */
void d2tcp_settle(struct sock *sk, struct d2tcp *ca, u64 now_ns)
{
	u32 wseq = d2tcp_write_end(sk);
	u32 una = d2tcp_una(sk, wseq);
	struct deadline_settled was;
	s64 late;

	deadline_begun(&ca->ring, wseq);
	while (deadline_settle(&ca->ring, una, wseq, &was)) {
		/* both below 2^60, see deadline.c */
		late = (s64)(now_ns - was.due_ns);
		if (late <= 0) {
			ca->met++;
			d2tcp_count(sk, D2TCP_STAT_MET, 1);
		} else {
			ca->missed++;
			d2tcp_count(sk, D2TCP_STAT_MISSED, 1);
		}
		if (trace_d2tcp_settle_enabled())
			trace_d2tcp_settle(sk, late, was.end,
					   deadline_count(&ca->ring));
	}
}

/* Arms, counts and traces, for a program (@budget false) or a budget. */
static int d2tcp_arm_at(struct sock *sk, struct d2tcp *ca, u64 due_ns,
			u64 bytes, u32 una, u32 wseq, u64 now_ns, bool budget)
{
	u64 least_ns = (u64)d2tcp_min_budget_us(sk) * NSEC_PER_USEC;
	enum deadline_armed how;

	how = deadline_arm(&ca->ring, due_ns, bytes, una, wseq);
	if (how == DEADLINE_RANGE)
		return -ERANGE;
	d2tcp_count(sk, D2TCP_STAT_ARMED, 1);
	if (how == DEADLINE_MERGED)
		d2tcp_count(sk, D2TCP_STAT_MERGED, 1);
	if (how == DEADLINE_REPLACED)
		d2tcp_count(sk, D2TCP_STAT_CLEARED, 1);
	if (due_ns <= now_ns) {
		ca->armed_late++;
		d2tcp_count(sk, D2TCP_STAT_ARMED_LATE, 1);
	} else if (due_ns - now_ns < least_ns) {
		d2tcp_count(sk, D2TCP_STAT_TIGHT, 1);
	}
	/* bytes is below 2^31, or deadline_arm() would have refused it */
	if (trace_d2tcp_arm_enabled())
		trace_d2tcp_arm(sk, (s64)(due_ns - now_ns), bytes, wseq,
				deadline_count(&ca->ring), how, budget);
	return 0;
}

/**
 * d2tcp_arm() - give the message that is written next a deadline
 * @sk: a socket under its lock for which d2tcp_is_ours()
 * @due_ns: its deadline
 * @bytes: its length, 0 when unknown
 * @now_ns: the time
 *
 * Return: 0, or -ERANGE with nothing changed.
 */
int d2tcp_arm(struct sock *sk, u64 due_ns, u64 bytes, u64 now_ns)
{
	struct d2tcp *ca = d2tcp_open(sk);
	bool none = deadline_none(&ca->ring);
	u32 wseq = d2tcp_write_end(sk);
	int err;

	err = d2tcp_arm_at(sk, ca, due_ns, bytes, d2tcp_una(sk, wseq), wseq,
			   now_ns, false);
	/* the message that this one ended may be acknowledged already */
	if (!none && !err)
		d2tcp_settle(sk, ca, now_ns);
	return err;
}

/**
 * d2tcp_clear() - forget every message of a socket
 * @sk: a socket under its lock for which d2tcp_is_ours()
 */
void d2tcp_clear(struct sock *sk)
{
	unsigned int n = deadline_clear(&d2tcp_open(sk)->ring);

	if (n)
		d2tcp_count(sk, D2TCP_STAT_CLEARED, n);
}

/* --- budgets ------------------------------------------------------------- */

/**
 * d2tcp_budget_us() - the standing budget in force
 * @sk: a socket under its lock for which d2tcp_is_ours()
 *
 * Return: the budget set on the socket, else the namespace's default; 0 is off.
 */
u32 d2tcp_budget_us(const struct sock *sk)
{
	const struct d2tcp *ca = inet_csk_ca(sk);

	if (ca->budget_told)
		return ca->budget_us;
	return d2tcp_default_budget_us(sk);
}

/* The budget of a burst that starts now; 0 if there is none, or if a message is
 * outstanding, whose deadline is the program's.
 */
static u64 d2tcp_burst_ns(const struct sock *sk, const struct d2tcp *ca)
{
	if (!deadline_none(&ca->ring))
		return 0;
	return min_t(u64, (u64)d2tcp_budget_us(sk) * NSEC_PER_USEC,
		     D2TCP_FARTHEST_NS);
}

/* A burst that starts with byte @first at @start_ns is due @budget_ns later. It
 * cannot be refused: nothing is outstanding, and the length is open.
 */
static void d2tcp_arm_burst(struct sock *sk, struct d2tcp *ca, u32 first,
			    u64 start_ns, u64 budget_ns)
{
	d2tcp_arm_at(sk, ca, start_ns + budget_ns, 0, first, first, start_ns,
		     true);
}

/**
 * d2tcp_tx_start() - handle a data packet that leaves while none is in flight
 * @sk: a socket under its lock
 *
 * It starts a burst only if everything written before is acknowledged; the core
 * also reports retransmissions, and the middle of a burst in a small window.
 */
void d2tcp_tx_start(struct sock *sk)
{
	struct d2tcp *ca = inet_csk_ca(sk);
	u64 budget_ns;

	if (!d2tcp_live(ca) || !ca->idle)
		return;
	ca->idle = 0;
	budget_ns = d2tcp_burst_ns(sk, ca);
	if (budget_ns)
		d2tcp_arm_burst(sk, ca, tcp_sk(sk)->snd_una, ktime_get_ns(),
				budget_ns);
}

/* The time at which the SYN was sent: now minus srtt, which is the handshake's
 * sample. After a retransmission that sample, if there is one, covers only the
 * last attempt, so use lsndtime, the jiffy in which the data left.
 */
static u64 d2tcp_syn_ns(const struct tcp_sock *tp, u64 now_ns)
{
	if (tp->srtt_us && !tp->total_retrans)
		return now_ns - (u64)(tp->srtt_us >> 3) * NSEC_PER_USEC;
	/* 32 bits of ms wrap after 49 days, longer than any handshake */
	return now_ns - (u64)jiffies_to_msecs(tcp_jiffies32 - tp->lsndtime) *
			NSEC_PER_MSEC;
}

/* Data that Fast Open sent with the SYN is a burst of its own, which the core
 * does not announce as one. Only in the handshake, before the core has noted
 * that the data was taken, and before anything else was sent: otherwise the
 * socket switched to d2tcp in the middle of a connection.
 */
static void d2tcp_syn_burst(struct sock *sk, struct d2tcp *ca, u32 first,
			    u64 now_ns)
{
	const struct tcp_sock *tp = tcp_sk(sk);
	u64 budget_ns;

	if (!tp->syn_data || tp->syn_data_acked || tp->data_segs_out != 1)
		return;
	budget_ns = d2tcp_burst_ns(sk, ca);
	if (budget_ns)
		d2tcp_arm_burst(sk, ca, first, d2tcp_syn_ns(tp, now_ns),
				budget_ns);
}

/* --- the life of a flow -------------------------------------------------- */

/* A child inherits its listener's budget, but not deadlines set on the listener.
 * The core clears the state of a connection that returns to d2tcp; should it be
 * live all the same, it starts afresh.
 */
static void d2tcp_forget(struct d2tcp *ca)
{
	bool budget_told = ca->budget_told;
	u32 budget_us = ca->budget_us;

	memset(ca, 0, sizeof(*ca));
	ca->budget_us = budget_us;
	ca->budget_told = budget_told;
}

/**
 * d2tcp_flow_start() - start a flow whose connection has sequence numbers
 * @sk: a socket in .init
 * @ca: its state from d2tcp_open()
 */
void d2tcp_flow_start(struct sock *sk, struct d2tcp *ca)
{
	const struct tcp_sock *tp = tcp_sk(sk);
	u64 now_ns = ktime_get_ns();
	u32 first = tp->write_seq;

	/* a child has no struct socket before accept() */
	if ((sk->sk_state == TCP_SYN_RECV && !sk->sk_socket) || d2tcp_live(ca))
		d2tcp_forget(ca);
	/* With Fast Open data went out with the SYN. bytes_acked counts both,
	 * as far as they are acknowledged.
	 */
	if (tp->bytes_acked)
		first = tp->snd_una - (u32)tp->bytes_acked + 1;
	deadline_rebase(&ca->ring, first);
	ca->mark = D2TCP_LIVE;
	ca->idle = tp->write_seq == tp->snd_una;
	if (tp->bytes_acked)
		d2tcp_syn_burst(sk, ca, first, now_ns);
	/* and the ACK of that data arrived before .init */
	if (!deadline_none(&ca->ring))
		d2tcp_settle(sk, ca, now_ns);
}

/**
 * d2tcp_flow_end() - end a flow: its connection ends or changes its algorithm
 * @sk: a socket in .release
 */
void d2tcp_flow_end(struct sock *sk)
{
	struct d2tcp *ca = inet_csk_ca(sk);
	unsigned int n;

	/* not live: perhaps a child, with a copy of its listener's options */
	if (!d2tcp_live(ca))
		return;
	n = deadline_clear(&ca->ring);
	if (n)
		d2tcp_count(sk, D2TCP_STAT_ABANDONED, n);
}
