// SPDX-License-Identifier: GPL-2.0
/*
 * The receiver's side as a sender sees it: scripted peers (peers.h) check every
 * window that an expecting socket advertises. Whatever the peers send or lose,
 * the edge must not move back, grants must be whole segments, and no peer may be
 * stopped for longer than LET_GO_MS.
 *
 * The limit on bytes in flight is not tested here.
 */
#include "kernel.h"
#include "nfnetlink.h"
#include "peers.h"
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sys/utsname.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define STATE_CLOSE	7	/* TCP_CLOSE of the kernel, for tcpi_state */
#define MS		NS_PER_MS
#define LOAD		"modprobe tcp_d2tcp expect=1"
/* A socket is released when no expected data has arrived for 200 ms, which is
 * checked every 50 ms (docs/receiver.md). Rounding adds up to three jiffies, of
 * 10 ms in the lab.
 */
#define LET_GO_MS	280

static bool virtual_time(void)
{
	struct utsname name;

	CHECK_OK(uname(&name));
	return strstr(name.release, "-d2tcp-uml") ||
	       strstr(name.release, "-d2tcp-debug");
}

/* LET_GO_MS in virtual time; on kernels in real time the machine may be busy. */
static uint64_t bound_ms(void)
{
	return virtual_time() ? LET_GO_MS : 20 * LET_GO_MS;
}
#define TRAIN		131072u
#define ALL		0x800000u	/* more than the limit permits at once */

/* A test that failed may have left the module unloaded. */
static void load(void)
{
	if (!module_loaded())
		sh(LOAD);
}

static bool in_use(const struct peer_flow *f)
{
	return f->sock >= 0 && !f->reset;
}

static bool may_send(const struct peer_flow *f)
{
	return left(f) && (usable(f) >= f->mss || usable(f) >= left(f));
}

static void check_progress(struct peer_flow *f, uint64_t now_ns)
{
	if (done(f) || may_send(f))
		f->news_ns = now_ns;
	CHECK(now_ns - f->news_ns < bound_ms() * MS,
	      "history %u, flow %td was stopped for %llu ms: %u to send, %u not acknowledged, window %u",
	      net.history, f - net.flow, (unsigned long long)(now_ns - f->news_ns) / MS,
	      left(f), f->nxt - f->una, usable(f));
}

/* The emulated link: the bytes that it could have carried by now and has not. */
static struct {
	uint64_t ns;
	int64_t credit;
} line;

static void start_line(void)
{
	line.ns = clock_ns();
	line.credit = 0;
}

/* Runs the shared link for a moment: peers send, programs read. Returns whether a
 * peer still has data to send.
 */
static bool serve_some(void)
{
	static unsigned int turn;
	struct peer_flow *f;
	bool busy = false;
	uint64_t now_ns;
	int i;

	sleep_us(100);
	now_ns = clock_ns();
	line.credit += (now_ns - line.ns) * link_rate / NS_PER_US;
	if (line.credit > 65536)
		line.credit = 65536;
	line.ns = now_ns;
	for (turn++, i = 0; i < PEERS; i++) {
		f = &net.flow[(i + turn) % PEERS];
		if (in_use(f) && !f->silent && line.credit > 0)
			line.credit -= send_some(f, line.credit);
	}
	look();
	take_all();
	look();
	for (i = 0; i < PEERS; i++) {
		f = &net.flow[i];
		if (!in_use(f) || f->silent)
			continue;
		check_progress(f, clock_ns());
		busy |= !done(f);
	}
	return busy;
}

/* Runs the link until all data has arrived. Returns the time that it took. */
static uint64_t serve(void)
{
	const uint64_t start_ns = clock_ns();

	start_line();
	while (serve_some())
		;
	return clock_ns() - start_ns;
}

/* Runs the link until f has sent all its data; the others may have data left. */
static uint64_t serve_first(const struct peer_flow *f)
{
	const uint64_t start_ns = clock_ns();

	start_line();
	while (!done(f))
		serve_some();
	return clock_ns() - start_ns;
}

/* Waits while the peers send nothing. */
static void wait_ms(unsigned int ms)
{
	const uint64_t end_ns = clock_ns() + ms * MS;

	while (clock_ns() < end_ns) {
		look();
		take_all();
		sleep_us(1000);
	}
	look();
}

/* Receives answers until the rate is known and the window ends at the end of the
 * last answer. Segments are merged, for speed.
 */
static void train(struct peer_flow *f)
{
	const bool gro = net.shape.gro;
	int i;

	net.shape.gro = true;
	for (i = 0; i < 8 && (!i || usable(f) > unit(f)); i++) {
		ask(f, 1000 * MS, TRAIN);
		serve();
	}
	net.shape.gro = gro;
	CHECK(usable(f) <= unit(f), "still %u open", usable(f));
}

/* Opens flows 0 to n - 1 over a measured link. */
static void trained(const struct peers_shape *shape, int n)
{
	int i;

	load();
	open_net(shape);
	for (i = 0; i < n; i++)
		train(open_flow(i));
}

static bool held(const struct peer_flow *f)
{
	return left(f) && !may_send(f);
}

/* Leaves b held behind a, whose peer does not answer. The other flows are idle, and
 * their windows are closed.
 */
static void hold_behind(struct peer_flow *a, struct peer_flow *b)
{
	CHECK_OK(expect(a->sock, 2000 * MS, ALL));
	CHECK_OK(expect(b->sock, 4000 * MS, ALL));
	CHECK_EQ(send(a->sock, "?", 1, MSG_DONTWAIT), 1);
	CHECK_EQ(send(b->sock, "?", 1, MSG_DONTWAIT), 1);
	a->end += ALL;
	b->end += ALL;
	look();
	a->news_ns = clock_ns();
	b->news_ns = clock_ns();
	/* a little time has passed, in which the limit rises on an idle link */
	CHECK(usable(b) < 32 * b->mss, "not held: %u", usable(b));
}

/* Opens flows 0 and 1, and leaves flow 1 held behind flow 0. */
static void hold(const struct peers_shape *shape, struct peer_flow **a,
		 struct peer_flow **b)
{
	trained(shape, 2);
	*a = &net.flow[0];
	*b = &net.flow[1];
	hold_behind(*a, *b);
}

static void unload(void)
{
	const uint64_t start_ns = clock_ns();

	CHECK_OK((int)syscall(SYS_delete_module, "tcp_d2tcp", O_NONBLOCK));
	CHECK(clock_ns() - start_ns < bound_ms() * MS, "unloading took %llu ms",
	      (unsigned long long)(clock_ns() - start_ns) / MS);
	look();
}

/* An old byte makes the socket repeat its ACK. */
static uint32_t probed_window(struct peer_flow *f)
{
	put(f, TH_ACK, f->una - 1, 1);
	look();
	return f->window;
}

/* Called at the end of every test: after LET_GO_MS of silence each window must be
 * TCP's own. Unloading the module shows TCP's own window. Without a probe a
 * receiver need not advertise a larger window before it has doubled.
 */
static void none_held(void)
{
	uint32_t last[PEERS], probed[PEERS], own;
	struct peer_flow *f;

	wait_ms(LET_GO_MS);
	for (f = net.flow; f < net.flow + PEERS; f++) {
		last[f - net.flow] = f->edge - f->una;
		if (in_use(f) && !f->fin && !f->closed)
			probed[f - net.flow] = probed_window(f);
	}
	unload();
	for (f = net.flow; f < net.flow + PEERS; f++) {
		if (!in_use(f) || f->fin || f->closed)
			continue;
		own = probed_window(f);
		CHECK(own, "flow %td: TCP's own window is closed", f - net.flow);
		CHECK(probed[f - net.flow] + unit(f) > own,
		      "flow %td is held at %u, TCP's own is %u", f - net.flow,
		      probed[f - net.flow], own);
		CHECK(2 * last[f - net.flow] + unit(f) > own,
		      "flow %td got no ACK with its larger window: %u, TCP's own is %u",
		      f - net.flow, last[f - net.flow], own);
	}
	load();
	close_peers();
}

