/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * shm/base.c - failed assertions, the text of statuses, the hooks' pointer.
 */
#include "shm/base.h"
#include "shm/hook.h"
#include <stdio.h>
#include <stdlib.h>

#if defined(BB_HOOKS) && BB_HOOKS
bbi_hook_fn bbi_hook;
#endif

_Noreturn void
bbi_assert_failed(const char *file, int line, const char *condition)
{
    /* To the others on the bus this is one more dead peer. */
    (void)fprintf(stderr, "busbar: internal error at %s:%d: %s\n", file, line, condition);
    abort();
}

const char *
bb_strerror(int status)
{
    switch (status) {
#define BBI_STATUS_CASE(name, value, kind, text)                                                   \
    case (value):                                                                                  \
        return text;
        BB_STATUS_LIST(BBI_STATUS_CASE)
#undef BBI_STATUS_CASE
    default:
        return status >= 0 ? "success" : "unknown status";
    }
}
