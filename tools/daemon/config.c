/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * inih takes lines apart; how it was built decides whether it tells their numbers, so the reader that hands them to it
 * counts.  The reader also looks at what inih passes over in silence: a line that is too long for it, a NUL, and the
 * head of a section, of which it keeps 49 bytes and says nothing when no key follows.
 */
#include "tools/daemon/config.h"

#include "tools/daemon/words.h"
#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum section { SECTION_NONE, SECTION_BRIDGE, SECTION_PEER };
enum { LINE_MAX_BYTES = 4096, FILE_MAX_BYTES = 1 << 20 };

struct reading {
    struct daemon_settings *out;
    struct daemon_wrong *wrong;
    const char *path;
    char *dir; /* of path */
    FILE *file;
    size_t bytes;
    int line;
    int wrong_line; /* 0: all is well so far */
    enum section section;
    int peer_line; /* where the last [peer] began */
};

static const char *const bridge_words[] = {"bus",      "dir",   "listen",  "topics",    "engine",
                                           "cert",     "key",   "ca",      "crl",       "psk",
                                           "insecure", "name",  "cluster", "compress",  "rights",
                                           "slow",     "queue", "ring",    "retry-max", NULL};

/* wrong_here - keeps the first mistake; later ones may only follow from it. */
__attribute__((format(printf, 2, 3))) static int
wrong_here(struct reading *r, const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (r->wrong_line == 0) {
        r->wrong_line = r->line;
        (void)daemon_wrong_set(r->wrong, "%.100s:%d: %s", r->path, r->line, text);
    }
    return -1;
}

/* ---- sections ---- */

/* end_peer - a [peer NAME] that ends here must have said something: where it is, or how it is treated when it comes. */
static void
end_peer(struct reading *r)
{
    const struct daemon_peer *peer =
        r->section == SECTION_PEER ? &r->out->peers[r->out->peer_count - 1] : NULL;
    if (peer != NULL && peer->host == NULL && peer->slow == DAEMON_UNSAID
        && peer->queue_bytes == 0) {
        int line = r->line;
        r->line = r->peer_line;
        (void)wrong_here(r,
                         "[peer %s] says nothing: add `address = HOST:PORT`, or `slow` or `queue` "
                         "for when it links to us",
                         peer->name);
        r->line = line;
    }
}

static int
begin_peer(struct reading *r, const char *name)
{
    if (name[0] == '\0' || strlen(name) > DAEMON_NAME_MAX) {
        return wrong_here(r, "the name in [peer NAME] needs 1 to %d bytes", DAEMON_NAME_MAX);
    }
    for (const char *p = name; *p != '\0'; p++) {
        if (*p <= ' ' || *p >= 127) {
            return wrong_here(r,
                              "\"%.80s\" in [peer NAME] can be no box's name: printable ASCII "
                              "characters, no blank, no quotes needed",
                              name);
        }
    }
    for (size_t i = 0; i < r->out->peer_count; i++) {
        if (strcmp(r->out->peers[i].name, name) == 0) {
            return wrong_here(r, "[peer %s] stands there twice", name);
        }
    }
    if (daemon_settings_peer(r->out, name) == NULL) {
        return wrong_here(r, "no memory");
    }
    r->section = SECTION_PEER;
    r->peer_line = r->line;
    return 0;
}

/* begin_section - text is what stands between [ and ], trimmed. */
static int
begin_section(struct reading *r, const char *text)
{
    static const char *const sections[] = {"bridge", "peer", NULL};
    end_peer(r);
    r->section = SECTION_NONE;
    if (strcmp(text, "bridge") == 0) {
        r->section = SECTION_BRIDGE;
        return 0;
    }
    size_t word = strcspn(text, " \t");
    if (word == 4 && strncmp(text, "peer", 4) == 0) {
        return begin_peer(r, text + word + strspn(text + word, " \t"));
    }
    const char *nearest = daemon_nearest(text, sections);
    return wrong_here(r, "there is no section [%.80s]%s%s%s", text,
                      nearest != NULL ? "; did you mean [" : ": write [bridge] or [peer NAME]",
                      nearest != NULL ? nearest : "", nearest != NULL ? "]?" : "");
}