/* --- the rate and marks ------------------------------------------------------- */

/* In real time a busy machine serves the peers in bursts, and no rate is certain. */
static void need_virtual_time(void)
{
	if (!virtual_time())
		SKIP("rates are certain in virtual time only");
}

static struct d2tcp_expect_info expect_info(const struct peer_flow *f)
{
	struct d2tcp_expect_info info;
	socklen_t len = sizeof(info);

	CHECK_OK(getsockopt(f->sock, SOL_IP, D2TCP_EXPECT_INFO, &info, &len));
	return info;
}

static uint32_t speed_of_tun(void)
{
	struct ethtool_cmd cmd = { .cmd = ETHTOOL_GSET };
	struct ifreq ifr = { .ifr_data = (void *)&cmd };

	if_ioctl(SIOCETHTOOL, &ifr);
	return ethtool_cmd_speed(&cmd);
}

/* A device slower than 1000 Mbit/s may be a tunnel, which only claims a speed. */
TEST(the speed of the device holds answers before the rate is measured)
{
	struct d2tcp_expect_info info;
	struct peer_flow *f;
	uint32_t speed;

	load();
	open_net(NULL);
	speed = speed_of_tun();
	f = open_flow(0);
	/* more than the limit, whatever the round trip of the handshake */
	ask(f, 100 * MS, 1u << 30);
	info = expect_info(f);
	CHECK_EQ(info.rate, speed < 1000 ? 0 : speed * 125 * 94 / 100);
	CHECK_EQ(!!(info.flags & D2TCP_EXPECT_HELD), speed >= 1000);
	close_flow(f);
	none_held();
}

/* Receives an answer whose packets are all marked. Returns the number of ACKs that
 * echoed a mark, without those of the first 40 steps, in which the marks are judged.
 */
static unsigned int echoes_of(struct peer_flow *f, uint32_t bytes)
{
	unsigned int before = 0;
	int i;

	f->marked = true;
	ask(f, 1000 * MS, bytes);
	start_line();
	for (i = 0; serve_some() || i < 40; i++)
		if (i == 40)
			before = f->echoes;
	f->marked = false;
	return f->echoes - before;
}

TEST(marks are echoed unless the limit on bytes in flight answers them)
{
	const struct peers_shape shape = { .ecn = true };
	long absorbed;
	struct peer_flow *f;

	need_virtual_time();
	trained(&shape, 1);
	f = &net.flow[0];
	absorbed = counter("D2tcpMarksAbsorbed");
	/* at the rate of the link: its own queue */
	CHECK_EQ(echoes_of(f, 400000), 0);
	CHECK(counter("D2tcpMarksAbsorbed") > absorbed + 50, "%ld ACKs",
	      counter("D2tcpMarksAbsorbed") - absorbed);
	/* at half of its rate: another queue. The answer is so short that no more is
	 * in flight than the limit controls.
	 */
	link_rate = 10;
	CHECK(echoes_of(f, 75000) > 5, "%u echoes", f->echoes);
	link_rate = 20;
	ask(f, 1000 * MS, 400000);
	serve();
	CHECK_EQ(echoes_of(f, 400000), 0);
	sysctl_net("d2tcp/expect_echo_ce", "1");
	CHECK(echoes_of(f, 400000) > 50, "%u echoes", f->echoes);
	none_held();
}

static void set_speed_of_tun(uint32_t mbps)
{
	struct ethtool_cmd cmd = { .cmd = ETHTOOL_SSET, .duplex = DUPLEX_FULL };
	struct ifreq ifr = { .ifr_data = (void *)&cmd };

	ethtool_cmd_speed_set(&cmd, mbps);
	if_ioctl(SIOCETHTOOL, &ifr);
	CHECK_EQ(speed_of_tun(), mbps);
}

/* Without any rate, all answers would be granted at once. Large segments make ticks so
 * long that the peers send in each of them.
 */
TEST(marks correct a reported speed that is too high)
{
	const struct peers_shape shape = { .ecn = true, .mss = 8960 };
	struct d2tcp_expect_info info;
	struct peer_flow *f, *other;
	int i;

	need_virtual_time();
	load();
	open_net(&shape);
	set_speed_of_tun(1000);
	f = open_flow(0);
	other = open_flow(1);
	f->marked = true;
	link_rate = 60;
	ask(f, 500 * MS, 1000000);
	start_line();
	for (i = 0; i < 50; i++) {
		serve_some();
		info = expect_info(f);
		CHECK(info.rate, "the rate is unknown after %d steps", i);
	}
	/* in bytes per ms */
	CHECK(info.rate > 600 * link_rate && info.rate < 1250 * link_rate,
	      "%u bytes per ms, not about %llu", info.rate,
	      (unsigned long long)link_rate * 1000);
	ask(other, 1000 * MS, ALL / 8);
	info = expect_info(other);
	CHECK(info.flags & D2TCP_EXPECT_HELD, "not held: %#x", info.flags);
	serve();
	link_rate = 20;
	none_held();
}

/* Sends an answer whose first segment is lost, at the rate of the link. */
static void send_behind_hole(struct peer_flow *f)
{
	const uint32_t first = f->nxt;

	f->nxt += f->mss;
	while (left(f)) {
		put_next(f, TH_ACK, f->mss);
		sleep_us(f->mss / link_rate);
		look();
	}
	CHECK_EQ(f->una, first);
}

/* Four holes are filled within 4 ms, each with data that took 3 ms to arrive. The first
 * windows, before the rate is known, permit the answers.
 */
TEST(losses do not make the link look faster than it is)
{
	struct peer_flow *f;
	int i, round;

	need_virtual_time();
	load();
	open_net(NULL);
	for (i = 0; i < 5; i++)
		open_flow(i);
	/* while one answer waits, the rate is measured all the time */
	net.flow[4].silent = true;
	ask(&net.flow[4], 4000 * MS, ALL);
	for (round = 0; round < 2; round++) {
		for (f = net.flow; f < net.flow + 4; f++) {
			ask(f, 1000 * MS, 40 * f->mss);
			send_behind_hole(f);
		}
		for (f = net.flow; f < net.flow + 4; f++) {
			put(f, TH_ACK, f->una, f->mss);
			sleep_us(1000);
			look();
			CHECK_EQ(f->una, f->end);
		}
		take_all();
		look();
	}
	/* until the reported speed of the device no longer counts */
	ask(net.flow, 1000 * MS, 600000);
	serve();
	/* in bytes per ms */
	CHECK(expect_info(net.flow).rate < 1250 * link_rate, "%u",
	      expect_info(net.flow).rate);
	net.flow[4].end = net.flow[4].nxt;
	none_held();
}

/* The ACK of one segment is delayed, and the next grant must not wait for it. */
TEST(a sender that was passed over and begins with one segment is granted more)
{
	struct peer_flow *f;
	uint32_t edge;
	int i;

	need_virtual_time();
	trained(NULL, 1);
	f = &net.flow[0];
	/* each answer begins after a pause in which its sender is passed over */
	for (i = 0; i < 3; i++) {
		f->silent = true;
		ask(f, 1000 * MS, ALL / 64);
		wait_ms(20);
		edge = f->edge;
		put_next(f, TH_ACK, f->mss);
		sleep_us(2000);
		look();
		CHECK(f->edge != edge || usable(f) >= left(f) || usable(f) > 8 * f->mss,
		      "answer %d: no further grant, %u to send", i, usable(f));
		f->silent = false;
		serve();
	}
	none_held();
}

/* --- the first window ----------------------------------------------------------- */

static int expect_standing(int fd, uint64_t ns)
{
	const struct d2tcp_deadline dl = {
		.deadline_ns = ns, .flags = D2TCP_F_RELATIVE | D2TCP_F_STANDING,
	};

	return setsockopt(fd, SOL_IP, D2TCP_EXPECT, &dl, sizeof(dl));
}

