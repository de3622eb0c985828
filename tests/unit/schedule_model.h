/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A model of module/schedule.c: sorted arrays, and Moore and Hodgson's choice as
 * their paper has it, in quadratic time. check_schedule() compares the two.
 */
#ifndef SCHEDULE_MODEL_H
#define SCHEDULE_MODEL_H

#include "../harness.h"
#include "schedule.h"

#define MODEL_MOST	2048

static u64 model_ns(const struct schedule *s, u64 bytes)
{
	return bytes * s->pace >> 16;
}

/* Collects a tree in order; checks what its subtrees know of themselves. */
static unsigned int model_walk(const struct schedule *s,
			       struct schedule_entry *e,
			       struct schedule_entry **list, unsigned int n,
			       unsigned int depth, unsigned int *deepest)
{
	unsigned int first = n, i;
	s64 start_ns = S64_MAX;
	u64 sum_ns = 0;
	u32 longest = 0;

	if (!e)
		return n;
	if (depth > *deepest)
		*deepest = depth;
	n = model_walk(s, e->before, list, n, depth + 1, deepest);
	list[n++] = e;
	n = model_walk(s, e->after, list, n, depth + 1, deepest);
	for (i = first; i < n; i++) {
		sum_ns += model_ns(s, list[i]->need);
		if ((s64)(list[i]->due_ns - sum_ns) < start_ns)
			start_ns = list[i]->due_ns - sum_ns;
		if (list[i]->need > longest)
			longest = list[i]->need;
	}
	CHECK_EQ(e->count, n - first);
	CHECK_EQ(e->sum_ns, sum_ns);
	CHECK_EQ(e->start_ns, start_ns);
	CHECK_EQ(e->longest->need, longest);
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

/* The most entries that can all be in time. Reorders the list. */
static unsigned int model_most(const struct schedule *s,
			       struct schedule_entry **list, unsigned int n,
			       u64 now_ns)
{
	unsigned int i, j, longest, kept = 0;
	struct schedule_entry *keep[MODEL_MOST];
	u64 at_ns = now_ns;

	qsort(list, n, sizeof(*list), model_order);
	for (i = 0; i < n; i++) {
		keep[kept++] = list[i];
		at_ns += model_ns(s, list[i]->need);
		if (at_ns <= list[i]->due_ns)
			continue;
		longest = 0;
		for (j = 1; j < kept; j++)
			if (keep[j]->need > keep[longest]->need)
				longest = j;
		at_ns -= model_ns(s, keep[longest]->need);
		keep[longest] = keep[--kept];
	}
	return kept;
}

/* Checks all of a schedule at a moment. Returns how many entries the schedule
 * keeps in time, and in *most how many it could.
 */
static unsigned int check_schedule(const struct schedule *s, u64 now_ns,
				   unsigned int entries, unsigned int *most,
				   unsigned int *deepest)
{
	struct schedule_entry *list[MODEL_MOST];
	unsigned int i, hopeful, all;
	u64 at_ns = now_ns;

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
		if (i >= hopeful)
			continue;
		at_ns += model_ns(s, list[i]->need);
		CHECK(at_ns <= list[i]->due_ns, "entry %u would be late", i);
	}
	*most = model_most(s, list, all, now_ns);
	CHECK(hopeful <= *most, "%u, and %u can be in time", hopeful, *most);
	return hopeful;
}

#endif /* SCHEDULE_MODEL_H */
