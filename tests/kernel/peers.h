/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Several scripted TCP senders on one TUN device, to check a receiver from the
 * other end of the wire: the test decides which bytes a peer sends and which
 * packets it loses, and sees the windows that the receiver advertises.
 *
 *	socket under test i --- 10.1.0.1 --- tun0 --- peer i, 10.1.0.2:(100 + i)
 *
 * Every packet of a socket is checked: its TCP checksum, and that the right edge
 * of its window does not move back by a unit of the window scale or more (RFC
 * 7323, section 2.4, permits less than one).
 */
#ifndef PEERS_H
#define PEERS_H

#include "peer.h"
#include <linux/virtio_net.h>
#include <sys/syscall.h>

#define PEERS		6
#define PEERS_PORT	100
#define NS_PER_MS	1000000ull
#define NS_PER_US	1000ull

/* The link that the peers share in serve(): bytes per us, so 160 Mbit/s at first */
static uint64_t link_rate = 20;
#define LINK_RTT_US	200
/* Data of peers starts here, so that it soon wraps around. */
#define PEERS_ISS	0xfffe0000u

struct peer_flow {
	int sock;		/* the socket under test; -1: none */
	uint16_t port;		/* its port */
	uint16_t offered;	/* the MSS that it offered */
	int scale;		/* of its window */
	uint32_t mss;		/* bytes of the peer's segments */
	uint32_t seg;		/* bytes of a segment that fills the socket's MSS */
	bool timestamps;
	uint32_t ts_recent;
	uint32_t iss;		/* the peer's data starts here */
	uint32_t nxt;		/* next byte that the peer sends */
	uint32_t end;		/* one after the last byte queued by the peer */
	uint32_t una;		/* acknowledged by the socket */
	uint32_t edge;		/* the right edge as the peer knows it */
	uint32_t window;	/* of the last packet */
	uint32_t syn_window;	/* of the SYN, which is not scaled */
	uint32_t rcv;		/* next byte that the peer expects */
	uint32_t base;		/* if whole: start of the edge, see check_whole() */
	bool whole;
	bool silent;		/* it sends nothing for now */
	bool marked;		/* its packets pass a congested queue: CE */
	unsigned int echoes;	/* ACKs with ECE that it received */
	bool unread;		/* its program does not read, or is stuck */
	bool reset;		/* it sent or got a RST */
	bool fin;		/* it sent a FIN */
	bool closed;		/* it got a FIN */
	unsigned int packets;	/* that it received */
	unsigned int pure;	/* those without data, SYN, FIN or RST */
	unsigned int pure_before;	/* the last one with data */
	uint32_t data_room;	/* usable behind the last one with data */
	unsigned int lose;	/* how many of the next pure ones to lose */
	unsigned int lost;
	uint64_t news_ns;	/* when it could last send or was acknowledged */
};

/* Properties of a test's sockets and peers; 0 is the default. */
struct peers_shape {
	unsigned int mss;	/* of sockets and peers (1460) */
	unsigned int peer_mss;	/* of the peers, if less */
	int scale;		/* of the windows: 0 for the kernel's choice,
				 * NO_SCALE or 14
				 */
	int rcvbuf;		/* SO_RCVBUF; 0: not set, 1 MB at first */
	bool timestamps;
	bool ecn;		/* sockets and peers negotiate ECN, as under DCTCP */
	bool gro;		/* segments arrive merged, up to 64 KB */
	const char *device;	/* sockets are bound to it */
	uint32_t address;	/* sockets connect to it, if it is not the peers' */
};

#define NO_SCALE	-1

static struct {
	int tun;
	struct peers_shape shape;
	struct peer_flow flow[PEERS];
	uint32_t iss;		/* of the next connection */
	unsigned int history;	/* number of the random history, for messages */
	/* called by look(), if set: the queue of netfilter */
	bool (*pump)(void);
} net = { .tun = -1, .flow = { [0 ... PEERS - 1] = { .sock = -1 } } };

static inline bool seq_after(uint32_t a, uint32_t b)
{
	return seq_before(b, a);
}

