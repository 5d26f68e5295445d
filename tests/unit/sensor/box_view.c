/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: the manager of two boxes knows when all is here, whatever came when, died or was lost on the way, and how much is
 * missing, to the event.
 * Method: words, events and marks by hand, in the orders in which a link can bring them.
 */
#include "tools/sensor/box_view.h"

#include <criterion/criterion.h>
#include <string.h>

enum { WORKERS = 2, LOGGERS = 1, NODES = WORKERS + LOGGERS };

static struct sensor_layout there, layout; /* the site's, the manager's */
static struct sensor_box_view view;
static struct sensor_box_word word;

static void
tell(enum sensor_box_phase phase)
{
    word.kind = SENSOR_BOX_SITE;
    word.phase = phase;
    sensor_box_tell(&word, &there);
}

static void
site_says(enum sensor_box_phase phase)
{
    tell(phase);
    sensor_box_view_site(&view, &word);
}

/* Workers 11 and 12, logger 13. */
static void
setup(void)
{
    cr_assert_eq(sensor_layout_init(&there, WORKERS, 0, LOGGERS), 0);
    cr_assert(sensor_layout_ready(&there, BB_ROLE_WORKER, 0, "worker-1", 11));
    cr_assert(sensor_layout_ready(&there, BB_ROLE_WORKER, 1, "worker-2", 12));
    cr_assert(sensor_layout_ready(&there, BB_ROLE_LOGGER, 0, "logger-1", 13));
    tell(SENSOR_BOX_READY);
    cr_assert_eq(sensor_box_view_begin(&view, &layout, &word), 0);
    there.started = layout.started = true;
}

static void
teardown(void)
{
    sensor_layout_fini(&there);
    sensor_layout_fini(&layout);
}

static struct sensor_end
end_of(uint64_t events)
{
    return (struct sensor_end){.packets = 10 * events, .connections = events, .events = events};
}

/* Over there: worker `id` raised so many and came to its end. */
static void
ends_there(uint64_t id, uint64_t events)
{
    const struct sensor_end end = end_of(events);
    const struct sensor_tally tally = {.logged = events};

    sensor_layout_end(&there, id, &end);
    sensor_layout_tally(&there, id, &tally);
}

static void
all_end_there(uint64_t events)
{
    const struct sensor_tally tally = {0};

    ends_there(11, events);
    ends_there(12, events);
    sensor_layout_tally(&there, 13, &tally);
}

static void
events_come(uint64_t id, uint64_t from, uint64_t to)
{
    for (uint64_t seq = from; seq <= to; seq++) {
        cr_assert(sensor_box_view_event(&view, id, seq));
    }
}

static void
mark_comes(uint64_t id, uint64_t seq, uint64_t events)
{
    const struct sensor_end end = end_of(events);

    cr_assert(sensor_box_view_end(&view, id, seq, &end));
}

TestSuite(box_view, .init = setup, .fini = teardown, .timeout = 20);

Test(box_view, begins_as_the_site_is)
{
    cr_assert_eq(layout.count, NODES);
    cr_assert_str_eq(layout.peers[1].name, "worker-2");
    cr_assert_eq(layout.peers[1].state, SENSOR_PEER_READY);
    cr_assert_eq(layout.peers[2].role, BB_ROLE_LOGGER);
    cr_assert_not(sensor_box_view_is_over(&view));
}

Test(box_view, needs_a_list)
{
    static struct sensor_box_view other;
    static struct sensor_layout none;

    word.peer_count = 0;
    cr_assert_eq(sensor_box_view_begin(&other, &none, &word), -1);
    cr_assert_not(sensor_box_view_event(&other, 11, 1)); /* of nobody yet */
    cr_assert_not(sensor_box_view_is_due(&other));
    cr_assert_not(sensor_box_view_is_over(&other));
}

Test(box_view, all_of_it)
{
    struct sensor_end sum;
    struct sensor_tally tally;

    events_come(11, 2, 4);
    mark_comes(11, 5, 3);
    events_come(12, 2, 4);
    mark_comes(12, 5, 3);
    cr_assert_not(sensor_box_view_is_over(&view)); /* the site did not say what was logged */
    all_end_there(3);
    site_says(SENSOR_BOX_RUNNING);
    cr_assert_not(sensor_box_view_is_over(&view));
    site_says(SENSOR_BOX_ENDED);
    cr_assert(sensor_box_view_is_over(&view));
    cr_assert_eq(sensor_box_view_lost(&view), 0);
    sensor_layout_sum(&layout, &sum);
    sensor_layout_tallies(&layout, &tally);
    cr_assert_eq(sum.events, 6);
    cr_assert_eq(sum.packets, 60);
    cr_assert_eq(tally.logged, 6);
    cr_assert_eq(sensor_layout_number(&layout, SENSOR_PEER_ENDED), NODES);
}

/* The site's ring may be carried over faster than a worker's: its word alone ends nothing. */
Test(box_view, site_is_faster)
{
    all_end_there(2);
    for (int i = 1; i < SENSOR_BOX_QUIET; i++) {
        site_says(SENSOR_BOX_ENDED);
    }
    cr_assert_not(sensor_box_view_is_over(&view));
    events_come(11, 2, 3); /* begins to count anew */
    events_come(12, 2, 3);
    for (int i = 1; i < SENSOR_BOX_QUIET; i++) {
        site_says(SENSOR_BOX_ENDED);
    }
    cr_assert_not(sensor_box_view_is_over(&view));
    mark_comes(11, 4, 2);
    mark_comes(12, 4, 2);
    cr_assert(sensor_box_view_is_over(&view));
    cr_assert_eq(sensor_box_view_lost(&view), 0);
}

