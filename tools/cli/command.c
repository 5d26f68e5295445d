/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/command.c - the command is a process group of its own, so that all of it can be killed.
 *
 * Both pipes are served in turns: a command may print before it has read everything, or never read.
 */
#include "tools/cli/command.h"

#include "tools/cli/clock.h"
#include "tools/cli/output.h"
#include <busbar/status.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

enum { READ_BYTES = 64 << 10, SLICE_MS = 100 };
static const int64_t END_LOOK_NS = 1000000; /* between two looks whether it has ended */

extern char **environ;

struct running {
    const struct cli_command *command;
    struct cli_buffer *out;
    pid_t pid;
    int to_fd, from_fd; /* -1 when closed */
    size_t written;
};

static void
close_fd(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
        *fd = -1;
    }
}

/* spawn - with these as standard input and output.  0 or -errno. */
static int
spawn(struct running *r, int in_fd, int out_fd)
{
    char shell[] = "/bin/sh", flag[] = "-c";
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t defaults;
    union {
        const char *text;
        char *arg; /* posix_spawn() changes nothing of it */
    } text = {.text = r->command->text};
    char *const argv[] = {shell, flag, text.arg, NULL};

    (void)sigemptyset(&defaults);
    (void)sigaddset(&defaults, SIGPIPE);
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawnattr_init(&attr);
    (void)posix_spawn_file_actions_adddup2(&actions, in_fd, STDIN_FILENO);
    (void)posix_spawn_file_actions_adddup2(&actions, out_fd, STDOUT_FILENO);
    (void)posix_spawnattr_setsigdefault(&attr, &defaults);
    (void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    int rc = posix_spawn(&r->pid, shell, &actions, &attr, argv, environ);
    (void)posix_spawnattr_destroy(&attr);
    (void)posix_spawn_file_actions_destroy(&actions);
    return -rc;
}

static int
start(struct running *r)
{
    int in[2], out[2];
    if (pipe2(in, O_CLOEXEC) < 0) {
        return -errno;
    }
    if (pipe2(out, O_CLOEXEC) < 0) {
        int rc = -errno;
        (void)close(in[0]);
        (void)close(in[1]);
        return rc;
    }
    int rc = spawn(r, in[0], out[1]);
    (void)close(in[0]);
    (void)close(out[1]);
    r->to_fd = in[1];
    r->from_fd = out[0];
    (void)fcntl(r->to_fd, F_SETFL, O_NONBLOCK);
    return rc;
}

static int
read_some(struct running *r)
{
    char *room = cli_buffer_room(r->out, READ_BYTES);
    if (room == NULL) {
        return r->out->err;
    }
    ssize_t n = read(r->from_fd, room, READ_BYTES);
    if (n == 0) {
        close_fd(&r->from_fd);
    } else if (n < 0 && errno != EINTR) {
        return -errno;
    }
    r->out->bytes += n > 0 ? (size_t)n : 0;
    return r->out->bytes > r->command->max_bytes ? BB_EMSGSIZE : 0;
}

static void
write_some(struct running *r)
{
    const char *input = r->command->input;
    size_t left = r->command->input_bytes - r->written;
    ssize_t n = left > 0 ? write(r->to_fd, input + r->written, left) : 0;
    r->written += n > 0 ? (size_t)n : 0;
    if ((n < 0 && errno != EAGAIN && errno != EINTR) || r->written == r->command->input_bytes) {
        close_fd(&r->to_fd); /* a command that does not read all of it is free to */
    }
}

/* why_stop - 0 while the command may go on. */
static int
why_stop(const struct running *r)
{
    return cli_stopped()                                  ? BB_EAGAIN
           : cli_left_ns(r->command->deadline_ns, 1) == 0 ? BB_ETIMEDOUT
                                                          : 0;
}

/* serve - until it has closed its output. */
static int
serve(struct running *r)
{
    int rc = 0;
    while (rc == 0 && r->from_fd >= 0) {
        struct pollfd fds[2] = {{.fd = r->from_fd, .events = POLLIN},
                                {.fd = r->to_fd, .events = POLLOUT}};
        (void)poll(fds, 2, SLICE_MS);
        if (r->to_fd >= 0 && fds[1].revents != 0) {
            write_some(r);
        }
        if (fds[0].revents != 0) {
            rc = read_some(r);
        }
        rc = rc == 0 ? why_stop(r) : rc;
    }
    return rc;
}

/* await_end - its exit code; whatever is wrong, nothing of it is left. */
static int
await_end(struct running *r, int rc)
{
    int status = 0;
    pid_t got = 0;
    while (rc == 0 && (got = waitpid(r->pid, &status, WNOHANG)) == 0) {
        cli_sleep_until(cli_mono_ns() + END_LOOK_NS);
        rc = why_stop(r);
    }
    if (got == 0) {
        (void)kill(-r->pid, SIGKILL);
        while (waitpid(r->pid, &status, 0) < 0 && errno == EINTR) {
        }
    }
    if (rc < 0) {
        return rc;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int
cli_command_run(const struct cli_command *command, struct cli_buffer *out)
{
    struct running r = {.command = command, .out = out, .to_fd = -1, .from_fd = -1};
    out->bytes = 0;
    int rc = start(&r);
    if (rc == 0) {
        rc = await_end(&r, serve(&r));
    }
    close_fd(&r.to_fd);
    close_fd(&r.from_fd);
    return rc;
}
