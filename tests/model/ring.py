# SPDX-License-Identifier: BSD-3-Clause
"""Claim, commit and take of shm/ring_write.h and shm/ring_read.c (R1, R2, R3), with bursts (shm/burst.h).

A few descriptors and a few places for payload of two words each.  The publisher begins bursts, grows the one that is
open, and flushes, wherever it may.  The reader does what bbi_reader_turn() and bbi_reader_turn_slowly() do, and
forgets at any moment which burst it is in, as after a pause or a seek.  What it believes must be whole, the message
that it asked for, and of the burst that it was told; what it gives up must be gone.  A lossy reader may be lapped; a
reliable one, which publishes its cursor, never.  That a burst ends where the payload ring does is left out: it only
takes bursts away.
"""

from explorer import Model, finds, holds

BUSY = 100
TORN = "a validated message is not whole"
MIXED = "fields of another message"
FOREIGN = "a message is taken for one of another burst"
GIVEN_UP = "a message that is there is given up"
UNSEEN = "a message that is there is waited for"
UNCOUNTED = "a message is seen that is not counted"
OVERRUN = "a reliable reader is overrun"


class Shape:
    """D descriptors, C places, each of two words or one; the first message is number D."""

    def __init__(self, count, depth, places, batch, words):
        self.depth, self.places, self.batch, self.words = depth, places, batch, words
        self.first, self.last = depth, depth + count

    def desc(self, name, n):
        return "%s%d" % (name, n % self.depth)

    def byte(self, name, pos):
        return "%s%d" % (name, pos % self.places)

    def find(self, load, n):
        """bbi_burst_find() at one moment: where the burst of n begins, or None."""
        if load(self.desc("seq", n)) % BUSY > n or load(self.desc("seq", n)) == BUSY + n:
            return None
        for at in range(n, max(n - self.batch, self.first - 1), -1):
            if load(self.desc("seq", at)) == at:
                return at if n <= at + load(self.desc("more", at)) else None
        return None

    def is_there(self, load, n):
        return self.find(load, n) is not None and load("claim") - n <= self.places


def publisher(s, quantum=0, claims=True, claims_late=False, marks_busy=True, grows_late=True, flush_ends=True,
              counts=None, is_reliable=False, limit_by=("burst", "open")):
    """counts: None, "before" or "after" the commit.  limit_by: whose descriptor is protected for a cursor."""
    def more(m, r):
        if r.n == s.last:
            return "end"
        r.grows = bool(r.open) and r.n - r.flushed < s.batch and m.either()
        return None

    def wait_for_room(m, r):  # a limit holds until it is met
        if r.n < r.limit:
            return
        c = m.load("cursor")
        first = (r.open or c) if c == r.n else s.find(m.load, c)
        m.must(first is not None, OVERRUN)
        if ("open" if c == r.n else "burst") not in limit_by:
            first = c
        r.limit = min(first + s.depth, c + s.places) if first is not None else 0
        m.stuck = r.n >= r.limit

    def raise_watermark(m, r):
        if r.n + 1 > r.claim:
            r.claim = r.n + 1 + quantum
            m.store("claim", r.claim)

    def fill_head(m, r):
        m.store(s.byte("head", r.n), r.n)

    def fill_back(m, r):
        m.store(s.byte("back", r.n), (r.n, r.open if r.grows else r.n))

    def count(m, r):
        m.store("count", r.n + 1 - s.first)

    def branch(m, r):
        return "grow" if r.grows else None

    def mark(m, r):
        m.store(s.desc("seq", r.n), BUSY + r.n)

    def commit(m, r):
        m.store(s.desc("seq", r.n), r.n)
        r.open = r.n
        return "done"

    def grow(m, r):
        if r.grows:
            m.store(s.desc("more", r.open), r.n - r.open)

    def step(m, r):
        r.n += 1
        r.grows = False
        return None if r.n - r.flushed == s.batch or m.either() else "loop"

    def flush(m, r):
        m.store("tail", r.n)
        r.flushed = r.n
        r.open = 0 if flush_ends else r.open
        return "loop"

    steps = ["loop:", more]
    steps += [wait_for_room] if is_reliable else []
    steps += [raise_watermark] if claims and not claims_late else []
    steps += [] if grows_late else [grow]
    steps += [fill_head, fill_back] if s.words == 2 else [fill_back]
    steps += [raise_watermark] if claims_late else []
    steps += [count] if counts == "before" else []
    steps += [branch]
    steps += [mark] if marks_busy else []
    steps += [lambda m, r: m.store(s.desc("pos", r.n), r.n), lambda m, r: m.store(s.desc("more", r.n), 0), commit]
    steps += ["grow:"] + ([grow] if grows_late else [])
    steps += ["done:"] + ([count] if counts == "after" else []) + [step, flush]
    return steps, {"n": s.first, "claim": s.first, "flushed": s.first, "open": 0, "grows": False, "limit": 0}


