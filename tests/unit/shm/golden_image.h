/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/unit/shm/golden_image.h - the bytes of one file of a bus, and their golden file as text.
 *
 * A golden file has a line `bytes N` and lines `OFFSET  16 bytes  |text|  names`; bytes that no line lists
 * are 0.  Text and names are for the reviewer of a difference and are not read.  Lines with # are comments.
 */
#ifndef BUSBAR_TESTS_UNIT_SHM_GOLDEN_IMAGE_H
#define BUSBAR_TESTS_UNIT_SHM_GOLDEN_IMAGE_H

#include "shm/segment.h"
#include "tests/unit/shm/layout_fields.h"
#include <criterion/criterion.h>

/* ---- images ---- */

enum { BUS, RING, SUB, IMAGES };
static const char *const image_names[] = {"bus", "ring", "subscriber"};

struct image {
    int which;
    unsigned char *base;
    uint64_t bytes;
};

static inline struct image
image_new(int which, uint64_t bytes)
{
    uint64_t room = bbi_align_up(bytes, BBI_PAGE_BYTES);
    struct image im = {.which = which, .base = aligned_alloc(BBI_PAGE_BYTES, room), .bytes = bytes};
    cr_assert_not_null(im.base);
    memset(im.base, 0, room);
    return im;
}

static inline struct image
image_copy(int which, const struct bbi_segment *seg)
{
    struct image im = image_new(which, seg->bytes);
    memcpy(im.base, seg->base, seg->bytes);
    return im;
}

/* count structs of a group, or plain bytes. */
struct area {
    const char *label, *group;
    uint64_t off, stride, count;
};

enum { AREAS_MAX = 10 };

static inline size_t
areas_of(const struct image *im, struct area out[AREAS_MAX])
{
    const struct bbi_ring_geom *g = &((const struct bbi_ident *)(const void *)im->base)->ring;
    const struct area identity = {"", "identity", 0, offsetof(struct bbi_ident, ring), 1};
    const struct area bus[] = {
        identity,
        {"member", "member", offsetof(struct bbi_bus, members), sizeof(struct bbi_member),
         BBI_MEMBERS},
        {"ring", "row", offsetof(struct bbi_bus, rings), sizeof(struct bbi_entry), BBI_RINGS},
        {"subscriber", "row", offsetof(struct bbi_bus, subs), sizeof(struct bbi_entry), BBI_SUBS},
        {"bell", "bell", offsetof(struct bbi_bus, bells), sizeof(struct bbi_bell), BBI_SUBS},
        {"", "bus", 0, sizeof(struct bbi_bus), 1},
    };
    const struct area ring[] = {
        identity,
        {"geometry", "geometry", offsetof(struct bbi_ident, ring), sizeof(*g), 1},
        {"evicted", "evicted", offsetof(struct bbi_ring, evicted), sizeof(struct bbi_evict),
         BBI_SUBS},
        {"", "ring", 0, offsetof(struct bbi_ring, evicted), 1},
        {"topic", "topic", g->dict_off, sizeof(struct bbi_dict_entry), g->dict_count},
        {"topics' bytes", "", g->text_off, g->text_bytes, 1},
        {"anchor", "anchor", g->anchor_off, sizeof(struct bbi_anchor), g->anchor_count},
        {"descriptor", "descriptor", g->desc_off, sizeof(struct bbi_desc), g->depth},
        {"payload", "", g->pay_off, g->pay_bytes, 1},
    };
    const struct area sub[] = {
        identity,
        {"filter", "filter", offsetof(struct bbi_sub, filters), sizeof(struct bbi_filter_table), 2},
        {"cursor", "cursor", offsetof(struct bbi_sub, cursors), sizeof(struct bbi_cursor),
         BBI_RINGS},
        {"", "subscriber", 0, sizeof(struct bbi_sub), 1},
    };
    const struct area *const all[] = {bus, ring, sub};
    const size_t counts[] = {sizeof(bus) / sizeof(bus[0]), sizeof(ring) / sizeof(ring[0]),
                             sizeof(sub) / sizeof(sub[0])};
    memcpy(out, all[im->which], counts[im->which] * sizeof(out[0]));
    return counts[im->which];
}

/* The name of the field at off, and where in it off is; "" if none is known. */
static inline uint64_t
name_byte(const struct image *im, uint64_t off, char *out, size_t cap)
{
    struct area areas[AREAS_MAX];
    size_t count = areas_of(im, areas);
    out[0] = '\0';
    for (size_t a = 0; a < count; a++) {
        const struct area *at = &areas[a];
        if (off < at->off || at->stride == 0 || off - at->off >= at->stride * at->count) {
            continue;
        }
        uint64_t idx = (off - at->off) / at->stride, in = (off - at->off) % at->stride;
        char label[48] = "";
        if (at->label[0] != '\0') {
            (void)snprintf(label, sizeof(label), at->count > 1 ? "%s[%llu]" : "%s", at->label,
                           (unsigned long long)idx);
        }
        if (at->group[0] == '\0') {
            (void)snprintf(out, cap, "%s", label);
            return in;
        }
        for (size_t i = 0; i < LAYOUT_FIELDS; i++) {
            const struct layout_field *f = &layout_fields[i];
            if (strcmp(f->group, at->group) == 0 && in - f->off < f->bytes) {
                (void)snprintf(out, cap, "%s%s%s", label, label[0] != '\0' ? "." : "", f->name);
                return in - f->off;
            }
        }
    }
    return 0;
}

