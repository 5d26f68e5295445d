/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * shm/hook.h - named points of the protocols, where tests stop or kill a process.
 *
 * Each step after which a death or a stop leaves another state behind has one.  tests/process/kill_matrix.txt
 * lists them all; a meta test compares.  Without BB_HOOKS they compile to nothing.
 */
#ifndef BUSBAR_SHM_HOOK_H
#define BUSBAR_SHM_HOOK_H

#if defined(BB_HOOKS) && BB_HOOKS
typedef void (*bbi_hook_fn)(const char *name);
extern bbi_hook_fn bbi_hook; /* NULL: nothing happens; set by tests before they attach */
#    define BBI_HOOK(name)                                                                         \
        do {                                                                                       \
            if (bbi_hook) {                                                                        \
                bbi_hook(name);                                                                    \
            }                                                                                      \
        } while (0)
#else
#    define BBI_HOOK(name) ((void)0)
#endif

#endif
