/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: what bridge.h promises of its calls whatever the busbard is like: none there, one that is silent, that dies,
 * that lists hundreds of links, that speaks nonsense or of a later version; and that asking, however often and from
 * however many threads, costs the bus one ring.
 * Method: a thread with an endpoint of the name `busbard` answers by a script; one that dies loses its locks, as when
 * it is killed.
 */
#include "busbar/busbar.h"
#include "lib/endpoint/bridge_words.h"
#include "lib/endpoint/endpoint_impl.h"
#include "lib/endpoint/subscriber_impl.h"
#include "shm/os.h"
#include "tests/unit/shm/bus_dir.h"
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>

#define MS_NS INT64_C(1000000)

TestSuite(bridge_call, .init = bus_dir_make, .fini = bus_dir_remove, .timeout = 60);

static struct bb_endpoint *
attach(const char *name)
{
    struct bb_endpoint *ep = NULL;
    const struct bb_endpoint_opts o = {.size = sizeof(o), .dir = bus_dir, .bus = "b", .name = name};
    cr_assert_eq(bb_endpoint_open(&ep, &o), 0);
    return ep;
}

enum { LINKS = 500 };

struct daemon {
    struct bb_endpoint *ep;
    struct bb_subscriber *sub;
    struct bb_publisher *pub;
    void (*answer)(struct daemon *d, const struct bb_request_info *to);
    struct bbi_bridge_ask ask; /* the last */
    int asked;
    _Atomic int stop;
    pthread_t thread;
};

static void *
run_daemon(void *user)
{
    struct daemon *d = user;
    struct bbi_fault f;
    struct bb_msg m;
    struct bb_request_info to;
    while (!d->stop) {
        if (bb_poll(d->sub, &m, 1, 20 * MS_NS) == 1 && bb_msg_request(&m, &to) == 0
            && bbi_bridge_ask_read(&d->ask, m.data, m.bytes, &f) >= 0) {
            d->asked++;
            d->answer(d, &to);
        }
    }
    return NULL;
}

static void
start(struct daemon *d, void (*answer)(struct daemon *d, const struct bb_request_info *to))
{
    static const char *const prefix = BBI_BRIDGE_PREFIX;
    const struct bb_publisher_opts po = {.size = sizeof(po), .lane = BB_LANE_CONTROL};
    const struct bb_subscriber_opts so = {
        .size = sizeof(so), .prefixes = &prefix, .prefix_count = 1};
    *d = (struct daemon){.ep = attach(BBI_BRIDGE_NODE), .answer = answer};
    cr_assert_eq(bb_publisher_open(&d->pub, d->ep, &po), 0);
    cr_assert_eq(bb_subscriber_open(&d->sub, d->ep, &so), 0);
    cr_assert_eq(pthread_create(&d->thread, NULL, run_daemon, d), 0);
}

static void
halt(struct daemon *d)
{
    d->stop = 1;
    cr_assert_eq(pthread_join(d->thread, NULL), 0);
}

static void
go_on(struct daemon *d)
{
    d->stop = 0;
    cr_assert_eq(pthread_create(&d->thread, NULL, run_daemon, d), 0);
}

static void
stop(struct daemon *d)
{
    halt(d);
    bb_endpoint_close(d->ep);
}

/* As SIGKILL does it: nothing of ours runs any more, and the kernel lets its locks go. */
static void
murder(struct daemon *d)
{
    halt(d);
    die(&d->ep->at);
}

static void
say(struct daemon *d,
    const struct bb_request_info *to,
    const struct bbi_bridge_answer *answer,
    const struct bbi_bridge_answer_parts *parts,
    uint32_t more)
{
    static unsigned char buf[BBI_BRIDGE_ANSWER_MAX];
    int64_t bytes = bbi_bridge_answer_write(buf, sizeof(buf), answer, parts);
    (void)!bb_reply(d->pub, to, buf, (size_t)bytes, BB_VALUE | more);
}

/* ---- nobody there ------------------------------------------------------------------------------- */

static void
assert_none(int rc, struct bb_error *e)
{
    cr_assert_eq(rc, BB_ENORESPONDERS, "%s", bb_strerror(rc));
    cr_assert_eq(e->code, BB_ENORESPONDERS);
    cr_assert_str_eq(e->sentence, "no busbard runs on bus b: start one with `busbard --bus b`");
    memset(e, 0, sizeof(*e));
}

