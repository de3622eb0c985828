// SPDX-License-Identifier: GPL-2.0
/*
 * The receiver's side. A program declares the answers that it expects on a socket
 * and their deadlines (D2TCP_EXPECT). The answers that arrive over one device share
 * its link and are granted in the order of schedule.c. The receive window enforces
 * the grants: whatever its congestion control, a sender may send up to the right
 * edge of the window that its receiver advertised last. docs/receiver.md describes
 * the mechanism and its limits.
 *
 * The window is lowered in packets as they leave, in a netfilter hook, so that
 * TCP's own state is not touched. The edge of a socket never moves back:
 *
 *	edge = max(edge advertised before, received + granted)
 *
 * except by the rounding to the window scale, which RFC 7323 (section 2.4) permits.
 *
 * The request of a program carries the hold, or the first grant, of its answer.
 * A later grant needs an ACK of its own.
 *
 * Locks: the state of a socket has a lock of its own, since a packet may pass the
 * hook without the socket lock: one that came back from a queue of netfilter, or
 * that a VRF device sends. The lock of the link (link.c) is inside it.
 */
#include <linux/hashtable.h>
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
#include <net/mptcp.h>
#include <net/tcp.h>
#include "compat.h"
#include "grant.h"
#include "grant_net.h"
#include "link.h"
#include "stats.h"
#include "trace.h"
#include "uapi/d2tcp.h"

#define GRANT_LISTENERS	256		/* max visited per accepted socket */
#define GRANT_FAR_US	20000	/* min round trip of a far connection */
#define GRANT_ANSWERS	8		/* max per socket; further ones are merged */
#define GRANT_SWEEP	(HZ / 20 ?: 1)	/* between two sweeps of all sockets */
/* A socket is released after this time without expected data. */
#define GRANT_IDLE	(HZ / 5 ?: 1)
/* Bytes of an answer of unknown length to schedule while the rate of the link is
 * unknown: the usual initial receive window.
 */
#define GRANT_CHUNK	65536

/* The bytes of an answer. The length is unknown while start is end. */
struct grant_answer {
	u64 due_ns;
	u32 start;
	u32 end;			/* one after its last byte */
};

/* How far the handshake of a socket that advertises no window before its first request
 * has come.
 */
enum grant_shut {
	GRANT_OPEN,			/* it advertised one */
	GRANT_SHUT_SYN,			/* the SYN has left */
	GRANT_SHUT_ACK,			/* and the ACK of the handshake */
};

/* A socket that expects answers; holds a reference to it. */
struct grant_sock {
	struct hlist_node node;
	struct rcu_head rcu;
	struct sock *sk;
	spinlock_t lock;		/* of all fields but @ls */
	u64 ended_bytes;		/* received when it was released */
	struct d2tcp_link *link;	/* known from the first packet on */
	struct link_sock ls;		/* under the link's lock */
	u32 edge;			/* advertised, before rounding */
	u32 end;			/* of the last answer, as far as known */
	unsigned long active;		/* jiffies of the last data or expectation */
	u8 answers;
	bool started;			/* positions are sequence numbers */
	bool ended;			/* released, but @end is still valid */
	bool released;			/* the window is TCP's own */
	bool standing;			/* an answer to every request is expected */
	bool by_default;		/* set by the namespace's default */
	bool asked_known;
	bool first_ask;			/* no byte of the answer was scheduled yet */
	bool own;			/* the program declared the answer itself */
	bool disordered;		/* segments wait behind a lost one */
	enum grant_shut shut;
	u32 asked;			/* one after the last byte sent */
	u32 met, missed, waited;	/* answers; releases after silence */
	/* protected by the lock of grant_net too */
	u32 standing_bytes;
	u64 standing_ns;
	struct list_head inherit;
	struct grant_answer answer[GRANT_ANSWERS];
};

static DEFINE_HASHTABLE(grant_table, 10);
static DEFINE_SPINLOCK(grant_table_lock);
static bool grant_closing;		/* grant_table_lock */

static void grant_sweep(struct work_struct *work);
static DECLARE_DELAYED_WORK(grant_sweeper, grant_sweep);

/* Off by default: docs/receiver.md lists the known limits. */
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

/* --- a socket ------------------------------------------------------------------ */

static bool is_open(const struct grant_answer *a)
{
	return a->start == a->end;
}

/* The last answer if its length is unknown, else NULL. Only the last one may be. */
static const struct grant_answer *open_of(const struct grant_sock *gs)
{
	const struct grant_answer *last;

	if (!gs->answers)
		return NULL;
	last = &gs->answer[gs->answers - 1];
	return is_open(last) ? last : NULL;
}

/* Has any byte of an answer of unknown length arrived? */
static bool has_begun(const struct grant_sock *gs, const struct grant_answer *open)
{
	return gs->started && after(gs->ls.seen, open->start);
}

/* The end of an answer. One of unknown length is taken to end twice the base of the
 * link beyond the bytes that have arrived. With less, the next answer would share the
 * link with it whenever the limit is above the base; more would reserve time on the
 * link that the answer may not need.
 */
static u32 end_of(const struct grant_sock *gs, const struct grant_answer *a)
{
	const u32 seg = gs->ls.seg;
	u32 chunk;

	if (!is_open(a))
		return a->end;
	chunk = 2 * link_base(gs->link) ?: GRANT_CHUNK;
	chunk = max(chunk - chunk % seg, seg);
	return (has_begun(gs, a) ? gs->ls.seen : a->start) + chunk;
}

