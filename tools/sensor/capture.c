/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A capture has one reader open at a time: libpcap's handle, and for a compressed file the gzip process
 * that feeds it.
 */
#include "tools/sensor/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <pcap/pcap.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    LIVE_SNAP_BYTES = 512, /* headers are all that is looked at */
    LIVE_RETIRE_MS = 100,  /* the kernel hands over a block that is not full after this time */
    LIVE_BUFFER_BYTES = 16 << 20,
};

extern char **environ;

struct sensor_capture {
    const struct sensor_source *source;
    size_t file_idx; /* the file that is open, or the next one */
    pcap_t *pcap;    /* NULL between files */
    pid_t gzip_pid;  /* 0: none */
    enum sensor_link link;
};

/* ---- compressed files -------------------------------------------------------------------------- */

/* 1 if the file begins like one of gzip's, 0 if not; the offset stays at the start. */
static int
is_gzip(int fd)
{
    unsigned char magic[2];

    return pread(fd, magic, sizeof(magic), 0) == (ssize_t)sizeof(magic) && magic[0] == 0x1f
           && magic[1] == 0x8b;
}

/* In the child: the file as standard input, the pipe as standard output, signals as after a login. */
static int
spawn_gzip(pid_t *pid, int in_fd, int out_fd)
{
    char name[] = "gzip";
    char flags[] = "-dc";
    char *const argv[] = {name, flags, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none;
    sigset_t all;
    int err;

    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    if (posix_spawn_file_actions_init(&actions) != 0) {
        return ENOMEM;
    }
    if (posix_spawnattr_init(&attr) != 0) {
        (void)posix_spawn_file_actions_destroy(&actions);
        return ENOMEM;
    }
    (void)posix_spawnattr_setsigmask(&attr, &none);
    (void)posix_spawnattr_setsigdefault(&attr, &all);
    (void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    err = posix_spawn_file_actions_adddup2(&actions, in_fd, STDIN_FILENO);
    if (err == 0) {
        err = posix_spawn_file_actions_adddup2(&actions, out_fd, STDOUT_FILENO);
    }
    if (err == 0) { /* we say what is wrong with the file, once */
        err = posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    }
    if (err == 0) {
        err = posix_spawnp(pid, name, &actions, &attr, argv, environ);
    }
    (void)posix_spawnattr_destroy(&attr);
    (void)posix_spawn_file_actions_destroy(&actions);
    return err;
}

/* Puts `gzip -dc` between the file and us; *fd becomes the pipe's end.  0 or an errno. */
static int
decompress(int *fd, pid_t *pid)
{
    int ends[2];
    int err;

    if (pipe2(ends, O_CLOEXEC) != 0) {
        return errno;
    }
    err = spawn_gzip(pid, *fd, ends[1]);
    (void)close(ends[1]);
    if (err != 0) {
        (void)close(ends[0]);
        return err;
    }
    (void)close(*fd);
    *fd = ends[0];
    return 0;
}

/* Waits for gzip; whether it was content.  Warnings (2, such as bytes after the end) are. */
static bool
reap_gzip(struct sensor_capture *cap)
{
    int status = 0;
    pid_t pid = cap->gzip_pid;

    if (pid == 0) {
        return true;
    }
    cap->gzip_pid = 0;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            return false;
        }
    }
    return WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 2);
}

/* ---- opening ----------------------------------------------------------------------------------- */

static int
set_link(struct sensor_capture *cap, const char *what, struct sensor_fail *fail)
{
    int dlt = pcap_datalink(cap->pcap);
    const char *name = pcap_datalink_val_to_name(dlt);

    switch (dlt) {
    case DLT_EN10MB:
        cap->link = SENSOR_LINK_ETHERNET;
        return 0;
    case DLT_NULL:
    case DLT_LOOP:
        cap->link = SENSOR_LINK_LOOPBACK;
        return 0;
    case DLT_RAW:
    case DLT_IPV4:
    case DLT_IPV6:
        cap->link = SENSOR_LINK_RAW;
        return 0;
    case DLT_LINUX_SLL:
        cap->link = SENSOR_LINK_SLL;
        return 0;
    case DLT_LINUX_SLL2:
        cap->link = SENSOR_LINK_SLL2;
        return 0;
    default:
        return sensor_fail(fail, SENSOR_EXIT_OTHER,
                           "%s has link type %s (%d), which is not understood: Ethernet, loopback, "
                           "raw IP and Linux cooked are",
                           what, name != NULL ? name : "unknown", dlt);
    }
}

