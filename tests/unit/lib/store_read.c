/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: what is read is what was written, in order, of one state, and never past its deadline; a reader follows the
 * generation that counts, needs no master, and says in words why it cannot read.
 * Method: a bus of its own on the tmpfs and a master of this process, whose clocks the test turns.  Random keys of all
 * types (BB_SEED repeats a run) are held against an array in bb_value_compare()'s order.  For reading by request a
 * thread polls the master.
 */
#include "lib/store/record.h"
#include "lib/store/store_impl.h"
#include "shm/os.h"

#include "tests/unit/lib/random_value.h"
#include <busbar/store.h>
#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

static char where[64];
static struct bb_endpoint *ep;
static struct bb_error error;

static struct bb_endpoint *
attach(void)
{
    struct bb_endpoint *out = NULL;
    const struct bb_endpoint_opts o = {.size = sizeof(o), .dir = where, .bus = "b"};
    cr_assert_eq(bb_endpoint_open(&out, &o), 0);
    return out;
}

static void
set_up(void)
{
    (void)snprintf(where, sizeof(where), "/dev/shm/bb-unit-read-XXXXXX");
    cr_assert_not_null(mkdtemp(where));
    ep = attach();
}

static int
remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static void
tear_down(void)
{
    bb_endpoint_close(ep);
    (void)nftw(where, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

TestSuite(store_read, .timeout = 60, .init = set_up, .fini = tear_down);

/* ---- clocks, values, stores ---------------------------------------------------------------------- */

static bbi_u64 boot_now;
static const int64_t WALL = INT64_C(1700000000000000000);

static int64_t
boot_clock(void *user)
{
    (void)user;
    return (int64_t)bbi_load_relaxed(&boot_now);
}

static int64_t
wall_clock(void *user)
{
    (void)user;
    return WALL;
}

static const struct bb_store_clock clocks = {.boot_ns = boot_clock, .wall_ns = wall_clock};

static struct bb_store_opts
opts(uint32_t role)
{
    return (struct bb_store_opts){.size = sizeof(struct bb_store_opts),
                                  .name = "s",
                                  .role = role,
                                  .quota_bytes = 64 << 20,
                                  .timeout_ns = INT64_C(200000000),
                                  .clock = &clocks,
                                  .error = &error};
}

static struct bb_store *
open_as(const struct bb_store_opts *o)
{
    struct bb_store *s = NULL;
    memset(&error, 0, sizeof(error));
    int rc = bb_store_open(&s, ep, o);
    cr_assert_eq(rc, 0, "%d %s", rc, error.sentence);
    return s;
}

static struct bb_store *
open_role(uint32_t role)
{
    struct bb_store_opts o = opts(role);
    return open_as(&o);
}

static struct bb_value
text(unsigned char room[64], const char *s)
{
    struct bb_builder b;
    bb_build_init(&b, room, 64);
    bb_put_string(&b, s, strlen(s));
    int64_t bytes = bb_build_end(&b);
    cr_assert_gt(bytes, 0);
    return (struct bb_value){room, (size_t)bytes};
}

static void
put(struct bb_store *s, const char *key, const char *value, int64_t expire_ns)
{
    unsigned char a[64], b[64];
    struct bb_value k = text(a, key);
    struct bb_value v = text(b, value);
    cr_assert_eq(bb_store_put(s, &k, &v, expire_ns, NULL), 0);
}

static bool
is_text(const struct bb_value *v, const char *s)
{
    const char *got;
    size_t bytes;
    return bb_get_string(v, &got, &bytes) == 0 && bytes == strlen(s) && memcmp(got, s, bytes) == 0;
}

static int
get(struct bb_store *s, const char *key, struct bb_value *out)
{
    unsigned char a[64];
    struct bb_value k = text(a, key);
    return bb_store_get(s, &k, out);
}

static bool
has(struct bb_store *s, const char *key, const char *value)
{
    struct bb_value v;
    return get(s, key, &v) == 0 && is_text(&v, value);
}

/* ---- random keys against an array ---------------------------------------------------------------- */

enum { KEYS = 600 };

static int
by_order(const void *a, const void *b)
{
    return bb_value_compare(a, b);
}

static size_t
distinct(struct bb_value *keys, size_t n)
{
    qsort(keys, n, sizeof(*keys), by_order);
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (kept > 0 && bb_value_compare(&keys[kept - 1], &keys[i]) == 0) {
            free((void *)(uintptr_t)keys[i].p);
        } else {
            keys[kept++] = keys[i];
        }
    }
    return kept;
}

/* Long ones that begin alike are in the order of their hashes. */
static bool
is_longer_than_plain(const struct bb_value *v)
{
    struct bbi_key key;
    return bbi_key_make(&key, v, 0) == 0 && key.is_hashed;
}

static void
expect_scan(struct bb_store *s,
            const struct bb_value *prefix,
            const struct bb_value *keys,
            size_t count,
            size_t page)
{
    struct bb_store_item items[64];
    struct bb_value after = {NULL, 0};
    unsigned char *last = NULL;
    size_t i = 0;
    for (;;) {
        int64_t n = bb_store_scan(s, prefix, after.p != NULL ? &after : NULL, items, page);
        cr_assert_geq(n, 0);
        for (int64_t k = 0; k < n; k++, i++) {
            while (i < count && !bbi_key_has_prefix(&keys[i], prefix)) {
                i++;
            }
            cr_assert_lt(i, count);
            cr_assert_eq(bb_value_equal(&items[k].key, &keys[i]), 1, "%zu", i);
            cr_assert_eq(bb_value_equal(&items[k].value, &keys[i]), 1);
            cr_assert_eq(items[k].expires_ns, BB_STORE_NEVER);
        }
        if (n == 0) {
            break;
        }
        free(last);
        last = malloc(items[n - 1].key.bytes);
        memcpy(last, items[n - 1].key.p, items[n - 1].key.bytes);
        after = (struct bb_value){last, items[n - 1].key.bytes};
    }
    free(last);
    while (i < count && !bbi_key_has_prefix(&keys[i], prefix)) {
        i++;
    }
    cr_assert_eq(i, count);
}

Test(store_read, random_keys_come_back_in_order)
{
    static struct bb_value keys[KEYS];
    struct bb_store *m = open_role(BB_STORE_MASTER);
    struct bb_store *c = open_role(BB_STORE_CLONE);
    size_t n = 0;
    rnd_seed("store_read");
    while (n < KEYS) {
        keys[n].p = rnd_value(&keys[n].bytes);
        if (is_longer_than_plain(&keys[n])) {
            free((void *)(uintptr_t)keys[n].p);
        } else {
            n++;
        }
    }
    size_t count = distinct(keys, n);
    for (size_t i = 0; i < count; i++) { /* in no order, as 7919 is prime; each is its own value */
        cr_assert_eq(bb_store_put(m, &keys[i * 7919 % count], &keys[i * 7919 % count], 0, NULL), 0);
    }
    cr_assert_eq(bb_store_count(c, NULL), (int64_t)count);
    for (size_t i = 0; i < count; i++) {
        struct bb_value v;
        cr_assert_eq(bb_store_get(c, &keys[i], &v), 0);
        cr_assert_eq(bb_value_equal(&v, &keys[i]), 1);
    }
    expect_scan(c, NULL, keys, count, 64);
    expect_scan(c, NULL, keys, count, 7);
    cr_assert_eq(bb_store_view_begin(c), 0);
    expect_scan(c, NULL, keys, count, 1);
    for (size_t i = 0; i < count; i++) {
        int type = bb_value_type(&keys[i]);
        if (type == BB_STRING || type == BB_SUBNET || type == BB_VECTOR) {
            expect_scan(c, &keys[i], keys, count, 3);
            cr_assert_geq(bb_store_count(c, &keys[i]), 1);
        } else {
            struct bb_store_item item;
            cr_assert_eq(bb_store_scan(c, &keys[i], NULL, &item, 1), BB_EINVAL);
            cr_assert_eq(bb_store_count(c, &keys[i]), BB_EINVAL);
        }
    }
    bb_store_view_end(c);
    for (size_t i = 0; i < count; i++) {
        free((void *)(uintptr_t)keys[i].p);
    }
    bb_store_close(c);
    bb_store_close(m);
}

Test(store_read, long_keys_of_one_beginning)
{
    enum { LONG = 40, BYTES = 1200 };
    struct bb_store *m = open_role(BB_STORE_MASTER);
    static unsigned char room[LONG][BYTES + 64];
    struct bb_value keys[LONG];
    struct bb_store_item items[8];
    char s[BYTES];
    memset(s, 'x', sizeof(s));
    for (int i = 0; i < LONG; i++) {
        struct bb_builder b;
        s[BYTES - 1] = (char)('0' + i);
        bb_build_init(&b, room[i], sizeof(room[i]));
        bb_put_string(&b, s, sizeof(s));
        keys[i] = (struct bb_value){room[i], (size_t)bb_build_end(&b)};
        cr_assert_eq(bb_store_put(m, &keys[i], &keys[i], 0, NULL), 0);
    }
    int64_t n, seen = 0;
    const struct bb_value *after = NULL;
    struct bb_value last;
    uint64_t found = 0;
    while ((n = bb_store_scan(m, NULL, after, items, 8)) > 0) {
        for (int64_t k = 0; k < n; k++) {
            for (int i = 0; i < LONG; i++) {
                if (bb_value_equal(&items[k].key, &keys[i])) {
                    cr_assert_eq(found >> i & 1, 0); /* none twice */
                    found |= UINT64_C(1) << i;
                    last = keys[i];
                }
            }
        }
        after = &last;
        seen += n;
    }
    cr_assert_eq(n, 0);
    cr_assert_eq(seen, LONG);
    struct bb_value v;
    cr_assert_eq(bb_store_get(m, &keys[17], &v), 0);
    cr_assert_eq(bb_value_equal(&v, &keys[17]), 1);
    cr_assert_eq(bb_store_count(m, &keys[17]), 1); /* a prefix longer than what is in the key */
    cr_assert_eq(bb_store_erase(m, &keys[17], NULL), 0);
    cr_assert_eq(bb_store_get(m, &keys[17], &v), BB_ENOENT);
    bb_store_close(m);
}

/* ---- views --------------------------------------------------------------------------------------- */

Test(store_read, a_view_is_one_state_in_place)
{
    struct bb_store *m = open_role(BB_STORE_MASTER);
    struct bb_store *c = open_role(BB_STORE_CLONE);
    struct bb_value one, again;
    put(m, "k", "one", 0);
    uint64_t version = bb_store_version(c);
    cr_assert_eq(version, 1);
    cr_assert_eq(bb_store_view_begin(c), 0);
    cr_assert_eq(bb_store_view_begin(c), BB_EBUSY);
    cr_assert_eq(get(c, "k", &one), 0);
    put(m, "k", "two", 0);
    put(m, "l", "new", 0);
    cr_assert(is_text(&one, "one"));
    cr_assert_eq(get(c, "k", &again), 0);
    cr_assert_eq(again.p, one.p); /* where it lies */
    cr_assert_eq(get(c, "l", &again), BB_ENOENT);
    cr_assert_eq(bb_store_version(c), version);
    cr_assert_eq(bb_store_count(c, NULL), 1);
    bb_store_view_end(c);
    bb_store_view_end(c);
    cr_assert(has(c, "k", "two"));
    cr_assert_eq(bb_store_version(c), 3);
    cr_assert(has(m, "l", "new"));
    bb_store_close(c);
    bb_store_close(m);
}

Test(store_read, many_at_once_and_items)
{
    struct bb_store *m = open_role(BB_STORE_MASTER);
    unsigned char rooms[3][64];
    struct bb_value keys[3] = {text(rooms[0], "a"), text(rooms[1], "absent"), text(rooms[2], "c")};
    struct bb_store_item items[3];
    put(m, "a", "first", 0);
    put(m, "c", "third", 1000);
    cr_assert_eq(bb_store_get_many(m, keys, 3, items), 2);
    cr_assert(is_text(&items[0].value, "first"));
    cr_assert(is_text(&items[0].key, "a"));
    cr_assert_null(items[1].value.p);
    cr_assert(is_text(&items[2].value, "third"));
    cr_assert_eq(items[0].version, 1);
    cr_assert_eq(items[2].version, 2);
    cr_assert_eq(items[0].expires_ns, BB_STORE_NEVER);
    cr_assert_eq(items[2].expires_ns, 1000);
    cr_assert_eq(bb_store_get_many(m, keys, 0, items), 0);
    cr_assert_eq(bb_store_get_item(m, &keys[2], items), 0);
    cr_assert(is_text(&items[0].key, "c"));
    cr_assert_eq(bb_store_get_item(m, &keys[1], items), BB_ENOENT);
    cr_assert_eq(bb_store_exists(m, &keys[0]), 1);
    cr_assert_eq(bb_store_exists(m, &keys[1]), 0);
    const struct bb_value none = {NULL, 0};
    cr_assert_eq(bb_store_exists(m, &none), BB_EINVAL);
    bb_store_close(m);
}

Test(store_read, inside_of_values)
{
    struct bb_store *m = open_role(BB_STORE_MASTER);
    unsigned char k[64], set[128], a[64], b[64];
    struct bb_builder build;
    struct bb_value key = text(k, "set");
    bb_build_init(&build, set, sizeof(set));
    bb_put_set_begin(&build);
    bb_put_string(&build, "in", 2);
    bb_put_end(&build);
    struct bb_value v = {set, (size_t)bb_build_end(&build)};
    struct bb_value in = text(a, "in"), out = text(b, "out"), yes, no;
    int is_yes = -1, is_no = -1;
    cr_assert_eq(bb_store_put(m, &key, &v, 0, NULL), 0);
    cr_assert_eq(bb_store_view_begin(m), 0);
    cr_assert_eq(bb_store_get_index(m, &key, &in, &yes), 0);
    cr_assert_eq(bb_store_get_index(m, &key, &out, &no), 0);
    cr_assert_eq(bb_get_boolean(&yes, &is_yes), 0); /* the second did not overwrite it */
    cr_assert_eq(bb_get_boolean(&no, &is_no), 0);
    cr_assert_eq(is_yes, 1);
    cr_assert_eq(is_no, 0);
    bb_store_view_end(m);
    cr_assert_eq(bb_store_get_index(m, &key, &in, &yes), 0);
    cr_assert_eq(bb_get_boolean(&yes, &is_yes), 0);
    cr_assert_eq(is_yes, 1);
    cr_assert_eq(bb_store_get_index(m, &out, &in, &yes), BB_ENOENT);
    bb_store_close(m);
}

Test(store_read, a_read_allocates_nothing)
{
    struct bb_store *m = open_role(BB_STORE_MASTER);
    struct bb_store_item items[8];
    put(m, "k", "value", 0);
    put(m, "l", "value", 5000);
    (void)!bb_store_scan(m, NULL, NULL, items, 8);
    cr_assert(has(m, "k", "value"));
    struct mallinfo2 before = mallinfo2();
    for (int i = 0; i < 1000; i++) {
        cr_assert(has(m, "k", "value"));
        cr_assert_eq(bb_store_scan(m, NULL, NULL, items, 8), 2);
    }
    struct mallinfo2 after = mallinfo2();
    cr_assert_eq(before.uordblks, after.uordblks);
    bb_store_close(m);
}

/* ---- deadlines ----------------------------------------------------------------------------------- */

Test(store_read, nothing_is_read_at_its_deadline)
{
    struct bb_store *m = open_role(BB_STORE_MASTER);
    struct bb_store *c = open_role(BB_STORE_CLONE);
    struct bb_store_item items[4];
    unsigned char a[64];
    struct bb_value key = text(a, "short");
    bbi_store_relaxed(&boot_now, 1000000);
    put(m, "stays", "s", 0);
    put(m, "short", "t", 500);
    put(m, "long", "u", 501);
    bbi_store_relaxed(&boot_now, 1000499);
    cr_assert(has(c, "short", "t"));
    cr_assert_eq(bb_store_get_item(c, &key, items), 0);
    cr_assert_eq(items[0].expires_ns, 1);
    cr_assert_eq(bb_store_count(c, NULL), 3);
    bbi_store_relaxed(&boot_now, 1000500); /* nobody polls: it is not swept */
    cr_assert_eq(bb_store_exists(c, &key), 0);
    cr_assert_eq(bb_store_get_item(c, &key, items), BB_ENOENT);
    cr_assert_eq(bb_store_get_many(c, &key, 1, items), 0);
    cr_assert_null(items[0].value.p);
    cr_assert_eq(bb_store_scan(c, NULL, NULL, items, 4), 2);
    cr_assert(is_text(&items[0].key, "long"));
    cr_assert(is_text(&items[1].key, "stays"));
    cr_assert_eq(bb_store_count(c, NULL), 2);
    struct bb_value prefix = text(a, "s");
    cr_assert_eq(bb_store_count(c, &prefix), 1);
    bb_store_close(c);
    bb_store_close(m);
}

/* ---- generations, masters that are away ---------------------------------------------------------- */

Test(store_read, a_reader_follows_the_generation)
{
    struct bb_store *m = open_role(BB_STORE_MASTER);
    struct bb_store *c = open_role(BB_STORE_CLONE);
    struct bb_value v;
    put(m, "k", "before", 0);
    cr_assert_eq(bb_store_view_begin(c), 0);
    cr_assert_eq(get(c, "k", &v), 0);
    cr_assert_eq(bb_store_compact(m), 0);
    put(m, "k", "after", 0);
    cr_assert(is_text(&v, "before")); /* the old one is removed and still read */
    bb_store_view_end(c);
    cr_assert(has(c, "k", "after"));
    cr_assert_eq(c->reader.generation, 2);
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(bb_store_compact(m), 0);
        cr_assert(has(c, "k", "after"));
    }
    cr_assert_eq(c->reader.generation, 7);
    bb_store_close(c);
    bb_store_close(m);
}

