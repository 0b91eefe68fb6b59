// SPDX-License-Identifier: Apache-2.0

/// What is known about the pieces of one open blob: which are on disk, and which of those were hashed by this process
/// from the pages that are in memory. A pure value; the rule that it holds up is in `CachedBlob`.
///
/// A mark falls when a page of its piece left memory, and all marks fall when the file was changed by somebody else,
/// which its ctime betrays. The ctime is expected to move with our own writes, so it is judged only between them.
package struct PieceMarks: Sendable {
    /// Taken before the file's status is read; says whether that status may be judged afterwards.
    package struct Ticket: Sendable {
        fileprivate let stamp: UInt64
        fileprivate let isQuiet: Bool
    }

    /// What the pieces of a window are.
    package enum Survey: Sendable, Equatable {
        /// The first `count` pieces are checked.
        case checked(count: Int)
        /// The first pieces are on disk and have to be hashed.
        case unchecked(Range<Int>)
        case absent(Int)
    }

    package private(set) var present: PieceSet
    package private(set) var checked: PieceSet
    /// Counts foreign changes: a check that began before one may have read what is no longer there.
    package private(set) var foreignChangeCount = 0
    private var changeTime: Int64
    private var ownWriteCount = 0
    private var stamp: UInt64 = 0

    /// - Parameter changeTime: The file's ctime now, in nanoseconds.
    package init(present: PieceSet, changeTime: Int64) {
        self.present = present
        self.changeTime = changeTime
        checked = PieceSet(pieceCount: present.pieceCount)
    }

    // MARK: The file's ctime

    package var ticket: Ticket { Ticket(stamp: stamp, isQuiet: ownWriteCount == 0) }

    /// The file's ctime was read after `ticket` was taken.
    /// - Returns: Whether somebody else changed the file, so that all marks are gone.
    @discardableResult
    package mutating func observed(changeTime: Int64, after ticket: Ticket) -> Bool {
        guard ticket.isQuiet, ticket.stamp == stamp, changeTime != self.changeTime else { return false }
        self.changeTime = changeTime
        lostTrust()
        return true
    }

    /// The file is about to be written or renamed by us; our own changes come one after the other.
    /// - Parameter changeTime: The file's ctime just before: a foreign change since the last look would be hidden by ours.
    package mutating func beganWrite(changeTime: Int64) {
        observed(changeTime: changeTime, after: ticket)
        ownWriteCount += 1
        stamp &+= 1
    }

    /// - Parameters:
    ///   - changeTime: The file's ctime after the write; `nil` if it could not be read.
    ///   - sawForeignWrite: Somebody else wrote meanwhile.
    package mutating func endedWrite(changeTime: Int64?, sawForeignWrite: Bool = false) {
        ownWriteCount -= 1
        stamp &+= 1
        if let changeTime { self.changeTime = changeTime }
        if sawForeignWrite { lostTrust() }
    }

    private mutating func lostTrust() {
        foreignChangeCount += 1
        checked.removeAll()
    }

    // MARK: Pieces

    /// The piece was hashed in memory and is now on disk, resident.
    /// - Returns: Whether it was absent before.
    @discardableResult
    package mutating func stored(_ piece: Int) -> Bool {
        checked.insert(piece)
        return present.insert(piece)
    }

    /// A page of the piece is no longer in memory: what will be read into its place is not what was hashed.
    package mutating func leftMemory(_ piece: Int) { checked.remove(piece) }

    /// A piece on disk was read and hashed.
    /// - Parameter foreignChangeCount: As it was before the read.
    package mutating func hashed(_ piece: Int, matches: Bool, since foreignChangeCount: Int) {
        if !matches {
            present.remove(piece)
            checked.remove(piece)
        } else if foreignChangeCount == self.foreignChangeCount && present.contains(piece) {
            checked.insert(piece)
        }
    }

    /// - Parameter pieces: Not empty, within the blob.
    package func survey(_ pieces: Range<Int>) -> Survey {
        guard let first = pieces.first, present.contains(first) else { return .absent(pieces.lowerBound) }
        let isChecked = checked.contains(first)
        let run = pieces.prefix { present.contains($0) && checked.contains($0) == isChecked }
        return isChecked ? .checked(count: run.count) : .unchecked(first..<(first + run.count))
    }
}
