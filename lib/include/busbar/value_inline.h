/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * busbar/value_inline.h - the common puts and gets of value.h, within the caller.
 *
 * Used by    value.h, which includes it at its end.
 * Idea       The caller knows the type, often also the length.  So what is left of a put is a bound and a few
 *            stores; of a get a bound, a load and a compare.  Whatever is not the plain case (no room, an
 *            error before, another type, bytes that are not well formed) goes to the exported function of the
 *            same name, which decides.  Both give the same bytes and the same statuses.
 * Names      bb_put_count(...) is a macro over bb_put_count_inline(); &bb_put_count and (bb_put_count)(...)
 *            are the exported function, which bindings call.  With BB_NO_INLINE defined before value.h, on
 *            32-bit or big-endian machines and with other compilers there is nothing but that.
 * Safety     A head is loaded once, and checked against the window before what it says is used.
 * ABI        This was compiled into programs: the layout of struct bb_builder, bb_value, bb_iter and bb_event
 *            and the meaning of their fields stay as they are within one soname.
 */
#ifndef BUSBAR_VALUE_INLINE_H
#define BUSBAR_VALUE_INLINE_H

#include <busbar/value.h>

#if !defined(BB_NO_INLINE) && defined(__GNUC__) && __SIZEOF_POINTER__ == 8                         \
    && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__

#    include <string.h>

