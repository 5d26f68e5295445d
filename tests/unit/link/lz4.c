/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: what LZ4 made comes back whole, what cannot get shorter is left alone, and of hostile blocks nothing is written
 * beyond the room that was given, nothing read beyond the block; a link ends with a sentence then.
 * Method: random, repeated and mixed data of many sizes; blocks that are cut, changed, or say that they are longer; all in
 * memory that is as long as it may be touched, so that the sanitizers see one byte too far.
 */
#include "lib/link/lz4.h"
#include "tests/unit/bridge/raw_peer.h"

TestSuite(lz4, .timeout = 60);

enum data { RANDOM, SAME, LINES, DATA_KINDS };

static void
fill(unsigned char *p, size_t bytes, enum data kind, uint64_t seed)
{
    static const char line[] = "{\"uid\":\"C4J4Th3PJpwUYZZ6gc\",\"id.orig_p\":";
    struct pair source = {.random = seed * 2 + 1};
    for (size_t i = 0; i < bytes; i++) {
        uint64_t r = next_random(&source);
        p[i] = kind == RANDOM ? (unsigned char)(r >> 32)
               : kind == SAME ? 'x'
                              : (unsigned char)(line[i % (sizeof(line) - 1)] + (r % 16 == 0));
    }
}

/* Memory of exactly so many bytes. */
static unsigned char *
exact(size_t bytes)
{
    unsigned char *p = malloc(bytes != 0 ? bytes : 1);
    cr_assert_not_null(p);
    return p;
}

static size_t
there_and_back(const unsigned char *plain, size_t bytes, size_t cap)
{
    unsigned char *room = exact(cap);
    size_t made = bbi_lz4.compress(plain, bytes, room, cap);
    cr_assert_leq(made, cap);
    if (made > 0) {
        unsigned char *block = exact(made), *back = exact(bytes);
        memcpy(block, room, made);
        cr_assert_eq(bbi_lz4.decompress(block, made, back, bytes), bytes);
        cr_assert_eq(memcmp(back, plain, bytes), 0);
        cr_assert_eq(bbi_lz4.decompress(block, made, back, bytes - 1), 0, "one byte less room");
        free(block);
        free(back);
    }
    free(room);
    return made;
}

Test(lz4, there_and_back)
{
    static const size_t sizes[] = {1, 13, 512, 4096, 32 << 10, 100001, BBI_LINK_FRAME_MAX};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (int kind = 0; kind < DATA_KINDS; kind++) {
            size_t bytes = sizes[i];
            unsigned char *plain = exact(bytes);
            fill(plain, bytes, (enum data)kind, i + 7);
            size_t made = there_and_back(plain, bytes, bytes - bytes / 16);
            if (kind == RANDOM) {
                cr_assert_eq(made, 0, "%zu random bytes became %zu", bytes, made);
            } else if (bytes >= 512) {
                cr_assert_gt(made, 0);
                cr_assert_lt(made, kind == SAME ? bytes / 10 : bytes * 3 / 4, "%zu of %zu", made,
                             bytes);
            }
            free(plain);
        }
    }
}

/* Whatever one bit becomes, or wherever the block ends: not a byte too far, and never more than cap. */
Test(lz4, changed_blocks_do_no_harm)
{
    enum { BYTES = 3000 };
    unsigned char *plain = exact(BYTES), *room = exact(BYTES), *back = exact(BYTES);
    fill(plain, BYTES, LINES, 5);
    size_t made = bbi_lz4.compress(plain, BYTES, room, BYTES);
    cr_assert_gt(made, 100);
    for (size_t at = 0; at < made * 8; at++) {
        unsigned char *block = exact(made);
        memcpy(block, room, made);
        block[at / 8] ^= (unsigned char)(1u << (at % 8));
        cr_assert_leq(bbi_lz4.decompress(block, made, back, BYTES), BYTES);
        free(block);
    }
    for (size_t cut = 0; cut < made; cut++) {
        unsigned char *block = exact(cut);
        memcpy(block, room, cut);
        cr_assert_lt(bbi_lz4.decompress(block, cut, back, BYTES), BYTES, "cut at %zu", cut);
        free(block);
    }
    free(plain);
    free(room);
    free(back);
}

