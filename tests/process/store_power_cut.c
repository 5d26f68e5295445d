/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    A power cut at any moment damages no store, and what was acknowledged is there afterwards.
 * Method  A process plays a scene on a store while each of its changes to files is recorded (power_cut/record.h).
 *         From the log images are made of what a disk may hold at moments chosen by a seed (power_cut/replay.h).
 *         For each a new process, which finds the box booted, opens the image as a master does, verifies it, compares
 *         all that it reads with a model of the operations, writes some more and verifies again.
 *
 *   Operation i of a seed is known without the store, and each makes one version, so the version of an image says
 *   which state it must be: at least what was acknowledged before the cut, at most what had been sent.  In relaxed
 *   mode the last transaction may be missing.
 *   mutants: with syncs of one kind taken out of the log, nearly every seed must be found damaged.
 *
 * BB_IMAGES (default 200) in all, BB_SEED (default 1).  bb-timeout: 600
 * bb-long
 */
#include "busbar/store.h"
#include "lib/store/generation.h"
#include "lib/store/store_impl.h"
#include "tests/process/power_cut/replay.h"
#include "tests/support/process.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    KEYS = 120,
    VALUE_MAX = 5000,
    GROUP_MAX = 6, /* commands of a frame, which is a transaction */
    MORE_OPS = 20, /* written to an image */
};
#define HOUR_NS INT64_C(3600000000000)
#define QUOTA   (UINT64_C(64) << 20)

/* Marks: a phase in the upper half, an operation of it in the lower one. */
enum { MARK_ISSUED = 1, MARK_ACKED = 2, MARK_COPY = 3 };
#define MARK(phase, i) ((uint64_t)(phase) << 32 | (uint64_t)(i))
#define MARK_PHASE(m)  ((uint32_t)((m) >> 32))
#define MARK_OP(m)     ((uint32_t)(m))

struct scene {
    const char *name;
    uint32_t ops;
    uint32_t flags;         /* of the master */
    uint32_t compact_every; /* operations; 0 never */
    uint32_t copy_every;
    bool is_restored;   /* in the middle another content is loaded into a fresh store */
    bool is_taken_over; /* the master dies at some change of a file, and the next one goes on */
};

static const struct scene scenes[] = {
    {.name = "plain", .ops = 400},
    {.name = "relaxed", .ops = 400, .flags = BB_STORE_RELAXED},
    {.name = "compaction", .ops = 400, .compact_every = 60},
    {.name = "backup", .ops = 250, .copy_every = 50, .compact_every = 110},
    {.name = "restore", .ops = 240, .is_restored = true},
    {.name = "takeover", .ops = 400, .compact_every = 90, .is_taken_over = true},
};
enum { SCENES = sizeof(scenes) / sizeof(scenes[0]) };

/* ---- the model ---- */

struct op {
    uint32_t op, key;
    uint32_t value_bytes; /* of the string */
    uint32_t nth;         /* which operation: the string is made of it */
    bool expires;
};

struct model {
    struct op at[KEYS]; /* the last put; op 0: it is not there */
    uint32_t count;
};

static struct op
next_op(const struct model *m, uint64_t seed, uint32_t i)
{
    uint64_t random = seed * UINT64_C(1000003) + i;
    struct op op = {.op = BB_STORE_PUT, .nth = i, .key = (uint32_t)(replay_random(&random) % KEYS)};
    if (replay_random(&random) % 5 == 0 && m->at[op.key].op != 0) {
        op.op = BB_STORE_ERASE;
        return op;
    }
    uint64_t long_one = replay_random(&random) % 8;
    op.value_bytes = (uint32_t)(replay_random(&random)
                                % (long_one == 0  ? VALUE_MAX
                                   : long_one < 4 ? 900
                                                  : 60));
    op.expires = replay_random(&random) % 3 == 0;
    return op;
}

static void
play(struct model *m, const struct op *op)
{
    struct op none = {0};
    m->count += op->op == BB_STORE_PUT && m->at[op->key].op == 0 ? 1U : 0U;
    m->count -= op->op == BB_STORE_ERASE ? 1U : 0U;
    m->at[op->key] = op->op == BB_STORE_PUT ? *op : none;
}

