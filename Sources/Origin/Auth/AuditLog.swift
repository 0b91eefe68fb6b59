// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
package import Logging
package import OriginMetadata
import Synchronization
package import Telemetry

/// What goes into the audit log without being part of a transaction: denials, and what pushes and deletes did.
///
/// Events are gathered for a second and then written together; equal ones are one row with a count, so that a client
/// that is denied 6,000 times writes one line a second. A crash loses a second; changes of who may do what are written
/// with the change itself and lost with nothing.
package final class AuditLog: Sendable {
    /// Different events that wait at once. What comes above is counted and said in the program's log.
    private static let waitingCountMax = 4096
    private static let interval = Duration.seconds(1)
    private static let detailBytesMax = 1024

    private struct Waiting {
        /// By the event without its request id; that of the first one is kept.
        var events: [AuditEvent: (requestID: String, count: Int64)] = [:]
        var order: [AuditEvent] = []
    }

    private let database: Database
    private let logger: Logger
    private let waiting = Mutex(Waiting())
    private let lost: Counter

    package init(database: Database, metrics: Metrics, logger: Logger) {
        self.database = database
        self.logger = logger
        lost = metrics.counter(
            "depot_origin_audit_lost_total", help: "Audit events that found no room, or could not be written.")
    }

    /// Never blocks.
    package func record(_ event: AuditEvent) {
        var key = event
        key.requestID = ""
        key.target = Self.clipped(event.target)
        key.detail = Self.clipped(event.detail)
        let isTaken = waiting.withLock { waiting in
            if let known = waiting.events[key] {
                waiting.events[key] = (known.requestID, known.count + 1)
                return true
            }
            guard waiting.order.count < Self.waitingCountMax else { return false }
            waiting.events[key] = (event.requestID, 1)
            waiting.order.append(key)
            return true
        }
        if !isTaken { lost.add(1) }
    }

    /// A refusal, if it is one that somebody may want to know of: not a challenge to who has not logged in yet, nor to
    /// a client that asks for more scope.
    package func denied(
        _ refusal: AuthRefusal, _ caller: Caller, organization: String?, action: String, target: String
    ) {
        switch refusal.kind {
        case .unauthorized: guard !caller.authorization.isEmpty, refusal.identity == nil else { return }
        case .denied, .invisible, .invisibleContent, .limited: break
        case .malformed, .unavailable: return
        }
        record(
            AuditEvent(
                organization: organization, actor: refusal.identity?.actor ?? "anonymous", action: action,
                target: target, outcome: .denied, detail: refusal.message, address: caller.address,
                requestID: caller.requestID))
    }

    /// Runs until its task is cancelled, and then writes what is left.
    package func run() async {
        while !Task.isCancelled {
            try? await Task.sleep(for: Self.interval)
            await flush()
        }
    }

    /// Writes what waits. What cannot be written is lost, and said so: while the database is away, nobody is admitted
    /// for longer than a minute either.
    package func flush() async {
        let events = waiting.withLock { waiting in
            defer { waiting = Waiting() }
            return waiting.order.compactMap { key in
                waiting.events[key].map { first in
                    var event = key
                    event.requestID = first.requestID
                    return (event: event, count: first.count)
                }
            }
        }
        guard !events.isEmpty else { return }
        do throws(DatabaseError) {
            try await database.appendAuditEvents(events, at: Date())
        } catch {
            lost.add(events.count)
            logger.error(
                "audit events could not be written", metadata: ["count": "\(events.count)", "error": "\(error)"])
        }
    }

    private static func clipped(_ text: String) -> String {
        text.utf8.count <= detailBytesMax ? text : String(text.prefix(detailBytesMax / 4)) + "…"
    }
}
