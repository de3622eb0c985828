// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of module/deadline.c on the host: single cases, and long random
 * histories compared with a model whose 64-bit positions never wrap.
 */
#include <stdint.h>

#include "../harness.h"
#include "deadline.h"
#include "deadline_model.h"

/* Only every STRIDE-th history is run; emulated machines are slow. */
#ifndef STRIDE
#define STRIDE 1
#endif

#define MS	1000000ull

static const u32 starts[] = {
	0, 1, 1000, 0x7fffff00u, 0x7fffffffu, 0x80000000u, 0xfffff000u,
	0xffffffffu,
};
#define EACH_START(s)							\
	for (const u32 *at_ = starts; at_ < starts + 8 && ((s) = *at_, 1); at_++)

static unsigned int settle(struct deadline_ring *r, u32 una, u32 wseq,
			   u64 *last)
{
	struct deadline_settled was;
	unsigned int n = 0;

	if (!deadline_none(r))
		deadline_begun(r, wseq);
	while (deadline_settle(r, una, wseq, &was)) {
		*last = was.due_ns;
		n++;
	}
	return n;
}

TEST(a message of known length settles when its last byte is acknowledged)
{
	u64 due;
	u32 s;

	EACH_START(s) {
		struct deadline_ring r = { 0 };

		CHECK_EQ(deadline_arm(&r, 5 * MS, 1000, s, s), DEADLINE_ARMED);
		CHECK_EQ(settle(&r, s, s, &due), 0);
		CHECK_EQ(settle(&r, s, s + 1000, &due), 0);
		CHECK_EQ(settle(&r, s + 999, s + 1000, &due), 0);
		CHECK_EQ(settle(&r, s + 1000, s + 1000, &due), 1);
		CHECK_EQ(due, 5 * MS);
		CHECK(deadline_none(&r), "left over");
	}
}

TEST(a message of unknown length settles when all written data is acknowledged)
{
	u64 due;
	u32 s;

	EACH_START(s) {
		struct deadline_ring r = { 0 };
		struct deadline_prefix p;

		deadline_arm(&r, 5 * MS, 0, s, s);
		/* with nothing written, not all is acknowledged */
		CHECK_EQ(settle(&r, s, s, &due), 0);
		CHECK(deadline_urgent(&r, s, s + 700, MS, U32_MAX, 0, &p), "none");
		CHECK_EQ(p.bytes, 700);
		CHECK_EQ(settle(&r, s + 600, s + 700, &due), 0);
		CHECK(deadline_urgent(&r, s + 600, s + 900, MS, U32_MAX, 0, &p), "none");
		CHECK_EQ(p.bytes, 300);
		CHECK_EQ(settle(&r, s + 900, s + 900, &due), 1);
	}
}

TEST(a message of unknown length may be longer than the sequence space)
{
	struct deadline_ring r = { 0 };
	u32 una = 100, i;
	u64 due;

	deadline_arm(&r, 5 * MS, 0, 100, 100);
	/* 2^32 bytes, with wseq always 2^20 ahead: both wrap to the start */
	for (i = 0; i < 4096; i++) {
		CHECK_EQ(settle(&r, una, una + (1 << 20), &due), 0);
		una += 1 << 20;
	}
	CHECK_EQ(una, 100);
	CHECK_EQ(settle(&r, una, una, &due), 1);
}

TEST(arming again before a byte is written replaces the message)
{
	struct deadline_ring r = { 0 };
	struct deadline_prefix p;
	u32 s;

	EACH_START(s) {
		memset(&r, 0, sizeof(r));
		deadline_arm(&r, 5 * MS, 1000, s, s);
		deadline_arm(&r, 9 * MS, 400, s, s);
		CHECK_EQ(deadline_count(&r), 1);
		CHECK_EQ(r.cleared, 1);
		CHECK(deadline_urgent(&r, s, s, MS, U32_MAX, 0, &p), "none");
		CHECK_EQ(p.due_ns, 9 * MS);
		CHECK_EQ(p.bytes, 400);
	}
}

