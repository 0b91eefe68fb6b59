// SPDX-License-Identifier: Apache-2.0

import Hashing
import OCI
import OriginUploads
import TestSupport
import Testing

private let mebibyte = 1 << 20

@Suite struct UploadLedgerTests {
    @Test("a segment is settled when it is both hashed and written")
    func bothAreNeeded() {
        var ledger = UploadLedger<Int>(startBytes: 0)
        let range = ledger.submit(byteCount: mebibyte)
        #expect(range == 0..<Int64(mebibyte))
        _ = ledger.hashed(upTo: range.upperBound)
        #expect(ledger.settledBytes == 0)
        _ = ledger.wrote(range, pieceDigest: nil)
        #expect(ledger.settledBytes == Int64(mebibyte))
    }

    @Test("writes in any order settle only what has no gap before it")
    func gaps() {
        var ledger = UploadLedger<Int>(startBytes: 0)
        let ranges = (0..<3).map { _ in ledger.submit(byteCount: mebibyte) }
        _ = ledger.hashed(upTo: ranges[2].upperBound)
        _ = ledger.wrote(ranges[2], pieceDigest: nil)
        #expect(ledger.settledBytes == 0)
        _ = ledger.wrote(ranges[0], pieceDigest: nil)
        #expect(ledger.settledBytes == ranges[0].upperBound)
        _ = ledger.wrote(ranges[1], pieceDigest: nil)
        #expect(ledger.settledBytes == ranges[2].upperBound)
    }

    @Test("a waiter is resumed by the event that settles its offset, and once")
    func waiting() {
        var ledger = UploadLedger<Int>(startBytes: 0)
        let range = ledger.submit(byteCount: mebibyte)
        guard case .queued = ledger.wait(untilSettled: range.upperBound, 7) else {
            Issue.record("nothing is settled yet")
            return
        }
        guard case .ready = ledger.wait(untilSettled: 0, 8) else {
            Issue.record("nothing is always settled")
            return
        }
        let early = ledger.wrote(range, pieceDigest: nil)
        let settled = ledger.hashed(upTo: range.upperBound)
        let late = ledger.failed(.overloaded)
        #expect(early.isEmpty)
        #expect(settled == [7])
        #expect(late.isEmpty)
    }

    @Test("a failure resumes everybody, and whoever comes later learns of the first one")
    func failing() {
        var ledger = UploadLedger<Int>(startBytes: 0)
        let range = ledger.submit(byteCount: mebibyte)
        _ = ledger.wait(untilSettled: range.upperBound, 1)
        _ = ledger.wait(untilSettled: range.upperBound, 2)
        let resumed = ledger.failed(.overloaded)
        #expect(resumed == [1, 2])
        _ = ledger.failed(.leaseLost)
        guard case .failed(.overloaded) = ledger.wait(untilSettled: 0, 3) else {
            Issue.record("the first failure counts")
            return
        }
        let late = ledger.wrote(range, pieceDigest: nil)
        #expect(late.isEmpty)
    }

    @Test("piece digests are handed out in order, once, and only up to the offset asked for")
    func pieces() {
        var ledger = UploadLedger<Int>(startBytes: 0)
        for number in 0..<3 {
            let range = ledger.submit(byteCount: mebibyte)
            _ = ledger.hashed(upTo: range.upperBound)
            _ = ledger.wrote(range, pieceDigest: Fixture.digest(number))
        }
        let first = ledger.takePieceDigests(upTo: Int64(2 * mebibyte))
        #expect(first.firstIndex == 0)
        #expect(first.rawDigests == Fixture.digest(0).bytes + Fixture.digest(1).bytes)
        let second = ledger.takePieceDigests(upTo: Int64(3 * mebibyte))
        #expect(second.firstIndex == 2)
        #expect(second.rawDigests == Fixture.digest(2).bytes)
        let third = ledger.takePieceDigests(upTo: Int64(3 * mebibyte))
        #expect(third.rawDigests.isEmpty)
    }

