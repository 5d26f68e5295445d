/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What programs ask of busbard, and what it answers, from hostile bytes.
 *
 * Input      a value: first read as a request, then as an answer with all of its parts.
 * Oracle     what is refused is said in a sentence; what was read has texts that end in their room and no other NUL, and
 *            written and read again it is the same.
 */
#include "lib/endpoint/bridge_words.h"
#include "tests/fuzz/fuzz.h"

static unsigned char out[BBI_BRIDGE_ANSWER_MAX];

static void
check_text(const char *text, size_t room)
{
    size_t bytes = strnlen(text, room);
    FUZZ_CHECK(bytes < room);
    for (size_t i = bytes; i < room; i++) {
        FUZZ_CHECK(
            text[i]
            == '\0'); /* nothing of what was there before, nor behind a NUL of the sender's */
    }
}

static void
check_ask(const void *data, size_t bytes)
{
    struct bbi_bridge_ask ask, again;
    struct bbi_fault f = {0};
    memset(&ask, 0xee, sizeof(ask));
    int kind = bbi_bridge_ask_read(&ask, data, bytes, &f);
    if (kind < 0) {
        FUZZ_CHECK(f.sentence[0] != '\0' && f.code == kind);
        return;
    }
    check_text(ask.request, sizeof(ask.request));
    check_text(ask.host, sizeof(ask.host));
    check_text(ask.name, sizeof(ask.name));
    if (kind >= BBI_ASK_LISTEN && kind <= BBI_ASK_UNPEER) {
        FUZZ_CHECK(ask.host[0] != '\0' && ask.port <= UINT16_MAX);
        FUZZ_CHECK(ask.port != 0 || kind == BBI_ASK_LISTEN);
    }
    int64_t n = bbi_bridge_ask_write(out, BBI_BRIDGE_ASK_MAX, &ask);
    FUZZ_CHECK(n > 0);
    FUZZ_CHECK(bbi_bridge_ask_read(&again, out, (size_t)n, &f) == kind);
    FUZZ_CHECK(memcmp(&ask, &again, sizeof(ask)) == 0);
}

static void
check_link(const struct bb_link_info *link)
{
    struct bbi_bridge_answer answer = {0};
    struct bbi_bridge_answer_body body;
    struct bb_link_info again;
    const struct bbi_bridge_answer_parts parts = {.links = link, .link_count = 1};
    FUZZ_CHECK(strnlen(link->last, sizeof(link->last)) < sizeof(link->last));
    FUZZ_CHECK(strnlen(link->address, sizeof(link->address)) < sizeof(link->address));
    int64_t n = bbi_bridge_answer_write(out, sizeof(out), &answer, &parts);
    FUZZ_CHECK(n > 0);
    FUZZ_CHECK(bbi_bridge_answer_read(&answer, &body, out, (size_t)n) == 0);
    FUZZ_CHECK(bbi_bridge_link_read(&again, &body) == 0);
    FUZZ_CHECK(again.sent == link->sent && again.state == link->state
               && again.retry_in_ns == link->retry_in_ns);
    FUZZ_CHECK(memcmp(again.box, link->box, sizeof(link->box)) == 0);
    FUZZ_CHECK(strcmp(again.last, link->last) == 0 && strcmp(again.cipher, link->cipher) == 0);
}

static void
check_answer(const void *data, size_t bytes)
{
    struct bbi_bridge_answer answer;
    struct bbi_bridge_answer_body body;
    struct bb_bridge_info info = {.size = sizeof(info)};
    struct bb_link_info link;
    int rc = bbi_bridge_answer_read(&answer, &body, data, bytes);
    if (rc < 0) {
        return;
    }
    FUZZ_CHECK(answer.code >= INT32_MIN && answer.code <= INT32_MAX);
    FUZZ_CHECK(strnlen(answer.sentence, sizeof(answer.sentence)) < sizeof(answer.sentence));
    if (bbi_bridge_info_read(&info, &body) == 0) {
        FUZZ_CHECK(info.size == sizeof(info));
        FUZZ_CHECK(strnlen(info.engine_why, sizeof(info.engine_why)) < sizeof(info.engine_why));
    }
    while ((rc = bbi_bridge_link_read(&link, &body)) == 0) {
        check_link(&link);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    unsigned char *copy = fuzz_copy(data, bytes);
    check_ask(copy, bytes);
    check_answer(copy, bytes);
    free(copy);
    return 0;
}