TEST(a message armed in the middle of another ends it there)
{
	u64 due;
	u32 s;

	EACH_START(s) {
		struct deadline_ring r = { 0 };

		deadline_arm(&r, 5 * MS, 1000, s, s);
		deadline_arm(&r, 9 * MS, 400, s, s + 300);
		CHECK_EQ(deadline_count(&r), 2);
		CHECK_EQ(settle(&r, s + 300, s + 700, &due), 1);
		CHECK_EQ(due, 5 * MS);
		CHECK_EQ(settle(&r, s + 700, s + 700, &due), 1);
		CHECK_EQ(due, 9 * MS);
		CHECK_EQ(r.cleared, 0);
	}
}

TEST(a full ring merges the newest two under the tighter deadline)
{
	struct deadline_prefix p;
	u64 due;
	u32 s, i;

	EACH_START(s) {
		struct deadline_ring r = { 0 };

		for (i = 0; i < 4; i++)
			CHECK_EQ(deadline_arm(&r, (20 + i) * MS, 100, s,
					      s + 100 * i), DEADLINE_ARMED);
		CHECK_EQ(deadline_arm(&r, 7 * MS, 100, s, s + 400),
			 DEADLINE_MERGED);
		CHECK_EQ(deadline_arm(&r, 9 * MS, 0, s, s + 500),
			 DEADLINE_MERGED);
		CHECK_EQ(r.merged, 2);
		CHECK_EQ(deadline_count(&r), 4);
		CHECK(deadline_urgent(&r, s, s + 600, MS, U32_MAX, 0, &p), "none");
		CHECK_EQ(p.due_ns, 7 * MS);
		CHECK_EQ(p.bytes, 600);
		CHECK_EQ(settle(&r, s + 300, s + 600, &due), 3);
		CHECK_EQ(due, 22 * MS);
		CHECK_EQ(settle(&r, s + 599, s + 600, &due), 0);
		CHECK_EQ(settle(&r, s + 600, s + 600, &due), 1);
		CHECK_EQ(due, 7 * MS);
	}
}

TEST(the most urgent prefix is the one that needs the highest rate)
{
	struct deadline_ring r = { 0 };
	struct deadline_prefix p;

	deadline_arm(&r, 11 * MS, 1000, 0, 0);		/* 100 bytes/ms */
	deadline_arm(&r, 13 * MS, 3000, 0, 1000);	/* 4000 in 12: 333 */
	deadline_arm(&r, 101 * MS, 4000, 0, 4000);	/* 8000 in 100: 80 */
	CHECK(deadline_urgent(&r, 0, 8000, MS, U32_MAX, 0, &p), "none");
	CHECK_EQ(p.due_ns, 13 * MS);
	CHECK_EQ(p.bytes, 4000);
	CHECK_EQ(p.left_ns, 12 * MS);
	/* the first two are late, so the third is the most urgent one */
	CHECK(!deadline_late(&r, 0, 8000, 10 * MS, &p), "none is late");
	CHECK(deadline_urgent(&r, 1000, 8000, 14 * MS, U32_MAX, 0, &p), "none");
	CHECK_EQ(p.due_ns, 101 * MS);
	CHECK(deadline_late(&r, 1000, 8000, 14 * MS, &p), "one is late");
	CHECK_EQ(p.due_ns, 11 * MS);
	CHECK_EQ(p.bytes, 0);
	CHECK_EQ(p.left_ns, -3 * (s64)MS);
}

