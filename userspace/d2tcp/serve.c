// SPDX-License-Identifier: GPL-2.0
/*
 * A small HTTP server for one page of metrics. A scrape is rare and short, so they are
 * handled one after the other; a client that is silent or slow is cut off.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "serve.h"

#define SILENCE_S	2	/* max between two packets of a request */
#define WHOLE_S		10	/* max for a request and its response */

static int wrong(const char *place)
{
	fprintf(stderr, "d2tcp stats: --listen takes PORT, ADDRESS:PORT or [IPV6]:PORT, with a port from 1 to 65535, not '%s'\n",
		place);
	return 2;
}

/* Splits the place into an address and a port; returns false if it is invalid. */
static bool split(const char *place, char *address, size_t size, const char **port)
{
	const char *colon = strrchr(place, ':');
	size_t n = colon ? (size_t)(colon - place) : 0;
	long number;
	char *end;

	*port = colon ? colon + 1 : place;
	number = strtol(*port, &end, 10);
	if (**port < '0' || **port > '9' || *end || number < 1 || number > 65535 ||
	    n >= size || (colon && !n))
		return false;
	if (n > 2 && place[0] == '[' && place[n - 1] == ']') {
		place++;
		n -= 2;
	} else if (memchr(place, ':', n)) {
		return false;
	}
	snprintf(address, size, "%.*s", (int)n, place);
	if (!n)
		snprintf(address, size, "127.0.0.1");
	return true;
}

/* Returns a listening socket, or -1 after a message, or -2 if the place is invalid. */
static int listen_at(const char *place)
{
	const struct addrinfo hints = {
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
		.ai_socktype = SOCK_STREAM,
	};
	struct addrinfo *found;
	char address[64];
	const char *port;
	int fd, one = 1;

	if (!split(place, address, sizeof(address), &port) ||
	    getaddrinfo(address, port, &hints, &found))
		return -2;
	fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(fd, found->ai_addr, found->ai_addrlen) || listen(fd, 8)) {
		fprintf(stderr, "d2tcp stats: %s: %s\n", place, strerror(errno));
		if (fd >= 0)
			close(fd);
		fd = -1;
	}
	freeaddrinfo(found);
	return fd;
}

/* Reads the head of a request. Returns whether it is complete. */
static bool read_head(int fd, char *head, size_t size)
{
	const struct timeval silence = { .tv_sec = SILENCE_S };
	size_t used = 0;
	ssize_t n;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &silence, sizeof(silence));
	while (used < size - 1) {
		n = recv(fd, head + used, size - 1 - used, 0);
		if (n <= 0)
			return false;
		used += n;
		head[used] = 0;
		if (strstr(head, "\r\n\r\n") || strstr(head, "\n\n"))
			return true;
	}
	return false;
}

static const char *status_of(const char *head)
{
	if (strncmp(head, "GET ", 4))
		return "405 Method Not Allowed";
	if (strncmp(head + 4, "/metrics", 8) || !strchr(" ?", head[12]))
		return "404 Not Found";
	return "200 OK";
}

static void respond(int fd, const char *type, void (*print)(void))
{
	const char *status;
	char head[8192];

	alarm(WHOLE_S);
	if (!read_head(fd, head, sizeof(head)) || dup2(fd, 1) < 0)
		return;
	status = status_of(head);
	printf("HTTP/1.0 %s\r\nContent-Type: %s\r\nConnection: close\r\n\r\n", status,
	       *status == '2' ? type : "text/plain");
	if (*status == '2')
		print();
	else
		printf("%s: GET /metrics\n", status);
	fflush(stdout);
	shutdown(fd, SHUT_WR);
}

int serve(const char *place, const char *type, void (*print)(void))
{
	int fd = listen_at(place), one;
	pid_t pid;

	if (fd < 0)
		return fd == -2 ? wrong(place) : 1;
	for (;;) {
		one = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
		if (one < 0)
			continue;
		pid = fork();
		if (!pid) {
			respond(one, type, print);
			_exit(0);
		}
		close(one);
		if (pid > 0)
			waitpid(pid, NULL, 0);
	}
}
