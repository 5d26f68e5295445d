/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/case_throughput.c - one-to-one, fan-out, fan-in: messages per second at each subscriber.
 */
#include "bench/cases.h"

static int
run(const struct bench_case *c,
    const struct bench_options *o,
    struct bench_report *report,
    size_t size)
{
    struct bench_plan plan;
    bench_plan_init(&plan, c->name, o, size);
    bool is_out = c == &bench_case_fan_out, is_in = c == &bench_case_fan_in;
    plan.setup.publishers = o->publishers != 0 ? o->publishers : is_in ? 4 : 1;
    plan.setup.subscribers = o->subscribers != 0 ? o->subscribers : is_out ? 4 : 1;
    plan.setup.topics = plan.setup.wanted = o->topics != 0 ? o->topics : 1;
    plan.needs = (plan.setup.subscribers > 1 ? BENCH_CAN_FAN_OUT : 0u)
                 | (plan.setup.publishers > 1 ? BENCH_CAN_FAN_IN : 0u);
    plan.extra[0] = "cpu_ns_per_msg";
    return bench_race(o, report, &plan, 1, NULL);
}

const struct bench_case bench_case_one_to_one = {
    "one-to-one", "one publisher, one subscriber, as fast as it goes", true, run};
const struct bench_case bench_case_fan_out = {
    "fan-out", "one publisher, 4 subscribers; rate of each subscriber", true, run};
const struct bench_case bench_case_fan_in = {"fan-in", "4 publishers, one subscriber", true, run};
