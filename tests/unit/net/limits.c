/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: without descriptors, and without free connections, those that are there live, nothing spins, and the others
 * come in as soon as there is room.
 * Method: RLIMIT_NOFILE close above what is open; a child that connects more often than that.
 */
#include "tests/unit/net/net_pair.h"
#include <signal.h>
#include <sys/resource.h>

TestSuite(net_limits, .timeout = 60);

static struct side server;

enum { CLIENTS = 40 };

/* Connects CLIENTS times and echoes on each, until it is killed. */
static pid_t
child_connects(uint16_t port)
{
    pid_t pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        struct pollfd fds[CLIENTS];
        struct sockaddr_in addr = loopback(port);
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (int i = 0; i < CLIENTS; i++) {
            fds[i] = (struct pollfd){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
                                     .events = POLLIN};
            if (connect(fds[i].fd, (struct sockaddr *)&addr, sizeof(addr)) != 0) {
                _exit(1);
            }
        }
        while (poll(fds, CLIENTS, -1) > 0) {
            for (int i = 0; i < CLIENTS; i++) {
                char block[64];
                ssize_t n = fds[i].revents != 0 ? recv(fds[i].fd, block, sizeof(block), 0) : 0;
                if (n > 0 && send(fds[i].fd, block, (size_t)n, MSG_NOSIGNAL) != n) {
                    _exit(1);
                }
                if (fds[i].revents != 0 && n <= 0) {
                    (void)close(fds[i].fd);
                    fds[i].fd = -1;
                }
            }
        }
        _exit(1);
    }
    return pid;
}

static void
end_child(pid_t pid)
{
    int status;
    cr_assert_eq(kill(pid, SIGKILL), 0);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFSIGNALED(status), "it had failed: %d", WEXITSTATUS(status));
}

static void
check_all_live(int count)
{
    for (int i = 0; i < count; i++) {
        uint64_t had = server.received;
        server.conn = server.conns[i];
        cr_assert_eq(send_text(&server, "here?"), 0);
        UNTIL(&server, no_side(), server.received == had + 5);
    }
}

/* Half a second in which nobody comes in and hardly a call is made. */
static void
check_stands_still(int count)
{
    struct bbi_net_stats before, after;
    struct rusage used_before, used_after;
    bbi_net_stats(server.net, &before);
    (void)getrusage(RUSAGE_SELF, &used_before);
    int64_t until_ns = bbi_os_mono_ns() + 500000000;
    while (bbi_os_mono_ns() < until_ns) {
        turn(&server, 50000000);
    }
    bbi_net_stats(server.net, &after);
    (void)getrusage(RUSAGE_SELF, &used_after);
    int64_t used_us = (used_after.ru_utime.tv_sec + used_after.ru_stime.tv_sec
                       - used_before.ru_utime.tv_sec - used_before.ru_stime.tv_sec)
                          * INT64_C(1000000)
                      + used_after.ru_utime.tv_usec + used_after.ru_stime.tv_usec
                      - used_before.ru_utime.tv_usec - used_before.ru_stime.tv_usec;
    cr_assert_eq(server.accepted, count);
    cr_assert_leq(after.system_calls - before.system_calls, 60, "it spins");
    cr_assert_leq(used_us, 25000, "%ld us of 500,000: it spins", (long)used_us);
}

static int
next_descriptor(void)
{
    int fd = dup(0);
    (void)close(fd);
    return fd;
}

KIND_PARAMS(net_limits, without_descriptors)
ParameterizedTest(struct kind *k, net_limits, without_descriptors)
{
    struct rlimit limit;
    struct bbi_net_id id;
    struct bbi_fault f = {0};
    begin_kind(k);
    side_open(&server, k);
    side_listen(&server, "127.0.0.1");
    pid_t pid = child_connects(server.port);
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    int room = 8, lowest = next_descriptor();
    /* Descriptors are not given out in one run: fill what is below. */
    limit.rlim_cur = (rlim_t)lowest + (rlim_t)room;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    int probe[8], free_count = 0;
    while (free_count < room && (probe[free_count] = dup(0)) >= 0) {
        free_count++;
    }
    for (int i = 0; i < free_count; i++) {
        (void)close(probe[i]);
    }
    cr_assert_gt(free_count, 2);
    UNTIL(&server, no_side(), server.accepted == free_count);
    check_stands_still(free_count);
    check_all_live(free_count);
    cr_assert_eq(bbi_net_connect(server.net, "127.0.0.1", server.port, 0, &id, &f), BB_EMFILE);
    cr_assert_not_null(strstr(f.sentence, "open files"), "%s", f.sentence);
    /* One goes: one comes in.  At once when it was ours. */
    bbi_net_end(server.net, server.conns[0], BBI_NET_ABORT);
    UNTIL(&server, no_side(), server.accepted == free_count + 1);
    /* And when the room is made elsewhere, soon. */
    limit.rlim_cur += 100;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    UNTIL(&server, no_side(), server.accepted == CLIENTS);
    server.conns[0] = server.conns[free_count];
    check_all_live(CLIENTS);
    end_child(pid);
    side_close(&server);
}

KIND_PARAMS(net_limits, without_connections)
ParameterizedTest(struct kind *k, net_limits, without_connections)
{
    enum { ROOM = 5 };
    struct bbi_net_id id;
    struct bbi_fault f = {0};
    begin_kind(k);
    side_open_with(&server, k, (struct bbi_net_opts){.connections = ROOM});
    side_listen(&server, "127.0.0.1");
    pid_t pid = child_connects(server.port);
    UNTIL(&server, no_side(), server.accepted == ROOM);
    cr_assert_eq(bbi_net_connect(server.net, "127.0.0.1", server.port, 0, &id, &f), BB_EFULL);
    cr_assert_not_null(strstr(f.sentence, "all 5 connections"), "%s", f.sentence);
    check_stands_still(ROOM);
    check_all_live(ROOM);
    /* They come in one by one as others go; those that came when there was no room were not lost silently: they
     * were closed, or they wait. */
    int most = server.accepted;
    for (int i = 0; i < 10; i++) {
        int at = server.accepted;
        bbi_net_end(server.net, server.conns[i % CONNS], BBI_NET_ABORT);
        UNTIL(&server, no_side(), server.accepted == at + 1);
        most = server.accepted;
    }
    cr_assert_eq(most, ROOM + 10);
    end_child(pid);
    side_close(&server);
}
