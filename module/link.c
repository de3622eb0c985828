// SPDX-License-Identifier: GPL-2.0
/*
 * The link over which answers arrive; see link.h. docs/receiver.md describes the
 * rules and has a reason for each constant.
 *
 * Locks: the lock of the link protects the state that its sockets share. It is taken
 * inside the lock of a socket's state (grant.c). An ACK needs the socket lock, which
 * is outside of both, so sockets that need an ACK are put on a list.
 */
#include <linux/ethtool.h>
#include <linux/hrtimer.h>
#include <linux/interrupt.h>
#include <linux/moduleparam.h>
#include <linux/rtnetlink.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include <net/net_namespace.h>
#include <net/tcp.h>
#include "compat.h"
#include "link.h"
#include "stats.h"
#include "trace.h"

#define LINK_TICK_NS	(100 * NSEC_PER_USEC)	/* a tick is at least this long */
#define LINK_TICK_SEGS	8		/* and long enough for as many segments */
#define LINK_TICK_MOST_NS (10 * NSEC_PER_MSEC)
#define LINK_RATE_NS	(2 * NSEC_PER_MSEC)	/* the rate is measured over this */
#define LINK_PERIOD	(5 * HZ)	/* its max is kept for one to two of these */
#define LINK_UNLIMITED	U64_MAX
#define LINK_BATCH	64		/* ACKs at once */

/* Constants of the limit on bytes in flight; docs/receiver.md has the reasons. */
#define LINK_BASE_SEGS	12	/* on top of 5/4 of the bandwidth-delay product */
#define LINK_MOST	4	/* max granted, in multiples of the limit */
#define LINK_FULL	95	/* % of the rate from which the link is full */
#define LINK_LOW	90	/* % below which it is no longer full; the limit may rise */
#define LINK_LOW_TICKS	3	/* after this many ticks below LINK_LOW */
#define LINK_UP		25	/* % of the base, in each tick */
#define LINK_UP_MOST	4	/* to this multiple of the base at most */
#define LINK_DOWN	25	/* % of the excess over the base, in each tick */
#define LINK_SHARED_UP	20	/* % of the limit, in each tick */
#define LINK_SHARED	15	/* unexpected % of received bytes: link is shared */
#define LINK_SHARED_NS	(5 * NSEC_PER_MSEC)	/* it counts as shared for this long */
#define LINK_SAMPLE_NS	NSEC_PER_MSEC	/* between two reads of the device's counters */
#define LINK_PROBE	2	/* segments for a sender that starts late */
#define LINK_INITIAL	10	/* segments of a first window, RFC 6928 */
#define LINK_SPEED_MIN	1000	/* Mbit/s; tunnels report 10 or so */
#define LINK_SPEED_MAX	10000000
#define LINK_PAYLOAD	94	/* % of the line rate, MTU 1500 */
#define LINK_HINT_INTERVALS 8	/* with data, for which the hint counts */
#define LINK_MARK_TICKS	4	/* in which most bytes are marked */
#define LINK_MARK_OWN	85	/* % of the rate at which marks come from this link */

/* A device on which answers arrive. */
struct d2tcp_link {
	struct list_head list;
	struct net *net;
	int ifindex;

	spinlock_t lock;		/* of all fields below */
	struct schedule schedule;
	struct list_head acks;		/* sockets that need an ACK */
	struct list_head late_acks;	/* of sockets that a process owned */
	struct list_head recent;	/* counted sockets, oldest news first */
	struct list_head passed;	/* sockets that were passed over */
	u64 arrived;			/* bytes, since the link was created */
	u64 timely;			/* of these, accounted for when they arrived */
	u64 flying;			/* bytes in flight of the counted sockets */
	u32 flows;			/* number of counted sockets */
	u64 amount;			/* limit on the bytes in flight */
	u32 seg;			/* bytes of a segment */
	u32 rtt_us;			/* shortest seen; 0: none */
	u32 rate;			/* bytes per ms, 0: not measured */
	u32 fixed;			/* replaces the measured rate; 0: none */
	u32 hint;			/* of the device's driver; 0: none */
	u32 intervals;			/* with data, while the hint counts */
	u32 last_rate;			/* measured in the last interval */
	u32 rates[2];			/* of this period and of the last */
	unsigned long period;		/* end of this period, jiffies */
	u64 tick_ns, tick_arrived;	/* time and arrived at the last tick */
	u64 rate_ns, rate_timely;	/* and at the start of the rate measurement */
	u64 part;			/* flying, limited to the guessed windows */
	u64 had, could;			/* per tick: arrived, permitted; smoothed */
	u64 low_ns;			/* since when less than LINK_LOW arrives */
	u64 sample_ns, sample_rx, sample_arrived;	/* at the last sample */
	u64 rx, ours;			/* bytes per sample, smoothed */
	u64 shared_ns;			/* when other traffic was last seen */
	u64 tick_marked;		/* bytes with CE since the last tick */
	u64 marked_had, marked_could;	/* arrived, permitted: while most are marked */
	u64 last_had, last_could;	/* the same of the last tick */
	u32 marked_ticks;		/* ticks in a row with most bytes marked */
	u64 foreign_ns;			/* when another queue marked packets */
	bool hinted;			/* the driver was asked for its speed */
	bool full;
	bool ticking;
	struct hrtimer timer;
	struct tasklet_struct acker;
	struct delayed_work ack_work;
	struct work_struct sampler, hinter;
};

