/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: flags stand above the file, a list takes the place of a list, and of two kinds of security the flags' is taken.
 * Method: settings made key by key.
 */
#include "tools/daemon/settings.h"
#include <criterion/criterion.h>

static struct daemon_settings file, flags, merged;

static void
init(void)
{
    daemon_settings_init(&file);
    daemon_settings_init(&flags);
    daemon_settings_init(&merged);
}

static void
fini(void)
{
    daemon_settings_fini(&file);
    daemon_settings_fini(&flags);
    daemon_settings_fini(&merged);
}

TestSuite(merge, .init = init, .fini = fini, .timeout = 10);

static void
set(struct daemon_settings *s, const char *key, const char *value)
{
    struct daemon_wrong wrong;
    cr_assert_eq(daemon_settings_set(s, daemon_key_find(key), value, NULL, &wrong), 0, "%s: %s",
                 key, wrong.text);
}

static void
merge(void)
{
    daemon_settings_fini(&merged);
    cr_assert_eq(daemon_settings_merge(&merged, &file, &flags), 0);
}

Test(merge, nothing_is_nothing)
{
    merge();
    cr_assert_null(merged.bus);
    cr_assert_eq(merged.engine, DAEMON_UNSAID);
    cr_assert_eq(merged.listen_count, 0);
}

Test(merge, flags_stand_above)
{
    set(&file, "bus", "lab");
    set(&file, "name", "me");
    set(&file, "engine", "epoll");
    set(&file, "queue", "1M");
    set(&file, "ring", "1M");
    set(&file, "retry-max", "1");
    set(&flags, "bus", "field");
    set(&flags, "engine", "auto");
    set(&flags, "queue", "2M");
    merge();
    cr_assert_str_eq(merged.bus, "field");
    cr_assert_str_eq(merged.name, "me");
    cr_assert_eq(merged.engine, 0);
    cr_assert_eq(merged.queue_bytes, 2 << 20);
    cr_assert_eq(merged.ring_bytes, 1 << 20);
    cr_assert_eq(merged.retry_max_ns, 1000000000);
}

Test(merge, lists_take_the_place_of_lists)
{
    set(&file, "listen", "a:1");
    set(&file, "listen", "b:2");
    set(&file, "topics", "/a");
    set(&file, "peer", "x@p:1");
    set(&flags, "listen", "c:3");
    merge();
    cr_assert_eq(merged.listen_count, 1);
    cr_assert_str_eq(merged.listen[0].host, "c");
    cr_assert_eq(merged.topic_count, 1);
    cr_assert_str_eq(merged.topics[0], "/a");
    cr_assert_eq(merged.peer_count, 1);
    cr_assert_str_eq(merged.peers[0].name, "x");
}

static void
certify(struct daemon_settings *s)
{
    set(s, "cert", "c");
    set(s, "key", "k");
    set(s, "ca", "a");
    set(s, "crl", "l");
}

Test(merge, one_kind_of_security)
{
    certify(&file);
    set(&flags, "psk", "p");
    merge();
    cr_assert_null(merged.cert);
    cr_assert_null(merged.key);
    cr_assert_null(merged.ca);
    cr_assert_null(merged.crl);
    cr_assert_str_eq(merged.psk, "p");
    daemon_settings_fini(&flags);

    set(&flags, "insecure", "yes");
    merge();
    cr_assert_null(merged.cert);
    cr_assert_eq(merged.insecure, 1);
    fini();

    set(&file, "psk", "p");
    set(&file, "insecure", "no");
    certify(&flags);
    merge();
    cr_assert_null(merged.psk);
    cr_assert_str_eq(merged.cert, "c");
    fini();

    set(&file, "insecure", "yes");
    set(&flags, "psk", "p");
    merge();
    cr_assert_eq(merged.insecure, DAEMON_UNSAID);
}

/* A flag for one of the file's certificates leaves the others. */
Test(merge, one_file_of_a_kind)
{
    certify(&file);
    set(&flags, "crl", "newer");
    merge();
    cr_assert_str_eq(merged.cert, "c");
    cr_assert_str_eq(merged.crl, "newer");
}

/* Two kinds in the flags themselves stay, so that the library can refuse them. */
Test(merge, two_kinds_stay_two)
{
    certify(&flags);
    set(&flags, "psk", "p");
    merge();
    cr_assert_str_eq(merged.cert, "c");
    cr_assert_str_eq(merged.psk, "p");
}

Test(merge, options_for_the_library)
{
    struct daemon_opts made;
    set(&file, "listen", "a:1");
    set(&file, "peer", "x@p:1");
    set(&file, "peer", "q:2");
    set(&file, "slow", "disconnect");
    set(&file, "topics", "/a");
    file.peers[0].slow = BB_SLOW_DROP_NEWEST;
    file.peers[0].queue_bytes = 5;
    cr_assert_eq(daemon_opts_make(&made, &file), 0);
    cr_assert_eq(made.opts.listen_count, 1);
    cr_assert_str_eq(made.opts.listen[0].host, "a");
    cr_assert_eq(made.opts.peer_count, 2);
    cr_assert_eq(made.opts.peers[0].slow, BB_SLOW_DROP_NEWEST);
    cr_assert_eq(made.opts.peers[0].queue_bytes, 5);
    cr_assert_eq(made.opts.peers[1].slow, BB_SLOW_DISCONNECT);
    cr_assert_null(made.opts.peers[1].name);
    cr_assert_str_eq(made.opts.topics[0], "/a");
    cr_assert_eq(made.opts.engine, 0);
    cr_assert_not(made.opts.is_insecure);
    cr_assert_not(made.opts.is_compressing);
    daemon_opts_free(&made);
    set(&file, "compress", "yes");
    cr_assert_eq(daemon_opts_make(&made, &file), 0);
    cr_assert(made.opts.is_compressing);
    daemon_opts_free(&made);
}
