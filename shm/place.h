/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * shm/place.h - the directory of a bus: where it is, whose it is, what lies in it.
 *
 * A bus is DIR/NAME: `lock`, `bus.ctl`, `pub-*.ring`, `sub-*.cur`, `roll-*`, `sock/`, `dead/`, `stores/`.  Its mode is 0700, or
 * 2770 with a group.  A default DIR that we do not own is refused, and any that everybody may write.
 */
#ifndef BUSBAR_SHM_PLACE_H
#define BUSBAR_SHM_PLACE_H

#include "shm/fault.h"
#include "shm/layout.h"
#include <sys/types.h>

enum { BBI_PATH_BYTES = 256, BBI_FILE_NAME_BYTES = 64 };

struct bbi_place {
    int dir_fd;
    char path[BBI_PATH_BYTES];
};

/* bbi_place_dir - the directory that holds buses when none is given: $BUSBAR_DIR, else per-user.  1 if per-user. */
int bbi_place_dir(char *out, size_t cap);

/*
 * bbi_place_open - opens DIR/NAME, making both when may_make.
 *
 * dir NULL means bbi_place_dir(), bus NULL $BUSBAR_BUS or "default"; group NULL means nobody else.
 * Returns   0; BB_ENOBUS, BB_EACCES, BB_ETRUST, BB_EINVAL, BB_ENAMETOOLONG, -errno; f says it in words.
 */
BB_MUST_USE int bbi_place_open(struct bbi_place *out,
                               const char *dir,
                               const char *bus,
                               const char *group,
                               bool may_make,
                               struct bbi_fault *f);
void bbi_place_close(struct bbi_place *place);

/* bbi_place_subdir - makes `sock` or `dead` when it is not there: mode 0770 whatever the umask says. */
void bbi_place_subdir(const struct bbi_place *place, const char *name);

/* Names of files; index, generation and key of their row in bus.ctl. */
void bbi_place_ring_name(char out[BBI_FILE_NAME_BYTES], uint32_t index, uint32_t gen, uint64_t key);
void bbi_place_sub_name(char out[BBI_FILE_NAME_BYTES], uint32_t index, uint32_t gen, uint64_t key);
/* One for each generation of the bus: `index` is the generation, `key` the bus's. */
void bbi_place_roll_name(char out[BBI_FILE_NAME_BYTES], uint32_t generation, uint64_t key);

/* bbi_place_parse_name - the kind of file that a name promises, and its row; 0 if it is not one of ours. */
int bbi_place_parse_name(const char *name, uint32_t *index, uint32_t *gen, uint64_t *key);

#endif
