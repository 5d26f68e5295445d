/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: the one list of statuses is sound: each code negative and distinct, ours outside the kernel's
 * range, each with a text of its own.
 * Method: the list itself, expanded to a table.
 */
#include "shm/status.h"
#include <criterion/criterion.h>
#include <string.h>

static const struct {
    const char *name;
    int value;
    const char *text;
} ALL[] = {
#define ROW(name, value, kind, text) {#name, (value), (text)},
    BB_STATUS_LIST(ROW)
#undef ROW
};
enum { COUNT = (int)(sizeof(ALL) / sizeof(ALL[0])) };

Test(status, each_code_is_negative_and_ours_are_beyond_the_kernels, .timeout = 20)
{
    cr_assert_geq(COUNT, 20);
    for (int i = 0; i < COUNT; i++) {
        cr_assert_lt(ALL[i].value, 0, "%s", ALL[i].name);
        cr_assert(ALL[i].value > -4096 || ALL[i].value <= -5001, "%s is %d", ALL[i].name,
                  ALL[i].value);
    }
}

Test(status, codes_and_texts_are_distinct, .timeout = 20)
{
    for (int i = 0; i < COUNT; i++) {
        for (int k = i + 1; k < COUNT; k++) {
            cr_assert_neq(ALL[i].value, ALL[k].value, "%s and %s", ALL[i].name, ALL[k].name);
            cr_assert_str_neq(ALL[i].text, ALL[k].text, "%s and %s", ALL[i].name, ALL[k].name);
        }
    }
}

Test(status, strerror_gives_the_text_of_the_list, .timeout = 20)
{
    for (int i = 0; i < COUNT; i++) {
        cr_assert_str_eq(bb_strerror(ALL[i].value), ALL[i].text, "%s", ALL[i].name);
        cr_assert_gt(strlen(ALL[i].text), 3U, "%s", ALL[i].name);
    }
}

Test(status, strerror_never_returns_null, .timeout = 20)
{
    cr_assert_str_eq(bb_strerror(BB_OK), "success");
    cr_assert_str_eq(bb_strerror(7), "success", "a count is no failure");
    cr_assert_str_eq(bb_strerror(-4999), "unknown status");
    cr_assert_not_null(bb_strerror(-2147483647));
}

Test(status, published_numbers_do_not_change, .timeout = 20)
{
    cr_assert_eq(BB_EAGAIN, -11);
    cr_assert_eq(BB_ETIMEDOUT, -110);
    cr_assert_eq(BB_EOVERRUN, -5001);
    cr_assert_eq(BB_ECORRUPT, -5002);
    cr_assert_eq(BB_EVERSION, -5003);
    cr_assert_eq(BB_ENOBUS, -5004);
    cr_assert_eq(BB_EFORKED, -5005);
    cr_assert_eq(BB_EPEERGONE, -5006);
    cr_assert_eq(BB_EEVICTED, -5007);
    cr_assert_eq(BB_ETYPE, -5008);
    cr_assert_eq(BB_EFULL, -5009);
    cr_assert_eq(BB_ETRUST, -5010);
    cr_assert_eq(BB_EEND, -5011);
}
