/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: addresses, sizes and times are read whole or refused with a sentence.  Method: tables of texts.
 */
#include "tools/daemon/words.h"
#include <criterion/criterion.h>
#include <stdlib.h>

Test(words, places, .timeout = 10)
{
    static const struct {
        const char *text, *host, *shown;
        uint16_t port;
    } good[] = {
        {"localhost:4000", "localhost", "localhost:4000", 4000},
        {"127.0.0.1:0", "127.0.0.1", "127.0.0.1:0", 0},
        {"*:65535", "*", "*:65535", 65535},
        {"[::1]:4000", "::1", "[::1]:4000", 4000},
        {"[2001:db8::7%eth0]:1", "2001:db8::7%eth0", "[2001:db8::7%eth0]:1", 1},
    };
    struct daemon_wrong wrong;
    char text[DAEMON_PLACE_BYTES];
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        char *host = NULL;
        uint16_t port = 9;
        cr_assert_eq(daemon_read_place(good[i].text, &host, &port, &wrong), 0, "%s", wrong.text);
        cr_assert_str_eq(host, good[i].host);
        cr_assert_eq(port, good[i].port);
        cr_assert_str_eq(daemon_place_text(host, port, text), good[i].shown);
        free(host);
    }
}

Test(words, places_that_are_none, .timeout = 10)
{
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"localhost", "has no port"},
        {"", "has no port"},
        {":4000", "*:4000 means every address"},
        {"[]:4000", "has no host"},
        {"::1:4000", "stands in brackets"},
        {"[::1]4000", "write [ADDRESS]:PORT"},
        {"[::1:4000", "write [ADDRESS]:PORT"},
        {"host:", "is no port"},
        {"host:65536", "is no port"},
        {"host:999999", "is no port"},
        {"host:-1", "is no port"},
        {"host:4000 ", "is no port"},
        {"host:http", "is no port"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct daemon_wrong wrong = {""};
        char *host = NULL;
        uint16_t port = 9;
        cr_assert_eq(daemon_read_place(bad[i].text, &host, &port, &wrong), -1, "%s", bad[i].text);
        cr_assert_not_null(strstr(wrong.text, bad[i].says), "%s: %s", bad[i].text, wrong.text);
        cr_assert_null(host);
        cr_assert_eq(port, 9);
    }
}

Test(words, a_host_has_at_most_255_bytes, .timeout = 10)
{
    struct daemon_wrong wrong;
    char text[300];
    char *host = NULL;
    uint16_t port = 0;
    memset(text, 'a', 256);
    strcpy(text + 255, ":1");
    cr_assert_eq(daemon_read_place(text, &host, &port, &wrong), 0, "%s", wrong.text);
    free(host);
    memset(text, 'a', 256);
    strcpy(text + 256, ":1");
    cr_assert_eq(daemon_read_place(text, &host, &port, &wrong), -1);
    cr_assert_not_null(strstr(wrong.text, "longer than 255 bytes"), "%s", wrong.text);
}

Test(words, peers, .timeout = 10)
{
    struct daemon_wrong wrong;
    struct daemon_peer peer;
    cr_assert_eq(daemon_read_peer("sensor-2@[::1]:4000", &peer, &wrong), 0, "%s", wrong.text);
    cr_assert_str_eq(peer.name, "sensor-2");
    cr_assert_str_eq(peer.host, "::1");
    cr_assert_eq(peer.port, 4000);
    cr_assert_eq(peer.slow, DAEMON_UNSAID);
    free(peer.name);
    free(peer.host);
    cr_assert_eq(daemon_read_peer("h:1", &peer, &wrong), 0);
    cr_assert_null(peer.name);
    free(peer.host);
    static const char *const bad[] = {"@h:1", "h:0", "*:1", "a@h", "a@:1", ""};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        cr_assert_eq(daemon_read_peer(bad[i], &peer, &wrong), -1, "%s", bad[i]);
    }
}

Test(words, sizes, .timeout = 10)
{
    uint64_t bytes = 0;
    cr_assert_eq(daemon_read_bytes("1", &bytes), 0);
    cr_assert_eq(bytes, 1);
    cr_assert_eq(daemon_read_bytes("7B", &bytes), 0);
    cr_assert_eq(bytes, 7);
    cr_assert_eq(daemon_read_bytes("8M", &bytes), 0);
    cr_assert_eq(bytes, 8 << 20);
    cr_assert_eq(daemon_read_bytes("3KiB", &bytes), 0);
    cr_assert_eq(bytes, 3 << 10);
    cr_assert_eq(daemon_read_bytes("17179869183G", &bytes), 0);
    static const char *const bad[] = {"",     "0",     "0K",           "K",
                                      "-1",   "1.5M",  "1k",           "1MiC",
                                      "1BiB", "1MiBx", "17179869184G", "18446744073709551616"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        bytes = 5;
        cr_assert_eq(daemon_read_bytes(bad[i], &bytes), -1, "%s", bad[i]);
        cr_assert_eq(bytes, 5);
    }
}

Test(words, seconds, .timeout = 10)
{
    int64_t span_ns = 0;
    cr_assert_eq(daemon_read_seconds("0.2", &span_ns), 0);
    cr_assert_eq(span_ns, 200000000);
    cr_assert_eq(daemon_read_seconds("30", &span_ns), 0);
    cr_assert_eq(span_ns, INT64_C(30000000000));
    cr_assert_eq(daemon_read_seconds("86400", &span_ns), 0);
    static const char *const bad[] = {"",   "0",  "0.0001", "86400.1", "1s",
                                      ".5", "-1", "1e3",    "9999999"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        cr_assert_eq(daemon_read_seconds(bad[i], &span_ns), -1, "%s", bad[i]);
    }
}

Test(words, nearest, .timeout = 10)
{
    static const char *const list[] = {"listen", "topics", "engine", NULL};
    cr_assert_str_eq(daemon_nearest("lisen", list), "listen");
    cr_assert_str_eq(daemon_nearest("topic", list), "topics");
    cr_assert_null(daemon_nearest("frobnicate", list));
    cr_assert_null(daemon_nearest("x", list));
    cr_assert_null(daemon_nearest("a word that is longer than any of them", list));
}
