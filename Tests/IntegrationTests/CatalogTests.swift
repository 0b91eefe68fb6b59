// SPDX-License-Identifier: Apache-2.0

import Foundation
import OCI
import StackSupport
import Testing

extension Integration.OneSystem {
    /// `/v2/_catalog`.
    @Suite("The list of repositories", .everyProcessLives)
    struct Catalog {
        let system: System
        let anywhere: Repository

        init() throws {
            system = try System()
            anywhere = system.repository("catalog")
        }

        private func names(_ answer: Answer) -> [String] {
            answer.json?["repositories"]?.arrayValue?.compactMap(\.stringValue) ?? []
        }

        @Test("repositories are listed in the order of their bytes, page by page, each once")
        func pages() async throws {
            let prefix = "catalog-\(TestBlob(sizeBytes: 4).digest.hex.prefix(8))"
            let made = [
                "\(prefix)/math", "\(prefix)/math-voila", "\(prefix)/math.x", "\(prefix)/math/a", "\(prefix)/maths",
            ]
            for name in made.shuffled() { _ = try await system.repository(name).startUpload() }
            var listed: [String] = []
            var next: String? = "/v2/_catalog?n=2&last=demo/\(prefix)"
            while let path = next, listed.count < 100 {
                let answer = try await anywhere.ask("GET", path)
                try #require(answer.status == 200, "\(answer.text)")
                listed += names(answer)
                next = answer["link"].map { link in
                    #expect(link.hasSuffix("; rel=\"next\""))
                    return String(link.dropFirst().prefix { $0 != ">" })
                }
            }
            let expected = made.map { "demo/\($0)" }.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
            #expect(Array(listed.prefix(5)) == expected)
            #expect(Set(listed).count == listed.count)
            let none = try await anywhere.ask("GET", "/v2/_catalog?n=0")
            #expect(names(none).isEmpty && none["link"] == nil && none.text.contains("[]"))
        }

        @Test("the list wants a credential, and a registry token that was given for it")
        func rights() async throws {
            let anonymous = try await anywhere.asked(with: .none).ask("GET", "/v2/_catalog")
            #expect(anonymous.status == 401 && anonymous.codes == ["UNAUTHORIZED"])
            #expect(anonymous["www-authenticate"]?.contains("scope=\"registry:catalog:*\"") == true)
            for (scope, status) in [("registry:catalog:*", 200), ("repository:demo/catalog:pull", 401)] {
                let query = "service=\(system.origin.authority)&scope=\(scope)"
                let issued = try await anywhere.ask("GET", "/token?\(query)")
                let token = try #require(issued.json?["token"]?.stringValue)
                let answer = try await anywhere.asked(with: .bearer(token)).ask("GET", "/v2/_catalog?n=1")
                #expect(answer.status == status, "\(scope)")
                if status == 401 {
                    #expect(answer["www-authenticate"]?.contains("error=\"insufficient_scope\"") == true)
                }
            }
        }

        @Test("a page that cannot be is 400", arguments: ["n=-1", "n=x", "n=1&n=2", "last=%00", "last=a&last=b"])
        func badPage(query: String) async throws {
            let answer = try await anywhere.ask("GET", "/v2/_catalog?\(query)")
            #expect(answer.status == 400 && answer.codes == ["UNSUPPORTED"])
        }
    }
}
