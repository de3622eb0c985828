// SPDX-License-Identifier: GPL-2.0
/*
 * guest - the first process of a lab kernel.
 *
 * It overlays the read-only root of the host with a scratch layer in a tmpfs,
 * mounts one writable directory of the host, runs one command, and writes its
 * exit status to a file that the lab script reads.
 *
 * On User Mode Linux the kernel's root is the run directory, which the lab
 * script made. In QEMU it is a small file system in memory with the modules
 * needed to mount the host's files, and the run directory is mounted at /run.
 * Nothing inside depends on the name of that directory, nor does the kernel's
 * command line, which goes into its random numbers. The lab script puts all
 * parameters of the run into it:
 *
 *	up		User Mode Linux: path from it to the host's root
 *	host, scratch	empty directories, used as mount points
 *	command		a shell script, run by /bin/bash in the working directory
 *	cwd		working directory, an absolute path
 *	out		writable directory of the host, an absolute path, or empty
 *	limit		seconds of the guest after which the command is ended
 *	module		path of a tcp_d2tcp.ko to offer to modprobe, or empty
 *	modules		QEMU: path of the kernel's modules on the host
 *
 * and this program writes there
 *
 *	stdout, stderr	output of the command
 *	beat		the guest's clock in seconds, once a second: progress
 *	status		"exit N", "signal N" or "limit N"
 *	failure		why the command could not be started, if so
 *
 * On the debug kernel, which has kmemleak, it copies the leaks found at the end
 * to the console.
 *
 * It is written in C because a shell that wakes every virtual second would
 * disturb the measurements.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SCRATCH "/scratch"
#define NEWROOT SCRATCH "/root"
#define RUN "/run/lab"		/* the run directory, once in the new root */
#define FIRST "/modules"	/* QEMU: modules that are loaded first */
#define KMEMLEAK "/sys/kernel/debug/kmemleak"

static int run_fd = -1;
static int in_qemu;
static char up[PATH_MAX];

