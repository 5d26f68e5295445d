/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/support/fuzz_replay.c - a fuzzer's main without libFuzzer: each file of the folders that are given is
 * one input.  So every build, with every compiler, runs what a fuzzer once found.
 *
 * A file that kills the process is the last that was named on standard error.
 */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

enum { INPUT_BYTES_MAX = 1 << 20 };

static void
replay_file(const char *path)
{
    static unsigned char input[INPUT_BYTES_MAX];
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        perror(path);
        exit(1);
    }
    size_t bytes = fread(input, 1, sizeof(input), f);
    (void)fclose(f);
    unsigned char *exact = fuzz_copy(input, bytes);
    (void)LLVMFuzzerTestOneInput(exact, bytes);
    free(exact);
}

static unsigned
replay_folder(const char *folder)
{
    char path[4096];
    unsigned files = 0;
    struct dirent *entry;
    DIR *dir = opendir(folder);
    if (dir == NULL) {
        perror(folder);
        exit(1);
    }
    while ((entry = readdir(dir)) != NULL) {
        struct stat st;
        (void)snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        if (stat(path, &st) == 0 && S_ISREG(st.st_mode)) {
            (void)fprintf(stderr, "%s\n", path);
            replay_file(path);
            files++;
        }
    }
    (void)closedir(dir);
    return files;
}

int
main(int argc, char **argv)
{
    unsigned files = 0;
    for (int i = 1; i < argc; i++) {
        files += replay_folder(argv[i]);
    }
    if (files == 0) {
        (void)fprintf(stderr, "usage: %s FOLDER...: no inputs were found\n", argv[0]);
        return 1;
    }
    printf("[PASS] %u inputs\n", files);
    return 0;
}