/* Schedules the bytes of the first answer that are not granted yet or, when all of
 * it is granted, those of the second.
 */
static void grant_ask(struct grant_sock *gs, u64 now_ns)
{
	const struct grant_answer *a;
	u32 left, i;

	if (gs->ls.entry.where != SCHEDULE_OUT)
		return;
	for (i = 0; i < min_t(u32, gs->answers, 2); i++) {
		a = &gs->answer[i];
		left = end_of(gs, a) - gs->ls.seen;
		if (left <= gs->ls.flying)
			continue;
		left -= gs->ls.flying;
		/* this is not the real end of the answer: whole segments only */
		if (is_open(a))
			left -= left % gs->ls.seg;
		if (!left)
			return;
		gs->first_ask |= gs->ls.start != a->start;
		gs->ls.start = a->start;
		link_ask(gs->link, &gs->ls, a->due_ns, left, now_ns);
		return;
	}
}

/* The ACK of an odd segment is delayed, and only then is the segment accounted for
 * here; its time of arrival is known to a jiffy.
 */
static u64 arrival_ns(const struct grant_sock *gs, u64 now_ns)
{
	u32 ago = tcp_jiffies32 - inet_csk(gs->sk)->icsk_ack.lrcvtime;

	return now_ns - jiffies_to_nsecs(ago);
}

/* An answer has ended with the last byte that arrived. */
static void grant_judge(struct grant_sock *gs, const struct grant_answer *a,
			u64 now_ns)
{
	const u64 then_ns = arrival_ns(gs, now_ns);
	const bool met = then_ns <= a->due_ns;

	trace_d2tcp_expected(gs->sk, then_ns - a->due_ns,
			     (is_open(a) ? gs->ls.seen : a->end) - a->start,
			     gs->answers - 1);
	gs->met += met;
	gs->missed += !met;
	d2tcp_count(gs->sk, met ? D2TCP_STAT_EXPECT_MET :
		    D2TCP_STAT_EXPECT_MISSED, 1);
}

/* Counts and traces an answer whose request this packet carries and which is not
 * wholly granted.
 */
static void grant_held(struct grant_sock *gs, u64 now_ns)
{
	const struct link_sock *ls = &gs->ls;
	const struct grant_answer *a;
	int i;

	if (!gs->first_ask)
		return;
	gs->first_ask = false;
	if (ls->entry.where == SCHEDULE_OUT)
		return;
	d2tcp_count(gs->sk, D2TCP_STAT_BYTES_HELD, ls->entry.need);
	for (i = 0; i < gs->answers; i++) {
		a = &gs->answer[i];
		if (a->start == ls->start)
			trace_d2tcp_hold(gs->sk, a->due_ns - now_ns,
					 a->end - a->start,
					 ls->seen + ls->flying - a->start,
					 link_flying(gs->link));
	}
}

static void grant_settle(struct grant_sock *gs, u64 now_ns)
{
	bool settled = false;

	while (gs->answers && !is_open(&gs->answer[0]) &&
	       !before(gs->ls.seen, gs->answer[0].end)) {
		grant_judge(gs, &gs->answer[0], now_ns);
		gs->answers--;
		memmove(gs->answer, gs->answer + 1,
			gs->answers * sizeof(gs->answer[0]));
		settled = true;
	}
	/* a window open beyond the end is not lost: the edge has it */
	if (settled)
		link_settled(gs->link, &gs->ls, !gs->answers);
}

/* Segments behind a lost one are received all at once when it arrives. Counted as
 * arrivals of that moment, they would make the link look faster than it is. The
 * first of them causes an ACK, so the queue is seen here before it is empty again.
 */
static u32 timely_of(struct grant_sock *gs, u32 bytes)
{
	const struct tcp_sock *tp = tcp_sk(gs->sk);
	const bool before = gs->disordered;

	gs->disordered = !RB_EMPTY_ROOT(&tp->out_of_order_queue);
	if (!before && !gs->disordered)
		return bytes;
	return min_t(u32, bytes, max_t(u32, tp->advmss, 64));
}

/* Accounts for what has arrived. */
static void grant_arrived(struct grant_sock *gs, u32 rcv_nxt, u64 now_ns)
{
	u32 bytes = rcv_nxt - gs->ls.seen, timely = timely_of(gs, bytes);

	/* read without the socket lock, rcv_nxt may be older than the last one */
	if (!after(rcv_nxt, gs->ls.seen))
		return;
	gs->ls.seen = rcv_nxt;
	/* bytes that were not expected do not keep the socket held */
	if (gs->answers)
		WRITE_ONCE(gs->active, jiffies);
	link_arrived(gs->link, &gs->ls, bytes, timely, now_ns);
	grant_settle(gs, now_ns);
}

/* Counts bytes that an earlier window permits, and that have not arrived, as
 * granted.
 */
static void grant_adopt(struct grant_sock *gs, u64 now_ns)
{
	u32 open, left;

	if (!gs->answers || !after(gs->edge, gs->ls.seen))
		return;
	open = gs->edge - gs->ls.seen;
	left = end_of(gs, &gs->answer[gs->answers - 1]) - gs->ls.seen;
	link_adopt(gs->link, &gs->ls, min(open, left), now_ns);
}

/* Removes a socket from the schedule and returns its window to TCP. @forget: discard
 * the end of the last answer too, so that the next answer starts at the next byte.
 */
