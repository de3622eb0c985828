/* SPDX-License-Identifier: GPL-2.0 */
/* Durations on the command line: a whole number and a unit, "20ms". */
#ifndef DURATION_H
#define DURATION_H

#include <stdint.h>

/* Reads a duration of a microsecond up to INT_MAX microseconds (35 minutes). Returns
 * the microseconds, or -1 after a message to stderr that starts with `what` and says
 * what is allowed.
 */
int64_t duration_us(const char *what, const char *text);

#endif /* DURATION_H */
