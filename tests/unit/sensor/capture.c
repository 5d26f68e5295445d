/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: files of every form give their frames with the right time and link; what cannot be read is refused
 * with a sentence that names it, before and during reading; no process or descriptor is left.
 * Method: small files written byte by byte into a directory of their own.
 */
#include "tools/sensor/capture.h"

#include "tests/unit/sensor/frames.h"
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ETHERNET = 1, HEADER_BYTES = 24 };

static char dir[64];
static struct sensor_fail fail;

static int
open_descriptors(void)
{
    DIR *d = opendir("/proc/self/fd");
    int n = 0;

    cr_assert_not_null(d);
    while (readdir(d) != NULL) {
        n++;
    }
    (void)closedir(d);
    return n;
}

static int descriptors_before;

static void
setup(void)
{
    (void)snprintf(dir, sizeof(dir), "/tmp/sensor-capture-XXXXXX");
    cr_assert_not_null(mkdtemp(dir));
    cr_assert_eq(chdir(dir), 0);
    descriptors_before = open_descriptors();
}

static void
teardown(void)
{
    DIR *d = opendir(dir);
    struct dirent *e;

    cr_assert_eq(waitpid(-1, NULL, WNOHANG), -1, "a process is left");
    cr_assert_eq(errno, ECHILD);
    while ((e = readdir(d)) != NULL) {
        (void)unlinkat(dirfd(d), e->d_name, 0);
    }
    (void)closedir(d);
    (void)rmdir(dir);
    cr_assert_eq(open_descriptors(), descriptors_before, "a descriptor is left");
}

TestSuite(capture, .init = setup, .fini = teardown, .timeout = 60);

static void
write_file(const char *name, const struct frame *f)
{
    FILE *out = fopen(name, "wb");

    cr_assert_not_null(out);
    cr_assert_eq(fwrite(f->b, 1, f->n, out), f->n);
    cr_assert_eq(fclose(out), 0);
}

static void
put_header(struct frame *f, uint32_t magic, unsigned link)
{
    put32(f, magic);
    put16(f, 2);
    put16(f, 4);
    put_zeros(f, 8);
    put32(f, 65535);
    put32(f, link);
}

/* One record of 3 bytes, the first of them `mark`; big-endian as put32() is. */
static void
put_record(struct frame *f, uint32_t s, uint32_t fraction, unsigned mark)
{
    put32(f, s);
    put32(f, fraction);
    put32(f, 3);
    put32(f, 60);
    put8(f, mark);
    put16(f, 0xbeef);
}

static struct frame
small_pcap(uint32_t magic, unsigned link, unsigned mark)
{
    struct frame f = {.n = 0};

    put_header(&f, magic, link);
    put_record(&f, 10, 5, mark);
    put_record(&f, 11, 6, mark + 1);
    return f;
}

