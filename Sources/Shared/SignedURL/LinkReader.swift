// SPDX-License-Identifier: Apache-2.0

import Grammar
import Hashing
import OCI

/// Reads a request target by the grammar of links, byte by byte and in one pass. There is one text for each link:
/// nothing is decoded, no parameter may be missing, repeated, unknown or elsewhere; only the signature may be absent.
struct LinkReader {
    private let bytes: UnsafeBufferPointer<UInt8>
    private var offset = 0

    /// - Returns: The link and its signature; `nil` for anything outside the grammar.
    static func read(_ target: UnsafeBufferPointer<UInt8>) -> (link: Link, signature: [UInt8]?)? {
        var reader = LinkReader(bytes: target)
        guard let digest = reader.digest(),
            reader.take("?a="), let edgeID = reader.label(),
            reader.take("&e="), let expiry = reader.decimal(),
            reader.take("&k="), let keyID = reader.label(),
            reader.take("&s="), let sizeBytes = reader.decimal(),
            reader.take("&t="), let tenant = reader.label()
        else { return nil }
        let link = Link(
            digest: digest, edgeID: edgeID, expiry: expiry, keyID: keyID, sizeBytes: sizeBytes, tenant: tenant)
        guard reader.offset < target.count else { return (link, nil) }
        guard reader.take("&g="), let signature = reader.signature() else { return nil }
        return (link, signature)
    }

    private init(bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

    private mutating func take(_ literal: StaticString) -> Bool {
        let count = literal.utf8CodeUnitCount
        guard bytes.count - offset >= count else { return false }
        for index in 0..<count where bytes[offset + index] != literal.utf8Start[index] { return false }
        offset += count
        return true
    }

    private mutating func digest() -> Digest? {
        guard take("/b/v1/") else { return nil }
        let algorithm: DigestAlgorithm
        if take("sha256/") {
            algorithm = .sha256
        } else if take("sha512/") {
            algorithm = .sha512
        } else {
            return nil
        }
        let end = offset + algorithm.byteCount * 2
        guard end <= bytes.count else { return nil }
        defer { offset = end }
        return Digest(algorithm: algorithm, hexBytes: UnsafeBufferPointer(rebasing: bytes[offset..<end]))
    }

    private mutating func label() -> String? {
        let start = offset
        while offset < bytes.count, Link.isLabelByte(bytes[offset]) {
            guard offset - start < Link.labelBytesMax else { return nil }
            offset += 1
        }
        return offset > start ? String(decoding: bytes[start..<offset], as: UTF8.self) : nil
    }

    /// A number without sign or leading zero, up to 2^63 − 1.
    private mutating func decimal() -> Int64? {
        let start = offset
        var value: Int64 = 0
        while offset < bytes.count, UInt8(ascii: "0")...UInt8(ascii: "9") ~= bytes[offset] {
            let (tens, tooLarge) = value.multipliedReportingOverflow(by: 10)
            let (sum, muchTooLarge) = tens.addingReportingOverflow(Int64(bytes[offset] - UInt8(ascii: "0")))
            guard !tooLarge, !muchTooLarge else { return nil }
            value = sum
            offset += 1
        }
        guard offset > start, bytes[start] != UInt8(ascii: "0") || offset == start + 1 else { return nil }
        return value
    }

    /// 43 characters of base64url, the last thing in the target.
    private mutating func signature() -> [UInt8]? {
        guard bytes.count - offset == 43 else { return nil }
        defer { offset = bytes.count }
        return Base64URL.decode(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(bytes)[offset...]))
    }
}
