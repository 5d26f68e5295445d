# SPDX-License-Identifier: BSD-3-Clause
"""tests/model/explorer.py - every interleaving of a few small threads over shared words.

Memory is x86-TSO: each thread's stores wait in a queue of its own and reach memory in order, one by one, at any
time; its loads look into its own queue first.  A fence waits until the queue is empty, so does a locked
instruction.  A membarrier waits until the queues of all others are.

A thread is a list of labels ("name:") and steps.  A step is a function (m, r): it makes at most one access
through m, may compute with the thread's own variables r, and returns the label to go on at, or None for the next
step.  A step that cannot go on yet (m.stuck) is tried again later and leaves no trace.  What nobody can know is
m.either(): both ways are gone.  Steps that touch nothing but r are taken together with the one before: nobody else
can tell.
"""

AWAKE, ASLEEP, DEAD = 0, 1, 2


class Own(dict):
    """A thread's own variables, as attributes."""

    __getattr__ = dict.__getitem__
    __setattr__ = dict.__setitem__


class Access:
    """What one step may do to shared words."""

    def __init__(self, model, me, memory, threads, way):
        self.model, self.memory, self.threads, self.way = model, memory, threads, way
        self.queues = [t[2] for t in threads]
        self.queue = self.queues[me]
        self.asked = self.touched = False
        self.stuck = False
        self.status = AWAKE
        self.woken = None
        self.error = None

    def load(self, word):
        self.touched = True
        for name, value in reversed(self.queue):
            if name == word:
                return value
        return self.memory[self.model.index[word]]

    def store(self, word, value):
        self.touched = True
        self.queue = self.queue + ((word, value),)

    def fence(self):
        self.touched = True
        self.stuck = bool(self.queue)

    def membarrier(self):
        self.touched = True
        self.stuck = any(self.queues)

    def exchange(self, word, change):
        """A locked instruction: change(old) is stored, old returned."""
        self.touched = True
        if self.queue:
            self.stuck = True
            return 0
        at = self.model.index[word]
        old = self.memory[at]
        self.memory = self.memory[:at] + (change(old),) + self.memory[at + 1:]
        return old

    def sleep(self, word, expected):
        """futex_wait: sleeps if the word still holds this."""
        self.touched = True
        if self.queue:
            self.stuck = True
        elif self.memory[self.model.index[word]] == expected:
            self.status = ASLEEP

    def wake(self, thread):
        self.touched = True
        self.woken = thread

    def either(self):
        """True and False, each in a state of its own; once in a step."""
        self.touched = self.asked = True
        return self.way

    def peek(self, word):
        """Memory itself: for checks, no thread may decide by it."""
        self.touched = True
        return self.memory[self.model.index[word]]

    def other(self, thread, name):
        """Another thread's own variable: for checks, no thread may decide by it."""
        self.touched = True
        return self.threads[thread][1][self.model.keys[thread].index(name)]

    def is_gone(self, thread):
        """Dead or at its end, and its last stores are out."""
        self.touched = True
        return self.model.is_over(self.threads[thread], thread) and not self.queues[thread]

    def must(self, holds, text):
        if not holds:
            self.error = text


