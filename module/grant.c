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
 * The request of a program carries the hold, or the first grant, of its answer.
 * A later grant needs an ACK of its own.
 *
 * Locks: the answers and the edge of a socket are protected by the socket lock,
 * which everybody who sends a packet holds. What sockets of a link share is
 * protected by the lock of the link, inside it.
 */
#include <linux/hashtable.h>
#include <linux/hrtimer.h>
#include <linux/interrupt.h>
#include <linux/netfilter.h>
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
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
#define GRANT_UNLIMITED	U32_MAX

/* A device that answers come in through. */
struct grant_link {
	struct list_head list;
	struct net *net;
	int ifindex;

	spinlock_t lock;		/* of all that follows */
	struct schedule schedule;
	struct list_head acks;		/* sockets that need an ACK */
	u64 arrived;			/* bytes, since ever */
	u32 flying;			/* bytes granted and not arrived */
	u32 amount;			/* how many may be */
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
	struct work_struct ack_work;
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
	struct grant_link *link;	/* known from the first packet on */
	struct schedule_entry entry;	/* the link's lock */
	struct list_head ack;		/* the link's lock */
	u32 flying;			/* the link's lock */
	bool gone;			/* the link's lock: about to be freed */
	u32 seg;			/* bytes of a full segment */
	u32 seen;			/* rcv_nxt, as last accounted for */
	u32 edge;			/* advertised; not to be taken back */
	u32 end;			/* of the last answer expected */
	unsigned long active;		/* jiffies of the last news */
	u8 answers;
	bool started;			/* positions are those of the stream */
	bool released;			/* the window is TCP's own */
	struct grant_answer answer[GRANT_ANSWERS];
};

struct grant_net {
	unsigned int socks;		/* that may expect; hooked while any */
};

static unsigned int grant_net_id __read_mostly;
static DEFINE_HASHTABLE(grant_table, 10);
static DEFINE_SPINLOCK(grant_table_lock);	/* the table and the links */
static DEFINE_MUTEX(grant_hook_mutex);
static LIST_HEAD(grant_links);
static bool grant_closing;

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
static u32 link_base(const struct grant_link *link)
{
	if (!link->rate || !link->rtt_us)
		return GRANT_UNLIMITED;
	return (u64)link->rate * link->rtt_us * 3 / 2000 + 16 * link->seg;
}

static u64 link_ns(const struct grant_link *link, u32 bytes)
{
	return (u64)bytes * link->schedule.pace >> 16;
}

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
	u32 room, bytes;

	while ((e = schedule_first(&link->schedule,
				   now_ns + link_ns(link, link->flying)))) {
		gs = container_of(e, struct grant_sock, entry);
		room = link->amount > link->flying ?
			link->amount - link->flying : 0;
		bytes = min(e->need, room);
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
		if (gs != here && list_empty(&gs->ack)) {
			sock_hold(gs->sk);
			list_add_tail(&gs->ack, &link->acks);
		}
	}
	if (!list_empty(&link->acks))
		tasklet_schedule(&link->acker);
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
		link->rates[1] = link->rates[0];
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
	schedule_set_pace(&link->schedule, min_t(u64, pace, U32_MAX));
}

/* How much may be on its way: more while the link is not full and sockets wait,
 * else less, down to the base.
 */
