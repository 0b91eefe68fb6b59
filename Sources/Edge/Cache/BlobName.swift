// SPDX-License-Identifier: Apache-2.0

package import OCI

/// Which blob a file in the cache is about: `<hex>.<size>` in the directory of the first two hex digits. The algorithm
/// follows from the number of digits.
package struct BlobName: Hashable, Sendable {
    package let digest: Digest
    package let sizeBytes: Int64

    /// Larger blobs are not cached. Far above any layer; keeps sums of sizes and the piece list (32 MiB) in bounds.
    package static let sizeBytesMax: Int64 = 1 << 40

    package init(digest: Digest, sizeBytes: Int64) {
        self.digest = digest
        self.sizeBytes = sizeBytes
    }

    /// A name found in the cache's directory.
    /// - Returns: `nil` if it is not exactly what `text` writes.
    package init?(_ text: some StringProtocol) {
        var text = String(text)
        guard let name = text.withUTF8({ BlobName(utf8: $0) }) else { return nil }
        self = name
    }

    /// Reads the name in place: a start reads a million of them.
    package init?(utf8 text: UnsafeBufferPointer<UInt8>) {
        guard
            let algorithm = DigestAlgorithm.allCases.first(where: { algorithm in
                text.count > algorithm.byteCount * 2 && text[algorithm.byteCount * 2] == UInt8(ascii: ".")
            }),
            let digest = Digest(
                algorithm: algorithm, hexBytes: UnsafeBufferPointer(rebasing: text[..<(algorithm.byteCount * 2)])),
            let sizeBytes = Self.size(text[(algorithm.byteCount * 2 + 1)...])
        else { return nil }
        self.init(digest: digest, sizeBytes: sizeBytes)
    }

    package var text: String { "\(digest.hex).\(sizeBytes)" }

    /// The directory below `c/` or `p/`.
    package var folder: String { String(digest.hex.prefix(2)) }

    /// Decimal digits without sign or leading zero.
    private static func size(_ digits: Slice<UnsafeBufferPointer<UInt8>>) -> Int64? {
        guard !digits.isEmpty, digits.count == 1 || digits.first != UInt8(ascii: "0") else { return nil }
        var value: Int64 = 0
        for digit in digits {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digit) else { return nil }
            let (tens, isTooLarge) = value.multipliedReportingOverflow(by: 10)
            let (sum, isSumTooLarge) = tens.addingReportingOverflow(Int64(digit - UInt8(ascii: "0")))
            guard !isTooLarge && !isSumTooLarge else { return nil }
            value = sum
        }
        return value <= sizeBytesMax ? value : nil
    }
}

/// Where the cache's files are.
struct CachePaths: Sendable {
    let directory: String

    static let folders: [String] = (0..<256).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }
    static let dataSuffix = ".data"
    static let mapSuffix = ".map"

    var complete: String { "\(directory)/c" }
    var partial: String { "\(directory)/p" }
    /// Order and uses of the blobs, for the next start.
    var hintsFile: String { "\(directory)/hints" }
    /// Written and removed to try a disk that is off.
    var probeFile: String { "\(directory)/p/probe" }

    func completeFolder(_ name: BlobName) -> String { "\(complete)/\(name.folder)" }
    func partialFolder(_ name: BlobName) -> String { "\(partial)/\(name.folder)" }
    func completeFile(_ name: BlobName) -> String { "\(completeFolder(name))/\(name.text)" }
    func dataFile(_ name: BlobName) -> String { "\(partialFolder(name))/\(name.text)\(Self.dataSuffix)" }
    func mapFile(_ name: BlobName) -> String { "\(partialFolder(name))/\(name.text)\(Self.mapSuffix)" }
}
