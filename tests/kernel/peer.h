/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A scripted TCP peer on a TUN device: the test decides for each packet which
 * data it acknowledges, and whether it carries ECE or CE.
 *
 *	socket under test --- 10.1.0.1 --- tun0 --- this file, 10.1.0.2:7
 *
 * Segments have PEER_MSS bytes. SACK and timestamps are used only if the test
 * wants them.
 */
#ifndef PEER_H
#define PEER_H

#include "kernel.h"
#include <linux/if_tun.h>
#include <netinet/ip.h>

#define PEER_MSS	1000
#define PEER_PORT	7
#define PEER_BACKLOG	4096

/* Flags of the TCP header's 14th byte; <linux/tcp.h> has them as a bit field */
#define TH_FIN	0x01
#define TH_SYN	0x02
#define TH_RST	0x04
#define TH_ACK	0x10
#define TH_ECE	0x40
#define TH_CWR	0x80
#define TH_AE	0x100		/* of AccECN: the last bit of the 13th byte */

struct segment {
	uint32_t seq, len, ack;
	uint16_t flags;
	uint8_t ecn;		/* the two bits of the IP header */
};

struct peer {
	int tun, sock;
	uint16_t port;		/* port of the socket under test */
	uint32_t iss;		/* initial sequence number of the socket */
	uint32_t nxt;		/* one after the highest byte it sent */
	uint32_t seq;		/* next sequence number of the peer */
	uint16_t window;	/* offered by the peer, in 128 bytes */
	uint16_t syn_flags;	/* flags of the socket's SYN */
	bool timestamps;	/* the peer sends them, from its SYN-ACK on */
	uint32_t ts_recent;	/* last timestamp of the socket */
	struct segment in[PEER_BACKLOG];	/* read from tun0, in order */
	unsigned int first, count;
};

static inline bool seq_before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

static inline uint32_t sum16(const void *data, size_t len, uint32_t sum)
{
	const uint8_t *p = data;
	size_t i;

	for (i = 0; i < len; i++)
		sum += i & 1 ? p[i] : p[i] << 8;
	return sum;
}

static inline uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons(~sum & 0xffff);
}

#define PEER_PACKET	(60 + 60 + PEER_MSS)

/* Builds the next packet to the socket under test, of at most PEER_PACKET
 * bytes, and returns its length. sack has n pairs of sequence numbers.
 */
static inline size_t peer_packet(struct peer *p, uint8_t *pkt, uint16_t flags,
				 uint8_t ecn, uint32_t ack,
				 const uint32_t *sack, unsigned int n,
				 uint32_t len)
{
	struct iphdr *ip = (struct iphdr *)pkt;
	uint8_t *th = pkt + 20, *opt = th + 20;
	uint32_t pseudo, v;
	uint16_t sum;
	unsigned int i;
	size_t tcp_len;

	memset(pkt, 0, PEER_PACKET);
	if (flags & TH_SYN) {
		/* MSS, SACK permitted, window scale 7 */
		static const uint8_t syn[] = {
			2, 4, PEER_MSS >> 8, PEER_MSS & 0xff, 1, 1, 4, 2,
			1, 3, 3, 7,
		};

		memcpy(opt, syn, sizeof(syn));
		opt += sizeof(syn);
	}
	if (p->timestamps) {
		const uint32_t val = htonl(1 + clock_ns() / 1000000);

		v = htonl(p->ts_recent);
		memcpy(opt, "\1\1\10\12", 4);
		memcpy(opt + 4, &val, 4);
		memcpy(opt + 8, &v, 4);
		opt += 12;
	}
	if (n) {
		*opt++ = 1;
		*opt++ = 1;
		*opt++ = 5;
		*opt++ = 2 + 8 * n;
		for (i = 0; i < 2 * n; i++) {
			v = htonl(sack[i]);
			memcpy(opt, &v, 4);
			opt += 4;
		}
	}
	tcp_len = opt - th + len;
	ip->version = 4;
	ip->ihl = 5;
	ip->tos = ecn;
	ip->tot_len = htons(20 + tcp_len);
	ip->ttl = 64;
	ip->protocol = IPPROTO_TCP;
	ip->saddr = htonl(0x0a010002);
	ip->daddr = htonl(0x0a010001);
	ip->check = fold(sum16(ip, 20, 0));
	v = htons(PEER_PORT);
	memcpy(th, &v, 2);
	v = htons(p->port);
	memcpy(th + 2, &v, 2);
	v = htonl(p->seq);
	memcpy(th + 4, &v, 4);
	v = htonl(ack);
	memcpy(th + 8, &v, 4);
	th[12] = (opt - th) / 4 << 4 | flags >> 8;
	th[13] = flags & 0xff;
	th[14] = p->window >> 8;
	th[15] = p->window & 0xff;
	pseudo = sum16(&ip->saddr, 8, IPPROTO_TCP + tcp_len);
	sum = fold(sum16(th, tcp_len, pseudo));
	memcpy(th + 16, &sum, 2);
	p->seq += len + !!(flags & (TH_SYN | TH_FIN));
	return 20 + tcp_len;
}

