/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: a pre-shared key lets in who has it under the name that it is known by, and nobody else; the files that hold
 * keys are read only where they are safe, and the user's own is made once.
 * Method: pairs of contexts; files with every fault; processes that make the key at one time.
 */
#include "tests/unit/net/tls_pair.h"
#include <sys/wait.h>

TestSuite(tls_psk, .timeout = 60, .init = dir_begin, .fini = dir_end);

static struct bbi_tls_ctx *
keys_of(const char *node, const struct bbi_tls_key *keys, uint32_t count)
{
    struct bbi_tls_ctx *ctx = NULL;
    struct bbi_fault f = {0};
    struct bbi_tls_opts opts = {.node = node, .keys = keys, .key_count = count};
    int rc = bbi_tls_ctx_open(&ctx, &opts, &f);
    cr_assert_eq(rc, 0, "%s", f.sentence);
    return ctx;
}

static const struct bbi_tls_key ANY = {.peer = NULL, .bytes = "0123456789abcdef0123456789abcde"};
static const struct bbi_tls_key WRONG = {.peer = NULL, .bytes = "0123456789abcdef0123456789abcdE"};
static const struct bbi_tls_key FOR_BRAVO = {.peer = "bravo",
                                             .bytes = "bravo and alpha have this, 256 "};
static const struct bbi_tls_key FOR_ALPHA = {.peer = "alpha",
                                             .bytes = "bravo and alpha have this, 256 "};

Test(tls_psk, good_keys)
{
    const struct bbi_tls_key two[] = {ANY,
                                      FOR_BRAVO}; /* the peer's own comes before the common one */
    const struct {
        struct bbi_tls_ctx *client, *server;
        const char *expected;
    } cases[] = {
        {keys_of("alpha", &ANY, 1), keys_of("bravo", &ANY, 1), NULL},
        {keys_of("alpha", &ANY, 1), keys_of("bravo", &ANY, 1), "alpha"},
        {keys_of("alpha", &FOR_BRAVO, 1), keys_of("bravo", &FOR_ALPHA, 1), NULL},
        {keys_of("alpha", two, 2), keys_of("bravo", &FOR_ALPHA, 1), "alpha"},
    };
    struct bbi_fault f;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct end *client = end_of(cases[i].client, BBI_TLS_CLIENT, "bravo");
        struct end *server = end_of(cases[i].server, BBI_TLS_SERVER, cases[i].expected);
        pump(client, server);
        assert_met(client, server);
        cr_assert_str_eq(bbi_tls_peer(server->tls)->name, "alpha");
        cr_assert_str_eq(bbi_tls_peer(client->tls)->name, "bravo");
        cr_assert_eq(bbi_tls_peer_is(server->tls, "alpha", "00aa", &f), 0);
        cr_assert_eq(bbi_tls_peer_is(server->tls, "mallory", NULL, &f), BB_EACCES);
        end_free(client);
        end_free(server);
    }
}

static void
try_bad(const char *label,
        struct end *client,
        struct end *server,
        const char *client_says,
        const char *server_says)
{
    pump(client, server);
    cr_assert_lt(client->rc, 0, "%s", label);
    cr_assert_lt(server->rc, 0, "%s", label);
    assert_says(label, client->fault.sentence, client_says);
    assert_says(label, server->fault.sentence, server_says);
    cr_assert_eq(client->got_bytes + server->got_bytes, 0);
    cr_assert_eq(client->to_send_bytes, strlen(HELLO), "not even taken");
    cr_assert_eq(server->to_send_bytes, strlen(HELLO));
    end_free(client);
    end_free(server);
}

