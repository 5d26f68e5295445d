/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: a service manager hears what sd_notify(3) promises, by a path and by an abstract name; without one nothing is
 * done, and one that is gone is said.  Method: a datagram socket of our own.
 */
#include "tools/daemon/notify.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static char dir[] = "/tmp/busbard-notify-test.XXXXXX";
static char name[80];

static void
init(void)
{
    cr_assert_not_null(mkdtemp(dir));
    unsetenv("WATCHDOG_PID");
    unsetenv("WATCHDOG_USEC");
    unsetenv("NOTIFY_SOCKET");
}

static void
fini(void)
{
    if (name[0] == '/') {
        unlink(name);
    }
    rmdir(dir);
}

TestSuite(notify, .init = init, .fini = fini, .timeout = 10);

/* listen_at - a manager's socket of this name, also in $NOTIFY_SOCKET. */
static int
listen_at(const char *text)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t bytes = strlen(text);
    memcpy(address.sun_path, text, bytes);
    if (text[0] == '@') {
        address.sun_path[0] = '\0';
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    cr_assert_geq(fd, 0);
    cr_assert_eq(bind(fd, (const struct sockaddr *)&address,
                      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + bytes)),
                 0);
    setenv("NOTIFY_SOCKET", text, 1);
    return fd;
}

static const char *
hear(int fd)
{
    static char text[1024];
    ssize_t bytes = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);
    cr_assert_geq(bytes, 0, "nothing came");
    text[bytes] = '\0';
    return text;
}

static void
speaks(const char *text)
{
    struct daemon_notify n;
    int fd = listen_at(text);
    cr_assert_eq(daemon_notify_open(&n), 0);
    daemon_notify(&n, "READY=1\nSTATUS=%d links", 3);
    cr_assert_str_eq(hear(fd), "READY=1\nSTATUS=3 links");
    daemon_notify_reloading(&n);
    unsigned long long us = 0;
    cr_assert_eq(sscanf(hear(fd), "RELOADING=1\nMONOTONIC_USEC=%llu\n", &us), 1);
    cr_assert_gt(us, 0);
    close(fd);
    daemon_notify(&n, "STOPPING=1"); /* the manager is gone: nothing happens */
    daemon_notify_close(&n);
}

Test(notify, by_a_path)
{
    snprintf(name, sizeof(name), "%s/socket", dir);
    speaks(name);
}

Test(notify, by_an_abstract_name)
{
    snprintf(name, sizeof(name), "@%s/socket", dir);
    speaks(name);
}

Test(notify, nobody_listens)
{
    struct daemon_notify n;
    cr_assert_eq(daemon_notify_open(&n), 0);
    cr_assert_eq(n.fd, -1);
    daemon_notify(&n, "READY=1");
    daemon_notify_close(&n);
}

Test(notify, a_manager_that_is_not_there)
{
    struct daemon_notify n;
    setenv("NOTIFY_SOCKET", "/nowhere/socket", 1);
    cr_assert_eq(daemon_notify_open(&n), -ENOENT);
    setenv("NOTIFY_SOCKET", "vsock:2:1", 1);
    cr_assert_eq(daemon_notify_open(&n), -EINVAL);
}

Test(notify, the_watchdog_is_ours)
{
    struct daemon_notify n;
    char pid[16];
    snprintf(name, sizeof(name), "@%s/dog", dir);
    int fd = listen_at(name);
    setenv("WATCHDOG_USEC", "3000000", 1);
    cr_assert_eq(daemon_notify_open(&n), 0);
    cr_assert_eq(n.watchdog_us, 3000000);
    daemon_notify_close(&n);
    snprintf(pid, sizeof(pid), "%d", (int)getpid() + 1);
    setenv("WATCHDOG_PID", pid, 1);
    cr_assert_eq(daemon_notify_open(&n), 0);
    cr_assert_eq(n.watchdog_us, 0);
    daemon_notify_close(&n);
    close(fd);
}
