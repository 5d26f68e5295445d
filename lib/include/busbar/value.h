/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * busbar/value.h - typed values and events.
 *
 * Broker's fifteen types in busbar's native form: flat, little-endian, read in place.  Equal values are
 * equal bytes (two reals are the same value when their bits are).
 *
 * Shape      Each value begins at a multiple of 8 with a head of 8 bytes:
 *              u32 bytes   of the whole value with its head, without padding
 *              u8  type    enum bb_type
 *              u8  a       boolean: 0 or 1; port: protocol; subnet: prefix length 0..128; else 0
 *              u16 b       port: number; else 0
 *            none, boolean, port: the head only.  count, integer, real, timestamp, timespan: 8 bytes
 *            more.  string, enum: the bytes.  address, subnet: 16 bytes, IPv4 as ::ffff:a.b.c.d.
 *            set, vector, table: u32 elements (table: pairs), u32 zero, then the elements (key, value,
 *            key, value, ...), each padded with zeros to a multiple of 8.  Sets and tables are sorted
 *            in Broker's order and free of duplicates.
 * Safety     A struct bb_value is a window of bytes.  Every accessor checks the window, so bytes that
 *            change under a reader give wrong values or BB_ECORRUPT, never a read outside the message.
 * Speed      In C and C++ the common functions are compiled into the caller, with the exported function of
 *            the same name for what is unusual (value_inline.h); BB_NO_INLINE turns that off.
 * Limits     Containers nest at most BB_VALUE_DEPTH deep; deeper ones are refused when built and read.
 * Threads    Pure functions over the caller's memory; any thread.
 */
#ifndef BUSBAR_VALUE_H
#define BUSBAR_VALUE_H

#include <busbar/status.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum bb_type {
    BB_NONE = 0,
    BB_BOOLEAN = 1,
    BB_COUNT = 2,
    BB_INTEGER = 3,
    BB_REAL = 4,
    BB_STRING = 5,
    BB_ADDRESS = 6,
    BB_SUBNET = 7,
    BB_PORT = 8,
    BB_TIMESTAMP = 9,
    BB_TIMESPAN = 10,
    BB_ENUM = 11,
    BB_SET = 12,
    BB_TABLE = 13,
    BB_VECTOR = 14,
};

enum bb_protocol { BB_PROTO_UNKNOWN = 0, BB_PROTO_TCP = 1, BB_PROTO_UDP = 2, BB_PROTO_ICMP = 3 };

enum {
    BB_VALUE_DEPTH = 255, /* containers inside containers */
};

/* ---- building ---------------------------------------------------------------------------------- */

/*
 * struct bb_builder - writes one value after the other into the caller's buffer (a loan, for example).
 *
 * The first error sticks in `err`; later puts do nothing but count.  When the buffer is too small, `err`
 * is BB_EMSGSIZE and `need_bytes` ends as the size that would have been enough; with buf NULL and cap 0
 * a first pass measures.  Fields are private but for reading `err` and `need_bytes`.
 *
 * ABI       The common puts are compiled into the program (value_inline.h), so these fields and what they
 *           mean are as much part of the ABI as a function: they do not change within a soname.
 */
struct bb_builder {
    unsigned char *buf;
    size_t cap_bytes;   /* 0 after an error and while measuring: one compare asks for all three */
    size_t need_bytes;  /* written so far, a multiple of 8: where the next value goes */
    size_t open_off;    /* innermost open container, or SIZE_MAX */
    uint32_t depth;     /* open containers, and how many of them are an event's */
    int err;            /* beside depth, as both are asked for together */
    uint32_t children;  /* values so far in the innermost open container */
    uint32_t event_off; /* the event that is being built, if any */
};

BB_API void bb_build_init(struct bb_builder *b, void *buf, size_t cap_bytes);

/*
 * bb_build_end - bytes written, padding of the last value included, or the first error.
 *
 * Returns   bytes; BB_EINVAL a container is still open or nests too deep; BB_EEXIST a duplicate in a set or
 *           table; BB_EMSGSIZE the buffer was too small or only measured: need_bytes says what is needed.
 *           A value has at most 4 GiB.
 */
BB_MUST_USE BB_API int64_t bb_build_end(struct bb_builder *b);

