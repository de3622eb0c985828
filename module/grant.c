// SPDX-License-Identifier: GPL-2.0
/*
 * The receiver's side. A program says which answers it expects on a socket and
 * by when (D2TCP_EXPECT). The answers that arrive over one device share its link,
 * and come in by the order of schedule.c. The receive window enforces it: a
 * sender may send up to the right edge that the last packet of its receiver
 * advertised, whatever its congestion control is. docs/receiver.md describes the
 * mechanism and its limits.
 *
 * The window is lowered in packets as they leave, in a netfilter hook, so that
 * TCP's own state is left alone. The edge of a socket never moves back:
 *
 *	edge = max(what was advertised before, received + granted)
 *
 * but for the rounding to the window scale, which RFC 7323 (2.4) lets it.
 *
 * The request of a program carries the hold, or the first grant, of its answer.
 * A later grant needs an ACK of its own.
 *
 * Locks: the state of a socket has a lock of its own, since a packet may pass the
 * hook without the socket lock: one that came back from a queue of netfilter, or
 * that a VRF device sends. What the sockets of a link share has the lock of the
 * link, inside it. An ACK needs the socket lock, outside of both.
 */
#include <linux/hashtable.h>
#include <linux/hrtimer.h>
#include <linux/interrupt.h>
#include <linux/module.h>
#include <linux/netfilter.h>
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6.h>
#include <linux/delay.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include <net/checksum.h>
#include <net/ipv6.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>
#include <net/tcp.h>
#include "compat.h"
#include "grant.h"
#include "schedule.h"
#include "stats.h"

#define GRANT_ANSWERS	8		/* told apart on a socket */
#define GRANT_MOST	65536		/* expecting sockets of a namespace */
#define GRANT_TICK_NS	(100 * NSEC_PER_USEC)
#define GRANT_RATE_NS	(2 * NSEC_PER_MSEC)	/* the rate is taken over */
#define GRANT_PERIOD	(5 * HZ)	/* and kept for one to two of these */
#define GRANT_SWEEP	(HZ / 20 ?: 1)	/* between two looks at all sockets */
/* A socket that waits so long for anything is let go. */
#define GRANT_IDLE	(HZ / 5 ?: 1)
#define GRANT_UNLIMITED	U64_MAX
#define GRANT_BATCH	64		/* ACKs at once */

/* A device that answers come in through. */
struct grant_link {
	struct list_head list;
	struct net *net;
	int ifindex;

	spinlock_t lock;		/* of all that follows */
	struct schedule schedule;
	struct list_head acks;		/* sockets that need an ACK */
	u64 arrived;			/* bytes, since ever */
	u64 flying;			/* bytes granted and not arrived */
	u64 amount;			/* how many may be */
	u32 seg;			/* bytes of a segment */
	u32 rtt_us;			/* shortest seen; 0: none */
	u32 rate;			/* bytes per ms, 0: not measured */
	u32 rates[2];			/* of this period and of the last */
	unsigned long period;		/* end of this period, jiffies */
	u64 tick_ns, tick_arrived;	/* when and what at the last tick */
	u64 rate_ns, rate_arrived;	/* and where the rate is taken from */
	bool ticking;
	struct hrtimer timer;
	struct tasklet_struct acker;
	struct delayed_work ack_work;
	struct list_head late_acks;	/* of sockets that a process owned */
};

struct grant_answer {
	u64 due_ns;
	u32 end;			/* one after its last byte */
};

/* A socket that expects answers; holds a reference to it. */
struct grant_sock {
	struct hlist_node node;
	struct rcu_head rcu;
	struct sock *sk;
	spinlock_t lock;		/* of all that the link's does not protect */
	struct grant_link *link;	/* known from the first packet on */
	struct schedule_entry entry;	/* the link's lock */
	struct list_head ack;		/* the link's lock */
	u32 flying;			/* the link's lock */
	bool gone;			/* the link's lock: about to be freed */
	u32 seg;			/* the link's lock: bytes granted at least */
	u32 seen;			/* rcv_nxt, as last accounted for */
	u32 edge;			/* advertised, before rounding */
	u32 end;			/* of the last answer expected */
	unsigned long active;		/* jiffies of the last news */
	u8 answers;
	bool started;			/* positions are those of the stream */
	bool ended;			/* released, and end still is */
	bool released;			/* the window is TCP's own */
	struct grant_answer answer[GRANT_ANSWERS];
};

struct grant_net {
	unsigned int socks;		/* that may expect */
	bool hooked;
};

static unsigned int grant_net_id __read_mostly;
static DEFINE_HASHTABLE(grant_table, 10);
static DEFINE_SPINLOCK(grant_table_lock);	/* the table and the links */
static DEFINE_MUTEX(grant_hook_mutex);
static LIST_HEAD(grant_links);
static bool grant_closing;

