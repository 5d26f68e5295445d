/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/sensor/capture.h - frames from capture files, one after the other, or from an interface.
 *
 * The one module that includes libpcap.  Files are pcap or pcapng, plain or compressed by gzip (known by
 * their first bytes, read through a pipe from `gzip -dc`, no shell).  Several files are one capture.
 *
 * Owner      a frame's bytes are valid until the next call on the capture.
 * Threads    one.
 */
#ifndef BUSBAR_SENSOR_CAPTURE_H
#define BUSBAR_SENSOR_CAPTURE_H

#include "tools/sensor/fail.h"
#include "tools/sensor/packet.h"

#include <stddef.h>
#include <stdint.h>

struct sensor_capture;

struct sensor_source {
    const char *const *files;
    size_t file_count;
    const char *live; /* an interface instead of files, or NULL */
};

struct sensor_frame {
    const uint8_t *data;
    size_t bytes; /* captured; the frame may have been longer */
    int64_t wall_ns;
    enum sensor_link link;
};

enum sensor_next {
    SENSOR_NEXT_FAILED = -1, /* the sentence says which file and why; nothing follows */
    SENSOR_NEXT_FRAME = 0,
    SENSOR_NEXT_IDLE = 1, /* live: nothing there now */
    SENSOR_NEXT_END = 2,
};

/* sensor_capture_check - can all of it be opened?  0, or -1 and the sentence. */
int sensor_capture_check(const struct sensor_source *source, struct sensor_fail *fail);

/* sensor_capture_open - 0, or -1 and the sentence.  *source must live as long as the capture. */
int sensor_capture_open(struct sensor_capture **out,
                        const struct sensor_source *source,
                        struct sensor_fail *fail);
void sensor_capture_close(struct sensor_capture *cap);

/* sensor_capture_next - never waits on an interface. */
enum sensor_next
sensor_capture_next(struct sensor_capture *cap, struct sensor_frame *out, struct sensor_fail *fail);

/* sensor_capture_wait - until a frame may be there, a signal came or the time ran out. */
void sensor_capture_wait(struct sensor_capture *cap, int timeout_ms);

/* sensor_capture_dropped - frames that the kernel had no room for; 0 for files. */
uint64_t sensor_capture_dropped(struct sensor_capture *cap);

#endif
