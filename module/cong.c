// SPDX-License-Identifier: GPL-2.0
/*
 * D2TCP: Deadline-Aware Datacenter TCP.
 *
 * Vamanan, Hasan, Vijaykumar, "Deadline-Aware Datacenter TCP (D2TCP)", SIGCOMM
 * 2012, over DCTCP: Alizadeh et al., SIGCOMM 2010, and RFC 8257.
 *
 * A window with ECN marks is cut by p/2, p = alpha^d: alpha says how congested
 * the path is, d how urgent the flow. Near its deadline (d > 1) a flow yields
 * less than DCTCP would, with time to spare (d < 1) more. Without a deadline
 * d = 1, and the flow is DCTCP.
 *
 * This file holds the callbacks; the arithmetic is in law.c, the messages in
 * deadline.c.
 *
 * Notable differences from the paper:
 *  - several messages may be outstanding; the most urgent prefix decides
 *  - after its deadline an unfinished message has d = late_d
 * and from the kernel's dctcp:
 *  - a loss that a tail loss probe mends halves the window too
 *  - alpha has 20 bits, and the window a fraction of 8 bits that survives cuts:
 *    W = snd_cwnd + frac/256 + snd_cwnd_cnt/snd_cwnd. In whole packets a window
 *    of 4 is not cut at all below p = 0.5, and the law is lost.
 *  - no PLB
 */
#include <linux/inet_diag.h>
#include <linux/module.h>
#include <net/tcp.h>
#include "compat.h"
#include "cong.h"
#include "ecn.h"
#include "params.h"
#include "stats.h"
#include "sysctl.h"
#include "uapi/d2tcp.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

static struct tcp_congestion_ops d2tcp_reno;

bool d2tcp_is_fallback(const struct sock *sk)
{
	return READ_ONCE(inet_csk(sk)->icsk_ca_ops) == &d2tcp_reno;
}

bool d2tcp_is_ours(const struct sock *sk)
{
	return READ_ONCE(inet_csk(sk)->icsk_ca_ops) == &d2tcp_ops ||
	       d2tcp_is_fallback(sk);
}

static bool d2tcp_live(const struct d2tcp *ca)
{
	return ca->mark == D2TCP_LIVE;
}

/* One after the last byte that the program wrote: without the FIN, which
 * counts one in write_seq. Before .init the stream is counted from 0; what Fast
 * Open has sent with the SYN, which counts one, is part of it.
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

/* First byte not acknowledged, and never past the last byte written: once the
 * FIN is acknowledged snd_una is.
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
 * Return: the state; what another algorithm may have left there is cleared.
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

/* d of the most urgent prefix, which counts @most bytes at most and has at least
 * @least_ns left.
 */
static u32 d2tcp_urgency(const struct sock *sk, u32 una, u32 wseq, u64 now_ns,
			 u32 most, s64 least_ns, struct d2tcp_view *view)
{
	const struct tcp_sock *tp = tcp_sk(sk);
	const struct d2tcp *ca = inet_csk_ca(sk);

	if (!deadline_urgent(&ca->ring, una, wseq, now_ns, most, least_ns,
			     &view->prefix))
		return LAW_D_ONE;
	view->finish_ns = law_finish_ns(view->prefix.bytes, tp->srtt_us,
					view->window, tp->mss_cache);
	/* above 0: without a least one late ones do not count */
	return law_imminence(view->finish_ns,
			     max_t(s64, view->prefix.left_ns, least_ns),
			     READ_ONCE(d2tcp_d_min), READ_ONCE(d2tcp_d_max));
}

/* Where the administrator bounds urgency, no deadline counts as nearer than the
 * bound, passed or not, and what was claimed and not written makes nobody more urgent than a
 * flow without a deadline; or a claim of any length would undo the bound. The
 * cost is that a message longer than the send buffer is that urgent at most.
 */