static void grant_sweep(struct work_struct *work);
static DECLARE_DELAYED_WORK(grant_sweeper, grant_sweep);

/* Off by default: docs/receiver.md lists what is known to be missing. */
static bool grant_enabled;
module_param_named(expect, grant_enabled, bool, 0444);
MODULE_PARM_DESC(expect, "accept D2TCP_EXPECT, which is experimental (N)");

static struct grant_sock *grant_find(const struct sock *sk)
{
	struct grant_sock *gs;

	hash_for_each_possible_rcu(grant_table, gs, node, (unsigned long)sk)
		if (gs->sk == sk)
			return gs;
	return NULL;
}

/* --- the link ---------------------------------------------------------------- */

/* As much as fills path and queue without a mark, as far as the receiver can
 * know: one and a half of what the path holds, and some segments for the
 * granularity of ACKs.
 */
static u64 link_base(const struct grant_link *link)
{
	if (!link->rate || !link->rtt_us)
		return GRANT_UNLIMITED;
	return div_u64((u64)link->rate * link->rtt_us * 3, 2000) +
	       16 * link->seg;
}

/* Below 2^32 * 2^32: more than 4 GB on its way are as good as that. */
static u64 link_ns(const struct grant_link *link, u64 bytes)
{
	return min_t(u64, bytes, U32_MAX) * link->schedule.pace >> 16;
}

static void want_ack(struct grant_link *link, struct grant_sock *gs);

static bool link_waiting(const struct grant_link *link)
{
	return link->schedule.hopeful || link->schedule.hopeless;
}

static void link_start_ticking(struct grant_link *link, u64 now_ns)
{
	if (link->ticking || !(link->flying || link_waiting(link)))
		return;
	link->ticking = true;
	link->tick_ns = now_ns;
	link->tick_arrived = link->arrived;
	link->rate_ns = now_ns;
	link->rate_arrived = link->arrived;
	hrtimer_start(&link->timer, ns_to_ktime(GRANT_TICK_NS),
		      HRTIMER_MODE_REL_SOFT);
}

/* Grants answers in their order while less than the amount is on its way. The
 * sockets, but for @here, get an ACK.
 */
static void link_grant(struct grant_link *link, struct grant_sock *here,
		       u64 now_ns)
{
	struct schedule_entry *e;
	struct grant_sock *gs;
	u64 room;
	u32 bytes;

	while ((e = schedule_first(&link->schedule,
				   now_ns + link_ns(link, link->flying)))) {
		gs = container_of(e, struct grant_sock, entry);
		room = link->amount > link->flying ?
			link->amount - link->flying : 0;
		bytes = min_t(u64, e->need, room);
		/* whole segments, unless they end the answer */
		if (bytes < e->need)
			bytes -= bytes % gs->seg;
		if (!bytes && !link->flying)
			bytes = min(e->need, gs->seg);
		if (!bytes)
			break;
		schedule_granted(&link->schedule, e, bytes);
		gs->flying += bytes;
		link->flying += bytes;
		d2tcp_count(gs->sk, D2TCP_STAT_GRANTS, 1);
		if (gs != here)
			want_ack(link, gs);
	}
	link_start_ticking(link, now_ns);
}

static void link_measure(struct grant_link *link, u64 now_ns)
{
	u64 ns = now_ns - link->rate_ns, pace;
	u32 rate;

	if (ns < GRANT_RATE_NS)
		return;
	rate = div64_u64((link->arrived - link->rate_arrived) * NSEC_PER_MSEC, ns);
	link->rate_ns = now_ns;
	link->rate_arrived = link->arrived;
	if (time_after(jiffies, link->period)) {
		/* after a longer silence both are too old */
		link->rates[1] = time_after(jiffies, link->period + GRANT_PERIOD) ?
				 0 : link->rates[0];
		link->rates[0] = 0;
		link->period = jiffies + GRANT_PERIOD;
	}
	link->rates[0] = max(link->rates[0], rate);
	rate = max(link->rates[0], link->rates[1]);
	if (rate == link->rate)
		return;
	link->rate = rate;
	/* 2^-16 ns per byte, from bytes per 10^6 ns; below 16 bytes it does not
	 * fit into 32 bits
	 */
	pace = rate ? div64_u64((u64)NSEC_PER_MSEC << 16, rate) : 0;
	pace = min_t(u64, pace, U32_MAX);
	/* it takes linear time: not for noise of 3 % */
	if (!pace || !link->schedule.pace ||
	    abs((s64)pace - link->schedule.pace) > link->schedule.pace / 32)
		schedule_set_pace(&link->schedule, pace);
}

