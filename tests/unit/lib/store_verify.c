/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    A damaged store is seen and never harms who looks; it is refused or moved aside as asked; copies and
 *         compaction, asked for by a clone, leave the same store.
 * Method  A store on disk made by a master, then damaged byte by byte, or entry by entry through the door to LMDB.
 */
#include "busbar/store.h"
#include "lib/store/store_impl.h"
#include "lib/store/verify.h"
#include "tests/support/process.h"
#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEYS = 300 };
#define HOUR_NS INT64_C(3600000000000)

static char path[300];
static struct bb_error err;

static struct bb_value
count_value(uint64_t n, unsigned char room[16])
{
    struct bb_builder b;
    bb_build_init(&b, room, 16);
    bb_put_count(&b, n);
    return (struct bb_value){.p = room, .bytes = (size_t)bb_build_end(&b)};
}

static struct bb_endpoint *
attach(const char *name)
{
    struct bb_endpoint *ep = NULL;
    int rc =
        bb_endpoint_open(&ep, &(struct bb_endpoint_opts){.size = sizeof(struct bb_endpoint_opts),
                                                         .dir = bbt_dir(),
                                                         .bus = BBT_BUS,
                                                         .name = name,
                                                         .error = &err});
    return rc == 0 ? ep : NULL;
}

static int
open_at(
    struct bb_store **out, struct bb_endpoint *ep, const char *where, uint32_t role, uint32_t flags)
{
    return bb_store_open(out, ep,
                         &(struct bb_store_opts){.size = sizeof(struct bb_store_opts),
                                                 .name = where == path ? "s" : "other",
                                                 .role = role,
                                                 .flags = flags,
                                                 .path = where,
                                                 .quota_bytes = 64 << 20,
                                                 .error = &err});
}

static void
fill(struct bb_store *s)
{
    unsigned char k[16];
    static unsigned char v[2048];
    char text[1500];
    memset(text, 'v', sizeof(text));
    for (uint64_t i = 0; i < KEYS; i++) {
        struct bb_value key = count_value(i, k);
        struct bb_builder b;
        bb_build_init(&b, v, sizeof(v));
        bb_put_string(&b, text, i * 5);
        struct bb_value val = {.p = v, .bytes = (size_t)bb_build_end(&b)};
        cr_assert_eq(bb_store_put(s, &key, &val, i % 3 == 0 ? HOUR_NS : 0, NULL), 0);
    }
}

static void
check_all(struct bb_store *s)
{
    unsigned char k[16];
    for (uint64_t i = 0; i < KEYS; i++) {
        struct bb_value key = count_value(i, k), val;
        const char *text;
        size_t bytes;
        cr_assert_eq(bb_store_get(s, &key, &val), 0, "key %lu", (unsigned long)i);
        cr_assert_eq(bb_get_string(&val, &text, &bytes), 0);
        cr_assert_eq(bytes, i * 5);
    }
    cr_assert_eq(bb_store_count(s, NULL), KEYS);
}

static struct bb_endpoint *ep;

/* A store with KEYS keys that its master closed. */
static void
init(void)
{
    struct bb_store *s = NULL;
    bbt_bus_new();
    (void)snprintf(path, sizeof(path), "%s/store", bbt_dir());
    ep = attach("maker");
    cr_assert_neq(ep, NULL, "%s", err.sentence);
    cr_assert_eq(open_at(&s, ep, path, BB_STORE_MASTER, 0), 0, "%s", err.sentence);
    fill(s);
    bb_store_close(s);
}

static void
fini(void)
{
    bb_endpoint_close(ep);
    bbt_bus_end();
}

static void
data_path(char *out, size_t cap)
{
    (void)snprintf(out, cap, "%s/gen-1/data.mdb", path);
}

static int
verify(struct bb_store_verdict *v)
{
    *v = (struct bb_store_verdict){.size = sizeof(*v)};
    return bb_store_verify(path, v);
}