static u32 d2tcp_bounded(const struct sock *sk, u32 una, u32 wseq, u64 now_ns,
			 s64 least_ns, struct d2tcp_view *view)
{
	struct d2tcp_view written = { .window = view->window };
	u32 d, d_written;

	d_written = d2tcp_urgency(sk, una, wseq, now_ns, wseq - una, least_ns,
				  &written);
	/* what is told of the flow is what was claimed */
	d = d2tcp_urgency(sk, una, wseq, now_ns, U32_MAX, least_ns, view);
	return min(d, max(d_written, LAW_D_ONE));
}

static void d2tcp_view(const struct sock *sk, u32 cwnd_cnt, u64 now_ns,
		       struct d2tcp_view *view)
{
	const struct tcp_sock *tp = tcp_sk(sk);
	const struct d2tcp *ca = inet_csk_ca(sk);
	struct deadline_prefix late;
	u32 d_late, wseq, una;
	s64 least_ns;

	memset(view, 0, sizeof(*view));
	view->window = d2tcp_window(sk, cwnd_cnt);
	view->d = LAW_D_ONE;
	view->armed = !deadline_none(&ca->ring);
	if (!view->armed)
		goto out;

	wseq = d2tcp_write_end(sk);
	una = d2tcp_una(sk, wseq);
	d_late = READ_ONCE(d2tcp_late_d);
	least_ns = (s64)d2tcp_min_budget_us(sk) * NSEC_PER_USEC;
	if (least_ns) {
		view->d = d2tcp_bounded(sk, una, wseq, now_ns, least_ns, view);
		view->late = view->prefix.left_ns <= 0;
		if (view->late)
			view->d = min3(view->d, d_late, LAW_D_ONE);
		goto out;
	}
	view->d = d2tcp_urgency(sk, una, wseq, now_ns, U32_MAX, 0, view);
	/* one that is late counts with late_d if that is more */
	if (deadline_late(&ca->ring, una, wseq, now_ns, &late) &&
	    (!view->prefix.due_ns || d_late > view->d)) {
		view->prefix = late;
		view->late = true;
		view->d = d_late;
		view->finish_ns = law_finish_ns(late.bytes, tp->srtt_us,
						view->window, tp->mss_cache);
	}
out:
	view->p = law_pow(ca->alpha, view->d);
}

/**
 * d2tcp_look() - what the law says of a socket now
 * @sk: a socket under its lock for which d2tcp_is_ours()
 * @now_ns: the time
 * @view: filled in
 */
void d2tcp_look(const struct sock *sk, u64 now_ns, struct d2tcp_view *view)
{
	d2tcp_view(sk, tcp_sk(sk)->snd_cwnd_cnt, now_ns, view);
}

/* The time of the ACK that is being received: the core has read the clock for
 * it, ktime_get_ns(). Only for .in_ack_event: other callbacks may come at any
 * time after the last packet.
 */
static u64 d2tcp_ack_ns(const struct sock *sk)
{
	return tcp_sk(sk)->tcp_clock_cache;
}