/* How much may be on its way: more while the link is not full and sockets wait,
 * else less, down to the base.
 */
static void link_adapt(struct grant_link *link, u64 now_ns, bool waiting)
{
	u64 could = div64_u64((now_ns - link->tick_ns) * link->rate,
			      NSEC_PER_MSEC);
	u64 arrived = link->arrived - link->tick_arrived;
	u64 base = link_base(link), step = base / 8;

	link->tick_ns = now_ns;
	link->tick_arrived = link->arrived;
	if (base == GRANT_UNLIMITED || link->amount == GRANT_UNLIMITED ||
	    link->amount < base) {
		link->amount = base;
	} else if (waiting && 10 * arrived < 9 * could) {
		link->amount += step;
	} else {
		step = max(min(link->amount - base, step),
			   (link->amount - base) / 8);
		link->amount -= step;
	}
}

static enum hrtimer_restart link_tick(struct hrtimer *timer)
{
	struct grant_link *link = container_of(timer, struct grant_link, timer);
	u64 now_ns = ktime_get_ns();
	bool again;

	spin_lock_bh(&link->lock);
	link_measure(link, now_ns);
	link_adapt(link, now_ns, link_waiting(link));
	link_grant(link, NULL, now_ns);
	again = link_waiting(link) || link->flying;
	link->ticking = again;
	if (again)
		hrtimer_forward_now(timer, ns_to_ktime(GRANT_TICK_NS));
	else
		link->amount = link_base(link);
	spin_unlock_bh(&link->lock);
	return again ? HRTIMER_RESTART : HRTIMER_NORESTART;
}

static void send_ack(struct sock *sk)
{
	if ((1 << sk->sk_state) & (TCPF_ESTABLISHED | TCPF_FIN_WAIT1 |
				   TCPF_FIN_WAIT2))
		d2tcp_send_ack(sk, tcp_sk(sk)->rcv_nxt);
}

/* Sends an ACK unless a process has the socket locked: that may take for ever. */
static bool try_ack(struct sock *sk)
{
	bool mine;

	local_bh_disable();
	bh_lock_sock(sk);
	mine = !sock_owned_by_user(sk);
	if (mine)
		send_ack(sk);
	bh_unlock_sock(sk);
	local_bh_enable();
	return mine;
}

/* With the link locked: the socket is to send an ACK soon. */
static void want_ack(struct grant_link *link, struct grant_sock *gs)
{
	if (gs->gone || !list_empty(&gs->ack))
		return;
	sock_hold(gs->sk);
	list_add_tail(&gs->ack, &link->acks);
	tasklet_schedule(&link->acker);
}

/* Takes the first off a list, with the reference that the list had. The state
 * stays as long as RCU lets it; the socket by the reference.
 */
static struct sock *next_ack(struct grant_link *link, struct list_head *from,
			     struct grant_sock **gs)
{
	struct sock *sk = NULL;

	spin_lock_bh(&link->lock);
	*gs = list_first_entry_or_null(from, struct grant_sock, ack);
	if (*gs) {
		list_del_init(&(*gs)->ack);
		sk = (*gs)->sk;
	}
	spin_unlock_bh(&link->lock);
	return sk;
}

/* A socket that a process has locked is tried again after a jiffy. */
static void send_acks(struct grant_link *link, struct list_head *from)
{
	struct grant_sock *gs;
	int n = GRANT_BATCH;
	struct sock *sk;
	bool again;

	rcu_read_lock();
	while (n-- && (sk = next_ack(link, from, &gs))) {
		again = !try_ack(sk);
		spin_lock_bh(&link->lock);
		again = again && !gs->gone && list_empty(&gs->ack);
		if (again)
			list_add_tail(&gs->ack, &link->late_acks);
		spin_unlock_bh(&link->lock);
		if (again)
			schedule_delayed_work(&link->ack_work, 1);
		else
			sock_put(sk);
	}
	rcu_read_unlock();
}

static void link_acks(struct tasklet_struct *t)
{
	struct grant_link *link = container_of(t, struct grant_link, acker);

	send_acks(link, &link->acks);
	if (!list_empty_careful(&link->acks))
		tasklet_schedule(&link->acker);
}

static void link_late_acks(struct work_struct *work)
{
	struct grant_link *link = container_of(work, struct grant_link,
					       ack_work.work);

	spin_lock_bh(&link->lock);
	list_splice_tail_init(&link->late_acks, &link->acks);
	spin_unlock_bh(&link->lock);
	tasklet_schedule(&link->acker);
}

static struct grant_link *new_link(struct net *net, int ifindex)
{
	struct grant_link *link = kzalloc(sizeof(*link), GFP_ATOMIC);

