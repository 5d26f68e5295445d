/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: what programs and busbard say to each other comes through whole; of a hostile or another version's value
 * nothing is believed that was not checked, and what is wrong is named.
 * Method: structs that are full to the last byte go through both directions; tables are built by hand that are too
 * long, of wrong types, of the future.
 */
#include "lib/endpoint/bridge_words.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

TestSuite(bridge_words, .timeout = 30);

static unsigned char buf[BBI_BRIDGE_ANSWER_MAX];

/* Each text full, each number its own and as long as it can be. */
static void
fill_link(struct bb_link_info *l)
{
    unsigned char *p = (unsigned char *)l;
    for (size_t i = 0; i < sizeof(*l); i++) {
        p[i] = (unsigned char)(i % 191 + 17);
    }
    l->address[sizeof(l->address) - 1] = '\0';
    l->name[sizeof(l->name) - 1] = '\0';
    l->cipher[sizeof(l->cipher) - 1] = '\0';
    l->last[sizeof(l->last) - 1] = '\0';
}

static void
fill_info(struct bb_bridge_info *i)
{
    memset(i, 0x5a, sizeof(*i));
    i->size = 0;
    i->name[sizeof(i->name) - 1] = '\0';
    i->engine[sizeof(i->engine) - 1] = '\0';
    i->engine_why[sizeof(i->engine_why) - 1] = '\0';
    i->security[sizeof(i->security) - 1] = '\0';
}

Test(bridge_words, a_full_answer_comes_through)
{
    static struct bb_link_info links[BBI_BRIDGE_LINKS_EACH];
    static struct bb_bridge_info info, info_back;
    struct bb_link_info back;
    struct bbi_bridge_answer answer = {.code = -111, .port = 65535, .count = UINT64_MAX}, got;
    struct bbi_bridge_answer_body body;
    memset(answer.sentence, 's', sizeof(answer.sentence) - 1);
    fill_info(&info);
    for (size_t i = 0; i < BBI_BRIDGE_LINKS_EACH; i++) {
        fill_link(&links[i]);
        links[i].sent = i;
    }
    const struct bbi_bridge_answer_parts parts = {
        .info = &info, .links = links, .link_count = BBI_BRIDGE_LINKS_EACH};
    int64_t bytes = bbi_bridge_answer_write(buf, sizeof(buf), &answer, &parts);
    cr_assert_gt(bytes, 0, "%s", bb_strerror((int)bytes));
    cr_assert_eq(bbi_bridge_answer_read(&got, &body, buf, (size_t)bytes), 0);
    cr_assert_eq(memcmp(&got, &answer, sizeof(got)), 0);
    cr_assert_eq(bbi_bridge_info_read(&info_back, &body), 0);
    cr_assert_eq(memcmp(&info_back, &info, sizeof(info)), 0);
    for (size_t i = 0; i < BBI_BRIDGE_LINKS_EACH; i++) {
        cr_assert_eq(bbi_bridge_link_read(&back, &body), 0);
        cr_assert_eq(memcmp(&back, &links[i], sizeof(back)), 0, "link %zu", i);
    }
    cr_assert_eq(bbi_bridge_link_read(&back, &body), BB_EEND);
}

Test(bridge_words, zeros_come_through_as_nothing)
{
    struct bbi_bridge_answer answer = {0}, got;
    struct bbi_bridge_answer_body body;
    struct bb_link_info link = {0}, back;
    struct bb_bridge_info info;
    const struct bbi_bridge_answer_parts parts = {.links = &link, .link_count = 1};
    int64_t empty = bbi_bridge_answer_write(buf, sizeof(buf), &answer, NULL);
    cr_assert_eq(empty, 16, "an empty table, not %lld bytes", (long long)empty);
    cr_assert_eq(bbi_bridge_answer_read(&got, &body, buf, (size_t)empty), 0);
    cr_assert_eq(bbi_bridge_info_read(&info, &body), BB_ENOENT);
    cr_assert_eq(bbi_bridge_link_read(&back, &body), BB_EEND);

    int64_t bytes = bbi_bridge_answer_write(buf, sizeof(buf), &answer, &parts);
    memset(&back, 0xff, sizeof(back));
    cr_assert_eq(bbi_bridge_answer_read(&got, &body, buf, (size_t)bytes), 0);
    cr_assert_eq(bbi_bridge_link_read(&back, &body), 0);
    cr_assert_eq(memcmp(&back, &link, sizeof(back)), 0);
}

static struct bbi_bridge_ask
full_ask(enum bbi_bridge_ask_kind kind)
{
    struct bbi_bridge_ask a = {.port = 65535,
                               .flags = UINT32_MAX,
                               .slow = UINT32_MAX,
                               .queue_bytes = UINT64_MAX,
                               .max = UINT64_MAX,
                               .wait_ns = INT64_MIN};
    strcpy(a.request, bbi_bridge_ask_name(kind));
    memset(a.host, 'h', sizeof(a.host) - 1);
    memset(a.name, 'n', sizeof(a.name) - 1);
    return a;
}

