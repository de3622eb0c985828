// SPDX-License-Identifier: GPL-2.0
#include <ctype.h>
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "walk.h"

bool seen_before(struct seen *seen, ino_t ino)
{
	size_t i;

	for (i = 0; i < seen->n; i++)
		if (seen->ino[i] == ino)
			return true;
	seen->ino = realloc(seen->ino, (seen->n + 1) * sizeof(ino));
	if (!seen->ino) {
		perror("d2tcp");
		exit(1);
	}
	seen->ino[seen->n++] = ino;
	return false;
}

void name_of(const char *pid, char *name, size_t size)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%.20s/comm", pid);
	f = fopen(path, "r");
	if (!f || !fgets(name, (int)size, f))
		snprintf(name, size, "?");
	name[strcspn(name, "\n")] = 0;
	if (f)
		fclose(f);
}

unsigned int each_entry(const char *dir, const char *suffix, bool numbers,
			struct seen *seen,
			unsigned int (*what)(const char *, struct seen *))
{
	char path[PATH_MAX];
	unsigned int n = 0;
	struct dirent *e;
	DIR *d;

	d = opendir(dir);
	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.' ||
		    (numbers && !isdigit((unsigned char)e->d_name[0])))
			continue;
		snprintf(path, sizeof(path), "%s/%s%s", dir, e->d_name,
			 suffix ? suffix : "");
		n += what(suffix ? path : e->d_name, seen);
	}
	if (d)
		closedir(d);
	return n;
}