/* Takes out what is acknowledged. */
static void d2tcp_settle(struct sock *sk, struct d2tcp *ca, u64 now_ns)
{
	u32 wseq = d2tcp_write_end(sk);
	u32 una = d2tcp_una(sk, wseq);
	struct deadline_settled was;
	s64 late;

	if (deadline_none(&ca->ring))
		return;
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

/* Arms, counts and traces; whoever asked for it. */
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
	/* bytes is below 2^31, or deadline_arm() had refused it */
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
	/* what this one ended may be acknowledged already */
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

/**
 * d2tcp_budget_us() - the standing budget in force
 * @sk: a socket under its lock for which d2tcp_is_ours()
 *
 * Return: what the socket was told, else the namespace's default; 0 is off.
 */
u32 d2tcp_budget_us(const struct sock *sk)
{
	const struct d2tcp *ca = inet_csk_ca(sk);

	if (ca->budget_told)
		return ca->budget_us;
	return d2tcp_default_budget_us(sk);
}

/* The budget of a burst that starts now; 0: it has none, or a deadline of its
 * own.
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

static void d2tcp_next_window(const struct tcp_sock *tp, struct d2tcp *ca)
{
	ca->next_seq = tp->snd_nxt;
	ca->old_delivered = tp->delivered;
	ca->old_delivered_ce = tp->delivered_ce;
}

/* When the SYN left. It gave the first sample of the round trip, unless it was
 * sent again: then the sample, if there is one, is of the last try, and the core
 * has only kept the jiffy in which the data left.
 */
static u64 d2tcp_syn_ns(const struct tcp_sock *tp, u64 now_ns)
{
	if (tp->srtt_us && !tp->total_retrans)
		return now_ns - (u64)(tp->srtt_us >> 3) * NSEC_PER_USEC;
	/* milliseconds in 32 bits last for 49 days, above any time of tries */
	return now_ns - (u64)jiffies_to_msecs(tcp_jiffies32 - tp->lsndtime) *
			NSEC_PER_MSEC;
}

/* Data that Fast Open sent with the SYN is a burst of its own, which the core does
 * not announce as one. Only in the handshake, before the core has noted that the
 * data was taken, and before anything else was sent: otherwise the socket was given
 * to d2tcp in the middle of a connection.
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

static void d2tcp_init(struct sock *sk)
{
	const struct tcp_sock *tp = tcp_sk(sk);
	struct d2tcp *ca = d2tcp_open(sk);
	bool budget_told = ca->budget_told;
	u32 budget_us = ca->budget_us;
	u32 first = tp->write_seq;
	u64 now_ns = ktime_get_ns();

	/* Not for a child, which nobody has accepted yet: what its listener was
	 * told before it listened was for the listener. A budget is inherited.
	 */
	if ((sk->sk_state == TCP_SYN_RECV && !sk->sk_socket) ||
	    d2tcp_live(ca)) {
		memset(ca, 0, sizeof(*ca));
		ca->budget_us = budget_us;
		ca->budget_told = budget_told;
	}
	/* With Fast Open data went out with the SYN. bytes_acked counts both,
	 * as far as they are acknowledged.
	 */
	if (tp->bytes_acked)
		first = tp->snd_una - (u32)tp->bytes_acked + 1;
	deadline_rebase(&ca->ring, first);
	ca->mark = D2TCP_LIVE;
	ca->alpha = READ_ONCE(d2tcp_alpha_on_init);
	ca->prior_rcv_nxt = tp->rcv_nxt;
	ca->ce_state = 0;
	ca->idle = tp->write_seq == tp->snd_una;
	ca->frac = 0;
	ca->loss_cwnd = 0;
	d2tcp_next_window(tp, ca);
	if (tp->bytes_acked)
		d2tcp_syn_burst(sk, ca, first, now_ns);
	/* and the ACK of that data has come before .init */
	d2tcp_settle(sk, ca, now_ns);

	/* In SYN_SENT the flag is only what we hope for, and .init will not be
	 * called again when the answer is known.
	 */
	if (d2tcp_ecn(tp) && sk->sk_state != TCP_SYN_SENT) {
		d2tcp_count(sk, D2TCP_STAT_ECN, 1);
		return;
	}
	d2tcp_count(sk, D2TCP_STAT_NO_ECN, 1);
	/* Without ECN there is nothing to react to: Reno, and no ECT on our
	 * packets, which the handshake has set in the belief it would be used.
	 * get_info and the socket options read icsk_ca_ops without the lock.
	 */
	WRITE_ONCE(inet_csk(sk)->icsk_ca_ops, &d2tcp_reno);
	INET_ECN_dontxmit(sk);
}

/* The connection ends, or goes on under another algorithm. A socket that is not
 * live may be a child with a copy of what its listener was told.
 */
