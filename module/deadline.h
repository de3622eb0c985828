/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The messages of one connection that have a deadline and are not yet
 * acknowledged, in sequence space.
 *
 * Positions are TCP sequence numbers: 32 bits that wrap, compared as signed
 * differences, so that everything unacknowledged lies within 2^31 of snd_una.
 * "una" is the first byte not acknowledged, "wseq" the one after the last byte
 * written (without a FIN). Times are nanoseconds of one clock, below 2^60.
 *
 * Before a connection has sequence numbers it counts from una = wseq = 0, and
 * deadline_rebase() moves the ring to where the stream really starts.
 *
 * The code takes no lock and uses nothing of the kernel: the caller serialises, and
 * tests compile it on the host.
 */
#ifndef D2TCP_DEADLINE_H
#define D2TCP_DEADLINE_H

#include "pure.h"

#define DEADLINE_SLOTS		4

struct deadline_ring {
	u64 due[DEADLINE_SLOTS];	/* time and flags; 0: free; in order */
	u32 end[DEADLINE_SLOTS];	/* one after the last byte */
	u32 start;			/* first byte of the newest message */
	u16 merged;			/* both stay at U16_MAX */
	u16 cleared;
};

/* A prefix of the stream: all bytes up to the end of one message. */
struct deadline_prefix {
	u64 due_ns;
	s64 left_ns;			/* negative: late by */
	u32 bytes;			/* not yet acknowledged */
};

/* A message that was removed from the ring. */
struct deadline_settled {
	u64 due_ns;
	u32 end;			/* one after its last byte */
};

enum deadline_armed {
	DEADLINE_ARMED,
	DEADLINE_REPLACED,	/* the newest, of which nothing was written */
	DEADLINE_MERGED,	/* into the newest, the ring being full */
	DEADLINE_RANGE,		/* refused: ends 2^31 or more after una */
};

enum deadline_armed deadline_arm(struct deadline_ring *ring, u64 due_ns,
				 u64 bytes, u32 una, u32 wseq);
void deadline_rebase(struct deadline_ring *ring, u32 wseq);
unsigned int deadline_clear(struct deadline_ring *ring);
bool deadline_settle(struct deadline_ring *ring, u32 una, u32 wseq,
		     struct deadline_settled *settled);
bool deadline_urgent(const struct deadline_ring *ring, u32 una, u32 wseq,
		     u64 now_ns, u32 most, s64 least_ns,
		     struct deadline_prefix *prefix);
bool deadline_late(const struct deadline_ring *ring, u32 una, u32 wseq,
		   u64 now_ns, struct deadline_prefix *prefix);
void deadline_begun(struct deadline_ring *ring, u32 wseq);
unsigned int deadline_count(const struct deadline_ring *ring);

/* Flags of a message, in the upper bits of its deadline. */
#define DEADLINE_OPEN	BIT_ULL(63)	/* length unknown: ends at wseq */
#define DEADLINE_BEGUN	BIT_ULL(62)	/* at least one byte was written */

static inline bool deadline_none(const struct deadline_ring *ring)
{
	return !ring->due[0];
}

/* Called on each ACK: whether the oldest message can be settled. One of unknown
 * length is settled when una equals wseq, which the caller checks.
 */
static inline bool deadline_reached(const struct deadline_ring *ring, u32 una)
{
	return ring->due[0] && !(ring->due[0] & DEADLINE_OPEN) &&
	       (s32)(una - ring->end[0]) >= 0;
}

#endif /* D2TCP_DEADLINE_H */