/* Sends one packet to the socket under test. */
static inline void peer_send(struct peer *p, uint16_t flags, uint8_t ecn,
			     uint32_t ack, const uint32_t *sack, unsigned int n,
			     uint32_t len)
{
	uint8_t pkt[PEER_PACKET];
	size_t size = peer_packet(p, pkt, flags, ecn, ack, sack, n, len);

	CHECK_EQ(write(p->tun, pkt, size), (ssize_t)size);
}

/* The timestamp in the options of a TCP header, or last if there is none. */
static inline uint32_t timestamp_of(const uint8_t *th, size_t head,
				    uint32_t last)
{
	const uint8_t *opt = th + 20, *end = th + head;
	uint32_t v;

	while (opt < end && *opt) {
		if (*opt == 8) {
			memcpy(&v, opt + 2, 4);
			return ntohl(v);
		}
		opt += *opt == 1 ? 1 : opt[1] ? opt[1] : 40;
	}
	return last;
}

/* Reads all packets that the socket has sent so far. */
static inline void peer_drain(struct peer *p)
{
	uint8_t pkt[2048], *th;
	struct pollfd pfd = { .fd = p->tun, .events = POLLIN };
	struct segment s;
	uint32_t v, head;
	uint16_t port;
	ssize_t n;

	/* after the last read the stack gets a moment to send more */
	while (poll(&pfd, 1, 0) > 0 || (sleep_us(20), poll(&pfd, 1, 0)) > 0) {
		n = read(p->tun, pkt, sizeof(pkt));
		if (n < 40 || pkt[0] != 0x45 || pkt[9] != IPPROTO_TCP)
			continue;
		th = pkt + 20;
		memcpy(&port, th + 2, 2);
		if (ntohs(port) != PEER_PORT)
			continue;
		memcpy(&port, th, 2);
		p->port = ntohs(port);
		memcpy(&v, th + 4, 4);
		s.seq = ntohl(v);
		memcpy(&v, th + 8, 4);
		s.ack = ntohl(v);
		head = th[12] >> 4 << 2;
		s.len = n - 20 - head;
		p->ts_recent = timestamp_of(th, head, p->ts_recent);
		s.flags = th[13] | (th[12] & 1) << 8;
		s.ecn = pkt[1] & 3;
		if (s.len && seq_before(p->nxt, s.seq + s.len))
			p->nxt = s.seq + s.len;
		CHECK(p->count < PEER_BACKLOG, "too many packets unread");
		p->in[(p->first + p->count++) % PEER_BACKLOG] = s;
	}
}

static inline bool peer_next(struct peer *p, struct segment *s)
{
	peer_drain(p);
	if (!p->count)
		return false;
	*s = p->in[p->first];
	p->first = (p->first + 1) % PEER_BACKLOG;
	p->count--;
	return true;
}

