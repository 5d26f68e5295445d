/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is checked is the open file, never its path: a link to a good file is good (that is how container platforms hand
 * secrets out), and nothing can be exchanged between the check and the reading.  Only in the user's own directory, where we
 * make the file, a link is refused.
 */
#include "lib/net/key_file.h"
#include "shm/os.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DIGITS = 2 * BBI_KEY_BYTES, TEXT_BYTES = DIGITS + 1 };
#define KEY_NAME ".key"

static int
check_file(int fd, const char *path, struct stat *st, struct bbi_fault *f)
{
    if (fstat(fd, st) != 0) {
        return bbi_fault_set(f, -errno, path, "'%s' cannot be looked at: %s", path,
                             bbi_errno_text(errno));
    }
    if (!S_ISREG(st->st_mode)) {
        return bbi_fault_set(f, BB_EINVAL, path,
                             "'%s' is not a regular file; name the file that holds the key", path);
    }
    if (st->st_uid != geteuid() && st->st_uid != 0) {
        return bbi_fault_set(f, BB_ETRUST, path,
                             "'%s' belongs to user %u, not to us: who owns a key's file knows the "
                             "key; take a copy of your own with mode 0600",
                             path, st->st_uid);
    }
    if ((st->st_mode & 077) != 0) {
        return bbi_fault_set(f, BB_EACCES, path,
                             "'%s' has mode %04o, so others may read or write the secret in it; "
                             "make it yours alone: chmod 0600 '%s'",
                             path, st->st_mode & 07777, path);
    }
    return 0;
}

static int64_t
read_open(int fd, const char *path, unsigned char **out, struct bbi_fault *f)
{
    struct stat st;
    int rc = check_file(fd, path, &st, f);
    if (rc != 0) {
        return rc;
    }
    if (st.st_size > BBI_SECRET_MAX) {
        return bbi_fault_set(f, BB_EMSGSIZE, path, "'%s' has more than %d bytes: it is no key",
                             path, BBI_SECRET_MAX);
    }
    size_t cap = (size_t)st.st_size + 1; /* one more: it may grow meanwhile, and then is refused */
    unsigned char *secret = calloc(1, cap);
    if (secret == NULL) {
        return bbi_fault_set(f, BB_ENOMEM, path, "no memory to read '%s'", path);
    }
    int64_t n = bbi_os_read_all(fd, secret, cap);
    if (n < 0 || n >= (int64_t)cap) {
        bbi_secret_free(secret, cap);
        int code = n < 0 ? (int)n : BB_EBUSY;
        return bbi_fault_set(f, code, path, "'%s' cannot be read: %s", path,
                             n < 0 ? bbi_errno_text((int)-n) : "it grew meanwhile; try again");
    }
    *out = secret;
    return n;
}

static int64_t
read_at(int dir_fd,
        const char *name,
        int flags,
        const char *path,
        unsigned char **out,
        struct bbi_fault *f)
{
    /* Not blocking: it may be a pipe. */
    int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | flags);
    if (fd < 0) {
        return bbi_fault_set(f, -errno, path, "'%s' cannot be opened: %s", path,
                             errno == ELOOP ? "it is a symbolic link; put the file itself there"
                                            : bbi_errno_text(errno));
    }
    int64_t n = read_open(fd, path, out, f);
    (void)close(fd);
    return n;
}

int64_t
bbi_secret_read(const char *path, unsigned char **out, struct bbi_fault *f)
{
    return read_at(AT_FDCWD, path, 0, path, out, f);
}

void
bbi_secret_free(unsigned char *secret, size_t bytes)
{
    if (secret != NULL) {
        explicit_bzero(secret, bytes);
        free(secret);
    }
}

