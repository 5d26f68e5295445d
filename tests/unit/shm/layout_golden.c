/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: layout 1 stays what it is, byte for byte, and what was written in it once can be read for ever.
 * Method: one small bus with every structure in use is made by the product's own code and compared with
 * tests/data/layout1/{bus,ring,subscriber}.txt; and those three, without the code that wrote them, are put
 * into a directory and read by the product's readers.
 *
 * What differs from run to run (times, process, keys, who built it) is looked at, then replaced by fixed
 * values through the structs, and the check word is made anew.  A golden file lists lines of 16 bytes by
 * offset; bytes that it does not list are 0, and the whole image is compared.  Right of the bytes stand
 * text and the names of the fields that begin there, for the reviewer; the test does not read these.
 *
 * To write the files anew, ON PURPOSE, set BB_GOLDEN_WRITE=1 and run this test; it then fails, saying so.
 * That is right only when a word was added in what was reserved, or the sizes that a ring is given
 * (quantum, batch) were tuned.  Any other difference breaks programs that are running: it needs a new major.
 */
#include "shm/filter.h"
#include "shm/hash.h"
#include "shm/join.h"
#include "shm/os.h"
#include "shm/ring_write.h"
#include "tests/unit/shm/bus_dir.h"
#include "tests/unit/shm/golden_image.h"

/* ---- the scene: what both directions know ---- */

#define KEY_OLD_RING   UINT64_C(0x1111111111111111)
#define KEY_RING       UINT64_C(0x2222222222222223)
#define KEY_OLD_SUB    UINT64_C(0x3333333333333333)
#define KEY_SUB        UINT64_C(0x4444444444444445)
#define KEY_BUS        UINT64_C(0x5555555555555555)
#define WALL_NS        INT64_C(1700000000123456789)
#define MONO_NS        INT64_C(1000000000064)
#define LATER_NS       INT64_C(70000000000) /* enough for a second anchor */
#define GOLDEN_PID     4242
#define GOLDEN_UID     1000
#define SPILLED_TOPIC  "zeek/a/topic/too/many"
#define FILLER_BYTES   1020 /* takes 1,024: the fourth would cross the end */
#define FIRST_WHOLE    1    /* the message that lies under the one at the front is not */
#define SURVIVING      8    /* of the nine that are whole: an eighth is left to the publisher */
#define PASSED_ON_BIT  1
#define MESSAGES_COUNT (sizeof(messages) / sizeof(messages[0]))

static const char *const topics[] = {"zeek/dns", "", "zeek/conn/\xc3\xbc", "z"};
enum { TOPICS = 4 };

static const struct {
    const char *text; /* NULL: zeros */
    uint32_t bytes, tag, attr;
    int64_t after_ns; /* since MONO_NS */
    uint32_t room;    /* that is claimed, if more: a message never crosses the end */
    bool flushes;
} messages[] = {
    {NULL, FILLER_BYTES, 0, 0, 0, 0, true},
    {"hello", 5, 0, 1, 640, 0, false},
    {"world", 5, 0, 1, 640, 0, false}, /* one more of its burst */
    {"forty bytes, a header's worth of payload", 40, 2, 0x0312, 1280, 0, false},
    {"", 0, 1, 2, 1984, 0, true},
    {NULL, 0, BBI_TAG_SPILL, 9, 2560, 0, true}, /* see spilled_payload() */
    {NULL, FILLER_BYTES, 3, 0, LATER_NS, 0, true},
    {NULL, FILLER_BYTES, 3, 0, LATER_NS + 64, 0, true},
    {"at the front again", 18, 0, 0xffff, LATER_NS + 128, FILLER_BYTES, true},
    {"committed, not flushed", 22, 2, 4, LATER_NS + 192, 0, false},
};

/* A topic that the dictionary could not hold: u32 length, u32 zero, the bytes, padded to 8; then the data. */
static uint32_t
spilled_payload(unsigned char out[64])
{
    uint32_t len = sizeof(SPILLED_TOPIC) - 1;
    memset(out, 0, 64);
    memcpy(out, &len, 4);
    memcpy(out + 8, SPILLED_TOPIC, len);
    uint32_t at = 8 + (uint32_t)bbi_align_up(len, 8);
    memcpy(out + at, "spilled", 7);
    return at + 7;
}