TEST(a minimum time left and a maximum of bytes bound the urgency)
{
	struct deadline_ring r = { 0 };
	struct deadline_prefix p;

	/* 1 KB due in 1 ms, 101 KB in 20 ms, of which 11 KB are written */
	deadline_arm(&r, 101 * MS, 1000, 0, 0);
	deadline_arm(&r, 120 * MS, 100000, 0, 1000);
	CHECK(deadline_urgent(&r, 0, 11000, 100 * MS, U32_MAX, 0, &p), "none");
	CHECK_EQ(p.bytes, 101000);
	/* of the written bytes the first needs more: 1 KB / ms, not 11 / 20 */
	CHECK(deadline_urgent(&r, 0, 11000, 100 * MS, 11000, 0, &p), "none");
	CHECK_EQ(p.bytes, 1000);
	CHECK_EQ(p.left_ns, MS);
	/* with at least 30 ms each the longer one does; left_ns is as it is */
	CHECK(deadline_urgent(&r, 0, 11000, 100 * MS, 11000, 30 * MS, &p),
	      "none");
	CHECK_EQ(p.bytes, 11000);
	CHECK_EQ(p.left_ns, 20 * MS);
	/* late messages are skipped, or count with the minimum time */
	CHECK(deadline_urgent(&r, 0, 11000, 110 * MS, U32_MAX, 0, &p), "none");
	CHECK_EQ(p.left_ns, 10 * MS);
	CHECK(!deadline_urgent(&r, 0, 11000, 130 * MS, U32_MAX, 0, &p),
	      "both are late");
	CHECK(deadline_urgent(&r, 0, 11000, 130 * MS, 500, 30 * MS, &p),
	      "none counts");
	CHECK_EQ(p.bytes, 500);
	CHECK_EQ(p.left_ns, -29 * (s64)MS);
}

TEST(bytes left never underflow once a message is acknowledged)
{
	struct deadline_prefix p;
	u32 s, i;

	EACH_START(s) {
		struct deadline_ring r = { 0 };

		deadline_arm(&r, 5 * MS, 100, s, s);
		deadline_arm(&r, 6 * MS, 100, s, s + 100);
		for (i = 0; i <= 300; i++) {
			CHECK(deadline_urgent(&r, s + i, s + 300, MS, U32_MAX, 0, &p),
			      "none");
			CHECK(p.bytes <= 200, "%u", p.bytes);
		}
	}
}

TEST(a message must end less than 2^31 bytes beyond the acknowledged data)
{
	const u32 most = INT32_MAX;
	u32 s;

	EACH_START(s) {
		struct deadline_ring r = { 0 }, was;

		CHECK_EQ(deadline_arm(&r, MS, most, s, s), DEADLINE_ARMED);
		memset(&r, 0, sizeof(r));
		deadline_arm(&r, MS, 10, s, s);
		was = r;
		CHECK_EQ(deadline_arm(&r, MS, most, s, s + 1), DEADLINE_RANGE);
		CHECK_EQ(deadline_arm(&r, MS, most + 1ull, s, s),
			 DEADLINE_RANGE);
		CHECK_EQ(deadline_arm(&r, MS, U64_MAX, s, s), DEADLINE_RANGE);
		CHECK_EQ(deadline_arm(&r, MS, 1ull << 32, s, s),
			 DEADLINE_RANGE);
		CHECK(!memcmp(&r, &was, sizeof(r)), "the ring has changed");
		CHECK_EQ(deadline_arm(&r, MS, most - 1, s, s + 1),
			 DEADLINE_ARMED);
	}
}

TEST(messages armed before the handshake are moved to the sequence numbers)
{
	u64 due;
	u32 s;

	EACH_START(s) {
		struct deadline_ring r = { 0 };

		deadline_arm(&r, 5 * MS, 100, 0, 0);
		deadline_rebase(&r, s);
		CHECK_EQ(settle(&r, s + 99, s + 100, &due), 0);
		CHECK_EQ(settle(&r, s + 100, s + 100, &due), 1);
		memset(&r, 0, sizeof(r));
		deadline_arm(&r, 5 * MS, 0, 0, 0);
		deadline_rebase(&r, s);
		CHECK_EQ(settle(&r, s, s, &due), 0);
		CHECK_EQ(settle(&r, s + 5, s + 5, &due), 1);
	}
}

