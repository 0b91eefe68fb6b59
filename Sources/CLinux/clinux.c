// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "clinux.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

// The same number on every architecture: cachestat is newer than the unified system call table.
#ifndef __NR_cachestat
#define __NR_cachestat 451
#endif

int clinux_cachestat(int descriptor, uint64_t offset, uint64_t byte_count, struct clinux_cachestat *answer) {
    struct { uint64_t offset, byte_count; } range = {offset, byte_count};
    return (int)syscall(__NR_cachestat, descriptor, &range, answer, 0);
}

int64_t clinux_mincore_missing(int descriptor, int64_t offset, int64_t byte_count) {
    enum { pages_per_call = 4096 };
    const int64_t page_bytes = sysconf(_SC_PAGESIZE);
    const int64_t end = offset + byte_count;
    unsigned char is_present[pages_per_call];
    int64_t missing = 0;
    for (int64_t start = offset - offset % page_bytes; start < end; start += pages_per_call * page_bytes) {
        const int64_t length = end - start < pages_per_call * page_bytes ? end - start : pages_per_call * page_bytes;
        void *mapping = mmap(NULL, (size_t)length, PROT_READ, MAP_SHARED, descriptor, start);
        if (mapping == MAP_FAILED) return -1;
        const int status = mincore(mapping, (size_t)length, is_present);
        const int code = errno;
        munmap(mapping, (size_t)length);
        errno = code;
        if (status != 0) return -1;
        for (int64_t page = 0; page * page_bytes < length; page++) missing += !(is_present[page] & 1);
    }
    return missing;
}

int clinux_open(const char *path, int flags, mode_t permissions) {
    return open(path, flags | O_CLOEXEC, permissions);
}

int clinux_start_writeback(int descriptor, int64_t offset, int64_t byte_count) {
    return sync_file_range(descriptor, offset, byte_count, SYNC_FILE_RANGE_WRITE);
}

int clinux_reserve(int descriptor, int64_t offset, int64_t byte_count) {
    return fallocate(descriptor, FALLOC_FL_KEEP_SIZE, offset, byte_count);
}

const char *clinux_entry_name(const struct dirent *entry) {
    return entry->d_name;
}

int clinux_set_cork(int socket, int is_corked) {
    int value = is_corked != 0;
    return setsockopt(socket, IPPROTO_TCP, TCP_CORK, &value, sizeof value);
}