static const struct bbi_filter_item filters[] = {
    {(const unsigned char *)"zeek/", 5, 1},
    {(const unsigned char *)"", 0, 0},
    {(const unsigned char *)"a\0b", 3, 0xffff},
};
enum { FILTERS = 3 };

/* ---- the way there: the product makes it ---- */

struct scene {
    struct bbi_attach old, pub, sub;
    struct bbi_own_file old_ring, ring, old_sub, sub_file;
    struct bbi_writer writer;
    struct bbi_reader reader;
    struct bbi_join join;
};

static int64_t
wall_of(int64_t mono_ns)
{
    return mono_ns + (WALL_NS - MONO_NS);
}

static void
publish(struct scene *s, size_t i)
{
    struct bbi_writer *w = &s->writer;
    unsigned char payload[1024] = {0};
    uint32_t bytes = messages[i].bytes;
    void *p = NULL;
    if (messages[i].tag == BBI_TAG_SPILL) {
        bytes = spilled_payload(payload);
    } else if (messages[i].text != NULL) {
        memcpy(payload, messages[i].text, bytes);
    }
    cr_assert_eq(bbi_writer_claim(w, bbi_max_u64(bytes, messages[i].room), &p), 0, "message %zu",
                 i);
    bbi_fill_racy(p, payload, bytes);
    uint32_t ts = bbi_writer_stamp(w, MONO_NS + messages[i].after_ns, wall_of);
    bbi_writer_commit(w, bytes, messages[i].tag, ts, messages[i].attr);
    if (messages[i].flushes) {
        bbi_writer_flush(w);
    }
}

static void
write_ring(struct scene *s)
{
    struct bbi_ring_map map;
    void *loan = NULL;
    cr_assert_eq(bbi_ring_join(s->ring.seg.base, s->ring.seg.bytes, &map), 0);
    bbi_writer_init(&s->writer, &map);
    for (uint32_t t = 0; t < TOPICS; t++) {
        size_t n = strlen(topics[t]);
        cr_assert_eq(bbi_writer_intern(&s->writer, topics[t], n, bbi_hash64(topics[t], n)), t);
    }
    cr_assert_eq(bbi_writer_intern(&s->writer, "full", 4, 0), BBI_TAG_SPILL);
    bbi_reader_init(&s->reader, &map);
    s->join = (struct bbi_join){.bus = s->sub.bus,
                                .sub = s->sub_file.seg.base,
                                .ring = map.hdr,
                                .ring_index = s->ring.index,
                                .sub_index = s->sub_file.index,
                                .ring_key = s->ring.key,
                                .gen = 3};
    bbi_join_begin(&s->join, &s->reader, true, BBI_SEEK_NOW, 0);
    for (size_t i = 0; i < MESSAGES_COUNT; i++) {
        publish(s, i);
    }
    cr_assert_eq(bbi_writer_claim(&s->writer, 100, &loan), 0, "an open loan");
    /* Its commit begins: the slot is being written. */
    bbi_store_relaxed(&map.desc[s->writer.n & map.desc_mask].seq, BBI_BUSY | s->writer.n);
    /* What the audience writes while it waits, and of one that it gave up. */
    bbi_store_relaxed(&map.hdr->blocked, 1);
    bbi_store_relaxed(&map.hdr->evicted[PASSED_ON_BIT].why, BBI_EVICT_SLOW);
    bbi_store_release(&map.hdr->evicted[PASSED_ON_BIT].gen, 2);
    bbi_own_add(&map.hdr->counters.wakes, 0x0a01);
    bbi_own_add(&map.hdr->counters.blocked, 0x0a02);
    bbi_own_add(&map.hdr->counters.evicted, 0x0a03);
    bbi_own_add(&map.hdr->counters.refused, 0x0a04);
    bbi_store_relaxed(&map.hdr->beat_ns, (uint64_t)MONO_NS + 7);
}

