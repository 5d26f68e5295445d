# SPDX-License-Identifier: BSD-3-Clause
"""The sleep and wake handshake of shm/wake.c and shm/audience.c (R5, R6).

Subscriber: bell, then bit, then a barrier, then a look at every tail, then sleep.  Publisher: tail, then its
fence or the sleeper's membarrier, then a look at the sleepers; it wakes one and leaves the others, by name, to
those that are woken.  No sleep may go on with unread messages; the product's bound of one second is left out, so
that whatever only the bound would heal is found here.
"""

from explorer import ASLEEP, Model, finds, holds

REST, SLEEPING, NOTIFIED = 0, 1, 2
LOST = "asleep with an unread message"


def ring_bell(i, first_label, after, sleeper_at, count_word=None):
    """bbi_wake_ring() of subscriber i: look, compare and swap, and the winner wakes."""
    bell = "bell%d" % i

    def look(m, r):
        return None if m.load(bell) == SLEEPING else after

    def swap(m, r):
        old = m.exchange(bell, lambda v: NOTIFIED if v == SLEEPING else v)
        return None if old == SLEEPING else after

    def wake(m, r):
        m.wake(sleeper_at(i))
        if count_word:
            r[count_word] += 1

    return [first_label + ":", look, swap, wake]


def publisher(me, messages, sleepers, fence, name_first=True):
    tail = "tail%d" % me
    everybody = (1 << sleepers) - 1

    def more(m, r):
        if r.sent == messages:
            return "end"
        r.sent += 1
        r.woke = 0
        m.store(tail, r.sent)
        return None

    def look(m, r):
        r.asleep = m.load("sleepers") & everybody
        return None if r.asleep else "loop"

    def name_all(m, r):
        if r.asleep & (r.asleep - 1):
            asleep = r.asleep
            m.exchange("named", lambda v: v | asleep)

    steps = ["loop:", more]
    if fence:
        steps.append(lambda m, r: m.fence())
    steps.append(look)
    if name_first:
        steps.append(name_all)
    for i in range(sleepers):
        after = "past%d" % i

        def skip(m, r, i=i, after=after):
            return None if not r.woke and r.asleep >> i & 1 else after

        steps += [skip] + ring_bell(i, "ring%d" % i, after, lambda k: k, "woke") + [after + ":"]
    if not name_first:
        steps.append(name_all)
    steps.append(lambda m, r: "loop")
    return steps, {"sent": 0, "asleep": 0, "woke": 0}


def subscriber(me, publishers, messages, sleepers, barrier=True, look_again=True, bell_first=True,
               pass_on=True, fence=True):
    bell, bit = "bell%d" % me, 1 << me

    def scan(when_new, label):
        out = [label + ":"]
        for p in range(publishers):
            def look(m, r, p=p):
                r["seen%d" % p] = m.load("tail%d" % p)
                return when_new if r["seen%d" % p] != r["read%d" % p] else None
            out.append(look)
        return out

    def take(m, r):
        for p in range(publishers):
            r["read%d" % p] = max(r["read%d" % p], r["seen%d" % p])
        if all(r["read%d" % p] == messages for p in range(publishers)):
            return "finish"
        return "top"

    set_bell = lambda m, r: m.store(bell, SLEEPING)

    def set_bit(m, r):
        m.exchange("sleepers", lambda v: v | bit)

    steps = scan("take", "top")
    steps += [set_bell, set_bit] if bell_first else [set_bit, set_bell]
    if fence:
        steps.append(lambda m, r: m.fence())
    if barrier:
        steps.append(lambda m, r: m.membarrier())
    if look_again:
        steps += scan("disarm", "again")
    steps.append(lambda m, r: m.sleep(bell, SLEEPING))
    steps.append("disarm:")

    def awake(m, r):
        m.exchange(bell, lambda v: REST)

    def clear_bit(m, r):
        m.exchange("sleepers", lambda v: v & ~bit)

    steps += [awake, clear_bit]
    if pass_on:
        for i in range(sleepers):
            if i == me:
                continue
            after = "kept%d" % i

            def named(m, r, i=i, after=after):
                return None if m.load("named") >> i & 1 else after

            def take_off(m, r, i=i, after=after):
                return None if m.exchange("named", lambda v: v & ~(1 << i)) >> i & 1 else after

            steps += [named, take_off] + ring_bell(i, "pass%d" % i, after, lambda k: k)
            steps.append(after + ":")
    steps += [lambda m, r: "top", "take:", take, "finish:"]
    own = {"seen%d" % p: 0 for p in range(publishers)}
    own.update({"read%d" % p: 0 for p in range(publishers)})
    return steps, own


