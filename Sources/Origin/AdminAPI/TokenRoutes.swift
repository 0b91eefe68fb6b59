// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import HTTPTypes
import OCI
import OriginAuth
import OriginMetadata

/// Tokens of users, organizations and projects, and pull tokens. A secret is in the answer that makes it, once, and
/// nowhere else.
struct TokenRoutes {
    private static let pullLifetimeSeconds: Int64 = 3600

    let changes: AdminChanges

    private static let schema = Schema(
        "Token",
        [
            .required("id", .integer), .required("kind", .choice(TokenKind.allCases.map(\.rawValue))),
            .required("name", .text), .required("created_at", .instant), .optional("expires_at", .instant),
            .optional("revoked_at", .instant), .optional("last_used_at", .instant, "To about a minute."),
            .optional("user", .text), .optional("project", .text), .optional("repository", .text),
            .optional("reference", .text),
            .optional("made_with", .integer, "Id of the token that made it: once that is revoked, so is this."),
        ])
    private static let made = schema.adding(
        [.required("token", .text, "The secret: shown this once.")], named: "NewTokenAnswer")
    private static let lifetime = Schema.Field.optional(
        "ttl_seconds", .count(1...10 * 366 * 86_400), "How long it counts; for ever if it is not given.")
    private static let pullLifetimeField = Schema.Field.optional(
        "ttl_seconds", .count(1...86_400), "How long it counts: 3600 unless given.")

    private static func document(_ token: TokenRecord) -> JSONValue {
        var members: [(name: String, value: JSONValue?)] = [
            ("id", .integer(token.id)), ("kind", .string(token.kind.rawValue)), ("name", .string(token.name)),
            ("created_at", token.createdAt.document), ("expires_at", token.expiresAt?.document),
            ("revoked_at", token.revokedAt?.document), ("last_used_at", token.lastUsedAt?.document),
        ]
        switch token.holder {
        case .user(_, let name, _, _): members.append(("user", .string(name)))
        case .organization: break
        case .project(_, let publicID, _): members.append(("project", .string(publicID)))
        case .repository(_, let name, let reference, _):
            members += [("repository", .string(name.text)), ("reference", reference.map { .string($0) })]
        }
        members.append(("made_with", token.madeWith.map { .integer($0) }))
        return .present(members)
    }

    var routes: [AdminRoute] { users + organizations + pulls }

    // MARK: Of users

    private var users: [AdminRoute] {
        [
            AdminRoute(
                .get, "users/{user}/tokens", needs: .user, "user.token.list", "Tokens of a user.",
                query: AdminRoute.paging, answers: Self.schema.page
            ) { request in try await list(request, of: .user(user(request).id)) },
            AdminRoute(
                .post, "users/{user}/tokens", needs: .user, "user.token.create", "Makes a token of a user.",
                takes: Schema("NewUserToken", [.required("name", .text), Self.lifetime]), status: .created,
                answers: Self.made
            ) { request in
                try await create(request, .user, of: .user(user(request).id), expiresAt: Self.expiry(request))
            },
            AdminRoute(
                .delete, "users/{user}/tokens/{token}", needs: .user, "user.token.revoke",
                "Withdraws a token of a user, and the pull tokens made with it.", status: .noContent
            ) { request in try await revoke(request, of: .user(user(request).id)) },
        ]
    }

    private func user(_ request: AdminRequest) async throws -> UserRecord {
        guard let user = try await changes.database.user(name: request.parameter("user")) else {
            throw Problem.notFound
        }
        return user
    }

    // MARK: Of organizations and projects

    private var organizations: [AdminRoute] {
        [
            AdminRoute(
                .get, "organizations/{organization}/tokens", needs: .owner, "token.list",
                "Tokens of an organization and all that is in it.", query: AdminRoute.paging,
                answers: Self.schema.page
            ) { request in try await list(request, of: .organization(request.organization.id)) },
            AdminRoute(
                .post, "organizations/{organization}/tokens", needs: .owner, "token.create",
                "Makes a token of the organization.",
                takes: Schema("NewOrganizationToken", [.required("name", .text), Self.lifetime]), status: .created,
                answers: Self.made
            ) { request in
                let owner = TokenOwner.organization(try request.organization.id)
                return try await create(request, .organization, of: owner, expiresAt: Self.expiry(request))
            },
            AdminRoute(
                .delete, "organizations/{organization}/tokens/{token}", needs: .owner, "token.revoke",
                "Withdraws a token of the organization or of anything in it, and the pull tokens made with it.",
                status: .noContent
            ) { request in try await revoke(request, of: .organization(request.organization.id)) },
            AdminRoute(
                .post, "organizations/{organization}/projects/{project}/tokens", needs: .owner,
                "project.token.create", "Makes a token of a project.",
                takes: Schema("NewProjectToken", [.required("name", .text), Self.lifetime]), status: .created,
                answers: Self.made
            ) { request in
                let project = try request.project
                let owner = TokenOwner.project(project.id, organizationID: project.organizationID)
                return try await create(request, .project, of: owner, expiresAt: Self.expiry(request))
            },
        ]
    }

    // MARK: For pulls

