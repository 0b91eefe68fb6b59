// SPDX-License-Identifier: Apache-2.0

import Foundation
import Hashing
import OCI
import SignedURL
import StackSupport
import Testing

extension Integration.OneSystem {
    /// Every row of the table in `Docs/architecture.md`, "Signed links", at a real edge with links of a real 307.
    @Suite("Signed links", .everyProcessLives)
    struct LinkTable {
        let system: System
        let repository: Repository

        init() throws {
            system = try System()
            repository = system.repository("links")
        }

        /// A link to a new blob, which no edge has.
        private func newLink() async throws -> (blob: TestBlob, link: EdgeLink) {
            let blob = try await repository.pushedBlob(sizeBytes: 70_001)
            return (blob, try await repository.link(to: blob))
        }

        private func mint(_ link: EdgeLink) throws -> LinkMint {
            try LinkMint(edge: system.edge(of: link), like: link)
        }

        @Test("a good link gives the blob, with headers that say what it is, and may be used again")
        func good() async throws {
            let (blob, link) = try await newLink()
            for _ in 1...2 {
                let answer = try await link.get()
                #expect(answer.status == 200 && answer.ending == .complete)
                #expect(answer.body == blob.bytes)
                #expect(answer["content-length"] == "\(blob.sizeBytes)")
                #expect(answer["etag"] == "\"\(blob.digest)\"")
                #expect(answer["accept-ranges"] == "bytes")
                #expect(answer["cache-control"]?.contains("immutable") == true)
            }
        }

