/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * traffic.c - messages over a link that are counted on both sides, one by one.
 *
 *   traffic pub BUS NAME=VALUE...   publishes, says what it published, and stays until SIGTERM: its rings live on
 *   traffic sub BUS NAME=VALUE...   checks what comes on another bus, until all is there or accounted for
 *   traffic peer|unpeer BUS host=H port=P [once=1]   asks this bus's busbard for it, prints `status N`
 *   traffic links BUS               one line for each link of this bus's busbard: what bb_bridge_links() says
 *
 * pub  as a capture thread does, it never tidies up after others: what it costs is publishing
 *      messages=N rings=R topics=T bytes=MAX rate=PER-SECOND (0: as fast as it goes) other=K (every Kth message more,
 *      of a topic that nobody there wants) name=NODE seed=N wait=MS (until somebody wants it) way=WORD
 *      stay=0 (ends when all is published)
 * sub  expect=N boxes=B (that must know our interest; `ready` is printed then) seconds=S (patience) lossy=1
 *      copies=1 uncertain=N (how many may be uncertain) still=MS (how long to look for more at the end) from=NODE
 *      way=WORD
 * way  a word of the topics, link/WORD/N: so both directions of a link can be told apart.
 *
 * Every message has the number that it has in its ring, from 1, and a checksum.  What the subscriber holds to:
 *   each ring's numbers only grow: none twice, none out of order;
 *   at every moment, what is missing was reported before it: holes <= gaps + lost here;
 *   at the end received + gaps + lost here = published, but for what a gap calls uncertain.
 * The last line of each is `NAME=COUNT ...`; the exit code is 0 only when all of it holds.
 */
#include <busbar/bridge.h>
#include <busbar/busbar.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { RINGS_MAX = 64, TOPICS_MAX = 256, STREAMS_MAX = 256, BATCH = 32, BYTES_MAX = 1 << 20 };
#define MAGIC  UINT64_C(0x6b6e696c72616262)
#define OTHER  "link/other"
#define SECOND INT64_C(1000000000)
#define NEVER  INT64_MAX

struct head {
    uint64_t magic;
    uint64_t stream; /* of the publisher's life, and the ring within */
    uint64_t number;
    uint64_t check; /* of the rest */
};

static volatile sig_atomic_t is_ending;

static void
on_end(int sig)
{
    (void)sig;
    is_ending = 1;
}

static int64_t
now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * SECOND + t.tv_nsec;
}

_Noreturn static void
fail(const char *what, int status, const char *sentence)
{
    (void)fprintf(stderr, "traffic: %s: %s %s\n", what, bb_strerror(status), sentence);
    exit(2);
}

/* ---- arguments ---- */

static struct {
    int count;
    char **words;
} arguments;

static const char *
text_of(const char *name, const char *absent)
{
    size_t bytes = strlen(name);
    for (int i = 0; i < arguments.count; i++) {
        if (strncmp(arguments.words[i], name, bytes) == 0 && arguments.words[i][bytes] == '=') {
            return arguments.words[i] + bytes + 1;
        }
    }
    return absent;
}

static uint64_t
number_of(const char *name, uint64_t absent)
{
    const char *text = text_of(name, NULL);
    return text == NULL ? absent : strtoull(text, NULL, 10);
}

static uint64_t
limited(const char *name, uint64_t absent, uint64_t max)
{
    uint64_t n = number_of(name, absent);
    return n < 1 ? 1 : n > max ? max : n;
}

static struct bb_endpoint *
attach(const char *bus, const char *name, uint32_t flags)
{
    struct bb_error error = {0};
    struct bb_endpoint *ep;
    const struct bb_endpoint_opts opts = {
        .size = sizeof(opts), .bus = bus, .name = name, .flags = flags, .error = &error};
    int rc = bb_endpoint_open(&ep, &opts);
    if (rc != 0) {
        fail(bus, rc, error.sentence);
    }
    return ep;
}

/* ---- payload ---- */

static uint64_t
mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * UINT64_C(0x9e3779b97f4a7c15);
    return h ^ h >> 29;
}

