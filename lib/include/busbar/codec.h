/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * busbar/codec.h - values in other forms: text, JSON v1, Broker's binary v1, Zeek's messages.
 *
 * Reading    bb_put_...() read a foreign form and write the native one with a builder, so a value can be
 *            decoded straight into a loan.  What is refused sticks in the builder as BB_EINVAL, and the
 *            caller's struct bb_codec_error says where and why.  A builder that only measures learns of a
 *            duplicate when it has a buffer.  In a builder that has failed before, nothing is read.
 * Writing    bb_value_...() are like snprintf: at most cap bytes, the size of the whole form returned.
 * Safety     The input is hostile: any bytes are refused or read, never trusted.  Nothing recurses and
 *            nothing is allocated; containers nest at most BB_VALUE_DEPTH deep.
 * Threads    Pure functions over the caller's memory; any thread.
 * Source     Broker 2: JSON v1 and binary v1 as its format/json and format/bin write them.
 */
#ifndef BUSBAR_CODEC_H
#define BUSBAR_CODEC_H

#include <busbar/status.h>
#include <busbar/value.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a decoder did not like.  Written only on failure; may be NULL. */
struct bb_codec_error {
    size_t offset;      /* of the byte in the input at which it was noticed */
    char sentence[160]; /* one English sentence, without the offset */
};

/* ---- text -------------------------------------------------------------------------------------- */

enum { BB_TYPE_ANY = -1 };

/*
 * bb_put_text - the text form, as bb_value_text() and people write it; no blanks around it.
 *
 * With BB_TYPE_ANY the type is what the text looks like: nil, T and F, 5 (count), -5 and +5 (integer), 2.5 and
 * 1e3, 10.0.0.1, 10.0.0.0/8, 80/tcp, 300ms (units ns us ms s m min h d), "in quotes" with \" \\ \n \r \t \xNN,
 * JSON v1, {1, 2}, {a -> 1}, (1, 2), {} (a set); anything else is a string.  What looks like a number but does
 * not fit, and what begins with a bracket or a quote and does not end as it should, is refused: quotes make it
 * a string.  Inside brackets blanks around an element are not its, and a string needs quotes if it holds
 * , ( ) { } " or, inside braces, ->.
 *
 * With a type it has to be of that type.  Strings and enums stand as they are, without quotes; numbers need no
 * sign or point; reals are also inf, -inf and nan, a timestamp 2018-07-07T01:12:38.459 with or without zone.
 *
 * Back from text     The text of a value gives the same value with BB_TYPE_ANY if it is none, a boolean, count,
 *                    negative integer, address, subnet, port, timespan, a finite real that six decimals hold, a
 *                    string that looks like nothing else, or a vector, set (of one or more) or table (of one or
 *                    more) of these with its strings as above.  With its own type also any integer, string,
 *                    enum, timestamp, infinity and the empty table.
 */
BB_API void bb_put_text(
    struct bb_builder *b, int type, const char *text, size_t bytes, struct bb_codec_error *error);

/*
 * bb_type_name - "count" ... as JSON v1 has it ("enum-value"); NULL if there is no such type.
 * bb_type_parse - the type, or BB_EINVAL; it knows "enum" too.
 */
BB_API const char *bb_type_name(int type);
BB_MUST_USE BB_API int bb_type_parse(const char *name);

/* ---- JSON v1 ----------------------------------------------------------------------------------- */

/*
 * bb_put_json - {"@data-type":TYPE,"data":DATA} with nothing but blanks around it; other members are refused.
 *
 * Takes what Broker writes and takes, and what bb_value_json() and bb_value_json_exact() write: members in any
 * order, the data of a none whatever it is, times with a zone or without (UTC), spans in ns us ms s min h d,
 * bare and quoted inf and nan, \v, bytes that are not UTF-8.  More liberal than Broker: a real may be a whole
 * number.  Stricter: a control character in a string is refused, and \uXXXX has to be a character or a byte.
 * A text in which more than 32 values nest whose members come in the other order is refused when reading those
 * twice would come to more than 32 times the text and 16 MiB.
 */
BB_API void
bb_put_json(struct bb_builder *b, const char *json, size_t bytes, struct bb_codec_error *error);

/*
 * bb_value_json_exact - JSON v1 that loses nothing: reals with as many digits as they need, times in
 * nanoseconds where milliseconds do not do, a byte that is not UTF-8 as \udcXX (a lone surrogate, as Python's
 * "surrogateescape"), a NaN as "nan" or, with other bits than the usual one, "nan(HEX)".
 */
BB_MUST_USE BB_API int64_t bb_value_json_exact(const struct bb_value *v, char *out, size_t cap);

/* ---- Broker's binary v1 ------------------------------------------------------------------------ */

/*
 * bb_put_binary - one value in Broker's binary v1, which must fill bytes.  Sets and tables may come in any
 * order, but not with duplicates.  Infinities are swapped there, as Broker's packer swaps them.
 */
BB_API void
bb_put_binary(struct bb_builder *b, const void *data, size_t bytes, struct bb_codec_error *error);
BB_MUST_USE BB_API int64_t bb_value_binary(const struct bb_value *v, void *out, size_t cap);

/* ---- native ------------------------------------------------------------------------------------ */

/* bb_value_explain - bb_value_check() in words: 0, or BB_ECORRUPT and *error. */
BB_MUST_USE BB_API int bb_value_explain(const struct bb_value *v, struct bb_codec_error *error);

/* ---- Zeek's messages --------------------------------------------------------------------------- */

/*
 * What Zeek's scripts exchange inside Broker: the vector (count 1, count TYPE, content).  An event's content
 * is busbar's event: string name, vector arguments, and perhaps vector metadata.
 */
enum bb_zeek_type {
    BB_ZEEK_EVENT = 1,
    BB_ZEEK_LOG_CREATE = 2,
    BB_ZEEK_LOG_WRITE = 3,
    BB_ZEEK_IDENTIFIER_UPDATE = 4,
    BB_ZEEK_BATCH = 5,
};

struct bb_zeek_msg {
    int type;                /* enum bb_zeek_type */
    struct bb_value content; /* batch: a vector of messages, which may be batches again */
    struct bb_event event;   /* EVENT */
};

/*
 * bb_zeek_open - reads a message in place and checks its shape; one bad member makes the whole batch bad.
 * Returns   0; BB_ETYPE it is a value but no such message; BB_ECORRUPT.
 */
BB_MUST_USE BB_API int bb_zeek_open(struct bb_zeek_msg *out, const struct bb_value *v);
/* bb_zeek_next - the next message of a batch that is no batch itself, nested ones opened; BB_EEND. */
struct bb_zeek_iter {
    struct bb_iter levels[16]; /* batches in batches */
    uint32_t depth;
};
BB_MUST_USE BB_API int bb_zeek_iter_open(struct bb_zeek_iter *it, const struct bb_zeek_msg *batch);
BB_MUST_USE BB_API int bb_zeek_next(struct bb_zeek_iter *it, struct bb_zeek_msg *out);
/*
 * bb_zeek_begin, bb_zeek_end - wrap what is put between them: an event (bb_event_begin to bb_event_end), or
 * for BB_ZEEK_BATCH any number of messages, each begun and ended.
 */
BB_API void bb_zeek_begin(struct bb_builder *b, enum bb_zeek_type type);
BB_API void bb_zeek_end(struct bb_builder *b);

#ifdef __cplusplus
}
#endif
#endif