TEST(clearing counts each message once and the counters saturate)
{
	struct deadline_ring r = { 0 };
	u32 i;

	deadline_arm(&r, MS, 100, 0, 0);
	deadline_arm(&r, MS, 100, 0, 100);
	CHECK_EQ(deadline_clear(&r), 2);
	CHECK_EQ(deadline_clear(&r), 0);
	CHECK_EQ(r.cleared, 2);
	CHECK(deadline_none(&r), "left over");
	for (i = 0; i < 70000; i++) {
		deadline_arm(&r, MS, 100, 0, 0);
		deadline_clear(&r);
	}
	CHECK_EQ(r.cleared, U16_MAX);
}

TEST(a deadline of 0 counts as 1 and the farthest one leaves the flags alone)
{
	struct deadline_ring r = { 0 };
	struct deadline_prefix p;
	u64 due;

	deadline_arm(&r, 0, 100, 0, 0);
	CHECK_EQ(deadline_count(&r), 1);
	CHECK_EQ(settle(&r, 100, 100, &due), 1);
	CHECK_EQ(due, 1);
	deadline_arm(&r, U64_MAX, 100, 100, 100);
	CHECK(deadline_urgent(&r, 100, 150, MS, U32_MAX, 0, &p), "none");
	CHECK_EQ(p.due_ns, (1ull << 60) - 1);
	CHECK_EQ(p.bytes, 100);
	/* a message of known length has not begun before it is written */
	deadline_arm(&r, MS, 50, 100, 100);
	CHECK_EQ(deadline_count(&r), 1);
	CHECK_EQ(r.cleared, 1);
	/* for one of unknown length the caller compares una and wseq itself */
	deadline_clear(&r);
	deadline_arm(&r, MS, 0, 100, 100);
	CHECK(!deadline_reached(&r, 150), "reached");
}

static void history(unsigned int seed, u32 base)
{
	struct deadline_ring r = { 0 };
	struct model m = { 0 };
	u64 now = MS, due, bytes, end, n;
	struct deadline_settled was;
	bool more;
	int i;

	srand(seed);
	for (i = 0; i < 4000; i++) {
		now += rand() % 300000;
		switch (rand() % 8) {
		case 0:
		case 1:
			due = now + rand() % (20 * MS);
			bytes = rand() % 3 ? rand() % 100000 + 1 : 0;
			if (m.wseq - m.una + bytes > INT32_MAX)
				break;
			CHECK_EQ(deadline_arm(&r, due, bytes,
					      base + (u32)m.una,
					      base + (u32)m.wseq),
				 model_arm(&m, due, bytes));
			break;
		case 2:
			if (rand() % 20)
				break;
			CHECK_EQ(deadline_clear(&r), m.n);
			m.cleared += m.n;
			m.n = 0;
			break;
		case 3:
		case 4:
			n = rand() % (rand() % 20 ? 60000 : 1 << 29);
			if (m.wseq - m.una + n < INT32_MAX - (1 << 20))
				m.wseq += n;
			break;
		default:
			n = m.wseq - m.una;
			m.una += rand() % 3 ? n * (rand() % 1000) / 1000 : n;
			break;
		}
		do {
			if (!deadline_none(&r))
				deadline_begun(&r, base + (u32)m.wseq);
			more = model_settle(&m, &due, &end);
			/* an ACK settles only if this or una == wseq is true */
			if (more && m.una != m.wseq)
				CHECK(deadline_reached(&r, base + (u32)m.una),
				      "an ACK would not settle it");
			CHECK_EQ(deadline_settle(&r, base + (u32)m.una,
						 base + (u32)m.wseq, &was),
				 more);
			if (more) {
				CHECK_EQ(was.due_ns, due);
				CHECK_EQ(was.end, base + (u32)end);
			}
		} while (more);
		compare(&r, &m, base, now);
	}
}

TEST(long histories agree with a model that never wraps)
{
	unsigned int seed;

	for (seed = 1; seed <= 2000; seed += STRIDE)
		history(seed, starts[seed % 8] + seed);
}

int main(int argc, char **argv)
{
	return run_tests(argc, argv);
}
