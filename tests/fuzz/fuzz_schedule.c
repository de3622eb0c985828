// SPDX-License-Identifier: GPL-2.0
/*
 * libFuzzer target for module/schedule.c: compares any history of adding,
 * granting, removing, measuring, waiting, and being ready or not, with a model.
 * tests/fuzz/run builds and runs it, also with a small SCHEDULE_AT_ONCE, which
 * the entries exceed.
 */
#include "../unit/schedule_model.h"
#include "input.h"

#define ENTRIES		32

static void step(struct input *in, struct schedule *s,
		 struct schedule_entry *entries, unsigned int *n, u64 *now)
{
	struct schedule_entry *e = &entries[take(in, 1) % ENTRIES];
	unsigned int most, deepest;

	switch (take(in, 1) % 8) {
	case 0:
	case 1:
		if (e->where != SCHEDULE_OUT)
			break;
		e->due_ns = take(in, 1) % 8 ? *now + take(in, 3) : take(in, 7);
		e->need = 1 + (take(in, 1) % 4 ? take(in, 2) : take(in, 4) / 2);
		schedule_set_ready(s, e, take(in, 1) % 4);
		schedule_add(s, e, *now);
		++*n;
		break;
	case 2:
		*n -= e->where != SCHEDULE_OUT;
		schedule_remove(s, e);
		break;
	case 3:
		*now += take(in, 1) % 4 ? take(in, 2) : take(in, 5);
		break;
	case 4:
		schedule_set_pace(s, take(in, 1) % 4 ? take(in, 3) : take(in, 4));
		break;
	case 5:
		schedule_set_ready(s, e, take(in, 1) % 2);
		break;
	case 6:
		check_schedule(s, *now, *n, &most, &deepest);
		break;
	default:
		/* what is granted need not be first, nor ready */
		if (take(in, 1) % 4)
			e = schedule_first(s, *now);
		if (!e || e->where == SCHEDULE_OUT)
			break;
		schedule_granted(s, e, 1 + take(in, 4) % e->need);
		*n -= e->where == SCHEDULE_OUT;
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct schedule_entry entries[ENTRIES] = { { 0 } }, *list[ENTRIES];
	struct input in = { data, data + size };
	unsigned int n = 0, hopeful, deepest;
	struct schedule s;
	u64 now = 1000;

	if (setjmp(test_end)) {
		fflush(stdout);
		__builtin_trap();
	}
	schedule_init(&s, take(&in, 4));
	while (in.at < in.end) {
		step(&in, &s, entries, &n, &now);
		check_first(&s, now, n, list, &hopeful, &deepest);
	}
	(void)run_tests;
	return 0;
}