/* 0 if they are the same; else how many bytes differ, and the first of them in words. */
static inline uint64_t
compare(const struct image *want, const struct image *got, char *out, size_t cap)
{
    uint64_t differ = 0, first = 0;
    if (want->bytes != got->bytes) {
        (void)snprintf(out, cap, "%s: the file has %llu bytes, expected %llu",
                       image_names[want->which], (unsigned long long)got->bytes,
                       (unsigned long long)want->bytes);
        return UINT64_MAX;
    }
    for (uint64_t i = 0; i < want->bytes; i++) {
        if (want->base[i] != got->base[i]) {
            first = differ == 0 ? i : first;
            differ++;
        }
    }
    if (differ > 0) {
        char name[96];
        uint64_t in = name_byte(want, first, name, sizeof(name));
        (void)snprintf(
            out, cap,
            "%s: offset 0x%llx, %s byte %llu: expected %02x, got %02x (%llu bytes differ)",
            image_names[want->which], (unsigned long long)first,
            name[0] != '\0' ? name : "no known field", (unsigned long long)in, want->base[first],
            got->base[first], (unsigned long long)differ);
    }
    return differ;
}

/* ---- golden files ---- */

static inline void
golden_path(int which, char *out, size_t cap)
{
    char file[64];
    (void)snprintf(file, sizeof(file), "tests/data/layout1/%s.txt", image_names[which]);
    layout_source_path(out, cap, file);
}

/* `OFFSET  16 bytes  |text|  names`; false if the line is not of that form. */
static inline bool
read_line(struct image *im, const char *line)
{
    char *p;
    uint64_t off = strtoull(line, &p, 16);
    if (p == line || off % 16 != 0 || off + 16 > im->bytes) {
        return false;
    }
    for (int i = 0; i < 16; i++) {
        const char *word = p;
        unsigned long v = strtoul(word, &p, 16);
        if (p == word || v > 0xff) {
            return false;
        }
        im->base[off + (uint64_t)i] = (unsigned char)v;
    }
    return true;
}

static inline struct image
golden_read(int which)
{
    char path[512], line[512];
    struct image im = {.which = which};
    golden_path(which, path, sizeof(path));
    FILE *f = fopen(path, "re");
    cr_assert_not_null(f, "cannot open %s: set BB_SOURCE_DIR to the source directory", path);
    while (fgets(line, sizeof(line), f) != NULL) {
        unsigned long long bytes;
        if (line[0] == '#') {
            continue;
        }
        if (im.base == NULL && sscanf(line, "bytes %llu", &bytes) == 1 && bytes < 1 << 24) {
            im = image_new(which, bytes);
            continue;
        }
        cr_assert(im.base != NULL && read_line(&im, line), "%s: not a line of an image: %s", path,
                  line);
    }
    (void)fclose(f);
    cr_assert_not_null(im.base, "%s: has no line 'bytes N'", path);
    return im;
}

static inline bool
is_zero(const unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i] != 0) {
            return false;
        }
    }
    return true;
}

static inline void
write_line(FILE *f, const struct image *im, uint64_t off)
{
    const char *gap = "  ";
    (void)fprintf(f, "%06llx ", (unsigned long long)off);
    for (uint64_t i = 0; i < 16; i++) {
        (void)fprintf(f, "%s%02x", i == 8 ? "  " : " ", im->base[off + i]);
    }
    (void)fprintf(f, "  |");
    for (uint64_t i = 0; i < 16; i++) {
        unsigned char c = im->base[off + i];
        (void)fputc(c >= 0x20 && c < 0x7f ? c : '.', f);
    }
    (void)fprintf(f, "|");
    for (uint64_t i = 0; i < 16; i++) {
        char name[96];
        if (name_byte(im, off + i, name, sizeof(name)) == 0 && name[0] != '\0') {
            (void)fprintf(f, "%s%s", gap, name);
            gap = ", ";
        }
    }
    (void)fprintf(f, "\n");
}

static inline void
golden_write(const struct image *im)
{
    char path[512], temp[520];
    golden_path(im->which, path, sizeof(path));
    (void)snprintf(temp, sizeof(temp), "%s.new", path);
    FILE *f = fopen(temp, "we");
    cr_assert_not_null(f, "cannot write %s", temp);
    (void)fprintf(f,
                  "# SPDX-License-Identifier: BSD-3-Clause\n"
                  "# Layout 1, frozen: see docs/layout.md and tests/unit/shm/layout_golden.c.\n"
                  "# Bytes that are not listed are 0.\nbytes %llu\n",
                  (unsigned long long)im->bytes);
    for (uint64_t off = 0; off < im->bytes; off += 16) {
        if (!is_zero(im->base + off, 16)) {
            write_line(f, im, off);
        }
    }
    cr_assert_eq(fclose(f), 0);
    cr_assert_eq(rename(temp, path), 0);
    cr_assert_fail(
        "%s was written anew, as BB_GOLDEN_WRITE asks: look at the difference, then run without it",
        path);
}

static inline void
check_image(const struct image *got)
{
    char words[256] = "";
    const char *write = getenv("BB_GOLDEN_WRITE");
    if (write != NULL && strcmp(write, "1") == 0) {
        golden_write(got);
        return;
    }
    struct image want = golden_read(got->which);
    cr_assert_eq(compare(&want, got, words, sizeof(words)), 0U,
                 "%s\nlayout 1 is frozen: see docs/layout.md, and the head of this test", words);
    free(want.base);
}

#endif
