/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the sensor takes from outside: capture files, frames of every link type, connections.
 * bb-links: busbar_sensor_parts
 *
 * Input      u8 kind.  0 to 4: a link type; then frames, each u16 length and its bytes.  Others: a capture file.
 * Oracle     both directions of a packet go to the same worker; decoding looks at nothing but the frame.
 */
#include "tests/fuzz/fuzz.h"
#include "tools/sensor/capture.h"
#include "tools/sensor/flow.h"

#include <sys/mman.h>
#include <unistd.h>

enum { WORKERS = 7, FLOWS_MAX = 8, KINDS = SENSOR_LINK_SLL2 + 1 };

static void
take_packet(struct sensor_flows *flows, const struct sensor_frame *frame)
{
    struct sensor_connection conn;
    struct sensor_packet packet;
    struct sensor_packet back;
    sensor_packet_decode(frame->link, frame->data, frame->bytes, &packet);
    FUZZ_CHECK(!packet.has_ports || packet.is_ip);
    FUZZ_CHECK(!packet.is_tcp || packet.has_ports);
    back = packet;
    memcpy(back.src, packet.dst, sizeof(back.src));
    memcpy(back.dst, packet.src, sizeof(back.dst));
    back.src_port = packet.dst_port;
    back.dst_port = packet.src_port;
    uint32_t share = sensor_flow_share(&packet, WORKERS);
    FUZZ_CHECK(share < WORKERS && share == sensor_flow_share(&back, WORKERS));
    (void)sensor_flows_take(flows, &packet, frame->wall_ns, &conn);
}

static void
fuzz_frames(struct sensor_flows *flows, enum sensor_link link, struct fuzz_in *in)
{
    while (in->left > 0) {
        struct sensor_frame frame = {.link = link};
        const uint8_t *data = fuzz_bytes(in, fuzz_u16(in), &frame.bytes);
        unsigned char *exact = fuzz_copy(data, frame.bytes);
        frame.data = exact;
        take_packet(flows, &frame);
        free(exact);
    }
}

/* The file is in memory; compressed ones would start a process for each input. */
static void
fuzz_file(struct sensor_flows *flows, const struct fuzz_in *in)
{
    char path[64];
    const char *const files[] = {path};
    const struct sensor_source source = {.files = files, .file_count = 1};
    struct sensor_fail fail = {0};
    struct sensor_capture *cap = NULL;
    struct sensor_frame frame;
    if (in->left >= 2 && in->p[0] == 0x1f && in->p[1] == 0x8b) {
        return;
    }
    int fd = memfd_create("fuzz-capture", MFD_CLOEXEC);
    FUZZ_CHECK(fd >= 0 && write(fd, in->p, in->left) == (ssize_t)in->left);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int rc = sensor_capture_open(&cap, &source, &fail);
    if (rc == 0) {
        enum sensor_next next = SENSOR_NEXT_FRAME;
        while ((next = sensor_capture_next(cap, &frame, &fail)) == SENSOR_NEXT_FRAME) {
            fuzz_touch(frame.data, frame.bytes);
            take_packet(flows, &frame);
        }
        FUZZ_CHECK(next == SENSOR_NEXT_END || next == SENSOR_NEXT_FAILED);
        rc = next == SENSOR_NEXT_FAILED ? -1 : 0;
        sensor_capture_close(cap);
    }
    FUZZ_CHECK((rc < 0) == (fail.sentence[0] != '\0'));
    (void)close(fd);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct fuzz_in in = {data, bytes};
    struct sensor_flows *flows = sensor_flows_open(FLOWS_MAX, 1);
    FUZZ_CHECK(flows != NULL);
    uint8_t kind = fuzz_u8(&in);
    if (kind < KINDS) {
        fuzz_frames(flows, (enum sensor_link)kind, &in);
    } else {
        fuzz_file(flows, &in);
    }
    sensor_flows_close(flows);
    return 0;
}
