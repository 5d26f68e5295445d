/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/peers/mesh.c - publishers and subscribers over sockets that somebody else's library brings.
 *
 * Page       one struct bench_mesh for all processes of a run.  start writes its head before any fork, so that
 *            addresses in it are good in every process; each subscriber writes its own struct heard.
 */
#include "bench/peers/mesh.h"
#include "bench/shuffle.h"

#include "bench/clock.h"
#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    URL_BYTES = 256,
    TAKE_MOST = 256, /* messages in one sub_recv */
};
static const int64_t connect_ns = 10000000000, look_ns = 200000, hybrid_spin_ns = 50000;
/* A publisher gives up when nothing was heard for so long; lossy: what is missing then was dropped. */
static const int64_t linger_ns = 5000000000, lossy_linger_ns = 300000000;
static const int64_t ns_per_s = 1000000000;

/* What one subscriber has heard; written by it, read by publishers that close. */
struct heard {
    alignas(64) _Atomic uint64_t next[BENCH_PUBLISHERS]; /* number expected next, by publisher */
    _Atomic uint32_t is_gone;
};

struct bench_mesh {
    const struct bench_mesh_library *library;
    const char *name; /* the driver's, for what it says */
    enum bench_mesh_kind kind;
    size_t bytes;
    uint16_t *ports;      /* is_bridge: of each outlet, by publisher; behind what was heard */
    struct heard heard[]; /* by subscriber */
};

/* rc: what one of the library's functions returned; gives 0 or a negative status, said. */
static int
settle(const struct bench_mesh *mesh, const char *doing, int rc)
{
    if (rc <= 0) {
        return rc;
    }
    (void)fprintf(stderr, "%s: %s: %s\n", mesh->name, doing, mesh->library->say(rc));
    return -EIO;
}

static int
say_no_memory(const struct bench_mesh *mesh, const char *doing)
{
    (void)fprintf(stderr, "%s: %s: %s\n", mesh->name, doing, strerror(ENOMEM));
    return -ENOMEM;
}

/* A free port of the loopback, which is taken as long as *fd is open. */
static int
take_port(uint16_t *port, int *fd)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof(at);
    *fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (*fd < 0 || bind(*fd, (struct sockaddr *)&at, sizeof(at)) < 0
        || getsockname(*fd, (struct sockaddr *)&at, &bytes) < 0) {
        return -errno;
    }
    *port = ntohs(at.sin_port);
    return 0;
}

/* All are held until the last is found, so that they differ. */
static int
find_ports(uint16_t *ports, size_t count)
{
    int rc = 0, fds[BENCH_PUBLISHERS];
    size_t open = 0;
    if (count > BENCH_PUBLISHERS) {
        return -E2BIG;
    }
    for (; rc == 0 && open < count; open++) {
        rc = take_port(&ports[open], &fds[open]);
    }
    while (open > 0) {
        (void)close(fds[--open]);
    }
    return rc;
}

int
bench_mesh_start(const struct bench_mesh_library *library,
                 const char *driver_name,
                 enum bench_mesh_kind kind,
                 const struct bench_setup *s,
                 void **shared)
{
    int rc = library->check == NULL ? 0 : library->check();
    if (rc < 0) {
        return rc;
    }
    size_t ports = s->is_bridge ? (size_t)s->publishers * s->subscribers : 0;
    size_t bytes = sizeof(struct bench_mesh) + s->subscribers * sizeof(struct heard)
                   + ports * sizeof(uint16_t);
    struct bench_mesh *mesh =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (mesh == MAP_FAILED) {
        rc = -errno;
        (void)fprintf(stderr, "%s: mapping %zu shared bytes: %s\n", driver_name, bytes,
                      strerror(errno));
        return rc;
    }
    mesh->library = library;
    mesh->name = driver_name;
    mesh->kind = kind;
    mesh->bytes = bytes;
    mesh->ports = (uint16_t *)(void *)&mesh->heard[s->subscribers];
    rc = find_ports(mesh->ports, ports);
    if (rc < 0) {
        (void)fprintf(stderr, "%s: looking for free ports: %s\n", driver_name, strerror(-rc));
        (void)munmap(mesh, bytes);
        return rc;
    }
    *shared = mesh;
    return 0;
}

