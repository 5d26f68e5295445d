/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: a watch tells each change once and in order, with what was and what is; what its prefix does not have it
 * does not tell; what the log does not have any more is one gap; it goes on from a version.  Tables strip their
 * name from keys, and one of all who ask is told that an element is new.
 * Method: a master and a clone of one process, on two endpoints; the master has a thread of its own where the
 * clone writes, and is polled by the test where it does not.
 */
#include "busbar/store_table.h"
#include "lib/store/client_impl.h"
#include "shm/os.h"
#include "tests/unit/shm/bus_dir.h"
#include <pthread.h>

#define S_NS  INT64_C(1000000000)
#define MS_NS INT64_C(1000000)

TestSuite(store_watch, .init = bus_dir_make, .fini = bus_dir_remove, .timeout = 60);
TestSuite(store_table, .init = bus_dir_make, .fini = bus_dir_remove, .timeout = 60);

/* ---- values ---- */

struct small {
    unsigned char bytes[64];
    struct bb_value v;
};

static struct bb_value *
text(struct small *out, const char *s)
{
    struct bb_builder b;
    bb_build_init(&b, out->bytes, sizeof(out->bytes));
    bb_put_string(&b, s, strlen(s));
    int64_t n = bb_build_end(&b);
    cr_assert_gt(n, 0);
    out->v = (struct bb_value){out->bytes, (size_t)n};
    return &out->v;
}

static bool
is_text(const struct bb_value *v, const char *s)
{
    struct small t;
    return v->p != NULL && bb_value_equal(v, text(&t, s)) == 1;
}

/* ---- the two sides ---- */

struct side {
    struct bb_endpoint *ep;
    struct bb_store *s;
    bbi_u32 must_end;
    pthread_t thread;
};

static _Atomic int64_t test_boot_ns, test_wall_ns, test_tick_ns; /* 0: the kernel's */

static int64_t
boot_ns(void *user)
{
    (void)user;
    test_boot_ns += test_tick_ns;
    return test_boot_ns != 0 ? test_boot_ns : bbi_os_mono_ns();
}

static int64_t
wall_ns(void *user)
{
    (void)user;
    return test_wall_ns != 0 ? test_wall_ns : bbi_os_wall_ns();
}

static void
side_open(struct side *x, const char *node, uint32_t role, uint32_t flags)
{
    struct bb_error e = {0};
    const struct bb_store_clock clock = {.boot_ns = boot_ns, .wall_ns = wall_ns};
    const struct bb_endpoint_opts eo = {
        .size = sizeof(eo), .dir = bus_dir, .bus = "b", .name = node};
    const struct bb_store_opts so = {.size = sizeof(so),
                                     .name = "x",
                                     .role = role,
                                     .flags = flags,
                                     .quota_bytes = UINT64_C(64) << 20,
                                     .timeout_ns = 10 * S_NS,
                                     .clock = &clock,
                                     .error = &e};
    *x = (struct side){0};
    cr_assert_eq(bb_endpoint_open(&x->ep, &eo), 0);
    int rc = bb_store_open(&x->s, x->ep, &so);
    cr_assert_eq(rc, 0, "%s: %s", bb_strerror(rc), e.sentence);
}

static void
side_close(struct side *x)
{
    bb_store_close(x->s);
    bb_endpoint_close(x->ep);
}

static void *
serve(void *arg)
{
    struct side *x = arg;
    while (bbi_load_acquire(&x->must_end) == 0) {
        cr_assert_geq(bb_store_poll(x->s, 10 * MS_NS), 0);
    }
    return NULL;
}

static void
serve_begin(struct side *x)
{
    bbi_store_release(&x->must_end, 0);
    cr_assert_eq(pthread_create(&x->thread, NULL, serve, x), 0);
}

static void
serve_end(struct side *x)
{
    bbi_store_release(&x->must_end, 1);
    cr_assert_eq(pthread_join(x->thread, NULL), 0);
}

