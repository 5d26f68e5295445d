/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    Each status of the library has its exit code, as DESIGN says.
 * Method  All statuses of the one list; none may be forgotten without being "any other failure" on purpose.
 */
#include "tools/cli/report.h"

#include <criterion/criterion.h>

static const struct {
    int status, code;
} codes[] = {
    {BB_EAGAIN, 1},
    {BB_EEXIST, 1},
    {BB_ENOTSUP, 1},
    {BB_EPEERGONE, 1},
    {BB_EEVICTED, 1},
    {BB_EINVAL, 2},
    {BB_ETYPE, 2},
    {BB_ENAMETOOLONG, 2},
    {BB_ETIMEDOUT, 3},
    {BB_ENOENT, 4},
    {BB_ENOBUS, 4},
    {BB_EACCES, 5},
    {BB_ETRUST, 5},
    {BB_EVERSION, 6},
    {BB_ENOSPC, 7},
    {BB_ENOMEM, 7},
    {BB_EMFILE, 7},
    {BB_ENFILE, 7},
    {BB_EFULL, 7},
    {BB_EMSGSIZE, 7},
    {BB_EBUSY, 8},
    {BB_EIO, 8},
    {BB_ECORRUPT, 8},
    {BB_EOVERRUN, 8},
    {BB_EFORKED, 8},
    {BB_EEND, 8},
    {BB_ENORESPONDERS, 1},
    {BB_ERANGE, 8},
    {BB_ECANCELED, 8},
    {-EPERM, 5},
    {-EROFS, 5},
    {-EDQUOT, 7},
    {-ENXIO, 8},
    {0, 0},
    {7, 0},
};

Test(cli_report, exit_codes)
{
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        cr_assert_eq(cli_exit_code(codes[i].status), codes[i].code, "status %d", codes[i].status);
    }
}

static int
is_listed(int status)
{
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        if (codes[i].status == status) {
            return 1;
        }
    }
    return 0;
}

Test(cli_report, every_status_is_decided)
{
#define CHECK(name, value, kind, text)                                                             \
    cr_assert(is_listed(name), #name " has no exit code in this test");
    BB_STATUS_LIST(CHECK)
#undef CHECK
}