/* 64 MiB of zeros in 260 KiB: no more than the room that there is. */
Test(lz4, a_bomb_finds_no_more_room)
{
    enum { PLAIN = 64 << 20, ROOM = BBI_LINK_FRAME_MAX };
    unsigned char *zeros = calloc(1, PLAIN), *bomb = exact(1 << 20), *back = exact(ROOM);
    cr_assert_not_null(zeros);
    size_t made = bbi_lz4.compress(zeros, PLAIN, bomb, 1 << 20);
    cr_assert_gt(made, 0);
    cr_assert_lt(made, 300 << 10);
    cr_assert_eq(bbi_lz4.decompress(bomb, made, back, ROOM), 0);
    cr_assert_eq(bbi_lz4.decompress(bomb, made, back, 0), 0);
    cr_assert_eq(bbi_lz4.compress(zeros, SIZE_MAX, bomb, 1 << 20), 0, "beyond what it can");
    free(zeros);
    free(bomb);
    free(back);
}

/* ---- hostile frames -------------------------------------------------------------------------------------------- */

/* A message with so many equal bytes, as it stands in DATA. */
static size_t
write_one(unsigned char *out, const void *data, size_t bytes)
{
    const struct bbi_link_msg msg = {.origin = {.name = "n", .name_bytes = 1},
                                     .seq = 1,
                                     .topic = "t",
                                     .topic_bytes = 1,
                                     .bytes = bytes};
    unsigned char *p = bbi_msg_write_head(out, &msg, BBI_MSG_HAS_ORIGIN | BBI_MSG_HAS_TOPIC);
    return (size_t)(bbi_put_bytes(p, data, bytes) - out);
}

/* DATA with one message, whose head says `plain`, around a block. */
static void
say_block(struct pair *p, uint32_t plain, const void *block, size_t bytes)
{
    static unsigned char body[BBI_LINK_FRAME_MAX];
    unsigned char *at = bbi_put_le32(bbi_put_le32(body, 1), plain);
    (void)bbi_put_bytes(at, block, bytes);
    raw_frame(p, BBI_LINK_DATA, BBI_LINK_CRITICAL | BBI_LINK_COMPRESSED, 1, body,
              BBI_DATA_HEAD_BYTES + bytes);
}

static void
refused(struct pair *p, uint32_t plain, const void *block, size_t bytes, const char *what)
{
    say_block(p, plain, block, bytes);
    check_told(p, BBI_CLOSE_PROTOCOL, what);
    cr_assert_eq(p->a.delivered, 0, "%s", what);
    raw_again(p);
}

Test(lz4, hostile_frames_end_the_link)
{
    enum { PLAIN = 8 << 20 };
    static unsigned char plain[4096], block[4096], data[2000];
    struct pair p;
    fill_payload(data, sizeof(data), 0, 1);
    uint32_t bytes = (uint32_t)write_one(plain, data, sizeof(data));
    size_t made = bbi_lz4.compress(plain, bytes, block, sizeof(block));
    cr_assert_gt(made, 0);
    raw_open_with(&p, &bbi_lz4);
    size_t before = p.a.memory_bytes;
    refused(&p, bytes - 1, block, made, "says less than it is");
    refused(&p, bytes + 1, block, made, "says more than it is");
    refused(&p, 0, block, made, "says nothing");
    refused(&p, UINT32_MAX, block, made, "says 4 GiB");
    refused(&p, BBI_LINK_FRAME_MAX + 1, block, made, "says more than a frame has");
    refused(&p, bytes, block, made / 2, "a block that ends early");
    refused(&p, bytes, block, 0, "no block");
    refused(&p, (uint32_t)made, block, made, "no shorter than it was");
    unsigned char *zeros = calloc(1, PLAIN), *bomb = exact(BBI_LINK_FRAME_MAX);
    size_t bomb_bytes = bbi_lz4.compress(zeros, PLAIN, bomb, BBI_LINK_FRAME_MAX / 2);
    cr_assert_gt(bomb_bytes, 0);
    refused(&p, PLAIN, bomb, bomb_bytes, "a bomb that says what it is");
    refused(&p, BBI_LINK_FRAME_MAX, bomb, bomb_bytes, "a bomb that says what may be");
    cr_assert_eq(p.a.memory_bytes, before, "nothing is allocated for any of them");
    say_block(&p, bytes, block, made);
    cr_assert_not(p.a.is_closed, "%s", p.a.closed.sentence);
    cr_assert_eq(p.a.delivered, 1, "and what is right passes");
    free(zeros);
    free(bomb);
    raw_fini(&p);
}
