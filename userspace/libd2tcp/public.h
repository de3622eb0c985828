/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The header of the library for its own files.
 */
#ifndef D2TCP_PUBLIC_H
#define D2TCP_PUBLIC_H

#include "libd2tcp.h"

/* The version script exports the functions marked with this, and no others. */
#define PUBLIC __attribute__((visibility("default")))

#endif /* D2TCP_PUBLIC_H */
