/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/daemon/main.c - `busbard`: flags and file become options, signals become requests to the loop.
 *
 *   SIGTERM, SIGINT   the links are told, what is queued is sent for a second at most, exit 0; a second SIGINT kills
 *   SIGHUP            file, keys and rights are read again; when one is bad, all stays as it is
 *   SIGALRM           our own: the watchdog is fed from the loop, so that it shows a loop that turns
 */
#include "tools/daemon/config.h"
#include "tools/daemon/exit.h"
#include "tools/daemon/notify.h"
#include "tools/daemon/options.h"
#include "tools/daemon/plan.h"
#include "tools/daemon/say.h"
#include "tools/daemon/words.h"
#include <busbar/inspect.h>
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/time.h>

/* What runs, and what a reload compares and exchanges. */
struct bridge {
    const struct daemon_options *options;
    struct daemon_settings settings;
    struct daemon_opts made; /* of settings */
    struct bb_error error;
    struct daemon_notify notify;
    struct bbi_daemon *daemon;
    const char *security;
};

/* Signal handlers reach the loop through these. */
static struct bbi_daemon *volatile running;
static volatile sig_atomic_t reload_wanted;
static volatile sig_atomic_t watchdog_due;
static volatile sig_atomic_t stop_wanted;

static void
on_signal(int number)
{
    int kept = errno;
    struct bbi_daemon *daemon = running;
    if (number == SIGHUP) {
        reload_wanted = 1;
    } else if (number == SIGALRM) {
        watchdog_due = 1;
    } else {
        stop_wanted = 1;
    }
    if (daemon != NULL && stop_wanted) {
        bbi_daemon_stop(daemon);
    } else if (daemon != NULL) {
        bbi_daemon_wake(daemon);
    }
    errno = kept;
}

static void
catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGHUP, &action, NULL);
    (void)sigaction(SIGALRM, &action, NULL);
    action.sa_flags = (int)SA_RESETHAND; /* the second one kills */
    (void)sigaction(SIGINT, &action, NULL);
    action = (struct sigaction){.sa_handler = SIG_IGN};
    (void)sigaction(SIGPIPE, &action, NULL);
}

/* feed_watchdog - twice in each of its intervals. */
static void
start_watchdog(const struct daemon_notify *notify)
{
    uint64_t half_us = notify->watchdog_us / 2;
    if (half_us == 0) {
        return;
    }
    struct timeval each = {.tv_sec = (time_t)(half_us / 1000000),
                           .tv_usec = (suseconds_t)(half_us % 1000000)};
    struct itimerval timer = {.it_interval = each, .it_value = each};
    if (setitimer(ITIMER_REAL, &timer, NULL) != 0) {
        daemon_say("warning", "no timer for the watchdog: %s", strerrordesc_np(errno));
    }
}

/* ---- what the library tells ---- */

static void
on_log(void *user, const char *level, const char *line)
{
    (void)user;
    daemon_say(level, "%s", line);
}

static void
on_listening(void *user, const char *host, uint16_t port)
{
    char text[DAEMON_PLACE_BYTES];
    (void)user;
    printf("listening on %s\n", daemon_place_text(host, port, text));
    (void)fflush(stdout); /* whoever started us waits for this line */
}

/* dialed_count - a peer may also be there for what it gets when it comes to us. */
static size_t
dialed_count(const struct bbi_daemon_opts *opts)
{
    size_t count = 0;
    for (size_t i = 0; i < opts->peer_count; i++) {
        count += opts->peers[i].host != NULL;
    }
    return count;
}

static void
tell_ready(const struct bridge *b)
{
    size_t peers = dialed_count(&b->made.opts);
    daemon_notify(&b->notify, "READY=1\nSTATUS=%zu listener%s, %zu peer%s, %s",
                  b->made.opts.listen_count, b->made.opts.listen_count == 1 ? "" : "s", peers,
                  peers == 1 ? "" : "s", b->security);
}

static void
on_ready(void *user)
{
    tell_ready(user);
}

/* ---- settings ---- */

static void
settings_free(struct daemon_settings *settings, struct daemon_opts *made)
{
    daemon_opts_free(made);
    daemon_settings_fini(settings);
}

/* read_settings - flags over file.  0, or -1 with what is wrong. */
static int
read_settings(const struct daemon_options *options,
              struct daemon_settings *out,
              struct daemon_wrong *wrong)
{
    struct daemon_settings file;
    int rc = 0;
    daemon_settings_init(&file);
    if (options->config != NULL) {
        rc = daemon_config_read(&file, options->config, wrong);
    }
    if (rc == 0 && daemon_settings_merge(out, &file, &options->settings) != 0) {
        rc = daemon_wrong_set(wrong, "no memory");
    }
    daemon_settings_fini(&file);
    if (rc == 0 && (rc = daemon_settings_check(out, wrong)) != 0) {
        daemon_settings_fini(out);
    }
    return rc;
}

/* load - settings and options of them, for the library.  0, or an exit code
 * after it was said. */
static int
load(struct bridge *b, struct daemon_settings *settings, struct daemon_opts *made)
{
    struct daemon_wrong wrong;
    if (read_settings(b->options, settings, &wrong) != 0) {
        daemon_say("error", "%s", wrong.text);
        return DAEMON_USAGE;
    }
    if (daemon_opts_make(made, settings) != 0) {
        daemon_settings_fini(settings);
        daemon_say("error", "no memory");
        return DAEMON_RESOURCE;
    }
    made->opts.error = &b->error;
    made->opts.log = on_log;
    made->opts.listening = on_listening;
    made->opts.ready = on_ready;
    made->opts.user = b;
    return DAEMON_DONE;
}

