/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * linkemu.c - a TCP proxy between two busbards, which is told while it runs what the network does to them.
 *
 *   linkemu LISTEN-PORT TO-HOST TO-PORT CONTROL [SEED]
 *
 * Listens on 127.0.0.1 and prints `listening on 127.0.0.1:PORT`.  CONTROL is a FIFO that it makes; each line that is
 * written there is a command, and each is answered by a line on stdout, `ok COMMAND` or `wrong COMMAND`, when it holds.
 *
 *   open                 as if nothing had been; connections that lost bytes meanwhile are reset
 *   reset                ends every connection by RST, now
 *   cut                  both ways: what comes is thrown away, nobody is told; new connections are taken and stay silent
 *   mute up|down         the same in one direction only
 *   pause up|down        stops reading: the sender's window fills.  `go up|down` ends it
 *   delay MS             each byte arrives so much later
 *   rate BYTES           at most so many in a second, each way; 0: no limit
 *   flip BYTES           one bit of some byte in about so many is changed; 0: none
 *   stall BYTES MS       after each so many bytes a stand-still of so long, wherever that is in a frame; 0: none
 *   count                `count up BYTES down BYTES flips N connections N`
 *   quit
 *
 * `up` is from who dialed to who listens.  One thread and poll(), for at most 32 connections, each with 256 KiB in
 * each direction: memory is bounded whatever is held back.  TCP hides reordering and duplication from both ends, so no
 * proxy can show them: tests/unit/bridge does, with the session alone.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS = 32, HELD_BYTES = 256 << 10, MARKS = 512, TURN_MS = 200 };
enum { UP = 0, DOWN = 1 };

/* One direction of a connection: what was read and is not sent yet.  Positions never wrap. */
struct half {
    unsigned char *bytes; /* HELD_BYTES */
    uint64_t in_pos, out_pos;
    struct {
        uint64_t end_pos;
        int64_t due_ns;
    } marks[MARKS]; /* what was read together, and when it may go on */
    unsigned first, marks_used;
    int64_t still_ns; /* nothing goes before */
    uint64_t since_stall;
    bool has_ended, is_end_told;
};

struct connection {
    int fd[2];                   /* of who dialed; of who listens.  -1: none */
    bool is_connecting, is_lost; /* lost: bytes are missing, it must not go on */
    struct half half[2];
};

static struct {
    bool is_mute, is_paused;
} direction[2];
static int64_t delay_ns, stall_ns;
static uint64_t rate_bytes, flip_bytes, stall_bytes, total[2], flips, taken;
static uint64_t to_flip; /* bytes until the next flip */
static uint64_t random_state;
static struct connection *connections[CONNECTIONS];
static struct sockaddr_storage target;
static socklen_t target_bytes;

static int64_t
now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static uint64_t
next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

