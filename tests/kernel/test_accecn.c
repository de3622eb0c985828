// SPDX-License-Identifier: GPL-2.0
/*
 * ECN negotiated with peers that support Accurate ECN (AccECN) and with peers
 * that do not: the law must count the marks that the peer saw.
 *
 * The negotiation uses three bits of the TCP header, AE, CWR and ECE. On a SYN,
 * 011 offers classic ECN (RFC 3168), and 111 offers AccECN too. The answer 001
 * is classic ECN; an AccECN answer reports how the SYN arrived. From then on
 * AccECN counts the packets with CE in the three bits, starting at 5.
 *
 * Linux has AccECN since 7.0. Its default, net.ipv4.tcp_ecn = 2, is to answer
 * with classic ECN; from 3 on it negotiates AccECN.
 */
#include "kernel.h"
#include "peer.h"

#define BITS	(TH_AE | TH_CWR | TH_ECE)

static struct peer peer;
static const char *tcp_ecn;

static bool has_accecn(void)
{
	bool has;

	fresh_net();
	has = !write_file("/proc/sys/net/ipv4/tcp_ecn", "3");
	return has;
}

static void set_ecn(int fd)
{
	(void)fd;
	sysctl_net("tcp_ecn", tcp_ecn);
}

/* The bits by which AccECN reports that a SYN or SYN-ACK arrived with ECT(0),
 * or without ECT. A false report looks like a path that clears ECT, and the
 * sender then stops using it.
 */
static uint16_t came_as(uint8_t ecn)
{
	return ecn == 2 ? TH_AE : TH_CWR;
}

/* The socket connects, and the peer's SYN-ACK carries these bits. */
static void client(const char *ecn, uint16_t answer)
{
	struct segment s;

	tcp_ecn = ecn;
	peer_start(&peer, "d2tcp", set_ecn);
	peer_send(&peer, TH_SYN | TH_ACK | answer, 0, peer.iss + 1, NULL, 0, 0);
	CHECK(peer_next(&peer, &s), "no ACK of the handshake");
}

/* The peer sends a SYN with these bits; returns the bits of the SYN-ACK. */
static uint16_t server(const char *ecn, uint16_t offer, int *fd)
{
	struct address a = { .len = sizeof(a.in) };
	int listener, size = 64 << 20;
	struct segment s;

	memset(&peer, 0, sizeof(peer));
	fresh_net();
	tun_up(&peer);
	sysctl_net("tcp_ecn", ecn);
	sysctl_net("tcp_early_retrans", "0");
	listener = tcp_socket(AF_INET, "d2tcp");
	a.in.sin_family = AF_INET;
	a.in.sin_port = htons(99);
	a.in.sin_addr.s_addr = htonl(0x0a010001);
	CHECK_OK(bind(listener, &a.sa, a.len));
	CHECK_OK(listen(listener, 5));
	peer.port = 99;
	peer.seq = 1000;
	peer.window = 0xffff;
	peer_send(&peer, TH_SYN | offer, 0, 0, NULL, 0, 0);
	CHECK(peer_next(&peer, &s) && s.flags & TH_SYN, "no SYN-ACK");
	peer.iss = s.seq;
	peer.nxt = s.seq + 1;
	/* with AccECN the third packet reports how the SYN-ACK arrived */
	peer_send(&peer, TH_ACK | (s.flags & (TH_AE | TH_CWR) ? came_as(s.ecn) :
				   0), 0, peer.nxt, NULL, 0, 0);
	sleep_us(1000);
	*fd = accept(listener, NULL, NULL);
	CHECK(*fd >= 0, "accept: %s", strerror(errno));
	CHECK_OK(setsockopt(*fd, SOL_SOCKET, SO_SNDBUFFORCE, &size,
			    sizeof(size)));
	fcntl(*fd, F_SETFL, O_NONBLOCK);
	peer.sock = *fd;
	close(listener);
	return s.flags & BITS;
}

/* Acknowledges 30 round trips with every fourth packet marked; returns the
 * resulting alpha.
 */
static uint32_t alpha_of_a_quarter(bool accecn)
{
	unsigned int trip, packets = 0, marked = 0, ace;
	struct segment s;
	uint32_t end;
	uint16_t bits;

	peer_write(&peer, 400000);
	for (trip = 0; trip < 30; trip++) {
		peer_drain(&peer);
		sleep_us(1000);
		end = peer.nxt;
		while (peer.count && seq_before(peer.in[peer.first].seq, end)) {
			if (!peer_data(&peer, &s))
				break;
			CHECK_EQ(s.ecn, 2);
			bits = 0;
			if (packets++ % 4 == 0) {
				marked++;
				bits = TH_ECE;
			}
			ace = (5 + marked) & 7;
			if (accecn)
				bits = (ace & 4 ? TH_AE : 0) |
				       (ace & 2 ? TH_CWR : 0) |
				       (ace & 1 ? TH_ECE : 0);
			peer_send(&peer, TH_ACK | bits, 0, s.seq + s.len, NULL,
				  0, 0);
			peer_drain(&peer);
		}
	}
	CHECK(packets > 40 && marked >= packets / 4, "%u of %u", marked,
	      packets);
	CHECK_EQ(tcp_info(peer.sock).tcpi_delivered_ce, marked);
	return get_info(peer.sock).alpha;
}

