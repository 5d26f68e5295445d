/* SPDX-License-Identifier: BSD-3-Clause */
/*
 *   log     W1 W2 sync W3 W4(D) ... | the cut
 *   base    W1 W2                        folded: on disk whatever happens
 *   waiting          W3 W4               W4 is there (O_DSYNC), W3 perhaps, or some of its sectors
 *
 * Waiting writes are put down in the order in which they were made, so an earlier one never covers a later one.
 * Entries of directories: `names` is what is on disk, `moves` are changes that wait.
 */
#include "tests/process/power_cut/replay.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NODES_MAX = 4096, SECTOR = 512, NAMES_MAX = 1024 };

struct bytes {
    unsigned char *p;
    size_t bytes, cap;
};

struct list {
    const struct rec_event **at;
    size_t count, cap;
};

struct file {
    uint32_t kind;
    const char *target; /* of a link */
    struct bytes base;
    struct list waiting;
};

struct name {
    uint32_t dir, node;
    const char *name;
};

struct names {
    struct name at[NAMES_MAX];
    size_t count;
};

struct replay {
    unsigned without;
    uint64_t pos, count;
    struct file file[NODES_MAX];
    struct names names;
    struct list moves;
    uint64_t mark[REPLAY_MARKS], before[REPLAY_MARKS];
};