	if (!link)
		return NULL;
	link->net = net;
	link->ifindex = ifindex;
	spin_lock_init(&link->lock);
	schedule_init(&link->schedule, get_random_u32());
	INIT_LIST_HEAD(&link->acks);
	INIT_LIST_HEAD(&link->late_acks);
	link->amount = GRANT_UNLIMITED;
	link->period = jiffies + GRANT_PERIOD;
	d2tcp_hrtimer_setup(&link->timer, link_tick, CLOCK_MONOTONIC,
			    HRTIMER_MODE_REL_SOFT);
	tasklet_setup(&link->acker, link_acks);
	INIT_DELAYED_WORK(&link->ack_work, link_late_acks);
	return link;
}

static struct grant_link *link_of(struct net *net, int ifindex)
{
	struct grant_link *link;

	spin_lock_bh(&grant_table_lock);
	list_for_each_entry(link, &grant_links, list)
		if (link->net == net && link->ifindex == ifindex)
			goto out;
	link = new_link(net, ifindex);
	if (link)
		list_add(&link->list, &grant_links);
out:
	spin_unlock_bh(&grant_table_lock);
	return link;
}

/* --- a socket ------------------------------------------------------------------ */

/* Bytes of the first answer that are not granted yet, into the schedule. */
static void grant_enlist(struct grant_sock *gs, u64 now_ns)
{
	u32 left;

	if (gs->entry.where != SCHEDULE_OUT || !gs->answers)
		return;
	left = gs->answer[0].end - gs->seen;
	if (left <= gs->flying) {
		/* the first is on its way: the next one, if there is one */
		if (gs->answers < 2)
			return;
		left = gs->answer[1].end - gs->seen;
		if (left <= gs->flying)
			return;
		gs->entry.due_ns = gs->answer[1].due_ns;
	} else {
		gs->entry.due_ns = gs->answer[0].due_ns;
	}
	gs->entry.need = left - gs->flying;
	schedule_add(&gs->link->schedule, &gs->entry,
		     now_ns + link_ns(gs->link, gs->link->flying));
}

/* An odd segment is acknowledged, and seen here, late: its time of arrival is
 * known to a jiffy.
 */
static u64 arrival_ns(const struct grant_sock *gs, u64 now_ns)
{
	u32 ago = tcp_jiffies32 - inet_csk(gs->sk)->icsk_ack.lrcvtime;

	return now_ns - jiffies_to_nsecs(ago);
}

static void grant_settle(struct grant_sock *gs, u64 now_ns)
{
	now_ns = arrival_ns(gs, now_ns);
	while (gs->answers && !before(gs->seen, gs->answer[0].end)) {
		d2tcp_count(gs->sk, now_ns <= gs->answer[0].due_ns ?
			    D2TCP_STAT_EXPECT_MET : D2TCP_STAT_EXPECT_MISSED, 1);
		gs->answers--;
		memmove(gs->answer, gs->answer + 1,
			gs->answers * sizeof(gs->answer[0]));
	}
	if (gs->answers)
		return;
	/* what is open beyond the end is remembered in the edge */
	gs->link->flying -= gs->flying;
	gs->flying = 0;
}

/* Accounts for what has arrived. */
static void grant_arrived(struct grant_sock *gs, u32 rcv_nxt, u64 now_ns)
{
	struct grant_link *link = gs->link;
	u32 bytes = rcv_nxt - gs->seen, granted, early;

	/* without the socket lock it may have been read late */
	if (!after(rcv_nxt, gs->seen))
		return;
	gs->seen = rcv_nxt;
	/* bytes that were not expected do not keep the socket held */
	if (gs->answers)
		WRITE_ONCE(gs->active, jiffies);
	link->arrived += bytes;
	granted = min(bytes, gs->flying);
	gs->flying -= granted;
	link->flying -= granted;
	/* more than granted: the window before the first hold was open */
	early = bytes - granted;
	if (early && gs->entry.where != SCHEDULE_OUT)
		schedule_granted(&link->schedule, &gs->entry,
				 min(early, gs->entry.need));
	grant_settle(gs, now_ns);
}

/* What was advertised before and not used is as good as granted. */
static void grant_adopt(struct grant_sock *gs)
{
	u32 open, left;

	if (!gs->answers)
		return;
	open = after(gs->edge, gs->seen) ? gs->edge - gs->seen : 0;
	left = gs->answer[gs->answers - 1].end - gs->seen;
	open = min(open, left);
	if (open <= gs->flying)
		return;
	if (gs->entry.where != SCHEDULE_OUT)
		schedule_granted(&gs->link->schedule, &gs->entry,
				 min(open - gs->flying, gs->entry.need));
	gs->link->flying += open - gs->flying;
	gs->flying = open;
}

/* Out of the schedule; its window is TCP's own from now on. @forget: also where
 * the answers end, so that the next one starts with the next byte.
 */
