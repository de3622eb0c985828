/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The module's parameters, read with READ_ONCE(): root may write them at any
 * time through /sys/module/tcp_d2tcp/parameters.
 */
#ifndef D2TCP_PARAMS_H
#define D2TCP_PARAMS_H

extern unsigned int d2tcp_shift_g;
extern unsigned int d2tcp_alpha_on_init;
extern unsigned int d2tcp_d_min;
extern unsigned int d2tcp_d_max;
extern unsigned int d2tcp_late_d;

#endif /* D2TCP_PARAMS_H */
