/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/scratch.h - the directory of a repetition, on a tmpfs where there is one; and one on a disk.
 *
 * Death      a harness that is killed leaves its directory.  Each is locked as long as its harness lives, so
 *            the next harness removes those that nobody holds.
 */
#ifndef BUSBAR_BENCH_SCRATCH_H
#define BUSBAR_BENCH_SCRATCH_H

struct bench_scratch {
    char path[128];
    int lock_fd;
};

/* bench_scratch_make - an empty directory; 0, or -1 after saying why.  _on_disk: in $TMPDIR, else /var/tmp. */
int bench_scratch_make(struct bench_scratch *scratch);
int bench_scratch_make_on_disk(struct bench_scratch *scratch);
void bench_scratch_remove(struct bench_scratch *scratch);

#endif
