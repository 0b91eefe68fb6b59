// SPDX-License-Identifier: Apache-2.0

import EdgeDelivery
import Testing

@Suite("A body on its way to a client")
struct TransferTests {
    @Test("asks on while fewer than two windows are in flight, and is finished when the last has left")
    func windows() {
        var transfer = Transfer(range: 10..<100)
        #expect(transfer.next == .ask(from: 10, upTo: 100))
        transfer.began(window: 40)
        #expect(transfer.next == .ask(from: 50, upTo: 100))
        transfer.began(window: 30)
        #expect(transfer.next == .wait)
        transfer.windowLeft()
        #expect(transfer.next == .ask(from: 80, upTo: 100))
        transfer.began(window: 20)
        transfer.windowLeft()
        #expect(transfer.next == .wait)
        transfer.windowLeft()
        #expect(transfer.next == .finished)
    }

    @Test("asks nothing while a wake-up is outstanding")
    func waiting() {
        var transfer = Transfer(range: 0..<10)
        transfer.toldToWait()
        #expect(transfer.next == .wait)
        #expect(transfer.isWaiting)
        transfer.woken()
        #expect(transfer.next == .ask(from: 0, upTo: 10))
    }
}
