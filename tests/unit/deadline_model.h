/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A model of module/deadline.c: the rules of docs/messages.md, with 64-bit
 * positions that never wrap. Used by the host tests and the fuzzer.
 */
#ifndef DEADLINE_MODEL_H
#define DEADLINE_MODEL_H

#include "../harness.h"
#include "deadline.h"

struct model_message {
	u64 start, end, due;
	bool open, begun;
};

struct model {
	struct model_message m[8];
	unsigned int n, cleared, merged;
	u64 una, wseq;
};

static enum deadline_armed model_arm(struct model *m, u64 due, u64 bytes)
{
	struct model_message *last = m->n ? &m->m[m->n - 1] : NULL;
	enum deadline_armed how = DEADLINE_ARMED;

	if (last && !last->begun && last->start == m->wseq) {
		m->n--;
		m->cleared++;
		how = DEADLINE_REPLACED;
	} else if (last && (last->open || last->end > m->wseq)) {
		last->open = false;
		last->end = m->wseq;
	}
	if (m->n == 4) {
		last = &m->m[3];
		if (due < last->due)
			last->due = due;
		last->open = !bytes;
		last->end = m->wseq + bytes;
		last->begun = true;
		m->merged++;
		return DEADLINE_MERGED;
	}
	m->m[m->n++] = (struct model_message){
		.start = m->wseq, .end = m->wseq + bytes, .due = due,
		.open = !bytes,
	};
	return how;
}

static bool model_settle(struct model *m, u64 *due, u64 *end)
{
	struct model_message *first = &m->m[0], *last;

	if (!m->n)
		return false;
	last = &m->m[m->n - 1];
	if (last->start != m->wseq)
		last->begun = true;
	if (first->open ? !first->begun || m->una != m->wseq :
			  m->una < first->end)
		return false;
	*due = first->due;
	*end = first->open ? m->wseq : first->end;
	memmove(first, first + 1, --m->n * sizeof(*first));
	return true;
}

static double model_rate(const struct model *m, unsigned int i, u64 now)
{
	u64 end = m->m[i].open ? m->wseq : m->m[i].end;
	u64 bytes = end > m->una ? end - m->una : 0;

	/* times are compared in steps of 256 ns, rounded up */
	return (double)bytes / (double)((m->m[i].due - now) / 256 + 1);
}

static void compare(const struct deadline_ring *r, const struct model *m,
		    u32 base, u64 now)
{
	struct deadline_prefix p;
	double best = -1, got;
	bool found, late = false;
	unsigned int i;

	CHECK_EQ(deadline_count(r), m->n);
	CHECK_EQ(r->cleared, m->cleared);
	CHECK_EQ(r->merged, m->merged);
	for (i = 0; i < m->n; i++) {
		if (m->m[i].due <= now)
			late = true;
		else if (model_rate(m, i, now) > best)
			best = model_rate(m, i, now);
	}
	found = deadline_urgent(r, base + (u32)m->una, base + (u32)m->wseq,
				now, U32_MAX, 0, &p);
	CHECK_EQ(found, best >= 0);
	if (found) {
		got = (double)p.bytes / (double)(p.left_ns / 256 + 1);
		CHECK(got == best, "%g, not %g", got, best);
	}
	CHECK_EQ(deadline_late(r, base + (u32)m->una, base + (u32)m->wseq, now,
			       &p), late);
}

#endif /* DEADLINE_MODEL_H */