static DEFINE_SPINLOCK(links_lock);
static LIST_HEAD(links);

void link_lock(struct d2tcp_link *link)
	__acquires(&link->lock)
{
	spin_lock_bh(&link->lock);
}

void link_unlock(struct d2tcp_link *link)
	__releases(&link->lock)
{
	spin_unlock_bh(&link->lock);
}

/* --- the limit ------------------------------------------------------------------- */

/* The base: bytes in flight that fill the path and a queue short enough not to be
 * marked, as far as the receiver can tell. The rate is below 2^32 bytes per ms and the
 * round trip below 2^32 us, so the quotient by 800 is below 2^62.
 */
static u64 base_of(const struct d2tcp_link *link)
{
	if (!link->rate || !link->rtt_us)
		return LINK_UNLIMITED;
	return div_u64((u64)link->rate * link->rtt_us, 800) +
	       LINK_BASE_SEGS * link->seg;
}

/* The same for grant.c; 0: not measured. */
u32 link_base(const struct d2tcp_link *link)
{
	const u64 base = base_of(link);

	return base == LINK_UNLIMITED ? 0 : min_t(u64, base, S32_MAX / 4);
}

/* Time that bytes take on the link. Above 4 GB the result stays the same, so that the
 * product fits 64 bits.
 */
static u64 time_of(const struct d2tcp_link *link, u64 bytes)
{
	return min_t(u64, bytes, U32_MAX) * link->schedule.pace >> 16;
}

/* The length of a tick. Over less time than a few segments take, the rate of a slow
 * link cannot be measured.
 */
static u64 tick_of(const struct d2tcp_link *link)
{
	return clamp_t(u64, time_of(link, LINK_TICK_SEGS * link->seg),
		       LINK_TICK_NS, LINK_TICK_MOST_NS);
}

/* Bytes in flight. */
u64 link_flying(const struct d2tcp_link *link)
{
	return link->flying;
}

/* In bytes per ms and us; 0: not measured. */
void link_path(const struct d2tcp_link *link, u32 *rate, u32 *rtt_us)
{
	*rate = link->rate;
	*rtt_us = link->rtt_us;
}

/* Can the next answer of a socket be in time at the measured rate? A granted answer
 * arrives with all bytes in flight; a waiting one is in time if the schedule has not
 * given it up.
 */
bool link_look(const struct d2tcp_link *link, const struct link_sock *ls, bool granted,
	       u64 due_ns, u64 now_ns)
{
	const u64 then_ns = now_ns + time_of(link, link->flying);

	if (!link->rate || now_ns > due_ns)
		return false;
	if (granted || ls->entry.where == SCHEDULE_OUT)
		return then_ns <= due_ns;
	/* as of the last tick, because an update here would delay other sockets */
	return ls->entry.where == SCHEDULE_HOPEFUL && then_ns <= due_ns;
}

static bool is_empty(const struct d2tcp_link *link)
{
	return !link->schedule.hopeful && !link->schedule.hopeless;
}

/* Is there an answer that can be granted bytes? */
static bool is_waiting(const struct d2tcp_link *link)
{
	const struct schedule *s = &link->schedule;

	return (s->hopeful && s->hopeful->some_ready) ||
	       (s->hopeless && s->hopeless->some_ready);
}

static void use_rate(struct d2tcp_link *link, u32 rate)
{
	u64 pace;

	if (rate == link->rate)
		return;
	link->rate = rate;
	/* 2^-16 ns per byte, from bytes per 10^6 ns; below 16 bytes it does not
	 * fit into 32 bits
	 */
	pace = rate ? div64_u64((u64)NSEC_PER_MSEC << 16, rate) : 0;
	pace = min_t(u64, pace, U32_MAX);
	/* a new pace costs a pass over all entries, so ignore noise of 3 % */
	if (!pace || !link->schedule.pace ||
	    abs((s64)pace - link->schedule.pace) > link->schedule.pace / 32)
		schedule_set_pace(&link->schedule, pace);
}

static u32 measured_rate(const struct d2tcp_link *link)
{
	return max(link->rates[0], link->rates[1]);
}

static void choose_rate(struct d2tcp_link *link)
{
	use_rate(link, link->fixed ?: max(measured_rate(link), link->hint));
}

/* Packets that wait while the host is stalled are all handled in the next interval,
 * which then shows more than the rate of the link. So a rate counts only if two
 * intervals in a row have reached it. There may be a pause between them, so that short
 * answers are measured too.
 */