BB_API void bb_put_none(struct bb_builder *b);
BB_API void bb_put_boolean(struct bb_builder *b, int v);
BB_API void bb_put_count(struct bb_builder *b, uint64_t v);
BB_API void bb_put_integer(struct bb_builder *b, int64_t v);
BB_API void bb_put_real(struct bb_builder *b, double v);
BB_API void bb_put_string(struct bb_builder *b, const char *s, size_t bytes);
BB_API void bb_put_address(struct bb_builder *b, const uint8_t ip[16]); /* IPv4 as ::ffff:a.b.c.d */
/* prefix_bits: 0..32 for IPv4, 0..128 for IPv6.  Host bits are cleared; an impossible length gives ::/0. */
BB_API void bb_put_subnet(struct bb_builder *b, const uint8_t ip[16], uint32_t prefix_bits);
BB_API void bb_put_port(struct bb_builder *b, uint16_t number, enum bb_protocol protocol);
BB_API void bb_put_timestamp(struct bb_builder *b, int64_t wall_ns);
BB_API void bb_put_timespan(struct bb_builder *b, int64_t span_ns);
BB_API void bb_put_enum(struct bb_builder *b, const char *name, size_t bytes);

/*
 * Containers: open, put the elements (a table: key, value, key, value), close.  Closing a set or table
 * sorts it in place; a duplicate element or key gives BB_EEXIST, a key without value BB_EINVAL.
 */
BB_API void bb_put_set_begin(struct bb_builder *b);
BB_API void bb_put_table_begin(struct bb_builder *b);
BB_API void bb_put_vector_begin(struct bb_builder *b);
BB_API void bb_put_end(struct bb_builder *b);

struct bb_value;
/* bb_put_value - copies a whole value as it is; BB_ECORRUPT sticks if it is not well formed. */
BB_API void bb_put_value(struct bb_builder *b, const struct bb_value *v);

/* ---- reading ----------------------------------------------------------------------------------- */

struct bb_value {
    const unsigned char *p;
    size_t bytes; /* from p to the end of the window; the value is at its start */
};

struct bb_iter {
    struct bb_value rest;
    uint32_t left; /* values still to come; a table counts keys and values */
};

/*
 * bb_value_open - the value at the start of data; its window ends where the next value begins.
 * BB_ECORRUPT if it does not fit into bytes.  The last padding of a message may be missing.
 */
BB_MUST_USE BB_API int bb_value_open(struct bb_value *out, const void *data, size_t bytes);

/* bb_value_check - walks the whole value: bounds, types, order, padding.  0 or BB_ECORRUPT. */
BB_MUST_USE BB_API int bb_value_check(const struct bb_value *v);

BB_API int bb_value_type(const struct bb_value *v); /* enum bb_type or BB_ECORRUPT */

/* Accessors: 0, BB_ETYPE if it is another type, BB_ECORRUPT; *out is written only on success. */
BB_MUST_USE BB_API int bb_get_boolean(const struct bb_value *v, int *out);
BB_MUST_USE BB_API int bb_get_count(const struct bb_value *v, uint64_t *out);
BB_MUST_USE BB_API int bb_get_integer(const struct bb_value *v, int64_t *out);
BB_MUST_USE BB_API int bb_get_real(const struct bb_value *v, double *out);
BB_MUST_USE BB_API int bb_get_string(const struct bb_value *v, const char **s, size_t *bytes);
BB_MUST_USE BB_API int bb_get_address(const struct bb_value *v, uint8_t ip[16]);
BB_MUST_USE BB_API int
bb_get_subnet(const struct bb_value *v, uint8_t ip[16], uint32_t *prefix_bits);
BB_MUST_USE BB_API int
bb_get_port(const struct bb_value *v, uint16_t *number, enum bb_protocol *protocol);
BB_MUST_USE BB_API int bb_get_timestamp(const struct bb_value *v, int64_t *wall_ns);
BB_MUST_USE BB_API int bb_get_timespan(const struct bb_value *v, int64_t *span_ns);
BB_MUST_USE BB_API int bb_get_enum(const struct bb_value *v, const char **s, size_t *bytes);

/* bb_iter_open - the elements of a set, vector or table; returns how many (a table: pairs) or a status. */
BB_MUST_USE BB_API int64_t bb_iter_open(struct bb_iter *it, const struct bb_value *container);
/* bb_iter_next - 0 and the next value, BB_EEND after the last, BB_ECORRUPT. */
BB_MUST_USE BB_API int bb_iter_next(struct bb_iter *it, struct bb_value *out);

/*
 * bb_next_... - the next value, of this type: bb_iter_next() and the accessor in one, for arguments or
 * records whose types are known.  In C and C++ they cost a few instructions each.
 *
 * Returns   0; BB_EEND after the last; BB_ETYPE; BB_ECORRUPT.  Only on success *out is written and the
 *           cursor moves, so after BB_ETYPE another type may be tried.
 */