_Noreturn static void
fail(const char *what)
{
    (void)fprintf(stderr, "linkemu: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ---- connections ---- */

static void
end(unsigned slot)
{
    struct connection *c = connections[slot];
    const struct linger now = {.l_onoff = 1, .l_linger = 0};
    for (int side = 0; side < 2; side++) {
        if (c->fd[side] >= 0) {
            /* With RST, unless both ends were told in order. */
            if (!c->half[UP].is_end_told || !c->half[DOWN].is_end_told) {
                (void)setsockopt(c->fd[side], SOL_SOCKET, SO_LINGER, &now, sizeof(now));
            }
            (void)close(c->fd[side]);
        }
        free(c->half[side].bytes);
    }
    free(c);
    connections[slot] = NULL;
}

static int
dial(void)
{
    int one = 1;
    int fd = socket(target.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(fd, (struct sockaddr *)&target, target_bytes) != 0 && errno != EINPROGRESS) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

static void
take_connection(int listener)
{
    int one = 1;
    unsigned slot = 0;
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        return;
    }
    while (slot < CONNECTIONS && connections[slot] != NULL) {
        slot++;
    }
    struct connection *c = slot < CONNECTIONS ? calloc(1, sizeof(*c)) : NULL;
    if (c == NULL) {
        (void)close(fd);
        return;
    }
    connections[slot] = c;
    taken++;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    c->fd[0] = fd;
    c->fd[1] = -1;
    c->half[UP].bytes = malloc(HELD_BYTES);
    c->half[DOWN].bytes = malloc(HELD_BYTES);
    c->is_lost = direction[UP].is_mute || direction[DOWN].is_mute;
    c->is_connecting = !c->is_lost;
    if (c->is_connecting) {
        c->fd[1] = dial();
    }
    if (c->half[UP].bytes == NULL || c->half[DOWN].bytes == NULL
        || (c->is_connecting && c->fd[1] < 0)) {
        end(slot);
    }
}

/* ---- bytes ---- */

static bool
wants_bytes(const struct connection *c, int way)
{
    const struct half *h = &c->half[way];
    return c->fd[way == UP ? 0 : 1] >= 0 && !c->is_connecting && !h->has_ended
           && !direction[way].is_paused && h->in_pos - h->out_pos < HELD_BYTES
           && h->marks_used < MARKS;
}

static void
change_bits(unsigned char *p, size_t bytes)
{
    size_t at = 0;
    while (flip_bytes > 0 && bytes - at > to_flip) {
        at += to_flip;
        p[at] ^= (unsigned char)(1u << next_random() % 8);
        flips++;
        to_flip = 1 + next_random() % (2 * flip_bytes);
    }
    to_flip -= flip_bytes > 0 ? bytes - at : 0;
}

/* False: the connection must end. */
static bool
read_half(struct connection *c, int way)
{
    struct half *h = &c->half[way];
    size_t at = h->in_pos % HELD_BYTES;
    size_t room = HELD_BYTES - (size_t)(h->in_pos - h->out_pos);
    room = room < HELD_BYTES - at ? room : HELD_BYTES - at;
    ssize_t n = recv(c->fd[way == UP ? 0 : 1], h->bytes + at, room, 0);
    if (n < 0) {
        return errno == EAGAIN || errno == EINTR;
    }
    h->has_ended = n == 0;
    if (direction[way].is_mute || c->fd[1] < 0) {
        c->is_lost = true; /* nobody is told */
    } else if (n > 0) {
        change_bits(h->bytes + at, (size_t)n);
        unsigned mark = (h->first + h->marks_used++) % MARKS;
        h->in_pos += (uint64_t)n;
        h->marks[mark].end_pos = h->in_pos;
        h->marks[mark].due_ns = now_ns() + delay_ns;
    }
    return true;
}

/* How many bytes may go now; when not all, *again_ns is no later than when more may. */
static size_t
may_go(struct half *h, int64_t now, int64_t *again_ns)
{
    uint64_t end_pos = h->out_pos;
    int64_t again = INT64_MAX;
    for (unsigned i = 0; i < h->marks_used; i++) {
        unsigned mark = (h->first + i) % MARKS;
        if (h->marks[mark].due_ns > now) {
            again = h->marks[mark].due_ns;
            break;
        }
        end_pos = h->marks[mark].end_pos;
    }
    size_t bytes = (size_t)(end_pos - h->out_pos);
    if (bytes > 0 && h->still_ns > now) {
        again = h->still_ns;
        bytes = 0;
    }
    if (rate_bytes > 0 && bytes > rate_bytes / 100 + 1) {
        bytes = (size_t)(rate_bytes / 100 + 1); /* 10 ms' worth */
    }
    if (stall_bytes > 0 && bytes > stall_bytes - h->since_stall) {
        bytes = (size_t)(stall_bytes - h->since_stall);
    }
    *again_ns = again < *again_ns ? again : *again_ns;
    return bytes;
}

static void
has_gone(struct half *h, size_t bytes, int64_t now)
{
    h->out_pos += bytes;
    while (h->marks_used > 0 && h->marks[h->first].end_pos <= h->out_pos) {
        h->first = (h->first + 1) % MARKS;
        h->marks_used--;
    }
    if (rate_bytes > 0) {
        h->still_ns = now + (int64_t)(bytes * UINT64_C(1000000000) / rate_bytes);
    }
    h->since_stall += bytes;
    if (stall_bytes > 0 && h->since_stall >= stall_bytes) {
        h->since_stall = 0;
        h->still_ns = now + stall_ns;
    }
}

static bool
is_passing(const struct connection *c, int way)
{
    return c->fd[1] >= 0 && !c->is_connecting && !direction[way].is_mute;
}

static bool
write_half(struct connection *c, int way, int64_t *again_ns)
{
    struct half *h = &c->half[way];
    int fd = c->fd[way == UP ? 1 : 0];
    int64_t now = now_ns();
    if (!is_passing(c, way)) {
        return true;
    }
    for (size_t bytes; (bytes = may_go(h, now, again_ns)) > 0;) {
        size_t at = h->out_pos % HELD_BYTES;
        bytes = bytes < HELD_BYTES - at ? bytes : HELD_BYTES - at;
        ssize_t n = send(fd, h->bytes + at, bytes, MSG_NOSIGNAL);
        if (n < 0) {
            return errno == EAGAIN || errno == EINTR;
        }
        has_gone(h, (size_t)n, now);
        total[way] += (uint64_t)n;
    }
    if (h->has_ended && h->in_pos == h->out_pos && !h->is_end_told) {
        h->is_end_told = true;
        (void)shutdown(fd, SHUT_WR);
    }
    return !c->half[UP].is_end_told || !c->half[DOWN].is_end_told;
}

/* ---- commands ---- */

static void
open_again(void)
{
    memset(direction, 0, sizeof(direction));
    delay_ns = stall_ns = 0;
    rate_bytes = flip_bytes = stall_bytes = to_flip = 0;
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        if (connections[i] != NULL && connections[i]->is_lost) {
            end(i);
        }
    }
}

static void
end_all(void)
{
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        if (connections[i] != NULL) {
            end(i);
        }
    }
}