static void measure(struct d2tcp_link *link, u64 now_ns)
{
	u64 ns = now_ns - link->rate_ns;
	u32 rate, last = link->last_rate;
	bool silent;

	if (ns < LINK_RATE_NS)
		return;
	rate = div64_u64((link->timely - link->rate_timely) * NSEC_PER_MSEC, ns);
	if (rate && link->intervals < LINK_HINT_INTERVALS)
		link->intervals++;
	if (link->intervals == LINK_HINT_INTERVALS)
		link->hint = 0;
	link->last_rate = rate;
	rate = min(rate, last);
	link->rate_ns = now_ns;
	link->rate_timely = link->timely;
	if (time_after(jiffies, link->period)) {
		/* after a longer silence all are too old */
		silent = time_after(jiffies, link->period + LINK_PERIOD);
		if (silent)
			rate = 0;
		link->rates[1] = silent ? 0 : link->rates[0];
		link->rates[0] = 0;
		link->period = jiffies + LINK_PERIOD;
	}
	link->rates[0] = max(link->rates[0], rate);
	choose_rate(link);
}

/* Uses the configured rate instead of the measured one; 0: measure again. */
void link_set_rate(struct d2tcp_link *link, u32 rate)
{
	if (rate == link->fixed)
		return;
	link->fixed = rate;
	choose_rate(link);
	link->amount = base_of(link);
}

/* Until the rate is measured, the speed that the driver reports replaces it. */
static void read_speed(struct d2tcp_link *link)
{
	struct ethtool_link_ksettings settings;
	struct net_device *dev;
	u32 mbps = 0;

	ASSERT_RTNL();
	dev = __dev_get_by_index(link->net, link->ifindex);
	if (dev && !__ethtool_get_link_ksettings(dev, &settings) &&
	    ethtool_validate_speed(settings.base.speed) &&
	    settings.base.speed >= LINK_SPEED_MIN &&
	    settings.base.speed != (u32)SPEED_UNKNOWN)
		mbps = min_t(u32, settings.base.speed, LINK_SPEED_MAX);
	link_lock(link);
	/* 125 bytes per ms for each Mbit/s; below 2^31 for LINK_SPEED_MAX */
	if (!link->hinted && !link->intervals)
		link->hint = div_u64((u64)mbps * 125 * LINK_PAYLOAD, 100);
	WRITE_ONCE(link->hinted, true);
	choose_rate(link);
	link_unlock(link);
}

static void hint(struct work_struct *work)
{
	struct d2tcp_link *link = container_of(work, struct d2tcp_link, hinter);

	rtnl_lock();
	read_speed(link);
	rtnl_unlock();
}

/* Asks the driver for its speed, once. The requests that follow need the answer, so a
 * process asks at once, unless another one holds the RTNL.
 */
void link_hint(struct d2tcp_link *link, bool process)
{
	if (READ_ONCE(link->hinted))
		return;
	if (process && rtnl_trylock()) {
		read_speed(link);
		rtnl_unlock();
	} else {
		queue_work(system_highpri_wq, &link->hinter);
	}
}

/* Lowers the limit towards @least, which is below it. */
static void fall_to(struct d2tcp_link *link, u64 least)
{
	link->amount -= div_u64((link->amount - least) * LINK_DOWN, 100);
}

static void raise(struct d2tcp_link *link, u64 bytes)
{
	/* beyond 2^32 bytes in flight a higher limit has no effect */
	if (link->amount < U32_MAX)
		link->amount += bytes;
}

/* Raises the limit, to @most. A shared link may have raised it above that already, and
 * it falls then as ever.
 */
static void raise_to(struct d2tcp_link *link, u64 bytes, u64 most)
{
	if (link->amount > most) {
		fall_to(link, most);
		return;
	}
	raise(link, bytes);
	link->amount = min(link->amount, most);
}

/* Replaces a hint that marks have refuted by the rate at which marked packets arrive:
 * without any, all answers would be granted at once.
 */
static void correct_hint(struct d2tcp_link *link)
{
	if (!link->hint)
		return;
	/* less than 85 % of it, so it fits */
	link->hint = div64_u64(link->hint * link->marked_had,
			       link->marked_could);
	link->marked_ticks = 0;
	choose_rate(link);
}

/* A marked packet has waited in a queue above its threshold. While most packets are
 * marked, that queue sends without a pause, so their rate is the rate of its link. If
 * this is not the rate assumed here, the queue is another one, which the limit on bytes
 * in flight does not control, or the hint was wrong.
 */
static void judge_marks(struct d2tcp_link *link, u64 arrived, u64 could, u64 now_ns)
{
	const bool marked = arrived && 2 * link->tick_marked >= arrived;

	link->tick_marked = 0;
	if (!marked) {
		link->marked_ticks = 0;
		return;
	}
	/* the queue may have filled during the first tick, or emptied in the last */
	if (link->marked_ticks++ < 2) {
		link->marked_had = 0;
		link->marked_could = 0;
	} else {
		link->marked_had += link->last_had;
		link->marked_could += link->last_could;
	}
	link->last_had = arrived;
	link->last_could = could;
	if (link->marked_ticks < LINK_MARK_TICKS)
		return;
	if (100 * link->marked_had < LINK_MARK_OWN * link->marked_could) {
		link->foreign_ns = now_ns;
		WRITE_ONCE(link->hinted, true);
		correct_hint(link);
	}
	/* what happened long ago counts less and less */
	if (link->marked_ticks >= 4 * LINK_MARK_TICKS) {
		link->marked_ticks = 2 * LINK_MARK_TICKS;
		link->marked_had /= 2;
		link->marked_could /= 2;
	}
}

