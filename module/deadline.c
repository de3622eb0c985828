// SPDX-License-Identifier: GPL-2.0
/*
 * Bookkeeping of messages with deadlines. docs/messages.md describes every
 * corner case.
 */
#include "deadline.h"

#define DUE_TIME	(BIT_ULL(60) - 1)

static u64 due_time(u64 due)
{
	return due & DUE_TIME;
}

static u32 end_of(const struct deadline_ring *ring, unsigned int i, u32 wseq)
{
	return ring->due[i] & DEADLINE_OPEN ? wseq : ring->end[i];
}

static void count_up(u16 *counter)
{
	if (*counter < U16_MAX)
		++*counter;
}

/**
 * deadline_count() - count the outstanding messages
 * @ring: the messages
 *
 * Return: 0 to DEADLINE_SLOTS.
 */
unsigned int deadline_count(const struct deadline_ring *ring)
{
	unsigned int n = 0;

	while (n < DEADLINE_SLOTS && ring->due[n])
		n++;
	return n;
}

/* Only the newest message may still be growing. A new message ends it where the
 * new one begins, or replaces it if none of it was written.
 */
static unsigned int end_newest(struct deadline_ring *ring, unsigned int n,
			       u32 wseq)
{
	u64 *due = &ring->due[n - 1];
	u32 *end = &ring->end[n - 1];

	if (!(*due & DEADLINE_BEGUN) && ring->start == wseq) {
		*due = 0;
		count_up(&ring->cleared);
		return n - 1;
	}
	if (*due & DEADLINE_OPEN || (s32)(*end - wseq) > 0) {
		*due &= ~DEADLINE_OPEN;
		*end = wseq;
	}
	return n;
}

/**
 * deadline_arm() - arm a message that starts at the next byte written
 * @ring: the messages
 * @due_ns: its deadline; 0 is taken as 1
 * @bytes: its length; 0 when unknown: it grows until the next one is armed
 * @una: first byte not acknowledged
 * @wseq: where the message starts
 *
 * With no slot left the message is merged with the newest, under the tighter of
 * the two deadlines: it may count as too urgent, but is never lost.
 *
 * Return: what happened to the message. DEADLINE_RANGE leaves the ring
 * unchanged.
 */
enum deadline_armed deadline_arm(struct deadline_ring *ring, u64 due_ns,
				 u64 bytes, u32 una, u32 wseq)
{
	enum deadline_armed armed = DEADLINE_ARMED;
	const u32 farthest = (1u << 31) - 1;
	u32 queued = wseq - una;
	unsigned int n, kept;

	if (queued > farthest || bytes > farthest - queued)
		return DEADLINE_RANGE;

	if (!due_ns)
		due_ns = 1;
	if (due_ns > DUE_TIME)
		due_ns = DUE_TIME;
	n = deadline_count(ring);
	if (n) {
		kept = end_newest(ring, n, wseq);
		if (kept < n)
			armed = DEADLINE_REPLACED;
		n = kept;
	}

	if (n == DEADLINE_SLOTS) {
		u64 old = ring->due[n - 1];

		if (due_time(old) < due_ns)
			due_ns = due_time(old);
		/* it keeps the start of the older one, which has begun */
		ring->due[n - 1] = due_ns | DEADLINE_BEGUN;
		if (!bytes)
			ring->due[n - 1] |= DEADLINE_OPEN;
		ring->end[n - 1] = wseq + (u32)bytes;
		count_up(&ring->merged);
		return DEADLINE_MERGED;
	}
	ring->due[n] = due_ns | (bytes ? 0 : DEADLINE_OPEN);
	ring->end[n] = wseq + (u32)bytes;
	ring->start = wseq;
	return armed;
}

/**
 * deadline_rebase() - move messages that were armed before the handshake
 * @ring: messages armed with una = wseq = 0
 * @wseq: sequence number of the first byte
 */
void deadline_rebase(struct deadline_ring *ring, u32 wseq)
{
	unsigned int i;

	for (i = 0; i < DEADLINE_SLOTS; i++)
		ring->end[i] += wseq;
	ring->start += wseq;
}

/**
 * deadline_clear() - forget every message, and count them as cleared
 * @ring: the messages
 *
 * Return: the number of messages.
 */
unsigned int deadline_clear(struct deadline_ring *ring)
{
	unsigned int i, n = deadline_count(ring);

	for (i = 0; i < n; i++) {
		count_up(&ring->cleared);
		ring->due[i] = 0;
	}
	return n;
}

