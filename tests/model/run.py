#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# bb-timeout: 300
# bb-long
"""tests/model/run.py - searches every model; each that leaves something out must lead to its fault.

usage: run.py [WORD]    only the cases whose name holds WORD
"""

import sys
import time

import explorer
import back_pressure  # noqa: F401  each brings its cases
import filters  # noqa: F401
import join  # noqa: F401
import link  # noqa: F401
import ring  # noqa: F401
import roll  # noqa: F401
import wake  # noqa: F401


def main():
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    passed = failed = 0
    begin = time.monotonic()
    for name, make, fault in explorer.CASES:
        if word not in name:
            continue
        found, states = make().search()
        good = found == fault
        passed += good
        failed += not good
        told = "finds: %s" % found if found else "holds"
        print("[%s] %s: %s (%d states)%s" % ("PASS" if good else "FAIL", name, told, states,
                                             "" if good else ", expected: %s" % fault))
        sys.stdout.flush()
    print("model: %.1f s" % (time.monotonic() - begin))
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed or not passed else 0


sys.exit(main())