Test(bridge_words, every_request_comes_through)
{
    for (int kind = BBI_ASK_LISTEN; kind <= BBI_ASK_LINKS; kind++) {
        struct bbi_bridge_ask ask = full_ask((enum bbi_bridge_ask_kind)kind), got;
        struct bbi_fault f = {0};
        unsigned char exact[BBI_BRIDGE_ASK_MAX];
        int64_t bytes = bbi_bridge_ask_write(exact, sizeof(exact), &ask);
        cr_assert_gt(bytes, 0);
        cr_assert_eq(bbi_bridge_ask_read(&got, exact, (size_t)bytes, &f), kind, "%s", f.sentence);
        cr_assert_eq(memcmp(&got, &ask, sizeof(got)), 0);
    }
    cr_assert_str_eq(bbi_bridge_ask_name((enum bbi_bridge_ask_kind)99), "");
}

/* ---- requests that are wrong -------------------------------------------------------------------- */

static struct bb_builder b;

static void
begin(const char *request)
{
    bb_build_init(&b, buf, sizeof(buf));
    bb_put_table_begin(&b);
    bb_put_string(&b, "request", 7);
    bb_put_string(&b, request, strlen(request));
}

static void
put_text(const char *key, const char *text, size_t bytes)
{
    bb_put_string(&b, key, strlen(key));
    bb_put_string(&b, text, bytes);
}

static void
put_count(const char *key, uint64_t v)
{
    bb_put_string(&b, key, strlen(key));
    bb_put_count(&b, v);
}

/* Each in memory of exactly its size, for the sanitizers. */
static int
read_it(struct bbi_bridge_ask *out, struct bbi_fault *f)
{
    bb_put_end(&b);
    int64_t bytes = bb_build_end(&b);
    cr_assert_gt(bytes, 0, "%s", bb_strerror((int)bytes));
    unsigned char *exact = malloc((size_t)bytes);
    cr_assert_neq((void *)exact, NULL);
    memcpy(exact, buf, (size_t)bytes);
    memset(f, 0, sizeof(*f));
    memset(out, 0xff, sizeof(*out));
    int rc = bbi_bridge_ask_read(out, exact, (size_t)bytes, f);
    free(exact);
    return rc;
}

Test(bridge_words, a_wrong_field_is_named)
{
    static char longest[BBI_BRIDGE_HOST_BYTES];
    struct bbi_bridge_ask a;
    struct bbi_fault f;
    memset(longest, 'a', sizeof(longest));

    begin("peer");
    put_text("host", longest, sizeof(longest));
    cr_assert_eq(read_it(&a, &f), BB_ENAMETOOLONG);
    cr_assert_str_eq(f.sentence, "the field \"host\" of the request is too long");

    begin("peer");
    put_text("host", longest, sizeof(longest) - 1); /* one less fits */
    put_count("port", 1);
    cr_assert_eq(read_it(&a, &f), BBI_ASK_PEER, "%s", f.sentence);

    begin("peer");
    put_text("host", "a\0b", 3);
    cr_assert_eq(read_it(&a, &f), BB_EINVAL);

    begin("peer");
    put_count("host", 7);
    cr_assert_eq(read_it(&a, &f), BB_ETYPE);
    cr_assert_str_eq(f.name, "host");

    begin("peer");
    put_text("host", "h", 1);
    put_text("port", "80", 2);
    cr_assert_eq(read_it(&a, &f), BB_ETYPE);
    cr_assert_str_eq(f.name, "port");

    begin("peer");
    put_text("host", "h", 1);
    put_count("port", UINT64_C(1) << 32);
    cr_assert_eq(read_it(&a, &f), BB_ERANGE);

    begin("a request with too long a name");
    cr_assert_eq(read_it(&a, &f), BB_ENAMETOOLONG);
}

Test(bridge_words, what_must_be_there_is)
{
    struct bbi_bridge_ask a;
    struct bbi_fault f;
    begin("peer");
    put_count("port", 80);
    cr_assert_eq(read_it(&a, &f), BB_EINVAL);
    cr_assert_str_eq(f.sentence, "the request \"peer\" names no host");

    begin("unpeer");
    put_text("host", "h", 1);
    cr_assert_eq(read_it(&a, &f), BB_EINVAL);
    cr_assert_str_eq(f.name, "port");

    begin("unlisten");
    put_text("host", "h", 1);
    put_count("port", 65536);
    cr_assert_eq(read_it(&a, &f), BB_EINVAL);

    begin("listen"); /* port 0: the kernel's choice */
    put_text("host", "*", 1);
    cr_assert_eq(read_it(&a, &f), BBI_ASK_LISTEN, "%s", f.sentence);

    begin("links");
    cr_assert_eq(read_it(&a, &f), BBI_ASK_LINKS, "%s", f.sentence);
}

Test(bridge_words, the_future_is_passed_over_or_named)
{
    struct bbi_bridge_ask a;
    struct bbi_fault f;
    begin("info");
    put_text("colour", "green", 5); /* a field of later */
    bb_put_count(&b, 1);            /* a key of another type */
    bb_put_vector_begin(&b);
    bb_put_none(&b);
    bb_put_end(&b);
    cr_assert_eq(read_it(&a, &f), BBI_ASK_INFO, "%s", f.sentence);

    begin("dance");
    cr_assert_eq(read_it(&a, &f), BBI_ASK_NONE);
    cr_assert_str_eq(a.request, "dance");
}