static void
write_sub(struct scene *s)
{
    struct bbi_sub *sub = s->sub_file.seg.base;
    const struct bbi_filter_item before = {(const unsigned char *)"zeek/dns", 8, 0};
    cr_assert_eq(bbi_filter_write(sub, &before, 1), 0);
    cr_assert_eq(bbi_filter_write(sub, filters, FILTERS), 0);
    bbi_join_publish(&s->join, s->reader.cursor + 5); /* rings its bell: the ring says blocked */
    struct bbi_cursor *line = &sub->cursors[s->ring.index];
    bbi_store_relaxed(&line->delivered, 0x0b01);
    bbi_store_relaxed(&line->filtered, 0x0b02);
    bbi_store_relaxed(&line->lost, 0x0b03);
    bbi_store_relaxed(&sub->delivered, 0x0c01);
    bbi_store_relaxed(&sub->filtered, 0x0c02);
    bbi_store_relaxed(&sub->lost, 0x0c03);
    bbi_store_relaxed(&sub->evicted, 0x0c04);
    bbi_store_relaxed(&sub->wakes, 0x0c05);
    bbi_store_relaxed(&sub->beat_ns, (uint64_t)MONO_NS + 9);
    bbi_store_relaxed(&sub->pong, 6);
}

static void
write_bus(struct scene *s)
{
    struct bbi_bus *bus = s->pub.bus;
    (void)bbi_wake_arm(bus, s->sub_file.index, BBI_BELL_SOCKET);
    (void)bbi_fetch_add_seq_cst(&bus->bells[s->sub_file.index].ping, 7);
    (void)bbi_fetch_or_seq_cst(&bus->pass_on[0].v, UINT64_C(1) << PASSED_ON_BIT);
    bbi_store_relaxed(&bus->subs[s->sub_file.index].missed, 0x0d01); /* of the steward */
    bbi_store_relaxed(&bus->steward_ns.v, (uint64_t)MONO_NS + 11);
}

/* Three members, of which one left; two rings, of which one closed; two subscribers, of which one went. */
static void
make_scene(struct scene *s)
{
    const struct bbi_ring_shape shape = {.depth = 64,
                                         .pay_bytes = 4096,
                                         .dict_count = TOPICS,
                                         .text_bytes = 60,
                                         .fence = BBI_FENCE_MEMBARRIER};
    attach_named(&s->old, "golden-old");
    attach_named(&s->pub, "golden-publisher");
    attach_named(&s->sub, "golden-subscriber");
    cr_assert_eq(bbi_ring_register(&s->old, small_shape(), 2, &s->old_ring, NULL), 0);
    cr_assert_eq(bbi_ring_register(&s->pub, &shape, 1, &s->ring, NULL), 0);
    cr_assert_eq(bbi_sub_register(&s->old, 0, &s->old_sub, NULL), 0);
    cr_assert_eq(bbi_sub_register(&s->sub, BBI_SUB_RELIABLE | BBI_SUB_LOOPBACK, &s->sub_file, NULL),
                 0);
    bbi_sub_close(&s->old, &s->old_sub);
    bbi_ring_close(&s->old, &s->old_ring);
    bbi_attach_close(&s->old);
    write_ring(s);
    write_sub(s);
    write_bus(s);
}

static void
close_scene(struct scene *s)
{
    bbi_sub_close(&s->sub, &s->sub_file);
    bbi_ring_close(&s->pub, &s->ring);
    bbi_attach_close(&s->sub);
    bbi_attach_close(&s->pub);
}

/* ---- what differs from run to run ---- */

static void
fix_key(uint64_t *word, uint64_t is, uint64_t becomes)
{
    cr_assert_eq(*word, is, "a key stands where the struct has it");
    *word = becomes;
}