/* Opens flow i after its program has declared what it expects. */
static struct peer_flow *open_expecting(int i)
{
	struct peer_flow *f = &net.flow[i];

	f->sock = flow_socket();
	CHECK_OK(expect_standing(f->sock, 500 * MS));
	start_flow(f);
	CHECK_EQ(f->syn_window, 0);
	answer_flow(f);
	CHECK_EQ(usable(f), 0);
	return f;
}

TEST(a socket that expects before it connects opens no window before a request)
{
	struct peer_flow *first, *f;
	int i;

	trained(NULL, 1);
	first = &net.flow[0];
	ask(first, 100 * MS, ALL);
	for (i = 1; i < PEERS; i++) {
		f = open_expecting(i);
		ask(f, (200 + i) * MS, 100000);
		CHECK(usable(f) < 32 * f->mss, "not held: %u", usable(f));
	}
	first->end = first->nxt;
	CHECK_OK(expect_nothing(first->sock));
	serve();
	none_held();
}

TEST(the first window of a socket with a single expectation is its first grant)
{
	struct peer_flow *a, *f = &net.flow[1];

	trained(NULL, 1);
	a = &net.flow[0];
	ask(a, 100 * MS, ALL);
	f->sock = flow_socket();
	CHECK_OK(expect(f->sock, 200 * MS, 100000));
	start_flow(f);
	CHECK_EQ(f->syn_window, 0);
	answer_flow(f);
	CHECK(usable(f) < 32 * f->mss, "not held: %u", usable(f));
	request(f);
	f->end += 100000;
	a->end = a->nxt;
	CHECK_OK(expect_nothing(a->sock));
	serve();
	none_held();
}

/* With less than two segments of window, Linux sends smaller segments: it bounds them
 * to half of the largest window that it has seen.
 */
TEST(the first grant of a connection is two segments or its whole answer)
{
	struct d2tcp_expect_info info;
	struct peer_flow *f, *other;
	uint32_t limit, bytes;
	int i;

	trained(NULL, 1);
	other = &net.flow[0];
	for (i = 1; i < PEERS; i++) {
		/* room for one and a half segments is left */
		info = expect_info(other);
		limit = info.rate * info.rtt_us / 1000 * 5 / 4 + 12 * other->seg;
		ask(other, 50 * MS, limit - 3 * other->seg / 2);
		f = open_expecting(i);
		bytes = i & 1 ? 20000 : 2000;
		ask(f, 100 * MS, bytes);
		CHECK(usable(f) >= 2 * f->seg || usable(f) >= bytes,
		      "%u of %u bytes", usable(f), bytes);
		serve();
	}
	none_held();
}

TEST(a peer that sends before the first request gets its window by a probe)
{
	struct peer_flow *f;

	load();
	open_net(NULL);
	f = open_expecting(0);
	wait_ms(2 * LET_GO_MS);
	CHECK_EQ(usable(f), 0);
	/* as Linux probes: an old sequence number, and no data */
	f->end += 5000;
	put(f, TH_ACK, f->nxt - 1, 0);
	look();
	CHECK(usable(f) >= 5000, "the window is %u", usable(f));
	serve();
	ask(f, 100 * MS, 100000);
	serve();
	none_held();
}

TEST(clearing the expectation before the first request opens the window)
{
	struct peer_flow *f;

	load();
	open_net(NULL);
	f = open_expecting(0);
	CHECK_OK(expect_nothing(f->sock));
	look();
	CHECK(usable(f) >= 32 * f->mss, "the window is %u", usable(f));
	/* what is expected from now on leaves the edge where it is */
	ask(f, 100 * MS, 200000);
	serve();
	none_held();
}

TEST(unloading before the first request opens the window)
{
	struct peer_flow *f;

	load();
	open_net(NULL);
	f = open_expecting(0);
	unload();
	CHECK(usable(f) >= 32 * f->mss, "the window is %u", usable(f));
	load();
	none_held();
}

TEST(a request without an expectation opens the window)
{
	struct peer_flow *f = &net.flow[0];

	load();
	open_net(NULL);
	f->sock = flow_socket();
	CHECK_OK(expect(f->sock, 100 * MS, 1000));
	start_flow(f);
	CHECK_EQ(f->syn_window, 0);
	CHECK_OK(expect_nothing(f->sock));
	answer_flow(f);
	CHECK(usable(f) >= 32 * f->mss, "the window is %u", usable(f));
	request(f);
	f->end += 100000;
	serve();
	none_held();
}

/* A server of an unmodified program may speak first. */
TEST(the default of a namespace leaves the first window as it is)
{
	struct peer_flow *f = &net.flow[0];

	load();
	open_net(NULL);
	/* the hooks exist from here on */
	sysctl_net("d2tcp/default_expect_us", "100000");
	f->sock = flow_socket();
	start_flow(f);
	CHECK(f->syn_window >= 32 * 1460, "the SYN offers %u", f->syn_window);
	answer_flow(f);
	CHECK(usable(f) >= 32 * f->mss, "the window is %u", usable(f));
	request(f);
	f->end += 100000;
	serve();
	sysctl_net("d2tcp/default_expect_us", "0");
	none_held();
}

TEST(a repeated SYN does not withdraw the window of the first)
{
	struct peer_flow *f = &net.flow[0];

	load();
	open_net(NULL);
	f->sock = flow_socket();
	start_flow(f);
	CHECK_OK(expect_standing(f->sock, 500 * MS));
	/* Linux repeats it after a second */
	wait_ms(1500);
	CHECK_EQ(f->packets, 2);
	CHECK(f->syn_window >= 32 * 1460, "the SYN offers %u", f->syn_window);
	answer_flow(f);
	CHECK(usable(f) >= 32 * f->mss, "the window is %u", usable(f));
	ask(f, 100 * MS, 100000);
	serve();
	none_held();
}

TEST(a repeated SYN of a socket that expects opens no window either)
{
	struct peer_flow *f = &net.flow[0];

	load();
	open_net(NULL);
	f->sock = flow_socket();
	CHECK_OK(expect_standing(f->sock, 500 * MS));
	start_flow(f);
	wait_ms(1500);
	CHECK_EQ(f->packets, 2);
	CHECK_EQ(f->syn_window, 0);
	answer_flow(f);
	CHECK_EQ(usable(f), 0);
	ask(f, 100 * MS, 100000);
	serve();
	none_held();
}

TEST(a SYN without an expectation after one with it opens the window)
{
	struct peer_flow *f = &net.flow[0];

	load();
	open_net(NULL);
	f->sock = flow_socket();
	CHECK_OK(expect_standing(f->sock, 500 * MS));
	start_flow(f);
	CHECK_EQ(f->syn_window, 0);
	CHECK_OK(disconnect(f->sock));
	CHECK_OK(expect_nothing(f->sock));
	net.iss += 1u << 28;
	start_flow(f);
	CHECK(f->syn_window >= 32 * 1460, "the SYN offers %u", f->syn_window);
	answer_flow(f);
	CHECK(usable(f) >= 32 * f->mss, "the window is %u", usable(f));
	none_held();
}

/* --- segments and windows of every size --------------------------------------- */

/* Answers of many lengths on three connections, their windows checked at every
 * step. No socket may be silent so long that it is released.
 */
static void answers_come_in(void)
{
	static const uint32_t length[] = { 1, 100, 5000, 40000, 100000, 33333 };
	const long released = counter("D2tcpReleased");
	unsigned int i, j;
	struct peer_flow *f;

	for (i = 0; i < 6; i++) {
		for (j = 0; j < 3; j++) {
			f = &net.flow[j];
			ask(f, (30 + 10 * j) * MS, length[(i + j) % 6]);
		}
		serve();
	}
	CHECK_EQ(counter("D2tcpReleased"), released);
}

static void comes_in(const struct peers_shape *shape)
{
	trained(shape, 3);
	answers_come_in();
	none_held();
}