static void grant_release(struct grant_sock *gs, bool forget)
{
	struct grant_link *link = gs->link;

	gs->answers = 0;
	if (forget)
		gs->end = 0;
	gs->ended = !forget && gs->started;
	gs->started = false;
	/* looked at without the lock too */
	WRITE_ONCE(gs->released, true);
	if (!link)
		return;
	spin_lock_bh(&link->lock);
	schedule_remove(&link->schedule, &gs->entry);
	link->flying -= gs->flying;
	gs->flying = 0;
	link_grant(link, gs, ktime_get_ns());
	spin_unlock_bh(&link->lock);
}

/* Positions become those of the stream: what is pending is counted from where the
 * last expected answer ends.
 */
static void grant_start(struct grant_sock *gs)
{
	const struct tcp_sock *tp = tcp_sk(gs->sk);
	const u32 base = tp->rcv_nxt;
	int i;

	for (i = 0; i < gs->answers; i++)
		gs->answer[i].end += base;
	gs->end += base;
	gs->seen = base;
	gs->edge = base + tp->rcv_wnd;
	WRITE_ONCE(gs->active, jiffies);
	WRITE_ONCE(gs->started, true);
}

/* As grant_release(), and tells the sender. */
static void grant_let_go(struct grant_sock *gs, bool forget)
{
	const bool held = gs->started && gs->link;

	if (gs->released)
		return;
	grant_release(gs, forget);
	if (!held)
		return;
	spin_lock_bh(&gs->link->lock);
	want_ack(gs->link, gs);
	spin_unlock_bh(&gs->link->lock);
}

/* Is it a TCP packet of this connection, and not one that carries it? */
static bool is_own(const struct sock *sk, const struct sk_buff *skb, u8 pf)
{
	unsigned int at = 0;

	if (pf == NFPROTO_IPV4) {
		if (ip_hdr(skb)->protocol != IPPROTO_TCP)
			return false;
	} else if (ipv6_find_hdr(skb, &at, IPPROTO_TCP, NULL, NULL) !=
		   IPPROTO_TCP || at != skb_transport_offset(skb)) {
		return false;
	}
	return tcp_hdr(skb)->source == inet_sk(sk)->inet_sport;
}

/* TCP MD5 (RFC 2385) and AO (RFC 5925) sign the window. */
static bool is_signed(const struct tcphdr *th)
{
	const u8 *opt = (const u8 *)(th + 1), *end = (const u8 *)th + th->doff * 4;

	while (opt < end && *opt != TCPOPT_EOL) {
		if (*opt == TCPOPT_NOP) {
			opt++;
			continue;
		}
		if (*opt == TCPOPT_MD5SIG || *opt == 29)
			return true;
		if (opt + 1 >= end || opt[1] < 2)
			return false;
		opt += opt[1];
	}
	return false;
}

static bool takes_data(const struct sock *sk)
{
	return (1 << sk->sk_state) & (TCPF_ESTABLISHED | TCPF_FIN_WAIT1 |
				      TCPF_FIN_WAIT2);
}

/* The window of a packet that leaves, rounded up to the window scale. The rounding
 * is not remembered: it would add up.
 */
static void grant_window(struct grant_sock *gs, struct sk_buff *skb)
{
	const int scale = tcp_sk(gs->sk)->rx_opt.rcv_wscale;
	struct tcphdr *th = tcp_hdr(skb);
	const u32 ack = ntohl(th->ack_seq);
	u32 want = gs->seen + gs->flying, open, field;

	if (before(want, gs->edge))
		want = gs->edge;
	open = after(want, ack) ? want - ack : 0;
	/* A FIN behind the last byte counts one. Not between answers: a peer that
	 * sends more than was expected would trickle through the rounding.
	 */
	if (gs->answers && gs->entry.where == SCHEDULE_OUT)
		open++;
	field = (open + (1u << scale) - 1) >> scale;
	if (field < ntohs(th->window)) {
		inet_proto_csum_replace2(&th->check, skb, th->window,
					 htons(field), false);
		th->window = htons(field);
	}
	open = ntohs(th->window) << scale;
	if (after(want, ack + open))
		want = ack + open;
	if (after(want, gs->edge))
		gs->edge = want;
}

/* Bytes of data that have come; a FIN counts one in rcv_nxt. */
static u32 received(const struct sock *sk)
{
	return tcp_sk(sk)->rcv_nxt - !!(sk->sk_shutdown & RCV_SHUTDOWN &&
					sk->sk_state != TCP_ESTABLISHED);
}

