/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/pki_openssl.c - the program `openssl`, without a shell: words go to it as they are.
 *
 * Why the program and not its library: two verbs that people run once a month are no reason for every busbar to load it.
 */
#include "tools/cli/pki.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORDS_MAX = 40, COMPLAINT_BYTES = 4096 };

/* start - 0 or an errno; what it complains of goes to complaint_fd. */
static int
start(pid_t *pid, const char *dir, int is_shown, int complaint_fd, char *const argv[])
{
    char path[PATH_MAX];
    char locale[] = "LC_ALL=C";
    const char *from = getenv("PATH"); /* NOLINT(concurrency-mt-unsafe): one thread */
    (void)snprintf(path, sizeof(path), "PATH=%s", from != NULL ? from : "/usr/bin:/bin");
    char *const environment[] = {path, locale, NULL};
    posix_spawn_file_actions_t actions;
    int rc = posix_spawn_file_actions_init(&actions);
    if (rc != 0) {
        return rc;
    }
    rc = posix_spawn_file_actions_addchdir_np(&actions, dir);
    if (rc == 0) {
        rc = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    }
    if (rc == 0 && !is_shown) {
        rc = posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    }
    if (rc == 0) {
        rc = posix_spawn_file_actions_adddup2(&actions, complaint_fd, STDERR_FILENO);
    }
    if (rc == 0) {
        rc = posix_spawnp(pid, argv[0], &actions, NULL, argv, environment);
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    return rc;
}

/* say_complaint - the line that says most: the last one that is not empty. */
static void
say_complaint(FILE *complaint, const char *verb)
{
    char text[COMPLAINT_BYTES];
    rewind(complaint);
    size_t bytes = fread(text, 1, sizeof(text) - 1, complaint);
    while (bytes > 0 && (text[bytes - 1] == '\n' || text[bytes - 1] == ' ')) {
        bytes--;
    }
    text[bytes] = '\0';
    const char *last = strrchr(text, '\n');
    cli_say("`openssl %s` failed: %s", verb, last != NULL ? last + 1 : text);
}

static int
wait_for(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            return -1;
        }
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int
pki_openssl(const char *dir, int is_shown, const char *const words[])
{
    static char program[] = "openssl";
    char *argv[WORDS_MAX] = {program};
    pid_t pid = 0;
    size_t count = 1;
    for (; words[count - 1] != NULL && count < WORDS_MAX - 1; count++) {
        union {
            const char *text;
            char *arg; /* posix_spawn() changes nothing of it */
        } word = {.text = words[count - 1]};
        argv[count] = word.arg;
    }
    FILE *complaint = tmpfile();
    if (complaint == NULL) {
        cli_say("no temporary file for what openssl says: %s", strerrordesc_np(errno));
        return CLI_RESOURCE;
    }
    (void)fflush(stdout); /* what it prints comes behind what we did */
    int rc = start(&pid, dir, is_shown, fileno(complaint), argv);
    int code = CLI_DONE;
    if (rc == ENOENT) {
        cli_say("the program openssl is not installed, and `busbar pki` works with it: install it "
                "(Debian: apt-get install openssl)");
        code = CLI_RESOURCE;
    } else if (rc != 0) {
        cli_say("cannot start openssl: %s", strerrordesc_np(rc));
        code = CLI_FAILED;
    } else if (wait_for(pid) != 0) {
        say_complaint(complaint, words[0]);
        code = CLI_FAILED;
    }
    (void)fclose(complaint);
    return code;
}