Test(tls_psk, bad_keys_and_both_sides_say_why)
{
    const char *unknown = "it knows no key for 'alpha', or it wants certificates";
    const char *mixed = "same kind of keys";
    make_usual();
    try_bad("wrong PSK", end_of(keys_of("alpha", &ANY, 1), BBI_TLS_CLIENT, "bravo"),
            end_of(keys_of("bravo", &WRONG, 1), BBI_TLS_SERVER, NULL),
            "its key for 'alpha' is another", "'alpha' has another pre-shared key");
    try_bad("unknown PSK identity", end_of(keys_of("alpha", &ANY, 1), BBI_TLS_CLIENT, "bravo"),
            end_of(keys_of("bravo", &FOR_BRAVO, 1), BBI_TLS_SERVER, NULL), unknown,
            "no pre-shared key is known for 'alpha' (unknown identity)");
    try_bad("our own identity", end_of(keys_of("alpha", &ANY, 1), BBI_TLS_CLIENT, "bravo"),
            end_of(keys_of("alpha", &ANY, 1), BBI_TLS_SERVER, NULL), unknown,
            "names itself 'alpha', which is this node");
    try_bad("another identity", end_of(keys_of("alpha", &ANY, 1), BBI_TLS_CLIENT, "bravo"),
            end_of(keys_of("bravo", &ANY, 1), BBI_TLS_SERVER, "charlie"), unknown,
            "but 'charlie' must be there");
    try_bad("a key to certificates", end_of(keys_of("alpha", &ANY, 1), BBI_TLS_CLIENT, "bravo"),
            end_of(ctx_of("bravo", "bravo", "ca", NULL), BBI_TLS_SERVER, NULL), mixed,
            "it uses a pre-shared key where we use certificates");
    try_bad("certificates to a key",
            end_of(ctx_of("alpha", "alpha", "ca", NULL), BBI_TLS_CLIENT, "bravo"),
            end_of(keys_of("bravo", &ANY, 1), BBI_TLS_SERVER, NULL),
            "it uses a pre-shared key where we use certificates", mixed);
}

Test(tls_psk, identities_that_are_no_names)
{
    struct bbi_tls *tls = NULL;
    struct bbi_tls_ctx *ctx = keys_of("alpha", &FOR_BRAVO, 1);
    struct bbi_fault f;
    cr_assert_eq(bbi_tls_open(&tls, ctx, BBI_TLS_CLIENT, "charlie", &f), BB_ENOENT);
    assert_says("no key", f.sentence, "no pre-shared key for 'charlie'");
    cr_assert_eq(bbi_tls_open(&tls, ctx, BBI_TLS_CLIENT, NULL, &f), BB_EINVAL);
    cr_assert_eq(bbi_tls_open(&tls, ctx, BBI_TLS_CLIENT, "", &f), BB_EINVAL);
    cr_assert_eq(bbi_tls_open(&tls, ctx, BBI_TLS_CLIENT, "a\nb", &f), BB_EINVAL);
    cr_assert_null(tls);
    bbi_tls_ctx_close(ctx);
    bbi_tls_ctx_close(NULL);
    bbi_tls_close(NULL);
}

/* ---- files ---- */

static void
put(const char *name, const char *text)
{
    FILE *out = create(name);
    cr_assert_geq(fputs(text, out), 0);
    cr_assert_eq(fclose(out), 0);
}

#define DIGITS "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF"

Test(tls_psk, key_files)
{
    static const struct {
        const char *text;
        int rc;
    } CASES[] = {
        {DIGITS, 0},
        {DIGITS "\n", 0},
        {DIGITS "\r\n", 0},
        {"", BB_EINVAL},
        {DIGITS "0", BB_EINVAL},
        {DIGITS "\n\n", BB_EINVAL},
        {" " DIGITS, BB_EINVAL},
        {"0011", BB_EINVAL},
        {"0000000000000000000000000000000000000000000000000000000000000000", BB_EINVAL},
        {"FFffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff\n", BB_EINVAL},
        {"x0112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF", BB_EINVAL},
    };
    static const unsigned char WANTED[] = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
                                           0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};
    struct bbi_fault f;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        unsigned char key[BBI_KEY_BYTES] = {1};
        put("psk", CASES[i].text);
        cr_assert_eq(bbi_key_file(path_of("psk"), key, &f), CASES[i].rc, "%zu", i);
        if (CASES[i].rc == 0) {
            cr_assert_eq(memcmp(key, WANTED, 16) | memcmp(key + 16, WANTED, 16), 0);
        } else {
            cr_assert_eq(key[0], 1, "written only on success");
            assert_says("key file", f.sentence, "openssl rand -hex 32");
        }
    }
}

