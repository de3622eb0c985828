// SPDX-License-Identifier: GPL-2.0
/* Running other programs. */
#define _GNU_SOURCE
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "program.h"

extern char **environ;

/* A user's PATH may lack the directories of ip. */
static int extend_path(void)
{
	const char *path = getenv("PATH");
	char *longer;
	int err;

	if (asprintf(&longer, "%s:/usr/sbin:/sbin", path ? path : "/usr/bin:/bin") < 0)
		return -1;
	err = setenv("PATH", longer, 1);
	free(longer);
	return err;
}

static pid_t start(const char *const argv[], int output[2])
{
	posix_spawn_file_actions_t actions;
	pid_t pid;
	int err;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, output[1], 1);
	posix_spawn_file_actions_addclose(&actions, output[0]);
	posix_spawn_file_actions_addclose(&actions, output[1]);
	/* it changes neither the strings nor the array */
	err = posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *)argv,
			   environ);
	posix_spawn_file_actions_destroy(&actions);
	if (!err)
		return pid;
	fprintf(stderr, "d2tcp: %s: %s\n", argv[0], strerror(err));
	return -1;
}

int program_read(const char *const argv[], char *output, size_t size)
{
	size_t used = 0;
	int ends[2], status;
	ssize_t n = 0;
	pid_t pid;

	if (extend_path() || pipe(ends)) {
		perror("d2tcp");
		return -1;
	}
	pid = start(argv, ends);
	close(ends[1]);
	while (pid > 0 && used < size - 1 &&
	       (n = read(ends[0], output + used, size - 1 - used)) > 0)
		used += n;
	output[used] = 0;
	close(ends[0]);
	if (pid < 0)
		return -1;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (n > 0) {
		fprintf(stderr, "d2tcp: the output of %s is too long\n", argv[0]);
		return -1;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
