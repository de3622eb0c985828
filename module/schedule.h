/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The order in which a receiver lets expected answers in over one link.
 *
 * Earliest deadline first, among equal deadlines the shortest first. Answers
 * that cannot all be in time are chosen as Moore and Hodgson do: walking in the
 * order of the deadlines, when one would be late, the longest so far is given
 * up, so that as many as possible are in time (J. M. Moore, "An n job, one
 * machine sequencing algorithm for minimizing the number of late jobs",
 * Management Science 15, 1968). Those that were given up come last.
 *
 * An answer that cannot be granted anything now is not ready: it keeps its place
 * and its time on the link, and others go first meanwhile.
 *
 * The answers are in a treap, a search tree balanced by random priorities, in
 * which each subtree knows its length, its longest answer and its latest start.
 * An operation takes logarithmic time, on average over the changes between two
 * choices among all entries. What can concern all entries, a new pace, answers
 * that cannot be in time any more and the choice, is bounded per operation by
 * SCHEDULE_AT_ONCE: the caller holds a spinlock.
 *
 * No lock, no kernel: the caller serialises; the tests compile it on the host.
 */
#ifndef D2TCP_SCHEDULE_H
#define D2TCP_SCHEDULE_H

#include "pure.h"

/* Entries that one operation moves at most; 256 take some 0.1 ms. Up to so many
 * entries the order is exact after each operation. Of more, a new pace and time
 * that passed reach so many per operation, in the order of service, and those
 * given up are not looked at again until they are served. Tests lower it.
 */
#ifndef SCHEDULE_AT_ONCE
#define SCHEDULE_AT_ONCE	256
#endif

struct schedule_entry {
	u64 due_ns;		/* below 2^60; set before schedule_add() */
	u32 need;		/* bytes that are not granted yet, above 0 */
	bool ready;		/* may be first; schedule_set_ready() changes it */
	/* the rest is private */
	bool turn;		/* which of the paces its length has */
	bool some_ready;	/* in this subtree */
	u8 turns;		/* in this subtree: 1 << turn of each */
	u32 priority;		/* above those of both subtrees */
	u32 count;		/* entries of this subtree */
	struct schedule_entry *before, *after;
	struct schedule_entry *longest;	/* in this subtree */
	u64 sum_ns;		/* time that it needs on the link */
	s64 start_ns;		/* its latest start, see update() */
	enum { SCHEDULE_OUT, SCHEDULE_HOPEFUL, SCHEDULE_HOPELESS } where;
};

struct schedule {
	struct schedule_entry *hopeful;	/* all are in time if served in order */
	struct schedule_entry *hopeless;
	u32 pace;		/* 2^-16 ns per byte: of the link */
	u32 paces[2];		/* that the entries still have, by turn */
	bool turn;		/* of the newer one */
	u32 random;		/* state of the priorities, not 0 */
	u32 changes;		/* since all entries were chosen from */
};

void schedule_init(struct schedule *s, u32 seed);
void schedule_set_pace(struct schedule *s, u32 pace);
void schedule_add(struct schedule *s, struct schedule_entry *e, u64 now_ns);
void schedule_remove(struct schedule *s, struct schedule_entry *e);
void schedule_granted(struct schedule *s, struct schedule_entry *e, u32 bytes);
void schedule_set_ready(struct schedule *s, struct schedule_entry *e,
			bool ready);
struct schedule_entry *schedule_first(struct schedule *s, u64 now_ns);

#endif /* D2TCP_SCHEDULE_H */
