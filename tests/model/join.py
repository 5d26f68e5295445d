# SPDX-License-Identifier: BSD-3-Clause
"""A reliable join against a publisher at full speed: shm/join.c and take_up() of shm/audience.c (R4, R5).

The joiner reads nothing, the worst case: from its start on no descriptor may be overwritten.  The publisher looks
at the epoch once in a batch; whom it notices it protects at the tail of the flush before, until it has mapped
that file at a later flush and read the cursor.
"""

from explorer import Model, finds, holds

GONE = "a message at or after the start is overwritten"


def publisher(last, depth, batch, fence, has_floor=True):
    def more(m, r):
        if r.n == last or r.n >= r.limit:
            return "refresh" if r.known == 2 and r.n < last else "end"
        m.store("d%d" % (r.n % depth), r.n)
        r.n += 1
        r.inside += 1
        return "loop" if r.inside < batch else None

    def refresh(m, r):  # the limit is met: look at the cursor again, never back
        r.cursor = max(r.cursor, min(m.load("cursor"), r.n))
        r.limit = r.cursor + depth
        return "end" if r.n >= r.limit else "loop"

    def flush(m, r):
        r.before, r.flushed, r.inside = r.flushed, r.n, 0
        m.store("tail", r.n)

    def look(m, r):
        if r.known == 0 and m.load("epoch"):
            r.known, r.floor = 1, r.before if has_floor else 0
            if has_floor:
                r.limit = r.floor + depth
                return "loop"  # its file is mapped at the next flush
            return None
        return None if r.known == 1 else "loop"

    def map_it(m, r):
        c = max(m.load("cursor"), depth)
        r.known, r.cursor = 2, c if r.n - c < depth else max(c, r.floor)
        r.limit = r.cursor + depth
        return "loop"

    steps = ["loop:", more, "flush:", flush]
    if fence:
        steps.append(lambda m, r: m.fence())
    steps += [look, map_it, "refresh:", refresh]
    return steps, {"n": depth, "inside": 0, "known": 0, "floor": 0, "flushed": depth, "before": depth,
                   "limit": 1 << 20, "cursor": 0}


def joiner(depth, barrier, second_look=True, looks=3):
    def start(m, r):
        r.start = m.load("tail")

    def bump(m, r):
        m.exchange("epoch", lambda v: 1)

    def watch(m, r):
        m.must(m.load("d%d" % (r.start % depth)) <= r.start, GONE)
        r.looks -= 1
        return "watch" if r.looks else "end"

    steps = [start, lambda m, r: m.store("cursor", r.start), bump]
    steps += [lambda m, r: m.fence()]
    steps += [lambda m, r: m.membarrier()] if barrier else []
    steps += [start] if second_look else []
    steps += [lambda m, r: m.store("cursor", r.start), "watch:", watch]
    return steps, {"start": 0, "looks": looks}


def build(depth=4, batch=1, last=14, fence=True, barrier=False, second_look=True, has_floor=True):
    shared = {"d%d" % i: i for i in range(depth)}
    shared.update(tail=depth, cursor=0, epoch=0)
    return Model(shared, [publisher(last, depth, batch, fence, has_floor),
                          joiner(depth, barrier, second_look)])


holds("join: batch of 1, fence", build)
holds("join: batch of 1, membarrier", lambda: build(fence=False, barrier=True))
holds("join: batch of a quarter, fence", lambda: build(8, 2, 22))
holds("join: batch of a quarter, membarrier", lambda: build(8, 2, 22, fence=False, barrier=True))
finds("join: a batch larger than the ring", GONE, lambda: build(4, 8, 24))
finds("join: the start read before the epoch is raised", GONE, lambda: build(second_look=False))
finds("join: neither fence nor membarrier", GONE, lambda: build(fence=False))
