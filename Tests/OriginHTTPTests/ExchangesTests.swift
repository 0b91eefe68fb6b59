// SPDX-License-Identifier: Apache-2.0

import OriginHTTP
import Telemetry
import Testing

@Suite("What the origin does with a connection whose request is answered early")
struct ExchangesTests {
    private func exchange(expectsContinue: Bool = false) -> Exchanges.Exchange {
        Exchanges.Exchange(
            requestID: RequestID(), method: "PUT", path: "/x", startNanoseconds: 0, expectsContinue: expectsContinue)
    }

    @Test("an answer after the whole request keeps the connection")
    func complete() throws {
        var exchanges = Exchanges()
        #expect(exchanges.receivedHead(exchange()) == .forward)
        #expect(exchanges.receivedBody(bytes: 10) == .forward)
        #expect(exchanges.receivedEnd() == .forward)
        let head = exchanges.sentHead(status: 201)
        #expect(head?.0 == .keepOpen)
        exchanges.sentBody(bytes: 7)
        let end = exchanges.sentEnd(headSaidClose: false)
        let (outbound, ended) = try #require(end)
        #expect(outbound == .keepOpen)
        #expect(ended.status == 201)
        #expect(ended.bodyBytes == 7)
        #expect(exchanges.isIdle)
    }

    @Test("an answer before the body's end closes, and throws away a bounded amount of input")
    func early() {
        var exchanges = Exchanges()
        _ = exchanges.receivedHead(exchange())
        let head = exchanges.sentHead(status: 413)
        #expect(head?.0 == .closeAfterwards)
        let end = exchanges.sentEnd(headSaidClose: true)
        #expect(end?.0 == .closeAfterwards)
        #expect(exchanges.isLingering)
        #expect(exchanges.receivedBody(bytes: Exchanges.discardedBytesMax) == .discard)
        #expect(exchanges.receivedBody(bytes: 1) == .stopReading)
        #expect(exchanges.receivedHead(exchange()) == .discard)
        #expect(!exchanges.hasUnfinishedRequest)
    }

    @Test("a refusal waits for the end of a small body that is on its way, and for nothing else")
    func smallBody() {
        func waits(
            _ status: Int = 403, bytes: Int64? = 512, expectsContinue: Bool = false, isLast: Bool = false,
            isComplete: Bool = false, isContinued: Bool = false
        ) -> Bool {
            var exchanges = Exchanges()
            _ = exchanges.receivedHead(
                Exchanges.Exchange(
                    requestID: RequestID(), method: "PUT", path: "/x", startNanoseconds: 0,
                    expectsContinue: expectsContinue, isLast: isLast, declaredBytes: bytes))
            if isContinued { _ = exchanges.takeContinue() }
            if isComplete { _ = exchanges.receivedEnd() }
            return exchanges.shouldWait(beforeStatus: status)
        }
        #expect(waits() && waits(500) && waits(bytes: Int64(Exchanges.discardedBytesMax)))
        #expect(waits(expectsContinue: true, isContinued: true), "it was asked for and will come")
        #expect(!waits(201) && !waits(307))
        #expect(!waits(bytes: Int64(Exchanges.discardedBytesMax) + 1) && !waits(bytes: nil), "it may never end")
        #expect(!waits(expectsContinue: true), "the client keeps it until it is asked for")
        #expect(!waits(isLast: true) && !waits(isComplete: true))
        #expect(!Exchanges().shouldWait(beforeStatus: 400), "no request was made out at all")
    }

    @Test("with pipelined requests the answer is judged by its own request, not by the newest")
    func pipelined() {
        var exchanges = Exchanges()
        _ = exchanges.receivedHead(exchange())
        _ = exchanges.receivedEnd()
        _ = exchanges.receivedHead(exchange())
        let head = exchanges.sentHead(status: 200)
        #expect(head?.0 == .keepOpen)
        _ = exchanges.sentEnd(headSaidClose: false)
        let second = exchanges.sentHead(status: 401)
        #expect(second?.0 == .closeAfterwards)
    }

    @Test("100 Continue is sent once, if asked for, and never after the answer began")
    func expectContinue() {
        var asked = Exchanges()
        _ = asked.receivedHead(exchange(expectsContinue: true))
        #expect(asked.takeContinue() == true)
        #expect(asked.takeContinue() == false)

        var notAsked = Exchanges()
        _ = notAsked.receivedHead(exchange())
        #expect(notAsked.takeContinue() == false)

        var answered = Exchanges()
        _ = answered.receivedHead(exchange(expectsContinue: true))
        _ = answered.sentHead(status: 401)
        #expect(answered.takeContinue() == false)
    }

    @Test("a connection that ends inside a body is told from one that ends between requests")
    func cutShort() {
        var exchanges = Exchanges()
        #expect(!exchanges.hasUnfinishedRequest)
        _ = exchanges.receivedHead(exchange())
        #expect(exchanges.hasUnfinishedRequest)
        _ = exchanges.receivedEnd()
        #expect(!exchanges.hasUnfinishedRequest)
    }
}
