// SPDX-License-Identifier: GPL-2.0
/*
 * The cost of d2tcp in instructions. Needs a guest whose time stamp counter
 * counts instructions (make bench-cost starts one); elsewhere the figures would
 * mean nothing, and it fails with an error.
 *
 * Prints tables: for each congestion control and kind of flow the instructions of
 *
 *  - the receive path of an ACK: of writing the packet to a TUN device, minus
 *    those of a packet with a wrong checksum, which TCP drops at once. The
 *    flow sends WINDOW packets, less than its window, and waits for their ACKs,
 *    one each. It has nothing to send meanwhile, so that only receiving is
 *    measured. Between flights its window grows to two WINDOWs again.
 *  - its callbacks, counted by a kernel module (cost_ops.c)
 *
 * and of system calls on a connected socket, from one CPU and from four at once.
 */
#include "../../tests/kernel/peer.h"
#include "instructions.h"

#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define WINDOW	20
#define FLIGHTS	500
#define CALLS	4000
#define UPPER	2	/* % of the samples left out */

static struct peer peer;

static uint64_t count_write(const uint8_t *pkt, size_t len)
{
	uint64_t before = __rdtsc();

	if (write(peer.tun, pkt, len) != (ssize_t)len)
		return 0;
	return __rdtsc() - before;
}

/* An ACK, or one whose checksum is wrong. */
static size_t make_ack(uint8_t *pkt, uint32_t ack, bool ece, bool broken)
{
	size_t len = peer_packet(&peer, pkt, TH_ACK | (ece ? TH_ECE : 0), 0,
				 ack, NULL, 0, 0);

	/* the checksum of TCP, behind the header of IP */
	pkt[20 + 16] ^= broken ? 0x55 : 0;
	return len;
}

/* Sends flights that fill the window, until it is at least two WINDOWs. */
static uint32_t grow(uint32_t una)
{
	uint32_t cwnd;

	while ((cwnd = tcp_info(peer.sock).tcpi_snd_cwnd) < 2 * WINDOW) {
		peer_write(&peer, cwnd * PEER_MSS);
		peer_drain(&peer);
		while (una != peer.nxt) {
			una += PEER_MSS;
			peer_ack(&peer, una, false);
		}
		peer.first = peer.count = 0;
	}
	return una;
}

static void callbacks(int fd)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", fd);
	CHECK_EQ(write_file("/proc/cost_ops", text), 0);
}

struct result {
	double receive_path, callbacks;
	double each[5];		/* in the order of /proc/cost_ops */
};

/* Averages over @acks ACKs. */
static void read_callbacks(struct result *r, size_t acks)
{
	char line[128], name[32];
	double calls, total;
	FILE *f;
	int i;

	f = fopen("/proc/cost_ops", "r");
	CHECK(f, "/proc/cost_ops: %s", strerror(errno));
	r->callbacks = 0;
	for (i = 0; i < 5 && fgets(line, sizeof(line), f); i++) {
		CHECK_EQ(sscanf(line, "%31s %lf %lf", name, &calls, &total),
			 3);
		r->each[i] = total / (double)acks;
		r->callbacks += r->each[i];
	}
	fclose(f);
}

/*
 * Measures one flow. marked: how many of the ACKs of a flight carry ECE; the
 * first of them cuts the window. deadline: 0 none, 1 one message for all
 * flights, 2 one message per flight. inside: count the callbacks, else the
 * whole path.
 */
static void flow(const char *cc, int marked, int deadline, bool inside,
		 struct result *r)
{
	static uint64_t good[FLIGHTS * WINDOW], bad[FLIGHTS];
	uint32_t una, end;
	size_t n = 0, len;
	uint8_t pkt[PEER_PACKET];
	int i, k;

	peer_open(&peer, cc, true, NULL);
	una = grow(peer.nxt);
	if (deadline == 1)
		CHECK_OK(set_deadline(peer.sock, 900ull * 1000000000,
				      1 << 30, D2TCP_F_RELATIVE));
	if (inside)
		callbacks(-2);
	for (i = 0; i < FLIGHTS; i++) {
		if (deadline == 2)
			CHECK_OK(set_deadline(peer.sock, 1000000000,
					      WINDOW * PEER_MSS,
					      D2TCP_F_RELATIVE));
		if (inside)
			callbacks(peer.sock);
		peer_write(&peer, WINDOW * PEER_MSS);
		end = una + WINDOW * PEER_MSS;
		for (k = 0; k < WINDOW; k++) {
			if (!k) {
				peer_drain(&peer);
				CHECK_EQ(peer.nxt, end);
				len = make_ack(pkt, una, false, true);
				bad[i] = count_write(pkt, len);
			}
			una += PEER_MSS;
			len = make_ack(pkt, una, k < marked, false);
			good[n++] = count_write(pkt, len);
		}
		if (inside)
			callbacks(-1);
		peer.first = peer.count = 0;
		una = grow(una);
	}
	if (inside)
		read_callbacks(r, n);
	else
		r->receive_path = mean(good, n, UPPER) - mean(bad, FLIGHTS, UPPER);
	peer_close(&peer);
}

/* --- system calls ------------------------------------------------------------- */

