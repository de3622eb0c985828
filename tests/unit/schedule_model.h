/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A model of module/schedule.c: sorted arrays, and Moore and Hodgson's choice as
 * their paper has it, in quadratic time. check_schedule() compares the two.
 */
#ifndef SCHEDULE_MODEL_H
#define SCHEDULE_MODEL_H

#include "../harness.h"
#include "schedule.h"

#define MODEL_MOST	65536

/* A longer time on the link counts as this one. */
#define MODEL_LONGEST_NS	(1ull << 43)

static u64 model_ns(u32 pace, u32 bytes)
{
	u64 ns = (u64)bytes * pace >> 16;

	return ns < MODEL_LONGEST_NS ? ns : MODEL_LONGEST_NS;
}

/* Checks the fields of a subtree, whose entries are list[0] to list[n - 1].
 * @timed: its times are in use, those of the hopeless entries are not
 */
static void model_subtree(const struct schedule *s,
			  const struct schedule_entry *e,
			  struct schedule_entry **list, unsigned int n,
			  bool timed)
{
	struct schedule_entry *longest = list[0];
	s64 start_ns = S64_MAX;
	bool ready = false;
	unsigned int i;
	u64 sum_ns = 0;
	u8 turns = 0;

	for (i = 0; i < n; i++) {
		sum_ns += model_ns(s->paces[list[i]->turn], list[i]->need);
		if ((s64)(list[i]->due_ns - sum_ns) < start_ns)
			start_ns = list[i]->due_ns - sum_ns;
		if (list[i]->need > longest->need)
			longest = list[i];
		ready |= list[i]->ready;
		turns |= list[i]->turn ? 2 : 1;
	}
	CHECK_EQ(e->count, n);
	CHECK(e->longest == longest, "not the first of the longest");
	CHECK_EQ(e->some_ready, ready);
	if (!timed)
		return;
	CHECK_EQ(e->turns, turns);
	CHECK_EQ(e->sum_ns, sum_ns);
	CHECK_EQ(e->start_ns, start_ns);
}

/* Collects a tree in order, and checks it. */
static unsigned int model_walk(const struct schedule *s,
			       struct schedule_entry *e,
			       struct schedule_entry **list, unsigned int n,
			       unsigned int depth, unsigned int *deepest)
{
	const unsigned int first = n;

	if (!e)
		return n;
	if (depth > *deepest)
		*deepest = depth;
	n = model_walk(s, e->before, list, n, depth + 1, deepest);
	list[n++] = e;
	n = model_walk(s, e->after, list, n, depth + 1, deepest);
	model_subtree(s, e, list + first, n - first,
		      e->where == SCHEDULE_HOPEFUL);
	CHECK(!e->before || e->before->priority <= e->priority, "not a heap");
	CHECK(!e->after || e->after->priority <= e->priority, "not a heap");
	return n;
}

static int model_order(const void *a, const void *b)
{
	const struct schedule_entry *x = *(struct schedule_entry *const *)a;
	const struct schedule_entry *y = *(struct schedule_entry *const *)b;

	if (x->due_ns != y->due_ns)
		return x->due_ns < y->due_ns ? -1 : 1;
	return (x->need > y->need) - (x->need < y->need);
}

/* The max number of entries that can all be in time. Reorders the list. */
static unsigned int model_most(const struct schedule *s,
			       struct schedule_entry **list, unsigned int n,
			       u64 now_ns)
{
	static struct schedule_entry *keep[MODEL_MOST];
	unsigned int i, j, longest, kept = 0;
	u64 at_ns = now_ns;

	qsort(list, n, sizeof(*list), model_order);
	for (i = 0; i < n; i++) {
		keep[kept++] = list[i];
		at_ns += model_ns(s->pace, list[i]->need);
		if (at_ns <= list[i]->due_ns)
			continue;
		longest = 0;
		for (j = 1; j < kept; j++)
			if (keep[j]->need > keep[longest]->need)
				longest = j;
		at_ns -= model_ns(s->pace, keep[longest]->need);
		keep[longest] = keep[--kept];
	}
	return kept;
}

/* Collects all entries in the order of service, and checks both trees. Returns the
 * number of hopeful entries, which come first.
 */
static unsigned int check_trees(const struct schedule *s,
				struct schedule_entry **list,
				unsigned int entries, unsigned int *deepest)
{
	unsigned int i, hopeful, all;

	*deepest = 0;
	hopeful = model_walk(s, s->hopeful, list, 0, 1, deepest);
	all = model_walk(s, s->hopeless, list, hopeful, 1, deepest);
	CHECK_EQ(all, entries);
	for (i = 0; i < all; i++) {
		CHECK_EQ(list[i]->where, i < hopeful ? SCHEDULE_HOPEFUL :
			 SCHEDULE_HOPELESS);
		if (i && i != hopeful)
			CHECK(model_order(&list[i - 1], &list[i]) <= 0,
			      "entries %u and %u are in the wrong order",
			      i - 1, i);
	}
	return hopeful;
}

/* Do the hopeful entries all have the current pace, and are they in time? */
static bool model_settled(const struct schedule *s,
			  struct schedule_entry **list, unsigned int hopeful,
			  u64 now_ns)
{
	unsigned int i;

	for (i = 0; i < hopeful; i++) {
		if (s->paces[list[i]->turn] != s->pace)
			return false;
		now_ns += model_ns(s->pace, list[i]->need);
		if (now_ns > list[i]->due_ns)
			return false;
	}
	return true;
}

/* Calls schedule_first(), and checks its result and the trees. Of at most
 * SCHEDULE_AT_ONCE entries the hopeful ones must be in time now. Returns whether
 * they are.
 */
static bool check_first(struct schedule *s, u64 now_ns, unsigned int entries,
			struct schedule_entry **list, unsigned int *hopeful,
			unsigned int *deepest)
{
	struct schedule_entry *first = schedule_first(s, now_ns);
	unsigned int i;
	bool settled;

	*hopeful = check_trees(s, list, entries, deepest);
	for (i = 0; i < entries && !list[i]->ready; i++)
		;
	CHECK(first == (i < entries ? list[i] : NULL), "not the first ready");
	settled = model_settled(s, list, *hopeful, now_ns);
	CHECK(settled || entries > SCHEDULE_AT_ONCE, "some would be late");
	return settled;
}

/* Repeats schedule_first() until its bounded updates have reached every entry, then
 * checks the schedule. Returns how many entries it keeps in time, and in *most how
 * many any choice could.
 */
static unsigned int check_schedule(struct schedule *s, u64 now_ns,
				   unsigned int entries, unsigned int *most,
				   unsigned int *deepest)
{
	static struct schedule_entry *list[MODEL_MOST];
	/* for the former pace, for this one, and for the time */
	unsigned int calls = 3 * (entries / SCHEDULE_AT_ONCE + 1);
	unsigned int hopeful;

	while (!check_first(s, now_ns, entries, list, &hopeful, deepest))
		CHECK(--calls, "%u entries do not settle", entries);
	*most = model_most(s, list, entries, now_ns);
	CHECK(hopeful <= *most, "%u, and %u can be in time", hopeful, *most);
	return hopeful;
}

#endif /* SCHEDULE_MODEL_H */