def load_burst(s, looks_again):
    """bbi_burst_load() of r.at: goes on at r.ret with r.got, r.word, r.more, r.pos."""
    def number(m, r):
        r.got, r.word = False, m.load(s.desc("seq", r.at))
        return None if r.word == r.at else r.ret

    def flags(m, r):
        r.more = m.load(s.desc("more", r.at))

    def fields(m, r):
        r.pos = m.load(s.desc("pos", r.at))
        r.got = not looks_again
        return None if looks_again else r.ret

    def same(m, r):
        r.got = m.load(s.desc("seq", r.at)) == r.at
        m.must(not r.got or r.pos == r.at, MIXED)
        return r.ret

    return ["load:", number, flags, fields, same]


def find_amid(s, looks_for_growth):
    """find_amid() of the cursor: goes on at r.after with r.got.  It begins with the burst that is known, if that
    ends at the cursor; else at the cursor, and then before it."""
    def load(r, at, ret):
        r.at, r.ret = at, ret
        return "load"

    def begin(m, r):
        if r.count and r.first + r.count == r.cursor:
            r.got = False
            return load(r, r.first, "known") if looks_for_growth else r.after
        return load(r, r.cursor, "found")

    def is_within(r):
        r.got = r.got and r.cursor <= r.at + r.more
        return r.after

    def found(m, r):
        if r.got:
            return is_within(r)
        if r.at == r.cursor and r.word % BUSY >= r.cursor:
            return r.after
        before = r.at - 1
        return load(r, before, "found") if r.cursor - before < s.batch and before >= s.first else r.after

    return ["amid:", begin, "known:", lambda m, r: is_within(r), "found:", found]


def turn_slowly(s, retries):
    def load(r, ret):
        r.at, r.ret = r.cursor, ret
        return "load"

    def amid(r, after):
        r.after = after
        return "amid"

    def slowly(m, r):
        r.seen = r.word
        r.is_lapped = r.seen == r.cursor or r.seen % BUSY > r.cursor
        return "tail" if r.is_lapped else amid(r, "was_amid")

    def was_amid(m, r):
        return "turn_to" if r.got else None

    def tail(m, r):
        r.at, r.ret = m.load("tail"), "tailed"
        return "load"

    def tailed(m, r):
        if r.got:
            r.at += r.more + 1
            return "load"
        r.tail = r.at
        return load(r, "again") if retries and not r.is_lapped and r.cursor < r.tail else "not_ready"

    def again(m, r):
        r.seen = r.word
        return "turn_to" if r.got else amid(r, "is_amid")

    def is_amid(m, r):
        return "turn_to" if r.got else "not_ready"

    def not_ready(m, r):
        if r.seen == r.cursor or r.seen % BUSY > r.cursor or r.cursor < r.tail:
            return "lost"
        m.must(not r.was_over, UNSEEN)
        return "loop"

    def turn_to(m, r):
        return "lost" if m.load("claim") - (r.pos + r.cursor - r.at) > s.places else "turn"

    return ["slowly:", slowly, "was_amid:", was_amid, "tail:", tail, "tailed:", tailed, "again:", again,
            "is_amid:", is_amid, "not_ready:", not_ready, "turn_to:", turn_to]


