// SPDX-License-Identifier: Apache-2.0

import Hashing
import OCI

/// What a running cache leaves for the next start about order and uses of its blobs: the file `hints`. Best effort: a
/// blob that is not in it, or a file that is damaged or missing, costs a worse order of eviction and nothing else.
///
/// Header of 56 bytes: magic (8), version (4), zero (4), record count (8), SHA-256 (32) over the fields before and the
/// records. Then 9 bytes for each blob, those that came first to their queue first: the first eight bytes of the digest,
/// then queue (bits 2–3: 0 small, 1 main, 2 transit) and uses (bits 0–1). Integers are big-endian.
package enum HintFile {
    /// Blobs in one file: 9 bytes each. What is beyond is not noted.
    package static let countMax = 4 << 20
    static let headerBytes = 56
    private static let recordBytes = 9
    private static let magic: [UInt8] = Array("DEPOTHNT".utf8)
    private static let version: UInt32 = 1

    static let bytesMax = headerBytes + countMax * recordBytes

    /// - Parameter hints: In ascending order; the last `countMax` of them are kept.
    package static func encode(_ hints: [EvictionQueue.Hint]) -> [UInt8] {
        let kept = hints.suffix(countMax)
        var records: [UInt8] = []
        records.reserveCapacity(kept.count * recordBytes)
        for hint in kept {
            records.append(bigEndian: hint.prefix)
            records.append(hint.place.rawValue << 2 | min(hint.frequency, 3))
        }
        let fields = fields(recordCount: kept.count)
        return fields + checksum(fields, records[...]) + records
    }

    /// - Returns: In ascending order, with orders from 1; `nil` for anything but an unharmed file.
    package static func decode(_ bytes: [UInt8]) -> [EvictionQueue.Hint]? {
        guard bytes.count >= headerBytes, (bytes.count - headerBytes) % recordBytes == 0 else { return nil }
        let count = (bytes.count - headerBytes) / recordBytes
        let fields = fields(recordCount: count)
        let records = bytes[headerBytes...]
        guard
            count <= countMax,
            bytes.prefix(headerBytes).elementsEqual(fields + checksum(fields, records))
        else { return nil }
        var hints: [EvictionQueue.Hint] = []
        hints.reserveCapacity(count)
        for index in 0..<count {
            let start = headerBytes + index * recordBytes
            let prefix = bytes[start..<start + 8].reduce(0) { $0 << 8 | UInt64($1) }
            let last = bytes[start + 8]
            guard let place = EvictionQueue.Place(rawValue: last >> 2) else { return nil }
            hints.append(
                EvictionQueue.Hint(prefix: prefix, order: UInt32(index + 1), place: place, frequency: last & 3))
        }
        return hints
    }

    private static func fields(recordCount: Int) -> [UInt8] {
        var fields = magic
        fields.append(bigEndian: version)
        fields.append(bigEndian: UInt32(0))
        fields.append(bigEndian: Int64(recordCount))
        return fields
    }

    private static func checksum(_ fields: [UInt8], _ records: ArraySlice<UInt8>) -> [UInt8] {
        SHA256.hash(fields + records).bytes
    }
}