/* Adapts the limit on bytes in flight. While other traffic shares the link it rises,
 * because the share of a receiver grows with the number of its active flows. It also
 * rises when answers wait and the link has not been full for a while, because the
 * senders that have grants cannot use them. This is bounded, since a link that losses
 * leave idle until a timeout must not be flooded after it. Otherwise the limit falls
 * to the base.
 */
static void adapt(struct d2tcp_link *link, u64 now_ns)
{
	u64 could = div64_u64((now_ns - link->tick_ns) * link->rate,
			      NSEC_PER_MSEC);
	u64 arrived = link->arrived - link->tick_arrived;
	u64 base = base_of(link);
	bool low = 100 * arrived < LINK_LOW * could && is_waiting(link);

	link->had = (link->had + arrived) / 2;
	link->could = (link->could + could) / 2;
	/* a few segments more or less in a tick do not end it */
	link->full = 100 * link->had >=
		     (link->full ? LINK_LOW : LINK_FULL) * link->could;
	link->tick_ns = now_ns;
	link->tick_arrived = link->arrived;
	judge_marks(link, arrived, could, now_ns);
	if (base == LINK_UNLIMITED || link->amount == LINK_UNLIMITED ||
	    link->amount < base) {
		link->amount = base;
		low = false;
	} else if (now_ns - link->shared_ns < LINK_SHARED_NS) {
		if (is_waiting(link))
			raise(link, div_u64(link->amount * LINK_SHARED_UP, 100));
		low = false;
	} else if (!low) {
		fall_to(link, base);
	} else if (now_ns - link->low_ns > LINK_LOW_TICKS * tick_of(link)) {
		raise_to(link, div_u64(base * LINK_UP, 100),
			 LINK_UP_MOST * base);
	}
	if (!low)
		link->low_ns = now_ns;
}

/* Compares the bytes that the device received with those of expecting sockets, which
 * headers make 6 % more on the wire. Of each active socket a segment may not be accounted
 * for, since its ACK is delayed. Some drivers can be read in process context only.
 */
static void sample(struct work_struct *work)
{
	struct d2tcp_link *link = container_of(work, struct d2tcp_link, sampler);
	struct rtnl_link_stats64 stats;
	struct net_device *dev;
	u64 now_ns, rx, ours, delayed;

	rcu_read_lock();
	dev = dev_get_by_index_rcu(link->net, link->ifindex);
	if (dev)
		dev_get_stats(dev, &stats);
	rcu_read_unlock();
	link_lock(link);
	now_ns = ktime_get_ns();
	if (!dev) {
		link->sample_ns = now_ns;
		link_unlock(link);
		return;
	}
	rx = stats.rx_bytes - link->sample_rx;
	ours = link->arrived - link->sample_arrived;
	/* some drivers count from 0 again after a reset */
	if (now_ns - link->sample_ns < 4 * LINK_SAMPLE_NS &&
	    stats.rx_bytes >= link->sample_rx) {
		link->rx = (3 * link->rx + rx) / 4;
		link->ours = (3 * link->ours + ours) / 4;
		delayed = (u64)link->flows * link->seg;
		if (link->rx > 32 * link->seg &&
		    link->rx * (100 - LINK_SHARED) >
		    (link->ours + delayed) * 106)
			link->shared_ns = now_ns;
	} else {
		/* the last sample is too old */
		link->rx = 0;
		link->ours = 0;
	}
	link->sample_ns = now_ns;
	link->sample_rx = stats.rx_bytes;
	link->sample_arrived = link->arrived;
	link_unlock(link);
}

/* --- sockets ---------------------------------------------------------------- */

/* Updates the sums of the link, after flying, window or counted has changed. */
static void recount(struct d2tcp_link *link, struct link_sock *ls)
{
	const u32 flying = ls->counted ? ls->flying : 0;
	const u32 part = min(flying, ls->window);

	link->flying += (u64)flying - ls->sum_flying;
	link->part += (u64)part - ls->sum_part;
	ls->sum_flying = flying;
	ls->sum_part = part;
}

/* Bytes that may still be granted. Only granted bytes within the senders' estimated
 * windows count as in flight, so that the next answers fill the gap that a small
 * window leaves. Since the windows grow, no more than LINK_MOST times the limit is
 * granted.
 */
static u64 room_of(const struct d2tcp_link *link)
{
	const u64 most = link->amount < U32_MAX ? LINK_MOST * link->amount :
			 LINK_UNLIMITED;

	if (link->part >= link->amount || link->flying >= most)
		return 0;
	return min(link->amount - link->part, most - link->flying);
}

/* A sender that was passed over gets no further grant until data arrives; one whose
 * last answer started late gets LINK_PROBE segments until then.
 */
static bool is_ready(const struct link_sock *ls)
{
	if (ls->flying < ls->seg)
		return true;
	return ls->counted && (ls->heard || !ls->thinks);
}

static void set_ready(struct d2tcp_link *link, struct link_sock *ls)
{
	schedule_set_ready(&link->schedule, &ls->entry, is_ready(ls));
}

static void count(struct d2tcp_link *link, struct link_sock *ls)
{
	link->flows += !ls->counted;
	ls->counted = true;
	recount(link, ls);
}

/* Is about as much in flight as the limit permits? Windows that TCP advertised before
 * the socket expected anything cannot be revoked. For the first answers this is ignored:
 * otherwise their marks would end the slow start of all senders.
 */