static void
fix_ident(struct image *im, uint64_t key_is, uint64_t key, const struct bbi_ident *bus)
{
    struct bbi_ident *id = (struct bbi_ident *)(void *)im->base;
    uint8_t boot_id[16];
    bbi_os_boot_id(boot_id);
    cr_assert_eq(bbi_segment_check(id, (enum bbi_file_kind)id->kind, im->bytes), 0);
    cr_assert_eq(memcmp(id->boot_id, boot_id, sizeof(boot_id)), 0);
    cr_assert_eq(memcmp(id->bus_uuid, bus->bus_uuid, sizeof(id->bus_uuid)), 0);
    cr_assert_eq(id->pid, (int32_t)getpid());
    cr_assert_eq(id->uid, (uint32_t)geteuid());
    cr_assert_eq(id->pidns, bbi_os_pidns());
    cr_assert_eq(id->start_ticks, bbi_os_start_ticks(getpid()));
    cr_assert_leq(id->created_wall_ns, bbi_os_wall_ns());
    cr_assert_eq(strncmp(id->build, "busbar", 6), 0);
    fix_key(&id->key, key_is, key);
    for (uint8_t i = 0; i < 16; i++) {
        id->boot_id[i] = (uint8_t)(0xb0 + i);
        id->bus_uuid[i] = (uint8_t)(0xc0 + i);
    }
    id->pid = GOLDEN_PID;
    id->uid = GOLDEN_UID;
    id->pidns = 0x0e01;
    id->start_ticks = 0x0e02;
    id->created_wall_ns = WALL_NS;
    memset(id->build, 0, sizeof(id->build));
    (void)strcpy(id->build, "busbar golden");
    bbi_segment_seal(id);
}

static void
fix_member(struct bbi_member *m)
{
    if (bbi_load_relaxed(&m->state) == BBI_MEMBER_FREE) {
        return;
    }
    cr_assert_eq(m->pid, (int32_t)getpid());
    cr_assert_eq(m->uid, (uint32_t)geteuid());
    cr_assert_eq(m->pidns, bbi_os_pidns());
    cr_assert_eq(m->start_ticks, bbi_os_start_ticks(getpid()));
    cr_assert_leq(m->joined_wall_ns, bbi_os_wall_ns());
    m->pid = GOLDEN_PID;
    m->uid = GOLDEN_UID;
    m->pidns = 0x0e03;
    m->start_ticks = 0x0e04;
    m->joined_wall_ns = WALL_NS + 1;
}

static void
fix_row(struct bbi_entry *e, uint64_t key_is, uint64_t key, uint64_t born)
{
    cr_assert_eq(bbi_load_relaxed(&e->key), key_is);
    bbi_store_relaxed(&e->key, key);
    cr_assert_neq(bbi_load_relaxed(&e->born), 0U);
    bbi_store_relaxed(&e->born, born);
    if (bbi_load_relaxed(&e->closed_ns) != 0) {
        bbi_store_relaxed(&e->closed_ns, (uint64_t)MONO_NS + 13);
    }
}

/* How often the epochs are raised is no part of the layout. */
static void
fix_epoch(bbi_u64 *epoch, uint64_t to)
{
    cr_assert_neq(bbi_load_relaxed(epoch), 0U);
    bbi_store_relaxed(epoch, to);
}

static struct image
bus_image(const struct scene *s)
{
    struct image im = image_copy(BUS, &s->pub.seg);
    struct bbi_bus *bus = (struct bbi_bus *)(void *)im.base;
    fix_ident(&im, bus->ident.key, KEY_BUS, &s->pub.bus->ident);
    for (uint32_t i = 0; i < BBI_MEMBERS; i++) {
        fix_member(&bus->members[i]);
    }
    fix_row(&bus->rings[0], s->old_ring.key, KEY_OLD_RING, 0x0f01);
    fix_row(&bus->rings[1], s->ring.key, KEY_RING, 0x0f02);
    fix_row(&bus->subs[0], s->old_sub.key, KEY_OLD_SUB, 0x0f03);
    fix_row(&bus->subs[1], s->sub_file.key, KEY_SUB, 0x0f04);
    fix_epoch(&bus->sub_epoch.v, 0x0f05);
    fix_epoch(&bus->member_epoch.v, 0x0f06);
    return im;
}

static struct image
ring_image(const struct scene *s)
{
    struct image im = image_copy(RING, &s->ring.seg);
    fix_ident(&im, s->ring.key, KEY_RING, &s->pub.bus->ident);
    return im;
}

