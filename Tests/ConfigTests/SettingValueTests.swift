// SPDX-License-Identifier: Apache-2.0

import Config
import Testing

@Suite("Values of settings")
struct SettingValueTests {
    @Test(
        "sizes",
        arguments: [
            ("0", 0), ("1048576", 1 << 20), ("64KiB", 64 << 10), ("64K", 64 << 10), ("1M", 1 << 20),
            ("20GiB", 20 << 30),
            ("1TiB", 1 << 40), ("3T", 3 << 40), ("0G", 0), ("9223372036854775807", Int64.max),
            ("8388607TiB", 8_388_607 << 40),
        ] as [(String, Int64)]
    )
    func sizes(text: String, bytes: Int64) {
        #expect(ByteSize(settingText: text)?.bytes == bytes)
    }

    @Test(
        "texts that are no sizes, overflow among them",
        arguments: [
            "", "K", "KiB", "-1", "+1", "1.5G", "1 GiB", " 1", "1kib", "1KB", "1GB", "0x10", "1GiBx", "KiB1", "1e3",
            "１",
            "9223372036854775808", "8388608TiB", "99999999999999999999", "9007199254740992K",
        ]
    )
    func badSizes(text: String) {
        #expect(ByteSize(settingText: text) == nil)
    }

    @Test(
        "a size is shown in the largest unit that divides it",
        arguments: ["0", "1", "64KiB", "20GiB", "1025", "3TiB"]
    )
    func sizeText(text: String) {
        #expect(ByteSize(settingText: text)?.description == text)
    }

    @Test("seconds are whole, not negative, and below a century")
    func seconds() {
        #expect(Seconds(settingText: "900")?.duration == .seconds(900))
        #expect(Seconds(settingText: "0")?.duration == .zero)
        for text in ["", "-1", "1.5", "15m", "1s", "3155760001", "99999999999999999999"] {
            #expect(Seconds(settingText: text) == nil, "\(text)")
        }
    }

    @Test(
        "addresses to listen on",
        arguments: [
            ("127.0.0.1:8080", "127.0.0.1", 8080), ("[::1]:0", "::1", 0), ("localhost:65535", "localhost", 65535),
        ]
    )
    func hostPort(text: String, host: String, port: Int) {
        #expect(HostPort(settingText: text) == HostPort(host: host, port: port))
        #expect(HostPort(host: host, port: port).description == text)
    }

    @Test(
        "texts that are no addresses",
        arguments: [
            "8080", ":8080", "host:", "host:65536", "host:-1", "host:+1", "::1:80", "[]:80", "[host]:80", "[::1]",
            "a b:80",
            "http://host:80", "user@host:80", "host:80:90", "[::1:80", "host:99999999999999999999",
        ]
    )
    func badHostPort(text: String) {
        #expect(HostPort(settingText: text) == nil)
    }

    @Test("flags that are yes or no")
    func bool() {
        for text in ["true", "TRUE", "yes", "on", "1"] { #expect(Bool(settingText: text) == true) }
        for text in ["false", "No", "off", "0"] { #expect(Bool(settingText: text) == false) }
        for text in ["", "2", "y", "enable"] { #expect(Bool(settingText: text) == nil) }
    }

    @Test("no way of printing a secret shows it")
    func secret() {
        let secret = Secret("hunter2")
        struct Holder {
            let secret: Secret
            let optional: Secret?
        }
        let holder = Holder(secret: secret, optional: secret)
        var dumped = ""
        dump(secret, to: &dumped)
        dump(holder, to: &dumped)
        let texts = [
            "\(secret)", String(reflecting: secret), String(describing: secret), "\([secret])", "\(["a": secret])",
            "\(holder)", String(reflecting: holder), dumped,
        ]
        for text in texts { #expect(!text.contains("hunter2"), "\(text)") }
        #expect("\(secret)" == "[redacted]")
        #expect(secret.reveal == "hunter2")
    }
}