static void
play_all(struct model *m, uint64_t seed, uint32_t ops)
{
    *m = (struct model){0};
    for (uint32_t i = 1; i <= ops; i++) {
        struct op op = next_op(m, seed, i);
        play(m, &op);
    }
}

/* Keys of all kinds: counts, short strings, strings that are longer than a key of LMDB. */
static struct bb_value
key_value(uint32_t key, unsigned char *room, size_t cap)
{
    char text[700];
    struct bb_builder b;
    int n = key % 3 == 0 ? 0 : snprintf(text, sizeof(text), "%0*u", key % 3 == 1 ? 12 : 620, key);
    bb_build_init(&b, room, cap);
    if (n == 0) {
        bb_put_count(&b, key);
    } else {
        bb_put_string(&b, text, (size_t)n);
    }
    int64_t bytes = bb_build_end(&b);
    return (struct bb_value){.p = room, .bytes = bytes > 0 ? (size_t)bytes : 0};
}

static struct bb_value
content(const struct op *op, unsigned char *room, size_t cap)
{
    char text[VALUE_MAX];
    struct bb_builder b;
    uint64_t random = op->nth;
    for (uint32_t i = 0; i < op->value_bytes; i++) {
        text[i] = (char)('a' + replay_random(&random) % 26);
    }
    bb_build_init(&b, room, cap);
    bb_put_vector_begin(&b);
    bb_put_count(&b, op->nth);
    bb_put_string(&b, text, op->value_bytes);
    bb_put_end(&b);
    int64_t bytes = bb_build_end(&b);
    return (struct bb_value){.p = room, .bytes = bytes > 0 ? (size_t)bytes : 0};
}

/* ---- playing a scene, recorded ---- */

struct player {
    const struct scene *scene;
    uint64_t seed;
    char root[300], path[320];
    struct bb_endpoint *ep;
    struct bb_store *s;
    uint32_t phase, copies;
    struct model m;
};

static _Noreturn void
stop(const char *what, int rc, const char *sentence)
{
    (void)fprintf(stderr, "%s: %d %s\n", what, rc, sentence);
    _exit(1);
}

static struct bb_store *
open_master(struct bb_endpoint *ep,
            const char *name,
            const char *path,
            uint32_t flags,
            struct bb_error *err,
            int *rc)
{
    struct bb_store *s = NULL;
    *rc = bb_store_open(&s, ep,
                        &(struct bb_store_opts){.size = sizeof(struct bb_store_opts),
                                                .name = name,
                                                .role = BB_STORE_MASTER,
                                                .flags = flags,
                                                .path = path,
                                                .quota_bytes = QUOTA,
                                                .error = err});
    return *rc == 0 ? s : NULL;
}

static struct bb_endpoint *
attach(const char *name)
{
    struct bb_error err = {0};
    struct bb_endpoint *ep = NULL;
    int rc =
        bb_endpoint_open(&ep, &(struct bb_endpoint_opts){.size = sizeof(struct bb_endpoint_opts),
                                                         .dir = bbt_dir(),
                                                         .bus = BBT_BUS,
                                                         .name = name,
                                                         .error = &err});
    if (rc < 0) {
        stop("attach", rc, err.sentence);
    }
    return ep;
}

/* One frame of `count` operations from the one after `done`, which is one transaction. */
static int
run_ops(struct bb_store *s, struct model *m, uint64_t seed, uint32_t done, uint32_t count)
{
    static unsigned char keys[64][720], values[64][VALUE_MAX + 64];
    struct bb_store_cmd cmds[64] = {0};
    struct bb_store_result results[64];
    for (uint32_t k = 0; k < count; k++) {
        struct op op = next_op(m, seed, done + 1 + k);
        play(m, &op);
        cmds[k].op = op.op;
        cmds[k].key = key_value(op.key, keys[k], sizeof(keys[k]));
        if (op.op == BB_STORE_PUT) {
            cmds[k].value = content(&op, values[k], sizeof(values[k]));
            cmds[k].expire_ns = op.expires ? HOUR_NS : 0;
        }
    }
    return bb_store_run(s, cmds, count, 0, results);
}

