// SPDX-License-Identifier: GPL-2.0
/*
 * D2TCP: Deadline-Aware Datacenter TCP.
 *
 * Vamanan, Hasan, Vijaykumar, "Deadline-Aware Datacenter TCP (D2TCP)", SIGCOMM
 * 2012, over DCTCP: Alizadeh et al., SIGCOMM 2010, and RFC 8257.
 *
 * A window with ECN marks is cut by p/2, p = alpha^d: alpha says how congested
 * the path is, d how urgent the flow is. Near its deadline (d > 1) a flow
 * yields less than DCTCP would, with time to spare (d < 1) more. Without a deadline
 * d = 1, and the flow is DCTCP.
 *
 * This file holds the callbacks. flow.c keeps the messages and computes their
 * urgency, law.c has the arithmetic.
 *
 * Notable differences from the paper:
 *  - several messages may be outstanding; the most urgent prefix decides
 *  - after its deadline an unfinished message has d = late_d
 * and from the kernel's dctcp:
 *  - a loss that a tail loss probe repaired halves the window too
 *  - alpha has 20 bits, and the window a fraction of 8 bits that survives cuts:
 *    W = snd_cwnd + frac/256 + snd_cwnd_cnt/snd_cwnd. In whole packets a window
 *    of 4 would not be reduced at all for p < 0.5, which disables the law.
 *  - no PLB
 */
#include <linux/inet_diag.h>
#include <linux/module.h>
#include <net/tcp.h>
#include "compat.h"
#include "cong.h"
#include "ecn.h"
#include "flow.h"
#include "params.h"
#include "stats.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

static struct tcp_congestion_ops d2tcp_reno;

bool d2tcp_is_fallback(const struct sock *sk)
{
	return READ_ONCE(inet_csk(sk)->icsk_ca_ops) == &d2tcp_reno;
}

static void d2tcp_next_window(const struct tcp_sock *tp, struct d2tcp *ca)
{
	ca->next_seq = tp->snd_nxt;
	ca->old_delivered = tp->delivered;
	ca->old_delivered_ce = tp->delivered_ce;
}

static void d2tcp_init(struct sock *sk)
{
	const struct tcp_sock *tp = tcp_sk(sk);
	struct d2tcp *ca = d2tcp_open(sk);

	d2tcp_flow_start(sk, ca);
	ca->alpha = READ_ONCE(d2tcp_alpha_on_init);
	ca->prior_rcv_nxt = tp->rcv_nxt;
	ca->ce_state = 0;
	ca->frac = 0;
	/* a SYN timeout before .init has set it */
	ca->loss_cwnd = 0;
	d2tcp_next_window(tp, ca);

	/* In SYN_SENT the flag means that ECN was offered, and .init will not be
	 * called again when the peer has answered.
	 */
	if (d2tcp_ecn(tp) && sk->sk_state != TCP_SYN_SENT) {
		d2tcp_count(sk, D2TCP_STAT_ECN, 1);
		return;
	}
	d2tcp_count(sk, D2TCP_STAT_NO_ECN, 1);
	/* Without ECN there is nothing to react to: Reno, and no ECT on our
	 * packets, which the core set before it was known that the connection
	 * has no ECN. get_info reads icsk_ca_ops without the lock.
	 */
	WRITE_ONCE(inet_csk(sk)->icsk_ca_ops, &d2tcp_reno);
	INET_ECN_dontxmit(sk);
}

/* Undoes .init's swap too: the socket may be connected again after a
 * disconnect, and this time with ECN.
 */
static void d2tcp_reno_release(struct sock *sk)
{
	d2tcp_flow_end(sk);
	WRITE_ONCE(inet_csk(sk)->icsk_ca_ops, &d2tcp_ops);
}

/* The work of a few ACKs only. Not inlined, so that all others do not save
 * registers for it.
 */
static noinline void d2tcp_rare_ack(struct sock *sk)
{
	const struct tcp_sock *tp = tcp_sk(sk);
	struct d2tcp *ca = inet_csk_ca(sk);
	u32 alpha;

	d2tcp_acked(sk, ca);
	/* The core then calls .ssthresh as if for a mark, except after a DSACK,
	 * which is not visible here; the next ACK clears the flag.
	 */
	ca->tlp_loss = tp->tlp_high_seq && tp->tlp_retrans &&
		       after(tp->snd_una, tp->tlp_high_seq);

	if (before(tp->snd_una, ca->next_seq))
		return;
	alpha = law_alpha(ca->alpha, tp->delivered - ca->old_delivered,
			  tp->delivered_ce - ca->old_delivered_ce,
			  READ_ONCE(d2tcp_shift_g));
	/* get_info reads alpha without the lock */
	WRITE_ONCE(ca->alpha, alpha);
	d2tcp_next_window(tp, ca);
}

/* Called for every ACK. Most arrive within a window, in the middle of a
 * message, with more data to send, and need nothing.
 */
static void d2tcp_in_ack_event(struct sock *sk, u32 flags)
{
	const struct tcp_sock *tp = tcp_sk(sk);
	struct d2tcp *ca = inet_csk_ca(sk);
	u32 una = tp->snd_una;

	/* on a child this runs before .init */
	if (!d2tcp_live(ca))
		return;
	/* The core clears snd_cwnd_cnt before it calls .ssthresh. Truncation to
	 * 16 bits loses part of one packet, in windows above 2^16.
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

	/* A loss that a tail loss probe repaired: no other call follows. */
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
	/* After a loss the halving that follows is the cut, and is traced. */
	if (!tp->lost_out)
		trace_d2tcp_cut(sk, ca->alpha, view.d, view.p, view.window,
				after, view.prefix.bytes, view.prefix.left_ns,
				false);
	/* below 2^40 >> 8 */
	return after >> LAW_W_SHIFT;
}

static void d2tcp_set_state(struct sock *sk, u8 new_state)
{
	/* A timeout is reported as CA_EVENT_LOSS: once per window, unlike this. */
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

/* Reno, with the fraction that the last cut left over: the window opens by a packet as
 * soon as fraction and gain together make up one.
 */
static noinline void d2tcp_avoid_with_frac(struct sock *sk, u32 ack, u32 acked)
{
	struct d2tcp *ca = inet_csk_ca(sk);
	struct tcp_sock *tp = tcp_sk(sk);
	u32 cwnd;

	tcp_reno_cong_avoid(sk, ack, acked);
	/* a window that is not fully used does not grow */
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

/* Fills the info struct of dctcp, which ss -ti can show. Runs without the socket lock
 * in any state, so fields may be stale, or another algorithm's.
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
	.release	= d2tcp_flow_end,
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
