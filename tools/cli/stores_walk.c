/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/stores_walk.c - cli_store_walk(): page by page.
 *
 * What is printed is made inside the view, where values lie in place, and written after it: the next page begins
 * behind a copy of the last key.  A page ends early when its text is large.
 */
#include "tools/cli/output.h"
#include "tools/cli/report.h"
#include "tools/cli/stores.h"

enum { PAGE_KEYS = 256, PAGE_BYTES = 1 << 20 };

struct pages {
    struct cli_store *store;
    struct cli_store_walk *walk;
    struct cli_buffer last; /* the key behind which the next page begins */
    struct cli_buffer out;
};

static size_t
page_max(const struct cli_store_walk *walk)
{
    uint64_t left = walk->limit - walk->count;
    return walk->limit != 0 && left < PAGE_KEYS ? (size_t)left : PAGE_KEYS;
}

/* put_page - one page into out.  How many, 0 at the end, or a status. */
static int64_t
put_page(struct pages *p)
{
    struct cli_store_walk *walk = p->walk;
    struct bb_store_item items[PAGE_KEYS];
    struct bb_value last = cli_store_value(&p->last);
    const struct bb_value *after = p->last.bytes > 0 ? &last : walk->after;
    int64_t n = bb_store_scan(p->store->s, walk->prefix, after, items, page_max(walk));
    int64_t done = 0;

    while (done < n && p->out.bytes < PAGE_BYTES) {
        walk->put(&p->out, &items[done++], walk->user);
    }
    if (done > 0) {
        p->last.bytes = 0;
        cli_buffer_put(&p->last, items[done - 1].key.p, items[done - 1].key.bytes);
        walk->count += (uint64_t)done;
    }
    if (p->out.err != 0 || p->last.err != 0) {
        return BB_ENOMEM;
    }
    return n < 0 ? n : done;
}

static int64_t
next_page(struct pages *p)
{
    if (p->walk->limit != 0 && p->walk->count >= p->walk->limit) {
        return 0;
    }
    if (p->walk->is_one_state || p->store->o->by_request) {
        return put_page(p);
    }
    int64_t n = bb_store_view_begin(p->store->s);
    if (n == 0) {
        n = put_page(p);
        bb_store_view_end(p->store->s);
    }
    return n;
}

int
cli_store_walk(struct cli_store *store, struct cli_store_walk *walk)
{
    struct pages p = {.store = store, .walk = walk};
    int64_t n = walk->is_one_state ? bb_store_view_begin(store->s) : 0;
    const int has_view = walk->is_one_state && n == 0;

    walk->count = 0;
    while (n >= 0 && !cli_stopped() && !cli_output_is_gone()) {
        n = next_page(&p);
        if (n <= 0) {
            break;
        }
        (void)cli_store_print(&p.out);
        if (cli_output_flush() != 0) {
            break;
        }
    }
    if (has_view) {
        bb_store_view_end(store->s);
    }
    cli_buffer_free(&p.out);
    cli_buffer_free(&p.last);
    return n < 0 ? cli_store_report(store, (int)n, "cannot read on") : CLI_DONE;
}
