// SPDX-License-Identifier: Apache-2.0

import Glibc

/// How many descriptors this process may have open.
package enum OpenFileLimit {
    /// Raises the soft limit to the hard one, as servers do that hold thousands of connections: shells start programs
    /// with 1,024. Call once, before the first connection.
    /// - Returns: The limit in force afterwards; `nil` if it cannot be known.
    @discardableResult
    package static func raise() -> UInt64? {
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        var limit = rlimit()
        guard getrlimit(resource, &limit) == 0 else { return nil }
        guard limit.rlim_cur < limit.rlim_max else { return UInt64(limit.rlim_cur) }
        var raised = limit
        raised.rlim_cur = limit.rlim_max
        return UInt64(setrlimit(resource, &raised) == 0 ? raised.rlim_cur : limit.rlim_cur)
    }
}
