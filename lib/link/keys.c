/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One kind of security, said once: what is half said or said twice is refused, for the weaker one might be taken.
 */
#include "lib/link/keys.h"
#include "lib/link/box_id.h"

#include "shm/os.h"
#include "shm/place.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int
check_certificates(const struct bbi_daemon_opts *opts, struct bbi_fault *f)
{
    const char *missing = opts->cert == NULL  ? "certificate (--cert)"
                          : opts->key == NULL ? "private key (--key)"
                          : opts->ca == NULL  ? "certificate of the CA (--ca)"
                                              : NULL;
    if (missing != NULL) {
        return bbi_fault_set(f, BB_EINVAL, "cert",
                             "the %s is missing: certificates take --cert, --key and --ca; "
                             "`busbar pki issue` makes all three",
                             missing);
    }
    return 0;
}

int
bbi_link_security(const struct bbi_daemon_opts *opts, struct bbi_fault *f)
{
    bool is_cert = opts->cert != NULL || opts->key != NULL || opts->ca != NULL || opts->crl != NULL;
    bool is_psk = opts->psk != NULL;
    if ((is_cert ? 1 : 0) + (is_psk ? 1 : 0) + (opts->is_insecure ? 1 : 0) > 1) {
        return bbi_fault_set(
            f, BB_EINVAL, "security",
            "choose one: certificates (--cert, --key, --ca, and --crl with them), --psk, or "
            "--insecure");
    }
    if (is_cert) {
        int rc = check_certificates(opts, f);
        return rc != 0 ? rc : (int)BBI_SECURITY_CERT;
    }
    if (is_psk) {
        return BBI_SECURITY_KEY;
    }
    return opts->is_insecure ? BBI_SECURITY_NONE : BBI_SECURITY_USER_KEY;
}

static int
load_user_key(struct bbi_link_keys *out, const char *dir, struct bbi_fault *f)
{
    char place[BBI_PATH_BYTES];
    if (dir == NULL) {
        (void)bbi_place_dir(place,
                            sizeof(place)); /* whose it is, is looked at where it is opened */
        dir = place;
    }
    (void)snprintf(out->user_path, sizeof(out->user_path), "%s/.key", dir);
    out->tls.key_file = out->user_path;
    int rc = bbi_key_file_user(dir, out->key.bytes, f);
    out->is_made = rc == 1;
    return rc < 0 ? rc : 0;
}

int
bbi_link_own_name(const struct bbi_daemon_opts *opts,
                  const struct bbi_link_id *node,
                  char out[BBI_LINK_NAME_MAX + 1],
                  struct bbi_fault *f)
{
    char certified[BBI_TLS_NAME_BYTES];
    const char *name = opts->name;
    if (name == NULL && opts->cert != NULL) {
        int rc = bbi_tls_cert_name(opts->cert, certified, f);
        if (rc != 0) {
            return rc;
        }
        name = certified;
    }
    int rc = bbi_box_own_name(name, out, f);
    if (rc == 0 && name == NULL) {
        enum { SUFFIX_BYTES = 5 };
        size_t bytes = bbi_min_u64(strlen(out), BBI_LINK_NAME_MAX - SUFFIX_BYTES);
        (void)snprintf(out + bytes, SUFFIX_BYTES + 1, "-%02x%02x", node->v[0], node->v[1]);
    }
    return rc;
}

int
bbi_link_keys_load(struct bbi_link_keys *out,
                   const struct bbi_daemon_opts *opts,
                   struct bbi_fault *f)
{
    int rc = bbi_link_security(opts, f);
    if (rc < 0) {
        return rc;
    }
    *out = (struct bbi_link_keys){.security = (enum bbi_security)rc};
    if (out->security == BBI_SECURITY_CERT) {
        out->tls.cert_path = opts->cert;
        out->tls.key_path = opts->key;
        out->tls.ca_path = opts->ca;
        out->tls.crl_path = opts->crl;
        return 0;
    }
    if (out->security == BBI_SECURITY_KEY) {
        rc = bbi_key_file(opts->psk, out->key.bytes, f);
        out->tls.key_file = opts->psk;
    } else if (out->security == BBI_SECURITY_USER_KEY) {
        rc = load_user_key(out, opts->dir, f);
    } else {
        return 0;
    }
    out->tls.keys = &out->key;
    out->tls.key_count = 1;
    return rc;
}

void
bbi_link_keys_wipe(struct bbi_link_keys *keys)
{
    explicit_bzero(keys->key.bytes, sizeof(keys->key.bytes));
}

/* ---- rights ---- */

/* read_text - the file's bytes in *out (free), which also may be NULL for an empty one; how many, or a status in f. */
static int64_t
read_text(const char *path, char **out, struct bbi_fault *f)
{
    struct stat st;
    char *text = NULL;
    int64_t n;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK); /* it may be a pipe */
    if (fd < 0 || fstat(fd, &st) != 0) {
        n = bbi_fault_set(f, -errno, path, "the rights in '%s' cannot be read: %s", path,
                          bbi_errno_text(errno));
    } else if (!S_ISREG(st.st_mode)) {
        n = bbi_fault_set(f, BB_EINVAL, path,
                          "'%s' is not a regular file; name the one with the rights of peers",
                          path);
    } else if (st.st_size > BBI_RIGHTS_TEXT_MAX) {
        n = bbi_fault_set(f, BB_EMSGSIZE, path,
                          "'%s' has more than %d MiB: too much for rights of peers", path,
                          BBI_RIGHTS_TEXT_MAX >> 20);
    } else if ((text = malloc((size_t)st.st_size + 1)) == NULL) {
        n = bbi_fault_set(f, BB_ENOMEM, path, "no memory to read '%s'", path);
    } else if ((n = bbi_os_read_all(fd, text, (size_t)st.st_size + 1)) < 0) {
        (void)bbi_fault_set(f, (int)n, path, "the rights in '%s' cannot be read: %s", path,
                            bbi_errno_text((int)-n));
    } else if (n > st.st_size) {
        n = bbi_fault_set(f, BB_EBUSY, path, "'%s' grew while it was read; try again", path);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    if (n < 0) {
        free(text);
    } else {
        *out = text;
    }
    return n;
}

int
bbi_link_rights_load(struct bbi_rights **out, const char *path, struct bbi_fault *f)
{
    char *text = NULL;
    if (path == NULL) {
        *out = NULL;
        return 0;
    }
    int64_t bytes = read_text(path, &text, f);
    if (bytes < 0) {
        return (int)bytes;
    }
    void *mem = malloc(bbi_rights_footprint(text, (size_t)bytes));
    int rc = mem == NULL
                 ? bbi_fault_set(f, BB_ENOMEM, path, "no memory for the rules in '%s'", path)
                 : bbi_rights_new(out, mem, text, (size_t)bytes, path, f);
    if (rc != 0) {
        free(mem);
    }
    free(text);
    return rc;
}