Test(bridge_call, without_a_busbard_every_call_says_how_to_start_one)
{
    struct bb_endpoint *ep = attach("a");
    struct bb_error e = {0};
    const struct bb_link_opts o = {.size = sizeof(o), .error = &e};
    struct bb_bridge_info info = {.size = sizeof(info)};
    uint16_t port = 9;
    assert_none(bb_listen(ep, "*", 0, &o, &port), &e);
    cr_assert_eq(port, 9);
    assert_none(bb_unlisten(ep, "*", 1, &o), &e);
    assert_none(bb_peer(ep, "h", 1, &o), &e);
    assert_none(bb_unpeer(ep, "h", 1, &o), &e);
    assert_none(bb_interest_wait(ep, 0, &e), &e);
    assert_none(bb_bridge_look(ep, &info, &e), &e);
    assert_none(bb_bridge_links(ep, NULL, 0, &e), &e);
    cr_assert_eq(bb_peer(ep, "h", 1, NULL), BB_ENORESPONDERS); /* nobody wants the words */

    /* One that has the name and does not answer such requests is none either; nor who only listens to them. */
    struct bb_endpoint *other = attach(BBI_BRIDGE_NODE), *nosy = attach("nosy");
    static const char *const prefix = "<$>bridge/";
    const struct bb_subscriber_opts so = {
        .size = sizeof(so), .prefixes = &prefix, .prefix_count = 1};
    struct bb_subscriber *sub;
    cr_assert_eq(bb_subscriber_open(&sub, nosy, &so), 0);
    assert_none(bb_peer(ep, "h", 1, &o), &e);
    bb_endpoint_close(nosy);
    bb_endpoint_close(other);
    bb_endpoint_close(ep);
}

static void
answer_nothing(struct daemon *d, const struct bb_request_info *to)
{
    (void)d;
    (void)to;
}

Test(bridge_call, a_silent_busbard_is_named_with_its_pid)
{
    struct bb_endpoint *ep = attach("a");
    struct bb_error e = {0};
    const struct bb_link_opts o = {.size = sizeof(o), .timeout_ns = 1, .error = &e};
    char pid[32];
    struct daemon d;
    start(&d, answer_nothing);
    cr_assert_eq(bb_peer(ep, "h", 1, &o), BB_ETIMEDOUT);
    (void)snprintf(pid, sizeof(pid), "(pid %d)", (int)getpid());
    cr_assert_neq((void *)strstr(e.sentence, pid), NULL, "%s", e.sentence);
    cr_assert_eq(e.owner_pid, getpid());
    stop(&d);
    bb_endpoint_close(ep);
}

static void
answer_with_death(struct daemon *d, const struct bb_request_info *to)
{
    (void)to;
    bb_subscriber_close(d->sub); /* gone without a word */
    d->sub = NULL;
    d->stop = 1;
}

Test(bridge_call, one_that_ends_meanwhile_is_told)
{
    struct bb_endpoint *ep = attach("a");
    struct bb_error e = {0};
    struct daemon d;
    start(&d, answer_with_death);
    cr_assert_eq(bb_interest_wait(ep, -1, &e), BB_EPEERGONE);
    cr_assert_neq((void *)strstr(e.sentence, "ended before it answered"), NULL, "%s", e.sentence);
    stop(&d);
    bb_endpoint_close(ep);
}

/* ---- arguments ---------------------------------------------------------------------------------- */

Test(bridge_call, wrong_arguments_ask_nobody)
{
    struct bb_endpoint *ep = attach("a");
    struct bb_error e = {0};
    static char host[BBI_BRIDGE_HOST_BYTES + 1], name[BBI_BRIDGE_NAME_BYTES + 1];
    struct bb_link_opts o = {.size = sizeof(o), .error = &e};
    memset(host, 'h', sizeof(host) - 1);
    memset(name, 'n', sizeof(name) - 1);
    cr_assert_eq(bb_peer(ep, NULL, 1, &o), BB_EINVAL);
    cr_assert_eq(bb_peer(ep, "", 1, &o), BB_EINVAL);
    cr_assert_eq(bb_peer(ep, host, 1, &o), BB_ENAMETOOLONG);
    cr_assert_str_eq(e.sentence, "the name of a host has at most 119 bytes");
    o.name = name;
    cr_assert_eq(bb_peer(ep, "h", 1, &o), BB_ENAMETOOLONG);
    o.name = NULL;
    o.slow = 3;
    cr_assert_eq(bb_peer(ep, "h", 1, &o), BB_EINVAL);
    o.slow = 0;
    o.flags = 4;
    cr_assert_eq(bb_peer(ep, "h", 1, &o), BB_ENOTSUP);
    o.flags = 0;
    o.size = 0;
    cr_assert_eq(bb_peer(ep, "h", 1, &o), BB_EINVAL);
    bb_endpoint_close(ep);
}