static struct image
sub_image(const struct scene *s)
{
    struct image im = image_copy(SUB, &s->sub_file.seg);
    struct bbi_sub *sub = (struct bbi_sub *)(void *)im.base;
    fix_ident(&im, s->sub_file.key, KEY_SUB, &s->pub.bus->ident);
    bbi_u64 *key = &sub->cursors[s->ring.index].ring_key;
    cr_assert_eq(bbi_load_relaxed(key), s->ring.key);
    bbi_store_relaxed(key, KEY_RING);
    return im;
}

TestSuite(layout_golden, .init = bus_dir_make, .fini = bus_dir_remove, .timeout = 60);

static void check_written(struct image (*image_of)(const struct scene *))
{
    static struct scene s;
    make_scene(&s);
    struct image im = image_of(&s);
    close_scene(&s);
    check_image(&im);
    free(im.base);
}

Test(layout_golden, bus_is_written_as_it_was)
{
    check_written(bus_image);
}

Test(layout_golden, ring_is_written_as_it_was)
{
    check_written(ring_image);
}

Test(layout_golden, subscriber_is_written_as_it_was)
{
    check_written(sub_image);
}

/* ---- the way back: what was written once is read ---- */

static void
put_file(int dir_fd, const char *name, int which)
{
    struct image im = golden_read(which);
    int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, im.base, im.bytes), (ssize_t)im.bytes);
    (void)close(fd);
    free(im.base);
}

/* A bus's directory with the golden files in it, looked at as a tool does. */
static void
look_at_golden(struct bbi_attach *at)
{
    struct bbi_place place;
    struct bbi_fault f = {0};
    char name[BBI_FILE_NAME_BYTES];
    cr_assert_eq(bbi_place_open(&place, bus_dir, "b", NULL, true, &f), 0, "%s", f.sentence);
    put_file(place.dir_fd, "bus.ctl", BUS);
    bbi_place_ring_name(name, 1, 1, KEY_RING);
    put_file(place.dir_fd, name, RING);
    bbi_place_sub_name(name, 1, 1, KEY_SUB);
    put_file(place.dir_fd, name, SUB);
    bbi_place_close(&place);
    cr_assert_eq(bbi_attach_look(at, bus_dir, "b", &f), 0, "%s", f.sentence);
}

static void
check_ident(const struct bbi_ident *id, const char *name, uint64_t key)
{
    cr_assert_eq(id->generation, 1U);
    cr_assert_eq(id->key, key);
    cr_assert_eq(id->pid, GOLDEN_PID);
    cr_assert_eq(id->created_wall_ns, WALL_NS);
    cr_assert_str_eq(id->name, name);
    cr_assert_str_eq(id->build, "busbar golden");
    cr_assert_eq(id->bus_uuid[15], 0xcfU);
}

static const struct bbi_member *
member_named(const struct bbi_bus *bus, const char *name, struct bbi_member_view *v)
{
    for (uint32_t i = 0; i < BBI_MEMBERS; i++) {
        if (bbi_member_read(&bus->members[i], v) && strcmp(v->name, name) == 0) {
            return &bus->members[i];
        }
    }
    cr_assert_fail("no member '%s'", name);
    return NULL;
}