static void grant_release(struct grant_sock *gs, bool forget)
{
	const struct grant_answer *open = open_of(gs);

	if (open && has_begun(gs, open))
		grant_judge(gs, open, ktime_get_ns());
	gs->answers = 0;
	gs->own = false;
	gs->shut = GRANT_OPEN;
	if (forget)
		gs->end = 0;
	gs->ended = !forget && gs->started;
	gs->ended_bytes = READ_ONCE(tcp_sk(gs->sk)->bytes_received);
	gs->started = false;
	/* read without the lock too */
	WRITE_ONCE(gs->released, true);
	if (!gs->link)
		return;
	link_lock(gs->link);
	link_leave(gs->link, &gs->ls);
	link_grant(gs->link, &gs->ls, ktime_get_ns());
	link_unlock(gs->link);
}

/* Converts positions, which are counted from 0 until rcv_nxt is known, to sequence
 * numbers.
 */
static void grant_start(struct grant_sock *gs)
{
	const struct tcp_sock *tp = tcp_sk(gs->sk);
	const u32 base = tp->rcv_nxt;
	int i;

	for (i = 0; i < gs->answers; i++) {
		gs->answer[i].start += base;
		gs->answer[i].end += base;
	}
	gs->end += base;
	gs->ls.seen = base;
	gs->edge = base + (gs->shut == GRANT_OPEN ? tp->rcv_wnd : 0);
	gs->ls.narrow = gs->shut != GRANT_OPEN;
	gs->shut = GRANT_OPEN;
	WRITE_ONCE(gs->active, jiffies);
	WRITE_ONCE(gs->started, true);
}

/* May its peer have seen a window that is smaller than TCP's own? */
static bool is_held(const struct grant_sock *gs)
{
	return gs->shut == GRANT_SHUT_ACK || (!gs->released && gs->started);
}

/* Like grant_release(), and sends an ACK that opens the sender's window. */
static void grant_let_go(struct grant_sock *gs, bool forget)
{
	const bool held = gs->started && gs->link;

	if (gs->released)
		return;
	grant_release(gs, forget);
	if (!held)
		return;
	link_lock(gs->link);
	link_want_ack(gs->link, &gs->ls);
	link_unlock(gs->link);
}

static bool takes_data(const struct sock *sk)
{
	return (1 << sk->sk_state) & (TCPF_ESTABLISHED | TCPF_FIN_WAIT1 |
				      TCPF_FIN_WAIT2);
}

/* The end of the received data; a FIN counts one in rcv_nxt. */
static u32 received(const struct sock *sk)
{
	return tcp_sk(sk)->rcv_nxt - sock_flag(sk, SOCK_DONE);
}

/* Accounts for data that arrived since the last packet left. */
static void grant_catch_up(struct grant_sock *gs)
{
	if (!gs->started || !gs->link || !takes_data(gs->sk))
		return;
	link_lock(gs->link);
	grant_arrived(gs, received(gs->sk), ktime_get_ns());
	link_unlock(gs->link);
}

/* Ends an answer of unknown length, because the next request follows it. */
static void grant_end_open(struct grant_sock *gs, u64 now_ns)
{
	const struct grant_answer *open = open_of(gs);

	if (!open || !has_begun(gs, open))
		return;
	grant_judge(gs, open, now_ns);
	gs->answers--;
	gs->end = gs->ls.seen;
	link_settled(gs->link, &gs->ls, true);
	link_leave(gs->link, &gs->ls);
}

/* Appends an answer that starts at @start. */
static void grant_append(struct grant_sock *gs, u64 due_ns, u32 start, u32 bytes)
{
	struct grant_answer *last;

	gs->ended = false;
	WRITE_ONCE(gs->released, false);
	gs->end = start + bytes;
	WRITE_ONCE(gs->active, jiffies);
	if (gs->answers < GRANT_ANSWERS) {
		gs->answer[gs->answers++] = (struct grant_answer){
			.due_ns = due_ns, .start = start, .end = gs->end,
		};
		return;
	}
	/* merged with the last one; of unknown length if the new one is */
	last = &gs->answer[GRANT_ANSWERS - 1];
	last->due_ns = min(due_ns, last->due_ns);
	last->end = gs->end;
	if (!bytes)
		last->start = gs->end;
}

/* Discards positions of an earlier connection, and those more than 2^31 bytes old. */
static void grant_forget_old(struct grant_sock *gs, bool data)
{
	const u64 bytes = tcp_sk(gs->sk)->bytes_received;

	if (gs->started && !data)
		grant_let_go(gs, true);
	if (gs->ended && (!data || bytes - gs->ended_bytes > S32_MAX)) {
		gs->ended = false;
		gs->end = 0;
	}
}

/* Appends an answer behind those that are expected already. */
static int grant_add(struct grant_sock *gs, u64 due_ns, u32 bytes)
{
	struct sock *sk = gs->sk;
	const bool data = takes_data(sk);
	u32 first = data ? tcp_sk(sk)->rcv_nxt : 0, end;

	grant_forget_old(gs, data);
	/* the rest of a released answer still arrives first */
	end = gs->started || (gs->ended && data) ? gs->end : first + gs->end;
	/* more bytes may have arrived than were expected */
	if (before(end, first))
		end = first;
	if (bytes > S32_MAX - (end - first))
		return -ERANGE;
	grant_catch_up(gs);
	if (gs->link) {
		link_lock(gs->link);
		grant_end_open(gs, ktime_get_ns());
		link_unlock(gs->link);
	}
	/* no byte of it has arrived: the boundary is unknown, so merge both */
	if (open_of(gs)) {
		gs->answer[gs->answers - 1].due_ns =
			min(due_ns, open_of(gs)->due_ns);
		WRITE_ONCE(gs->active, jiffies);
		return 0;
	}
	if (!gs->started && data) {
		gs->end = 0;
		grant_start(gs);
	}
	grant_append(gs, due_ns, end, bytes);
	return 0;
}

