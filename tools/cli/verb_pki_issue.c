/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/verb_pki_issue.c - `busbar pki issue DIR NODE`: a directory with all that a node's busbard needs.
 */
#include "tools/cli/pki.h"
#include "tools/cli/verb_list.h"
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ID_DIGITS = 32 };

struct options {
    uint64_t days;
    const char *id;
    const char *out;
    int renew;
};

/* The names that openssl is told: absolute, since it works in the authority's directory. */
struct names {
    char key[PATH_MAX + PKI_NAME_MAX + 8];
    char crt[PATH_MAX + PKI_NAME_MAX + 8];
    char csr[PATH_MAX + 16];
    char ext[PATH_MAX + 16];
};

static int
write_extensions(const char *dir, const char *node, const char *id)
{
    char text[512];
    (void)snprintf(text, sizeof(text),
                   "[node]\n"
                   "basicConstraints = critical,CA:FALSE\n"
                   "keyUsage = critical,digitalSignature\n"
                   "extendedKeyUsage = serverAuth,clientAuth\n"
                   "subjectKeyIdentifier = hash\n"
                   "authorityKeyIdentifier = keyid\n"
                   "subjectAltName = DNS:%s%s%s\n",
                   node, id != NULL ? ",URI:busbar:" : "", id != NULL ? id : "");
    return pki_write(dir, "node.ext", text, 0600);
}

static int
sign(const struct pki *pki, const char *made, const char *node, const struct pki_period *period)
{
    struct names names;
    char subject[PKI_NAME_MAX + 8];
    (void)snprintf(names.key, sizeof(names.key), "%s/%s.key", made, node);
    (void)snprintf(names.crt, sizeof(names.crt), "%s/%s.crt", made, node);
    (void)snprintf(names.csr, sizeof(names.csr), "%s/node.csr", made);
    (void)snprintf(names.ext, sizeof(names.ext), "%s/node.ext", made);
    (void)snprintf(subject, sizeof(subject), "/CN=%s", node);
    const char *const key[] = {"genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256",
                               "-out",    names.key,    NULL};
    const char *const request[] = {"req",   "-new",  "-config", "openssl.cnf", "-key", names.key,
                                   "-subj", subject, "-out",    names.csr,     NULL};
    const char *const certify[] = {
        "ca",        "-batch",      "-notext", "-config",    "openssl.cnf", "-extfile",
        names.ext,   "-extensions", "node",    "-startdate", period->start, "-enddate",
        period->end, "-in",         names.csr, "-out",       names.crt,     NULL};
    int rc = pki_openssl(pki->dir, 0, key);
    if (rc == CLI_DONE) {
        rc = pki_openssl(pki->dir, 0, request);
    }
    if (rc == CLI_DONE) {
        rc = pki_openssl(pki->dir, 0, certify);
    }
    (void)unlink(names.csr);
    (void)unlink(names.ext);
    if (rc == CLI_DONE && chmod(names.crt, 0644) != 0) {
        cli_say("cannot let others read %s", names.crt);
        rc = CLI_FAILED;
    }
    return rc;
}

static int
fill(const struct pki *pki, const char *made, const struct cli_call *call, const struct options *o)
{
    struct pki_period period;
    int rc = pki_period(&period, o->days);
    if (rc == CLI_DONE) {
        rc = write_extensions(made, call->args[1], o->id);
    }
    if (rc == CLI_DONE) {
        rc = sign(pki, made, call->args[1], &period);
    }
    if (rc == CLI_DONE) {
        rc = pki_copy(pki->dir, made, "ca.crt");
    }
    return rc == CLI_DONE ? pki_copy(pki->dir, made, "crl.pem") : rc;
}

/* is_in_the_way - says so when there is something at the place that must not be. */
static int
is_in_the_way(const char *final, int is_renewal)
{
    /* An empty directory may be there: the rename takes its place. */
    if (!is_renewal && rmdir(final) != 0 && errno != ENOENT) {
        cli_say("%s is there already, and nothing of it was changed; --renew makes another "
                "certificate and key in its place",
                final);
        return 1;
    }
    return 0;
}

