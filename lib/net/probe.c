/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Is an engine to be had?  It is opened as it would be, small, and moves 1 MiB over a socket pair by the very code that
 * moves everything else: what a probe of operations cannot show (flags, buffers, a filter in front of one of the three
 * calls) fails here.  And if not: who forbids it, and what to do.
 */
#include "lib/net/net_impl.h"
#include "shm/os.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    TEST_BYTES = 1 << 20,
    TEST_BLOCK_BYTES = 64 << 10, /* of one send, in TEST_PIECES pieces */
    TEST_PIECES = 4,
    TEST_CONNECTIONS = 2,
    TEST_BUFFERS = 8, /* fewer than a send fills */
};
static const int64_t TEST_NS = INT64_C(2000000000);

/* ---- reasons ---- */

void
bbi_net_reason(char *out, size_t cap, const char *call, int error, int sysctl, int seccomp)
{
    const char *filter =
        "a seccomp filter (containers often have one); allow io_uring_setup, io_uring_enter and "
        "io_uring_register in its profile";
    switch (error) {
    case EPERM:
    case EACCES:
        if (sysctl == 2) {
            (void)snprintf(
                out, cap,
                "%s is forbidden on this box: sysctl kernel.io_uring_disabled is 2; 0 allows it to "
                "everybody, 1 to members of the group kernel.io_uring_group",
                call);
        } else if (sysctl == 1) {
            (void)snprintf(out, cap,
                           "%s is forbidden to this user: sysctl kernel.io_uring_disabled is 1; "
                           "join the group "
                           "kernel.io_uring_group",
                           call);
        } else if (seccomp != 0) {
            (void)snprintf(out, cap, "%s is forbidden (%s) by %s", call, bbi_errno_text(error),
                           filter);
        } else {
            (void)snprintf(out, cap, "%s is forbidden (%s), by a security module perhaps", call,
                           bbi_errno_text(error));
        }
        break;
    case ENOSYS:
        if (seccomp != 0) {
            (void)snprintf(
                out, cap,
                "%s is not there (%s): this kernel is built without it, or it is hidden by %s",
                call, bbi_errno_text(error), filter);
        } else {
            (void)snprintf(
                out, cap,
                "%s is not there (%s): this kernel is built without it, or before Linux 5.1", call,
                bbi_errno_text(error));
        }
        break;
    case EINVAL:
        (void)snprintf(out, cap,
                       "%s lacks what is needed (%s): this kernel is older than Linux 6.1", call,
                       bbi_errno_text(error));
        break;
    case ENOMEM:
        (void)snprintf(out, cap,
                       "%s found no memory (%s): raise the limit of locked memory (ulimit -l)",
                       call, bbi_errno_text(error));
        break;
    default:
        (void)snprintf(out, cap, "%s failed: %s", call, bbi_errno_text(error));
    }
}

/* The number behind a prefix in a small file of /proc; -1: not there. */
static int
number_in(const char *path, const char *prefix)
{
    char text[4096], *at;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
    if (fd >= 0) {
        (void)close(fd);
    }
    if (n <= 0) {
        return -1;
    }
    text[n] = '\0';
    at = strstr(text, prefix);
    return at != NULL ? (int)strtol(at + strlen(prefix), NULL, 10) : -1;
}

int
bbi_net_refused(struct bbi_fault *f, const char *call, int error)
{
    char words[sizeof(f->sentence)];
    int sysctl = number_in("/proc/sys/kernel/io_uring_disabled", "");
    int seccomp = number_in("/proc/self/status", "Seccomp:");
    bbi_net_reason(words, sizeof(words), call, error, sysctl, seccomp > 0 ? seccomp : 0);
    int code = error == EMFILE || error == ENFILE || error == ENOMEM ? -error : BB_ENOTSUP;
    return bbi_fault_set(f, code, "io_uring", "%s", words);
}

/* ---- the self-test ---- */

struct test {
    struct bbi_net *net;
    struct bbi_net_id from, to;
    unsigned char block[TEST_BLOCK_BYTES];
    size_t sent, received;
    bool is_wrong; /* a byte differed, at `received` */
    int status;    /* of an end that nobody asked for */
};

