/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    A tmpfs and a disk that fill are an error for who writes, never a SIGBUS; all that was acknowledged stays
 *         readable, a process that comes meanwhile reads it too, and when there is space again writing goes on within
 *         a second.
 * Method  As root, in a mount namespace of the test's own: a small tmpfs for a bus with a store in memory, one for a
 *         store with a path, and a small ext4 on a loop device.  At steps of a run of puts the file system is filled
 *         but for a random rest, puts go on until one is refused, everything is read, a new process opens the
 *         store and reads; then the space comes back.
 *
 * BB_SEED   of the dice (default: the time), printed.   BB_STEPS  puts (5,000).
 * BB_EVERY  at each how many-th of them it is filled (100).
 * Long      BB_EVERY=1 build/dev/tests/process/store_full --timeout 10000
 *
 * bb-timeout: 240
 */
#include "shm/os.h"
#include "tests/support/store.h"
#include <criterion/criterion.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    WAIT_MS = 30000,
    MOST = 20000, /* keys */
    VALUE_MAX = 3000,
    RECOVER_MS = 1000,
    N_RC = 0
};

static char small[128]; /* where the small file system is */
static char image[128]; /* of the disk; "" if there is none */
static bool is_mounted;
static uint64_t seed, step_count;
static uint64_t written[MOST]; /* turn of each key's value; 0: it was never acknowledged */
static uint64_t refused, opened_full, refused_opens;
static unsigned short dice[3];

static void
init(void)
{
    bbt_bus_new();
    (void)snprintf(small, sizeof(small), "%s/small", bbt_dir());
    image[0] = '\0';
    seed = bbt_number("BB_SEED", (uint64_t)bbi_os_wall_ns());
    dice[0] = (unsigned short)seed;
    dice[1] = (unsigned short)(seed >> 16);
    dice[2] = (unsigned short)(seed >> 32);
    (void)printf("BB_SEED=%llu\n", (unsigned long long)seed);
    (void)fflush(stdout);
}

static void
fini(void)
{
    if (is_mounted) {
        (void)umount2(small, MNT_DETACH);
    }
    bbt_bus_end();
}

TestSuite(store_full, .init = init, .fini = fini, .timeout = 200);

/* ---- file systems ---- */

