// SPDX-License-Identifier: GPL-2.0
/* d2tcp doctor: the settings and the sockets of a network namespace. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "doctor.h"

/* States of a socket, as the kernel numbers them. */
#define ESTABLISHED	1
#define LISTENING	10

/* A deadline below SHORTEST_US is shorter than a round trip, and one from LONGEST_US on
 * is too long for a data centre: both suggest a wrong unit.
 */
#define SHORTEST_US	100
#define LONGEST_US	10000000

struct tcp_socket {
	unsigned char family, state;
	char cong[16];
	uint32_t source[4], peer[4];
	uint16_t port, peer_port;
};

static struct tcp_socket *sockets;
static size_t count, listeners;	/* listeners come first in the array */

/* --- the sockets, by sock_diag ------------------------------------------------ */

static void add_socket(const struct nlmsghdr *header)
{
	const struct inet_diag_msg *msg = NLMSG_DATA(header);
	const struct rtattr *attr = (const void *)(msg + 1);
	int left = (int)(header->nlmsg_len - NLMSG_LENGTH(sizeof(*msg)));
	struct tcp_socket *s;

	sockets = realloc(sockets, (count + 1) * sizeof(*sockets));
	if (!sockets) {
		perror("d2tcp doctor");
		exit(1);
	}
	s = &sockets[count++];
	memset(s, 0, sizeof(*s));
	s->family = msg->idiag_family;
	s->state = msg->idiag_state;
	s->port = ntohs(msg->id.idiag_sport);
	s->peer_port = ntohs(msg->id.idiag_dport);
	memcpy(s->source, msg->id.idiag_src, sizeof(s->source));
	memcpy(s->peer, msg->id.idiag_dst, sizeof(s->peer));
	for (; RTA_OK(attr, left); attr = RTA_NEXT(attr, left))
		if (attr->rta_type == INET_DIAG_CONG)
			snprintf(s->cong, sizeof(s->cong), "%.*s",
				 (int)RTA_PAYLOAD(attr), (const char *)RTA_DATA(attr));
}

/* Reads the answers to a request; returns whether all of them came. */
static bool receive_all(int fd)
{
	static char buffer[1 << 16] __attribute__((aligned(NLMSG_ALIGNTO)));
	const struct nlmsghdr *header;
	ssize_t n;

	while ((n = recv(fd, buffer, sizeof(buffer), 0)) > 0)
		for (header = (const void *)buffer; NLMSG_OK(header, (size_t)n);
		     header = NLMSG_NEXT(header, n)) {
			if (header->nlmsg_type == NLMSG_DONE)
				return true;
			if (header->nlmsg_type == NLMSG_ERROR)
				return false;
			add_socket(header);
		}
	return false;
}

static bool read_sockets(int family, int state)
{
	struct {
		struct nlmsghdr header;
		struct inet_diag_req_v2 diag;
	} request = {
		.header = {
			.nlmsg_len = sizeof(request),
			.nlmsg_type = SOCK_DIAG_BY_FAMILY,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
		},
		.diag = {
			.sdiag_family = (unsigned char)family,
			.sdiag_protocol = IPPROTO_TCP,
			.idiag_ext = 1 << (INET_DIAG_CONG - 1),
			.idiag_states = 1u << state,
		},
	};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	bool done = fd >= 0 && send(fd, &request, sizeof(request), 0) ==
		(ssize_t)sizeof(request) && receive_all(fd);

	if (fd >= 0)
		close(fd);
	return done;
}

/* --- the checks ------------------------------------------------------------- */

static bool negotiates_ecn(const struct tcp_socket *listener)
{
	return !strcmp(listener->cong, "d2tcp") || !strcmp(listener->cong, "dctcp");
}

static bool any_address(const struct tcp_socket *s)
{
	static const uint32_t zero[4];

	return !memcmp(s->source, zero, sizeof(zero));
}

/* The listener that accepted a connection; NULL for an outgoing connection. A listener on
 * any IPv6 address usually accepts IPv4 too.
 */
static const struct tcp_socket *listener_of(const struct tcp_socket *s)
{
	size_t i;

	for (i = 0; i < listeners; i++)
		if (sockets[i].port == s->port &&
		    (any_address(&sockets[i]) ||
		     !memcmp(sockets[i].source, s->source, sizeof(s->source))))
			return &sockets[i];
	return NULL;
}

static void print_peer(const struct tcp_socket *s, char *text, size_t size)
{
	char address[INET6_ADDRSTRLEN] = "?";

	inet_ntop(s->family, s->peer, address, sizeof(address));
	snprintf(text, size, s->family == AF_INET6 ? "[%s]:%u" : "%s:%u", address,
		 s->peer_port);
}

/* Reports connections in the fallback, with one finding for each of two causes. A client
 * that does not request ECN is not a problem of this host: it may be a probe, or a host
 * that is not converted yet.
 */
