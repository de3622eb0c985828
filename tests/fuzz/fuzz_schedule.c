// SPDX-License-Identifier: GPL-2.0
/*
 * libFuzzer target for module/schedule.c: compares any history of adding,
 * granting, removing, measuring and waiting with a model. tests/fuzz/run builds
 * and runs it.
 */
#include <stdint.h>

#include "../unit/schedule_model.h"

#define ENTRIES		32

struct input {
	const uint8_t *at, *end;
};

static uint64_t take(struct input *in, unsigned int bytes)
{
	uint64_t v = 0;

	while (bytes-- && in->at < in->end)
		v = v << 8 | *in->at++;
	return v;
}

static void step(struct input *in, struct schedule *s,
		 struct schedule_entry *entries, unsigned int *n, u64 *now)
{
	struct schedule_entry *e = &entries[take(in, 1) % ENTRIES];

	switch (take(in, 1) % 6) {
	case 0:
	case 1:
		if (e->where != SCHEDULE_OUT)
			break;
		e->due_ns = take(in, 1) % 8 ? *now + take(in, 3) : take(in, 7);
		e->need = 1 + (take(in, 1) % 4 ? take(in, 2) : take(in, 4) / 2);
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
	default:
		e = schedule_first(s, *now);
		CHECK_EQ(!e, !*n);
		if (!e)
			break;
		schedule_granted(s, e, 1 + take(in, 4) % e->need);
		*n -= e->where == SCHEDULE_OUT;
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct schedule_entry entries[ENTRIES] = { { 0 } };
	struct input in = { data, data + size };
	unsigned int n = 0, most, deepest;
	struct schedule s;
	u64 now = 1000;

	if (setjmp(test_end)) {
		fflush(stdout);
		__builtin_trap();
	}
	schedule_init(&s, take(&in, 4));
	while (in.at < in.end) {
		step(&in, &s, entries, &n, &now);
		schedule_first(&s, now);
		check_schedule(&s, now, n, &most, &deepest);
	}
	(void)run_tests;
	return 0;
}
