/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/pki.h - a small certificate authority in a directory, kept by the program `openssl`.
 *
 *   ca.key ca.crt   its key (0600) and certificate
 *   crl.pem         what it has revoked
 *   nodes/NODE/     NODE.key, NODE.crt, ca.crt, crl.pem: all that NODE's busbard needs
 *   issued/ index.txt crlnumber openssl.cnf ...   openssl's own records
 *
 * Death      What is new is made under another name and renamed when it is whole; whatever else has a name is whole.
 * Two        at once: the second is refused.
 */
#ifndef BUSBAR_TOOLS_CLI_PKI_H
#define BUSBAR_TOOLS_CLI_PKI_H

#include "tools/cli/report.h"
#include <limits.h>

enum {
    PKI_CA_DAYS = 3650,
    PKI_NODE_DAYS = 90,
    PKI_DAYS_MAX = 36500,
    PKI_NAME_MAX = 63, /* bytes of a node's name */
};

/* A directory with an authority, opened and locked. */
struct pki {
    char dir[PATH_MAX]; /* absolute */
    int lock_fd;
};

/* pki_open - CLI_DONE, or an exit code after it was said; pki_close(). */
int pki_open(struct pki *pki, const char *dir);
void pki_close(struct pki *pki);

/* pki_name_is_good - letters, digits, - _ and . inside: what a DNS name in a certificate may be. */
int pki_name_is_good(const char *name);

/*
 * A directory that is being made beside the place where it will be.  Removed with all in it by pki_new_drop(), unless
 * pki_new_keep() gave it its name.
 */
struct pki_new {
    char path[PATH_MAX];  /* where it is made */
    char final[PATH_MAX]; /* where it will be */
};
int pki_new_make(struct pki_new *made, const char *final);
/* is_renewal: what is there goes, at the same moment; else it must not be there, or be empty. */
int pki_new_keep(struct pki_new *made, int is_renewal);
void pki_new_drop(struct pki_new *made);

/* pki_write - a file of this text; mode as it says.  pki_copy - of the same bytes.  CLI_DONE, or it was said. */
int pki_write(const char *dir, const char *name, const char *text, unsigned mode);
int pki_copy(const char *from_dir, const char *to_dir, const char *name);

/*
 * pki_openssl - runs `openssl` with these words (NULL ends them) in dir, nothing inherited but PATH.
 *
 * Output    goes to ours when is_shown, else nowhere; what it complains of is said when it fails.
 * Returns   CLI_DONE; CLI_RESOURCE it is not installed; CLI_FAILED.
 */
int pki_openssl(const char *dir, int is_shown, const char *const words[]);

/* pki_period - when something that begins now begins and ends, as `openssl ca` reads it: an hour ago, for other clocks. */
struct pki_period {
    char start[20], end[20];
};
int pki_period(struct pki_period *out, uint64_t days);

/* pki_crl - writes crl.pem anew. */
int pki_crl(const char *dir);

/*
 * The records as they are now, to be put back if what follows comes to nothing: what was signed meanwhile is forgotten.
 * pki_records_keep: NULL after it was said; free().
 */
char *pki_records_keep(const char *dir);
void pki_records_restore(const char *dir, const char *kept);

/*
 * pki_each - the lines of index.txt.
 *
 * each      state is V (good), R (revoked) or E; until "YYMMDDHHMMSSZ" or with a year of four digits; stops when it is not CLI_DONE.
 */
struct pki_line {
    char state;
    const char *until;
    const char *serial;
    const char *node;
};
int pki_each(const char *dir, int (*each)(const struct pki_line *line, void *user), void *user);

#endif
