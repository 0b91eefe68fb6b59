// SPDX-License-Identifier: Apache-2.0

import OCI
import Testing

@Suite("Names, tags, references")
struct NameTests {
    @Test(
        "repository names that the specification allows",
        arguments: [
            "a", "0", "a/b", "a/b/c/d/e", "a__b", "a_b", "a.b", "a-b", "a-----b", "a.b-c__d_e/f", "library/debian",
            String(repeating: "a", count: 255), "a" + String(repeating: "/a", count: 127),
        ])
    func validName(text: String) {
        #expect(RepositoryName(text)?.text == text)
    }

    @Test(
        "repository names that it does not allow",
        arguments: [
            "", "/", "A/b", "a/B", "/a", "a/", "a//b", ".a", "a.", "a..b", "-a", "a-", "_a", "a_", "a___b", "a._b",
            "a/_b", "a-_b", "a_-b", "a.-b", "a-.b", "__a", "a__", "a/../b", "a/./b", "%2e%2e/b", "%252e%252e/b",
            "a%2fb", "a%00b", "a%20b", "a:b", "a@b", "a%5cb", "a\\b", "é", "%c0%ae", "\u{FF0E}", "😀", "a%0d%0aX:1",
            "a\r\nX:1", "a b", "a\0b",
            String(repeating: "a", count: 256), String(repeating: "a", count: 10_240),
        ])
    func invalidName(text: String) {
        #expect(RepositoryName(text) == nil)
    }

    @Test(
        "tags that the specification allows",
        arguments: [
            "a", "_", "A", "0", "latest", "1.2.3", "v1.0-rc.1", "_.-", "a..", String(repeating: "x", count: 128),
        ])
    func validTag(text: String) {
        #expect(Tag(text)?.text == text)
    }

    @Test(
        "tags that it does not allow",
        arguments: [
            "", String(repeating: "x", count: 129), ".x", "-x", "x+y", "x@y", "x%20y", "x y", "x:y", "..", "é", "x\0",
            "x\n", "x/y",
        ])
    func invalidTag(text: String) {
        #expect(Tag(text) == nil)
    }

    @Test("organizations are DNS labels")
    func slugs() {
        for text in ["a", "0", "demo", "a-b", "a--b", "xn--e1afmkfd", String(repeating: "a", count: 63)] {
            #expect(OrganizationSlug(text)?.text == text)
        }
        for text in ["", "-", "-a", "a-", "A", "a.b", "a_b", "a/b", "é", "a\n", String(repeating: "a", count: 64)] {
            #expect(OrganizationSlug(text) == nil)
        }
    }

    @Test("a reference is a digest or a tag; a bad digest is no tag")
    func references() throws {
        let digest = "sha256:" + String(repeating: "0", count: 64)
        #expect(Reference(digest) == .digest(try #require(Digest(digest))))
        #expect(Reference("v1") == .tag(try #require(Tag("v1"))))
        #expect(Reference("sha256-abc") == .tag(try #require(Tag("sha256-abc"))))
        for text in ["", "sha256:abc", "md5:" + String(repeating: "0", count: 32)] { #expect(Reference(text) == nil) }
        for text in [digest, "v1"] { #expect(Reference(text)?.description == text) }
    }
}
