// SPDX-License-Identifier: Apache-2.0

import EdgeCache
import Testing

@Suite("Marks of checked pieces")
struct PieceMarksTests {
    /// Four pieces, the first three on disk and checked.
    private func marks() -> PieceMarks {
        var marks = PieceMarks(present: PieceSet(pieceCount: 4), changeTime: 100)
        for piece in 0..<3 { marks.stored(piece) }
        return marks
    }

    @Test("pieces found on disk are not checked")
    func opened() {
        let marks = PieceMarks(present: PieceSet(allOf: 4), changeTime: 1)
        #expect(marks.survey(0..<4) == .unchecked(0..<4))
    }

    @Test("a window is what its first pieces are")
    func survey() {
        var marks = marks()
        #expect(marks.survey(0..<4) == .checked(count: 3))
        #expect(marks.survey(3..<4) == .absent(3))
        marks.leftMemory(1)
        #expect(marks.survey(0..<3) == .checked(count: 1))
        #expect(marks.survey(1..<3) == .unchecked(1..<2))
    }

    @Test("a ctime that nobody of us moved clears all marks, once")
    func foreignChange() {
        var isForeign: Bool
        var marks = marks()
        isForeign = marks.observed(changeTime: 101, after: marks.ticket)
        #expect(isForeign)
        #expect(marks.survey(0..<3) == .unchecked(0..<3))
        isForeign = marks.observed(changeTime: 101, after: marks.ticket)
        #expect(!isForeign)
        #expect(marks.present.count == 3, "the bytes may well be right")
    }

    @Test("our own writes move the ctime without harm")
    func ownWrite() {
        var isForeign: Bool
        var marks = marks()
        let before = marks.ticket
        marks.beganWrite(changeTime: 100)
        let during = marks.ticket
        isForeign = marks.observed(changeTime: 150, after: before)
        #expect(!isForeign)
        marks.endedWrite(changeTime: 160)
        // Statuses read before or during the write are out of date, not foreign.
        isForeign = marks.observed(changeTime: 100, after: before)
        #expect(!isForeign)
        isForeign = marks.observed(changeTime: 150, after: during)
        #expect(!isForeign)
        isForeign = marks.observed(changeTime: 160, after: marks.ticket)
        #expect(!isForeign)
        #expect(marks.survey(0..<3) == .checked(count: 3))
        isForeign = marks.observed(changeTime: 170, after: marks.ticket)
        #expect(isForeign)
    }

    @Test("a foreign change just before a write of ours, or within a rename, is not hidden by it")
    func hiddenChange() {
        var marks = marks()
        marks.beganWrite(changeTime: 130)
        marks.endedWrite(changeTime: 140)
        #expect(marks.survey(0..<3) == .unchecked(0..<3))

        marks = self.marks()
        marks.beganWrite(changeTime: 100)
        marks.endedWrite(changeTime: 140, sawForeignWrite: true)
        #expect(marks.survey(0..<3) == .unchecked(0..<3))
        #expect(marks.foreignChangeCount == 1, "checks that began before it say nothing")
    }

    @Test("a write whose ctime is unknown is taken for a foreign one")
    func unknownChangeTime() {
        var isForeign: Bool
        var marks = marks()
        marks.beganWrite(changeTime: 100)
        marks.endedWrite(changeTime: nil)
        isForeign = marks.observed(changeTime: 200, after: marks.ticket)
        #expect(isForeign)
    }

    @Test("a piece that does not match is absent until it is stored again")
    func mismatch() {
        var marks = marks()
        marks.leftMemory(1)
        marks.hashed(1, matches: false, since: marks.foreignChangeCount)
        #expect(marks.survey(1..<2) == .absent(1))
        marks.hashed(1, matches: true, since: marks.foreignChangeCount)
        #expect(marks.survey(1..<2) == .absent(1), "what was read is no longer what is on disk")
        marks.stored(1)
        #expect(marks.survey(0..<3) == .checked(count: 3))
    }

    @Test("a check that began before a foreign change marks nothing")
    func outdatedCheck() {
        var marks = marks()
        marks.leftMemory(0)
        let before = marks.foreignChangeCount
        marks.observed(changeTime: 300, after: marks.ticket)
        marks.hashed(0, matches: true, since: before)
        #expect(marks.survey(0..<1) == .unchecked(0..<1))
        marks.hashed(0, matches: true, since: marks.foreignChangeCount)
        #expect(marks.survey(0..<1) == .checked(count: 1))
    }
}
