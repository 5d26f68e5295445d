/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/daemon/notify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* number - of an environment variable; 0 when it is not there. */
static uint64_t
number(const char *variable)
{
    const char *text = getenv(variable); /* NOLINT(concurrency-mt-unsafe): one thread */
    return text != NULL ? strtoumax(text, NULL, 10) : 0;
}

/* The watchdog is for this process only if its pid says so, or none is said. */
static uint64_t
watchdog_us(void)
{
    uint64_t pid = number("WATCHDOG_PID");
    return pid == 0 || pid == (uint64_t)getpid() ? number("WATCHDOG_USEC") : 0;
}

static int
connect_to(int fd, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t bytes = strlen(path);
    if ((path[0] != '/' && path[0] != '@') || bytes >= sizeof(address.sun_path)) {
        return -EINVAL;
    }
    memcpy(address.sun_path, path, bytes);
    if (path[0] == '@') {
        address.sun_path[0] = '\0'; /* a name without a file */
    }
    socklen_t all = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + bytes + (path[0] == '/'));
    return connect(fd, (const struct sockaddr *)&address, all) == 0 ? 0 : -errno;
}

int
daemon_notify_open(struct daemon_notify *n)
{
    const char *path = getenv("NOTIFY_SOCKET"); /* NOLINT(concurrency-mt-unsafe): one thread */
    *n = (struct daemon_notify){.fd = -1};
    if (path == NULL || path[0] == '\0') {
        return 0;
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int rc = fd < 0 ? -errno : connect_to(fd, path);
    if (rc != 0) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return rc;
    }
    n->fd = fd;
    n->watchdog_us = watchdog_us();
    return 0;
}

void
daemon_notify_close(struct daemon_notify *n)
{
    if (n->fd >= 0) {
        (void)close(n->fd);
    }
    n->fd = -1;
}

void
daemon_notify(const struct daemon_notify *n, const char *format, ...)
{
    char text[1024];
    va_list args;
    if (n->fd < 0) {
        return;
    }
    va_start(args, format);
    int bytes = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (bytes > 0) {
        size_t all = (size_t)bytes < sizeof(text) ? (size_t)bytes : sizeof(text) - 1;
        /* A manager that is gone or busy is no reason to stop carrying messages. */
        ssize_t sent = send(n->fd, text, all, MSG_DONTWAIT | MSG_NOSIGNAL);
        (void)sent;
    }
}

void
daemon_notify_reloading(const struct daemon_notify *n)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    daemon_notify(n,
                  "RELOADING=1\nMONOTONIC_USEC=%" PRIu64 "\nSTATUS=reading the configuration again",
                  (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
}
