/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The receiver's half: echo CE per packet, RFC 8257, section 3.2.
 *
 *	                 packet without CE
 *	          +--------------------------------+
 *	          v                                |
 *	   ce_state = 0                      ce_state = 1
 *	   ACKs without ECE                  ACKs with ECE
 *	          |                                ^
 *	          +--------------------------------+
 *	                    packet with CE
 *
 * An ACK may stand for several packets, so on each change of state one that is
 * being delayed is sent at once with the old state, for the packets before.
 */
#ifndef D2TCP_ECN_H
#define D2TCP_ECN_H

#include <net/tcp.h>
#include "compat.h"
#include "flow.h"

static inline void d2tcp_set_ece(struct tcp_sock *tp, bool ce)
{
	if (ce)
		tp->ecn_flags |= TCP_ECN_DEMAND_CWR;
	else
		tp->ecn_flags &= ~TCP_ECN_DEMAND_CWR;
}

static inline void d2tcp_echo(struct sock *sk, struct d2tcp *ca, bool ce)
{
	struct inet_connection_sock *icsk = inet_csk(sk);
	struct tcp_sock *tp = tcp_sk(sk);

	if (ca->ce_state != ce) {
		if (icsk->icsk_ack.pending & ICSK_ACK_TIMER) {
			d2tcp_set_ece(tp, ca->ce_state);
			d2tcp_send_ack(sk, ca->prior_rcv_nxt);
		}
		icsk->icsk_ack.pending |= ICSK_ACK_NOW;
		ca->ce_state = ce;
	}
	ca->prior_rcv_nxt = tp->rcv_nxt;
	d2tcp_set_ece(tp, ce);
}

#endif /* D2TCP_ECN_H */
