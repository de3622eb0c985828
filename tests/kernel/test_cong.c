// SPDX-License-Identifier: GPL-2.0
/*
 * The congestion control on the wire, against a scripted peer. Compares it bit
 * by bit with a reference model of the law, and within a packet with the
 * kernel's dctcp; tests losses, the echo of CE, and outstanding messages.
 */
#include "kernel.h"
#include "model.h"
#include "peer.h"
#include "trace.h"

#define MS	1000000ull

static struct peer peer;

/* --- the module's own tracepoint ------------------------------------------ */

struct cut {
	unsigned int sport, alpha, d, p, bytes, srtt, mss, loss;
	unsigned long long before, after;
	long long left;
};

/* The next cut of the socket under test. */
static bool next_cut(struct cut *c)
{
	const char *s;

	while ((s = trace_next("d2tcp_cut"))) {
		s = strstr(s, " sport=");
		if (!s || sscanf(s, " sport=%u daddr=%*s dport=%*u alpha=%u "
				 "d=%u p=%u before=%llu after=%llu bytes=%u "
				 "left=%lld srtt=%u mss=%u loss=%u",
				 &c->sport, &c->alpha, &c->d, &c->p,
				 &c->before, &c->after, &c->bytes, &c->left,
				 &c->srtt, &c->mss, &c->loss) != 11)
			continue;
		if (c->sport == peer.port)
			return true;
	}
	return false;
}

/* --- bit by bit ----------------------------------------------------------- */

static const struct cut *traced;	/* this cut as the module traced it */
static uint64_t due_ns, clock_before;
static uint32_t message_end, acked_to;

/* The model's d from the traced inputs, which are checked first. */
static uint32_t urgency(const struct model *m, void *arg)
{
	(void)arg;
	if (!due_ns)
		return D_ONE;
	CHECK_EQ(traced->bytes, message_end - acked_to);
	CHECK_EQ(traced->mss, PEER_MSS);
	CHECK(traced->left >= (int64_t)(due_ns - clock_ns()) &&
	      traced->left <= (int64_t)(due_ns - clock_before),
	      "left %lld", traced->left);
	return model_d(traced->bytes, traced->left, traced->srtt, m->before,
		       traced->mss);
}

/* Waits until the peer has read every segment that the socket has sent: on
 * several CPUs the last ones may still be in flight, and the model needs the
 * end of the flight.
 */
static void read_flight(void)
{
	uint32_t sent = 0;
	int i;

	for (i = 0; i < 1000; i++) {
		sent = tcp_info(peer.sock).tcpi_unacked * PEER_MSS;
		if (peer.nxt - acked_to == sent)
			return;
		sleep_us(100);
		peer_drain(&peer);
	}
	CHECK_EQ(peer.nxt - acked_to, sent);
}

static void ack_and_compare(struct model *m, uint32_t una, bool ece)
{
	struct d2tcp_info info;
	uint32_t nxt;
	struct cut c;
	bool cut;

	read_flight();
	nxt = peer.nxt;
	acked_to = una;
	clock_before = clock_ns();
	peer_ack(&peer, una, ece);
	cut = next_cut(&c);
	traced = &c;
	CHECK_EQ(cut, ece && !(m->cwr && (int32_t)(una - m->high_seq) <= 0));
	model_ack(m, una, nxt, 1, ece, urgency, NULL);
	CHECK_EQ(m->cut, cut);
	if (cut) {
		double real = exp2(log2((double)m->alpha / ONE) * m->d / 256);

		CHECK_EQ(c.alpha, m->alpha);
		CHECK_EQ(c.d, m->d);
		CHECK_EQ(c.p, m->p);
		CHECK_EQ(c.before, m->before);
		CHECK_EQ(c.after, m->after);
		CHECK_EQ(c.loss, 0);
		/* and compare with the law in floating point */
		if (m->after > 512)
			CHECK(fabs((double)c.after -
				   (double)c.before * (1 - real / 2)) <=
			      1 + 3e-5 * (double)c.before, "%llu to %llu",
			      c.before, c.after);
	}
	info = get_info(peer.sock);
	CHECK_EQ(info.alpha, m->alpha);
	if (!m->cwr) {
		CHECK_EQ(tcp_info(peer.sock).tcpi_snd_cwnd, m->cwnd);
		CHECK_EQ(info.cwnd, model_window(m));
	}
}

/*
 * Follows up to `flights` round trips. Each ACK is marked with a probability
 * that changes from flight to flight and is often 0.
 */
static unsigned int follow(unsigned int seed, unsigned int flights)
{
	unsigned int f, chance, cuts = 0;
	struct segment s;
	struct model m;
	uint32_t end;

	trace_on("d2tcp_cut");
	peer_open(&peer, "d2tcp", true, NULL);
	model_start(&m, peer.nxt, 10);
	acked_to = peer.nxt;
	if (due_ns) {
		due_ns += clock_ns();
		CHECK_OK(set_deadline(peer.sock, due_ns, 3000000, 0));
		message_end = peer.nxt + 3000000;
	}
	peer_write(&peer, 3000000);
	srand(seed);
	for (f = 0; f < flights; f++) {
		chance = rand() % 3 ? 0 : rand() % 100;
		peer_drain(&peer);
		sleep_us(1000);
		end = peer.nxt;
		while (peer.count && seq_before(peer.in[peer.first].seq, end)) {
			CHECK(peer_data(&peer, &s), "no data");
			/* the model does not cover a passed deadline */
			if (due_ns && clock_ns() + MS > due_ns)
				goto out;
			ack_and_compare(&m, s.seq + s.len,
					(unsigned int)rand() % 100 < chance);
			cuts += m.cut;
		}
	}
out:
	peer_close(&peer);
	return cuts;
}

TEST(without a deadline every ACK agrees with the model bit by bit)
{
	unsigned int seed, cuts = 0, runs = 0;

	due_ns = 0;
	for (seed = 1; seed <= 12; seed++) {
		if (!in_part(seed))
			continue;
		cuts += follow(seed, 60);
		runs++;
	}
	printf("# %u cuts\n", cuts);
	CHECK(cuts > 100 * runs / 12, "%u", cuts);
}

TEST(with a deadline every ACK agrees with the model bit by bit)
{
	/* from too tight to very far: d at its bounds and between them */
	static const unsigned int ms[] = { 20, 40, 80, 160, 320, 1000, 100000 };
	unsigned int seed, i, cuts = 0, runs = 0;

	for (i = 0; i < sizeof(ms) / sizeof(ms[0]); i++) {
		for (seed = 1; seed <= 3; seed++) {
			/* each part has each deadline */
			if (!in_part(seed))
				continue;
			due_ns = ms[i] * MS;
			cuts += follow(100 * i + seed, 60);
			runs++;
		}
	}
	printf("# %u cuts\n", cuts);
	CHECK(cuts > 100 * runs / 21, "%u", cuts);
}

static void set_param(const char *name, const char *value)
{
	char path[128];
	int err;

	snprintf(path, sizeof(path), "/sys/module/tcp_d2tcp/parameters/%s",
		 name);
	err = write_file(path, value);
	CHECK(!err, "%s = %s: %s", name, value, strerror(err));
}

