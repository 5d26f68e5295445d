/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * hostile.c - a peer that breaks the rules of the link protocol, in plain TCP to a busbard --insecure.
 *
 *   hostile CASE HOST PORT [SECONDS]
 *
 * Plays one case, then reads until the other side ends the connection, and prints what it was told, in one line:
 *   close CODE SENTENCE        a CLOSE frame, then the end
 *   end, reset                 FIN, RST without a CLOSE
 *   open                       after SECONDS (15) it still lives
 *   good ...                   for cases in which nothing is wrong
 * bb-links: bb_bridge.  The frames are made by lib/bridge's own writers, so that only what should be wrong is.
 */
#include "lib/bridge/frame.h"
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER = 1 << 20, FLOOD = 1000, INTERESTS = 1000000 };

static struct {
    int fd;
    const char *host, *port;
    unsigned char in[BUFFER];
    size_t used, taken; /* taken: of the frame that read_frame() gave last */
    bool has_ended, is_reset;
    bool is_begun; /* its preface came */
    struct bbi_hello self;
    struct bbi_hello peer;
    struct bbi_welcome welcome; /* the peer's */
    uint64_t acknowledged;      /* by the peer */
} link_;
static int64_t patience_ns = 15 * INT64_C(1000000000);
static unsigned char body[BBI_LINK_FRAME_MAX];

static int64_t
now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void
nap_ms(long ms)
{
    const struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    (void)nanosleep(&t, NULL);
}

