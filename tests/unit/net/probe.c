/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: io_uring is taken where it works; where it does not, epoll is, at once, and the reason is a sentence; what is
 * not used is forbidden; the calls under load are few.
 * Method: filters of our own process, before and behind the calls; the ring's own refusals; the engines' counters.
 */
#include "tests/unit/net/net_pair.h"
#include <linux/io_uring.h>

TestSuite(net_probe, .timeout = 60);

static struct side client, server;
static const struct bbi_net_handler NO_HANDLER;

/* ---- reasons ---- */

Test(net_probe, reasons_name_what_forbids_it_and_what_to_do)
{
    const struct {
        int error, sysctl, seccomp;
        const char *part, *other;
    } cases[] = {
        {EPERM, 2, 0, "kernel.io_uring_disabled is 2", "0 allows it"},
        {EPERM, 1, 2, "kernel.io_uring_disabled is 1", "kernel.io_uring_group"},
        {EPERM, 0, 2, "seccomp", "io_uring_setup, io_uring_enter and io_uring_register"},
        {EPERM, -1, 2, "seccomp", "profile"},
        {EACCES, 0, 0, "forbidden", "security module"},
        {ENOSYS, -1, 0, "not there", "5.1"},
        {ENOSYS, 0, 2, "not there", "seccomp"},
        {EINVAL, 0, 0, "older", "6.1"},
        {ENOMEM, 0, 0, "memory", "ulimit -l"},
        {EMFILE, 0, 0, "failed", "open files"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[512];
        bbi_net_reason(text, sizeof(text), "io_uring_setup", cases[i].error, cases[i].sysctl,
                       cases[i].seccomp);
        cr_assert_eq(strncmp(text, "io_uring_setup ", 15), 0, "%s", text);
        cr_assert_not_null(strstr(text, cases[i].part), "%zu: %s", i, text);
        cr_assert_not_null(strstr(text, cases[i].other), "%zu: %s", i, text);
    }
}

struct denial {
    char name[24];
    int call, error;
    char part[32];
};
static struct denial DENIALS[] = {
    {"setup, EPERM", SYS_io_uring_setup, EPERM, "io_uring_setup is forbidden"},
    {"setup, ENOSYS", SYS_io_uring_setup, ENOSYS, "io_uring_setup is not there"},
    {"register, EPERM", SYS_io_uring_register, EPERM, "io_uring_register"},
    {"register, ENOSYS", SYS_io_uring_register, ENOSYS, "io_uring_register"},
    {"enter, EPERM", SYS_io_uring_enter, EPERM, "io_uring_enter is forbidden"},
    {"enter, ENOSYS", SYS_io_uring_enter, ENOSYS, "io_uring_enter is not there"},
};

ParameterizedTestParameters(net_probe, denied)
{
    return cr_make_param_array(struct denial, DENIALS, sizeof(DENIALS) / sizeof(DENIALS[0]));
}

ParameterizedTest(struct denial *d, net_probe, denied)
{
    struct kind any = {"auto", BBI_NET_AUTO, true, 0};
    struct bbi_net_opts o = {.engine = BBI_NET_URING, .is_restricted = true};
    struct bbi_net *net = NULL;
    struct bbi_fault f = {0};
    char why[512];
    deny(&d->call, 1, d->error);
    int64_t begin_ns = bbi_os_mono_ns();
    cr_assert_eq(bbi_net_probe(why, sizeof(why)), BBI_NET_EPOLL);
    int64_t took_ns = bbi_os_mono_ns() - begin_ns;
    cr_assert_lt(took_ns, 500000000, "%ld ns", (long)took_ns);
    cr_assert_not_null(strstr(why, d->part), "%s: %s", d->name, why);
    cr_assert_not_null(strstr(why, "seccomp"), "%s: %s", d->name, why);
    cr_assert_eq(bbi_net_open(&net, &o, &NO_HANDLER, NULL, &f), BB_ENOTSUP);
    cr_assert_null(net);
    cr_assert_str_eq(f.sentence, why);
    cr_assert_str_eq(f.name, "io_uring");
    side_open(&server, &any);
    cr_assert_str_eq(bbi_net_why(server.net), why);
    side_close(&server);
}

Test(net_probe, takes_io_uring_where_it_works)
{
    struct kind any = {"auto", BBI_NET_URING, true, 0};
    struct bbi_net *net = NULL;
    struct bbi_fault f = {0};
    begin_kind(&any);
    cr_assert_eq(bbi_net_open(&net, NULL, &NO_HANDLER, NULL, &f), 0, "%s", f.sentence);
    cr_assert_str_eq(bbi_net_engine_name(net), "io_uring");
    cr_assert_str_empty(bbi_net_why(net));
    bbi_net_close(net);
    bbi_net_close(NULL);
    cr_assert_eq(bbi_net_probe(NULL, 0), BBI_NET_URING);
}

Test(net_probe, epoll_when_asked_for_needs_no_reason)
{
    struct kind k = {"epoll", BBI_NET_EPOLL, false, 0};
    side_open(&server, &k);
    cr_assert_str_empty(bbi_net_why(server.net));
    side_close(&server);
}

Test(net_probe, wrong_options)
{
    struct bbi_net *net = NULL;
    struct bbi_fault f = {0};
    cr_assert_eq(bbi_net_open(&net, &(struct bbi_net_opts){.buffers = 3}, &NO_HANDLER, NULL, &f),
                 BB_EINVAL);
    cr_assert_not_null(strstr(f.sentence, "power of two"));
    cr_assert_eq(
        bbi_net_open(&net, &(struct bbi_net_opts){.buffers = 65536}, &NO_HANDLER, NULL, &f),
        BB_EINVAL);
    cr_assert_eq(
        bbi_net_open(&net, &(struct bbi_net_opts){.connections = 40000}, &NO_HANDLER, NULL, &f),
        BB_EINVAL);
    cr_assert_null(net);
}

/* ---- restrictions ---- */

static int
ring_fd(void)
{
    for (int fd = 3; fd < 256; fd++) {
        char path[64], name[64] = {0};
        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        if (readlink(path, name, sizeof(name) - 1) > 0 && strstr(name, "[io_uring]") != NULL) {
            return fd;
        }
    }
    return -1;
}

/* What the engine does not use it cannot be made to do, not by us either. */
Test(net_probe, what_is_not_used_is_forbidden)
{
    struct kind k = {"io_uring", BBI_NET_URING, false, 0};
    begin_kind(&k);
    for (int restricted = 0; restricted < 2; restricted++) {
        int files[1] = {0};
        k.is_restricted = restricted == 1;
        side_open(&server, &k);
        int fd = ring_fd();
        cr_assert_geq(fd, 0);
        long rc = syscall(SYS_io_uring_register, fd, IORING_REGISTER_FILES, files, 1);
        int error = rc < 0 ? errno : 0;
        cr_assert_eq(error, restricted == 1 ? EACCES : 0, "%s", strerror(error));
        side_close(&server);
    }
}

/* ---- few calls, and none but its own ---- */

static void
load(struct kind *k, struct stream *st)
{
    side_open(&server, k);
    side_open(&client, k);
    side_listen(&server, "127.0.0.1");
    link_up(&client, &server);
    stream_open(st);
    stream_begin(&client, st);
    UNTIL(&client, &server, st->sends_left == 0 && server.received == st->bytes);
    stream_check(st, &server);
}

/* 64 B messages, 64 in a send: at least 32 of them for each system call of either side. */
KIND_PARAMS(net_probe, messages_for_each_call)
ParameterizedTest(struct kind *k, net_probe, messages_for_each_call)
{
    struct stream st = {
        .sends_left = 20000, .bytes_min = 64, .bytes_max = 64, .pieces_min = 64, .pieces_max = 64};
    struct bbi_net_stats sender, receiver;
    begin_kind(k);
    load(k, &st);
    bbi_net_stats(client.net, &sender);
    bbi_net_stats(server.net, &receiver);
    (void)fprintf(stderr, "%s: %lu messages, calls: sender %lu, receiver %lu\n", k->name,
                  (unsigned long)st.messages, (unsigned long)sender.system_calls,
                  (unsigned long)receiver.system_calls);
    if (k->engine == BBI_NET_URING) {
        cr_assert_leq(sender.system_calls * 32, st.messages);
    }
    stream_close(&st);
    side_close(&client);
    side_close(&server);
}

/* In a child, since Criterion reports over a socket: sends and receives that are no operation of the ring fail there. */
Test(net_probe, io_uring_neither_sends_nor_receives_by_calls)
{
    struct kind k = {"io_uring", BBI_NET_URING, true, 0};
    begin_kind(&k);
    side_open(&server, &k);
    side_open(&client, &k);
    side_close(&client);
    side_close(&server);
    pid_t pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        const int calls[] = {SYS_sendto, SYS_recvfrom, SYS_sendmsg,    SYS_recvmsg,
                             SYS_writev, SYS_readv,    SYS_epoll_wait, SYS_accept4};
        struct stream st = {.sends_left = 2000,
                            .bytes_min = 1,
                            .bytes_max = 4096,
                            .pieces_min = 1,
                            .pieces_max = 64};
        deny(calls, 8, EPERM);
        /* They fail indeed. */
        int pair[2];
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0
            || send(pair[0], "x", 1, 0) != -1 || errno != EPERM) {
            _exit(2);
        }
        load(&k, &st); /* an assertion that fails ends this process otherwise than with 0 */
        _exit(server.received == st.bytes && st.sends_left == 0 ? 0 : 3);
    }
    int status;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", (unsigned)status);
}
