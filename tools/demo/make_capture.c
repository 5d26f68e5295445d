/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * make-capture - writes a small packet capture whose contents are known, for demonstrations and tests.
 *
 *   make-capture [--connections N] FILE   a capture; what a sensor must find goes to stdout as JSON
 *   make-capture --talk N                 N real TCP connections on the loopback interface, 50 ms apart
 *
 * The capture holds N complete TCP connections: IPv4 and IPv6, each plain and with a VLAN tag (every eighth
 * with two), interleaved so that no two packets of a connection are neighbours.  Between them stands what a
 * sensor must not count: a SYN without answer, a SYN that is sent twice, the middle of a conversation, UDP.
 * The same N gives the same bytes.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    CONNECTIONS_MAX = 10000,
    CLIENTS_OF_A_KIND = 5, /* originators of IPv4, of IPv4 in a VLAN, ... */
    FRAME_MAX_BYTES = 512,

    PROTO_TCP = 6,
    PROTO_UDP = 17,

    FLAG_FIN = 1,
    FLAG_SYN = 2,
    FLAG_PSH = 8,
    FLAG_ACK = 16,
};

/* One end of a conversation; v4 addresses stand in the last four bytes. */
struct host {
    uint8_t ip[16];
    uint16_t port;
};

struct flow {
    struct host client, server;
    bool v6;
    unsigned vlan_tags; /* 0, 1 or 2 */
};

struct capture {
    FILE *file;
    uint64_t packets;
    uint64_t connections;
    uint8_t clients[4 * CLIENTS_OF_A_KIND][16]; /* originators, as ::ffff:a.b.c.d or IPv6 */
    size_t client_count;
};

/* ---- bytes ------------------------------------------------------------------------------------- */

struct frame {
    uint8_t bytes[FRAME_MAX_BYTES];
    size_t length;
};

static void
put(struct frame *f, const void *data, size_t length)
{
    if (length > sizeof(f->bytes) - f->length) {
        abort(); /* our own constants */
    }
    memcpy(f->bytes + f->length, data, length);
    f->length += length;
}

static void
put_be16(struct frame *f, unsigned v)
{
    put(f, (uint8_t[]){(uint8_t)(v >> 8), (uint8_t)v}, 2);
}

static void
put_be32(struct frame *f, uint32_t v)
{
    put_be16(f, v >> 16);
    put_be16(f, v & 0xffff);
}

/* The Internet checksum of some bytes, added to a running sum. */
static uint32_t
sum_bytes(uint32_t sum, const uint8_t *p, size_t length)
{
    for (size_t i = 0; i + 1 < length; i += 2) {
        sum += (uint32_t)(p[i] << 8 | p[i + 1]);
    }
    if (length % 2 != 0) {
        sum += (uint32_t)(p[length - 1] << 8);
    }
    return sum;
}

static void
set_checksum(uint8_t *at, uint32_t sum)
{
    while (sum > 0xffff) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    at[0] = (uint8_t)(~sum >> 8);
    at[1] = (uint8_t)~sum;
}

/* ---- frames ------------------------------------------------------------------------------------ */

static void
put_ethernet(struct frame *f, const struct flow *flow)
{
    static const uint8_t macs[12] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2};

    put(f, macs, sizeof(macs));
    if (flow->vlan_tags == 2) {
        put_be16(f, 0x88a8);
        put_be16(f, 100);
    }
    if (flow->vlan_tags >= 1) {
        put_be16(f, 0x8100);
        put_be16(f, 7);
    }
    put_be16(f, flow->v6 ? 0x86dd : 0x0800);
}

static void
put_ip(struct frame *f,
       bool v6,
       unsigned proto,
       const struct host *from,
       const struct host *to,
       size_t body_bytes)
{
    size_t start = f->length;

    if (v6) {
        put_be32(f, 6u << 28);
        put_be16(f, (unsigned)body_bytes);
        put(f, (uint8_t[]){(uint8_t)proto, 64}, 2);
        put(f, from->ip, 16);
        put(f, to->ip, 16);
        return;
    }
    put_be16(f, 0x4500);
    put_be16(f, (unsigned)(20 + body_bytes));
    put_be16(f, 0);
    put_be16(f, 0x4000); /* do not fragment */
    put(f, (uint8_t[]){64, (uint8_t)proto, 0, 0}, 4);
    put(f, from->ip + 12, 4);
    put(f, to->ip + 12, 4);
    set_checksum(f->bytes + start + 10, sum_bytes(0, f->bytes + start, 20));
}