TEST(a flow near its deadline yields less than one without and a far one more)
{
	/* the time left, in 1/256 of the time that the message needs */
	static const struct {
		uint32_t left, d;
	} flow[] = { { 64, 512 }, { 0, 256 }, { 1024, 128 } };
	uint64_t finish;
	uint64_t after[3];
	struct segment s;
	struct cut c;
	int i;

	trace_on("d2tcp_cut");
	set_param("alpha_on_init", "600000");
	for (i = 0; i < 3; i++) {
		peer_open(&peer, "d2tcp", true, NULL);
		CHECK_OK(set_deadline(peer.sock, 1000 * 1000 * MS, 3000000,
				      D2TCP_F_RELATIVE));
		peer_write(&peer, 3000000);
		sleep_us(1000);
		CHECK(peer_data(&peer, &s), "no data");
		/* the first ACK measures the round trip, which d needs */
		peer_ack(&peer, s.seq + s.len, false);
		CHECK(peer_data(&peer, &s), "no data");
		/* 360 round trips: 3 MB at 3/4 of 11 packets each */
		finish = get_info(peer.sock).finish_ns;
		CHECK_OK(set_deadline_int(peer.sock, 0));
		if (flow[i].left)
			CHECK_OK(set_deadline(peer.sock, finish *
					      flow[i].left / 256, 1,
					      D2TCP_F_RELATIVE));
		peer_ack(&peer, s.seq + s.len, true);
		CHECK(next_cut(&c), "no cut");
		CHECK_EQ(c.before, 11 * 256);
		CHECK_EQ(c.d, flow[i].d);
		after[i] = c.after;
		peer_close(&peer);
	}
	set_param("alpha_on_init", "1048576");
	CHECK(after[0] > after[1] && after[1] > after[2], "%llu, %llu, %llu",
	      (unsigned long long)after[0], (unsigned long long)after[1],
	      (unsigned long long)after[2]);
}

/* --- comparison with the kernel's dctcp ----------------------------------- */

#define FLIGHTS	60

/* Records cwnd after each flight. All ACKs of a marked flight carry ECE, and
 * the first packet of a lossy one is lost.
 */
static void beside(const char *cc, const bool *marked, const bool *lossy,
		   uint32_t *cwnd)
{
	uint32_t end, sack[2], hole;
	struct segment s;
	unsigned int f;

	peer_open(&peer, cc, true, NULL);
	peer_write(&peer, 4000000);
	for (f = 0; f < FLIGHTS; f++) {
		peer_drain(&peer);
		sleep_us(1000);
		end = peer.nxt;
		hole = 0;
		while (peer.count && seq_before(peer.in[peer.first].seq, end)) {
			CHECK(peer_data(&peer, &s), "no data");
			if (lossy[f] && !hole) {
				/* the first packet of the flight is lost */
				hole = s.seq;
				sack[0] = s.seq + s.len;
				continue;
			}
			if (!hole) {
				peer_ack(&peer, s.seq + s.len, marked[f]);
				continue;
			}
			sack[1] = s.seq + s.len;
			peer_send(&peer, TH_ACK, 0, hole, sack, 1, 0);
			peer_drain(&peer);
		}
		if (hole) {
			/* acknowledge the retransmission and the rest */
			sleep_us(1000);
			peer_ack(&peer, end, false);
		}
		cwnd[f] = tcp_info(peer.sock).tcpi_snd_cwnd;
	}
	peer_close(&peer);
}

/*
 * dctcp rounds each cut down to whole packets, and alpha to 10 bits, so its
 * window may stay up to a packet larger at each cut. d2tcp keeps the fraction.
 */
static void compare_with_dctcp(const bool *marked, const bool *lossy)
{
	uint32_t ours[FLIGHTS], theirs[FLIGHTS], most = 0, cuts = 0;
	unsigned int f;

	beside("dctcp", marked, lossy, theirs);
	beside("d2tcp", marked, lossy, ours);
	for (f = 0; f < FLIGHTS; f++) {
		cuts += marked[f] || lossy[f];
		/* in the flight after a cut the window still shrinks */
		if (f && (marked[f] || marked[f - 1] || lossy[f]))
			continue;
		if (theirs[f] > most)
			most = theirs[f];
		CHECK(ours[f] <= theirs[f] + 1 &&
		      theirs[f] <= ours[f] + (cuts > 1 ? cuts : 1),
		      "flight %u: %u, dctcp %u, after %u cuts", f, ours[f],
		      theirs[f], cuts);
	}
	CHECK(most >= 20, "the windows stayed at %u", most);
}

TEST(without a deadline a cut leaves a window within a packet of that of dctcp)
{
	bool marked[FLIGHTS], lossy[FLIGHTS] = { 0 };
	unsigned int f;

	/* each round has another alpha and window at the cut */
	for (f = 1; f < 7; f++) {
		if (!in_part(f))
			continue;
		memset(marked, 0, sizeof(marked));
		marked[f] = true;
		compare_with_dctcp(marked, lossy);
	}
}

TEST(without a deadline a loss leaves a window within a packet of that of dctcp)
{
	bool marked[FLIGHTS] = { 0 }, lossy[FLIGHTS] = { 0 };
	unsigned int f;

	for (f = 1; f < 7; f++) {
		if (!in_part(f))
			continue;
		lossy[f] = true;
		compare_with_dctcp(marked, lossy);
		lossy[f] = false;
	}
}

TEST(after many cuts the window is within a packet per cut of that of dctcp)
{
	bool marked[FLIGHTS] = { 0 }, lossy[FLIGHTS] = { 0 };
	unsigned int f;

	for (f = 3; f < FLIGHTS; f += 8)
		marked[f] = true;
	compare_with_dctcp(marked, lossy);
	lossy[12] = true;
	lossy[34] = true;
	compare_with_dctcp(marked, lossy);
}

/* --- losses --------------------------------------------------------------- */

static void grow(unsigned int flights)
{
	struct segment s;
	uint32_t end;

	while (flights--) {
		peer_drain(&peer);
		sleep_us(1000);
		end = peer.nxt;
		while (peer.count && seq_before(peer.in[peer.first].seq, end) &&
		       peer_data(&peer, &s))
			peer_ack(&peer, s.seq + s.len, false);
	}
}

/* Loses the first packet of a flight, checks that the window is halved from
 * cwnd, and returns the packet's sequence number.
 */
static uint32_t lose_one(uint32_t cwnd)
{
	uint32_t sack[2], hole;
	struct segment s;
	int n;

	CHECK(peer_data(&peer, &s), "no data");
	hole = s.seq;
	sack[0] = s.seq + s.len;
	for (n = 0; n < 5; n++) {
		CHECK(peer_data(&peer, &s), "no data");
		sack[1] = s.seq + s.len;
		peer_send(&peer, TH_ACK, 0, hole, sack, 1, 0);
	}
	peer_drain(&peer);
	CHECK_EQ(tcp_info(peer.sock).tcpi_ca_state, TCP_CA_Recovery);
	CHECK_EQ(tcp_info(peer.sock).tcpi_snd_ssthresh, cwnd / 2);
	return hole;
}

TEST(a loss halves the window whatever the deadline)
{
	static const uint64_t ms[] = { 0, 30, 5000 };
	struct cut c;
	uint32_t cwnd;
	int i;

	trace_on("d2tcp_cut");
	for (i = 0; i < 3; i++) {
		peer_open(&peer, "d2tcp", true, NULL);
		if (ms[i])
			CHECK_OK(set_deadline(peer.sock, ms[i] * MS, 3000000,
					      D2TCP_F_RELATIVE));
		peer_write(&peer, 3000000);
		grow(2);
		cwnd = tcp_info(peer.sock).tcpi_snd_cwnd;
		CHECK(cwnd >= 20, "%u", cwnd);
		lose_one(cwnd);
		CHECK(next_cut(&c), "no cut was traced");
		CHECK_EQ(c.loss, 1);
		CHECK_EQ(c.before, cwnd * 256);
		CHECK_EQ(c.after, cwnd / 2 * 256);
		CHECK(!next_cut(&c), "a second cut was traced");
		peer_close(&peer);
	}
}

