// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of module/schedule.c on the host: single cases, all small ones, random
 * histories compared with a model, and the work that operations take.
 */
#include "schedule_model.h"

/* Only every STRIDE-th case is run; emulated machines are slow. */
#ifndef STRIDE
#define STRIDE 1
#endif

#define MS	1000000ull
#define GBIT	(8u << 16)	/* 8 ns per byte */

static struct schedule_entry entry(u64 due_ns, u32 need)
{
	return (struct schedule_entry){
		.due_ns = due_ns, .need = need, .ready = true,
	};
}

/* Serves the answer to grant next as a whole; returns when it is complete. */
static struct schedule_entry *serve(struct schedule *s, u64 *now_ns)
{
	struct schedule_entry *e = schedule_first(s, *now_ns);

	if (!e)
		return NULL;
	*now_ns += model_ns(s->pace, e->need);
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

TEST(an answer that was given up is in time again when a longer one makes room)
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

TEST(later answers go before one that is not ready and it keeps its place)
{
	struct schedule_entry e[3] = {
		entry(5 * MS, 1000), entry(7 * MS, 1000), entry(9 * MS, 1000),
	};
	struct schedule s;
	int i;

	schedule_init(&s, 7);
	schedule_set_pace(&s, GBIT);
	schedule_set_ready(&s, &e[1], false);
	for (i = 0; i < 3; i++)
		schedule_add(&s, &e[i], 0);
	CHECK(schedule_first(&s, 0) == &e[0], "not by deadline");
	schedule_set_ready(&s, &e[0], false);
	CHECK(schedule_first(&s, 0) == &e[2], "not the only one ready");
	schedule_set_ready(&s, &e[2], false);
	CHECK(!schedule_first(&s, 0), "none is ready");
	schedule_set_ready(&s, &e[1], true);
	CHECK(schedule_first(&s, 0) == &e[1], "not the only one ready");
	schedule_set_ready(&s, &e[0], true);
	CHECK(schedule_first(&s, 0) == &e[0], "its place was lost");
	/* part of an answer may be granted while it is not ready, and it stays so */
	schedule_granted(&s, &e[2], 500);
	CHECK_EQ(e[2].need, 500);
	schedule_remove(&s, &e[0]);
	schedule_remove(&s, &e[1]);
	CHECK(!schedule_first(&s, 0), "a grant made it ready");
}

TEST(an answer that is not ready keeps its time on the link)
{
	/* 2 and 3 ms long, in 4 ms: the longer one is given up */
	struct schedule_entry e = entry(4 * MS, 250000);
	struct schedule_entry longer = entry(4 * MS, 375000);
	struct schedule s;

	schedule_init(&s, 8);
	schedule_set_pace(&s, GBIT);
	schedule_set_ready(&s, &e, false);
	schedule_add(&s, &e, 0);
	schedule_add(&s, &longer, 0);
	CHECK_EQ(e.where, SCHEDULE_HOPEFUL);
	CHECK_EQ(longer.where, SCHEDULE_HOPELESS);
	/* meanwhile the link is not idle */
	CHECK(schedule_first(&s, 0) == &longer, "not the only one ready");
	schedule_set_ready(&s, &e, true);
	CHECK(schedule_first(&s, 0) == &e, "its time was lost");
}

TEST(among answers that were given up too the first that is ready comes)
{
	struct schedule_entry e[2] = { entry(1, 250000), entry(2, 250000) };
	struct schedule s;
	int i;

	schedule_init(&s, 9);
	schedule_set_pace(&s, GBIT);
	for (i = 0; i < 2; i++)
		schedule_add(&s, &e[i], 0);
	CHECK(schedule_first(&s, 0) == &e[0], "not by deadline");
	schedule_set_ready(&s, &e[0], false);
	CHECK(schedule_first(&s, 0) == &e[1], "not the only one ready");
	CHECK_EQ(e[1].where, SCHEDULE_HOPELESS);
}

#define LARGEST		65536
static struct schedule_entry largest[LARGEST];

TEST(the sum of 65536 answers of the longest time does not overflow)
{
	struct schedule s;
	unsigned int i;

	schedule_init(&s, 12);
	schedule_set_pace(&s, U32_MAX);
	for (i = 0; i < LARGEST; i++) {
		largest[i] = entry((1ull << 60) - 1, U32_MAX);
		schedule_add(&s, &largest[i], 0);
	}
	CHECK(s.hopeful->sum_ns < 1ull << 60, "the sum is %llu",
	      (unsigned long long)s.hopeful->sum_ns);
	CHECK_EQ(s.hopeful->count, LARGEST);
}

TEST(65536 answers of the longest time are given up at the slowest pace)
{
	struct schedule_entry *e = largest;
	unsigned int i, hopeless = 0, calls = 0;
	struct schedule s;

	schedule_init(&s, 10);
	for (i = 0; i < LARGEST; i++) {
		e[i] = entry((1ull << 40) + i, U32_MAX);
		schedule_add(&s, &e[i], 0);
	}
	CHECK(schedule_first(&s, 0) == &e[0], "not by deadline");
	schedule_set_pace(&s, U32_MAX);
	while (s.hopeful) {
		CHECK(schedule_first(&s, 0), "none comes first");
		/* each call gives some up, at the latest once all have the pace */
		CHECK(++calls <= 2 * LARGEST / SCHEDULE_AT_ONCE, "too many calls");
	}
	for (i = 0; i < LARGEST; i++)
		hopeless += e[i].where == SCHEDULE_HOPELESS;
	CHECK_EQ(hopeless, LARGEST);
	CHECK(schedule_first(&s, 0) == &e[0], "not by deadline");
}

TEST(a new pace reaches every entry even if the last one has not yet)
{
	static struct schedule_entry e[4 * SCHEDULE_AT_ONCE];
	const unsigned int n = 4 * SCHEDULE_AT_ONCE;
	unsigned int i, kept, most, deepest;
	struct schedule s;

	schedule_init(&s, 11);
	for (i = 0; i < n; i++) {
		e[i] = entry((i + 1) * MS, 125000);
		schedule_add(&s, &e[i], 0);
	}
	/* at 2 ms each every second entry is late; at 1 ms each none is, except
	 * entries given up in between
	 */
	schedule_set_pace(&s, 2 * GBIT);
	schedule_first(&s, 0);
	CHECK(e[0].turn != e[n - 1].turn, "all have the pace at once");
	schedule_set_pace(&s, GBIT);
	kept = check_schedule(&s, 0, n, &most, &deepest);
	CHECK_EQ(most, n);
	CHECK(kept >= n - 2 * SCHEDULE_AT_ONCE, "%u are given up", n - kept);
}

/* The max number of n entries that can be in time, found by trying every set. */
static unsigned int most_of_all_sets(struct schedule_entry **list,
				     unsigned int n, u64 now_ns)
{
	unsigned int set, i, size, most = 0;
	u64 at_ns;

	qsort(list, n, sizeof(*list), model_order);
	for (set = 0; set < 1u << n; set++) {
		at_ns = now_ns;
		size = 0;
		for (i = 0; i < n; i++) {
			if (!(set & 1u << i))
				continue;
			at_ns += list[i]->need;
			if (at_ns > list[i]->due_ns)
				break;
			size++;
		}
		if (i == n && size > most)
			most = size;
	}
	return most;
}

/* Checks that the schedule keeps as many entries in time as the best set. */
static void check_all_sets(struct schedule *s, struct schedule_entry *e,
			   unsigned int n, u64 now_ns)
{
	struct schedule_entry *in[8];
	unsigned int i, k = 0, most, deepest;

	for (i = 0; i < n; i++)
		if (e[i].where != SCHEDULE_OUT)
			in[k++] = &e[i];
	CHECK_EQ(check_schedule(s, now_ns, k, &most, &deepest), most);
	CHECK_EQ(most, most_of_all_sets(in, k, now_ns));
}

/* Adds the entries, serves those that are ready, and then the others. */
static void small_case(struct schedule_entry *e, unsigned int n, u32 seed)
{
	unsigned int i, ready = 0, served = 0;
	struct schedule s;
	u64 now = 0;

	schedule_init(&s, seed);
	schedule_set_pace(&s, 1 << 16);
	for (i = 0; i < n; i++) {
		schedule_add(&s, &e[i], now);
		check_all_sets(&s, e, n, now);
		ready += e[i].ready;
	}
	while (serve(&s, &now)) {
		served++;
		check_all_sets(&s, e, n, now);
	}
	CHECK_EQ(served, ready);
	for (i = 0; i < n; i++)
		schedule_set_ready(&s, &e[i], true);
	check_all_sets(&s, e, n, now);
	while (serve(&s, &now))
		served++;
	CHECK_EQ(served, n);
}

TEST(all cases of up to four answers are served as well as possible)
{
	/* due 1 to 5 ns, 1 to 3 ns long, ready or not */
	const unsigned int kinds = 5 * 3 * 2;
	struct schedule_entry e[4];
	unsigned int n, i, number, cases, k;

	for (n = 1, cases = kinds; n <= 4; n++, cases *= kinds)
		/* every 17th case of four entries, with every kind at every position */
		for (number = 0; number < cases;
		     number += STRIDE * (n < 4 ? 1 : 17)) {
			for (i = 0, k = number; i < n; i++, k /= kinds) {
				e[i] = entry(1 + k % 5, 1 + k / 5 % 3);
				e[i].ready = k / 15 % 2;
			}
			small_case(e, n, number + 1);
		}
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

/* One operation at random on one of n entries, of which *in are in. */
static void any_operation(struct schedule *s, struct schedule_entry *e,
			  unsigned int n, unsigned int *in, u64 *now)
{
	struct schedule_entry *any = &e[rand() % n];

	switch (rand() % 10) {
	default:
		if (any->where != SCHEDULE_OUT)
			break;
		any->due_ns = *now + rand() % (1 + rand() % (16 * n));
		any->need = 1 + rand() % 50;
		schedule_set_ready(s, any, rand() % 3);
		schedule_add(s, any, *now);
		++*in;
		break;
	case 0:
		*in -= any->where != SCHEDULE_OUT;
		schedule_remove(s, any);
		break;
	case 1:
		*now += rand() % 50;
		break;
	case 2:
		schedule_set_pace(s, 40000 + rand() % 60000);
		break;
	case 3:
	case 4:
		/* bytes may arrive for an answer other than the first */
		if (rand() % 8)
			any = schedule_first(s, *now);
		if (!any || any->where == SCHEDULE_OUT)
			break;
		schedule_granted(s, any, 1 + rand() % any->need);
		*in -= any->where == SCHEDULE_OUT;
		break;
	case 5:
		schedule_set_ready(s, any, rand() % 2);
		break;
	}
}

/* Answers are added, granted in parts, removed, become ready or not, and time
 * passes. Adds up the numbers of answers that are kept in time and that could be.
 */
static void history(unsigned int seed, unsigned long *kept, unsigned long *could)
{
	static struct schedule_entry e[64];
	unsigned int n = 0, before, step, kept_now, most, deepest;
	u64 now = rand() % 1000;
	struct schedule s;
	bool chosen;

	srand(seed);
	schedule_init(&s, seed);
	schedule_set_pace(&s, 1 << 16);
	memset(e, 0, sizeof(e));
	for (step = 0; step < 200; step++) {
		before = n;
		any_operation(&s, e, 64, &n, &now);
		chosen = n > before && !s.changes;
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
	/* between two choices among all entries the result may be worse */
	CHECK(kept * 100 >= could * 99, "%lu of %lu", kept, could);
	printf("# %.2f %% of the entries that can be in time are kept in time\n",
	       100.0 * kept / could);
}

/* More entries than an operation reaches at once. */
TEST(random histories of many answers agree with the model)
{
	static struct schedule_entry e[6 * SCHEDULE_AT_ONCE];
	static struct schedule_entry *list[6 * SCHEDULE_AT_ONCE];
	const unsigned int n = 6 * SCHEDULE_AT_ONCE;
	unsigned int seed, i, in, hopeful, most, deepest, unsettled = 0;
	struct schedule s;
	u64 now;

	for (seed = 1; seed <= 20; seed += STRIDE) {
		srand(seed);
		now = 0;
		in = n;
		schedule_init(&s, seed);
		for (i = 0; i < n; i++) {
			e[i] = entry(rand() % (16 * n), 1 + rand() % 50);
			schedule_add(&s, &e[i], 0);
		}
		for (i = 0; i < 200; i++) {
			any_operation(&s, e, n, &in, &now);
			if (i % 20)
				unsettled += !check_first(&s, now, in, list,
							  &hopeful, &deepest);
			else
				check_schedule(&s, now, in, &most, &deepest);
		}
	}
	CHECK(unsettled, "all entries are reached at once");
}

/* The number of basic blocks that run, counted with -fsanitize-coverage=trace-pc. It
 * depends on the compiler only, so its growth can be checked.
 */
static unsigned long blocks;

void __sanitizer_cov_trace_pc(void);
__attribute__((no_sanitize_coverage)) void __sanitizer_cov_trace_pc(void)
{
	blocks++;
}

static void can_count(void)
{
	struct schedule s;

	blocks = 0;
	schedule_init(&s, 1);
	if (!blocks)
		SKIP("compiled without -fsanitize-coverage=trace-pc");
}

/* Adds n entries, due within @times times their total length; with @times = 1 some of
 * them are given up.
 */
static void fill(struct schedule *s, unsigned int n, unsigned int times)
{
	unsigned int i;

	srand(n);
	schedule_init(s, n);
	schedule_set_pace(s, 1 << 16);
	for (i = 0; i < n; i++) {
		largest[i] = entry(1 + rand() % (n * 100ull * times), 1);
		largest[i].need = 1 + rand() % 199;
		schedule_add(s, &largest[i], 0);
	}
}

enum { ADD, REMOVE, GRANT, READY, FIRST, OPERATIONS };
static const char *const operation_names[] = {
	"add", "remove", "grant", "set ready", "first",
};

#define COUNTED(what, call)						\
	do {								\
		unsigned long before_ = blocks;				\
									\
		call;							\
		mean[what] += (double)(blocks - before_) / rounds;	\
	} while (0)

/* The mean work of each operation among n entries. */
static void count_operations(unsigned int n, unsigned int times, double *mean)
{
	const unsigned int rounds = 4096;
	struct schedule_entry *e;
	struct schedule s;
	unsigned int i;

	memset(mean, 0, OPERATIONS * sizeof(*mean));
	fill(&s, n, times);
	for (i = 0; i < rounds; i++) {
		e = &largest[rand() % n];
		COUNTED(READY, schedule_set_ready(&s, e, !e->ready));
		COUNTED(FIRST, schedule_first(&s, 0));
		if (e->need > 1)
			COUNTED(GRANT, schedule_granted(&s, e, 1));
		COUNTED(REMOVE, schedule_remove(&s, e));
		e->due_ns = 1 + rand() % (n * 100ull * times);
		e->need = 1 + rand() % 199;
		COUNTED(ADD, schedule_add(&s, e, 0));
	}
}

/* From 2^from to 2^to entries the work may grow 1.5 times as fast as the logarithm,
 * because the depth of the tree is a logarithm minus a constant.
 */
static void check_growth(unsigned int from, unsigned int to, unsigned int times)
{
	double few[OPERATIONS], many[OPERATIONS];
	int i;

	count_operations(1u << from, times, few);
	count_operations(1u << to, times, many);
	for (i = 0; i < OPERATIONS; i++) {
		printf("# %s: %.0f blocks among %u, %.0f among %u\n",
		       operation_names[i], few[i], 1u << from, many[i],
		       1u << to);
		CHECK(many[i] * from <= 1.5 * few[i] * to,
		      "%s takes %.0f and %.0f", operation_names[i], few[i],
		      many[i]);
	}
}

TEST(operations take logarithmic time)
{
	can_count();
	check_growth(8, 16, 64);
}

TEST(operations take logarithmic time also where some are given up)
{
	can_count();
	/* up to SCHEDULE_AT_ONCE entries, which are chosen from again, and above */
	check_growth(4, 8, 1);
	check_growth(9, 16, 1);
}

/* The max work of one call until the schedule has settled. */
static unsigned long settle(struct schedule *s, u64 now_ns)
{
	unsigned long most = 0, before, work;
	unsigned int calls = LARGEST / SCHEDULE_AT_ONCE * 2;

	while (calls--) {
		before = blocks;
		schedule_first(s, now_ns);
		work = blocks - before;
		most = work > most ? work : most;
	}
	return most;
}

TEST(no operation takes time for all entries at once)
{
	double mean[OPERATIONS], one;
	unsigned long work, before;
	struct schedule s;

	can_count();
	count_operations(LARGEST, 64, mean);
	/* an entry that is given up is found, moved out, and moved in */
	one = 2 * mean[ADD] + 2 * mean[REMOVE];
	fill(&s, LARGEST, 64);
	before = blocks;
	schedule_set_pace(&s, 1 << 24);
	CHECK(blocks - before < mean[ADD], "%lu blocks", blocks - before);
	work = settle(&s, 0);
	printf("# %lu blocks after a new pace\n", work);
	CHECK(work <= 2 * SCHEDULE_AT_ONCE * one, "%lu blocks", work);
	CHECK(s.hopeless->count > LARGEST / 2, "few are given up");

	fill(&s, LARGEST, 64);
	work = settle(&s, 1ull << 40);
	printf("# %lu blocks after a long time\n", work);
	CHECK(work <= SCHEDULE_AT_ONCE * one, "%lu blocks", work);
	CHECK(!s.hopeful, "some would be late");

	/* a choice among all */
	fill(&s, SCHEDULE_AT_ONCE, 1);
	s.changes = SCHEDULE_AT_ONCE;
	before = blocks;
	schedule_first(&s, 0);
	CHECK_EQ(s.changes, 0);
	printf("# %lu blocks for a choice\n", blocks - before);
	CHECK(blocks - before <= SCHEDULE_AT_ONCE * one, "%lu blocks",
	      blocks - before);
}

int main(int argc, char **argv)
{
	return run_tests(argc, argv);
}
