/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/support/store.h"
#include "busbar/codec.h"
#include "shm/os.h"
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { VALUES = 32, VALUE_BYTES = 4096, TEXTS = 8, TEXT_BYTES = 4096 };

/* ---- values ---- */

struct bb_value
bbt_v(const char *text)
{
    static uint64_t made[VALUES][VALUE_BYTES / 8];
    static int turn;
    struct bb_codec_error err = {0};
    struct bb_builder b;
    struct bb_value v = {.p = NULL};
    if (text == NULL) {
        return v;
    }
    turn = (turn + 1) % VALUES;
    bb_build_init(&b, made[turn], VALUE_BYTES);
    bb_put_text(&b, BB_TYPE_ANY, text, strlen(text), &err);
    int64_t bytes = bb_build_end(&b);
    if (bytes < 0 || bb_value_open(&v, made[turn], (size_t)bytes) != 0) {
        cr_assert_fail("'%s' is no value: %s", text, err.sentence);
    }
    return v;
}

const char *
bbt_text(const struct bb_value *v)
{
    static char texts[TEXTS][TEXT_BYTES];
    static int turn;
    turn = (turn + 1) % TEXTS;
    if (v->p == NULL) {
        return "(no value)";
    }
    if (bb_value_text(v, texts[turn], TEXT_BYTES) < 0) {
        return "(damaged)";
    }
    return texts[turn];
}

uint64_t
bbt_count(const struct bb_value *v)
{
    uint64_t n = 0;
    if (v->p == NULL || bb_get_count(v, &n) != 0) {
        cr_assert_fail("%s is no count", bbt_text(v));
    }
    return n;
}

uint64_t
bbt_number(const char *name, uint64_t fallback)
{
    const char *text = getenv(name);
    return text != NULL && text[0] != '\0' ? strtoull(text, NULL, 10) : fallback;
}

/* ---- the clock ---- */

static int64_t
clock_boot(void *user)
{
    const struct bbt_clock *c = user;
    return (int64_t)bbi_load_acquire(&c->boot_ns);
}

static int64_t
clock_wall(void *user)
{
    const struct bbt_clock *c = user;
    return (int64_t)bbi_load_acquire(&c->wall_ns);
}

struct bbt_clock *
bbt_clock_new(void)
{
    struct bbt_clock *c =
        mmap(NULL, sizeof(*c), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq((void *)c, MAP_FAILED, "no memory to share");
    bbi_store_release(&c->boot_ns, (uint64_t)(1000 * BBT_S_NS));
    bbi_store_release(&c->wall_ns, UINT64_C(1700000000) * (uint64_t)BBT_S_NS);
    c->clock = (struct bb_store_clock){.boot_ns = clock_boot, .wall_ns = clock_wall, .user = c};
    return c;
}

void
bbt_clock_jump(struct bbt_clock *c, int64_t ns)
{
    (void)bbi_fetch_add_seq_cst(&c->wall_ns, (uint64_t)ns);
}

void
bbt_clock_add(struct bbt_clock *c, int64_t ns)
{
    (void)bbi_fetch_add_seq_cst(&c->boot_ns, (uint64_t)ns);
    bbt_clock_jump(c, ns);
}

/* ---- stores ---- */

int
bbt_store_try(struct bb_store **out,
              struct bb_endpoint *ep,
              const struct bb_store_opts *opts,
              struct bb_error *err)
{
    struct bb_store_opts o = *opts;
    o.size = sizeof(o);
    o.error = err;
    *err = (struct bb_error){0};
    *out = NULL;
    return bb_store_open(out, ep, &o);
}

struct bb_store *
bbt_store(struct bbt_side *side, struct bb_endpoint *ep, const struct bb_store_opts *opts)
{
    struct bb_error err;
    struct bb_store *s = NULL;
    int rc = bbt_store_try(&s, ep, opts, &err);
    BBT_CHECK(side, rc == 0, "store %s: %d, %s", opts->name, rc, err.sentence);
    return s;
}

static void
note_role(struct bbt_side *side, const struct bb_store *s, const struct bbt_served *p)
{
    uint64_t is_master = (uint64_t)bb_store_is_master(s);
    if (is_master != bbi_load_relaxed(&side->n[BBT_N_IS_MASTER])) {
        if (is_master != 0 && p->hook != NULL && !p->is_hooked_early) {
            bbt_hook_arm(side, p->hook, p->kth, p->sig != 0 ? p->sig : SIGKILL);
        }
        bbi_store_release(&side->n[BBT_N_SINCE_NS], (uint64_t)bbi_os_mono_ns());
        bbi_store_release(&side->n[BBT_N_IS_MASTER], is_master);
    }
}

void
bbt_serve(struct bbt_side *side, const void *served)
{
    const struct bbt_served *p = served;
    struct bb_endpoint *ep = bbt_endpoint(side, p->node, 0);
    struct bb_store *s = NULL;
    uint32_t done = 0;
    if (p->hook != NULL && p->is_hooked_early) {
        bbt_hook_arm(side, p->hook, p->kth, p->sig != 0 ? p->sig : SIGKILL);
    }
    if (p->is_tried) {
        struct bb_error err;
        int rc = bbt_store_try(&s, ep, &p->opts, &err);
        bbi_store_release(&side->n[BBT_N_RC], (uint64_t)(int64_t)rc);
        if (rc != 0) {
            (void)snprintf(side->said, sizeof(side->said), "%.500s", err.sentence);
            bb_endpoint_close(ep);
            bbt_at(side, BBT_SERVE_READY);
            return;
        }
    } else {
        s = bbt_store(side, ep, &p->opts);
    }
    note_role(side, s, p);
    bbt_at(side, BBT_SERVE_READY);
    while (done < BBT_SERVE_QUIT) {
        int rc = bb_store_poll(s, 10 * BBT_MS_NS);
        BBT_CHECK(side, rc >= 0, "%s: poll: %d", p->node, rc);
        bbi_store_release(&side->n[BBT_N_POLLS], bbi_load_relaxed(&side->n[BBT_N_POLLS]) + 1);
        note_role(side, s, p);
        uint32_t order = bbi_load_acquire(&side->go);
        if (order != done) {
            if (order < BBT_SERVE_QUIT && p->on_order != NULL) {
                p->on_order(side, s, order);
                bbt_at(side, BBT_SERVE_READY + order);
            }
            done = order;
        }
    }
    bb_store_close(s);
    bb_endpoint_close(ep);
}

void
bbt_served_quit(struct bbt_child *c)
{
    bbt_order(c, BBT_SERVE_QUIT);
    bbt_wait_end(c, 10000);
}