TEST(a timeout halves ssthresh and restarts with a window of one packet)
{
	struct tcp_info info;
	uint32_t cwnd;

	peer_open(&peer, "d2tcp", true, NULL);
	CHECK_OK(set_deadline(peer.sock, 5000 * MS, 3000000, D2TCP_F_RELATIVE));
	peer_write(&peer, 3000000);
	grow(2);
	cwnd = tcp_info(peer.sock).tcpi_snd_cwnd;
	for (int i = 0; i < 100; i++) {
		sleep_us(10000);
		peer_drain(&peer);
		info = tcp_info(peer.sock);
		if (info.tcpi_ca_state == TCP_CA_Loss)
			break;
	}
	CHECK_EQ(info.tcpi_ca_state, TCP_CA_Loss);
	CHECK_EQ(info.tcpi_snd_cwnd, 1);
	CHECK_EQ(info.tcpi_snd_ssthresh, cwnd / 2);
	peer_close(&peer);
}

/* Acknowledges nine of ten packets and waits until a tail loss probe sends the
 * last one again. Returns that packet's sequence number.
 */
static uint32_t probed_tail(uint32_t *end)
{
	struct segment s = { 0 };
	bool probe = false;
	int i;

	peer_open(&peer, "d2tcp", true, NULL);
	sysctl_net("tcp_early_retrans", "3");
	peer_write(&peer, 10 * PEER_MSS);
	peer_drain(&peer);
	*end = peer.nxt;
	sleep_us(1000);
	while (peer_data(&peer, &s) && s.seq + s.len != *end)
		peer_ack(&peer, s.seq + s.len, false);
	for (i = 0; i < 500 && !probe; i++) {
		sleep_us(2000);
		probe = peer_data(&peer, &s);
	}
	CHECK(probe && s.seq == *end - PEER_MSS, "no probe");
	return s.seq;
}

TEST(a loss that a tail loss probe repairs halves the window too)
{
	uint32_t cwnd, end;
	struct segment s;

	set_param("alpha_on_init", "0");
	probed_tail(&end);
	CHECK_EQ(tcp_info(peer.sock).tcpi_ca_state, TCP_CA_Open);
	cwnd = tcp_info(peer.sock).tcpi_snd_cwnd;
	peer_ack(&peer, end, false);
	peer_write(&peer, PEER_MSS);
	CHECK(peer_data(&peer, &s), "no data");
	peer_ack(&peer, s.seq + s.len, false);
	CHECK(tcp_info(peer.sock).tcpi_snd_cwnd >= cwnd / 2 &&
	      tcp_info(peer.sock).tcpi_snd_cwnd <= cwnd / 2 + 1,
	      "%u, from %u", tcp_info(peer.sock).tcpi_snd_cwnd, cwnd);
	set_param("alpha_on_init", "1048576");
	peer_close(&peer);
}

TEST(a tail loss probe with new data does not count as a loss)
{
	struct segment s = { 0 };
	uint32_t first, end;
	struct cut c;
	int i;

	trace_on("d2tcp_cut");
	peer_open(&peer, "d2tcp", true, NULL);
	sysctl_net("tcp_early_retrans", "3");
	/* measure a round trip, and write more than the window allows */
	peer_write(&peer, 100 * PEER_MSS);
	sleep_us(1000);
	CHECK(peer_data(&peer, &s), "no data");
	peer_ack(&peer, s.seq + s.len, false);
	first = s.seq + s.len;
	end = peer.nxt;
	for (i = 0; i < 500 && peer.nxt == end; i++) {
		sleep_us(2000);
		peer_drain(&peer);
	}
	CHECK_EQ(peer.nxt, end + PEER_MSS);
	CHECK(seq_before(first, end), "nothing was in flight");
	/* a mark on the ACK of the probe: cut by the law, not as for a loss */
	peer_ack(&peer, peer.nxt, true);
	CHECK(next_cut(&c), "no cut");
	CHECK_EQ(c.loss, 0);
	peer_close(&peer);
}

TEST(after the DSACK of a probe a mark does not count as a loss)
{
	uint32_t hole, end, sack[2];
	struct cut c;

	trace_on("d2tcp_cut");
	hole = probed_tail(&end);
	/* send more, so that the ACK of the probe is beyond the probed data */
	peer_write(&peer, 40 * PEER_MSS);
	peer_drain(&peer);
	CHECK(seq_before(end + 4 * PEER_MSS, peer.nxt), "too little in flight");
	/* the tail was delayed, not lost: it arrived twice */
	sack[0] = hole;
	sack[1] = hole + PEER_MSS;
	peer_send(&peer, TH_ACK, 0, end + PEER_MSS, sack, 1, 0);
	peer_drain(&peer);
	CHECK_EQ(tcp_info(peer.sock).tcpi_ca_state, TCP_CA_Open);
	CHECK(!next_cut(&c), "a cut");
	/* in the middle of a window, where ACKs take the fast path */
	peer_ack(&peer, end + 2 * PEER_MSS, true);
	CHECK(next_cut(&c), "no cut");
	CHECK_EQ(c.loss, 0);
	peer_close(&peer);
}

TEST(a mark beyond a probe with new data does not count as a loss)
{
	struct segment s = { 0 };
	uint32_t end;
	struct cut c;
	int i;

	trace_on("d2tcp_cut");
	peer_open(&peer, "d2tcp", true, NULL);
	sysctl_net("tcp_early_retrans", "3");
	peer_write(&peer, 100 * PEER_MSS);
	sleep_us(1000);
	CHECK(peer_data(&peer, &s), "no data");
	peer_ack(&peer, s.seq + s.len, false);
	end = peer.nxt;
	for (i = 0; i < 500 && peer.nxt == end; i++) {
		sleep_us(2000);
		peer_drain(&peer);
	}
	CHECK_EQ(peer.nxt, end + PEER_MSS);
	/* acknowledge data before the probe, so that more is sent after it */
	peer_ack(&peer, end - 2 * PEER_MSS, false);
	CHECK(seq_before(end + 2 * PEER_MSS, peer.nxt), "nothing more was sent");
	CHECK(!next_cut(&c), "a cut");
	peer_ack(&peer, end + 2 * PEER_MSS, true);
	CHECK(next_cut(&c), "no cut");
	CHECK_EQ(c.loss, 0);
	peer_close(&peer);
}

TEST(a mark on the ACK of exactly the probed data does not count as a loss)
{
	uint32_t end;
	struct cut c;

	trace_on("d2tcp_cut");
	probed_tail(&end);
	/* one of two copies has arrived; it is not known yet if one was lost */
	peer_ack(&peer, end, true);
	CHECK(next_cut(&c), "no cut");
	CHECK_EQ(c.loss, 0);
	peer_close(&peer);
}

TEST(a second timeout leaves ssthresh at its minimum of two packets)
{
	struct segment s, last = { 0 };
	struct tcp_info info;
	int i;

	peer_open(&peer, "d2tcp", true, NULL);
	peer_write(&peer, 100000);
	grow(2);
	for (i = 0; i < 200; i++) {
		sleep_us(10000);
		if (tcp_info(peer.sock).tcpi_ca_state == TCP_CA_Loss)
			break;
	}
	while (peer_next(&peer, &s))
		last = s;
	/* the retransmission arrives, the packets after it do not */
	peer_ack(&peer, last.seq + last.len, false);
	CHECK_EQ(tcp_info(peer.sock).tcpi_retransmits, 0);
	CHECK(tcp_info(peer.sock).tcpi_snd_cwnd <= 3, "%u",
	      tcp_info(peer.sock).tcpi_snd_cwnd);
	for (i = 0; i < 500; i++) {
		sleep_us(10000);
		peer_drain(&peer);
		info = tcp_info(peer.sock);
		if (info.tcpi_retransmits)
			break;
	}
	CHECK(info.tcpi_retransmits, "no second timeout");
	CHECK_EQ(info.tcpi_snd_ssthresh, 2);
	peer_close(&peer);
}

