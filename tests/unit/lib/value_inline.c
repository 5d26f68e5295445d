/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: what value_inline.h does within the caller is what the exported function of the same name does, byte
 * for byte and status for status; the bb_next_... functions keep their promise; no window is left.
 * Method: each operation is done both ways (a name without arguments after it is the exported function) on
 * random values, in buffers that are too small as well, and on windows that are cut or have flipped bits.
 * Buffers and windows have their exact size, so that the address sanitizer sees one byte too many.
 */
#include <busbar/value.h>

#include "tests/unit/lib/random_value.h"
#include <criterion/criterion.h>
#include <stdalign.h>

#ifdef BB_NO_INLINE
#    error "this test compares with the inlined functions"
#endif

/* ---- building ---------------------------------------------------------------------------------- */

/* What one operation puts. */
struct item {
    uint32_t op;
    uint64_t word;
    double real;
    uint8_t ip[16];
    char text[80];
    size_t text_bytes;
};

enum { OPS = 19 };

static struct item
random_item(void)
{
    /* Most lengths are short; all residues of 8, and the border of the short copy, come up. */
    struct item item = {.op = rnd_below(OPS), .word = rnd(), .text_bytes = rnd_below(80)};
    if (rnd_below(2) == 0) {
        item.text_bytes = rnd_below(20);
    }
    item.real = (double)item.word;
    rnd_ip(item.ip);
    for (size_t i = 0; i < item.text_bytes; i++) {
        item.text[i] = (char)rnd();
    }
    return item;
}

static void
put_inlined(struct bb_builder *b, const struct item *item)
{
    switch (item->op) {
    case 0:
        bb_put_none(b);
        break;
    case 1:
        bb_put_boolean(b, (int)(item->word % 3));
        break;
    case 2:
        bb_put_count(b, item->word);
        break;
    case 3:
        bb_put_integer(b, (int64_t)item->word);
        break;
    case 4:
        bb_put_real(b, item->real);
        break;
    case 5:
        bb_put_timestamp(b, (int64_t)item->word);
        break;
    case 6:
        bb_put_timespan(b, (int64_t)item->word);
        break;
    case 7:
    case 8:
        bb_put_string(b, item->text, item->text_bytes);
        break;
    case 9:
        bb_put_enum(b, item->text, item->text_bytes);
        break;
    case 10:
        bb_put_address(b, item->ip);
        break;
    case 11: /* now and then an impossible protocol */
        bb_put_port(b, (uint16_t)item->word, (enum bb_protocol)(item->word >> 16 & 63 ? 2 : 4));
        break;
    case 12:
    case 13:
        bb_event_begin(b, item->text, item->text_bytes);
        break;
    case 14:
    case 15:
        bb_event_end(b);
        break;
    case 16:
        bb_event_meta(b, item->word);
        break;
    case 17:
        bb_put_vector_begin(b);
        break;
    default:
        bb_put_end(b);
        break;
    }
}

/* The same through the exported functions; the switch is one of names, not of calls. */
static void
put_exported(struct bb_builder *b, const struct item *item)
{
    switch (item->op) {
    case 0:
        (bb_put_none)(b);
        break;
    case 1:
        (bb_put_boolean)(b, (int)(item->word % 3));
        break;
    case 2:
        (bb_put_count)(b, item->word);
        break;
    case 3:
        (bb_put_integer)(b, (int64_t)item->word);
        break;
    case 4:
        (bb_put_real)(b, item->real);
        break;
    case 5:
        (bb_put_timestamp)(b, (int64_t)item->word);
        break;
    case 6:
        (bb_put_timespan)(b, (int64_t)item->word);
        break;
    case 7:
    case 8:
        (bb_put_string)(b, item->text, item->text_bytes);
        break;
    case 9:
        (bb_put_enum)(b, item->text, item->text_bytes);
        break;
    case 10:
        (bb_put_address)(b, item->ip);
        break;
    case 11:
        (bb_put_port)(b, (uint16_t)item->word, (enum bb_protocol)(item->word >> 16 & 63 ? 2 : 4));
        break;
    case 12:
    case 13:
        (bb_event_begin)(b, item->text, item->text_bytes);
        break;
    case 14:
    case 15:
        (bb_event_end)(b);
        break;
    default:
        put_inlined(b, item); /* has no inlined form */
        break;
    }
}

