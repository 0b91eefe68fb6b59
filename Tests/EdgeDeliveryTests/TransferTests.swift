// SPDX-License-Identifier: Apache-2.0

import EdgeDelivery
import Testing

@Suite("A body on its way to a client")
struct TransferTests {
    private static let mib: Int64 = 1 << 20

    @Test("asks on while fewer than two windows are in flight, and is finished when the last has left")
    func windows() {
        var transfer = Transfer(range: 10..<100)
        #expect(transfer.next == .ask(from: 10, upTo: 100, atMost: Self.mib))
        transfer.began(window: 40, now: .zero)
        #expect(transfer.next == .ask(from: 50, upTo: 100, atMost: Self.mib))
        transfer.began(window: 30, now: .zero)
        #expect(transfer.next == .wait)
        transfer.windowLeft(now: .zero)
        #expect(transfer.next == .ask(from: 80, upTo: 100, atMost: Self.mib))
        transfer.began(window: 20, now: .zero)
        transfer.windowLeft(now: .zero)
        #expect(transfer.next == .wait)
        transfer.windowLeft(now: .zero)
        #expect(transfer.next == .finished)
    }

    @Test("a rest that was copied leaves nothing in flight")
    func copied() {
        var transfer = Transfer(range: 10..<100)
        #expect(transfer.isRest(90))
        #expect(!transfer.isRest(89))
        transfer.copied(90)
        #expect(transfer.next == .finished)
    }

    @Test("asks nothing while a wake-up is outstanding")
    func waiting() {
        var transfer = Transfer(range: 0..<10)
        transfer.toldToWait()
        #expect(transfer.next == .wait)
        #expect(transfer.isWaiting)
        transfer.woken()
        #expect(transfer.next == .ask(from: 0, upTo: 10, atMost: Self.mib))
    }

    @Test("a window's time runs from when it is the next to leave; time with none in flight does not count")
    func windowTime() {
        var transfer = Transfer(range: 0..<(1 << 40))
        transfer.began(window: Self.mib, now: .seconds(5))
        transfer.began(window: 100_000, now: .seconds(5))
        transfer.windowLeft(now: .seconds(5) + .milliseconds(20))
        #expect(transfer.next == .ask(from: Self.mib + 100_000, upTo: 1 << 40, atMost: Self.mib / 4))
        transfer.windowLeft(now: .seconds(5) + .milliseconds(25))
        #expect(transfer.next == .ask(from: Self.mib + 100_000, upTo: 1 << 40, atMost: 100_000))
        transfer.began(window: 100_000, now: .seconds(9))
        transfer.windowLeft(now: .seconds(9) + .milliseconds(5))
        #expect(transfer.next == .ask(from: Self.mib + 200_000, upTo: 1 << 40, atMost: 100_000))
    }

    @Suite("The size of its windows")
    struct ClientPaceTests {
        @Test("is what it took in 5 ms, within the bounds, and at most twice what it was")
        func size() {
            var pace = ClientPace()
            pace.took(TransferTests.mib, in: .milliseconds(40))
            #expect(pace.windowBytes == TransferTests.mib / 8)
            pace.took(64 << 20, in: .milliseconds(5))
            #expect(pace.windowBytes == TransferTests.mib / 4)
            for _ in 0..<10 { pace.took(64 << 20, in: .milliseconds(5)) }
            #expect(pace.windowBytes == ClientPace.windowBytesMax)
            pace.took(TransferTests.mib, in: .seconds(80))
            #expect(pace.windowBytes == ClientPace.windowBytesMin)
        }

        @Test("follows the pace of a slow client, not the bursts in which its socket takes bytes")
        func bursts() {
            var pace = ClientPace()
            pace.took(TransferTests.mib, in: .seconds(1))
            #expect(pace.windowBytes == ClientPace.windowBytesMin)
            // A second of silence, then 800 KiB at once.
            for _ in 0..<100 {
                pace.took(ClientPace.windowBytesMin, in: .seconds(1))
                for _ in 0..<49 { pace.took(ClientPace.windowBytesMin, in: .microseconds(20)) }
                #expect(pace.windowBytes == ClientPace.windowBytesMin)
            }
        }
    }
}