/* Like comes_in(), and grants must end with a segment or with the answer. */
static void whole_segments(const struct peers_shape *shape)
{
	unsigned int i, j, partial = 0;
	struct peer_flow *f;

	trained(shape, 3);
	for (i = 0; i < 5; i++) {
		for (j = 0; j < 3; j++) {
			f = &net.flow[j];
			f->base = f->end;
			f->whole = true;
			ask(f, (30 + 10 * j) * MS, 200000 + 1000 * i + 77 * j);
			partial += seq_before(f->edge, f->end);
		}
		serve();
	}
	CHECK(partial, "every answer was granted at once");
	none_held();
}

TEST(grants are whole segments unless they end the answer)
{
	whole_segments(&(struct peers_shape){ 0 });
	whole_segments(&(struct peers_shape){ .mss = 536, .timestamps = true });
	whole_segments(&(struct peers_shape){ .mss = 1000, .scale = NO_SCALE });
}

/* No packet before the request may advertise a window that the request would have to
 * shrink.
 */
TEST(the request itself carries the hold)
{
	struct peer_flow *f;
	unsigned int pure[2];
	int i;

	trained(NULL, 2);
	for (i = 0; i < 2; i++)
		pure[i] = net.flow[i].pure;
	hold_behind(&net.flow[0], &net.flow[1]);
	for (i = 0; i < 2; i++) {
		f = &net.flow[i];
		CHECK_EQ(f->pure_before, pure[i]);
		CHECK(f->data_room < 200 * f->mss, "%u open", f->data_room);
		f->end = f->nxt + 100000;
	}
	CHECK(net.flow[1].data_room < net.flow[0].data_room, "%u beside %u",
	      net.flow[1].data_room, net.flow[0].data_room);
	serve();
	none_held();
}

/* No packet of the socket itself can carry the grant, because its peer has used its
 * window and has no data in flight.
 */
TEST(a held peer is granted by an ACK of its own)
{
	struct peer_flow *a, *b;
	unsigned int pure;
	long released;

	trained(NULL, 2);
	a = &net.flow[0];
	b = &net.flow[1];
	released = counter("D2tcpReleased");
	ask(a, 100 * MS, 400000);
	ask(b, 150 * MS, 1000000);
	send_some(b, usable(b));
	look();
	pure = b->pure;
	CHECK(!may_send(b), "not held: %u", usable(b));
	b->silent = true;
	serve_first(a);
	wait_ms(1);
	CHECK(may_send(b), "held at %u", usable(b));
	CHECK(b->pure > pure, "without a packet?");
	b->silent = false;
	b->news_ns = clock_ns();
	serve();
	CHECK_EQ(counter("D2tcpReleased"), released);
	none_held();
}

TEST(answers arrive without window scaling)
{
	comes_in(&(struct peers_shape){ .scale = NO_SCALE });
	CHECK_EQ(net.flow[0].scale, 0);
}

TEST(answers arrive with a window scale of 0)
{
	comes_in(&(struct peers_shape){ .rcvbuf = 40000 });
	CHECK_EQ(net.flow[0].scale, 0);
}

TEST(answers arrive with a window scale of 14)
{
	comes_in(&(struct peers_shape){ .scale = 14 });
	CHECK_EQ(net.flow[0].scale, 14);
}

TEST(answers arrive with a window scale of 14 and small segments)
{
	comes_in(&(struct peers_shape){ .scale = 14, .mss = 536 });
	CHECK_EQ(net.flow[0].scale, 14);
}

TEST(answers arrive in segments of 88 bytes)
{
	comes_in(&(struct peers_shape){ .mss = 88 });
	CHECK_EQ(net.flow[0].seg, 88);
	comes_in(&(struct peers_shape){ .mss = 88, .timestamps = true });
	CHECK_EQ(net.flow[0].seg, 76);
}

TEST(answers arrive in segments of 536 bytes)
{
	comes_in(&(struct peers_shape){ .mss = 536 });
	CHECK_EQ(net.flow[0].seg, 536);
}

TEST(answers arrive in jumbo frames)
{
	comes_in(&(struct peers_shape){ .mss = 9000 });
	CHECK_EQ(net.flow[0].seg, 9000);
}

TEST(answers arrive in segments smaller than the MSS of the receiver)
{
	comes_in(&(struct peers_shape){ .peer_mss = 1300 });
	comes_in(&(struct peers_shape){ .mss = 9000, .peer_mss = 1460 });
}

TEST(answers arrive in segments merged by GRO)
{
	comes_in(&(struct peers_shape){ .gro = true });
	comes_in(&(struct peers_shape){ .gro = true, .mss = 9000 });
	comes_in(&(struct peers_shape){ .gro = true, .scale = 14 });
}

/* --- any history ---------------------------------------------------------------- */

static uint64_t random_state;

/* 0 to n - 1; xorshift64* */
static uint32_t any(uint32_t n)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return (uint32_t)((random_state * 2685821657736338717ull) >> 32) % n;
}

/* A random length, of any order of magnitude. */
static uint32_t any_length(void)
{
	return 1 + any(2u << any(17));
}

/* A program sends a request, and the peer answers with more or fewer bytes than the
 * program expects.
 */
static void any_request(struct peer_flow *f)
{
	uint32_t bytes = any_length(), what = any(10);

	if (left(f) > 1000000)
		return;
	if (what < 8)
		CHECK_OK(expect(f->sock, 1 + any(200 * MS), what ? bytes : 0));
	else if (what == 8)
		CHECK_OK(expect_nothing(f->sock));
	what = any(10);
	f->end += what == 8 ? bytes / 2 : what == 9 ? bytes * 2 : bytes;
	request(f);
}

/* Sends the segments of the window in any order; now and then one is lost. */
static void any_order(struct peer_flow *f)
{
	uint32_t seq[8], n = 0, i, j, t;

	while (n < 8 && left(f) >= f->mss && usable(f) >= f->mss) {
		seq[n++] = f->nxt;
		f->nxt += f->mss;
	}
	for (i = n; i > 1; i--) {
		j = any(i);
		t = seq[i - 1];
		seq[i - 1] = seq[j];
		seq[j] = t;
	}
	for (i = any(4) ? 0 : 1; i < n; i++)
		put(f, TH_ACK, seq[i], f->mss);
}

/* Sends part of the earlier data again, acknowledged or not. */
static void any_duplicate(struct peer_flow *f)
{
	uint32_t sent = f->nxt - f->iss, back, len;

	if (!sent)
		return;
	back = 1 + any(sent < 5000 ? sent : 5000);
	len = 1 + any(back < f->mss ? back : f->mss);
	put(f, TH_ACK, f->nxt - back, len);
}

/* Sends part of a segment, within the window or (@beyond) not. */
static void any_piece(struct peer_flow *f, bool beyond)
{
	uint32_t most = left(f) < f->mss ? left(f) : f->mss, len;

	if (!beyond && usable(f) < most)
		most = usable(f);
	if (!most)
		return;
	len = 1 + any(most);
	put_next(f, TH_ACK, len);
}

static void any_time(void)
{
	uint32_t what = any(40);

	sleep_us(what == 0 ? 300000 : what < 3 ? 60000 : any(3000));
	look();
}

static void any_setting(struct peer_flow *f)
{
	int v = any(2);

	CHECK_OK(setsockopt(f->sock, IPPROTO_TCP, TCP_QUICKACK, &v, sizeof(v)));
	v = 1 + any(any(2) ? 1 : 20000);
	CHECK_OK(setsockopt(f->sock, SOL_SOCKET, SO_RCVLOWAT, &v, sizeof(v)));
}

static void any_step(struct peer_flow *f)
{
	switch (any(16)) {
	case 0: case 1: case 2:
		any_request(f);
		break;
	case 3: case 4: case 5: case 6:
		send_some(f, any(40000));
		break;
	case 7:
		any_order(f);
		break;
	case 8:
		any_duplicate(f);
		break;
	case 9:
		any_piece(f, false);
		break;
	case 10:
		any_piece(f, true);
		break;
	case 11:
		/* a timeout: all unacknowledged data again */
		f->nxt = f->una;
		break;
	case 12:
		any_setting(f);
		break;
	case 13: case 14:
		any_time();
		break;
	case 15:
		take(f);
		break;
	}
	look();
}