/* --- standing expectations -------------------------------------------------------- */

/* Sets *ns to the standing expectation in force; false if there is none. */
static bool standing_of(const struct grant_sock *gs, u64 *ns)
{
	const struct grant_net *gn = grant_net_of(sock_net(gs->sk));

	*ns = gs->by_default ?
		(u64)READ_ONCE(gn->default_us) * NSEC_PER_USEC : gs->standing_ns;
	return gs->standing && (*ns || !gs->by_default);
}

/* Does the packet carry data that was never sent before? Data sent before the
 * expectation was set lies before gs->asked; if that is unknown, this is the first
 * packet.
 */
static bool is_new_data(struct grant_sock *gs, u32 seq, int data)
{
	if (!gs->asked_known)
		gs->asked = seq;
	gs->asked_known = true;
	if (!after(seq + data, gs->asked))
		return false;
	gs->asked = seq + data;
	return true;
}

/* New data leaves while a standing expectation is in force. It is a new request if no
 * answer is outstanding, or if an answer of unknown length has begun, which it ends.
 * Before the answer has begun, it is the rest of the last request. During an answer of
 * known length it is a pipelined request, and the number of bytes still to arrive is
 * unknown: release the socket, unless the program declared the outstanding answer
 * itself.
 */
static void grant_request(struct grant_sock *gs, u64 ns)
{
	bool begun;

	if (!takes_data(gs->sk))
		return;
	grant_catch_up(gs);
	begun = gs->started && gs->answers &&
		after(gs->ls.seen, gs->answer[0].start);
	if (gs->answers && !(begun && open_of(gs) == &gs->answer[0])) {
		if (begun && !gs->own)
			grant_release(gs, true);
		return;
	}
	gs->own = false;
	if (!grant_add(gs, ktime_get_ns() + ns, gs->standing_bytes))
		d2tcp_count(gs->sk, D2TCP_STAT_EXPECTED, 1);
}

/* Sets or (@standing false) ends the standing expectation. Children inherit it from
 * their listener, so listeners, and sockets that may still listen, are on a list.
 */
static void set_standing(struct grant_sock *gs, bool standing, u64 ns, u32 bytes)
{
	struct grant_net *gn = grant_net_of(sock_net(gs->sk));
	const bool may_listen = (1 << gs->sk->sk_state) &
				(TCPF_LISTEN | TCPF_CLOSE);

	spin_lock_bh(&gn->lock);
	gs->standing_ns = ns;
	gs->standing_bytes = bytes;
	gs->by_default = false;
	WRITE_ONCE(gs->standing, standing);
	list_del_init(&gs->inherit);
	if (standing && may_listen)
		list_add(&gs->inherit, &gn->listeners);
	spin_unlock_bh(&gn->lock);
}

/* A socket that connects has no children. */
static void disinherit(struct grant_sock *gs)
{
	struct grant_net *gn = grant_net_of(sock_net(gs->sk));

	if (list_empty(&gs->inherit))
		return;
	spin_lock_bh(&gn->lock);
	list_del_init(&gs->inherit);
	spin_unlock_bh(&gn->lock);
}

/* May the socket have come from this listener? */
static bool is_child(const struct sock *sk, const struct sock *listener)
{
	if (listener->sk_state != TCP_LISTEN ||
	    listener->sk_family != sk->sk_family ||
	    inet_sk(listener)->inet_num != inet_sk(sk)->inet_num ||
	    (listener->sk_bound_dev_if &&
	     listener->sk_bound_dev_if != sk->sk_bound_dev_if))
		return false;
#if IS_ENABLED(CONFIG_IPV6)
	if (sk->sk_family == AF_INET6)
		return ipv6_addr_any(&listener->sk_v6_rcv_saddr) ||
		       ipv6_addr_equal(&listener->sk_v6_rcv_saddr,
				       &sk->sk_v6_rcv_saddr);
#endif
	return !listener->sk_rcv_saddr ||
	       listener->sk_rcv_saddr == sk->sk_rcv_saddr;
}

/* Copies the standing expectation of an accepted socket's listener. The kernel keeps
 * no reference to it, so take a listener on the same port and address.
 */
static bool inherit(struct grant_sock *gs, struct grant_net *gn)
{
	const struct grant_sock *from;
	int n = GRANT_LISTENERS;
	bool found = false;

	if (!((1 << gs->sk->sk_state) & (TCPF_ESTABLISHED | TCPF_CLOSE_WAIT)))
		return false;
	spin_lock_bh(&gn->lock);
	list_for_each_entry(from, &gn->listeners, inherit) {
		if (!n--)
			break;
		if (!is_child(gs->sk, from->sk))
			continue;
		gs->standing_ns = from->standing_ns;
		gs->standing_bytes = from->standing_bytes;
		gs->standing = true;
		found = true;
		break;
	}
	spin_unlock_bh(&gn->lock);
	return found;
}

/* --- the table ------------------------------------------------------------------------ */

/* Allocates the state of a socket and counts it towards expect_max. */
static struct grant_sock *grant_alloc(struct sock *sk, gfp_t gfp)
{
	struct grant_net *gn = grant_net_of(sock_net(sk));
	struct grant_sock *gs;

