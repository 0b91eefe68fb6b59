// SPDX-License-Identifier: Apache-2.0

import Disk
import Glibc
import Testing

@Suite("The limit of open files")
struct OpenFileLimitTests {
    @Test("what the hard limit allows is allowed from then on")
    func raise() throws {
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        var limit = rlimit()
        try #require(getrlimit(resource, &limit) == 0)
        var lowered = limit
        lowered.rlim_cur = min(limit.rlim_max, 4096)
        try #require(setrlimit(resource, &lowered) == 0)
        #expect(OpenFileLimit.raise() == UInt64(limit.rlim_max))
        try #require(getrlimit(resource, &limit) == 0)
        #expect(limit.rlim_cur == limit.rlim_max)
    }
}
