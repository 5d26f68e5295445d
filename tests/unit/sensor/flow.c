/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: both directions of a flow go to one worker and flows spread evenly; each connection whose SYN and
 * SYN-ACK were seen is said exactly once, whatever is repeated, reordered or reused.
 * Method: hand-made segments between two hosts; a table of two entries for eviction.
 */
#include "tools/sensor/flow.h"

#include <criterion/criterion.h>
#include <stdbool.h>
#include <string.h>

#define SECOND INT64_C(1000000000)

enum {
    SYN = SENSOR_TCP_SYN,
    ACK = SENSOR_TCP_ACK,
    FIN = SENSOR_TCP_FIN,
    RST = SENSOR_TCP_RST,
    A = 1, /* hosts */
    B = 2,
};

static struct sensor_flows *flows;
static struct sensor_connection conn;
static int64_t now_ns;

static void
setup(void)
{
    flows = sensor_flows_open(1000, 42);
    cr_assert_not_null(flows);
}

static void
teardown(void)
{
    sensor_flows_close(flows);
}

TestSuite(flow, .init = setup, .fini = teardown, .timeout = 20);

static void
set_host(uint8_t ip[16], unsigned host)
{
    memset(ip, 0, 16);
    ip[10] = ip[11] = 0xff;
    ip[12] = 10;
    ip[14] = (uint8_t)(host >> 8);
    ip[15] = (uint8_t)host;
}

static struct sensor_packet
packet(unsigned from, unsigned from_port, unsigned to, unsigned to_port)
{
    struct sensor_packet p;

    memset(&p, 0, sizeof(p));
    set_host(p.src, from);
    set_host(p.dst, to);
    p.src_port = (uint16_t)from_port;
    p.dst_port = (uint16_t)to_port;
    p.protocol = SENSOR_PROTO_TCP;
    p.is_ip = p.has_ports = p.is_tcp = true;
    return p;
}

static bool
take(struct sensor_packet p, unsigned flags, uint32_t seq, uint32_t ack)
{
    p.tcp_flags = (uint8_t)flags;
    p.tcp_seq = seq;
    p.tcp_ack = ack;
    return sensor_flows_take(flows, &p, now_ns, &conn);
}

/* A's port 5000 and B's port 80. */
static bool
a_to_b(unsigned flags, uint32_t seq, uint32_t ack)
{
    return take(packet(A, 5000, B, 80), flags, seq, ack);
}

static bool
b_to_a(unsigned flags, uint32_t seq, uint32_t ack)
{
    return take(packet(B, 80, A, 5000), flags, seq, ack);
}

static void
assert_conn(unsigned orig, unsigned orig_port, unsigned resp, unsigned resp_port)
{
    uint8_t ip[16];

    set_host(ip, orig);
    cr_assert_arr_eq(conn.orig, ip, 16);
    set_host(ip, resp);
    cr_assert_arr_eq(conn.resp, ip, 16);
    cr_assert_eq(conn.orig_port, orig_port);
    cr_assert_eq(conn.resp_port, resp_port);
}

/* ---- shares ------------------------------------------------------------------------------------ */

Test(flow, both_directions_share)
{
    for (unsigned i = 0; i < 5000; i++) {
        struct sensor_packet there = packet(i % 97, 1024 + i, i % 89, i % 7);
        struct sensor_packet back = packet(i % 89, i % 7, i % 97, 1024 + i);

        for (uint32_t workers = 1; workers <= 17; workers++) {
            uint32_t share = sensor_flow_share(&there, workers);

            cr_assert_lt(share, workers);
            cr_assert_eq(share, sensor_flow_share(&back, workers));
        }
    }
}

/* One client with consecutive ports to one server is the hard case for a poor hash. */
Test(flow, shares_are_even)
{
    unsigned count[16] = {0};

    for (unsigned port = 0; port < 16000; port++) {
        struct sensor_packet p = packet(A, 1024 + port, B, 80);

        count[sensor_flow_share(&p, 16)]++;
    }
    for (int i = 0; i < 16; i++) {
        cr_assert(count[i] > 800 && count[i] < 1200, "share %d has %u of 16000", i, count[i]);
    }
}

Test(flow, what_is_not_ip_goes_to_the_first)
{
    struct sensor_packet p;

    memset(&p, 0, sizeof(p));
    cr_assert_eq(sensor_flow_share(&p, 16), 0);
}

/* ---- handshakes -------------------------------------------------------------------------------- */

Test(flow, a_plain_handshake)
{
    cr_assert_not(a_to_b(SYN, 100, 0));
    cr_assert(b_to_a(SYN | ACK, 900, 101));
    assert_conn(A, 5000, B, 80);
    cr_assert_not(a_to_b(ACK, 101, 901));
    cr_assert_not(a_to_b(FIN | ACK, 101, 901));
}

Test(flow, originator_with_the_higher_address)
{
    cr_assert_not(take(packet(B, 6000, A, 22), SYN, 5, 0));
    cr_assert(take(packet(A, 22, B, 6000), SYN | ACK, 6, 6));
    assert_conn(B, 6000, A, 22);
}

