/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/output.c - remembers the first failed write; the signal handler only sets a flag.
 */
#include "tools/cli/output.h"

#include "tools/cli/report.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t stopped; /* written by the handler */
static int write_errno;               /* of the first write that failed */

static void
on_signal(int number)
{
    (void)number;
    stopped = 1;
}

/*
 * A standard stream that is closed would be the number of the next file that is opened: one of the bus.  What
 * takes its place cannot be read (0) or written (1, 2), so that using it fails as it did.
 */
static void
fill_closed_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0
            && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0) {
            return;
        }
    }
}

void
cli_output_start(void)
{
    static char buffer[1 << 16];
    fill_closed_streams();
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, NULL);
    setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
}

void
cli_signals_catch(void)
{
    /* No SA_RESTART: a read of standard input ends.  SA_RESETHAND: the second one kills. */
    struct sigaction stop = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGHUP, &stop, NULL);
}

int
cli_stopped(void)
{
    return stopped != 0;
}

int
cli_output_is_gone(void)
{
    struct pollfd out = {.fd = STDOUT_FILENO};
    return poll(&out, 1, 0) == 1 && (out.revents & (POLLERR | POLLHUP)) != 0;
}

int
cli_output_flush(void)
{
    if (write_errno == 0) {
        errno = 0;
        /* The reader of the pipe is slow: the first signal lets out what is there, the second ends it. */
        if (fflush(stdout) != 0 && errno == EINTR) {
            clearerr(stdout);
            errno = 0;
            (void)fflush(stdout);
        }
        if (errno != 0 || ferror(stdout)) {
            write_errno = errno != 0 ? errno : cli_output_is_gone() ? EPIPE : EIO;
        }
    }
    return write_errno != 0;
}

int
cli_output_finish(int code)
{
    if (cli_output_flush() == 0 || write_errno == EPIPE) {
        return code;
    }
    cli_say("cannot write to standard output: %s", strerrordesc_np(write_errno));
    return CLI_FAILED;
}