/* Whole segments, and at least what the window scale can tell apart. */
static u32 unit_of(const struct tcp_sock *tp)
{
	u32 seg = tp->advmss - (tp->rx_opt.tstamp_ok ?
				TCPOLEN_TSTAMP_ALIGNED : 0);

	seg = clamp_t(u32, seg, 64, 65535);
	return DIV_ROUND_UP(1u << tp->rx_opt.rcv_wscale, seg) * seg;
}

/* Accounts for what arrived, grants, and sets the window of the packet. */
static void grant_packet(struct grant_sock *gs, struct sk_buff *skb)
{
	const struct tcp_sock *tp = tcp_sk(gs->sk);
	struct grant_link *link = gs->link;
	const u32 rtt = tcp_min_rtt(tp);
	u64 now_ns = ktime_get_ns();

	spin_lock_bh(&link->lock);
	gs->seg = unit_of(tp);
	link->seg = gs->seg;
	if (rtt && rtt != ~0U && (!link->rtt_us || rtt < link->rtt_us))
		link->rtt_us = rtt;
	grant_arrived(gs, received(gs->sk), now_ns);
	grant_adopt(gs);
	grant_enlist(gs, now_ns);
	link_grant(link, gs, now_ns);
	/* an answer that this grant completes makes place for the next */
	grant_enlist(gs, now_ns);
	grant_window(gs, skb);
	spin_unlock_bh(&link->lock);
}

/* A packet of a socket that is held, with its state locked. */
static void grant_handle(struct grant_sock *gs, struct sk_buff *skb,
			 const struct nf_hook_state *state)
{
	const int data = skb->len - skb_transport_offset(skb) - tcp_hdrlen(skb);
	struct sock *sk = gs->sk;

	if ((1 << sk->sk_state) & (TCPF_SYN_SENT | TCPF_SYN_RECV | TCPF_CLOSE)) {
		/* positions are not known yet, or not any more */
		if (gs->started)
			grant_release(gs, true);
		return;
	}
	if (tcp_hdr(skb)->syn || tcp_hdr(skb)->rst)
		return;
	if (!gs->started)
		grant_start(gs);
	if (!gs->link)
		gs->link = link_of(state->net, skb_dst(skb)->dev->ifindex);
	/* nothing more comes; a request without an expectation; or a packet
	 * whose window cannot be changed
	 */
	if (!gs->link || is_signed(tcp_hdr(skb)) || (!gs->answers && data > 0)) {
		grant_release(gs, true);
		return;
	}
	grant_packet(gs, skb);
	if (!takes_data(sk))
		grant_release(gs, true);
}

/* For every packet that leaves a namespace where a socket has expected. */
static unsigned int grant_out(void *priv, struct sk_buff *skb,
			      const struct nf_hook_state *state)
{
	struct sock *sk = state->sk;
	struct grant_sock *gs;

	if (!sk || !sk_fullsock(sk) || sk->sk_protocol != IPPROTO_TCP)
		return NF_ACCEPT;
	gs = grant_find(sk);
	if (!gs || READ_ONCE(gs->released))
		return NF_ACCEPT;
	if (!pskb_may_pull(skb, skb_transport_offset(skb) +
				sizeof(struct tcphdr)) ||
	    !is_own(sk, skb, state->pf))
		return NF_ACCEPT;
	if (skb_ensure_writable(skb, skb_transport_offset(skb) +
				     tcp_hdrlen(skb)))
		return NF_ACCEPT;
	spin_lock_bh(&gs->lock);
	/* final once the state is about to be freed */
	if (!gs->released)
		grant_handle(gs, skb, state);
	spin_unlock_bh(&gs->lock);
	return NF_ACCEPT;
}

static const struct nf_hook_ops grant_hooks[] = {
	{
		.hook		= grant_out,
		.pf		= NFPROTO_IPV4,
		.hooknum	= NF_INET_LOCAL_OUT,
		.priority	= NF_IP_PRI_LAST,
	}, {
		.hook		= grant_out,
		.pf		= NFPROTO_IPV6,
		.hooknum	= NF_INET_LOCAL_OUT,
		.priority	= NF_IP6_PRI_LAST,
	},
};

/* One socket more in a namespace that may expect. The first brings the hooks, which
 * stay: removing hooks drops the packets that wait in queues of netfilter.
 */
static int net_enter(struct net *net)
{
	struct grant_net *gn = net_generic(net, grant_net_id);
	int err = 0;

	mutex_lock(&grant_hook_mutex);
	if (gn->socks >= GRANT_MOST)
		err = -ENOMEM;
	else if (!gn->hooked)
		err = nf_register_net_hooks(net, grant_hooks,
					    ARRAY_SIZE(grant_hooks));
	if (!err) {
		gn->hooked = true;
		gn->socks++;
	}
	mutex_unlock(&grant_hook_mutex);
	return err;
}