def reader(s, checks=True, checks_before=False, looks_again=True, looks_for_growth=True, retries=True,
           forgets=True, looks_at_count=False, is_reliable=False):
    idle = {"at": 0, "ret": "", "after": "", "got": False, "word": 0, "more": 0, "pos": 0, "seen": 0, "tail": 0,
            "is_lapped": False, "was_over": False, "head": True, "back": 0, "burst": 0}

    def begin(m, r):
        r.update(idle)
        if r.cursor == s.last:
            return "end"
        if r.count and forgets and m.either():
            r.first = r.count = 0
        if r.cursor < r.first + r.count:
            return "use"
        r.at, r.ret, r.was_over = r.cursor, "looked", m.is_gone(0)
        return "load"

    def looked(m, r):
        return None if r.got else "slowly"

    def turn(m, r):
        r.first, r.count, start = r.at, r.more + 1, r.pos
        m.must(start == r.at, MIXED)
        r.update(idle)

    def is_counted(m, r):
        m.must(m.load("count") >= r.first + r.count - s.first, UNCOUNTED)

    def is_whole(m, r):
        return "lost" if m.load("claim") - r.cursor > s.places else None

    def head(m, r):
        r.head = m.load(s.byte("head", r.cursor)) == r.cursor

    def back(m, r):
        r.back, r.burst = m.load(s.byte("back", r.cursor))

    def believe(m, r):
        if not r.head or r.back != r.cursor:
            m.must(False, TORN)
        else:
            m.must(r.burst == r.first, FOREIGN)
        return "pass"

    def lost(m, r):
        m.must(not is_reliable, OVERRUN)
        m.must(r.cursor < m.other(0, "n") and not s.is_there(m.peek, r.cursor), GIVEN_UP)
        return "pass"

    def step(m, r):
        r.cursor += 1
        if is_reliable:
            m.store("cursor", r.cursor)
        return "loop"

    steps = ["loop:", begin, "looked:", looked, "turn:", turn, "use:"]
    steps += [is_counted] if looks_at_count else []
    steps += [is_whole] if checks_before else []
    steps += [head, back] if s.words == 2 else [back]
    steps += [is_whole] if checks else []
    steps += [believe, "lost:", lost, "pass:", step]
    steps += load_burst(s, looks_again) + find_amid(s, looks_for_growth) + turn_slowly(s, retries)
    return steps, dict(idle, cursor=s.first, first=0, count=0)


def build(count=4, depth=2, places=2, batch=2, words=2, reads=None, **writes):
    s = Shape(count, depth, places, batch, words)
    shared = {"claim": s.first, "tail": s.first, "cursor": s.first, "count": 0}
    for i in range(depth):
        shared.update({s.desc("seq", i): 0, s.desc("pos", i): 0, s.desc("more", i): 0})
    for i in range(places):
        shared.update({s.byte("head", i): 0, s.byte("back", i): (0, 0)})
    return Model(shared, [publisher(s, **writes), reader(s, **(reads or {}))])


RELIABLE = {"is_reliable": True, "forgets": False}


def described(count=3, reads=None, **how):
    """What descriptors say, with payload of one word."""
    return build(count, words=1, reads=reads, **how)


def reliable(**how):
    return described(4, RELIABLE, is_reliable=True, **how)


holds("ring: lapped reader, bursts of one, watermark in steps",
      lambda: build(4, batch=1, quantum=1, reads={"forgets": False}))
holds("ring: lapped reader, bursts that grow, watermark to the byte", lambda: build(3))
holds("ring: what is seen is counted",
      lambda: described(counts="before", reads={"looks_at_count": True, "forgets": False}))
holds("ring: a reliable reader amid bursts", reliable)
finds("ring: no look at the watermark", TORN, lambda: build(3, reads={"checks": False}))
finds("ring: the watermark looked at only before the copy", TORN,
      lambda: build(3, reads={"checks": False, "checks_before": True}))
finds("ring: the watermark raised after the bytes", TORN, lambda: build(3, claims_late=True))
finds("ring: no second look at the number", MIXED, lambda: build(3, reads={"looks_again": False}))
finds("ring: no BUSY before the fields change", MIXED, lambda: build(3, marks_busy=False))
finds("ring: a burst grows before the payload is there", TORN, lambda: described(grows_late=False))
finds("ring: a burst that outlives the flush", UNSEEN, lambda: described(flush_ends=False))
finds("ring: no look whether the burst has grown", GIVEN_UP,
      lambda: described(reads={"looks_for_growth": False, "forgets": False}))
finds("ring: no second look after the tail", GIVEN_UP, lambda: described(reads={"retries": False}))
finds("ring: counted after the commit", UNCOUNTED,
      lambda: described(counts="after", reads={"looks_at_count": True}))
finds("ring: the slot of a reliable cursor protected, not its burst's", OVERRUN,
      lambda: reliable(limit_by=("open",)))
finds("ring: at our own number nothing of the open burst protected", OVERRUN,
      lambda: reliable(limit_by=("burst",)))
