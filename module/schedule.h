/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The order in which a receiver grants expected answers over one link.
 *
 * Earliest deadline first, among equal deadlines the shortest first. When not all
 * answers can be in time, they are chosen as by Moore and Hodgson: in the order of
 * the deadlines, whenever one would be late, the longest so far is given up, so that
 * as many as possible are in time (J. M. Moore, "An n job, one machine sequencing
 * algorithm for minimizing the number of late jobs", Management Science 15, 1968).
 * Answers that were given up come last.
 *
 * An answer that cannot be granted any byte now is not ready. It keeps its place and
 * its time on the link, and later answers are granted meanwhile.
 *
 * The answers are in a treap, a search tree balanced by random priorities, in
 * which each subtree has its total length, its longest answer and its latest start.
 * An operation takes logarithmic time, on average over the changes between two
 * choices among all entries. Because the caller holds a spinlock, work that can
 * concern all entries (a new pace, giving up answers, the choice) is bounded by
 * SCHEDULE_AT_ONCE entries per operation.
 *
 * The code takes no lock and uses nothing of the kernel: the caller serialises, and
 * tests compile it on the host.
 */
#ifndef D2TCP_SCHEDULE_H
#define D2TCP_SCHEDULE_H

#include "pure.h"

/* Max number of entries that one operation moves; 256 take about 0.1 ms. With no more
 * entries than this the order is exact after each operation. With more, an operation
 * applies a new pace, or the passing of time, to this many entries, in the order of
 * service, and entries that were given up are not reconsidered. Tests lower it.
 */
#ifndef SCHEDULE_AT_ONCE
#define SCHEDULE_AT_ONCE	256
#endif

struct schedule_entry {
	u64 due_ns;		/* below 2^60; set before schedule_add() */
	u32 need;		/* bytes that are not granted yet, above 0 */
	bool ready;		/* may be first; changed by schedule_set_ready() */
	/* the rest is private */
	bool turn;		/* index of the pace of its length */
	bool some_ready;	/* in this subtree */
	u8 turns;		/* in this subtree: 1 << turn of each */
	u32 priority;		/* above the priorities of both subtrees */
	u32 count;		/* entries of this subtree */
	struct schedule_entry *before, *after;
	struct schedule_entry *longest;	/* in this subtree */
	u64 sum_ns;		/* time that the subtree needs on the link */
	s64 start_ns;		/* latest start of the subtree, see update() */
	enum { SCHEDULE_OUT, SCHEDULE_HOPEFUL, SCHEDULE_HOPELESS } where;
};

struct schedule {
	struct schedule_entry *hopeful;	/* all are in time if served in order */
	struct schedule_entry *hopeless;
	u32 pace;		/* 2^-16 ns per byte: of the link */
	u32 paces[2];		/* of the entries, by turn */
	bool turn;		/* index of the newer one */
	u32 random;		/* state of the priorities, not 0 */
	u32 changes;		/* since the last choice among all entries */
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
