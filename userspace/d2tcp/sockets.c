// SPDX-License-Identifier: GPL-2.0
/*
 * TCP_CONGESTION and the options of d2tcp can be read only through a descriptor, so the
 * sockets of every process are duplicated. That needs root, and changes nothing.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sockets.h"
#include "walk.h"

bool under_d2tcp(int fd)
{
	char name[16] = "";
	socklen_t len = sizeof(name);

	/* d2tcp-reno is the fallback without ECN */
	return getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len) == 0 &&
	       (!strcmp(name, "d2tcp") || !strcmp(name, "d2tcp-reno"));
}

void address_of(int fd, bool peer, char *text, size_t size)
{
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} a;
	char address[INET6_ADDRSTRLEN] = "?";
	socklen_t len = sizeof(a);

	if (peer ? getpeername(fd, &a.sa, &len) : getsockname(fd, &a.sa, &len)) {
		snprintf(text, size, "-");
	} else if (a.sa.sa_family == AF_INET6) {
		inet_ntop(AF_INET6, &a.in6.sin6_addr, address, sizeof(address));
		snprintf(text, size, "[%s]:%u", address, ntohs(a.in6.sin6_port));
	} else {
		inet_ntop(AF_INET, &a.in.sin_addr, address, sizeof(address));
		snprintf(text, size, "%s:%u", address, ntohs(a.in.sin_port));
	}
}

/* Duplicates one descriptor and calls what(). */
static unsigned int one_socket(int pidfd, struct held_socket *held,
			       unsigned int *unseen,
			       unsigned int (*what)(const struct held_socket *))
{
	unsigned int n = 0;
	struct stat st;

	held->fd = (int)syscall(SYS_pidfd_getfd, pidfd, atoi(held->descriptor), 0);
	if (held->fd < 0) {
		/* a descriptor closed in between is not counted */
		*unseen += errno != EBADF && errno != ESRCH;
		return 0;
	}
	if (!fstat(held->fd, &st)) {
		held->ino = st.st_ino;
		n = what(held);
	}
	close(held->fd);
	return n;
}

unsigned int each_socket(const char *pid, unsigned int *unseen,
			 unsigned int (*what)(const struct held_socket *))
{
	struct held_socket held = { .pid = pid };
	char path[300], target[64];
	unsigned int found = 0;
	struct dirent *e;
	ssize_t n;
	int pidfd;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%.20s/fd", pid);
	dir = opendir(path);
	if (!dir)
		return 0;
	name_of(pid, held.process, sizeof(held.process));
	pidfd = (int)syscall(SYS_pidfd_open, atoi(pid), 0);
	while ((e = readdir(dir))) {
		n = readlinkat(dirfd(dir), e->d_name, target,
			       sizeof(target) - 1);
		if (n < 0 || strncmp(target, "socket:[", 8))
			continue;
		held.descriptor = e->d_name;
		found += one_socket(pidfd, &held, unseen, what);
	}
	if (pidfd >= 0)
		close(pidfd);
	closedir(dir);
	return found;
}