/* Puts that no event misuses, so that many scripts end well: at most one error in a script stops the rest. */
static uint32_t
random_script(struct item items[], uint32_t max)
{
    uint32_t n = 1 + rnd_below(max);
    for (uint32_t i = 0; i < n; i++) {
        items[i] = random_item();
    }
    if (rnd_below(4) != 0) { /* an event around leaves */
        for (uint32_t i = 0; i < n; i++) {
            items[i].op %= 12;
        }
        items[0].op = 12;
        if (rnd_below(4) == 0 && n > 3) {
            items[n - 3].op = 16;
            items[n - 2].op = 2;
        }
        items[n - 1].op = n > 1 ? 14 : 2;
    }
    return n;
}

enum { SCRIPT_MAX = 14 };

/* Runs the script both ways, a third time in turn, into buffers of cap bytes each. */
static int64_t
compare_builders(const struct item items[], uint32_t n, size_t cap)
{
    struct bb_builder b[3];
    unsigned char *bufs[3];
    for (int k = 0; k < 3; k++) {
        bufs[k] = cap == 0 ? NULL : malloc(cap);
        if (bufs[k] != NULL) {
            memset(bufs[k], 0xee, cap);
        }
    }
    bb_build_init(&b[0], bufs[0], cap);
    (bb_build_init)(&b[1], bufs[1], cap);
    bb_build_init(&b[2], bufs[2], cap);
    for (uint32_t i = 0; i < n; i++) {
        put_inlined(&b[0], &items[i]);
        put_exported(&b[1], &items[i]);
        (rnd_below(2) == 0 ? put_inlined : put_exported)(&b[2], &items[i]);
        for (int k = 0; k < 2; k++) {
            cr_assert_eq(b[k].need_bytes, b[2].need_bytes, "after op %u", items[i].op);
            cr_assert_eq(b[k].err, b[2].err, "after op %u", items[i].op);
            cr_assert_eq(b[k].cap_bytes, b[2].cap_bytes);
        }
    }
    int64_t ends[3] = {bb_build_end(&b[0]), (bb_build_end)(&b[1]), bb_build_end(&b[2])};
    for (int k = 0; k < 3; k++) {
        cr_assert_eq(ends[k], ends[0]);
        if (ends[0] > 0) {
            cr_assert_eq(memcmp(bufs[k], bufs[0], cap), 0, "also what lies behind it");
        }
    }
    if (ends[0] > 0) {
        struct bb_value v;
        cr_assert_eq(bb_value_open(&v, bufs[0], (size_t)ends[0]), 0);
        cr_assert_eq(bb_value_check(&v), 0);
    }
    for (int k = 0; k < 3; k++) {
        free(bufs[k]);
    }
    return ends[0];
}

Test(value_inline, builds_what_the_exported_functions_build, .timeout = 60)
{
    static struct item items[SCRIPT_MAX];
    uint32_t good = 0, small = 0, wrong = 0;
    rnd_seed("builds");
    for (int round = 0; round < 20000; round++) {
        uint32_t n = random_script(items, SCRIPT_MAX);
        struct bb_builder measure;
        bb_build_init(&measure, NULL, 0);
        for (uint32_t i = 0; i < n; i++) {
            put_inlined(&measure, &items[i]);
        }
        cr_assert_eq(compare_builders(items, n, 0), bb_build_end(&measure));
        size_t need = measure.need_bytes;
        int64_t end = compare_builders(items, n, need + rnd_below(2) * 24);
        good += end > 0;
        wrong += end < 0;
        cr_assert(end < 0 || end == (int64_t)need, "the measuring pass was exact");
        /* A script that is wrong may find that before it runs out of room. */
        small += compare_builders(items, n, rnd_below((uint32_t)need + 1)) == BB_EMSGSIZE;
    }
    cr_assert_gt(good, 1000);
    cr_assert_gt(small, 1000);
    cr_assert_gt(wrong, 1000);
}