static bool is_in_control(const struct d2tcp_link *link)
{
	return link->intervals < LINK_HINT_INTERVALS ||
	       link->flying <= LINK_MOST * link->amount;
}

/**
 * link_absorbs() - note a mark; does the limit on bytes in flight answer it?
 * @link: the link, locked
 * @ls: the socket whose ACK echoes a mark
 * @bytes: that this ACK acknowledges
 * @all: received on the connection
 * @now_ns: now
 *
 * Return: true if the sender need not see it.
 */
bool link_absorbs(struct d2tcp_link *link, const struct link_sock *ls, u32 bytes,
		  u64 all, u64 now_ns)
{
	link->tick_marked += bytes;
	if (now_ns - link->foreign_ns < LINK_SHARED_NS ||
	    now_ns - link->shared_ns < LINK_SHARED_NS)
		return false;
	if (base_of(link) == LINK_UNLIMITED)
		return !link->intervals && all <= LINK_INITIAL * ls->seg;
	return is_in_control(link);
}

/* Restarts the silence timer: data arrived, or the sender got its first grant. Further
 * grants do not restart it.
 */
static void note(struct d2tcp_link *link, struct link_sock *ls, u64 now_ns)
{
	ls->news_ns = now_ns;
	list_move_tail(&ls->recent, &link->recent);
}

static void uncount(struct d2tcp_link *link, struct link_sock *ls)
{
	link->flows -= ls->counted;
	ls->counted = false;
	recount(link, ls);
	list_del_init(&ls->recent);
}

static void set_flying(struct d2tcp_link *link, struct link_sock *ls, u32 bytes)
{
	ls->flying = bytes;
	recount(link, ls);
}

static void start_round(struct link_sock *ls, u32 flying, u64 now_ns)
{
	ls->round_ns = now_ns;
	ls->round_bytes = 0;
	ls->round_flying = flying;
}

/* The shortest round trip or, while the link is full and packets wait in its queue,
 * the time that the base takes, which is longer.
 */
static u64 round_of(const struct d2tcp_link *link)
{
	if (link->full && link->rate)
		return time_of(link, base_of(link));
	return link->rtt_us * (u64)NSEC_PER_USEC;
}

/* Estimates the sender's congestion window from arrivals. When at the end of a round
 * seven eighths of the bytes that were granted at its start have arrived, the grant
 * limited the sender, and its window is not known. Otherwise the bytes of a round are
 * the window of the round before, which is assumed to grow as it did last, by a factor
 * of two at most (slow start). While the link is full, rounds after the first only
 * raise the estimate. A round that started with less granted than a first window says
 * nothing. An answer begins with the first estimate of the last one, since the window
 * shrinks while the connection is idle (RFC 2861).
 */
static void guess_window(struct d2tcp_link *link, struct link_sock *ls,
			 u32 bytes, u64 now_ns)
{
	u32 came, growth;

	if (!ls->heard) {
		start_round(ls, ls->flying, now_ns);
		ls->last = 0;
	}
	/* its double, and its growth in sixteenths, fit into 32 bits */
	ls->round_bytes = min_t(u64, (u64)ls->round_bytes + bytes, 1u << 26);
	if (now_ns - ls->round_ns < round_of(link))
		return;
	came = max(ls->round_bytes, LINK_INITIAL * ls->seg);
	if (ls->round_flying < LINK_INITIAL * ls->seg) {
		start_round(ls, ls->flying - min(bytes, ls->flying), now_ns);
		return;
	}
	if (ls->round_bytes >= ls->round_flying - ls->round_flying / 8) {
		ls->window = U32_MAX;
	} else if (!ls->last) {
		ls->window = 2 * came;
	} else if (link->full) {
		ls->window = max(ls->window, 2 * came);
	} else {
		growth = clamp(div_u64((u64)came * 16, ls->last), 20, 32);
		ls->window = came * growth / 16;
	}
	if (!ls->last)
		ls->first = ls->window;
	ls->last = came;
	start_round(ls, ls->flying - min(bytes, ls->flying), now_ns);
}

/* Has a segment arrived whose ACK is delayed? It is accounted for with the ACK, so
 * requests that ACK, once.
 */
static bool find_odd(struct d2tcp_link *link, struct link_sock *ls)
{
	const u32 next = READ_ONCE(tcp_sk(ls->sk)->rcv_nxt);

	if (!after(next, ls->seen) || next == ls->odd)
		return false;
	ls->odd = next;
	link_want_ack(link, ls);
	return true;
}

/* Looks at the next of the sockets that were passed over: their senders start with a
 * segment or two, and wait for a further grant.
 */
static void poll_passed(struct d2tcp_link *link)
{
	struct link_sock *ls, *first = NULL;
	int n = LINK_BATCH;

	while (n--) {
		ls = list_first_entry_or_null(&link->passed, struct link_sock,
					      recent);
		if (!ls || ls == first)
			break;
		first = first ?: ls;
		list_move_tail(&ls->recent, &link->passed);
		find_odd(link, ls);
	}
}

