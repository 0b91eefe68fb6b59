// SPDX-License-Identifier: Apache-2.0

import OriginMetadata
import Testing

@Suite("job schedule")
struct JobScheduleTests {
    private let start = ContinuousClock.now

    @Test("jobs run in order on free connections, then wait, then are refused")
    func order() {
        var schedule = JobSchedule<Int>(connectionCount: 2, queueCountMax: 2)
        #expect(schedule.submit(1, latestStart: start).connection == 0)
        #expect(schedule.submit(2, latestStart: start).connection == 1)
        #expect(schedule.submit(3, latestStart: start).isQueued)
        #expect(schedule.submit(4, latestStart: start).isQueued)
        #expect(schedule.submit(5, latestStart: start).isFull)
        #expect(schedule.finished(connection: 1, isConnected: true) == 3)
        #expect(schedule.finished(connection: 0, isConnected: true) == 4)
        #expect(schedule.finished(connection: 1, isConnected: true) == nil)
        #expect(schedule.submit(6, latestStart: start).connection == 1)
    }

    @Test("the connection used last is used next; one that is down is used last")
    func preference() {
        var schedule = JobSchedule<Int>(connectionCount: 3, queueCountMax: 1)
        for job in 0..<3 { _ = schedule.submit(job, latestStart: start) }
        for connection in [0, 1] { _ = schedule.finished(connection: connection, isConnected: true) }
        _ = schedule.finished(connection: 2, isConnected: false)
        #expect(schedule.submit(3, latestStart: start).connection == 1)
        #expect(schedule.submit(4, latestStart: start).connection == 0)
        #expect(schedule.submit(5, latestStart: start).connection == 2)
    }

    @Test("after close nothing is taken, and what waits is still handed out")
    func close() {
        var schedule = JobSchedule<Int>(connectionCount: 1, queueCountMax: 1)
        _ = schedule.submit(1, latestStart: start)
        _ = schedule.submit(2, latestStart: start)
        schedule.close()
        #expect(schedule.submit(3, latestStart: start).isClosed)
        #expect(schedule.finished(connection: 0, isConnected: true) == 2)
        #expect(schedule.finished(connection: 0, isConnected: true) == nil)
    }

    @Test("a job that waited for too long is taken back, and its place is free")
    func expiry() {
        var schedule = JobSchedule<Int>(connectionCount: 1, queueCountMax: 2)
        #expect(schedule.submit(1, latestStart: start).connection == 0)
        #expect(schedule.submit(2, latestStart: start + .seconds(1)).isQueued)
        #expect(schedule.submit(3, latestStart: start + .seconds(2)).isQueued)
        #expect(schedule.expired(at: start).isEmpty)
        #expect(schedule.expired(at: start + .seconds(1)) == [2])
        #expect(schedule.hasWaiting)
        #expect(schedule.submit(4, latestStart: start + .seconds(3)).isQueued)
        #expect(schedule.finished(connection: 0, isConnected: true) == 3)
        #expect(schedule.expired(at: start + .seconds(9)) == [4])
        #expect(!schedule.hasWaiting)
        #expect(schedule.finished(connection: 0, isConnected: true) == nil)
    }
}

extension JobSchedule.Admission {
    fileprivate var connection: Int? { if case .start(let connection) = self { connection } else { nil } }
    fileprivate var isQueued: Bool { if case .queued = self { true } else { false } }
    fileprivate var isFull: Bool { if case .full = self { true } else { false } }
    fileprivate var isClosed: Bool { if case .closed = self { true } else { false } }
}

@Suite("availability")
struct AvailabilityTests {
    private let error = DatabaseError(.unavailable, message: "refused")
    private let start = ContinuousClock.now

    @Test("while the server is there, everybody may connect")
    func available() {
        var availability = Availability(attemptTimeout: .seconds(3))
        #expect(availability.mayConnect(now: start) == nil)
        #expect(availability.mayConnect(now: start) == nil)
        availability.succeeded()
        #expect(availability.mayConnect(now: start) == nil)
    }

    @Test("after a failure one attempt is made per delay, and others fail with its error")
    func backoff() {
        var availability = Availability(attemptTimeout: .seconds(3))
        availability.failed(error, now: start, jitter: 0.999)
        #expect(availability.mayConnect(now: start + .milliseconds(20)) == error)
        #expect(availability.mayConnect(now: start + .milliseconds(60)) == nil)
        #expect(availability.mayConnect(now: start + .milliseconds(60)) == error)
        #expect(availability.mayConnect(now: start + .seconds(4)) == nil)
        availability.succeeded()
        #expect(availability.mayConnect(now: start + .seconds(4)) == nil)
    }

    @Test("delays grow to two seconds and stay there, with up to half of jitter")
    func growth() {
        var availability = Availability(attemptTimeout: .seconds(3))
        for _ in 0..<100 { availability.failed(error, now: start, jitter: 0) }
        #expect(availability.mayConnect(now: start + .milliseconds(999)) == error)
        #expect(availability.mayConnect(now: start + .milliseconds(1001)) == nil)
        availability.failed(error, now: start, jitter: 0.999)
        #expect(availability.mayConnect(now: start + .milliseconds(1990)) == error)
        #expect(availability.mayConnect(now: start + .milliseconds(2001)) == nil)
    }
}

@Suite("SQLSTATE")
struct SQLStateTests {
    @Test(
        "each state has its kind",
        arguments: [
            ("23505", .uniqueViolation(constraint: "c")), ("23503", .foreignKeyViolation(constraint: "c")),
            ("40001", .serialization), ("40P01", .serialization), ("57014", .timeout), ("55P03", .timeout),
            ("57P01", .unavailable), ("57P02", .unavailable), ("57P03", .unavailable), ("08006", .unavailable),
            ("25006", .unavailable), ("53300", .unavailable), ("22021", .invalidData), ("23514", .other),
            ("42P01", .other),
        ] as [(String, DatabaseError.Kind)])
    func kinds(state: String, kind: DatabaseError.Kind) {
        #expect(DatabaseError.Kind(sqlState: state, constraint: "c") == kind)
    }

    @Test("states that end a connection", arguments: ["57P01", "57P02", "57P03", "08006", "08003", "25006", "26000"])
    func ending(state: String) {
        #expect(DatabaseError.endsConnection(sqlState: state))
    }

    @Test("states that do not", arguments: ["57014", "23505", "40001", "22021"])
    func lasting(state: String) {
        #expect(!DatabaseError.endsConnection(sqlState: state))
    }
}