        @Test("the redirect itself is not to be stored, and its link follows the grammar")
        func redirect() async throws {
            let blob = try await repository.pushedBlob(sizeBytes: 70_001)
            let answer = try await repository.ask("GET", "blobs/\(blob.digest)")
            #expect(answer.status == 307)
            #expect(answer["cache-control"] == "no-store")
            let link = try EdgeLink(url: try #require(answer["location"]))
            #expect(link.path == "/b/v1/sha256/\(blob.digest.hex)")
            #expect(link.items.map(\.name) == ["a", "e", "k", "s", "t", "g"])
            #expect(link["a"] == (try system.edge(of: link).id))
            #expect(link["s"] == "\(blob.sizeBytes)")
            #expect(!link["t"].contains(system.description.organization), "the tenant's label is not its name")
        }

        static let malformedLinks: [Row<@Sendable (EdgeLink) -> String>] = [
            Row("percent-encoded algorithm") { $0.target.replacing("sha256", with: "%73ha256") },
            Row("percent-encoded slash") { $0.target.replacing("/sha256/", with: "/sha256%2f") },
            Row("percent-encoded parameter") { $0.target.replacing("?a=", with: "?%61=") },
            Row("percent-encoded value") { $0.with("t", "%" + $0["t"]).target },
            Row("duplicate parameter") { $0.target.replacing("&e=", with: "&a=\($0["a"])&e=") },
            Row("duplicate signature") { $0.target + "&g=\($0["g"])" },
            Row("unknown parameter at the end") { $0.target + "&x=1" },
            Row("unknown parameter before the signature") { $0.target.replacing("&g=", with: "&x=1&g=") },
            Row("reordered parameters") { link in
                var link = link
                link.items.swapAt(0, 1)
                return link.target
            },
            Row("missing tenant") { $0.without("t").target },
            Row("missing expiry") { $0.without("e").target },
            Row("no query") { $0.path },
            Row("empty query") { $0.path + "?" },
            Row("empty expiry") { $0.with("e", "").target },
            Row("negative expiry") { $0.with("e", "-1").target },
            Row("expiry with sign") { $0.with("e", "+" + $0["e"]).target },
            Row("expiry with leading zero") { $0.with("e", "0" + $0["e"]).target },
            Row("expiry of 2^64") { $0.with("e", "18446744073709551616").target },
            Row("size with leading zero") { $0.with("s", "0" + $0["s"]).target },
            Row("size in hexadecimal") { $0.with("s", "0x10").target },
            Row("upper-case edge id") { $0.with("a", $0["a"].uppercased() + "A").target },
            Row("edge id of 33 characters") { $0.with("a", String(repeating: "a", count: 33)).target },
            Row("empty key id") { $0.with("k", "").target },
            Row("short signature") { $0.with("g", String($0["g"].dropLast())).target },
            Row("long signature") { $0.with("g", $0["g"] + "A").target },
            Row("empty signature") { $0.with("g", "").target },
            Row("padded signature") { $0.with("g", $0["g"] + "=").target },
            Row("signature outside base64url") { $0.with("g", "+" + $0["g"].dropFirst()).target },
            Row("signature with left-over bits") { link in
                // 43 characters are 258 bits: the last two of them say nothing and have to be zero.
                let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
                let last = link["g"].last.flatMap { alphabet.firstIndex(of: $0) } ?? 0
                return link.with("g", link["g"].dropLast() + String(alphabet[last | 1])).target
            },
            Row("doubled slash in front") { "/" + $0.target },
            Row("doubled slash inside") { $0.target.replacing("/v1/", with: "/v1//") },
            Row("dot segment") { $0.target.replacing("/v1/", with: "/./v1/") },
            Row("parent segment") { $0.target.replacing("/v1/", with: "/x/../v1/") },
            Row("path parameter") { $0.path + ";x" + $0.target.dropFirst($0.path.count) },
            Row("slash at the end") { $0.path + "/" + $0.target.dropFirst($0.path.count) },
            Row("backslash") { $0.target.replacing("/sha256/", with: "/sha256\\") },
            Row("upper-case hexadecimal") { link in
                var link = link
                link.path = "/b/v1/sha256/" + link.path.dropFirst("/b/v1/sha256/".count).uppercased()
                return link.target
            },
            Row("digest of 63 digits") { link in
                var link = link
                link.path.removeLast()
                return link.target
            },
            Row("digest of 65 digits") { link in
                var link = link
                link.path += "0"
                return link.target
            },
            Row("sha512 with 64 digits") { $0.target.replacing("sha256", with: "sha512") },
            Row("unknown algorithm") { $0.target.replacing("sha256", with: "md5") },
            Row("another version") { $0.target.replacing("/v1/", with: "/v2/") },
            Row("fragment") { $0.target + "#x" },
            Row("the root") { _ in "/" },
            Row("a registry's path") { _ in "/v2/" },
        ]

        @Test("anything outside the grammar is 400", arguments: malformedLinks)
        func malformed(row: Row<@Sendable (EdgeLink) -> String>) async throws {
            let (_, link) = try await newLink()
            let target = row.value(link)
            try #require(target != link.target)
            let answer = try await ask(link.endpoint, HTTPRequest(target))
            #expect(answer.status == 400, "\(target)")
            #expect(answer.ending == .complete)
        }

        @Test("an absolute-form target for another host is refused")
        func absoluteForm() async throws {
            let (_, link) = try await newLink()
            let answer = try await ask(link.endpoint, HTTPRequest("http://other.example" + link.target))
            #expect(answer.status == 400 || answer.status == 403)
        }

        static let forgedLinks: [Row<@Sendable (EdgeLink) -> String>] = [
            Row("no signature") { $0.without("g").target },
            Row("wrong signature") { link in
                let first = link["g"].first == "A" ? "B" : "A"
                return link.with("g", first + link["g"].dropFirst()).target
            },
            Row("another size") { $0.with("s", "70002").target },
            Row("a later expiry") { $0.with("e", String((Int($0["e"]) ?? 0) + 1)).target },
            Row("another tenant") { $0.with("t", "aaaaaaaaaaaaaaaa").target },
            Row("another digest") { link in
                var link = link
                link.path = "/b/v1/sha256/" + TestBlob(sizeBytes: 1).digest.hex
                return link.target
            },
            Row("unknown key id") { $0.with("k", $0["k"] == "zz" ? "zy" : "zz").target },
            Row("fields shifted over their border") { link in
                link.with("t", String(link["t"].dropLast())).with("s", link["s"] + "1").target
            },
        ]

        @Test("a link that the origin did not sign is 403", arguments: forgedLinks)
        func forged(row: Row<@Sendable (EdgeLink) -> String>) async throws {
            let (_, link) = try await newLink()
            let answer = try await ask(link.endpoint, HTTPRequest(row.value(link)))
            #expect(answer.status == 403)
            #expect(answer["depot-reason"] == nil, "only a genuine link is told that it has expired")
            #expect(answer.bodyBytes < 200)
        }

        @Test("a link is good at its own edge alone")
        func otherEdge() async throws {
            let (_, link) = try await newLink()
            let other = try system.otherEdge(than: system.edge(of: link))
            let otherEndpoint = try #require(Endpoint(url: other.url))
            #expect(try await ask(otherEndpoint, HTTPRequest(link.target)).status == 403)
            #expect(try await ask(otherEndpoint, HTTPRequest(link.with("a", other.id).target)).status == 403)
            #expect(try await ask(link.endpoint, HTTPRequest(link.with("a", other.id).target)).status == 403)
        }

        @Test("an edge cannot make links for another edge")
        func foreignKey() async throws {
            let (blob, link) = try await newLink()
            let other = try system.otherEdge(than: system.edge(of: link))
            let foreign = try LinkMint(edge: other, like: link)
            let forged = Link(
                digest: blob.digest, edgeID: link["a"], expiry: try #require(Int64(link["e"])), keyID: link["k"],
                sizeBytes: Int64(blob.sizeBytes), tenant: link["t"])
            let target = LinkSigner.target(for: forged, key: foreign.key)
            #expect(try await ask(link.endpoint, HTTPRequest(target)).status == 403)
        }

        @Test("an expired link is 403 and says so; 60 s of leeway are given")
        func expired() async throws {
            let (blob, link) = try await newLink()
            let mint = try mint(link)
            let fresh = try await mint.link(to: blob.digest, sizeBytes: blob.sizeBytes, remaining: .seconds(-30)).get()
            #expect(fresh.status == 200 && fresh.body == blob.bytes)
            for age in [62, 3600, 1_000_000_000] {
                let answer = try await mint.link(
                    to: blob.digest, sizeBytes: blob.sizeBytes, remaining: .seconds(-age)
                ).get()
                #expect(answer.status == 403, "\(age) s")
                #expect(answer["depot-reason"] == "expired", "\(age) s")
            }
        }

        @Test("an expired link that is forged too is not told that it expired")
        func expiredAndForged() async throws {
            let (blob, link) = try await newLink()
            let expired = try mint(link).link(to: blob.digest, sizeBytes: blob.sizeBytes, remaining: .seconds(-3600))
            let answer = try await expired.with("s", "1").get()
            #expect(answer.status == 403)
            #expect(answer["depot-reason"] == nil)
        }

        @Test("a genuine link that would count for longer than links do is 403")
        func tooLong() async throws {
            let (blob, link) = try await newLink()
            let mint = try mint(link)
            let longest = Duration.seconds(mint.timeToLiveSeconds + 55)
            #expect(
                try await mint.link(to: blob.digest, sizeBytes: blob.sizeBytes, remaining: longest).get().status == 200)
            let tooLong = Duration.seconds(mint.timeToLiveSeconds + 65)
            let answer = try await mint.link(to: blob.digest, sizeBytes: blob.sizeBytes, remaining: tooLong).get()
            #expect(answer.status == 403)
            #expect(answer["depot-reason"] == nil)
        }

