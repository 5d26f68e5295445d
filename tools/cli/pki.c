/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/pki.c - the directory: opened, locked, made whole or not at all.
 */
#include "tools/cli/pki.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { FILE_MAX_BYTES = 1 << 20, HOUR_S = 3600, DAY_S = 86400 };

/* join - DIR/NAME; 0, or -1 when it does not fit. */
static int
join(char *out, size_t cap, const char *dir, const char *name)
{
    int n = snprintf(out, cap, "%s/%s", dir, name);
    return n >= 0 && (size_t)n < cap ? 0 : -1;
}

static int
say_errno(const char *what, const char *path)
{
    int code = cli_exit_code(-errno);
    cli_say("%s %s: %s", what, path, strerrordesc_np(errno));
    return code;
}

int
pki_name_is_good(const char *name)
{
    size_t bytes = strlen(name);
    if (bytes == 0 || bytes > PKI_NAME_MAX || name[0] == '.' || name[0] == '-'
        || name[bytes - 1] == '.') {
        return 0;
    }
    return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")
               == bytes
           && strstr(name, "..") == NULL;
}

/* ---- an authority that is there ---------------------------------------------------------------------- */

/* check_key - that nobody else reads or writes the key that vouches for every node. */
static int
check_key(const char *dir)
{
    char path[PATH_MAX];
    struct stat st;
    if (join(path, sizeof(path), dir, "ca.key") != 0 || stat(path, &st) != 0) {
        cli_say("%s holds no certificate authority (no ca.key): `busbar pki init %s` makes one",
                dir, dir);
        return CLI_NONE;
    }
    if (st.st_uid != geteuid() || (st.st_mode & 077) != 0) {
        cli_say("%s has mode %04o and belongs to user %u: others may vouch for nodes with it; "
                "chmod 0600 it, and be its owner",
                path, (unsigned)(st.st_mode & 07777), (unsigned)st.st_uid);
        return CLI_PERMISSION;
    }
    return CLI_DONE;
}

int
pki_open(struct pki *pki, const char *dir)
{
    char path[PATH_MAX];
    pki->lock_fd = -1;
    if (realpath(dir, pki->dir) == NULL) {
        return say_errno("cannot open", dir);
    }
    int rc = check_key(pki->dir);
    if (rc != CLI_DONE || join(path, sizeof(path), pki->dir, ".lock") != 0) {
        return rc != CLI_DONE ? rc : CLI_FAILED;
    }
    pki->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (pki->lock_fd < 0) {
        return say_errno("cannot open", path);
    }
    if (flock(pki->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        cli_say("another busbar works in %s: try again when it is done", pki->dir);
        pki_close(pki);
        return CLI_NO;
    }
    return CLI_DONE;
}

void
pki_close(struct pki *pki)
{
    if (pki->lock_fd >= 0) {
        (void)close(pki->lock_fd);
        pki->lock_fd = -1;
    }
}

/* ---- what is new ------------------------------------------------------------------------------------- */

/* absolute - the parent's real path and the last name; the parent must be there. */
static int
absolute(const char *path, char *parent, char *out)
{
    char text[PATH_MAX];
    size_t bytes = strlen(path);
    while (bytes > 1 && path[bytes - 1] == '/') {
        bytes--;
    }
    if (bytes == 0 || bytes >= sizeof(text)) {
        errno = bytes == 0 ? ENOENT : ENAMETOOLONG;
        return say_errno("cannot make", path);
    }
    memcpy(text, path, bytes);
    text[bytes] = '\0';
    char *slash = strrchr(text, '/');
    const char *name = slash != NULL ? slash + 1 : text;
    if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
        cli_say("%s: name a directory that can be made", path);
        return CLI_USAGE;
    }
    char last[PATH_MAX];
    (void)snprintf(last, sizeof(last), "%s", name);
    if (slash != NULL) {
        *slash = '\0';
    }
    const char *above = slash == NULL ? "." : slash == text ? "/" : text;
    if (realpath(above, parent) == NULL) {
        return say_errno("cannot open", above);
    }
    if (join(out, PATH_MAX, parent, last) != 0) {
        errno = ENAMETOOLONG;
        return say_errno("cannot make", path);
    }
    return CLI_DONE;
}

