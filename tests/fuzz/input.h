/* SPDX-License-Identifier: GPL-2.0 */
/* The bytes that libFuzzer offers, as numbers. */
#ifndef FUZZ_INPUT_H
#define FUZZ_INPUT_H

#include <stdint.h>

struct input {
	const uint8_t *at, *end;
};

/* The next number of this many bytes, or of the bytes that are left. */
static uint64_t take(struct input *in, unsigned int bytes)
{
	uint64_t v = 0;

	while (bytes-- && in->at < in->end)
		v = v << 8 | *in->at++;
	return v;
}

#endif /* FUZZ_INPUT_H */