static void any_shape(struct peers_shape *shape)
{
	static const unsigned int mss[] = { 88, 536, 1000, 1448, 1460, 9000 };
	static const int scale[] = { 0, 0, NO_SCALE, 14 };

	memset(shape, 0, sizeof(*shape));
	shape->mss = mss[any(6)];
	shape->scale = scale[any(4)];
	shape->timestamps = any(2);
	shape->gro = !any(4);
}

/* Returns how often a peer was held. */
static unsigned int any_history(unsigned int seed)
{
	unsigned int times = 0, steps, i, n;
	struct peers_shape shape;
	struct peer_flow *f;

	random_state = 88172645463325252ull + seed;
	for (i = 0; i < 8; i++)
		any(2);
	any_shape(&shape);
	load();
	open_net(&shape);
	net.history = seed;
	n = 1 + any(4);
	for (i = 0; i < n; i++) {
		f = open_flow(i);
		if (any(2))
			train(f);
	}
	for (steps = 0; steps < 400; steps++) {
		f = &net.flow[any(n)];
		any_step(f);
		times += held(f);
		if (!any(4))
			take_all();
	}
	for (i = 0; i < n; i++) {
		net.flow[i].nxt = net.flow[i].una;
		net.flow[i].news_ns = clock_ns();
	}
	serve();
	return times;
}

#define HISTORIES	60

TEST(over any history the edge never moves back and all data arrives)
{
	unsigned int seed, times = 0, runs = 0;

	for (seed = 1; seed <= HISTORIES; seed++) {
		if (!in_part(seed))
			continue;
		times += any_history(seed);
		runs++;
	}
	CHECK(times > runs, "only %u times was a peer held", times);
	none_held();
}

/* --- ends ----------------------------------------------------------------------- */

/* Sends the rest of f, with the FIN in the last segment or (@apart) after it. */
static void send_rest(struct peer_flow *f, bool apart)
{
	start_line();
	while (left(f) > f->mss)
		serve_some();
	while (left(f) && usable(f) < left(f) + 1)
		serve_some();
	if (apart && left(f))
		put_next(f, 0, left(f));
	CHECK(usable(f) > left(f), "no room for the FIN behind %u bytes: %u",
	      left(f), usable(f));
	put_next(f, TH_FIN, left(f));
	f->end = f->nxt;
	look();
}

static void fin_behind_the_last_byte(const struct peers_shape *shape, bool apart)
{
	struct peer_flow *a, *b;

	trained(shape, 2);
	a = &net.flow[0];
	b = &net.flow[1];
	ask(a, 100 * MS, 50000);
	ask(b, 200 * MS, 50000);
	send_rest(b, apart);
	send_rest(a, apart);
	serve();
	take_all();
	CHECK_EQ(recv(a->sock, NULL, 1, 0), 0);
	CHECK_EQ(recv(b->sock, NULL, 1, 0), 0);
	none_held();
}

TEST(a FIN has room behind the last byte of a held answer)
{
	fin_behind_the_last_byte(NULL, false);
	fin_behind_the_last_byte(NULL, true);
	fin_behind_the_last_byte(&(struct peers_shape){ .scale = NO_SCALE }, true);
	fin_behind_the_last_byte(&(struct peers_shape){ .rcvbuf = 40000 }, true);
	fin_behind_the_last_byte(&(struct peers_shape){ .scale = 14 }, true);
}

/* The peer of the first answer stops in the middle. */
TEST(a FIN in the middle of an answer makes room for the next)
{
	struct peer_flow *a, *b;

	hold(NULL, &a, &b);
	send_some(a, 10000);
	put_next(a, TH_FIN, 0);
	a->end = a->nxt;
	/* the FIN may be acknowledged late, but before a socket is released */
	wait_ms(100);
	CHECK(may_send(b), "held at %u", usable(b));
	b->end = b->nxt + 300000;
	serve();
	CHECK_EQ(recv(a->sock, NULL, 1, 0), 0);
	none_held();
}

TEST(a reset makes room for the next answer)
{
	struct peer_flow *a, *b;

	hold(NULL, &a, &b);
	put(a, TH_RST | TH_ACK, a->nxt, 0);
	a->reset = true;
	wait_ms(LET_GO_MS);
	CHECK(may_send(b), "held at %u", usable(b));
	b->end = b->nxt + 300000;
	serve();
	CHECK_EQ(tcp_info(a->sock).tcpi_state, STATE_CLOSE);
	none_held();
}

TEST(a reset of a held connection does not disturb the others)
{
	struct peer_flow *a, *b;

	hold(NULL, &a, &b);
	put(b, TH_RST | TH_ACK, b->nxt, 0);
	b->reset = true;
	a->end = a->nxt + 300000;
	serve();
	CHECK_EQ(tcp_info(b->sock).tcpi_state, STATE_CLOSE);
	none_held();
}

/* --- losses and silence ----------------------------------------------------------- */

#define RTO_MS	200	/* min RTO of Linux, after which peers notice a loss */

/* A retransmission timeout: the peer sends everything from the first loss again. */
static void repeat(struct peer_flow *f)
{
	f->nxt = f->una;
	f->news_ns = clock_ns();
}

static void tail_lost(uint32_t bytes)
{
	struct peer_flow *a, *b;
	uint32_t lost;

	hold(NULL, &a, &b);
	/* a whole grant leaves the peer, but for its last segment */
	while (usable(a) / a->mss > 1)
		put_next(a, 0, a->mss);
	lost = a->nxt;
	a->nxt += a->mss;
	a->end = lost + bytes;
	b->end = b->nxt + 300000;
	/* its peer is silent meanwhile */
	a->silent = true;
	serve_first(b);
	a->silent = false;
	wait_ms(RTO_MS);
	CHECK_EQ(a->una, lost);
	repeat(a);
	serve();
	none_held();
}

TEST(a tail that is lost inside a grant stops neither its answer nor the others)
{
	tail_lost(300000);
	/* the segment that was lost is the last one of the answer */
	tail_lost(1460);
}

/* The ACK with the grant of b is lost. The peer of b has no data in flight, so only
 * its persist timer makes it probe the window.
 */
TEST(a lost grant is recovered by a window probe)
{
	struct peer_flow *a, *b;
	uint64_t start_ns;

	hold(NULL, &a, &b);
	/* it uses its window */
	while (usable(b) >= b->mss)
		put_next(b, 0, b->mss);
	look();
	b->lose = 1;
	a->end = a->nxt + 100000;
	b->end = b->nxt + 100000;
	b->silent = true;
	serve_first(a);
	b->silent = false;
	start_ns = clock_ns();
	while (!b->lost && clock_ns() - start_ns < LET_GO_MS * MS)
		wait_ms(1);
	CHECK_EQ(b->lost, 1);
	if (!may_send(b))
		wait_ms(RTO_MS);
	if (!may_send(b))
		probed_window(b);
	CHECK(may_send(b), "still %u after a probe", usable(b));
	b->news_ns = clock_ns();
	serve();
	none_held();
}

TEST(window probes of a held peer do not open its window)
{
	struct peer_flow *a, *b;
	uint32_t edge;
	int i;

	hold(NULL, &a, &b);
	edge = b->edge;
	for (i = 0; i < 5; i++)
		probed_window(b);
	/* only little time has passed */
	CHECK(b->edge - edge < b->mss, "probes opened it by %u", b->edge - edge);
	a->end = a->nxt + 100000;
	b->end = b->nxt + 100000;
	b->news_ns = clock_ns();
	serve();
	none_held();
}

TEST(a sender that pauses in the middle of its answer can continue)
{
	struct peer_flow *a, *b;
	unsigned int pause;

	for (pause = 1; pause <= 1000; pause *= 10) {
		trained(NULL, 2);
		a = &net.flow[0];
		b = &net.flow[1];
		ask(a, 100 * MS, 400000);
		ask(b, 200 * MS, 400000);
		/* like Linux after idle: ten segments, then silence */
		send_some(a, 10 * a->mss);
		look();
		wait_ms(pause);
		a->news_ns = clock_ns();
		b->news_ns = clock_ns();
		serve();
	}
	none_held();
}

