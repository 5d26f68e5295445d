/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * shm/fault.h - a failure in words: what, whose, what to do.  The public struct bb_error is filled from it.
 */
#ifndef BUSBAR_SHM_FAULT_H
#define BUSBAR_SHM_FAULT_H

#include "shm/base.h"

struct bbi_fault {
    int code;
    int64_t pid; /* 0 if nobody is known */
    int64_t uid; /* -1 if not known */
    char name[256];
    char sentence[512];
};

/* bbi_fault_set - fills *f and returns code, so that a failure is one line.  f may be NULL. */
int bbi_fault_set(struct bbi_fault *f, int code, const char *name, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* bbi_errno_text - the C library's words for an errno; any thread. */
const char *bbi_errno_text(int error);

/* bbi_fault_owner - adds who holds or owns the thing. */
void bbi_fault_owner(struct bbi_fault *f, int64_t pid, int64_t uid);

#endif