/* A step of a compaction, short enough that operations fall between; the library's own steps are longer. */
static void
compact_some(struct player *p, uint32_t done)
{
    const struct bbi_house *house = bbi_master_house(p->s);
    if (p->scene->compact_every != 0 && done % p->scene->compact_every < GROUP_MAX
        && house->mirror == NULL) {
        int rc = bbi_compaction_start(p->s);
        if (rc < 0) {
            stop("start of a compaction", rc, house->why.sentence);
        }
    } else if (house->mirror != NULL) {
        int rc = bbi_compaction_step(p->s, 0);
        if (rc < 0) {
            stop("step of a compaction", rc, house->why.sentence);
        }
    }
}

static void
copy_some(struct player *p, uint32_t done, uint32_t count)
{
    char path[360];
    uint32_t every = p->scene->copy_every;
    if (every == 0 || done / every == (done + count) / every) {
        return;
    }
    (void)snprintf(path, sizeof(path), "%s/copy%u", p->root, p->copies + 1);
    int rc = bb_store_copy(p->s, path);
    if (rc < 0) {
        stop("copy", rc, path);
    }
    rec_mark(MARK_COPY, ++p->copies);
}

/* Operations up to `ops`; `done` are there. */
static void
play_ops(struct player *p, uint32_t done, uint32_t ops, uint32_t group_max)
{
    uint64_t seed = p->seed + p->phase, random = seed;
    while (done < ops) {
        uint32_t count = 1 + (uint32_t)(replay_random(&random) % group_max);
        count = count < ops - done ? count : ops - done;
        rec_mark(MARK_ISSUED, MARK(p->phase, done + count));
        int rc = run_ops(p->s, &p->m, seed, done, count);
        if (rc < 0) {
            stop("operations", rc, bb_strerror(rc));
        }
        rec_mark(MARK_ACKED, MARK(p->phase, done + count));
        copy_some(p, done, count);
        done += count;
        compact_some(p, done);
    }
}

static void
open_phase(struct player *p, uint32_t flags)
{
    struct bb_error err = {0};
    int rc;
    rec_mark(MARK_ISSUED, MARK(p->phase, p->phase == 1 ? p->scene->ops : 0));
    p->s = open_master(p->ep, "cut", p->path, p->scene->flags | flags, &err, &rc);
    if (rc < 0) {
        stop("open", rc, err.sentence);
    }
}

static _Noreturn void
be_first(struct player *p, uint64_t die_at)
{
    p->ep = attach("first");
    p->phase = 1;
    rec_start(die_at);
    open_phase(p, 0);
    rec_mark(MARK_ACKED, MARK(1, 0));
    play_ops(p, 0, p->scene->is_restored ? p->scene->ops / 2 : p->scene->ops, GROUP_MAX);
    bb_store_close(p->s);
    if (p->scene->is_restored) {
        p->phase = 2;
        p->m = (struct model){0};
        open_phase(p, BB_STORE_FRESH);
        rec_mark(MARK_ACKED, MARK(2, 0));
        play_ops(p, 0, p->scene->ops, 40);
        bb_store_close(p->s);
    }
    bb_endpoint_close(p->ep);
    _exit(0);
}

/* Goes on after the operation that the store says was the last. */
static _Noreturn void
be_second(struct player *p)
{
    p->ep = attach("second");
    p->phase = 1;
    rec_start(0);
    open_phase(p, 0);
    uint32_t done = (uint32_t)bb_store_version(p->s);
    play_all(&p->m, p->seed + p->phase, done);
    rec_mark(MARK_ACKED, MARK(1, done));
    play_ops(p, done, p->scene->ops, GROUP_MAX);
    bb_store_close(p->s);
    bb_endpoint_close(p->ep);
    _exit(0);
}