/* look_at_head - is this line the head of a section? */
static void
look_at_head(struct reading *r, const char *line)
{
    char text[LINE_MAX_BYTES];
    line += strspn(line, " \t");
    const char *end = line[0] == '[' ? strchr(line, ']') : NULL;
    if (end == NULL) {
        return; /* without ] inih says so itself */
    }
    const char *begin = line + 1 + strspn(line + 1, " \t");
    while (end > begin && (end[-1] == ' ' || end[-1] == '\t')) {
        end--;
    }
    size_t bytes = begin < end ? (size_t)(end - begin) : 0;
    memcpy(text, begin, bytes);
    text[bytes] = '\0';
    (void)begin_section(r, text);
}

/* ---- keys ---- */

static int
no_such_key(struct reading *r, const char *name, const char *const *words)
{
    const char *section = r->section == SECTION_PEER ? "[peer]" : "[bridge]";
    const char *nearest = daemon_nearest(name, words);
    if (strcmp(name, "peer") == 0) {
        return wrong_here(
            r, "a peer is a section: write [peer NAME], and below it address = HOST:PORT");
    }
    if (nearest != NULL) {
        return wrong_here(r, "%s has no key \"%.60s\"; did you mean `%s`?", section, name, nearest);
    }
    return wrong_here(r, "%s has no key \"%.60s\"", section, name);
}

static int
set_one(struct reading *r, const struct daemon_key *key, const char *value)
{
    struct daemon_wrong wrong;
    if (daemon_settings_set(r->out, key, value, r->dir, &wrong) != 0) {
        return wrong_here(r, "%s: %.300s", key->name, wrong.text);
    }
    return 0;
}

/* next_word - copies one word, or what stands between two ", and returns where it ends; NULL: the quote is not closed. */
static const char *
next_word(const char *text, char *out)
{
    bool is_quoted = text[0] == '"';
    size_t bytes = strcspn(text + (is_quoted ? 1 : 0), is_quoted ? "\"" : " \t");
    text += is_quoted ? 1 : 0;
    memcpy(out, text, bytes);
    out[bytes] = '\0';
    if (is_quoted && text[bytes] != '"') {
        return NULL;
    }
    return text + bytes + (is_quoted ? 1 : 0);
}

/* set_list - each word of the line is one. */
static int
set_list(struct reading *r, const struct daemon_key *key, const char *value)
{
    char word[LINE_MAX_BYTES];
    value += strspn(value, " \t");
    while (*value != '\0') {
        value = next_word(value, word);
        if (value == NULL) {
            return wrong_here(r, "%s: a \" is not closed", key->name);
        }
        if (set_one(r, key, word) != 0) {
            return -1;
        }
        value += strspn(value, " \t");
    }
    return 0;
}

static int
set_key(struct reading *r, const char *name, const char *value)
{
    if (r->section == SECTION_PEER) {
        struct daemon_wrong wrong;
        if (daemon_read_choice(name, daemon_peer_keys) < 0) {
            return no_such_key(r, name, daemon_peer_keys);
        }
        if (daemon_peer_set(&r->out->peers[r->out->peer_count - 1], name, value, &wrong) != 0) {
            return wrong_here(r, "%s: %.300s", name, wrong.text);
        }
        return 0;
    }
    const struct daemon_key *key =
        daemon_read_choice(name, bridge_words) >= 0 ? daemon_key_find(name) : NULL;
    if (key == NULL) {
        return no_such_key(r, name, bridge_words);
    }
    bool is_list = key->type == DAEMON_PLACES || key->type == DAEMON_TOPICS;
    return is_list ? set_list(r, key, value) : set_one(r, key, value);
}

/* ---- inih's two callbacks ---- */

static int
on_key(void *user, const char *section, const char *name, const char *value)
{
    struct reading *r = user;
    (void)section; /* cut off at 49 bytes: the reader knows better */
    if (r->wrong_line != 0) {
        return 1;
    }
    if (r->section == SECTION_NONE) {
        (void)wrong_here(r, "\"%.60s\" stands before any section: write [bridge] above it", name);
        return 1;
    }
    (void)set_key(r, name, value);
    return 1; /* what is wrong is kept; inih's own answer is for what it cannot read */
}

