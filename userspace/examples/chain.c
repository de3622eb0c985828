// SPDX-License-Identifier: 0BSD
/*
 * Three services call each other over the loopback interface, and the budget of the
 * first request becomes shorter with each call. A service that cannot answer in time
 * reports that before it works:
 *
 *	cc chain.c -ld2tcp && ./a.out 20000	# microseconds
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libd2tcp.h>

#define SERVICES	3
#define WORK_NS		2000000		/* a service's own work */
#define RESERVE_NS	3000000		/* and the response's way back */

static void check(int result, const char *what)
{
	if (result == 0)
		return;
	fprintf(stderr, "%s: %s\n", what, d2tcp_strerror(errno));
	exit(1);
}

static void read_line(int fd, char *line, size_t size)
{
	size_t n = 0;

	while (n + 1 < size && recv(fd, line + n, 1, 0) == 1 && line[n] != '\n')
		n++;
	line[n] = 0;
}

/* Sends a request with its budget, and waits for the response. */
static void call(const struct sockaddr_in *to, d2tcp_nsec budget, char *answer,
		 size_t size)
{
	char text[D2TCP_BUDGET_SIZE], line[D2TCP_BUDGET_SIZE + 1];
	int fd = socket(AF_INET, SOCK_STREAM, 0), len;

	check(d2tcp_enable(fd), "client");
	if (connect(fd, (const struct sockaddr *)to, sizeof(*to))) {
		perror("connect");
		exit(1);
	}
	check(d2tcp_print_usec(budget, text), "budget");
	len = snprintf(line, sizeof(line), "%s\n", text);
	check(d2tcp_set_timeout(fd, budget, len), "request");
	send(fd, line, len, 0);
	read_line(fd, answer, size);
	close(fd);
}

/* Handles a request: calls the next service, if there is one, then does its own
 * work.
 */
static void handle(int fd, int number, const struct sockaddr_in *next,
		   const char *budget_text, char *answer, size_t size)
{
	d2tcp_nsec budget, deadline, child;

	if (d2tcp_parse_usec(budget_text, strlen(budget_text), &budget)) {
		snprintf(answer, size, "service %d: '%s': %s", number,
			 budget_text, d2tcp_strerror(errno));
		return;
	}
	check(d2tcp_start_budget(budget, &deadline), "deadline");
	printf("service %d has %lld us\n", number, (long long)budget / 1000);
	fflush(stdout);
	strcpy(answer, "done");
	if (next) {
		if (d2tcp_child_budget(deadline, RESERVE_NS, &child)) {
			snprintf(answer, size, "service %d: no time for a call",
				 number);
			return;
		}
		call(next, child, answer, size);
		if (strcmp(answer, "done"))
			return;
	}
	if (d2tcp_check_time(fd, deadline, WORK_NS, strlen(answer) + 1)) {
		snprintf(answer, size, "service %d: no time for the work",
			 number);
		return;
	}
	usleep(WORK_NS / 1000);
	check(d2tcp_set_deadline(fd, deadline, strlen(answer) + 1), "response");
}

static void serve(int listener, int number, const struct sockaddr_in *next)
{
	char line[64], answer[256];
	int fd;

	/* end together with the parent process */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	fd = accept(listener, NULL, NULL);
	read_line(fd, line, sizeof(line));
	handle(fd, number, next, line, answer, sizeof(answer) - 1);
	strcat(answer, "\n");
	send(fd, answer, strlen(answer), 0);
	exit(0);
}

int main(int argc, char **argv)
{
	struct sockaddr_in sa[SERVICES];
	int listener, i;
	char answer[256];
	d2tcp_nsec budget;
	socklen_t len;

	if (argc != 2 || d2tcp_parse_usec(argv[1], strlen(argv[1]), &budget)) {
		fprintf(stderr, "usage: %s MICROSECONDS, such as 20000\n",
			argv[0]);
		return 2;
	}
	for (i = SERVICES - 1; i >= 0; i--) {
		listener = socket(AF_INET, SOCK_STREAM, 0);
		check(d2tcp_enable(listener), "listener");
		sa[i] = (struct sockaddr_in){ .sin_family = AF_INET };
		sa[i].sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		len = sizeof(sa[i]);
		if (bind(listener, (struct sockaddr *)&sa[i], len) ||
		    listen(listener, 1) ||
		    getsockname(listener, (struct sockaddr *)&sa[i], &len)) {
			perror("listen");
			return 1;
		}
		if (fork() == 0)
			serve(listener, i + 1, i + 1 < SERVICES ? &sa[i + 1] : NULL);
		close(listener);
	}
	call(&sa[0], budget, answer, sizeof(answer));
	printf("%s\n", answer);
	/* services that were not called end with this process */
	return strcmp(answer, "done") != 0;
}