static int
wait_for(pid_t pid, int64_t ms)
{
    int status = 0;
    int64_t deadline = bbt_now_ms() + bbt_ms(ms);
    pid_t gone;
    while ((gone = waitpid(pid, &status, WNOHANG)) != pid) {
        cr_assert(gone == 0 || errno == EINTR, "waitpid: %s", strerror(errno));
        if (bbt_now_ms() > deadline) {
            (void)kill(pid, SIGKILL);
            (void)waitpid(pid, &status, 0);
            return -1;
        }
        bbt_nap();
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void
record(const struct scene *scene, uint64_t seed)
{
    static struct player p;
    uint64_t random = seed;
    p = (struct player){.scene = scene, .seed = seed};
    (void)snprintf(p.root, sizeof(p.root), "%s/root", bbt_dir());
    (void)snprintf(p.path, sizeof(p.path), "%s/store", p.root);
    cr_assert_eq(mkdir(p.root, 0700), 0);
    rec_new(p.root);
    uint64_t die_at = scene->is_taken_over ? 200 + replay_random(&random) % 600 : 0;
    pid_t pid = fork();
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        be_first(&p, die_at);
    }
    int code = wait_for(pid, 60000);
    cr_assert(code == (die_at != 0 ? 77 : 0), "%s, seed %lu: the player ended with %d", scene->name,
              (unsigned long)seed, code);
    if (die_at == 0) {
        return;
    }
    pid = fork();
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        be_second(&p);
    }
    code = wait_for(pid, 60000);
    cr_assert_eq(code, 0, "%s, seed %lu: the second master ended with %d", scene->name,
                 (unsigned long)seed, code);
}

/* ---- looking at an image ---- */

struct due {
    const struct scene *scene;
    uint64_t seed;
    uint64_t issued, acked, acked_before, copies;
};

static char *said; /* shared: what is wrong with an image; "" nothing */
enum { SAID_BYTES = 600 };

static _Noreturn void __attribute__((format(printf, 1, 2))) wrong(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(said, SAID_BYTES, format, args);
    va_end(args);
    _exit(0);
}

static const char *
differs_at(struct bb_store *s, const struct model *m, uint32_t key)
{
    static unsigned char key_room[720], value_room[VALUE_MAX + 64];
    struct bb_value k = key_value(key, key_room, sizeof(key_room));
    const struct op *op = &m->at[key];
    struct bb_store_item item;
    int rc = bb_store_get_item(s, &k, &item);
    if (op->op == 0) {
        return rc == BB_ENOENT ? NULL : "a key is there that was erased or never written";
    }
    struct bb_value due = content(op, value_room, sizeof(value_room));
    return rc < 0                                               ? "a key is missing"
           : !bb_value_equal(&item.value, &due)                 ? "a value is another"
           : item.version != op->nth                            ? "a version is another"
           : (item.expires_ns != BB_STORE_NEVER) != op->expires ? "an expiry is another"
                                                                : NULL;
}

static const char *
differs(struct bb_store *s, const struct model *m)
{
    const char *how = NULL;
    for (uint32_t key = 0; key < KEYS && how == NULL; key++) {
        how = differs_at(s, m, key);
    }
    return how != NULL                                    ? how
           : bb_store_count(s, NULL) != (int64_t)m->count ? "there are keys that nobody wrote"
                                                          : NULL;
}

/* The model that this store must equal; *phase is whose. */
static void
find_model(const struct due *due, struct bb_store *s, struct model *m, uint32_t *phase)
{
    uint32_t version = (uint32_t)bb_store_version(s);
    uint32_t least = MARK_OP(due->acked), most = MARK_OP(due->issued);
    *phase = MARK_PHASE(due->issued);
    if (MARK_PHASE(due->acked) != *phase && *phase == 2) { /* the fresh one counts, or not yet */
        *phase = version != 0 ? 1 : 2;
        most = *phase == 1 ? least : 0;
        least = *phase == 1 ? least : 0;
    }
    if ((due->scene->flags & BB_STORE_RELAXED) != 0) {
        least = MARK_OP(due->acked_before);
    }
    if (version < least) {
        wrong("acknowledged operations are missing: version %u, not %u", version, least);
    }
    if (version > most) {
        wrong("operations that nobody sent: version %u, not at most %u", version, most);
    }
    play_all(m, due->seed + *phase, version);
}

