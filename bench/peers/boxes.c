/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/peers/boxes.c - starts box 1, reads where it listens, starts box 0 with that address.
 *
 * Box 0 listens too, although nobody dials it: the line that says so tells that it is up.  Whether the link is up the
 * case finds out by itself, as publishers send until they are heard.
 */
#include "bench/peers/boxes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEY_BYTES = 32 };

static int
complain(const char *what, const char *why)
{
    (void)fprintf(stderr, "busbar: %s: %s.\n", what, why);
    return -1;
}

const struct bench_setup *
bench_boxes_at(struct bench_place *place, const struct bench_setup *s, unsigned box)
{
    if (!s->is_bridge) {
        return s;
    }
    place->setup = *s;
    (void)snprintf(place->dir, sizeof(place->dir), "%s/box%u", s->dir, box);
    place->setup.dir = place->dir;
    return &place->setup;
}

bool
bench_boxes_read_address(const char *text, char *address, size_t cap)
{
    static const char before[] = "listening on ";
    const char *from = strstr(text, before);
    if (from == NULL) {
        return false;
    }
    from += sizeof(before) - 1;
    size_t bytes = strcspn(from, " \r\n");
    if (from[bytes] == '\0' || bytes == 0 || bytes >= cap) {
        return false; /* not written to its end yet, or not an address */
    }
    memcpy(address, from, bytes);
    address[bytes] = '\0';
    return true;
}

static bool
is_ready(const struct bench_setup *s, void *shared)
{
    struct bench_boxes *boxes = shared;
    char text[4096] = "";
    (void)s;
    FILE *f = fopen(boxes->starting->log_path, "re");
    if (f == NULL) {
        return false;
    }
    (void)!fread(text, 1, sizeof(text) - 1, f);
    (void)fclose(f);
    return bench_boxes_read_address(text, boxes->address, sizeof(boxes->address));
}

/* Where busbard is; false after saying that it is not there. */
static bool
find_program(char *path, size_t cap)
{
    const char *named = getenv("BUSBAR_BUSBARD");
    char self[PATH_MAX];
    if (named != NULL) {
        (void)snprintf(path, cap, "%s", named);
    } else {
        ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
        self[n > 0 ? n : 0] = '\0';
        char *slash = strrchr(self, '/');
        if (slash != NULL) {
            *slash = '\0';
        }
        (void)snprintf(path, cap, "%.*s/../tools/busbard", (int)cap - 32, self);
    }
    if (access(path, X_OK) != 0) {
        (void)fprintf(stderr,
                      "busbar: there is no busbard at %s: build the target busbard, or set "
                      "BUSBAR_BUSBARD.\n",
                      path);
        return false;
    }
    return true;
}

/* 64 hexadecimal digits that only their owner may read. */
static int
make_key(const char *path)
{
    unsigned char key[KEY_BYTES];
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || getrandom(key, sizeof(key), 0) != sizeof(key)) {
        (void)(fd >= 0 && close(fd));
        return complain("cannot make a key", strerror(errno));
    }
    for (unsigned i = 0; i < KEY_BYTES; i++) {
        (void)dprintf(fd, "%02x", key[i]);
    }
    return close(fd) == 0 ? 0 : complain("cannot make a key", strerror(errno));
}

static int
start_box(const struct bench_setup *s, struct bench_boxes *boxes, unsigned box, const char *program)
{
    static const char *const names[] = {"box0", "box1"};
    struct bench_place place;
    char key[PATH_MAX], address[64];
    const struct bench_setup *here = bench_boxes_at(&place, s, box);
    if (mkdir(here->dir, 0700) != 0) {
        return complain("cannot make a box's directory", strerror(errno));
    }
    (void)snprintf(key, sizeof(key), "%.*s/key", PATH_MAX - 8, s->dir);
    (void)snprintf(address, sizeof(address), "%s", boxes->address);
    struct bench_daemon_opts opts = {
        .driver = "busbar",
        .name = names[box],
        .argv = {program, "--dir", here->dir, "--bus", "bench", "--name", names[box], "--listen",
                 "127.0.0.1:0", "--engine", s->engine != NULL ? s->engine : "auto"},
        .cpu = &s->box_cpu[box],
        .is_ready = is_ready,
    };
    size_t n = 0;
    while (opts.argv[n] != NULL) {
        n++;
    }
    opts.argv[n++] = s->is_tls ? "--psk" : "--insecure";
    if (s->is_tls) {
        opts.argv[n++] = key;
    }
    if (box == 0) {
        opts.argv[n++] = "--peer";
        opts.argv[n++] = address;
    }
    boxes->starting = &boxes->busbard[box];
    return bench_daemon_start(&boxes->busbard[box], &opts, s, boxes);
}

static int
start_both(const struct bench_setup *s, void *shared)
{
    struct bench_boxes *boxes = shared;
    char program[PATH_MAX], key[PATH_MAX];
    if (!find_program(program, sizeof(program))) {
        return -1;
    }
    (void)snprintf(key, sizeof(key), "%.*s/key", PATH_MAX - 8, s->dir);
    if ((s->is_tls && make_key(key) < 0) || start_box(s, boxes, 1, program) < 0) {
        return -1;
    }
    if (start_box(s, boxes, 0, program) < 0) {
        bench_daemon_stop(&boxes->busbard[1]);
        return -1;
    }
    return 0;
}

int
bench_boxes_start(const struct bench_setup *s, void **shared)
{
    return bench_credit_start(s, "busbar", sizeof(struct bench_boxes), start_both, shared);
}

void
bench_boxes_stop(struct bench_boxes *boxes)
{
    bench_daemon_stop(&boxes->busbard[0]);
    bench_daemon_stop(&boxes->busbard[1]);
    bench_credit_stop(&boxes->credit);
}

int64_t
bench_boxes_cpu_ns(const struct bench_boxes *boxes)
{
    return bench_daemon_cpu_ns(&boxes->busbard[0]) + bench_daemon_cpu_ns(&boxes->busbard[1]);
}
