/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/unit/link/proxy.h - a wire between two hubs that a test can cut, or hold so that nothing passes.
 *
 * A thread of its own copies bytes.  Held, it neither reads nor writes nor accepts: connections come up in the kernel's
 * backlog and stay silent, as with a process that was stopped.
 */
#ifndef BUSBAR_TESTS_UNIT_LINK_PROXY_H
#define BUSBAR_TESTS_UNIT_LINK_PROXY_H

#include "tests/unit/link/hub_pair.h"
#include <pthread.h>
#include <stdatomic.h>

enum { PROXY_WIRES = 16 };

struct proxy {
    pthread_t thread;
    int listener;
    uint16_t port, target;
    atomic_bool is_over, is_held;
    atomic_int cut;                     /* a request: set to 1, 0 when it is done */
    atomic_ulong cut_after;             /* bytes after which to cut by itself; 0: never */
    atomic_ulong bytes, accepted, cuts; /* counters */
    int wires[PROXY_WIRES][2];          /* -1: none */
};

static UNUSED struct sockaddr_in
loopback(uint16_t port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons(port),
                                .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
}

/* A socket that listens on a port of the kernel's choice. */
static UNUSED int
bare_listen(uint16_t *port)
{
    struct sockaddr_in addr = loopback(0);
    socklen_t bytes = sizeof(addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_geq(fd, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    cr_assert_eq(listen(fd, 64), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&addr, &bytes), 0);
    *port = ntohs(addr.sin_port);
    return fd;
}

static UNUSED int
bare_connect(uint16_t port)
{
    struct sockaddr_in addr = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_geq(fd, 0);
    cr_assert_eq(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    return fd;
}

static UNUSED void
reset_fd(int fd)
{
    struct linger none = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
    (void)close(fd);
}

static UNUSED void
proxy_drop(struct proxy *p, int i)
{
    if (p->wires[i][0] >= 0) {
        reset_fd(p->wires[i][0]);
        reset_fd(p->wires[i][1]);
        p->wires[i][0] = p->wires[i][1] = -1;
    }
}

static UNUSED void
proxy_accept(struct proxy *p)
{
    struct sockaddr_in addr = loopback(p->target);
    int in = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC);
    int out = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int i = 0;
    while (i < PROXY_WIRES && p->wires[i][0] >= 0) {
        i++;
    }
    if (in < 0 || out < 0 || i == PROXY_WIRES
        || connect(out, (struct sockaddr *)&addr, sizeof(addr)) != 0) {
        (void)close(in);
        (void)close(out);
        return;
    }
    p->wires[i][0] = in;
    p->wires[i][1] = out;
    atomic_fetch_add(&p->accepted, 1);
}

/* What one end has, to the other; all of it, in the end. */
static UNUSED void
proxy_copy(struct proxy *p, int i, int from)
{
    char data[16384];
    ssize_t n = recv(p->wires[i][from], data, sizeof(data), MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) {
        return;
    }
    if (n <= 0) {
        proxy_drop(p, i);
        return;
    }
    for (ssize_t done = 0; done < n && !atomic_load(&p->is_over) && !atomic_load(&p->cut);) {
        ssize_t m = send(p->wires[i][1 - from], data + done, (size_t)(n - done),
                         MSG_DONTWAIT | MSG_NOSIGNAL);
        if (m < 0 && errno != EAGAIN) {
            proxy_drop(p, i);
            return;
        }
        if (m < 0) {
            struct pollfd room = {.fd = p->wires[i][1 - from], .events = POLLOUT};
            (void)poll(&room, 1, 1);
        }
        done += m > 0 ? m : 0;
    }
    unsigned long bytes = atomic_fetch_add(&p->bytes, (unsigned long)n) + (unsigned long)n;
    unsigned long after = atomic_load(&p->cut_after);
    if (after != 0 && bytes >= after) {
        atomic_store(&p->cut_after, 0);
        atomic_store(&p->cut, 1);
    }
}

static UNUSED void *
proxy_run(void *arg)
{
    struct proxy *p = arg;
    while (!atomic_load(&p->is_over)) {
        struct pollfd fds[1 + 2 * PROXY_WIRES];
        bool is_held = atomic_load(&p->is_held);
        if (atomic_load(&p->cut) != 0) {
            for (int i = 0; i < PROXY_WIRES; i++) {
                proxy_drop(p, i);
            }
            atomic_fetch_add(&p->cuts, 1);
            atomic_store(&p->cut, 0);
        }
        fds[0] = (struct pollfd){.fd = is_held ? -1 : p->listener, .events = POLLIN};
        for (int i = 0; i < 2 * PROXY_WIRES; i++) {
            fds[1 + i] =
                (struct pollfd){.fd = is_held ? -1 : p->wires[i / 2][i % 2], .events = POLLIN};
        }
        (void)poll(fds, 1 + 2 * PROXY_WIRES, 1);
        for (int i = 0; i < 2 * PROXY_WIRES; i++) {
            if (fds[1 + i].revents != 0 && p->wires[i / 2][0] >= 0) {
                proxy_copy(p, i / 2, i % 2);
            }
        }
        if (fds[0].revents != 0) {
            proxy_accept(p);
        }
    }
    return NULL;
}

static UNUSED void
proxy_open(struct proxy *p, uint16_t target)
{
    memset(p, 0, sizeof(*p));
    memset(p->wires, -1, sizeof(p->wires));
    p->target = target;
    p->listener = bare_listen(&p->port);
    cr_assert_eq(pthread_create(&p->thread, NULL, proxy_run, p), 0);
}

static UNUSED void
proxy_close(struct proxy *p)
{
    atomic_store(&p->is_over, true);
    cr_assert_eq(pthread_join(p->thread, NULL), 0);
    for (int i = 0; i < PROXY_WIRES; i++) {
        proxy_drop(p, i);
    }
    (void)close(p->listener);
}

#endif