static uint64_t
check_of(const struct head *head, const unsigned char *rest, size_t bytes)
{
    uint64_t h = mix(mix(head->stream, head->number), bytes);
    uint64_t word;
    while (bytes >= sizeof(word)) {
        memcpy(&word, rest, sizeof(word));
        h = mix(h, word);
        rest += sizeof(word);
        bytes -= sizeof(word);
    }
    for (; bytes > 0; bytes--) {
        h = mix(h, *rest++);
    }
    return h;
}

/* Bytes and length follow from stream and number. */
static size_t
fill(unsigned char *out, uint64_t stream, uint64_t number, size_t max)
{
    struct head head = {.magic = MAGIC, .stream = stream, .number = number};
    uint64_t h = mix(stream, number);
    size_t rest = max > sizeof(head) ? (size_t)(h % (max - sizeof(head) + 1)) : 0;
    memset(out + sizeof(head), (int)(number & 0xff), rest);
    head.check = check_of(&head, out + sizeof(head), rest);
    memcpy(out, &head, sizeof(head));
    return sizeof(head) + rest;
}

/* ---- publishing ---- */

struct ring {
    struct bb_publisher *pub;
    struct bb_topic *topics[TOPICS_MAX];
    struct bb_topic *other;
    uint64_t number;
};

static void
open_ring(struct ring *ring, struct bb_endpoint *ep, unsigned topics)
{
    char topic[64];
    int rc = bb_publisher_open(&ring->pub, ep, NULL);
    for (unsigned i = 0; rc == 0 && i < topics; i++) {
        int bytes = snprintf(topic, sizeof(topic), "link/%.32s/%u", text_of("way", "wanted"), i);
        rc = bb_topic_open(&ring->topics[i], ring->pub, topic, (size_t)bytes);
    }
    if (rc == 0) {
        rc = bb_topic_open(&ring->other, ring->pub, OTHER, strlen(OTHER));
    }
    if (rc != 0) {
        fail("publisher", rc, "");
    }
}

static void
keep_rate(uint64_t done, uint64_t rate, int64_t begun)
{
    int64_t due = rate > 0 ? begun + (int64_t)(done * (uint64_t)SECOND / rate) : 0;
    int64_t left = due - now_ns();
    if (left > 1000000) {
        const struct timespec nap = {left / SECOND, left % SECOND};
        (void)nanosleep(&nap, NULL);
    }
}

/* A batch of one ring, then of the next: so each flush is of a ring of its own. */
static void
publish_batch(struct ring *ring, uint64_t stream, uint64_t count, unsigned topics, size_t max)
{
    static unsigned char bytes[BYTES_MAX];
    for (uint64_t i = 0; i < count; i++) {
        uint64_t number = ++ring->number;
        size_t used = fill(bytes, stream, number, max);
        int rc = bb_publish(ring->topics[number % topics], bytes, used,
                            BB_RAW | (i + 1 < count ? BB_MORE : 0));
        if (rc != 0) {
            fail("publish", rc, "");
        }
    }
}

static void
wait_until_wanted(struct bb_topic *topic, int64_t ms)
{
    const struct timespec nap = {0, 2000000};
    int64_t end = now_ns() + ms * 1000000;
    while (bb_topic_wanted(topic) == 0 && now_ns() < end && !is_ending) {
        (void)nanosleep(&nap, NULL);
    }
}

static void
say_published(struct ring *rings, unsigned count, uint64_t others, int64_t took_ns)
{
    struct bb_publisher_stats stats = {.size = sizeof(stats)};
    uint64_t published = 0;
    uint64_t blocked = 0;
    uint64_t committed = 0;
    for (unsigned r = 0; r < count; r++) {
        stats.size = sizeof(stats);
        bb_publisher_stats(rings[r].pub, &stats);
        published += rings[r].number;
        committed += stats.messages;
        blocked += stats.blocked;
    }
    (void)printf("published=%" PRIu64 " others=%" PRIu64 " committed=%" PRIu64 " blocked=%" PRIu64
                 " took_ms=%" PRId64 "\n",
                 published, others, committed, blocked, took_ns / 1000000);
}

