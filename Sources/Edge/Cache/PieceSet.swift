// SPDX-License-Identifier: Apache-2.0

/// A set of pieces of one blob, one bit each. Piece numbers outside the blob are not in the set and cannot be put in.
package struct PieceSet: Sendable, Equatable {
    /// Pieces of the blob.
    package let pieceCount: Int
    /// Pieces in the set.
    package private(set) var count = 0
    private var words: [UInt64]

    /// The empty set.
    package init(pieceCount: Int) {
        precondition(pieceCount >= 0, "a blob has no negative number of pieces")
        self.pieceCount = pieceCount
        words = Array(repeating: 0, count: (pieceCount + 63) / 64)
    }

    /// All pieces of the blob.
    package init(allOf pieceCount: Int) {
        self.init(pieceCount: pieceCount)
        for piece in 0..<pieceCount { insert(piece) }
    }

    package var isFull: Bool { count == pieceCount }

    package func contains(_ piece: Int) -> Bool {
        guard piece >= 0 && piece < pieceCount else { return false }
        return words[piece >> 6] & (1 << UInt64(piece & 63)) != 0
    }

    /// - Returns: Whether the piece was not in the set before.
    @discardableResult
    package mutating func insert(_ piece: Int) -> Bool {
        guard piece >= 0 && piece < pieceCount else { return false }
        let bit: UInt64 = 1 << UInt64(piece & 63)
        guard words[piece >> 6] & bit == 0 else { return false }
        words[piece >> 6] |= bit
        count += 1
        return true
    }

    /// - Returns: Whether the piece was in the set.
    @discardableResult
    package mutating func remove(_ piece: Int) -> Bool {
        guard contains(piece) else { return false }
        words[piece >> 6] &= ~(1 << UInt64(piece & 63))
        count -= 1
        return true
    }

    package mutating func removeAll() {
        guard count > 0 else { return }
        for index in words.indices { words[index] = 0 }
        count = 0
    }
}

/// The form on disk: bit `n % 8` of byte `n / 8` is piece `n`.
extension PieceSet {
    static func byteCount(pieceCount: Int) -> Int { (pieceCount + 7) / 8 }

    /// The byte that holds `piece`.
    func byte(holding piece: Int) -> UInt8 {
        guard piece >= 0 && piece < pieceCount else { return 0 }
        return UInt8(truncatingIfNeeded: words[piece >> 6] >> UInt64(piece & 63 & ~7))
    }

    var bytes: [UInt8] {
        (0..<Self.byteCount(pieceCount: pieceCount)).map { byte(holding: $0 * 8) }
    }

    /// Bits behind the last piece are ignored: each is a claim about nothing.
    /// - Returns: `nil` if there are more or fewer bytes than the blob needs.
    init?(bytes: some Collection<UInt8>, pieceCount: Int) {
        guard bytes.count == Self.byteCount(pieceCount: pieceCount) else { return nil }
        self.init(pieceCount: pieceCount)
        for (index, byte) in bytes.enumerated() {
            for bit in 0..<8 where byte & (1 << UInt8(bit)) != 0 { insert(index * 8 + bit) }
        }
    }
}