TEST(a peer that offers AccECN gets classic ECN by default)
{
	static const uint16_t offer[] = { TH_CWR | TH_ECE, BITS };
	uint32_t alpha[2];
	int i, fd;

	for (i = 0; i < 2; i++) {
		CHECK_EQ(server("2", offer[i], &fd), TH_ECE);
		CHECK_EQ(get_info(fd).flags, D2TCP_INFO_ECN);
		alpha[i] = alpha_of_a_quarter(false);
		peer_close(&peer);
	}
	CHECK_EQ(alpha[0], alpha[1]);
}

TEST(by default a client offers classic ECN and uses it if the peer does)
{
	client("2", TH_ECE);
	CHECK_EQ(peer.syn_flags & BITS, TH_CWR | TH_ECE);
	CHECK_EQ(get_info(peer.sock).flags, D2TCP_INFO_ECN);
	peer_close(&peer);
	client("2", 0);
	CHECK_EQ(get_info(peer.sock).flags, D2TCP_INFO_FALLBACK);
	peer_close(&peer);
}

TEST(with AccECN the law counts the same marks as with classic ECN)
{
	uint32_t classic, accurate;
	int fd;

	if (!has_accecn())
		SKIP("this kernel has no AccECN");
	client("2", TH_ECE);
	classic = alpha_of_a_quarter(false);
	peer_close(&peer);
	/* offered, and accepted; d2tcp's SYN is ECT(0), like dctcp's */
	client("3", came_as(2));
	CHECK_EQ(peer.syn_flags & BITS, BITS);
	CHECK_EQ(get_info(peer.sock).flags, D2TCP_INFO_ECN);
	accurate = alpha_of_a_quarter(true);
	peer_close(&peer);
	CHECK_EQ(accurate, classic);
	/* offered, and the peer supports only classic ECN, or none */
	client("3", TH_ECE);
	CHECK_EQ(get_info(peer.sock).flags, D2TCP_INFO_ECN);
	CHECK_EQ(alpha_of_a_quarter(false), classic);
	peer_close(&peer);
	client("3", 0);
	CHECK_EQ(get_info(peer.sock).flags, D2TCP_INFO_FALLBACK);
	peer_close(&peer);
	/* the same as a server */
	CHECK_EQ(server("3", BITS, &fd), TH_CWR);
	CHECK_EQ(get_info(fd).flags, D2TCP_INFO_ECN);
	CHECK_EQ(alpha_of_a_quarter(true), classic);
	peer_close(&peer);
	CHECK_EQ(server("3", TH_CWR | TH_ECE, &fd), TH_ECE);
	CHECK_EQ(alpha_of_a_quarter(false), classic);
	peer_close(&peer);
}

/* The count of packets with CE is in the three bits, and ECE echoes nothing. */
TEST(with AccECN the receiver counts every packet with CE)
{
	struct segment s;
	char buf[PEER_MSS];
	unsigned int i, ce = 0, ace;
	int fd;

	if (!has_accecn())
		SKIP("this kernel has no AccECN");
	CHECK_EQ(server("3", BITS, &fd), TH_CWR);
	srand(1);
	for (i = 0; i < 200; i++) {
		bool marked = rand() % 3 == 0;

		peer_send(&peer, TH_ACK | TH_AE | TH_ECE, marked ? 3 : 2,
			  peer.nxt, NULL, 0, PEER_MSS);
		ce += marked;
		while (recv(fd, buf, sizeof(buf), 0) > 0)
			;
		/* after a delayed ACK the count is complete */
		if (i % 20 == 19)
			sleep_us(300000);
		ace = 8;
		while (peer_next(&peer, &s))
			ace = (s.flags & TH_AE ? 4 : 0) |
			      (s.flags & TH_CWR ? 2 : 0) |
			      (s.flags & TH_ECE ? 1 : 0);
		if (i % 20 == 19)
			CHECK(ace == 8 || ace == ((5 + ce) & 7),
			      "packet %u: %u, not %u", i, ace, (5 + ce) & 7);
	}
	CHECK(ce > 40, "%u", ce);
	peer_close(&peer);
}

int main(int argc, char **argv)
{
	if (system("modprobe tcp_d2tcp")) {
		printf("Bail out! modprobe tcp_d2tcp failed\n");
		return 1;
	}
	return run_tests(argc, argv);
}
