// SPDX-License-Identifier: Apache-2.0

import OriginEdgeControl
import Testing

@Suite("Fleet state")
struct FleetStateTests {
    static let start = ContinuousClock.now
    static let edge = "aaaaaaaaaaaaaaaa"
    static let good = FleetState.Report(
        isDraining: false, clockOffset: .zero, freeBytes: 1 << 30, capacityBytes: 1 << 40, inflightRequestCount: 0)

    static func serving() -> FleetState {
        var state = FleetState()
        _ = state.loaded([edge: true], now: start)
        _ = state.connected(edge, connection: 1, now: start)
        _ = state.heard(edge, good, now: start)
        return state
    }

    @Test("an edge enters rotation once it is known, connected and heard")
    func enters() {
        var state = FleetState()
        #expect(state.loaded([Self.edge: true], now: Self.start) == [])
        #expect(state.absence(of: Self.edge, now: Self.start) == .notConnected)
        #expect(state.connected(Self.edge, connection: 1, now: Self.start) == [])
        #expect(state.absence(of: Self.edge, now: Self.start) == .silent)
        #expect(state.heard(Self.edge, Self.good, now: Self.start) == [.entered(Self.edge)])
        #expect(state.rotation == [Self.edge])
        #expect(state.heard(Self.edge, Self.good, now: Self.start + .seconds(2)) == [])
    }

    @Test("closing its only control connection takes an edge out at once")
    func closed() {
        var state = Self.serving()
        #expect(state.disconnected(Self.edge, connection: 1, now: Self.start) == [.left(Self.edge, .notConnected)])
        #expect(state.rotation.isEmpty)
        #expect(state.disconnected(Self.edge, connection: 1, now: Self.start) == [])
    }

    @Test("a second control connection keeps an edge in when the first closes")
    func reconnected() {
        var state = Self.serving()
        #expect(state.connected(Self.edge, connection: 2, now: Self.start) == [])
        #expect(state.disconnected(Self.edge, connection: 1, now: Self.start) == [])
        #expect(state.rotation == [Self.edge])
        #expect(state.disconnected(Self.edge, connection: 2, now: Self.start) == [.left(Self.edge, .notConnected)])
    }

    @Test("an edge reconnects within the life of its last heartbeat and is back")
    func back() {
        var state = Self.serving()
        _ = state.disconnected(Self.edge, connection: 1, now: Self.start)
        #expect(state.connected(Self.edge, connection: 2, now: Self.start + .seconds(1)) == [.entered(Self.edge)])
    }

    @Test("silence takes an edge out after six seconds, and the next heartbeat brings it back")
    func silence() {
        var state = Self.serving()
        #expect(state.ticked(now: Self.start + .seconds(6)) == [])
        #expect(state.ticked(now: Self.start + .seconds(7)) == [.left(Self.edge, .silent)])
        #expect(state.ticked(now: Self.start + .seconds(8)) == [])
        #expect(state.heard(Self.edge, Self.good, now: Self.start + .seconds(9)) == [.entered(Self.edge)])
    }

    @Test(
        "what an edge reports decides too",
        arguments: [
            (false, Duration.zero, FleetState.Absence?.none),
            (true, .zero, .draining),
            (false, .seconds(30), nil),
            (false, .seconds(-30), nil),
            (false, .seconds(31), .clockWrong),
            (false, .seconds(-31), .clockWrong),
            (true, .seconds(31), .draining),
        ])
    func reports(isDraining: Bool, clockOffset: Duration, absence: FleetState.Absence?) {
        var state = Self.serving()
        let report = FleetState.Report(
            isDraining: isDraining, clockOffset: clockOffset, freeBytes: 0, capacityBytes: 0, inflightRequestCount: 0)
        let transitions = state.heard(Self.edge, report, now: Self.start)
        #expect(transitions == (absence.map { [.left(Self.edge, $0)] } ?? []))
        #expect(state.absence(of: Self.edge, now: Self.start) == absence)
    }

    @Test("disabling takes out, deleting forgets, and neither happens twice")
    func removed() {
        var state = Self.serving()
        #expect(state.loaded([Self.edge: false], now: Self.start) == [.left(Self.edge, .disabled)])
        #expect(state.loaded([Self.edge: true], now: Self.start) == [.entered(Self.edge)])
        #expect(state.loaded([:], now: Self.start) == [.left(Self.edge, .unknown)])
        #expect(state.loaded([:], now: Self.start) == [])
        #expect(state.disconnected(Self.edge, connection: 1, now: Self.start) == [])
    }

    @Test("events of an unknown edge change nothing")
    func unknown() {
        var state = FleetState()
        #expect(state.connected(Self.edge, connection: 1, now: Self.start) == [])
        #expect(state.heard(Self.edge, Self.good, now: Self.start) == [])
        #expect(state.absence(of: Self.edge, now: Self.start) == .unknown)
        #expect(state.loaded([Self.edge: true], now: Self.start) == [])
        #expect(state.absence(of: Self.edge, now: Self.start) == .notConnected)
    }
}
