/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The receiver's side: expected answers, and the receive windows that order them.
 */
#ifndef D2TCP_GRANT_H
#define D2TCP_GRANT_H

#include <net/sock.h>

struct d2tcp_expect_info;

bool d2tcp_grant_is_on(void);
int d2tcp_grant_prepare(struct sock *sk);
int d2tcp_grant_expect(struct sock *sk, u64 due_ns, u32 bytes);
int d2tcp_grant_stand(struct sock *sk, u64 ns, u32 bytes);
void d2tcp_grant_stop(struct sock *sk);
void d2tcp_grant_look(struct sock *sk, struct d2tcp_expect_info *info);
int d2tcp_grant_register(void);
void d2tcp_grant_unregister(void);

#endif /* D2TCP_GRANT_H */
