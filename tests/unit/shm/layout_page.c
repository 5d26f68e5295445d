/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: docs/layout.md gives the offsets, sizes and lock bytes that the code has, and names every field.
 * Method: the page is read as it is printed: rows of its tables, and after a word that opens a paragraph
 * (*Member*, *Row* ...) each `field` that a number follows.  What the page says must be true, and what is
 * true must be on the page; fields called reserved or pad may be left out, as may those of a name only.
 */
#include "shm/ring.h"
#include "tests/unit/shm/layout_fields.h"
#include <criterion/criterion.h>
#include <ctype.h>

enum { PAGE_BYTES = 256 * 1024 };

static char page[PAGE_BYTES];

static void
set_up(void)
{
    char path[512];
    layout_source_path(path, sizeof(path), "docs/layout.md");
    FILE *f = fopen(path, "re");
    cr_assert_not_null(f, "cannot open %s: set BB_SOURCE_DIR to the source directory", path);
    size_t n = fread(page, 1, sizeof(page) - 1, f);
    cr_assert_gt(n, 0U);
    cr_assert_lt(n, sizeof(page) - 1, "the page is larger than the test's buffer");
    page[n] = '\0';
    (void)fclose(f);
}

TestSuite(layout_page, .init = set_up, .timeout = 20);

/* From where `begin` stands at the start of a line up to `end`; the caller's to free. */
static char *
part(const char *begin, const char *end)
{
    const char *at = strncmp(page, begin, strlen(begin)) == 0 ? page : NULL;
    for (const char *p = page; at == NULL && (p = strchr(p, '\n')) != NULL;) {
        p++;
        at = strncmp(p, begin, strlen(begin)) == 0 ? p : NULL;
    }
    cr_assert_not_null(at, "docs/layout.md has no line that begins with '%s'", begin);
    const char *stop = strstr(at, end);
    return stop == NULL ? strdup(at) : strndup(at, (size_t)(stop - at));
}

/* As one line. */
static char *
paragraph(const char *begin)
{
    char *text = part(begin, "\n\n");
    for (char *p = text; (p = strchr(p, '\n')) != NULL;) {
        *p = ' ';
    }
    return text;
}

static char *
section(const char *heading)
{
    return part(heading, "\n## ");
}

/* A number as the page writes it: 0x1f, 1,024, 4096; *end after it.  False if there is none. */
static bool
read_number(const char *p, const char **end, uint64_t *out)
{
    if (!isdigit((unsigned char)*p)) {
        return false;
    }
    if (p[0] == '0' && p[1] == 'x') {
        char *stop;
        *out = strtoull(p, &stop, 16);
        *end = stop;
        return true;
    }
    uint64_t v = 0;
    for (; isdigit((unsigned char)*p) || (*p == ',' && isdigit((unsigned char)p[1])); p++) {
        v = *p == ',' ? v : v * 10 + (uint64_t)(*p - '0');
    }
    *out = v;
    *end = p;
    return true;
}

/* ---- what is on the page ---- */

static bool is_said[LAYOUT_FIELDS];

static bool
is_group_field(size_t i, const char *group)
{
    return strcmp(layout_fields[i].group, group) == 0;
}

/* Notes that the page has the field at off; false if the code has not. */
static bool
say(const char *group, const char *name, uint64_t off)
{
    bool found = false;
    for (size_t i = 0; i < LAYOUT_FIELDS; i++) {
        if (is_group_field(i, group) && strcmp(layout_fields[i].name, name) == 0
            && layout_fields[i].off == off) {
            is_said[i] = true;
            found = true;
        }
    }
    return found;
}

static void
must_say(const char *group, const char *name, uint64_t off)
{
    char known[256] = "";
    for (size_t i = 0; i < LAYOUT_FIELDS; i++) {
        if (is_group_field(i, group) && strcmp(layout_fields[i].name, name) == 0) {
            size_t n = strlen(known);
            (void)snprintf(known + n, sizeof(known) - n, " 0x%x", layout_fields[i].off);
        }
    }
    cr_expect(
        say(group, name, off),
        "docs/layout.md: %s: `%s` stands at 0x%llx there, the code has it at%s: mend the page",
        group, name, (unsigned long long)off, known[0] != '\0' ? known : " no offset");
}

static void
all_said(const char *group)
{
    int n = 0;
    for (size_t i = 0; i < LAYOUT_FIELDS; i++) {
        const char *name = layout_fields[i].name;
        if (!is_group_field(i, group)) {
            continue;
        }
        n++;
        bool is_filler = strcmp(name, "reserved") == 0 || strcmp(name, "pad") == 0
                         || strcmp(name, "entries") == 0;
        cr_expect(is_said[i] || is_filler,
                  "docs/layout.md: %s: `%s` at 0x%x is missing there: add it", group, name,
                  layout_fields[i].off);
    }
    cr_assert_gt(n, 0, "no group '%s'", group);
}