Test(tls_psk, key_files_that_others_could_read_or_are_none)
{
    unsigned char key[BBI_KEY_BYTES];
    struct bbi_fault f;
    static const mode_t MODES[] = {0640, 0604, 0620, 0602, 0610, 0601, 0666};
    put("psk", DIGITS);
    for (size_t i = 0; i < sizeof(MODES) / sizeof(MODES[0]); i++) {
        cr_assert_eq(chmod(path_of("psk"), MODES[i]), 0);
        cr_assert_eq(bbi_key_file(path_of("psk"), key, &f), BB_EACCES, "%o", MODES[i]);
        assert_says("key file", f.sentence, "chmod 0600");
    }
    cr_assert_eq(chmod(path_of("psk"), 0400), 0);
    cr_assert_eq(bbi_key_file(path_of("psk"), key, &f), 0);
    cr_assert_eq(symlink(path_of("psk"), path_of("link")), 0);
    cr_assert_eq(bbi_key_file(path_of("link"), key, &f), 0, "a link to a good one is good");
    cr_assert_eq(mkfifo(path_of("pipe"), 0600), 0);
    cr_assert_eq(bbi_key_file(path_of("pipe"), key, &f), BB_EINVAL);
    cr_assert_eq(bbi_key_file(temp_dir, key, &f), BB_EINVAL);
    cr_assert_eq(bbi_key_file(path_of("none"), key, &f), BB_ENOENT);
    put("long", "");
    cr_assert_eq(truncate(path_of("long"), BBI_SECRET_MAX + 1), 0);
    cr_assert_eq(bbi_key_file(path_of("long"), key, &f), BB_EMSGSIZE);
    cr_assert_eq(bbi_key_file("/dev/null", key, &f), BB_EINVAL);
}

Test(tls_psk, the_users_key_is_made_once_and_stays)
{
    unsigned char first[BBI_KEY_BYTES] = {0}, again[BBI_KEY_BYTES] = {0}, none[BBI_KEY_BYTES] = {0};
    struct bbi_fault f = {0};
    struct stat st;
    const char *dir = path_of("bus");
    cr_assert_eq(bbi_key_file_user(dir, first, &f), 1, "%s", f.sentence);
    cr_assert_eq(bbi_key_file_user(dir, again, &f), 0);
    cr_assert_eq(memcmp(first, again, sizeof(first)), 0);
    cr_assert_neq(memcmp(first, none, sizeof(first)), 0);
    cr_assert_eq(stat(path_of("bus/.key"), &st), 0);
    cr_assert_eq(st.st_mode & 07777, 0600);
    cr_assert_eq(st.st_size, 65);
    cr_assert_eq(bbi_key_file(path_of("bus/.key"), again, &f), 0, "it is a key file as others");
    cr_assert_eq(memcmp(first, again, sizeof(first)), 0);
    /* Neither a link nor a torn one is used, and it is not made over it. */
    cr_assert_eq(rename(path_of("bus/.key"), path_of("bus/key")), 0);
    cr_assert_eq(symlink(path_of("bus/key"), path_of("bus/.key")), 0);
    cr_assert_eq(bbi_key_file_user(dir, again, &f), -ELOOP);
    cr_assert_eq(unlink(path_of("bus/.key")), 0);
    put("bus/.key", "0011");
    cr_assert_eq(bbi_key_file_user(dir, again, &f), BB_EINVAL);
    cr_assert_eq(chmod(dir, 0777), 0);
    cr_assert_eq(bbi_key_file_user(dir, again, &f), BB_ETRUST);
    cr_assert_eq(bbi_key_file_user(path_of("none/there"), again, &f), BB_ENOENT);
}

Test(tls_psk, many_make_the_users_key_at_one_time)
{
    enum { MAKERS = 8, ROUNDS = 20 };
    for (int round = 0; round < ROUNDS; round++) {
        char dir[32];
        unsigned char key[BBI_KEY_BYTES], got[BBI_KEY_BYTES];
        struct bbi_fault f;
        int go[2], out[2], made = 0;
        (void)snprintf(dir, sizeof(dir), "round-%d", round);
        cr_assert_eq(pipe2(go, O_CLOEXEC) | pipe2(out, O_CLOEXEC), 0);
        for (int i = 0; i < MAKERS; i++) {
            pid_t pid = fork();
            cr_assert_geq(pid, 0);
            if (pid == 0) {
                (void)close(go[1]);
                (void)!read(go[0], key, 1); /* ends for all at once */
                int rc = bbi_key_file_user(path_of(dir), key, &f);
                _exit(write(out[1], key, sizeof(key)) == sizeof(key) ? rc : 9);
            }
        }
        (void)close(go[0]);
        (void)close(go[1]);
        for (int i = 0; i < MAKERS; i++) {
            int status;
            cr_assert_gt(wait(&status), 0);
            cr_assert(WIFEXITED(status) && WEXITSTATUS(status) <= 1, "%d", status);
            made += WEXITSTATUS(status);
            cr_assert_eq(read(out[0], got, sizeof(got)), (ssize_t)sizeof(got));
            cr_assert(i == 0 || memcmp(key, got, sizeof(key)) == 0, "all have the same");
            memcpy(key, got, sizeof(key));
        }
        cr_assert_eq(made, 1);
        (void)close(out[0]);
        (void)close(out[1]);
    }
}
