// SPDX-License-Identifier: Apache-2.0

import EdgeControl
import Testing

@Suite struct OriginAddressTests {
    @Test(
        "a base URL is scheme, host, and port",
        arguments: [
            ("https://Origin.example", "https://origin.example"), ("https://o.example/", "https://o.example"),
            ("HTTP://127.0.0.1:8080", "http://127.0.0.1:8080"), ("http://[::1]:8080", "http://[::1]:8080"),
        ]
    )
    func good(url: String, text: String) { #expect(OriginAddress(url)?.text == text) }

    @Test(
        "anything else is refused",
        arguments: [
            "", "origin", "ftp://o", "https:", "https://", "https:///", "https://o/base", "https://o//", "https://u@o",
            "https://u:p@o", "https://o?x", "https://o#x", "https://o o", "https://o\r\nX: y", "https://:80",
            "https://[]",
            "https://\(String(repeating: "o", count: 600))",
        ]
    )
    func bad(url: String) { #expect(OriginAddress(url) == nil) }

    @Test(
        "plain http is for the loopback, unless it is allowed",
        arguments: [
            ("https://o.example", true), ("http://127.0.0.1:80", true), ("http://127.1.2.3", true),
            ("http://localhost:80", true), ("http://[::1]", true), ("http://o.example", false),
            ("http://127.0.0.1.example", false), ("http://127.0.0", false), ("http://10.0.0.1", false),
            ("http://localhost.example", false),
        ]
    )
    func plainHTTP(url: String, isAdmissible: Bool) {
        #expect(OriginAddress(url)?.isAdmissible(allowsPlainHTTP: false) == isAdmissible)
        #expect(OriginAddress(url)?.isAdmissible(allowsPlainHTTP: true) == true)
    }
}

@Suite struct OriginListTests {
    private let start = ContinuousClock.now
    private let a: OriginAddress
    private let b: OriginAddress
    private let c: OriginAddress

    init() throws {
        a = try #require(OriginAddress("https://a"))
        b = try #require(OriginAddress("https://b"))
        c = try #require(OriginAddress("https://c"))
    }

    @Test("the origin of the credential is known from the start and for ever")
    func joined() {
        var list = OriginList(joined: a)
        #expect(list.ordered(at: start) == [a])
        #expect(list.answered(a, naming: [b], at: start) == [b])
        #expect(list.ordered(at: start) == [a, b])
        #expect(list.isKnown(a, at: start + .seconds(3600)))
    }

    @Test("those that are named are found once")
    func found() {
        var list = OriginList(joined: a)
        #expect(list.answered(a, naming: [a, b, c, b], at: start) == [b, c])
        #expect(list.answered(a, naming: [a, b, c], at: start + .seconds(2)) == [])
    }

    @Test("those that nobody names any more are forgotten, and found again")
    func forgotten() {
        var list = OriginList(joined: a)
        _ = list.answered(a, naming: [a, b], at: start)
        _ = list.answered(a, naming: [a], at: start + .seconds(2))
        #expect(!list.isKnown(b, at: start + .seconds(2)))
        #expect(list.answered(a, naming: [a, b], at: start + .seconds(4)) == [b])
    }

    @Test("a dead origin's answer fades, a live one's stays")
    func fades() {
        var list = OriginList(joined: a)
        _ = list.answered(a, naming: [a, b], at: start)
        _ = list.answered(b, naming: [b, c], at: start)
        for second in 1...40 { _ = list.answered(a, naming: [a, b], at: start + .seconds(second)) }
        #expect(list.isKnown(b, at: start + .seconds(40)))
        #expect(!list.isKnown(c, at: start + .seconds(40)))
    }

    @Test("the one that failed goes to the end, the one that worked to the front")
    func order() {
        var list = OriginList(joined: a)
        _ = list.answered(a, naming: [a, b, c], at: start)
        list.failed(a)
        #expect(list.ordered(at: start) == [b, c, a])
        list.succeeded(c)
        #expect(list.ordered(at: start) == [c, b, a])
        _ = list.answered(c, naming: [a, b, c], at: start)
        #expect(list.ordered(at: start) == [c, b, a])
    }

    @Test("an answer that names too many is cut")
    func tooMany() {
        var list = OriginList(joined: a)
        let many = (0..<1000).compactMap { OriginAddress("https://o\($0)") }
        let found = list.answered(a, naming: many, at: start)
        #expect(found.count == OriginList.countMax)
    }
}