/* ---- damages ---- */

Test(store_verify, whole, .init = init, .fini = fini, .timeout = 60)
{
    struct bb_store_verdict v;
    cr_assert_eq(verify(&v), 0, "%s", v.what);
    cr_assert_eq(v.keys, KEYS);
    cr_assert_eq(v.expiring, KEYS / 3);
    cr_assert_eq(v.damaged, 0);
    cr_assert_eq(bb_store_verify("/dev/shm/busbar-test-nowhere", &v), BB_ENOENT);
    v.size = 8;
    cr_assert_eq(bb_store_verify(path, &v), BB_EINVAL);
}

Test(store_verify,
     any_byte_that_changed_is_found_or_unused,
     .init = init,
     .fini = fini,
     .timeout = 110)
{
    enum { FLIPS = 150 };
    char file[360];
    struct bb_store_verdict v;
    struct stat st;
    unsigned found = 0, random = 12345;
    data_path(file, sizeof(file));
    int fd = open(file, O_RDWR | O_CLOEXEC);
    cr_assert(fd >= 0 && fstat(fd, &st) == 0);
    for (int i = 0; i < FLIPS; i++) {
        unsigned char old, bad;
        random = random * 1103515245 + 12345;
        off_t at = 8192 + (off_t)((random >> 1) % (unsigned)(st.st_size - 8192));
        cr_assert_eq(pread(fd, &old, 1, at), 1);
        bad = (unsigned char)(old ^ (1U << (i % 8)));
        cr_assert_eq(pwrite(fd, &bad, 1, at), 1);
        int rc = verify(&v);
        cr_assert(rc == 0 || rc == BB_ECORRUPT || rc == BB_EIO || rc == BB_EINVAL,
                  "byte %ld: %d, %s", (long)at, rc, v.what);
        found += rc != 0 ? 1U : 0U;
        cr_assert_eq(pwrite(fd, &old, 1, at), 1);
    }
    (void)close(fd);
    cr_assert_eq(verify(&v), 0, "%s", v.what);
    cr_assert(found > FLIPS / 4, "%u of %d", found, FLIPS);
}

Test(store_verify, a_value_that_changed_is_found, .init = init, .fini = fini, .timeout = 60)
{
    char file[360];
    struct bb_store_verdict v;
    static char bytes[4096];
    unsigned changed = 0;
    data_path(file, sizeof(file));
    int fd = open(file, O_RDWR | O_CLOEXEC);
    for (off_t at = 8192; pread(fd, bytes, sizeof(bytes), at) == sizeof(bytes);
         at += (off_t)sizeof(bytes)) {
        for (char *p = bytes;
             (p = memmem(p, (size_t)(bytes + sizeof(bytes) - p), "vvvvvvvv", 8)) != NULL;
             p += 8) { /* some of these pages are free; not all can be */
            cr_assert_eq(pwrite(fd, "w", 1, at + (p - bytes)), 1);
            changed++;
        }
    }
    (void)close(fd);
    cr_assert(changed > 10);
    cr_assert_eq(verify(&v), BB_ECORRUPT);
    cr_assert(v.damaged > 0);
    cr_assert_neq(strstr(v.what, "check word"), NULL, "%s", v.what);
}

Test(store_verify, a_file_that_was_cut_is_found, .init = init, .fini = fini, .timeout = 60)
{
    char file[360];
    struct bb_store_verdict v;
    struct stat st;
    data_path(file, sizeof(file));
    cr_assert_eq(stat(file, &st), 0);
    cr_assert_eq(truncate(file, st.st_size / 2), 0);
    cr_assert_eq(verify(&v), BB_ECORRUPT, "%s", v.what);
    cr_assert_eq(truncate(file, 100), 0);
    cr_assert_neq(verify(&v), 0);
    cr_assert_eq(unlink(file), 0);
    cr_assert_eq(verify(&v), BB_ENOENT, "%s", v.what);
}