static void
say_count(void)
{
    unsigned living = 0;
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        living += connections[i] != NULL;
    }
    (void)printf("count up %llu down %llu flips %llu connections %llu living %u\n",
                 (unsigned long long)total[UP], (unsigned long long)total[DOWN],
                 (unsigned long long)flips, (unsigned long long)taken, living);
}

static bool
set_way(const char *word, const char *way)
{
    int which = strcmp(way, "down") == 0 ? DOWN : UP;
    if (which == UP && strcmp(way, "up") != 0) {
        return false;
    }
    if (strcmp(word, "mute") == 0) {
        direction[which].is_mute = true;
    } else {
        direction[which].is_paused = strcmp(word, "pause") == 0;
    }
    return true;
}

static bool
set_number(const char *word, const char *first, const char *second)
{
    char *rest;
    uint64_t n = strtoull(first, &rest, 10);
    if (rest == first) {
        return false;
    }
    if (strcmp(word, "delay") == 0) {
        delay_ns = (int64_t)n * 1000000;
    } else if (strcmp(word, "rate") == 0) {
        rate_bytes = n;
    } else if (strcmp(word, "flip") == 0) {
        flip_bytes = n;
        to_flip = n > 0 ? 1 + next_random() % (2 * n) : 0;
    } else {
        stall_bytes = n;
        stall_ns = (int64_t)strtoull(second, NULL, 10) * 1000000;
    }
    return true;
}

static bool
is_one_of(const char *word, const char *const *words)
{
    while (*words != NULL && strcmp(word, *words) != 0) {
        words++;
    }
    return *words != NULL;
}

static void
obey(const char *line)
{
    static const char *const ways[] = {"mute", "pause", "go", NULL};
    static const char *const numbers[] = {"delay", "rate", "flip", "stall", NULL};
    char word[16] = "";
    char first[24] = "";
    char second[24] = "";
    bool is_right = true;
    if (sscanf(line, "%15s %23s %23s", word, first, second) < 1) {
        return;
    }
    if (strcmp(word, "open") == 0) {
        open_again();
    } else if (strcmp(word, "reset") == 0) {
        end_all();
    } else if (strcmp(word, "cut") == 0) {
        direction[UP].is_mute = direction[DOWN].is_mute = true;
    } else if (strcmp(word, "count") == 0) {
        say_count();
    } else if (strcmp(word, "quit") == 0) {
        exit(0);
    } else if (is_one_of(word, ways)) {
        is_right = set_way(word, first);
    } else {
        is_right = is_one_of(word, numbers) && set_number(word, first, second);
    }
    (void)printf("%s %s\n", is_right ? "ok" : "wrong", line);
}

static void
read_commands(int fd)
{
    static char buf[1024];
    static size_t used;
    ssize_t n = read(fd, buf + used, sizeof(buf) - 1 - used);
    if (n <= 0) {
        return;
    }
    used += (size_t)n;
    for (char *newline; (newline = memchr(buf, '\n', used)) != NULL;) {
        *newline = '\0';
        obey(buf);
        used -= (size_t)(newline + 1 - buf);
        memmove(buf, newline + 1, used);
    }
    used = used < sizeof(buf) - 1 ? used : 0; /* a line that never ends */
}

/* ---- the loop ---- */

static struct pollfd polled[2 + 2 * CONNECTIONS];

/* A cut says nothing: a connection that is lost ends only when all is open again. */
static void
end_or_keep_silent(unsigned slot)
{
    struct connection *c = connections[slot];
    if (!c->is_lost) {
        end(slot);
        return;
    }
    for (int way = 0; way < 2; way++) {
        struct half *h = &c->half[way];
        h->has_ended = h->is_end_told = true;
        h->out_pos = h->in_pos;
        h->marks_used = 0;
    }
}