    @Test("a resumed upload starts at its offset, inside the piece that was open")
    func resuming() {
        let start = Int64(mebibyte + 5)
        var ledger = UploadLedger<Int>(startBytes: start)
        let range = ledger.submit(byteCount: mebibyte - 5)
        #expect(range == start..<Int64(2 * mebibyte))
        _ = ledger.hashed(upTo: range.upperBound)
        _ = ledger.wrote(range, pieceDigest: Fixture.digest(1))
        let taken = ledger.takePieceDigests(upTo: Int64(2 * mebibyte))
        #expect(taken.firstIndex == 1)
        #expect(taken.rawDigests == Fixture.digest(1).bytes)
    }
}

@Suite struct DurableScheduleTests {
    private let start = ContinuousClock.now

    /// Which of these moments of one body are durable points.
    private func due(_ moments: [(bytes: Int64, seconds: Int)]) -> [Int64] {
        var schedule = DurableSchedule(startBytes: 0, now: start)
        return moments.filter { schedule.isDue(at: $0.bytes, now: start + .seconds($0.seconds)) }.map(\.bytes)
    }

    @Test("a step of bytes makes a durable point due, at whole pieces only")
    func bytes() {
        let (step, piece) = (DurableSchedule.stepBytes, Int64(mebibyte))
        #expect(
            due([(step - piece, 0), (step + 1, 0), (step, 0), (step + piece, 0), (2 * step, 0)]) == [step, 2 * step])
    }

    @Test("a slow body has a durable point every ten seconds")
    func time() {
        let piece = Int64(mebibyte)
        #expect(due([(piece, 9), (2 * piece, 10), (3 * piece, 19), (4 * piece, 20)]) == [2 * piece, 4 * piece])
    }
}

@Suite struct UploadRulesTests {
    @Test("a part that fits is taken: streams, chunks in order, empty parts")
    func accepted() throws {
        try UploadRules.check(chunk: nil, declaredBytes: nil, sizeBytes: 5, bytesMax: 10)
        try UploadRules.check(chunk: nil, declaredBytes: 5, sizeBytes: 5, bytesMax: 10)
        try UploadRules.check(chunk: 5..<8, declaredBytes: 3, sizeBytes: 5, bytesMax: 10)
        try UploadRules.check(chunk: nil, declaredBytes: 0, sizeBytes: 10, bytesMax: 10)
    }

    @Test("gaps, overlaps and a restart at zero are out of order", arguments: [0..<3, 4..<6, 6..<9] as [Range<Int64>])
    func outOfOrder(chunk: Range<Int64>) {
        #expect { try UploadRules.check(chunk: chunk, declaredBytes: nil, sizeBytes: 5, bytesMax: 10) } throws: {
            if case .outOfOrder(sizeBytes: 5) = $0 as? UploadError { true } else { false }
        }
    }

    @Test("a chunk whose range and length disagree is refused")
    func lengthMismatch() {
        #expect { try UploadRules.check(chunk: 5..<8, declaredBytes: 4, sizeBytes: 5, bytesMax: 10) } throws: {
            if case .lengthMismatch = $0 as? UploadError { true } else { false }
        }
    }

    @Test("what would not fit is refused before its body, whatever the numbers", arguments: [6, Int64.max])
    func tooLarge(declaredBytes: Int64) {
        #expect {
            try UploadRules.check(chunk: nil, declaredBytes: declaredBytes, sizeBytes: 5, bytesMax: 10)
        } throws: {
            if case .tooLarge = $0 as? UploadError { true } else { false }
        }
    }

    @Test(
        "one upload may have four pieces in flight, many uploads one each",
        arguments: [(0, 4), (1, 4), (16, 4), (32, 2), (256, 1)])
    func inFlight(uploadCount: Int, countMax: Int) {
        #expect(UploadRules.inFlightCountMax(uploadCount: uploadCount) == countMax)
    }
}