/* Passes over senders that have a grant and were silent for longer than a round trip
 * plus the time of all bytes in flight, or twice that of the base: the worker has not
 * answered yet, the answer has ended, or the grant was lost. Their bytes no longer
 * count, and they get no further grant until data arrives. A grant sent in an ACK of
 * its own is sent once more.
 */
static void pass_over(struct d2tcp_link *link, u64 now_ns)
{
	const u64 queue = max(2 * base_of(link), link->flying);
	u64 silence_ns = link->rtt_us * (u64)NSEC_PER_USEC +
			 time_of(link, queue);
	struct link_sock *ls;
	int n = 4 * LINK_BATCH;

	if (!link->rate || !link->rtt_us)
		return;
	/* the next tick handles the rest */
	while (n--) {
		ls = list_first_entry_or_null(&link->recent, struct link_sock,
					      recent);
		if (!ls)
			break;
		if (now_ns - ls->news_ns <= silence_ns)
			break;
		if (find_odd(link, ls)) {
			note(link, ls, now_ns);
			continue;
		}
		uncount(link, ls);
		/* with less than a segment the sender may wait for more */
		if (ls->flying < ls->seg)
			continue;
		list_add_tail(&ls->recent, &link->passed);
		if (!ls->heard)
			ls->thinks = true;
		if (ls->renew) {
			d2tcp_count(ls->sk, D2TCP_STAT_RENEWALS, 1);
			link_want_ack(link, ls);
		}
		ls->renew = false;
		set_ready(link, ls);
	}
}

static void start_ticking(struct d2tcp_link *link, u64 now_ns)
{
	if (link->ticking || (!link->flying && is_empty(link)))
		return;
	link->ticking = true;
	link->full = true;
	link->had = 0;
	link->could = 0;
	link->tick_ns = now_ns;
	link->low_ns = now_ns;
	link->tick_arrived = link->arrived;
	link->rate_ns = now_ns;
	link->rate_timely = link->timely;
	hrtimer_start(&link->timer, ns_to_ktime(tick_of(link)),
		      HRTIMER_MODE_REL_SOFT);
}

/* The bytes to grant to the first socket of the schedule: whole segments, unless they
 * end the answer.
 */
static u32 next_grant(const struct d2tcp_link *link, const struct link_sock *ls)
{
	const u32 need = ls->entry.need, seg = ls->seg;
	u32 bytes = min_t(u64, need, room_of(link));

	if (ls->thinks && !ls->heard)
		bytes = min(bytes, LINK_PROBE * seg);
	if (bytes < need)
		bytes -= bytes % seg;
	if (!bytes && !link->flying)
		bytes = min(need, seg);
	/* Linux bounds its segments to half of the largest window that it has
	 * seen, so after less than two of them it would send halves
	 */
	if (bytes && ls->narrow)
		bytes = max(bytes, min(need, 2 * seg));
	return bytes;
}

/**
 * link_grant() - grant answers in their order while there is room
 * @link: the link, locked
 * @here: the socket whose packet leaves now, or NULL; any other sends an ACK
 * @now_ns: now
 */
void link_grant(struct d2tcp_link *link, struct link_sock *here, u64 now_ns)
{
	struct schedule_entry *e;
	struct link_sock *ls;
	int n = LINK_BATCH;
	u32 bytes;

	/* the next tick grants to the others */
	while (n--) {
		e = schedule_first(&link->schedule,
				   now_ns + time_of(link, link->flying));
		if (!e)
			break;
		ls = container_of(e, struct link_sock, entry);
		bytes = next_grant(link, ls);
		if (!bytes)
			break;
		ls->narrow = false;
		schedule_granted(&link->schedule, e, bytes);
		if (!ls->counted || ls->flying < ls->seg)
			note(link, ls, now_ns);
		set_flying(link, ls, ls->flying + bytes);
		count(link, ls);
		set_ready(link, ls);
		d2tcp_count(ls->sk, D2TCP_STAT_GRANTS, 1);
		trace_d2tcp_grant(ls->sk, bytes, ls->seen + ls->flying - ls->start,
				  link->flying);
		if (ls != here) {
			ls->renew = true;
			link_want_ack(link, ls);
		}
	}
	start_ticking(link, now_ns);
}

/* A process rarely owns a socket for longer than a tick. The delayed work is for those
 * that do, and for ACKs without ticks.
 */
static void retry_acks(struct d2tcp_link *link)
{
	int n = LINK_BATCH;

	while (n-- && !list_empty(&link->late_acks)) {
		list_move_tail(link->late_acks.next, &link->acks);
		tasklet_schedule(&link->acker);
	}
}

static enum hrtimer_restart tick(struct hrtimer *timer)
{
	struct d2tcp_link *link = container_of(timer, struct d2tcp_link, timer);
	u64 now_ns;
	bool again;

	link_lock(link);
	/* read under the lock, so that no news_ns is later than this */
	now_ns = ktime_get_ns();
	measure(link, now_ns);
	retry_acks(link);
	poll_passed(link);
	pass_over(link, now_ns);
	adapt(link, now_ns);
	if (now_ns - link->sample_ns >= LINK_SAMPLE_NS)
		queue_work(system_highpri_wq, &link->sampler);
	link_grant(link, NULL, now_ns);
	again = !is_empty(link) || link->flying;
	link->ticking = again;
	if (again)
		hrtimer_forward_now(timer, ns_to_ktime(tick_of(link)));
	else
		link->amount = base_of(link);
	link_unlock(link);
	return again ? HRTIMER_RESTART : HRTIMER_NORESTART;
}