static void
compress_file(const char *name)
{
    pid_t pid = fork();
    int status = -1;

    if (pid == 0) {
        (void)execlp("gzip", "gzip", "-f", name, (char *)NULL);
        _exit(127);
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_eq(status, 0);
}

static struct sensor_source
files(const char *const *names, size_t count)
{
    struct sensor_source source = {names, count, NULL};

    return source;
}

/* Opens the files and asserts that their frames begin with 1, 2, ... count, and then end as said. */
static void
assert_frames(const char *const *names, size_t n, unsigned count, enum sensor_next last)
{
    struct sensor_source source = files(names, n);
    struct sensor_capture *cap = NULL;
    struct sensor_frame frame;

    fail.sentence[0] = '\0';
    cr_assert_eq(sensor_capture_open(&cap, &source, &fail), 0, "%s", fail.sentence);
    for (unsigned i = 1; i <= count; i++) {
        cr_assert_eq(sensor_capture_next(cap, &frame, &fail), SENSOR_NEXT_FRAME, "frame %u", i);
        cr_assert_eq(frame.bytes, 3);
        cr_assert_eq(frame.data[0], i);
    }
    cr_assert_eq(sensor_capture_next(cap, &frame, &fail), last);
    cr_assert_eq(sensor_capture_dropped(cap), 0);
    sensor_capture_close(cap);
}

Test(capture, microseconds_and_nanoseconds)
{
    static const uint32_t magics[] = {0xa1b2c3d4, 0xa1b23c4d};
    static const char *const name[] = {"a.pcap"};

    for (int i = 0; i < 2; i++) {
        struct frame f = small_pcap(magics[i], ETHERNET, 1);
        struct sensor_source source = files(name, 1);
        struct sensor_capture *cap = NULL;
        struct sensor_frame frame;

        write_file("a.pcap", &f);
        cr_assert_eq(sensor_capture_open(&cap, &source, &fail), 0);
        cr_assert_eq(sensor_capture_next(cap, &frame, &fail), SENSOR_NEXT_FRAME);
        cr_assert_eq(frame.wall_ns, i == 0 ? INT64_C(10000005000) : INT64_C(10000000005));
        cr_assert_eq(frame.link, SENSOR_LINK_ETHERNET);
        sensor_capture_close(cap);
    }
}

Test(capture, links)
{
    static const struct {
        unsigned number; /* in the file */
        enum sensor_link link;
    } links[] = {{0, SENSOR_LINK_LOOPBACK},   {1, SENSOR_LINK_ETHERNET}, {101, SENSOR_LINK_RAW},
                 {108, SENSOR_LINK_LOOPBACK}, {113, SENSOR_LINK_SLL},    {228, SENSOR_LINK_RAW},
                 {229, SENSOR_LINK_RAW},      {276, SENSOR_LINK_SLL2}};
    static const char *const name[] = {"a.pcap"};

    for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
        struct frame f = small_pcap(0xa1b2c3d4, links[i].number, 1);
        struct sensor_source source = files(name, 1);
        struct sensor_capture *cap = NULL;
        struct sensor_frame frame;

        write_file("a.pcap", &f);
        cr_assert_eq(sensor_capture_open(&cap, &source, &fail), 0);
        cr_assert_eq(sensor_capture_next(cap, &frame, &fail), SENSOR_NEXT_FRAME);
        cr_assert_eq(frame.link, links[i].link, "link type %u", links[i].number);
        sensor_capture_close(cap);
    }
}

Test(capture, pcapng)
{
    static const char *const name[] = {"a.pcapng"};
    struct frame f = {.n = 0};

    put32(&f, 0x0a0d0d0a); /* section */
    put32(&f, 28);
    put32(&f, 0x1a2b3c4d);
    put16(&f, 1);
    put16(&f, 0);
    put32(&f, 0xffffffff);
    put32(&f, 0xffffffff);
    put32(&f, 28);
    put32(&f, 1); /* interface */
    put32(&f, 20);
    put16(&f, ETHERNET);
    put16(&f, 0);
    put32(&f, 0);
    put32(&f, 20);
    for (unsigned mark = 1; mark <= 2; mark++) {
        put32(&f, 6); /* packet */
        put32(&f, 36);
        put_zeros(&f, 12);
        put32(&f, 3);
        put32(&f, 3);
        put8(&f, mark);
        put_zeros(&f, 3);
        put32(&f, 36);
    }
    write_file(name[0], &f);
    assert_frames(name, 1, 2, SENSOR_NEXT_END);
}

Test(capture, several_files_one_of_them_compressed)
{
    static const char *const names[] = {"a.pcap", "b.pcap.gz", "c.pcap"};
    struct frame a = small_pcap(0xa1b2c3d4, ETHERNET, 1);
    struct frame b = small_pcap(0xa1b2c3d4, ETHERNET, 3);
    struct frame c = small_pcap(0xa1b2c3d4, ETHERNET, 5);
    struct sensor_source source = files(names, 3);

    write_file("a.pcap", &a);
    write_file("b.pcap", &b);
    write_file("c.pcap", &c);
    compress_file("b.pcap");
    cr_assert_eq(sensor_capture_check(&source, &fail), 0);
    assert_frames(names, 3, 6, SENSOR_NEXT_END);
}

/* Closed in the middle: gzip has more to say than a pipe holds, and must not be left. */
Test(capture, compressed_and_closed_early)
{
    static const char *const name[] = {"big.gz"};
    struct sensor_source source = files(name, 1);
    struct frame f = small_pcap(0xa1b2c3d4, ETHERNET, 1);
    static const char zeros[1 << 16];
    FILE *out = fopen("big", "wb");
    struct sensor_capture *cap = NULL;
    struct sensor_frame frame;

    cr_assert_eq(fwrite(f.b, 1, f.n, out), f.n);
    for (int i = 0; i < 100; i++) {
        cr_assert_eq(fwrite(zeros, 1, sizeof(zeros), out), sizeof(zeros));
    }
    cr_assert_eq(fclose(out), 0);
    compress_file("big");
    cr_assert_eq(sensor_capture_open(&cap, &source, &fail), 0);
    cr_assert_eq(sensor_capture_next(cap, &frame, &fail), SENSOR_NEXT_FRAME);
    sensor_capture_close(cap);
    cr_assert_eq(sensor_capture_check(&source, &fail), 0);
}

