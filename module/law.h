/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The arithmetic of D2TCP: the part of its window that a flow gives up.
 *
 * Vamanan, Hasan, Vijaykumar, "Deadline-Aware Datacenter TCP (D2TCP)", SIGCOMM
 * 2012, section 3; alpha as in RFC 8257, section 3.3.
 *
 *	alpha = (1 - g) * alpha + g * F		once per window
 *	d = Tc / D,  Tc = B / (3/4 * W) * srtt	clamped to [d_min, d_max]
 *	p = alpha^d
 *	W = W * (1 - p / 2)			once per marked window
 *
 * The functions use integers only, keep no state and use nothing of the kernel, so
 * tests compile them on the host. Units: alpha and p in 2^-20, d in 2^-8, windows in
 * 2^-8 packets, srtt in 1/8 us as in struct tcp_sock. docs/law.md states every
 * rounding.
 */
#ifndef D2TCP_LAW_H
#define D2TCP_LAW_H

#include "pure.h"

#define LAW_SHIFT	20
#define LAW_ONE		((u32)BIT_ULL(LAW_SHIFT))	/* alpha = 1, p = 1 */

#define LAW_D_SHIFT	8
#define LAW_D_ONE	((u32)BIT_ULL(LAW_D_SHIFT))	/* d = 1: DCTCP */
#define LAW_D_LEAST	(LAW_D_ONE / 4)		/* range of law_pow() */
#define LAW_D_MOST	(LAW_D_ONE * 4)

#define LAW_W_SHIFT	8
#define LAW_W_LEAST	(2ull << LAW_W_SHIFT)	/* RFC 8257, section 3.3 */

#define LAW_G_MOST	10			/* g = 2^-10 */

u32 law_alpha(u32 alpha, u32 delivered, u32 delivered_ce, u32 shift_g);
u32 law_pow(u32 alpha, u32 d);
u64 law_finish_ns(u32 bytes, u32 srtt_8us, u64 window, u32 mss);
u32 law_imminence(u64 finish_ns, u64 left_ns, u32 d_min, u32 d_max);
u64 law_cut(u64 window, u32 p);
bool law_carry(u32 cwnd, u32 cnt, u8 *frac);

#endif /* D2TCP_LAW_H */
