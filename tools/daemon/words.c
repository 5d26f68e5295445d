/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/daemon/words.h"
#include "tools/common/distance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const daemon_engines[] = {"auto", "io_uring", "epoll", NULL};
const char *const daemon_slows[] = {"drop-oldest", "drop-newest", "disconnect", NULL};

/* ---- addresses ---- */

/* read_port - 0 to 65535, digits only; -1. */
static long
read_port(const char *text)
{
    long port = 0;
    if (text[0] == '\0' || strlen(text) > 5) {
        return -1;
    }
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9') {
            return -1;
        }
        port = port * 10 + (*text - '0');
    }
    return port <= 65535 ? port : -1;
}

/* split - where the host begins and ends, and where the port begins; -1 with what is wrong. */
static int
split(const char *text, const char **host, size_t *bytes, const char **port, struct daemon_wrong *w)
{
    const char *colon = strrchr(text, ':');
    const char *bracket = text[0] == '[' ? strchr(text, ']') : NULL;
    if (text[0] == '[' && (bracket == NULL || bracket[1] != ':')) {
        return daemon_wrong_set(w, "\"%.80s\" is no address: write [ADDRESS]:PORT", text);
    }
    if (colon == NULL) {
        return daemon_wrong_set(w, "\"%.80s\" has no port: write HOST:PORT", text);
    }
    if (bracket == NULL && strchr(text, ':') != colon) {
        return daemon_wrong_set(w,
                                "\"%.80s\" has several colons: an IPv6 address stands in brackets, "
                                "as in [::1]:4000",
                                text);
    }
    *host = bracket != NULL ? text + 1 : text;
    *bytes = (size_t)((bracket != NULL ? bracket : colon) - *host);
    *port = bracket != NULL ? bracket + 2 : colon + 1;
    return 0;
}

int
daemon_read_place(const char *text, char **host, uint16_t *port, struct daemon_wrong *wrong)
{
    const char *begin = NULL;
    const char *port_text = NULL;
    size_t bytes = 0;
    if (split(text, &begin, &bytes, &port_text, wrong) != 0) {
        return -1;
    }
    if (bytes == 0) {
        return daemon_wrong_set(
            wrong, "\"%.80s\" has no host: *%.80s means every address of this box", text, text);
    }
    if (bytes > DAEMON_HOST_MAX) {
        return daemon_wrong_set(wrong, "the host \"%.40s...\" is longer than %d bytes", begin,
                                DAEMON_HOST_MAX);
    }
    long number = read_port(port_text);
    if (number < 0) {
        return daemon_wrong_set(
            wrong, "\"%.40s\" in \"%.80s\" is no port: a number from 0 to 65535", port_text, text);
    }
    char *copy = strndup(begin, bytes);
    if (copy == NULL) {
        return daemon_wrong_set(wrong, "no memory");
    }
    *host = copy;
    *port = (uint16_t)number;
    return 0;
}

int
daemon_read_peer(const char *text, struct daemon_peer *out, struct daemon_wrong *wrong)
{
    struct daemon_peer peer = {.slow = DAEMON_UNSAID};
    const char *at = strchr(text, '@');
    if (at == text || (at != NULL && at - text > DAEMON_NAME_MAX)) {
        return daemon_wrong_set(wrong, "the name before @ in \"%.80s\" needs 1 to %d bytes", text,
                                DAEMON_NAME_MAX);
    }
    if (daemon_read_place(at != NULL ? at + 1 : text, &peer.host, &peer.port, wrong) != 0) {
        return -1;
    }
    if (peer.port == 0 || strcmp(peer.host, "*") == 0) {
        free(peer.host);
        return daemon_wrong_set(wrong,
                                "\"%.80s\" cannot be linked to: a peer has an address and a port "
                                "above 0",
                                text);
    }
    if (at != NULL && (peer.name = strndup(text, (size_t)(at - text))) == NULL) {
        free(peer.host);
        return daemon_wrong_set(wrong, "no memory");
    }
    *out = peer;
    return 0;
}

const char *
daemon_place_text(const char *host, uint16_t port, char out[DAEMON_PLACE_BYTES])
{
    bool has_colon = strchr(host, ':') != NULL && host[0] != '[';
    (void)snprintf(out, DAEMON_PLACE_BYTES, "%s%.*s%s:%u", has_colon ? "[" : "", DAEMON_HOST_MAX,
                   host, has_colon ? "]" : "", (unsigned)port);
    return out;
}

/* ---- sizes ---- */

/* unit_shift - powers of two of "K", "MiB" ...; -1 for what is no unit. */
static int
unit_shift(const char *unit)
{
    static const char letters[] = "BKMG";
    const char *found = unit[0] != '\0' ? strchr(letters, unit[0]) : NULL;
    if (unit[0] == '\0') {
        return 0;
    }
    bool is_short = unit[1] == '\0';
    bool is_long = unit[0] != 'B' && strcmp(unit + 1, "iB") == 0;
    return found != NULL && (is_short || is_long) ? (int)(found - letters) * 10 : -1;
}

int
daemon_read_bytes(const char *text, uint64_t *out)
{
    uint64_t value = 0;
    const char *c = text;
    for (; *c >= '0' && *c <= '9'; c++) {
        if (__builtin_mul_overflow(value, UINT64_C(10), &value)
            || __builtin_add_overflow(value, (uint64_t)(*c - '0'), &value)) {
            return -1;
        }
    }
    int shift = unit_shift(c);
    if (c == text || shift < 0 || value == 0 || value > UINT64_MAX >> shift) {
        return -1;
    }
    *out = value << shift;
    return 0;
}

int
daemon_read_seconds(const char *text, int64_t *out)
{
    int64_t unit_ns = INT64_C(1000000000);
    int64_t span_ns = 0;
    const char *c = text;
    for (; *c >= '0' && *c <= '9' && c - text < 6; c++) {
        span_ns = span_ns * 10 + (*c - '0') * unit_ns;
    }
    bool has_digits = c != text;
    if (*c == '.') {
        for (c++; *c >= '0' && *c <= '9' && unit_ns > 1; c++) {
            unit_ns /= 10;
            span_ns += (*c - '0') * unit_ns;
        }
    }
    bool is_good = has_digits && *c == '\0' && span_ns >= INT64_C(1000000)
                   && span_ns <= INT64_C(86400) * 1000000000;
    if (!is_good) {
        return -1;
    }
    *out = span_ns;
    return 0;
}

/* ---- words ---- */

int
daemon_read_choice(const char *word, const char *const *list)
{
    for (int i = 0; list[i] != NULL; i++) {
        if (strcmp(list[i], word) == 0) {
            return i;
        }
    }
    return -1;
}

const char *
daemon_nearest(const char *word, const char *const *list)
{
    const char *best = NULL;
    size_t limit = strlen(word) / 2 + 1; /* more than half of it wrong is another word */
    if (strlen(word) > WORD_DISTANCE_MAX) {
        return NULL;
    }
    for (size_t i = 0; list[i] != NULL; i++) {
        size_t d = strlen(list[i]) <= WORD_DISTANCE_MAX ? word_distance(word, list[i]) : limit;
        if (d < limit) {
            best = list[i];
            limit = d;
        }
    }
    return best;
}
