// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import OCI
import OriginAuth
import OriginMetadata
import OriginTrust

/// Trust relationships of a project: which jobs of which CI system become a token of it.
struct TrustRoutes {
    let changes: AdminChanges
    /// As `TrustPolicy.init` takes them.
    let privateHosts: Set<String>

    private static let rule: [Schema.Field] = [
        .required("name", .text), .required("provider", .choice(TrustProvider.allCases.map(\.rawValue))),
        .optional("issuer", .text, "The `iss` claim; the provider's own service unless given."),
        .required("audience", .text, "What the `aud` claim is, or contains."),
        .required(
            "conditions", .values,
            "Claims and the values that each may have, with a `*` at the end for any that begin so."),
        .optional("allow_forks", .boolean, "Whether jobs count that run the code of a fork's pull request."),
    ]
    private static let schema = Schema("TrustRelationship", [.required("id", .integer)] + rule)

    private static func document(_ record: TrustRecord) -> JSONValue {
        let content = record.content
        let conditions = (try? ClaimCondition.decode(text: content.conditions)).map(ClaimCondition.encode) ?? [:]
        return [
            "id": .integer(record.id), "name": .string(content.name), "provider": .string(content.provider),
            "issuer": .string(content.issuer), "audience": .string(content.audience), "conditions": conditions,
            "allow_forks": .bool(content.allowsForks),
        ]
    }

    var routes: [AdminRoute] {
        [
            AdminRoute(
                .get, "organizations/{organization}/projects/{project}/trust", needs: .owner, "trust.list",
                "Trust relationships of a project, oldest first.", query: AdminRoute.paging,
                answers: Self.schema.page
            ) { request in
                let page = try await changes.database.trustRelationships(
                    ofProject: request.project.id, after: request.afterID, limit: request.limit)
                return AdminRequest.answer(page, Self.document) { String($0.id) }
            },
            AdminRoute(
                .post, "organizations/{organization}/projects/{project}/trust", needs: .owner, "trust.create",
                "Trusts jobs of a CI system with a project. Refused unless it names the organization and the "
                    + "project there by what their holders cannot choose.",
                takes: Schema("NewTrustRelationship", Self.rule), status: .created, answers: Self.schema
            ) { request in try await create(request) },
            AdminRoute(
                .delete, "organizations/{organization}/projects/{project}/trust/{trust}", needs: .owner,
                "trust.delete", "Ends the trust, and withdraws the tokens that were given out for it.",
                status: .noContent
            ) { request in
                let (project, id) = (try request.project, try request.id("trust"))
                let name = try await changes.make(request) { session throws(DatabaseError) in
                    guard let name = try session.deleteTrustRelationship(id: id, ofProject: project.id) else {
                        return AdminChanges.Outcome<String?>.unchanged(nil)
                    }
                    return .changed(name, target: name, detail: "project \(project.publicID)")
                }
                guard name != nil else { throw Problem.notFound }
                return .nothing
            },
        ]
    }

    private func create(_ request: AdminRequest) async throws -> AdminAnswer {
        let project = try request.project
        let content = try content(of: request)
        do throws(DatabaseError) {
            let made = try await changes.make(request) { session throws(DatabaseError) in
                let made = try session.createTrustRelationship(content, ofProject: project)
                return .changed(
                    made, target: content.name,
                    detail: "project \(project.publicID), \(content.issuer), \(content.conditions)")
            }
            return .document(Self.document(made))
        } catch {
            guard case .uniqueViolation = error.kind else { throw error }
            throw Problem(.conflict, "the project has a trust relationship of this name")
        }
    }

    private func content(of request: AdminRequest) throws(Problem) -> TrustRecord.Content {
        let name = try request.name("name", of: request.text("name"))
        do throws(TrustPolicyError) {
            let conditions = try ClaimCondition.decode(request.body["conditions"] ?? [:])
            let policy = try TrustPolicy(
                provider: request.text("provider").flatMap(TrustProvider.init(rawValue:)) ?? .generic,
                issuer: request.text("issuer"), audience: request.text("audience") ?? "", conditions: conditions,
                allowsForks: request.flag("allow_forks"), privateHosts: privateHosts)
            return TrustRecord.Content(
                name: name, provider: policy.provider.rawValue, issuer: policy.issuer, audience: policy.audience,
                conditions: String(decoding: ClaimCondition.encode(policy.conditions).encode(), as: UTF8.self),
                allowsForks: policy.allowsForks)
        } catch {
            throw Problem(.unprocessableContent, error.message)
        }
    }
}
