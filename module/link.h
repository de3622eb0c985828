/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The link over which answers arrive: the limit on the bytes in flight, the sockets
 * that are granted them, and the timer. grant.c knows what the sockets expect.
 */
#ifndef D2TCP_LINK_H
#define D2TCP_LINK_H

#include <linux/spinlock.h>
#include <net/sock.h>
#include "schedule.h"

struct d2tcp_link;

/* An expecting socket as its link sees it. The link's lock protects it. */
struct link_sock {
	struct sock *sk;
	struct schedule_entry entry;
	struct list_head ack;		/* on a list of sockets that need an ACK */
	struct list_head recent;	/* while counted, or passed over */
	u64 news_ns;			/* of the first grant, or of the last arrival */
	u32 seen;			/* rcv_nxt, as last accounted for */
	u32 odd;			/* rcv_nxt for which an ACK was requested */
	u32 flying;			/* bytes granted and not arrived */
	u32 start;			/* start of the scheduled answer, for traces */
	u32 seg;			/* unit of a grant, in bytes */
	u32 window;			/* estimated congestion window of its sender */
	u32 first, last;		/* of the estimate: see guess_window() */
	u32 round_bytes;		/* arrived since round_ns */
	u32 round_flying;		/* flying at round_ns */
	u64 round_ns;
	u32 sum_flying, sum_part;	/* its share of the link's flying and part */
	bool counted;			/* flying is part of the link's */
	bool heard;			/* bytes of this answer have arrived */
	bool thinks;			/* its last answer began after pass_over() */
	bool renew;			/* its last grant went out in an ACK */
	bool narrow;			/* no window of two segments advertised yet */
	bool gone;			/* about to be freed */
};

struct d2tcp_link *d2tcp_link_of(struct net *net, int ifindex);
void d2tcp_link_exit(const struct net *net);

void link_lock(struct d2tcp_link *link);
void link_unlock(struct d2tcp_link *link);

void link_set_rate(struct d2tcp_link *link, u32 rate);
u32 link_base(const struct d2tcp_link *link);
u64 link_flying(const struct d2tcp_link *link);
void link_path(const struct d2tcp_link *link, u32 *rate, u32 *rtt_us);
bool link_look(const struct d2tcp_link *link, const struct link_sock *ls, bool granted,
	       u64 due_ns, u64 now_ns);
void link_hint(struct d2tcp_link *link, bool process);
bool link_absorbs(struct d2tcp_link *link, const struct link_sock *ls, u32 bytes,
		  u64 all, u64 now_ns);
void link_init_sock(struct link_sock *ls, struct sock *sk);
void link_learn(struct d2tcp_link *link, struct link_sock *ls, u32 seg,
		u32 rtt_us);
void link_arrived(struct d2tcp_link *link, struct link_sock *ls, u32 bytes,
		  u32 timely, u64 now_ns);
void link_adopt(struct d2tcp_link *link, struct link_sock *ls, u32 open,
		u64 now_ns);
void link_settled(struct d2tcp_link *link, struct link_sock *ls, bool last);
void link_ask(struct d2tcp_link *link, struct link_sock *ls, u64 due_ns,
	      u32 need, u64 now_ns);
void link_grant(struct d2tcp_link *link, struct link_sock *here, u64 now_ns);
void link_leave(struct d2tcp_link *link, struct link_sock *ls);
void link_want_ack(struct d2tcp_link *link, struct link_sock *ls);
void link_forget(struct d2tcp_link *link, struct link_sock *ls);
bool link_try_ack(struct sock *sk);
void link_send_ack(struct sock *sk);

#endif /* D2TCP_LINK_H */