static int
fail_errno(struct sensor_fail *fail, const char *path, int err)
{
    const char *advice = "";
    int code = SENSOR_EXIT_OTHER;

    if (err == EACCES || err == EPERM) {
        code = SENSOR_EXIT_PERMISSION;
        advice = "; read permission is needed";
    } else if (err == ENOENT || err == ENOTDIR) {
        advice = "; check the path";
    } else if (err == EMFILE || err == ENFILE || err == ENOMEM) {
        code = SENSOR_EXIT_RESOURCE;
    }
    return sensor_fail(fail, code, "cannot open %s: %s%s", path, strerrordesc_np(err), advice);
}

/* A descriptor of the plain capture, from gzip if need be. */
static int
open_bytes(struct sensor_capture *cap, const char *path, struct sensor_fail *fail)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not make us wait */
    int err;

    if (fd < 0) {
        return fail_errno(fail, path, errno);
    }
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        (void)close(fd);
        return sensor_fail(
            fail, SENSOR_EXIT_OTHER,
            "%s is not a regular file: every worker reads the capture from its start, "
            "so write it to a file first",
            path);
    }
    if (is_gzip(fd)) {
        err = decompress(&fd, &cap->gzip_pid);
        if (err != 0) {
            (void)close(fd);
            return sensor_fail(fail, SENSOR_EXIT_OTHER,
                               "cannot run gzip for %s: %s; install gzip or decompress the file",
                               path, strerrordesc_np(err));
        }
    }
    return fd;
}

static int
open_file(struct sensor_capture *cap, const char *path, struct sensor_fail *fail)
{
    char why[PCAP_ERRBUF_SIZE];
    int fd = open_bytes(cap, path, fail);
    FILE *stream;

    if (fd < 0) {
        return -1;
    }
    stream = fdopen(fd, "rb");
    if (stream == NULL) {
        (void)close(fd);
        return fail_errno(fail, path, ENOMEM);
    }
    cap->pcap = pcap_fopen_offline_with_tstamp_precision(stream, PCAP_TSTAMP_PRECISION_NANO, why);
    if (cap->pcap == NULL) {
        (void)fclose(stream);
        return sensor_fail(
            fail, SENSOR_EXIT_OTHER,
            "%s is not a capture that can be read (pcap or pcapng, perhaps with gzip): %s", path,
            why);
    }
    return set_link(cap, path, fail);
}

static int
fail_live(struct sensor_fail *fail, const char *name, int rc, const char *why)
{
    if (rc == PCAP_ERROR_PERM_DENIED) {
        return sensor_fail(fail, SENSOR_EXIT_PERMISSION,
                           "no permission to capture on %s: run as root or with CAP_NET_RAW "
                           "(setcap cap_net_raw+ep busbar-sensor)",
                           name);
    }
    if (rc == PCAP_ERROR_NO_SUCH_DEVICE) {
        return sensor_fail(fail, SENSOR_EXIT_OTHER,
                           "there is no interface %s; `ip link` lists them", name);
    }
    if (rc == PCAP_ERROR_IFACE_NOT_UP) {
        return sensor_fail(fail, SENSOR_EXIT_OTHER,
                           "interface %s is down; `ip link set %s up` helps", name, name);
    }
    return sensor_fail(fail, SENSOR_EXIT_OTHER, "cannot capture on %s: %s", name,
                       why[0] != '\0' ? why : pcap_statustostr(rc));
}

static int
open_live(struct sensor_capture *cap, const char *name, struct sensor_fail *fail)
{
    char why[PCAP_ERRBUF_SIZE] = "";
    int rc;

    cap->pcap = pcap_create(name, why);
    if (cap->pcap == NULL) {
        return fail_live(fail, name, PCAP_ERROR, why);
    }
    (void)pcap_set_snaplen(cap->pcap, LIVE_SNAP_BYTES);
    (void)pcap_set_promisc(cap->pcap, 1);
    (void)pcap_set_timeout(cap->pcap, LIVE_RETIRE_MS);
    (void)pcap_set_buffer_size(cap->pcap, LIVE_BUFFER_BYTES);
    (void)pcap_set_tstamp_precision(cap->pcap, PCAP_TSTAMP_PRECISION_NANO);
    rc = pcap_activate(cap->pcap);
    if (rc < 0) {
        return fail_live(fail, name, rc, pcap_geterr(cap->pcap));
    }
    if (pcap_setnonblock(cap->pcap, 1, why) != 0) {
        return fail_live(fail, name, PCAP_ERROR, why);
    }
    return set_link(cap, name, fail);
}

/* Closes what is open; whether gzip, if there was one, was content. */
static bool
close_reader(struct sensor_capture *cap)
{
    if (cap->pcap != NULL) {
        pcap_close(cap->pcap); /* and the stream: gzip ends by SIGPIPE if it had more to say */
        cap->pcap = NULL;
    }
    return reap_gzip(cap);
}

static int
open_next(struct sensor_capture *cap, struct sensor_fail *fail)
{
    if (cap->source->live != NULL) {
        return open_live(cap, cap->source->live, fail);
    }
    return open_file(cap, cap->source->files[cap->file_idx], fail);
}