/* Sends what is due, and says what each connection waits for.  When something is due next. */
static int64_t
prepare(void)
{
    int64_t again_ns = INT64_MAX;
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        struct connection *c = connections[i];
        struct pollfd *p = &polled[2 + 2 * i];
        p[0].fd = p[1].fd = -1;
        if (c == NULL) {
            continue;
        }
        if (!write_half(c, UP, &again_ns) || !write_half(c, DOWN, &again_ns)) {
            end_or_keep_silent(i);
            continue;
        }
        for (int side = 0; side < 2; side++) {
            int64_t when = INT64_MAX;
            int way = side == 0 ? DOWN : UP;
            bool is_due = is_passing(c, way) && may_go(&c->half[way], now_ns(), &when) > 0;
            p[side].events = (short)((wants_bytes(c, side == 0 ? UP : DOWN) ? POLLIN : 0)
                                     | (is_due || (side == 1 && c->is_connecting) ? POLLOUT : 0));
            p[side].fd = p[side].events != 0 ? c->fd[side] : -1;
        }
    }
    return again_ns;
}

static void
handle(unsigned slot)
{
    struct connection *c = connections[slot];
    const struct pollfd *p = &polled[2 + 2 * slot];
    int error = 0;
    socklen_t bytes = sizeof(error);
    if (c->is_connecting && p[1].revents != 0) {
        (void)getsockopt(c->fd[1], SOL_SOCKET, SO_ERROR, &error, &bytes);
        c->is_connecting = false;
    }
    bool lives = error == 0;
    for (int side = 0; side < 2 && lives; side++) {
        if ((p[side].revents & (POLLIN | POLLERR | POLLHUP)) != 0
            && wants_bytes(c, side == 0 ? UP : DOWN)) {
            lives = read_half(c, side == 0 ? UP : DOWN);
        }
    }
    if (!lives) {
        end_or_keep_silent(slot);
    }
}

static int
open_listener(const char *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof(at);
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0
        || bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0 || listen(fd, 64) != 0
        || getsockname(fd, (struct sockaddr *)&at, &bytes) != 0) {
        fail("cannot listen");
    }
    (void)printf("listening on 127.0.0.1:%u\n", ntohs(at.sin_port));
    return fd;
}

static void
resolve(const char *host, const char *port)
{
    const struct addrinfo want = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    if (getaddrinfo(host, port, &want, &found) != 0) {
        (void)fprintf(stderr, "linkemu: there is no %s:%s\n", host, port);
        exit(2);
    }
    memcpy(&target, found->ai_addr, found->ai_addrlen);
    target_bytes = found->ai_addrlen;
    freeaddrinfo(found);
}

static int
open_control(const char *path)
{
    if (mkfifo(path, 0600) != 0 && errno != EEXIST) {
        fail(path);
    }
    int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC); /* RDWR: it never ends */
    if (fd < 0) {
        fail(path);
    }
    return fd;
}

int
main(int argc, char **argv)
{
    if (argc < 5 || argc > 6) {
        (void)fprintf(stderr, "usage: linkemu LISTEN-PORT TO-HOST TO-PORT CONTROL [SEED]\n");
        return 2;
    }
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    random_state = argc == 6 ? strtoull(argv[5], NULL, 10) | 1 : 88172645463325252ULL;
    resolve(argv[2], argv[3]);
    polled[0] = (struct pollfd){.fd = open_control(argv[4]), .events = POLLIN};
    polled[1] = (struct pollfd){.fd = open_listener(argv[1]), .events = POLLIN};
    for (;;) {
        int64_t again_ns = prepare();
        int64_t left_ms = again_ns == INT64_MAX ? TURN_MS : (again_ns - now_ns()) / 1000000 + 1;
        left_ms = left_ms < 0 ? 0 : left_ms > TURN_MS ? TURN_MS : left_ms;
        if (poll(polled, 2 + 2 * CONNECTIONS, (int)left_ms) < 0 && errno != EINTR) {
            fail("poll");
        }
        for (unsigned i = 0; i < CONNECTIONS; i++) {
            if (connections[i] != NULL) {
                handle(i);
            }
        }
        if (polled[1].revents != 0) {
            take_connection(polled[1].fd);
        }
        if (polled[0].revents != 0) {
            read_commands(polled[0].fd);
        }
    }
}
