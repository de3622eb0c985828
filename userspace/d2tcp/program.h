/* SPDX-License-Identifier: GPL-2.0 */
/* Running other programs: ip, systemctl. */
#ifndef PROGRAM_H
#define PROGRAM_H

#include <stddef.h>

/* Runs argv[0], which is looked up in PATH, /usr/sbin and /sbin, and stores up to
 * size - 1 bytes of its output, terminated by 0. Messages go to stderr. Returns its exit
 * status, or -1 after a message if it could not be run or gave more output.
 */
int program_read(const char *const argv[], char *output, size_t size);

#endif /* PROGRAM_H */
