/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/process/power_cut/replay.h - what a disk may hold when the power goes at some point of a log.
 *
 * Harsher than any file system: all that was synced is there, in order; of everything else each write is there, or
 * not, or torn at 512 bytes, on its own; of each directory's changes that were not synced a part from the first on is
 * there.  Syncing a file does not sync its name.
 */
#ifndef BUSBAR_TESTS_POWER_CUT_REPLAY_H
#define BUSBAR_TESTS_POWER_CUT_REPLAY_H

#include "tests/process/power_cut/record.h"
#include <stddef.h>

/* Syncs that are taken away, to see whether that is found. */
enum {
    REPLAY_NO_FILE_SYNC = 1u << 0, /* fsync and fdatasync of files */
    REPLAY_NO_DSYNC = 1u << 1,     /* O_DSYNC */
    REPLAY_NO_DIR_SYNC = 1u << 2,
};

enum { REPLAY_MARKS = 8 };

struct replay;

struct replay *replay_new(unsigned without);
void replay_free(struct replay *r);

/* replay_to - goes on to the state after `count` events of the log; never back. */
void replay_to(struct replay *r, uint64_t count);
/* replay_mark - what the test said last so far: value, and the one before. */
uint64_t replay_mark(const struct replay *r, uint64_t what);
uint64_t replay_mark_before(const struct replay *r, uint64_t what);
/* replay_image - one of the states that the disk may be in, as a new directory; *random moves on. */
void replay_image(struct replay *r, const char *path, uint64_t *random);

uint64_t replay_random(uint64_t *random);

#endif