Test(flow, retransmissions)
{
    cr_assert_not(a_to_b(SYN, 100, 0));
    cr_assert_not(a_to_b(SYN, 100, 0));
    cr_assert(b_to_a(SYN | ACK, 900, 101));
    cr_assert_not(b_to_a(SYN | ACK, 900, 101));
    cr_assert_not(a_to_b(SYN, 100, 0));
    cr_assert_not(b_to_a(SYN | ACK, 900, 101));
    cr_assert_not(a_to_b(RST, 101, 0));
    cr_assert_not(a_to_b(SYN, 100, 0));
    cr_assert_not(b_to_a(SYN | ACK, 900, 101));
}

Test(flow, synack_without_syn)
{
    cr_assert_not(b_to_a(SYN | ACK, 900, 101));
    cr_assert_not(a_to_b(ACK, 101, 901));
    cr_assert_not(b_to_a(SYN | ACK, 900, 101));
}

Test(flow, synack_captured_before_its_syn)
{
    cr_assert_not(b_to_a(SYN | ACK, 900, 101));
    cr_assert(a_to_b(SYN, 100, 0));
    assert_conn(A, 5000, B, 80);
    cr_assert_not(b_to_a(SYN | ACK, 900, 101));
    cr_assert_not(a_to_b(SYN, 100, 0));
}

Test(flow, backscatter_is_no_answer)
{
    cr_assert_not(b_to_a(SYN | ACK, 900, 5555)); /* somebody used A's address */
    cr_assert_not(a_to_b(SYN, 100, 0));
    cr_assert(b_to_a(SYN | ACK, 901, 101));
}

Test(flow, ports_used_again)
{
    cr_assert_not(a_to_b(SYN, 100, 0));
    cr_assert(b_to_a(SYN | ACK, 900, 101));
    cr_assert_not(a_to_b(FIN | ACK, 150, 950));
    cr_assert_not(b_to_a(FIN | ACK, 950, 151));
    cr_assert_not(a_to_b(SYN, 40000, 0));
    cr_assert(b_to_a(SYN | ACK, 70000, 40001));
    cr_assert_not(a_to_b(RST, 40001, 0));
    cr_assert_not(a_to_b(SYN, 3, 0)); /* without an end of the one before, too */
    cr_assert_not(a_to_b(SYN, 4, 0));
    cr_assert(b_to_a(SYN | ACK, 9, 5));
}

Test(flow, late_repetitions_of_the_connection_before)
{
    cr_assert_not(a_to_b(SYN, 100, 0));
    cr_assert(b_to_a(SYN | ACK, 900, 101));
    cr_assert_not(a_to_b(SYN, 5000, 0));
    cr_assert_not(b_to_a(SYN | ACK, 900, 101)); /* answers the first once more */
    cr_assert(b_to_a(SYN | ACK, 1900, 5001));
    cr_assert_not(b_to_a(SYN | ACK, 1900, 5001));
}

/* Two attempts, and the answer to the first comes after the second: both were answered. */
Test(flow, answers_in_turn)
{
    cr_assert_not(a_to_b(SYN, 100, 0));
    cr_assert_not(a_to_b(SYN, 200, 0));
    cr_assert(b_to_a(SYN | ACK, 900, 101));
    cr_assert_not(b_to_a(SYN | ACK, 900, 101));
    cr_assert(b_to_a(SYN | ACK, 1900, 201));
    cr_assert_not(b_to_a(SYN | ACK, 1900, 201));
}

Test(flow, reused_ports_with_the_answer_first)
{
    cr_assert_not(a_to_b(SYN, 100, 0));
    cr_assert(b_to_a(SYN | ACK, 900, 101));
    cr_assert_not(b_to_a(SYN | ACK, 1900, 5001));
    cr_assert(a_to_b(SYN, 5000, 0));
    cr_assert_not(b_to_a(SYN | ACK, 1900, 5001));
}

Test(flow, refused_and_tried_again)
{
    cr_assert_not(a_to_b(SYN, 100, 0));
    cr_assert_not(b_to_a(RST | ACK, 0, 101));
    cr_assert_not(a_to_b(SYN, 100, 0)); /* Windows tries again with the same number */
    cr_assert(b_to_a(SYN | ACK, 900, 101));
}

Test(flow, rst_with_syn_is_nothing)
{
    cr_assert_not(a_to_b(SYN | RST, 100, 0));
    cr_assert_not(b_to_a(SYN | ACK | RST, 900, 101));
    cr_assert_not(b_to_a(SYN | ACK, 900, 101));
}

Test(flow, simultaneous_open)
{
    cr_assert_not(a_to_b(SYN, 100, 0));
    cr_assert_not(b_to_a(SYN, 900, 0));
    cr_assert(a_to_b(SYN | ACK, 100, 901));
    assert_conn(A, 5000, B, 80);
    cr_assert_not(b_to_a(SYN | ACK, 900, 101));
    cr_assert_not(a_to_b(SYN | ACK, 100, 901));
    cr_assert_not(b_to_a(SYN, 900, 0));
}

