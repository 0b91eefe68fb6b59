// SPDX-License-Identifier: Apache-2.0

import EdgeControl
import Testing

/// The decisions over time, one sequence of events each.
@Suite struct ControlConnectionTests {
    private let start = ContinuousClock.now

    private func connection() -> ControlConnection { ControlConnection(timing: ControlTiming(), at: start) }

    @Test("it opens at once, and only once")
    func opens() {
        var connection = connection()
        #expect(connection.step(at: start) == .open)
        #expect(connection.step(at: start) == .wait)
        #expect(!connection.isOpen)
        connection.heard(at: start)
        #expect(connection.isOpen)
        #expect(connection.step(at: start + .seconds(6)) == .wait)
    }

    @Test("six seconds of silence end it, counted from the last line", arguments: [true, false])
    func silence(hadLine: Bool) {
        var connection = connection()
        _ = connection.step(at: start)
        let heardAt = hadLine ? start + .seconds(5) : start
        if hadLine { connection.heard(at: heardAt) }
        #expect(connection.step(at: heardAt + .seconds(6)) == .wait)
        #expect(connection.step(at: heardAt + .milliseconds(6001)) == .hangUp)
        // The end is reported by the transfer; until then nothing is opened beside it, and late lines revive nothing.
        connection.heard(at: heardAt + .seconds(7))
        #expect(!connection.isOpen)
        #expect(connection.step(at: heardAt + .seconds(60)) == .wait)
        connection.ended(at: heardAt + .seconds(60), chance: 0)
        #expect(connection.step(at: heardAt + .milliseconds(60_200)) == .open)
    }

    @Test("after an end it waits, longer each time, and a line makes it forget")
    func retries() {
        var connection = connection()
        var now = start
        var waits: [Duration] = []
        for _ in 0..<5 {
            #expect(connection.step(at: now) == .open)
            connection.ended(at: now, chance: 0.999999)
            #expect(connection.step(at: now) == .wait)
            let ended = now
            while connection.step(at: now) == .wait { now += .milliseconds(1) }
            waits.append(now - ended)
            connection.ended(at: now, chance: 0.999999)
            now += .seconds(3)
        }
        #expect(waits == waits.sorted())
        #expect(waits.allSatisfy { $0 >= .milliseconds(200) && $0 <= .seconds(2) })
        #expect(waits[0] < .milliseconds(410))
        #expect(waits[4] > .milliseconds(1900))
        _ = connection.step(at: now)
        connection.heard(at: now)
        connection.ended(at: now, chance: 0.999999)
        #expect(connection.step(at: now + .milliseconds(400)) == .open)
    }
}

@Suite struct BackoffTests {
    @Test("waits lie between the limits, whatever the chance and however many failures", arguments: [0, 0.5, 0.999])
    func limits(chance: Double) {
        var backoff = Backoff(min: .milliseconds(200), max: .seconds(2))
        for _ in 0..<100 {
            let wait = backoff.failed(chance: chance)
            #expect(wait >= .milliseconds(200) && wait <= .seconds(2))
        }
    }
}

@Suite struct KeyRefreshTests {
    private let start = ContinuousClock.now

    private func refresh(held: Bool) -> KeyRefresh {
        KeyRefresh(timing: ControlTiming(), held: held ? ("v1", 900) : nil)
    }

    @Test("without keys it fetches at once, one request at a time")
    func first() {
        var refresh = refresh(held: false)
        #expect(refresh.begin(at: start) == true)
        #expect(refresh.begin(at: start) == false)
        refresh.fetched(version: "v1", timeToLiveSeconds: 900)
        #expect(refresh.begin(at: start + .seconds(3600)) == false)
    }