Test(store_read, it_needs_no_master)
{
    struct bb_store *m = open_role(BB_STORE_MASTER);
    put(m, "k", "v", 0);
    bb_store_close(m);
    struct bb_store *c = open_role(BB_STORE_CLONE);
    cr_assert(has(c, "k", "v"));
    cr_assert_eq(bb_store_is_master(c), 0);
    cr_assert_str_eq(bb_store_name(c), "s");
    m = open_role(BB_STORE_MASTER);
    put(m, "k", "w", 0);
    cr_assert(has(c, "k", "w"));
    bb_store_close(m);
    bb_store_close(c);
}

static void *
open_later(void *arg)
{
    (void)bbi_os_sleep_ns(30000000);
    *(struct bb_store **)arg = open_role(BB_STORE_MASTER);
    return NULL;
}

Test(store_read, a_clone_waits_for_the_store)
{
    struct bb_store *c = NULL;
    struct bb_store *m = NULL;
    struct bb_store_opts o = opts(BB_STORE_CLONE);
    struct bb_error own;
    o.timeout_ns = 20000000;
    cr_assert_eq(bb_store_open(&c, ep, &o), BB_ENOENT);
    cr_assert_not_null(strstr(error.sentence, "busbar store serve s"));
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, open_later, &m), 0);
    o.timeout_ns = INT64_C(20000000000);
    o.error = &own;
    cr_assert_eq(bb_store_open(&c, ep, &o), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    put(m, "k", "v", 0);
    cr_assert(has(c, "k", "v"));
    bb_store_close(c);
    bb_store_close(m);
}

