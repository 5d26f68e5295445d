/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/store/dir_impl.h - what the files of lib/store/dir share.
 *
 *   dir ─ dir_ctl, dir_lock     one directory: its control file, and who is master of it
 *   dir_generations, dir_bus    which file counts; which store a bus calls by a name
 */
#ifndef BUSBAR_LIB_STORE_DIR_IMPL_H
#define BUSBAR_LIB_STORE_DIR_IMPL_H

#include "lib/endpoint/endpoint_impl.h"
#include "lib/store/dir.h"
#include "shm/hook.h"
#include "shm/os.h"
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- dir.c ---- */

/* bbi_dir_say_errno - a sentence: cannot WHAT PATH, and why.  rc. */
int bbi_dir_say_errno(struct bbi_fault *f, int rc, const char *what, const char *path);

/* bbi_dir_make_like_parent - the directory, unless it is there, open to whom the one above is.  0, or a status. */
int bbi_dir_make_like_parent(const char *path, struct bbi_fault *f);

/* ---- dir_ctl.c ---- */

/* bbi_dir_map_ctl - 0; BB_ENOENT it is not there or of another boot; BB_ECORRUPT; BB_EVERSION; -errno. */
int bbi_dir_map_ctl(struct bbi_store_dir *dir, bool writable);

/* bbi_dir_have_ctl - for one that holds the lock: mapped, made anew where it must be.  0, or a status. */
int bbi_dir_have_ctl(struct bbi_store_dir *dir, struct bbi_fault *f);

/* bbi_dir_say_ctl - why it could not be mapped.  rc. */
int bbi_dir_say_ctl(const struct bbi_store_dir *dir, int rc, struct bbi_fault *f);

/* ---- dir_lock.c ---- */

/* bbi_dir_open_lock - the file whose byte says who is master, made where it is missing.  0, or -errno. */
int bbi_dir_open_lock(struct bbi_store_dir *dir, struct bbi_fault *f);

/*
 * bbi_dir_another_lives - the lock is ours, and so the last master is dead: unless the file that it holds was removed.
 * One that is just ending has let go of its files already, and is waited for.
 */
bool bbi_dir_another_lives(const struct bbi_store_dir *dir);

/* bbi_dir_say_held - who is master.  BB_EEXIST. */
int bbi_dir_say_held(const struct bbi_store_dir *dir, struct bbi_fault *f);

/* ---- dir_generations.c ---- */

/* bbi_dir_parse_gen - the generation that a file of this name is of; false: not a name of ours. */
bool bbi_dir_parse_gen(const char *name, uint64_t *generation, bool *is_new);

/* bbi_dir_each_entry - calls back with each name; the directory's position is our own. */
void
bbi_dir_each_entry(int dir_fd, void (*cb)(int dir_fd, const char *name, void *user), void *user);

#endif