static void net_leave(struct net *net)
{
	struct grant_net *gn = net_generic(net, grant_net_id);

	mutex_lock(&grant_hook_mutex);
	gn->socks--;
	mutex_unlock(&grant_hook_mutex);
}

/**
 * d2tcp_grant_prepare() - get ready to expect answers, before the socket is locked
 * @sk: the socket
 *
 * Return: 0; -ENOPROTOOPT if the module was loaded without it; -ENOMEM.
 */
int d2tcp_grant_prepare(struct sock *sk)
{
	struct grant_sock *gs, *new;
	int err;

	if (!grant_enabled)
		return -ENOPROTOOPT;
	rcu_read_lock();
	gs = grant_find(sk);
	rcu_read_unlock();
	if (gs)
		return 0;
	err = net_enter(sock_net(sk));
	if (err)
		return err;
	new = kzalloc(sizeof(*new), GFP_KERNEL_ACCOUNT);
	if (!new) {
		net_leave(sock_net(sk));
		return -ENOMEM;
	}
	new->sk = sk;
	new->released = true;
	spin_lock_init(&new->lock);
	INIT_LIST_HEAD(&new->ack);
	spin_lock_bh(&grant_table_lock);
	gs = grant_find(sk);
	if (!gs) {
		sock_hold(sk);
		hash_add_rcu(grant_table, &new->node, (unsigned long)sk);
		schedule_delayed_work(&grant_sweeper, GRANT_SWEEP);
	}
	spin_unlock_bh(&grant_table_lock);
	if (gs) {
		/* another thread was first */
		kfree(new);
		net_leave(sock_net(sk));
	}
	return 0;
}

/* The state of a socket, which stays while the program has the socket open. */
static struct grant_sock *grant_of(const struct sock *sk)
{
	struct grant_sock *gs;

	rcu_read_lock();
	gs = grant_find(sk);
	rcu_read_unlock();
	return gs;
}

/* One more answer, behind those that were expected before. */
static int grant_add(struct grant_sock *gs, u64 due_ns, u32 bytes)
{
	struct sock *sk = gs->sk;
	const bool data = takes_data(sk);
	u32 first = data ? tcp_sk(sk)->rcv_nxt : 0, end;

	/* positions of a connection that was disconnected mean nothing now */
	if (!bytes || (gs->started && !data))
		grant_let_go(gs, true);
	if (!bytes)
		return 0;
	/* those of an answer that was let go still come first */
	end = gs->started || (gs->ended && data) ? gs->end : first + gs->end;
	/* more may have come than was expected */
	if (before(end, first))
		end = first;
	if (bytes > S32_MAX - (end - first))
		return -ERANGE;
	if (!gs->started && data) {
		gs->end = 0;
		grant_start(gs);
	}
	gs->ended = false;
	WRITE_ONCE(gs->released, false);
	gs->end = end + bytes;
	if (gs->answers < GRANT_ANSWERS)
		gs->answers++;
	else
		due_ns = min(due_ns, gs->answer[GRANT_ANSWERS - 1].due_ns);
	gs->answer[gs->answers - 1] = (struct grant_answer){
		.due_ns = due_ns, .end = gs->end,
	};
	WRITE_ONCE(gs->active, jiffies);
	return 0;
}

/**
 * d2tcp_grant_expect() - expect one more answer
 * @sk: the socket, locked, after d2tcp_grant_prepare()
 * @due_ns: when it is due
 * @bytes: its length; 0: unknown, the socket is not held then
 *
 * Return: 0; -EINVAL on a listener; -ERANGE if all that is expected would end
 * 2^31 bytes or more beyond what has come.
 */
int d2tcp_grant_expect(struct sock *sk, u64 due_ns, u32 bytes)
{
	struct grant_sock *gs = grant_of(sk);
	int err;

	if (!gs || sk->sk_state == TCP_LISTEN)
		return -EINVAL;
	spin_lock_bh(&gs->lock);
	err = grant_add(gs, due_ns, bytes);
	spin_unlock_bh(&gs->lock);
	if (!err)
		d2tcp_count(sk, D2TCP_STAT_EXPECTED, 1);
	return err;
}

/**
 * d2tcp_grant_stop() - expect nothing any more
 * @sk: the socket, locked
 */
void d2tcp_grant_stop(struct sock *sk)
{
	struct grant_sock *gs = grant_of(sk);
	bool held;

	if (!gs)
		return;
	spin_lock_bh(&gs->lock);
	held = !gs->released && gs->started;
	grant_release(gs, true);
	spin_unlock_bh(&gs->lock);
	if (held)
		send_ack(sk);
}

static bool is_idle(const struct grant_sock *gs)
{
	return !READ_ONCE(gs->released) && READ_ONCE(gs->started) &&
	       time_after(jiffies, READ_ONCE(gs->active) + GRANT_IDLE);
}