static void
check_store(struct bb_endpoint *ep, const char *path, const char *name, const struct due *due)
{
    struct model m;
    struct bb_error err = {0};
    struct bb_store_verdict verdict = {.size = sizeof(verdict)};
    uint32_t phase;
    int rc = bb_store_verify(path, &verdict);
    if (rc < 0 && !(rc == BB_ENOENT && due->acked == 0)) {
        wrong("%s, verify: %d %s", name, rc, verdict.what);
    }
    struct bb_store *s = open_master(ep, name, path, due->scene->flags, &err, &rc);
    if (s == NULL) {
        wrong("%s, open: %d %s", name, rc, err.sentence);
    }
    find_model(due, s, &m, &phase);
    const char *how = differs(s, &m);
    if (how != NULL) {
        wrong("%s, version %lu: %s", name, (unsigned long)bb_store_version(s), how);
    }
    uint32_t done = (uint32_t)bb_store_version(s);
    for (uint32_t i = 0; i < MORE_OPS; i++) {
        rc = run_ops(s, &m, due->seed + phase, done + i, 1);
        if (rc < 0) {
            wrong("%s: operation %u after the cut: %d", name, i, rc);
        }
    }
    how = differs(s, &m);
    if (how != NULL) {
        wrong("%s, after more operations: %s", name, how);
    }
    bb_store_close(s);
    rc = bb_store_verify(path, &verdict);
    if (rc < 0) {
        char current[500];
        struct stat st;
        (void)snprintf(current, sizeof(current), "%s/current", path);
        wrong("%s, verify after more operations: %d %s (directory %d, current %d)", name, rc,
              verdict.what, stat(path, &st), lstat(current, &st));
    }
}