TEST(ss shows the marks of the current window)
{
	struct segment s;
	const char *text;

	peer_open(&peer, "d2tcp", true, NULL);
	peer_write(&peer, 100 * PEER_MSS);
	grow(1);
	peer_drain(&peer);
	/* three packets in the middle of a window, two of them marked */
	CHECK(peer_data(&peer, &s), "no data");
	peer_ack(&peer, s.seq + s.len, true);
	CHECK(peer_data(&peer, &s), "no data");
	peer_ack(&peer, s.seq + s.len, true);
	CHECK(peer_data(&peer, &s), "no data");
	peer_ack(&peer, s.seq + s.len, false);
	text = output("ss -tin");
	CHECK(strstr(text, "ab_ecn:2000,ab_tot:3000"), "%s", text);
	/* two windows without a mark */
	grow(2);
	text = output("ss -tin");
	CHECK(strstr(text, "ab_ecn:0,"), "%s", text);
	peer_close(&peer);
}

/* Cuts the window to one with a fraction, and returns the fraction. */
static uint32_t cut_to_a_fraction(void)
{
	struct segment s;
	struct cut c;

	trace_on("d2tcp_cut");
	peer_open(&peer, "d2tcp", true, NULL);
	peer_write(&peer, 10 * PEER_MSS);
	sleep_us(1000);
	CHECK(peer_data(&peer, &s), "no data");
	peer_ack(&peer, s.seq + s.len, true);
	CHECK(next_cut(&c), "no cut");
	CHECK_EQ(c.loss, 0);
	CHECK(c.after % 256 > 10, "no fraction: %llu", c.after);
	/* the rest of the window, in which it does not grow */
	peer_drain(&peer);
	while (seq_before(s.seq + s.len, peer.nxt)) {
		CHECK(peer_data(&peer, &s), "no data");
		peer_ack(&peer, s.seq + s.len, false);
	}
	/* and a packet beyond it, which ends the cut */
	peer_write(&peer, PEER_MSS);
	CHECK(peer_data(&peer, &s), "no data");
	peer_ack(&peer, s.seq + s.len, false);
	CHECK_EQ(tcp_info(peer.sock).tcpi_ca_state, TCP_CA_Open);
	return c.after % 256;
}

TEST(a loss clears the fraction of the window)
{
	struct cut c;
	uint32_t cwnd;

	set_param("alpha_on_init", "600000");
	trace_on("d2tcp_cut");
	peer_open(&peer, "d2tcp", true, NULL);
	peer_write(&peer, 3000000);
	grow(2);
	cwnd = tcp_info(peer.sock).tcpi_snd_cwnd;
	lose_one(cwnd);
	CHECK(next_cut(&c), "no cut was traced");
	CHECK_EQ(c.loss, 1);
	/* alpha was below 1, so a cut by the law would leave a fraction */
	CHECK(get_info(peer.sock).alpha < 600000 &&
	      get_info(peer.sock).alpha > 100000, "alpha %u",
	      get_info(peer.sock).alpha);
	CHECK_EQ(get_info(peer.sock).cwnd,
		 256 * tcp_info(peer.sock).tcpi_snd_cwnd);
	peer_close(&peer);
	set_param("alpha_on_init", "1048576");
}

TEST(a restart after idle time clears the fraction of the window)
{
	uint32_t frac, cwnd, before;

	set_param("alpha_on_init", "500000");
	frac = cut_to_a_fraction();
	cwnd = tcp_info(peer.sock).tcpi_snd_cwnd;
	before = get_info(peer.sock).cwnd;
	CHECK(before - 256 * cwnd >= frac, "no fraction left: %u", before);
	/* Idle for longer than the RTO: the core restarts the window, and does
	 * not reduce cwnd, which is not above the initial one.
	 */
	CHECK(cwnd <= 10, "%u", cwnd);
	sleep_us(3000000);
	peer_write(&peer, PEER_MSS);
	CHECK_EQ(tcp_info(peer.sock).tcpi_snd_cwnd, cwnd);
	CHECK_EQ(get_info(peer.sock).cwnd, before - frac);
	peer_close(&peer);
	set_param("alpha_on_init", "1048576");
}

TEST(a spurious loss restores the window)
{
	uint32_t sack[2], hole, cwnd;
	struct segment s;

	peer_open(&peer, "d2tcp", true, NULL);
	peer_write(&peer, 1000000);
	grow(2);
	/* leave slow start, where an ACK of many packets would hide it */
	CHECK(peer_data(&peer, &s), "no data");
	peer_ack(&peer, s.seq + s.len, true);
	grow(3);
	cwnd = tcp_info(peer.sock).tcpi_snd_cwnd;
	hole = lose_one(cwnd);
	/* it was delayed, not lost: a DSACK reports a second copy */
	sack[0] = hole;
	sack[1] = hole + PEER_MSS;
	peer_send(&peer, TH_ACK, 0, peer.nxt, sack, 1, 0);
	peer_drain(&peer);
	CHECK_EQ(tcp_info(peer.sock).tcpi_ca_state, TCP_CA_Open);
	CHECK(tcp_info(peer.sock).tcpi_snd_cwnd >= cwnd, "%u, from %u",
	      tcp_info(peer.sock).tcpi_snd_cwnd, cwnd);
	peer_close(&peer);
}

/* --- with and without ECN ------------------------------------------------- */

TEST(data packets carry ECT with ECN and not without)
{
	struct segment s;
	int ecn, n;

	for (ecn = 0; ecn < 2; ecn++) {
		peer_open(&peer, "d2tcp", ecn, NULL);
		CHECK_EQ(get_info(peer.sock).flags, ecn ? D2TCP_INFO_ECN :
			 D2TCP_INFO_FALLBACK);
		peer_write(&peer, 100000);
		for (n = 0; n < 10; n++) {
			CHECK(peer_data(&peer, &s), "no data");
			CHECK_EQ(s.ecn, ecn ? 2 : 0);
			peer_ack(&peer, s.seq + s.len, false);
		}
		peer_close(&peer);
	}
}

static void ask_for_ecn(int fd)
{
	(void)fd;
	sysctl_net("tcp_ecn", "1");
}

TEST(a socket that selects d2tcp in SYN_SENT is in the fallback)
{
	struct segment s;
	int ecn;

	/* the SYN offers ECN, which looks negotiated until it is answered */
	for (ecn = 0; ecn < 2; ecn++) {
		peer_start(&peer, "cubic", ask_for_ecn);
		CHECK_OK(set_cc(peer.sock, "d2tcp"));
		CHECK_OK(set_deadline(peer.sock, 1000 * MS, 3000,
				      D2TCP_F_RELATIVE));
		peer_answer(&peer, ecn);
		CHECK_EQ(get_info(peer.sock).flags & (D2TCP_INFO_ECN |
						      D2TCP_INFO_FALLBACK),
			 D2TCP_INFO_FALLBACK);
		peer_write(&peer, 3000);
		CHECK(peer_data(&peer, &s), "no data");
		if (!ecn)
			CHECK_EQ(s.ecn, 0);
		peer_ack(&peer, peer.nxt, false);
		CHECK_EQ(get_info(peer.sock).met, 1);
		peer_close(&peer);
	}
}

