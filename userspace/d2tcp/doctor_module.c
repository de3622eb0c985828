// SPDX-License-Identifier: GPL-2.0
/* d2tcp doctor: the module's files, and the module that is loaded. */
#define _GNU_SOURCE
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <libd2tcp.h>

#include "doctor.h"

#define MODULES	"/lib/modules"

/* Where make install, DKMS and distributions put modules, and how they compress them. */
static const char *const places[] = { "updates", "updates/dkms", "extra" };
static const char *const endings[] = { "", ".xz", ".zst", ".gz" };

/* The module's files for a kernel: how many, and the paths of the first two. */
static size_t files_for(const char *release, char path[2][PATH_MAX])
{
	char name[PATH_MAX];
	size_t i, k, n = 0;

	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		for (k = 0; k < sizeof(endings) / sizeof(endings[0]); k++) {
			snprintf(name, sizeof(name), MODULES "/%s/%s/tcp_d2tcp.ko%s",
				 release, places[i], endings[k]);
			if (!access(name, F_OK) && n++ < 2)
				strcpy(path[n - 1], name);
		}
	return n;
}

/* Reads a field of a module's file, as modinfo(8) prints it; empty if there is none. The
 * path has no characters that a shell would interpret: it is a release and a fixed name.
 */
static void file_field(const char *path, const char *field, char *text, size_t size)
{
	char command[PATH_MAX + 80];
	FILE *f;

	text[0] = 0;
	snprintf(command, sizeof(command),
		 "PATH=$PATH:/usr/sbin:/sbin modinfo -F %s '%s' 2>/dev/null",
		 field, path);
	f = popen(command, "r");
	if (f && !fgets(text, (int)size, f))
		text[0] = 0;
	text[strcspn(text, "\n")] = 0;
	if (f)
		pclose(f);
}

/* Does the kernel refuse unsigned modules? Whether Secure Boot locks the kernel down
 * depends on the kernel's configuration, so this reads the kernel's state and not the
 * firmware's.
 */
static bool signatures_enforced(void)
{
	char text[80];

	if (read_line("/sys/kernel/security/lockdown", text, sizeof(text)) &&
	    !strstr(text, "[none]"))
		return true;
	return read_line("/sys/module/module/parameters/sig_enforce", text,
			 sizeof(text)) && text[0] == 'Y';
}

/* Finds a kernel other than the running one that the module was built for. */
static bool built_for_other(const char *release, char *other, size_t size)
{
	char path[2][PATH_MAX];
	DIR *dir = opendir(MODULES);
	struct dirent *e;
	bool is = false;

	while (dir && !is && (e = readdir(dir))) {
		if (e->d_name[0] == '.' || !strcmp(e->d_name, release))
			continue;
		is = files_for(e->d_name, path) > 0;
		if (is)
			snprintf(other, size, "%s", e->d_name);
	}
	if (dir)
		closedir(dir);
	return is;
}

static void check_missing(const char *release)
{
	char other[256], build[PATH_MAX];

	snprintf(build, sizeof(build), MODULES "/%s/build/Makefile", release);
	if (access(build, F_OK))
		found("headers", "",
		      "install the headers of the running kernel (on Debian: apt install linux-headers-amd64 linux-headers-$(uname -r)), or boot a kernel whose headers are installed; then let DKMS build the module, or run make install",
		      "the module tcp_d2tcp was not built for the running kernel %s, whose headers are not installed",
		      release);
	else if (!access("/var/lib/dkms/d2tcp", F_OK))
		found("dkms", "",
		      "run dkms autoinstall; if it fails, the reason is in /var/lib/dkms/d2tcp/*/build/make.log",
		      "DKMS has the source of the module tcp_d2tcp, but has not built it for %s",
		      release);
	else if (built_for_other(release, other, sizeof(other)))
		found("kernel", "",
		      "build it for this kernel, with make module and make install, or boot the other kernel",
		      "the module tcp_d2tcp was built for Linux %s, but %s is running",
		      other, release);
	else
		found("installed", "",
		      "install it, with make install or from the packages that make deb builds",
		      "the module tcp_d2tcp is not installed");
}

static void check_file(const char *path, bool loaded)
{
	char text[256], built[256], release[256];
	struct utsname host;

	file_field(path, "vermagic", built, sizeof(built));
	snprintf(release, sizeof(release), "%.*s", (int)strcspn(built, " "), built);
	if (!uname(&host) && *release && strcmp(release, host.release)) {
		found("kernel", "",
		      "build it for this kernel, with dkms autoinstall or make install",
		      "%s was built for Linux %s, but %s is running", path, release,
		      host.release);
		return;
	}
	if (loaded)
		return;
	file_field(path, "sig_id", text, sizeof(text));
	if (!*text && signatures_enforced())
		found("signature", "",
		      "let DKMS sign it, and enrol DKMS's key: mokutil --import /var/lib/dkms/mok.pub, then reboot",
		      "%s is not signed, and the kernel refuses unsigned modules (Secure Boot)",
		      path);
	else if (signatures_enforced())
		found("loaded", "",
		      "modprobe tcp_d2tcp; if the key is rejected, enrol it: mokutil --import /var/lib/dkms/mok.pub, then reboot; at each boot: echo tcp_d2tcp >/etc/modules-load.d/d2tcp.conf",
		      "the module tcp_d2tcp is installed, but not loaded");
	else
		found("loaded", "",
		      "modprobe tcp_d2tcp; at each boot: echo tcp_d2tcp >/etc/modules-load.d/d2tcp.conf",
		      "the module tcp_d2tcp is installed, but not loaded");
}

/* Compares the loaded module with its file and with this command. */
static void check_loaded(const char *path)
{
	char mine[64], ours[64], file[64];

	if (path && read_line("/sys/module/tcp_d2tcp/srcversion", mine, sizeof(mine))) {
		file_field(path, "srcversion", file, sizeof(file));
		if (*file && strcmp(file, mine))
			found("reload", "",
			      "if the file is newer: rmmod tcp_d2tcp && modprobe tcp_d2tcp (d2tcp holders lists what uses it), or reboot; if the loaded module is newer, as after make upgrade: make install",
			      "the loaded module was built from a different source than %s",
			      path);
	}
	snprintf(ours, sizeof(ours), "%d.%d.%d", LIBD2TCP_VERSION_MAJOR,
		 LIBD2TCP_VERSION_MINOR, LIBD2TCP_VERSION_PATCH);
	if (read_line("/sys/module/tcp_d2tcp/version", mine, sizeof(mine)) &&
	    strcmp(mine, ours))
		found("version", "",
		      "install the module and the command from the same version",
		      "the loaded module has version %s, but this command %s", mine,
		      ours);
}

void check_module(bool loaded)
{
	char path[2][PATH_MAX];
	struct utsname host;
	size_t n;

	if (uname(&host))
		return;
	n = files_for(host.release, path);
	if (n > 1)
		found("files", "",
		      "remove the one that you did not mean to install, then run depmod -a; depmod.d(5) explains which of them is loaded",
		      "the module tcp_d2tcp is installed more than once: %.150s and %.150s",
		      path[0], path[1]);
	if (n)
		check_file(path[0], loaded);
	else if (!loaded)
		check_missing(host.release);
	if (loaded)
		check_loaded(n == 1 ? path[0] : NULL);
}
