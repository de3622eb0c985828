/* SPDX-License-Identifier: GPL-2.0 */
/* The TCP sockets of other processes, duplicated with pidfd_getfd(2). */
#ifndef SOCKETS_H
#define SOCKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* A socket of a process; fd is a duplicate, open only during the call. */
struct held_socket {
	int fd;
	ino_t ino;		/* the same for all descriptors of a socket */
	const char *pid, *descriptor;
	char process[64];	/* its name */
};

/* Calls what() for each socket of a process; returns the sum of the results. Adds to
 * *unseen the number of sockets that could not be duplicated, except those that were
 * closed meanwhile.
 */
unsigned int each_socket(const char *pid, unsigned int *unseen,
			 unsigned int (*what)(const struct held_socket *));

/* Is the socket's congestion control d2tcp, or its fallback without ECN? */
bool under_d2tcp(int fd);

/* The socket's own address, or its peer's, as text; "-" if it has none. */
void address_of(int fd, bool peer, char *text, size_t size);

#endif /* SOCKETS_H */
