// SPDX-License-Identifier: GPL-2.0
/*
 * The order in which a receiver grants expected answers; see schedule.h.
 */
#include "schedule.h"

/* Max time of an entry on the link, more than two hours. A longer one counts as this,
 * so that sums of 2^16 entries stay below 2^59 ns.
 */
#define LENGTH_MOST_NS	BIT_ULL(43)

/* Time that an entry needs on the link. */
static u64 length_ns(const struct schedule *s, const struct schedule_entry *e)
{
	const u64 ns = (u64)e->need * s->paces[e->turn] >> 16;

	return ns < LENGTH_MOST_NS ? ns : LENGTH_MOST_NS;
}

static u32 count_of(const struct schedule_entry *e)
{
	return e ? e->count : 0;
}

static u64 sum_of(const struct schedule_entry *e)
{
	return e ? e->sum_ns : 0;
}

/* An empty subtree may start at any time. */
static s64 start_of(const struct schedule_entry *e)
{
	return e ? e->start_ns : S64_MAX;
}

static bool has_ready(const struct schedule_entry *e)
{
	return e && e->some_ready;
}

static u8 turns_of(const struct schedule_entry *e)
{
	return e ? e->turns : 0;
}

static struct schedule_entry *longer(struct schedule_entry *a,
				     struct schedule_entry *b)
{
	return b && b->need > a->need ? b : a;
}

/* Recomputes the fields of a subtree from its two parts. start_ns is the latest start
 * with which every entry is in time: an entry behind t ns of others must be due no
 * earlier than the start plus t ns plus its own length. Sums and deadlines stay below
 * 2^60, so the differences fit.
 */
static void update(const struct schedule *s, struct schedule_entry *e)
{
	const u64 own_ns = length_ns(s, e);
	const u64 until_ns = sum_of(e->before) + own_ns;
	s64 after_ns = start_of(e->after);

	if (after_ns != S64_MAX)
		after_ns -= until_ns;
	e->sum_ns = until_ns + sum_of(e->after);
	e->start_ns = (s64)(e->due_ns - until_ns);
	if (after_ns < e->start_ns)
		e->start_ns = after_ns;
	if (start_of(e->before) < e->start_ns)
		e->start_ns = start_of(e->before);
	/* of equals the earliest, because all later entries gain its time */
	e->longest = e->before ? longer(e->before->longest, e) : e;
	e->longest = longer(e->longest, e->after ? e->after->longest : NULL);
	e->count = count_of(e->before) + 1 + count_of(e->after);
	e->some_ready = e->ready || has_ready(e->before) ||
			has_ready(e->after);
	e->turns = 1 << e->turn | turns_of(e->before) | turns_of(e->after);
}

/* The order of service. Addresses make it total. */
static bool precedes(const struct schedule_entry *a,
		     const struct schedule_entry *b)
{
	if (a->due_ns != b->due_ns)
		return a->due_ns < b->due_ns;
	if (a->need != b->need)
		return a->need < b->need;
	return a < b;
}

/* Splits a tree into the entries up to @at and those after it. Recurses as deep
 * as the tree, which random priorities keep below 5 times log2 of its size.
 */
static void split(const struct schedule *s, struct schedule_entry *tree,
		  const struct schedule_entry *at,
		  struct schedule_entry **head, struct schedule_entry **tail)
{
	if (!tree) {
		*head = NULL;
		*tail = NULL;
		return;
	}
	if (precedes(at, tree)) {
		split(s, tree->before, at, head, &tree->before);
		*tail = tree;
	} else {
		split(s, tree->after, at, &tree->after, tail);
		*head = tree;
	}
	update(s, tree);
}

/* Joins two trees; all of @a precedes all of @b. */
static struct schedule_entry *merge(const struct schedule *s,
				    struct schedule_entry *a,
				    struct schedule_entry *b)
{
	if (!a || !b)
		return a ? a : b;
	if (a->priority > b->priority) {
		a->after = merge(s, a->after, b);
		update(s, a);
		return a;
	}
	b->before = merge(s, a, b->before);
	update(s, b);
	return b;
}

static void insert(const struct schedule *s, struct schedule_entry **tree,
		   struct schedule_entry *e)
{
	struct schedule_entry *head, *tail;

	e->before = NULL;
	e->after = NULL;
	e->turn = s->turn;
	update(s, e);
	split(s, *tree, e, &head, &tail);
	*tree = merge(s, merge(s, head, e), tail);
}

