// SPDX-License-Identifier: GPL-2.0
#include <stdio.h>

#include "escape.h"

void put_escaped(const char *text)
{
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			printf("\\%c", *text);
		else if (*text == '\n')
			printf("\\n");
		else
			putchar((unsigned char)*text < 0x20 ? '?' : *text);
	}
}