static bool
is_alone(void)
{
    return geteuid() == 0 && unshare(CLONE_NEWNS) == 0
           && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

static bool
mount_tmpfs(const char *where)
{
    if (where != small) {
        (void)snprintf(small, sizeof(small), "%s", where);
    }
    (void)mkdir(small, 0700);
    is_mounted = is_alone() && mount("tmpfs", small, "tmpfs", 0, "size=24m,mode=0700") == 0;
    return is_mounted;
}

static bool
mount_disk(void)
{
    char command[512];
    (void)snprintf(image, sizeof(image), "%s/disk", bbt_dir());
    (void)mkdir(small, 0700);
    int fd = open(image, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    if (!is_alone() || fd < 0 || ftruncate(fd, 24 << 20) != 0) {
        return false;
    }
    (void)close(fd);
    (void)snprintf(command, sizeof(command),
                   "mkfs.ext4 -q -m 0 '%s' >/dev/null 2>&1 && mount -o loop '%s' '%s' 2>/dev/null",
                   image, image, small);
    is_mounted = system(command) == 0; /* NOLINT(cert-env33-c): paths of ours */
    return is_mounted;
}

/* Takes all the space but `rest` bytes or a little less. */
static void
fill(off_t rest)
{
    char path[160];
    static const char zeros[65536];
    (void)snprintf(path, sizeof(path), "%s/filler", small);
    int fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    cr_assert_geq(fd, 0, "%s", path);
    size_t most = sizeof(zeros);
    while (most >= 512) {
        if (write(fd, zeros, most) <= 0) {
            most /= 2;
        }
    }
    off_t size = lseek(fd, 0, SEEK_END);
    (void)!ftruncate(fd, size > rest ? size - rest : 0);
    (void)fsync(fd);
    (void)close(fd);
}

static void
empty(void)
{
    char path[160];
    (void)snprintf(path, sizeof(path), "%s/filler", small);
    (void)unlink(path);
}

/* ---- keys ---- */

static struct bb_value
key_of(uint64_t k, uint64_t room[2])
{
    struct bb_builder b;
    struct bb_value v = {.p = NULL};
    bb_build_init(&b, room, 16);
    bb_put_count(&b, k);
    if (bb_build_end(&b) != 16 || bb_value_open(&v, room, 16) != 0) {
        abort();
    }
    return v;
}

/* The text that turn t of key k writes. */
static struct bb_value
text_of(uint64_t k, uint64_t t, unsigned char *room)
{
    static char text[VALUE_MAX];
    struct bb_builder b;
    struct bb_value v = {.p = NULL};
    size_t bytes = 16 + (size_t)((k * 7919 + t * 104729) % (VALUE_MAX - 16));
    memset(text, (int)('a' + (k + t) % 26), bytes);
    bb_build_init(&b, room, VALUE_MAX + 64);
    bb_put_string(&b, text, bytes);
    int64_t n = bb_build_end(&b);
    if (n < 0 || bb_value_open(&v, room, (size_t)n) != 0) {
        abort();
    }
    return v;
}

/* Everything that was acknowledged, and nothing else. */
static void
check_all(struct bbt_side *side, struct bb_store *s, uint64_t keys)
{
    static unsigned char room[VALUE_MAX + 64] __attribute__((aligned(8)));
    uint64_t key_room[2];
    for (uint64_t k = 0; k < keys; k++) {
        const struct bb_value key = key_of(k, key_room);
        struct bb_value v;
        int rc = bb_store_get(s, &key, &v);
        BBT_CHECK(side, rc == (written[k] != 0 ? 0 : BB_ENOENT), "key %llu: %d",
                  (unsigned long long)k, rc);
        if (rc == 0) {
            const struct bb_value want = text_of(k, written[k], room);
            BBT_CHECK(side, bb_value_equal(&v, &want) == 1, "key %llu is another value",
                      (unsigned long long)k);
        }
    }
}

static int
put(struct bb_store *s, uint64_t k, uint64_t turn)
{
    static unsigned char room[VALUE_MAX + 64] __attribute__((aligned(8)));
    uint64_t key_room[2];
    const struct bb_value key = key_of(k, key_room), v = text_of(k, turn, room);
    int rc = bb_store_put(s, &key, &v, 0, NULL);
    if (rc == 0) {
        written[k] = turn;
    }
    return rc;
}

/* ---- the run ---- */

static const struct bb_store_opts CLONE = {.name = "full", .timeout_ns = WAIT_MS * BBT_MS_NS};

/* Who comes while it is full: it may be told so, but not be killed by it. */
static void
coming(struct bbt_side *side, const void *arg)
{
    struct bb_error err = {0};
    struct bb_endpoint *ep = NULL;
    struct bb_store *s = NULL;
    const struct bb_endpoint_opts eo = {
        .size = sizeof(eo), .dir = bbt_dir(), .bus = BBT_BUS, .name = "coming", .error = &err};
    int rc = bb_endpoint_open(&ep, &eo);
    if (rc == 0) {
        rc = bbt_store_try(&s, ep, &CLONE, &err);
    }
    BBT_CHECK(side, rc == 0 || rc == BB_ENOSPC, "open: %d, %s", rc, err.sentence);
    if (rc == 0) {
        check_all(side, s, *(const uint64_t *)arg);
    }
    bbi_store_release(&side->n[N_RC], (uint64_t)(int64_t)rc);
    bb_store_close(s);
    bb_endpoint_close(ep);
}

static void
while_it_is_full(struct bbt_side *me, struct bb_store *s, uint64_t *keys, uint64_t turn)
{
    struct bbt_child child;
    int rc = 0;
    fill((off_t)(nrand48(dice) % 100000));
    for (int i = 0; i < 200 && rc == 0 && *keys < MOST; i++) {
        rc = put(s, (*keys)++, turn);
    }
    cr_assert(rc == 0 || rc == BB_ENOSPC, "put: %d", rc);
    refused += rc != 0;
    check_all(me, s, *keys);
    bbt_fork(&child, "coming", coming, keys);
    bbt_wait_end(&child, WAIT_MS);
    opened_full++;
    refused_opens += child.side->n[N_RC] != 0;
    bbt_side_free(child.side);
    empty();
    int64_t begin = bbt_now_ms();
    while ((rc = put(s, (uint64_t)nrand48(dice) % *keys, turn)) == BB_ENOSPC) {
        cr_assert_lt(bbt_now_ms() - begin, bbt_ms(RECOVER_MS), "it is still refused");
        bbt_nap();
    }
    cr_assert_eq(rc, 0, "after the space came back: %d", rc);
}

static void
erase_all(struct bb_store *s)
{
    struct bb_store_result result;
    const struct bb_store_cmd clear = {.op = BB_STORE_CLEAR};
    cr_assert_eq(bb_store_run(s, &clear, 1, 0, &result), 0);
    memset(written, 0, sizeof(written));
}

static void
run_full(const char *path)
{
    static struct bbt_served served;
    static struct bbt_child server;
    struct bbt_side *me = bbt_side_new();
    uint64_t every = bbt_number("BB_EVERY", 100), keys = 0;
    step_count = bbt_number("BB_STEPS", 5000);
    served = (struct bbt_served){.node = "master",
                                 .opts = {.name = "full",
                                          .role = BB_STORE_MASTER,
                                          .path = path,
                                          .quota_bytes = UINT64_C(256) << 20,
                                          .timeout_ns = WAIT_MS * BBT_MS_NS}};
    bbt_fork(&server, "master", bbt_serve, &served);
    bbt_wait_at(&server, BBT_SERVE_READY, WAIT_MS);
    struct bb_endpoint *ep = bbt_endpoint(me, "writer", 0);
    struct bb_store *s = bbt_store(me, ep, &CLONE);
    for (uint64_t step = 1; step <= step_count; step++) {
        uint64_t k = keys > 500 && step % 4 != 0 ? (uint64_t)nrand48(dice) % keys : keys++;
        int rc = put(s, k, step);
        if (rc == BB_ENOSPC || keys > 1500) { /* full by itself: that has to be mended too */
            erase_all(s);
            keys = 0;
            continue;
        }
        cr_assert_eq(rc, 0, "step %llu: %d", (unsigned long long)step, rc);
        if (step % every == 0) {
            while_it_is_full(me, s, &keys, step);
        }
    }
    check_all(me, s, keys);
    (void)printf(
        "%llu times full: a put was refused %llu times; %llu processes came then, %llu were "
        "refused\n",
        (unsigned long long)opened_full, (unsigned long long)refused,
        (unsigned long long)opened_full, (unsigned long long)refused_opens);
    cr_assert_gt(refused, 0, "it never was full");
    bb_store_close(s);
    bb_endpoint_close(ep);
    bbt_served_quit(&server);
}

Test(store_full, tmpfs_of_the_bus)
{
    if (!mount_tmpfs(bbt_dir())) {
        cr_skip_test("needs root and the right to mount a tmpfs");
    }
    run_full(NULL);
}

Test(store_full, tmpfs_of_a_path)
{
    char path[160];
    if (!mount_tmpfs(small)) {
        cr_skip_test("needs root and the right to mount a tmpfs");
    }
    (void)snprintf(path, sizeof(path), "%s/store", small);
    run_full(path);
}

Test(store_full, disk)
{
    char path[160];
    if (!mount_disk()) {
        cr_skip_test("needs root, mkfs.ext4 and a loop device");
    }
    (void)snprintf(path, sizeof(path), "%s/store", small);
    run_full(path);
}