	if (!grant_net_enter(gn))
		return NULL;
	gs = kzalloc(sizeof(*gs), gfp);
	if (!gs) {
		grant_net_leave(gn);
		return NULL;
	}
	gs->sk = sk;
	gs->released = true;
	spin_lock_init(&gs->lock);
	INIT_LIST_HEAD(&gs->inherit);
	link_init_sock(&gs->ls, sk);
	return gs;
}

/* Adds new state to the table. If another thread was first, its state is used; while
 * the module is being unloaded none is added.
 */
static struct grant_sock *grant_insert(struct grant_sock *new)
{
	struct grant_sock *gs;

	spin_lock_bh(&grant_table_lock);
	gs = grant_find(new->sk);
	if (!gs && !grant_closing) {
		gs = new;
		sock_hold(gs->sk);
		hash_add_rcu(grant_table, &gs->node, (unsigned long)gs->sk);
		schedule_delayed_work(&grant_sweeper, GRANT_SWEEP);
	}
	spin_unlock_bh(&grant_table_lock);
	if (gs != new) {
		grant_net_leave(grant_net_of(sock_net(new->sk)));
		kfree(new);
	}
	return gs;
}

/* --- packets ------------------------------------------------------------------------ */

/* Is it a TCP segment of this connection, and not the outer packet of a tunnel? */
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

static void set_field(struct sk_buff *skb, u16 field)
{
	struct tcphdr *th = tcp_hdr(skb);

	inet_proto_csum_replace2(&th->check, skb, th->window, htons(field),
				 false);
	th->window = htons(field);
}

/* Sets the window of a packet that leaves, rounded up to the window scale. The edge
 * does not include the rounding, which would add up.
 */
static void grant_window(struct grant_sock *gs, struct sk_buff *skb)
{
	const int scale = tcp_sk(gs->sk)->rx_opt.rcv_wscale;
	const struct tcphdr *th = tcp_hdr(skb);
	const u32 ack = ntohl(th->ack_seq);
	u32 want = gs->ls.seen + gs->ls.flying, open, field;

	if (before(want, gs->edge))
		want = gs->edge;
	/* Leave room for a FIN, which counts one; that room stays, since the edge
	 * must not move back.
	 */
	if (gs->answers && !open_of(gs) &&
	    gs->ls.entry.where == SCHEDULE_OUT && want == gs->end)
		want++;
	open = after(want, ack) ? want - ack : 0;
	field = (open + (1u << scale) - 1) >> scale;
	if (field < ntohs(th->window))
		set_field(skb, field);
	open = ntohs(th->window) << scale;
	if (after(want, ack + open))
		want = ack + open;
	if (after(want, gs->edge))
		gs->edge = want;
}

/* Clears the echo of a mark that the limit on bytes in flight answers. Only under an
 * algorithm with DCTCP's echo does ECE stand for a mark; else it stays set until CWR
 * arrives.
 */
static void grant_absorb(struct grant_sock *gs, struct sk_buff *skb, u32 bytes,
			 u64 now_ns)
{
	const struct tcp_sock *tp = tcp_sk(gs->sk);
	struct tcphdr *th = tcp_hdr(skb);
	/* the 16 bits with the flags */
	__be16 *flags = (__be16 *)th + 6, old = *flags;

	if (!th->ece || !tcp_ca_needs_ecn(gs->sk) || !d2tcp_ecn_classic(tp))
		return;
	/* marks are noted in either case */
	if (!link_absorbs(gs->link, &gs->ls, bytes, tp->bytes_received, now_ns) ||
	    READ_ONCE(grant_net_of(sock_net(gs->sk))->echo_ce))
		return;
	th->ece = 0;
	inet_proto_csum_replace2(&th->check, skb, old, *flags, false);
	d2tcp_count(gs->sk, D2TCP_STAT_ABSORBED, 1);
}

/* The unit of a grant: whole segments, and at least one step of the window scale. */
static u32 unit_of(const struct tcp_sock *tp)
{
	/* advmss already excludes the timestamp option */
	const u32 seg = max_t(u32, tp->advmss, 64);

	return DIV_ROUND_UP(1u << tp->rx_opt.rcv_wscale, seg) * seg;
}

/* Accounts for data that arrived, grants, and sets the window of the packet. */
static void grant_packet(struct grant_sock *gs, struct sk_buff *skb)
{
	const struct tcp_sock *tp = tcp_sk(gs->sk);
	const struct grant_net *gn = grant_net_of(sock_net(gs->sk));
	struct d2tcp_link *link = gs->link;
	const u32 seen = gs->ls.seen;
	u64 now_ns;

	link_lock(link);
	/* read under the lock, so that no time of the link is later than this */
	now_ns = ktime_get_ns();
	link_learn(link, &gs->ls, unit_of(tp), tcp_min_rtt(tp));
	link_set_rate(link, READ_ONCE(gn->rate_mbps) * (1000000 / 8 / 1000));
	grant_arrived(gs, received(gs->sk), now_ns);
	grant_adopt(gs, now_ns);
	grant_ask(gs, now_ns);
	link_grant(link, &gs->ls, now_ns);
	/* an answer that this grant completes makes room for the next */
	grant_ask(gs, now_ns);
	grant_held(gs, now_ns);
	grant_absorb(gs, skb, gs->ls.seen - seen, now_ns);
	grant_window(gs, skb);
	link_unlock(link);
}

static int data_of(const struct sk_buff *skb)
{
	return skb->len - skb_transport_offset(skb) - tcp_hdrlen(skb);
}

/* Handles a packet that may carry a request. Returns whether a standing expectation
 * is in force.
 */
