// SPDX-License-Identifier: GPL-2.0
/*
 * xstate - print the size in bytes of a thread's extended registers (XSAVE) as
 * ptrace returns them. User Mode Linux must reserve space for them: at least
 * 576 bytes, 2696 with AVX-512, 11008 with AMX.
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
