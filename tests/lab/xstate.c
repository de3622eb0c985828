// SPDX-License-Identifier: GPL-2.0
/*
 * xstate - print how many bytes of extended registers (XSAVE) the host keeps for
 * a thread, as ptrace hands them out: what User Mode Linux has to make room for.
 * 576 at least, 2696 with AVX-512, 11008 with AMX.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
	static char state[1 << 20];
	struct iovec iov = { state, sizeof(state) };
	int status, failed = 1;
	pid_t child;

	child = fork();
	if (child == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		_exit(0);
	}
	if (child < 0 || waitpid(child, &status, 0) != child ||
	    !WIFSTOPPED(status) ||
	    ptrace(PTRACE_GETREGSET, child, NT_X86_XSTATE, &iov))
		perror("xstate");
	else
		failed = printf("%zu\n", iov.iov_len) < 0;
	if (child > 0) {
		kill(child, SIGKILL);
		waitpid(child, &status, 0);
	}
	return failed;
}