def steward(sleepers, victim, unconditional=True):
    """bbi_wake_all() after a death, once the dead one's stores are out."""
    def wait_for_death(m, r):
        m.stuck = not m.is_gone(victim)

    steps = [wait_for_death]
    for i in range(sleepers):
        def ring(m, r, i=i):
            r.old = m.exchange("bell%d" % i, lambda v: NOTIFIED if unconditional or v == SLEEPING
                               else v)

        def wake(m, r, i=i):
            if unconditional or r.old == SLEEPING:
                m.wake(i)
        steps += [ring, wake]
    return steps, {"old": 0}


def build(publishers=1, messages=2, sleepers=1, fences=(True,), helper=None, killable=False,
          name_first=True, **how):
    shared = {"sleepers": 0, "named": 0}
    shared.update({"bell%d" % i: REST for i in range(sleepers)})
    shared.update({"tail%d" % p: 0 for p in range(publishers)})
    threads = [subscriber(i, publishers, messages, sleepers, **how) for i in range(sleepers)]
    threads += [publisher(p, messages, sleepers, fences[p % len(fences)], name_first)
                for p in range(publishers)]
    victim = sleepers + publishers - 1
    if helper is not None:
        threads.append(steward(sleepers, victim, helper))

    def final(words, owns, statuses, over):
        for i in range(sleepers):
            for p in range(publishers):
                if statuses[i] == ASLEEP and words["tail%d" % p] != owns[i]["read%d" % p]:
                    return LOST
        return None

    return Model(shared, threads, final, (victim,) if killable else ())


holds("wake: fence, 1 publisher, 3 messages", lambda: build(messages=3, barrier=False))
holds("wake: membarrier, 1 publisher, 3 messages", lambda: build(messages=3, fences=(False,)))
holds("wake: fence and membarrier, 2 publishers", lambda: build(2, 1, fences=(True, False)))
holds("wake: 2 sleepers, one wakes the other", lambda: build(1, 1, 2, barrier=False))
holds("wake: 2 sleepers, 2 messages, membarrier", lambda: build(1, 2, 2, fences=(False,)))
holds("wake: publisher killed anywhere, the steward rings every bell",
      lambda: build(1, 2, helper=True, killable=True))
holds("wake: 1 of 2 publishers killed, the steward rings every bell",
      lambda: build(2, 1, helper=True, killable=True, barrier=False))
finds("wake: neither fence nor membarrier", LOST, lambda: build(fences=(False,), barrier=False))
finds("wake: no look after the bit", LOST, lambda: build(look_again=False))
holds("wake: the bit before the bell, with the fence after both",
      lambda: build(1, 3, bell_first=False, barrier=False))
finds("wake: the bit before the bell, and no fence before the look", LOST,
      lambda: build(2, 2, bell_first=False, fence=False, barrier=False))
holds("wake: the bell before the bit needs no fence on x86",
      lambda: build(1, 3, fence=False, barrier=False))
finds("wake: the woken do not pass it on", LOST, lambda: build(1, 1, 2, pass_on=False))
finds("wake: sleepers named only after the waking", LOST,
      lambda: build(1, 1, 2, name_first=False, barrier=False))
finds("wake: publisher killed and nobody helps", LOST, lambda: build(2, 2, killable=True,
                                                                     barrier=False))
finds("wake: the steward rings only bells that say SLEEPING", LOST,
      lambda: build(2, 1, helper=False, killable=True, barrier=False))
