// SPDX-License-Identifier: Apache-2.0

import CLinux
import Glibc
import Synchronization

/// What the kernel holds of a file in memory, and hints about it. Ranges are half-open, in bytes.
extension File {
    /// Whether every page of the range is in the page cache at this moment, so that sendfile(2) will not wait for the
    /// disk. Does not block.
    ///
    /// - Returns: `nil` if the kernel does not tell us: see `missingPages`.
    package func isResident(_ range: Range<Int64>) throws(DiskError) -> Bool? {
        try missingPages(range).map { $0 == 0 }
    }

    /// How many pages of the range are not in the page cache: by cachestat(2), or where the kernel lacks it (before
    /// Linux 6.5) by mincore(2), at twice the price. Does not block and brings no page in.
    ///
    /// - Parameter range: Within the file; pages behind its end count as missing.
    /// - Returns: `nil` if neither call tells: then only `read` and a check of the bytes help.
    package func missingPages(_ range: Range<Int64>) throws(DiskError) -> Int? {
        if let count = try missingPagesByCachestat(range) { return count }
        return try missingPagesByMapping(range)
    }

    /// `missingPages` by cachestat(2) alone.
    package func missingPagesByCachestat(_ range: Range<Int64>) throws(DiskError) -> Int? {
        // A length of 0 would mean "to the end of the file".
        guard !range.isEmpty else { return 0 }
        guard PageCache.hasCachestat.load(ordering: .relaxed) else { return nil }
        var answer = clinux_cachestat()
        do throws(DiskError) {
            try system(.cachestat, path) {
                clinux_cachestat(
                    descriptor,
                    UInt64(range.lowerBound),
                    UInt64(range.upperBound - range.lowerBound),
                    &answer
                )
            }
        } catch {
            switch error.errno {
            case ENOSYS:
                PageCache.hasCachestat.store(false, ordering: .relaxed)
                return nil
            // A system call filter answers EPERM; the kernel, too, to who neither owns nor may write the file.
            case EPERM, EOPNOTSUPP: return nil
            default: throw error
            }
        }
        let firstPage = range.lowerBound / PageCache.pageBytes
        let lastPage = (range.upperBound - 1) / PageCache.pageBytes
        return max(0, Int(lastPage - firstPage + 1) - Int(answer.cached))
    }

    /// `missingPages` by mincore(2) alone.
    /// - Returns: `nil` for a file that this process does not own: the kernel then says "all there", whatever is true.
    package func missingPagesByMapping(_ range: Range<Int64>) throws(DiskError) -> Int? {
        guard !range.isEmpty else { return 0 }
        guard try status().ownerID == geteuid() else { return nil }
        do throws(DiskError) {
            let count = try system(.mincore, path) {
                clinux_mincore_missing(descriptor, range.lowerBound, range.upperBound - range.lowerBound)
            }
            return Int(count)
        } catch {
            switch error.errno {
            // A system call filter, or a file system that maps nothing shared.
            case EPERM, EACCES, ENOSYS, ENODEV, EOPNOTSUPP: return nil
            default: throw error
            }
        }
    }

    /// Switches read-ahead off for this descriptor: only pages that are read come into memory.
    package func adviseRandom() throws(DiskError) {
        try advise(0..<0, POSIX_FADV_RANDOM)
    }

    /// Drops clean pages of the range from memory; dirty ones stay. An empty range means the whole file.
    package func adviseDontNeed(_ range: Range<Int64>) throws(DiskError) {
        try advise(range, POSIX_FADV_DONTNEED)
    }

    /// Starts writing the range's dirty pages to the device and returns, so that a later `syncData` is short.
    /// Says nothing about durability.
    package func startWriteback(_ range: Range<Int64>) throws(DiskError) {
        guard !range.isEmpty else { return }
        do throws(DiskError) {
            try system(.syncFileRange, path) {
                clinux_start_writeback(descriptor, range.lowerBound, range.upperBound - range.lowerBound)
            }
        } catch {
            // A hint: file systems and sandboxes without it are fine.
            if error.errno != ENOSYS && error.errno != EINVAL && error.errno != ESPIPE { throw error }
        }
    }

    /// Allocates blocks for the range without changing the file's size, so that later writes do not run out of space
    /// and the file lies in one piece. Does nothing on file systems that cannot.
    package func reserve(_ range: Range<Int64>) throws(DiskError) {
        guard !range.isEmpty else { return }
        do throws(DiskError) {
            try system(.fallocate, path) {
                clinux_reserve(descriptor, range.lowerBound, range.upperBound - range.lowerBound)
            }
        } catch {
            if error.errno != EOPNOTSUPP && error.errno != ENOSYS { throw error }
        }
    }

    private func advise(_ range: Range<Int64>, _ advice: Int32) throws(DiskError) {
        try system(.fadvise, path) {
            // posix_fadvise returns the error instead of setting errno.
            let code = posix_fadvise(
                descriptor,
                off_t(range.lowerBound),
                off_t(range.upperBound - range.lowerBound),
                advice
            )
            errno = code
            return code == 0 ? Int32(0) : -1
        }
    }
}

private enum PageCache {
    /// Cleared for the process by the first ENOSYS.
    static let hasCachestat = Atomic(true)
    static let pageBytes = Int64(sysconf(Int32(_SC_PAGESIZE)))
}
