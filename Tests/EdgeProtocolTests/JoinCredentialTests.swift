// SPDX-License-Identifier: Apache-2.0

import EdgeProtocol
import Grammar
import Hashing
import Testing

@Suite("Join credential")
struct JoinCredentialTests {
    private static let secret = [UInt8](repeating: 0x5A, count: JoinCredential.secretBytes)

    private func text(
        prefix: String = "depot-edge",
        id: String = "edge1",
        secret: String = Base64URL.encode(secret),
        url: String = Base64URL.encode("https://registry.example:8443".utf8)
    ) -> String {
        "\(prefix).\(id).\(secret).\(url)"
    }

    @Test(
        "what is printed is what is read",
        arguments: ["https://registry.example", "http://127.0.0.1:8080", "https://[::1]:1/a"])
    func roundTrip(url: String) throws {
        let credential = try #require(JoinCredential(edgeID: "edge1", secret: Self.secret, originURL: url))
        #expect(JoinCredential(credential.text) == credential)
        #expect(credential.isPlainHTTP == url.hasPrefix("http:"))
        #expect(credential.originURL == url)
    }

    @Test("the secret is in the text alone")
    func redaction() throws {
        let credential = try #require(JoinCredential(text()))
        let secret = Base64URL.encode(Self.secret)
        #expect(credential.text.contains(secret))
        var dumped = ""
        dump(credential, to: &dumped)
        for shown in ["\(credential)", String(reflecting: credential), dumped] {
            #expect(!shown.contains(secret) && !shown.contains("90"))
        }
    }

    @Test("anything else is refused")
    func refused() {
        let cases = [
            "", "depot-edge", text(prefix: "depot"), text(id: ""), text(id: "Edge"), text(id: "a/b"),
            text(id: String(repeating: "a", count: 33)), text(secret: ""),
            text(secret: Base64URL.encode(Self.secret.dropLast())), text(secret: Base64URL.encode(Self.secret) + "="),
            text(url: ""), text(url: "%"), text() + ".x", text() + "\n", " " + text(),
            String(repeating: "a", count: 5_000),
        ]
        for text in cases { #expect(JoinCredential(text) == nil) }
        let urls = [
            "", "registry.example", "ftp://a", "https://", "https:///a", "https://a/", "https://user@a", "https://a?b",
            "https://a#b", "https://a b", "https://a\\b", "https://é", "https://a\n", "file:///etc/passwd",
        ]
        for url in urls { #expect(JoinCredential(text(url: Base64URL.encode(url.utf8))) == nil) }
    }
}