void
bench_mesh_stop(void *shared)
{
    struct bench_mesh *mesh = shared;
    if (mesh != NULL) {
        munmap(mesh, mesh->bytes);
    }
}

/* The publisher's outlet for one subscriber; pubsub: number 0, for all. */
static void
name_outlet(const struct bench_setup *s,
            const struct bench_mesh *mesh,
            unsigned publisher,
            unsigned subscriber,
            char url[URL_BYTES])
{
    if (s->is_bridge) {
        unsigned port = mesh->ports[publisher * s->subscribers + subscriber];
        (void)snprintf(url, URL_BYTES, "tcp://127.0.0.1:%u", port);
    } else {
        (void)snprintf(url, URL_BYTES, "ipc://%s/p%u-%u", s->dir, publisher, subscriber);
    }
}

/* ---- topics ------------------------------------------------------------------------------------- */

static void
name_topic(unsigned topic, char name[BENCH_MESH_TOPIC_BYTES])
{
    char text[16];
    (void)snprintf(text, sizeof(text), "t%06x/", topic & 0xffffffu);
    memcpy(name, text, BENCH_MESH_TOPIC_BYTES);
}

/* All topics are one prefix, none is another; some are asked for one by one. */
unsigned
bench_mesh_count_subscriptions(const struct bench_setup *s)
{
    return s->wanted > 0 && s->wanted < s->topics ? s->wanted : 1;
}

/* The bytes of name that subscription number i consists of. */
static size_t
name_subscription(const struct bench_setup *s, unsigned i, char name[BENCH_MESH_TOPIC_BYTES])
{
    name_topic(i, name);
    if (s->wanted > 0 && s->wanted < s->topics) {
        return BENCH_MESH_TOPIC_BYTES;
    }
    name[0] = s->wanted > 0 ? 't' : 'o';
    return 1;
}

/* All topics of a publisher, in turn or shuffled; NULL without memory. */
static struct bench_mesh_topic *
list_topics(const struct bench_setup *s)
{
    struct bench_mesh_topic *topics = calloc(s->topics, sizeof(*topics));
    for (unsigned i = 0; topics != NULL && i < s->topics; i++) {
        name_topic(i, topics[i].name);
        topics[i].is_wanted = i < s->wanted;
    }
    if (topics != NULL && s->is_shuffled) {
        bench_shuffle(topics, s->topics, sizeof(*topics));
    }
    return topics;
}

/* ---- publisher ---------------------------------------------------------------------------------- */

static void *
outlet_at(const struct bench_mesh_pub *pub, unsigned i)
{
    return (unsigned char *)pub->outlets + i * pub->mesh->library->outlet_bytes;
}

static void
free_pub(struct bench_mesh_pub *pub)
{
    for (unsigned i = 0; pub->outlets != NULL && i < pub->outlet_count; i++) {
        pub->mesh->library->close_outlet(outlet_at(pub, i));
    }
    free(pub->outlets);
    free(pub->topics);
    free(pub->copy);
    free(pub);
}

static int
open_outlets(struct bench_mesh_pub *pub)
{
    const struct bench_setup *s = &pub->setup;
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < pub->outlet_count; i++) {
        char url[URL_BYTES];
        unsigned subscriber = pub->is_pubsub ? 0 : s->is_ping ? 1 - pub->index : i;
        name_outlet(s, pub->mesh, pub->index, subscriber, url);
        rc = pub->mesh->library->open_outlet(pub, outlet_at(pub, i), url);
    }
    return rc;
}

int
bench_mesh_pub_open(const struct bench_setup *s, void *shared, unsigned index, void **out)
{
    static const char doing[] = "opening a publisher";
    struct bench_mesh *mesh = shared;
    struct bench_mesh_pub *pub = calloc(1, sizeof(*pub));
    if (pub == NULL) {
        return say_no_memory(mesh, doing);
    }
    pub->setup = *s;
    pub->mesh = mesh;
    pub->index = index;
    pub->is_pubsub = mesh->kind == BENCH_MESH_PUBSUB;
    pub->message_bytes = s->size + (pub->is_pubsub ? BENCH_MESH_TOPIC_BYTES : 0);
    pub->outlet_count = pub->is_pubsub || s->is_ping ? 1 : s->subscribers;
    pub->outlets = calloc(pub->outlet_count + 1, mesh->library->outlet_bytes);
    pub->copy = malloc(pub->message_bytes);
    pub->topics = list_topics(s);
    int rc = pub->outlets == NULL || pub->copy == NULL || pub->topics == NULL
                 ? say_no_memory(mesh, doing)
                 : settle(mesh, doing, open_outlets(pub));
    if (rc < 0) {
        free_pub(pub);
        return rc;
    }
    *out = pub;
    return 0;
}

