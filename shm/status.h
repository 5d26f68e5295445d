/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * shm/status.h - the status codes of every layer, and the two markers of a public function.
 *
 * Used by    everybody; installed as <busbar/status.h>.
 * Rule       Zero or more is good (a count, a position); negative is a status.  -errno where the kernel
 *            has the word, else one of ours from -5001 down, outside the kernel's range.
 * Kinds      CONDITION: an answer that its caller settles (empty, full, timed out).
 *            FAULT: goes up unchanged and is reported once, where it began.
 */
#ifndef BUSBAR_STATUS_H
#define BUSBAR_STATUS_H

#include <errno.h>

#if defined(__GNUC__)
#    define BB_API      __attribute__((visibility("default")))
#    define BB_MUST_USE __attribute__((warn_unused_result))
#else
#    define BB_API
#    define BB_MUST_USE
#endif

/* X(name, value, kind, text): the one list; the enum, bb_strerror() and the man page's table come from it. */
#define BB_STATUS_LIST(X)                                                                          \
    X(BB_EAGAIN, -EAGAIN, CONDITION, "try again: nothing there yet, or no room")                   \
    X(BB_EINVAL, -EINVAL, CONDITION, "wrong argument")                                             \
    X(BB_ENOENT, -ENOENT, CONDITION, "no such thing")                                              \
    X(BB_EEXIST, -EEXIST, CONDITION, "exists already")                                             \
    X(BB_EMSGSIZE, -EMSGSIZE, CONDITION, "message larger than the ring or buffer allows")          \
    X(BB_ETIMEDOUT, -ETIMEDOUT, CONDITION, "time ran out")                                         \
    X(BB_EBUSY, -EBUSY, CONDITION, "in use")                                                       \
    X(BB_ENOTSUP, -ENOTSUP, CONDITION, "not supported here")                                       \
    X(BB_ERANGE, -ERANGE, CONDITION, "result out of range")                                        \
    X(BB_ECANCELED, -ECANCELED, CONDITION, "undone with the others")                               \
    X(BB_ENAMETOOLONG, -ENAMETOOLONG, CONDITION, "name too long")                                  \
    X(BB_EACCES, -EACCES, FAULT, "permission denied")                                              \
    X(BB_ENOMEM, -ENOMEM, FAULT, "out of memory")                                                  \
    X(BB_ENOSPC, -ENOSPC, FAULT, "no space left on its file system")                               \
    X(BB_EMFILE, -EMFILE, FAULT, "too many open files in this process")                            \
    X(BB_ENFILE, -ENFILE, FAULT, "too many open files on this box")                                \
    X(BB_EIO, -EIO, FAULT, "input/output error")                                                   \
    X(BB_EOVERRUN, -5001, CONDITION, "overwritten before it was read")                             \
    X(BB_ECORRUPT, -5002, FAULT, "shared memory or message is not well formed")                    \
    X(BB_EVERSION, -5003, FAULT, "made by another layout version")                                 \
    X(BB_ENOBUS, -5004, CONDITION, "no such bus")                                                  \
    X(BB_EFORKED, -5005, CONDITION, "handle was opened before fork; open one in this process")     \
    X(BB_EPEERGONE, -5006, CONDITION, "the other side is gone")                                    \
    X(BB_EEVICTED, -5007, CONDITION, "reader was evicted for being too slow")                      \
    X(BB_ETYPE, -5008, CONDITION, "value is of another type")                                      \
    X(BB_EFULL, -5009, CONDITION, "the bus's table is full")                                       \
    X(BB_ETRUST, -5010, FAULT, "directory belongs to somebody else")                               \
    X(BB_EEND, -5011, CONDITION, "no more elements")                                               \
    X(BB_ENORESPONDERS, -5012, CONDITION, "nobody there answers this topic")

enum bb_status_code {
    BB_OK = 0,
#define BB_STATUS_ENUM(name, value, kind, text) name = (value),
    BB_STATUS_LIST(BB_STATUS_ENUM)
#undef BB_STATUS_ENUM
};

#ifdef __cplusplus
extern "C" {
#endif

/* bb_strerror - one short English phrase for a status; never NULL, also for unknown codes.  Any thread. */
BB_API const char *bb_strerror(int status);

#ifdef __cplusplus
}
#endif
#endif
