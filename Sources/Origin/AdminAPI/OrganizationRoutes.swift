// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Hashing
import OCI
import OriginAuth
import OriginMetadata

/// Organizations and who is in them.
struct OrganizationRoutes {
    let changes: AdminChanges

    static let schema = Schema(
        "Organization",
        [
            .required("name", .text, "A DNS label: first part of its repositories' names, or of its host."),
            .required("missing_references", .choice(MissingReferences.allCases.map(\.rawValue))),
        ])
    private static let member = Schema(
        "Member",
        [.required("user", .text), .required("role", .choice(Role.allCases.map(\.rawValue)))])

    private static func document(_ organization: Organization) -> JSONValue {
        [
            "name": .string(organization.slug.text),
            "missing_references": .string(organization.missingReferences.rawValue),
        ]
    }

    private static func document(_ member: Membership) -> JSONValue {
        ["user": .string(member.user.name), "role": .string(member.role.rawValue)]
    }

    var routes: [AdminRoute] { organizations + members }

    private var organizations: [AdminRoute] {
        [
            AdminRoute(
                .get, "organizations", needs: .credential, "organization.list",
                "Organizations that the token reaches, by name.", query: AdminRoute.paging, answers: Self.schema.page
            ) { request in
                let page = try await changes.database.organizations(
                    request.identity.organizationIDs, after: request.after, limit: request.limit)
                return AdminRequest.answer(page, Self.document) { $0.slug.text }
            },
            AdminRoute(
                .post, "organizations", needs: .administrator, "organization.create",
                "Makes an organization; 200 if it is there already.",
                takes: Schema("NewOrganization", [.required("name", .text)]), status: .created, answers: Self.schema,
                findsAgain: true
            ) { request in
                guard let slug = request.text("name").flatMap({ OrganizationSlug($0) }) else {
                    throw Problem(.unprocessableContent, "name must be a DNS label: 1 to 63 of a-z, 0-9 and '-'")
                }
                let isNew = try await changes.make(request, in: slug.text) { session throws(DatabaseError) in
                    let isNew = try session.createOrganization(slug: slug, label: SecureRandom.label(16))
                    return isNew ? .changed(true, target: slug.text) : .unchanged(false)
                }
                guard let made = try await changes.database.organization(slug: slug) else { throw Problem.notFound }
                return isNew ? .document(Self.document(made)) : .found(Self.document(made))
            },
            AdminRoute(
                .get, "organizations/{organization}", needs: .credential, "organization.get", "One organization.",
                answers: Self.schema
            ) { request in .document(Self.document(try request.organization)) },
            AdminRoute(
                .patch, "organizations/{organization}", needs: .owner, "organization.update",
                "Changes settings; `null` is the deployment's default.",
                takes: Schema(
                    "OrganizationSettings",
                    [.optional("missing_references", .choice(MissingReferences.allCases.map(\.rawValue)))]),
                answers: Self.schema
            ) { request in
                let organization = try request.organization
                if let value = request.body["missing_references"] {
                    let setting = value.stringValue.flatMap(MissingReferences.init(rawValue:))
                    try await changes.make(request) { session throws(DatabaseError) in
                        try session.setMissingReferences(setting, ofOrganization: organization.id)
                        return .changed(
                            (), target: organization.slug.text,
                            detail: "missing_references \(setting?.rawValue ?? "default")")
                    }
                }
                guard let changed = try await changes.database.organization(id: organization.id) else {
                    throw Problem.notFound
                }
                return .document(Self.document(changed))
            },
            AdminRoute(
                .delete, "organizations/{organization}", needs: .owner, "organization.delete",
                "Deletes an organization with its projects, tokens and trust relationships; 409 while it has "
                    + "repositories, unless those go, too.",
                query: [.optional("repositories", .boolean, "Whether its repositories are deleted as well.")],
                status: .noContent
            ) { request in
                let organization = try request.organization
                let withRepositories = try request.queryFlag("repositories")
                let isGone = try await changes.make(
                    request, effect: .deletedRepositories
                ) { session throws(DatabaseError) in
                    try session.deleteOrganization(id: organization.id, withRepositories: withRepositories)
                        ? .changed(true, target: organization.slug.text) : .unchanged(false)
                }
                guard isGone else { throw Problem(.conflict, "the organization still has repositories") }
                return .nothing
            },
        ]
    }

    private var members: [AdminRoute] {
        [
            AdminRoute(
                .get, "organizations/{organization}/members", needs: .member, "member.list",
                "Users of an organization, by name.", query: AdminRoute.paging, answers: Self.member.page
            ) { request in
                let page = try await changes.database.members(
                    ofOrganization: request.organization.id, after: request.after, limit: request.limit)
                return AdminRequest.answer(page, Self.document) { $0.user.name }
            },
            AdminRoute(
                .put, "organizations/{organization}/members/{member}", needs: .owner, "member.set",
                "Puts a user into an organization, or changes the user's role there.",
                takes: Schema("Membership", [.required("role", .choice(Role.allCases.map(\.rawValue)))]),
                answers: Self.member
            ) { request in
                let organization = try request.organization
                let name = request.parameter("member")
                guard let role = request.text("role").flatMap(Role.init(rawValue:)),
                    let user = try await changes.database.user(name: name)
                else { throw Problem(.notFound, "there is no such user") }
                try await changes.make(request) { session throws(DatabaseError) in
                    try session.setMembership(user: user.id, inOrganization: organization.id, role: role)
                    return .changed((), target: name, detail: "role \(role.rawValue)")
                }
                return .document(["user": .string(name), "role": .string(role.rawValue)])
            },
            AdminRoute(
                .delete, "organizations/{organization}/members/{member}", needs: .owner, "member.delete",
                "Takes a user out of an organization, and ends the pull tokens that the user made there.",
                status: .noContent
            ) { request in
                let organization = try request.organization
                let name = request.parameter("member")
                guard let user = try await changes.database.user(name: name) else { return .nothing }
                try await changes.make(request) { session throws(DatabaseError) in
                    try session.endMembership(user: user.id, inOrganization: organization.id)
                        ? .changed((), target: name) : .unchanged(())
                }
                return .nothing
            },
        ]
    }
}
