// SPDX-License-Identifier: GPL-2.0
/*
 * libFuzzer target for module/deadline.c: compares any history of arming,
 * writing, acknowledging and clearing, from any first sequence number, with the
 * model that never wraps. tests/fuzz/run builds and runs it.
 */
#include "../unit/deadline_model.h"
#include "input.h"

static void step(struct input *in, struct deadline_ring *r, struct model *m,
		 u32 base, u64 *now)
{
	u64 due, bytes, end, n = m->wseq - m->una;
	struct deadline_settled was;
	bool more;

	switch (take(in, 1) % 6) {
	case 0:
		due = *now + take(in, 3);
		/* ahead, or already late */
		due = take(in, 1) % 4 ? due : *now / 2 + 1;
		bytes = take(in, 1) % 2 ? take(in, 4) : take(in, 2);
		if (n + bytes > INT32_MAX) {
			CHECK_EQ(deadline_arm(r, due, bytes, base + (u32)m->una,
					      base + (u32)m->wseq),
				 DEADLINE_RANGE);
			break;
		}
		CHECK_EQ(deadline_arm(r, due, bytes, base + (u32)m->una,
				      base + (u32)m->wseq),
			 model_arm(m, due, bytes));
		break;
	case 1:
		CHECK_EQ(deadline_clear(r), m->n);
		m->cleared += m->n;
		m->n = 0;
		break;
	case 2:
		bytes = take(in, 1) % 2 ? take(in, 4) : take(in, 2);
		if (n + bytes <= INT32_MAX)
			m->wseq += bytes;
		break;
	case 3:
		m->una += n ? take(in, 4) % (n + 1) : 0;
		break;
	case 4:
		m->una = m->wseq;
		break;
	default:
		*now += take(in, 3);
		break;
	}
	do {
		if (!deadline_none(r))
			deadline_begun(r, base + (u32)m->wseq);
		more = model_settle(m, &due, &end);
		CHECK_EQ(deadline_settle(r, base + (u32)m->una,
					 base + (u32)m->wseq, &was), more);
		if (more) {
			CHECK_EQ(was.due_ns, due);
			CHECK_EQ(was.end, base + (u32)end);
		}
	} while (more);
	/* the module's counters saturate, the model's do not */
	if (m->cleared < U16_MAX && m->merged < U16_MAX)
		compare(r, m, base, *now);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, data + size };
	struct deadline_ring ring = { 0 };
	struct model m = { 0 };
	u64 now = 1000;
	u32 base;

	if (setjmp(test_end)) {
		fflush(stdout);
		__builtin_trap();
	}
	base = take(&in, 4);
	while (in.at < in.end)
		step(&in, &ring, &m, base, &now);
	(void)run_tests;
	return 0;
}
