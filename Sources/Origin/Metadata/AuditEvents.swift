// SPDX-License-Identifier: Apache-2.0

package import FoundationEssentials

/// Who did what to what, from where, and how it ended. Holds no secret.
package struct AuditEvent: Sendable, Hashable {
    package enum Outcome: String, Sendable, SQLTextDecodable { case done, denied, failed }

    /// Slug of the organization it happened in; `nil`: the deployment.
    package var organization: String?
    /// `user NAME`, `organization token 12 (NAME)`, `anonymous`; of a first start `depot-origin` or `one-time token`.
    package var actor: String
    /// `token.create`, `manifest.delete`, …
    package var action: String
    package var target: String
    package var outcome: Outcome
    /// Why it was denied, or what changed, in words.
    package var detail: String
    /// Of the client.
    package var address: String
    package var requestID: String

    package init(
        organization: String?, actor: String, action: String, target: String, outcome: Outcome, detail: String = "",
        address: String, requestID: String
    ) {
        self.organization = organization
        self.actor = actor
        self.action = action
        self.target = target
        self.outcome = outcome
        self.detail = detail
        self.address = address
        self.requestID = requestID
    }
}

/// An event as it stands in the log.
package struct AuditRecord: Sendable, Identifiable {
    package let id: Int64
    package let at: Date
    package let event: AuditEvent
    /// The same thing so many times within the second that `at` ends; the request id is that of the first.
    package let count: Int64
}

extension Database {
    /// Events in their order.
    /// - Parameter organizationID: Only those of this organization, and none of another that had its name; `nil`: all.
    package func auditEvents(
        organizationID: Int64?, after id: Int64, limit: Int
    ) async throws(DatabaseError) -> Page<AuditRecord> {
        try await run { session throws(DatabaseError) in
            let rows = try session.query(
                """
                SELECT id, at, organization, actor, action, target, outcome, detail, address, request_id, count
                FROM audit_events WHERE id > $1 AND ($2::bigint IS NULL OR organization_id = $2) ORDER BY id LIMIT $3
                """,
                .int8(id), .int8(organizationID), .int8(Int64(limit) + 1))
            var records: [AuditRecord] = []
            for row in rows {
                let event = AuditEvent(
                    organization: try row[optional: 2], actor: try row[3], action: try row[4], target: try row[5],
                    outcome: try row[6], detail: try row[7], address: try row[8], requestID: try row[9])
                records.append(AuditRecord(id: try row[0], at: try row[1], event: event, count: try row[10]))
            }
            return Page(records, limit: limit)
        }
    }

    /// Appends what happened, in one transaction.
    package func appendAuditEvents(
        _ events: [(event: AuditEvent, count: Int64)], at instant: Date
    ) async throws(DatabaseError) {
        try await transaction { session throws(DatabaseError) in
            for (event, count) in events { try session.appendAudit(event, count: count, at: instant) }
        }
    }
}

extension Session {
    /// With the change that it tells of: both are committed, or none is.
    package func appendAudit(_ event: AuditEvent, count: Int64 = 1, at instant: Date) throws(DatabaseError) {
        try query(
            """
            INSERT INTO audit_events (
                at, organization, organization_id, actor, action, target, outcome, detail, address, request_id, count)
            VALUES ($1, $2, (SELECT id FROM organizations WHERE slug = $2), $3, $4, $5, $6, $7, $8, $9, $10)
            """,
            .timestamptz(instant), .text(event.organization), .text(event.actor), .text(event.action),
            .text(event.target), .text(event.outcome.rawValue), .text(event.detail), .text(event.address),
            .text(event.requestID), .int8(count))
    }
}