TEST(without ECN the window is that of Reno and ECE is ignored)
{
	uint32_t cwnd[2][30];
	struct segment s;
	int i, n;

	for (i = 0; i < 2; i++) {
		peer_open(&peer, i ? "reno" : "d2tcp", false, NULL);
		if (!i)
			CHECK_OK(set_deadline(peer.sock, 5 * MS, 3000000,
					      D2TCP_F_RELATIVE));
		peer_write(&peer, 3000000);
		for (n = 0; n < 30; n++) {
			CHECK(peer_data(&peer, &s), "no data");
			peer_ack(&peer, s.seq + s.len, n > 10);
			cwnd[i][n] = tcp_info(peer.sock).tcpi_snd_cwnd;
		}
		peer_close(&peer);
	}
	CHECK(!memcmp(cwnd[0], cwnd[1], sizeof(cwnd[0])), "they differ");
	CHECK_EQ(cwnd[0][29], 40);
}

TEST(in the fallback alpha and penalty are 0)
{
	struct d2tcp_info info;

	peer_open(&peer, "d2tcp", false, NULL);
	CHECK_OK(set_deadline(peer.sock, 1000 * MS, 100000, D2TCP_F_RELATIVE));
	peer_write(&peer, 100000);
	grow(2);
	info = get_info(peer.sock);
	CHECK_EQ(info.flags & D2TCP_INFO_FALLBACK, D2TCP_INFO_FALLBACK);
	CHECK_EQ(info.alpha, 0);
	CHECK_EQ(info.penalty, 0);
	/* the message is reported as with ECN */
	CHECK(info.bytes_left > 0 && info.bytes_left < 100000, "%llu",
	      (unsigned long long)info.bytes_left);
	peer_close(&peer);
}

TEST(in the fallback a standing budget arms each burst)
{
	struct segment s;
	int i;

	peer_open(&peer, "d2tcp", false, NULL);
	CHECK_EQ(get_info(peer.sock).flags, D2TCP_INFO_FALLBACK);
	CHECK_OK(set_budget(peer.sock, 500000));
	for (i = 0; i < 3; i++) {
		peer_write(&peer, 3 * PEER_MSS);
		CHECK(peer_data(&peer, &s), "no data");
		CHECK_EQ(get_info(peer.sock).outstanding, 1);
		CHECK_EQ(get_info(peer.sock).bytes_left, 3 * PEER_MSS);
		/* the second one is late */
		if (i == 1)
			sleep_us(600000);
		peer_drain(&peer);
		peer_ack(&peer, peer.nxt, false);
		CHECK_EQ(get_info(peer.sock).outstanding, 0);
		CHECK_EQ(get_info(peer.sock).met, (i >= 0) + (i >= 2));
		CHECK_EQ(get_info(peer.sock).missed, i >= 1);
	}
	peer_close(&peer);
}

TEST(srtt in INFO is that of the connection in microseconds)
{
	struct segment s;
	int i;

	peer_open(&peer, "d2tcp", true, NULL);
	peer_write(&peer, 20 * PEER_MSS);
	for (i = 0; i < 5; i++) {
		sleep_us(20000);
		CHECK(peer_data(&peer, &s), "no data");
		peer_ack(&peer, s.seq + s.len, false);
	}
	CHECK_EQ(get_info(peer.sock).srtt_us, tcp_info(peer.sock).tcpi_rtt);
	CHECK(get_info(peer.sock).srtt_us > 10000, "%u",
	      get_info(peer.sock).srtt_us);
	peer_close(&peer);
}

/* --- selected in the middle of a connection ------------------------------- */

TEST(selecting d2tcp during a burst arms no budget for the rest of it)
{
	struct segment s;

	peer_start(&peer, "cubic", ask_for_ecn);
	peer_answer(&peer, true);
	/* a window of one packet, so that each ACK empties the flight */
	peer.window = PEER_MSS / 128 + 1;
	peer_ack(&peer, peer.nxt, false);
	peer_send(&peer, TH_ACK, 0, peer.nxt, NULL, 0, 10);
	peer_drain(&peer);
	peer_write(&peer, 4 * PEER_MSS);
	CHECK(peer_data(&peer, &s) && s.len <= 1024, "no data");
	CHECK_OK(set_cc(peer.sock, "d2tcp"));
	CHECK_OK(set_budget(peer.sock, 500000));
	peer_ack(&peer, s.seq + s.len, false);
	CHECK(peer_data(&peer, &s), "no more data");
	CHECK_EQ(get_info(peer.sock).outstanding, 0);
	do {
		peer_ack(&peer, peer.nxt, false);
	} while (peer_data(&peer, &s));
	CHECK_EQ(get_info(peer.sock).met, 0);
	/* the next burst has the budget */
	peer_write(&peer, PEER_MSS);
	CHECK(peer_data(&peer, &s), "no data");
	CHECK_EQ(get_info(peer.sock).outstanding, 1);
	peer_close(&peer);
}

TEST(selecting d2tcp in mid-connection echoes no CE for earlier packets)
{
	struct segment s;
	char buf[PEER_MSS];
	uint32_t before;
	int i;

	peer_start(&peer, "cubic", ask_for_ecn);
	peer_answer(&peer, true);
	/* get past the quick ACKs at the start of a connection */
	for (i = 0; i < 100; i++) {
		peer_send(&peer, TH_ACK, 2, peer.nxt, NULL, 0, PEER_MSS);
		while (recv(peer.sock, buf, sizeof(buf), 0) > 0)
			;
		peer_drain(&peer);
		if (i > 50 && !peer.count)
			break;
		while (peer_next(&peer, &s))
			;
	}
	/* the ACK of one packet is still delayed */
	CHECK(i < 100, "ACKs are not delayed");
	before = peer.seq;
	CHECK_OK(set_cc(peer.sock, "d2tcp"));
	CHECK_EQ(get_info(peer.sock).flags, D2TCP_INFO_ECN);
	peer_send(&peer, TH_ACK, 3, peer.nxt, NULL, 0, PEER_MSS);
	CHECK(peer_next(&peer, &s), "no ACK");
	CHECK_EQ(s.ack, before);
	CHECK_EQ(s.flags & TH_ECE, 0);
	CHECK(peer_next(&peer, &s), "no second ACK");
	CHECK_EQ(s.ack, before + PEER_MSS);
	CHECK_EQ(s.flags & TH_ECE, TH_ECE);
	peer_close(&peer);
}

/*
 * RFC 8257, section 3.2: exactly the bytes that arrived with CE are
 * acknowledged with ECE, and each ACK covers packets of one kind, with CE or
 * without.
 */
static void echo(unsigned int seed, unsigned int chance)
{
	static bool ce[1000];
	uint32_t at = 0, last, base, n, i, acks = 0;
	bool state = false, change;
	struct segment s;
	char buf[PEER_MSS];

	peer_open(&peer, "d2tcp", true, NULL);
	base = peer.seq;
	last = base;
	srand(seed);
	for (n = 0; n < 1000; n++) {
		change = (unsigned int)rand() % 100 < chance;
		if (change)
			state = !state;
		ce[n] = state;
		peer_send(&peer, TH_ACK, state ? 3 : 2, peer.nxt, NULL, 0,
			  PEER_MSS);
		while (recv(peer.sock, buf, sizeof(buf), 0) > 0)
			;
		if (n == 999)
			sleep_us(300000);	/* the delayed ACK */
		while (peer_next(&peer, &s)) {
			for (i = at; seq_before(last, s.ack); i++) {
				CHECK_EQ(!!(s.flags & TH_ECE), ce[i]);
				last += PEER_MSS;
			}
			at = i;
			acks++;
		}
		/* the first packet after a change is acknowledged at once */
		if (change)
			CHECK_EQ(at, n + 1);
	}
	CHECK_EQ(at, 1000);
	/* without changes ACKs are delayed */
	if (!chance)
		CHECK(acks < 950, "%u ACKs", acks);
	peer_close(&peer);
}