/* Bytes that the peer may send now. */
static inline uint32_t usable(const struct peer_flow *f)
{
	return seq_after(f->edge, f->nxt) ? f->edge - f->nxt : 0;
}

/* Bytes that the peer has not sent yet. */
static inline uint32_t left(const struct peer_flow *f)
{
	return f->end - f->nxt;
}

static inline uint32_t unit(const struct peer_flow *f)
{
	return 1u << f->scale;
}

/* --- packets to the sockets ------------------------------------------------ */

static inline uint8_t *put16(uint8_t *at, uint32_t v)
{
	at[0] = v >> 8;
	at[1] = v;
	return at + 2;
}

static inline uint8_t *put32(uint8_t *at, uint32_t v)
{
	return put16(put16(at, v >> 16), v);
}

static inline uint32_t get16(const uint8_t *at)
{
	return at[0] << 8 | at[1];
}

static inline uint32_t get32(const uint8_t *at)
{
	return get16(at) << 16 | get16(at + 2);
}

static inline uint8_t *put_options(const struct peer_flow *f, uint8_t *opt,
				   uint16_t flags)
{
	if (flags & TH_SYN) {
		*opt++ = 2;
		*opt++ = 4;
		opt = put16(opt, f->mss);
		*opt++ = 1;
		*opt++ = 1;
		*opt++ = 4;
		*opt++ = 2;
		if (net.shape.scale != NO_SCALE) {
			memcpy(opt, "\1\3\3\7", 4);
			opt += 4;
		}
	}
	if (f->timestamps) {
		memcpy(opt, "\1\1\10\12", 4);
		opt = put32(opt + 4, 1 + clock_ns() / NS_PER_MS);
		opt = put32(opt, f->ts_recent);
	}
	return opt;
}

static inline uint32_t pseudo_sum(uint32_t from, uint32_t to, size_t len)
{
	return (from >> 16) + (from & 0xffff) + (to >> 16) + (to & 0xffff) +
	       IPPROTO_TCP + len;
}

#define PEERS_IP	0x0a010002u
#define SOCKS_IP	0x0a010001u

/* Sends any segment. One that is longer than the MSS is given to the stack as a merged
 * one, as GRO does.
 */
static inline void put(struct peer_flow *f, uint16_t flags, uint32_t seq,
		       uint32_t len)
{
	static uint8_t buf[10 + 65536];
	struct virtio_net_hdr *vh = (struct virtio_net_hdr *)buf;
	uint8_t *ip = buf + 10, *th = ip + 20, *opt;
	size_t tcp_len;
	uint32_t sum;

	memset(buf, 0, 10 + 100);
	opt = put_options(f, th + 20, flags);
	tcp_len = opt - th + len;
	CHECK(tcp_len <= 65515, "a packet of %zu bytes", tcp_len);
	memset(opt, 0, len);
	ip[0] = 0x45;
	ip[1] = f->marked ? 3 : net.shape.ecn ? 2 : 0;
	put16(ip + 2, 20 + tcp_len);
	ip[8] = 64;
	ip[9] = IPPROTO_TCP;
	put32(ip + 12, PEERS_IP);
	put32(ip + 16, SOCKS_IP);
	sum = fold(sum16(ip, 20, 0));
	memcpy(ip + 10, &sum, 2);
	put16(th, PEERS_PORT + (f - net.flow));
	put16(th + 2, f->port);
	put32(th + 4, seq);
	put32(th + 8, flags & TH_ACK ? f->rcv : 0);
	th[12] = (opt - th) / 4 << 4;
	th[13] = flags & 0xff;
	put16(th + 14, 0xffff);
	sum = pseudo_sum(PEERS_IP, SOCKS_IP, tcp_len);
	if (len > f->mss) {
		vh->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		vh->gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
		vh->gso_size = f->mss;
		vh->hdr_len = 20 + (opt - th);
		vh->csum_start = 20;
		vh->csum_offset = 16;
		sum = (uint16_t)~fold(sum);
	} else {
		sum = fold(sum16(th, tcp_len, sum));
	}
	memcpy(th + 16, &sum, 2);
	CHECK_EQ(write(net.tun, buf, 30 + tcp_len), (ssize_t)(30 + tcp_len));
}

