// SPDX-License-Identifier: Apache-2.0

/// A validated content digest, `algorithm:hex` (image-spec, "Digest").
///
/// Held inline as bytes: copying, comparing and hashing touch no heap. The order is that of the text.
package struct Digest: Sendable {
    package let algorithm: DigestAlgorithm
    /// The digest in its own byte order; the words that the algorithm does not use are zero.
    private var words: Words

    private typealias Words = InlineArray<8, UInt64>

    /// Longest text of a digest, in bytes: `sha512:` and 128 hexadecimal digits.
    package static let textBytesMax = 7 + 128

    /// - Parameter text: Exactly `sha256:` and 64, or `sha512:` and 128, lower-case hexadecimal digits.
    package init?(_ text: some StringProtocol) {
        // One concrete type from here on: digests are parsed for every request and row.
        var text = String(text)
        let digest = text.withUTF8 { text -> Digest? in
            guard let colon = text.firstIndex(of: UInt8(ascii: ":")),
                let algorithm = DigestAlgorithm(name: UnsafeBufferPointer(rebasing: text[..<colon]))
            else { return nil }
            return Digest(algorithm: algorithm, hexBytes: UnsafeBufferPointer(rebasing: text[(colon + 1)...]))
        }
        guard let digest else { return nil }
        self = digest
    }

    /// - Parameter hex: Lower-case hexadecimal digits, as many as the algorithm has.
    package init?(algorithm: DigestAlgorithm, hex: some StringProtocol) {
        var hex = String(hex)
        guard let digest = hex.withUTF8({ Digest(algorithm: algorithm, hexBytes: $0) }) else { return nil }
        self = digest
    }

    /// Reads hexadecimal digits in place: for callers that parse bytes.
    package init?(algorithm: DigestAlgorithm, hexBytes: UnsafeBufferPointer<UInt8>) {
        guard hexBytes.count == algorithm.byteCount * 2 else { return nil }
        self.algorithm = algorithm
        words = Words(repeating: 0)
        for index in 0..<algorithm.byteCount / 8 {
            var word: UInt64 = 0
            for digit in hexBytes[index * 16..<index * 16 + 16] {
                let value: UInt8
                switch digit {
                case UInt8(ascii: "0")...UInt8(ascii: "9"): value = digit - UInt8(ascii: "0")
                case UInt8(ascii: "a")...UInt8(ascii: "f"): value = digit - UInt8(ascii: "a") + 10
                default: return nil
                }
                word = word << 4 | UInt64(value)
            }
            words[index] = word.bigEndian
        }
    }

    /// - Parameter bytes: The raw digest; `nil` unless there are as many as the algorithm has.
    package init?(algorithm: DigestAlgorithm, bytes: some Collection<UInt8>) {
        guard bytes.count == algorithm.byteCount else { return nil }
        self.algorithm = algorithm
        words = Words(repeating: 0)
        var position = 0
        for byte in bytes {
            words[position / 8] |= UInt64(byte) << UInt64(56 - position % 8 * 8)
            position += 1
        }
        for index in 0..<algorithm.byteCount / 8 { words[index] = words[index].bigEndian }
    }

    /// The raw digest.
    package var bytes: [UInt8] { withBytes { Array($0) } }

    /// The raw digest, without a copy.
    package func withBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
        try withUnsafeBytes(of: words) { try body(UnsafeRawBufferPointer(rebasing: $0[..<algorithm.byteCount])) }
    }

    /// Lower-case hexadecimal digits, without the algorithm.
    package var hex: String {
        String(unsafeUninitializedCapacity: algorithm.byteCount * 2) { writeHex(to: $0) }
    }

    private func writeHex(to buffer: UnsafeMutableBufferPointer<UInt8>) -> Int {
        withBytes { bytes in
            for (index, byte) in bytes.enumerated() {
                buffer[index * 2] = Self.hexDigit(byte >> 4)
                buffer[index * 2 + 1] = Self.hexDigit(byte & 15)
            }
            return bytes.count * 2
        }
    }

    private static func hexDigit(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") - 10 + value
    }
}

extension Digest: Hashable {
    package static func == (left: Digest, right: Digest) -> Bool {
        guard left.algorithm == right.algorithm else { return false }
        var difference: UInt64 = 0
        for index in 0..<8 { difference |= left.words[index] ^ right.words[index] }
        return difference == 0
    }

    package func hash(into hasher: inout Hasher) {
        // Every word: names of blobs are chosen by clients, and a shared prefix must not share a bucket.
        withBytes { hasher.combine(bytes: $0) }
    }
}

extension Digest: Comparable {
    package static func < (left: Digest, right: Digest) -> Bool {
        guard left.algorithm == right.algorithm else { return left.algorithm == .sha256 }
        for index in 0..<8 where left.words[index] != right.words[index] {
            return UInt64(bigEndian: left.words[index]) < UInt64(bigEndian: right.words[index])
        }
        return false
    }
}

extension Digest: CustomStringConvertible {
    package var description: String {
        let prefix: StaticString =
            switch algorithm {
            case .sha256: "sha256:"
            case .sha512: "sha512:"
            }
        return String(unsafeUninitializedCapacity: Self.textBytesMax) { buffer in
            UnsafeMutableRawBufferPointer(buffer).copyMemory(
                from: UnsafeRawBufferPointer(start: prefix.utf8Start, count: prefix.utf8CodeUnitCount))
            let digits = UnsafeMutableBufferPointer(rebasing: buffer[prefix.utf8CodeUnitCount...])
            return prefix.utf8CodeUnitCount + writeHex(to: digits)
        }
    }
}
