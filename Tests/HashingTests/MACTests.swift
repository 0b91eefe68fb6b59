// SPDX-License-Identifier: Apache-2.0

import Grammar
import Hashing
import Testing

@Suite("MAC and key derivation")
struct MACTests {
    /// RFC 4231, test cases 1, 2 and 6.
    static let codes: [([UInt8], String, String)] = [
        (
            Array(repeating: 0x0b, count: 20), "Hi There",
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        ),
        (
            Array("Jefe".utf8), "what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        ),
        (
            Array(repeating: 0xaa, count: 131), "Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        ),
    ]

    @Test("HMAC-SHA256 of RFC 4231; a prepared key gives the same code each time", arguments: codes)
    func hmac(key: [UInt8], message: String, hex: String) throws {
        let message = Array(message.utf8)
        let code = try #require(Hex.decode(hex))
        #expect(MAC.hmacSHA256(key: key, message) == code)
        let prepared = MACKey(key)
        for _ in 0..<2 {
            #expect(prepared.code(for: message) == code)
            #expect(prepared.isValid(code, for: message))
        }
        #expect(MAC.isValid(code, key: key, message))
        #expect(!prepared.isValid(code, for: message + [0]))
        #expect(!prepared.isValid(Array(code.dropLast()), for: message))
        #expect(!prepared.isValid([], for: message))
        for index in code.indices {
            var flipped = code
            flipped[index] ^= 0x80
            #expect(!prepared.isValid(flipped, for: message))
        }
    }

    @Test("HKDF-SHA256 of RFC 5869, test case 3: empty salt, empty info")
    func hkdf() {
        let key = MAC.hkdfSHA256(master: Array(repeating: 0x0b, count: 22), info: "", byteCount: 42)
        #expect(
            Hex.encode(key) == "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8")
    }

    @Test("fields are told apart by their lengths")
    func message() {
        var message = MACMessage()
        message.append("ab")
        message.append([UInt8]())
        message.append(Int64(258))
        #expect(message.bytes == [0, 0, 0, 2, 0x61, 0x62, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 1, 2])
    }
}

@Suite("Texts of bytes")
struct ByteTextTests {
    @Test(
        "base64url without padding (RFC 4648 §10)",
        arguments: [("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg"), ("foobar", "Zm9vYmFy")])
    func base64URL(bytes: String, text: String) {
        #expect(Base64URL.encode(bytes.utf8) == text)
        #expect(Base64URL.decode(text) == Array(bytes.utf8))
    }

    @Test("all bytes survive, in the alphabet of URLs")
    func base64URLAlphabet() {
        let bytes = Array(UInt8.min...UInt8.max)
        for count in 0...bytes.count {
            let text = Base64URL.encode(bytes.suffix(count))
            #expect(
                text.utf8.allSatisfy { $0 != UInt8(ascii: "+") && $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "=") })
            #expect(Base64URL.decode(text) == Array(bytes.suffix(count)))
        }
    }

    @Test(
        "any other text of the same bytes is refused",
        arguments: ["A", "Zh", "Zm9", "Zg==", "Zg=", "Zm9v ", "+/+/", "Zm9vé", "Z\0", "AAAAA"])
    func notCanonical(text: String) {
        #expect(Base64URL.decode(text) == nil)
    }

    @Test("hexadecimal is lower case and in pairs")
    func hex() {
        #expect(Hex.encode([0x00, 0x9f, 0xff]) == "009fff")
        #expect(Hex.decode("009fff") == [0x00, 0x9f, 0xff])
        #expect(Hex.decode("") == [])
        for text in ["0", "0g", "FF", "0x", " 0", "é"] { #expect(Hex.decode(text) == nil) }
    }

    @Test("random labels have the alphabet and length asked for, and differ")
    func labels() {
        let label = SecureRandom.label(16)
        #expect(label.utf8.count == 16)
        #expect(label.allSatisfy { "abcdefghijklmnopqrstuvwxyz0123456789".contains($0) })
        #expect(label != SecureRandom.label(16))
        #expect(SecureRandom.bytes(32).count == 32)
        #expect(SecureRandom.bytes(32) != SecureRandom.bytes(32))
    }

    @Test("secrets are compared whole")
    func constantTime() {
        #expect(constantTimeEqual([], []))
        #expect(constantTimeEqual([1, 2], [1, 2]))
        #expect(!constantTimeEqual([1, 2], [1, 3]))
        #expect(!constantTimeEqual([1, 2], [0, 2]))
        #expect(!constantTimeEqual([1, 2], [1]))
    }
}