Test(store_read, a_second_master_is_told_of_the_first)
{
    struct bb_store *m = open_role(BB_STORE_MASTER);
    struct bb_store *other = NULL;
    struct bb_store_opts o = opts(BB_STORE_MASTER);
    cr_assert_eq(bb_store_open(&other, ep, &o), BB_EEXIST);
    cr_assert_eq(error.owner_pid, getpid());
    cr_assert_not_null(strstr(error.sentence, bb_endpoint_name(ep)));
    bb_store_close(m);
}

Test(store_read, on_a_disk_by_its_path_or_its_name)
{
    char path[128], elsewhere[128];
    struct bb_store_opts o = opts(BB_STORE_MASTER);
    struct bb_store *c = NULL;
    (void)snprintf(path, sizeof(path), "%s/disk/", where);
    o.path = path;
    struct bb_store *m = open_as(&o);
    put(m, "k", "v", 0);
    struct bb_store *byname = open_role(BB_STORE_CLONE);
    cr_assert(has(byname, "k", "v"));
    bb_store_close(byname);
    struct bb_store_opts look = opts(BB_STORE_CLONE);
    look.path = path;
    look.name = NULL;
    look.timeout_ns = 0;
    cr_assert_eq(bb_store_open_path(&c, &look), 0);
    cr_assert(has(c, "k", "v"));
    unsigned char a[64];
    struct bb_value key = text(a, "k");
    cr_assert_eq(bb_store_put(c, &key, &key, 0, NULL), BB_ENOTSUP);
    bb_store_close(c);
    (void)snprintf(elsewhere, sizeof(elsewhere), "%s/none", where);
    look.path = elsewhere;
    cr_assert_eq(bb_store_open_path(&c, &look), BB_ENOENT);
    cr_assert_not_null(strstr(error.sentence, elsewhere));
    bb_store_close(m);
}

