/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/daemon/notify.h - what the service manager wants to hear (sd_notify(3)), without its library.
 *
 * Nobody listens unless $NOTIFY_SOCKET names a socket: then everything here does nothing.
 */
#ifndef BUSBAR_TOOLS_DAEMON_NOTIFY_H
#define BUSBAR_TOOLS_DAEMON_NOTIFY_H

#include <stdint.h>

struct daemon_notify {
    int fd;               /* -1: nobody listens */
    uint64_t watchdog_us; /* how often it wants to hear of us at least; 0: not */
};

/* daemon_notify_open - 0, or -errno when there is a socket that cannot be reached: the manager would wait in vain. */
int daemon_notify_open(struct daemon_notify *n);
void daemon_notify_close(struct daemon_notify *n);

/* daemon_notify - lines as sd_notify(3) has them; never waits. */
__attribute__((format(printf, 2, 3))) void
daemon_notify(const struct daemon_notify *n, const char *format, ...);

void daemon_notify_reloading(
    const struct daemon_notify *n); /* with the time, as Type=notify-reload asks */

#endif
