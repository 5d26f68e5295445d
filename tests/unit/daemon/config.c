/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: a file becomes settings, and each mistake is said with file and line.  Method: small files below /tmp.
 */
#include "tools/daemon/config.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/busbard-config-test.XXXXXX";
static char path[64];
static struct daemon_settings settings;
static struct daemon_wrong wrong;

static void
init(void)
{
    cr_assert_not_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/b.ini", dir);
    daemon_settings_init(&settings);
}

static void
fini(void)
{
    daemon_settings_fini(&settings);
    unlink(path);
    rmdir(dir);
}

static int
read_bytes(const char *text, size_t bytes)
{
    FILE *file = fopen(path, "we");
    cr_assert_not_null(file);
    cr_assert_eq(fwrite(text, 1, bytes, file), bytes);
    fclose(file);
    wrong.text[0] = '\0';
    return daemon_config_read(&settings, path, &wrong);
}

static int
read_text(const char *text)
{
    return read_bytes(text, strlen(text));
}

TestSuite(config, .init = init, .fini = fini, .timeout = 10);

Test(config, all_keys)
{
    char expected[80];
    int rc = read_text("# ours\n"
                       "[bridge]\n"
                       "bus = lab   ; the one in the cellar\n"
                       "dir = /dev/shm/somewhere\n"
                       "name=me\n"
                       "cluster = c\n"
                       "listen = 127.0.0.1:4000 [::1]:4001\n"
                       "listen = *:4002\n"
                       "    h:4003\n"
                       "topics = /a \"/b c\"\n"
                       "engine = io_uring\n"
                       "cert = me.crt\n"
                       "key = /etc/me.key\n"
                       "ca = ca.crt\n"
                       "crl = crl.pem\n"
                       "insecure = no\n"
                       "compress = yes\n"
                       "rights = rights\n"
                       "slow = drop-newest\n"
                       "queue = 1M\n"
                       "ring = 64K\n"
                       "retry-max = 1.5\n"
                       "\n"
                       "[peer other]\n"
                       "address = [::1]:5000\n"
                       "slow = disconnect\n"
                       "queue = 2M\n"
                       "[ peer  another-one ]\n"
                       "address = h:1\n"
                       "[peer comes]\n"
                       "queue = 64K");
    cr_assert_eq(rc, 0, "%s", wrong.text);
    cr_assert_str_eq(settings.bus, "lab");
    cr_assert_str_eq(settings.dir, "/dev/shm/somewhere");
    cr_assert_str_eq(settings.name, "me");
    cr_assert_eq(settings.listen_count, 4);
    cr_assert_str_eq(settings.listen[1].host, "::1");
    cr_assert_eq(settings.listen[2].port, 4002);
    cr_assert_str_eq(settings.listen[3].host, "h");
    cr_assert_eq(settings.topic_count, 2);
    cr_assert_str_eq(settings.topics[1], "/b c");
    cr_assert_eq(settings.engine, 1);
    snprintf(expected, sizeof(expected), "%s/me.crt", dir);
    cr_assert_str_eq(settings.cert, expected);
    cr_assert_str_eq(settings.key, "/etc/me.key");
    cr_assert_eq(settings.insecure, 0);
    cr_assert_eq(settings.compress, 1);
    cr_assert_eq(settings.slow, BB_SLOW_DROP_NEWEST);
    cr_assert_eq(settings.queue_bytes, 1 << 20);
    cr_assert_eq(settings.ring_bytes, 64 << 10);
    cr_assert_eq(settings.retry_max_ns, 1500000000);
    cr_assert_eq(settings.peer_count, 3);
    cr_assert_null(settings.peers[2].host);
    cr_assert_eq(settings.peers[2].queue_bytes, 64 << 10);
    cr_assert_str_eq(settings.peers[0].name, "other");
    cr_assert_str_eq(settings.peers[0].host, "::1");
    cr_assert_eq(settings.peers[0].slow, BB_SLOW_DISCONNECT);
    cr_assert_eq(settings.peers[0].queue_bytes, 2 << 20);
    cr_assert_str_eq(settings.peers[1].name, "another-one");
    cr_assert_eq(settings.peers[1].slow, DAEMON_UNSAID);
}

/* Behind values, too; but not in them. */
Test(config, comments_and_the_mark_of_an_editor)
{
    int rc = read_text("\xef\xbb\xbf[bridge] # the bridge\n"
                       "# a line\n"
                       "bus = lab # ours\n"
                       "name = a#b ; mine\n"
                       "listen = h:1 # one\n"
                       "    h:2\t# two\n"
                       "topics = /a#b \"/c # d\" # all\n");
    cr_assert_eq(rc, 0, "%s", wrong.text);
    cr_assert_str_eq(settings.bus, "lab");
    cr_assert_str_eq(settings.name, "a#b");
    cr_assert_eq(settings.listen_count, 2);
    cr_assert_eq(settings.topic_count, 2);
    cr_assert_str_eq(settings.topics[0], "/a#b");
    cr_assert_str_eq(settings.topics[1], "/c # d");
}

Test(config, an_empty_file_says_nothing)
{
    cr_assert_eq(read_text(""), 0, "%s", wrong.text);
    cr_assert_eq(settings.engine, DAEMON_UNSAID);
    cr_assert_null(settings.bus);
}

/* Where the name of the peer is longer than inih keeps. */
Test(config, long_names_of_peers)
{
    cr_assert_eq(
        read_text("[peer aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1]\n"
                  "address = h:1\n"
                  "[peer aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa2]\n"
                  "address = h:2\n"),
        0, "%s", wrong.text);
    cr_assert_eq(settings.peer_count, 2);
    cr_assert_eq(settings.peers[1].port, 2);
    cr_assert_eq(settings.peers[1].name[62], '2');
}