static void delete(const struct schedule *s, struct schedule_entry **tree,
		   const struct schedule_entry *e)
{
	if (*tree == e) {
		*tree = merge(s, e->before, e->after);
		return;
	}
	delete(s, precedes(e, *tree) ? &(*tree)->before : &(*tree)->after, e);
	update(s, *tree);
}

/* Updates the subtrees that contain an entry, after it has changed in place. */
static void update_above(const struct schedule *s, struct schedule_entry *tree,
			 const struct schedule_entry *e)
{
	if (tree != e)
		update_above(s, precedes(e, tree) ? tree->before : tree->after,
			     e);
	update(s, tree);
}

static struct schedule_entry **tree_of(struct schedule *s,
				       const struct schedule_entry *e)
{
	return e->where == SCHEDULE_HOPEFUL ? &s->hopeful : &s->hopeless;
}

static void place(struct schedule *s, struct schedule_entry *e, int where)
{
	e->where = where;
	insert(s, tree_of(s, e), e);
}

/* The first entry that is late if the tree starts at start_ns; there is one. */
static struct schedule_entry *first_late(const struct schedule *s,
					 struct schedule_entry *tree,
					 s64 start_ns)
{
	s64 until_ns;

	while (start_of(tree->before) >= start_ns) {
		until_ns = start_ns + sum_of(tree->before) +
			   length_ns(s, tree);
		if ((s64)tree->due_ns < until_ns)
			return tree;
		start_ns = until_ns;
		tree = tree->after;
	}
	return first_late(s, tree->before, start_ns);
}

static struct schedule_entry *leftmost(struct schedule_entry *tree)
{
	while (tree && tree->before)
		tree = tree->before;
	return tree;
}

static struct schedule_entry *first_ready(struct schedule_entry *tree)
{
	if (!has_ready(tree))
		return NULL;
	while (has_ready(tree->before) || !tree->ready)
		tree = has_ready(tree->before) ? tree->before : tree->after;
	return tree;
}

/* Does any entry of a subtree have its length by the former pace? */
static bool is_old(const struct schedule *s, const struct schedule_entry *e)
{
	return turns_of(e) & 1 << !s->turn;
}

/* Gives the next entries, *steps at most, their lengths by the current pace. */
static void renew(const struct schedule *s, struct schedule_entry *tree,
		  u32 *steps)
{
	if (!*steps || !is_old(s, tree))
		return;
	renew(s, tree->before, steps);
	if (*steps && tree->turn != s->turn) {
		tree->turn = s->turn;
		--*steps;
	}
	renew(s, tree->after, steps);
	update(s, tree);
}

/* Lengths matter among the hopeful entries only. A new pace is used once all of these
 * have the one before it, so that there are two paces at most.
 */
static void follow_pace(struct schedule *s)
{
	u32 steps = SCHEDULE_AT_ONCE;

	renew(s, s->hopeful, &steps);
	if (s->paces[s->turn] == s->pace || is_old(s, s->hopeful))
		return;
	s->turn = !s->turn;
	s->paces[s->turn] = s->pace;
	steps = SCHEDULE_AT_ONCE;
	renew(s, s->hopeful, &steps);
}

/* Gives entries up until the others are in time when started at now_ns,
 * SCHEDULE_AT_ONCE at most. Giving one up can make room for one that was given up
 * earlier, which choose() takes back.
 */
static void give_up(struct schedule *s, s64 now_ns)
{
	struct schedule_entry *late, *longest, *head, *tail;
	u32 steps = SCHEDULE_AT_ONCE;

	while (steps-- && start_of(s->hopeful) < now_ns) {
		late = first_late(s, s->hopeful, now_ns);
		split(s, s->hopeful, late, &head, &tail);
		longest = head->longest;
		delete(s, &head, longest);
		s->hopeful = merge(s, head, tail);
		place(s, longest, SCHEDULE_HOPELESS);
	}
}

/* Moore and Hodgson's choice among all entries, in n log n time: entries are added in
 * order of their deadlines, and whenever the last one is late the longest is given up.
 */