/* One change through the door to LMDB. */
static void
meddle(enum bbi_db db, bool to_delete)
{
    char gen[360];
    struct bbi_db_env *env;
    struct bbi_db_txn *txn;
    struct bbi_db_cursor *c;
    struct bbi_bytes k, v;
    (void)snprintf(gen, sizeof(gen), "%s/gen-1", path);
    cr_assert_eq(bbi_db_open(&env, gen, 64 << 20, 0, 0600, NULL), 0);
    cr_assert_eq(bbi_db_write_begin(env, NULL, &txn), 0);
    cr_assert_eq(bbi_db_cursor_open(&c, txn, db), 0);
    cr_assert_eq(bbi_db_seek(c, (struct bbi_bytes){0}, &k, &v), 0);
    if (to_delete) {
        cr_assert_eq(bbi_db_cursor_del(c), 0);
        bbi_db_cursor_close(c);
    } else {
        unsigned char key[24] = {1}, copy[64];
        size_t n = v.bytes < sizeof(copy) ? v.bytes : sizeof(copy);
        memcpy(copy, v.p, n);
        bbi_db_cursor_close(c);
        cr_assert_eq(bbi_db_put(txn, db, (struct bbi_bytes){key, sizeof(key)},
                                (struct bbi_bytes){copy, n}, 0),
                     0);
    }
    cr_assert_eq(bbi_db_commit(txn), 0);
    bbi_db_close(env);
}

static void
check_found(const char *words)
{
    struct bb_store_verdict v;
    cr_assert_eq(verify(&v), BB_ECORRUPT);
    cr_assert_neq(strstr(v.what, words), NULL, "%s", v.what);
}

Test(store_verify, a_deadline_that_is_missing, .init = init, .fini = fini, .timeout = 60)
{
    meddle(BBI_DB_EXPIRY, true);
    check_found("does not know");
}

Test(store_verify, a_deadline_too_many, .init = init, .fini = fini, .timeout = 60)
{
    meddle(BBI_DB_EXPIRY, false);
    check_found("deadline 0");
}

Test(store_verify, a_key_that_is_missing, .init = init, .fini = fini, .timeout = 60)
{
    meddle(BBI_DB_MAIN, true);
    check_found("names a key that is not there");
}

Test(store_verify, a_state_that_is_missing, .init = init, .fini = fini, .timeout = 60)
{
    meddle(BBI_DB_META, true);
    check_found("state");
}

/* ---- what a master does with it ---- */

Test(store_verify, refused_or_moved_aside, .init = init, .fini = fini, .timeout = 60)
{
    struct bb_store *s = NULL;
    struct stat st;
    meddle(BBI_DB_EXPIRY, true);
    cr_assert_eq(open_at(&s, ep, path, BB_STORE_MASTER, BB_STORE_VERIFY), BB_ECORRUPT);
    cr_assert_neq(strstr(err.sentence, path), NULL, "%s", err.sentence);
    err = (struct bb_error){0};
    cr_assert_eq(open_at(&s, ep, path, BB_STORE_MASTER, BB_STORE_VERIFY | BB_STORE_START_EMPTY), 0,
                 "%s", err.sentence);
    cr_assert_eq(bb_store_count(s, NULL), 0);
    char *where = strstr(err.sentence, path);
    cr_assert_neq(where, NULL, "%s", err.sentence);
    cr_assert_eq(stat(where, &st), 0, "%s", where);
    fill(s);
    check_all(s);
    bb_store_close(s);
    struct bb_store_verdict v;
    cr_assert_eq(verify(&v), 0, "%s", v.what);
}

