// SPDX-License-Identifier: GPL-2.0
/*
 * The cost of D2TCP_EXPECT in instructions per received segment. Needs a guest whose
 * time stamp counter counts instructions: make bench-cost starts one.
 *
 * Counted are the write of a segment to a TUN device, that is its way up to the
 * socket, and its part of a recv() of two segments, which frees the window; the ACKs
 * leave in one or the other. The write of a segment with a wrong checksum, which TCP
 * drops at once, is subtracted. The timer of the module is not counted.
 */
#include "../../tests/kernel/peer.h"
#include "instructions.h"

#define ANSWERS		100
#define SEGMENTS	50	/* of an answer */
/* % of the samples left out: a tick of the module's timer may fall into some 5 %,
 * since each sample takes 10 us of this guest's clock.
 */
#define UPPER		10

static struct peer peer;
static struct pair other;

enum expects { NONE, OTHER, KNOWN, UNKNOWN };

static int expect(int fd, uint64_t bytes, uint32_t flags)
{
	const struct d2tcp_deadline dl = {
		.deadline_ns = 1000000000, .bytes = bytes,
		.flags = D2TCP_F_RELATIVE | flags,
	};

	return setsockopt(fd, SOL_IP, D2TCP_EXPECT, &dl, sizeof(dl));
}

/* A segment of data, or one whose checksum is wrong and which is sent again. */
static uint64_t count_segment(bool broken)
{
	uint8_t pkt[PEER_PACKET];
	uint64_t before, ticks;
	size_t len;

	len = peer_packet(&peer, pkt, TH_ACK, 0, peer.nxt, NULL, 0, PEER_MSS);
	if (broken) {
		pkt[20 + 16] ^= 0x55;
		peer.seq -= PEER_MSS;
	}
	before = __rdtsc();
	CHECK_EQ(write(peer.tun, pkt, len), (ssize_t)len);
	ticks = __rdtsc() - before;
	return ticks;
}

static uint64_t count_read(void)
{
	static char buf[2 * PEER_MSS];
	uint64_t before, ticks;

	before = __rdtsc();
	CHECK_EQ(recv(peer.sock, buf, sizeof(buf), 0), (ssize_t)sizeof(buf));
	ticks = __rdtsc() - before;
	return ticks;
}

/* Instructions per segment of ANSWERS answers. */
static double segments(enum expects expects)
{
	static uint64_t good[ANSWERS * SEGMENTS / 2], bad[ANSWERS];
	size_t n = 0;
	int i, k;

	peer_open(&peer, "cubic", false, NULL);
	if (expects == OTHER) {
		other = connected(AF_INET, "cubic", "cubic");
		CHECK_OK(expect(other.client, 0, D2TCP_F_STANDING));
		peer_write(&(struct peer){ .sock = other.client }, 1);
	}
	if (expects == UNKNOWN)
		CHECK_OK(expect(peer.sock, 0, D2TCP_F_STANDING));
	for (i = 0; i < ANSWERS; i++) {
		if (expects == KNOWN)
			CHECK_OK(expect(peer.sock, SEGMENTS * PEER_MSS, 0));
		peer_write(&peer, 1);
		peer_drain(&peer);
		bad[i] = count_segment(true);
		for (k = 0; k < SEGMENTS; k += 2) {
			good[n] = count_segment(false);
			good[n] += count_segment(false);
			good[n++] += count_read();
		}
		peer_drain(&peer);
		peer.first = peer.count = 0;
	}
	peer_close(&peer);
	if (expects == OTHER)
		close_pair(&other);
	return mean(good, n, UPPER) / 2 - mean(bad, ANSWERS, UPPER);
}

int main(void)
{
	static const struct {
		const char *name;
		enum expects expects;
	} row[] = {
		{ "no socket expects", NONE },
		{ "another socket of the namespace expects", OTHER },
		{ "expects, length known", KNOWN },
		{ "expects, length unknown", UNKNOWN },
	};
	double base;
	int i;

	if (setjmp(test_end)) {
		fflush(stdout);
		return 1;
	}
	(void)run_tests;
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!counts_instructions()) {
		fprintf(stderr, "segments: the time stamp counter does not count instructions here\n");
		return 1;
	}
	first_net();
	sh("! grep -q '^tcp_d2tcp ' /proc/modules || rmmod tcp_d2tcp");
	base = segments(NONE);
	printf("\nInstructions per received segment, over %d segments in answers of %d, reading and ACKs included:\n\n",
	       ANSWERS * SEGMENTS, SEGMENTS);
	printf("| socket | receive path | ratio to the kernel without the module |\n");
	printf("|---|---|---|\n");
	printf("| without the module | %.0f | 1.0000 |\n", base);
	sh("modprobe tcp_d2tcp expect=1");
	for (i = 0; i < 4; i++) {
		double n = segments(row[i].expects);

		printf("| %s | %.0f | %.4f |\n", row[i].name, n, n / base);
	}
	return 0;
}