/* Checksum over the pseudo header and everything from `start` on. */
static void
finish_checksum(struct frame *f,
                size_t start,
                size_t at,
                unsigned proto,
                const struct host *a,
                const struct host *b)
{
    size_t length = f->length - start;
    uint32_t sum = sum_bytes(proto + (uint32_t)length, f->bytes + start, length);

    /* The bytes above an IPv4 address are zero here, so both families add up alike. */
    sum = sum_bytes(sum, a->ip, 16);
    sum = sum_bytes(sum, b->ip, 16);
    set_checksum(f->bytes + start + at, sum);
}

/* Returns false when the disk is full; so do all that call it. */
static bool
write_packet(struct capture *c, const struct frame *f)
{
    /* A fixed first moment, one packet each millisecond. */
    uint64_t us = c->packets * 1000;
    uint32_t head[4] = {
        (uint32_t)(UINT64_C(1767225600) + us / 1000000),
        (uint32_t)(us % 1000000),
        (uint32_t)f->length,
        (uint32_t)f->length,
    };

    c->packets++;
    return fwrite(head, sizeof(head), 1, c->file) == 1
           && fwrite(f->bytes, f->length, 1, c->file) == 1;
}

static bool
write_tcp(struct capture *c,
          const struct flow *flow,
          bool from_client,
          unsigned flags,
          uint32_t seq,
          uint32_t ack,
          const char *text)
{
    const struct host *from = from_client ? &flow->client : &flow->server;
    const struct host *to = from_client ? &flow->server : &flow->client;
    size_t text_bytes = strlen(text);
    struct frame f = {.length = 0};
    size_t start;

    put_ethernet(&f, flow);
    put_ip(&f, flow->v6, PROTO_TCP, from, to, 20 + text_bytes);
    start = f.length;
    put_be16(&f, from->port);
    put_be16(&f, to->port);
    put_be32(&f, seq);
    put_be32(&f, ack);
    put_be16(&f, 5u << 12 | flags);
    put_be16(&f, 65535);
    put_be32(&f, 0); /* checksum, urgent pointer */
    put(&f, text, text_bytes);
    finish_checksum(&f, start, 16, PROTO_TCP, from, to);
    return write_packet(c, &f);
}

static bool
write_udp(struct capture *c, const struct flow *flow, const char *text)
{
    struct frame f = {.length = 0};
    size_t start;

    put_ethernet(&f, flow);
    put_ip(&f, flow->v6, PROTO_UDP, &flow->client, &flow->server, 8 + strlen(text));
    start = f.length;
    put_be16(&f, flow->client.port);
    put_be16(&f, flow->server.port);
    put_be16(&f, (unsigned)(8 + strlen(text)));
    put_be16(&f, 0);
    put(&f, text, strlen(text));
    finish_checksum(&f, start, 6, PROTO_UDP, &flow->client, &flow->server);
    return write_packet(c, &f);
}

/* ---- conversations ----------------------------------------------------------------------------- */

/* Hosts from the blocks that are set aside for documentation. */
static struct host
make_host(bool v6, unsigned net, unsigned number, unsigned port)
{
    struct host h = {.port = (uint16_t)port};

    if (v6) {
        memcpy(h.ip, (uint8_t[]){0x20, 0x01, 0x0d, 0xb8, 0, (uint8_t)net}, 6);
    } else {
        memcpy(h.ip + 12, net == 0 ? (uint8_t[]){192, 0, 2} : (uint8_t[]){198, 51, 100}, 3);
    }
    h.ip[15] = (uint8_t)number;
    return h;
}

