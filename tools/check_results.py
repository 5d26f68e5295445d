#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Counts what one stage of tools/check ran.

Reads the JUnit file that ctest wrote, and what it said on the console.  Programs of Criterion, and scripts that follow them, print a line
for each of their cases: `[PASS] name`, `[FAIL] name`, `[SKIP] name: reason`; those are counted, and so is a
script's line `NAME: N checks, N failed`.  A test that prints none of that is one case.  Prints the output of what failed and every skip; the last line is
`PASSED FAILED SKIPPED` as three numbers.

A skip is allowed by a line `CONDITION | TEST | REASON` of tests/allowed-skips.txt: TEST and REASON are
patterns of fnmatch for `folder/file` or `folder/file/case` and for the reason.  Any other skip fails.
"""
import fnmatch
import os
import re
import shutil
import sys
import xml.etree.ElementTree as ElementTree

CASE = re.compile(r"^\[?(PASS|FAIL|SKIP)\]? +(.+?)(?:: +(.*))?$", re.MULTILINE)
CHECKS = re.compile(r"^\S+: (\d+) checks, (\d+) failed$", re.MULTILINE)
# What ctest says on the console of a test that did not pass: Failed, Timeout, Exception: SegFault ...
VERDICT = re.compile(r"Test +#\d+: (\S+) .*\*\*\*(.+?) +\d+\.\d+ sec$", re.MULTILINE)
OUTPUT_LINES_MAX = 200  # of one failed test


def condition_holds(condition):
    if condition == "always":
        return True
    if condition == "no-data":
        return "BB_DATA" not in os.environ
    if condition == "not-root":
        return os.geteuid() != 0
    if condition.startswith("no-"):
        return shutil.which(condition[3:]) is None
    raise SystemExit(f"allowed-skips.txt: no such condition: {condition}")


def read_allowed(path):
    allowed = []
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            fields = [field.strip() for field in line.split("|")]
            if len(fields) != 3 or not all(fields):
                raise SystemExit(f"{path}:{number}: not CONDITION | TEST | REASON")
            if condition_holds(fields[0]):
                allowed.append(fields[1:])
    return allowed


def read_cases(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        text = file.read()
    # Bytes that a test printed and XML does not allow.
    text = re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f]", "?", text)
    return ElementTree.fromstring(text).iter("testcase")


class Results:
    def __init__(self, stage, allowed, verdicts):
        self.stage = stage
        self.verdicts = verdicts
        self.allowed = allowed
        self.passed = self.failed = self.skipped = 0

    def skip(self, name, reason):
        if any(fnmatch.fnmatchcase(name, a) and fnmatch.fnmatchcase(reason, b) for a, b in self.allowed):
            self.skipped += 1
            print(f"  {self.stage}: skipped {name}: {reason}")
        else:
            self.failed += 1
            print(f"  {self.stage}: skipped, but not in tests/allowed-skips.txt: {name}: {reason}")

    def show(self, name, why, output):
        lines = output.strip("\n").split("\n")
        lines = [line for line in lines if not line.startswith(("[RUN ]", "[PASS]"))]
        print(f"  {self.stage}: FAILED {name}: {why}")
        if len(lines) > OUTPUT_LINES_MAX:
            print(f"    ... {len(lines) - OUTPUT_LINES_MAX} lines before")
            lines = lines[-OUTPUT_LINES_MAX:]
        for line in lines:
            print(f"    {line}")

    def add(self, case):
        name = case.get("name")
        output = case.findtext("system-out") or ""
        skipped = case.find("skipped")
        failure = case.find("failure")
        found = {"PASS": 0, "FAIL": 0}
        skips = []
        for kind, what, reason in CASE.findall(output):
            # "[PASS] suite::name: (0.01s)": the time is no reason.
            if kind == "SKIP":
                skips.append((what, reason))
            else:
                found[kind] += 1

        if found["PASS"] == 0:
            for checks, wrong in CHECKS.findall(output):
                found = {"PASS": int(checks) - int(wrong), "FAIL": int(wrong)}

        if skipped is not None:
            if "SKIP_RETURN_CODE" not in (skipped.get("message") or ""):
                self.failed += 1
                self.show(name, "did not run: " + (skipped.get("message") or case.get("status")), output)
            elif skips:
                for what, reason in skips:
                    self.skip(f"{name}/{what}", reason)
            else:
                self.skip(name, output.strip().split("\n")[-1])
            return
        bad = failure is not None or found["FAIL"] > 0 or case.get("status") != "run"
        for what, reason in skips:
            self.skip(f"{name}/{what}", reason)
        if bad:
            self.failed += max(1, found["FAIL"])
            self.passed += found["PASS"]
            why = self.verdicts.get(name, "Failed")
            self.show(name, f"{why}, {float(case.get('time') or 0):.1f} s", output)
        elif found["PASS"] == 0 and not skips:
            self.passed += 1
        else:
            self.passed += found["PASS"]


def main():
    if len(sys.argv) != 5:
        raise SystemExit("usage: check_results.py STAGE JUNIT.xml CONSOLE.log ALLOWED-SKIPS.txt")
    with open(sys.argv[3], encoding="utf-8", errors="replace") as console:
        verdicts = dict(VERDICT.findall(console.read()))
    results = Results(sys.argv[1], read_allowed(sys.argv[4]), verdicts)
    try:
        for case in read_cases(sys.argv[2]):
            results.add(case)
    except (OSError, ElementTree.ParseError) as error:
        print(f"  {sys.argv[1]}: no result of ctest: {error}")
        results.failed += 1
    print(results.passed, results.failed, results.skipped)


main()