static void put(const char *name, const char *fmt, ...)
{
	char text[512];
	va_list ap;
	int fd, n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fd = openat(run_fd, name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (fd < 0)
		return;
	if (write(fd, text, n) != n)
		fprintf(stderr, "guest: cannot write %s\n", name);
	close(fd);
}

static void get(const char *name, char *text, size_t size)
{
	ssize_t n = -1;
	int fd;

	fd = openat(run_fd, name, O_RDONLY);
	if (fd >= 0) {
		n = read(fd, text, size - 1);
		close(fd);
	}
	text[n > 0 ? n : 0] = 0;
	text[strcspn(text, "\n")] = 0;
}

static void power_off(void)
{
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

static void fail(const char *what)
{
	put("failure", "%s: %s\n", what, strerror(errno));
	fprintf(stderr, "guest: %s: %s\n", what, strerror(errno));
	power_off();
}

/* --- QEMU: the modules needed to mount the host's files ------------------- */

static void load_module(const char *name)
{
	char path[300];
	int fd;

	snprintf(path, sizeof(path), FIRST "/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) &&
		       errno != EEXIST))
		fail(path);
	close(fd);
}

static void load_modules(void)
{
	char name[256];
	FILE *f;

	f = fopen(FIRST "/list", "r");
	if (!f)
		return;
	while (fgets(name, sizeof(name), f)) {
		name[strcspn(name, "\n")] = 0;
		load_module(name);
	}
	fclose(f);
	in_qemu = 1;
}

static void mount_or_fail(const char *src, const char *dst, const char *type,
			  unsigned long flags, const char *opt)
{
	char what[PATH_MAX + 64];

	if (mount(src, dst, type, flags, opt) == 0)
		return;
	snprintf(what, sizeof(what), "mount %s on %s", type, dst);
	fail(what);
}

/* Like mkdir -p. Errors show in the mount that follows. */
static void make_path(const char *path)
{
	char p[PATH_MAX], *s;

	snprintf(p, sizeof(p), "%s", path);
	for (s = p + 1; *s; s++) {
		if (*s != '/')
			continue;
		*s = 0;
		mkdir(p, 0755);
		*s = '/';
	}
	mkdir(p, 0755);
}

/* Mounts a share of the host in QEMU: its root, the run directory or --out. */
static int mount_tag(const char *tag, const char *dst, int cached)
{
	char opt[100];

	snprintf(opt, sizeof(opt),
		 "trans=virtio,version=9p2000.L,msize=512000,cache=%s",
		 cached ? "loose" : "none");
	return mount(tag, dst, "9p", 0, opt);
}

/* Mounts a directory of the host on User Mode Linux. hostfs takes paths
 * relative to the directory in which the kernel was started, the run directory.
 */
static void mount_host(const char *path, const char *dst)
{
	char opt[3 * PATH_MAX];

	snprintf(opt, sizeof(opt), "%s%s", up, path);
	mount_or_fail("none", dst, "hostfs", 0, opt);
}

static void open_run(void)
{
	load_modules();
	if (in_qemu) {
		mkdir("/dev", 0755);
		mount("none", "/dev", "devtmpfs", 0, NULL);
		if (mount_tag("run", "/run", 0)) {
			/* the lab script searches for these words */
			fprintf(stderr, "guest: no run directory\n");
			power_off();
		}
		run_fd = open("/run", O_RDONLY | O_DIRECTORY);
		return;
	}
	run_fd = open("/", O_RDONLY | O_DIRECTORY);
	/* from now on the run directory is writable */
	if (mount("none", "/", NULL, MS_REMOUNT, NULL))
		put("failure", "remount: %s\n", strerror(errno));
}

/* Makes the overlay the root, also for the kernel's own helpers (modprobe),
 * which share the root of the first process. pivot_root() does not work on a
 * root in memory, so in QEMU the new root is moved over the old one.
 */
static void enter_root(void)
{
	if (chdir(NEWROOT))
		fail("chdir to the new root");
	if (in_qemu) {
		/* the run directory moves too; it cannot be mounted twice */
		if (mount("/run", "mnt", NULL, MS_MOVE, NULL) ||
		    mount(".", "/", NULL, MS_MOVE, NULL) || chroot("."))
			fail("moving the new root");
	} else {
		mkdir("mnt", 0755);
		if (syscall(SYS_pivot_root, ".", "mnt"))
			fail("pivot_root");
	}
	if (chdir("/"))
		fail("chdir /");
}

static void new_root(const char *out)
{
	if (!in_qemu)
		mount_host("", "/host");
	else if (mount_tag("host", "/host", 1))
		fail("mount 9p on /host");
	mount_or_fail("none", SCRATCH, "tmpfs", 0, "mode=0755");
	mkdir(SCRATCH "/upper", 0755);
	mkdir(SCRATCH "/work", 0755);
	mkdir(NEWROOT, 0755);
	mount_or_fail("none", NEWROOT, "overlay", 0,
		      "lowerdir=/host,upperdir=" SCRATCH "/upper,workdir=" SCRATCH
		      "/work,index=off,metacopy=off");
	enter_root();

	mkdir("/proc", 0755);
	mkdir("/sys", 0755);
	mount_or_fail("none", "/proc", "proc", 0, NULL);
	mount_or_fail("none", "/sys", "sysfs", 0, NULL);
	mount_or_fail("none", "/sys/fs/cgroup", "cgroup2", 0, NULL);
	mount_or_fail("none", "/sys/kernel/tracing", "tracefs", 0, NULL);
	/* not every kernel has it */
	mount("none", "/sys/kernel/debug", "debugfs", 0, NULL);
	mount_or_fail("none", "/dev", "devtmpfs", 0, NULL);
	mkdir("/dev/pts", 0755);
	mkdir("/dev/shm", 01777);
	mount_or_fail("none", "/dev/pts", "devpts", 0, "ptmxmode=0666");
	mount_or_fail("none", "/dev/shm", "tmpfs", 0, "mode=1777");
	mount_or_fail("none", "/run", "tmpfs", 0, "mode=0755");
	if (symlink("/proc/self/fd", "/dev/fd"))
		fail("/dev/fd");
	mkdir("/dev/net", 0755);
	/* opening it loads the module */
	mknod("/dev/net/tun", S_IFCHR | 0666, makedev(10, 200));

	mkdir(RUN, 0755);
	if (!in_qemu)
		mount_or_fail("none", RUN, "hostfs", 0, ".");
	else if (mount("/mnt", RUN, NULL, MS_MOVE, NULL))
		fail("moving the run directory");
	close(run_fd);
	run_fd = open(RUN, O_RDONLY | O_DIRECTORY);
	if (*out) {
		make_path(out);
		if (!in_qemu)
			mount_host(out, out);
		else if (mount_tag("out", out, 0))
			fail("mount 9p on the output directory");
	}
}

static void loopback_up(void)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &ifr))
		fail("bringing lo up");
	close(fd);
}