/**
 * deadline_begun() - note whether the newest message has begun
 * @ring: the messages, at least one
 * @wseq: one after the last byte written
 *
 * Must be called before 2^32 bytes have been written since the message was
 * armed, because @wseq would then equal its start again. Once per window is
 * enough.
 */
void deadline_begun(struct deadline_ring *ring, u32 wseq)
{
	if (ring->start != wseq)
		ring->due[deadline_count(ring) - 1] |= DEADLINE_BEGUN;
}

/**
 * deadline_settle() - remove the oldest message if it is acknowledged
 * @ring: the messages
 * @una: first byte not acknowledged
 * @wseq: one after the last byte written
 * @settled: set to the message that was removed
 *
 * Call it after deadline_begun(), on each ACK for which deadline_reached() is
 * true or @una equals @wseq, until it returns false.
 *
 * Return: true when a message was removed.
 */
bool deadline_settle(struct deadline_ring *ring, u32 una, u32 wseq,
		     struct deadline_settled *settled)
{
	u64 due = ring->due[0];
	unsigned int i;

	if (!due)
		return false;
	if (due & DEADLINE_OPEN) {
		if (!(due & DEADLINE_BEGUN) || una != wseq)
			return false;
	} else if ((s32)(una - ring->end[0]) < 0) {
		return false;
	}
	settled->due_ns = due_time(due);
	settled->end = end_of(ring, 0, wseq);
	for (i = 0; i + 1 < DEADLINE_SLOTS; i++) {
		ring->due[i] = ring->due[i + 1];
		ring->end[i] = ring->end[i + 1];
	}
	ring->due[i] = 0;
	return true;
}

static void get_prefix(const struct deadline_ring *ring, unsigned int i,
		       u32 una, u32 wseq, u64 now_ns,
		       struct deadline_prefix *prefix)
{
	s32 bytes = (s32)(end_of(ring, i, wseq) - una);

	prefix->due_ns = due_time(ring->due[i]);
	prefix->left_ns = (s64)(prefix->due_ns - now_ns);
	/* acknowledged but not yet settled: nothing left, never less */
	prefix->bytes = bytes > 0 ? (u32)bytes : 0;
}

/* Time left, in 256 ns and never 0, so that bytes times it fits 64 bits. */
static u64 coarse(s64 left_ns)
{
	u64 t = ((u64)left_ns >> 8) + 1;

	return t < U32_MAX ? t : U32_MAX;
}

/**
 * deadline_urgent() - the prefix that needs the highest rate to be in time
 * @ring: the messages
 * @una: first byte not acknowledged
 * @wseq: one after the last byte written
 * @now_ns: the time
 * @most: the bytes of a prefix are capped at this
 * @least_ns: the time left is floored at this, for late messages too; 0: late
 *	messages are skipped
 * @prefix: set to the most urgent prefix, the first of several that are equally
 *	urgent, with its real time left
 *
 * Return: false when no message is outstanding, or none that counts.
 */
bool deadline_urgent(const struct deadline_ring *ring, u32 una, u32 wseq,
		     u64 now_ns, u32 most, s64 least_ns,
		     struct deadline_prefix *prefix)
{
	struct deadline_prefix p;
	u64 left, best_left = 0;
	bool found = false;
	unsigned int i;

	for (i = 0; i < DEADLINE_SLOTS && ring->due[i]; i++) {
		get_prefix(ring, i, una, wseq, now_ns, &p);
		if (p.left_ns <= 0 && !least_ns)
			continue;
		if (p.bytes > most)
			p.bytes = most;
		left = coarse(p.left_ns > least_ns ? p.left_ns : least_ns);
		/* bytes / left compared crosswise; below 2^31 times 2^32 */
		if (found && p.bytes * best_left <= prefix->bytes * left)
			continue;
		*prefix = p;
		best_left = left;
		found = true;
	}
	return found;
}

/**
 * deadline_late() - the first prefix whose deadline passed
 * @ring: the messages
 * @una: first byte not acknowledged
 * @wseq: one after the last byte written
 * @now_ns: the time
 * @prefix: set to the first prefix that is late
 *
 * Return: false when none is late.
 */
bool deadline_late(const struct deadline_ring *ring, u32 una, u32 wseq,
		   u64 now_ns, struct deadline_prefix *prefix)
{
	unsigned int i;

	for (i = 0; i < DEADLINE_SLOTS && ring->due[i]; i++) {
		get_prefix(ring, i, una, wseq, now_ns, prefix);
		if (prefix->left_ns <= 0)
			return true;
	}
	return false;
}