int
pki_new_make(struct pki_new *made, const char *final)
{
    char parent[PATH_MAX];
    made->path[0] = '\0';
    int rc = absolute(final, parent, made->final);
    if (rc != CLI_DONE) {
        return rc;
    }
    if (join(made->path, sizeof(made->path), parent, ".busbar-pki.XXXXXX") != 0
        || mkdtemp(made->path) == NULL) {
        made->path[0] = '\0';
        return say_errno("cannot make a directory in", parent);
    }
    return CLI_DONE;
}

/* remove_files - what lies in a directory, but for directories that are not empty. */
static void
remove_files(const char *path)
{
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return;
    }
    const struct dirent *entry = NULL;
    while ((entry = readdir(dir)) != NULL) { /* NOLINT(concurrency-mt-unsafe): one thread */
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0
            && unlinkat(dirfd(dir), entry->d_name, 0) != 0) {
            (void)unlinkat(dirfd(dir), entry->d_name, AT_REMOVEDIR);
        }
    }
    (void)closedir(dir);
}

void
pki_new_drop(struct pki_new *made)
{
    char issued[PATH_MAX];
    if (made->path[0] != '\0') {
        if (join(issued, sizeof(issued), made->path, "issued") == 0) {
            remove_files(issued); /* of an authority that came to nothing */
        }
        remove_files(made->path);
        (void)rmdir(made->path);
        made->path[0] = '\0';
    }
}

int
pki_new_keep(struct pki_new *made, int is_renewal)
{
    if (is_renewal
        && renameat2(AT_FDCWD, made->path, AT_FDCWD, made->final, RENAME_EXCHANGE) == 0) {
        pki_new_drop(made); /* what was there before */
        return CLI_DONE;
    }
    /* An empty directory may be there; one with something in it stays. */
    if (rename(made->path, made->final) == 0) {
        made->path[0] = '\0';
        return CLI_DONE;
    }
    if (errno == ENOTEMPTY || errno == EEXIST || errno == ENOTDIR) {
        cli_say("%s is there already: nothing of it was changed", made->final);
        return CLI_NO;
    }
    return say_errno("cannot make", made->final);
}

