/* SPDX-License-Identifier: GPL-2.0 */
/* Walks over processes and network namespaces, each once. */
#ifndef WALK_H
#define WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* The inodes of the sockets, or of the namespaces, that were visited already. */
struct seen {
	ino_t *ino;
	size_t n;
};

bool seen_before(struct seen *seen, ino_t ino);

/* The name of a process; "?" if it has ended. */
void name_of(const char *pid, char *name, size_t size);

/* Calls what() for each entry of a directory, or only for entries whose name starts
 * with a digit. With a suffix it passes the entry's path followed by the suffix, without
 * one only the entry's name. Returns the sum of the results.
 */
unsigned int each_entry(const char *dir, const char *suffix, bool numbers,
			struct seen *seen,
			unsigned int (*what)(const char *, struct seen *));

#endif /* WALK_H */