/* What a pubsub sends to nobody is gone. */
static int
await_subscribers(struct bench_mesh_pub *pub)
{
    const struct bench_setup *s = &pub->setup;
    unsigned wanted = s->is_ping ? 1 : s->subscribers, there;
    int64_t deadline = bench_now_ns() + connect_ns;
    while ((there = pub->mesh->library->count_subscribers(pub->outlets, s)) < wanted) {
        if (bench_now_ns() > deadline) {
            (void)fprintf(
                stderr, "%s: publisher %u: only %u of %u subscribers were there after %lld s\n",
                pub->mesh->name, pub->index, there, wanted, (long long)(connect_ns / ns_per_s));
            return -ETIMEDOUT;
        }
        bench_nap(look_ns);
    }
    pub->is_connected = true;
    return 0;
}

int
bench_mesh_pub_send(void *handle, struct bench_source *src, uint64_t count)
{
    struct bench_mesh_pub *pub = handle;
    if (pub->is_pubsub && !pub->is_connected) {
        int rc = await_subscribers(pub);
        if (rc < 0) {
            return rc;
        }
    }
    int (*send_one)(struct bench_mesh_pub *, struct bench_source *) = pub->mesh->library->send;
    for (uint64_t i = 0; i < count; i++) {
        int rc = send_one(pub, src);
        if (rc != 0) {
            return settle(pub->mesh, "sending", rc);
        }
        if (!pub->is_pubsub || pub->topics[pub->topic_idx].is_wanted) {
            pub->sent_next = src->word & BENCH_NUMBER_MASK;
        }
        pub->topic_idx = pub->topic_idx + 1 < pub->setup.topics ? pub->topic_idx + 1 : 0;
    }
    return 0;
}

/* How many of the subscribers still lack the last message; *heard: the sum of what they have. */
static unsigned
count_behind(const struct bench_mesh_pub *pub, uint64_t *heard)
{
    unsigned behind = 0;
    *heard = 0;
    for (unsigned i = 0; i < pub->setup.subscribers; i++) {
        const struct heard *h = &pub->mesh->heard[i];
        if ((pub->setup.is_ping && i == pub->index)
            || atomic_load_explicit(&h->is_gone, memory_order_relaxed) != 0) {
            continue;
        }
        uint64_t next = atomic_load_explicit(&h->next[pub->index], memory_order_relaxed);
        behind += next < pub->sent_next;
        *heard += next;
    }
    return behind;
}

static void
linger(const struct bench_mesh_pub *pub)
{
    bool may_lose = pub->is_pubsub && !pub->setup.is_reliable;
    int64_t patience_ns = may_lose ? lossy_linger_ns : linger_ns;
    uint64_t heard, heard_before = 0;
    int64_t since = bench_now_ns();
    unsigned behind;
    while ((behind = count_behind(pub, &heard)) > 0) {
        if (heard != heard_before) {
            heard_before = heard;
            since = bench_now_ns();
        } else if (bench_now_ns() - since > patience_ns) {
            if (!may_lose) {
                (void)fprintf(
                    stderr, "%s: publisher %u leaves: %u subscribers took nothing for %lld s\n",
                    pub->mesh->name, pub->index, behind, (long long)(patience_ns / ns_per_s));
            }
            return;
        }
        bench_nap(look_ns);
    }
}

void
bench_mesh_pub_close(void *handle)
{
    struct bench_mesh_pub *pub = handle;
    if (pub != NULL) {
        linger(pub);
        free_pub(pub);
    }
}

/* ---- subscriber --------------------------------------------------------------------------------- */

void
bench_mesh_sub_close(void *handle)
{
    struct bench_mesh_sub *sub = handle;
    if (sub == NULL) {
        return;
    }
    atomic_store_explicit(&sub->mesh->heard[sub->index].is_gone, 1, memory_order_relaxed);
    if (sub->inlet != NULL) {
        sub->mesh->library->close_inlet(sub->inlet);
    }
    free(sub->inlet);
    free(sub->copy);
    free(sub);
}