class Model:
    def __init__(self, shared, threads, final=None, killable=(), limit=1500000):
        self.names = sorted(shared)
        self.index = {name: i for i, name in enumerate(self.names)}
        self.first_memory = tuple(shared[name] for name in self.names)
        self.final, self.killable, self.limit = final, killable, limit
        self.code, self.labels, self.keys, starts = [], [], [], []
        for steps, own in threads:
            code, labels = [], {}
            for step in steps:
                if isinstance(step, str):
                    labels[step.rstrip(":")] = len(code)
                else:
                    code.append(step)
            labels["end"] = len(code)
            self.code.append(code)
            self.labels.append(labels)
            self.keys.append(sorted(own))
            starts.append((0, tuple(own[k] for k in sorted(own)), (), AWAKE))
        self.inner = [{} for _ in threads]  # (at, own) before steps of its own: the same after, or an error text
        self.start = (self.first_memory, tuple(starts))

    def is_over(self, thread, me):
        return thread[3] == DEAD or thread[0] >= len(self.code[me])

    def step_on(self, me, at, own):
        """Where thread me stands after the steps from here on that touch nothing shared; or an error text."""
        known = self.inner[me].get((at, own))
        if known is not None:
            return known
        result = at, own
        for _ in range(len(self.code[me])):
            if result[0] >= len(self.code[me]):
                break
            m = Access(self, me, self.first_memory, self.start[1], False)
            r = Own(zip(self.keys[me], result[1]))
            label = self.code[me][result[0]](m, r)
            if m.touched or m.stuck:
                break
            if m.error:
                result = m.error
                break
            after = result[0] + 1 if label is None else self.labels[me][label]
            result = after, tuple(r[k] for k in self.keys[me])
        self.inner[me][(at, own)] = result
        return result

    def take_step(self, memory, threads, me, way=False):
        """(the state after one step of this thread, or an error text, or None if it cannot go on; did it ask)"""
        at, own, _, _ = threads[me]
        m = Access(self, me, memory, threads, way)
        r = Own(zip(self.keys[me], own))
        label = self.code[me][at](m, r)
        if m.error:
            return m.error, m.asked
        if m.stuck:
            return None, m.asked
        after = at + 1 if label is None else self.labels[me][label]
        own = tuple(r[k] for k in self.keys[me])
        if m.status == AWAKE:
            on = self.step_on(me, after, own)
            if isinstance(on, str):
                return on, m.asked
            after, own = on
        new = list(threads)
        new[me] = (after, own, m.queue, m.status)
        if m.woken is not None and new[m.woken][3] == ASLEEP:
            new[m.woken] = new[m.woken][:3] + (AWAKE,)
        return (m.memory, tuple(new)), m.asked

    def successors(self, state):
        memory, threads = state
        for me, (at, own, queue, status) in enumerate(threads):
            if queue:  # the oldest store reaches memory, also when its thread is asleep or dead
                word, value = queue[0]
                i = self.index[word]
                new = list(threads)
                new[me] = (at, own, queue[1:], status)
                yield memory[:i] + (value,) + memory[i + 1:], tuple(new)
            if status != AWAKE or at >= len(self.code[me]):
                continue
            if me in self.killable:
                new = list(threads)
                new[me] = (at, own, queue, DEAD)
                yield memory, tuple(new)
            after, asked = self.take_step(memory, threads, me)
            if after is not None:
                yield after
            if asked:
                after, _ = self.take_step(memory, threads, me, way=True)
                if after is not None:
                    yield after

    def at_rest(self, state):
        """Nobody can move: is that as it should be?"""
        memory, threads = state
        words = dict(zip(self.names, memory))
        owns = [Own(zip(k, t[1])) for k, t in zip(self.keys, threads)]
        return self.final(words, owns, [t[3] for t in threads],
                          [self.is_over(t, i) for i, t in enumerate(threads)])

    def search(self):
        """(what is wrong or None, how many states)"""
        seen, todo = {self.start}, [self.start]
        while todo:
            state = todo.pop()
            moved = False
            for after in self.successors(state):
                moved = True
                if isinstance(after, str):
                    return after, len(seen)
                if after not in seen:
                    seen.add(after)
                    todo.append(after)
            if not moved and self.final is not None:
                wrong = self.at_rest(state)
                if wrong:
                    return wrong, len(seen)
            if len(seen) > self.limit:
                return "more than %d states" % self.limit, len(seen)
        return None, len(seen)


CASES = []


def holds(name, make):
    """This model has no fault."""
    CASES.append((name, make, None))


def finds(name, fault, make):
    """This model leaves something out, and the search must find that very fault."""
    CASES.append((name, make, fault))