static void
put(struct side *x, const char *key, const char *value, int64_t expire_ns)
{
    struct small k, v;
    int rc = bb_store_put(x->s, text(&k, key), text(&v, value), expire_ns, NULL);
    cr_assert_eq(rc, 0, "%s", bb_strerror(rc));
}

static void
erase(struct side *x, const char *key)
{
    struct small k;
    cr_assert_eq(bb_store_erase(x->s, text(&k, key), NULL), 0);
}

static struct bb_watch *
watch(struct side *x, const char *prefix, uint64_t after, uint64_t *now)
{
    struct small p;
    struct bb_watch *w = NULL;
    int rc = bb_watch_open(&w, x->s, prefix != NULL ? text(&p, prefix) : NULL, after, now);
    cr_assert_eq(rc, 0, "%s", bb_strerror(rc));
    return w;
}

static struct bb_store_change
next(struct bb_watch *w)
{
    struct bb_store_change c = {0};
    int n = bb_watch_next(w, &c, 1, 10 * S_NS);
    cr_assert_eq(n, 1, "%d", n);
    return c;
}

static void
none(struct bb_watch *w)
{
    struct bb_store_change c;
    cr_assert_eq(bb_watch_next(w, &c, 1, 0), 0);
}

/* ---- watches ---- */

Test(store_watch, tells_each_change_once_with_what_was)
{
    struct side m;
    uint64_t now = 0;
    side_open(&m, "m", BB_STORE_MASTER, 0);
    put(&m, "before", "1", 0);
    struct bb_watch *w = watch(&m, NULL, 0, &now);
    cr_assert_eq(now, 1U);
    none(w);
    put(&m, "k", "a", 0);
    put(&m, "k", "b", 3600 * S_NS);
    erase(&m, "k");
    struct bb_store_change c = next(w);
    cr_assert_eq(c.kind, (uint32_t)BB_STORE_INSERTED);
    cr_assert_eq(c.version, 2U);
    cr_assert(is_text(&c.key, "k") && is_text(&c.value, "a"));
    cr_assert_null(c.old.p);
    cr_assert_eq(c.expires_ns, BB_STORE_NEVER);
    cr_assert_str_eq(c.node, "m");
    cr_assert_eq(c.node_id, bb_endpoint_id(m.ep));
    c = next(w);
    cr_assert_eq(c.kind, (uint32_t)BB_STORE_UPDATED);
    cr_assert(is_text(&c.old, "a") && is_text(&c.value, "b"));
    cr_assert_eq(c.expires_ns, 3600 * S_NS);
    c = next(w);
    cr_assert_eq(c.kind, (uint32_t)BB_STORE_ERASED);
    cr_assert_eq(c.version, 4U);
    cr_assert(is_text(&c.old, "b"));
    none(w);
    bb_watch_close(w);
    side_close(&m);
}

Test(store_watch, has_its_prefix_and_gives_many_at_once)
{
    struct side m;
    struct bb_store_change c[8];
    side_open(&m, "m", BB_STORE_MASTER, 0);
    struct bb_watch *w = watch(&m, "a/", 0, NULL), *all = watch(&m, NULL, 0, NULL);
    for (int i = 0; i < 6; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "%c/%d", i % 2 != 0 ? 'a' : 'b', i);
        put(&m, key, "v", 0);
    }
    int n = bb_watch_next(w, c, 8, S_NS);
    cr_assert_eq(n, 3);
    cr_assert(is_text(&c[0].key, "a/1") && is_text(&c[1].key, "a/3") && is_text(&c[2].key, "a/5"));
    cr_assert_eq(bb_watch_next(w, c, 8, 0), 0);
    cr_assert_eq(bb_watch_next(all, c, 4, 0), 4);
    cr_assert_eq(bb_watch_next(all, c, 4, 0), 2);
    cr_assert_eq(c[1].version, 6U);
    cr_assert_eq(bb_watch_next(all, c, 0, 0), BB_EINVAL);
    cr_assert_eq(bb_store_view_begin(m.s), 0);
    cr_assert_eq(bb_watch_next(all, c, 4, 0), BB_EBUSY, "nothing changes in a view");
    bb_store_view_end(m.s);
    bb_watch_close(w);
    bb_watch_close(all);
    side_close(&m);
}