Test(config, mistakes)
{
    static const struct {
        int line;
        const char *text, *says;
    } bad[] = {
        {1, "bus = lab\n", "stands before any section: write [bridge] above it"},
        {2, "[bridge]\nlisen = h:1\n", "[bridge] has no key \"lisen\"; did you mean `listen`?"},
        {2, "[bridge]\nfrobnicate = 1\n", "[bridge] has no key \"frobnicate\""},
        {2, "[bridge]\npeer = h:1\n", "a peer is a section: write [peer NAME]"},
        {3, "[bridge]\nbus = a\nbus = b\n", "bus: is given twice"},
        {3, "[bridge]\nbus = a\n  b\n", "bus: is given twice"},
        {2, "[bridge]\nbus =\n", "bus: needs a value"},
        {2, "[bridge]\nengine = fast\n", "engine: is one of auto, io_uring, epoll"},
        {2, "[bridge]\ninsecure = 1\n", "insecure: is yes or no"},
        {2, "[bridge]\nqueue = much\n", "queue: takes a size"},
        {3, "[bridge]\nlisten = h:1\n  h\n", "listen: \"h\" has no port"},
        {2, "[bridge]\ntopics = \"/a\n", "topics: a \" is not closed"},
        {2, "[bridge]\ntopics = <$>x\n", "topics with <$> are the bus's own"},
        {2, "[bridge]\nbus lab\n", "neither `key = value` nor [section] nor a comment"},
        {1, "[bridge\nbus = lab\n", "neither `key = value` nor [section]"},
        {1, "[brigde]\nbus = lab\n", "there is no section [brigde]; did you mean [bridge]?"},
        {1, "[]\n", "there is no section []: write [bridge] or [peer NAME]"},
        {1, "[peer]\naddress = h:1\n", "needs 1 to 63 bytes"},
        {1, "[peer a b]\naddress = h:1\n", "can be no box's name"},
        {1, "[peer \"a b\"]\naddress = h:1\n", "can be no box's name"},
        {1, "[peer caf\xc3\xa9]\naddress = h:1\n", "can be no box's name"},
        {3, "[peer a]\naddress = h:1\n[peer a]\n", "[peer a] stands there twice"},
        {1, "[peer a]\n[peer b]\naddress = h:1\n", "[peer a] says nothing"},
        {2, "\n[peer a]\n\n\n", "[peer a] says nothing"},
        {2, "[peer a]\nadress = h:1\n", "[peer] has no key \"adress\"; did you mean `address`?"},
        {2, "[peer a]\nbus = lab\n", "[peer] has no key \"bus\""},
        {2, "[peer a]\naddress = b@h:1\n", "the name stands in [peer NAME]"},
        {2, "[peer a]\naddress = h:0\n", "cannot be linked to"},
        {3, "[peer a]\naddress = h:1\naddress = h:2\n", "address: is given twice"},
    };
    char where[80];
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        cr_assert_eq(read_text(bad[i].text), -1, "%s", bad[i].text);
        snprintf(where, sizeof(where), "%s:%d: ", path, bad[i].line);
        cr_assert_eq(strncmp(wrong.text, where, strlen(where)), 0, "%s: %s", bad[i].text,
                     wrong.text);
        cr_assert_not_null(strstr(wrong.text, bad[i].says), "%s: %s", bad[i].text, wrong.text);
        daemon_settings_fini(&settings);
    }
}

Test(config, every_key_of_the_table_is_known)
{
    for (const struct daemon_key *key = daemon_keys; key->name != NULL; key++) {
        char text[80];
        snprintf(text, sizeof(text), "[bridge]\n%s =\n", key->name);
        /* An empty list is one; whatever else an empty value is, it is not an unknown key. */
        if (read_text(text) != 0 && strcmp(key->name, "peer") != 0) {
            cr_assert_null(strstr(wrong.text, "has no key"), "%s", wrong.text);
        }
        daemon_settings_fini(&settings);
    }
}

Test(config, lines_that_are_too_long)
{
    char text[9000];
    memset(text, 'a', sizeof(text));
    memcpy(text, "[bridge]\nbus = ", 15);
    cr_assert_eq(read_bytes(text, sizeof(text)), -1);
    cr_assert_not_null(strstr(wrong.text, "b.ini:2: the line is longer than"), "%s", wrong.text);
    daemon_settings_fini(&settings);
    cr_assert_eq(read_bytes("[bridge]\nbus = l\0b\n", 19), -1);
    cr_assert_not_null(strstr(wrong.text, "b.ini:2: the line holds a NUL byte"), "%s", wrong.text);
}

Test(config, files_that_are_none)
{
    cr_assert_eq(daemon_config_read(&settings, "/nowhere/b.ini", &wrong), -1);
    cr_assert_str_eq(wrong.text, "/nowhere/b.ini cannot be read: No such file or directory");
    cr_assert_eq(daemon_config_read(&settings, "/dev/null", &wrong), 0, "%s", wrong.text);
    cr_assert_eq(daemon_config_read(&settings, dir, &wrong), -1);
    cr_assert_not_null(strstr(wrong.text, "is a directory"), "%s", wrong.text);
}

Test(config, what_stands_there_twice)
{
    cr_assert_eq(read_text("[peer a]\naddress = h:1\n[peer b]\naddress = h:1\n"), -1);
    cr_assert_not_null(strstr(wrong.text, "b.ini: peer: h:1 is given twice"), "%s", wrong.text);
}
