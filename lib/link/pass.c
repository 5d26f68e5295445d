/* SPDX-License-Identifier: BSD-3-Clause */
#include "lib/link/pass.h"
#include <busbar/topic.h>
#include <stdlib.h>
#include <string.h>

int
bbi_pass_init(struct bbi_pass *pass, const char *const *prefixes, size_t count)
{
    *pass = (struct bbi_pass){0};
    if (count == 0) {
        return 0;
    }
    pass->prefixes = calloc(count, sizeof(*pass->prefixes));
    pass->bytes = calloc(count, sizeof(*pass->bytes));
    bool is_whole = pass->prefixes != NULL && pass->bytes != NULL;
    for (size_t i = 0; is_whole && i < count; i++) {
        pass->prefixes[i] = strdup(prefixes[i]);
        pass->bytes[i] = strlen(prefixes[i]);
        pass->count += pass->prefixes[i] != NULL;
        is_whole = pass->prefixes[i] != NULL;
    }
    if (!is_whole) {
        bbi_pass_fini(pass);
        return BB_ENOMEM;
    }
    return 0;
}

void
bbi_pass_fini(struct bbi_pass *pass)
{
    for (size_t i = 0; pass->prefixes != NULL && i < pass->count; i++) {
        free(pass->prefixes[i]);
    }
    free(pass->prefixes);
    free(pass->bytes);
    *pass = (struct bbi_pass){0};
}

bool
bbi_pass_topic(const struct bbi_pass *pass, const char *topic, size_t bytes)
{
    if (bb_topic_is_reserved(topic, bytes)) {
        return false;
    }
    for (size_t i = 0; i < pass->count; i++) {
        if (bytes >= pass->bytes[i] && memcmp(topic, pass->prefixes[i], pass->bytes[i]) == 0) {
            return true;
        }
    }
    return pass->count == 0;
}

int
bbi_pass_narrow(const struct bbi_pass *pass,
                const char *prefix,
                size_t bytes,
                uint32_t flags,
                bbi_pass_cb cb,
                void *user)
{
    int rc = 0;
    if (bb_topic_is_reserved(prefix, bytes)) {
        return 0;
    }
    if (pass->count == 0) {
        return cb(user, prefix, bytes, flags);
    }
    for (size_t i = 0; rc >= 0 && i < pass->count; i++) {
        size_t common = bytes < pass->bytes[i] ? bytes : pass->bytes[i];
        if (common > 0 && memcmp(prefix, pass->prefixes[i], common) != 0) {
            continue;
        }
        if (bytes >= pass->bytes[i]) {
            return cb(user, prefix, bytes, flags); /* whole: what others leave of it lies in it */
        }
        rc = cb(user, pass->prefixes[i], pass->bytes[i], flags & ~(uint32_t)BB_TOPIC_PATH);
    }
    return rc < 0 ? rc : 0;
}