static void offer_modules(const char *module, const char *modules)
{
	char cmd[4 * PATH_MAX], dir[PATH_MAX];
	struct utsname u;

	uname(&u);
	snprintf(dir, sizeof(dir), "/lib/modules/%s", u.release);
	if (*modules) {
		/* replaces a directory of that name on the host */
		snprintf(cmd, sizeof(cmd),
			 "mkdir -p /lib/modules && rm -rf '%s' && cp -r '%s/%s' /lib/modules/",
			 dir, modules, u.release);
		if (system(cmd))
			fail("the kernel's modules");
	}
	if (!*module)
		return;
	make_path(dir);
	snprintf(cmd, sizeof(cmd), "cp '%s' '%s/' && /sbin/depmod -a",
		 module, dir);
	if (system(cmd))
		fail("depmod");
}

static void copy_to_console(const char *path)
{
	char line[1024];
	FILE *from, *to;

	from = fopen(path, "r");
	to = fopen("/dev/kmsg", "w");
	while (from && to && fgets(line, sizeof(line), from)) {
		fputs(line, to);
		fflush(to);
	}
	if (from)
		fclose(from);
	if (to)
		fclose(to);
}

/* Scans twice, because memory whose pointer is just being moved looks leaked to
 * the first scan, and waits before each, because memory younger than some
 * seconds is not reported.
 */
static void look_for_leaks(void)
{
	int i, fd;

	for (i = 0; i < 2; i++) {
		fd = open(KMEMLEAK, O_WRONLY);
		if (fd < 0)
			return;
		sleep(6);
		if (write(fd, "scan", 4) != 4)
			fprintf(stderr, "guest: kmemleak cannot scan\n");
		close(fd);
	}
	copy_to_console(KMEMLEAK);
}

static pid_t start(const char *cwd)
{
	const struct rlimit files = { 1024, 65536 };
	sigset_t none;
	pid_t pid;
	int fd;

	pid = fork();
	if (pid)
		return pid;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	setrlimit(RLIMIT_NOFILE, &files);
	fd = open("/dev/null", O_RDONLY);
	dup2(fd, 0);
	fd = openat(run_fd, "stdout", O_WRONLY | O_CREAT | O_APPEND, 0644);
	dup2(fd, 1);
	fd = openat(run_fd, "stderr", O_WRONLY | O_CREAT | O_APPEND, 0644);
	dup2(fd, 2);
	if (chdir(cwd))
		fprintf(stderr, "guest: %s: %s\n", cwd, strerror(errno));
	clearenv();
	setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
	setenv("HOME", "/tmp", 1);
	setenv("LANG", "C.UTF-8", 1);
	setenv("PYTHONHASHSEED", "0", 1);
	setenv("PYTHONDONTWRITEBYTECODE", "1", 1);
	execl("/bin/bash", "bash", RUN "/command", NULL);
	_exit(127);
}

static long seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

/* Reaps children until the command ends; false if the limit comes first. */
static int wait_for(pid_t command, long limit, int *status)
{
	long start_s = seconds(), beat = -1;
	struct signalfd_siginfo si;
	struct pollfd pfd;
	sigset_t chld;
	pid_t pid;
	int st;

	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	pfd.fd = signalfd(-1, &chld, SFD_NONBLOCK);
	pfd.events = POLLIN;
	for (;;) {
		while ((pid = waitpid(-1, &st, WNOHANG)) > 0) {
			if (pid != command)
				continue;
			*status = st;
			return 1;
		}
		if (seconds() - start_s >= limit)
			return 0;
		if (seconds() != beat) {
			beat = seconds();
			put("beat", "%ld\n", beat);
		}
		poll(&pfd, 1, 1000);
		while (read(pfd.fd, &si, sizeof(si)) > 0)
			;
	}
}

int main(void)
{
	char cwd[PATH_MAX], out[PATH_MAX], limit[32], module[PATH_MAX];
	char modules[PATH_MAX];
	sigset_t chld;
	int st = 0;
	pid_t pid;

	open_run();
	get("up", up, sizeof(up));
	get("out", out, sizeof(out));
	get("cwd", cwd, sizeof(cwd));
	get("limit", limit, sizeof(limit));
	get("module", module, sizeof(module));
	get("modules", modules, sizeof(modules));

	new_root(out);
	loopback_up();
	offer_modules(module, modules);
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, NULL);
	pid = start(cwd);
	if (pid < 0)
		fail("fork");
	if (!wait_for(pid, atol(limit), &st)) {
		put("status", "limit %s\n", limit);
		kill(-pid, SIGKILL);
	} else if (WIFEXITED(st)) {
		put("status", "exit %d\n", WEXITSTATUS(st));
	} else {
		put("status", "signal %d\n", WTERMSIG(st));
	}
	look_for_leaks();
	power_off();
	return 0;
}