    private var pulls: [AdminRoute] {
        [
            AdminRoute(
                .post, "organizations/{organization}/projects/{project}/pull-tokens", needs: .project,
                "project.pull-token.create",
                "Makes a token that pulls from a project, or one tag or digest of its own repository.",
                takes: Schema(
                    "NewProjectPullToken",
                    [.optional("name", .text), .optional("reference", .text), Self.pullLifetimeField]),
                status: .created, answers: Self.made
            ) { request in
                let project = try request.project
                guard request.text("reference") != nil else {
                    let owner = TokenOwner.project(project.id, organizationID: project.organizationID)
                    return try await createPull(request, of: owner)
                }
                return try await createPull(request, of: repository(project.publicID, request))
            },
            AdminRoute(
                .post, "organizations/{organization}/pull-tokens", needs: .member, "pull-token.create",
                "Makes a token that pulls from one repository, or one tag or digest of it.",
                takes: Schema(
                    "NewPullToken",
                    [
                        .optional("name", .text), .required("repository", .text), .optional("reference", .text),
                        Self.pullLifetimeField,
                    ]),
                status: .created, answers: Self.made
            ) { request in try await createPull(request, of: repository(request.text("repository"), request)) },
        ]
    }

    /// - Throws: 422 for a repository that is not there, and for a reference that is none.
    private func repository(_ text: String?, _ request: AdminRequest) async throws -> TokenOwner {
        let organization = try request.organization
        guard let name = text.flatMap({ RepositoryName($0) }),
            let repository = try await changes.database.repository(organizationID: organization.id, name: name)
        else { throw Problem(.unprocessableContent, "the organization has no such repository") }
        let reference = request.text("reference")
        if let reference, Tag(reference) == nil, Digest(reference) == nil {
            throw Problem(.unprocessableContent, "reference must be a tag or a digest")
        }
        return .repository(repository.id, reference: reference, organizationID: organization.id)
    }

    private func createPull(_ request: AdminRequest, of owner: TokenOwner) async throws -> AdminAnswer {
        let name = try request.name("name", of: request.text("name") ?? "pull")
        return try await create(
            request, .pull, of: owner, name: name, isNameUnique: false,
            expiresAt: Self.expiry(request) ?? Date(timeIntervalSinceNow: Double(Self.pullLifetimeSeconds)),
            maker: TokenMaker(request.identity))
    }

    // MARK: Doing it

    private static func expiry(_ request: AdminRequest) -> Date? {
        request.body["ttl_seconds"]?.integerValue.map { Date(timeIntervalSinceNow: Double($0)) }
    }

    private func list(_ request: AdminRequest, of owner: TokenOwner) async throws -> AdminAnswer {
        let page = try await changes.database.tokens(of: owner, after: request.afterID, limit: request.limit)
        return AdminRequest.answer(page, Self.document) { String($0.id) }
    }

    private func create(
        _ request: AdminRequest, _ kind: TokenKind, of owner: TokenOwner, expiresAt: Date?
    ) async throws -> AdminAnswer {
        let name = try request.name("name", of: request.text("name"))
        return try await create(request, kind, of: owner, name: name, isNameUnique: true, expiresAt: expiresAt)
    }

    /// - Parameter isNameUnique: Then a call that is repeated, because its answer was lost, makes no second token.
    /// - Throws: 409 if the owner has a token of the name that counts; 404 if the owner has just gone.
    private func create(
        _ request: AdminRequest, _ kind: TokenKind, of owner: TokenOwner, name: String, isNameUnique: Bool,
        expiresAt: Date?, maker: TokenMaker? = nil
    ) async throws -> AdminAnswer {
        let text = TokenText.generate(kind)
        let token = NewToken(
            kind: kind, owner: owner, name: name, secretSHA256: text.sha256, expiresAt: expiresAt, maker: maker)
        let made: TokenRecord?
        do throws(DatabaseError) {
            made = try await changes.make(request) { session throws(DatabaseError) in
                if isNameUnique, try session.hasLiveToken(kind, named: name, of: owner) {
                    return AdminChanges.Outcome<TokenRecord?>.unchanged(nil)
                }
                let made = try session.createToken(token)
                return .changed(made, target: "token \(made.id)", detail: "\(kind.rawValue) token \(name)")
            }
        } catch {
            // What it is a token of, or who makes it, has gone since the gate looked.
            if case .foreignKeyViolation = error.kind { throw Problem.notFound }
            throw error
        }
        guard let made else {
            throw Problem(.conflict, "there is a token of this name; revoke it, or take another name")
        }
        return .document(Self.document(made).adding(["token": .string(text.secret)]))
    }

    private func revoke(_ request: AdminRequest, of owner: TokenOwner) async throws -> AdminAnswer {
        let id = try request.id("token")
        let revoked = try await changes.make(request) { session throws(DatabaseError) in
            guard let token = try session.revokeToken(id: id, of: owner) else {
                return AdminChanges.Outcome<TokenRecord?>.unchanged(nil)
            }
            return .changed(token, target: "token \(id)", detail: "\(token.kind.rawValue) token \(token.name)")
        }
        guard revoked != nil else { throw Problem.notFound }
        return .nothing
    }
}

extension TokenMaker {
    /// The pull tokens of a user who is in the organization by a membership end with that.
    fileprivate init(_ identity: Identity) {
        let memberID: Int64? = if case .user(let id, _, false, _) = identity.holder { id } else { nil }
        self.init(tokenID: identity.tokenID, memberID: memberID)
    }
}
