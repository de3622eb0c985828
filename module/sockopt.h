/* SPDX-License-Identifier: GPL-2.0 */
#ifndef D2TCP_SOCKOPT_H
#define D2TCP_SOCKOPT_H

int d2tcp_sockopt_claim(void);
void d2tcp_sockopt_open(void);
void d2tcp_sockopt_abandon(void);
void d2tcp_sockopt_unregister(void);

#endif /* D2TCP_SOCKOPT_H */