#    ifdef __cplusplus
extern "C" {
#    endif

/* Without optimisation always_inline would only make a program larger. */
#    ifdef __OPTIMIZE__
#        define BB_INLINE static inline __attribute__((always_inline))
#    else
#        define BB_INLINE static inline
#    endif
#    define BB_LIKELY(x)   __builtin_expect(!!(x), 1)
#    define BB_UNLIKELY(x) __builtin_expect(!!(x), 0)

/* As value.h pictures it: bits 0..31 bytes of the value with its head, 32..39 type, 40..47 a, 48..63 b. */
#    define BB_INLINE_HEAD(bytes, type) ((uint64_t)(bytes) | (uint64_t)(type) << 32)

enum {
    BB_INLINE_MAX = 1 << 16, /* bytes of a string; longer ones take the exported way */
    BB_INLINE_EVENT =
        2 | 2 << 16, /* a builder's depth right inside the arguments of an outermost event */
};

BB_INLINE size_t
bb_inline_pad8(size_t bytes)
{
    return (bytes + 7) & ~(size_t)7;
}

BB_INLINE void
bb_inline_put64(unsigned char *p, uint64_t v)
{
    memcpy(p, &v, sizeof(v));
}

BB_INLINE uint64_t
bb_inline_get64(const unsigned char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

/* The empty asm hides where v came from, so the compiler cannot read the bytes again instead of keeping v. */
BB_INLINE uint64_t
bb_inline_once64(const unsigned char *p)
{
    uint64_t v = bb_inline_get64(p);
    __asm__("" : "+r"(v));
    return v;
}

/* What is short, as names are, costs less than the call of memcpy(). */
BB_INLINE void
bb_inline_copy(unsigned char *to, const char *from, size_t bytes)
{
    if (!__builtin_constant_p(bytes) && BB_LIKELY(bytes - 8 <= 8)) {
        uint64_t first, last;
        memcpy(&first, from, 8);
        memcpy(&last, from + bytes - 8, 8);
        memcpy(to, &first, 8);
        memcpy(to + bytes - 8, &last, 8);
    } else if (bytes > 0) {
        memcpy(to, from, bytes);
    }
}

/* ---- building ---------------------------------------------------------------------------------- */

BB_INLINE void
bb_build_init_inline(struct bb_builder *b, void *buf, size_t cap_bytes)
{
    const size_t most = 0xfffffff8; /* lengths and offsets are u32 */
    b->buf = (unsigned char *)buf;
    b->cap_bytes = buf == NULL ? 0 : cap_bytes < most ? cap_bytes : most;
    b->need_bytes = 0;
    b->open_off = SIZE_MAX;
    b->children = 0;
    b->event_off = 0;
    b->depth = 0;
    b->err = 0;
}

BB_INLINE int64_t
bb_build_end_inline(struct bb_builder *b)
{
    return BB_LIKELY(b->depth == 0 && b->err == 0) ? (int64_t)b->need_bytes : bb_build_end(b);
}

/* Is there room for so many bytes?  After an error, and while measuring, cap_bytes is 0. */
BB_INLINE int
bb_inline_fits(const struct bb_builder *b, size_t bytes)
{
    return b->need_bytes + bytes <= b->cap_bytes;
}

/* The place of the next value, of so many bytes that fit. */
BB_INLINE unsigned char *
bb_inline_claim(struct bb_builder *b, size_t bytes)
{
    unsigned char *p = b->buf + b->need_bytes;
    b->need_bytes += bytes;
    b->children++;
    return p;
}

BB_INLINE void
bb_inline_put_head(struct bb_builder *b, uint64_t head)
{
    bb_inline_put64(bb_inline_claim(b, 8), head);
}

BB_INLINE void
bb_inline_put_word(struct bb_builder *b, enum bb_type type, uint64_t v)
{
    unsigned char *p = bb_inline_claim(b, 16);
    bb_inline_put64(p, BB_INLINE_HEAD(16, type));
    bb_inline_put64(p + 8, v);
}

/* Head, bytes and padding of a string or enum that is padded bytes long in all. */
BB_INLINE void
bb_inline_put_text(unsigned char *p, enum bb_type type, const char *s, size_t bytes, size_t padded)
{
    bb_inline_put64(p + padded - 8, 0);
    bb_inline_put64(p, BB_INLINE_HEAD(8 + bytes, type));
    bb_inline_copy(p + 8, s, bytes);
}

BB_INLINE void
bb_put_none_inline(struct bb_builder *b)
{
    if (BB_UNLIKELY(!bb_inline_fits(b, 8))) {
        bb_put_none(b);
        return;
    }
    bb_inline_put_head(b, BB_INLINE_HEAD(8, BB_NONE));
}

BB_INLINE void
bb_put_boolean_inline(struct bb_builder *b, int v)
{
    if (BB_UNLIKELY(!bb_inline_fits(b, 8))) {
        bb_put_boolean(b, v);
        return;
    }
    bb_inline_put_head(b, BB_INLINE_HEAD(8, BB_BOOLEAN) | (uint64_t)(v != 0) << 40);
}

BB_INLINE void
bb_put_count_inline(struct bb_builder *b, uint64_t v)
{
    if (BB_UNLIKELY(!bb_inline_fits(b, 16))) {
        bb_put_count(b, v);
        return;
    }
    bb_inline_put_word(b, BB_COUNT, v);
}

BB_INLINE void
bb_put_integer_inline(struct bb_builder *b, int64_t v)
{
    if (BB_UNLIKELY(!bb_inline_fits(b, 16))) {
        bb_put_integer(b, v);
        return;
    }
    bb_inline_put_word(b, BB_INTEGER, (uint64_t)v);
}

BB_INLINE void
bb_put_real_inline(struct bb_builder *b, double v)
{
    uint64_t bits;
    if (BB_UNLIKELY(!bb_inline_fits(b, 16))) {
        bb_put_real(b, v);
        return;
    }
    memcpy(&bits, &v, sizeof(bits));
    bb_inline_put_word(b, BB_REAL, bits);
}

BB_INLINE void
bb_put_timestamp_inline(struct bb_builder *b, int64_t wall_ns)
{
    if (BB_UNLIKELY(!bb_inline_fits(b, 16))) {
        bb_put_timestamp(b, wall_ns);
        return;
    }
    bb_inline_put_word(b, BB_TIMESTAMP, (uint64_t)wall_ns);
}

BB_INLINE void
bb_put_timespan_inline(struct bb_builder *b, int64_t span_ns)
{
    if (BB_UNLIKELY(!bb_inline_fits(b, 16))) {
        bb_put_timespan(b, span_ns);
        return;
    }
    bb_inline_put_word(b, BB_TIMESPAN, (uint64_t)span_ns);
}

BB_INLINE void
bb_put_string_inline(struct bb_builder *b, const char *s, size_t bytes)
{
    size_t padded = bb_inline_pad8(8 + bytes);
    if (BB_UNLIKELY(bytes > BB_INLINE_MAX || !bb_inline_fits(b, padded))) {
        bb_put_string(b, s, bytes);
        return;
    }
    bb_inline_put_text(bb_inline_claim(b, padded), BB_STRING, s, bytes, padded);
}

BB_INLINE void
bb_put_enum_inline(struct bb_builder *b, const char *name, size_t bytes)
{
    size_t padded = bb_inline_pad8(8 + bytes);
    if (BB_UNLIKELY(bytes > BB_INLINE_MAX || !bb_inline_fits(b, padded))) {
        bb_put_enum(b, name, bytes);
        return;
    }
    bb_inline_put_text(bb_inline_claim(b, padded), BB_ENUM, name, bytes, padded);
}

BB_INLINE void
bb_put_address_inline(struct bb_builder *b, const uint8_t ip[16])
{
    if (BB_UNLIKELY(!bb_inline_fits(b, 24))) {
        bb_put_address(b, ip);
        return;
    }
    unsigned char *p = bb_inline_claim(b, 24);
    bb_inline_put64(p, BB_INLINE_HEAD(24, BB_ADDRESS));
    memcpy(p + 8, ip, 16);
}

BB_INLINE void
bb_put_port_inline(struct bb_builder *b, uint16_t number, enum bb_protocol protocol)
{
    if (BB_UNLIKELY((unsigned)protocol > BB_PROTO_ICMP || !bb_inline_fits(b, 8))) {
        bb_put_port(b, number, protocol);
        return;
    }
    bb_inline_put_head(b, BB_INLINE_HEAD(8, BB_PORT) | (uint64_t)(unsigned)protocol << 40
                              | (uint64_t)number << 48);
}

/*
 * The event's two vectors and its name in one step, if it stands in no container.  The words that the
 * builder keeps in open containers (lib/value/build.c) are written as bb_event_begin() would.
 */
BB_INLINE void
bb_event_begin_inline(struct bb_builder *b, const char *name, size_t name_bytes)
{
    size_t padded = bb_inline_pad8(8 + name_bytes);
    if (BB_UNLIKELY(b->depth != 0 || name_bytes > BB_INLINE_MAX
                    || !bb_inline_fits(b, 32 + padded))) {
        bb_event_begin(b, name, name_bytes);
        return;
    }
    size_t off = b->need_bytes;
    unsigned char *p = b->buf + off;
    bb_inline_put64(p, BB_INLINE_HEAD(UINT32_MAX, BB_VECTOR));
    bb_inline_put64(p + 8, 2); /* name and arguments */
    bb_inline_put_text(p + 16, BB_STRING, name, name_bytes, padded);
    bb_inline_put64(p + 16 + padded, BB_INLINE_HEAD(off, BB_VECTOR));
    b->need_bytes = off + 32 + padded;
    b->open_off = off + 16 + padded;
    b->event_off = (uint32_t)off;
    b->children = 0;
    b->depth = BB_INLINE_EVENT;
}

/* Both vectors end where the last argument did. */
BB_INLINE void
bb_event_end_inline(struct bb_builder *b)
{
    if (!BB_LIKELY(b->depth == BB_INLINE_EVENT && b->err == 0)) {
        bb_event_end(b);
        return;
    }
    /* All that is asked of the builder first: a store into the message might change it, for all that is known. */
    size_t args_bytes = b->need_bytes - b->open_off;
    size_t event_bytes = b->need_bytes - b->event_off;
    uint64_t children = b->children;
    unsigned char *args = b->buf + b->open_off;
    unsigned char *event = b->buf + b->event_off;
    b->open_off = SIZE_MAX;
    b->depth = 0;
    bb_inline_put64(args, BB_INLINE_HEAD(args_bytes, BB_VECTOR));
    bb_inline_put64(args + 8, children);
    bb_inline_put64(event, BB_INLINE_HEAD(event_bytes, BB_VECTOR));
}

/* ---- reading ----------------------------------------------------------------------------------- */

/* Why a value was not as wanted; never 0: then it changed between the two looks, which is BB_ECORRUPT. */
static inline __attribute__((cold)) int
bb_inline_why(const unsigned char *p, size_t bytes, enum bb_type wanted)
{
    struct bb_value v = {p, bytes};
    int type = bb_value_type(&v);
    return type >= 0 && type != (int)wanted ? BB_ETYPE : BB_ECORRUPT;
}

static inline __attribute__((cold)) int
bb_inline_why_next(const unsigned char *p, size_t bytes, uint32_t left, enum bb_type wanted)
{
    struct bb_iter it = {{p, bytes}, left};
    struct bb_value v;
    int rc = bb_iter_next(&it, &v);
    return rc < 0 ? rc : bb_inline_why(v.p, v.bytes, wanted);
}

/*
 * The windows go in registers, and it is plain here that what comes back is no 0: so the compiler keeps the
 * caller's cursors out of memory and knows that outputs are set whenever 0 is returned.
 */
BB_INLINE int
bb_inline_refuse(const struct bb_value *v, enum bb_type wanted)
{
    int rc = bb_inline_why(v->p, v->bytes, wanted);
    return rc < 0 ? rc : BB_ECORRUPT;
}

BB_INLINE int
bb_inline_refuse_next(const struct bb_iter *it, enum bb_type wanted)
{
    int rc = bb_inline_why_next(it->rest.p, it->rest.bytes, it->left, wanted);
    return rc < 0 ? rc : BB_ECORRUPT;
}

/* Each of these five: 1 and the value, if one of this type is at p in full, else 0 and nothing is written. */
BB_INLINE int
bb_inline_word(const unsigned char *p, size_t window, enum bb_type type, uint64_t *out)
{
    if (BB_UNLIKELY(window < 16 || bb_inline_get64(p) != BB_INLINE_HEAD(16, type))) {
        return 0;
    }
    *out = bb_inline_get64(p + 8);
    return 1;
}

/* One compare for type and length: in another type's head, less this type's, more than 32 bits are left. */
BB_INLINE int
bb_inline_text(
    const unsigned char *p, size_t window, enum bb_type type, const char **s, size_t *bytes)
{
    if (BB_UNLIKELY(window - 8 > INT32_MAX)) {
        return 0;
    }
    uint64_t text_bytes = bb_inline_once64(p) - BB_INLINE_HEAD(8, type);
    if (BB_UNLIKELY(text_bytes > window - 8)) {
        return 0;
    }
    *s = (const char *)p + 8;
    *bytes = text_bytes;
    return 1;
}

BB_INLINE int
bb_inline_boolean(const unsigned char *p, size_t window, int *out)
{
    if (BB_UNLIKELY(window < 8)) {
        return 0;
    }
    uint64_t bits = bb_inline_once64(p) ^ BB_INLINE_HEAD(8, BB_BOOLEAN);
    if (BB_UNLIKELY((bits & ~(UINT64_C(1) << 40)) != 0)) {
        return 0;
    }
    *out = bits != 0;
    return 1;
}

BB_INLINE int
bb_inline_address(const unsigned char *p, size_t window, uint8_t ip[16])
{
    if (BB_UNLIKELY(window < 24 || bb_inline_get64(p) != BB_INLINE_HEAD(24, BB_ADDRESS))) {
        return 0;
    }
    memcpy(ip, p + 8, 16);
    return 1;
}

BB_INLINE int
bb_inline_port(const unsigned char *p, size_t window, uint16_t *number, enum bb_protocol *protocol)
{
    if (BB_UNLIKELY(window < 8)) {
        return 0;
    }
    uint64_t bits = bb_inline_once64(p) ^ BB_INLINE_HEAD(8, BB_PORT);
    if (BB_UNLIKELY((bits & ~(UINT64_C(0xffff03) << 40)) != 0)) {
        return 0;
    }
    *number = (uint16_t)(bits >> 48);
    *protocol = (enum bb_protocol)(bits >> 40 & BB_PROTO_ICMP);
    return 1;
}

BB_INLINE int
bb_get_boolean_inline(const struct bb_value *v, int *out)
{
    return bb_inline_boolean(v->p, v->bytes, out) ? 0 : bb_inline_refuse(v, BB_BOOLEAN);
}

BB_INLINE int
bb_get_count_inline(const struct bb_value *v, uint64_t *out)
{
    return bb_inline_word(v->p, v->bytes, BB_COUNT, out) ? 0 : bb_inline_refuse(v, BB_COUNT);
}

BB_INLINE int
bb_get_integer_inline(const struct bb_value *v, int64_t *out)
{
    uint64_t word;
    if (!bb_inline_word(v->p, v->bytes, BB_INTEGER, &word)) {
        return bb_inline_refuse(v, BB_INTEGER);
    }
    *out = (int64_t)word;
    return 0;
}

BB_INLINE int
bb_get_real_inline(const struct bb_value *v, double *out)
{
    uint64_t word;
    if (!bb_inline_word(v->p, v->bytes, BB_REAL, &word)) {
        return bb_inline_refuse(v, BB_REAL);
    }
    memcpy(out, &word, sizeof(word));
    return 0;
}

BB_INLINE int
bb_get_timestamp_inline(const struct bb_value *v, int64_t *wall_ns)
{
    uint64_t word;
    if (!bb_inline_word(v->p, v->bytes, BB_TIMESTAMP, &word)) {
        return bb_inline_refuse(v, BB_TIMESTAMP);
    }
    *wall_ns = (int64_t)word;
    return 0;
}

BB_INLINE int
bb_get_timespan_inline(const struct bb_value *v, int64_t *span_ns)
{
    uint64_t word;
    if (!bb_inline_word(v->p, v->bytes, BB_TIMESPAN, &word)) {
        return bb_inline_refuse(v, BB_TIMESPAN);
    }
    *span_ns = (int64_t)word;
    return 0;
}

BB_INLINE int
bb_get_string_inline(const struct bb_value *v, const char **s, size_t *bytes)
{
    return bb_inline_text(v->p, v->bytes, BB_STRING, s, bytes) ? 0 : bb_inline_refuse(v, BB_STRING);
}

BB_INLINE int
bb_get_enum_inline(const struct bb_value *v, const char **s, size_t *bytes)
{
    return bb_inline_text(v->p, v->bytes, BB_ENUM, s, bytes) ? 0 : bb_inline_refuse(v, BB_ENUM);
}

BB_INLINE int
bb_get_address_inline(const struct bb_value *v, uint8_t ip[16])
{
    return bb_inline_address(v->p, v->bytes, ip) ? 0 : bb_inline_refuse(v, BB_ADDRESS);
}

BB_INLINE int
bb_get_port_inline(const struct bb_value *v, uint16_t *number, enum bb_protocol *protocol)
{
    return bb_inline_port(v->p, v->bytes, number, protocol) ? 0 : bb_inline_refuse(v, BB_PORT);
}

/* ---- reading one after the other --------------------------------------------------------------- */

/* The end of each bb_next_...(): past the value if it was as wanted, else why it was not. */
BB_INLINE int
bb_inline_step(struct bb_iter *it, int taken, size_t bytes, enum bb_type type)
{
    if (BB_UNLIKELY(!taken)) {
        return bb_inline_refuse_next(it, type);
    }
    it->rest.p += bytes;
    it->rest.bytes -= bytes;
    it->left--;
    return 0;
}

BB_INLINE int
bb_next_boolean_inline(struct bb_iter *it, int *out)
{
    int taken = it->left != 0 && bb_inline_boolean(it->rest.p, it->rest.bytes, out);
    return bb_inline_step(it, taken, 8, BB_BOOLEAN);
}

BB_INLINE int
bb_next_count_inline(struct bb_iter *it, uint64_t *out)
{
    int taken = it->left != 0 && bb_inline_word(it->rest.p, it->rest.bytes, BB_COUNT, out);
    return bb_inline_step(it, taken, 16, BB_COUNT);
}

BB_INLINE int
bb_next_integer_inline(struct bb_iter *it, int64_t *out)
{
    uint64_t word;
    int taken = it->left != 0 && bb_inline_word(it->rest.p, it->rest.bytes, BB_INTEGER, &word);
    if (taken) {
        *out = (int64_t)word;
    }
    return bb_inline_step(it, taken, 16, BB_INTEGER);
}

BB_INLINE int
bb_next_real_inline(struct bb_iter *it, double *out)
{
    uint64_t word;
    int taken = it->left != 0 && bb_inline_word(it->rest.p, it->rest.bytes, BB_REAL, &word);
    if (taken) {
        memcpy(out, &word, sizeof(word));
    }
    return bb_inline_step(it, taken, 16, BB_REAL);
}

BB_INLINE int
bb_next_timestamp_inline(struct bb_iter *it, int64_t *wall_ns)
{
    uint64_t word;
    int taken = it->left != 0 && bb_inline_word(it->rest.p, it->rest.bytes, BB_TIMESTAMP, &word);
    if (taken) {
        *wall_ns = (int64_t)word;
    }
    return bb_inline_step(it, taken, 16, BB_TIMESTAMP);
}

BB_INLINE int
bb_next_timespan_inline(struct bb_iter *it, int64_t *span_ns)
{
    uint64_t word;
    int taken = it->left != 0 && bb_inline_word(it->rest.p, it->rest.bytes, BB_TIMESPAN, &word);
    if (taken) {
        *span_ns = (int64_t)word;
    }
    return bb_inline_step(it, taken, 16, BB_TIMESPAN);
}

/* The padding has to be there too, as another value follows it or the container ends. */
BB_INLINE int
bb_inline_next_text(struct bb_iter *it, enum bb_type type, const char **s, size_t *bytes)
{
    const char *text = NULL;
    size_t text_bytes = 0;
    size_t window = it->left != 0 ? it->rest.bytes & ~(size_t)7 : 0;
    int taken = bb_inline_text(it->rest.p, window, type, &text, &text_bytes);
    if (taken) {
        *s = text;
        *bytes = text_bytes;
    }
    return bb_inline_step(it, taken, bb_inline_pad8(8 + text_bytes), type);
}

BB_INLINE int
bb_next_string_inline(struct bb_iter *it, const char **s, size_t *bytes)
{
    return bb_inline_next_text(it, BB_STRING, s, bytes);
}

BB_INLINE int
bb_next_enum_inline(struct bb_iter *it, const char **s, size_t *bytes)
{
    return bb_inline_next_text(it, BB_ENUM, s, bytes);
}

BB_INLINE int
bb_next_address_inline(struct bb_iter *it, uint8_t ip[16])
{
    int taken = it->left != 0 && bb_inline_address(it->rest.p, it->rest.bytes, ip);
    return bb_inline_step(it, taken, 24, BB_ADDRESS);
}

BB_INLINE int
bb_next_port_inline(struct bb_iter *it, uint16_t *number, enum bb_protocol *protocol)
{
    int taken = it->left != 0 && bb_inline_port(it->rest.p, it->rest.bytes, number, protocol);
    return bb_inline_step(it, taken, 8, BB_PORT);
}

/* ---- events ------------------------------------------------------------------------------------ */

/*
 * The plain event: name, arguments up to its very end, no metadata.  Each head, less the one that is expected
 * with the least length, has to be no more than what is left: so type and bounds are one compare.
 */
BB_INLINE int
bb_inline_event_open(struct bb_event *out, const unsigned char *p, size_t bytes)
{
    if (BB_UNLIKELY(bytes - 40 > INT32_MAX)) {
        return 0;
    }
    uint64_t more = bb_inline_once64(p) - BB_INLINE_HEAD(40, BB_VECTOR); /* than an empty one has */
    if (BB_UNLIKELY(more > bytes - 40 || bb_inline_get64(p + 8) != 2)) {
        return 0;
    }
    more &= ~UINT64_C(7);
    uint64_t name_bytes = bb_inline_once64(p + 16) - BB_INLINE_HEAD(8, BB_STRING);
    if (BB_UNLIKELY(name_bytes > more)) {
        return 0;
    }
    const unsigned char *args = p + 24 + bb_inline_pad8(name_bytes);
    size_t args_bytes = 16 + (more - bb_inline_pad8(name_bytes));
    uint64_t count = bb_inline_once64(args + 8);
    if (BB_UNLIKELY(bb_inline_get64(args) != BB_INLINE_HEAD(args_bytes, BB_VECTOR)
                    || count > args_bytes / 8)) {
        return 0;
    }
    out->name = (const char *)p + 24;
    out->name_bytes = name_bytes;
    out->arg_count = (uint32_t)count;
    out->args.p = args;
    out->args.bytes = args_bytes;
    out->metadata.p = NULL;
    out->metadata.bytes = 0;
    return 1;
}

BB_INLINE int
bb_event_open_inline(struct bb_event *out, const void *data, size_t bytes)
{
    if (bb_inline_event_open(out, (const unsigned char *)data, bytes)) {
        return 0;
    }
    struct bb_event ev;
    int rc = bb_event_open(&ev, data, bytes);
    if (rc != 0) {
        return rc < 0 ? rc : BB_ECORRUPT; /* never the latter, but so the compiler knows it */
    }
    *out = ev;
    return 0;
}

BB_INLINE uint32_t
bb_event_args_inline(struct bb_iter *it, const struct bb_event *ev)
{
    it->rest.p = ev->args.p + 16;
    it->rest.bytes = ev->args.bytes - 16;
    it->left = ev->arg_count;
    return ev->arg_count;
}

#    define bb_build_init(...)     bb_build_init_inline(__VA_ARGS__)
#    define bb_build_end(...)      bb_build_end_inline(__VA_ARGS__)
#    define bb_put_none(...)       bb_put_none_inline(__VA_ARGS__)
#    define bb_put_boolean(...)    bb_put_boolean_inline(__VA_ARGS__)
#    define bb_put_count(...)      bb_put_count_inline(__VA_ARGS__)
#    define bb_put_integer(...)    bb_put_integer_inline(__VA_ARGS__)
#    define bb_put_real(...)       bb_put_real_inline(__VA_ARGS__)
#    define bb_put_timestamp(...)  bb_put_timestamp_inline(__VA_ARGS__)
#    define bb_put_timespan(...)   bb_put_timespan_inline(__VA_ARGS__)
#    define bb_put_string(...)     bb_put_string_inline(__VA_ARGS__)
#    define bb_put_enum(...)       bb_put_enum_inline(__VA_ARGS__)
#    define bb_put_address(...)    bb_put_address_inline(__VA_ARGS__)
#    define bb_put_port(...)       bb_put_port_inline(__VA_ARGS__)
#    define bb_event_begin(...)    bb_event_begin_inline(__VA_ARGS__)
#    define bb_event_end(...)      bb_event_end_inline(__VA_ARGS__)
#    define bb_get_boolean(...)    bb_get_boolean_inline(__VA_ARGS__)
#    define bb_get_count(...)      bb_get_count_inline(__VA_ARGS__)
#    define bb_get_integer(...)    bb_get_integer_inline(__VA_ARGS__)
#    define bb_get_real(...)       bb_get_real_inline(__VA_ARGS__)
#    define bb_get_timestamp(...)  bb_get_timestamp_inline(__VA_ARGS__)
#    define bb_get_timespan(...)   bb_get_timespan_inline(__VA_ARGS__)
#    define bb_get_string(...)     bb_get_string_inline(__VA_ARGS__)
#    define bb_get_enum(...)       bb_get_enum_inline(__VA_ARGS__)
#    define bb_get_address(...)    bb_get_address_inline(__VA_ARGS__)
#    define bb_get_port(...)       bb_get_port_inline(__VA_ARGS__)
#    define bb_next_boolean(...)   bb_next_boolean_inline(__VA_ARGS__)
#    define bb_next_count(...)     bb_next_count_inline(__VA_ARGS__)
#    define bb_next_integer(...)   bb_next_integer_inline(__VA_ARGS__)
#    define bb_next_real(...)      bb_next_real_inline(__VA_ARGS__)
#    define bb_next_timestamp(...) bb_next_timestamp_inline(__VA_ARGS__)
#    define bb_next_timespan(...)  bb_next_timespan_inline(__VA_ARGS__)
#    define bb_next_string(...)    bb_next_string_inline(__VA_ARGS__)
#    define bb_next_enum(...)      bb_next_enum_inline(__VA_ARGS__)
#    define bb_next_address(...)   bb_next_address_inline(__VA_ARGS__)
#    define bb_next_port(...)      bb_next_port_inline(__VA_ARGS__)
#    define bb_event_open(...)     bb_event_open_inline(__VA_ARGS__)
#    define bb_event_args(...)     bb_event_args_inline(__VA_ARGS__)

#    ifdef __cplusplus
}
#    endif
#endif
#endif
