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
        #expect(transfer.next == .ask(from: 80, upTo: 100, atMost: transfer.windowBytes))
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

    @Test("a window is what the client took in 5 ms lately, whatever was in flight beside it, within the bounds")
    func windowSize() {
        var transfer = Transfer(range: 0..<(1 << 40))
        transfer.began(window: Self.mib, now: .seconds(5))
        transfer.began(window: 100_000, now: .seconds(5))
        transfer.windowLeft(now: .seconds(5) + .milliseconds(20))
        #expect(transfer.windowBytes == Self.mib / 4)
        // Timed from when the one before it had left.
        transfer.windowLeft(now: .seconds(5) + .milliseconds(25))
        #expect(transfer.windowBytes == 100_000)
        transfer.began(window: 100_000, now: .seconds(9))
        transfer.windowLeft(now: .seconds(9))
        #expect(transfer.windowBytes == Transfer.windowBytesMax)
        transfer.began(window: Self.mib, now: .seconds(10))
        transfer.windowLeft(now: .seconds(90))
        #expect(transfer.windowBytes == Transfer.windowBytesMin)
    }
}