/* As after a power cut: no ctl of this boot, and the wall clock went on. */
Test(store_read, who_looks_at_a_store_of_another_boot_sees_its_deadlines)
{
    char path[128], ctl[160];
    struct bb_store_opts o = opts(BB_STORE_MASTER);
    struct bb_store *c = NULL;
    (void)snprintf(path, sizeof(path), "%s/disk", where);
    o.path = path;
    bbi_store_relaxed(&boot_now, 1000);
    struct bb_store *m = open_as(&o);
    put(m, "k", "v", 0);
    put(m, "t", "v", 400);
    bb_store_close(m);
    (void)snprintf(ctl, sizeof(ctl), "%s/ctl", path);
    cr_assert_eq(unlink(ctl), 0);
    struct bb_store_opts look = opts(BB_STORE_CLONE);
    look.path = path;
    look.name = NULL;
    look.timeout_ns = 0;
    cr_assert_eq(bb_store_open_path(&c, &look), 0);
    cr_assert_eq(bb_store_version(c), 2);
    cr_assert(has(c, "t", "v"));
    bbi_store_relaxed(&boot_now, 1400);
    cr_assert(!has(c, "t", "v"));
    cr_assert(has(c, "k", "v"));
    bb_store_close(c);
}

/* ---- refusals ------------------------------------------------------------------------------------ */

