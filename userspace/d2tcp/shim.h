/* SPDX-License-Identifier: GPL-2.0 */
/* Where the preloaded shim is. */
#ifndef SHIM_H
#define SHIM_H

#include <stddef.h>

/* Stores its path. Returns 0, or -1 after a message that starts with `who`. */
int shim_find(const char *who, char *path, size_t size);

#endif /* SHIM_H */