static int
subscribe(struct bench_mesh_sub *sub)
{
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < bench_mesh_count_subscriptions(&sub->setup); i++) {
        char prefix[BENCH_MESH_TOPIC_BYTES];
        size_t bytes = name_subscription(&sub->setup, i, prefix);
        rc = sub->mesh->library->subscribe(sub->inlet, prefix, bytes);
    }
    return rc;
}

static int
open_inlet(struct bench_mesh_sub *sub)
{
    const struct bench_setup *s = &sub->setup;
    int rc = sub->mesh->library->open_inlet(sub, sub->inlet);
    if (rc == 0 && sub->is_pubsub) {
        rc = subscribe(sub);
    }
    for (unsigned i = 0; rc == 0 && i < s->publishers; i++) {
        if (s->is_ping && i == sub->index) {
            continue;
        }
        char url[URL_BYTES];
        name_outlet(s, sub->mesh, i, sub->is_pubsub ? 0 : sub->index, url);
        rc = sub->mesh->library->connect(sub->inlet, url);
    }
    return rc;
}

int
bench_mesh_sub_open(const struct bench_setup *s, void *shared, unsigned index, void **out)
{
    static const char doing[] = "opening a subscriber";
    struct bench_mesh *mesh = shared;
    struct bench_mesh_sub *sub = calloc(1, sizeof(*sub));
    if (sub == NULL) {
        return say_no_memory(mesh, doing);
    }
    sub->setup = *s;
    sub->mesh = mesh;
    sub->index = index;
    sub->is_pubsub = mesh->kind == BENCH_MESH_PUBSUB;
    sub->message_bytes = s->size + (sub->is_pubsub ? BENCH_MESH_TOPIC_BYTES : 0);
    sub->inlet = calloc(1, mesh->library->inlet_bytes);
    sub->copy = malloc(sub->message_bytes);
    int rc = sub->inlet == NULL || sub->copy == NULL ? say_no_memory(mesh, doing)
                                                     : settle(mesh, doing, open_inlet(sub));
    if (rc < 0) {
        bench_mesh_sub_close(sub);
        return rc;
    }
    *out = sub;
    return 0;
}

int
bench_mesh_refuse(const struct bench_mesh_sub *sub, size_t bytes)
{
    (void)fprintf(stderr, "%s: subscriber %u: a message of %zu bytes, not of %zu\n",
                  sub->mesh->name, sub->index, bytes, sub->message_bytes);
    return -EPROTO;
}

/* There is nothing: for how long the library shall sleep in its next look, as the case wants to wait. */
static int64_t
rest(const struct bench_mesh_sub *sub, int64_t waited_ns, int64_t left_ns)
{
    if (sub->setup.wait == BENCH_SPIN
        || (sub->setup.wait == BENCH_HYBRID && waited_ns < hybrid_spin_ns)) {
        sched_yield(); /* on few cores the library's own threads would starve otherwise */
        return 0;
    }
    return left_ns;
}

static void
note_heard(struct bench_mesh_sub *sub, const struct bench_sink *sink)
{
    struct heard *h = &sub->mesh->heard[sub->index];
    for (unsigned i = 0; i < sub->setup.publishers; i++) {
        atomic_store_explicit(&h->next[i], sink->next[i], memory_order_relaxed);
    }
}

int
bench_mesh_sub_recv(void *handle, struct bench_sink *sink, int64_t timeout_ns)
{
    struct bench_mesh_sub *sub = handle;
    int (*take_one)(struct bench_mesh_sub *, struct bench_sink *, int64_t) =
        sub->mesh->library->take;
    int taken = 0;
    int64_t since = 0, sleep_ns = 0;
    while (taken < TAKE_MOST) {
        int rc = take_one(sub, sink, sleep_ns);
        if (rc == 0) {
            sleep_ns = 0;
            taken++;
            continue;
        }
        if (rc != -EAGAIN) {
            return settle(sub->mesh, "receiving", rc);
        }
        if (taken > 0) {
            break;
        }
        int64_t now = timeout_ns > 0 ? bench_now_ns() : 0;
        since = since == 0 ? now : since;
        if (now - since >= timeout_ns) {
            return 0;
        }
        sleep_ns = rest(sub, now - since, since + timeout_ns - now);
    }
    note_heard(sub, sink);
    return taken;
}
