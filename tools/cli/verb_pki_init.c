/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/verb_pki_init.c - `busbar pki init DIR`: a certificate authority of one's own.
 */
#include "tools/cli/pki.h"
#include "tools/cli/verb_list.h"
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

struct options {
    uint64_t days;
    const char *cluster;
};

/* Paths in it are relative: the directory can be moved. */
static const char config[] = "# made by `busbar pki init`\n"
                             "[ca]\n"
                             "default_ca = busbar\n"
                             "[busbar]\n"
                             "database = index.txt\n"
                             "new_certs_dir = issued\n"
                             "certificate = ca.crt\n"
                             "private_key = ca.key\n"
                             "rand_serial = yes\n"
                             "crlnumber = crlnumber\n"
                             "default_md = sha256\n"
                             "crl_extensions = crl\n"
                             "policy = node\n"
                             "unique_subject = no\n"
                             "copy_extensions = none\n"
                             "email_in_dn = no\n"
                             "[node]\n"
                             "commonName = supplied\n"
                             "[crl]\n"
                             "authorityKeyIdentifier = keyid\n"
                             "[req]\n"
                             "distinguished_name = empty\n"
                             "prompt = no\n"
                             "[empty]\n"
                             "[authority]\n"
                             "basicConstraints = critical,CA:TRUE,pathlen:0\n"
                             "keyUsage = critical,keyCertSign,cRLSign\n"
                             "subjectKeyIdentifier = hash\n";

static int
write_records(const char *dir)
{
    char issued[PATH_MAX + 8];
    int rc = pki_write(dir, "openssl.cnf", config, 0644);
    if (rc == CLI_DONE) {
        rc = pki_write(dir, "index.txt", "", 0600);
    }
    if (rc == CLI_DONE) {
        rc = pki_write(dir, "crlnumber", "01\n", 0600);
    }
    for (int i = 0; rc == CLI_DONE && i < 2; i++) {
        (void)snprintf(issued, sizeof(issued), "%s/%s", dir, i == 0 ? "issued" : "nodes");
        if (mkdir(issued, 0700) != 0) {
            cli_say("cannot make %s", issued);
            rc = CLI_FAILED;
        }
    }
    return rc;
}

/* sign_itself - key, certificate and an empty list of what is revoked. */
static int
sign_itself(const char *dir, const char *cluster, const struct pki_period *period)
{
    char subject[128];
    char path[PATH_MAX + 8];
    uint32_t mark; /* so that sentences about two authorities say which is which */
    if (getrandom(&mark, sizeof(mark), 0) != (ssize_t)sizeof(mark)) {
        cli_say("the kernel gives no random bytes");
        return CLI_FAILED;
    }
    (void)snprintf(subject, sizeof(subject), "/CN=busbar CA%s%s %08x", cluster != NULL ? " " : "",
                   cluster != NULL ? cluster : "", (unsigned)mark);
    const char *const key[] = {"genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256",
                               "-out",    "ca.key",     NULL};
    const char *const request[] = {"req",   "-new",  "-config", "openssl.cnf", "-key", "ca.key",
                                   "-subj", subject, "-out",    "ca.csr",      NULL};
    const char *const sign[] = {
        "ca",          "-batch",    "-notext",    "-config",     "openssl.cnf", "-selfsign",
        "-extensions", "authority", "-startdate", period->start, "-enddate",    period->end,
        "-in",         "ca.csr",    "-out",       "ca.crt",      NULL};
    int rc = pki_openssl(dir, 0, key);
    if (rc == CLI_DONE) {
        rc = pki_openssl(dir, 0, request);
    }
    if (rc == CLI_DONE) {
        rc = pki_openssl(dir, 0, sign);
    }
    if (rc != CLI_DONE) {
        return rc;
    }
    (void)snprintf(path, sizeof(path), "%s/ca.csr", dir);
    (void)unlink(path);
    (void)snprintf(path, sizeof(path), "%s/ca.crt", dir);
    if (chmod(path, 0644) != 0) {
        cli_say("cannot let others read %s", path);
        return CLI_FAILED;
    }
    return pki_crl(dir);
}

static int
make(const char *dir, const struct options *o, const struct pki_period *period)
{
    struct pki_new made;
    int rc = pki_new_make(&made, dir);
    if (rc != CLI_DONE) {
        return rc;
    }
    rc = write_records(made.path);
    if (rc == CLI_DONE) {
        rc = sign_itself(made.path, o->cluster, period);
    }
    if (rc == CLI_DONE) {
        rc = pki_new_keep(&made, 0);
    }
    if (rc == CLI_DONE) {
        printf("made %s\n", made.final);
    }
    pki_new_drop(&made);
    return rc;
}

static int
run(const struct cli_call *call, const void *options)
{
    const struct options *o = options;
    struct pki_period period;
    if (o->cluster != NULL && !pki_name_is_good(o->cluster)) {
        return cli_wrong(call->verb, "--cluster takes 1 to %d letters, digits, - _ and .",
                         PKI_NAME_MAX);
    }
    int rc = pki_period(&period, o->days);
    if (rc != CLI_DONE) {
        return rc;
    }
    (void)umask(077);
    return make(call->args[0], o, &period);
}

static const struct options defaults = {.days = PKI_CA_DAYS};

const struct cli_verb cli_verb_pki_init = {
    .noun = "pki",
    .name = "init",
    .line = "make a certificate authority, for links between boxes",
    .usage = "[OPTION]... DIR",
    .text = "DIR is made, for its owner only.  Keep it on one box, which need not have a bus:\n"
            "whoever reads DIR/ca.key can vouch for any node.  The program openssl does the\n"
            "work.",
    .examples = "busbar pki init ~/busbar-ca\nbusbar pki issue ~/busbar-ca sensor-1\n",
    .options =
        (const struct cli_option[]){
            {.name = "days",
             .type = CLI_COUNT,
             .offset = offsetof(struct options, days),
             .arg = "N",
             .help = "how long the authority is good (3650)"},
            {.name = "cluster",
             .type = CLI_WORD,
             .offset = offsetof(struct options, cluster),
             .arg = "NAME",
             .help = "stands in the name of the authority, for people"},
            {.name = NULL},
        },
    .options_bytes = sizeof(struct options),
    .defaults = &defaults,
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