static bool grant_sent(struct grant_sock *gs, u32 seq, int data)
{
	u64 ns;
	const bool standing = standing_of(gs, &ns);

	if (is_new_data(gs, seq, data) && standing)
		grant_request(gs, ns);
	/* the administrator has set default_expect_us to 0 */
	if (gs->by_default && !standing && !gs->released)
		grant_release(gs, true);
	return standing;
}

/* The socket has no sequence numbers yet, or lost them by a disconnect. */
static void grant_unconnected(struct grant_sock *gs)
{
	if (gs->started)
		grant_release(gs, true);
	gs->asked_known = false;
	disinherit(gs);
}

/* A window that was advertised cannot be revoked. A program that declares expectations
 * before it connects receives nothing before its first request, so its SYN advertises
 * no window, and the request carries the first. Excluded are the namespace's default,
 * since the server may speak first there, data in the SYN, which is a request, and
 * signed packets.
 */
static void grant_shut(struct grant_sock *gs, struct sk_buff *skb)
{
	const struct tcp_sock *tp = tcp_sk(gs->sk);
	const bool was_shut = gs->shut != GRANT_OPEN;

	gs->shut = GRANT_OPEN;
	if (gs->sk->sk_state != TCP_SYN_SENT || gs->by_default || data_of(skb) ||
	    is_signed(tcp_hdr(skb)))
		return;
	/* snd_nxt counts the first SYN once it has left; this one repeats it, and
	 * it had a window, since the program expected nothing then
	 */
	if (!was_shut && tp->snd_nxt != tp->snd_una)
		return;
	gs->shut = GRANT_SHUT_SYN;
	set_field(skb, 0);
}

/* Handles a packet while no answer is outstanding. The first one after the SYN completes
 * the handshake. Another without data responds to the peer, which may be probing the
 * window because it has data to send: the window is TCP's own from then on.
 */
static void grant_stay_shut(struct grant_sock *gs, struct sk_buff *skb, int data)
{
	if (gs->shut == GRANT_SHUT_SYN && !data) {
		gs->shut = GRANT_SHUT_ACK;
		set_field(skb, 0);
		return;
	}
	gs->shut = GRANT_OPEN;
}

/* The limit follows the shortest round trip of the device. It would be the whole
 * window of a connection with a much longer one, so such a connection is not held.
 */
static bool is_far(const struct grant_sock *gs)
{
	const u32 own_us = tcp_min_rtt(tcp_sk(gs->sk));
	u32 rate, link_us;

	link_lock(gs->link);
	link_path(gs->link, &rate, &link_us);
	link_unlock(gs->link);
	return rate && link_us && own_us != ~0U && own_us > GRANT_FAR_US &&
	       own_us / 8 > link_us;
}

/* Learns the speed of the device before the first request leaves. The socket is not
 * locked, and RCU keeps its route and the device.
 */
static void grant_hint(struct sock *sk)
{
	struct d2tcp_link *link = NULL;
	struct dst_entry *dst;

	rcu_read_lock();
	dst = __sk_dst_get(sk);
	if (dst)
		link = d2tcp_link_of(sock_net(sk),
				     READ_ONCE(dst->dev)->ifindex);
	rcu_read_unlock();
	if (link)
		link_hint(link, true);
}

/* Handles a packet of an expecting socket, whose state is locked. */
static void grant_handle(struct grant_sock *gs, struct sk_buff *skb,
			 const struct nf_hook_state *state)
{
	const struct tcphdr *th = tcp_hdr(skb);
	const int data = data_of(skb);
	struct sock *sk = gs->sk;
	struct d2tcp_link *link;
	bool standing;

	if ((1 << sk->sk_state) & (TCPF_SYN_SENT | TCPF_SYN_RECV | TCPF_CLOSE)) {
		grant_unconnected(gs);
		link = d2tcp_link_of(state->net, skb_dst(skb)->dev->ifindex);
		if (link)
			link_hint(link, false);
		grant_shut(gs, skb);
		return;
	}
	if (th->syn || th->rst)
		return;
	if (!gs->released && !gs->started)
		grant_start(gs);
	standing = grant_sent(gs, ntohl(th->seq), data);
	if (gs->released) {
		grant_stay_shut(gs, skb, data);
		return;
	}
	if (!gs->link)
		gs->link = d2tcp_link_of(state->net, skb_dst(skb)->dev->ifindex);
	/* no memory for the link, a signed window, a much longer path, or a request
	 * without an expectation
	 */
	if (!gs->link || is_signed(th) || is_far(gs) ||
	    (!gs->answers && data > 0 && !standing)) {
		grant_release(gs, true);
		if (is_signed(th))
			set_standing(gs, false, 0, 0);
		return;
	}
	grant_packet(gs, skb);
	if (!takes_data(sk))
		grant_release(gs, true);
}

/* May this packet give a socket its state? A SYN applies the namespace's default. The
 * first data may inherit from a listener, if the namespace has one with a standing
 * expectation. Excluded are kernel sockets, which hold no reference to their
 * namespace, and MPTCP subflows, whose window is shared.
 */
static bool is_newcomer(const struct sock *sk, const struct sk_buff *skb)
{
	const struct grant_net *gn = grant_net_of(sock_net(sk));

	if (sk->sk_state == TCP_SYN_SENT) {
		if (!READ_ONCE(gn->default_us))
			return false;
	} else if (list_empty(&gn->listeners) || !tcp_sk(sk)->bytes_sent ||
		   tcp_sk(sk)->bytes_sent >= skb->len) {
		return false;
	}
	return !sock_flag(sk, SOCK_DEAD) && sk->sk_net_refcnt &&
	       !sk_is_mptcp(sk);
}