TEST(the receiver echoes CE packet by packet)
{
	static const unsigned int chance[] = { 0, 1, 5, 20, 50, 90, 100 };
	unsigned int i;

	for (i = 0; i < sizeof(chance) / sizeof(chance[0]); i++)
		echo(i + 1, chance[i]);
}

/* --- outstanding messages ------------------------------------------------- */

TEST(several messages are outstanding and settle in order)
{
	struct d2tcp_deadline dl;
	struct d2tcp_info info;
	uint32_t base;
	int i;

	peer_open(&peer, "d2tcp", true, NULL);
	base = peer.nxt;
	for (i = 0; i < 4; i++) {
		/* the prefix that ends with the third is the most urgent */
		CHECK_OK(set_deadline(peer.sock, (i == 2 ? 300 : 1000) * MS,
				      10000, D2TCP_F_RELATIVE));
		peer_write(&peer, 10000);
	}
	info = get_info(peer.sock);
	CHECK_EQ(info.outstanding, 4);
	CHECK_EQ(info.merged, 0);
	CHECK_EQ(info.bytes_left, 30000);
	CHECK(info.time_left_ns > 200 * (int64_t)MS &&
	      info.time_left_ns <= 300 * (int64_t)MS, "left %lld",
	      (long long)info.time_left_ns);
	dl = get_deadline(peer.sock);
	CHECK_EQ(dl.bytes, 30000);
	/* a fifth is merged with the fourth, under the tighter deadline */
	CHECK_OK(set_deadline(peer.sock, 200 * MS, 10000, D2TCP_F_RELATIVE));
	peer_write(&peer, 10000);
	info = get_info(peer.sock);
	CHECK_EQ(info.outstanding, 4);
	CHECK_EQ(info.merged, 1);
	CHECK_EQ(info.bytes_left, 50000);

	for (i = 1; i <= 10; i++)
		peer_ack(&peer, base + 1000 * i, false);
	CHECK_EQ(get_info(peer.sock).met, 1);
	CHECK_EQ(get_info(peer.sock).outstanding, 3);
	CHECK_EQ(get_info(peer.sock).bytes_left, 40000);
	sleep_us(400000);
	CHECK(get_info(peer.sock).flags & D2TCP_INFO_LATE ||
	      get_info(peer.sock).time_left_ns > 0, "neither late nor in time");
	for (; i <= 50; i++)
		peer_ack(&peer, base + 1000 * i, false);
	info = get_info(peer.sock);
	CHECK_EQ(info.outstanding, 0);
	CHECK_EQ(info.met, 2);		/* the first and the second */
	CHECK_EQ(info.missed, 2);	/* the third, and the merged ones */
	peer_close(&peer);
}

TEST(a FIN neither counts as data of a message nor completes it)
{
	struct d2tcp_info info;
	uint32_t base;

	/* of unknown length: the bytes written, without the FIN */
	peer_open(&peer, "d2tcp", true, NULL);
	base = peer.nxt;
	CHECK_OK(set_deadline_int(peer.sock, 1000000));
	peer_write(&peer, 3000);
	CHECK_OK(shutdown(peer.sock, SHUT_WR));
	CHECK_EQ(get_info(peer.sock).bytes_left, 3000);
	peer_ack(&peer, base + 2000, false);
	CHECK_EQ(get_info(peer.sock).bytes_left, 1000);
	peer_ack(&peer, base + 3000, false);
	info = get_info(peer.sock);
	CHECK_EQ(info.outstanding, 0);
	CHECK_EQ(info.met, 1);
	peer_ack(&peer, base + 3001, false);
	CHECK_EQ(get_info(peer.sock).met, 1);
	peer_close(&peer);

	/* of known length, and not written to its end */
	peer_open(&peer, "d2tcp", true, NULL);
	base = peer.nxt;
	CHECK_OK(set_deadline(peer.sock, 1000 * MS, 5000, D2TCP_F_RELATIVE));
	peer_write(&peer, 3000);
	CHECK_OK(shutdown(peer.sock, SHUT_WR));
	peer_ack(&peer, base + 3001, false);
	info = get_info(peer.sock);
	CHECK_EQ(info.outstanding, 1);
	CHECK_EQ(info.bytes_left, 2000);
	CHECK_EQ(info.met, 0);
	peer_close(&peer);
}

static void arm_early(int fd)
{
	CHECK_OK(set_deadline(fd, 1000 * MS, 4000, D2TCP_F_RELATIVE));
}

TEST(a FIN does not count as data in CLOSING and LAST_ACK)
{
	char buf[8];
	int closing;

	for (closing = 0; closing < 2; closing++) {
		peer_open(&peer, "d2tcp", true, NULL);
		CHECK_OK(set_deadline_int(peer.sock, 1000000));
		peer_write(&peer, 3000);
		peer_drain(&peer);
		if (closing)
			CHECK_OK(shutdown(peer.sock, SHUT_WR));
		/* the peer's FIN, which acknowledges no data */
		peer_send(&peer, TH_ACK | TH_FIN, 0, peer.iss + 1, NULL, 0, 0);
		if (!closing) {
			CHECK_EQ(recv(peer.sock, buf, sizeof(buf), 0), 0);
			CHECK_OK(shutdown(peer.sock, SHUT_WR));
		}
		/* 11 is CLOSING, 9 is LAST_ACK */
		CHECK_EQ(tcp_info(peer.sock).tcpi_state, closing ? 11 : 9);
		CHECK_EQ(get_info(peer.sock).bytes_left, 3000);
		peer_drain(&peer);
		peer_ack(&peer, peer.iss + 1 + 2000, false);
		CHECK_EQ(get_info(peer.sock).bytes_left, 1000);
		CHECK_EQ(get_info(peer.sock).met, 0);
		peer_ack(&peer, peer.iss + 1 + 3000, false);
		CHECK_EQ(get_info(peer.sock).bytes_left, 0);
		CHECK_EQ(get_info(peer.sock).met, 1);
		peer_close(&peer);
	}
}

TEST(a message armed before connect starts with the first byte)
{
	struct d2tcp_info info;

	peer_open(&peer, "d2tcp", true, arm_early);
	info = get_info(peer.sock);
	CHECK_EQ(info.outstanding, 1);
	CHECK_EQ(info.bytes_left, 4000);
	peer_write(&peer, 6000);
	peer_ack(&peer, peer.iss + 1 + 3000, false);
	CHECK_EQ(get_info(peer.sock).bytes_left, 1000);
	peer_ack(&peer, peer.iss + 1 + 4000, false);
	CHECK_EQ(get_info(peer.sock).outstanding, 0);
	CHECK_EQ(get_info(peer.sock).met, 1);
	peer_close(&peer);
}

TEST(a simultaneous open keeps the message armed before it)
{
	struct segment s;

	peer_start(&peer, "d2tcp", arm_early);
	peer_send(&peer, TH_SYN | TH_ECE | TH_CWR, 0, 0, NULL, 0, 0);
	CHECK(peer_next(&peer, &s), "no answer to our SYN");
	CHECK_EQ(s.flags & (TH_SYN | TH_ACK), TH_SYN | TH_ACK);
	peer_send(&peer, TH_ACK, 0, peer.iss + 1, NULL, 0, 0);
	CHECK_EQ(tcp_info(peer.sock).tcpi_state, 1);	/* established */
	CHECK_EQ(get_info(peer.sock).outstanding, 1);
	CHECK_EQ(get_info(peer.sock).bytes_left, 4000);
	peer_write(&peer, 4000);
	peer_drain(&peer);
	peer_ack(&peer, peer.iss + 1 + 4000, false);
	CHECK_EQ(get_info(peer.sock).met, 1);
	peer_close(&peer);
}