static void
expect_refused(struct bb_store_opts o, const char *why)
{
    struct bb_store *s = NULL;
    cr_assert_eq(bb_store_open(&s, ep, &o), BB_EINVAL, "%s", why);
    cr_assert_not_null(strstr(error.sentence, why), "%s", error.sentence);
}

Test(store_read, options_that_mean_nothing)
{
    struct bb_store_opts o = opts(BB_STORE_MASTER);
    o.name = "a/b";
    expect_refused(o, "'a/b'");
    o = opts(7);
    expect_refused(o, "role");
    o = opts(BB_STORE_CLONE);
    o.flags = BB_STORE_FRESH;
    expect_refused(o, "master");
    o = opts(BB_STORE_MASTER);
    o.flags = BB_STORE_BY_REQUEST;
    expect_refused(o, "clone");
    o = opts(BB_STORE_MASTER);
    o.quota_bytes = (1 << 20) - 1;
    expect_refused(o, "1 MiB");
    o = opts(BB_STORE_CLONE);
    o.window = 17;
    expect_refused(o, "16");
    struct bb_store *s = NULL;
    o = opts(BB_STORE_CLONE);
    cr_assert_eq(bb_store_open(&s, NULL, &o), BB_EINVAL);
    o.flags = 1u << 30;
    cr_assert_eq(bb_store_open(&s, ep, &o), BB_ENOTSUP);
    o.flags = 0;
    o.name = NULL;
    cr_assert_eq(bb_store_open_path(&s, &o), BB_EINVAL);
    bb_store_close(NULL);
}

