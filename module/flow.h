/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The state of one d2tcp socket: its messages, and the state of the callbacks.
 */
#ifndef D2TCP_FLOW_H
#define D2TCP_FLOW_H

#include <net/tcp.h>
#include "deadline.h"
#include "law.h"

/* icsk_ca_priv may hold another algorithm's state: a congestion control chosen
 * by a route takes over without clearing it. So the state carries a mark.
 */
#define D2TCP_EARLY	0xd27c0e41u	/* options were set before .init */
#define D2TCP_LIVE	0xd27c11feu	/* .init has run */

/* Lives in icsk_ca_priv, is protected by the socket lock, and fills it to the
 * last byte. Bytes 16 to 23 stay zero until .init: tcp_cdg keeps a pointer
 * there and would free whatever it finds if a route gave it an early socket.
 */
struct d2tcp {
	u32 mark;		/* D2TCP_EARLY, D2TCP_LIVE, or another's state */
	u32 budget_us;		/* standing budget, 0: off */
	u32 alpha;		/* 2^-20 */
	u8 frac;		/* 2^-8 packets of window beyond snd_cwnd */
	u8 ce_state:1,		/* the last packet received carried CE */
	   idle:1,		/* all data acknowledged, no burst since */
	   tlp_loss:1,		/* a tail probe repaired a loss */
	   budget_told:1,	/* budget_us was set: no default applies */
	   unused:4;
	u16 cwnd_cnt;		/* tp->snd_cwnd_cnt at the last ACK, 16 bits */
	u32 old_delivered;	/* tp->delivered at the window's start */
	u32 old_delivered_ce;
	u32 prior_rcv_nxt;	/* rcv_nxt before the last packet received */
	u32 next_seq;		/* the window for alpha ends here */
	u32 loss_cwnd;		/* for undo */
	u32 armed_late;
	struct deadline_ring ring;
	u32 met;
	u32 missed;
};

/* The law's inputs and result for a socket at one moment. */
struct d2tcp_view {
	struct deadline_prefix prefix;
	u64 window;		/* 2^-8 packets */
	u64 finish_ns;		/* of the prefix */
	u32 d;			/* 2^-8 */
	u32 p;			/* 2^-20 */
	bool armed;
	bool late;
};

static inline bool d2tcp_live(const struct d2tcp *ca)
{
	return ca->mark == D2TCP_LIVE;
}

/* for the socket options */
struct d2tcp *d2tcp_open(struct sock *sk);
int d2tcp_arm(struct sock *sk, u64 due_ns, u64 bytes, u64 now_ns);
void d2tcp_clear(struct sock *sk);
u32 d2tcp_budget_us(const struct sock *sk);
void d2tcp_look(const struct sock *sk, u64 now_ns, struct d2tcp_view *view);

/* for the callbacks of the congestion control */
void d2tcp_flow_start(struct sock *sk, struct d2tcp *ca);
void d2tcp_flow_end(struct sock *sk);
void d2tcp_tx_start(struct sock *sk);
void d2tcp_settle(struct sock *sk, struct d2tcp *ca, u64 now_ns);
void d2tcp_view(const struct sock *sk, u32 cwnd_cnt, u64 now_ns,
		struct d2tcp_view *view);

/* An ACK may have ended a message, or all that was written. Only for
 * .in_ack_event: for the ACK that is being received the core has read the
 * clock, ktime_get_ns(); other callbacks may run long after the last packet.
 */
static inline void d2tcp_acked(struct sock *sk, struct d2tcp *ca)
{
	const struct tcp_sock *tp = tcp_sk(sk);

	if (!deadline_none(&ca->ring))
		d2tcp_settle(sk, ca, tp->tcp_clock_cache);
	/* Only set here: an ACK may come between a write and its first packet,
	 * which a closed window or a cork holds back.
	 */
	if (tp->snd_una == tp->write_seq)
		ca->idle = 1;
}

#endif /* D2TCP_FLOW_H */