static void d2tcp_release(struct sock *sk)
{
	struct d2tcp *ca = inet_csk_ca(sk);
	unsigned int n;

	if (!d2tcp_live(ca))
		return;
	n = deadline_clear(&ca->ring);
	if (n)
		d2tcp_count(sk, D2TCP_STAT_ABANDONED, n);
}

/* Undoes .init's swap too: the socket may be connected again after a
 * disconnect, and this time with ECN.
 */
static void d2tcp_reno_release(struct sock *sk)
{
	d2tcp_release(sk);
	WRITE_ONCE(inet_csk(sk)->icsk_ca_ops, &d2tcp_ops);
}

/* A burst starts, when all that was written before is acknowledged. */
static void d2tcp_tx_start(struct sock *sk)
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

/* An ACK that ends something: a message, a window, or all that was written. */
static void d2tcp_acked(struct sock *sk, struct d2tcp *ca)
{
	const struct tcp_sock *tp = tcp_sk(sk);

	d2tcp_settle(sk, ca, d2tcp_ack_ns(sk));
	/* Only set here: an ACK may come between a write and its first packet,
	 * which a closed window or a cork holds back.
	 */
	if (tp->snd_una == tp->write_seq)
		ca->idle = 1;
}

/* What only few ACKs need. Not inlined, so that the others save no registers. */
static noinline void d2tcp_rare_ack(struct sock *sk)
{
	const struct tcp_sock *tp = tcp_sk(sk);
	struct d2tcp *ca = inet_csk_ca(sk);
	u32 alpha;

	d2tcp_acked(sk, ca);
	/* The core asks for ssthresh then, as if for a mark; but for a DSACK,
	 * which cannot be seen from here, and which the next ACK forgets.
	 */
	ca->tlp_loss = tp->tlp_high_seq && tp->tlp_retrans &&
		       after(tp->snd_una, tp->tlp_high_seq);

	if (before(tp->snd_una, ca->next_seq))
		return;
	alpha = law_alpha(ca->alpha, tp->delivered - ca->old_delivered,
			  tp->delivered_ce - ca->old_delivered_ce,
			  READ_ONCE(d2tcp_shift_g));
	/* get_info reads it without the lock */
	WRITE_ONCE(ca->alpha, alpha);
	d2tcp_next_window(tp, ca);
}

/* For every ACK: most of them pass between two windows, in the middle of a
 * message, with more to send.
 */
static void d2tcp_in_ack_event(struct sock *sk, u32 flags)
{
	const struct tcp_sock *tp = tcp_sk(sk);
	struct d2tcp *ca = inet_csk_ca(sk);
	u32 una = tp->snd_una;

	/* on a child this runs before .init */
	if (!d2tcp_live(ca))
		return;
	/* The core clears snd_cwnd_cnt before it asks for ssthresh. What is cut
	 * off above 16 bits is part of one packet, in a window of 2^16.
	 */
	ca->cwnd_cnt = (u16)tp->snd_cwnd_cnt;
	/* within one of write_seq: a FIN counts one */
	if (!before(una, ca->next_seq) || tp->write_seq - una <= 1 ||
	    deadline_reached(&ca->ring, una) || tp->tlp_high_seq ||
	    ca->tlp_loss)
		d2tcp_rare_ack(sk);
}

static void d2tcp_reno_in_ack_event(struct sock *sk, u32 flags)
{
	struct d2tcp *ca = inet_csk_ca(sk);

	if (d2tcp_live(ca))
		d2tcp_acked(sk, ca);
}

static void d2tcp_react_to_loss(struct sock *sk)
{
	struct d2tcp *ca = inet_csk_ca(sk);
	struct tcp_sock *tp = tcp_sk(sk);
	u32 cwnd = tcp_snd_cwnd(tp);

	ca->loss_cwnd = cwnd;
	ca->frac = 0;
	tp->snd_ssthresh = max(cwnd >> 1U, 2U);
	trace_d2tcp_cut(sk, ca->alpha, LAW_D_ONE, LAW_ONE,
			(u64)cwnd << LAW_W_SHIFT,
			(u64)tp->snd_ssthresh << LAW_W_SHIFT, 0, 0, true);
}

