/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/verb_pki_show.c - `busbar pki show`: what an authority issued, what stands in a certificate.
 */
#include "tools/cli/pki.h"
#include "tools/cli/verb_list.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* until_text - "2026-02-20 13:00:00" of "260220130000Z" or "20260220130000Z". */
static const char *
until_text(const char *until, char out[32])
{
    size_t bytes = strlen(until);
    if (bytes != 13 && bytes != 15) {
        (void)snprintf(out, 32, "%.30s", until);
        return out;
    }
    const char *rest = bytes == 15 ? until + 4 : until + 2;
    /* RFC 5280: two digits from 50 on are of the last century. */
    const char *century = bytes == 15 ? "" : until[0] >= '5' ? "19" : "20";
    (void)snprintf(out, 32, "%s%.*s-%.2s-%.2s %.2s:%.2s:%.2s", century, (int)(rest - until), until,
                   rest, rest + 2, rest + 4, rest + 6, rest + 8);
    return out;
}

static const char *
state_text(char state, const char *until)
{
    char now[32];
    char end[32];
    struct tm parts;
    time_t seconds = time(NULL);
    if (state == 'R') {
        return "revoked";
    }
    if (gmtime_r(&seconds, &parts) == NULL
        || strftime(now, sizeof(now), "%Y-%m-%d %H:%M:%S", &parts) == 0) {
        return "unknown";
    }
    return strcmp(until_text(until, end), now) > 0 ? "good" : "expired";
}

static int
print_line(const struct pki_line *line, void *user)
{
    char until[32];
    (void)user;
    printf("%-8s until %s UTC  %s  %s\n", state_text(line->state, line->until),
           until_text(line->until, until), line->serial, line->node);
    return CLI_DONE;
}

/* show_file - a certificate or a list of what is revoked, as openssl prints it. */
static int
show_file(const char *path)
{
    char line[128] = "";
    char full[PATH_MAX];
    if (realpath(path, full) == NULL) {
        int code = cli_exit_code(-errno);
        cli_say("cannot read %s: %s", path, strerrordesc_np(errno));
        return code;
    }
    FILE *file = fopen(full, "re");
    if (file == NULL) {
        int code = cli_exit_code(-errno);
        cli_say("cannot read %s: %s", path, strerrordesc_np(errno));
        return code;
    }
    int has_line = fgets(line, sizeof(line), file) != NULL;
    (void)fclose(file);
    if (!has_line || strncmp(line, "-----BEGIN ", 11) != 0) {
        cli_say("%s is no PEM file: certificates, and lists of what is revoked, can be shown",
                path);
        return CLI_FAILED;
    }
    if (strstr(line, "PRIVATE KEY") != NULL) {
        cli_say("%s holds a private key, which is not shown", path);
        return CLI_FAILED;
    }
    const char *const crl[] = {"crl", "-in", full, "-noout", "-text", "-nameopt", "RFC2253", NULL};
    const char *const crt[] = {
        "x509",         "-in",     full,      "-noout",
        "-subject",     "-issuer", "-serial", "-dates",
        "-fingerprint", "-sha256", "-ext",    "subjectAltName,extendedKeyUsage,basicConstraints",
        "-nameopt",     "RFC2253", NULL};
    return pki_openssl("/", 1, strstr(line, "CRL") != NULL ? crl : crt);
}

static int
run(const struct cli_call *call, const void *options)
{
    (void)options;
    struct stat st;
    const char *path = call->args[0];
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
        return pki_each(path, print_line, NULL);
    }
    return show_file(path);
}

const struct cli_verb cli_verb_pki_show = {
    .noun = "pki",
    .name = "show",
    .line = "show what an authority issued, or what stands in a certificate",
    .usage = "DIR|FILE",
    .examples = "busbar pki show ~/busbar-ca\nbusbar pki show /etc/busbar/tls/sensor-1.crt\n",
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