static int
publish_all(const char *bus)
{
    static struct ring rings[RINGS_MAX];
    unsigned ring_count = (unsigned)limited("rings", 4, RINGS_MAX);
    unsigned topics = (unsigned)limited("topics", 8, TOPICS_MAX);
    size_t max = (size_t)limited("bytes", 128, BYTES_MAX);
    uint64_t messages = number_of("messages", 100000);
    uint64_t rate = number_of("rate", 0);
    uint64_t other = number_of("other", 0);
    uint64_t life = mix(number_of("seed", (uint64_t)now_ns()), (uint64_t)getpid()) << 8;
    uint64_t others = 0;
    struct bb_endpoint *ep = attach(bus, text_of("name", NULL), BB_ATTACH_CAPTURE);
    for (unsigned r = 0; r < ring_count; r++) {
        open_ring(&rings[r], ep, topics);
    }
    wait_until_wanted(rings[0].topics[0], (int64_t)number_of("wait", 0));
    int64_t begun = now_ns();
    for (uint64_t done = 0, turn = 0; done < messages && !is_ending; turn++) {
        unsigned r = (unsigned)(turn % ring_count);
        uint64_t count = messages - done < BATCH ? messages - done : BATCH;
        publish_batch(&rings[r], life | r, count, topics, max);
        for (; other > 0 && others < done / other; others++) {
            if (bb_publish(rings[r].other, "nobody", 6, BB_RAW) != 0) {
                return 2;
            }
        }
        done += count;
        keep_rate(done, rate, begun);
    }
    say_published(rings, ring_count, others, now_ns() - begun);
    while (!is_ending && number_of("stay", 1) != 0) {
        (void)pause();
    }
    bb_endpoint_close(ep);
    return 0;
}

/* ---- subscribing ---- */

struct stream {
    uint64_t id, next; /* next: the smallest number that may come */
    uint64_t seq;      /* of the last one, where it was published */
};

struct tally {
    uint64_t received, gaps, uncertain, gap_events, lost_here, holes;
    uint64_t duplicates, disorder, corrupt, silent, foreign, local;
    uint64_t added, removed, lost, unavailable, evicted;
    uint64_t first_number, last_number; /* of messages, in whichever ring */
    unsigned streams;
    struct stream stream[STREAMS_MAX];
};

static struct tally tally;

static struct stream *
stream_of(uint64_t id)
{
    for (unsigned i = 0; i < tally.streams; i++) {
        if (tally.stream[i].id == id) {
            return &tally.stream[i];
        }
    }
    if (tally.streams == STREAMS_MAX) {
        fail("too many streams", BB_EFULL, "");
    }
    tally.stream[tally.streams] = (struct stream){.id = id, .next = 1};
    return &tally.stream[tally.streams++];
}

static void
take_status(const struct bb_msg *msg)
{
    const struct bb_status *status = msg->status;
    switch (status->kind) {
    case BB_STATUS_GAP:
        tally.gaps += status->count;
        tally.uncertain += status->uncertain;
        tally.gap_events++;
        break;
    case BB_STATUS_OVERRUN:
        tally.lost_here += status->count;
        break;
    case BB_STATUS_EVICTED:
        tally.evicted++;
        break;
    case BB_STATUS_PEER_ADDED:
        tally.added++;
        break;
    case BB_STATUS_PEER_REMOVED:
        tally.removed++;
        break;
    case BB_STATUS_PEER_LOST:
        tally.lost++;
        break;
    case BB_STATUS_PEER_UNAVAILABLE:
        tally.unavailable++;
        break;
    default:
        return;
    }
    if (text_of("trace", NULL) != NULL) {
        (void)fprintf(stderr, "status %u count %" PRIu64 " uncertain %" PRIu64 " %s: %.*s\n",
                      status->kind, status->count, status->uncertain, msg->node, (int)msg->bytes,
                      (const char *)msg->data);
    }
}

/* The origin is told as it was there: its ring's numbers only grow, and the name is the publisher's. */
static void
check_origin(const struct bb_msg *msg, struct stream *s)
{
    struct bb_origin origin = {.size = sizeof(origin)};
    if (bb_msg_origin(msg, &origin) != 0) {
        tally.local++;
        return;
    }
    if (origin.seq <= s->seq || origin.node == NULL
        || strcmp(origin.node, text_of("from", origin.node)) != 0) {
        tally.foreign++;
    }
    s->seq = origin.seq;
}