Test(store_watch, goes_on_from_a_version_and_tells_a_gap)
{
    struct side m;
    side_open(&m, "m", BB_STORE_MASTER, 0);
    put(&m, "a", "1", 0); /* nobody watches: not in the log */
    put(&m, "b", "1", 0);
    struct bb_watch *w = watch(&m, NULL, 0, NULL);
    put(&m, "c", "1", 0);
    put(&m, "d", "1", 0);
    struct bb_watch *old = watch(&m, NULL, 1, NULL), *later = watch(&m, NULL, 3, NULL);
    struct bb_store_change c = next(old);
    cr_assert_eq(c.kind, (uint32_t)BB_STORE_GAP);
    cr_assert_eq(c.version, 2U, "what is not known any more");
    cr_assert_null(c.key.p);
    cr_assert_eq(next(old).version, 3U);
    cr_assert_eq(next(old).version, 4U);
    none(old);
    c = next(later);
    cr_assert(is_text(&c.key, "d"));
    none(later);
    cr_assert_eq(next(w).version, 3U);
    bb_watch_close(w);
    bb_watch_close(old);
    bb_watch_close(later);
    side_close(&m);
}

Test(store_watch, an_expired_key_is_told_once)
{
    struct side m;
    test_boot_ns = 100 * S_NS;
    test_wall_ns = 1000 * S_NS;
    side_open(&m, "m", BB_STORE_MASTER, 0);
    struct bb_watch *w = watch(&m, NULL, 0, NULL);
    put(&m, "k", "v", 10 * S_NS);
    cr_assert_eq(next(w).expires_ns, 10 * S_NS);
    test_boot_ns += 10 * S_NS;
    struct bb_store_change c = next(w); /* the wait polls the master, which sweeps */
    cr_assert_eq(c.kind, (uint32_t)BB_STORE_EXPIRED);
    cr_assert(is_text(&c.key, "k") && is_text(&c.old, "v"));
    none(w);
    bb_watch_close(w);
    side_close(&m);
}

Test(store_watch, a_clone_is_woken_and_survives_a_compaction_and_a_new_master)
{
    struct side m, c;
    uint64_t now = 0;
    side_open(&m, "m", BB_STORE_MASTER, 0);
    serve_begin(&m);
    side_open(&c, "c", BB_STORE_CLONE, 0);
    struct bb_watch *w = watch(&c, NULL, 0, &now);
    cr_assert_eq(now, 0U);
    put(&c, "a", "1", 0);
    struct bb_store_change got = next(w);
    cr_assert_eq(got.version, 1U);
    cr_assert_str_eq(got.node, "c", "the writer, not the master");
    serve_end(&m);
    cr_assert_eq(bb_store_compact(m.s), 0);
    put(&m, "b", "1", 0);
    cr_assert_eq(next(w).version, 2U);
    side_close(&m);
    side_open(&m, "m2", BB_STORE_MASTER, 0);
    put(&m, "c", "1", 0);
    got = next(w);
    cr_assert_eq(got.kind, (uint32_t)BB_STORE_INSERTED);
    cr_assert_eq(got.version, 3U);
    cr_assert_str_eq(got.node, "m2");
    serve_begin(&m);
    bb_watch_close(w);
    side_close(&c);
    serve_end(&m);
    side_close(&m);
}

