// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of module/schedule.c on the host: single cases, and random histories
 * compared with a model.
 */
#include "schedule_model.h"

/* Only every STRIDE-th history is run; emulated machines are slow. */
#ifndef STRIDE
#define STRIDE 1
#endif

#define MS	1000000ull
#define GBIT	(8u << 16)	/* 8 ns per byte */

static struct schedule_entry entry(u64 due_ns, u32 need)
{
	return (struct schedule_entry){ .due_ns = due_ns, .need = need };
}

/* Serves the answer to grant next as a whole; returns when it is complete. */
static struct schedule_entry *serve(struct schedule *s, u64 *now_ns)
{
	struct schedule_entry *e = schedule_first(s, *now_ns);

	if (!e)
		return NULL;
	*now_ns += model_ns(s, e->need);
	schedule_granted(s, e, e->need);
	return e;
}

TEST(the earliest deadline comes first and among equals the shortest)
{
	struct schedule_entry e[4] = {
		entry(9 * MS, 1000), entry(5 * MS, 3000), entry(5 * MS, 2000),
		entry(7 * MS, 10),
	};
	static const int order[] = { 2, 1, 3, 0 };
	struct schedule s;
	u64 now = 0;
	int i;

	schedule_init(&s, 1);
	schedule_set_pace(&s, GBIT);
	for (i = 0; i < 4; i++)
		schedule_add(&s, &e[i], 0);
	for (i = 0; i < 4; i++)
		CHECK(serve(&s, &now) == &e[order[i]], "place %d", i);
	CHECK(!serve(&s, &now), "one too many");
}

TEST(when not all can be in time the longest is given up and comes last)
{
	/* 1, 2 and 3 ms long, in 5 ms */
	struct schedule_entry e[3] = {
		entry(5 * MS, 250000), entry(5 * MS, 375000),
		entry(5 * MS, 125000),
	};
	struct schedule s;
	u64 now = 0;
	int i;

	schedule_init(&s, 2);
	schedule_set_pace(&s, GBIT);
	for (i = 0; i < 3; i++)
		schedule_add(&s, &e[i], 0);
	CHECK_EQ(e[1].where, SCHEDULE_HOPELESS);
	CHECK(serve(&s, &now) == &e[2], "not the shortest");
	CHECK(serve(&s, &now) == &e[0], "not the next");
	CHECK_EQ(now, 3 * MS);
	CHECK(serve(&s, &now) == &e[1], "not served at all");
}

TEST(an answer that cannot be in time makes no other one late)
{
	struct schedule_entry late = entry(1 * MS, 250000);
	struct schedule_entry other = entry(3 * MS, 250000);
	struct schedule s;
	u64 now = 0;

	schedule_init(&s, 3);
	schedule_set_pace(&s, GBIT);
	schedule_add(&s, &late, 0);
	schedule_add(&s, &other, 0);
	CHECK(serve(&s, &now) == &other, "the late one came first");
	CHECK(serve(&s, &now) == &late, "the late one never came");
}

TEST(an answer is given up when time passes without it)
{
	struct schedule_entry e = entry(3 * MS, 250000);
	struct schedule_entry next = entry(9 * MS, 250000);
	struct schedule s;

	schedule_init(&s, 3);
	schedule_set_pace(&s, GBIT);
	schedule_add(&s, &e, 0);
	schedule_add(&s, &next, 0);
	CHECK(schedule_first(&s, 1 * MS) == &e, "given up too early");
	CHECK(schedule_first(&s, 1 * MS + 1) == &next, "not given up");
}

TEST(one that was given up is in time again when a longer one makes room)
{
	/* the first two exclude each other; the third excludes the first */
	struct schedule_entry e[3] = {
		entry(6, 5), entry(7, 5), entry(2, 2),
	};
	unsigned int most, deepest;
	struct schedule s;
	int i;

	schedule_init(&s, 5);
	schedule_set_pace(&s, 1 << 16);
	for (i = 0; i < 3; i++)
		schedule_add(&s, &e[i], 0);
	CHECK_EQ(check_schedule(&s, 0, 3, &most, &deepest), 2);
}