TEST(a message armed after data was sent with the SYN starts after that data)
{
	struct address a = { .len = sizeof(a.in) };
	char buf[500] = { 0 };
	struct segment s;

	memset(&peer, 0, sizeof(peer));
	fresh_net();
	tun_up(&peer);
	sysctl_net("tcp_fastopen", "5");
	peer.sock = tcp_socket(AF_INET, "d2tcp");
	fcntl(peer.sock, F_SETFL, O_NONBLOCK);
	a.in.sin_family = AF_INET;
	a.in.sin_port = htons(PEER_PORT);
	a.in.sin_addr.s_addr = htonl(0x0a010002);
	CHECK_OK(set_deadline(peer.sock, 1000 * MS, 500, D2TCP_F_RELATIVE));
	CHECK_EQ(sendto(peer.sock, buf, 500, MSG_FASTOPEN, &a.sa, a.len), 500);
	CHECK(peer_next(&peer, &s) && s.flags & TH_SYN, "no SYN");
	CHECK_EQ(s.len, 500);
	peer.iss = s.seq;
	peer.nxt = s.seq + 1 + 500;
	peer.seq = 1000;
	peer.window = 0xffff;
	CHECK_OK(set_deadline(peer.sock, 1000 * MS, 2000, D2TCP_F_RELATIVE));
	CHECK_EQ(get_info(peer.sock).outstanding, 2);
	CHECK_EQ(get_info(peer.sock).cleared, 0);
	peer_send(&peer, TH_SYN | TH_ACK | TH_ECE, 0, peer.nxt, NULL, 0, 0);
	CHECK(peer_next(&peer, &s) && s.flags == TH_ACK, "no ACK");
	CHECK_EQ(get_info(peer.sock).met, 1);
	CHECK_EQ(get_info(peer.sock).outstanding, 1);
	CHECK_EQ(get_info(peer.sock).bytes_left, 2000);
	peer_write(&peer, 2000);
	peer_drain(&peer);
	peer_ack(&peer, peer.nxt - 1, false);
	CHECK_EQ(get_info(peer.sock).met, 1);
	peer_ack(&peer, peer.nxt, false);
	CHECK_EQ(get_info(peer.sock).met, 2);
	peer_close(&peer);
}

/* Starts a connection whose first bytes leave with the SYN; returns the SYN. */
static struct segment fast_open(size_t bytes, int budget_us)
{
	struct address a = { .len = sizeof(a.in) };
	char *buf = calloc(1, bytes);
	struct segment s;

	memset(&peer, 0, sizeof(peer));
	fresh_net();
	tun_up(&peer);
	sysctl_net("tcp_fastopen", "5");
	peer.sock = tcp_socket(AF_INET, "d2tcp");
	CHECK_OK(set_budget(peer.sock, budget_us));
	fcntl(peer.sock, F_SETFL, O_NONBLOCK);
	a.in.sin_family = AF_INET;
	a.in.sin_port = htons(PEER_PORT);
	a.in.sin_addr.s_addr = htonl(0x0a010002);
	CHECK(sendto(peer.sock, buf, bytes, MSG_FASTOPEN, &a.sa, a.len) >= 0,
	      "sendto: %s", strerror(errno));
	free(buf);
	CHECK(peer_next(&peer, &s) && s.flags & TH_SYN, "no SYN");
	CHECK(s.len > 0, "no data with the SYN");
	peer.iss = s.seq;
	peer.nxt = s.seq + 1 + s.len;
	peer.seq = 1000;
	peer.window = 0xffff;
	return s;
}

TEST(a standing budget arms the data sent with the SYN)
{
	struct d2tcp_info info;
	struct segment s;
	int acked, late;

	for (late = 0; late < 2; late++) {
		for (acked = 0; acked < 2; acked++) {
			fast_open(500, 300000);
			sleep_us(late ? 400000 : 100000);
			peer_send(&peer, TH_SYN | TH_ACK | TH_ECE, 0,
				  acked ? peer.nxt : peer.iss + 1, NULL, 0, 0);
			/* data not acknowledged with the SYN is sent again */
			peer_drain(&peer);
			if (!acked) {
				info = get_info(peer.sock);
				CHECK_EQ(info.outstanding, 1);
				CHECK_EQ(info.bytes_left, 500);
				CHECK(info.time_left_ns <
				      (late ? -99 : 201) * (int64_t)MS &&
				      info.time_left_ns >
				      (late ? -150 : 150) * (int64_t)MS,
				      "%lld left",
				      (long long)info.time_left_ns);
				peer_ack(&peer, peer.nxt, false);
			}
			CHECK_EQ(get_info(peer.sock).outstanding, 0);
			CHECK_EQ(get_info(peer.sock).met, !late);
			CHECK_EQ(get_info(peer.sock).missed, late);
			/* the next burst is armed separately */
			while (peer_next(&peer, &s))
				;
			peer_write(&peer, 1000);
			CHECK(peer_data(&peer, &s), "no data");
			CHECK_EQ(get_info(peer.sock).outstanding, 1);
			peer_close(&peer);
		}
	}
}

TEST(after a lost SYN the budget counts from the first SYN)
{
	struct segment s = { 0 };
	struct d2tcp_info info;
	int i, timestamps;

	/* with timestamps a round trip is measured, that of the second SYN */
	for (timestamps = 0; timestamps < 2; timestamps++) {
		fast_open(500, 300000);
		peer.timestamps = timestamps;
		for (i = 0; i < 300; i++) {
			sleep_us(10000);
			if (peer_next(&peer, &s))
				break;
		}
		CHECK(s.flags & TH_SYN && !s.len, "no second SYN");
		peer_send(&peer, TH_SYN | TH_ACK, 0, peer.iss + 1, NULL, 0, 0);
		peer_drain(&peer);
		info = get_info(peer.sock);
		CHECK_EQ(!info.srtt_us, !timestamps);
		CHECK_EQ(info.outstanding, 1);
		CHECK(info.time_left_ns < -600 * (int64_t)MS, "%lld left",
		      (long long)info.time_left_ns);
		peer_ack(&peer, peer.nxt, false);
		CHECK_EQ(get_info(peer.sock).missed, 1);
		peer_close(&peer);
	}
}

TEST(selecting d2tcp after the handshake arms no budget for data of the SYN)
{
	fast_open(500, 0);
	CHECK_OK(set_cc(peer.sock, "cubic"));
	peer_send(&peer, TH_SYN | TH_ACK, 0, peer.nxt, NULL, 0, 0);
	peer_drain(&peer);
	sleep_us(100000);
	CHECK_EQ(write_file("/proc/sys/net/ipv4/d2tcp/default_budget_us",
			    "1000000"), 0);
	CHECK_OK(set_cc(peer.sock, "d2tcp"));
	CHECK_EQ(get_info(peer.sock).outstanding, 0);
	CHECK_EQ(get_info(peer.sock).met, 0);
	CHECK_EQ(counter("D2tcpArmed"), 0);
	/* the next burst has the budget */
	peer_write(&peer, 1000);
	peer_drain(&peer);
	CHECK_EQ(get_info(peer.sock).outstanding, 1);
	peer_close(&peer);
}