/* Four kinds in turn: IPv4, IPv6, IPv4 in a VLAN, IPv6 in a VLAN. */
static struct flow
make_flow(unsigned i)
{
    static const uint16_t services[] = {80, 443, 22};
    unsigned kind = i % 4;
    bool v6 = kind % 2 == 1;
    unsigned ten = v6 ? 0x10 : 10;
    unsigned client = (kind >= 2 ? 3 * ten : ten) + i / 4 % CLIENTS_OF_A_KIND;

    return (struct flow){
        .v6 = v6,
        .vlan_tags = kind < 2     ? 0
                     : i % 8 == 7 ? 2
                                  : 1,
        .client = make_host(v6, 0, client, 40000 + i),
        .server = make_host(v6, 1, 80 + i % 2, services[i % 3]),
    };
}

static void
note_client(struct capture *c, const struct flow *flow)
{
    uint8_t ip[16];

    memcpy(ip, flow->client.ip, sizeof(ip));
    if (!flow->v6) {
        ip[10] = ip[11] = 0xff;
    }
    for (size_t i = 0; i < c->client_count; i++) {
        if (memcmp(c->clients[i], ip, sizeof(ip)) == 0) {
            return;
        }
    }
    memcpy(c->clients[c->client_count++], ip, sizeof(ip));
}

/* Packet number `step` of a complete connection: handshake, a question, an answer, and the end. */
static bool
write_step(struct capture *c, const struct flow *flow, unsigned step)
{
    static const char question[] = "question\r\n", answer[] = "answer\r\n";
    const uint32_t q = sizeof(question) - 1, a = sizeof(answer) - 1;

    switch (step) {
    case 0:
        return write_tcp(c, flow, true, FLAG_SYN, 1000, 0, "");
    case 1:
        return write_tcp(c, flow, false, FLAG_SYN | FLAG_ACK, 5000, 1001, "");
    case 2:
        return write_tcp(c, flow, true, FLAG_ACK, 1001, 5001, "");
    case 3:
        return write_tcp(c, flow, true, FLAG_PSH | FLAG_ACK, 1001, 5001, question);
    case 4:
        return write_tcp(c, flow, false, FLAG_PSH | FLAG_ACK, 5001, 1001 + q, answer);
    case 5:
        return write_tcp(c, flow, true, FLAG_FIN | FLAG_ACK, 1001 + q, 5001 + a, "");
    case 6:
        return write_tcp(c, flow, false, FLAG_FIN | FLAG_ACK, 5001 + a, 1002 + q, "");
    default:
        return write_tcp(c, flow, true, FLAG_ACK, 1002 + q, 5002 + a, "");
    }
}
enum { STEPS = 8 };

/* What looks like a connection and is none, or none again. */
static bool
write_noise(struct capture *c, unsigned connections)
{
    struct flow scan = {.client = make_host(false, 0, 99, 50000),
                        .server = make_host(false, 1, 80, 23)};
    struct flow middle = {.client = make_host(true, 0, 0x99, 50001),
                          .server = make_host(true, 1, 80, 80),
                          .v6 = true};
    struct flow dns = {.client = make_host(false, 0, 98, 50002),
                       .server = make_host(false, 1, 53, 53)};
    struct flow again = make_flow(0);

    return write_tcp(c, &scan, true, FLAG_SYN, 1, 0, "")
           && write_tcp(c, &middle, true, FLAG_PSH | FLAG_ACK, 70, 90, "more")
           && write_tcp(c, &middle, false, FLAG_ACK, 90, 74, "")
           && write_udp(c, &dns, "not a question")
           && (connections == 0 || write_tcp(c, &again, true, FLAG_SYN, 1000, 0, ""));
}

/* The connections in blocks of eight, interleaved: first all SYNs of a block, then all answers, and so on. */
static bool
write_all(struct capture *c, unsigned connections)
{
    static const uint32_t head[6] = {0xa1b2c3d4, 4u << 16 | 2, 0,
                                     0,          65535,        1}; /* version 2.4, Ethernet */
    static const unsigned block = 8;

    if (fwrite(head, sizeof(head), 1, c->file) != 1) {
        return false;
    }
    for (unsigned first = 0; first < connections; first += block) {
        for (unsigned step = 0; step < STEPS; step++) {
            for (unsigned i = first; i < first + block && i < connections; i++) {
                struct flow flow = make_flow(i);

                if (!write_step(c, &flow, step)) {
                    return false;
                }
                if (step == 1) {
                    note_client(c, &flow);
                    c->connections++;
                }
            }
            if (first == 0 && step == 0 && !write_noise(c, connections)) {
                return false;
            }
        }
    }
    return connections > 0 || write_noise(c, 0);
}

