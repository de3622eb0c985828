// SPDX-License-Identifier: GPL-2.0
/*
 * The arithmetic of D2TCP. See law.h for the formulas and their source.
 */
#include "law.h"

/* log2(1 + i/64) in 2^-24, rounded to nearest. */
static const u32 log2_table[65] = {
	0, 375270, 744810, 1108793, 1467383, 1820738,
	2169009, 2512340, 2850868, 3184728, 3514044, 3838941,
	4159533, 4475935, 4788255, 5096595, 5401057, 5701737,
	5998727, 6292118, 6581994, 6868440, 7151536, 7431359,
	7707984, 7981483, 8251926, 8519380, 8783912, 9045584,
	9304457, 9560591, 9814042, 10064867, 10313120, 10558852,
	10802114, 11042956, 11281425, 11517568, 11751428, 11983051,
	12212479, 12439752, 12664911, 12887994, 13109041, 13328087,
	13545168, 13760320, 13973576, 14184969, 14394532, 14602297,
	14808293, 15012551, 15215099, 15415967, 15615181, 15812769,
	16008758, 16203172, 16396036, 16587377, 16777216,
};

/* 2^(-i/64) in 2^-30, rounded to nearest. */
static const u32 exp2_table[65] = {
	1073741824, 1062175491, 1050733751, 1039415261, 1028218693, 1017142735,
	1006186087, 995347464, 984625594, 974019220, 963527098, 953147997,
	942880699, 932724001, 922676710, 912737649, 902905651, 893179563,
	883558244, 874040567, 864625413, 855311680, 846098274, 836984114,
	827968132, 819049271, 810226483, 801498734, 792865000, 784324269,
	775875538, 767517817, 759250125, 751071493, 742980960, 734977579,
	727060411, 719228525, 711481005, 703816941, 696235434, 688735596,
	681316545, 673977412, 666717336, 659535466, 652430958, 645402981,
	638450708, 631573326, 624770026, 618040012, 611382493, 604796689,
	598281827, 591837143, 585461881, 579155293, 572916640, 566745190,
	560640218, 554601009, 548626854, 542717053, 536870912,
};

/**
 * law_alpha() - one step of the moving average of the marked fraction
 * @alpha: the average so far, 2^-20, 0 to LAW_ONE
 * @delivered: packets delivered in the window that ends
 * @delivered_ce: those of them that were marked
 * @shift_g: g = 2^-shift_g, 0 to LAW_G_MOST
 *
 * Where the step down would round to 0 alpha becomes 0, as in the kernel's
 * dctcp; otherwise it would never reach 0.
 *
 * Return: the new average, 2^-20, 0 to LAW_ONE.
 */
u32 law_alpha(u32 alpha, u32 delivered, u32 delivered_ce, u32 shift_g)
{
	u32 step = alpha >> shift_g;
	u64 f;

	alpha -= step ? step : alpha;
	if (delivered_ce) {
		/* 2^32 packets times 2^20: below 2^52 */
		f = (u64)delivered_ce << (LAW_SHIFT - shift_g);
		f = div64_u64(f, delivered ? delivered : 1);
		/* delivered_ce may exceed delivered: what f adds is bounded */
		alpha = f < LAW_ONE - alpha ? alpha + (u32)f : LAW_ONE;
	}
	return alpha;
}

/* -log2(alpha) in 2^-24 for alpha in 2^-20, 1 to LAW_ONE: 0 to 20 * 2^24. */
static u32 neg_log2(u32 alpha)
{
	int msb = fls(alpha) - 1;			/* 0 to 20 */
	u32 m = (alpha << (LAW_SHIFT - msb)) & (LAW_ONE - 1);
	u32 i = m >> 14, r = m & 0x3fff;		/* segment, place in it */
	/* a table step is below 2^19, r below 2^14: needs 33 bits */
	u32 l = log2_table[i] +
		(u32)(((u64)(log2_table[i + 1] - log2_table[i]) * r) >> 14);

	return ((u32)(LAW_SHIFT - msb) << 24) - l;
}

/**
 * law_pow() - the penalty p = alpha^d
 * @alpha: 2^-20, 0 to LAW_ONE
 * @d: 2^-8, LAW_D_LEAST to LAW_D_MOST
 *
 * By logarithm and exponential from tables of 65 entries with linear
 * interpolation. Exact for d = 1; elsewhere within 5e-5 of the real power (the
 * host tests assert it over the whole range). Never decreases with @alpha.
 *
 * Return: p in 2^-20, 0 to LAW_ONE.
 */