/* ---- answers ------------------------------------------------------------------------------------ */

static void
answer_port(struct daemon *d, const struct bb_request_info *to)
{
    say(d, to, &(struct bbi_bridge_answer){.port = 4711, .count = 3}, NULL, 0);
}

Test(bridge_call, what_is_asked_arrives)
{
    struct bb_endpoint *ep = attach("a");
    struct daemon d;
    uint16_t port = 0;
    start(&d, answer_port);
    const struct bb_link_opts o = {.size = sizeof(o),
                                   .timeout_ns = 5000 * MS_NS,
                                   .flags = BB_PEER_WAIT,
                                   .slow = BB_SLOW_DISCONNECT,
                                   .queue_bytes = 1 << 20,
                                   .name = "box-2"};
    cr_assert_eq(bb_listen(ep, "::1", 0, &o, &port), 0);
    cr_assert_eq(port, 4711);
    cr_assert_eq(bb_peer(ep, "10.0.0.1", 99, &o), 0);
    cr_assert_str_eq(d.ask.request, "peer");
    cr_assert_str_eq(d.ask.host, "10.0.0.1");
    cr_assert_str_eq(d.ask.name, "box-2");
    cr_assert_eq(d.ask.port, 99);
    cr_assert_eq(d.ask.flags, BB_PEER_WAIT);
    cr_assert_eq(d.ask.slow, BB_SLOW_DISCONNECT);
    cr_assert_eq(d.ask.queue_bytes, 1 << 20);
    cr_assert_eq(d.ask.wait_ns, 5000 * MS_NS);
    cr_assert_eq(bb_interest_wait(ep, -1, NULL), 3);
    cr_assert_eq(d.ask.wait_ns, INT64_MAX);
    stop(&d);
    bb_endpoint_close(ep);
}

static void
answer_no(struct daemon *d, const struct bb_request_info *to)
{
    say(d, to,
        &(struct bbi_bridge_answer){.code = -ECONNREFUSED, .sentence = "nobody listens at h:1"},
        NULL, 0);
}

Test(bridge_call, why_not_is_busbards_own_sentence)
{
    struct bb_endpoint *ep = attach("a");
    struct bb_error e = {0};
    const struct bb_link_opts o = {.size = sizeof(o), .flags = BB_PEER_ONCE, .error = &e};
    struct daemon d;
    start(&d, answer_no);
    cr_assert_eq(bb_peer(ep, "h", 1, &o), -ECONNREFUSED);
    cr_assert_str_eq(e.sentence, "nobody listens at h:1");
    stop(&d);
    bb_endpoint_close(ep);
}

static void
answer_links(struct daemon *d, const struct bb_request_info *to)
{
    struct bb_link_info links[BBI_BRIDGE_LINKS_EACH] = {0};
    uint64_t wanted = d->ask.max < LINKS ? d->ask.max : LINKS;
    uint64_t sent = 0;
    do {
        size_t n = 0;
        while (n < BBI_BRIDGE_LINKS_EACH && sent < wanted) {
            (void)snprintf(links[n].address, sizeof(links[n].address), "h:%d", (int)sent);
            memset(links[n].last, 'w', sizeof(links[n].last) - 1);
            links[n++].sent = ++sent;
        }
        say(d, to, &(struct bbi_bridge_answer){.count = LINKS},
            &(struct bbi_bridge_answer_parts){.links = links, .link_count = n},
            sent < wanted ? (uint32_t)BB_REPLY_MORE : 0);
    } while (sent < wanted);
}

Test(bridge_call, five_hundred_links_are_listed)
{
    static struct bb_link_info links[LINKS + 1];
    struct bb_endpoint *ep = attach("a");
    struct daemon d;
    char address[16];
    start(&d, answer_links);
    cr_assert_eq(bb_bridge_links(ep, NULL, 0, NULL), LINKS);
    cr_assert_eq(bb_bridge_links(ep, links, LINKS + 1, NULL), LINKS);
    for (int i = 0; i < LINKS; i++) {
        (void)snprintf(address, sizeof(address), "h:%d", i);
        cr_assert_str_eq(links[i].address, address);
        cr_assert_eq(links[i].sent, (uint64_t)i + 1);
    }
    memset(links, 0, sizeof(links));
    cr_assert_eq(bb_bridge_links(ep, links, 13, NULL), LINKS); /* filled as far as it reaches */
    cr_assert_eq(links[12].sent, 13);
    cr_assert_eq(links[13].sent, 0);
    stop(&d);
    bb_endpoint_close(ep);
}