Test(store_read, another_pid_namespace_is_sent_to_by_request)
{
    struct bb_store *m = open_role(BB_STORE_MASTER);
    struct bb_store *c = NULL;
    struct bb_store_opts o = opts(BB_STORE_CLONE);
    bbi_store_relaxed(&m->dir.ctl->master_pidns, bbi_os_pidns() + 1);
    cr_assert_eq(bb_store_open(&c, ep, &o), BB_ENOTSUP);
    cr_assert_not_null(strstr(error.sentence, "BB_STORE_BY_REQUEST"));
    o.flags = BB_STORE_BY_REQUEST;
    cr_assert_eq(bb_store_open(&c, ep, &o), 0);
    cr_assert_null(c->reader.env);
    cr_assert_eq(bb_store_view_begin(c), BB_ENOTSUP);
    bb_store_close(c);
    bb_store_close(m);
}

Test(store_read, a_damaged_record_is_said_to_be)
{
    struct bb_store *m = open_role(BB_STORE_MASTER);
    unsigned char a[64];
    struct bb_value key = text(a, "bad");
    struct bb_value v;
    struct bbi_key at;
    struct bbi_db_txn *txn;
    struct bb_store_item item;
    cr_assert(!has(m, "x", "y"));
    cr_assert_eq(bbi_key_make(&at, &key, 0), 0);
    cr_assert_eq(bbi_db_write_begin(m->reader.env, NULL, &txn), 0);
    cr_assert_eq(bbi_db_put(txn, BBI_DB_MAIN, (struct bbi_bytes){at.bytes, at.len},
                            (struct bbi_bytes){"short", 5}, 0),
                 0);
    cr_assert_eq(bbi_db_commit(txn), 0);
    cr_assert_eq(bb_store_get(m, &key, &v), BB_ECORRUPT);
    cr_assert_eq(bb_store_scan(m, NULL, NULL, &item, 1), BB_ECORRUPT);
    bb_store_close(m);
}