static void call(int fd, int what, int i)
{
	int v = i % 7, usec = 1000 + i;

	switch (what) {
	case 0:
		syscall(SYS_getppid);
		break;
	case 1:
		setsockopt(fd, SOL_SOCKET, SO_PRIORITY, &v, sizeof(v));
		break;
	case 2:
		setsockopt(fd, SOL_IP, IP_TTL, &(int){ 64 }, sizeof(int));
		break;
	case 3:
		setsockopt(fd, SOL_IP, D2TCP_DEADLINE, &usec, sizeof(usec));
		break;
	case 4:
		set_deadline(fd, 1000000, 1000, D2TCP_F_RELATIVE);
		break;
	case 5:
		/* no handler has this option: the path to them and back */
		setsockopt(fd, SOL_IP, 0xD2FF, &v, sizeof(v));
		break;
	}
}

static const char *const call_names[] = {
	"getppid", "SO_PRIORITY", "IP_TTL", "D2TCP_DEADLINE, int",
	"D2TCP_DEADLINE, struct", "an unknown option",
};

static void on_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static double one_cpu(int what)
{
	static uint64_t n[CALLS];
	struct pair p;
	int i;

	fresh_net();
	p = connected(AF_INET, "d2tcp", "d2tcp");
	for (i = 0; i < CALLS; i++) {
		uint64_t before = __rdtsc();

		call(p.client, what, i);
		n[i] = __rdtsc() - before;
	}
	close_pair(&p);
	return mean(n, CALLS, UPPER);
}

/* Instructions per call over all CPUs, each with a socket of its own. */
static double four_cpus(int what)
{
	struct { atomic_int ready, go; } *gate;
	uint64_t before;
	struct pair p;
	int cpu, i;

	gate = mmap(NULL, sizeof(*gate), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (cpu = 0; cpu < 4; cpu++) {
		if (fork())
			continue;
		on_cpu(cpu);
		fresh_net();
		p = connected(AF_INET, "d2tcp", "d2tcp");
		gate->ready++;
		while (!gate->go)
			sched_yield();
		for (i = 0; i < CALLS; i++)
			call(p.client, what, i);
		_exit(0);
	}
	while (gate->ready < 4)
		sleep_us(1000);
	before = __rdtsc();
	gate->go = 1;
	for (cpu = 0; cpu < 4; cpu++)
		wait(NULL);
	return (double)(__rdtsc() - before) / (4.0 * CALLS);
}

static void flows(void)
{
	static const struct {
		const char *cc, *name;
		int deadline, marks;
		bool base;	/* of the ratios in this row and those after it */
	} kind[] = {
		{ "dctcp", "dctcp", 0, 0, true },
		{ "d2tcp", "d2tcp, no deadline", 0, 0, false },
		{ "d2tcp", "d2tcp, one long message", 1, 0, false },
		{ "d2tcp", "d2tcp, a message each flight", 2, 0, false },
		{ "dctcp", "dctcp", 0, 1, true },
		{ "d2tcp", "d2tcp, no deadline", 0, 1, false },
		{ "d2tcp", "d2tcp, one long message", 1, 1, false },
		{ "d2tcp", "d2tcp, a message each flight", 2, 1, false },
	};
	struct result r = { 0 }, base = { 0 };
	unsigned int i;

	printf("Instructions per ACK, over %d ACKs in flights of %d:\n\n",
	       FLIGHTS * WINDOW, WINDOW);
	printf("| flow | cuts | receive path | ratio to dctcp | callbacks | in_ack_event | cong_avoid | ssthresh | cwnd_event | set_state |\n");
	printf("|---|---|---|---|---|---|---|---|---|---|\n");
	for (i = 0; i < sizeof(kind) / sizeof(kind[0]); i++) {
		flow(kind[i].cc, kind[i].marks, kind[i].deadline, false, &r);
		flow(kind[i].cc, kind[i].marks, kind[i].deadline, true, &r);
		if (kind[i].base)
			base = r;
		printf("| %s | %s | %.0f | %.4f | %.1f | %.1f | %.1f | %.1f | %.1f | %.1f |\n",
		       kind[i].name, kind[i].marks ? "each flight" : "none",
		       r.receive_path, r.receive_path / base.receive_path,
		       r.callbacks, r.each[0], r.each[1], r.each[2], r.each[3],
		       r.each[4]);
	}
}

static void calls(void)
{
	double one[6], four[6];
	int i;

	printf("\nInstructions per system call, on one CPU and on four at once:\n\n");
	printf("| call | one CPU | ratio to SO_PRIORITY | four CPUs | ratio to SO_PRIORITY |\n");
	printf("|---|---|---|---|---|\n");
	for (i = 0; i < 6; i++) {
		one[i] = one_cpu(i);
		four[i] = four_cpus(i);
	}
	for (i = 0; i < 6; i++)
		printf("| %s | %.0f | %.2f | %.0f | %.2f |\n", call_names[i],
		       one[i], one[i] / one[1], four[i], four[i] / four[1]);
}

int main(void)
{
	if (setjmp(test_end)) {
		fflush(stdout);
		return 1;
	}
	(void)run_tests;
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!counts_instructions()) {
		fprintf(stderr, "cost: the time stamp counter does not count instructions here\n");
		return 1;
	}
	on_cpu(0);
	sh("modprobe -a tcp_dctcp tcp_d2tcp");
	flows();
	calls();
	return 0;
}
