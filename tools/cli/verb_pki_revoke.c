/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/verb_pki_revoke.c - `busbar pki revoke DIR NODE`: all certificates of a node are good no more.
 */
#include "tools/cli/pki.h"
#include "tools/cli/verb_list.h"
#include <stdio.h>
#include <string.h>

enum { AT_ONCE = 64, SERIAL_BYTES = 48 };

struct found {
    const char *node;
    char serials[AT_ONCE][SERIAL_BYTES];
    size_t count;
};

/* collect - first, since openssl writes the file that is being read. */
static int
collect(const struct pki_line *line, void *user)
{
    struct found *found = user;
    if (line->state == 'V' && strcmp(line->node, found->node) == 0 && found->count < AT_ONCE
        && strlen(line->serial) < SERIAL_BYTES) {
        (void)snprintf(found->serials[found->count++], SERIAL_BYTES, "%s", line->serial);
    }
    return CLI_DONE;
}

static int
revoke(const struct pki *pki, const char *node)
{
    struct found found = {.node = node};
    size_t count = 0;
    int rc = CLI_DONE;
    do {
        found.count = 0;
        rc = pki_each(pki->dir, collect, &found);
        for (size_t i = 0; rc == CLI_DONE && i < found.count; i++) {
            char file[SERIAL_BYTES + 16];
            (void)snprintf(file, sizeof(file), "issued/%s.pem", found.serials[i]);
            const char *const words[] = {"ca", "-config", "openssl.cnf", "-revoke", file, NULL};
            rc = pki_openssl(pki->dir, 0, words);
            count++;
        }
    } while (rc == CLI_DONE && found.count == AT_ONCE);
    if (rc == CLI_DONE && count == 0) {
        cli_say(
            "%s has no certificate of this authority that is good; `busbar pki show %s` lists them",
            node, pki->dir);
        return CLI_NONE;
    }
    return rc;
}

static int
run(const struct cli_call *call, const void *options)
{
    (void)options;
    struct pki pki;
    if (!pki_name_is_good(call->args[1])) {
        return cli_wrong(call->verb, "\"%.80s\" is no name for a node", call->args[1]);
    }
    int rc = pki_open(&pki, call->args[0]);
    if (rc == CLI_DONE) {
        rc = revoke(&pki, call->args[1]);
    }
    if (rc == CLI_DONE) {
        rc = pki_crl(pki.dir);
    }
    if (rc == CLI_DONE) {
        printf("wrote %s/crl.pem\n", pki.dir);
    }
    pki_close(&pki);
    return rc;
}

const struct cli_verb cli_verb_pki_revoke = {
    .noun = "pki",
    .name = "revoke",
    .line = "revoke all certificates of a node",
    .usage = "DIR NODE",
    .text = "Take the new DIR/crl.pem to every box, and send SIGHUP to its busbard: from then\n"
            "on it refuses the node.  Links that are up end when their busbard restarts.",
    .examples = "busbar pki revoke ~/busbar-ca sensor-1\n",
    .min_args = 2,
    .max_args = 2,
    .run = run,
};