/* Two keys of one hash, made by hand: nobody knows real ones. */
Test(store_read, keys_of_one_hash_are_told_apart)
{
    struct bb_store *m = open_role(BB_STORE_MASTER);
    static unsigned char rooms[3][700];
    char s[600];
    struct bb_value keys[3];
    unsigned char raw[1400];
    struct bbi_key at, where_one;
    struct bbi_record rec;
    struct bbi_db_txn *txn;
    memset(s, 'h', sizeof(s));
    for (int i = 0; i < 3; i++) {
        struct bb_builder b;
        s[599] = (char)('a' + i);
        bb_build_init(&b, rooms[i], sizeof(rooms[i]));
        bb_put_string(&b, s, sizeof(s));
        keys[i] = (struct bb_value){rooms[i], (size_t)bb_build_end(&b)};
    }
    cr_assert(!has(m, "x", "y"));
    cr_assert_eq(bbi_db_write_begin(m->reader.env, NULL, &txn), 0);
    cr_assert_eq(bbi_find_any(txn, &keys[0], &at, &rec), BB_ENOENT);
    cr_assert_eq(at.bytes[at.len - 1], 0);
    for (unsigned i = 0; i < 2; i++) { /* the second key under the first one's hash, before it */
        struct bbi_record in = {.version = i + 1, .key = keys[1 - i], .value = keys[1 - i]};
        bbi_key_set_nth(&at, i);
        bbi_record_write(raw, &in);
        cr_assert_eq(
            bbi_db_put(txn, BBI_DB_MAIN, (struct bbi_bytes){at.bytes, at.len},
                       (struct bbi_bytes){raw, bbi_record_bytes(in.key.bytes, in.value.bytes)}, 0),
            0);
    }
    cr_assert_eq(bbi_find_any(txn, &keys[0], &where_one, &rec), 0);
    cr_assert_eq(where_one.bytes[where_one.len - 1], 1);
    cr_assert_eq(rec.version, 2);
    bbi_key_set_nth(&at, 0); /* a hole in front of it */
    cr_assert_eq(bbi_db_del(txn, BBI_DB_MAIN, (struct bbi_bytes){at.bytes, at.len}), 0);
    cr_assert_eq(bbi_find_any(txn, &keys[0], &where_one, &rec), 0);
    cr_assert_eq(where_one.bytes[where_one.len - 1], 1);
    bbi_db_abort(txn);
    bb_store_close(m);
}

/* ---- by request ---------------------------------------------------------------------------------- */

struct server {
    struct bb_store *s;
    bbi_u32 is_done;
};

static void *
serve(void *arg)
{
    struct server *server = arg;
    while (bbi_load_acquire(&server->is_done) == 0) {
        (void)!bb_store_poll(server->s, 5000000);
    }
    return NULL;
}

Test(store_read, by_request_the_same_is_read)
{
    struct server server = {.s = open_role(BB_STORE_MASTER)};
    struct bb_store_opts o = opts(BB_STORE_CLONE);
    struct bb_endpoint *other = attach();
    struct bb_store *c = NULL;
    struct bb_store_item items[8];
    pthread_t thread;
    put(server.s, "a", "1", 0);
    put(server.s, "b", "2", 0);
    put(server.s, "bb", "3", 700);
    o.flags = BB_STORE_BY_REQUEST;
    o.timeout_ns = INT64_C(20000000000);
    cr_assert_eq(bb_store_open(&c, other, &o), 0);
    cr_assert_eq(pthread_create(&thread, NULL, serve, &server), 0);
    cr_assert(has(c, "a", "1"));
    struct bb_value v;
    cr_assert_eq(get(c, "absent", &v), BB_ENOENT);
    unsigned char rooms[3][64];
    struct bb_value keys[3] = {text(rooms[0], "b"), text(rooms[1], "no"), text(rooms[2], "bb")};
    cr_assert_eq(bb_store_get_many(c, keys, 3, items), 2);
    cr_assert(is_text(&items[0].value, "2"));
    cr_assert_null(items[1].value.p);
    cr_assert_eq(items[2].expires_ns, 700);
    cr_assert_eq(items[2].version, 3);
    cr_assert_eq(bb_store_exists(c, &keys[1]), 0);
    cr_assert_eq(bb_store_exists(c, &keys[2]), 1);
    cr_assert_eq(bb_store_count(c, NULL), 3);
    cr_assert_eq(bb_store_count(c, &keys[0]), 2);
    cr_assert_eq(bb_store_scan(c, NULL, NULL, items, 8), 3);
    cr_assert(is_text(&items[0].key, "a"));
    cr_assert(is_text(&items[2].value, "3"));
    cr_assert_eq(bb_store_scan(c, &keys[0], &keys[0], items, 8), 1);
    cr_assert(is_text(&items[0].key, "bb"));
    cr_assert_eq(bb_store_get_index(c, &keys[0], &keys[1], &v), 0); /* a string: itself */
    cr_assert(is_text(&v, "2"));
    bbi_store_release(&server.is_done, 1);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    bb_store_close(c);
    bb_endpoint_close(other);
    bb_store_close(server.s);
}