static void
answer_info(struct daemon *d, const struct bb_request_info *to)
{
    const struct bb_bridge_info info = {.name = "box-1", .pid = 77, .up = 3, .local_lost = 5};
    say(d, to, &(struct bbi_bridge_answer){0}, &(struct bbi_bridge_answer_parts){.info = &info}, 0);
}

Test(bridge_call, a_program_of_another_age_gets_what_its_struct_has)
{
    struct bb_endpoint *ep = attach("a");
    struct daemon d;
    struct bb_bridge_info info = {.size = sizeof(info)};
    start(&d, answer_info);
    cr_assert_eq(bb_bridge_look(ep, &info, NULL), 0);
    cr_assert_str_eq(info.name, "box-1");
    cr_assert_eq(info.pid, 77);
    cr_assert_eq(info.local_lost, 5);
    memset(&info, 0x11, sizeof(info));
    info.size = offsetof(struct bb_bridge_info, local_lost);
    cr_assert_eq(bb_bridge_look(ep, &info, NULL), 0);
    cr_assert_eq(info.up, 3);
    cr_assert_eq(info.local_lost, UINT64_C(0x1111111111111111));
    stop(&d);
    bb_endpoint_close(ep);
}

static void
answer_nonsense(struct daemon *d, const struct bb_request_info *to)
{
    (void)!bb_reply(d->pub, to, "nonsense", 8, BB_VALUE);
}

static void
answer_error(struct daemon *d, const struct bb_request_info *to)
{
    (void)!bb_reply_error(d->pub, to, BB_ENOTSUP, "of another world");
}

Test(bridge_call, what_cannot_be_read_is_said)
{
    struct bb_endpoint *ep = attach("a");
    struct bb_error e = {0};
    struct bb_bridge_info info = {.size = sizeof(info)};
    struct daemon d;
    start(&d, answer_nonsense);
    cr_assert_eq(bb_bridge_look(ep, &info, &e), BB_ECORRUPT);
    cr_assert_neq((void *)strstr(e.sentence, "another version"), NULL, "%s", e.sentence);
    stop(&d);
    start(&d, answer_port); /* an answer without what was asked for */
    cr_assert_eq(bb_bridge_look(ep, &info, &e), BB_ECORRUPT);
    stop(&d);
    start(&d, answer_error);
    cr_assert_eq(bb_bridge_look(ep, &info, &e), BB_ENOTSUP);
    cr_assert_str_eq(e.sentence, "of another world");
    stop(&d);
    bb_endpoint_close(ep);
}

/* More is announced than comes: three times, then it is said. */
static void
answer_short(struct daemon *d, const struct bb_request_info *to)
{
    const struct bb_link_info link = {.sent = 1};
    say(d, to, &(struct bbi_bridge_answer){.count = 9},
        &(struct bbi_bridge_answer_parts){.links = &link, .link_count = 1}, 0);
}

Test(bridge_call, a_listing_with_holes_is_asked_for_again_and_not_believed)
{
    struct bb_link_info links[9];
    struct bb_endpoint *ep = attach("a");
    struct bb_error e = {0};
    struct daemon d;
    start(&d, answer_short);
    cr_assert_eq(bb_bridge_links(ep, links, 9, &e), BB_EOVERRUN);
    stop(&d);
    cr_assert_eq(d.asked, 3);
    cr_assert_neq(e.sentence[0], '\0');
    bb_endpoint_close(ep);
}

Test(bridge_call, states_have_names)
{
    cr_assert_str_eq(bb_link_state_name(BB_LINK_UP), "up");
    cr_assert_str_eq(bb_link_state_name(BB_LINK_LISTENING), "listening");
    cr_assert_str_eq(bb_link_state_name(77), "unknown");
}

/* ---- what asking costs the bus ------------------------------------------------------------------ */

enum { QUESTIONS = 1100, MOST_RINGS = 1024 };