Test(bridge_words, what_is_no_table_is_refused)
{
    struct bbi_bridge_ask a;
    struct bbi_fault f = {0};
    struct bbi_bridge_answer answer;
    struct bbi_bridge_answer_body body;
    bb_build_init(&b, buf, sizeof(buf));
    bb_put_count(&b, 5);
    size_t bytes = (size_t)bb_build_end(&b);
    cr_assert_eq(bbi_bridge_ask_read(&a, buf, bytes, &f), BB_ETYPE);
    cr_assert_eq(bbi_bridge_answer_read(&answer, &body, buf, bytes), BB_ETYPE);
    cr_assert_eq(bbi_bridge_ask_read(&a, buf, 7, &f), BB_ECORRUPT);
    cr_assert_eq(bbi_bridge_ask_read(&a, buf, 0, &f), BB_ECORRUPT);
    memset(buf, 0xff, 64);
    cr_assert_eq(bbi_bridge_ask_read(&a, buf, 64, &f), BB_ECORRUPT);
    cr_assert_eq(bbi_bridge_answer_read(&answer, &body, buf, 64), BB_ECORRUPT);
}

/* ---- answers of others ------------------------------------------------------------------------- */

Test(bridge_words, a_text_of_an_answer_is_cut)
{
    static char text[4096];
    struct bbi_bridge_answer answer;
    struct bbi_bridge_answer_body body;
    struct bb_link_info link;
    memset(text, 'x', sizeof(text));
    bb_build_init(&b, buf, sizeof(buf));
    bb_put_table_begin(&b);
    put_text("sentence", text, sizeof(text));
    bb_put_string(&b, "links", 5);
    bb_put_vector_begin(&b);
    bb_put_table_begin(&b);
    put_text("last", text, sizeof(text));
    bb_put_end(&b);
    bb_put_end(&b);
    bb_put_end(&b);
    size_t bytes = (size_t)bb_build_end(&b);
    cr_assert_eq(bbi_bridge_answer_read(&answer, &body, buf, bytes), 0);
    cr_assert_eq(strlen(answer.sentence), sizeof(answer.sentence) - 1);
    cr_assert_eq(bbi_bridge_link_read(&link, &body), 0);
    cr_assert_eq(strlen(link.last), sizeof(link.last) - 1);
}

Test(bridge_words, a_wrong_answer_is_refused)
{
    struct bbi_bridge_answer answer;
    struct bbi_bridge_answer_body body;
    struct bb_link_info link;
    bb_build_init(&b, buf, sizeof(buf));
    bb_put_table_begin(&b);
    put_text("code", "no", 2);
    bb_put_end(&b);
    cr_assert_eq(bbi_bridge_answer_read(&answer, &body, buf, (size_t)bb_build_end(&b)), BB_ETYPE);

    bb_build_init(&b, buf, sizeof(buf));
    bb_put_table_begin(&b);
    bb_put_string(&b, "code", 4);
    bb_put_integer(&b, INT64_MIN); /* no status */
    bb_put_end(&b);
    cr_assert_eq(bbi_bridge_answer_read(&answer, &body, buf, (size_t)bb_build_end(&b)),
                 BB_ECORRUPT);

    bb_build_init(&b, buf, sizeof(buf));
    bb_put_table_begin(&b);
    bb_put_string(&b, "links", 5);
    bb_put_vector_begin(&b);
    bb_put_count(&b, 1);
    bb_put_end(&b);
    bb_put_end(&b);
    cr_assert_eq(bbi_bridge_answer_read(&answer, &body, buf, (size_t)bb_build_end(&b)), 0);
    cr_assert_eq(bbi_bridge_link_read(&link, &body), BB_ETYPE);

    bb_build_init(&b, buf, sizeof(buf));
    bb_put_table_begin(&b);
    put_count("links", 3);
    bb_put_end(&b);
    cr_assert_eq(bbi_bridge_answer_read(&answer, &body, buf, (size_t)bb_build_end(&b)), BB_ETYPE);
}

Test(bridge_words, addresses_are_as_people_write_them)
{
    char out[sizeof(((struct bb_link_info *)0)->address)];
    char host[BBI_BRIDGE_HOST_BYTES];
    cr_assert_str_eq(bbi_bridge_address(out, sizeof(out), "box-2", 4711), "box-2:4711");
    cr_assert_str_eq(bbi_bridge_address(out, sizeof(out), "::1", 1), "[::1]:1");
    cr_assert_str_eq(bbi_bridge_address(out, sizeof(out), "[::1]", 1), "[::1]:1");
    cr_assert_str_eq(bbi_bridge_address(out, sizeof(out), "*", 0), "*:0");
    memset(host, ':', sizeof(host) - 1); /* the longest */
    host[sizeof(host) - 1] = '\0';
    cr_assert_eq(strlen(bbi_bridge_address(out, sizeof(out), host, 65535)), sizeof(out) - 1);
}