Test(layout_golden, bus_is_read)
{
    struct bbi_attach at;
    struct bbi_member_view m;
    struct bbi_row row;
    look_at_golden(&at);
    check_ident(&at.bus->ident, "", KEY_BUS);
    (void)member_named(at.bus, "golden-old", &m);
    cr_assert_eq(m.state, (uint32_t)BBI_MEMBER_LEFT);
    (void)member_named(at.bus, "golden-publisher", &m);
    cr_assert_eq(m.state, (uint32_t)BBI_MEMBER_ACTIVE);
    cr_assert_eq(m.role, 4U);
    cr_assert_eq(m.pid, GOLDEN_PID);
    cr_assert_eq(m.uid, (uint32_t)GOLDEN_UID);
    cr_assert_eq(m.joined_wall_ns, WALL_NS + 1);
    cr_assert(bbi_row_read(&at.bus->rings[0], &row));
    cr_assert_eq(row.state, (uint32_t)BBI_ENTRY_CLOSED);
    cr_assert_eq(row.closed_ns, (uint64_t)MONO_NS + 13);
    cr_assert_eq(row.lane, 2U);
    cr_assert(bbi_row_read(&at.bus->rings[1], &row));
    cr_assert_eq(row.state, (uint32_t)BBI_ENTRY_ACTIVE);
    cr_assert_eq(row.key, KEY_RING);
    cr_assert_eq(row.born, 0x0f02U);
    cr_assert_eq(row.lane, 1U);
    cr_assert_eq(&at.bus->members[row.member], member_named(at.bus, "golden-publisher", &m));
    cr_assert(!bbi_row_read(&at.bus->subs[0], &row), "it went");
    cr_assert(bbi_row_read(&at.bus->subs[1], &row));
    cr_assert_eq(row.lane, (uint32_t)(BBI_SUB_RELIABLE | BBI_SUB_LOOPBACK));
    cr_assert_eq(row.key, KEY_SUB);
    cr_assert_eq(bbi_load_relaxed(&at.bus->subs[1].missed), 0x0d01U);
    cr_assert_eq(bbi_load_relaxed(&at.bus->sub_epoch.v), 0x0f05U);
    cr_assert_eq(bbi_load_relaxed(&at.bus->member_epoch.v), 0x0f06U);
    cr_assert_eq(bbi_load_relaxed(&at.bus->sleepers[0].v), 2U);
    cr_assert_eq(bbi_load_relaxed(&at.bus->pass_on[0].v), 2U);
    cr_assert_eq(bbi_load_relaxed(&at.bus->steward_ns.v), (uint64_t)MONO_NS + 11);
    cr_assert_eq(bbi_load_relaxed(&at.bus->bells[1].bell), (uint32_t)BBI_BELL_SLEEPING);
    cr_assert_eq(bbi_load_relaxed(&at.bus->bells[1].mode), (uint32_t)BBI_BELL_SOCKET);
    cr_assert_eq(bbi_load_relaxed(&at.bus->bells[1].ping), 7U);
    bbi_attach_close(&at);
}

static void
check_message(struct bbi_reader *r, const struct bbi_item *item, size_t i)
{
    unsigned char spilled[64];
    uint32_t bytes = messages[i].bytes;
    const void *text = messages[i].text;
    if (messages[i].tag == BBI_TAG_SPILL) {
        bytes = spilled_payload(spilled);
        text = spilled;
    }
    cr_assert_eq(item->seq, i + 1);
    cr_assert_eq(item->bytes, bytes, "message %zu", i);
    cr_assert_eq(item->tag, messages[i].tag, "message %zu", i);
    cr_assert_eq(item->attr, messages[i].attr, "message %zu", i);
    cr_assert(text == NULL || memcmp(item->data, text, bytes) == 0, "message %zu", i);
    cr_assert(bbi_reader_is_whole(r, item->pos), "message %zu", i);
    int64_t wall = WALL_NS + messages[i].after_ns;
    int64_t read = bbi_reader_wall_ns(r, item->seq, item->ts);
    cr_assert(read <= wall && wall - read < 64, "message %zu: %lld, not %lld", i, (long long)read,
              (long long)wall);
}

