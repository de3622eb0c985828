// SPDX-License-Identifier: GPL-2.0
/*
 * registers - whether the vector registers of threads survive page faults, signals whose
 * handlers change them, switches to other threads and processes, and forks. The lab's
 * kernel writes them back only when they changed (uml-registers.patch). Prints how many
 * rounds there were; the exit status is 1 after a message if a register changed.
 *
 * Compiled with -mgeneral-regs-only, so only the assembly here uses these registers, and
 * with system calls of its own, since the C library may use them too.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS	4
#define ROUNDS	300

static int wrong;

static long call6(long n, long a, long b, long c, long d, long e, long f)
{
	register long r10 asm("r10") = d;
	register long r8 asm("r8") = e;
	register long r9 asm("r9") = f;
	long r;

	asm volatile("syscall" : "=a"(r)
		     : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
		     : "rcx", "r11", "memory");
	return r;
}

#define CALL(n, a, b, c) call6(n, (long)(a), (long)(b), (long)(c), 0, 0, 0)

static void fill(const unsigned char *value)
{
	asm volatile("movdqu (%0), %%xmm3\n\tmovdqu (%0), %%xmm9\n\t"
		     "movdqu (%0), %%xmm15" : : "r"(value) : "memory");
}

/* Do the registers have this value? */
static int filled(const unsigned char *value)
{
	unsigned char now[48];

	asm volatile("movdqu %%xmm3, (%0)\n\tmovdqu %%xmm9, 16(%0)\n\t"
		     "movdqu %%xmm15, 32(%0)" : : "r"(now) : "memory");
	return !memcmp(now, value, 16) && !memcmp(now + 16, value, 16) &&
	       !memcmp(now + 32, value, 16);
}

static void handler(int signal)
{
	(void)signal;
	asm volatile("pcmpeqb %%xmm3, %%xmm3\n\tpcmpeqb %%xmm9, %%xmm9\n\t"
		     "pxor %%xmm15, %%xmm15" : : : "memory");
}

/* A child has the registers of its parent. */
static void fork_once(const unsigned char *value)
{
	int status = 0;
	long child = CALL(SYS_fork, 0, 0, 0);

	if (!child)
		CALL(SYS_exit_group, !filled(value), 0, 0);
	call6(SYS_wait4, child, (long)&status, 0, 0, 0, 0);
	wrong += status != 0;
}

static void *use_registers(void *arg)
{
	const long id = (long)arg;
	unsigned char value[16];
	long i;

	for (i = 0; i < ROUNDS; i++) {
		char *page = (char *)call6(SYS_mmap, 0, 8192, PROT_READ | PROT_WRITE,
					   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		memset(value, (int)(37 * id + i), sizeof(value));
		fill(value);
		page[0] = 1;
		if (i % 3 == 0)
			CALL(SYS_sched_yield, 0, 0, 0);
		if (i % 5 == 0)
			CALL(SYS_tgkill, CALL(SYS_getpid, 0, 0, 0),
			     CALL(SYS_gettid, 0, 0, 0), SIGUSR1);
		page[4096] = 1;
		if (i % 50 == 0)
			fork_once(value);
		CALL(SYS_munmap, page, 8192, 0);
		wrong += !filled(value);
	}
	return NULL;
}

int main(void)
{
	pthread_t thread[THREADS];
	int status = 0;
	long i, child;

	signal(SIGUSR1, handler);
	/* two processes */
	child = fork();
	for (i = 0; i < THREADS; i++)
		pthread_create(&thread[i], NULL, use_registers, (void *)(i + 1));
	for (i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	if (wrong)
		printf("%d times a register was wrong\n", wrong);
	else
		printf("%d rounds\n", THREADS * ROUNDS);
	if (child)
		wait(&status);
	return wrong || status;
}
