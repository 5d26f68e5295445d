/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/output.h - standard output and the signals that end a program.
 *
 * A reader that went away (SIGPIPE) and SIGINT, SIGTERM, SIGHUP end a verb in order: its loop sees a flag
 * and closes its endpoint, so that the others see `left` and not `died`.  A second signal kills.
 */
#ifndef BUSBAR_TOOLS_CLI_OUTPUT_H
#define BUSBAR_TOOLS_CLI_OUTPUT_H

/* cli_output_start - SIGPIPE becomes an error of write; standard output is buffered until a flush. */
void cli_output_start(void);

/* cli_signals_catch - from now on the signals set the flag that cli_stopped() reads. */
void cli_signals_catch(void);
int cli_stopped(void);

/* cli_output_flush - 0, or non-zero when no more can be written: end the loop, then cli_output_finish(). */
int cli_output_flush(void);

/* cli_output_is_gone - 1 when nobody reads our output any more; for loops with nothing to write. */
int cli_output_is_gone(void);

/* cli_output_finish - flushes; returns code, or CLI_FAILED with a sentence unless only the reader is gone. */
int cli_output_finish(int code);

#endif