static void
read_messages(const struct bbi_ring_map *map)
{
    struct bbi_tag tags[TOPICS] = {0};
    uint64_t now[TOPICS];
    struct bbi_reader r;
    struct bbi_item item;
    bbi_reader_init(&r, map);
    r.tags = tags;
    r.now = now;
    bbi_reader_seek(&r, BBI_SEEK_LAST, MESSAGES_COUNT - FIRST_WHOLE);
    cr_assert_eq(r.cursor, map->depth + MESSAGES_COUNT - SURVIVING, "the margin after a lap");
    r.cursor = map->depth + FIRST_WHOLE;
    for (uint32_t t = 0; t < TOPICS; t++) {
        const char *topic;
        uint32_t bytes;
        cr_assert_eq(bbi_reader_topic(map, t, &topic, &bytes), 0);
        cr_assert_eq(bytes, strlen(topics[t]));
        cr_assert_eq(memcmp(topic, topics[t], bytes), 0);
        tags[t] = (struct bbi_tag){.is_wanted = true};
        r.tag_count++;
    }
    for (size_t i = FIRST_WHOLE; i < MESSAGES_COUNT; i++) {
        cr_assert_eq(bbi_reader_next(&r, &item, UINT64_MAX), BBI_READ_ITEM, "message %zu", i);
        check_message(&r, &item, i);
        bbi_reader_pass(&r, item.tag);
    }
    cr_assert_eq(bbi_reader_next(&r, &item, UINT64_MAX), BBI_READ_NONE, "the loan is no message");
    cr_assert(bbi_reader_is_at_tail(&r));
    cr_assert_eq(r.cursor, map->depth + MESSAGES_COUNT);
    /* The counters know of all of them: who lost some can settle. */
    bbi_reader_seek(&r, BBI_SEEK_NOW, 0);
    cr_assert_eq(bbi_reader_base(&r), 0);
    cr_assert_eq(tags[3].seen, 2U);
    cr_assert_eq(r.spill_seen, 1U);
}

Test(layout_golden, ring_is_read)
{
    struct bbi_attach at;
    struct bbi_segment seg;
    struct bbi_ring_map map;
    char name[BBI_FILE_NAME_BYTES];
    look_at_golden(&at);
    bbi_place_ring_name(name, 1, 1, KEY_RING);
    cr_assert_eq(bbi_segment_open(at.place.dir_fd, name, BBI_FILE_RING, false, &seg), 0);
    cr_assert_eq(bbi_ring_join(seg.base, seg.bytes, &map), 0);
    check_ident(&map.hdr->ident, "golden-publisher", KEY_RING);
    cr_assert_eq(map.hdr->ident.index, 1U);
    cr_assert_eq(map.hdr->ident.lane, 1U);
    cr_assert_eq(map.depth, 64U);
    cr_assert_eq(map.pay_bytes, 4096U);
    cr_assert_eq(map.fence, (uint32_t)BBI_FENCE_MEMBARRIER);
    read_messages(&map);
    cr_assert_eq(bbi_load_relaxed(&map.hdr->state), (uint32_t)BBI_ENTRY_ACTIVE);
    cr_assert_eq(bbi_load_relaxed(&map.hdr->tail_seq), 64 + MESSAGES_COUNT - 1, "one not flushed");
    cr_assert_eq(bbi_load_relaxed(&map.hdr->anchors), 2U);
    cr_assert_eq(bbi_load_relaxed(&map.hdr->counters.wakes), 0x0a01U);
    cr_assert_eq(bbi_load_relaxed(&map.hdr->counters.spilled.messages), 1U);
    cr_assert_eq(bbi_load_relaxed(&map.hdr->beat_ns), (uint64_t)MONO_NS + 7);
    /* It gave up join 2 of subscriber 1. */
    struct bbi_join j = {.ring = map.hdr, .sub_index = 1, .gen = 2, .is_reliable = true};
    uint32_t why = 0;
    cr_assert_eq(bbi_join_evicted(&j, &why), 1);
    cr_assert_eq(why, (uint32_t)BBI_EVICT_SLOW);
    bbi_segment_close(&seg);
    bbi_attach_close(&at);
}