TEST(nothing is given up while the pace of the link is unknown)
{
	struct schedule_entry e[2] = { entry(1, U32_MAX), entry(2, 1) };
	struct schedule s;

	schedule_init(&s, 4);
	schedule_add(&s, &e[0], 0);
	schedule_add(&s, &e[1], 0);
	CHECK_EQ(e[0].where, SCHEDULE_HOPEFUL);
	CHECK(schedule_first(&s, 0) == &e[0], "not by deadline");
	/* known: the first one takes 34 s */
	schedule_set_pace(&s, GBIT);
	CHECK_EQ(schedule_first(&s, 0)->where, SCHEDULE_HOPELESS);
}

TEST(grants shorten an answer and the last one takes it out)
{
	struct schedule_entry e = entry(5 * MS, 3000), other = entry(5 * MS, 2500);
	struct schedule s;

	schedule_init(&s, 6);
	schedule_set_pace(&s, GBIT);
	schedule_add(&s, &e, 0);
	schedule_add(&s, &other, 0);
	CHECK(schedule_first(&s, 0) == &other, "not the shortest");
	schedule_granted(&s, &e, 1000);
	CHECK(schedule_first(&s, 0) == &e, "not the shortest");
	CHECK_EQ(e.need, 2000);
	schedule_granted(&s, &e, 2000);
	CHECK_EQ(e.where, SCHEDULE_OUT);
	CHECK(schedule_first(&s, 0) == &other, "still in");
	/* removing twice is no error */
	schedule_remove(&s, &e);
	schedule_remove(&s, &other);
	schedule_remove(&s, &other);
	CHECK(!schedule_first(&s, 0), "not empty");
}

TEST(a thousand answers in any order stay within a shallow tree)
{
	static struct schedule_entry e[1000];
	unsigned int most, deepest;
	struct schedule s;
	int how, i;

	for (how = 0; how < 3; how++) {
		schedule_init(&s, how);
		schedule_set_pace(&s, GBIT);
		for (i = 0; i < 1000; i++) {
			e[i] = entry(how == 0 ? i * MS : how == 1 ?
				     (1000 - i) * MS : 500 * MS, 1000);
			schedule_add(&s, &e[i], 0);
		}
		check_schedule(&s, 0, 1000, &most, &deepest);
		CHECK(deepest < 50, "%u levels", deepest);
	}
}

/* Answers are added, granted in parts, removed, and time passes. Adds up how many
 * are kept in time, and how many could be.
 */
static void history(unsigned int seed, unsigned long *kept, unsigned long *could)
{
	static struct schedule_entry e[64];
	unsigned int i, n = 0, step, kept_now, most, deepest;
	struct schedule_entry *first;
	bool chosen;
	u64 now = rand() % 1000;
	struct schedule s;

	srand(seed);
	schedule_init(&s, seed);
	schedule_set_pace(&s, 1 << 16);
	memset(e, 0, sizeof(e));
	for (step = 0; step < 200; step++) {
		chosen = false;
		i = rand() % 64;
		switch (rand() % 8) {
		default:
			if (e[i].where != SCHEDULE_OUT)
				break;
			e[i].due_ns = now + rand() % (1 + rand() % 1000);
			e[i].need = 1 + rand() % 50;
			schedule_add(&s, &e[i], now);
			n++;
			chosen = !s.changes;
			break;
		case 0:
			n -= e[i].where != SCHEDULE_OUT;
			schedule_remove(&s, &e[i]);
			break;
		case 1:
			now += rand() % 50;
			break;
		case 2:
			schedule_set_pace(&s, 40000 + rand() % 60000);
			break;
		case 3:
		case 4:
			first = schedule_first(&s, now);
			CHECK_EQ(!first, !n);
			if (!first)
				break;
			schedule_granted(&s, first, 1 + rand() % first->need);
			n -= first->where == SCHEDULE_OUT;
			break;
		}
		schedule_first(&s, now);
		kept_now = check_schedule(&s, now, n, &most, &deepest);
		*kept += kept_now;
		*could += most;
		/* a choice among all entries is the best one */
		if (chosen)
			CHECK_EQ(kept_now, most);
	}
}

TEST(random histories agree with the model)
{
	unsigned long kept = 0, could = 0;
	unsigned int seed;

	for (seed = 1; seed <= 3000; seed += STRIDE)
		history(seed, &kept, &could);
	/* between two choices among all entries some may be missed */
	CHECK(kept * 100 >= could * 99, "%lu of %lu", kept, could);
	printf("# %.2f %% of the most that can be in time\n",
	       100.0 * kept / could);
}

int main(int argc, char **argv)
{
	return run_tests(argc, argv);
}
