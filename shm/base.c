/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * shm/base.c - failed assertions, the text of statuses, the hooks' pointer.
 */
#include "shm/base.h"
#include "shm/hook.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
        break;
    }
    const char *text = status < 0 && status > -4096 ? strerrordesc_np(-status) : NULL;
    return status >= 0 ? "success" : text != NULL ? text : "unknown status";
}
