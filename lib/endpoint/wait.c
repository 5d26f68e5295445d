/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/endpoint/wait.c - until more comes: a few looks, then spinning, then sleep, as the waiting mode says.
 *
 * Whoever we wait for may have no other core than ours, and then does not run while we spin.  No mask says so:
 * sides that are pinned have one core each, the same or not.  So HYBRID learns it: after a spin in vain it yields
 * before it spins again, as long as that helps.  Yielding always would give the core to strangers, for a slice.
 */
#include "lib/endpoint/subscriber_impl.h"
#include "shm/os.h"

enum {
    SPIN_NS = 20000,
    FEW_LOOKS = 32, /* at first, and between two looks at the clock */
    MANY_LOOKS =
        2048, /* the same for who only spins, at all its rings together: a few microseconds */
    BRIEF_SLEEP_NS = 1000000,
    REST_PAUSES = 32, /* about half a microsecond: a step of rest */
    REST_YIELD = 2,   /* each so many steps */
    FIRST_YIELDS = 4,
    YIELD_LONG_NS = 50000, /* longer: strangers had the core, and sleeping would have been better */
};

bool
bbi_wait_has_news(struct bb_subscriber *sub)
{
    struct bbi_bus *bus = sub->at->bus;
    if (bbi_load_seq_cst(&bus->member_epoch.v) != sub->member_epoch || sub->must_discover
        || sub->events != NULL
        || (sub->is_registered
            && bbi_load_relaxed(&bus->bells[sub->file.index].ping) != sub->ping)) {
        return true;
    }
    for (struct bbi_source *s = sub->sources; s != NULL; s = s->next) {
        uint64_t tail =
            bbi_load_seq_cst(&s->reader.map.hdr->tail_seq); /* R5: after the bit was set */
        if (bbi_is_before(s->reader.cursor, tail) || !bbi_reader_is_at_tail(&s->reader)
            || (s->has_ended && s->is_drained)) {
            return true;
        }
    }
    return false;
}

static void
sleep_armed(struct bb_subscriber *sub, int64_t left_ns)
{
    uint32_t idx = sub->file.index;
    int rc = bbi_wake_arm(sub->at->bus, idx, BBI_BELL_FUTEX);
    if (!bbi_wait_has_news(sub)) {
        int64_t most_ns = rc < 0 && left_ns > BRIEF_SLEEP_NS ? BRIEF_SLEEP_NS : left_ns;
        sub->was_interrupted = bbi_wake_sleep(sub->at->bus, idx, most_ns) == -EINTR;
        sub->wakes++;
    }
    bbi_wake_disarm(sub->at->bus, idx);
    bbi_wake_pass_on(sub->at->bus, &sub->waker);
}

bool
bbi_wait_glance(struct bb_subscriber *sub)
{
    const struct bbi_bus *bus = sub->at->bus;
    if (bbi_load_relaxed(&bus->member_epoch.v) != sub->member_epoch || sub->must_discover
        || sub->events != NULL
        || (sub->is_registered
            && bbi_load_relaxed(&bus->bells[sub->file.index].ping) != sub->ping)) {
        return true;
    }
    for (const struct bbi_source *s = sub->sources; s != NULL; s = s->next) {
        if (s->idle_word == BBI_NEVER_IDLE || bbi_load_relaxed(s->watch) != s->idle_word
            || (s->has_ended && s->is_drained)) {
            return true;
        }
    }
    return false;
}

void
bbi_wait_rest(uint32_t steps)
{
    for (uint32_t i = 0; i < steps; i++) {
        if (i % REST_YIELD == REST_YIELD - 1) {
            bbi_os_yield(); /* as long as this costs, somebody else may have the core */
        } else {
            for (int p = 0; p < REST_PAUSES; p++) {
                bbi_cpu_relax();
            }
        }
    }
}

/* SPIN looks as often as it can; the others leave the publisher's lines alone for a while after each look. */
static bool
glance_often(struct bb_subscriber *sub)
{
    bool rests = sub->wait_mode != BB_WAIT_SPIN;
    uint64_t looks = rests ? FEW_LOOKS : bbi_max_u64(FEW_LOOKS, MANY_LOOKS / (sub->rings + 1));
    for (uint64_t i = 0; i < looks; i++) {
        if (bbi_wait_glance(sub)) {
            return true;
        }
        if (rests) {
            bbi_wait_rest(1);
        }
    }
    return false;
}

static bool
yield_first(struct bb_subscriber *sub)
{
    int64_t begun = bbi_os_mono_ns();
    bool has_come = false;
    for (int i = 0; i < FIRST_YIELDS && !has_come; i++) {
        bbi_os_yield();
        has_come = bbi_wait_glance(sub);
    }
    sub->yields_first = has_come && bbi_os_mono_ns() - begun < YIELD_LONG_NS;
    return has_come;
}

bool
bbi_wait_looks(struct bb_subscriber *sub)
{
    bool spins =
        sub->wait_mode == BB_WAIT_SPIN || (sub->wait_mode == BB_WAIT_HYBRID && sub->was_busy);
    if (!spins) {
        return false;
    }
    return (sub->yields_first && yield_first(sub)) || glance_often(sub);
}

static bool
spin(struct bb_subscriber *sub, int64_t until_ns)
{
    do {
        if (glance_often(sub)) {
            return true;
        }
        if (sub->wait_mode == BB_WAIT_SPIN) {
            bbi_os_yield(); /* more spinners than cores: one has what we wait for */
        }
    } while (bbi_os_mono_ns() < until_ns);
    return false;
}

/*
 * SPIN always, HYBRID once after something came: where messages come often the next one is near, and a bus
 * that is idle costs no spinning.  True when there is no need to sleep.
 */
static bool
spin_first(struct bb_subscriber *sub, int64_t now, int64_t deadline)
{
    bool always = sub->wait_mode == BB_WAIT_SPIN;
    if (!always && (sub->wait_mode != BB_WAIT_HYBRID || !sub->was_busy)) {
        return false;
    }
    int64_t until = now + (always ? BRIEF_SLEEP_NS : SPIN_NS);
    sub->was_busy = false;
    bool has_come = spin(sub, until < deadline ? until : deadline);
    sub->yields_first = !always && !has_come;
    return has_come || always;
}

/* Waits a while, at most until deadline; whoever calls sweeps again. */
void
bbi_wait_once(struct bb_subscriber *sub, int64_t deadline)
{
    int64_t now = bbi_os_mono_ns();
    int64_t left = deadline - now;
    if (spin_first(sub, now, deadline)) {
        return;
    }
    if (sub->wait_mode == BB_WAIT_PERIODIC || !sub->is_registered) {
        int64_t most_ns = sub->period_ns < left ? sub->period_ns : left;
        sub->was_interrupted = bbi_os_sleep_ns(most_ns) == -EINTR;
    } else {
        sleep_armed(sub, left);
    }
}
