// SPDX-License-Identifier: Apache-2.0

#define _GNU_SOURCE
#include "clinux_spawn.h"

#include <signal.h>
#include <spawn.h>

static int describe(posix_spawn_file_actions_t *actions, int directory, int input, int output) {
    int status = posix_spawn_file_actions_adddup2(actions, input, 0);
    if (status == 0) status = posix_spawn_file_actions_adddup2(actions, output, 1);
    if (status == 0) status = posix_spawn_file_actions_adddup2(actions, output, 2);
    if (status == 0) status = posix_spawn_file_actions_adddup2(actions, directory, 3);
    if (status == 0) status = posix_spawn_file_actions_addclosefrom_np(actions, 4);
    if (status == 0) status = posix_spawn_file_actions_addchdir_np(actions, "/");
    return status;
}

int clinux_spawn(
    pid_t *child, const char *program, char *const arguments[], char *const environment[], int directory, int input,
    int output
) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    int status = posix_spawn_file_actions_init(&actions);
    if (status != 0) return status;
    status = posix_spawnattr_init(&attributes);
    if (status == 0) {
        status = describe(&actions, directory, input, output);
        if (status == 0) status = posix_spawnattr_setsigmask(&attributes, &none);
        if (status == 0) status = posix_spawnattr_setsigdefault(&attributes, &all);
        if (status == 0) {
            status = posix_spawnattr_setflags(
                &attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
        }
        if (status == 0) status = posix_spawn(child, program, &actions, &attributes, arguments, environment);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return status;
}