static struct grant_sock *grant_newcomer(struct sock *sk,
					 const struct sk_buff *skb)
{
	struct grant_net *gn = grant_net_of(sock_net(sk));
	const bool opens = sk->sk_state == TCP_SYN_SENT;
	struct grant_sock *gs;

	if (!opens && tcp_sk(sk)->bytes_sent != data_of(skb))
		return NULL;
	gs = grant_alloc(sk, GFP_ATOMIC | __GFP_NOWARN);
	if (!gs)
		return NULL;
	gs->by_default = opens;
	gs->standing = opens;
	if (opens || inherit(gs, gn))
		return grant_insert(gs);
	grant_net_leave(gn);
	kfree(gs);
	return NULL;
}

/* Do its packets leave unchanged? */
static bool is_at_rest(const struct grant_sock *gs)
{
	return READ_ONCE(gs->released) && !READ_ONCE(gs->standing);
}

/* The hook: sees every packet that leaves a namespace where sockets may expect. */
static unsigned int grant_out(void *priv, struct sk_buff *skb,
			      const struct nf_hook_state *state)
{
	struct sock *sk = state->sk;
	struct grant_sock *gs;

	/* no raw sockets of protocol TCP: the kernel sends RSTs through one */
	if (!sk || !sk_fullsock(sk) || !sk_is_tcp(sk))
		return NF_ACCEPT;
	gs = grant_find(sk);
	if (gs ? is_at_rest(gs) : !is_newcomer(sk, skb))
		return NF_ACCEPT;
	if (!pskb_may_pull(skb, skb_transport_offset(skb) +
				sizeof(struct tcphdr)) ||
	    !is_own(sk, skb, state->pf))
		return NF_ACCEPT;
	if (!gs)
		gs = grant_newcomer(sk, skb);
	if (!gs)
		return NF_ACCEPT;
	if (skb_ensure_writable(skb, skb_transport_offset(skb) +
				     tcp_hdrlen(skb)))
		return NF_ACCEPT;
	spin_lock_bh(&gs->lock);
	/* final once the state is about to be freed */
	if (!is_at_rest(gs))
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

/**
 * d2tcp_grant_is_on() - was the module loaded with expect=1?
 *
 * Return: whether its options exist.
 */
bool d2tcp_grant_is_on(void)
{
	return grant_enabled;
}

/**
 * d2tcp_grant_prepare() - get ready to expect answers, before the socket is locked
 * @sk: the socket
 *
 * Return: 0; -ENOMEM.
 */
int d2tcp_grant_prepare(struct sock *sk)
{
	struct net *net = sock_net(sk);
	struct grant_sock *gs;
	int err;

	rcu_read_lock();
	gs = grant_find(sk);
	rcu_read_unlock();
	if (gs)
		return 0;
	err = grant_net_hook(net);
	if (err)
		return err;
	gs = grant_alloc(sk, GFP_KERNEL_ACCOUNT);
	if (!gs)
		return -ENOMEM;
	grant_hint(sk);
	if (!tcp_sk(sk)->bytes_sent)
		inherit(gs, grant_net_of(net));
	return grant_insert(gs) ? 0 : -ENOMEM;
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
 * @bytes: its length; 0: unknown
 *
 * Return: 0; -EINVAL on a listener; -ERANGE if the expected answers would end 2^31
 * bytes or more beyond the received data.
 */
int d2tcp_grant_expect(struct sock *sk, u64 due_ns, u32 bytes)
{
	struct grant_sock *gs = grant_of(sk);
	int err;

	if (!gs || sk->sk_state == TCP_LISTEN)
		return -EINVAL;
	spin_lock_bh(&gs->lock);
	err = grant_add(gs, due_ns, bytes);
	/* a program that declares its answers needs no default */
	if (!err && gs->by_default)
		set_standing(gs, false, 0, 0);
	if (!err)
		gs->own = true;
	spin_unlock_bh(&gs->lock);
	if (!err)
		d2tcp_count(sk, D2TCP_STAT_EXPECTED, 1);
	return err;
}

/**
 * d2tcp_grant_stand() - expect an answer to every further request
 * @sk: the socket, locked, after d2tcp_grant_prepare()
 * @ns: its deadline, counted from when its request leaves
 * @bytes: its length; 0: unknown
 *
 * Return: 0; -EINVAL if the socket was closed.
 */
int d2tcp_grant_stand(struct sock *sk, u64 ns, u32 bytes)
{
	struct grant_sock *gs = grant_of(sk);

	if (!gs)
		return -EINVAL;
	spin_lock_bh(&gs->lock);
	/* data sent before this call is no request; data only queued is */
	gs->asked_known = !((1 << sk->sk_state) &
			    (TCPF_SYN_SENT | TCPF_CLOSE | TCPF_LISTEN));
	gs->asked = tcp_sk(sk)->snd_nxt;
	set_standing(gs, true, ns, bytes);
	spin_unlock_bh(&gs->lock);
	return 0;
}

/**
 * d2tcp_grant_stop() - end all expectations of a socket
 * @sk: the socket, locked
 */
void d2tcp_grant_stop(struct sock *sk)
{
	struct grant_sock *gs = grant_of(sk);
	bool held;

	if (!gs)
		return;
	spin_lock_bh(&gs->lock);
	held = is_held(gs);
	grant_catch_up(gs);
	grant_release(gs, true);
	set_standing(gs, false, 0, 0);
	spin_unlock_bh(&gs->lock);
	if (held)
		link_send_ack(sk);
}

/* Describes the next answer of a socket whose link is locked. */
static void look_at_next(struct grant_sock *gs, struct d2tcp_expect_info *info,
			 u64 now_ns)
{
	const struct grant_answer *a = &gs->answer[0];
	const struct link_sock *ls = &gs->ls;
	const bool open = is_open(a);
	bool all, in_time;
	u32 to;

	if (!after(ls->seen + ls->flying, a->start))
		to = a->start;
	else if (open || before(ls->seen + ls->flying, a->end))
		to = ls->seen + ls->flying;
	else
		to = a->end;
	all = !open && to == a->end;
	info->granted = to - a->start;
	if (after(ls->seen, a->start))
		info->arrived = ls->seen - a->start;
	in_time = link_look(gs->link, ls, all, a->due_ns, now_ns);
	if (all)
		info->flags |= D2TCP_EXPECT_GRANTED;
	else if (ls->entry.where != SCHEDULE_OUT)
		info->flags |= D2TCP_EXPECT_HELD;
	if (in_time)
		info->flags |= D2TCP_EXPECT_FEASIBLE;
}

static void look(struct grant_sock *gs, struct d2tcp_expect_info *info)
{
	u64 now_ns = ktime_get_ns(), ns;

	grant_catch_up(gs);
	if (gs->answers) {
		info->flags |= D2TCP_EXPECTING;
		info->outstanding = gs->answers;
		info->bytes = gs->answer[0].end - gs->answer[0].start;
		info->time_left_ns = gs->answer[0].due_ns - now_ns;
	}
	if (gs->released)
		info->flags |= D2TCP_EXPECT_RELEASED;
	if (standing_of(gs, &ns)) {
		info->flags |= D2TCP_EXPECT_STANDING;
		info->standing_ns = ns;
	}
	info->met = gs->met;
	info->missed = gs->missed;
	info->released = gs->waited;
	if (!gs->link)
		return;
	link_lock(gs->link);
	if (gs->answers && gs->started)
		look_at_next(gs, info, now_ns);
	link_path(gs->link, &info->rate, &info->rtt_us);
	link_unlock(gs->link);
}

/**
 * d2tcp_grant_look() - describe the answers that a socket expects
 * @sk: the socket, locked
 * @info: all zero
 */
void d2tcp_grant_look(struct sock *sk, struct d2tcp_expect_info *info)
{
	struct grant_sock *gs = grant_of(sk);

	if (!gs) {
		info->flags = D2TCP_EXPECT_RELEASED;
		return;
	}
	spin_lock_bh(&gs->lock);
	look(gs, info);
	spin_unlock_bh(&gs->lock);
}

static bool is_idle(const struct grant_sock *gs)
{
	return !READ_ONCE(gs->released) && READ_ONCE(gs->started) &&
	       time_after(jiffies, READ_ONCE(gs->active) + GRANT_IDLE);
}

/* Finds the next socket of a bucket that is closed or has been without expected data
 * for GRANT_IDLE, and takes a reference to it.
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

/* Frees the state of a released socket, which no packet finds in the table any more. */
static void grant_free(struct grant_sock *gs)
{
	struct sock *sk = gs->sk;

	if (gs->link)
		link_forget(gs->link, &gs->ls);
	grant_net_leave(grant_net_of(sock_net(sk)));
	sock_put(sk);
	kfree_rcu(gs, rcu);
}

static void sweep_one(struct grant_sock *gs, bool dead)
{
	const struct grant_answer *open;
	struct sock *sk = gs->sk;
	bool held = false;
	int tries;

	spin_lock_bh(&gs->lock);
	if (dead || is_idle(gs)) {
		held = is_held(gs);
		open = open_of(gs);
		/* silence ends an answer of unknown length that has begun */
		if (gs->answers && !dead && !(open && has_begun(gs, open))) {
			gs->waited++;
			d2tcp_count(sk, D2TCP_STAT_RELEASED, 1);
		}
		grant_let_go(gs, dead);
	}
	if (dead)
		set_standing(gs, false, 0, 0);
	spin_unlock_bh(&gs->lock);
	if (dead) {
		/* no list can request this ACK later; a process may own the socket */
		for (tries = 0; held && tries < 20 && !link_try_ack(sk); tries++)
			usleep_range(1000, 2000);
		grant_free(gs);
	}
	sock_put(sk);
}

/* Releases sockets without expected data for GRANT_IDLE and frees the state of closed
 * ones; with @all, of all sockets. Returns whether any is left.
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

/**
 * d2tcp_grant_register() - set up the hooks, before the options are registered
 *
 * Return: 0, or an error of the core.
 */
int d2tcp_grant_register(void)
{
	return grant_enabled ? grant_net_register(grant_hooks,
						  ARRAY_SIZE(grant_hooks)) : 0;
}

/**
 * d2tcp_grant_unregister() - release every socket, after the options are gone
 */
void d2tcp_grant_unregister(void)
{
	if (!grant_enabled)
		return;
	/* the hooks add no socket from here on */
	spin_lock_bh(&grant_table_lock);
	WRITE_ONCE(grant_closing, true);
	spin_unlock_bh(&grant_table_lock);
	cancel_delayed_work_sync(&grant_sweeper);
	sweep(true);
	grant_net_unregister();
	/* the hook may still look up packets of other sockets in the table */
	synchronize_net();
}
