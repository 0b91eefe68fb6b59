// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

/// posix_spawn(3) of a program that shares nothing with this process but three descriptors: `input` becomes 0, `output`
/// becomes 1 and 2, `directory` becomes 3, and all others are closed. It works in `/`, in a session of its own, with no
/// signal blocked or ignored. None of the descriptors given may be below 4.
///
/// Returns 0, or an errno value.
int clinux_spawn(
    pid_t *child, const char *program, char *const arguments[], char *const environment[], int directory, int input,
    int output);
