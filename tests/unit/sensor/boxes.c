/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: what one box of a sensor writes the other reads, to the last field and the last node; nothing else is taken for
 * a word, and what is under way fits into a link's queue.
 * Method: each word there and back, the largest too; cut, changed and foreign bytes.
 */
#include "tools/sensor/boxes.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned char buf[SENSOR_BOX_WORD_BYTES];
static struct sensor_box_word in, out;

static void
there_and_back(void)
{
    int64_t bytes = sensor_box_write(buf, sizeof(buf), &in);

    cr_assert_gt(bytes, 0);
    memset(&out, 0xa5, sizeof(out)); /* of an earlier word: none of it is left */
    sensor_box_read(&out, buf, (size_t)bytes);
    cr_assert_eq(out.kind, in.kind);
    cr_assert_eq(out.run, in.run);
    cr_assert_eq(out.phase, in.phase);
}

/* A layout of so many, each with other numbers. */
static void
make_site(uint32_t workers, uint32_t loggers)
{
    struct sensor_layout layout;

    cr_assert_eq(sensor_layout_init(&layout, workers, 0, loggers), 0);
    for (uint32_t i = 0; i < layout.count; i++) {
        struct sensor_peer *peer = &layout.peers[i];

        peer->node_id = UINT64_MAX - i;
        peer->state = i % 3 == 0 ? SENSOR_PEER_MISSING : SENSOR_PEER_ENDED;
        peer->why = i % 3 == 0 ? "died before its end mark" : NULL;
        peer->is_told = i % 2 == 0;
        peer->is_gone = i % 5 == 0;
        peer->end = (struct sensor_end){.packets = i,
                                        .connections = 2 * i,
                                        .events = UINT64_MAX,
                                        .state = SENSOR_END_STOPPED,
                                        .waits = 5,
                                        .half_open = 6,
                                        .dropped = 7,
                                        .nowhere = 8};
        peer->tally = (struct sensor_tally){1, 2, 3, i, UINT64_MAX};
    }
    in = (struct sensor_box_word){
        .kind = SENSOR_BOX_SITE, .run = UINT64_MAX, .phase = SENSOR_BOX_ENDED};
    sensor_box_tell(&in, &layout);
    sensor_layout_fini(&layout);
}

Test(boxes, manager, .timeout = 20)
{
    in = (struct sensor_box_word){.kind = SENSOR_BOX_MANAGER,
                                  .run = 77,
                                  .phase = SENSOR_BOX_RUNNING,
                                  .taken_count = SENSOR_WORKERS_MAX};
    for (uint32_t i = 0; i < SENSOR_WORKERS_MAX; i++) {
        in.taken[i] = (struct sensor_box_taken){.id = UINT64_MAX - i, .seq = i};
    }
    there_and_back();
    cr_assert_eq(out.taken_count, SENSOR_WORKERS_MAX);
    cr_assert_eq(memcmp(out.taken, in.taken, sizeof(in.taken)), 0);
    in.taken_count = 0;
    there_and_back();
    cr_assert_eq(out.taken_count, 0);
}

static void
assert_site(uint32_t workers, uint32_t loggers)
{
    make_site(workers, loggers);
    there_and_back();
    cr_assert_eq(out.workers, workers);
    cr_assert_eq(out.loggers, loggers);
    cr_assert_eq(out.peer_count, workers + loggers);
    for (uint32_t i = 0; i < out.peer_count; i++) {
        const struct sensor_box_peer *a = &in.peers[i], *b = &out.peers[i];

        cr_assert_str_eq(a->name, b->name);
        cr_assert_str_eq(a->why, b->why);
        cr_assert_eq(a->id, b->id);
        cr_assert_eq(a->role, b->role);
        cr_assert_eq(a->state, b->state);
        cr_assert_eq(a->is_told, b->is_told);
        cr_assert_eq(a->is_gone, b->is_gone);
        cr_assert_eq(memcmp(&a->end, &b->end, sizeof(a->end)), 0);
        cr_assert_eq(memcmp(&a->tally, &b->tally, sizeof(a->tally)), 0);
    }
}

Test(boxes, site, .timeout = 20)
{
    assert_site(1, 0);
    assert_site(4, 1);
    assert_site(SENSOR_WORKERS_MAX, SENSOR_HELPERS_MAX); /* more than a bus holds, and it fits */
}

Test(boxes, site_without_a_list, .timeout = 20)
{
    make_site(4, 1);
    in.peer_count = 0;
    there_and_back();
    cr_assert_eq(out.peer_count, 0);
    cr_assert_eq(out.workers, 4);
}

Test(boxes, ask_and_gone, .timeout = 20)
{
    in = (struct sensor_box_word){.kind = SENSOR_BOX_ASK};
    there_and_back();
    in = (struct sensor_box_word){.kind = SENSOR_BOX_GONE};
    there_and_back();
}

/* Well formed, and no word of ours: a list that is not as long as it says, states that there are not, names for nobody. */
Test(boxes, refused, .timeout = 20)
{
    struct {
        uint32_t workers, peers, state, name;
    } const wrong[] = {{3, 5, 3, 'w'}, {0, 5, 3, 'w'},    {300, 5, 3, 'w'}, {4, 4, 3, 'w'},
                       {4, 5, 4, 'w'}, {4, 5, 3, '\033'}, {4, 5, 3, 0x80}};

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        int64_t bytes;

        make_site(4, 1);
        in.workers = wrong[i].workers;
        in.peer_count = wrong[i].peers;
        in.peers[2].state = wrong[i].state;
        in.peers[2].name[0] = (char)wrong[i].name;
        bytes = sensor_box_write(buf, sizeof(buf), &in);
        if (bytes > 0) { /* else not even written: no string in UTF-8 */
            sensor_box_read(&out, buf, (size_t)bytes);
            cr_assert_eq(out.kind, SENSOR_BOX_NO_WORD, "%zu", i);
        }
    }
}

Test(boxes, cut_and_foreign, .timeout = 20)
{
    int64_t bytes;

    make_site(4, 1);
    bytes = sensor_box_write(buf, sizeof(buf), &in);
    cr_assert_gt(bytes, 0);
    for (int64_t n = 0; n < bytes; n++) {
        unsigned char *part = malloc((size_t)n + 1); /* of this size, for the sanitizer to look */

        cr_assert_not_null(part);
        memcpy(part, buf, (size_t)n);
        sensor_box_read(&out, part, (size_t)n);
        cr_assert_eq(out.kind, SENSOR_BOX_NO_WORD, "%lld bytes", (long long)n);
        free(part);
    }
    bytes = sensor_write_hello(buf, sizeof(buf), 4);
    sensor_box_read(&out, buf, (size_t)bytes);
    cr_assert_eq(out.kind, SENSOR_BOX_NO_WORD);
    cr_assert_eq(sensor_box_write(buf, 100, &in), BB_EMSGSIZE);
}

/* All windows together are what may be under way, or a few hundred for very many workers; none is more than half a ring. */
Test(boxes, windows, .timeout = 20)
{
    for (uint32_t workers = 1; workers <= SENSOR_WORKERS_MAX; workers++) {
        uint64_t window = sensor_box_window(workers);

        cr_assert_geq(window, SENSOR_BOX_WINDOW_MIN);
        cr_assert_leq(window, SENSOR_BOX_WINDOW_MAX);
        cr_assert_leq(window * workers, SENSOR_BOX_UNDER_WAY);
    }
    cr_assert_eq(sensor_box_window(1), SENSOR_BOX_WINDOW_MAX);
}