/* Sends data and a flag from the peer's next byte on. */
static inline void put_next(struct peer_flow *f, uint16_t flags, uint32_t len)
{
	put(f, TH_ACK | flags, f->nxt, len);
	f->nxt += len + !!(flags & TH_FIN);
	f->fin |= !!(flags & TH_FIN);
}

/* --- packets from the sockets ---------------------------------------------- */

/* The edge must move by whole segments or to the end of the peer's data, apart from
 * the rounding to the window scale and the byte of a FIN. A segment may be smaller
 * than a step of the window scale.
 */
static inline void check_whole(const struct peer_flow *f)
{
	uint32_t open = f->edge - f->base;

	/* without a scale TCP's own window may end anywhere */
	CHECK(!seq_before(f->edge, f->end) || f->window == 65535 || open % f->seg <= unit(f),
	      "the window ends %u bytes into a segment of %u, %u before the end",
	      open % f->seg, f->seg, f->end - f->edge);
}

static inline void see_syn(struct peer_flow *f, const uint8_t *th, size_t head)
{
	const uint8_t *opt = th + 20, *end = th + head;

	f->port = get16(th);
	f->rcv = get32(th + 4) + 1;
	f->syn_window = get16(th + 14);
	f->scale = 0;
	f->offered = 536;
	while (opt < end && *opt) {
		if (*opt == 2)
			f->offered = get16(opt + 2);
		else if (*opt == 3 && net.shape.scale != NO_SCALE)
			f->scale = opt[2];
		opt += *opt == 1 ? 1 : opt[1];
	}
}

static inline void see_window(struct peer_flow *f, const uint8_t *th)
{
	const uint32_t ack = get32(th + 8);
	const uint32_t window = get16(th + 14) << f->scale;

	f->window = window;
	CHECK(seq_after(ack + window, f->edge - unit(f)),
	      "history %u, flow %td: the edge went back by %d, unit %u",
	      net.history, f - net.flow, (int)(f->edge - ack - window), unit(f));
	if (seq_after(ack, f->una)) {
		f->una = ack;
		f->news_ns = clock_ns();
	}
	if (seq_after(ack + window, f->edge)) {
		f->edge = ack + window;
		if (f->whole)
			check_whole(f);
	}
}

static inline void see_packet(const uint8_t *ip, size_t n)
{
	const uint8_t *th = ip + 20;
	struct peer_flow *f;
	uint32_t len, end;
	size_t head;

	if (n < 40 || ip[0] != 0x45 || ip[9] != IPPROTO_TCP)
		return;
	f = net.flow + get16(th + 2) - PEERS_PORT;
	if (f < net.flow || f >= net.flow + PEERS)
		return;
	CHECK_EQ(fold(sum16(th, n - 20, pseudo_sum(get32(ip + 12),
						   get32(ip + 16), n - 20))), 0);
	head = th[12] >> 4 << 2;
	len = n - 20 - head;
	f->packets++;
	if (th[13] & TH_SYN) {
		see_syn(f, th, head);
		return;
	}
	/* of a connection that was disconnected */
	if (get16(th) != f->port)
		return;
	if (th[13] & TH_RST) {
		f->reset = true;
		return;
	}
	f->echoes += !!(th[13] & TH_ECE);
	if (!len && !(th[13] & TH_FIN)) {
		f->pure++;
		if (f->lose) {
			f->lose--;
			f->lost++;
			return;
		}
	}
	f->closed |= !!(th[13] & TH_FIN);
	f->ts_recent = timestamp_of(th, head, f->ts_recent);
	end = get32(th + 4) + len + !!(th[13] & TH_FIN);
	if (seq_after(end, f->rcv))
		f->rcv = end;
	see_window(f, th);
	if (len) {
		f->pure_before = f->pure;
		f->data_room = usable(f);
	}
}

