// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Grammar
import Hashing
import OCI
package import OriginMetadata
package import OriginTrust

/// Turns identity tokens of CI systems into tokens of projects.
package protocol IdentityExchange: Sendable {
    /// The token that stands for an identity token presented as a password: made at its first use, with the identity
    /// token itself as its secret, so that it is found like any other from then on.
    ///
    /// - Returns: `nil` if the text is no identity token.
    /// - Throws: `.invalid`, `.untrusted`, `.storeUnavailable`.
    func token(forIdentity text: String, of caller: Caller) async throws(CredentialFault) -> TokenRecord?

    /// A token of its own for an identity token, which is thereby used up (RFC 8693).
    ///
    /// - Parameter project: Public id of the project that is wanted; `nil`: that of the oldest relationship that holds.
    /// - Throws: As the other one.
    func exchange(
        _ text: String, project: String?, of caller: Caller
    ) async throws(CredentialFault) -> (text: TokenText, record: TokenRecord)
}

/// The trust relationships of this deployment.
package struct TrustExchange: IdentityExchange {
    /// A token lives no longer than the identity token that it was given for, and no longer than this.
    package static let lifetimeMax = Duration.seconds(3600)
    /// Relationships with one issuer that are looked at.
    private static let relationshipCountMax = 10_000

    private let database: Database
    private let verifier: TrustVerifier
    private let audit: AuditLog
    private let privateHosts: Set<String>

    /// - Parameter privateHosts: As `TrustPolicy.init` takes them.
    package init(database: Database, verifier: TrustVerifier, audit: AuditLog, privateHosts: Set<String>) {
        self.database = database
        self.verifier = verifier
        self.audit = audit
        self.privateHosts = privateHosts
    }

    package func token(forIdentity text: String, of caller: Caller) async throws(CredentialFault) -> TokenRecord? {
        guard IdentityToken.looksLike(text) else { return nil }
        let (identity, trust) = try await accept(text, project: nil, caller)
        return try await makeToken(SHA256.hash(Array(text.utf8)).bytes, for: identity, trust, caller)
    }

    package func exchange(
        _ text: String, project: String?, of caller: Caller
    ) async throws(CredentialFault) -> (text: TokenText, record: TokenRecord) {
        guard IdentityToken.looksLike(text) else { throw .invalid }
        let (identity, trust) = try await accept(text, project: project, caller)
        let isFirst: Bool
        do throws(DatabaseError) {
            isFirst = try await database.beginExchange(
                issuer: identity.issuer,
                // An issuer that does not number its tokens: the token is its own number.
                tokenID: identity.tokenID ?? "sha256:" + Base64URL.encode(SHA256.hash(Array(text.utf8)).bytes),
                expiresAt: identity.expiresAt)
        } catch { throw .storeUnavailable }
        guard isFirst else { throw .untrusted("it was exchanged before") }
        let made = TokenText.generate(.trust)
        return (made, try await makeToken(made.sha256, for: identity, trust, caller))
    }

    // MARK: Judging

    private func accept(
        _ text: String, project: String?, _ caller: Caller
    ) async throws(CredentialFault) -> (VerifiedIdentity, TrustRecord) {
        do throws(TrustFault) {
            let token = try IdentityToken(text)
            let (records, policies) = try await relationships(with: token.claimedIssuer, project)
            guard !records.isEmpty else {
                throw TrustFault(.untrustedIssuer, "no trust relationship names its issuer")
            }
            let identity = try await verifier.verify(token)
            return (identity, records[try TrustPolicy.firstMatch(of: policies, for: identity)])
        } catch {
            guard error.kind != .issuerUnavailable else { throw .storeUnavailable }
            audit.record(
                AuditEvent(
                    organization: nil, actor: "anonymous", action: "trust.login", target: "identity token",
                    outcome: .denied, detail: error.detail, address: caller.address, requestID: caller.requestID))
            throw .untrusted(error.publicMessage)
        }
    }

    private func relationships(
        with issuer: String, _ project: String?
    ) async throws(TrustFault) -> ([TrustRecord], [TrustPolicy]) {
        let found: [TrustRecord]
        do throws(DatabaseError) {
            found = try await database.trustRelationships(
                withIssuer: issuer, project: project, limit: Self.relationshipCountMax)
        } catch {
            throw TrustFault(.issuerUnavailable, "try again shortly", detail: "\(error)")
        }
        var records: [TrustRecord] = []
        var policies: [TrustPolicy] = []
        for record in found {
            // A rule that today's checks refuse is no rule, whatever the checks were when it was written.
            guard let policy = try? TrustPolicy(record.content, privateHosts: privateHosts) else { continue }
            records.append(record)
            policies.append(policy)
        }
        return (records, policies)
    }

    private func makeToken(
        _ secretSHA256: [UInt8], for identity: VerifiedIdentity, _ trust: TrustRecord, _ caller: Caller
    ) async throws(CredentialFault) -> TokenRecord {
        let latest = Date(timeIntervalSinceNow: Self.lifetimeMax / .seconds(1))
        let token = NewToken(
            kind: .trust, owner: .project(trust.projectID, organizationID: trust.organizationID),
            name: trust.content.name, secretSHA256: secretSHA256, expiresAt: min(identity.expiresAt, latest))
        let event = AuditEvent(
            organization: nil, actor: "\(trust.content.provider) \(identity.subject ?? identity.issuer)",
            action: "trust.login", target: trust.content.name, outcome: .done, address: caller.address,
            requestID: caller.requestID)
        let made: TokenRecord?
        do throws(DatabaseError) {
            made = try await database.transaction { session throws(DatabaseError) in
                // Who ends the trust waits for this, and then revokes what was made.
                guard let organization = try session.lockTrustRelationship(id: trust.id) else { return nil }
                var event = event
                event.organization = organization
                let made = try session.createToken(token)
                try session.appendAudit(event, at: Date())
                return made
            }
        } catch { throw .storeUnavailable }
        guard let made else { throw .untrusted("the trust relationship has ended") }
        return made
    }
}

extension TrustPolicy {
    /// - Throws: If the stored rule is not one that is safe today.
    fileprivate init(_ content: TrustRecord.Content, privateHosts: Set<String>) throws(TrustPolicyError) {
        // A provider that this version does not know has no rules but the general ones.
        try self.init(
            provider: TrustProvider(rawValue: content.provider) ?? .generic, issuer: content.issuer,
            audience: content.audience,
            conditions: ClaimCondition.decode(text: content.conditions), allowsForks: content.allowsForks,
            privateHosts: privateHosts)
    }
}

extension VerifiedIdentity {
    fileprivate var expiresAt: Date { Date(timeIntervalSince1970: Double(expiresAtUnixSeconds)) }
}