static _Noreturn void
be_checker(const char *image, const struct due *due)
{
    char path[400];
    struct stat st;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    rec_reboot();
    struct bb_endpoint *ep = attach("checker");
    (void)snprintf(path, sizeof(path), "%s/store", image);
    check_store(ep, path, "store", due);
    for (uint32_t i = 1; due->scene->copy_every != 0 && i <= due->copies + 1; i++) {
        (void)snprintf(path, sizeof(path), "%s/copy%u", image, i);
        struct due of_copy = *due;
        of_copy.acked = MARK(1, (i - 1) * due->scene->copy_every);
        if (stat(path, &st) == 0) {
            check_store(ep, path, "copy", &of_copy);
        } else if (i <= due->copies) {
            wrong("copy %u is not there", i);
        }
    }
    bb_endpoint_close(ep);
    _exit(0);
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void
remove_all(const char *path)
{
    (void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* What is wrong with one image of the state after `count` events; "" nothing. */
static const char *
look_at_image(struct replay *r, const struct scene *scene, uint64_t seed, uint64_t *random)
{
    char image[320];
    const struct due due = {.scene = scene,
                            .seed = seed,
                            .issued = replay_mark(r, MARK_ISSUED),
                            .acked = replay_mark(r, MARK_ACKED),
                            .acked_before = replay_mark_before(r, MARK_ACKED),
                            .copies = replay_mark(r, MARK_COPY)};
    (void)snprintf(image, sizeof(image), "%s/image", bbt_dir());
    replay_image(r, image, random);
    said[0] = '\0';
    pid_t pid = fork();
    if (pid == 0) {
        be_checker(image, &due);
    }
    int code = wait_for(pid, 60000);
    if (code != 0 && said[0] == '\0') {
        (void)snprintf(said, SAID_BYTES, "the process that opened it ended with %d", code);
    }
    const char *keep = getenv("BB_KEEP"); /* a directory: the first bad image goes there */
    if (said[0] != '\0' && keep != NULL) {
        (void)rename(image, keep);
    }
    remove_all(image);
    return said;
}

static int
by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Each recording is good for so many images. */
enum { PER_SEED = 50 };

/* Images at moments of one recording: how many are bad; the first is told when `is_told`. */
static uint32_t
look_at_images(
    const struct scene *scene, uint64_t seed, unsigned without, uint32_t images, bool is_told)
{
    uint64_t random = seed ^ (uint64_t)without << 32;
    uint64_t at[PER_SEED];
    struct replay *r = replay_new(without);
    uint32_t bad = 0;
    for (uint32_t i = 0; i < images; i++) {
        at[i] = replay_random(&random) % (rec_count() + 1);
    }
    qsort(at, images, sizeof(*at), by_number);
    for (uint32_t i = 0; i < images; i++) {
        replay_to(r, at[i]);
        const char *what = look_at_image(r, scene, seed, &random);
        if (what[0] != '\0' && bad++ == 0 && is_told) {
            (void)fprintf(stderr, "%s, seed %lu, image %u, after %lu of %lu changes: %s\n",
                          scene->name, (unsigned long)seed, i, (unsigned long)at[i],
                          (unsigned long)rec_count(), what);
        }
    }
    replay_free(r);
    return bad;
}

static void
forget(void)
{
    char root[300];
    (void)snprintf(root, sizeof(root), "%s/root", bbt_dir());
    remove_all(root);
    rec_free();
}

static uint64_t
wish(const char *name, uint64_t other)
{
    const char *text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 10) : other;
}

static void
make_room(void)
{
    bbt_bus_new();
    said = mmap(NULL, SAID_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(said, MAP_FAILED);
}

static void
cut(const struct scene *scene)
{
    uint64_t seed = wish("BB_SEED", 1);
    uint32_t images = (uint32_t)(wish("BB_IMAGES", 200) / SCENES), done = 0, bad = 0;
    for (; done < images; seed++) {
        uint32_t some = images - done < PER_SEED ? images - done : PER_SEED;
        record(scene, seed);
        bad += look_at_images(scene, seed, 0, some, bad == 0);
        forget();
        done += some;
    }
    (void)fprintf(stderr, "%s: %u images, %u bad\n", scene->name, done, bad);
    cr_assert_eq(bad, 0, "%s: %u of %u images are damaged or lost something", scene->name, bad,
                 done);
}

#define SCENE(nth, scene_name)                                                                     \
    Test(store_power_cut, scene_name, .init = make_room, .fini = bbt_bus_end, .timeout = 3600)     \
    {                                                                                              \
        cut(&scenes[nth]);                                                                         \
    }
SCENE(0, plain)
SCENE(1, relaxed)
SCENE(2, compaction)
SCENE(3, backup)
SCENE(4, restore)
SCENE(5, takeover)

/* With a kind of syncs taken away: how many seeds are found damaged. */
static void
mutate(const char *what, unsigned without)
{
    static const struct scene small = {.name = "mutant", .ops = 80, .compact_every = 30};
    enum { IMAGES = 20 };
    uint64_t seed = wish("BB_SEED", 1);
    uint32_t seeds = (uint32_t)wish("BB_MUTANTS", 20), found = 0;
    for (uint32_t i = 0; i < seeds; i++, seed++) {
        record(&small, seed);
        found += look_at_images(&small, seed, without, IMAGES, false) != 0 ? 1U : 0U;
        forget();
    }
    (void)fprintf(stderr, "without %s: found in %u of %u seeds\n", what, found, seeds);
    cr_assert(found * 100 >= seeds * 95, "without %s: found in %u of %u seeds only", what, found,
              seeds);
}

Test(store_power_cut, mutant_fdatasync, .init = make_room, .fini = bbt_bus_end, .timeout = 3600)
{
    mutate("fdatasync", REPLAY_NO_FILE_SYNC);
}

Test(store_power_cut, mutant_dsync, .init = make_room, .fini = bbt_bus_end, .timeout = 3600)
{
    mutate("O_DSYNC", REPLAY_NO_DSYNC);
}

Test(store_power_cut, mutant_dir_sync, .init = make_room, .fini = bbt_bus_end, .timeout = 3600)
{
    mutate("fsync of directories", REPLAY_NO_DIR_SYNC);
}