/* write_all - 0, or -1 with errno. */
static int
write_all(int fd, const char *text, size_t bytes)
{
    while (bytes > 0) {
        ssize_t n = write(fd, text, bytes);
        if (n < 0 && errno != EINTR) {
            return -1;
        }
        text += n > 0 ? n : 0;
        bytes -= n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static int
write_file(const char *path, const char *text, size_t bytes, unsigned mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0) {
        return say_errno("cannot make", path);
    }
    int failed = write_all(fd, text, bytes) != 0 || fchmod(fd, mode) != 0 || fsync(fd) != 0;
    int rc = failed ? say_errno("cannot write", path) : CLI_DONE;
    (void)close(fd);
    return rc;
}

int
pki_write(const char *dir, const char *name, const char *text, unsigned mode)
{
    char path[PATH_MAX];
    if (join(path, sizeof(path), dir, name) != 0) {
        errno = ENAMETOOLONG;
        return say_errno("cannot write in", dir);
    }
    return write_file(path, text, strlen(text), mode);
}

/* read_file - its bytes, NUL behind them (free); NULL after it was said. */
static char *
read_file(const char *path, size_t *bytes)
{
    FILE *file = fopen(path, "re");
    char *text = file != NULL ? malloc(FILE_MAX_BYTES) : NULL;
    if (text == NULL) {
        (void)say_errno("cannot read", path);
    } else {
        *bytes = fread(text, 1, FILE_MAX_BYTES - 1, file);
        text[*bytes] = '\0';
        if (ferror(file) != 0 || *bytes == FILE_MAX_BYTES - 1) {
            cli_say("cannot read %s: it is no file of an authority", path);
            free(text);
            text = NULL;
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return text;
}

int
pki_copy(const char *from_dir, const char *to_dir, const char *name)
{
    char from[PATH_MAX];
    char to[PATH_MAX];
    size_t bytes = 0;
    if (join(from, sizeof(from), from_dir, name) != 0 || join(to, sizeof(to), to_dir, name) != 0) {
        errno = ENAMETOOLONG;
        return say_errno("cannot copy to", to_dir);
    }
    char *text = read_file(from, &bytes);
    int rc = text != NULL ? write_file(to, text, bytes, 0644) : CLI_FAILED;
    free(text);
    return rc;
}

/* ---- times ------------------------------------------------------------------------------------------- */

static int
time_text(char out[20], time_t when)
{
    struct tm parts;
    return gmtime_r(&when, &parts) != NULL && strftime(out, 20, "%Y%m%d%H%M%SZ", &parts) > 0 ? 0
                                                                                             : -1;
}

int
pki_period(struct pki_period *out, uint64_t days)
{
    if (days == 0 || days > PKI_DAYS_MAX) {
        cli_say("--days takes 1 to %d", PKI_DAYS_MAX);
        return CLI_USAGE;
    }
    time_t now = time(NULL);
    if (time_text(out->start, now - HOUR_S) != 0
        || time_text(out->end, now + (time_t)days * DAY_S) != 0) {
        cli_say("the clock of this box is beyond what a certificate can say");
        return CLI_FAILED;
    }
    return CLI_DONE;
}

/* ---- openssl's records ------------------------------------------------------------------------------- */

int
pki_crl(const char *dir)
{
    char made[PATH_MAX];
    char final[PATH_MAX];
    struct pki_period period;
    if (pki_period(&period, PKI_CA_DAYS) != CLI_DONE) {
        return CLI_FAILED;
    }
    const char *const words[] = {
        "ca",         "-config",         "openssl.cnf", "-gencrl", "-crl_lastupdate",
        period.start, "-crl_nextupdate", period.end,    "-out",    "crl.new",
        NULL};
    int rc = pki_openssl(dir, 0, words);
    if (rc != CLI_DONE) {
        return rc;
    }
    if (join(made, sizeof(made), dir, "crl.new") != 0
        || join(final, sizeof(final), dir, "crl.pem") != 0 || chmod(made, 0644) != 0
        || rename(made, final) != 0) {
        return say_errno("cannot write crl.pem in", dir);
    }
    return CLI_DONE;
}

/* split_line - six columns with tabs between them: state, until, revoked, serial, file, /CN=NODE. */
static int
split_line(char *text, struct pki_line *line)
{
    char *columns[6] = {NULL};
    for (size_t i = 0; i < 6; i++) {
        columns[i] = text;
        text = i < 5 && text != NULL ? strchr(text, '\t') : NULL;
        if (text != NULL) {
            *text++ = '\0';
        }
    }
    if (columns[5] == NULL || strncmp(columns[5], "/CN=", 4) != 0) {
        return -1;
    }
    *line = (struct pki_line){
        .state = columns[0][0], .until = columns[1], .serial = columns[3], .node = columns[5] + 4};
    return 0;
}

int
pki_each(const char *dir, int (*each)(const struct pki_line *line, void *user), void *user)
{
    char path[PATH_MAX];
    size_t bytes = 0;
    int rc = CLI_DONE;
    char *text = join(path, sizeof(path), dir, "index.txt") == 0 ? read_file(path, &bytes) : NULL;
    if (text == NULL) {
        return CLI_FAILED;
    }
    char *state = NULL;
    for (char *one = strtok_r(text, "\n", &state); one != NULL && rc == CLI_DONE;
         one = strtok_r(NULL, "\n", &state)) {
        struct pki_line line;
        if (split_line(one, &line) == 0) {
            rc = each(&line, user);
        }
    }
    free(text);
    return rc;
}

/* ---- records that are put back ----------------------------------------------------------------------- */

char *
pki_records_keep(const char *dir)
{
    char path[PATH_MAX];
    size_t bytes = 0;
    return join(path, sizeof(path), dir, "index.txt") == 0 ? read_file(path, &bytes) : NULL;
}

struct issued {
    const char *dir, *kept;
};

/* forget - openssl's own copy of a certificate whose line goes. */
static int
forget(const struct pki_line *line, void *user)
{
    const struct issued *issued = user;
    char name[PATH_MAX];
    char path[PATH_MAX];
    (void)snprintf(name, sizeof(name), "issued/%s.pem", line->serial);
    if (strstr(issued->kept, line->serial) == NULL
        && join(path, sizeof(path), issued->dir, name) == 0) {
        (void)unlink(path);
    }
    return CLI_DONE;
}

void
pki_records_restore(const char *dir, const char *kept)
{
    struct issued issued = {dir, kept};
    char made[PATH_MAX];
    char final[PATH_MAX];
    if (pki_each(dir, forget, &issued) != CLI_DONE
        || join(made, sizeof(made), dir, "index.new") != 0
        || join(final, sizeof(final), dir, "index.txt") != 0) {
        return;
    }
    (void)unlink(made); /* of one that was killed here */
    if (pki_write(dir, "index.new", kept, 0600) == CLI_DONE && rename(made, final) != 0) {
        (void)say_errno("cannot put back", final);
    }
}