/* Rings of this node on the bus, closed ones included. */
static int
rings_of(const struct bb_endpoint *ep)
{
    static struct bb_ring_info rings[MOST_RINGS];
    struct bb_look *look;
    const struct bb_look_opts o = {.size = sizeof(o), .dir = bus_dir, .bus = "b"};
    cr_assert_eq(bb_look_open(&look, &o), 0);
    int n = bb_look_rings(look, rings, MOST_RINGS);
    int count = 0;
    for (int i = 0; i < n; i++) {
        if (strcmp(rings[i].node, bb_endpoint_name(ep)) == 0) {
            count++;
            cr_assert_eq(rings[i].lane, BB_LANE_ONESHOT);
        }
    }
    bb_look_close(look);
    return count;
}

/* Beside one that does not read, a ring for each question would stay for 10 s, and a bus holds 1,024. */
static void
ask_often_beside(uint32_t flags)
{
    static const char *const prefix = "/of/its/own";
    const struct bb_subscriber_opts o = {
        .size = sizeof(o), .flags = flags, .prefixes = &prefix, .prefix_count = 1};
    struct bb_endpoint *ep = attach("a"), *idle = attach("idle");
    struct bb_subscriber *sub;
    struct bb_bridge_info info = {.size = sizeof(info)};
    struct bb_error e = {0};
    struct daemon d;
    cr_assert_eq(bb_subscriber_open(&sub, idle, &o), 0);
    start(&d, answer_info);
    for (int i = 0; i < QUESTIONS; i++) {
        cr_assert_eq(bb_bridge_look(ep, &info, &e), 0, "question %d: %s", i, e.sentence);
    }
    cr_assert_eq(d.asked, QUESTIONS);
    cr_assert_eq(rings_of(ep), 1);
    bb_endpoint_close(idle);
    stop(&d);
    bb_endpoint_close(ep);
}

Test(bridge_call, who_asks_often_fills_no_bus_beside_one_that_does_not_read)
{
    ask_often_beside(0);
}

Test(bridge_call, nor_beside_a_reliable_one)
{
    ask_often_beside(BB_SUBSCRIBER_RELIABLE);
}

Test(bridge_call, the_ring_goes_with_the_endpoint)
{
    struct bb_endpoint *ep = attach("a");
    struct bb_bridge_info info = {.size = sizeof(info)};
    struct daemon d;
    int fds = count_fds();
    start(&d, answer_info);
    cr_assert_eq(rings_of(ep), 0); /* who asks nothing has none */
    cr_assert_eq(bb_bridge_look(ep, &info, NULL), 0);
    cr_assert_eq(rings_of(ep), 1);
    stop(&d);
    bb_endpoint_close(ep);
    cr_assert_lt(count_fds(), fds);
    cr_assert_eq(
        bb_gc(&(struct bb_gc_opts){.size = sizeof(struct bb_gc_opts), .dir = bus_dir, .bus = "b"})
            >= 0,
        1);
    cr_assert_eq(count_files("", "pub-"), 0);
}

Test(bridge_call, it_serves_one_busbard_after_the_other)
{
    struct bb_endpoint *ep = attach("a");
    struct bb_bridge_info info = {.size = sizeof(info)};
    struct bb_error e = {0};
    uint64_t before = 0;
    for (int i = 0; i < 6; i++) {
        struct daemon d;
        start(&d, answer_info);
        cr_assert_neq(bb_endpoint_id(d.ep), before);
        before = bb_endpoint_id(d.ep);
        cr_assert_eq(bb_bridge_look(ep, &info, &e), 0, "%d: %s", i, e.sentence);
        if (i % 2 == 0) {
            murder(&d);
        } else {
            stop(&d);
        }
        assert_none(bb_bridge_look(ep, &info, &e), &e);
    }
    cr_assert_eq(rings_of(ep), 1);
    bb_endpoint_close(ep);
}

/* As visit.c does with a ring that is not well formed. */
static void
put_aside(struct bb_subscriber *sub, const char *node)
{
    for (struct bbi_source *s = sub->sources; s != NULL; s = s->next) {
        if (strcmp(s->node, node) == 0) {
            sub->past_keys[s->index] = s->key;
            bbi_source_end(sub, s);
            s->is_corrupt = s->is_drained = true;
        }
    }
}