static void check_fallback(const char *name, struct net_state *state)
{
	unsigned int accepted = 0, opened = 0;
	const struct tcp_socket *listener;
	char peer[80] = "", cong[16] = "";
	unsigned int port = 0;
	int routed = -1;	/* not known yet */
	size_t i;

	for (i = listeners; i < count; i++) {
		state->connections += !strncmp(sockets[i].cong, "d2tcp", 5);
		if (strcmp(sockets[i].cong, "d2tcp-reno"))
			continue;
		state->fallback++;
		listener = listener_of(&sockets[i]);
		if (!listener) {
			if (!opened++)
				print_peer(&sockets[i], peer, sizeof(peer));
		} else if (!negotiates_ecn(listener)) {
			if (routed < 0)
				routed = has_route();
			if (routed)
				continue;
			accepted++;
			port = listener->port;
			strcpy(cong, listener->cong);
		}
	}
	if (accepted)
		found("listener", name,
		      "select d2tcp on the listener before connections arrive, not on accepted sockets",
		      "%u accepted connections have no ECN, so deadlines have no effect: the listener on port %u is under %s",
		      accepted, port, cong);
	if (opened)
		found("peer", name,
		      "convert the peer first: its listeners must select d2tcp or dctcp, by a route with congctl or TCP_CONGESTION; if they do, a device on the path removes ECN",
		      "%u outgoing connections have no ECN, so deadlines have no effect; one is to %s",
		      opened, peer);
}

/* Listeners that were created before d2tcp became the default keep the congestion control
 * that they had.
 */
static void check_listeners(const char *name, const struct net_state *state)
{
	char ports[120] = "";
	size_t i, n = 0;

	for (i = 0; state->is_default && i < listeners; i++) {
		if (negotiates_ecn(&sockets[i]))
			continue;
		if (n++ < 5)
			snprintf(ports + strlen(ports), sizeof(ports) - strlen(ports),
				 "%s%u (%s)", *ports ? ", " : "", sockets[i].port,
				 sockets[i].cong);
	}
	if (n)
		found("listeners", name,
		      "restart the programs that listen there, unless they select it on purpose",
		      "d2tcp is the default, but %zu listeners are under another congestion control, which they got before that: port %s%s",
		      n, ports, n > 5 ? ", ..." : "");
}

bool has_route(void)
{
	FILE *f = popen("PATH=$PATH:/usr/sbin:/sbin; { ip route show table all; ip -6 route show table all; } 2>/dev/null", "r");
	char line[1024];
	bool has = false;

	while (f && fgets(line, sizeof(line), f))
		has |= strstr(line, "congctl d2tcp") || strstr(line, "congctl lock d2tcp");
	if (f)
		pclose(f);
	return has;
}

/* Reads a sysctl of microseconds; 0 if it does not exist. */
static long time_of(const char *key)
{
	char path[80], text[32];

	snprintf(path, sizeof(path), "/proc/sys/net/ipv4/d2tcp/%s", key);
	return read_line(path, text, sizeof(text)) ? atol(text) : 0;
}

/* Reports budgets and expectations that are probably in a wrong unit, and a budget below
 * the floor.
 */
static void check_times(const char *name, struct net_state *state)
{
	static const char *const keys[] = { "default_budget_us", "default_expect_us" };
	const long floor = time_of("min_budget_us");
	long us;
	size_t i;

	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		us = time_of(keys[i]);
		if (us && (us < SHORTEST_US || us >= LONGEST_US))
			found("unit", name, "it is in microseconds: 20 ms are 20000",
			      "net.ipv4.d2tcp.%s is %ld, which is %s", keys[i], us,
			      us < SHORTEST_US ? "shorter than a round trip" :
			      "ten seconds or more");
	}
	us = time_of(keys[0]);
	state->budget = us > 0;
	if (us && floor > us)
		found("floor", name,
		      "lower net.ipv4.d2tcp.min_budget_us, or raise the budget",
		      "net.ipv4.d2tcp.default_budget_us is %ld, below min_budget_us, %ld, which limits the urgency of every flow",
		      us, floor);
}

void check_network(const char *name, struct net_state *state)
{
	char text[64];

	snprintf(state->name, sizeof(state->name), "%s", name);
	count = 0;
	/* reading those of IPv6 fails on a kernel without IPv6 */
	if (!read_sockets(AF_INET, LISTENING))
		found("sockets", name, "load the kernel's module inet_diag (tcp_diag)",
		      "the sockets could not be listed");
	read_sockets(AF_INET6, LISTENING);
	listeners = count;
	read_sockets(AF_INET, ESTABLISHED);
	read_sockets(AF_INET6, ESTABLISHED);
	state->sockets = (unsigned int)count;
	read_line("/proc/sys/net/ipv4/tcp_congestion_control", text, sizeof(text));
	state->is_default = !strcmp(text, "d2tcp");
	check_listeners(name, state);
	check_fallback(name, state);
	check_times(name, state);
}