Test(value_inline, text_too_long_for_the_short_way, .timeout = 60)
{
    enum { BORDER = 1 << 16 };
    char *text = malloc(BORDER + 9);
    unsigned char *a = malloc(BORDER + 128), *b = malloc(BORDER + 128);
    memset(text, 'x', BORDER + 9);
    for (size_t n = BORDER - 9; n < BORDER + 9; n++) {
        struct bb_builder inlined, exported;
        memset(a, 0xee, BORDER + 128);
        memset(b, 0xee, BORDER + 128);
        bb_build_init(&inlined, a, BORDER + 128);
        bb_build_init(&exported, b, BORDER + 128);
        bb_event_begin(&inlined, text, n);
        bb_event_end(&inlined);
        (bb_event_begin)(&exported, text, n);
        (bb_event_end)(&exported);
        bb_put_enum(&inlined, "ab", 2);
        (bb_put_enum)(&exported, "ab", 2);
        cr_assert_gt(bb_build_end(&inlined), 0);
        cr_assert_eq(bb_build_end(&inlined), bb_build_end(&exported));
        cr_assert_eq(memcmp(a, b, BORDER + 128), 0);
    }
    struct bb_builder huge;
    bb_build_init(&huge, a, BORDER + 128);
    bb_put_string(&huge, text, SIZE_MAX - 3); /* never read: there is no such room */
    bb_put_count(&huge, 1);
    cr_assert_eq(bb_build_end(&huge), BB_EMSGSIZE);
    cr_assert_gt(huge.need_bytes, UINT32_MAX);
    free(text);
    free(a);
    free(b);
}

/* ---- reading ----------------------------------------------------------------------------------- */

/* One accessor's answer: status and all that it may write, which begins as 0xaa. */
struct answer {
    alignas(8) unsigned char out[24];
    int rc;
};