Test(store_watch, a_store_that_is_begun_anew_is_a_gap)
{
    struct side m, c;
    side_open(&m, "m", BB_STORE_MASTER, 0);
    serve_begin(&m);
    side_open(&c, "c", BB_STORE_CLONE, 0);
    struct bb_watch *w = watch(&c, NULL, 0, NULL);
    for (int i = 0; i < 5; i++) {
        put(&c, "a", i % 2 != 0 ? "1" : "2", 0);
        cr_assert_eq(next(w).version, (uint64_t)i + 1);
    }
    serve_end(&m);
    side_close(&m);
    side_open(&m, "m2", BB_STORE_MASTER, BB_STORE_FRESH);
    serve_begin(&m);
    struct bb_store_change got = next(w);
    cr_assert_eq(got.kind, (uint32_t)BB_STORE_GAP);
    put(&c, "b", "1", 0);
    do { /* the master hears of the watch again; until then changes may be gaps */
        got = next(w);
        put(&c, "b", "2", 0);
    } while (got.kind == BB_STORE_GAP);
    bb_watch_close(w);
    side_close(&c);
    serve_end(&m);
    side_close(&m);
}

/* ---- tables ---- */

struct heard {
    struct bb_store_change last;
    char key[32];
    int count;
};

static void
changed(struct bb_store_table *t, const struct bb_store_change *c, void *user)
{
    struct heard *h = user;
    (void)t;
    h->last = *c;
    h->count++;
    cr_assert_geq(bb_value_text(&c->key, h->key, sizeof(h->key)), 0);
}

static struct bb_store_table *
table(struct side *x, struct bb_store_table_opts o)
{
    struct bb_store_table *t = NULL;
    o.size = sizeof(o);
    o.name = o.name != NULL ? o.name : "hosts";
    int rc = bb_store_table_open(&t, x->s, &o);
    cr_assert_eq(rc, 0, "%s", bb_strerror(rc));
    return t;
}

static int
list(const struct bb_store_item *item, void *user)
{
    char *out = user, key[32];
    cr_assert_geq(bb_value_text(&item->key, key, sizeof(key)), 0);
    (void)strcat(strcat(out, key), " ");
    return strcmp(key, "stop") == 0 ? 7 : 0;
}

Test(store_table, is_a_set_of_its_own_within_a_store)
{
    struct side m;
    struct small k, v;
    struct bb_value got;
    char said[4096] = "";
    side_open(&m, "m", BB_STORE_MASTER, 0);
    struct bb_store_table *t = table(&m, (struct bb_store_table_opts){.expire_ns = 0});
    struct bb_store_table *other = table(&m, (struct bb_store_table_opts){.name = "hostsx"});
    cr_assert_eq(bb_store_table_contains(t, text(&k, "web")), 0);
    cr_assert_eq(bb_store_table_add(t, text(&k, "web"), text(&v, "10.0.0.1")), 0);
    cr_assert_eq(bb_store_table_add(t, text(&k, "db"), NULL), 0);
    cr_assert_eq(bb_store_table_add(other, text(&k, "x"), NULL), 0);
    put(&m, "hosts", "no element", 0);
    cr_assert_eq(bb_store_table_contains(t, text(&k, "web")), 1);
    cr_assert_eq(bb_store_table_get(t, text(&k, "web"), &got), 0);
    cr_assert(is_text(&got, "10.0.0.1"));
    cr_assert_eq(bb_store_table_get(t, text(&k, "db"), &got), 0);
    cr_assert_eq(bb_value_type(&got), BB_NONE);
    cr_assert_eq(bb_store_table_get(t, text(&k, "x"), &got), BB_ENOENT);
    cr_assert_eq(bb_store_table_count(t), 2);
    cr_assert_eq(bb_store_table_each(t, list, said), 0);
    cr_assert_str_eq(said, "db web ", "in order, without the table's name");
    cr_assert_eq(bb_store_table_add(t, text(&k, "stop"), NULL), 0);
    cr_assert_eq(bb_store_table_each(t, list, said), 7);
    cr_assert_eq(bb_store_table_remove(t, text(&k, "web")), 0);
    cr_assert_eq(bb_store_table_remove(t, text(&k, "web")), 0, "it is not there, and that is well");
    cr_assert_eq(bb_store_table_contains(t, text(&k, "web")), 0);
    cr_assert_eq(bb_store_table_poll(t, 0), BB_ENOTSUP, "not watched");
    cr_assert_eq(bb_store_table_contains(t, NULL), BB_EINVAL);
    for (int i = 0; i < 200; i++) { /* more than one scan */
        char key[16];
        (void)snprintf(key, sizeof(key), "n%03d", i);
        cr_assert_eq(bb_store_table_seen(t, text(&k, key), NULL), 0);
    }
    said[0] = '\0';
    cr_assert_eq(bb_store_table_remove(t, text(&k, "stop")), 0);
    cr_assert_eq(bb_store_table_each(t, list, said), 0);
    cr_assert_eq(strlen(said), 3 + 200 * 5U);
    bb_store_table_close(t);
    bb_store_table_close(other);
    side_close(&m);
}

