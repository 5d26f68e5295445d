/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The reader of rights files, and a peer's view of what it read.  bb-links: bb_bridge
 *
 * Input      the text; its first bytes are also the peer and the topics that are asked for.
 * Oracle     a refusal names a line that is there; what is allowed by the same rules in a copy of the view is too; a
 *            topic that may be published makes every prefix of it one of which some may be.
 */
#include "lib/bridge/rights.h"
#include "tests/fuzz/fuzz.h"
#include <busbar/topic.h>

static void
check_view(const struct bbi_rights *rights, const char *peer, const char *topic, size_t bytes)
{
    void *mem = malloc(bbi_rights_view_footprint(rights));
    if (mem == NULL) {
        abort();
    }
    struct bbi_rights_view *view = bbi_rights_view_new(rights, mem, peer, false);
    uint64_t denied = 0;
    for (unsigned right = 0; right < BBI_RIGHTS; right++) {
        bool may = bbi_rights_may(view, (enum bbi_right)right, topic, bytes);
        denied = bbi_rights_denied(view, (enum bbi_right)right);
        FUZZ_CHECK(denied == !may);
        for (size_t n = 0; may && bb_topic_is_reserved(topic, bytes) == 0 && n <= bytes; n++) {
            FUZZ_CHECK(bbi_rights_may_some(view, (enum bbi_right)right, topic, n));
        }
    }
    free(mem);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct bbi_fault f = {0};
    struct bbi_rights *rights = NULL;
    char peer[8] = "";
    char *text = (char *)fuzz_copy(data, bytes);
    void *mem = malloc(bbi_rights_footprint(text, bytes));
    if (mem == NULL) {
        abort();
    }
    int rc = bbi_rights_new(&rights, mem, text, bytes, "f", &f);
    free(text); /* it points to none of it */
    if (rc != 0) {
        FUZZ_CHECK(rc == BB_EINVAL && strncmp(f.sentence, "f, line ", 8) == 0);
    } else {
        memcpy(peer, data, bytes < 7 ? bytes : 7);
        for (size_t n = 0; n <= bytes && n < 48; n += 3) {
            check_view(rights, peer, (const char *)data + bytes - n, n);
            check_view(rights, "a", (const char *)data + bytes - n, n);
        }
    }
    free(mem);
    return 0;
}