/* say_fault - what the library says, else the status; returns the exit code. */
static int
say_fault(const struct bridge *b, int status)
{
    daemon_say("error", "%s",
               b->error.sentence[0] != '\0' ? b->error.sentence : bb_strerror(status));
    return daemon_exit_code(status);
}

/* ---- reload ---- */

static void
reload(struct bridge *b)
{
    struct daemon_settings settings;
    struct daemon_opts made;
    bool is_good = false;
    daemon_notify_reloading(&b->notify);
    b->error.sentence[0] = '\0';
    if (load(b, &settings, &made) == DAEMON_DONE) {
        int rc = bbi_daemon_reload(b->daemon, &made.opts);
        is_good = rc == 0;
        if (is_good) {
            settings_free(&b->settings, &b->made);
            b->settings = settings;
            b->made = made;
        } else {
            (void)say_fault(b, rc);
            settings_free(&settings, &made);
        }
    }
    daemon_say(is_good ? "notice" : "error", "%s",
               is_good ? "the configuration was read again"
                       : "the new configuration is not taken: all stays as it was");
    tell_ready(b);
}

/* on_wake - between two turns of the loop. */
static void
on_wake(void *user)
{
    struct bridge *b = user;
    if (watchdog_due) {
        watchdog_due = 0;
        daemon_notify(&b->notify, "WATCHDOG=1");
    }
    if (reload_wanted) {
        reload_wanted = 0;
        reload(b);
    }
}

/* ---- start ---- */

static void
say_security(const struct bridge *b, const struct bbi_daemon_plan *plan)
{
    if (b->made.opts.is_insecure) {
        daemon_say("warning", "--insecure: links are neither encrypted nor "
                              "authenticated; whoever reaches "
                              "this port may read and publish");
    } else if (plan->key_path[0] != '\0') {
        daemon_say("notice",
                   "neither --cert nor --psk: links take the key %s%s, so they are "
                   "for this user's own "
                   "boxes",
                   plan->key_path, plan->is_key_to_make ? ", still to be made" : "");
    }
}

static int
run(struct bridge *b)
{
    int rc = bbi_daemon_open(&b->daemon, &b->made.opts);
    if (rc != 0) {
        return say_fault(b, rc);
    }
    bbi_daemon_set_wake(b->daemon, on_wake, b);
    running = b->daemon;
    if (stop_wanted || reload_wanted) {
        on_signal(stop_wanted ? SIGTERM : SIGHUP); /* it came before there was somebody to tell */
    }
    start_watchdog(&b->notify);
    rc = bbi_daemon_run(b->daemon);
    running = NULL;
    daemon_notify(&b->notify, "STOPPING=1");
    bbi_daemon_close(b->daemon);
    return rc != 0 ? say_fault(b, rc) : DAEMON_DONE;
}

static int
start(struct bridge *b)
{
    struct bbi_daemon_plan plan;
    int rc = bbi_daemon_check(&plan, &b->made.opts);
    if (rc != 0) {
        return say_fault(b, rc);
    }
    if (b->options->is_check) {
        daemon_plan_print(stdout, &b->made, &plan);
        return DAEMON_DONE;
    }
    b->security = plan.security;
    rc = daemon_notify_open(&b->notify);
    if (rc != 0) {
        daemon_say("error", "the service manager's $NOTIFY_SOCKET cannot be reached: %s",
                   strerrordesc_np(-rc));
        return DAEMON_FAILED;
    }
    say_security(b, &plan);
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); /* it starts no programs, least of all such */
    catch_signals();
    rc = run(b);
    daemon_notify_close(&b->notify);
    return rc;
}

static int
serve(const struct daemon_options *options)
{
    struct bridge b = {.options = options, .notify = {.fd = -1}};
    int rc = load(&b, &b.settings, &b.made);
    if (rc != DAEMON_DONE) {
        return rc;
    }
    if (b.made.opts.listen_count == 0 && dialed_count(&b.made.opts) == 0) {
        daemon_say("notice", "neither --listen nor --peer: links come by `busbar bridge add`");
    }
    rc = start(&b);
    settings_free(&b.settings, &b.made);
    return rc;
}

/*
 * Queues of links grow and shrink by megabytes many times a second: given back to the kernel each time, their pages are made
 * anew each time.  So much is kept.
 */
static void
keep_memory(void)
{
    enum { KEEP_BYTES = 16 << 20, MAP_BYTES = 4 << 20 };
    (void)mallopt(M_TRIM_THRESHOLD, KEEP_BYTES); /* NOLINT(concurrency-mt-unsafe): one thread */
    (void)mallopt(M_MMAP_THRESHOLD, MAP_BYTES);  /* NOLINT(concurrency-mt-unsafe): one thread */
}

int
main(int argc, char **argv)
{
    struct daemon_options options;
    struct daemon_wrong wrong;
    int code = DAEMON_DONE;
    keep_memory();
    if (daemon_options_read(&options, argc, argv, &wrong) != 0) {
        daemon_say("error", "%s; `busbard --help` lists what there is", wrong.text);
        daemon_settings_fini(&options.settings);
        return DAEMON_USAGE;
    }
    daemon_say_start(options.verbosity);
    if (options.is_help) {
        daemon_options_help(stdout);
    } else if (options.is_version) {
        printf("busbard %s\n", bb_version());
    } else if (options.is_probe) {
        daemon_probe_print(stdout);
    } else {
        code = serve(&options);
    }
    daemon_settings_fini(&options.settings);
    return fflush(stdout) == 0 ? code : DAEMON_FAILED;
}