static void
take_message(const struct bb_msg *msg)
{
    struct head head;
    const unsigned char *bytes = msg->data;
    if (msg->bytes < sizeof(head)) {
        tally.corrupt++;
        return;
    }
    memcpy(&head, bytes, sizeof(head));
    if (head.magic != MAGIC
        || head.check != check_of(&head, bytes + sizeof(head), msg->bytes - sizeof(head))) {
        tally.corrupt++;
        return;
    }
    struct stream *s = stream_of(head.stream);
    check_origin(msg, s);
    if (head.number < s->next) {
        *(head.number + 1 == s->next ? &tally.duplicates : &tally.disorder) += 1;
        return;
    }
    tally.holes += head.number - s->next;
    tally.silent += tally.holes > tally.gaps + tally.lost_here;
    s->next = head.number + 1;
    tally.first_number = tally.received == 0 ? head.number : tally.first_number;
    tally.last_number = head.number;
    tally.received++;
}

static bool
take(struct bb_subscriber *sub, int64_t timeout_ns)
{
    struct bb_msg msgs[256];
    int n = bb_poll(sub, msgs, 256, timeout_ns);
    if (n < 0) {
        fail("poll", n, "");
    }
    for (int i = 0; i < n; i++) {
        if (msgs[i].status != NULL) {
            take_status(&msgs[i]);
        } else {
            take_message(&msgs[i]);
        }
    }
    return n > 0;
}

static void
wait_until_known(struct bb_endpoint *ep, struct bb_subscriber *sub, int boxes, int64_t end)
{
    const struct timespec nap = {0, 20000000};
    struct bb_error error = {0};
    int n = 0;
    while (boxes > 0 && (n = bb_interest_wait(ep, SECOND, &error)) < boxes) {
        if (now_ns() > end || is_ending) {
            fail("interest", n, error.sentence);
        }
        (void)take(sub, 0);
        (void)nanosleep(&nap, NULL);
    }
    (void)printf("ready\n");
    (void)fflush(stdout);
}

static bool
say_tally(uint64_t expect)
{
    uint64_t told = tally.received + tally.gaps + tally.lost_here;
    bool is_even = told >= expect && told <= expect + tally.uncertain
                   && tally.uncertain <= number_of("uncertain", 0);
    (void)printf(
        "published=%" PRIu64 " received=%" PRIu64 " gaps=%" PRIu64 " uncertain=%" PRIu64
        " gap_events=%" PRIu64 " lost_here=%" PRIu64 " duplicates=%" PRIu64 " disorder=%" PRIu64
        " corrupt=%" PRIu64 " silent=%" PRIu64 " foreign=%" PRIu64 " local=%" PRIu64
        " rings=%u added=%" PRIu64 " removed=%" PRIu64 " lost=%" PRIu64 " unavailable=%" PRIu64
        " evicted=%" PRIu64 " first_number=%" PRIu64 " last_number=%" PRIu64 " balance=%s\n",
        expect, tally.received, tally.gaps, tally.uncertain, tally.gap_events, tally.lost_here,
        tally.duplicates, tally.disorder, tally.corrupt, tally.silent, tally.foreign, tally.local,
        tally.streams, tally.added, tally.removed, tally.lost, tally.unavailable, tally.evicted,
        tally.first_number, tally.last_number, is_even ? "even" : "UNEVEN");
    return is_even && tally.duplicates + tally.disorder + tally.corrupt + tally.silent == 0
           && tally.foreign + tally.local == 0;
}