        @Test("a blob that the origin does not know is 404, and is served as soon as it does")
        func unknownBlob() async throws {
            let (_, genuine) = try await newLink()
            let blob = TestBlob(sizeBytes: 70_003)
            let link = try mint(genuine).link(to: blob.digest, sizeBytes: blob.sizeBytes, remaining: .seconds(300))
            for method in ["HEAD", "GET", "GET"] {
                let answer = try await link.get(method: method)
                #expect(answer.status == 404, "\(method)")
                #expect(answer["cache-control"]?.contains("immutable") != true)
            }
            try await repository.push(blob)
            let answer = try await link.get()
            #expect(answer.status == 200)
            #expect(answer.body == blob.bytes)
        }

        @Test("a genuine link with a size that is not the blob's gives no byte")
        func wrongSize() async throws {
            let (blob, genuine) = try await newLink()
            for sizeBytes in [blob.sizeBytes - 1, blob.sizeBytes + 1, 1, 1 << 60] {
                let link = try mint(genuine).link(to: blob.digest, sizeBytes: sizeBytes, remaining: .seconds(300))
                let answer = try await link.get()
                #expect(answer.status >= 400, "\(sizeBytes)")
            }
        }

        @Test(
            "other methods are 405, before anything else is looked at",
            arguments: ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"], [true, false])
        func otherMethods(method: String, isGood: Bool) async throws {
            let (_, link) = try await newLink()
            let answer = try await ask(link.endpoint, HTTPRequest(method, isGood ? link.target : "//not/a/link"))
            #expect(answer.status == 405)
            #expect(answer["allow"] == "GET, HEAD")
        }

        @Test("HEAD of a blob that no edge has asks the origin, and sends no body")
        func head() async throws {
            let (blob, link) = try await newLink()
            for _ in 1...2 {
                let answer = try await link.get(method: "HEAD")
                #expect(answer.status == 200)
                #expect(answer["content-length"] == "\(blob.sizeBytes)")
                #expect(answer["etag"] == "\"\(blob.digest)\"")
            }
        }

        @Test("links of sha512 blobs have 128 digits and work the same")
        func sha512() async throws {
            let blob = try await repository.pushedBlob(sizeBytes: 1_200_001, algorithm: .sha512)
            let link = try await repository.link(to: blob)
            #expect(link.path == "/b/v1/sha512/\(blob.digest.hex)")
            let whole = try await link.get()
            #expect(whole.status == 200)
            #expect(whole.body == blob.bytes)
            let part = try await link.get([("Range", "bytes=1048570-1048580")])
            #expect(part.status == 206)
            #expect(part.body == Array(blob.bytes[1_048_570...1_048_580]))
            var short = link
            short.path = String(short.path.dropLast(64))
            #expect(try await short.get().status == 400)
            #expect(try await ask(link.endpoint, HTTPRequest(link.with("s", "1").target)).status == 403)
        }

        @Test("an edge ignores Authorization, forwarded headers and a client's cache directives")
        func ignoredHeaders() async throws {
            let (blob, link) = try await newLink()
            let answer = try await link.get([
                ("Authorization", "Bearer wrong"), ("X-Forwarded-Host", "other.example"),
                ("X-Original-URL", "/b/v1/other"), ("Cache-Control", "no-cache"), ("Accept-Encoding", "zstd, gzip"),
            ])
            #expect(answer.status == 200)
            #expect(answer["content-encoding"] == nil)
            #expect(answer.body == blob.bytes)
        }

        @Test("no log holds a signature, a query, or a credential")
        func logs() async throws {
            let (_, link) = try await newLink()
            let secret = "never-to-be-logged-\(TestBlob(sizeBytes: 8).digest.hex)"
            #expect(try await link.get([("Authorization", "Bearer \(secret)")]).status == 200)
            #expect(try await link.with("g", String(repeating: "A", count: 43)).get().status == 403)
            #expect(try await repository.asked(with: .bearer(secret)).ask("GET", "tags/list").status == 401)
            let description = system.description
            let written = try (description.origins.map(\.log) + description.edges.map(\.log)).map {
                try String(contentsOfFile: $0, encoding: .utf8)
            }.joined()
            try #require(written.contains(link.path), "the access log names the path")
            for forbidden in [link["g"], "&g=", "?a=", secret, description.token, description.adminToken] {
                #expect(!written.contains(forbidden))
            }
        }
    }
}