_Noreturn static void
fail(const char *what)
{
    (void)printf("failed: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int
dial(void)
{
    const struct addrinfo want = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    if (getaddrinfo(link_.host, link_.port, &want, &found) != 0) {
        fail(link_.host);
    }
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int rc = fd < 0 ? -1 : connect(fd, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    if (rc != 0 && fd >= 0) {
        (void)close(fd);
    }
    return rc == 0 ? fd : -1;
}

static void
open_link(void)
{
    link_.fd = dial();
    if (link_.fd < 0) {
        fail("connect");
    }
    link_.used = link_.taken = 0;
    link_.is_begun = false;
    link_.has_ended = false;
}

/* False: the other side takes no more. */
static bool
say(const void *bytes, size_t count)
{
    const unsigned char *p = bytes;
    while (count > 0) {
        ssize_t n = send(link_.fd, p, count, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        p += n;
        count -= (size_t)n;
    }
    return true;
}

static bool
say_frame(uint8_t type, uint8_t flags, uint64_t number, const void *bytes, size_t count)
{
    static unsigned char frame[BBI_LINK_FRAME_MAX];
    (void)bbi_put_bytes(frame + BBI_LINK_HEADER_BYTES, bytes, count);
    bbi_link_frame_seal(frame, (uint32_t)(BBI_LINK_HEADER_BYTES + count), type, flags, number);
    return say(frame, BBI_LINK_HEADER_BYTES + count);
}

/* More bytes, within a time.  False: none came, or the connection ended. */
static bool
hear(int64_t end_ns)
{
    struct pollfd p = {.fd = link_.fd, .events = POLLIN};
    int64_t left = (end_ns - now_ns()) / 1000000;
    if (link_.has_ended || left < 0 || link_.used == BUFFER || poll(&p, 1, (int)left) <= 0) {
        return false;
    }
    ssize_t n = recv(link_.fd, link_.in + link_.used, BUFFER - link_.used, 0);
    link_.has_ended = n <= 0;
    link_.is_reset = n < 0;
    link_.used += n > 0 ? (size_t)n : 0;
    return n > 0;
}

static bool
has_preface(int64_t end_ns)
{
    while (link_.used < BBI_LINK_PREFACE_BYTES) {
        if (!hear(end_ns)) {
            return false;
        }
    }
    if (bbi_link_looks(link_.in, link_.used) != BBI_LOOKS_BUSBAR) {
        return false;
    }
    link_.taken = BBI_LINK_PREFACE_BYTES;
    link_.is_begun = true;
    return true;
}

static bool
read_frame(struct bbi_link_frame *out, int64_t end_ns)
{
    uint32_t length = 0;
    memmove(link_.in, link_.in + link_.taken, link_.used - link_.taken);
    link_.used -= link_.taken;
    link_.taken = 0;
    for (;;) {
        enum bbi_link_read read =
            bbi_link_frame_read(link_.in, link_.used, BBI_LINK_FRAME_MAX, out, &length);
        if (read == BBI_LINK_READ_OK) {
            link_.taken = length;
            return true;
        }
        if (read != BBI_LINK_READ_MORE) {
            (void)printf("failed: busbard itself sent a bad frame\n");
            exit(1);
        }
        if (!hear(end_ns)) {
            return false;
        }
    }
}

static void
note_frame(const struct bbi_link_frame *frame)
{
    struct bbi_credit credit;
    if (frame->type == BBI_LINK_CREDIT && bbi_credit_read(frame, &credit)) {
        link_.acknowledged = credit.received;
    }
}

static bool
expect(uint8_t type, struct bbi_link_frame *out)
{
    int64_t end_ns = now_ns() + patience_ns;
    while (read_frame(out, end_ns)) {
        note_frame(out);
        if (out->type == type) {
            return true;
        }
        if (out->type == BBI_LINK_CLOSE) {
            link_.taken = 0; /* for the verdict */
            return false;
        }
    }
    return false;
}

/* Reads to the end and says what it was. */
static void
verdict(void)
{
    int64_t end_ns = now_ns() + patience_ns;
    struct bbi_link_frame frame;
    struct bbi_close close = {0};
    bool is_told = false;
    if (!link_.is_begun && !has_preface(end_ns)) {
        (void)printf("%s\n", !link_.has_ended ? "open" : link_.is_reset ? "reset" : "end");
        return;
    }
    while (read_frame(&frame, end_ns)) {
        note_frame(&frame);
        if (frame.type == BBI_LINK_CLOSE && bbi_close_read(&frame, &close)) {
            is_told = true;
        }
    }
    if (is_told) {
        (void)printf("close %u %s\n", close.code, close.sentence);
    } else {
        (void)printf("%s\n", !link_.has_ended ? "open" : link_.is_reset ? "reset" : "end");
    }
}

/* ---- the handshake, as it should be ---- */

static size_t
write_greeting(unsigned char *out)
{
    bbi_link_preface_write(out);
    return BBI_LINK_PREFACE_BYTES + bbi_hello_write(out + BBI_LINK_PREFACE_BYTES, &link_.self);
}

/* In who accepts, the first frame after ours is read: preface, HELLO.  False: refused. */
static bool
greet(void)
{
    unsigned char out[BBI_LINK_PREFACE_BYTES + BBI_HELLO_BYTES];
    struct bbi_link_frame frame;
    return say(out, write_greeting(out)) && has_preface(now_ns() + patience_ns)
           && expect(BBI_LINK_HELLO, &frame) && bbi_hello_read(&frame, &link_.peer);
}

static bool
welcome(uint64_t next, uint64_t received_epoch, uint64_t received)
{
    unsigned char out[BBI_WELCOME_BYTES];
    struct bbi_link_frame frame;
    const struct bbi_welcome ours = {.received_epoch = received_epoch,
                                     .received = received,
                                     .first = 1,
                                     .next = next,
                                     .credit_bytes = 4 << 20,
                                     .credit_messages = 8192};
    return say(out, bbi_welcome_write(out, &ours)) && expect(BBI_LINK_WELCOME, &frame)
           && bbi_welcome_read(&frame, &link_.welcome);
}

/* A link that is up, as busbard sees it. */
static void
be_up(void)
{
    open_link();
    if (!greet() || !welcome(1, 0, 0)) {
        verdict();
        exit(0);
    }
}

static size_t
write_batch(unsigned char *out, uint32_t count, uint64_t seq, size_t payload)
{
    static const unsigned char data[1024];
    struct bbi_link_msg msg = {.origin = {.node_id = 7, .name = "hostile", .name_bytes = 7},
                               .topic = "hostile/topic",
                               .topic_bytes = 13,
                               .data = data,
                               .bytes = payload,
                               .ttl = 1};
    memcpy(msg.origin.box.v, link_.self.node.v, sizeof(msg.origin.box.v));
    msg.origin.epoch = link_.self.epoch;
    unsigned char *p = bbi_put_le32(out, count);
    unsigned char *length = p;
    p = bbi_put_le32(p, 0);
    for (uint32_t i = 0; i < count; i++) {
        msg.seq = seq + i;
        p = bbi_msg_write_head(p, &msg, i == 0 ? BBI_MSG_HAS_ORIGIN | BBI_MSG_HAS_TOPIC : 0);
        p = bbi_put_bytes(p, data, payload);
    }
    (void)bbi_put_le32(length, (uint32_t)(p - length - 4));
    return (size_t)(p - out);
}

/* ---- cases ---- */

static void
say_length(uint32_t length)
{
    unsigned char head[BBI_LINK_HEADER_BYTES] = {0};
    (void)bbi_put_le32(head + 8, length);
    (void)say(head, sizeof(head));
    verdict();
}

/* Before it is known who speaks, and after. */
static void
length_first(uint32_t length)
{
    unsigned char preface[BBI_LINK_PREFACE_BYTES];
    open_link();
    bbi_link_preface_write(preface);
    (void)say(preface, sizeof(preface));
    say_length(length);
}

static void
length_later(uint32_t length)
{
    be_up();
    say_length(length);
}

static void
length_0_first(void)
{
    length_first(0);
}
static void
length_2g_first(void)
{
    length_first(UINT32_C(1) << 31);
}
static void
length_4g_first(void)
{
    length_first(UINT32_MAX);
}
static void
length_0(void)
{
    length_later(0);
}
static void
length_2g(void)
{
    length_later(UINT32_C(1) << 31);
}
static void
length_4g(void)
{
    length_later(UINT32_MAX);
}

static void
credit_overflow(void)
{
    unsigned char out[64];
    be_up();
    const struct bbi_credit credit = {UINT64_MAX, UINT64_MAX, 0};
    (void)say(out, bbi_credit_write(out, &credit));
    verdict();
}

/* Sends on and on and looks at no credit: it is either granted in time or the end. */
static void
credit_ignored(void)
{
    uint64_t number = 1;
    be_up();
    while (number < 2000000
           && say_frame(BBI_LINK_DATA, 0, number, body, write_batch(body, 1024, number, 64))) {
        number += 1024;
    }
    (void)printf("sent %llu ", (unsigned long long)(number - 1));
    verdict();
}

static void
sequence_ahead(void)
{
    be_up();
    (void)say_frame(BBI_LINK_DATA, 0, 100, body, write_batch(body, 3, 100, 8));
    verdict();
}

/* Ten messages are acknowledged; then the same life says that its stream is at its first again. */
static void
sequence_back(void)
{
    struct bbi_link_frame frame;
    be_up();
    (void)say_frame(BBI_LINK_DATA, 0, 1, body, write_batch(body, 10, 1, 8));
    while (link_.acknowledged < 10 && expect(BBI_LINK_CREDIT, &frame)) {
    }
    if (link_.acknowledged < 10) {
        fail("ten messages were not acknowledged");
    }
    (void)close(link_.fd);
    nap_ms(200);
    open_link();
    if (greet()) {
        (void)welcome(1, 0, 0);
    }
    verdict();
}

static void
acknowledged_unsent(void)
{
    unsigned char out[64];
    be_up();
    const struct bbi_credit credit = {5 << 20, 9000, 1000000};
    (void)say(out, bbi_credit_write(out, &credit));
    verdict();
}

static void
subscriptions(void)
{
    char prefix[64];
    bool goes = true;
    be_up();
    for (uint64_t i = 0; i < INTERESTS && goes;) {
        unsigned char *at = bbi_put_le32(bbi_put_le64(body, i + 1000), 0);
        for (int k = 0; k < 1000; k++, i++) {
            struct bbi_interest one = {.prefix = prefix};
            one.prefix_bytes =
                (size_t)snprintf(prefix, sizeof(prefix), "hostile/%llu", (unsigned long long)i);
            at = bbi_interest_write(at, &one);
        }
        goes = say_frame(BBI_LINK_INTEREST, BBI_LINK_CRITICAL, 0, body, (size_t)(at - body));
    }
    verdict();
}

static void
trickle(const unsigned char *bytes, size_t count)
{
    struct pollfd p = {.fd = link_.fd, .events = POLLIN};
    int64_t end_ns = now_ns() + patience_ns;
    for (size_t i = 0; i < count && now_ns() < end_ns; i++) {
        if (!say(bytes + i, 1)) {
            break;
        }
        nap_ms(i % 4 == 3 ? 1000 : 0);
        if (poll(&p, 1, 0) > 0) {
            break; /* it has something to say */
        }
    }
    verdict();
}

static void
slow_hello(void)
{
    unsigned char out[BBI_LINK_PREFACE_BYTES + BBI_HELLO_BYTES];
    open_link();
    trickle(out, write_greeting(out));
}

/* Wants 30 s and more. */
static void
slow_frame(void)
{
    be_up();
    struct bbi_link_frame frame;
    while (read_frame(&frame, now_ns() + 300000000)) {
    }
    size_t bytes = write_batch(body + BBI_LINK_HEADER_BYTES, 200, 1, 100);
    bbi_link_frame_seal(body, (uint32_t)(BBI_LINK_HEADER_BYTES + bytes), BBI_LINK_DATA, 0, 1);
    for (size_t i = 0; i < bytes; i++) {
        if (!say(body + i, 1)) {
            break;
        }
        if (read_frame(&frame, now_ns() + 1000000000) && frame.type == BBI_LINK_CLOSE) {
            link_.taken = 0;
            break;
        }
    }
    verdict();
}

static void
garbage(void)
{
    unsigned char bytes[512];
    open_link();
    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes)) {
        fail("getrandom");
    }
    bytes[0] = 0xf3; /* neither ours, nor text, nor TLS */
    (void)say(bytes, sizeof(bytes));
    verdict();
}

static void
http(void)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: busbar\r\n\r\n";
    open_link();
    (void)say(request, strlen(request));
    verdict();
}

static void
tls_hello(void)
{
    static const unsigned char record[] = {0x16, 0x03, 0x01, 0x02, 0x00, 0x01,
                                           0x00, 0x01, 0xfc, 3,    3};
    open_link();
    (void)say(record, sizeof(record));
    verdict();
}

static void
half_hello(void)
{
    unsigned char out[BBI_LINK_PREFACE_BYTES + BBI_HELLO_BYTES];
    open_link();
    (void)say(out, write_greeting(out) / 2);
    verdict();
}

static void
silence(void)
{
    open_link();
    verdict();
}

/* After a whole handshake not a byte more. */
static void
silence_later(void)
{
    be_up();
    verdict();
}

static void
other_version(void)
{
    unsigned char out[BBI_LINK_PREFACE_BYTES + BBI_HELLO_BYTES];
    open_link();
    size_t bytes = write_greeting(out);
    (void)bbi_put_le16(bbi_put_le16(out + 8, 9), 9);
    (void)say(out, bytes);
    verdict();
}

static void
other_cluster(void)
{
    open_link();
    (void)snprintf(link_.self.cluster, sizeof(link_.self.cluster), "%s", "foreign");
    (void)greet();
    verdict();
}

static void
bad_data(size_t at, unsigned char value)
{
    be_up();
    size_t bytes = write_batch(body, 1, 1, 8);
    body[at] = value;
    (void)say_frame(BBI_LINK_DATA, 0, 1, body, bytes);
    verdict();
}

static void
topic_beyond(void)
{
    bad_data(15, 0xff); /* the high byte of its length */
}
static void
payload_beyond(void)
{
    bad_data(11, 0x7f);
}

static void
checksum(void)
{
    static unsigned char frame[4096];
    be_up();
    size_t bytes = write_batch(frame + BBI_LINK_HEADER_BYTES, 1, 1, 8);
    bbi_link_frame_seal(frame, (uint32_t)(BBI_LINK_HEADER_BYTES + bytes), BBI_LINK_DATA, 0, 1);
    frame[BBI_LINK_HEADER_BYTES + 40] ^= 4;
    (void)say(frame, BBI_LINK_HEADER_BYTES + bytes);
    verdict();
}

static void
unknown_critical(void)
{
    be_up();
    (void)say_frame(99, BBI_LINK_CRITICAL, 0, body, 8);
    verdict();
}

/* Of a type that nobody has to know: the link goes on, which a ping shows. */
static void
unknown_harmless(void)
{
    unsigned char out[128];
    struct bbi_link_frame frame;
    struct bbi_pong pong;
    be_up();
    (void)say_frame(99, 0, 0, body, 8);
    (void)say(out, bbi_ping_write(out, "eleven byte", 11));
    if (expect(BBI_LINK_PONG, &frame) && bbi_pong_read(&frame, &pong) && pong.echo_bytes == 11
        && memcmp(pong.echo, "eleven byte", 11) == 0) {
        (void)printf("good the same 11 bytes came back\n");
    } else {
        verdict();
    }
}

static void
long_message(void)
{
    be_up();
    (void)bbi_put_le64(bbi_put_le64(body, UINT64_C(1) << 62), 0);
    (void)say_frame(BBI_LINK_CHUNK, 0, 1, body, BBI_CHUNK_HEAD_BYTES + 100);
    verdict();
}

/* Takes no byte any more; what busbard has for it must stay bounded.  Patience is up to who calls. */
static void
no_reading(void)
{
    unsigned char *at;
    struct bbi_interest all = {.prefix = "", .prefix_bytes = 0};
    be_up();
    at = bbi_interest_write(
        bbi_put_le32(bbi_put_le64(body, 1), BBI_INTEREST_BEGIN | BBI_INTEREST_END), &all);
    (void)say_frame(BBI_LINK_INTEREST, BBI_LINK_CRITICAL, 0, body, (size_t)(at - body));
    (void)printf("up\n");
    (void)fflush(stdout);
    nap_ms((long)(patience_ns / 1000000));
    verdict();
}

/* A thousand strangers at once; how many were taken, and how soon all were done with. */
static void
flood(void)
{
    static int fds[FLOOD];
    const struct rlimit many = {FLOOD + 64, FLOOD + 64};
    int open_count = 0;
    int ended = 0;
    char byte;
    (void)setrlimit(RLIMIT_NOFILE, &many);
    for (int i = 0; i < FLOOD; i++) {
        fds[i] = dial();
        open_count += fds[i] >= 0;
    }
    (void)printf("connected %d\n", open_count);
    (void)fflush(stdout);
    nap_ms((long)(patience_ns / 1000000));
    for (int i = 0; i < FLOOD; i++) {
        if (fds[i] >= 0 && recv(fds[i], &byte, 1, MSG_DONTWAIT) >= 0) {
            ended++;
        } else if (fds[i] >= 0 && errno == ECONNRESET) {
            ended++;
        }
    }
    (void)printf("ended %d\n", ended);
}

static const struct {
    const char *name;
    void (*play)(void);
} cases[] = {
    {"length-0-first", length_0_first},
    {"length-2g-first", length_2g_first},
    {"length-4g-first", length_4g_first},
    {"length-0", length_0},
    {"length-2g", length_2g},
    {"length-4g", length_4g},
    {"credit-overflow", credit_overflow},
    {"credit-ignored", credit_ignored},
    {"sequence-ahead", sequence_ahead},
    {"sequence-back", sequence_back},
    {"acknowledged-unsent", acknowledged_unsent},
    {"subscriptions", subscriptions},
    {"slow-hello", slow_hello},
    {"slow-frame", slow_frame},
    {"garbage", garbage},
    {"http", http},
    {"tls-hello", tls_hello},
    {"half-hello", half_hello},
    {"silence", silence},
    {"silence-later", silence_later},
    {"other-version", other_version},
    {"other-cluster", other_cluster},
    {"topic-beyond", topic_beyond},
    {"payload-beyond", payload_beyond},
    {"checksum", checksum},
    {"unknown-critical", unknown_critical},
    {"unknown-harmless", unknown_harmless},
    {"long-message", long_message},
    {"no-reading", no_reading},
    {"flood", flood},
};

int
main(int argc, char **argv)
{
    if (argc < 4) {
        (void)fprintf(stderr, "usage: hostile CASE HOST PORT [SECONDS]\n");
        return 2;
    }
    if (argc > 4) {
        patience_ns = strtol(argv[4], NULL, 10) * INT64_C(1000000000);
    }
    link_.host = argv[2];
    link_.port = argv[3];
    link_.self = (struct bbi_hello){.epoch = 77, .name = "hostile", .message_max = 1 << 20};
    link_.self.frame_max = BBI_LINK_FRAME_MAX;
    /* A box of its own in each run, unless the case itself comes twice. */
    if (getrandom(link_.self.node.v, sizeof(link_.self.node.v), 0) < 0) {
        fail("getrandom");
    }
    (void)signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (strcmp(cases[i].name, argv[1]) == 0) {
            cases[i].play();
            return 0;
        }
    }
    (void)fprintf(stderr, "hostile: there is no case '%s'\n", argv[1]);
    return 2;
}