static void choose(struct schedule *s, s64 now_ns)
{
	struct schedule_entry *all = s->hopeful, *e;

	while (s->hopeless) {
		e = s->hopeless;
		delete(s, &s->hopeless, e);
		e->where = SCHEDULE_HOPEFUL;
		insert(s, &all, e);
	}
	s->hopeful = NULL;
	while (all) {
		e = leftmost(all);
		delete(s, &all, e);
		e->before = NULL;
		e->after = NULL;
		update(s, e);
		s->hopeful = merge(s, s->hopeful, e);
		if (start_of(s->hopeful) >= now_ns)
			continue;
		e = s->hopeful->longest;
		delete(s, &s->hopeful, e);
		place(s, e, SCHEDULE_HOPELESS);
	}
	s->changes = 0;
}

/* Updates the choice after a change of entries, time or pace. While some entries are
 * given up, all are chosen from again whenever one in eight has changed, which is
 * logarithmic time per change. With more than SCHEDULE_AT_ONCE entries it would take
 * too long in one operation.
 */
static void refresh(struct schedule *s, s64 now_ns)
{
	const u32 count = count_of(s->hopeful) + count_of(s->hopeless);

	follow_pace(s);
	if (!s->hopeless && start_of(s->hopeful) >= now_ns)
		return;
	if (count <= SCHEDULE_AT_ONCE && 8 * s->changes > count)
		choose(s, now_ns);
	else
		give_up(s, now_ns);
}

/**
 * schedule_init() - initialise an empty schedule for a link of unknown pace
 * @s: the schedule
 * @seed: seed of the priorities that balance it; any number
 */
void schedule_init(struct schedule *s, u32 seed)
{
	s->hopeful = NULL;
	s->hopeless = NULL;
	s->pace = 0;
	s->paces[0] = 0;
	s->turn = 0;
	s->changes = 0;
	s->random = seed ? seed : 1;
}

/**
 * schedule_set_pace() - set the pace of the link
 * @s: the schedule
 * @pace: 2^-16 ns per byte; 0: unknown, no entry is given up
 *
 * Later operations apply it to the entries, each of which they visit once per call; so
 * call it only when the pace changes by more than noise.
 */
void schedule_set_pace(struct schedule *s, u32 pace)
{
	s->pace = pace;
	/* choose again at the next change */
	s->changes += count_of(s->hopeful) + count_of(s->hopeless);
}

/**
 * schedule_add() - add an answer
 * @s: the schedule
 * @e: due_ns, need and ready are set; not in the schedule
 * @now_ns: when the link can begin with it
 */
void schedule_add(struct schedule *s, struct schedule_entry *e, u64 now_ns)
{
	/* xorshift, Marsaglia 2003 */
	s->random ^= s->random << 13;
	s->random ^= s->random >> 17;
	s->random ^= s->random << 5;
	e->priority = s->random;
	place(s, e, SCHEDULE_HOPEFUL);
	s->changes++;
	refresh(s, now_ns);
}

/**
 * schedule_remove() - remove an answer
 * @s: the schedule
 * @e: an entry, which need not be in the schedule
 */
void schedule_remove(struct schedule *s, struct schedule_entry *e)
{
	if (e->where == SCHEDULE_OUT)
		return;
	delete(s, tree_of(s, e), e);
	e->where = SCHEDULE_OUT;
	s->changes++;
}

/**
 * schedule_granted() - reduce an answer by bytes that were granted
 * @s: the schedule
 * @e: an entry in the schedule
 * @bytes: at most e->need. With the last one the entry leaves the schedule.
 */
void schedule_granted(struct schedule *s, struct schedule_entry *e, u32 bytes)
{
	const int where = e->where;

	delete(s, tree_of(s, e), e);
	e->need -= bytes;
	if (e->need)
		place(s, e, where);
	else
		e->where = SCHEDULE_OUT;
	s->changes++;
}

/**
 * schedule_set_ready() - set whether an answer can be granted bytes now
 * @s: the schedule
 * @e: an entry, which need not be in the schedule
 * @ready: whether schedule_first() may return it
 */
void schedule_set_ready(struct schedule *s, struct schedule_entry *e,
			bool ready)
{
	if (e->ready == ready)
		return;
	e->ready = ready;
	if (e->where != SCHEDULE_OUT)
		update_above(s, *tree_of(s, e), e);
}

/**
 * schedule_first() - find the answer to grant next
 * @s: the schedule
 * @now_ns: when the link can begin with it
 *
 * Return: the first entry that is ready, or NULL if there is none.
 */
struct schedule_entry *schedule_first(struct schedule *s, u64 now_ns)
{
	struct schedule_entry *e;

	refresh(s, now_ns);
	e = first_ready(s->hopeful);
	return e ? e : first_ready(s->hopeless);
}
