// SPDX-License-Identifier: Apache-2.0

/// What an upload refuses before it reads a body. Pure.
package enum UploadRules {
    /// - Throws: `.lengthMismatch`, `.outOfOrder`, `.tooLarge`.
    package static func check(
        chunk: Range<Int64>?,
        declaredBytes: Int64?,
        sizeBytes: Int64,
        bytesMax: Int64
    ) throws(UploadError) {
        if let chunk {
            guard chunk.lowerBound == sizeBytes else { throw .outOfOrder(sizeBytes: sizeBytes) }
            if let declaredBytes, declaredBytes != chunk.upperBound - chunk.lowerBound { throw .lengthMismatch }
        }
        let addedBytes = declaredBytes ?? chunk.map { $0.upperBound - $0.lowerBound } ?? 0
        guard addedBytes <= bytesMax - sizeBytes else { throw .tooLarge(bytesMax: bytesMax) }
    }

    /// Pieces that one upload may have in flight: all uploads share `budgetCount`, and each may have one.
    package static func inFlightCountMax(uploadCount: Int, budgetCount: Int = 64) -> Int {
        min(max(budgetCount / max(uploadCount, 1), 1), 4)
    }
}