Test(layout_golden, subscriber_is_read)
{
    struct bbi_attach at;
    struct bbi_segment seg;
    static struct bbi_filter_table table;
    struct bbi_filter_item item;
    char name[BBI_FILE_NAME_BYTES];
    uint32_t off = 0;
    look_at_golden(&at);
    bbi_place_sub_name(name, 1, 1, KEY_SUB);
    cr_assert_eq(bbi_segment_open(at.place.dir_fd, name, BBI_FILE_SUB, false, &seg), 0);
    const struct bbi_sub *sub = seg.base;
    check_ident(&sub->ident, "golden-subscriber", KEY_SUB);
    cr_assert_eq(bbi_filter_read(sub, &table), 0);
    cr_assert_eq(table.count, (uint32_t)FILTERS);
    for (int i = 0; i < FILTERS; i++) {
        cr_assert_eq(bbi_filter_next(&table, &off, &item), 1);
        cr_assert_eq(item.len, filters[i].len);
        cr_assert_eq(item.flags, filters[i].flags);
        cr_assert_eq(memcmp(item.bytes, filters[i].bytes, item.len), 0);
    }
    cr_assert_eq(bbi_filter_next(&table, &off, &item), 0);
    const struct bbi_cursor *line = &sub->cursors[1];
    cr_assert_eq(bbi_load_relaxed(&line->ring_key), KEY_RING);
    cr_assert_eq(bbi_load_relaxed(&line->mode), (uint32_t)BBI_JOIN_RELIABLE);
    cr_assert_eq(bbi_load_relaxed(&line->join_gen), 3U);
    cr_assert_eq(bbi_load_relaxed(&line->cursor), 64U + 5);
    cr_assert_eq(bbi_load_relaxed(&line->bell), 1U);
    cr_assert_eq(bbi_load_relaxed(&line->lost), 0x0b03U);
    cr_assert_eq(bbi_load_relaxed(&sub->flags), (uint32_t)(BBI_SUB_RELIABLE | BBI_SUB_LOOPBACK));
    cr_assert_eq(bbi_load_relaxed(&sub->delivered), 0x0c01U);
    cr_assert_eq(bbi_load_relaxed(&sub->wakes), 0x0c05U);
    cr_assert_eq(bbi_load_relaxed(&sub->pong), 6U);
    bbi_segment_close(&seg);
    bbi_attach_close(&at);
}

/* ---- the test itself ---- */

Test(layout_golden, a_difference_is_found_and_named)
{
    static const struct {
        int which;
        uint64_t off;
        const char *name;
    } seeds[] = {
        {BUS, 0x1085, "offset 0x1085, member_epoch byte 5:"},
        {BUS, 0x12040 + 16, "offset 0x12050, ring[1].key byte 0:"},
        {BUS, 0x26000 + 128 + 4, "bell[1].mode byte 0:"},
        {RING, 264 + 80, "geometry.depth byte 0:"},
        {RING, 0x1088, "offset 0x1088, tail_pos byte 0:"},
        {RING, 0x130c, "evicted[1].why byte 0:"},
        {SUB, 0x24000 + 128 + 17, "cursor[1].cursor byte 1:"},
        {SUB, 0x2008, "filter[0].entries byte 0:"},
        {SUB, 0x1ff0, "offset 0x1ff0, no known field byte 0: expected 00, got 01 (1 bytes differ)"},
    };
    for (size_t i = 0; i < sizeof(seeds) / sizeof(seeds[0]); i++) {
        char words[256] = "";
        struct image want = golden_read(seeds[i].which), got = golden_read(seeds[i].which);
        cr_assert_eq(compare(&want, &got, words, sizeof(words)), 0U);
        got.base[seeds[i].off] ^= 1;
        cr_assert_eq(compare(&want, &got, words, sizeof(words)), 1U);
        cr_assert_not_null(strstr(words, seeds[i].name), "'%s' has no '%s'", words, seeds[i].name);
        free(want.base);
        free(got.base);
    }
}

/* A golden file whose check word is wrong is refused: that word is XXH3 of the identity. */
Test(layout_golden, the_check_word_is_part_of_it)
{
    static const enum bbi_file_kind kinds[] = {BBI_FILE_BUS, BBI_FILE_RING, BBI_FILE_SUB};
    for (int which = 0; which < IMAGES; which++) {
        struct image im = golden_read(which);
        struct bbi_ident *id = (struct bbi_ident *)(void *)im.base;
        cr_assert_eq(bbi_segment_check(id, kinds[which], im.bytes), 0);
        id->generation++;
        cr_assert_eq(bbi_segment_check(id, kinds[which], im.bytes), BB_ECORRUPT);
        free(im.base);
    }
}
