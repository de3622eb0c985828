// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of module/law.c on the host, by comparison with libm and wide integers.
 */
#include <math.h>
#include <stdint.h>

#include "../harness.h"
#include "law.h"

/* Only every STRIDE-th alpha is tested; emulated machines are slow. */
#ifndef STRIDE
#define STRIDE 1
#endif

/* The bound of law_pow()'s error over every alpha and every valid d */
#define POW_BOUND	5e-5
/* and within the default clamp, d from 0.5 to 2 */
#define POW_BOUND_PAPER	4e-5

static u32 least_of_d[LAW_ONE + 1];	/* alpha^d for the last d */

TEST(law_pow is within its bound of libm for every alpha and every d)
{
	static double log2_alpha[LAW_ONE + 1];
	double worst = 0, paper = 0, real, error;
	u32 alpha, d, p, last;

	for (alpha = 1; alpha <= LAW_ONE; alpha++) {
		log2_alpha[alpha] = log2((double)alpha / LAW_ONE);
		least_of_d[alpha] = LAW_ONE;
	}
	for (d = LAW_D_LEAST; d <= LAW_D_MOST; d++) {
		last = 0;
		for (alpha = 1; alpha <= LAW_ONE; alpha += STRIDE) {
			p = law_pow(alpha, d);
			real = exp2(log2_alpha[alpha] * d / LAW_D_ONE);
			error = fabs((double)p / LAW_ONE - real);
			if (error > worst)
				worst = error;
			if (error > paper && d >= LAW_D_ONE / 2 &&
			    d <= LAW_D_ONE * 2)
				paper = error;
			if (p < last || p > LAW_ONE)
				CHECK(p >= last && p <= LAW_ONE,
				      "alpha %u d %u: %u after %u", alpha, d,
				      p, last);
			/* a tolerance, because only d = 1 is exact */
			if (p > least_of_d[alpha] + 40)
				CHECK(p <= least_of_d[alpha] + 40,
				      "alpha %u d %u: %u after %u", alpha, d,
				      p, least_of_d[alpha]);
			last = p;
			least_of_d[alpha] = p;
		}
	}
	printf("# worst error %.2e; for d in [0.5, 2] %.2e\n", worst, paper);
	CHECK(worst <= POW_BOUND, "%g", worst);
	CHECK(paper <= POW_BOUND_PAPER, "%g", paper);
}

TEST(law_pow is exact at alpha 0 and 1 and at d = 1)
{
	u32 d, alpha;

	for (d = LAW_D_LEAST; d <= LAW_D_MOST; d++) {
		CHECK_EQ(law_pow(0, d), 0);
		CHECK_EQ(law_pow(LAW_ONE, d), LAW_ONE);
	}
	for (alpha = 0; alpha <= LAW_ONE; alpha++)
		if (law_pow(alpha, LAW_D_ONE) != alpha)
			CHECK_EQ(law_pow(alpha, LAW_D_ONE), alpha);
}

TEST(law_alpha follows the moving average)
{
	double real = 1, f;
	u32 alpha = LAW_ONE, i, n, ce;

	srand(1);
	for (i = 0; i < 100000; i++) {
		n = rand() % 1000 + 1;
		ce = rand() % (n + 1);
		f = (double)ce / n;
		real = real * 15 / 16 + f / 16;
		alpha = law_alpha(alpha, n, ce, 4);
		/* each step rounds by less than two units; sixteen add up */
		CHECK(fabs(alpha - real * LAW_ONE) < 32, "%u, not %f", alpha,
		      real * LAW_ONE);
	}
}

TEST(law_alpha reaches 0 from 1 in 183 steps and stays at 1 under full marks)
{
	u32 alpha = LAW_ONE, n = 0;

	for (; alpha; n++)
		alpha = law_alpha(alpha, 10, 0, 4);
	CHECK_EQ(n, 183);
	CHECK_EQ(law_alpha(0, 10, 0, 4), 0);
	CHECK_EQ(law_alpha(LAW_ONE, 10, 10, 4), LAW_ONE);
	/* g = 1 forgets at once */
	CHECK_EQ(law_alpha(LAW_ONE, 4, 1, 0), LAW_ONE / 4);
}

TEST(law_alpha stays within 0 and 1 for any counters)
{
	static const u32 v[] = { 0, 1, 2, 1000, 1u << 20, 1u << 31, U32_MAX };
	const size_t n = sizeof(v) / sizeof(v[0]);
	size_t i, j;
	u32 g, a;

	for (g = 0; g <= LAW_G_MOST; g++)
		for (i = 0; i < n; i++)
			for (j = 0; j < n; j++)
				for (a = 0; a <= LAW_ONE; a += LAW_ONE / 64)
					CHECK(law_alpha(a, v[i], v[j], g) <=
					      LAW_ONE, "a %u g %u %u/%u", a,
					      g, v[j], v[i]);
}

