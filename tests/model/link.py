# SPDX-License-Identifier: BSD-3-Clause
"""The stream of a link over cuts (lib/bridge: session_control.c, queue.c): acknowledging, resuming, restarting.

A writer sends three messages, a reader delivers and acknowledges.  The transport is cut between any two steps: what
is on its way on the old one is read or lost, and each side notices in its own time.  A transport begins with a
WELCOME of each side.  The reader's says its life and what it holds of the stream, the writer's where the stream
begins that it still has.  The writer keeps what is not acknowledged.  When the reader restarts it holds nothing; what
its earlier life may have had is told as one gap.  Every message must be delivered once, by whatever life, or be told.
"""

from explorer import Model, finds, holds

MESSAGES = 3
TWICE = "a message is delivered twice"
HOLE = "a message is missing, and nobody is told"
STUCK = "both wait for each other"


def push(m, channel, frame):
    m.exchange(channel, lambda q: q + (frame,))


def pull(m, channel):
    """The oldest frame, or None."""
    before = m.exchange(channel, lambda q: q[1:])
    return before[0] if before else None


def notices_cut(m, r):
    cuts = m.load("cuts")
    if cuts == r.seen:
        return False
    r.seen, r.up = cuts, False
    return True


def writer(keeps=True, on_restart="gap"):
    """todo: what is not acknowledged, (first, last, is a gap); at: of them, handed to this transport."""

    def hear(m, r):
        if notices_cut(m, r):
            r.at = 0
            return "say"
        if not r.todo and keeps:
            return "end"
        frame = pull(m, "to_writer%d" % r.seen)
        if frame is not None:
            take(r, frame)
            return "hear"
        if r.up and r.at < len(r.todo):
            return "send"
        m.stuck = not m.is_gone(1)
        return "end"

    def take(r, frame):
        received = frame[-1]
        if frame[0] == "welcome":
            r.up = True
            restarted = r.life not in (0, frame[1]) and r.sent > r.acked
            r.life = frame[1]
            if restarted:
                r.todo = after_restart(r)
                r.sent = r.acked
                return
        r.acked = max(r.acked, received)
        kept = tuple(i for i in r.todo if i[1] > r.acked)
        r.at = max(0, r.at - (len(r.todo) - len(kept)))
        r.todo = kept

    def after_restart(r):
        gone = tuple(i for i in r.todo if i[1] <= r.sent)
        rest = r.todo[len(gone):]
        if on_restart == "gap":
            return ((gone[0][0], gone[-1][1], True),) + rest
        return rest if on_restart == "nothing" else r.todo

    def say(m, r):
        push(m, "to_reader%d" % r.seen, ("welcome", r.acked + 1))
        return "hear"

    def send(m, r):
        item = r.todo[r.at]
        push(m, "to_reader%d" % r.seen, item)
        r.sent = max(r.sent, item[1])
        if keeps:
            r.at += 1
        else:
            r.todo = r.todo[1:]
        return "hear"

    todo = tuple((n, n, False) for n in range(1, MESSAGES + 1))
    return (["say:", say, "hear:", hear, "send:", send],
            {"todo": todo, "at": 0, "acked": 0, "sent": 0, "life": 0, "seen": 0, "up": False})


def reader(dedupes=True, fresh=True):
    def begin(m, r):
        """WELCOME holds what was received until then; the old transport is not read any more."""
        restarts = m.load("restarts")
        if restarts + 1 != r.life:
            r.life, r.held, r.knows = restarts + 1, 0, False
        r.says = r.held
        return "say" if fresh or r.seen == 0 else "late"

    def late(m, r):
        """Not fresh: one more frame of the old transport is read after that."""
        frame = pull(m, "to_reader%d" % (r.seen - 1))
        if frame is not None and r.knows:
            take(m, r, frame)
        return None

    def say(m, r):
        push(m, "to_writer%d" % r.seen, ("welcome", r.life, r.says))
        return "hear"

    def hear(m, r):
        if notices_cut(m, r):
            return "begin"
        frame = pull(m, "to_reader%d" % r.seen)
        if frame is None:
            m.stuck = not m.is_gone(0)
            return "end"
        return take(m, r, frame)

    def take(m, r, frame):
        if frame[0] == "welcome":
            if not r.knows:
                r.held, r.knows = frame[1] - 1, True
            return "hear"
        first, last, is_gap = frame
        if last <= r.held and dedupes:
            return "hear"
        m.must(first <= r.held + 1, HOLE)
        before = m.exchange("told", lambda t: t + (frame,))
        m.must(is_gap or frame not in before, TWICE)
        r.held = max(r.held, last)
        return "ack"

    def ack(m, r):
        push(m, "to_writer%d" % r.seen, ("ack", r.held))
        return "hear"

    return (["begin:", begin, lambda m, r: "say", "late:", late, "say:", say, "hear:", hear, "ack:", ack],
            {"life": 1, "held": 0, "knows": False, "seen": 0, "up": False, "says": 0})


def fate(plan):
    def step_of(what):
        def step(m, r):
            if what == "restart":
                m.exchange("restarts", lambda v: v + 1)
            m.exchange("cuts", lambda v: v + 1)
        return step

    return [step_of(what) for what in plan], {}


def build(plan, keeps=True, on_restart="gap", **how):
    shared = {"cuts": 0, "restarts": 0, "told": ()}
    for i in range(len(plan) + 1):
        shared.update({"to_reader%d" % i: (), "to_writer%d" % i: ()})

    def final(words, owns, statuses, over):
        told = {n for first, last, _ in words["told"] for n in range(first, last + 1)}
        if len(told) < MESSAGES:
            return HOLE if over[0] else STUCK
        return None

    return Model(shared, [writer(keeps, on_restart), reader(**how), fate(plan)], final)


holds("link: cut twice", lambda: build(("cut", "cut")))
holds("link: the reader restarts, then a cut", lambda: build(("restart", "cut")))
holds("link: a cut, then the reader restarts", lambda: build(("cut", "restart")))
holds("link: the reader restarts twice", lambda: build(("restart", "restart")))
holds("link: WELCOME says less than is held", lambda: build(("cut", "cut"), fresh=False))
finds("link: WELCOME says less than is held, and what is old is taken", TWICE,
      lambda: build(("cut",), fresh=False, dedupes=False))
finds("link: what was sent is not kept", HOLE, lambda: build(("cut",), keeps=False))
finds("link: nothing is told after a restart", HOLE, lambda: build(("restart",), on_restart="nothing"))
finds("link: all is sent again after a restart", TWICE, lambda: build(("restart",), on_restart="again"))