    @Test("with keys it fetches when an origin names another version or time to live")
    func named() {
        var refresh = refresh(held: true)
        #expect(refresh.begin(at: start) == false)
        refresh.named(version: "v1")
        refresh.named(version: "v1", timeToLiveSeconds: 900)
        #expect(refresh.begin(at: start) == false)
        refresh.named(version: "v1", timeToLiveSeconds: 60)
        #expect(refresh.begin(at: start) == true)
        refresh.fetched(version: "v1", timeToLiveSeconds: 60)
        refresh.named(version: "v2", timeToLiveSeconds: 60)
        #expect(refresh.begin(at: start) == true)
    }

    @Test("a version named during a request leads to another request")
    func namedMeanwhile() {
        var refresh = refresh(held: false)
        _ = refresh.begin(at: start)
        refresh.named(version: "v2")
        refresh.fetched(version: "v1", timeToLiveSeconds: 900)
        #expect(refresh.begin(at: start) == true)
    }

    @Test("unknown keys lead to one request in ten seconds")
    func unknownKey() {
        var refresh = refresh(held: true)
        for second in 0..<30 {
            refresh.metUnknownKey(at: start + .seconds(second))
            let isDue = refresh.begin(at: start + .seconds(second))
            #expect(isDue == second.isMultiple(of: 10))
            if isDue { refresh.fetched(version: "v1", timeToLiveSeconds: 900) }
        }
    }

    @Test("after a failure it tries again, though not at once")
    func failure() {
        var refresh = refresh(held: false)
        _ = refresh.begin(at: start)
        refresh.failed(at: start, chance: 0)
        #expect(refresh.begin(at: start + .milliseconds(199)) == false)
        #expect(refresh.begin(at: start + .milliseconds(200)) == true)
    }
}

@Suite struct ClockOffsetTests {
    @Test("nothing is known before the first answer")
    func empty() { #expect(ClockOffset().offset == nil) }

    @Test("the middle of the round trip counts")
    func middle() {
        var offset = ClockOffset()
        offset.heard(originUnixMilliseconds: 10_150, sentUnixMilliseconds: 10_000, roundTrip: .milliseconds(100))
        #expect(offset.offset == .milliseconds(100))
    }

    @Test("the shortest of the last round trips decides, and old ones fade")
    func shortest() {
        var offset = ClockOffset()
        offset.heard(originUnixMilliseconds: 5001, sentUnixMilliseconds: 0, roundTrip: .milliseconds(2))
        for _ in 1..<ClockOffset.sampleCountMax {
            offset.heard(originUnixMilliseconds: 9000, sentUnixMilliseconds: 0, roundTrip: .milliseconds(2000))
        }
        #expect(offset.offset == .seconds(5))
        offset.heard(originUnixMilliseconds: 9000, sentUnixMilliseconds: 0, roundTrip: .milliseconds(2000))
        #expect(offset.offset == .seconds(8))
    }

    @Test("impossible times are ignored", arguments: [Int64.max, .min, .max / 2])
    func impossible(origin: Int64) {
        var offset = ClockOffset()
        offset.heard(originUnixMilliseconds: origin, sentUnixMilliseconds: -5, roundTrip: .zero)
        #expect(offset.offset == nil)
    }
}

@Suite struct LineSplitterTests {
    @Test("lines come whole, however the bytes were cut", arguments: 1...7)
    func cuts(stride: Int) throws {
        var splitter = LineSplitter(lineBytesMax: 10)
        let bytes = Array("one\n\ntwo\nthree\nrest".utf8)
        var lines: [String] = []
        for start in Swift.stride(from: 0, to: bytes.count, by: stride) {
            let taken = splitter.take(bytes[start..<min(start + stride, bytes.count)])
            lines += try #require(taken).map { String(decoding: $0, as: UTF8.self) }
        }
        #expect(lines == ["one", "two", "three"])
    }

    @Test("a line above the limit ends it")
    func tooLong() {
        var splitter = LineSplitter(lineBytesMax: 3)
        let lines = splitter.take(Array("abc\nabc".utf8))
        #expect(lines?.count == 1)
        let none = splitter.take(Array("d".utf8))
        #expect(none == nil)
    }
}
