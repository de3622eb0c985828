// SPDX-License-Identifier: 0BSD
/*
 * Sends one message with a deadline, 100 KB over the loopback interface to
 * itself, and prints whether the deadline was met:
 *
 *	cc message.c -ld2tcp && ./a.out
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libd2tcp.h>

static void check(int result, const char *what)
{
	if (result == 0)
		return;
	fprintf(stderr, "%s: %s\n", what, d2tcp_strerror(errno));
	exit(1);
}

int main(void)
{
	static char message[100000], answer[100000];
	struct sockaddr_in sa = { .sin_family = AF_INET };
	socklen_t len = sizeof(sa);
	struct d2tcp_info info;
	int listener, from, to;

	/* Select it on both ends before the handshake, which negotiates ECN. */
	listener = socket(AF_INET, SOCK_STREAM, 0);
	check(d2tcp_enable(listener), "listener");
	from = socket(AF_INET, SOCK_STREAM, 0);
	check(d2tcp_enable(from), "sender");

	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(listener, (struct sockaddr *)&sa, sizeof(sa)) ||
	    listen(listener, 1) ||
	    getsockname(listener, (struct sockaddr *)&sa, &len) ||
	    connect(from, (struct sockaddr *)&sa, sizeof(sa)) ||
	    (to = accept(listener, NULL, NULL)) < 0) {
		perror("connecting");
		return 1;
	}

	/* Give the next message 20 ms, then write it. */
	check(d2tcp_set_timeout(from, 20 * 1000 * 1000, sizeof(message)),
	      "deadline");
	if (send(from, message, sizeof(message), 0) != sizeof(message) ||
	    recv(to, answer, sizeof(answer), MSG_WAITALL) != sizeof(answer)) {
		perror("sending");
		return 1;
	}

	/* The message settles when its last byte is acknowledged, maybe by a
	 * delayed ACK.
	 */
	do {
		usleep(1000);
		check(d2tcp_get_info(from, &info), "info");
	} while (info.outstanding);
	printf("the deadline was %s; alpha %.2f, window %.1f packets\n",
	       info.met ? "met" : "missed", info.alpha / 1048576.0,
	       info.cwnd / 256.0);
	return 0;
}
