/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    Numbers and times are read exactly or refused; nothing is guessed.
 * Method  Tables of texts with their values, and of texts that must be refused.
 */
#include "tools/cli/read.h"

#include <busbar/status.h>
#include <criterion/criterion.h>

Test(cli_read, spans_are_exact)
{
    static const struct {
        const char *text;
        int64_t ns;
    } good[] = {
        {"250ms", 250000000},
        {"5s", 5000000000},
        {"1h", 3600000000000},
        {"0s", 0},
        {"1.5s", 1500000000},
        {"0.001us", 1},
        {"1.999999999s", 1999999999},
        {"1.9999999999s", 1999999999},
        {"2m", 120000000000},
        {"2min", 120000000000},
        {"1d", 86400000000000},
        {"7ns", 7},
        {"9223372036854775807ns", INT64_MAX},
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        int64_t ns = -1;
        cr_assert_eq(cli_read_seconds(good[i].text, &ns), 0, "%s", good[i].text);
        cr_assert_eq(ns, good[i].ns, "%s", good[i].text);
    }
}

Test(cli_read, wrong_spans_are_refused)
{
    static const char *const bad[] = {
        "",          "s",    "-5s", "5 s", "5sec", "5.s",  ".5s",
        "1e3s",      "--5s", "+5s", "5s ", "5S",   "0x5s", "9223372036854775808ns",
        "300000000d"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int64_t ns = 77;
        cr_assert_eq(cli_read_seconds(bad[i], &ns), BB_EINVAL, "%s", bad[i]);
        cr_assert_eq(ns, 77, "%s", bad[i]);
    }
}

Test(cli_read, bare_numbers_are_seconds_for_options)
{
    int64_t ns;
    cr_assert_eq(cli_read_seconds("2", &ns), 0);
    cr_assert_eq(ns, 2000000000);
    cr_assert_eq(cli_read_seconds("0.25", &ns), 0);
    cr_assert_eq(ns, 250000000);
    cr_assert_eq(cli_read_seconds("250ms", &ns), 0);
    cr_assert_eq(ns, 250000000);
    cr_assert_eq(cli_read_seconds("-1", &ns), BB_EINVAL);
    cr_assert_eq(cli_read_seconds("-1s", &ns), BB_EINVAL);
}

Test(cli_read, counts_are_64_bits)
{
    uint64_t v = 3;
    cr_assert_eq(cli_read_count("18446744073709551615", &v), 0);
    cr_assert_eq(v, UINT64_MAX);
    cr_assert_eq(cli_read_count("007", &v), 0);
    cr_assert_eq(v, 7);
    static const char *const bad[] = {"",    "-1", "+1", "1.0",
                                      "0x1", " 1", "1 ", "18446744073709551616"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        cr_assert_eq(cli_read_count(bad[i], &v), BB_EINVAL, "%s", bad[i]);
    }
    cr_assert_eq(v, 7);
}

Test(cli_read, numbers_are_decimal)
{
    static const struct {
        const char *text;
        double v;
    } good[] = {{"2.5", 2.5}, {"-2.5", -2.5},    {"1e3", 1000}, {".5", 0.5},
                {"5.", 5},    {"+1.5E-1", 0.15}, {"7", 7}};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        double v = 0;
        cr_assert_eq(cli_read_number(good[i].text, &v), 0, "%s", good[i].text);
        cr_assert(v > good[i].v - 1e-12 && v < good[i].v + 1e-12, "%s", good[i].text);
    }
    static const char *const bad[] = {"",    ".",    "e3",   "1e",    "1e+", "inf",
                                      "nan", "0x10", "1.5 ", "1.2.3", "-"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        double v = 0;
        cr_assert_eq(cli_read_number(bad[i], &v), BB_EINVAL, "%s", bad[i]);
    }
}

Test(cli_read, sizes_are_powers_of_1024)
{
    static const struct {
        const char *text;
        uint64_t v;
    } good[] = {{"0", 0},
                {"17B", 17},
                {"64K", UINT64_C(64) << 10},
                {"64KiB", UINT64_C(64) << 10},
                {"2GiB", UINT64_C(2) << 30},
                {"3T", UINT64_C(3) << 40},
                {"16777215TiB", UINT64_C(16777215) << 40}};
    uint64_t v = 1;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        cr_assert_eq(cli_read_bytes(good[i].text, &v), 0, "%s", good[i].text);
        cr_assert_eq(v, good[i].v, "%s", good[i].text);
    }
    static const char *const bad[] = {"",    "M",   "1KB",   "1iB", "1BiB",        "1.5G",
                                      "-1M", "1 M", "1MiBs", "1m",  "16777216TiB", "1Mi"};
    v = 1;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        cr_assert_eq(cli_read_bytes(bad[i], &v), BB_EINVAL, "%s", bad[i]);
    }
    cr_assert_eq(v, 1);
}