/* skip_mark - some editors begin a file with three bytes that only say that it is UTF-8. */
static void
skip_mark(char *line)
{
    static const char mark[] = "\xef\xbb\xbf";
    if (strncmp(line, mark, sizeof(mark) - 1) == 0) {
        memmove(line, line + sizeof(mark) - 1, strlen(line) - (sizeof(mark) - 1) + 1);
    }
}

/* cut_comment - inih knows ` ;` behind a value; ` #` is one as well, unless it stands between two ". */
static void
cut_comment(char *line)
{
    bool is_quoted = false;
    for (char *p = line; *p != '\0'; p++) {
        is_quoted = is_quoted != (*p == '"');
        if (!is_quoted && *p == '#' && p > line && (p[-1] == ' ' || p[-1] == '\t')) {
            *p = '\0';
            return;
        }
    }
}

/* on_line - hands inih one line. */
static char *
on_line(char *line, int cap, void *user)
{
    struct reading *r = user;
    if (r->wrong_line != 0 || fgets(line, cap, r->file) == NULL) {
        return NULL;
    }
    r->line++;
    size_t bytes = strlen(line);
    r->bytes += bytes;
    bool is_whole = (bytes > 0 && line[bytes - 1] == '\n') || feof(r->file) != 0;
    if (!is_whole || bytes >= LINE_MAX_BYTES) {
        (void)wrong_here(r,
                         bytes + 1 >= (size_t)cap
                             ? "the line is longer than %d bytes; lists may have several lines"
                             : "the line holds a NUL byte (%d bytes are the most)",
                         cap - 2);
        return NULL;
    }
    if (r->bytes > FILE_MAX_BYTES) {
        (void)wrong_here(r, "the file is longer than %d bytes", FILE_MAX_BYTES);
        return NULL;
    }
    if (r->line == 1) {
        skip_mark(line);
    }
    cut_comment(line);
    look_at_head(r, line);
    return line;
}

static int
parse(struct reading *r)
{
    int rc = ini_parse_stream(on_line, r, on_key, r);
    if (rc > 0 && (r->wrong_line == 0 || rc < r->wrong_line)) {
        r->wrong_line = 0;
        r->line = rc;
        return wrong_here(r, "this is neither `key = value` nor [section] nor a comment (# or ;)");
    }
    if (rc < 0) {
        return daemon_wrong_set(r->wrong, "%.100s: no memory to read it", r->path);
    }
    if (ferror(r->file) != 0) {
        return daemon_wrong_set(r->wrong, "%.100s cannot be read: %s", r->path,
                                strerrordesc_np(errno));
    }
    end_peer(r);
    return r->wrong_line != 0 ? -1 : 0;
}

static int
read_open(struct reading *r)
{
    struct stat st;
    struct daemon_wrong wrong;
    if (fstat(fileno(r->file), &st) == 0 && S_ISDIR(st.st_mode)) {
        return daemon_wrong_set(r->wrong, "%.100s is a directory; name the file with [bridge]",
                                r->path);
    }
    if (parse(r) != 0) {
        return -1;
    }
    if (daemon_settings_check(r->out, &wrong) != 0) {
        return daemon_wrong_set(r->wrong, "%.100s: %.300s", r->path, wrong.text);
    }
    return 0;
}

/* dir_of - the directory that the file lies in; NULL: no memory. */
static char *
dir_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL) {
        return strdup(".");
    }
    return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

int
daemon_config_read(struct daemon_settings *out, const char *path, struct daemon_wrong *wrong)
{
    struct reading r = {.out = out, .wrong = wrong, .path = path};
    daemon_settings_init(out);
    r.file = fopen(path, "re");
    if (r.file == NULL) {
        return daemon_wrong_set(wrong, "%.200s cannot be read: %s", path, strerrordesc_np(errno));
    }
    r.dir = dir_of(path);
    int rc = r.dir != NULL ? read_open(&r) : daemon_wrong_set(wrong, "no memory");
    free(r.dir);
    (void)fclose(r.file);
    return rc;
}