void link_init_sock(struct link_sock *ls, struct sock *sk)
{
	ls->sk = sk;
	ls->window = U32_MAX;
	INIT_LIST_HEAD(&ls->ack);
	INIT_LIST_HEAD(&ls->recent);
}

/* Takes segment size and round trip from a socket whose packet leaves. */
void link_learn(struct d2tcp_link *link, struct link_sock *ls, u32 seg,
		u32 rtt_us)
{
	link->seg = seg;
	if (ls->seg != seg) {
		ls->seg = seg;
		set_ready(link, ls);
	}
	if (rtt_us && rtt_us != ~0U &&
	    (!link->rtt_us || rtt_us < link->rtt_us))
		link->rtt_us = rtt_us;
	/* known before the first tick, so that the first requests are held */
	if (link->amount == LINK_UNLIMITED)
		link->amount = base_of(link);
}

/**
 * link_arrived() - account for bytes that arrived on an expecting socket
 * @link: the link, locked
 * @ls: the socket
 * @bytes: number of bytes, above 0
 * @timely: of these, not counting what had waited behind a lost packet
 * @now_ns: now
 */
void link_arrived(struct d2tcp_link *link, struct link_sock *ls, u32 bytes,
		  u32 timely, u64 now_ns)
{
	u32 granted = min(bytes, ls->flying), early = bytes - granted;

	link->arrived += bytes;
	link->timely += timely;
	guess_window(link, ls, bytes, now_ns);
	if (!ls->heard)
		ls->thinks = !ls->counted && ls->flying;
	ls->heard = true;
	set_flying(link, ls, ls->flying - granted);
	/* beyond the grants: an earlier window permitted them */
	if (early && ls->entry.where != SCHEDULE_OUT)
		schedule_granted(&link->schedule, &ls->entry,
				 min(early, ls->entry.need));
	if (ls->flying) {
		note(link, ls, now_ns);
		count(link, ls);
	} else {
		uncount(link, ls);
	}
	set_ready(link, ls);
}

/* Counts bytes that an earlier window permits, and that have not arrived, as
 * granted.
 */
void link_adopt(struct d2tcp_link *link, struct link_sock *ls, u32 open,
		u64 now_ns)
{
	if (open <= ls->flying)
		return;
	if (ls->entry.where != SCHEDULE_OUT)
		schedule_granted(&link->schedule, &ls->entry,
				 min(open - ls->flying, ls->entry.need));
	if (!ls->counted)
		note(link, ls, now_ns);
	set_flying(link, ls, open);
	count(link, ls);
	set_ready(link, ls);
}

/**
 * link_settled() - an answer is complete
 * @link: the link, locked
 * @ls: the socket
 * @last: no further answer is expected, so a window open beyond the end is no grant
 */
void link_settled(struct d2tcp_link *link, struct link_sock *ls, bool last)
{
	ls->heard = false;
	if (ls->first)
		ls->window = ls->first;
	if (last) {
		uncount(link, ls);
		ls->flying = 0;
	} else {
		recount(link, ls);
	}
	/* the next answer may be in the schedule already */
	set_ready(link, ls);
}

/**
 * link_ask() - schedule bytes of an answer
 * @link: the link, locked
 * @ls: the socket, not in the schedule
 * @due_ns: when the answer is due
 * @need: bytes that are not granted yet, above 0
 * @now_ns: now
 */
void link_ask(struct d2tcp_link *link, struct link_sock *ls, u64 due_ns,
	      u32 need, u64 now_ns)
{
	ls->entry.due_ns = due_ns;
	ls->entry.need = need;
	set_ready(link, ls);
	schedule_add(&link->schedule, &ls->entry,
		     now_ns + time_of(link, link->flying));
}

/* Removes a socket that expects no answer any more. */
void link_leave(struct d2tcp_link *link, struct link_sock *ls)
{
	schedule_remove(&link->schedule, &ls->entry);
	uncount(link, ls);
	ls->flying = 0;
	ls->heard = false;
	ls->renew = false;
}

/* --- ACKs -------------------------------------------------------------------------- */

/* Sends an ACK of a locked socket. */
void link_send_ack(struct sock *sk)
{
	/* in CLOSE_WAIT the hook releases the socket with this packet */
	if ((1 << sk->sk_state) & (TCPF_ESTABLISHED | TCPF_FIN_WAIT1 |
				   TCPF_FIN_WAIT2 | TCPF_CLOSE_WAIT))
		d2tcp_send_ack(sk, tcp_sk(sk)->rcv_nxt);
}

/* Sends an ACK unless a process owns the socket, which may take arbitrarily long. */
bool link_try_ack(struct sock *sk)
{
	bool mine;

	local_bh_disable();
	bh_lock_sock(sk);
	mine = !sock_owned_by_user(sk);
	if (mine)
		link_send_ack(sk);
	bh_unlock_sock(sk);
	local_bh_enable();
	return mine;
}