/* Reads and checks all packets that the sockets have sent so far. */
static inline void look(void)
{
	static uint8_t buf[10 + 65536];
	struct pollfd pfd = { .fd = net.tun, .events = POLLIN };
	ssize_t n;

	for (;;) {
		while (net.pump && net.pump())
			;
		if (poll(&pfd, 1, 0) <= 0) {
			/* the stack gets a moment to send more */
			sleep_us(20);
			while (net.pump && net.pump())
				;
			if (poll(&pfd, 1, 0) <= 0)
				return;
		}
		n = read(net.tun, buf, sizeof(buf));
		CHECK(n >= 10, "tun0: %s", strerror(errno));
		see_packet(buf + 10, n - 10);
	}
}

/* --- the network ------------------------------------------------------------ */

static inline void if_ioctl(unsigned long request, struct ifreq *ifr)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	strcpy(ifr->ifr_name, "tun0");
	CHECK_OK(ioctl(fd, request, ifr));
	close(fd);
}

static inline void if_address(unsigned long request, uint32_t address)
{
	struct ifreq ifr = { 0 };
	struct sockaddr_in in = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(address),
	};

	memcpy(&ifr.ifr_addr, &in, sizeof(in));
	if_ioctl(request, &ifr);
}

static inline void close_flow(struct peer_flow *f)
{
	const struct linger now = { .l_onoff = 1 };

	if (f->sock < 0)
		return;
	setsockopt(f->sock, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(f->sock);
	f->sock = -1;
}

static inline void close_peers(void)
{
	int i;

	for (i = 0; i < PEERS; i++)
		close_flow(&net.flow[i]);
	if (net.tun >= 0)
		close(net.tun);
	net.tun = -1;
	net.pump = NULL;
}

/* Opens a new namespace with the TUN device. Closes the flows of a failed test. */
static inline void open_net(const struct peers_shape *shape)
{
	struct ifreq ifr = { .ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR };
	const struct peers_shape usual = { 0 };

	close_peers();
	fresh_net();
	net.shape = shape ? *shape : usual;
	net.iss = PEERS_ISS;
	net.history = 0;
	link_rate = 20;
	if (!net.shape.mss)
		net.shape.mss = 1460;
	net.tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	CHECK(net.tun >= 0, "/dev/net/tun: %s", strerror(errno));
	strcpy(ifr.ifr_name, "tun0");
	CHECK_OK(ioctl(net.tun, TUNSETIFF, &ifr));
	/* smaller ones are set by TCP_MAXSEG: routes do not go below 256 */
	ifr.ifr_mtu = net.shape.mss < 500 ? 1500 : net.shape.mss + 40;
	if_ioctl(SIOCSIFMTU, &ifr);
	ifr.ifr_qlen = 10000;
	if_ioctl(SIOCSIFTXQLEN, &ifr);
	if_address(SIOCSIFADDR, SOCKS_IP);
	if_address(SIOCSIFNETMASK, 0xffffff00);
	ifr.ifr_flags = IFF_UP;
	if_ioctl(SIOCSIFFLAGS, &ifr);
	sysctl_net("tcp_rmem", net.shape.scale == 14 ?
		   "4096 1048576 1073741824" : "4096 1048576 16777216");
	sysctl_net("tcp_timestamps", net.shape.timestamps ? "1" : "0");
	/* every probe is answered at once */
	sysctl_net("tcp_invalid_ratelimit", "0");
	net.pump = NULL;
}

/* Sends the SYN of a socket and reads it. */
static inline void start_flow(struct peer_flow *f)
{
	struct address a = { .len = sizeof(a.in) };
	int i = f - net.flow, fd = f->sock;

	memset(f, 0, sizeof(*f));
	f->sock = fd;
	a.in.sin_family = AF_INET;
	a.in.sin_port = htons(PEERS_PORT + i);
	a.in.sin_addr.s_addr = htonl(net.shape.address ?: PEERS_IP);
	fcntl(f->sock, F_SETFL, O_NONBLOCK);
	CHECK_ERRNO(connect(f->sock, &a.sa, a.len), EINPROGRESS);
	look();
	CHECK(f->packets == 1 && f->port, "no SYN of flow %d", i);
}

/* Completes the handshake. */
static inline void answer_flow(struct peer_flow *f)
{
	const uint32_t timestamp = net.shape.timestamps ? 12 : 0;

	f->timestamps = net.shape.timestamps;
	f->mss = net.shape.peer_mss ?: net.shape.mss;
	f->iss = net.iss;
	f->nxt = f->iss;
	f->una = f->nxt;
	f->edge = f->nxt + f->syn_window;
	f->end = f->nxt;
	sleep_us(LINK_RTT_US);
	put(f, TH_SYN | TH_ACK | (net.shape.ecn ? TH_ECE : 0), f->nxt - 1, 0);
	f->mss -= timestamp;
	f->seg = f->offered - timestamp;
	look();
	CHECK(f->pure, "no ACK of the handshake of flow %td", f - net.flow);
	f->news_ns = clock_ns();
}

static inline int flow_socket(void)
{
	int fd = tcp_socket(AF_INET, net.shape.ecn ? "dctcp" : "cubic");
	int v = net.shape.mss;

	if (v < 500)
		CHECK_OK(setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &v, sizeof(v)));
	v = net.shape.rcvbuf;
	if (v)
		CHECK_OK(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &v, sizeof(v)));
	if (net.shape.device)
		CHECK_OK(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE,
				    net.shape.device,
				    strlen(net.shape.device)));
	return fd;
}

