# SPDX-License-Identifier: BSD-3-Clause
"""Claim, commit and take of shm/ring_write.c and shm/ring_read.c (R1, R2, R3), with a lossy reader.

Two descriptors, two places for payload of two words each, so that every message overwrites another.  What a
reader believes must be whole and must be the message that it asked for.
"""

from explorer import Model, finds, holds

BUSY, FIRST, C = 100, 2, 2
TORN = "a validated message is not whole"
MIXED = "fields of another message"


def publisher(count, quantum=0, claims=True, claims_late=False, marks_busy=True):
    last = FIRST + count
    at = lambda name, n: "%s%d" % (name, n % 2)

    def more(m, r):
        return "end" if r.n == last else None

    def raise_watermark(m, r):
        if r.n + 1 > r.claim:
            r.claim = r.n + 1 + quantum
            m.store("claim", r.claim)

    def mark(m, r):
        m.store(at("seq", r.n), BUSY + r.n)

    def commit(m, r):
        m.store(at("seq", r.n), r.n)
        r.n += 1
        return "loop"

    steps = ["loop:", more]
    steps += [raise_watermark] if claims and not claims_late else []
    steps += [mark] if marks_busy else []
    steps += [lambda m, r: m.store(at("head", r.n), r.n), lambda m, r: m.store(at("back", r.n), r.n)]
    steps += [raise_watermark] if claims_late else []
    steps += [lambda m, r: m.store(at("pos", r.n), r.n), commit]
    return steps, {"n": FIRST, "claim": FIRST}


def reader(count, checks=True, checks_before=False, looks_again=True):
    last = FIRST + count
    at = lambda name, n: "%s%d" % (name, n % 2)

    def more(m, r):
        r.tries -= 1
        return "end" if r.cursor == last or r.tries == 0 else None

    def look(m, r):
        v = m.load(at("seq", r.cursor))
        if v == r.cursor:
            return None
        return "lapped" if v % BUSY > r.cursor else "loop"

    def fields(m, r):
        r.pos = m.load(at("pos", r.cursor))

    def same(m, r):
        if m.load(at("seq", r.cursor)) != r.cursor:
            return "lapped"
        m.must(r.pos == r.cursor, MIXED)
        return None

    def is_whole(m, r):
        return "lapped" if m.load("claim") - r.pos > C else None

    def head(m, r):
        r.head = m.load(at("head", r.pos))

    def back(m, r):
        r.back = m.load(at("back", r.pos))

    def believe(m, r):
        m.must(r.head == r.cursor and r.back == r.cursor, TORN)
        r.cursor += 1
        return "loop"

    def skip(m, r):
        r.cursor += 1
        return "loop"

    steps = ["loop:", more, look, fields]
    steps += [same] if looks_again else []
    steps += [is_whole] if checks_before else []
    steps += [head, back]
    steps += [is_whole] if checks else []
    steps += [believe, "lapped:", skip]
    return steps, {"cursor": FIRST, "tries": count + 4, "pos": 0, "head": 0, "back": 0}


def build(count=4, quantum=0, reads=None, **writes):
    shared = {"claim": FIRST}
    for i in range(2):
        for name in ("seq", "pos", "head", "back"):
            shared["%s%d" % (name, i)] = i
    return Model(shared, [publisher(count, quantum, **writes), reader(count, **(reads or {}))])


holds("ring: lapped reader, watermark to the byte", build)
holds("ring: lapped reader, watermark in steps", lambda: build(quantum=1))
finds("ring: no look at the watermark", TORN, lambda: build(reads={"checks": False}))
finds("ring: the watermark looked at only before the copy", TORN,
      lambda: build(reads={"checks": False, "checks_before": True}))
finds("ring: the watermark raised after the bytes", TORN, lambda: build(claims_late=True))
finds("ring: no second look at the number", TORN, lambda: build(reads={"looks_again": False}))
finds("ring: no BUSY before the fields change", MIXED, lambda: build(marks_busy=False))