int
sensor_capture_open(struct sensor_capture **out,
                    const struct sensor_source *source,
                    struct sensor_fail *fail)
{
    struct sensor_capture *cap = calloc(1, sizeof(*cap));

    if (cap == NULL) {
        return sensor_fail(fail, SENSOR_EXIT_RESOURCE, "out of memory");
    }
    cap->source = source;
    if (open_next(cap, fail) != 0) {
        sensor_capture_close(cap);
        return -1;
    }
    *out = cap;
    return 0;
}

void
sensor_capture_close(struct sensor_capture *cap)
{
    if (cap == NULL) {
        return;
    }
    (void)close_reader(cap);
    free(cap);
}

int
sensor_capture_check(const struct sensor_source *source, struct sensor_fail *fail)
{
    struct sensor_capture cap = {.source = source};
    int rc = 0;

    do {
        rc = open_next(&cap, fail);
        (void)close_reader(&cap);
        cap.file_idx++;
    } while (rc == 0 && source->live == NULL && cap.file_idx < source->file_count);
    return rc;
}

/* ---- reading ----------------------------------------------------------------------------------- */

static enum sensor_next
fail_reading(struct sensor_capture *cap, struct sensor_fail *fail)
{
    if (cap->source->live != NULL) {
        (void)sensor_fail(fail, SENSOR_EXIT_OTHER, "capturing on %s ended: %s", cap->source->live,
                          pcap_geterr(cap->pcap));
    } else {
        (void)sensor_fail(fail, SENSOR_EXIT_OTHER,
                          "%s is damaged or cut short, what follows is not read: %s",
                          cap->source->files[cap->file_idx], pcap_geterr(cap->pcap));
    }
    return SENSOR_NEXT_FAILED;
}

/* At the end of a file: the next one, the end, or the news that gzip found it damaged. */
static enum sensor_next
end_file(struct sensor_capture *cap, struct sensor_fail *fail)
{
    const char *path = cap->source->files[cap->file_idx];

    if (!close_reader(cap)) {
        (void)sensor_fail(fail, SENSOR_EXIT_OTHER,
                          "%s is damaged or cut short (gzip), what follows is not read", path);
        return SENSOR_NEXT_FAILED;
    }
    cap->file_idx++;
    if (cap->file_idx == cap->source->file_count) {
        return SENSOR_NEXT_END;
    }
    return open_next(cap, fail) == 0 ? SENSOR_NEXT_FRAME : SENSOR_NEXT_FAILED;
}

/* A file may claim any time; one beyond what 64 bits of nanoseconds hold becomes the last that they hold. */
static int64_t
wall_ns_of(const struct pcap_pkthdr *header)
{
    int64_t wall_ns;
    /* With nanosecond precision the "microseconds" are nanoseconds. */
    if (__builtin_mul_overflow((int64_t)header->ts.tv_sec, INT64_C(1000000000), &wall_ns)
        || __builtin_add_overflow(wall_ns, (int64_t)header->ts.tv_usec, &wall_ns)) {
        return header->ts.tv_sec < 0 ? INT64_MIN : INT64_MAX;
    }
    return wall_ns;
}

enum sensor_next
sensor_capture_next(struct sensor_capture *cap, struct sensor_frame *out, struct sensor_fail *fail)
{
    struct pcap_pkthdr *header;
    const u_char *data;
    enum sensor_next next;
    int rc;

    if (cap->pcap == NULL) {
        return SENSOR_NEXT_END;
    }
    while ((rc = pcap_next_ex(cap->pcap, &header, &data)) == PCAP_ERROR_BREAK) {
        next = end_file(cap, fail);
        if (next != SENSOR_NEXT_FRAME) {
            return next;
        }
    }
    if (rc == 0) {
        return SENSOR_NEXT_IDLE;
    }
    if (rc < 0) {
        return fail_reading(cap, fail);
    }
    out->data = data;
    out->bytes = header->caplen;
    out->wall_ns = wall_ns_of(header);
    out->link = cap->link;
    return SENSOR_NEXT_FRAME;
}

void
sensor_capture_wait(struct sensor_capture *cap, int timeout_ms)
{
    int fd = cap->pcap != NULL ? pcap_get_selectable_fd(cap->pcap) : -1;
    struct pollfd pfd = {.fd = fd, .events = POLLIN};

    (void)poll(&pfd, 1, timeout_ms); /* a negative fd is ignored: then it only waits */
}

uint64_t
sensor_capture_dropped(struct sensor_capture *cap)
{
    struct pcap_stat st;

    if (cap->source->live == NULL || cap->pcap == NULL || pcap_stats(cap->pcap, &st) != 0) {
        return 0;
    }
    return (uint64_t)st.ps_drop + st.ps_ifdrop;
}