TEST(selecting d2tcp after later data arms no budget for data of the SYN)
{
	struct segment s;
	int in_flight;

	for (in_flight = 0; in_flight < 2; in_flight++) {
		fast_open(500, 0);
		peer_send(&peer, TH_SYN | TH_ACK | TH_ECE, 0, peer.nxt, NULL, 0,
			  0);
		peer_drain(&peer);
		peer_write(&peer, 1000);
		CHECK(peer_data(&peer, &s), "no data");
		if (!in_flight)
			peer_ack(&peer, peer.nxt, false);
		CHECK_OK(set_cc(peer.sock, "reno"));
		sysctl_net("d2tcp/default_budget_us", "300000");
		CHECK_OK(set_cc(peer.sock, "d2tcp"));
		CHECK_EQ(get_info(peer.sock).outstanding, 0);
		CHECK_EQ(get_info(peer.sock).met, 0);
		CHECK_EQ(counter("D2tcpArmed"), 0);
		peer_close(&peer);
	}
}

TEST(a burst delayed by a closed window gets its budget)
{
	struct segment s;

	peer_open(&peer, "d2tcp", true, NULL);
	CHECK_OK(set_budget(peer.sock, 500000));
	peer_write(&peer, 1000);
	CHECK(peer_data(&peer, &s), "no data");
	peer.window = 0;
	peer_ack(&peer, s.seq + s.len, false);
	CHECK_EQ(get_info(peer.sock).met, 1);
	/* written while the window is closed, sent when it opens */
	peer_write(&peer, 5000);
	CHECK(!peer_data(&peer, &s), "sent into a closed window");
	peer_ack(&peer, peer.nxt, false);
	peer.window = 0xffff;
	peer_ack(&peer, peer.nxt, false);
	CHECK(peer_data(&peer, &s), "no data");
	CHECK_EQ(get_info(peer.sock).outstanding, 1);
	CHECK_EQ(get_info(peer.sock).bytes_left, 5000);
	peer_drain(&peer);
	peer_ack(&peer, peer.nxt, false);
	CHECK_EQ(get_info(peer.sock).met, 2);
	peer_close(&peer);
}

TEST(after the deadline d is late_d)
{
	struct d2tcp_info info;

	peer_open(&peer, "d2tcp", true, NULL);
	CHECK_OK(set_deadline(peer.sock, 0, 100000, D2TCP_F_RELATIVE));
	peer_write(&peer, 100000);
	info = get_info(peer.sock);
	CHECK_EQ(info.imminence, 256);
	CHECK(info.flags & D2TCP_INFO_LATE, "flags %#x", info.flags);
	CHECK(!(info.flags & D2TCP_INFO_FEASIBLE), "flags %#x", info.flags);
	set_param("late_d", "500");
	CHECK_EQ(get_info(peer.sock).imminence, 500);
	set_param("late_d", "256");
	peer_close(&peer);
}

TEST(a late message takes precedence over one with a far deadline)
{
	struct d2tcp_info info;
	struct segment s;
	int late_first;

	for (late_first = 0; late_first < 2; late_first++) {
		peer_open(&peer, "d2tcp", true, NULL);
		peer_write(&peer, 1000);
		sleep_us(5000);
		CHECK(peer_data(&peer, &s), "no data");
		peer_ack(&peer, peer.nxt, false);
		CHECK_OK(set_deadline(peer.sock, late_first ? 0 :
				      1000 * 1000 * MS, 2000,
				      D2TCP_F_RELATIVE));
		peer_write(&peer, 2000);
		CHECK_EQ(get_info(peer.sock).imminence, late_first ? 256 : 128);
		CHECK_OK(set_deadline(peer.sock, late_first ?
				      1000 * 1000 * MS : 0, 3000,
				      D2TCP_F_RELATIVE));
		peer_write(&peer, 3000);
		info = get_info(peer.sock);
		CHECK_EQ(info.imminence, 256);
		CHECK_EQ(info.flags & D2TCP_INFO_LATE, D2TCP_INFO_LATE);
		CHECK_EQ(info.bytes_left, late_first ? 2000 : 5000);
		CHECK(info.time_left_ns <= 0, "%lld left",
		      (long long)info.time_left_ns);
		peer_close(&peer);
		/* a message that is more urgent than late_d decides */
		peer_open(&peer, "d2tcp", true, NULL);
		peer_write(&peer, 1000);
		sleep_us(5000);
		CHECK(peer_data(&peer, &s), "no data");
		peer_ack(&peer, peer.nxt, false);
		CHECK_OK(set_deadline(peer.sock, 0, 2000, D2TCP_F_RELATIVE));
		peer_write(&peer, 2000);
		CHECK_OK(set_deadline(peer.sock, 1000 * MS, 1 << 30,
				      D2TCP_F_RELATIVE));
		info = get_info(peer.sock);
		CHECK_EQ(info.imminence, 512);
		CHECK_EQ(info.flags & D2TCP_INFO_LATE, 0);
		peer_close(&peer);
	}
}

TEST(no deadline is feasible before a round trip is measured)
{
	struct segment s;

	peer_start(&peer, "d2tcp", NULL);
	/* in SYN_SENT */
	CHECK_OK(set_deadline(peer.sock, 60000 * MS, 1000, D2TCP_F_RELATIVE));
	CHECK_EQ(get_info(peer.sock).srtt_us, 0);
	CHECK_EQ(get_info(peer.sock).flags & (D2TCP_INFO_FEASIBLE |
					      D2TCP_INFO_DEADLINE),
		 D2TCP_INFO_DEADLINE);
	sleep_us(2000);
	peer_answer(&peer, true);
	peer_write(&peer, 1000);
	CHECK(peer_data(&peer, &s), "no data");
	CHECK(get_info(peer.sock).srtt_us > 0, "no round trip");
	CHECK_EQ(get_info(peer.sock).flags & (D2TCP_INFO_FEASIBLE |
					      D2TCP_INFO_DEADLINE),
		 D2TCP_INFO_FEASIBLE | D2TCP_INFO_DEADLINE);
	peer_close(&peer);
}

TEST(the module parameters take effect)
{
	struct segment s;
	int i;

	set_param("alpha_on_init", "12345");
	set_param("d_max", "700");
	set_param("d_min", "100");
	set_param("shift_g", "0");
	peer_open(&peer, "d2tcp", true, NULL);
	CHECK_EQ(get_info(peer.sock).alpha, 12345);
	CHECK_OK(set_deadline(peer.sock, 100 * 1000 * MS, 1000000,
			      D2TCP_F_RELATIVE));
	peer_write(&peer, 1000000);
	for (i = 0; i < 40; i++) {
		sleep_us(1000);
		CHECK(peer_data(&peer, &s), "no data");
		peer_ack(&peer, s.seq + s.len, i >= 1);
	}
	/* g = 1: alpha is the marked fraction of the last window alone */
	CHECK(get_info(peer.sock).alpha >= 900000, "alpha %u",
	      get_info(peer.sock).alpha);
	CHECK_EQ(get_info(peer.sock).imminence, 100);
	CHECK_OK(set_deadline_int(peer.sock, 0));
	CHECK_OK(set_deadline(peer.sock, MS, 1 << 30, D2TCP_F_RELATIVE));
	CHECK_EQ(get_info(peer.sock).imminence, 700);
	peer_close(&peer);
	set_param("alpha_on_init", "1048576");
	set_param("d_max", "512");
	set_param("d_min", "128");
	set_param("shift_g", "4");
}

int main(int argc, char **argv)
{
	if (system("modprobe tcp_d2tcp")) {
		printf("Bail out! modprobe tcp_d2tcp failed\n");
		return 1;
	}
	return run_tests(argc, argv);
}
