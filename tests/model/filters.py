# SPDX-License-Identifier: BSD-3-Clause
"""Two copies of a filter list and the number that selects one: shm/filter.c (R8).

The owner writes the copy that is not selected, then selects it.  A publisher copies the selected one and looks
at the number again; it counts, so that two switches are seen as well as one.
"""

from explorer import Model, finds, holds

TORN = "a mixture of two lists"


def owner(switches, selects_first=False):
    def more(m, r):
        if r.version == switches:
            return "end"
        r.version += 1
        return None

    copy = lambda r: r.version % 2
    head = lambda m, r: m.store("head%d" % copy(r), r.version)
    back = lambda m, r: m.store("back%d" % copy(r), r.version)
    select = lambda m, r: m.store("select", r.version)
    steps = ["loop:", more] + ([select, head, back] if selects_first else [head, back, select])
    return steps + [lambda m, r: "loop"], {"version": 0}


def publisher(tries, looks_again=True, number_counts=True):
    def number(m, r):
        v = m.load("select")
        return v if number_counts else v % 2

    def begin(m, r):
        r.tries -= 1
        r.select = number(m, r)

    def head(m, r):
        r.head = m.load("head%d" % (r.select % 2))

    def back(m, r):
        r.back = m.load("back%d" % (r.select % 2))

    def again(m, r):
        return "next" if number(m, r) != r.select else None

    def believe(m, r):
        m.must(r.head == r.back and (not number_counts or r.head == r.select), TORN)

    steps = ["loop:", begin, head, back] + ([again] if looks_again else [])
    steps += [believe, "next:", lambda m, r: "loop" if r.tries else "end"]
    return steps, {"tries": tries, "select": 0, "head": 0, "back": 0}


def build(switches=4, tries=3, selects_first=False, **how):
    shared = {"select": 0, "head0": 0, "back0": 0, "head1": 0, "back1": 0}
    return Model(shared, [owner(switches, selects_first), publisher(tries, **how)])


holds("filters: switched while they are read", build)
finds("filters: no second look at the number", TORN, lambda: build(looks_again=False))
finds("filters: a number of one bit", TORN, lambda: build(number_counts=False))
finds("filters: selected before it is written", TORN, lambda: build(selects_first=True))