BB_MUST_USE BB_API int bb_next_boolean(struct bb_iter *it, int *out);
BB_MUST_USE BB_API int bb_next_count(struct bb_iter *it, uint64_t *out);
BB_MUST_USE BB_API int bb_next_integer(struct bb_iter *it, int64_t *out);
BB_MUST_USE BB_API int bb_next_real(struct bb_iter *it, double *out);
BB_MUST_USE BB_API int bb_next_string(struct bb_iter *it, const char **s, size_t *bytes);
BB_MUST_USE BB_API int bb_next_address(struct bb_iter *it, uint8_t ip[16]);
BB_MUST_USE BB_API int bb_next_subnet(struct bb_iter *it, uint8_t ip[16], uint32_t *prefix_bits);
BB_MUST_USE BB_API int
bb_next_port(struct bb_iter *it, uint16_t *number, enum bb_protocol *protocol);
BB_MUST_USE BB_API int bb_next_timestamp(struct bb_iter *it, int64_t *wall_ns);
BB_MUST_USE BB_API int bb_next_timespan(struct bb_iter *it, int64_t *span_ns);
BB_MUST_USE BB_API int bb_next_enum(struct bb_iter *it, const char **s, size_t *bytes);

/*
 * bb_value_compare - Broker's order: type first, then the value.  <0, 0, >0.
 *
 * Reals are in IEEE's total order (-0 before 0, NaN at the ends), since equal values are equal bytes.
 * Unreadable bytes compare as none.
 */
BB_API int bb_value_compare(const struct bb_value *a, const struct bb_value *b);
/* bb_value_equal - 1 if both are readable and the same value, else 0. */
BB_API int bb_value_equal(const struct bb_value *a, const struct bb_value *b);
/*
 * bb_value_hash - XXH3 (64 bit) of the value's bytes, the same on every machine: equal values have equal
 * hashes.  Unreadable bytes hash as none.
 */
BB_API uint64_t bb_value_hash(const struct bb_value *v);

/*
 * bb_value_text, bb_value_json - the text form (`10.0.0.1`, `80/tcp`, `{a, b}`) and JSON v1.
 *
 * Like snprintf: writes at most cap bytes with a NUL when cap > 0, returns the bytes that the whole form
 * has (without NUL), or a status.  JSON is always legal: a byte that is not UTF-8 becomes \u00XX,
 * infinities and NaN become the strings "inf", "-inf", "nan".
 */
BB_MUST_USE BB_API int64_t bb_value_text(const struct bb_value *v, char *out, size_t cap);
BB_MUST_USE BB_API int64_t bb_value_json(const struct bb_value *v, char *out, size_t cap);

/* ---- events ------------------------------------------------------------------------------------ */

/*
 * An event is the vector (string name, vector arguments[, vector metadata]) as a message of kind BB_EVENT.
 * Metadata is a vector of (count id, value); id 1 is the network time, 200 and up are the user's.
 *
 *   bb_event_begin(&b, "scan_seen", 9); bb_put_address(&b, ip); bb_put_count(&b, 3);
 *   bb_event_meta(&b, 1);               bb_put_timestamp(&b, t);      any number of times, after the arguments
 *   bb_event_end(&b);
 *
 * An event is not begun inside an event; each metadata id has exactly one value.
 */
enum { BB_META_NETWORK_TIME = 1, BB_META_USER = 200 };

BB_API void bb_event_begin(struct bb_builder *b, const char *name, size_t name_bytes);
BB_API void bb_event_meta(struct bb_builder *b, uint64_t id);
BB_API void bb_event_end(struct bb_builder *b);

struct bb_event {
    const char *name;
    size_t name_bytes;
    uint32_t arg_count;
    struct bb_value args;     /* a vector */
    struct bb_value metadata; /* a vector; p is NULL when there is none */
};

/* bb_event_open - reads an event in place.  BB_ETYPE if it is a value but no event, BB_ECORRUPT. */
BB_MUST_USE BB_API int bb_event_open(struct bb_event *out, const void *data, size_t bytes);
/*
 * bb_event_args - a cursor over the arguments of an event that bb_event_open() read; returns how many.
 *
 *   if (bb_event_open(&ev, m->data, m->bytes) == 0 && bb_event_args(&it, &ev) == 3
 *       && bb_next_address(&it, ip) == 0 && bb_next_count(&it, &n) == 0 && bb_next_port(&it, &p, &tcp) == 0)
 */
BB_API uint32_t bb_event_args(struct bb_iter *it, const struct bb_event *ev);
/* bb_event_arg - argument i, looked for from the first; BB_ENOENT if there are fewer. */
BB_MUST_USE BB_API int bb_event_arg(const struct bb_event *ev, uint32_t i, struct bb_value *out);
/* bb_event_get_meta - the metadata value with this id; BB_ENOENT. */
BB_MUST_USE BB_API int
bb_event_get_meta(const struct bb_event *ev, uint64_t id, struct bb_value *out);

#ifdef __cplusplus
}
#endif

#include <busbar/value_inline.h> /* the common puts and gets, within the caller; BB_NO_INLINE: none */

#endif