/* Called for marks and, before d2tcp_react_to_loss(), for losses. */
static u32 d2tcp_ssthresh(struct sock *sk)
{
	const struct tcp_sock *tp = tcp_sk(sk);
	struct d2tcp *ca = inet_csk_ca(sk);
	struct d2tcp_view view;
	u64 now_ns, after;

	/* A loss that a tail loss probe has mended: no other call follows. */
	if (ca->tlp_loss) {
		ca->tlp_loss = 0;
		ca->cwnd_cnt = 0;
		d2tcp_react_to_loss(sk);
		return tp->snd_ssthresh;
	}
	ca->loss_cwnd = tcp_snd_cwnd(tp);
	now_ns = deadline_none(&ca->ring) ? 0 : ktime_get_ns();
	d2tcp_view(sk, ca->cwnd_cnt, now_ns, &view);
	after = law_cut(view.window, view.p);
	ca->frac = after & ((1U << LAW_W_SHIFT) - 1);
	ca->cwnd_cnt = 0;
	/* After a loss the halving that follows is the cut, and tells. */
	if (!tp->lost_out)
		trace_d2tcp_cut(sk, ca->alpha, view.d, view.p, view.window,
				after, view.prefix.bytes, view.prefix.left_ns,
				false);
	/* below 2^40 >> 8 */
	return after >> LAW_W_SHIFT;
}

static void d2tcp_set_state(struct sock *sk, u8 new_state)
{
	/* A timeout comes as CA_EVENT_LOSS: once per window, unlike this. */
	if (new_state == TCP_CA_Recovery &&
	    new_state != inet_csk(sk)->icsk_ca_state)
		d2tcp_react_to_loss(sk);
}

static void d2tcp_cwnd_event(struct sock *sk, enum tcp_ca_event ev)
{
	struct d2tcp *ca = inet_csk_ca(sk);

	switch (ev) {
	case CA_EVENT_ECN_IS_CE:
	case CA_EVENT_ECN_NO_CE:
		d2tcp_echo(sk, ca, ev == CA_EVENT_ECN_IS_CE);
		break;
	case CA_EVENT_LOSS:
		d2tcp_react_to_loss(sk);
		break;
	case CA_EVENT_CWND_RESTART:
		ca->frac = 0;
		break;
#if !D2TCP_HAVE_TX_START
	case CA_EVENT_TX_START:
		d2tcp_tx_start(sk);
		break;
#endif
	default:
		break;
	}
}

#if !D2TCP_HAVE_TX_START
static void d2tcp_reno_cwnd_event(struct sock *sk, enum tcp_ca_event ev)
{
	if (ev == CA_EVENT_TX_START)
		d2tcp_tx_start(sk);
}
#endif

/* Reno, with the fraction that the last cut left over: the window opens by a
 * packet as soon as fraction and gain together make one.
 */
static noinline void d2tcp_avoid_with_frac(struct sock *sk, u32 ack, u32 acked)
{
	struct d2tcp *ca = inet_csk_ca(sk);
	struct tcp_sock *tp = tcp_sk(sk);
	u32 cwnd;

	tcp_reno_cong_avoid(sk, ack, acked);
	/* what is not used does not grow */
	if (!tcp_is_cwnd_limited(sk))
		return;
	cwnd = tcp_snd_cwnd(tp);
	if (cwnd >= tp->snd_cwnd_clamp ||
	    !law_carry(cwnd, tp->snd_cwnd_cnt, &ca->frac))
		return;
	tp->snd_cwnd_cnt = 0;
	tcp_snd_cwnd_set(tp, cwnd + 1);
}