TEST(an answer that is shorter than declared does not stop the next one)
{
	struct peer_flow *a, *b;

	trained(NULL, 2);
	a = &net.flow[0];
	b = &net.flow[1];
	ask(a, 100 * MS, 200000);
	a->end -= 150000;
	ask(b, 150 * MS, 200000);
	serve();
	/* the program stops waiting for the rest and sends its next request */
	ask(a, 100 * MS, 50000);
	ask(b, 150 * MS, 50000);
	serve();
	none_held();
}

TEST(an answer that is longer than declared arrives)
{
	struct peer_flow *a, *b;

	trained(NULL, 2);
	a = &net.flow[0];
	b = &net.flow[1];
	ask(a, 100 * MS, 10000);
	a->end += 100000;
	ask(b, 150 * MS, 100000);
	b->end += 1;
	serve();
	none_held();
}

TEST(a peer that sends beyond its window neither loses data nor delays others)
{
	struct peer_flow *a, *b;
	int i;

	hold(NULL, &a, &b);
	/* data within TCP's own window but beyond the grants */
	for (i = 0; i < 20; i++)
		put_next(b, 0, b->mss);
	look();
	a->end = a->nxt + 200000;
	b->end = b->nxt + 200000;
	b->news_ns = clock_ns();
	serve();
	/* and a whole expected answer at once */
	ask(a, 100 * MS, 29200);
	ask(b, 150 * MS, 29200);
	for (i = 0; i < 20; i++) {
		put_next(b, 0, b->mss);
		look();
	}
	CHECK_EQ(left(b), 0);
	serve();
	none_held();
}

/* The ACK of the last segment is delayed: the receiver waits for a second one. */
TEST(an odd tail that is acknowledged late does not stop the others)
{
	struct peer_flow *a, *b;
	int i;

	trained(NULL, 2);
	a = &net.flow[0];
	b = &net.flow[1];
	for (i = 0; i < 10; i++) {
		ask(a, 20 * MS, 1460 * 2 * i + 1460 + 1);
		ask(b, 30 * MS, 100000);
		/* a program that does not read sends no ACK either */
		while (left(a)) {
			if (!send_some(a, 2920))
				sleep_us(50);
			look();
		}
		b->news_ns = clock_ns();
		serve_first(b);
		serve();
	}
	none_held();
}

/* The program of a reads nothing, so TCP itself closes its window. */
TEST(a program that does not read holds up only its own answer)
{
	struct peer_flow *a, *b;
	uint64_t start_ns;

	trained(&(struct peers_shape){ .rcvbuf = 100000 }, 2);
	a = &net.flow[0];
	b = &net.flow[1];
	ask(a, 100 * MS, 400000);
	ask(b, 150 * MS, 400000);
	b->silent = true;
	start_ns = clock_ns();
	while (clock_ns() - start_ns < LET_GO_MS * MS) {
		send_some(a, 2920);
		sleep_us(100);
		look();
	}
	CHECK(left(a), "all was accepted");
	CHECK(may_send(b), "the other is held at %u", usable(b));
	b->silent = false;
	a->news_ns = clock_ns();
	b->news_ns = clock_ns();
	serve();
	none_held();
}

/* --- around the sockets ----------------------------------------------------------- */

TEST(a disconnected socket can be used again and is not held)
{
	struct peer_flow *a, *b;

	hold(NULL, &a, &b);
	CHECK_OK(disconnect(b->sock));
	look();
	CHECK(b->reset, "no RST");
	/* beyond every window that was open before */
	net.iss += 1u << 28;
	start_flow(b);
	answer_flow(b);
	CHECK(usable(b) > 32 * b->mss, "the first window is %u", usable(b));
	b->end = b->nxt + 300000;
	a->end = a->nxt + 300000;
	a->news_ns = clock_ns();
	serve();
	ask(a, 100 * MS, 300000);
	ask(b, 150 * MS, 300000);
	serve();
	none_held();
}

TEST(an expectation of a disconnected socket is for its next connection)
{
	struct peer_flow *a, *b;

	hold(NULL, &a, &b);
	CHECK_OK(disconnect(b->sock));
	look();
	CHECK_OK(expect(b->sock, 450 * MS, ALL));
	net.iss += 1u << 28;
	start_flow(b);
	answer_flow(b);
	request(b);
	a->end = a->nxt + 300000;
	b->end = b->nxt + 5000000;
	a->news_ns = clock_ns();
	b->news_ns = clock_ns();
	serve();
	none_held();
}

static void send_fd(int to, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = "", byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	CHECK_EQ(sendmsg(to, &msg, 0), 1);
}

static int receive_fd(int from)
{
	char control[CMSG_SPACE(sizeof(int))], byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
		.msg_controllen = sizeof(control),
	};
	int fd;

	if (recvmsg(from, &msg, 0) != 1 || !CMSG_FIRSTHDR(&msg))
		return -1;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	return fd;
}

/* Reads the expected answer, expects one more, and exits. */
static void other_process(int from, int to, size_t bytes)
{
	const size_t more = 300000;
	char buf[4096];
	int fd = receive_fd(from);
	ssize_t n;

	fcntl(fd, F_SETFL, 0);
	while (bytes) {
		n = recv(fd, buf, bytes < sizeof(buf) ? bytes : sizeof(buf), 0);
		if (n <= 0)
			_exit(1);
		bytes -= n;
	}
	if (expect(fd, 100 * MS, more) || send(fd, "?", 1, 0) != 1 ||
	    write(to, "", 1) != 1)
		_exit(2);
	for (bytes = more; bytes; bytes -= n) {
		n = recv(fd, buf, bytes < sizeof(buf) ? bytes : sizeof(buf), 0);
		if (n <= 0)
			_exit(3);
	}
	/* until the test has checked the window */
	_exit(read(to, buf, 1) ? 4 : 0);
}

TEST(a held socket that is passed to another process works there)
{
	struct peer_flow *a, *b;
	int pass[2], said[2], status;
	char byte;
	pid_t pid;

	hold(NULL, &a, &b);
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pass));
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, said));
	b->end = b->nxt + 200000;
	send_fd(pass[0], b->sock);
	/* only the message in the queue holds the socket now */
	close(b->sock);
	b->sock = tcp_socket(AF_INET, "cubic");
	wait_ms(LET_GO_MS);
	CHECK(may_send(b), "held at %u", usable(b));
	pid = fork();
	if (!pid) {
		close(said[0]);
		other_process(pass[1], said[1], 200000);
	}
	close(said[1]);
	close(pass[1]);
	a->end = a->nxt;
	b->news_ns = clock_ns();
	serve_first(b);
	CHECK_EQ(read(said[0], &byte, 1), 1);
	b->end += 300000;
	b->news_ns = clock_ns();
	serve_first(b);
	none_held();
	close(said[0]);
	close(pass[0]);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

/* Kills a process that is in a namespace of its own with two connections. Returns
 * how long the namespace stays, which is until the end of a veth pair in it
 * disappears.
 */