Test(store_table, tells_changes_with_the_elements_own_key)
{
    struct side m;
    struct small k;
    struct heard h = {.count = 0};
    side_open(&m, "m", BB_STORE_MASTER, 0);
    struct bb_store_table *t =
        table(&m, (struct bb_store_table_opts){.changed = changed, .user = &h});
    put(&m, "aside", "1", 0);
    cr_assert_eq(bb_store_table_add(t, text(&k, "web"), NULL), 0);
    cr_assert_eq(bb_store_table_poll(t, S_NS), 1);
    cr_assert_eq(h.count, 1);
    cr_assert_str_eq(h.key, "web");
    cr_assert_eq(h.last.kind, (uint32_t)BB_STORE_INSERTED);
    cr_assert_eq(bb_store_table_remove(t, text(&k, "web")), 0);
    cr_assert_eq(bb_store_table_poll(t, S_NS), 1);
    cr_assert_eq(h.last.kind, (uint32_t)BB_STORE_ERASED);
    cr_assert_eq(bb_store_table_poll(t, 0), 0);
    bb_store_table_close(t);
    side_close(&m);
}

Test(store_table, create_expiry_stays_and_write_expiry_moves)
{
    struct side m;
    struct small k, v;
    test_boot_ns = 100 * S_NS;
    test_wall_ns = 1000 * S_NS;
    side_open(&m, "m", BB_STORE_MASTER, 0);
    struct bb_store_table *created =
        table(&m, (struct bb_store_table_opts){.name = "c", .expire_ns = 100 * S_NS});
    struct bb_store_table *written =
        table(&m, (struct bb_store_table_opts){
                      .name = "w", .expire_ns = 100 * S_NS, .expire = BB_STORE_WRITE_EXPIRE});
    struct bb_store_table *seen =
        table(&m, (struct bb_store_table_opts){
                      .name = "s", .expire_ns = 100 * S_NS, .expire = BB_STORE_WRITE_EXPIRE});
    cr_assert_eq(bb_store_table_add(created, text(&k, "a"), text(&v, "1")), 0);
    cr_assert_eq(bb_store_table_add(written, text(&k, "a"), text(&v, "1")), 0);
    cr_assert_eq(bb_store_table_seen(seen, text(&k, "a"), NULL), 0);
    test_boot_ns += 60 * S_NS;
    cr_assert_eq(bb_store_table_add(created, text(&k, "a"), text(&v, "2")), 0);
    cr_assert_eq(bb_store_table_add(written, text(&k, "a"), text(&v, "2")), 0);
    cr_assert_eq(bb_store_table_seen(seen, text(&k, "a"), NULL), 1, "half of it is over");
    test_boot_ns += 60 * S_NS;
    cr_assert_eq(bb_store_table_contains(created, text(&k, "a")), 0);
    cr_assert_eq(bb_store_table_contains(written, text(&k, "a")), 1);
    cr_assert_eq(bb_store_table_seen(seen, text(&k, "a"), NULL), 1);
    test_boot_ns += 41 * S_NS;
    cr_assert_eq(bb_store_table_contains(written, text(&k, "a")), 0);
    cr_assert_eq(bb_store_table_seen(seen, text(&k, "a"), NULL), 1, "written again at 120");
    bb_store_table_close(created);
    bb_store_table_close(written);
    bb_store_table_close(seen);
    side_close(&m);
}

