/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/link/security.c - how a link is kept safe, in one word for people.
 */
#include "lib/link/hub.h"

const char *
bbi_security_name(enum bbi_security security)
{
    static const char *const names[] = {"certificates", "key", "user key", "none"};
    size_t i = (size_t)security;
    return i < sizeof(names) / sizeof(names[0]) ? names[i] : "unknown";
}
