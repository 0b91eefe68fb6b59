// SPDX-License-Identifier: Apache-2.0

import OriginPrivatePostgres
import Testing

@Suite("postmaster.pid")
struct PostmasterFileTests {
    @Test("a running server's file gives process, socket directory, and status")
    func whole() {
        let text = "123\n/proc/self/fd/3\n1700000000\n5432\n/run/depot\n\n  1234    5678\nready   \n"
        let file = PostmasterFile(text)
        #expect(file?.processID == 123)
        #expect(file?.socketDirectory == "/run/depot")
        #expect(file?.status == .ready)
    }

    @Test("a file that is still being written counts as starting", arguments: ["123\n", "123\n/x\n1\n5432\n/run\n\n"])
    func partial(text: String) {
        #expect(PostmasterFile(text)?.status == .starting)
    }

    @Test(
        "what is no such file is refused", arguments: ["", "\n", "x\n/data\n", "-5\n/data\n", "0\n", "99999999999\n"])
    func invalid(text: String) {
        #expect(PostmasterFile(text) == nil)
    }
}