static uint64_t namespace_stays(bool expecting)
{
	const struct linger now = { .l_onoff = 1 };
	uint64_t start_ns;
	int ready[2], i;
	pid_t pid;
	char byte;

	close_peers();
	fresh_net();
	CHECK_OK(pipe(ready));
	pid = fork();
	if (!pid) {
		if (setjmp(test_end))
			_exit(1);
		trained(NULL, 2);
		if (expecting)
			hold_behind(&net.flow[0], &net.flow[1]);
		/* no FIN that would wait for an acknowledgment */
		for (i = 0; i < 2; i++)
			setsockopt(net.flow[i].sock, SOL_SOCKET, SO_LINGER,
				   &now, sizeof(now));
		CHECK_EQ(write(ready[1], "", 1), 1);
		pause();
		_exit(0);
	}
	close(ready[1]);
	CHECK_EQ(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	sh("ip link add out type veth peer name in netns %d", pid);
	CHECK(if_nametoindex("out"), "no veth");
	/* without an expectation the module has freed their state by then */
	if (!expecting) {
		sleep_us(LET_GO_MS * 1000);
		unload();
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	start_ns = clock_ns();
	while (if_nametoindex("out") && clock_ns() - start_ns < 60000 * MS)
		sleep_us(1000);
	start_ns = clock_ns() - start_ns;
	load();
	return start_ns;
}

/* Each socket whose state the module keeps holds a reference to the namespace. */
TEST(a namespace whose expecting sockets are closed is freed)
{
	uint64_t with, without;

	load();
	without = namespace_stays(false);
	with = namespace_stays(true);
	CHECK(with < without + bound_ms() * MS, "after %llu ms, without after %llu",
	      (unsigned long long)with / MS, (unsigned long long)without / MS);
	none_held();
}

/* --- sockets that are locked ------------------------------------------------------ */

/* A page that a thread faults on while it has a socket locked. */
struct stuck {
	struct peer_flow *f;
	int uffd;
	char *page;
	bool receives;
	pthread_t thread;
};

static void *stuck_thread(void *arg)
{
	struct stuck *s = arg;

	if (s->receives)
		recv(s->f->sock, s->page, 1, MSG_DONTWAIT);
	else
		send(s->f->sock, s->page, 1, MSG_DONTWAIT);
	return NULL;
}

static bool stuck_touched(const struct stuck *s)
{
	struct pollfd pfd = { .fd = s->uffd, .events = POLLIN };
	struct uffd_msg msg;

	return poll(&pfd, 1, 0) > 0 && read(s->uffd, &msg, sizeof(msg)) > 0;
}

/* Makes a thread get stuck in recv() or send() of f. For recv() there is a byte. */
static void get_stuck(struct stuck *s, struct peer_flow *f, bool receives)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	int i;

	s->f = f;
	s->receives = receives;
	s->uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (s->uffd < 0)
		SKIP("this kernel has no userfaultfd");
	CHECK_OK(ioctl(s->uffd, UFFDIO_API, &api));
	s->page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(s->page != MAP_FAILED, "mmap: %s", strerror(errno));
	reg.range.start = (uintptr_t)s->page;
	reg.range.len = 4096;
	CHECK_OK(ioctl(s->uffd, UFFDIO_REGISTER, &reg));
	CHECK(!pthread_create(&s->thread, NULL, stuck_thread, s), "no thread");
	for (i = 0; i < 1000 && !stuck_touched(s); i++)
		sleep_us(100);
	CHECK(i < 1000, "the thread is not stuck");
}

static void get_unstuck(struct stuck *s)
{
	struct uffdio_zeropage zero = {
		.range = { .start = (uintptr_t)s->page, .len = 4096 },
	};

	CHECK_OK(ioctl(s->uffd, UFFDIO_ZEROPAGE, &zero));
	pthread_join(s->thread, NULL);
	close(s->uffd);
	munmap(s->page, 4096);
	look();
}

/* The program of one of three flows is stuck; its peer is silent. */
static void others_go_on(int which, bool receives)
{
	struct peer_flow *f;
	struct stuck s;
	int i;

	trained(NULL, 3);
	f = &net.flow[which];
	if (receives) {
		put_next(f, 0, 1);
		f->end = f->nxt;
		look();
	}
	for (i = 0; i < 3; i++)
		ask(&net.flow[i], (100 + 50 * i) * MS, 300000);
	f->unread = true;
	f->silent = true;
	get_stuck(&s, f, receives);
	for (i = 0; i < 3; i++)
		if (i != which)
			serve_first(&net.flow[i]);
	get_unstuck(&s);
	/* its ACK is retried at the next tick, not only after a jiffy */
	wait_ms(virtual_time() ? 2 : 50);
	CHECK(may_send(f), "held at %u", usable(f));
	f->silent = false;
	f->unread = false;
	f->news_ns = clock_ns();
	serve();
	none_held();
}

TEST(a process that is stuck in recv with its socket locked stops no other)
{
	others_go_on(0, true);
	others_go_on(1, true);
}

TEST(a process that is stuck in send with its socket locked stops no other)
{
	others_go_on(0, false);
	others_go_on(1, false);
}

TEST(a process that is stuck with its socket locked does not stop the sweep)
{
	struct peer_flow *a, *b;
	struct stuck s;
	long released;

	hold(NULL, &a, &b);
	released = counter("D2tcpReleased");
	b->unread = true;
	get_stuck(&s, b, false);
	wait_ms(LET_GO_MS);
	CHECK_EQ(counter("D2tcpReleased"), released + 2);
	CHECK(may_send(a), "held at %u", usable(a));
	get_unstuck(&s);
	b->unread = false;
	a->end = a->nxt;
	b->end = b->nxt;
	none_held();
}

TEST(unloading opens every window at once)
{
	struct peer_flow *a, *b;

	hold(NULL, &a, &b);
	unload();
	CHECK(usable(a) > 200 * a->mss, "held at %u", usable(a));
	CHECK(usable(b) > 200 * b->mss, "held at %u", usable(b));
	load();
	a->end = a->nxt;
	b->end = b->nxt;
	none_held();
}

/* The ACK that opens the window of the locked socket cannot be sent. The next packet
 * opens it, or the ACK that answers a probe of the peer.
 */
TEST(a process that is stuck with its socket locked does not stop unloading)
{
	struct peer_flow *a, *b;
	struct stuck s;

	hold(NULL, &a, &b);
	b->unread = true;
	get_stuck(&s, b, false);
	unload();
	CHECK(usable(a) > 200 * a->mss, "held at %u", usable(a));
	get_unstuck(&s);
	/* an acknowledgment of the first request releases the second one */
	put(b, TH_ACK, b->nxt, 0);
	look();
	CHECK(usable(b) > 200 * b->mss, "still held at %u after the request",
	      usable(b));
	load();
	hold(NULL, &a, &b);
	put_next(b, 0, 1);
	look();
	b->unread = true;
	get_stuck(&s, b, true);
	unload();
	get_unstuck(&s);
	b->unread = false;
	wait_ms(RTO_MS);
	probed_window(b);
	CHECK(usable(b) > 200 * b->mss, "still held at %u after a probe",
	      usable(b));
	load();
	a->end = a->nxt;
	b->end = b->nxt;
	none_held();
}

/* --- around the packets ------------------------------------------------------------ */

static int queue_fd = -1;
static unsigned int queue_delay, queue_turn, queue_passed;

/* A program that reinjects packets from its own context, each after some polls. */
static bool pump_queue(void)
{
	uint32_t id;

	if (queue_turn++ < queue_delay)
		return false;
	queue_turn = 0;
	if (!nfqueue_next(queue_fd, &id))
		return false;
	nfqueue_accept(queue_fd, id);
	queue_passed++;
	return true;
}

/* Makes all packets of sockets pass a queue from now on. */
static void queue_packets(void)
{
	if (system("modprobe -q nfnetlink_queue && modprobe -q nft_queue"))
		SKIP("this kernel has no NFQUEUE");
	queue_fd = nfqueue_open();
	nft_output(0);
	queue_delay = 0;
	queue_passed = 0;
	net.pump = pump_queue;
}

static void stop_queue(void)
{
	close(queue_fd);
	queue_fd = -1;
	net.pump = NULL;
}

TEST(packets that come back from a queue of netfilter carry the window too)
{
	int i;

	load();
	open_net(NULL);
	queue_packets();
	for (i = 0; i < 3; i++)
		train(open_flow(i));
	answers_come_in();
	for (i = 0; i < 3; i++)
		ask(&net.flow[i], (30 + 10 * i) * MS, 300000);
	queue_delay = 3;
	serve();
	queue_delay = 0;
	CHECK(queue_passed > 300, "%u packets came from the queue", queue_passed);
	none_held();
	stop_queue();
}

TEST(packets that wait in a queue when their socket is closed do no harm)
{
	struct peer_flow *a, *b;

	load();
	open_net(NULL);
	queue_packets();
	a = open_flow(0);
	b = open_flow(1);
	train(a);
	train(b);
	net.pump = NULL;
	CHECK_OK(expect(a->sock, 400 * MS, ALL));
	CHECK_OK(expect(b->sock, 450 * MS, ALL));
	request(a);
	request(b);
	close_flow(b);
	sleep_us(LET_GO_MS * 1000);
	net.pump = pump_queue;
	look();
	CHECK(b->reset, "no RST");
	a->end = a->nxt + 300000;
	a->news_ns = clock_ns();
	serve();
	none_held();
	stop_queue();
}

/* When hooks are removed, the kernel drops the packets that wait in queues, and so the
 * ACKs that open windows. Probes of the peers make up for them.
 */
TEST(unloading while packets wait in a queue strands no peer)
{
	struct peer_flow *a, *b;

	load();
	open_net(NULL);
	queue_packets();
	a = open_flow(0);
	b = open_flow(1);
	train(a);
	train(b);
	hold_behind(a, b);
	net.pump = NULL;
	request(a);
	unload();
	net.pump = pump_queue;
	wait_ms(RTO_MS);
	probed_window(a);
	probed_window(b);
	CHECK(may_send(a), "held at %u", usable(a));
	CHECK(may_send(b), "held at %u", usable(b));
	a->end = a->nxt + 300000;
	b->end = b->nxt + 300000;
	a->news_ns = clock_ns();
	b->news_ns = clock_ns();
	serve();
	load();
	none_held();
	stop_queue();
}

static void vrf(const char *device)
{
	const struct peers_shape shape = { .device = device };
	int i;

	if (system("modprobe -q vrf"))
		SKIP("this kernel has no VRF");
	load();
	open_net(&shape);
	sh("ip link add vrf0 type vrf table 10 && ip link set vrf0 up && "
	   "ip link set tun0 master vrf0");
	for (i = 0; i < 3; i++)
		train(open_flow(i));
	answers_come_in();
	none_held();
}

TEST(answers arrive over a VRF device)
{
	vrf("vrf0");
	vrf("tun0");
}

#define ELSEWHERE	0x0a010009u

TEST(answers arrive where NAT changes the destination)
{
	const struct peers_shape shape = { .address = ELSEWHERE };
	int i;

	if (system("modprobe -q nft_nat && modprobe -q nft_chain_nat"))
		SKIP("this kernel has no NAT");
	load();
	open_net(&shape);
	nft_output(PEERS_IP);
	for (i = 0; i < 3; i++)
		train(open_flow(i));
	answers_come_in();
	none_held();
}

/* --- signed connections --------------------------------------------------------- */

/* Both ends are sockets of this kernel, on lo; a held window is smaller than this. */
#define OPEN	60000

/* As in <linux/tcp.h> since 6.7 */
#define AO_ADD_KEY	38

struct ao_add {
	struct sockaddr_storage addr;
	char alg_name[64];
	int32_t ifindex;
	uint32_t flags;
	uint16_t reserved;
	uint8_t prefix, sndid, rcvid, maclen, keyflags, keylen;
	uint8_t key[80];
} __attribute__((aligned(8)));

static void sign(int fd, bool ao)
{
	struct tcp_md5sig md5 = { .tcpm_keylen = 6, .tcpm_key = "secret" };
	struct ao_add key = {
		.alg_name = "hmac(sha1)", .prefix = 32, .sndid = 1, .rcvid = 1,
		.keylen = 6, .key = "secret",
	};
	struct sockaddr_in in = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int err;

	memcpy(&md5.tcpm_addr, &in, sizeof(in));
	memcpy(&key.addr, &in, sizeof(in));
	err = ao ? setsockopt(fd, IPPROTO_TCP, AO_ADD_KEY, &key, sizeof(key)) :
		   setsockopt(fd, IPPROTO_TCP, TCP_MD5SIG, &md5, sizeof(md5));
	if (err && errno == ENOPROTOOPT)
		SKIP("this kernel does not sign connections in this way");
	CHECK_OK(err);
}

static struct pair signed_pair(bool ao)
{
	struct pair p;

	p.listener = tcp_socket(AF_INET, "cubic");
	sign(p.listener, ao);
	CHECK_OK(listen_on(p.listener, AF_INET, 4998));
	p.client = tcp_socket(AF_INET, "cubic");
	sign(p.client, ao);
	CHECK_OK(connect_to(p.client, AF_INET, 4998));
	p.server = accept(p.listener, NULL, NULL);
	CHECK(p.server >= 0, "accept: %s", strerror(errno));
	return p;
}

/* Moves bytes from the server to the client, without blocking on either. */
static void move(const struct pair *p, size_t bytes)
{
	static char buf[65536];
	size_t put = 0, got = 0;
	ssize_t n;

	while (got < bytes) {
		n = send(p->server, buf, bytes - put < sizeof(buf) ?
			 bytes - put : sizeof(buf), MSG_DONTWAIT);
		put += n > 0 ? n : 0;
		n = recv(p->client, NULL, 1 << 20, MSG_DONTWAIT | MSG_TRUNC);
		got += n > 0 ? n : 0;
		if (n <= 0)
			sleep_us(50);
	}
}

static void expect_and_request(const struct pair *p, size_t bytes)
{
	CHECK_OK(expect(p->client, 400 * MS, bytes));
	CHECK_EQ(send(p->client, "?", 1, 0), 1);
	sleep_us(300);
}

/* The signature covers the window. */
static void signed_connections(bool ao)
{
	struct pair p, q, s;
	uint64_t start_ns;
	char byte;

	load();
	fresh_net();
	sh("ip link set lo mtu 1500 gso_max_segs 1 && "
	   "tc qdisc add dev lo root handle 1: htb default 1 && "
	   "tc class add dev lo parent 1: classid 1:1 htb rate 100mbit "
	   "burst 3000 cburst 3000 quantum 1514");
	s = signed_pair(ao);
	p = connected(AF_INET, "cubic", "cubic");
	q = connected(AF_INET, "cubic", "cubic");
	expect_and_request(&p, 500000);
	move(&p, 500000);
	expect_and_request(&q, 500000);
	move(&q, 500000);
	/* takes 42 ms; no packet is refused for its signature */
	expect_and_request(&s, 500000);
	start_ns = clock_ns();
	move(&s, 500000);
	CHECK(clock_ns() - start_ns < 200 * MS, "%llu ms",
	      (unsigned long long)(clock_ns() - start_ns) / MS);
	CHECK_EQ(recv(s.server, &byte, 1, MSG_DONTWAIT), 1);
	expect_and_request(&p, ALL);
	expect_and_request(&q, ALL);
	CHECK(tcp_info(q.server).tcpi_snd_wnd < OPEN, "nothing is held: %u",
	      tcp_info(q.server).tcpi_snd_wnd);
	expect_and_request(&s, ALL);
	CHECK(recv(s.server, &byte, 1, MSG_DONTWAIT) == 1,
	      "the request was not accepted");
	CHECK(tcp_info(s.server).tcpi_snd_wnd > OPEN, "held at %u",
	      tcp_info(s.server).tcpi_snd_wnd);
	move(&s, 500000);
	sleep_us(LET_GO_MS * 1000);
	CHECK(tcp_info(p.server).tcpi_snd_wnd > OPEN, "still held");
	CHECK(tcp_info(q.server).tcpi_snd_wnd > OPEN, "still held");
	close_pair(&p);
	close_pair(&q);
	close_pair(&s);
}

TEST(connections that TCP MD5 signs are not touched and work)
{
	signed_connections(false);
}

TEST(connections that TCP AO signs are not touched and work)
{
	signed_connections(true);
}

int main(int argc, char **argv)
{
	sh(LOAD);
	return run_tests(argc, argv);
}
