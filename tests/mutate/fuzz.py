#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""tests/mutate/fuzz.py - does each fuzzer find a fault?  Seeds one after the other and says how long it took.

    tests/mutate/fuzz.py [--seconds N] [NAME...]     all fuzzers, or some; N (120) seconds for each fault

Each fault changes one line of one file.  A changed copy of the file is compiled and linked before the library
of build/fuzz, so the tree itself stays as it is and only that file is built.  The fuzzer starts from its seeds
(corpus/NAME/seed-*), which all pass.  For runs by hand or by night: about a minute of building and as much
as the faults need.  The last line is `mutate/fuzz: N faults, N missed`; exit code 1 when one was missed or a
line is no longer there to be changed, 2 for wrong usage.
"""
import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(SOURCE, "build", "fuzz")

# fuzzer, file, the line's part, what stands there instead
FAULTS = [
    ("value", "lib/value/check.c", "order < 0 ? BBI_WHY_OK", "order <= 0 ? BBI_WHY_OK"),
    ("value", "lib/value/check.c", "set->type == BB_TABLE && set->done % 2 == 0", "set->type == BB_TABLE"),
    ("value", "lib/value/read.c", "head == 0 || padded > it->rest.bytes", "head == 0"),
    ("value", "lib/value/compare.c", "depth == BB_VALUE_DEPTH", "depth == BB_VALUE_DEPTH + 1"),
    ("binary", "lib/value/binary_read.c", "if (bytes > left) {", "if (bytes > left + 1) {"),
    ("binary", "lib/value/binary_read.c", "v = bbi_real_from_broker(v);", ""),
    ("binary", "lib/value/binary_read.c", "protocol > BB_PROTO_ICMP", "protocol > 200"),
    ("binary", "lib/value/binary_read.c", "bbi_build_depth(d->b) >= BB_VALUE_DEPTH",
     "bbi_build_depth(d->b) > BB_VALUE_DEPTH"),
    ("json", "lib/value/json_scan.c", "skip->depth == SKIP_DEPTH", "skip->depth == SKIP_DEPTH + 64"),
    ("json", "lib/value/out.c", "digits <= 17", "digits <= 16"),
    ("json", "lib/value/json_read.c", "bbi_build_depth(r->b) >= BB_VALUE_DEPTH", "false"),
    ("text", "lib/value/leaf.c", "|| v > (uint64_t)INT64_MAX + is_negative", ""),
    ("text", "lib/value/time_read.c", "|| v > (uint64_t)INT64_MAX + text.is_negative", ""),
    ("filters", "shm/filter.c", "return off == t->bytes;", "return off <= t->bytes;"),
    ("filters", "lib/topic/filter_set.c", "&& (at < off || !bbi_topic_covers(filter, &e.filter))", ""),
    ("dictionary", "shm/ring_read.c", "len > m->text_bytes || off > m->text_bytes - len",
     "len > m->text_bytes || off > m->text_bytes"),
    ("dictionary", "shm/ring_read.c", "r->filtered += unwanted;", "r->filtered += unwanted + 1;"),
    ("dictionary", "shm/ring_read.c", "if (!bbi_burst_is_sound(&r->map, b)) {", "if (b->count > r->map.batch_msgs) {"),
    ("dictionary", "shm/ring_read.c", "if (!bbi_burst_is_sound(&r->map, b)) {",
     "if (b->count == 0 || !bbi_burst_is_sound(&r->map, &(struct bbi_burst){b->first, b->pos, 1, b->bytes,"
     " b->stride, b->tag, 0, 0})) {"),
    ("dictionary", "shm/ring_read.c", "if (!bbi_reader_is_whole(r, bbi_burst_pos(b, r->cursor))) { /* R2 */", "if (false) {"),
    ("dictionary", "shm/ring_read.c", "&& bbi_burst_load(&r->map, b->first, out, &word) && bbi_burst_has(out, r->cursor);",
     "&& bbi_burst_load(&r->map, b->first, out, &word);"),
    ("dictionary", "shm/burst.c", "return bbi_burst_has(out, n);", "return 1;"),
    ("visit", "lib/endpoint/visit.c", "bbi_min_u64(b->first + b->count - n, end - n);",
     "bbi_min_u64(b->first + b->count, end) - n;"),
    ("visit", "lib/endpoint/visit.c", "if (BBI_UNLIKELY(b.tag >= r->tag_count ||", "if (BBI_UNLIKELY("),
    ("visit", "lib/endpoint/visit.c", "uint64_t taken = is_copying ? (uint64_t)(next - msg) : part;", "uint64_t taken = part;"),
    ("store_command", "lib/store/command.c", "|| bytes > from.bytes - *off", ""),
    ("store_command", "lib/store/ops.c", "rc = splice(made, &b, &at, unit, b.each,", "rc = splice(made, &b, &at, unit, 1,"),
    ("bridge_words", "lib/endpoint/bridge_words.c", "if (bytes >= w->room) {", "if (bytes > w->room) {"),
    ("bridge_words", "lib/endpoint/bridge_words.c", "return bytes == w->room ? 0 : BB_ETYPE;", "return 0;"),
    ("bridge_words", "lib/endpoint/bridge_words.c", "w->kind == U32 && u64 > UINT32_MAX", "false"),
    ("bridge_words", "lib/endpoint/bridge_words.c", "memchr(s, '\\0', bytes) != NULL", "false"),
    ("pcap", "tools/sensor/packet.c", "if (s.bytes < 4) {", "if (s.bytes < 2) {"),
    ("pcap", "tools/sensor/packet.c", "|| s->bytes < 8", "|| s->bytes < 1"),
]

# What links beside the library.
LINKS = {"pcap": [os.path.join(BUILD, "tools", "libbusbar_sensor_parts.a"), "-lpcap"]}


def run(command, **options):
    return subprocess.run(command, check=True, stdout=subprocess.DEVNULL, **options)


def compile_command(file):
    """The words with which the fuzz preset compiles a file, without its names."""
    import json
    with open(os.path.join(BUILD, "compile_commands.json")) as f:
        for entry in json.load(f):
            if entry["file"] == os.path.join(SOURCE, file):
                words = shlex.split(entry["command"])
                while "-o" in words:
                    del words[words.index("-o"):words.index("-o") + 2]
                words = [w for w in words if w not in ("-c", entry["file"], "-MD") and not w.endswith(".d")]
                return [w for i, w in enumerate(words) if w not in ("-MT", "-MF") and words[i - 1] != "-MT"]
    sys.exit("mutate/fuzz: build/fuzz does not compile %s: is the preset `fuzz` configured?" % file)


def build_fault(work, fuzzer, file, old, new):
    """The program, or None when the line is not there exactly once."""
    with open(os.path.join(SOURCE, file)) as f:
        text = f.read()
    if text.count(old) != 1:
        print("%-10s FAILED %s: `%s` stands there %d times, not once" % (fuzzer, file, old, text.count(old)))
        return None
    changed = os.path.join(work, os.path.basename(file))
    with open(changed, "w") as f:
        f.write(text.replace(old, new))
    words = compile_command(file)
    here = os.path.join(SOURCE, os.path.dirname(file))
    run(words + ["-I", here, "-Wno-everything", "-c", changed, "-o", changed + ".o"])
    main = os.path.join(SOURCE, "tests", "fuzz", fuzzer + ".c")
    words = compile_command("tests/fuzz/%s.c" % fuzzer)
    program = os.path.join(work, fuzzer)
    run(words + [main, changed + ".o"] + LINKS.get(fuzzer, [])[:1]
        + [os.path.join(BUILD, "lib", "libbusbar.a")] + LINKS.get(fuzzer, [])[1:]
        + ["-fsanitize=fuzzer", "-pthread", "-o", program])
    return program


def find(work, program, fuzzer, seconds):
    """How the fuzzer ended (None: found nothing) and after how many seconds."""
    seeds = os.path.join(work, "seeds")
    found = os.path.join(work, "found")
    os.makedirs(seeds)
    os.makedirs(found)
    corpus = os.path.join(SOURCE, "tests", "fuzz", "corpus", fuzzer)
    for name in os.listdir(corpus):
        if name.startswith("seed-"):
            shutil.copy(os.path.join(corpus, name), seeds)
    start = time.monotonic()
    done = subprocess.run(
        [program, "-max_total_time=%d" % seconds, "-timeout=20", "-rss_limit_mb=1024",
         "-artifact_prefix=" + work + "/", found, seeds],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace")
    took = time.monotonic() - start
    why = None
    if done.returncode != 0:
        marks = [line for line in done.stdout.splitlines()
                 if "not so:" in line or "ERROR:" in line or "runtime error:" in line]
        why = marks[0].strip()[-70:] if marks else "exit code %d" % done.returncode
    return why, took


def main():
    parser = argparse.ArgumentParser(description="Seeds faults and looks whether the fuzzers find them.")
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("names", nargs="*", metavar="NAME")
    given = parser.parse_args()
    wanted = [fault for fault in FAULTS if not given.names or fault[0] in given.names]
    if not wanted:
        parser.error("no such fuzzer; there are: " + " ".join(sorted({fault[0] for fault in FAULTS})))
    run(["cmake", "--preset", "fuzz"], cwd=SOURCE)
    run(["cmake", "--build", "--preset", "fuzz", "-j2", "--target", "busbar_static"]
        + (["busbar_sensor_parts"] if any(fault[0] == "pcap" for fault in wanted) else []), cwd=SOURCE)
    missed = 0
    for fuzzer, file, old, new in wanted:
        with tempfile.TemporaryDirectory(prefix="busbar-mutate-") as work:
            program = build_fault(work, fuzzer, file, old, new)
            why, took = (None, 0) if program is None else find(work, program, fuzzer, given.seconds)
            missed += why is None
            if program is not None:
                print("%-10s %-6s %5.1f s  %s: `%s`: %s" % (
                    fuzzer, "found" if why else "MISSED", took, file, new or "(nothing)", why), flush=True)
    print("mutate/fuzz: %d faults, %d missed" % (len(wanted), missed))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