static void d2tcp_cong_avoid(struct sock *sk, u32 ack, u32 acked)
{
	const struct d2tcp *ca = inet_csk_ca(sk);

	if (ca->frac)
		d2tcp_avoid_with_frac(sk, ack, acked);
	else
		tcp_reno_cong_avoid(sk, ack, acked);
}

static u32 d2tcp_undo_cwnd(struct sock *sk)
{
	const struct d2tcp *ca = inet_csk_ca(sk);

	return max(tcp_snd_cwnd(tcp_sk(sk)), ca->loss_cwnd);
}

/* Answers as dctcp does, so that ss -ti shows it. Runs without the socket lock
 * in any state: what it reads may be a moment old, or not yet ours.
 */
static size_t d2tcp_get_info(struct sock *sk, u32 ext, int *attr,
			     union tcp_cc_info *info)
{
	const u32 asked = 1 << (INET_DIAG_DCTCPINFO - 1) |
			  /* ext has 8 bits, too few for DCTCPINFO */
			  1 << (INET_DIAG_VEGASINFO - 1);
	const struct tcp_sock *tp = tcp_sk(sk);
	const struct d2tcp *ca = inet_csk_ca(sk);
	u32 mss;

	if (!(ext & asked))
		return 0;
	memset(&info->dctcp, 0, sizeof(info->dctcp));
	if (!d2tcp_is_fallback(sk) && READ_ONCE(ca->mark) == D2TCP_LIVE) {
		mss = READ_ONCE(tp->mss_cache);
		info->dctcp.dctcp_enabled = 1;
		/* one bit; the others of its byte change under the lock */
		info->dctcp.dctcp_ce_state = data_race(!!ca->ce_state);
		/* dctcp has 10 bits */
		info->dctcp.dctcp_alpha = READ_ONCE(ca->alpha) >> 10;
		info->dctcp.dctcp_ab_ecn = mss * (READ_ONCE(tp->delivered_ce) -
						  READ_ONCE(ca->old_delivered_ce));
		info->dctcp.dctcp_ab_tot = mss * (READ_ONCE(tp->delivered) -
						  READ_ONCE(ca->old_delivered));
	}
	*attr = INET_DIAG_DCTCPINFO;
	return sizeof(info->dctcp);
}

/* Restricted, like dctcp: not for the open Internet (RFC 8257, section 5). */
struct tcp_congestion_ops d2tcp_ops __read_mostly = {
	.init		= d2tcp_init,
	.release	= d2tcp_release,
	.in_ack_event	= d2tcp_in_ack_event,
	.cwnd_event	= d2tcp_cwnd_event,
#if D2TCP_HAVE_TX_START
	.cwnd_event_tx_start = d2tcp_tx_start,
#endif
	.set_state	= d2tcp_set_state,
	.ssthresh	= d2tcp_ssthresh,
	.cong_avoid	= d2tcp_cong_avoid,
	.undo_cwnd	= d2tcp_undo_cwnd,
	.get_info	= d2tcp_get_info,
	.flags		= TCP_CONG_NEEDS_ECN,
	.owner		= THIS_MODULE,
	.name		= "d2tcp",
};

/* For connections that did not negotiate ECN; see d2tcp_init(). */
static struct tcp_congestion_ops d2tcp_reno __read_mostly = {
	.in_ack_event	= d2tcp_reno_in_ack_event,
#if D2TCP_HAVE_TX_START
	.cwnd_event_tx_start = d2tcp_tx_start,
#else
	.cwnd_event	= d2tcp_reno_cwnd_event,
#endif
	.ssthresh	= tcp_reno_ssthresh,
	.cong_avoid	= tcp_reno_cong_avoid,
	.undo_cwnd	= tcp_reno_undo_cwnd,
	.get_info	= d2tcp_get_info,
	.release	= d2tcp_reno_release,
	.owner		= THIS_MODULE,
	.name		= "d2tcp-reno",
};
