/* SPDX-License-Identifier: BSD-3-Clause */
#include "shm/fault.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int
bbi_fault_set(struct bbi_fault *f, int code, const char *name, const char *format, ...)
{
    if (f != NULL) {
        va_list ap;
        f->code = code;
        f->pid = 0;
        f->uid = -1;
        (void)snprintf(f->name, sizeof(f->name), "%s", name);
        va_start(ap, format);
        (void)vsnprintf(f->sentence, sizeof(f->sentence), format, ap);
        va_end(ap);
    }
    return code;
}

void
bbi_fault_owner(struct bbi_fault *f, int64_t pid, int64_t uid)
{
    if (f != NULL) {
        f->pid = pid;
        f->uid = uid;
    }
}

const char *
bbi_errno_text(int error)
{
    const char *text = strerrordesc_np(error);
    return text != NULL ? text : "unknown error";
}