Test(capture, cut_short)
{
    static const char *const name[] = {"cut.pcap"};
    struct frame f = small_pcap(0xa1b2c3d4, ETHERNET, 1);

    f.n -= 2;
    write_file(name[0], &f);
    assert_frames(name, 1, 1, SENSOR_NEXT_FAILED);
    cr_assert_not_null(strstr(fail.sentence, "cut.pcap"), "%s", fail.sentence);
}

Test(capture, compressed_and_cut_short)
{
    static const char *const name[] = {"cut.pcap.gz"};
    struct frame f = small_pcap(0xa1b2c3d4, ETHERNET, 1);
    struct stat st;

    write_file("cut.pcap", &f);
    compress_file("cut.pcap");
    cr_assert_eq(stat(name[0], &st), 0);
    cr_assert_eq(truncate(name[0], st.st_size - 4), 0); /* all data, but not the check at its end */
    assert_frames(name, 1, 2, SENSOR_NEXT_FAILED);
    cr_assert_not_null(strstr(fail.sentence, "cut.pcap.gz"), "%s", fail.sentence);
}

Test(capture, empty_capture)
{
    static const char *const name[] = {"none.pcap"};
    struct frame f = {.n = 0};

    put_header(&f, 0xa1b2c3d4, ETHERNET);
    write_file(name[0], &f);
    assert_frames(name, 1, 0, SENSOR_NEXT_END);
}

static void
assert_refused(const char *name, int code)
{
    const char *const names[] = {"good.pcap", name};
    struct sensor_source both = files(names, 2);
    struct sensor_source only = files(names + 1, 1);
    struct sensor_capture *cap = NULL;

    fail.sentence[0] = '\0';
    cr_assert_eq(sensor_capture_check(&both, &fail), -1, "%s", name);
    cr_assert_eq(fail.code, code, "%s: %s", name, fail.sentence);
    cr_assert_not_null(strstr(fail.sentence, name), "%s", fail.sentence);
    cr_assert_eq(sensor_capture_open(&cap, &only, &fail), -1);
    cr_assert_null(cap);
}

Test(capture, refused)
{
    struct frame good = small_pcap(0xa1b2c3d4, ETHERNET, 1);
    struct frame other = small_pcap(0xa1b2c3d4, 105, 1); /* 802.11 */
    struct frame text = {.n = 0};
    struct frame empty = {.n = 0};

    put_zeros(&text, 100);
    write_file("good.pcap", &good);
    write_file("wifi.pcap", &other);
    write_file("text", &text);
    write_file("empty", &empty);
    cr_assert_eq(mkfifo("fifo", 0600), 0);
    assert_refused("there-is-none", SENSOR_EXIT_OTHER);
    assert_refused("wifi.pcap", SENSOR_EXIT_OTHER);
    assert_refused("text", SENSOR_EXIT_OTHER);
    assert_refused("empty", SENSOR_EXIT_OTHER);
    assert_refused("fifo", SENSOR_EXIT_OTHER);
    assert_refused("/dev", SENSOR_EXIT_OTHER);
    assert_refused("/dev/null", SENSOR_EXIT_OTHER);
}

Test(capture, refused_by_rights)
{
    struct frame good = small_pcap(0xa1b2c3d4, ETHERNET, 1);

    write_file("good.pcap", &good);
    write_file("secret.pcap", &good);
    cr_assert_eq(chmod("secret.pcap", 0), 0);
    if (geteuid() == 0) {
        cr_assert_eq(chmod(dir, 0711), 0);
        cr_assert_eq(seteuid(65534), 0);
    }
    assert_refused("secret.pcap", SENSOR_EXIT_PERMISSION);
    if (getuid() == 0) {
        cr_assert_eq(seteuid(0), 0);
    }
}

Test(capture, no_such_interface)
{
    struct sensor_source source = {NULL, 0, "nosuchif0"};

    cr_assert_eq(sensor_capture_check(&source, &fail), -1);
    cr_assert(fail.code == SENSOR_EXIT_OTHER || fail.code == SENSOR_EXIT_PERMISSION);
    cr_assert_not_null(strstr(fail.sentence, "nosuchif0"), "%s", fail.sentence);
}
