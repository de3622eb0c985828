/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Samples of a time stamp counter that counts instructions.
 */
#ifndef INSTRUCTIONS_H
#define INSTRUCTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <x86intrin.h>

static inline int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* The mean without the upper @percent, which interrupts may have lengthened. */
static inline double mean(uint64_t *n, size_t count, unsigned int percent)
{
	size_t used = count - count * percent / 100, i;
	double sum = 0;

	qsort(n, count, sizeof(*n), by_size);
	for (i = 0; i < used; i++)
		sum += (double)n[i];
	return sum / (double)used;
}

/* A million rounds of ten dependent additions are ten million instructions, and
 * a few per round for the loop.
 */
static inline bool counts_instructions(void)
{
	uint64_t before = __rdtsc(), n = 1000000, x = 0, ticks;

	while (n--)
		__asm__ volatile(
			"add $1, %0\nadd $1, %0\nadd $1, %0\nadd $1, %0\n"
			"add $1, %0\nadd $1, %0\nadd $1, %0\nadd $1, %0\n"
			"add $1, %0\nadd $1, %0\n" : "+r"(x));
	ticks = __rdtsc() - before;
	return ticks > 10000000 && ticks < 16000000;
}

#endif /* INSTRUCTIONS_H */
