#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""tests/fuzz/seeds.py - writes the first inputs of every fuzzer: tests/fuzz/corpus/NAME/seed-*.

Each seed is a good input of the fuzzer's own form, or one that breaks a single rule.  What a fuzzer found
later lies beside them under other names, and is left alone.  The files are checked in; run this after
changing a fuzzer's form.  Only Python's standard library.
"""
import os
import struct
import sys

NONE, BOOLEAN, COUNT, INTEGER, REAL, STRING, ADDRESS, SUBNET = range(8)
PORT, TIMESTAMP, TIMESPAN, ENUM, SET, TABLE, VECTOR = range(8, 15)
IPV4 = bytes(10) + b"\xff\xff"


# ---- the native form ------------------------------------------------------------------------------

def head(size, kind, a=0, b=0):
    return struct.pack("<IBBH", size, kind, a, b)


def pad(data):
    return data + bytes(-len(data) % 8)


def word(kind, raw):
    return head(16, kind) + raw


def native_string(text, kind=STRING):
    return pad(head(8 + len(text), kind) + text)


def native_container(kind, *values):
    count = len(values) // (2 if kind == TABLE else 1)
    body = b"".join(values)
    return head(16 + len(body), kind) + struct.pack("<II", count, 0) + body


def native_count(n):
    return word(COUNT, struct.pack("<Q", n))


def native_message(kind, content):
    return native_container(VECTOR, native_count(1), native_count(kind), content)


def native_values():
    ip = head(24, ADDRESS) + IPV4 + bytes([10, 0, 0, 1])
    net = head(24, SUBNET, 104) + IPV4 + bytes([10, 0, 0, 0])
    event = native_container(
        VECTOR, native_string(b"Lab::tick"), native_container(VECTOR, native_count(7), ip),
        native_container(VECTOR, native_container(VECTOR, native_count(1),
                                                  word(TIMESTAMP, struct.pack("<q", 5)))))
    write = native_container(VECTOR, native_string(b"Conn::LOG", ENUM), native_string(b"W", ENUM),
                             native_string(b"conn"), native_string(b"\0\1"))
    message = native_message(1, event)
    yield "none", head(8, NONE)
    yield "boolean", head(8, BOOLEAN, 1)
    yield "count", native_count(2 ** 64 - 1) + native_count(3)
    yield "integer", word(INTEGER, struct.pack("<q", -5))
    yield "real", word(REAL, struct.pack("<d", -2.5))
    yield "nan", word(REAL, struct.pack("<d", float("nan")))
    yield "inf", word(REAL, struct.pack("<d", float("-inf")))
    yield "string", native_string(b"a\"\\\x01\xc3\xbc\xff")
    yield "string-cut", head(11, STRING) + b"abc"
    yield "address", ip
    yield "subnet", net
    yield "port", head(8, PORT, 1, 80)
    yield "timespan", word(TIMESPAN, struct.pack("<q", -1500))
    yield "enum", native_string(b"Notice::LOG", ENUM)
    yield "set", native_container(SET, native_count(1), native_count(2), native_string(b"x"))
    yield "set-unsorted", native_container(SET, native_count(2), native_count(1))
    yield "set-twice", native_container(SET, native_count(2), native_count(2))
    yield "table", native_container(TABLE, native_string(b"k"), ip, native_string(b"l"), net)
    yield "event", event
    yield "message", message
    yield "batch", native_message(5, native_container(
        VECTOR, message, native_message(4, native_container(VECTOR, native_string(b"id"), ip)),
        native_message(5, native_container(VECTOR, native_message(3, write)))))
    yield "count-too-large", head(24, VECTOR) + struct.pack("<II", 2 ** 32 - 1, 0) + head(8, NONE)
    yield "overlap", head(32, VECTOR) + struct.pack("<II", 1, 0) + head(32, VECTOR) + bytes(8)
    # The last string's padding is missing inside the container.
    yield "unaligned", head(35, VECTOR) + struct.pack("<II", 2, 0) + head(8, NONE) + head(11, STRING) + b"abc"
    deep = b""
    for _ in range(300):
        deep = native_container(VECTOR, deep) if deep else native_container(VECTOR)
    yield "deep", deep


def seeds_value():
    for name, data in native_values():
        yield name, b"\0" + data
        # The same while it changes: lengths, types and counts in the first words.
        patches = bytes([4]) + struct.pack("<HBHBHBHB", 16, 40, 4, 12, 8, 0xff, 24, 0xff)
        yield name + "-changing", patches + data


# ---- binary v1 ------------------------------------------------------------------------------------

def varbyte(n):
    out = b""
    while n >= 0x80:
        out += bytes([n & 0x7f | 0x80])
        n >>= 7
    return out + bytes([n])


def seeds_binary():
    count = b"\x02" + struct.pack(">Q", 258)
    text = b"\x05" + varbyte(2) + b"hi"
    ip = b"\x06" + IPV4 + bytes([10, 1, 2, 3])
    net = b"\x07" + IPV4 + bytes([10, 1, 2, 3, 104])
    port = b"\x08\x00\x50\x01"
    yield "none", b"\x00"
    yield "boolean", b"\x01\x01"
    yield "count", count
    yield "integer", b"\x03" + struct.pack(">q", -2)
    yield "real", b"\x04" + struct.pack(">d", 1.5)
    yield "real-inf", b"\x04\xff\xf0" + bytes(6)
    yield "real-nan", b"\x04" + b"\xff" * 8
    yield "real-subnormal", b"\x04" + bytes(7) + b"\x01"
    yield "string", text
    yield "string-200", b"\x05" + varbyte(200) + b"s" * 200
    yield "address", ip
    yield "subnet", net
    yield "subnet-129", net[:-1] + b"\x81"
    yield "port", port
    yield "port-4", port[:-1] + b"\x04"
    yield "timestamp", b"\x09" + struct.pack(">q", 10 ** 18)
    yield "timespan", b"\x0a" + struct.pack(">q", -1)
    yield "enum", b"\x0b\x03A:B"
    yield "set", b"\x0c\x03" + text + count + b"\x00"
    yield "set-twice", b"\x0c\x02" + text + text
    yield "table", b"\x0d\x02" + text + b"\x0c\x00" + ip + b"\x0e\x01" + net
    yield "vector", b"\x0e\x05" + count + port + net + text + b"\x01\x00"
    yield "deep-255", b"\x0e\x01" * 254 + b"\x0e\x00"
    yield "deep-256", b"\x0e\x01" * 255 + b"\x0e\x00"
    yield "count-2-32", b"\x0e\x80\x80\x80\x80\x10" + bytes(5)
    yield "count-2-31", b"\x0c\x80\x80\x80\x80\x08" + bytes(5)
    yield "varbyte-12", b"\x05" + b"\x80" * 12 + b"\x01"
    yield "varbyte-long", b"\x05\x82\x80\x00hi"
    yield "truncated", count[:-1]
    yield "trailing", b"\x00\x00"


# ---- JSON v1 and text -----------------------------------------------------------------------------

def typed(kind, data):
    return b'{"@data-type":"' + kind + b'","data":' + data + b"}"


def seeds_json():
    count = typed(b"count", b"18446744073709551615")
    text = typed(b"string", b'"a\\"\\\\\\u00fc\\ud83d\\ude00\\n"')
    yield "none", typed(b"none", b"{}")
    yield "boolean", typed(b"boolean", b"true")
    yield "count", count
    yield "count-real", typed(b"count", b"1.0")
    yield "integer", typed(b"integer", b"-9223372036854775808")
    yield "real", typed(b"real", b"-1.25e-3")
    yield "real-inf", typed(b"real", b'"-inf"')
    yield "real-nan", typed(b"real", b'"nan(7ff8000000000001)"')
    yield "string", text
    yield "string-surrogate", typed(b"string", b'"\\udcff\\udc80"')
    yield "address", typed(b"address", b'"2001:db8::1"')
    yield "subnet", typed(b"subnet", b'"10.0.0.0/8"')
    yield "port", typed(b"port", b'"80/tcp"')
    yield "timestamp", typed(b"timestamp", b'"2026-01-02T03:04:05.678901234Z"')
    yield "timestamp-zone", typed(b"timestamp", b'"2026-01-02T03:04:05+02:00"')
    yield "timespan", typed(b"timespan", b'"-5ms"')
    yield "enum", typed(b"enum-value", b'"A::B"')
    yield "set", typed(b"set", b"[" + count + b"," + text + b"]")
    yield "set-twice", typed(b"set", b"[" + count + b"," + count + b"]")
    yield "table", typed(b"table", b'[{"key":' + text + b',"value":' + count + b"}]")
    yield "vector", b" " + typed(b"vector", b" [ " + text + b" , " + count + b" ] ") + b"\n"
    yield "other-order", b'{"data":3,"@data-type":"count"}'
    yield "other-member", b'{"@data-type":"count","data":3,"x":1}'
    yield "no-type", b'{"data":3}'
    yield "garbage", b"[garbage"
    deep = typed(b"none", b"{}")
    for _ in range(5):
        deep = typed(b"vector", b"[" + deep + b"]")
    yield "deep-5", deep
    yield "none-deep", typed(b"none", b"[" * 5000 + b"]" * 5000)
    yield "real-17", typed(b"real", b"0.10000000000000001234")
    yield "deep-cut", b'{"@data-type":"vector","data":[' * 300


def seeds_text():
    texts = [
        b"nil", b"T", b"5", b"-5", b"+5", b"2.5", b"1e300", b"-inf", b"nan", b"10.0.0.1", b"2001:db8::1",
        b"10.0.0.0/8", b"::/0", b"80/tcp", b"1/?", b"300ms", b"-2h", b"5d", b"plain words", b"\xff\x00\x01",
        b"{1, 2}", b"{a -> 1, b -> (x)}", b"(1, 2, (nil))", b"{}", b"()", b"2026-01-02T03:04:05.678Z",
        b"18446744073709551616", b"-9223372036854775809", b"-007", b"200000000000d", b"{1, 1}", b"(1, 2", b"(" * 300, b"A::B", typed(b"count", b"7"),
    ]
    for i, text in enumerate(texts):
        yield "any-%02d" % i, b"\xff" + text
    for kind, text in enumerate([b"nil", b"F", b"7", b"-7", b"7.5", b"s", b"::1", b"::/1", b"53/udp",
                                 b"5ns", b"-5ms", b"A::B", b"{1}", b"{1 -> 2}", b"(1)"]):
        yield "type-%02d" % kind, bytes([kind]) + text
        yield "type-%02d-wrong" % kind, bytes([kind]) + b"no such value"


# ---- filters, dictionary, pcap --------------------------------------------------------------------

def seeds_filters():
    def step(what, text, flags=0):
        return bytes([what, flags, len(text)]) + text
    add, remove, match = 2, 1, 0
    yield "cover", b"\0" + step(add, b"/foo/bar") + step(add, b"/foo") + step(match, b"/foo/x") + step(
        remove, b"/foo") + step(match, b"/foo/x")
    yield "path", b"\0" + step(add, b"a/b", 1) + step(match, b"a/bc") + step(add, b"a/b/", 0)
    yield "scope", b"\0" + step(add, b"a", 2) + step(add, b"a", 4) + step(remove, b"a", 2)
    yield "empty", b"\0" + step(add, b"") + step(match, b"<$>x") + step(add, b"<$>") + step(match, b"<$>x")
    yield "reserved", b"\0" + step(match, b"<$>") + step(add, b"<") + step(match, b"<$>")

    def table(count, size, *items):
        body = b"".join(struct.pack("<HH", len(i), 1) + i for i in items)
        size = len(body) if size is None else size
        return b"\1\1" + struct.pack("<II", count, size) + body
    yield "table", table(3, None, b"a/b", b"", b"zeek/")
    yield "table-empty", table(0, None)
    yield "table-short", table(3, None, b"a/b")
    yield "table-long", table(1, 2 ** 32 - 1, b"a/b")
    yield "table-many", table(2 ** 32 - 1, None, b"a", b"b")


def seeds_dictionary():
    page = 4096

    def poke(place, data):
        assert place % 8 == 0 and len(data) % 8 == 0 and len(data) <= 256
        return b"\0" + struct.pack("<HB", place // 8, len(data) // 8 - 1) + data
    # The offsets follow from the geometry of a ring of 64 messages, 4 KiB, 16 topics and 256 bytes of text.
    topics = poke(page + 0x180, struct.pack("<II", 2, 0))
    tail = poke(page + 0x80, struct.pack("<QQ", 66, 64))
    far = poke(page + 0x80, struct.pack("<QQ", 2 ** 63 + 7, 2 ** 40))
    every = b"".join(bytes([what, argument]) for what in range(1, 11) for argument in (0, 1, 3, 200))
    yield "fresh", every
    # The first message is found overwritten; what was lost is settled by counters that say 65.
    lapped = poke(0x3000, struct.pack("<QQII", 128, 0, 32, 0) + bytes(8)) + poke(
        page + 0x80, struct.pack("<QQ", 129, 64)) + poke(page + 0x228, struct.pack("<Q", 65))
    yield "settled", lapped + bytes([10, 1, 5, 0, 5, 1]) + every
    yield "topic-too-long", topics + poke(0x2000, struct.pack("<QQIIQ", 0, 0, 200, 100, 0)) + bytes([3, 0, 8, 1])
    yield "topics", topics + tail + every
    yield "far-tail", far + every
    yield "many-topics", poke(page + 0x180, b"\xff" * 8) + every
    # Beside the cursor, before, at and behind it: bursts that are too long, too large, gone, being written.
    for distance in (20, 31, 32, 33, 40):
        for name, form, more, size, pos in (
                ("good", 0x80, 3, 64, 0), ("beyond", 0x80, 15, 512, 1024), ("end", 0x80, 1, 16, 4080),
                ("many", 0x80, 400, 0, 64), ("spilled", 0x90, 15, 8, 8), ("busy", 0xa0, 7, 8, 0),
                ("gone", 0xc0, 7, 8, 0)):
            burst = bytes([11, distance, form]) + struct.pack("<HHH", more, size, pos)
            yield "burst-%s-%d" % (name, distance), bytes([8, 15]) + burst + bytes(
                [10, 2, 12, 9, 0, 10, 40]) + every
    yield "geometry", b"".join(poke(264 + 8 * i, b"\xff" * 8) + b"\1\0" for i in range(14))
    for place in range(0x3000, 0x8000, 0x400):
        yield "poke-%04x" % place, topics + tail + poke(place, struct.pack("<QQII", 64, 0, 32, 0) * 2 + bytes(
            16)) + every



def hostile_burst(distance, form, more, size, pos):
    return bytes([distance, form]) + struct.pack("<HHH", more, size, pos)


def seeds_visit():
    # Where a reader may begin: at the first message, below it, before numbers wrap, before their signs change.
    for at in (64, 62, 0, 2 ** 64 - 4, 2 ** 64 - 40, 2 ** 63 - 4):
        for copies in (0, 1):
            start = bytes([copies]) + struct.pack("<Q", at)
            for name, form, more, size, pos in (
                    ("good", 0x80, 15, 8, 0), ("large", 0x80, 3, 1024, 0), ("empty", 0x80, 15, 0, 64),
                    ("many", 0x80, 400, 8, 0), ("spilled", 0x90, 15, 8, 8)):
                yield "%s-%x-%d" % (name, at, copies), start + b"\1" + hostile_burst(32, form, more, size, pos) + bytes(
                    [5, 0, 5, 1, 4, 0, 5, 70, 2]) + struct.pack("<H", more + 3) + bytes([5, 9, 5, 70]) + b"\1" + hostile_burst(
                        32, form, more, size, pos + 64) + bytes([5, 70, 5, 71])


def frame(*parts):
    data = b"".join(parts)
    return struct.pack("<H", len(data)) + data


def seeds_pcap():
    def tcp(flags, seq, ack, ports=(4000, 80)):
        return struct.pack(">HHIIBBHHH", *ports, seq, ack, 0x50, flags, 1000, 0, 0)

    def ipv4(payload, protocol=6, src=b"\x0a\0\0\1", dst=b"\x0a\0\0\2", frag=0):
        return struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), 1, frag, 64, protocol,
                           0) + src + dst + payload

    def ipv6(payload, next_header=6):
        return struct.pack(">IHBB", 6 << 28, len(payload), next_header, 64) + bytes(15) + b"\1" + bytes(
            15) + b"\2" + payload
    mac = b"\2" * 12
    syn = ipv4(tcp(2, 1, 0))
    answer = ipv4(tcp(0x12, 9, 2, (80, 4000)), src=b"\x0a\0\0\2", dst=b"\x0a\0\0\1")
    udp = ipv4(struct.pack(">HHHH", 53, 53, 8, 0), 17)
    ethernet = mac + b"\x08\0"
    yield "handshake", b"\0" + frame(ethernet, syn) + frame(ethernet, answer)
    yield "vlan", b"\0" + frame(mac, b"\x81\0\0\5\x88\xa8\0\6\x08\0", syn)
    yield "snap", b"\0" + frame(mac, b"\0\x30\xaa\xaa\3\0\0\0\x08\0", syn)
    yield "ipv6", b"\0" + frame(mac, b"\x86\xdd", ipv6(tcp(2, 1, 0)))
    yield "extension", b"\0" + frame(mac, b"\x86\xdd", ipv6(b"\x06\0" + bytes(6) + tcp(2, 1, 0), 0))
    yield "fragment", b"\0" + frame(ethernet, ipv4(tcp(2, 1, 0), frag=5))
    yield "loopback", b"\1" + frame(b"\2\0\0\0", udp) + frame(b"\0\0\0\2", udp)
    yield "raw", b"\2" + frame(syn) + frame(ipv6(tcp(2, 1, 0)))
    yield "sll", b"\3" + frame(bytes(14), b"\x08\0", udp)
    yield "sll2", b"\4" + frame(b"\x08\0", bytes(18), udp)
    yield "short", b"\0" + b"".join(frame((ethernet + syn)[:n]) for n in range(0, 54, 3))
    packet = ethernet + syn
    record = struct.pack("<IIII", 1, 2, len(packet), len(packet)) + packet
    top = struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1)
    yield "file", b"\xff" + top + record * 2
    yield "file-swapped", b"\xff" + struct.pack(">IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1)
    yield "file-cut", b"\xff" + top + record[:-5]
    yield "file-long", b"\xff" + top + struct.pack("<IIII", 1, 2, 2 ** 31, 9) + packet
    block = struct.pack("<IIIHHq", 0x0a0d0d0a, 28, 0x1a2b3c4d, 1, 0, -1) + struct.pack("<I", 28)
    interface = struct.pack("<IIHHII", 1, 20, 1, 0, 0, 20)
    padded = packet + bytes(-len(packet) % 4)
    size = 32 + len(padded)
    enhanced = struct.pack("<IIIIIII", 6, size, 0, 0, 5, len(packet), len(packet)) + padded + struct.pack(
        "<I", size)
    yield "pcapng", b"\xff" + block + interface + enhanced


def seeds_store_command():
    key = native_string(b"a key")
    count = native_count(5)
    none = b""

    def command(op, key, value=none, index=none, expire=0, if_version=0):
        return struct.pack("<6IqQ", op, 0, len(key), len(value), len(index), 0, expire,
                           if_version) + key + value + index

    def commands(*parts, kind=1, flags=0, number=1, answered=0):
        return b"\0" + struct.pack("<IIQQII", kind, flags, number, answered, len(parts), 0) + b"".join(parts)

    def answer(*results):
        return b"\1" + struct.pack("<QQII", 1, 9, len(results), 0) + b"".join(results)

    def result(code, value=none):
        return struct.pack("<iIQII", code, 1, 9, len(value), 0) + value

    table = native_container(TABLE, key, count)
    number_set = native_container(SET, *[native_count(i) for i in range(20)])
    vector = native_container(VECTOR, count, key)
    yield "put", commands(command(1, key, count, expire=5), command(3, key, table, if_version=7))
    yield "numbers", commands(command(1, key, count), command(6, key, count), command(7, key, count))
    yield "strings", commands(command(1, count, key), command(8, count, key))
    yield "set", commands(command(1, key, number_set), command(9, key, index=native_count(7)),
                          command(1, key, number_set), command(10, key, index=native_count(7)))
    yield "table", commands(command(1, key, table), command(9, key, count, key), command(10, key, index=key))
    yield "vector", commands(command(1, key, vector), command(11, key, count), command(1, key, vector),
                             command(12, key), flags=1)
    yield "others", commands(command(4, key), command(5, none), command(13, key, expire=-1), command(14, key))
    yield "read", commands(command(64, key), command(65, none, index=key, if_version=9), command(66, key), kind=4)
    yield "bye", commands(kind=6, number=9, answered=8)
    yield "count-too-large", commands(command(4, key))[:25] + b"\xff\xff" + commands(command(4, key))[27:]
    yield "cut", commands(command(1, key, vector))[:-8]
    yield "answer", answer(result(0, count), result(-17), result(0, vector))
    yield "answer-cut", answer(result(0, vector))[:-4]


def link_message(topic=b"t", data=b"payload", flags=3, seq=1):
    origin = struct.pack("<Q16sQIB", 7, b"box", 9, 3, 4) + b"work" if flags & 1 else b""
    text = topic if flags & 2 else b""
    return struct.pack("<IHHBBBBQq", len(data), 0, len(text), flags, 0, 32, 0, seq, 5) + origin + text + data


def link_parts(*parts):
    return b"".join(struct.pack("<HH", tag, len(value)) + value for tag, value in parts)


def link_gap(first, last, messages):
    ring = struct.pack("<Q16sQIB", 7, b"box", 9, 3, 4) + b"work" + struct.pack("<QQQQ", 1, messages, messages, 100)
    return struct.pack("<QQQQII", last, messages, 0, 100, 1, 1) + ring


def seeds_frame():
    number = lambda n: struct.pack("<Q", n)
    hello = link_parts((1, bytes(16)), (2, number(5)), (3, b"lab"), (4, b"box"), (5, number(1)),
                       (6, number(1 << 18)), (7, number(1 << 20)), (8, bytes(16)), (99, b"new"))
    yield "hello", b"\1" + hello
    yield "hello-twice", b"\1" + hello + link_parts((2, number(6)))
    yield "welcome", b"\2" + link_parts((16, bytes(16)), (17, number(1) * 2), (18, number(1 << 20) * 2))
    yield "close", b"\3" + struct.pack("<HH", 8, 3) + b"why"
    yield "pong", b"\5" + bytes(16) + b"echo"
    yield "interest", b"\7" + struct.pack("<BBBBH", 0, 1, 1, 0, 5) + b"conn/" + struct.pack("<BBBBH", 1, 0, 0, 0, 0)
    yield "messages", b"\x10" + link_message() + link_message(flags=0, seq=2) + link_message(b"other", b"", 2, 3)
    yield "gap", b"\x12" + link_gap(1, 9, 9)
    yield "frame", b"\0" + bytes(8) + struct.pack("<IBBHQ", 24, 4, 0, 24, 0)
    preface = b"\xbbbuslnk\n" + struct.pack("<HHI", 1, 1, 0)
    yield "preface", b"\xff" + preface
    yield "version", b"\xff" + preface[:8] + struct.pack("<HHI", 2, 3, 0)
    yield "tls", b"\xff\x16\3\1\0\x10"
    yield "http", b"\xffGET / HTTP/1.1"
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../data/link1/frames.txt")) as file:
        frames = dict(line.split() for line in file)
    for name, text in frames.items():
        yield "golden-" + name, b"\0" + bytes.fromhex(text)
    yield "golden-greeting", b"\xff" + bytes.fromhex(frames["preface"] + frames["hello"])


def lz4_block(head, zeros):
    """head, then so many zeros (at least 25), as one LZ4 block."""
    def more(n):
        return bytes([255] * ((n - 15) // 255) + [(n - 15) % 255]) if n >= 15 else b""
    literals, match = head + b"\0", zeros - 1 - 5
    token = min(len(literals), 15) << 4 | min(match - 4, 15)
    return bytes([token]) + more(len(literals)) + literals + b"\1\0" + more(match - 4) + b"\x50" + bytes(5)


def seeds_session():
    def said(kind, body, ahead=0, flags=1):
        return struct.pack("<BBBbH", 0, kind, flags, ahead, len(body)) + body

    def batch(*messages):
        body = b"".join(messages)
        return struct.pack("<II", len(messages), len(body)) + body
    up = b"\0\0" + b"\x08\1" + b"\x09\0\0\0\x20" + b"\6\x3f\1"
    offers = b"\3\x20\x10" + b"\6\x3f\1" + b"\x0a\x10\0\1" + b"\6\x3f\1"
    again = b"\7" + b"\x08\1" + b"\x09\1\1\1\x20" + b"\6\x3f\1"
    data = said(16, batch(link_message(), link_message(flags=0, seq=2)))
    interest = struct.pack("<QI", 1, 3) + struct.pack("<BBBBH", 0, 0, 0, 0, 1) + b"a"
    whole = link_message(data=bytes(200))
    chunks = said(17, struct.pack("<QQ", len(whole), 0) + whole[:100]) + said(
        17, struct.pack("<QQ", len(whole), 100) + whole[100:])
    long = link_message(data=bytes(200))
    block = lz4_block(long[:-200], 200)
    packed = said(16, struct.pack("<II", 1, len(long)) + block, flags=3)
    yield "up", up
    yield "compressed", b"\x81" + up[1:] + packed + offers + b"\7" + b"\x08\0" + b"\x09\1\1\1\x20" + packed
    yield "offers", up + offers
    yield "resume", up + offers + again + offers
    yield "restart", up + offers + b"\7" + b"\x08\0" + b"\x09\0\0\0\x20" + b"\6\x3f\1"
    yield "flood", up + b"\3\xff\x13" * 6 + b"\6\x3f\1" * 4 + b"\x0a\xff\xff\1" + b"\6\x3f\1" * 8
    yield "long", b"\0\3" + up[2:] + b"\3\1\xff" + b"\6\x3f\1" * 4 + b"\x0a\xff\xff\1" + b"\6\x3f\1" * 4
    yield "data", up + data + data + said(18, link_gap(1, 9, 9)) + b"\6\x3f\1"
    yield "old", up + data + said(16, batch(link_message(), link_message(flags=0, seq=2)), -1)
    yield "ahead", up + said(16, batch(link_message()), 5)
    yield "chunks", up + chunks + b"\6\x3f\1"
    yield "interests", up + said(7, interest) + b"\4\0\3abc\4\4\3abc\4\2\2de" + b"\6\x3f\1"
    yield "known", up + b"\4\0\3abc" + b"\6\x3f\1" + said(8, struct.pack("<Q", 1))
    yield "ping", up + said(4, b"echo") + b"\6\x3f\1" + said(5, bytes(32))
    yield "silence", up + b"\5\x0b\6\x3f\1\5\x0b\6\x3f\1\5\xff\6\x3f\1"
    yield "lost", up + b"\x0b\1\5" + offers + b"\x0b\1\5\x0b\2\7" + b"\6\x3f\1"
    yield "closed", up + said(3, struct.pack("<HH", 8, 3) + b"why") + again
    yield "disconnect", b"\2\0" + up[2:] + b"\3\xff\x13" * 4 + b"\6\x3f\1" + again


def seeds_rights():
    """The text of a rights file."""
    yield "two", b'allow * publish ""\ndeny a publish /x'
    yield "quoted", b'# remark\n\nallow a* publish,route "\\x00\\"\\\\ b" # x\r\n'
    yield "reserved", b"deny a subscribe,store-read,store-write <$>/x\nallow a store-read <$>/xy\n"
    yield "open-quote", b'allow a publish "x'


# ---- messages from other boxes --------------------------------------------------------------------


def origin(node=b"worker-1", box=b"north", size=None, magic=0x316F6262, names=None, payload=b"payload!"):
    names = names if names is not None else node + b"\0" + box + b"\0"
    whole = 64 + len(pad(names))
    return (struct.pack("<IIQq16sQQIBBBB", magic, whole if size is None else size, 7, 1700000000 * 10**9,
                        bytes(range(16)), 77, 9 << 16 | 3, 12, 1, 30, len(node), len(box))
            + pad(names) + payload)


def link(kind=12, node=b"north", said=b"twelve are missing", node_bytes=None, text_bytes=None):
    return (struct.pack("<IIQQQII", kind, 33, 12, 3, 4096, len(node) if node_bytes is None else node_bytes,
                        len(said) if text_bytes is None else text_bytes) + node + said)


def seeds_bridged():
    def step(what, data):
        return struct.pack("<BH", what, len(data)) + data

    longest = b"n" * 63
    yield "origin", step(0, origin())
    yield "origin-longest", step(0, origin(longest, longest))
    yield "origin-nameless", step(0, origin(b"", b""))
    yield "origin-two-nodes", step(0, origin()) + step(0, origin(b"worker-2")) + step(0, origin())
    yield "origin-too-long", step(0, origin(b"n" * 64))
    yield "origin-short", step(0, origin()[:40])
    yield "origin-no-nul", step(0, origin(names=b"x" * 16))
    yield "origin-beyond", step(0, origin(size=4096))
    yield "origin-odd", step(0, origin(size=81))
    yield "origin-magic", step(0, origin(magic=1))
    yield "origin-larger", step(0, origin(size=88))
    for kind in (8, 9, 10, 11, 12, 7, 13):
        yield "link-%d" % kind, step(1, link(kind))
    yield "link-empty", step(1, link(8, b"", b""))
    yield "link-longest", step(1, link(12, b"n" * 255, b"s" * 400))
    yield "link-beyond", step(1, link(node_bytes=2**32 - 1))
    yield "link-text-beyond", step(1, link(text_bytes=19))


def seeds_bridge_words():
    """Requests to busbard and its answers: tables by name, their keys in order."""
    def table(**fields):
        """A tuple holds a value that is native already."""
        put = {int: native_count, bytes: native_string, tuple: lambda native: native[0]}
        return native_container(TABLE, *(part for key in sorted(fields) for part in (
            native_string(key.encode()), put[type(fields[key])](fields[key]))))

    def integer(n):
        return (word(INTEGER, struct.pack("<q", n)),)

    link = table(address=b"[::1]:4711", name=b"box-2", box=bytes(range(16)), state=2, dialed=1, slow=1,
                 last=b"why", sent=7, retry_in_ns=integer(-1), cipher=b"none")
    info = table(name=b"box-1", box=bytes(range(16)), engine=b"epoll", engine_why=b"w" * 300, pid=integer(7))
    yield "peer", table(request=b"peer", host=b"box-2", port=4711, name=b"n", flags=1, slow=2,
                        queue_bytes=1 << 20, wait_ns=integer(10 ** 10))
    yield "listen", table(request=b"listen", host=b"*")
    yield "links", table(request=b"links", max=3, colour=b"green")
    yield "known", table(request=b"known", wait_ns=integer(2 ** 63 - 1))
    yield "long-host", table(request=b"unpeer", host=b"h" * 120, port=1)
    yield "wrong-type", table(request=b"unpeer", host=7, port=1)
    yield "answer", table(code=integer(-111), sentence=b"why not", port=1, count=2,
                          links=(native_container(VECTOR, link, link),), info=(info,))
    yield "wrong-answer", table(links=(native_container(VECTOR, native_count(1)),), info=b"no table")
def seeds_tls_records():
    """Two ends of ours and what happens between them; or a stranger's bytes into one."""
    talk = b"\0\0\1\0" * 8
    for how, name in ((0, "keys"), (1, "certificates")):
        yield name, bytes([how]) + talk
        yield name + "-pieces", bytes([how]) + b"\6\2\7\3" * 60
        yield name + "-changed", bytes([how]) + b"\0\0\x09\5\1\x40" + talk
        yield name + "-changed-later", bytes([how]) + talk + b"\x08\1\0\1" + talk
        yield name + "-put-in", bytes([how]) + talk + b"\x0a\0\5\x17\3\3\0\0" + talk
        yield name + "-left-out", bytes([how]) + talk + b"\x0c\1" + talk
        yield name + "-goodbye", bytes([how]) + talk + b"\x0e\0\0\0\1\0"
    # A ClientHello of TLS 1.3 without extensions, one of 1.2, an alert, another protocol, a length beyond a record.
    hello = struct.pack(">BHBBHH", 22, 0x301, 0, 43, 1, 0)[:5] + b"\1\0\0\x27\3\3" + bytes(32) + b"\0\0\2\x13\1\1\0"
    for side, name in ((2, "client"), (6, "server")):
        for how in (0, 1):
            yield "%s-%d-hello" % (name, how), bytes([side | how]) + bytes([len(hello) - 1]) + hello
            yield "%s-%d-alert" % (name, how), bytes([side | how]) + b"\6\x15\3\3\0\2\2\x28"
            yield "%s-%d-http" % (name, how), bytes([side | how]) + b"\x0fGET / HTTP/1.1\r\n"
            yield "%s-%d-long" % (name, how), bytes([side | how]) + b"\xff\x16\3\1\xff\xff" + bytes(300)
            yield "%s-%d-busbar" % (name, how), bytes([side | how]) + b"\x0f\xbbbuslnk\n" + bytes(8)


def main():
    here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus")
    seeds = {name[6:]: made for name, made in globals().items() if name.startswith("seeds_")}
    for fuzzer, made in sorted(seeds.items()):
        folder = os.path.join(here, fuzzer)
        os.makedirs(folder, exist_ok=True)
        for old in os.listdir(folder):
            if old.startswith("seed-"):
                os.remove(os.path.join(folder, old))
        count = 0
        for name, data in made():
            with open(os.path.join(folder, "seed-" + name), "wb") as file:
                file.write(data)
            count += 1
        print("%s: %d seeds" % (fuzzer, count))
    return 0


if __name__ == "__main__":
    sys.exit(main())