Test(store_verify, fresh_is_empty_and_another_store, .init = init, .fini = fini, .timeout = 60)
{
    struct bb_store *s = NULL;
    cr_assert_eq(open_at(&s, ep, path, BB_STORE_MASTER, BB_STORE_FRESH), 0, "%s", err.sentence);
    cr_assert_eq(bb_store_count(s, NULL), 0);
    cr_assert_eq(bb_store_version(s), 0);
    bb_store_close(s);
    cr_assert_eq(open_at(&s, ep, path, BB_STORE_MASTER, 0), 0, "%s", err.sentence);
    cr_assert_eq(bb_store_count(s, NULL), 0);
    bb_store_close(s);
}

/* ---- copies and compaction ---- */

Test(store_verify, a_copy_is_a_store, .init = init, .fini = fini, .timeout = 60)
{
    char copy[340], gone[340];
    struct bb_store *s = NULL, *other = NULL;
    struct bb_store_verdict v = {.size = sizeof(v)};
    struct stat st;
    (void)snprintf(copy, sizeof(copy), "%s/copy", bbt_dir());
    (void)snprintf(gone, sizeof(gone), "%s/copy.new", bbt_dir());
    cr_assert_eq(open_at(&s, ep, path, BB_STORE_MASTER, 0), 0, "%s", err.sentence);
    cr_assert_eq(bb_store_copy(s, copy), 0);
    cr_assert_eq(bb_store_copy(s, copy), BB_EEXIST);
    cr_assert_eq(bb_store_copy(s, "/dev/shm/busbar-test-nowhere/copy"), BB_ENOENT);
    cr_assert_neq(stat(gone, &st), 0, "%s is left", gone);
    cr_assert_eq(bb_store_verify(copy, &v), 0, "%s", v.what);
    cr_assert_eq(v.keys, KEYS);
    cr_assert_eq(open_at(&other, ep, copy, BB_STORE_MASTER, 0), 0, "%s", err.sentence);
    check_all(other);
    check_all(s);
    bb_store_close(other);
    bb_store_close(s);
}

/* A clone in a view asks for a compaction; the master is another process. */
static void
be_master(struct bbt_side *side, const void *arg)
{
    struct bb_store *s = NULL;
    (void)arg;
    struct bb_endpoint *own = attach("master");
    int rc = own != NULL ? open_at(&s, own, path, BB_STORE_MASTER, 0) : BB_EINVAL;
    BBT_CHECK(side, rc == 0, "open: %d %s", rc, err.sentence);
    bbt_at(side, 1);
    while (bbi_load_acquire(&side->go) == 0) {
        rc = bb_store_poll(s, 5000000);
        BBT_CHECK(side, rc >= 0, "poll: %d", rc);
    }
    bb_store_close(s);
    bb_endpoint_close(own);
}

Test(store_verify, a_clone_has_it_compacted, .init = init, .fini = fini, .timeout = 60)
{
    static struct bbt_child master;
    struct bb_store *s = NULL, *viewer = NULL;
    struct bb_store_info info = {.size = sizeof(info)};
    bbt_fork(&master, "master", be_master, NULL);
    bbt_wait_at(&master, 1, 20000);
    cr_assert_eq(open_at(&s, ep, path, BB_STORE_CLONE, 0), 0, "%s", err.sentence);
    cr_assert_eq(open_at(&viewer, ep, path, BB_STORE_CLONE, 0), 0, "%s", err.sentence);
    cr_assert_eq(bb_store_view_begin(viewer), 0);
    for (uint32_t i = 2; i < 6; i++) {
        cr_assert_eq(bb_store_compact(s), 0);
        cr_assert_eq(bb_store_info(s, &info), 0);
        cr_assert_eq(info.generation, i);
        check_all(s);
        check_all(viewer); /* in its generation, which has no name any more */
    }
    bb_store_view_end(viewer);
    check_all(viewer);
    bb_store_close(viewer);
    bb_store_close(s);
    bbt_order(&master, 1);
    bbt_wait_end(&master, 20000);
    struct bb_store_verdict v;
    cr_assert_eq(verify(&v), 0, "%s", v.what);
}