/* The next socket of a bucket that is closed or has waited too long, with a
 * reference.
 */
static struct grant_sock *next_to_sweep(int bucket, bool all, bool *dead)
{
	struct grant_sock *gs;

	spin_lock_bh(&grant_table_lock);
	hlist_for_each_entry(gs, &grant_table[bucket], node) {
		*dead = all || sock_flag(gs->sk, SOCK_DEAD);
		if (!*dead && !is_idle(gs))
			continue;
		if (*dead)
			hash_del_rcu(&gs->node);
		sock_hold(gs->sk);
		break;
	}
	spin_unlock_bh(&grant_table_lock);
	return gs;
}

/* Out of the table already, and released: no packet finds it any more. */
static void grant_free(struct grant_sock *gs)
{
	struct sock *sk = gs->sk;

	if (gs->link) {
		spin_lock_bh(&gs->link->lock);
		gs->gone = true;
		if (!list_empty(&gs->ack)) {
			list_del_init(&gs->ack);
			sock_put(sk);
		}
		spin_unlock_bh(&gs->link->lock);
	}
	net_leave(sock_net(sk));
	sock_put(sk);
	kfree_rcu(gs, rcu);
}

static void sweep_one(struct grant_sock *gs, bool dead)
{
	struct sock *sk = gs->sk;
	bool held = false;
	int tries;

	spin_lock_bh(&gs->lock);
	if (dead || is_idle(gs)) {
		held = !gs->released && gs->started;
		if (!gs->released && !dead)
			d2tcp_count(sk, D2TCP_STAT_RELEASED, 1);
		grant_let_go(gs, dead);
	}
	spin_unlock_bh(&gs->lock);
	if (dead) {
		/* its list goes with it; a process may have the socket locked */
		for (tries = 0; held && tries < 20 && !try_ack(sk); tries++)
			usleep_range(1000, 2000);
		grant_free(gs);
	}
	sock_put(sk);
}

/* Lets go sockets that wait too long and forgets those that are closed. With
 * @all, forgets every socket. Returns whether any is left.
 */
static bool sweep(bool all)
{
	struct grant_sock *gs;
	bool dead, left = false;
	int bucket;

	for (bucket = 0; bucket < HASH_SIZE(grant_table); bucket++) {
		while ((gs = next_to_sweep(bucket, all, &dead)))
			sweep_one(gs, dead);
		left |= !hlist_empty(&grant_table[bucket]);
		cond_resched();
	}
	return left;
}

static void grant_sweep(struct work_struct *work)
{
	if (sweep(false) && !READ_ONCE(grant_closing))
		schedule_delayed_work(&grant_sweeper, GRANT_SWEEP);
}

static void free_link(struct grant_link *link)
{
	/* no socket is left that could start them again */
	hrtimer_cancel(&link->timer);
	tasklet_kill(&link->acker);
	cancel_delayed_work_sync(&link->ack_work);
	tasklet_kill(&link->acker);
	kfree(link);
}

static struct grant_link *take_link(const struct net *net)
{
	struct grant_link *link;

	spin_lock_bh(&grant_table_lock);
	list_for_each_entry(link, &grant_links, list) {
		if (link->net != net)
			continue;
		list_del(&link->list);
		spin_unlock_bh(&grant_table_lock);
		return link;
	}
	spin_unlock_bh(&grant_table_lock);
	return NULL;
}

/* No socket of the namespace is left: each held a reference to it. */
static void __net_exit grant_net_exit(struct net *net)
{
	struct grant_net *gn = net_generic(net, grant_net_id);
	struct grant_link *link;

	if (gn->hooked)
		nf_unregister_net_hooks(net, grant_hooks,
					ARRAY_SIZE(grant_hooks));
	while ((link = take_link(net)))
		free_link(link);
}

static struct pernet_operations grant_net_ops = {
	.exit	= grant_net_exit,
	.id	= &grant_net_id,
	.size	= sizeof(struct grant_net),
};

/**
 * d2tcp_grant_register() - when the module is loaded, before the options open
 *
 * Return: 0, or an error of the core.
 */
int d2tcp_grant_register(void)
{
	return grant_enabled ? register_pernet_subsys(&grant_net_ops) : 0;
}

/**
 * d2tcp_grant_unregister() - lets every socket go; the options are closed
 */
void d2tcp_grant_unregister(void)
{
	if (!grant_enabled)
		return;
	/* the sweep starts itself again */
	WRITE_ONCE(grant_closing, true);
	cancel_delayed_work_sync(&grant_sweeper);
	sweep(true);
	unregister_pernet_subsys(&grant_net_ops);
	/* packets of other sockets may still be in the hook's table walk */
	synchronize_net();
}
