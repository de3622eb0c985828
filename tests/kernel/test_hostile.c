// SPDX-License-Identifier: GPL-2.0
/*
 * Peers that lie about marks, about the data they received, or about their
 * window. For each lie the same history is played to the kernel's dctcp, which
 * knows no deadlines, and to d2tcp with the most urgent deadline possible. The
 * window of d2tcp may exceed dctcp's only by the amount that the clamp of d
 * allows:
 *
 *  - with d_max = 256 (1.0) it is dctcp's
 *  - with d_max = 512 (2.0) each cut by alpha/2 may become one by alpha^2/2
 */
#include "kernel.h"
#include "peer.h"

#define MS	1000000ull
#define STEPS	40

static struct peer peer;
static unsigned int step, acks;
static uint32_t flight_end;

static void set_param(const char *name, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/module/tcp_d2tcp/parameters/%s",
		 name);
	CHECK_EQ(write_file(path, value), 0);
}

/* --- the lies: the ACKs sent for a segment -------------------------------- */

static void honest(const struct segment *s)
{
	peer_ack(&peer, s->seq + s->len, false);
}

static void always_ece(const struct segment *s)
{
	peer_ack(&peer, s->seq + s->len, true);
}

static void ece_in_every_other_ack(const struct segment *s)
{
	peer_ack(&peer, s->seq + s->len, acks % 2);
}

/* Rarely, so that alpha^2 is much less than alpha. */
static void ece_now_and_then(const struct segment *s)
{
	peer_ack(&peer, s->seq + s->len, acks % 7 == 0);
}

/* Ten ACKs for a segment, with ECE in the last. */
static void divided(const struct segment *s)
{
	uint32_t n;

	for (n = 100; n <= s->len; n += 100)
		peer_ack(&peer, s->seq + n, n == s->len && step % 3 == 0);
	if (s->len % 100)
		peer_ack(&peer, s->seq + s->len, false);
}

/* The same with ECE in all but the last, which acknowledges the packet. */
static void divided_ece_first(const struct segment *s)
{
	uint32_t n;

	for (n = 100; n <= s->len; n += 100)
		peer_ack(&peer, s->seq + n, n != s->len && step % 3 == 0);
	if (s->len % 100)
		peer_ack(&peer, s->seq + s->len, false);
}

static void stretched(const struct segment *s)
{
	if (acks % 8 == 7 || !peer.count)
		peer_ack(&peer, s->seq + s->len, step % 4 == 0);
}

/* One ACK for the whole flight, repeated for each of its segments. */
static void repeated(const struct segment *s)
{
	peer_ack(&peer, flight_end, step % 4 == 0);
	(void)s;
}

/* ACKs for data never sent, and for data acknowledged long ago. */
static void out_of_range(const struct segment *s)
{
	peer_ack(&peer, peer.nxt + 1000000, true);
	peer_ack(&peer, s->seq - 1000000, true);
	peer_ack(&peer, s->seq + s->len, step % 4 == 0);
}

static void closing_window(const struct segment *s)
{
	peer.window = acks % 5 == 4 ? 0 : 0xffff;
	peer_ack(&peer, s->seq + s->len, step % 4 == 0);
	peer.window = 0xffff;
	peer_ack(&peer, s->seq + s->len, false);
}

/* Reports all but the first packet of a flight by SACK, then drops them. */
static void reneging(const struct segment *s)
{
	static uint32_t hole;
	uint32_t sack[2];

	if (step % 6 != 2) {
		peer_ack(&peer, s->seq + s->len, step % 4 == 0);
		hole = 0;
		return;
	}
	if (!hole) {
		hole = s->seq;
		return;
	}
	if (seq_before(s->seq, hole + PEER_MSS))
		return;
	sack[0] = hole + PEER_MSS;
	sack[1] = s->seq + s->len;
	peer_send(&peer, TH_ACK, 0, hole, sack, 1, 0);
	peer_drain(&peer);
	if (!peer.count) {
		/* the hole is filled, and the rest is no longer there */
		peer_ack(&peer, hole + PEER_MSS, false);
		hole = 0;
	}
}

/* A loss, and then a DSACK that reports it as spurious. */
static void false_dsack(const struct segment *s)
{
	static uint32_t hole;
	uint32_t sack[2];

	if (step % 8 != 3) {
		peer_ack(&peer, s->seq + s->len, step % 8 == 6);
		hole = 0;
		return;
	}
	if (!hole) {
		hole = s->seq;
		return;
	}
	sack[0] = hole + PEER_MSS;
	sack[1] = s->seq + s->len;
	if (seq_before(hole, s->seq)) {
		peer_send(&peer, TH_ACK, 0, hole, sack, 1, 0);
		peer_drain(&peer);
		return;
	}
	/* the retransmission */
	sack[0] = hole;
	sack[1] = hole + PEER_MSS;
	peer_send(&peer, TH_ACK, 0, peer.nxt, sack, 1, 0);
	peer_drain(&peer);
	hole = 0;
}

/* --- a history ------------------------------------------------------------ */

struct history {
	uint32_t cwnd[STEPS], ssthresh[STEPS];
};

/* Answers the segments of each flight that are there when its turn starts. */
static void play(const char *cc, void (*lie)(const struct segment *s),
		 struct history *h)
{
	struct tcp_info info;
	struct segment s;
	int i;