static void link_adapt(struct grant_link *link, u64 now_ns, bool waiting)
{
	u64 could = div64_u64((now_ns - link->tick_ns) * link->rate,
			      NSEC_PER_MSEC);
	u64 arrived = link->arrived - link->tick_arrived;
	u32 base = link_base(link), step = base / 8;

	link->tick_ns = now_ns;
	link->tick_arrived = link->arrived;
	if (base == GRANT_UNLIMITED || link->amount == GRANT_UNLIMITED ||
	    link->amount < base) {
		link->amount = base;
	} else if (waiting && arrived < could * 9 / 10) {
		if (link->amount < GRANT_UNLIMITED / 2)
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

static struct grant_sock *next_ack(struct grant_link *link,
				   struct list_head *from)
{
	struct grant_sock *gs;

	spin_lock_bh(&link->lock);
	gs = list_first_entry_or_null(from, struct grant_sock, ack);
	if (gs)
		list_del_init(&gs->ack);
	spin_unlock_bh(&link->lock);
	return gs;
}

/* Sends the ACKs of grants. A socket that a process has locked is left to a work
 * item, which can wait for it.
 */
static void link_acks(struct tasklet_struct *t)
{
	struct grant_link *link = container_of(t, struct grant_link, acker);
	struct grant_sock *gs;
	struct sock *sk;

	/* the socket stays by its reference, and @gs by RCU */
	rcu_read_lock();
	while ((gs = next_ack(link, &link->acks))) {
		sk = gs->sk;
		bh_lock_sock(sk);
		if (!sock_owned_by_user(sk)) {
			send_ack(sk);
			bh_unlock_sock(sk);
			sock_put(sk);
			continue;
		}
		bh_unlock_sock(sk);
		spin_lock_bh(&link->lock);
		/* not if it was granted again meanwhile */
		if (!gs->gone && list_empty(&gs->ack))
			list_add_tail(&gs->ack, &link->late_acks);
		else
			sock_put(sk);
		spin_unlock_bh(&link->lock);
		schedule_work(&link->ack_work);
	}
	rcu_read_unlock();
}

static void link_late_acks(struct work_struct *work)
{
	struct grant_link *link = container_of(work, struct grant_link,
					       ack_work);
	struct grant_sock *gs;
	struct sock *sk;

	while ((gs = next_ack(link, &link->late_acks))) {
		sk = gs->sk;
		lock_sock(sk);
		send_ack(sk);
		release_sock(sk);
		sock_put(sk);
	}
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
	INIT_WORK(&link->ack_work, link_late_acks);
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
}

/* Accounts for what has arrived. */
static void grant_arrived(struct grant_sock *gs, u32 rcv_nxt, u64 now_ns)
{
	struct grant_link *link = gs->link;
	u32 bytes = rcv_nxt - gs->seen, granted, early;

	if (!bytes)
		return;
	gs->seen = rcv_nxt;
	gs->active = jiffies;
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
	gs->link->flying += open - gs->flying;
	gs->flying = open;
}

/* Out of the schedule; its window is TCP's own from now on. */
static void grant_release(struct grant_sock *gs)
{
	struct grant_link *link = gs->link;

	if (link) {
		spin_lock_bh(&link->lock);
		schedule_remove(&link->schedule, &gs->entry);
		link->flying -= gs->flying;
		gs->flying = 0;
		link_grant(link, gs, ktime_get_ns());
		spin_unlock_bh(&link->lock);
	}
	gs->answers = 0;
	gs->end = 0;
	gs->started = false;
	/* the sweep reads it without the socket lock */
	WRITE_ONCE(gs->released, true);
}

/* The connection is established: positions become those of its stream. */
static void grant_start(struct grant_sock *gs)
{
	const struct tcp_sock *tp = tcp_sk(gs->sk);
	int i;

	for (i = 0; i < gs->answers; i++)
		gs->answer[i].end += tp->rcv_nxt;
	gs->end += tp->rcv_nxt;
	gs->seen = tp->rcv_nxt;
	gs->edge = tp->rcv_wup + tp->rcv_wnd;
	gs->active = jiffies;
	gs->started = true;
}

/* As grant_release(), and tells the sender. */
static void grant_let_go(struct grant_sock *gs)
{
	const bool held = gs->started;

	if (gs->released)
		return;
	grant_release(gs);
	if (held)
		send_ack(gs->sk);
}

/* Is it a packet of this connection, and not one that carries it in a tunnel? */
static bool is_own(const struct sock *sk, const struct sk_buff *skb, u8 pf)
{
	const struct inet_sock *inet = inet_sk(sk);
	const struct tcphdr *th = tcp_hdr(skb);

	if (pf == NFPROTO_IPV4 ? ip_hdr(skb)->protocol != IPPROTO_TCP :
				 ipv6_hdr(skb)->nexthdr != IPPROTO_TCP)
		return false;
	return th->source == inet->inet_sport && th->dest == inet->inet_dport;
}

static bool takes_data(const struct sock *sk)
{
	return (1 << sk->sk_state) & (TCPF_ESTABLISHED | TCPF_FIN_WAIT1 |
				      TCPF_FIN_WAIT2);
}

/* The window of a packet that leaves. */
static void grant_window(struct grant_sock *gs, struct sk_buff *skb)
{
	const struct tcp_sock *tp = tcp_sk(gs->sk);
	const int scale = tp->rx_opt.rcv_wscale;
	u32 ack, want, field;
	struct tcphdr *th;

	if (skb_ensure_writable(skb, skb_transport_offset(skb) + sizeof(*th)))
		return;
	th = tcp_hdr(skb);
	if (th->syn || th->rst)
		return;
	ack = ntohl(th->ack_seq);
	want = gs->seen + gs->flying;
	if (before(want, gs->edge))
		want = gs->edge;
	field = before(ack, want) ? (want - ack + (1 << scale) - 1) >> scale : 0;
	if (field < ntohs(th->window))
		th->window = htons(field);
	want = ack + (ntohs(th->window) << scale);
	if (after(want, gs->edge))
		gs->edge = want;
}

/* Accounts for what arrived, grants, and sets the window of the packet. */
static void grant_packet(struct grant_sock *gs, struct sk_buff *skb)
{
	const struct tcp_sock *tp = tcp_sk(gs->sk);
	struct grant_link *link = gs->link;
	const u32 rtt = tcp_min_rtt(tp);
	u64 now_ns = ktime_get_ns();

	gs->seg = max(tp->advmss - (tp->rx_opt.tstamp_ok ?
				    TCPOLEN_TSTAMP_ALIGNED : 0), 64);
	spin_lock_bh(&link->lock);
	link->seg = gs->seg;
	if (rtt && rtt != ~0U && (!link->rtt_us || rtt < link->rtt_us))
		link->rtt_us = rtt;
	grant_arrived(gs, tp->rcv_nxt, now_ns);
	grant_adopt(gs);
	grant_enlist(gs, now_ns);
	link_grant(link, gs, now_ns);
	/* an answer that this grant completes makes place for the next */
	grant_enlist(gs, now_ns);
	grant_window(gs, skb);
	spin_unlock_bh(&link->lock);
}

/* For every packet that leaves a namespace where a socket expects answers. Its
 * socket is locked by whoever sends it.
 */
static unsigned int grant_out(void *priv, struct sk_buff *skb,
			      const struct nf_hook_state *state)
{
	struct sock *sk = state->sk;
	struct grant_sock *gs;

	if (!sk || !sk_fullsock(sk) || sk->sk_protocol != IPPROTO_TCP)
		return NF_ACCEPT;
	gs = grant_find(sk);
	if (!gs || gs->released || !is_own(sk, skb, state->pf))
		return NF_ACCEPT;
	if (!takes_data(sk)) {
		/* before the handshake is over positions are not known */
		if (gs->started)
			grant_release(gs);
		return NF_ACCEPT;
	}
	if (!gs->started)
		grant_start(gs);
	/* a request without an expectation */
	if (!gs->answers && skb->len > skb_transport_offset(skb) +
				       tcp_hdrlen(skb)) {
		grant_release(gs);
		return NF_ACCEPT;
	}
	if (!gs->link)
		gs->link = link_of(state->net, skb_dst(skb)->dev->ifindex);
	if (gs->link)
		grant_packet(gs, skb);
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

/* One socket more in a namespace that may expect; the first brings the hooks. */
static int net_enter(struct net *net)
{
	struct grant_net *gn = net_generic(net, grant_net_id);
	int err = 0;

	mutex_lock(&grant_hook_mutex);
	if (gn->socks >= GRANT_MOST)
		err = -ENOMEM;
	else if (!gn->socks)
		err = nf_register_net_hooks(net, grant_hooks,
					    ARRAY_SIZE(grant_hooks));
	if (!err)
		gn->socks++;
	mutex_unlock(&grant_hook_mutex);
	return err;
}

static void net_leave(struct net *net)
{
	struct grant_net *gn = net_generic(net, grant_net_id);

	mutex_lock(&grant_hook_mutex);
	if (!--gn->socks)
		nf_unregister_net_hooks(net, grant_hooks,
					ARRAY_SIZE(grant_hooks));
	mutex_unlock(&grant_hook_mutex);
}

/**
 * d2tcp_grant_prepare() - get ready to expect answers, before the socket is locked
 * @sk: the socket
 *
 * Return: 0, or -ENOMEM.
 */
int d2tcp_grant_prepare(struct sock *sk)
{
	struct grant_sock *gs, *new;
	int err;

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
	INIT_LIST_HEAD(&new->ack);
	spin_lock_bh(&grant_table_lock);
	gs = grant_find(sk);
	if (!gs) {
		sock_hold(sk);
		hash_add_rcu(grant_table, &new->node, (unsigned long)sk);
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
	u32 first, end;

	if (!gs || sk->sk_state == TCP_LISTEN)
		return -EINVAL;
	/* positions of a connection that was disconnected mean nothing now */
	if (!bytes || (gs->started && !takes_data(sk)))
		grant_release(gs);
	first = takes_data(sk) ? tcp_sk(sk)->rcv_nxt : 0;
	end = gs->started ? gs->end : first + gs->end;
	/* more may have come than was expected */
	if (before(end, first))
		end = first;
	if (bytes > S32_MAX - (end - first))
		return -ERANGE;
	d2tcp_count(sk, D2TCP_STAT_EXPECTED, 1);
	if (!bytes)
		return 0;
	if (!gs->started && takes_data(sk))
		grant_start(gs);
	/* the sweep reads it without the socket lock */
	WRITE_ONCE(gs->released, false);
	gs->end = end + bytes;
	if (gs->answers < GRANT_ANSWERS)
		gs->answers++;
	else
		due_ns = min(due_ns, gs->answer[GRANT_ANSWERS - 1].due_ns);
	gs->answer[gs->answers - 1] = (struct grant_answer){
		.due_ns = due_ns, .end = gs->end,
	};
	gs->active = jiffies;
	return 0;
}

/**
 * d2tcp_grant_stop() - expect nothing any more
 * @sk: the socket, locked
 */
void d2tcp_grant_stop(struct sock *sk)
{
	struct grant_sock *gs = grant_of(sk);

	if (gs)
		grant_let_go(gs);
}

/* The next socket that is closed or has waited too long, with a reference. */
static struct grant_sock *next_to_sweep(bool all, bool *dead)
{
	struct grant_sock *gs;
	struct hlist_node *tmp;
	int bucket;

	spin_lock_bh(&grant_table_lock);
	hash_for_each_safe(grant_table, bucket, tmp, gs, node) {
		*dead = all || sock_flag(gs->sk, SOCK_DEAD);
		/* the socket lock is taken later; this is only a first look */
		if (!*dead && (READ_ONCE(gs->released) ||
			       !READ_ONCE(gs->started) ||
			       time_before(jiffies, READ_ONCE(gs->active) +
					   GRANT_IDLE)))
			continue;
		if (*dead)
			hash_del_rcu(&gs->node);
		sock_hold(gs->sk);
		spin_unlock_bh(&grant_table_lock);
		return gs;
	}
	spin_unlock_bh(&grant_table_lock);
	return NULL;
}

/* Out of the table already, and released: nobody finds it any more. */
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

/* Lets go sockets that wait too long and forgets those that are closed. With
 * @all, forgets every socket.
 */
static void sweep(bool all)
{
	struct grant_sock *gs;
	struct sock *sk;
	bool dead;

	while ((gs = next_to_sweep(all, &dead))) {
		sk = gs->sk;
		lock_sock(sk);
		if (!gs->released)
			d2tcp_count(sk, D2TCP_STAT_RELEASED, 1);
		grant_let_go(gs);
		release_sock(sk);
		if (dead)
			grant_free(gs);
		sock_put(sk);
		cond_resched();
	}
}

static void grant_sweep(struct work_struct *work);
static DECLARE_DELAYED_WORK(grant_sweeper, grant_sweep);

static void grant_sweep(struct work_struct *work)
{
	sweep(false);
	if (!READ_ONCE(grant_closing))
		schedule_delayed_work(&grant_sweeper, GRANT_SWEEP);
}

static void free_link(struct grant_link *link)
{
	hrtimer_cancel(&link->timer);
	tasklet_kill(&link->acker);
	cancel_work_sync(&link->ack_work);
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
	struct grant_link *link;

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
	int err = register_pernet_subsys(&grant_net_ops);

	if (!err)
		schedule_delayed_work(&grant_sweeper, GRANT_SWEEP);
	return err;
}

/**
 * d2tcp_grant_unregister() - lets every socket go; the options are closed
 */
void d2tcp_grant_unregister(void)
{
	/* the sweep starts itself again */
	WRITE_ONCE(grant_closing, true);
	cancel_delayed_work_sync(&grant_sweeper);
	sweep(true);
	unregister_pernet_subsys(&grant_net_ops);
	/* packets of other sockets may still be in the hook's table walk */
	synchronize_net();
}
