/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A reference model of a d2tcp sender, written from docs/law.md and the paper.
 * It shares no code with the module: its tables come from libm, and its
 * products have 128 bits. It follows a connection ACK by ACK.
 */
#ifndef MODEL_H
#define MODEL_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#define ONE		(1u << 20)	/* alpha = 1, p = 1 */
#define D_ONE		256u
#define D_MIN		128u
#define D_MAX		512u

struct model {
	uint32_t alpha;
	uint32_t cwnd, cnt, frac;	/* W = cwnd + frac/256 + cnt/cwnd */
	uint32_t ssthresh;
	bool cwr;			/* from a cut until high_seq is passed */
	uint32_t high_seq;
	uint32_t next_seq;		/* end of the window for alpha */
	uint32_t acked, acked_ce;	/* packets acknowledged in it */
	/* inputs and result of the last cut */
	uint64_t before, after;
	uint32_t d, p;
	bool cut;			/* the last ACK caused a cut */
};

static inline void model_start(struct model *m, uint32_t nxt, uint32_t cwnd)
{
	*m = (struct model){
		.alpha = ONE, .cwnd = cwnd, .ssthresh = INT32_MAX,
		.next_seq = nxt,
	};
}

/* alpha^d by the tables that docs/law.md describes. */
static inline uint32_t model_pow(uint32_t alpha, uint32_t d)
{
	uint64_t lo, hi, l, y, v;
	unsigned int msb, i, j, shift;
	uint32_t m, r;

	if (d == D_ONE || !alpha)
		return alpha;
	for (msb = 20; !(alpha >> msb); msb--)
		;
	m = (uint32_t)((uint64_t)alpha << (20 - msb)) - ONE;
	i = m / 16384;
	r = m % 16384;
	lo = llround(log2(1 + i / 64.0) * (1 << 24));
	hi = llround(log2(1 + (i + 1) / 64.0) * (1 << 24));
	l = (uint64_t)(20 - msb) * (1 << 24) - (lo + (hi - lo) * r / 16384);
	y = l * d;				/* -d log2(alpha), 2^-32 */
	shift = y / 4294967296ull + 10;
	if (shift > 31)
		return 0;
	j = y % 4294967296ull / (1 << 26);
	r = y % (1 << 26) / 1024;
	lo = llround(exp2(-(j / 64.0)) * (1 << 30));
	hi = llround(exp2(-((j + 1) / 64.0)) * (1 << 30));
	v = lo - (lo - hi) * r / 65536;
	return (v + (1ull << (shift - 1))) >> shift;
}

static inline uint64_t model_window(const struct model *m)
{
	uint64_t part = (uint64_t)m->cnt * 256 / m->cwnd;

	return (uint64_t)m->cwnd * 256 + m->frac + (part < 255 ? part : 255);
}

/* d of a prefix: Tc / D, with Tc = bytes / (3/4 window) round trips. */
static inline uint32_t model_d(uint64_t bytes, uint64_t left_ns, uint32_t srtt,
			       uint64_t window, uint32_t mss)
{
	unsigned __int128 finish = (unsigned __int128)bytes * srtt * 125 * 4 *
				   256 / ((unsigned __int128)window * 3 * mss);
	unsigned __int128 d;

	if (!finish)
		return D_ONE;
	d = finish * 256 / left_ns;
	return d < D_MIN ? D_MIN : d > D_MAX ? D_MAX : (uint32_t)d;
}

static inline void model_grow(struct model *m, uint32_t n)
{
	uint32_t room, w;

	if (m->cwnd < m->ssthresh) {
		room = m->ssthresh - m->cwnd;
		m->cwnd += n < room ? n : room;
		n -= n < room ? n : room;
	}
	if (n) {
		w = m->cwnd;
		if (m->cnt >= w) {
			m->cnt = 0;
			m->cwnd++;
		}
		m->cnt += n;
		if (m->cnt >= w) {
			m->cwnd += m->cnt / w;
			m->cnt %= w;
		}
	}
	/* the fraction and the gain since the cut make a whole packet */
	if (m->frac && (uint64_t)m->cnt * 256 + (uint64_t)m->frac * m->cwnd >=
		       (uint64_t)m->cwnd * 256) {
		m->frac = ((uint64_t)m->cnt * 256 +
			   (uint64_t)m->frac * m->cwnd -
			   (uint64_t)m->cwnd * 256) / m->cwnd;
		m->cnt = 0;
		m->cwnd++;
	}
}

/*
 * Processes an ACK for n more packets, up to una, when the sender had sent up
 * to nxt. d(m, arg) returns the urgency; it is called only for a cut.
 */
static inline void model_ack(struct model *m, uint32_t una, uint32_t nxt,
			     uint32_t n, bool ece,
			     uint32_t (*d)(const struct model *m, void *arg),
			     void *arg)
{
	uint32_t step;

	m->acked += n;
	m->acked_ce += ece ? n : 0;
	if ((int32_t)(una - m->next_seq) >= 0) {
		step = m->alpha / 16;
		m->alpha -= step ? step : m->alpha;
		m->alpha += (uint64_t)m->acked_ce * (ONE / 16) / m->acked;
		if (m->alpha > ONE)
			m->alpha = ONE;
		m->next_seq = nxt;
		m->acked = 0;
		m->acked_ce = 0;
	}
	if (m->cwr && (int32_t)(una - m->high_seq) > 0) {
		m->cwnd = m->ssthresh;
		m->cwr = false;
	}
	m->cut = ece && !m->cwr;
	if (m->cut) {
		m->before = model_window(m);
		m->d = d ? d(m, arg) : D_ONE;
		m->p = model_pow(m->alpha, m->d);
		m->after = m->before - (uint64_t)((unsigned __int128)m->before *
						  m->p / (2 * ONE));
		if (m->after < 512)
			m->after = 512;
		m->ssthresh = m->after / 256;
		m->frac = m->after % 256;
		m->cnt = 0;
		m->high_seq = nxt;
		m->cwr = true;
	}
	if (!m->cwr)
		model_grow(m, n);
}

#endif /* MODEL_H */
