# SPDX-License-Identifier: BSD-3-Clause
"""The roll of lib/cluster/roll.c and peers.c (R11, R12): a circle of words, appended to by compare-and-swap.

Two nodes append, a third reads; both appenders may die between any two steps.  A word holds its lap and a change.
An appender reads every change before the end, sees whether its own stands there already, and swaps the word of the
lap before for it.  Both come up (changes 0 and 1) and both notice the same death (DOWN): it must be said once.  The
circle is smaller than what is said, so words of the lap before are there to be mistaken.  What was swapped in, in
the order of swapping, is kept aside as the truth; whoever reads a place must read that.
"""

from explorer import Model, finds, holds

DOWN = 9
PLACES = 2
TWICE = "one death is said twice"
DIFFERENT = "a place is read that was never said so"
NOBODY = "a change of a node that nobody knows"


def lap_of(place):
    return 1 + place // PLACES


def word_of(place):
    return "word%d" % (place % PLACES)


def truth(m):
    return m.memory[m.model.index["truth"]]


def must_be_true(m, place, change):
    said = truth(m)
    m.must(place < len(said) and said[place] == change, DIFFERENT)


def appender(me, swaps=True, looks=True, introduces_first=True):
    wants = (me, DOWN)

    def begin(m, r):
        if r.i == len(wants):
            return "end"
        r.looked = False
        return None

    def introduce(m, r):
        if wants[r.i] == me:
            m.store("who%d" % me, 1)

    def read(m, r):
        lap, change = m.load(word_of(r.at))
        if lap == lap_of(r.at):
            must_be_true(m, r.at, change)
            r.has_down = r.has_down or (change == DOWN and (looks or not r.looked))
            r.at += 1
            return "read"
        if lap > lap_of(r.at):
            return "end"  # a lap behind: it begins anew
        r.old = (lap, change)
        return None

    def is_needed(m, r):
        r.looked = True
        if wants[r.i] == DOWN and r.has_down:
            r.i += 1
            return "begin"
        return None

    def swap(m, r):
        old, new = r.old, (lap_of(r.at), wants[r.i])
        before = m.exchange(word_of(r.at), lambda v: new if v == old or not swaps else v)
        if m.stuck:
            return None
        if before != old and swaps:
            return "read"
        m.exchange("truth", lambda t: t + (wants[r.i],))
        m.must(truth(m).count(DOWN) < 2, TWICE)
        r.has_down = r.has_down or wants[r.i] == DOWN
        r.at += 1
        r.i += 1
        return None

    def introduce_late(m, r):
        m.store("who%d" % me, 1)
        return "begin"

    steps = ["begin:", begin] + ([introduce] if introduces_first else [])
    steps += ["read:", read, is_needed, swap]
    steps += [lambda m, r: "begin"] if introduces_first else [introduce_late]
    return steps, {"i": 0, "at": 0, "old": (0, 0), "has_down": False, "looked": False}


def reader(knows_laps=True):
    def read(m, r):
        lap, r.change = m.load(word_of(r.at))
        if (lap if not knows_laps else lap == lap_of(r.at)) == 0:
            return "end" if m.is_gone(0) and m.is_gone(1) else "read"
        if knows_laps and lap > lap_of(r.at):
            return "end"  # overwritten: it is told, and begins anew
        must_be_true(m, r.at, r.change)
        r.at += 1
        return None

    def who(m, r):
        if r.change != DOWN:
            m.must(m.load("who%d" % r.change) == 1, NOBODY)

    return ["read:", read, who, lambda m, r: "read"], {"at": 0, "change": 0}


def build(knows_laps=True, **how):
    shared = {"word%d" % i: (0, 0) for i in range(PLACES)}
    shared.update({"truth": (), "who0": 0, "who1": 0})
    threads = [appender(0, **how), appender(1, **how), reader(knows_laps)]
    return Model(shared, threads, killable=(0, 1))


holds("roll: two append, one reads", build)
finds("roll: a store, no swap", TWICE, lambda: build(swaps=False))
finds("roll: not read anew before it is said again", TWICE, lambda: build(looks=False))
finds("roll: words without a lap", DIFFERENT, lambda: build(knows_laps=False))
finds("roll: the change before the name", NOBODY, lambda: build(introduces_first=False))
