// SPDX-License-Identifier: GPL-2.0
/* Where the preloaded shim is. */
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "preload.h"
#include "shim.h"

/* Beside the command in a build tree, else in ../lib/d2tcp. */
int shim_find(const char *who, char *path, size_t size)
{
	static const char *const places[] = { "", "../lib/d2tcp/" };
	char self[PATH_MAX], whole[2 * PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	const char *dir;
	size_t i;

	if (n < 0) {
		fprintf(stderr, "%s: /proc/self/exe: %s\n", who, strerror(errno));
		return -1;
	}
	self[n] = 0;
	dir = dirname(self);
	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(whole, sizeof(whole), "%s/%s" PRELOAD_FILE, dir, places[i]);
		if (size >= PATH_MAX && realpath(whole, path) && !access(path, R_OK))
			return 0;
	}
	fprintf(stderr, "%s: %s: %s; is all of d2tcp installed?\n", who, whole,
		strerror(errno));
	return -1;
}