static int
subscribe_all(const char *bus)
{
    char prefix[64];
    const char *const prefixes[] = {prefix};
    struct bb_error error = {0};
    struct bb_subscriber *sub;
    uint64_t expect = number_of("expect", 100000);
    int64_t still_ns = (int64_t)number_of("still", 300) * 1000000;
    int64_t end = now_ns() + (int64_t)number_of("seconds", 60) * SECOND;
    uint32_t flags = BB_SUBSCRIBER_STATUS;
    flags |= number_of("lossy", 0) != 0 ? 0u : (uint32_t)BB_SUBSCRIBER_RELIABLE;
    flags |= number_of("copies", 0) != 0 ? (uint32_t)BB_SUBSCRIBER_COPIES : 0u;
    (void)snprintf(prefix, sizeof(prefix), "link/%.32s/", text_of("way", "wanted"));
    struct bb_endpoint *ep = attach(bus, text_of("name", NULL), 0);
    const struct bb_subscriber_opts opts = {.size = sizeof(opts),
                                            .flags = flags,
                                            .prefixes = prefixes,
                                            .prefix_count = 1,
                                            .error = &error};
    int rc = bb_subscriber_open(&sub, ep, &opts);
    if (rc != 0) {
        fail("subscriber", rc, error.sentence);
    }
    wait_until_known(ep, sub, (int)number_of("boxes", 1), end);
    int64_t stop = NEVER;
    while (!is_ending && now_ns() < end && now_ns() < stop) {
        (void)take(sub, SECOND / 20);
        if (stop == NEVER && tally.received + tally.gaps + tally.lost_here >= expect) {
            stop = now_ns() + still_ns; /* nothing more may come */
        }
    }
    bool is_good = say_tally(expect);
    bb_endpoint_close(ep);
    return is_good ? 0 : 1;
}

/* ---- links ---- */

static int
ask_for_link(const char *bus, bool is_peer)
{
    struct bb_error error = {0};
    struct bb_endpoint *ep = attach(bus, NULL, 0);
    const struct bb_link_opts opts = {
        .size = sizeof(opts),
        .flags = number_of("once", 0) != 0 ? (uint32_t)BB_PEER_ONCE | (uint32_t)BB_PEER_WAIT : 0u,
        .error = &error};
    const char *host = text_of("host", "127.0.0.1");
    uint16_t port = (uint16_t)number_of("port", 0);
    int rc = is_peer ? bb_peer(ep, host, port, &opts) : bb_unpeer(ep, host, port, &opts);
    (void)printf("status %d\n", rc);
    bb_endpoint_close(ep);
    return rc == 0 ? 0 : 1;
}

static int
list_links(const char *bus)
{
    static struct bb_link_info links[64];
    struct bb_error error = {0};
    struct bb_endpoint *ep = attach(bus, NULL, 0);
    int n = bb_bridge_links(ep, links, 64, &error);
    if (n < 0) {
        fail("links", n, error.sentence);
    }
    for (int i = 0; i < n && i < 64; i++) {
        const struct bb_link_info *l = &links[i];
        (void)printf("state=%s name=%s address=%s sent=%" PRIu64 " received=%" PRIu64
                     " queued=%" PRIu64 " dropped=%" PRIu64 " lost_before=%" PRIu64
                     " gap_messages=%" PRIu64 " uncertain=%" PRIu64 " queue_bytes=%" PRIu64
                     " ups=%" PRIu64 " attempts=%" PRIu64 " peer_interests=%" PRIu64
                     " denied_in=%" PRIu64 " denied_out=%" PRIu64 " cipher=%s last=%s\n",
                     bb_link_state_name(l->state), l->name[0] != '\0' ? l->name : "-", l->address,
                     l->sent, l->received, l->queued, l->dropped, l->lost_before, l->gap_messages,
                     l->uncertain, l->queue_bytes, l->ups, l->attempts, l->peer_interests,
                     l->denied_in, l->denied_out, l->cipher, l->last);
    }
    bb_endpoint_close(ep);
    return 0;
}

int
main(int argc, char **argv)
{
    const struct sigaction act = {.sa_handler = on_end};
    if (argc < 3) {
        (void)fprintf(stderr, "usage: traffic pub|sub|links|peer|unpeer BUS [NAME=VALUE...]\n");
        return 2;
    }
    arguments.count = argc - 3;
    arguments.words = argv + 3;
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    (void)sigaction(SIGTERM, &act, NULL);
    (void)sigaction(SIGINT, &act, NULL);
    if (strcmp(argv[1], "pub") == 0) {
        return publish_all(argv[2]);
    }
    if (strcmp(argv[1], "sub") == 0) {
        return subscribe_all(argv[2]);
    }
    if (strcmp(argv[1], "links") == 0) {
        return list_links(argv[2]);
    }
    bool is_peer = strcmp(argv[1], "peer") == 0;
    return is_peer || strcmp(argv[1], "unpeer") == 0 ? ask_for_link(argv[2], is_peer) : 2;
}