/* When the element is due, on the test's clock. */
static int64_t
due_ns(struct side *x)
{
    struct bb_store_item item[2];
    cr_assert_eq(bb_store_scan(x->s, NULL, NULL, item, 2), 1);
    return test_boot_ns + item[0].expires_ns;
}

Test(store_table, replacing_moves_no_deadline_however_often)
{
    struct side m;
    struct small k, v;
    test_boot_ns = 100 * S_NS;
    test_wall_ns = 1000 * S_NS;
    side_open(&m, "m", BB_STORE_MASTER, 0);
    struct bb_store_table *t = table(&m, (struct bb_store_table_opts){.expire_ns = 100 * S_NS});
    cr_assert_eq(bb_store_table_add(t, text(&k, "a"), text(&v, "0")), 0);
    int64_t due = due_ns(&m);
    test_tick_ns = MS_NS;
    for (int i = 0; i < 20; i++) {
        cr_assert_eq(bb_store_table_add(t, text(&k, "a"), text(&v, i % 2 != 0 ? "0" : "1")), 0);
    }
    test_tick_ns = 0;
    cr_assert_eq(due_ns(&m), due);
    bb_store_table_close(t);
    side_close(&m);
}

Test(store_table, a_clones_element_lives_on_without_waiting)
{
    struct side m, c;
    struct small k;
    test_boot_ns = 100 * S_NS;
    test_wall_ns = 1000 * S_NS;
    side_open(&m, "m", BB_STORE_MASTER, 0);
    serve_begin(&m);
    side_open(&c, "c", BB_STORE_CLONE, 0);
    const struct bb_store_table_opts o = {.expire_ns = 100 * S_NS, .expire = BB_STORE_WRITE_EXPIRE};
    struct bb_store_table *t = table(&c, o);
    cr_assert_eq(bb_store_table_seen(t, text(&k, "a"), NULL), 0);
    for (int i = 0; i < 40; i++) { /* more than a window of them, and nobody polls for answers */
        test_boot_ns += 60 * S_NS;
        int64_t until = bbi_os_mono_ns() + 10 * S_NS;
        do {
            cr_assert_lt(bbi_os_mono_ns(), until, "round %d: it was not written again", i);
            cr_assert_eq(bb_store_table_seen(t, text(&k, "a"), NULL), 1);
        } while (due_ns(&c) < test_boot_ns + 100 * S_NS);
    }
    bb_store_table_close(t);
    side_close(&c);
    serve_end(&m);
    side_close(&m);
}

Test(store_table, wrong_options_are_refused)
{
    struct side m;
    struct bb_store_table *t = NULL;
    struct bb_error e = {0};
    side_open(&m, "m", BB_STORE_MASTER, 0);
    struct bb_store_table_opts o = {.size = sizeof(o), .name = "", .error = &e};
    cr_assert_eq(bb_store_table_open(&t, m.s, &o), BB_EINVAL);
    cr_assert_not_null(strstr(e.sentence, "255"), "%s", e.sentence);
    o.name = "n";
    o.expire_ns = -1;
    cr_assert_eq(bb_store_table_open(&t, m.s, &o), BB_EINVAL);
    o.expire_ns = 0;
    o.expire = 2;
    cr_assert_eq(bb_store_table_open(&t, m.s, &o), BB_EINVAL);
    bb_store_table_close(NULL);
    side_close(&m);
}
