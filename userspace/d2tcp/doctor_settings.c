// SPDX-License-Identifier: GPL-2.0
/*
 * d2tcp doctor: settings of d2tcp in the files of sysctl(8) that are not in force.
 * Loading the module creates its sysctls anew, and clears the permission to select it, so
 * values that were set before, at boot or by hand, are lost.
 */
#include <ctype.h>
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "doctor.h"

#define FILES	256	/* max; files beyond are not read */

struct setting {
	char key[128], value[160], file[128];
	char before[128];	/* the file of a line with d2tcp that it overrides */
};

static struct setting settings[64];
static size_t count;

static char *trimmed(char *text)
{
	size_t n;

	while (isspace((unsigned char)*text))
		text++;
	for (n = strlen(text); n && isspace((unsigned char)text[n - 1]); n--)
		text[n - 1] = 0;
	return text;
}

/* Is it a setting of d2tcp, or one whose value may name d2tcp? */
static bool may_concern_us(const char *key)
{
	return !strncmp(key, "net.ipv4.d2tcp.", 15) ||
	       !strcmp(key, "net.ipv4.tcp_congestion_control") ||
	       !strcmp(key, "net.ipv4.tcp_allowed_congestion_control");
}

static bool concerns_us(const struct setting *setting)
{
	return !strncmp(setting->key, "net.ipv4.d2tcp.", 15) ||
	       has_word(setting->value, "d2tcp");
}

/* Stores a setting; the last line with a key is the one that counts. */
static void put(const char *key, const char *value, const char *file)
{
	struct setting *setting;
	size_t i;

	for (i = 0; i < count && strcmp(settings[i].key, key); i++)
		;
	if (i == sizeof(settings) / sizeof(settings[0]))
		return;
	setting = &settings[i];
	if (i == count)
		count++;
	else if (strcmp(setting->file, file) && has_word(setting->value, "d2tcp"))
		strcpy(setting->before, setting->file);
	snprintf(setting->key, sizeof(setting->key), "%s", key);
	snprintf(setting->value, sizeof(setting->value), "%s", value);
	snprintf(setting->file, sizeof(setting->file), "%s", file);
}

static void read_settings(const char *path)
{
	char line[512], *key, *value;
	FILE *f = fopen(path, "r");
	size_t i;

	while (f && fgets(line, sizeof(line), f)) {
		value = strchr(line, '=');
		if (!value)
			continue;
		*value++ = 0;
		key = trimmed(line);
		if (*key == '#' || *key == ';')
			continue;
		/* after a dash errors are ignored; slashes may stand for dots */
		key += *key == '-';
		for (i = 0; key[i]; i++)
			if (key[i] == '/')
				key[i] = '.';
		value = trimmed(value);
		if (may_concern_us(key))
			put(key, value, path);
	}
	if (f)
		fclose(f);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(strrchr(a, '/'), strrchr(b, '/'));
}

/* The files in the order of sysctl --system: by name, and of the same name only the one
 * in the first of the directories.
 */
static void read_directories(void)
{
	static const char *const dirs[] = {
		"/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d",
		"/usr/lib/sysctl.d", "/lib/sysctl.d",
	};
	static char path[FILES][PATH_MAX];
	struct dirent *e;
	size_t i, k, n = 0;
	DIR *dir;

	for (i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		dir = opendir(dirs[i]);
		while (dir && n < FILES && (e = readdir(dir))) {
			const char *dot = strrchr(e->d_name, '.');

			if (!dot || strcmp(dot, ".conf"))
				continue;
			for (k = 0; k < n; k++)
				if (!strcmp(strrchr(path[k], '/') + 1, e->d_name))
					break;
			if (k == n)
				snprintf(path[n++], PATH_MAX, "%s/%s", dirs[i],
					 e->d_name);
		}
		if (dir)
			closedir(dir);
	}
	qsort(path, n, sizeof(path[0]), by_name);
	for (i = 0; i < n; i++)
		read_settings(path[i]);
}

static void check_one(const struct setting *setting)
{
	char path[256] = "/proc/sys/", now[512];
	size_t i, n = strlen(path);
	bool same;

	if (!concerns_us(setting)) {
		if (*setting->before)
			found("overridden", "",
			      "remove the line from the later file, or add d2tcp to it, and run sysctl --system",
			      "%s sets %s to \"%s\", which replaces the line with d2tcp in %s",
			      setting->file, setting->key, setting->value,
			      setting->before);
		return;
	}
	for (i = 0; setting->key[i] && n < sizeof(path) - 1; i++)
		path[n++] = setting->key[i] == '.' ? '/' : setting->key[i];
	path[n] = 0;
	if (!read_line(path, now, sizeof(now))) {
		found("settings", "",
		      "load the module first, with expect=1 if the setting needs that, then run sysctl --system; modules-load.d(5) loads the module at boot before the settings are applied",
		      "%s sets %s, which does not exist: the module is not loaded, or is too old, or was loaded without expect=1",
		      setting->file, setting->key);
		return;
	}
	/* the list may have other algorithms too */
	same = strstr(setting->key, "allowed") ? has_word(now, "d2tcp") :
	       !strcmp(now, setting->value);
	if (!same)
		found("settings", "",
		      "run sysctl --system; a reload of the module resets its settings",
		      "%s sets %s to \"%s\", but it is \"%s\"", setting->file,
		      setting->key, setting->value, now);
}

/* On Debian 13, sysctl --system reads /etc/sysctl.conf, but it is not read at boot unless
 * a link in one of the directories points to it.
 */
static void check_old_file(const char *path)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (!strcmp(settings[i].file, path) && concerns_us(&settings[i]) &&
		    access("/etc/sysctl.d/99-sysctl.conf", F_OK) &&
		    access("/usr/lib/sysctl.d/99-sysctl.conf", F_OK)) {
			found("old-file", "", "move it to /etc/sysctl.d/d2tcp.conf",
			      "%s sets %s, and is not read at boot on this system",
			      path, settings[i].key);
			return;
		}
}

void check_settings(void)
{
	static const char old[] = "/etc/sysctl.conf";
	size_t i;

	read_directories();
	read_settings(old);
	check_old_file(old);
	for (i = 0; i < count; i++)
		check_one(&settings[i]);
}