	peer_open(&peer, cc, true, NULL);
	/* a deadline out of reach: d = d_max from the first round trip on */
	if (!strcmp(cc, "d2tcp"))
		CHECK_OK(set_deadline(peer.sock, 1000 * 1000 * MS, INT32_MAX -
				      4000000, D2TCP_F_RELATIVE));
	peer_write(&peer, 4000000);
	acks = 0;
	for (step = 0; step < STEPS; step++) {
		peer_drain(&peer);
		sleep_us(1000);
		flight_end = peer.nxt;
		for (i = 0; i < 3000 && peer.count &&
		     seq_before(peer.in[peer.first].seq, flight_end);
		     i++) {
			CHECK(peer_data(&peer, &s), "no data");
			/* the lies begin after a mark has ended slow start */
			if (step < 3)
				peer_ack(&peer, s.seq + s.len,
					 step == 2 && !i);
			else
				lie(&s);
			acks++;
		}
		info = tcp_info(peer.sock);
		CHECK_EQ(info.tcpi_state, 1);
		h->cwnd[step] = info.tcpi_snd_cwnd;
		h->ssthresh[step] = info.tcpi_snd_ssthresh;
		/* wait for retransmissions, at the latest by the timer */
		for (i = 0; i < 200 && !peer.count; i++) {
			sleep_us(10000);
			peer_drain(&peer);
		}
	}
	if (!strcmp(cc, "d2tcp"))
		CHECK_EQ(get_info(peer.sock).outstanding, 1);
	peer_close(&peer);
}

static double most(const uint32_t *v, int f)
{
	return f && v[f - 1] > v[f] ? v[f - 1] : v[f];
}

/*
 * The clamp allows dctcp's window with each cut by a/2 replaced by a cut by
 * a^2/2. In the flight after a cut the window still shrinks, so the larger
 * window of two flights counts.
 */
static void never_more(void (*lie)(const struct segment *s), bool clamped)
{
	static struct history theirs, ours;
	double shadow, a, before;
	uint32_t cuts = 0, largest = 0;
	int f;

	set_param("d_max", clamped ? "256" : "512");
	play("dctcp", lie, &theirs);
	play("d2tcp", lie, &ours);
	set_param("d_max", "512");
	shadow = theirs.cwnd[0];
	for (f = 0; f < STEPS; f++) {
		before = f ? theirs.cwnd[f - 1] : theirs.cwnd[0];
		if (theirs.cwnd[f] >= before) {
			shadow += theirs.cwnd[f] - before;
		} else {
			a = 2 * (1 - theirs.cwnd[f] / before);
			/* a cut by half or more was a loss */
			shadow *= clamped || a > 0.98 ? 1 - a / 2 :
							1 - a * a / 2;
			cuts++;
		}
		if (shadow < theirs.cwnd[f])
			shadow = theirs.cwnd[f];
		/* dctcp rounds each cut to whole packets */
		largest = theirs.cwnd[f] > largest ? theirs.cwnd[f] : largest;
		CHECK(most(ours.cwnd, f) <= 2 + shadow ||
		      ours.cwnd[f] <= most(theirs.cwnd, f) + 1,
		      "flight %d: %u, dctcp %u, after %u cuts at most %.1f", f,
		      ours.cwnd[f], theirs.cwnd[f], cuts, shadow);
	}
	/* the flow had a real window, and it was cut */
	CHECK(largest >= 10 && cuts, "%u, %u cuts", largest, cuts);
}

#define LIE(name, lie)							\
	TEST(name) {							\
		never_more(lie, true);					\
		never_more(lie, false);					\
	}

LIE(the clamp holds without a lie, honest)
LIE(the clamp holds with ECE in every ACK, always_ece)
LIE(the clamp holds with ECE in every other ACK, ece_in_every_other_ack)
LIE(the clamp holds with ECE in every seventh ACK, ece_now_and_then)
LIE(the clamp holds with ten ACKs for a segment, divided)
LIE(the clamp holds with ten ACKs for a segment and ECE in all but the last,
    divided_ece_first)
LIE(the clamp holds with one ACK for eight segments, stretched)
LIE(the clamp holds with one ACK for a flight and duplicates of it, repeated)
LIE(the clamp holds with ACKs for data never sent, out_of_range)
LIE(the clamp holds with a window that closes repeatedly, closing_window)
LIE(the clamp holds with SACK reneging, reneging)
LIE(the clamp holds with a DSACK after each loss, false_dsack)

TEST(a message interrupted by a reset is not counted as met)
{
	char buf[1000] = { 0 };
	struct segment s;
	int i;

	for (i = 0; i < 3; i++) {
		peer_open(&peer, "d2tcp", true, NULL);
		CHECK_OK(set_deadline(peer.sock, 1000 * MS, 100000,
				      D2TCP_F_RELATIVE));
		CHECK_OK(set_budget(peer.sock, 1000));
		peer_write(&peer, 50000);
		CHECK(peer_data(&peer, &s), "no data");
		peer_ack(&peer, s.seq + s.len, true);
		/* the third is not at the next sequence number: no reset */
		peer.seq += i == 2 ? 100000 : 0;
		peer_send(&peer, TH_RST | TH_ACK, 0, s.seq + s.len, NULL, 0, 0);
		if (i == 2) {
			CHECK_EQ(get_info(peer.sock).outstanding, 1);
		} else {
			CHECK_ERRNO((int)send(peer.sock, buf, 1,
					      MSG_NOSIGNAL), ECONNRESET);
			CHECK_EQ(get_info(peer.sock).met, 0);
			CHECK_OK(set_deadline_int(peer.sock, 1000));
			CHECK_OK(set_deadline_int(peer.sock, 0));
		}
		peer_close(&peer);
	}
}

int main(int argc, char **argv)
{
	if (system("modprobe -a tcp_d2tcp tcp_dctcp 2>/dev/null || modprobe tcp_d2tcp")) {
		printf("Bail out! modprobe tcp_d2tcp failed\n");
		return 1;
	}
	return run_tests(argc, argv);
}