static int
digit(unsigned char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (unsigned char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool
parse_key(const unsigned char *text, size_t bytes, unsigned char out[BBI_KEY_BYTES])
{
    unsigned char key[BBI_KEY_BYTES];
    if (bytes == TEXT_BYTES + 1 && text[DIGITS] == '\r') {
        bytes--; /* a file of another system */
    }
    bool is_good =
        bytes == DIGITS || (bytes == TEXT_BYTES && (text[DIGITS] == '\n' || text[DIGITS] == '\r'));
    for (size_t i = 0; is_good && i < BBI_KEY_BYTES; i++) {
        int high = digit(text[2 * i]);
        int low = digit(text[2 * i + 1]);
        is_good = high >= 0 && low >= 0;
        key[i] = (unsigned char)(((unsigned)high << 4 | (unsigned)low) & 0xff);
    }
    if (is_good) {
        memcpy(out, key, sizeof(key));
    }
    explicit_bzero(key, sizeof(key));
    return is_good;
}

/* All digits alike are what somebody types for a test; nobody draws them. */
static bool
is_weak(const unsigned char key[BBI_KEY_BYTES])
{
    unsigned int differ = (key[0] >> 4) ^ (key[0] & 0xfu);
    for (size_t i = 1; i < BBI_KEY_BYTES; i++) {
        differ |= (unsigned int)(key[i] ^ key[0]);
    }
    return differ == 0;
}

static int
key_at(int dir_fd,
       const char *name,
       int flags,
       const char *path,
       unsigned char *out,
       struct bbi_fault *f)
{
    unsigned char *text = NULL;
    int64_t n = read_at(dir_fd, name, flags, path, &text, f);
    if (n < 0 || text == NULL) {
        return (int)n;
    }
    unsigned char key[BBI_KEY_BYTES] = {0};
    bool is_good = parse_key(text, (size_t)n, key);
    bbi_secret_free(text, (size_t)n);
    if (!is_good) {
        return bbi_fault_set(f, BB_EINVAL, path,
                             "'%s' is not a key of 256 bits in %d hexadecimal digits; make one: "
                             "(umask 077; openssl rand -hex 32 >'%s')",
                             path, DIGITS, path);
    }
    if (is_weak(key)) {
        return bbi_fault_set(f, BB_EINVAL, path,
                             "'%s' is a weak key, its digits are all the same: anybody guesses it; "
                             "make one: (umask 077; openssl rand -hex 32 >'%s')",
                             path, path);
    }
    memcpy(out, key, sizeof(key));
    explicit_bzero(key, sizeof(key));
    return 0;
}

int
bbi_key_file(const char *path, unsigned char out[BBI_KEY_BYTES], struct bbi_fault *f)
{
    return key_at(AT_FDCWD, path, 0, path, out, f);
}

/* ---- the user's own ---- */

static int
open_dir(const char *dir, struct bbi_fault *f)
{
    struct stat st;
    if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
        return bbi_fault_set(f, -errno, dir, "directory '%s' cannot be made: %s", dir,
                             bbi_errno_text(errno));
    }
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        int error = errno;
        if (fd >= 0) {
            (void)close(fd);
        }
        return bbi_fault_set(f, -error, dir, "directory '%s' cannot be opened: %s", dir,
                             bbi_errno_text(error));
    }
    if ((st.st_uid != geteuid() && st.st_uid != 0) || (st.st_mode & 02) != 0) {
        (void)close(fd);
        return bbi_fault_set(
            f, BB_ETRUST, dir,
            "directory '%s' belongs to user %u with mode %04o: a key there could be "
            "another's; use one of your own (BUSBAR_DIR), or name a key with --psk",
            dir, st.st_uid, st.st_mode & 07777);
    }
    return fd;
}

/* The whole of it, on disk, before it has a name: a crash leaves the key or nothing. */
static int
write_key(int fd)
{
    static const char HEX[] = "0123456789abcdef";
    unsigned char key[BBI_KEY_BYTES];
    char text[TEXT_BYTES];
    bbi_os_random(key, sizeof(key));
    for (size_t i = 0; i < sizeof(key); i++) {
        text[2 * i] = HEX[key[i] >> 4];
        text[2 * i + 1] = HEX[key[i] & 15];
    }
    text[DIGITS] = '\n';
    ssize_t n = pwrite(fd, text, sizeof(text), 0);
    int rc = n == (ssize_t)sizeof(text) ? 0 : n < 0 ? -errno : BB_EIO;
    explicit_bzero(key, sizeof(key));
    explicit_bzero(text, sizeof(text));
    if (rc == 0 && fdatasync(fd) != 0) {
        rc = -errno;
    }
    return rc;
}

/* 1 made; BB_EEXIST somebody else was first. */
static int
make_key(int dir_fd, const char *path, struct bbi_fault *f)
{
    int fd = bbi_os_create_file(dir_fd, TEXT_BYTES, 0600);
    int rc = fd < 0 ? fd : write_key(fd);
    if (rc == 0) {
        rc = bbi_os_link_file(fd, dir_fd, KEY_NAME);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    if (rc != 0 && rc != BB_EEXIST) {
        return bbi_fault_set(f, rc, path, "'%s' cannot be made: %s", path, bbi_errno_text(-rc));
    }
    return rc == 0 ? 1 : rc;
}

int
bbi_key_file_user(const char *dir, unsigned char out[BBI_KEY_BYTES], struct bbi_fault *f)
{
    char path[512];
    struct stat st;
    (void)snprintf(path, sizeof(path), "%s/" KEY_NAME, dir);
    int dir_fd = open_dir(dir, f);
    if (dir_fd < 0) {
        return dir_fd;
    }
    int made = 0;
    if (fstatat(dir_fd, KEY_NAME, &st, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT) {
        made = make_key(dir_fd, path, f);
    }
    int rc =
        made < 0 && made != BB_EEXIST ? made : key_at(dir_fd, KEY_NAME, O_NOFOLLOW, path, out, f);
    (void)close(dir_fd);
    return rc == 0 && made == 1 ? 1 : rc;
}