/* A asked in vain; minutes later B asks A, with the same ports. */
Test(flow, other_direction_later)
{
    cr_assert_not(take(packet(A, 500, B, 500), SYN, 100, 0));
    now_ns += 300 * SECOND;
    cr_assert_not(take(packet(B, 500, A, 500), SYN, 200, 0));
    cr_assert(take(packet(A, 500, B, 500), SYN | ACK, 300, 201));
    assert_conn(B, 500, A, 500);
    now_ns = 0;
}

Test(flow, other_direction_after_a_connection)
{
    cr_assert_not(take(packet(A, 500, B, 500), SYN, 100, 0));
    cr_assert(take(packet(B, 500, A, 500), SYN | ACK, 900, 101));
    cr_assert_not(take(packet(B, 500, A, 500), SYN, 200, 0));
    cr_assert(take(packet(A, 500, B, 500), SYN | ACK, 300, 201));
    assert_conn(B, 500, A, 500);
}

Test(flow, connected_to_itself)
{
    cr_assert_not(take(packet(A, 500, A, 500), SYN, 100, 0));
    cr_assert(take(packet(A, 500, A, 500), SYN | ACK, 100, 101));
    assert_conn(A, 500, A, 500);
    cr_assert_not(take(packet(A, 500, A, 500), SYN | ACK, 100, 101));
}

Test(flow, data_in_the_syn)
{
    struct sensor_packet syn = packet(A, 5000, B, 80);

    cr_assert_not(b_to_a(SYN | ACK, 900, 111));
    syn.tcp_bytes = 10;
    cr_assert(take(syn, SYN, 100, 0));
}

Test(flow, numbers_that_wrap)
{
    cr_assert_not(a_to_b(SYN, UINT32_MAX, 0));
    cr_assert(b_to_a(SYN | ACK, 900, 0));
}

/* Captures that tools wrote often have zero for every number. */
Test(flow, numbers_that_were_zeroed)
{
    cr_assert_not(a_to_b(SYN, 0, 0));
    cr_assert(b_to_a(SYN | ACK, 0, 0));
    cr_assert_not(a_to_b(SYN, 0, 0));
    cr_assert_not(b_to_a(SYN | ACK, 0, 0));
}

Test(flow, other_ports_and_hosts_are_other_connections)
{
    for (unsigned i = 0; i < 200; i++) {
        cr_assert_not(take(packet(A, 1000 + i, B, 80), SYN, 7, 0));
        cr_assert_not(take(packet(A + 2 + i, 1000, B, 80), SYN, 7, 0));
    }
    for (unsigned i = 0; i < 200; i++) {
        cr_assert(take(packet(B, 80, A, 1000 + i), SYN | ACK, 8, 8));
        assert_conn(A, 1000 + i, B, 80);
        cr_assert(take(packet(B, 80, A + 2 + i, 1000), SYN | ACK, 8, 8));
        assert_conn(A + 2 + i, 1000, B, 80);
    }
    cr_assert_eq(sensor_flows_evicted(flows), 0);
}

/* ---- the table --------------------------------------------------------------------------------- */

Test(flow, the_oldest_makes_room)
{
    struct sensor_flows *all = flows;

    flows = sensor_flows_open(2, 1);
    cr_assert_not(take(packet(A, 1, B, 80), SYN, 10, 0));
    cr_assert_not(take(packet(A, 2, B, 80), SYN, 10, 0));
    cr_assert_not(take(packet(A, 1, B, 80), SYN, 10, 0)); /* now 2 is the oldest */
    cr_assert_not(take(packet(A, 3, B, 80), SYN, 10, 0));
    cr_assert_eq(sensor_flows_evicted(flows), 1);
    cr_assert_eq(sensor_flows_evicted_half_open(flows), 1);
    cr_assert(take(packet(B, 80, A, 1), SYN | ACK, 20, 11));
    cr_assert(take(packet(B, 80, A, 3), SYN | ACK, 20, 11));
    cr_assert_not(
        take(packet(B, 80, A, 2), SYN | ACK, 20, 11)); /* evicts 1, which is established */
    cr_assert_eq(sensor_flows_evicted(flows), 2);
    cr_assert_eq(sensor_flows_evicted_half_open(flows), 1);
    sensor_flows_close(flows);
    flows = all;
}

/* A flood far beyond the table: bounded, and the chains stay whole (ASan, and no endless walk). */
Test(flow, flood)
{
    for (unsigned i = 0; i < 100000; i++) {
        cr_assert_not(take(packet(i % 60000, i / 7 % 65536, B, 80), SYN, i, 0));
    }
    cr_assert_gt(sensor_flows_evicted(flows), 90000);
    cr_assert_not(take(packet(A, 9, B, 81), SYN, 1, 0));
    cr_assert(take(packet(B, 81, A, 9), SYN | ACK, 2, 2));
}