TEST(law_cut reduces the window by p / 2 exact to 2^-8 of a packet)
{
	u64 w, cut;
	u32 p;

	for (w = LAW_W_LEAST; w < 1ull << 40; w += w / 7 + 1) {
		for (p = 0; p <= LAW_ONE; p += 4099) {
			cut = w - (u64)((u64)w * p /
					(2 * LAW_ONE));
			if (cut < LAW_W_LEAST)
				cut = LAW_W_LEAST;
			CHECK_EQ(law_cut(w, p), cut);
		}
		CHECK_EQ(law_cut(w, 0), w);
	}
	CHECK_EQ(law_cut(0, 0), LAW_W_LEAST);
	CHECK_EQ(law_cut(1 << LAW_W_SHIFT, LAW_ONE), LAW_W_LEAST);
}

TEST(law_cut keeps the cuts that whole packets and 10 bits would lose)
{
	u32 alpha = 0.29 * LAW_ONE;
	u32 p = law_pow(alpha, 2 * LAW_D_ONE);

	/* 10 * (1 - 0.29^2 / 2) = 9.5795 */
	CHECK_EQ(law_cut(10 << LAW_W_SHIFT, p), (u64)(9.5795 * 256) + 1);
	/* 4 * (1 - 0.29 / 2) = 3.42 */
	CHECK_EQ(law_cut(4 << LAW_W_SHIFT, alpha), 876);
}

TEST(law_finish_ns is B / (3/4 W) round trips)
{
	static const u32 bytes[] = { 0, 1, 1448, 250000, 1u << 25, INT32_MAX };
	static const u32 srtt[] = { 0, 1, 800, 8000, 1u << 23, U32_MAX };
	static const u64 window[] = { 256, 512, 700, 2560, 1 << 20,
				      (1ull << 40) - 1 };
	static const u32 mss[] = { 1, 536, 1448, 65535 };
	long double real;
	size_t b, s, w, m;
	u64 got;

	for (b = 0; b < 6; b++)
		for (s = 0; s < 6; s++)
			for (w = 0; w < 6; w++)
				for (m = 0; m < 4; m++) {
					real = 125.0L * srtt[s] * bytes[b] /
					       (0.75L * window[w] / 256 *
						mss[m]);
					got = law_finish_ns(bytes[b], srtt[s],
							    window[w], mss[m]);
					if (real > (long double)S64_MAX)
						real = S64_MAX;
					/* Beyond 2^47 the result is coarse, by
					 * less than 128000 ns in more than 2^17
					 * times as many.
					 */
					CHECK(got <= real + 1 &&
					      got >= real - 1 -
					      ((u64)bytes[b] * srtt[s] <= U64_MAX / 128000 ?
					       0 : 128000),
					      "%llu, not %Lf",
					      (unsigned long long)got, real);
				}
	/* 1 MB, 10 packets of 1448 at 300 us: 1e6 / 10860 * 300 us */
	CHECK_EQ(law_finish_ns(1000000, 2400, 10 << 8, 1448), 27624309);
	CHECK_EQ(law_finish_ns(INT32_MAX, U32_MAX, 0, 0), S64_MAX);
}

TEST(law_imminence is Tc / D within the clamp)
{
	const u64 far = 1ull << 40;

	CHECK_EQ(law_imminence(1000, 1000, 128, 512), 256);
	CHECK_EQ(law_imminence(1500, 1000, 128, 512), 384);
	CHECK_EQ(law_imminence(1, far, 128, 512), 128);
	CHECK_EQ(law_imminence(far, 1, 128, 512), 512);
	CHECK_EQ(law_imminence(S64_MAX, 1, 64, 1024), 1024);
	CHECK_EQ(law_imminence(S64_MAX, far, 64, 1024), 1024);
	CHECK_EQ(law_imminence(far * 4, far, 64, 1024), 1024);
	CHECK_EQ(law_imminence(far * 3, far, 64, 1024), 768);
	/* without a measured round trip d = 1, which is DCTCP */
	CHECK_EQ(law_imminence(0, 1000, 128, 512), 256);
}

TEST(law_carry opens the window when fraction and gain make a packet)
{
	u32 cwnd, cnt, f;
	double all;
	bool carry;
	u8 frac;

	for (cwnd = 1; cwnd < 300; cwnd++) {
		for (cnt = 0; cnt < 3 * cwnd; cnt++) {
			for (f = 0; f < 256; f++) {
				all = (double)cnt / cwnd + f / 256.0;
				frac = f;
				carry = law_carry(cwnd, cnt, &frac);
				if (carry != (all >= 1))
					CHECK(0, "%u + %u/%u + %u/256", cwnd,
					      cnt, cwnd, f);
				if (!carry && frac != f)
					CHECK_EQ(frac, f);
				/* the rest is kept, rounded down */
				if (carry && all < 2 &&
				    (frac > (all - 1) * 256 + 1e-9 ||
				     frac < (all - 1) * 256 - 1))
					CHECK(0, "%u of %f", frac, all);
				if (carry && all >= 2 && frac != 255)
					CHECK_EQ(frac, 255);
			}
		}
	}
	frac = 255;
	CHECK(law_carry(U32_MAX >> 1, U32_MAX, &frac), "no carry");
	CHECK_EQ(frac, 255);
}

int main(int argc, char **argv)
{
	return run_tests(argc, argv);
}
