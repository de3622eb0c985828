// SPDX-License-Identifier: GPL-2.0
/*
 * Flows that claim deadlines, honestly or not, for make bench-greedy.
 *
 *	greedy receive ADDR PORT FLOWS SECONDS
 *	greedy send ADDR PORT BYTES CLAIM
 *
 * receive takes FLOWS connections, waits a second for them to settle, counts for
 * SECONDS, and prints a line for each: address and bytes. send writes messages of
 * BYTES back to back, for ever. CLAIM is
 *
 *	none		no deadline
 *	us=N		each message is due N microseconds after its first byte
 *			is written
 *	us=N,bytes=M	and is said to be of M bytes
 *
 * A deadline that has passed makes nobody urgent, so whoever wants to be claims
 * one that is always near, by arming for each small piece that he writes.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <d2tcp.h>

#define MOST	64

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static unsigned long long now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static int d2tcp_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, D2TCP_NAME,
				 strlen(D2TCP_NAME)))
		die("a d2tcp socket");
	return fd;
}

static struct sockaddr_in address(const char *ip, const char *port)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET, .sin_port = htons((in_port_t)atoi(port)),
	};

	if (inet_pton(AF_INET, ip, &a.sin_addr) != 1) {
		fprintf(stderr, "greedy: '%s' is no IPv4 address\n", ip);
		exit(2);
	}
	return a;
}

static int receive(char **argv)
{
	struct sockaddr_in a = address(argv[0], argv[1]), peer[MOST];
	unsigned long long count[MOST] = { 0 }, from, until;
	int flows = atoi(argv[2]), one = 1, fd, i;
	struct pollfd pfd[MOST];
	static char buf[1 << 20];
	socklen_t len;
	ssize_t n;

	if (flows < 1 || flows > MOST) {
		fprintf(stderr, "greedy: 1 to %d flows\n", MOST);
		return 2;
	}
	fd = d2tcp_socket();
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, MOST))
		die("listen");
	printf("ready\n");
	fflush(stdout);
	for (i = 0; i < flows; i++) {
		len = sizeof(peer[i]);
		pfd[i].fd = accept(fd, (struct sockaddr *)&peer[i], &len);
		if (pfd[i].fd < 0)
			die("accept");
		pfd[i].events = POLLIN;
	}
	from = now_ns() + 1000000000ull;
	until = from + atoi(argv[3]) * 1000000000ull;
	while (now_ns() < until) {
		poll(pfd, flows, 100);
		for (i = 0; i < flows; i++) {
			if (!pfd[i].revents)
				continue;
			n = recv(pfd[i].fd, buf, sizeof(buf), MSG_DONTWAIT);
			if (n <= 0)
				die("recv");
			if (now_ns() >= from)
				count[i] += n;
		}
	}
	for (i = 0; i < flows; i++)
		printf("%s %llu\n", inet_ntoa(peer[i].sin_addr), count[i]);
	return 0;
}

static int send_for_ever(char **argv)
{
	struct sockaddr_in a = address(argv[0], argv[1]);
	unsigned long long us = 0, claimed = 0;
	size_t bytes = strtoul(argv[2], NULL, 10), sent;
	struct d2tcp_deadline dl = { .flags = D2TCP_F_RELATIVE };
	char *buf;
	ssize_t n;
	int fd;

	if (strcmp(argv[3], "none") &&
	    sscanf(argv[3], "us=%llu,bytes=%llu", &us, &claimed) < 1) {
		fprintf(stderr, "greedy: a claim is none or us=N[,bytes=M]\n");
		return 2;
	}
	buf = calloc(1, bytes);
	fd = d2tcp_socket();
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)))
		die("connect");
	dl.deadline_ns = us * 1000;
	dl.bytes = claimed ? claimed : bytes;
	for (;;) {
		if (us && setsockopt(fd, SOL_IP, D2TCP_DEADLINE, &dl,
				     sizeof(dl)))
			die("D2TCP_DEADLINE");
		for (sent = 0; sent < bytes; sent += n) {
			n = send(fd, buf + sent, bytes - sent, MSG_NOSIGNAL);
			if (n < 0)
				return errno == ECONNRESET || errno == EPIPE ?
				       0 : 1;
		}
	}
}

int main(int argc, char **argv)
{
	if (argc == 6 && !strcmp(argv[1], "receive"))
		return receive(argv + 2);
	if (argc == 6 && !strcmp(argv[1], "send"))
		return send_for_ever(argv + 2);
	fprintf(stderr, "usage: greedy receive ADDR PORT FLOWS SECONDS\n"
		"       greedy send ADDR PORT BYTES none|us=N[,bytes=M]\n");
	return 2;
}
