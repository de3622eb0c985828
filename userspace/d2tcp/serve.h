/* SPDX-License-Identifier: GPL-2.0 */
/* A small HTTP server for one page of metrics. */
#ifndef SERVE_H
#define SERVE_H

/* Listens at "PORT" (on 127.0.0.1), "ADDRESS:PORT" or "[IPV6]:PORT", and responds to each
 * GET of /metrics with what print() writes to stdout, in a process of its own. Returns 1
 * after a message if it cannot listen, 2 if the place is invalid; else it does not return.
 */
int serve(const char *place, const char *type, void (*print)(void));

#endif /* SERVE_H */