/* Requests an ACK of a socket, whose link is locked. */
void link_want_ack(struct d2tcp_link *link, struct link_sock *ls)
{
	if (ls->gone || !list_empty(&ls->ack))
		return;
	sock_hold(ls->sk);
	list_add_tail(&ls->ack, &link->acks);
	tasklet_schedule(&link->acker);
}

/* Takes the first socket off a list and passes on the list's reference to it. RCU
 * keeps its state.
 */
static struct sock *next_ack(struct d2tcp_link *link, struct list_head *from,
			     struct link_sock **ls)
{
	struct sock *sk = NULL;

	link_lock(link);
	*ls = list_first_entry_or_null(from, struct link_sock, ack);
	if (*ls) {
		list_del_init(&(*ls)->ack);
		sk = (*ls)->sk;
	}
	link_unlock(link);
	return sk;
}

/* Sends the ACKs of a list. A socket that a process owns is retried at the next tick and
 * after a jiffy.
 */
static void send_acks(struct d2tcp_link *link, struct list_head *from)
{
	struct link_sock *ls;
	int n = LINK_BATCH;
	struct sock *sk;
	bool again;

	rcu_read_lock();
	while (n-- && (sk = next_ack(link, from, &ls))) {
		again = !link_try_ack(sk);
		link_lock(link);
		again = again && !ls->gone && list_empty(&ls->ack);
		if (again)
			list_add_tail(&ls->ack, &link->late_acks);
		link_unlock(link);
		if (again)
			schedule_delayed_work(&link->ack_work, 1);
		else
			sock_put(sk);
	}
	rcu_read_unlock();
}

static void acks(struct tasklet_struct *t)
{
	struct d2tcp_link *link = container_of(t, struct d2tcp_link, acker);

	send_acks(link, &link->acks);
	if (!list_empty_careful(&link->acks))
		tasklet_schedule(&link->acker);
}

static void late_acks(struct work_struct *work)
{
	struct d2tcp_link *link = container_of(work, struct d2tcp_link,
					       ack_work.work);

	link_lock(link);
	list_splice_tail_init(&link->late_acks, &link->acks);
	link_unlock(link);
	tasklet_schedule(&link->acker);
}

/* Takes a socket off the lists, because its state is about to be freed. */
void link_forget(struct d2tcp_link *link, struct link_sock *ls)
{
	link_lock(link);
	ls->gone = true;
	if (!list_empty(&ls->ack)) {
		list_del_init(&ls->ack);
		sock_put(ls->sk);
	}
	link_unlock(link);
}

/* --- devices ------------------------------------------------------------------------ */

static struct d2tcp_link *new_link(struct net *net, int ifindex)
{
	struct d2tcp_link *link = kzalloc(sizeof(*link), GFP_ATOMIC);

	if (!link)
		return NULL;
	link->net = net;
	link->ifindex = ifindex;
	spin_lock_init(&link->lock);
	schedule_init(&link->schedule, get_random_u32());
	INIT_LIST_HEAD(&link->acks);
	INIT_LIST_HEAD(&link->late_acks);
	INIT_LIST_HEAD(&link->recent);
	INIT_LIST_HEAD(&link->passed);
	link->amount = LINK_UNLIMITED;
	link->period = jiffies + LINK_PERIOD;
	d2tcp_hrtimer_setup(&link->timer, tick, CLOCK_MONOTONIC,
			    HRTIMER_MODE_REL_SOFT);
	tasklet_setup(&link->acker, acks);
	INIT_WORK(&link->sampler, sample);
	INIT_WORK(&link->hinter, hint);
	INIT_DELAYED_WORK(&link->ack_work, late_acks);
	return link;
}

/**
 * d2tcp_link_of() - find the link of a device, or create it
 * @net: its namespace
 * @ifindex: the device
 *
 * Return: the link, which lives as long as the namespace; NULL without memory.
 */
struct d2tcp_link *d2tcp_link_of(struct net *net, int ifindex)
{
	struct d2tcp_link *link;

	spin_lock_bh(&links_lock);
	list_for_each_entry(link, &links, list)
		if (link->net == net && link->ifindex == ifindex)
			goto out;
	link = new_link(net, ifindex);
	if (link)
		list_add(&link->list, &links);
out:
	spin_unlock_bh(&links_lock);
	return link;
}

static struct d2tcp_link *take_link(const struct net *net)
{
	struct d2tcp_link *link;

	spin_lock_bh(&links_lock);
	list_for_each_entry(link, &links, list) {
		if (link->net != net)
			continue;
		list_del(&link->list);
		spin_unlock_bh(&links_lock);
		return link;
	}
	spin_unlock_bh(&links_lock);
	return NULL;
}

/**
 * d2tcp_link_exit() - free the links of a namespace without expecting sockets
 * @net: the namespace
 */
void d2tcp_link_exit(const struct net *net)
{
	struct d2tcp_link *link;

	while ((link = take_link(net))) {
		/* no socket is left that could start these again */
		hrtimer_cancel(&link->timer);
		cancel_work_sync(&link->sampler);
		cancel_work_sync(&link->hinter);
		tasklet_kill(&link->acker);
		cancel_delayed_work_sync(&link->ack_work);
		tasklet_kill(&link->acker);
		kfree(link);
	}
}
