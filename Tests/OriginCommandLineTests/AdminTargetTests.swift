// SPDX-License-Identifier: Apache-2.0

import OriginCommandLine
import Testing

/// Paths of the admin API.
@Suite struct AdminTargetTests {
    @Test(
        "segments are encoded where they have to be, and nowhere else",
        arguments: [
            ("acme", "acme"), ("a-b_c.d~e", "a-b_c.d~e"), ("x@y+z", "x@y+z"), ("a/b", "a%2Fb"), ("a b", "a%20b"),
            ("a?b#c", "a%3Fb%23c"), ("100%", "100%25"), ("ü", "%C3%BC"), ("a\nb", "a%0Ab"), ("..a", "..a"),
        ])
    func segment(text: String, encoded: String) throws {
        #expect(try AdminTarget.root.appending("users", text).description == "/api/v1/users/\(encoded)")
    }

    @Test("a repository's name keeps its slashes")
    func repository() throws {
        let target = try AdminTarget.root.appending("repositories").appending(name: "app/web api")
        #expect(target.description == "/api/v1/repositories/app/web%20api")
    }

    @Test("a name that would make it the path of something else is a wrong call", arguments: ["", ".", ".."])
    func dots(segment: String) {
        let failure = #expect(throws: CommandFailure.self) { try AdminTarget.root.appending("users", segment) }
        #expect(failure?.exitCode == 2)
        #expect(throws: CommandFailure.self) { try AdminTarget.root.appending(name: "a/\(segment)/b") }
    }

    @Test("a query is encoded, and behind the path")
    func query() throws {
        let target = AdminTarget.root.asking("after", "a+b&c=d").asking("limit", "500")
        #expect(target.description == "/api/v1?after=a%2Bb%26c%3Dd&limit=500")
        #expect(try target.appending("x").description == "/api/v1/x?after=a%2Bb%26c%3Dd&limit=500")
    }
}