/* BOTH_ONE and BOTH_TWO ask both ways, for accessors with one output and with two. */
#define BOTH_ONE(verb, type, at_a, at_b)                                                           \
    do {                                                                                           \
        a.rc = bb_##verb##_##type((at_a), (void *)a.out);                                          \
        b.rc = (bb_##verb##_##type)((at_b), (void *)b.out);                                        \
    } while (0)
#define BOTH_TWO(verb, type, at_a, at_b)                                                           \
    do {                                                                                           \
        a.rc = bb_##verb##_##type((at_a), (void *)a.out, (void *)(a.out + 8));                     \
        b.rc = (bb_##verb##_##type)((at_b), (void *)b.out, (void *)(b.out + 8));                   \
    } while (0)

#define EACH_TYPE(verb, at_a, at_b, type)                                                          \
    switch (type) {                                                                                \
    case BB_BOOLEAN:                                                                               \
        BOTH_ONE(verb, boolean, at_a, at_b);                                                       \
        break;                                                                                     \
    case BB_COUNT:                                                                                 \
        BOTH_ONE(verb, count, at_a, at_b);                                                         \
        break;                                                                                     \
    case BB_INTEGER:                                                                               \
        BOTH_ONE(verb, integer, at_a, at_b);                                                       \
        break;                                                                                     \
    case BB_REAL:                                                                                  \
        BOTH_ONE(verb, real, at_a, at_b);                                                          \
        break;                                                                                     \
    case BB_STRING:                                                                                \
        BOTH_TWO(verb, string, at_a, at_b);                                                        \
        break;                                                                                     \
    case BB_ADDRESS:                                                                               \
        BOTH_ONE(verb, address, at_a, at_b);                                                       \
        break;                                                                                     \
    case BB_PORT:                                                                                  \
        BOTH_TWO(verb, port, at_a, at_b);                                                          \
        break;                                                                                     \
    case BB_TIMESTAMP:                                                                             \
        BOTH_ONE(verb, timestamp, at_a, at_b);                                                     \
        break;                                                                                     \
    case BB_TIMESPAN:                                                                              \
        BOTH_ONE(verb, timespan, at_a, at_b);                                                      \
        break;                                                                                     \
    default:                                                                                       \
        BOTH_TWO(verb, enum, at_a, at_b);                                                          \
        break;                                                                                     \
    }

static struct answer
no_answer(void)
{
    struct answer none;
    memset(&none, 0xaa, sizeof(none));
    return none;
}

/* All accessors at one window, both ways; how many said yes. */
static uint32_t
compare_gets(const struct bb_value *v)
{
    uint32_t good = 0;
    for (int type = BB_BOOLEAN; type <= BB_ENUM; type++) {
        struct answer a = no_answer(), b = a;
        EACH_TYPE(get, v, v, type);
        cr_assert_eq(a.rc, b.rc, "get of type %d: %d, exported %d", type, a.rc, b.rc);
        cr_assert_eq(memcmp(a.out, b.out, sizeof(a.out)), 0, "get of type %d", type);
        good += a.rc == 0;
    }
    return good;
}

/* All typed steps from one cursor, both ways; 1 if one moved on. */
static uint32_t
compare_steps(struct bb_iter *it)
{
    struct bb_iter moved = *it;
    uint32_t good = 0;
    for (int type = BB_BOOLEAN; type <= BB_ENUM; type++) {
        struct answer a = no_answer(), b = a;
        struct bb_iter at_a = *it, at_b = *it;
        EACH_TYPE(next, &at_a, &at_b, type);
        cr_assert_eq(a.rc, b.rc, "next of type %d: %d, exported %d", type, a.rc, b.rc);
        cr_assert_eq(memcmp(a.out, b.out, sizeof(a.out)), 0, "next of type %d", type);
        cr_assert_eq(at_a.rest.p, at_b.rest.p);
        cr_assert_eq(at_a.rest.bytes, at_b.rest.bytes);
        cr_assert_eq(at_a.left, at_b.left);
        if (a.rc == 0) {
            moved = at_a;
            good = 1;
        } else {
            cr_assert_eq(at_a.rest.p, it->rest.p, "a refusal moves nothing");
            cr_assert_eq(at_a.left, it->left);
        }
    }
    *it = moved;
    return good;
}

static uint32_t
compare_event(const unsigned char *p, size_t bytes)
{
    struct bb_event a, b;
    struct bb_iter at_a, at_b;
    memset(&a, 0xaa, sizeof(a));
    memset(&b, 0xaa, sizeof(b));
    int rc = bb_event_open(&a, p, bytes);
    cr_assert_eq(rc, (bb_event_open)(&b, p, bytes));
    cr_assert_eq(a.name, b.name);
    cr_assert_eq(a.name_bytes, b.name_bytes);
    cr_assert_eq(a.arg_count, b.arg_count);
    cr_assert_eq(a.args.p, b.args.p);
    cr_assert_eq(a.args.bytes, b.args.bytes);
    cr_assert_eq(a.metadata.p, b.metadata.p);
    cr_assert_eq(a.metadata.bytes, b.metadata.bytes);
    if (rc < 0) {
        return 0;
    }
    cr_assert_eq(bb_event_args(&at_a, &a), (bb_event_args)(&at_b, &b));
    cr_assert_eq(at_a.rest.p, at_b.rest.p);
    cr_assert_eq(at_a.rest.bytes, at_b.rest.bytes);
    cr_assert_eq(at_a.left, at_b.left);
    while (compare_steps(&at_a) == 1) {
    }
    return 1;
}

/* Heads are what decides: bits flip in one of the first words, or a word becomes a head of any type. */
static void
disturb(unsigned char *p, size_t bytes)
{
    size_t words = bytes / 8;
    size_t off = words == 0 ? 0 : 8 * (size_t)rnd_below((uint32_t)words);
    if (words == 0) {
        return;
    }
    uint64_t word;
    memcpy(&word, p + off, 8);
    switch (rnd_below(4)) {
    case 0:
        word ^= UINT64_C(1) << rnd_below(64);
        break;
    case 1:
        word = (word & ~UINT64_C(0xffffffff)) | rnd_below(64);
        break;
    case 2:
        word = (word & UINT64_C(0xffffff00ffffffff)) | (uint64_t)rnd_below(17) << 32;
        break;
    default:
        word -= 1 + rnd_below(16); /* borrows from the type when the length is small */
        break;
    }
    memcpy(p + off, &word, 8);
}

static unsigned char *
random_event(size_t *bytes)
{
    struct item items[SCRIPT_MAX];
    unsigned char big[SCRIPT_MAX * 128];
    struct bb_builder b;
    int64_t end;
    do {
        uint32_t n = random_script(items, SCRIPT_MAX);
        bb_build_init(&b, big, sizeof(big));
        for (uint32_t i = 0; i < n; i++) {
            put_exported(&b, &items[i]);
        }
        end = bb_build_end(&b);
    } while (end <= 0);
    *bytes = (size_t)end;
    unsigned char *exact = malloc(*bytes);
    memcpy(exact, big, *bytes);
    return exact;
}

Test(value_inline, reads_what_the_exported_functions_read, .timeout = 60)
{
    uint32_t events = 0, values = 0, refused = 0;
    rnd_seed("reads");
    for (int round = 0; round < 30000; round++) {
        size_t bytes;
        unsigned char *whole = random_event(&bytes);
        for (uint32_t n = round % 3 == 0 ? 0 : 1 + rnd_below(3); n > 0; n--) {
            disturb(whole, bytes);
        }
        size_t from = rnd_below(3) == 0 ? 8 * (size_t)rnd_below((uint32_t)bytes / 8) : 0;
        size_t kept = rnd_below(3) == 0 ? rnd_below((uint32_t)(bytes - from) + 1) : bytes - from;
        unsigned char *part = malloc(kept + (kept == 0));
        memcpy(part, whole + from, kept);
        uint32_t was_event = compare_event(part, kept);
        events += was_event;
        refused += was_event == 0;
        values += compare_gets(&(struct bb_value){part, kept});
        values += compare_steps(&(struct bb_iter){{part, kept}, rnd_below(3)});
        free(part);
        free(whole);
    }
    cr_assert_gt(events, 5000);
    cr_assert_gt(refused, 5000);
    cr_assert_gt(values, 1000);
}

/* Every offset in an event, every length from there: nothing outside is read, and both ways agree. */
Test(value_inline, every_window_of_an_event, .timeout = 60)
{
    unsigned char buf[256];
    struct bb_builder b;
    bb_build_init(&b, buf, sizeof(buf));
    bb_event_begin(&b, "scan_seen", 9);
    bb_put_boolean(&b, 1);
    bb_put_string(&b, "www.example.org", 15);
    bb_put_port(&b, 80, BB_PROTO_TCP);
    bb_put_address(&b, (const uint8_t[16]){1, 2, 3});
    bb_put_enum(&b, "A", 1);
    bb_event_end(&b);
    int64_t end = bb_build_end(&b);
    cr_assert_gt(end, 0);
    for (size_t from = 0; from < (size_t)end; from += 4) {
        for (size_t kept = 0; kept <= (size_t)end - from; kept++) {
            unsigned char *part = malloc(kept + (kept == 0));
            memcpy(part, buf + from, kept);
            (void)compare_event(part, kept);
            (void)compare_gets(&(struct bb_value){part, kept});
            (void)compare_steps(&(struct bb_iter){{part, kept}, 2});
            free(part);
        }
    }
}

/* A head at off, if there is room. */
static void
put_head(unsigned char *p, size_t bytes, size_t off, uint64_t head)
{
    if (off <= bytes && bytes - off >= sizeof(head)) {
        memcpy(p + off, &head, sizeof(head));
    }
}

/* Lengths that are no multiple of 8, and that end within the padding or the head of what follows. */
Test(value_inline, every_length_that_an_event_may_claim, .timeout = 60)
{
    enum { MOST = 72 };
    uint32_t good = 0;
    for (uint32_t whole = 0; whole <= MOST; whole++) {
        for (uint32_t name = 0; name <= MOST; name++) {
            for (uint32_t args = 0; args <= MOST - 24; args++) {
                size_t args_off = 16 + ((name + (size_t)7) & ~(size_t)7);
                unsigned char *exact = calloc(1, whole + (whole == 0));
                put_head(exact, whole, 0, whole | (uint64_t)BB_VECTOR << 32);
                put_head(exact, whole, 8, 2);
                put_head(exact, whole, 16, name | (uint64_t)BB_STRING << 32);
                put_head(exact, whole, args_off, args | (uint64_t)BB_VECTOR << 32);
                good += compare_event(exact, whole);
                free(exact);
            }
        }
    }
    cr_assert_gt(good, 100);
}

Test(value_inline, steps_go_on_after_another_type, .timeout = 20)
{
    unsigned char buf[256];
    struct bb_builder b;
    struct bb_event ev = {.name = NULL};
    struct bb_iter it;
    struct bb_value v;
    uint64_t count = 7;
    uint32_t bits = 0;
    uint8_t ip[16] = {0};
    int64_t ns = 0;
    bb_build_init(&b, buf, sizeof(buf));
    bb_event_begin(&b, "e", 1);
    bb_put_timestamp(&b, 5);
    bb_put_none(&b);
    bb_put_subnet(&b, (const uint8_t[16]){0xfe, 0x80}, 10);
    bb_event_end(&b);
    cr_assert_eq(bb_event_open(&ev, buf, (size_t)bb_build_end(&b)), 0);
    cr_assert_eq(bb_event_args(&it, &ev), 3);
    cr_assert_eq(bb_next_count(&it, &count), BB_ETYPE);
    cr_assert_eq(count, 7);
    cr_assert_eq(bb_next_timestamp(&it, &ns), 0);
    cr_assert_eq(ns, 5);
    cr_assert_eq(bb_next_count(&it, &count), BB_ETYPE);
    cr_assert_eq(bb_iter_next(&it, &v), 0);
    cr_assert_eq(bb_value_type(&v), BB_NONE);
    cr_assert_eq(bb_next_address(&it, ip), BB_ETYPE);
    cr_assert_eq(bb_next_subnet(&it, ip, &bits), 0);
    cr_assert_eq(ip[0], 0xfe);
    cr_assert_eq(bits, 10);
    cr_assert_eq(bb_next_count(&it, &count), BB_EEND);
    cr_assert_eq(bb_next_subnet(&it, ip, &bits), BB_EEND);
}

/* A view that is overwritten between the opening and the reading. */
Test(value_inline, an_event_that_changes_is_refused, .timeout = 20)
{
    unsigned char *buf = malloc(104);
    struct bb_builder b;
    struct bb_event ev = {.name = NULL};
    struct bb_iter it;
    uint64_t count;
    const char *s;
    size_t bytes;
    bb_build_init(&b, buf, 104);
    bb_event_begin(&b, "scan_seen", 9);
    bb_put_count(&b, 1);
    bb_put_string(&b, "0123456789", 10);
    bb_put_port(&b, 1, BB_PROTO_UDP);
    bb_event_end(&b);
    cr_assert_eq(bb_build_end(&b), 104);
    for (int byte = 0; byte < 256; byte += 5) {
        unsigned char *view = malloc(104);
        memcpy(view, buf, 104);
        cr_assert_eq(bb_event_open(&ev, view, 104), 0);
        cr_assert_eq(bb_event_args(&it, &ev), 3);
        memset(view, byte, 104);
        cr_assert_neq(bb_next_count(&it, &count), 0);
        cr_assert_neq(bb_next_string(&it, &s, &bytes), 0);
        memcpy(view, buf, 104);
        cr_assert_eq(bb_next_count(&it, &count), 0);
        view[72] = 0xff; /* the string now says that it is 255 bytes long */
        cr_assert_eq(bb_next_string(&it, &s, &bytes), BB_ECORRUPT);
        free(view);
    }
    free(buf);
}