static int
compare_ips(const void *a, const void *b)
{
    return memcmp(a, b, 16);
}

static void
print_truth(struct capture *c)
{
    char text[INET6_ADDRSTRLEN];

    qsort(c->clients, c->client_count, sizeof(c->clients[0]), compare_ips);
    printf("{\"packets\":%" PRIu64 ",\"connections\":%" PRIu64 ",\"originators\":[", c->packets,
           c->connections);
    for (size_t i = 0; i < c->client_count; i++) {
        bool v6 = c->clients[i][0] != 0;

        inet_ntop(v6 ? AF_INET6 : AF_INET, c->clients[i] + (v6 ? 0 : 12), text, sizeof(text));
        printf("%s\"%s\"", i > 0 ? "," : "", text);
    }
    printf("]}\n");
}

static int
make_capture(const char *path, unsigned connections)
{
    struct capture c = {.file = fopen(path, "wbe")};
    bool written;

    if (c.file == NULL) {
        perror(path);
        return 1;
    }
    written = write_all(&c, connections);
    if (fclose(c.file) != 0 || !written) {
        perror(path);
        return 1;
    }
    print_truth(&c);
    return 0;
}

/* ---- live -------------------------------------------------------------------------------------- */

/* One connection from 127.0.0.<number> to the listener, which answers it. */
static bool
talk_once(int listener, const struct sockaddr_in *to, unsigned number)
{
    struct sockaddr_in from = {.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(0x7f000000u + number)};
    int near = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), far = -1;
    char byte;
    bool done = false;

    if (near >= 0 && bind(near, (const struct sockaddr *)&from, sizeof(from)) == 0
        && connect(near, (const struct sockaddr *)to, sizeof(*to)) == 0) {
        far = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        done = far >= 0 && send(far, "!", 1, MSG_NOSIGNAL) == 1 && recv(near, &byte, 1, 0) == 1;
    }
    if (far >= 0) {
        close(far);
    }
    if (near >= 0) {
        close(near);
    }
    return done;
}

static int
talk(unsigned connections)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t at_bytes = sizeof(at);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (listener < 0 || bind(listener, (const struct sockaddr *)&at, sizeof(at)) != 0
        || listen(listener, 8) != 0
        || getsockname(listener, (struct sockaddr *)&at, &at_bytes) != 0) {
        perror("make-capture: listen on 127.0.0.1");
        if (listener >= 0) {
            close(listener);
        }
        return 1;
    }
    for (unsigned i = 0; i < connections; i++) {
        if (!talk_once(listener, &at, 2 + i % 3)) {
            perror("make-capture: connect on 127.0.0.1");
            close(listener);
            return 1;
        }
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    }
    close(listener);
    return 0;
}

/* ---- command line ------------------------------------------------------------------------------ */

static int
usage(void)
{
    fputs("usage: make-capture [--connections N] FILE\n"
          "       make-capture --talk N\n"
          "N is 0 to 10000; 24 without --connections.\n",
          stderr);
    return 2;
}

static bool
parse_count(const char *text, unsigned *out)
{
    char *end;
    unsigned long v;

    errno = 0;
    v = strtoul(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || *text == '-' || v > CONNECTIONS_MAX) {
        return false;
    }
    *out = (unsigned)v;
    return true;
}

int
main(int argc, char **argv)
{
    unsigned count = 24;

    if (argc == 3 && strcmp(argv[1], "--talk") == 0) {
        return parse_count(argv[2], &count) ? talk(count) : usage();
    }
    if (argc == 4 && strcmp(argv[1], "--connections") == 0) {
        return parse_count(argv[2], &count) ? make_capture(argv[3], count) : usage();
    }
    return argc == 2 && argv[1][0] != '-' ? make_capture(argv[1], count) : usage();
}