/* Differs from block to block and from piece to piece. */
static unsigned char
byte_at(size_t pos)
{
    return (unsigned char)(pos * 31 + (pos >> 8) * 7 + (pos >> 16) * 3);
}

static int
send_block(struct test *t)
{
    struct iovec pieces[TEST_PIECES];
    for (size_t i = 0; i < TEST_BLOCK_BYTES; i++) {
        t->block[i] = byte_at(t->sent + i);
    }
    for (size_t i = 0; i < TEST_PIECES; i++) {
        size_t bytes = TEST_BLOCK_BYTES / TEST_PIECES;
        pieces[i] = (struct iovec){.iov_base = t->block + i * bytes, .iov_len = bytes};
    }
    return bbi_net_send(t->net, t->from, pieces, TEST_PIECES);
}

static void
test_sent(void *user, struct bbi_net_id conn)
{
    struct test *t = user;
    (void)conn;
    t->sent += TEST_BLOCK_BYTES;
    if (t->sent < TEST_BYTES) {
        int rc = send_block(t);
        t->status = rc != 0 ? rc : t->status;
    }
}

static void
test_received(void *user, struct bbi_net_id conn, const void *data, size_t bytes)
{
    struct test *t = user;
    const unsigned char *p = data;
    (void)conn;
    for (size_t i = 0; i < bytes && !t->is_wrong; i++, t->received++) {
        t->is_wrong = p[i] != byte_at(t->received);
    }
}

static void
test_closed(void *user, struct bbi_net_id conn, int status)
{
    struct test *t = user;
    (void)conn;
    t->status = status != 0 ? status : BB_EPEERGONE;
}

static int
verdict(const struct test *t, int rc, const char *name, struct bbi_fault *f)
{
    if (t->is_wrong) {
        return bbi_fault_set(f, BB_ENOTSUP, name,
                             "the self-test of %s failed: byte %zu of 1 MiB came changed", name,
                             t->received);
    }
    if (rc != 0 && (rc == -EPERM || rc == -ENOSYS || rc == -EACCES)) {
        return bbi_net_refused(f, "io_uring_enter", -rc);
    }
    if (rc != 0 || t->received != TEST_BYTES) {
        return bbi_fault_set(f, BB_ENOTSUP, name,
                             "the self-test of %s failed: %zu of 1 MiB came (%s)", name,
                             t->received, rc != 0 ? bb_strerror(rc) : "time ran out");
    }
    return 0;
}

static int
run_test(struct test *t, const int pair[2])
{
    int64_t until_ns = bbi_os_mono_ns() + TEST_NS;
    int rc = bbi_net_adopt(t->net, pair[0], &t->from);
    int also = bbi_net_adopt(t->net, pair[1], &t->to);
    rc = rc != 0 ? rc : also;
    rc = rc != 0 ? rc : send_block(t);
    while (rc == 0 && t->status == 0 && !t->is_wrong
           && (t->received < TEST_BYTES || t->sent < TEST_BYTES)) {
        int64_t left_ns = until_ns - bbi_os_mono_ns();
        if (left_ns <= 0) {
            break;
        }
        int called = bbi_net_wait(t->net, left_ns);
        rc = called < 0 ? called : 0;
    }
    return rc != 0 ? rc : t->status;
}

int
bbi_net_self_test(const struct bbi_net_ops *ops,
                  const struct bbi_net_opts *opts,
                  struct bbi_fault *f)
{
    static const struct bbi_net_handler handler = {
        .sent = test_sent, .received = test_received, .closed = test_closed};
    struct bbi_net_opts small = *opts;
    struct test *t = calloc(1, sizeof(*t));
    int pair[2];
    if (t == NULL) {
        return bbi_fault_set(f, BB_ENOMEM, ops->name, "no memory for the self-test of %s",
                             ops->name);
    }
    small.connections = TEST_CONNECTIONS;
    small.buffers = TEST_BUFFERS;
    int rc = bbi_net_open_engine(&t->net, ops, &small, &handler, t, f);
    if (rc == 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        rc = bbi_fault_set(f, -errno, ops->name, "no socket pair for the self-test of %s: %s",
                           ops->name, bbi_errno_text(errno));
    } else if (rc == 0) {
        rc = verdict(t, run_test(t, pair), ops->name, f);
    }
    bbi_net_close(t->net);
    free(t);
    return rc;
}
