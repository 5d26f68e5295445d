# SPDX-License-Identifier: BSD-3-Clause
"""A publisher that waits for a reliable reader: wait_for_room() and bbi_join_publish() (R4, R9).

Limits: n below the cursor plus D, and bytes up to the position of the message at the cursor plus C.  When the
cursor equals n that descriptor still holds an old message: then the publisher's own position counts.
"""

from explorer import ASLEEP, Model, finds, holds

STUCK = "the publisher sleeps for ever"
OVER = "a reliable reader is overrun"


def publisher(count, depth, room, fence=True, look_twice=True, bell_first=True, own_pos=True):
    """Message n takes one place of `room`; descriptor n mod depth remembers its position n."""
    def limit(r, cursor):
        old = r.n - depth if own_pos is False and cursor == r.n else cursor
        return min(cursor + depth, old + room)

    def more(m, r):
        return "end" if r.n == count else None

    def look(m, r):
        r.cursor = m.load("cursor")
        return "write" if r.n < limit(r, r.cursor) else None

    def block(m, r):
        m.store("blocked", 1)

    def read_bell(m, r):
        r.bell = m.load("bell")

    def look_again(m, r):
        r.cursor = m.load("cursor")
        return "room" if r.n < limit(r, r.cursor) else None

    def unblock(m, r):
        m.store("blocked", 0)
        return "loop"

    def write(m, r):
        m.must(r.n - m.other(1, "read") < min(depth, room), OVER)
        r.n += 1
        m.store("tail", r.n)
        return "loop"

    steps = ["loop:", more, look, block]
    steps += [lambda m, r: m.fence()] if fence else []
    steps += [read_bell] if bell_first else []
    steps += [look_again] if look_twice else []
    steps += [read_bell] if not bell_first else []
    steps += [lambda m, r: m.sleep("bell", r.bell), "room:", unblock, "write:", write]
    return steps, {"n": 0, "cursor": 0, "bell": 0}


def reader(count, every, fence=True):
    def wait(m, r):
        if r.read == count:
            return "end"
        m.stuck = m.load("tail") <= r.read
        r.read += 1
        r.kept += 1
        return "wait" if r.kept < every and r.read < count else None

    def publish(m, r):
        m.store("cursor", r.read)
        r.kept = 0

    def look(m, r):
        return None if m.load("blocked") else "wait"

    def ring(m, r):
        m.exchange("bell", lambda v: v + 1)

    def wake(m, r):
        m.wake(0)
        return "wait"

    steps = ["wait:", wait, publish]
    steps += [lambda m, r: m.fence()] if fence else []
    steps += [look, ring, wake]
    return steps, {"read": 0, "kept": 0}


def build(count=5, depth=2, room=2, every=1, reader_fence=True, **how):
    shared = {"cursor": 0, "blocked": 0, "bell": 0, "tail": 0}

    def final(words, owns, statuses, over):
        return STUCK if statuses[0] == ASLEEP or not all(over) else None

    return Model(shared, [publisher(count, depth, room, **how), reader(count, every, reader_fence)],
                 final)


holds("back-pressure: 2 descriptors", build)
holds("back-pressure: 1 descriptor", lambda: build(4, 1, 1))
holds("back-pressure: cursor published every 2", lambda: build(6, 2, 2, 2))
holds("back-pressure: 4 descriptors, bytes for 2", lambda: build(7, 4, 2))
finds("back-pressure: no fence after the cursor", STUCK, lambda: build(reader_fence=False))
finds("back-pressure: no fence after blocked", STUCK, lambda: build(fence=False))
finds("back-pressure: no second look", STUCK, lambda: build(look_twice=False))
finds("back-pressure: the bell read after the second look", STUCK, lambda: build(bell_first=False))
finds("back-pressure: the old message's position when the cursor equals n", STUCK,
      lambda: build(7, 4, 2, own_pos=False))
