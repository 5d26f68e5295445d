/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/process/power_cut/record.h - what a program does to the files of one directory, in order, and what was synced.
 *
 * record.c defines the C library's functions that change files (open, pwrite, writev, fdatasync, rename ...), so that
 * the library, LMDB and the test of this program all go through it; a function of the program is found before the
 * C library's one.  Processes forked after rec_new() write one common log, in the order in which things happened.
 */
#ifndef BUSBAR_TESTS_POWER_CUT_RECORD_H
#define BUSBAR_TESTS_POWER_CUT_RECORD_H

#include <stdbool.h>
#include <stdint.h>

enum rec_kind {
    REC_WRITE = 1, /* node, off, bytes, data; is_synced: through O_DSYNC */
    REC_SIZE,      /* node, off: the new size */
    REC_ALLOC,     /* node, off: at least this size */
    REC_SYNC,      /* node: a file, or a directory */
    REC_ENTRY,     /* dir, name -> node: made, linked, a symbolic link */
    REC_REMOVE,    /* dir, name */
    REC_RENAME,    /* dir, name -> to_dir, data: the new name */
    REC_MARK,      /* off, bytes: what the test says, see rec_mark() */
};

enum rec_node_kind { REC_FILE = 1, REC_DIR, REC_LINK };

struct rec_event {
    uint32_t kind;
    uint32_t node;
    uint32_t dir, to_dir;
    uint32_t is_synced;
    uint32_t node_kind; /* of ENTRY */
    uint64_t off, bytes;
    uint64_t data_bytes; /* that follow, rounded up to 8; of a name with its NUL */
    char name[48];
};

/* rec_new - an empty log in shared memory; root, an empty directory, is node 1. */
void rec_new(const char *root);
void rec_free(void);

/* rec_start - from now on this process is recorded; at its die_at-th change (0: never) it ends by _exit(77). */
void rec_start(uint64_t die_at);
void rec_mark(uint64_t what, uint64_t value);

/* rec_next - the event after *pos, which is 0 at first; NULL at the end. */
const struct rec_event *rec_next(uint64_t *pos);
const void *rec_data(const struct rec_event *e);
uint64_t rec_count(void);

/* rec_reboot - from now on this process sees another boot id. */
void rec_reboot(void);

#endif