/* The next `name` or `name[count]` of the text; what follows it is at *rest.  False at the end. */
static bool
next_name(const char **text, char *name, size_t cap, const char **rest)
{
    const char *open = strchr(*text, '`');
    const char *close = open == NULL ? NULL : strchr(open + 1, '`');
    if (close == NULL) {
        return false;
    }
    (void)snprintf(name, cap, "%.*s", (int)(close - open - 1), open + 1);
    name[strcspn(name, "[")] = '\0';
    *text = close + 1;
    *rest = close + 1;
    return true;
}

/* Each `name` with a number after it, with or without '+', is a field of the group at that offset. */
static int
pairs(const char *text, const char *group, uint64_t base, bool with_plus)
{
    char name[64];
    const char *rest;
    int n = 0;
    while (next_name(&text, name, sizeof(name), &rest)) {
        uint64_t off;
        bool is_plus = strncmp(rest, " +", 2) == 0;
        if (*rest == ' ' && is_plus == with_plus
            && read_number(rest + (is_plus ? 2 : 1), &rest, &off)) {
            must_say(group, name, base + off);
            n++;
        }
    }
    return n;
}

/* The rows of a table whose first cell is an offset: visit gets it and the text after the first cell. */
static void
rows(const char *text, void (*visit)(uint64_t off, const char *cells))
{
    char *copy = strdup(text), *save = NULL;
    for (char *line = strtok_r(copy, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        uint64_t off;
        const char *end;
        if (strncmp(line, "| ", 2) == 0 && read_number(line + 2, &end, &off)
            && strncmp(end, " |", 2) == 0) {
            visit(off, end + 2);
        }
    }
    free(copy);
}

/* A line that names what it holds: the first name stands at the row's offset, others say theirs with '+'. */
static void
named_row(uint64_t off, const char *cells, const char *group)
{
    char name[64];
    const char *rest, *text = cells;
    if (pairs(cells, group, off, true) == 0 && next_name(&text, name, sizeof(name), &rest)) {
        must_say(group, name, off);
    }
}

/* ---- the identity page ---- */

static void
identity_row(uint64_t off, const char *cells)
{
    uint64_t bytes = 0;
    char name[64] = "";
    const char *end = cells + 1;
    cr_assert(read_number(cells + 1, &end, &bytes), "row of offset %llu has no size",
              (unsigned long long)off);
    cr_assert_eq(sscanf(end, " | %63s", name), 1);
    must_say("identity", name, off);
    for (size_t i = 0; i < LAYOUT_FIELDS; i++) {
        if (is_group_field(i, "identity") && layout_fields[i].off == off) {
            cr_expect_eq(bytes, layout_fields[i].bytes, "docs/layout.md: %s has %u bytes", name,
                         layout_fields[i].bytes);
        }
    }
}

Test(layout_page, identity)
{
    char *text = section("## Identity");
    rows(text, identity_row);
    all_said("identity");
    char bytes[64];
    (void)snprintf(bytes, sizeof(bytes), "%zu bytes are used", sizeof(struct bbi_ident));
    cr_expect_not_null(strstr(text, bytes), "docs/layout.md: the identity has to say '%s'", bytes);
    free(text);
    text = paragraph("Geometry, from offset 264:");
    cr_assert_eq(offsetof(struct bbi_ident, ring), 264U);
    (void)pairs(text, "geometry", 0, true);
    all_said("geometry");
    free(text);
}

/* ---- bus.ctl ---- */

static void
bus_row(uint64_t off, const char *cells)
{
    named_row(off, cells, "bus");
}

/* A paragraph `*Word*, N bytes: ...` about one struct. */
static void
struct_paragraph(const char *word, const char *group, uint64_t bytes)
{
    uint64_t said = 0;
    char *text = paragraph(word);
    const char *p = text, *end;
    while (*p != '\0' && !isdigit((unsigned char)*p)) {
        p++;
    }
    cr_expect(read_number(p, &end, &said) && said == bytes,
              "docs/layout.md: %s has %llu bytes, not %llu", word, (unsigned long long)bytes,
              (unsigned long long)said);
    (void)pairs(text, group, 0, false);
    all_said(group);
    free(text);
}

/* A heading `## what: N bytes`. */
static void
heading_bytes(const char *heading, uint64_t bytes)
{
    const char *end;
    uint64_t said = 0;
    char *text = section(heading);
    cr_expect(read_number(text + strlen(heading), &end, &said) && said == bytes,
              "docs/layout.md: '%s' is %llu bytes, not %llu", heading, (unsigned long long)bytes,
              (unsigned long long)said);
    free(text);
}

Test(layout_page, bus)
{
    char *text = section("## bus.ctl");
    heading_bytes("## bus.ctl: ", sizeof(struct bbi_bus));
    rows(text, bus_row);
    all_said("bus");
    free(text);
    struct_paragraph("*Member*", "member", sizeof(struct bbi_member));
    struct_paragraph("*Row*", "row", sizeof(struct bbi_entry));
    struct_paragraph("*Bell*", "bell", sizeof(struct bbi_bell));
}

/* ---- the ring ---- */

static void
ring_row(uint64_t off, const char *cells)
{
    named_row(off, cells, "ring");
}

/* The row of a part whose place is in the geometry. */
static void
part_row(const char *first_cell, const char *group)
{
    char *text = part(first_cell, "\n");
    cr_expect_gt(pairs(text, group, 0, false), 0);
    all_said(group);
    free(text);
}

Test(layout_page, ring)
{
    char *text = section("## A ring file");
    rows(text, ring_row);
    all_said("ring");
    free(text);
    part_row("| 0x1300 | `evicted", "evicted");
    part_row("| `dict_off` |", "topic");
    part_row("| `anchor_off` |", "anchor");
    struct_paragraph("*Descriptor*", "descriptor", sizeof(struct bbi_desc));
}

/* 32,768 or 8 MiB or 256 KiB; *text moves behind it. */
static uint64_t
sized(const char **text)
{
    uint64_t v = 0;
    const char *p = *text;
    while (*p != '\0' && !isdigit((unsigned char)*p)) {
        p++;
    }
    cr_assert(read_number(p, &p, &v), "no number in '%s'", *text);
    *text = p;
    return strncmp(p, " MiB", 4) == 0 ? v << 20 : strncmp(p, " KiB", 4) == 0 ? v << 10 : v;
}

static void
lane_row(const char *cells)
{
    struct bbi_ring_geom g;
    struct bbi_ring_shape s = {.depth = (uint32_t)sized(&cells), .pay_bytes = sized(&cells)};
    s.dict_count = (uint32_t)sized(&cells);
    s.text_bytes = sized(&cells);
    uint64_t bytes = bbi_ring_footprint(&s, &g);
    const uint64_t want[] = {g.max_msg,  g.dict_off, g.text_off, g.anchor_off,
                             g.desc_off, g.pay_off,  bytes};
    static const char *const names[] = {"largest message", "dict_off", "text_off", "anchor_off",
                                        "desc_off",        "pay_off",  "file"};
    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        uint64_t said = sized(&cells);
        cr_expect_eq(said, want[i], "docs/layout.md: a ring of %u messages: %s is 0x%llx (%llu)",
                     s.depth, names[i], (unsigned long long)want[i], (unsigned long long)want[i]);
    }
}