u32 law_pow(u32 alpha, u32 d)
{
	u32 f, j, r, v, shift;
	u64 y;

	if (d == LAW_D_ONE || alpha == 0)
		return alpha;

	/* 20 * 2^24 times 2^10: below 2^39; in 2^-32 */
	y = (u64)neg_log2(alpha) * d;
	shift = (u32)(y >> 32) + 10;			/* 10 to 90 */
	if (shift > 31)
		return 0;
	f = (u32)y;
	j = f >> 26;
	r = (f >> 10) & 0xffff;
	/* a table step is below 2^24, r below 2^16: needs 40 bits */
	v = exp2_table[j] -
	    (u32)(((u64)(exp2_table[j] - exp2_table[j + 1]) * r) >> 16);
	return (v + (1u << (shift - 1))) >> shift;	/* 2^-30 to 2^-20 */
}

/**
 * law_finish_ns() - time the flow still needs at its present window
 * @bytes: what is left, below 2^31
 * @srtt_8us: smoothed round trip in 1/8 us, as struct tcp_sock keeps it
 * @window: congestion window in 2^-8 packets, below 2^40
 * @mss: bytes per packet, below 2^16
 *
 * Tc = bytes / (3/4 * window) round trips: a window in a sawtooth between W/2
 * and W is 3/4 W on average (the paper's formula).
 *
 * Return: nanoseconds, S64_MAX at most; 0 while no round trip was measured.
 */
u64 law_finish_ns(u32 bytes, u32 srtt_8us, u64 window, u32 mss)
{
	/* 1/8 us is 125 ns, times 4/3, times the 2^8 of the window */
	const u32 scale = 125 * 4 << LAW_W_SHIFT;	/* below 2^17 */
	u64 num = (u64)bytes * srtt_8us;		/* below 2^63 */
	u64 den = 3 * window * mss;			/* below 2^58 */

	if (!den)
		den = 1;
	if (num <= U64_MAX / scale) {
		num = div64_u64(num * scale, den);
	} else {
		num = div64_u64(num, den);
		num = num < S64_MAX / scale ? num * scale : S64_MAX;
	}
	return num < S64_MAX ? num : S64_MAX;
}

/**
 * law_imminence() - d = Tc / D
 * @finish_ns: Tc, as law_finish_ns() gives it
 * @left_ns: D, above 0
 * @d_min: smallest result, LAW_D_LEAST to LAW_D_ONE
 * @d_max: largest result, LAW_D_ONE to LAW_D_MOST
 *
 * Return: d in 2^-8; 1 when @finish_ns is 0, which means not known.
 */
u32 law_imminence(u64 finish_ns, u64 left_ns, u32 d_min, u32 d_max)
{
	u64 d;

	if (!finish_ns)
		return LAW_D_ONE;
	/* Beyond any clamp already; below it the product is under 2^63 as
	 * left_ns is at most 2^40 and finish_ns then at most 2^43.
	 */
	if (finish_ns >> 3 >= left_ns)
		return d_max;
	d = div64_u64(finish_ns << LAW_D_SHIFT, left_ns);
	return d < d_min ? d_min : d > d_max ? d_max : (u32)d;
}

/**
 * law_cut() - the window after a round trip with marks
 * @window: before, in 2^-8 packets, below 2^40
 * @p: penalty in 2^-20, 0 to LAW_ONE
 *
 * Return: window * (1 - p / 2) in 2^-8 packets, at least two packets. The
 * reduction is rounded down to 2^-8 of a packet.
 */
u64 law_cut(u64 window, u32 p)
{
	/* 2^40 times 2^20: below 2^61 */
	window -= (window * p) >> (LAW_SHIFT + 1);
	return window > LAW_W_LEAST ? window : LAW_W_LEAST;
}

/**
 * law_carry() - do the fraction and Reno's gain add up to a packet?
 * @cwnd: whole packets of the window, above 0
 * @cnt: Reno's gain towards the next packet, in 1/@cwnd of a packet
 * @frac: fraction left by a cut, in 2^-8 packets; updated
 *
 * @cnt is below @cwnd, unless the core reduced the window without resetting
 * @cnt; anything beyond a second packet is then dropped.
 *
 * Return: true when the window opens by a packet; the caller then resets @cnt.
 */
bool law_carry(u32 cwnd, u32 cnt, u8 *frac)
{
	const u64 one = (u64)cwnd << LAW_W_SHIFT;	/* below 2^40 */
	u64 parts = ((u64)cnt << LAW_W_SHIFT) + (u64)*frac * cwnd;

	if (parts < one)
		return false;
	parts = div64_u64(parts - one, cwnd);
	*frac = parts < U8_MAX ? (u8)parts : U8_MAX;
	return true;
}
