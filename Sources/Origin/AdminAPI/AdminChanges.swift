// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
package import OriginAuth
package import OriginMetadata

/// Makes changes for the admin API: the change, its line in the audit log and its notice to other origins in one
/// transaction, and this origin's own memory before the answer.
package struct AdminChanges: Sendable {
    let database: Database
    let auth: AuthService
    private let forgetRepositories: @Sendable () -> Void

    /// - Parameter forgetRepositories: Called when some were deleted.
    package init(database: Database, auth: AuthService, forgetRepositories: @escaping @Sendable () -> Void) {
        self.database = database
        self.auth = auth
        self.forgetRepositories = forgetRepositories
    }

    /// What a change came to.
    struct Outcome<Value: Sendable>: Sendable {
        let value: Value
        /// Whether anything is other than before: a repeated call tells nobody.
        let isChange: Bool
        /// For the audit log.
        var target: String
        var detail = ""

        static func changed(_ value: Value, target: String, detail: String = "") -> Outcome {
            Outcome(value: value, isChange: true, target: target, detail: detail)
        }

        static func unchanged(_ value: Value) -> Outcome { Outcome(value: value, isChange: false, target: "") }
    }

    /// A line for what has no transaction here that it could be part of.
    func log(_ event: AuditEvent) async throws(DatabaseError) {
        try await database.appendAuditEvents([(event, 1)], at: Date())
    }

    /// - Parameters:
    ///   - organization: Slug, where the path does not name it.
    ///   - body: As `Database.transaction` runs it.
    func make<Value: Sendable>(
        _ request: AdminRequest,
        effect: Change.Effect = .changedRights,
        in organization: String? = nil,
        _ body: @escaping @Sendable (Session) throws(DatabaseError) -> Outcome<Value>
    ) async throws(DatabaseError) -> Value {
        // Also if the outcome of the commit is unknown.
        defer {
            auth.invalidate()
            if effect == .deletedRepositories { forgetRepositories() }
        }
        return try await database.transaction { session throws(DatabaseError) in
            let outcome = try body(session)
            guard outcome.isChange else { return outcome.value }
            try session.appendAudit(
                request.event(.done, target: outcome.target, organization: organization, detail: outcome.detail),
                at: Date())
            try session.appendChange(effect)
            return outcome.value
        }
    }
}