static int
issue(const struct pki *pki,
      const char *final,
      const struct cli_call *call,
      const struct options *o)
{
    struct pki_new made;
    int rc = pki_new_make(&made, final);
    if (rc == CLI_DONE && is_in_the_way(made.final, o->renew)) {
        rc = CLI_NO;
    }
    char *records = rc == CLI_DONE ? pki_records_keep(pki->dir) : NULL;
    if (rc == CLI_DONE) {
        rc = records != NULL ? fill(pki, made.path, call, o) : CLI_FAILED;
    }
    if (rc == CLI_DONE) {
        rc = pki_new_keep(&made, o->renew);
    }
    if (rc == CLI_DONE) {
        printf("made %s\n", made.final);
    } else if (records != NULL) {
        pki_records_restore(pki->dir, records);
    }
    free(records);
    pki_new_drop(&made);
    return rc;
}

/* check_words - the node's name and, if given, its id. */
static int
check_words(const struct cli_call *call, const char *node, const char *id)
{
    if (!pki_name_is_good(node)) {
        return cli_wrong(call->verb,
                         "\"%.80s\" is no name for a node: 1 to %d letters, digits, - _ and .",
                         node, PKI_NAME_MAX);
    }
    if (strcmp(node, "ca") == 0) {
        return cli_wrong(call->verb, "a node cannot be called ca: ca.crt is the authority's "
                                     "certificate; choose another name");
    }
    if (id != NULL && (strlen(id) != ID_DIGITS || strspn(id, "0123456789abcdef") != ID_DIGITS)) {
        return cli_wrong(call->verb,
                         "--id takes a box's id, %d digits 0-9 a-f, as `busbar bridge info` shows "
                         "it",
                         ID_DIGITS);
    }
    return CLI_DONE;
}

static int
run(const struct cli_call *call, const void *options)
{
    const struct options *o = options;
    const char *node = call->args[1];
    struct pki pki;
    char final[PATH_MAX + PKI_NAME_MAX + 8];

    int rc = check_words(call, node, o->id);
    if (rc != CLI_DONE) {
        return rc;
    }
    (void)umask(077);
    rc = pki_open(&pki, call->args[0]);
    if (rc == CLI_DONE) {
        (void)snprintf(final, sizeof(final), "%s/nodes/%s", pki.dir, node);
        rc = issue(&pki, o->out != NULL ? o->out : final, call, o);
    }
    pki_close(&pki);
    return rc;
}

static const struct options defaults = {.days = PKI_NODE_DAYS};

const struct cli_verb cli_verb_pki_issue = {
    .noun = "pki",
    .name = "issue",
    .line = "issue certificate and key for the busbard of a box",
    .usage = "[OPTION]... DIR NODE",
    .text = "NODE is the name that its busbard has (busbard --name).  What is made is a\n"
            "directory with NODE.crt, NODE.key, ca.crt and crl.pem: take it to that box, for\n"
            "its busbard's user only.  A certificate that runs out is renewed by --renew.",
    .examples = "busbar pki issue ~/busbar-ca sensor-1\n"
                "scp -r ~/busbar-ca/nodes/sensor-1 sensor-1:/etc/busbar/tls\n",
    .options =
        (const struct cli_option[]){
            {.name = "days",
             .type = CLI_COUNT,
             .offset = offsetof(struct options, days),
             .arg = "N",
             .help = "how long the certificate is good (90)"},
            {.name = "id",
             .type = CLI_WORD,
             .offset = offsetof(struct options, id),
             .arg = "ID",
             .help = "only for the box with this id"},
            {.name = "out",
             .type = CLI_WORD,
             .offset = offsetof(struct options, out),
             .arg = "DIR2",
             .help = "the directory to make (DIR/nodes/NODE)",
             .values = "@dirs"},
            {.name = "renew",
             .type = CLI_FLAG,
             .offset = offsetof(struct options, renew),
             .help = "put it in the place of the one that is there"},
            {.name = NULL},
        },
    .options_bytes = sizeof(struct options),
    .defaults = &defaults,
    .min_args = 2,
    .max_args = 2,
    .run = run,
};