uint64_t
replay_random(uint64_t *random)
{
    uint64_t z = *random += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static void *
must(void *p)
{
    if (p == NULL) {
        abort();
    }
    return p;
}

static void
push(struct list *l, const struct rec_event *e)
{
    if (l->count == l->cap) {
        l->cap = l->cap != 0 ? l->cap * 2 : 64;
        l->at = must(realloc(l->at, l->cap * sizeof(*l->at)));
    }
    l->at[l->count++] = e;
}

/* ---- what is in a file ---- */

static void
resize(struct bytes *b, size_t bytes)
{
    if (bytes > b->cap) {
        b->cap = bytes + bytes / 2;
        b->p = must(realloc(b->p, b->cap));
    }
    if (bytes > b->bytes) {
        memset(b->p + b->bytes, 0, bytes - b->bytes);
    }
    b->bytes = bytes;
}

static void
put_down(struct bytes *b, const struct rec_event *e)
{
    if (e->kind == REC_SIZE || (e->kind == REC_ALLOC && e->off > b->bytes)) {
        resize(b, e->off);
    } else if (e->kind == REC_WRITE) {
        if (e->off + e->bytes > b->bytes) {
            resize(b, e->off + e->bytes);
        }
        memcpy(b->p + e->off, rec_data(e), e->bytes);
    }
}

/* Some of its sectors, whichever. */
static void
tear(struct bytes *b, const struct rec_event *e, uint64_t *random)
{
    const unsigned char *data = rec_data(e);
    uint64_t at = e->off, end = e->off + e->bytes;
    while (at < end) {
        uint64_t next = (at / SECTOR + 1) * SECTOR;
        next = next < end ? next : end;
        if ((replay_random(random) & 1) != 0) {
            if (next > b->bytes) {
                resize(b, next);
            }
            memcpy(b->p + at, data + (at - e->off), next - at);
        }
        at = next;
    }
}

static void
fold(struct file *f)
{
    for (size_t i = 0; i < f->waiting.count; i++) {
        put_down(&f->base, f->waiting.at[i]);
    }
    f->waiting.count = 0;
}

/* ---- what is in directories ---- */

static void
forget(struct names *n, uint32_t dir, const char *name)
{
    for (size_t i = 0; i < n->count; i++) {
        if (n->at[i].dir == dir && strcmp(n->at[i].name, name) == 0) {
            n->at[i] = n->at[--n->count];
            return;
        }
    }
}

static void
know(struct names *n, uint32_t dir, const char *name, uint32_t node)
{
    forget(n, dir, name);
    if (n->count == NAMES_MAX) {
        abort();
    }
    n->at[n->count++] = (struct name){.dir = dir, .node = node, .name = name};
}

static void
make_move(struct names *n, const struct rec_event *e)
{
    if (e->kind == REC_ENTRY) {
        know(n, e->dir, e->name, e->node);
    } else if (e->kind == REC_REMOVE) {
        forget(n, e->dir, e->name);
    } else {
        for (size_t i = 0; i < n->count; i++) {
            if (n->at[i].dir == e->dir && strcmp(n->at[i].name, e->name) == 0) {
                uint32_t node = n->at[i].node;
                forget(n, e->dir, e->name);
                know(n, e->to_dir, rec_data(e), node);
                return;
            }
        }
    }
}

static bool
is_of(const struct rec_event *e, uint32_t dir)
{
    return e->dir == dir || (e->kind == REC_RENAME && e->to_dir == dir);
}

static void
sync_dir(struct replay *r, uint32_t dir)
{
    size_t kept = 0;
    for (size_t i = 0; i < r->moves.count; i++) {
        const struct rec_event *e = r->moves.at[i];
        if (is_of(e, dir)) {
            make_move(&r->names, e);
        } else {
            r->moves.at[kept++] = e;
        }
    }
    r->moves.count = kept;
}

/* ---- the log ---- */

struct replay *
replay_new(unsigned without)
{
    struct replay *r = must(calloc(1, sizeof(*r)));
    r->without = without;
    r->file[1].kind = REC_DIR;
    return r;
}

void
replay_free(struct replay *r)
{
    for (size_t i = 0; i < NODES_MAX; i++) {
        free(r->file[i].base.p);
        free(r->file[i].waiting.at);
    }
    free(r->moves.at);
    free(r);
}

static void
synced(struct replay *r, const struct rec_event *e)
{
    if (e->node_kind == REC_DIR) {
        if ((r->without & REPLAY_NO_DIR_SYNC) == 0) {
            sync_dir(r, e->node);
        }
    } else if ((r->without & REPLAY_NO_FILE_SYNC) == 0) {
        fold(&r->file[e->node]);
    }
}

static void
take(struct replay *r, const struct rec_event *e)
{
    switch ((enum rec_kind)e->kind) {
    case REC_WRITE:
    case REC_SIZE:
    case REC_ALLOC:
        push(&r->file[e->node].waiting, e);
        break;
    case REC_SYNC:
        synced(r, e);
        break;
    case REC_ENTRY:
        r->file[e->node].kind = e->node_kind;
        r->file[e->node].target = e->node_kind == REC_LINK ? rec_data(e) : NULL;
        push(&r->moves, e);
        break;
    case REC_REMOVE:
    case REC_RENAME:
        push(&r->moves, e);
        break;
    case REC_MARK:
        r->before[e->off] = r->mark[e->off];
        r->mark[e->off] = e->bytes;
        break;
    }
}

void
replay_to(struct replay *r, uint64_t count)
{
    const struct rec_event *e;
    while (r->count < count && (e = rec_next(&r->pos)) != NULL) {
        take(r, e);
        r->count++;
    }
}

uint64_t
replay_mark(const struct replay *r, uint64_t what)
{
    return r->mark[what];
}

uint64_t
replay_mark_before(const struct replay *r, uint64_t what)
{
    return r->before[what];
}

/* ---- images ---- */

/* What is kept of what waits.  All and nothing are as likely as any mixture: they are what disks do most. */
enum mood { KEEP, DROP, MIX, MOODS };

static void
write_file(struct replay *r, const struct file *f, const char *path, uint64_t *random)
{
    struct bytes now = {0};
    enum mood mood = (enum mood)(replay_random(random) % MOODS);
    resize(&now, f->base.bytes);
    if (f->base.bytes > 0) {
        memcpy(now.p, f->base.p, f->base.bytes);
    }
    for (size_t i = 0; i < f->waiting.count; i++) {
        const struct rec_event *e = f->waiting.at[i];
        bool is_there = e->is_synced != 0 && (r->without & REPLAY_NO_DSYNC) == 0;
        uint64_t how = mood == MIX ? replay_random(random) % 3 : mood;
        if (is_there || how == KEEP) {
            put_down(&now, e);
        } else if (how == MIX && e->kind == REC_WRITE) {
            tear(&now, e, random);
        }
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    size_t done = 0;
    while (fd >= 0 && done < now.bytes) {
        ssize_t n = write(fd, now.p + done, now.bytes - done);
        if (n <= 0) {
            break;
        }
        done += (size_t)n;
    }
    if (fd < 0 || done != now.bytes || close(fd) < 0) {
        abort();
    }
    free(now.p);
}

static void
write_dir(struct replay *r, const struct names *n, uint32_t dir, const char *path, uint64_t *random)
{
    char below[512];
    if (mkdir(path, 0700) < 0) {
        abort();
    }
    for (size_t i = 0; i < n->count; i++) {
        const struct file *f = &r->file[n->at[i].node];
        if (n->at[i].dir != dir) {
            continue;
        }
        (void)snprintf(below, sizeof(below), "%s/%s", path, n->at[i].name);
        if (f->kind == REC_DIR) {
            write_dir(r, n, n->at[i].node, below, random);
        } else if (f->kind == REC_LINK) {
            (void)!symlink(f->target, below);
        } else {
            write_file(r, f, below, random);
        }
    }
}

/* Of each directory a part of what waits, from the first on. */
static void
some_moves(const struct replay *r, struct names *n, uint64_t *random)
{
    static size_t left[NODES_MAX];
    static bool is_drawn[NODES_MAX];
    memset(is_drawn, 0, sizeof(is_drawn));
    for (size_t i = 0; i < r->moves.count; i++) {
        const struct rec_event *e = r->moves.at[i];
        if (!is_drawn[e->dir]) {
            size_t all = 0;
            for (size_t k = i; k < r->moves.count; k++) {
                all += r->moves.at[k]->dir == e->dir;
            }
            uint64_t mood = replay_random(random) % MOODS;
            left[e->dir] = mood == KEEP   ? all
                           : mood == DROP ? 0
                                          : replay_random(random) % (all + 1);
            is_drawn[e->dir] = true;
        }
        if (left[e->dir] > 0) {
            left[e->dir]--;
            make_move(n, e);
        }
    }
}

void
replay_image(struct replay *r, const char *path, uint64_t *random)
{
    static struct names n;
    n = r->names;
    some_moves(r, &n, random);
    write_dir(r, &n, 1, path, random);
}