Test(layout_page, ring_sizes)
{
    static const char *const lanes[] = {"| data |", "| control |", "| oneshot |"};
    for (int i = 0; i < 3; i++) {
        char *text = part(lanes[i], "\n");
        lane_row(text + strlen(lanes[i]));
        free(text);
    }
}

/* ---- the subscriber ---- */

static void
sub_row(uint64_t off, const char *cells)
{
    named_row(off, cells, "subscriber");
}

Test(layout_page, subscriber)
{
    char *text = section("## A subscriber file");
    heading_bytes("## A subscriber file: ", sizeof(struct bbi_sub));
    rows(text, sub_row);
    all_said("subscriber");
    free(text);
    part_row("| 0x2000 | `filters", "filter");
    struct_paragraph("*Cursor*", "cursor", sizeof(struct bbi_cursor));
}

/* ---- locks ---- */

Test(layout_page, locks)
{
    static const struct {
        const char *row;
        int64_t byte;
    } said[] = {
        {"| 0 | shared | every member: presence |", BBI_LOCK_PRESENCE},
        {"| 1 | exclusively | the steward", BBI_LOCK_STEWARD},
        {"| 1000 + slot |", BBI_LOCK_MEMBER},
        {"| 10000 + row | exclusively | the owner of that ring", BBI_LOCK_RING},
        {"| 20000 + row | exclusively | the owner of that subscriber", BBI_LOCK_SUB},
        {"| 100000 + one of the last three |", BBI_LOCK_TIDY},
    };
    for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
        char *row = part(said[i].row, "\n");
        cr_expect_eq(strtoll(row + 2, NULL, 10), said[i].byte, "docs/layout.md: '%s'", row);
        free(row);
    }
    cr_expect_eq(BBI_LOCK_NAME, INT64_C(1) << 62);
    free(part("| 2^62 + 62 bits of XXH3 of the name |", "\n"));
}
