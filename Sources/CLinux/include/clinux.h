// SPDX-License-Identifier: Apache-2.0
// What Swift cannot import from the system headers: variadic functions, system calls without a C library wrapper,
// and functions behind _GNU_SOURCE. Every function keeps the convention of its system call: -1 and errno on failure.
#pragma once

#include "clinux_spawn.h"
#include <dirent.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/// The answer of cachestat(2), counted in pages. Layout of `struct cachestat` in linux/mman.h.
struct clinux_cachestat {
    uint64_t cached;
    uint64_t dirty;
    uint64_t writeback;
    uint64_t evicted;
    uint64_t recently_evicted;
};

/// cachestat(2), Linux 6.5. By number, because glibc 2.36 has no wrapper. ENOSYS on older kernels.
/// `byte_count` 0 means "to the end of the file".
int clinux_cachestat(int descriptor, uint64_t offset, uint64_t byte_count, struct clinux_cachestat *answer);

/// Pages of the range that are not in the page cache, by mincore(2) over a mapping that lives for this call only. Reads
/// no page in. The kernel answers "all there" to who neither owns nor may write the file.
int64_t clinux_mincore_missing(int descriptor, int64_t offset, int64_t byte_count);

/// open(2) with its variadic mode; O_CLOEXEC is always added.
int clinux_open(const char *path, int flags, mode_t permissions);

/// sync_file_range(2) with SYNC_FILE_RANGE_WRITE: starts writing dirty pages back, waits for nothing.
int clinux_start_writeback(int descriptor, int64_t offset, int64_t byte_count);

/// fallocate(2) with FALLOC_FL_KEEP_SIZE.
int clinux_reserve(int descriptor, int64_t offset, int64_t byte_count);

/// The name inside a directory entry, valid until the next readdir(3) on the same stream.
const char *clinux_entry_name(const struct dirent *entry);

/// TCP_CORK on or off; see tcp(7).
int clinux_set_cork(int socket, int is_corked);