static inline struct peer_flow *open_flow(int i)
{
	struct peer_flow *f = &net.flow[i];

	f->sock = flow_socket();
	start_flow(f);
	answer_flow(f);
	return f;
}

/* --- programs and peers ----------------------------------------------------- */

static inline int expect(int fd, uint64_t ns, uint64_t bytes)
{
	const struct d2tcp_deadline dl = {
		.deadline_ns = ns, .bytes = bytes, .flags = D2TCP_F_RELATIVE,
	};

	return setsockopt(fd, SOL_IP, D2TCP_EXPECT, &dl, sizeof(dl));
}

static inline int expect_nothing(int fd)
{
	const struct d2tcp_deadline none = { 0 };

	return setsockopt(fd, SOL_IP, D2TCP_EXPECT, &none, sizeof(none));
}

static inline void request(struct peer_flow *f)
{
	CHECK_EQ(send(f->sock, "?", 1, MSG_DONTWAIT), 1);
	look();
}

/* The program expects an answer and requests it, and the peer queues it. */
static inline void ask(struct peer_flow *f, uint64_t due_ns, uint32_t bytes)
{
	CHECK_OK(expect(f->sock, due_ns, bytes));
	f->end += bytes;
	request(f);
	f->news_ns = clock_ns();
}

/* The program reads all data; returns the number of bytes. */
static inline size_t take(struct peer_flow *f)
{
	size_t got = 0;
	ssize_t n;

	/* the data of TCP is discarded with MSG_TRUNC, and not copied */
	while ((n = recv(f->sock, NULL, 1 << 20, MSG_DONTWAIT | MSG_TRUNC)) > 0)
		got += n;
	return got;
}

static inline void take_all(void)
{
	int i;

	for (i = 0; i < PEERS; i++)
		if (net.flow[i].sock >= 0 && !net.flow[i].unread)
			take(&net.flow[i]);
}

/* Sends whole segments within the window, or the end of the data. Returns the number
 * of bytes sent, at most about @budget.
 */
static inline uint32_t send_some(struct peer_flow *f, uint32_t budget)
{
	uint32_t sent = 0, len, most;

	while (sent < budget && left(f)) {
		len = usable(f) < left(f) ? usable(f) / f->mss * f->mss : left(f);
		if (!len)
			break;
		most = net.shape.gro ? (budget - sent) / f->mss * f->mss : 0;
		if (most > 60000)
			most = 60000 / f->mss * f->mss;
		if (most < f->mss)
			most = f->mss;
		if (len > most)
			len = most;
		put_next(f, TH_ACK, len);
		sent += len;
	}
	return sent;
}

static inline bool done(const struct peer_flow *f)
{
	return !left(f) && f->una == f->nxt;
}

#endif /* PEERS_H */