/* A gap took events, or the end mark and what was before it. */
Test(box_view, gaps)
{
    struct sensor_end sum;

    events_come(11, 2, 3); /* two of five, and then the mark */
    mark_comes(11, 7, 5);
    events_come(12, 2, 5); /* four of five, and no mark */
    all_end_there(5);
    for (int i = 0; i < SENSOR_BOX_QUIET; i++) {
        cr_assert_not(sensor_box_view_is_over(&view));
        site_says(SENSOR_BOX_ENDED);
    }
    cr_assert(sensor_box_view_is_over(&view));
    cr_assert_eq(sensor_box_view_lost(&view), 4);
    sensor_layout_sum(&layout, &sum);
    cr_assert_eq(sum.events, 10); /* what was raised, whatever came */
}

/* A worker died: what it published before still comes, and counts; of what it did not publish nobody knows. */
Test(box_view, dead_worker)
{
    struct sensor_end sum;

    mark_comes(11, 2, 0);
    sensor_layout_gone(&there, "worker-2", 12, "died before its end mark", true);
    ends_there(11, 0);
    site_says(SENSOR_BOX_ENDED);
    events_come(12, 2, 4);
    for (int i = 0; i < SENSOR_BOX_QUIET; i++) {
        cr_assert_not(sensor_box_view_is_over(&view));
        site_says(SENSOR_BOX_ENDED);
    }
    cr_assert(sensor_box_view_is_over(&view));
    cr_assert_eq(layout.peers[1].state, SENSOR_PEER_MISSING);
    cr_assert_str_eq(layout.peers[1].why, "died before its end mark");
    cr_assert_eq(sensor_box_view_lost(&view), 0);
    sensor_layout_sum(&layout, &sum);
    cr_assert_eq(sum.events, 3);
}

/* One that was never there is not waited for. */
Test(box_view, missing_from_the_start)
{
    static struct sensor_box_view other;
    static struct sensor_layout mine;

    sensor_layout_fini(&there);
    cr_assert_eq(sensor_layout_init(&there, WORKERS, 0, 0), 0);
    cr_assert(sensor_layout_ready(&there, BB_ROLE_WORKER, 0, "worker-1", 11));
    sensor_layout_give_up(&there, "did not come");
    tell(SENSOR_BOX_READY);
    cr_assert_eq(sensor_box_view_begin(&other, &mine, &word), 0);
    cr_assert_eq(mine.peers[1].state, SENSOR_PEER_MISSING);
    const struct sensor_end end = end_of(0);
    cr_assert(sensor_box_view_end(&other, 11, 2, &end));
    ends_there(11, 0);
    tell(SENSOR_BOX_ENDED);
    sensor_box_view_site(&other, &word);
    cr_assert(sensor_box_view_is_over(&other));
    sensor_layout_fini(&mine);
}

/* A logger died, and another one came in its place. */
Test(box_view, logger_came_again)
{
    const struct sensor_tally tally = {.handled = 7};

    sensor_layout_gone(&there, "logger-1", 13, "died", true);
    cr_assert(sensor_layout_ready(&there, BB_ROLE_LOGGER, 0, "logger-1", 23));
    ends_there(11, 0);
    ends_there(12, 0);
    sensor_layout_tally(&there, 23, &tally);
    mark_comes(11, 2, 0);
    mark_comes(12, 2, 0);
    site_says(SENSOR_BOX_ENDED);
    cr_assert(sensor_box_view_is_over(&view));
    cr_assert_eq(layout.peers[2].state, SENSOR_PEER_ENDED);
    cr_assert_eq(layout.peers[2].node_id, 23);
    cr_assert_eq(layout.peers[2].tally.handled, 7);
}

Test(box_view, workers_are_told_in_time)
{
    uint64_t quarter = sensor_box_window(WORKERS) / 4;

    cr_assert_not(sensor_box_view_is_due(&view));
    cr_assert(sensor_box_view_event(&view, 12, quarter - 1));
    cr_assert_not(sensor_box_view_is_due(&view));
    cr_assert(sensor_box_view_event(&view, 12, quarter));
    cr_assert(sensor_box_view_is_due(&view));
    sensor_box_view_say(&view, &word);
    cr_assert_eq(word.taken_count, WORKERS);
    cr_assert_eq(word.taken[1].id, 12);
    cr_assert_eq(word.taken[1].seq, quarter);
    cr_assert_eq(word.taken[0].seq, 0);
    cr_assert_not(sensor_box_view_is_due(&view));
    cr_assert(sensor_box_view_ask(&view, 11, 5)); /* its window is full: now */
    cr_assert(sensor_box_view_is_due(&view));
    sensor_box_view_say(&view, &word);
    cr_assert_eq(word.taken[0].seq, 5);
    cr_assert_not(sensor_box_view_is_due(&view));
}

Test(box_view, strangers)
{
    const struct sensor_end end = end_of(1);

    cr_assert_not(sensor_box_view_event(&view, 99, 1));
    cr_assert_not(sensor_box_view_event(&view, 13, 1)); /* a logger raises nothing */
    cr_assert_not(sensor_box_view_event(&view, 0, 1));
    cr_assert_not(sensor_box_view_ask(&view, 99, 1));
    cr_assert_not(sensor_box_view_end(&view, 99, 1, &end));
    word.peer_count--; /* the word of another layout */
    word.phase = SENSOR_BOX_ENDED;
    sensor_box_view_site(&view, &word);
    cr_assert_not(view.has_ended);
}