/* The next segment with data. */
static inline bool peer_data(struct peer *p, struct segment *s)
{
	while (peer_next(p, s))
		if (s->len)
			return true;
	return false;
}

static inline void peer_ack(struct peer *p, uint32_t ack, bool ece)
{
	peer_send(p, TH_ACK | (ece ? TH_ECE : 0), 0, ack, NULL, 0, 0);
	peer_drain(p);
}

static inline void tun_up(struct peer *p)
{
	struct ifreq ifr = { .ifr_flags = IFF_TUN | IFF_NO_PI };

	strcpy(ifr.ifr_name, "tun0");
	p->tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	CHECK(p->tun >= 0, "/dev/net/tun: %s", strerror(errno));
	CHECK_OK(ioctl(p->tun, TUNSETIFF, &ifr));
	sh("ip addr add 10.1.0.1/24 dev tun0 && "
	   "ip link set tun0 up txqueuelen 10000 gso_max_segs 1");
}

/* Creates a socket under cc and lets it send its SYN to the peer. early() is
 * called on the socket before that.
 */
static inline void peer_start(struct peer *p, const char *cc,
			      void (*early)(int fd))
{
	struct address a = { .len = sizeof(a.in) };
	int size = 64 << 20;
	struct segment s;

	memset(p, 0, sizeof(*p));
	fresh_net();
	tun_up(p);
	/* No tail loss probes: on a slow guest a slow script would look like a
	 * loss.
	 */
	sysctl_net("tcp_early_retrans", "0");
	p->sock = tcp_socket(AF_INET, cc);
	CHECK_OK(setsockopt(p->sock, SOL_SOCKET, SO_SNDBUFFORCE, &size,
			    sizeof(size)));
	if (early)
		early(p->sock);
	a.in.sin_family = AF_INET;
	a.in.sin_port = htons(PEER_PORT);
	a.in.sin_addr.s_addr = htonl(0x0a010002);
	fcntl(p->sock, F_SETFL, O_NONBLOCK);
	CHECK_ERRNO(connect(p->sock, &a.sa, a.len), EINPROGRESS);
	CHECK(peer_next(p, &s) && s.flags & TH_SYN, "no SYN");
	/* AccECN is offered only where a sysctl enables it */
	if (!strcmp(cc, "d2tcp") || !strcmp(cc, "dctcp"))
		CHECK_EQ(s.flags & ~TH_AE, TH_SYN | TH_ECE | TH_CWR);
	p->syn_flags = s.flags;
	p->iss = s.seq;
	p->nxt = s.seq + 1;
	p->seq = 1000;
	p->window = 0xffff;
}

/* Completes the handshake, with or without ECN. */
static inline void peer_answer(struct peer *p, bool ecn)
{
	struct segment s;

	peer_send(p, TH_SYN | TH_ACK | (ecn ? TH_ECE : 0), 0, p->iss + 1, NULL,
		  0, 0);
	CHECK(peer_next(p, &s) && s.flags == TH_ACK, "no ACK of the handshake");
}

static inline void peer_open(struct peer *p, const char *cc, bool ecn,
			     void (*early)(int fd))
{
	peer_start(p, cc, early);
	peer_answer(p, ecn);
}

static inline void peer_close(struct peer *p)
{
	const struct linger now = { .l_onoff = 1 };

	/* close with a reset: the peer would not acknowledge queued data */
	setsockopt(p->sock, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(p->sock);
	close(p->tun);
}

/* Queues n bytes on the socket, without blocking whatever the window is. */
static inline void peer_write(struct peer *p, size_t n)
{
	char *buf = calloc(1, n);

	CHECK_EQ(send(p->sock, buf, n, MSG_DONTWAIT), (ssize_t)n);
	free(buf);
}

#endif /* PEER_H */