Test(bridge_call, when_busbard_does_not_hear_it_the_next_call_makes_another)
{
    struct bb_endpoint *ep = attach("a");
    struct bb_error e = {0};
    const struct bb_link_opts o = {.size = sizeof(o), .timeout_ns = 1, .error = &e};
    struct bb_bridge_info info = {.size = sizeof(info)};
    struct daemon d;
    start(&d, answer_info);
    cr_assert_eq(bb_bridge_look(ep, &info, &e), 0, "%s", e.sentence);
    halt(&d);
    put_aside(d.sub, "a");
    go_on(&d);
    cr_assert_eq(bb_peer(ep, "h", 1, &o), BB_ETIMEDOUT);
    cr_assert_eq(d.asked, 1);
    cr_assert_eq(bb_bridge_look(ep, &info, &e), 0, "%s", e.sentence);
    cr_assert_eq(d.asked, 2);
    stop(&d);
    bb_endpoint_close(ep);
}

/* In the child; 0 or what failed. */
static int
ask_in_child(struct bb_endpoint *ep)
{
    struct bb_bridge_info info = {.size = sizeof(info)};
    struct bb_endpoint *own = NULL;
    const struct bb_endpoint_opts o = {.size = sizeof(o), .dir = bus_dir, .bus = "b", .name = "c"};
    if (bb_bridge_look(ep, &info, NULL) != BB_EFORKED) {
        return 1;
    }
    bb_endpoint_close(ep);
    if (bb_endpoint_open(&own, &o) != 0) {
        return 2;
    }
    int rc = bb_bridge_look(own, &info, NULL) == 0 ? 0 : 3;
    bb_endpoint_close(own);
    return rc;
}

struct asker {
    struct bb_endpoint *ep;
    _Atomic int stop;
    int asked, answered;
    pthread_t thread;
};

static void *
run_asker(void *user)
{
    static const size_t max = 40; /* links: two replies */
    struct asker *a = user;
    struct bb_link_info *links = calloc(max, sizeof(*links));
    do {
        a->asked++;
        a->answered += bb_bridge_links(a->ep, links, max, NULL) == LINKS && links[0].sent == 1
                       && links[max - 1].sent == max;
    } while (!a->stop);
    free(links);
    return NULL;
}

static void
start_askers(struct asker *a, int count, struct bb_endpoint *ep)
{
    for (int i = 0; i < count; i++) {
        a[i] = (struct asker){.ep = ep};
        cr_assert_eq(pthread_create(&a[i].thread, NULL, run_asker, &a[i]), 0);
    }
}

static void
stop_askers(struct asker *a, int count)
{
    for (int i = 0; i < count; i++) {
        a[i].stop = 1;
        cr_assert_eq(pthread_join(a[i].thread, NULL), 0);
        cr_assert_gt(a[i].asked, 0);
        cr_assert_eq(a[i].answered, a[i].asked);
    }
}

Test(bridge_call, a_child_asks_with_its_own_and_the_parent_goes_on)
{
    struct bb_endpoint *ep = attach("a");
    struct bb_bridge_info info = {.size = sizeof(info)};
    struct daemon d;
    start(&d, answer_info);
    cr_assert_eq(bb_bridge_look(ep, &info, NULL), 0);
    for (int i = 0; i < 3; i++) {
        int status = -1;
        pid_t pid = fork();
        if (pid == 0) {
            _exit(ask_in_child(ep));
        }
        cr_assert_eq(waitpid(pid, &status, 0), pid);
        cr_assert_eq(status, 0, "child: %x", (unsigned)status);
        cr_assert_eq(bb_bridge_look(ep, &info, NULL), 0);
    }
    cr_assert_eq(rings_of(ep), 1);
    stop(&d);
    bb_endpoint_close(ep);
}

/* Some of these forks fall between a thread's taking the lock and its giving it back. */
Test(bridge_call, threads_ask_at_once_also_while_somebody_forks)
{
    enum { ASKERS = 4, FORKS = 40 };
    struct bb_endpoint *ep = attach("a");
    struct asker askers[ASKERS];
    struct daemon d;
    start(&d, answer_links);
    start_askers(askers, ASKERS, ep);
    for (int i = 0; i < FORKS; i++) {
        struct bb_bridge_info info = {.size = sizeof(info)};
        int status = -1;
        pid_t pid = fork();
        if (pid == 0) {
            int rc = bb_bridge_look(ep, &info, NULL);
            bb_endpoint_close(ep);
            _exit(rc == BB_EFORKED ? 0 : 1);
        }
        cr_assert_eq(waitpid(pid, &status, 0), pid);
        cr_assert_eq(status, 0, "child: %x", (unsigned)status);
    }
    stop_askers(askers, ASKERS);
    cr_assert_eq(rings_of(ep), 1);
    stop(&d);
    bb_endpoint_close(ep);
}