/* ---- looking ------------------------------------------------------------------------------------- */

struct listed {
    int count;
    char names[128];
    struct bb_store_info last;
};

static int
list_one(const struct bb_store_info *info, void *user)
{
    struct listed *l = user;
    l->count++;
    l->last = *info;
    size_t n = strlen(l->names);
    (void)snprintf(l->names + n, sizeof(l->names) - n, "%s ", info->name);
    return 0;
}

Test(store_read, what_a_store_says_of_itself)
{
    struct bb_store *m = open_role(BB_STORE_MASTER);
    struct bb_store_info info = {.size = sizeof(info)};
    put(m, "k", "v", 0);
    cr_assert_eq(bb_store_info(m, &info), 0);
    cr_assert_eq(info.size, sizeof(info));
    cr_assert_str_eq(info.name, "s");
    cr_assert_eq(info.is_memory, 1);
    cr_assert_eq(info.has_master, 1);
    cr_assert_eq(info.master_pid, getpid());
    cr_assert_eq(info.master_id, bb_endpoint_id(ep));
    cr_assert_str_eq(info.master_node, bb_endpoint_name(ep));
    cr_assert_eq(info.version, 1);
    cr_assert_eq(info.keys, 1);
    cr_assert_eq(info.generation, 1);
    cr_assert_gt(info.bytes, 0);
    cr_assert_leq(info.used_bytes, info.bytes);
    cr_assert_gt(info.used_bytes, 0);
    cr_assert_eq(info.oldest_pid, 0);

    struct bb_store *c = open_role(BB_STORE_CLONE);
    cr_assert_eq(bb_store_view_begin(c), 0);
    for (int i = 0; i < 40; i++) {
        put(m, "k", "w", 0);
    }
    cr_assert_eq(bb_store_info(m, &info), 0);
    cr_assert_eq(info.oldest_pid, getpid());
    cr_assert_eq(info.oldest_behind, 40);
    cr_assert_gt(info.held_bytes, 0);
    cr_assert_geq(info.readers, 2);
    bb_store_view_end(c);
    bb_store_close(c);
    bb_store_close(m);
}

Test(store_read, the_stores_of_a_bus)
{
    struct bb_look *look = NULL;
    const struct bb_look_opts lo = {.size = sizeof(lo), .dir = where, .bus = "b"};
    struct listed l = {0};
    cr_assert_eq(bb_look_open(&look, &lo), 0);
    cr_assert_eq(bb_look_stores(look, list_one, &l), 0);
    struct bb_store_opts o = opts(BB_STORE_MASTER);
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/disk", where);
    o.name = "on-disk";
    o.path = path;
    struct bb_store *disk = open_as(&o);
    struct bb_store *m = open_role(BB_STORE_MASTER);
    put(m, "k", "v", 0);
    cr_assert_eq(bb_look_stores(look, list_one, &l), 2);
    cr_assert_eq(l.count, 2);
    cr_assert_str_eq(l.names, "on-disk s ");
    cr_assert_eq(l.last.has_master, 1);
    cr_assert_eq(l.last.version, 1);
    bb_store_close(m);
    bb_store_close(disk);
    l = (struct listed){0};
    cr_assert_eq(bb_look_stores(look, list_one, &l), 2);
    cr_assert_eq(l.last.has_master, 0);
    cr_assert_eq(l.last.master_pid, getpid());

    struct bb_store *c = NULL;
    struct bb_store_opts co = opts(BB_STORE_CLONE);
    co.timeout_ns = 0;
    cr_assert_eq(bb_store_open_look(&c, look, &co), 0);
    cr_assert(has(c, "k", "v"));
    bb_store_close(c);
    co.name = "none";
    cr_assert_eq(bb_store_open_look(&c, look, &co), BB_ENOENT);
    bb_look_close(look);
}
