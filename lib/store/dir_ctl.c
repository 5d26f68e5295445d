/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control file: of this boot, or a new one takes its place.
 */
#include "lib/store/dir_impl.h"

int
bbi_dir_map_ctl(struct bbi_store_dir *dir, bool writable)
{
    uint8_t boot_id[16];
    struct bbi_segment seg;
    int rc = bbi_segment_open(dir->fd, "ctl", BBI_FILE_STORE, writable, &seg);
    if (rc < 0) {
        return rc;
    }
    struct bbi_store_ctl *ctl = seg.base;
    bbi_os_boot_id(boot_id);
    if (seg.bytes < sizeof(*ctl) || ctl->magic != BBI_STORE_MAGIC) {
        bbi_segment_close(&seg);
        return BB_ECORRUPT;
    }
    if (memcmp(ctl->ident.boot_id, boot_id, sizeof(boot_id)) != 0) {
        bbi_segment_close(&seg);
        return BB_ENOENT;
    }
    dir->seg = seg;
    dir->ctl = ctl;
    dir->ident = ctl->ident;
    return 0;
}

static int
make_ctl(struct bbi_store_dir *dir)
{
    struct bbi_segment seg;
    int fd;
    int rc = bbi_segment_new(dir->fd, sizeof(struct bbi_store_ctl), dir->file_mode, &seg, &fd);
    if (rc < 0) {
        return rc;
    }
    struct bbi_store_ctl *ctl = seg.base;
    ctl->magic = BBI_STORE_MAGIC;
    bbi_store_relaxed(&ctl->flags, dir->is_memory ? UINT64_C(1) : 0); /* nobody sees it yet */
    bbi_segment_ident(&ctl->ident, BBI_FILE_STORE, sizeof(*ctl));
    bbi_segment_seal(&ctl->ident);
    (void)unlinkat(dir->fd, "ctl.new", 0);
    rc = bbi_os_link_file(fd, dir->fd, "ctl.new");
    BBI_HOOK("store:ctl_new");
    if (rc == 0 && renameat(dir->fd, "ctl.new", dir->fd, "ctl") != 0) {
        rc = -errno;
    }
    BBI_HOOK("store:ctl");
    (void)close(fd);
    if (rc < 0) {
        bbi_segment_close(&seg);
        return rc;
    }
    dir->seg = seg;
    dir->ctl = ctl;
    dir->ident = ctl->ident;
    return 0;
}

int
bbi_dir_say_ctl(const struct bbi_store_dir *dir, int rc, struct bbi_fault *f)
{
    return rc == BB_EVERSION
               ? bbi_fault_set(f, rc, dir->path,
                               "the store in '%s' is used by programs with another layout: end "
                               "them, then remove '%s/ctl'",
                               dir->path, dir->path)
           : rc == BB_ECORRUPT
               ? bbi_fault_set(f, rc, dir->path,
                               "the control file '%s/ctl' is damaged: its master mends "
                               "it within a second, or makes it anew when it starts",
                               dir->path)
           : rc == BB_ENOENT
               ? bbi_fault_set(f, rc, dir->path,
                               "the store in '%s' had no master since this box was "
                               "started: start its master",
                               dir->path)
               : bbi_dir_say_errno(f, rc, "open the control file of the store in", dir->path);
}

int
bbi_dir_have_ctl(struct bbi_store_dir *dir, struct bbi_fault *f)
{
    int rc = bbi_dir_map_ctl(dir, true);
    if (rc == BB_ENOENT || rc == BB_ECORRUPT) {
        if (dir->is_memory) {
            (void)unlinkat(dir->fd, "current", 0); /* never synced: of another boot it is void */
            bbi_store_dir_tidy(dir, 0);
        }
        rc = make_ctl(dir);
    }
    return rc < 0 ? bbi_dir_say_ctl(dir, rc, f) : 0;
}

bool
bbi_store_dir_mend_ctl(struct bbi_store_dir *dir)
{
    struct bbi_store_ctl *ctl = dir->ctl;
    if (ctl->magic == BBI_STORE_MAGIC
        && memcmp(&ctl->ident, &dir->ident, sizeof(dir->ident)) == 0) {
        return false;
    }
    memcpy(&ctl->ident, &dir->ident, sizeof(dir->ident));
    ctl->magic = BBI_STORE_MAGIC;
    return true;
}
