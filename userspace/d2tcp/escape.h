/* SPDX-License-Identifier: GPL-2.0 */
/* Prints text inside quotation marks, for JSON and for the labels of metrics. */
#ifndef ESCAPE_H
#define ESCAPE_H

/* Escapes quotation marks, backslashes and newlines. Other control characters, of which
 * Prometheus knows none, are printed as question marks.
 */
void put_escaped(const char *text);

#endif /* ESCAPE_H */
