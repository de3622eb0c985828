// SPDX-License-Identifier: GPL-2.0
/*
 * libFuzzer target for module/law.c: compares every function, with any
 * arguments, with floating point. tests/fuzz/run builds and runs it.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "../harness.h"
#include "law.h"

struct arguments {
	u64 a, b, c;
	u32 d, e, f;
};

static void check_all(const struct arguments *x)
{
	u32 alpha = x->d % (LAW_ONE + 1), got;
	u32 d = LAW_D_LEAST + x->e % (LAW_D_MOST - LAW_D_LEAST + 1);
	u64 w = LAW_W_LEAST + x->a % ((1ull << 40) - LAW_W_LEAST);
	u64 finish, after, left;
	double real;
	u32 lo, hi;

	/* alpha^d: within 3e-5, below the bound of docs/law.md */
	got = law_pow(alpha, d);
	real = pow((double)alpha / LAW_ONE, d / 256.0);
	CHECK(fabs(got - real * LAW_ONE) <= 3e-5 * LAW_ONE + 0.5,
	      "%u^%u: %u, not %f", alpha, d, got, real * LAW_ONE);

	got = law_alpha(alpha, x->e, x->f, x->d % (LAW_G_MOST + 1));
	CHECK(got <= LAW_ONE, "alpha %u", got);

	after = law_cut(w, alpha);
	CHECK(after >= LAW_W_LEAST && (after <= w || w < LAW_W_LEAST),
	      "cut from %llu to %llu", (unsigned long long)w,
	      (unsigned long long)after);
	CHECK(2 * after + 2 >= w, "cut by more than half");

	finish = law_finish_ns(x->b % (1ull << 31), x->e, w,
			       x->f % 65536);
	CHECK(finish <= INT64_MAX, "finish %llu", (unsigned long long)finish);
	/* the time left is capped at 2^40 ns */
	left = x->c % (1ull << 40) + 1;
	lo = d < LAW_D_ONE ? d : LAW_D_LEAST;
	hi = d > LAW_D_ONE ? d : LAW_D_MOST;
	got = law_imminence(finish, left, lo, hi);
	real = (double)finish * LAW_D_ONE / (double)left;
	real = !finish ? LAW_D_ONE : real < lo ? lo : real > hi ? hi : real;
	CHECK(fabs(got - real) <= 1.001, "d %u, not %f", got, real);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arguments x = { 0 };
	u32 cwnd;
	u8 frac;

	if (setjmp(test_end)) {
		fflush(stdout);
		__builtin_trap();
	}
	memcpy(&x, data, size < sizeof(x) ? size : sizeof(x));
	check_all(&x);
	cwnd = x.d % (1u << 24) + 1;
	frac = x.e;
	if (!law_carry(cwnd, x.f % (1u << 24), &frac))
		CHECK_EQ(frac, (u8)x.e);
	(void)run_tests;
	return 0;
}
