// SPDX-License-Identifier: Apache-2.0

import Grammar
import HTTPTypes
import OCI
import OriginAuth
import OriginMetadata

/// Repositories of an organization, as things to administer: content goes through `/v2/`.
struct RepositoryRoutes {
    let changes: AdminChanges

    private static let schema = Schema(
        "Repository",
        [
            .required("name", .text), .optional("project", .text, "Id of the project that it is linked to."),
        ])

    /// - Parameter project: The one that it is linked to.
    private static func document(_ repository: Repository, project: String?) -> JSONValue {
        let name: JSONValue = ["name": .string(repository.name.text)]
        return project.map { name.adding(["project": .string($0)]) } ?? name
    }

    var routes: [AdminRoute] {
        [
            AdminRoute(
                .get, "organizations/{organization}/repositories", needs: .member, "repository.list",
                "Repositories of an organization, by name.",
                query: AdminRoute.paging + [.optional("in_project", .text, "Only those linked to this project.")],
                answers: Self.schema.page
            ) { request in try await list(request) },
            AdminRoute(
                .post, "organizations/{organization}/repositories", needs: .member, "repository.create",
                "Makes an empty repository; 200 if it is there already. A first push does the same.",
                takes: Schema("NewRepository", [.required("name", .text), .optional("project", .text)]),
                status: .created, answers: Self.schema,
                findsAgain: true
            ) { request in try await create(request) },
            AdminRoute(
                .get, "organizations/{organization}/repositories/{repository...}", needs: .member, "repository.get",
                "One repository.", answers: Self.schema
            ) { request in
                let repository = try await find(request)
                return .document(Self.document(repository, project: try await publicID(of: repository, request)))
            },
            AdminRoute(
                .patch, "organizations/{organization}/repositories/{repository...}", needs: .member,
                "repository.link", "Links a repository to a project, or with `null` to none.",
                takes: Schema("RepositorySettings", [.optional("project", .text)]), answers: Self.schema
            ) { request in try await link(request) },
            AdminRoute(
                .delete, "organizations/{organization}/repositories/{repository...}", needs: .member,
                "repository.delete",
                "Deletes a repository with its manifests, tags, uploads, and the tokens that reach nothing else.",
                status: .noContent
            ) { request in
                let repository = try await find(request)
                try await changes.make(request, effect: .deletedRepositories) { session throws(DatabaseError) in
                    try session.deleteRepository(id: repository.id)
                    return .changed((), target: repository.name.text)
                }
                return .nothing
            },
        ]
    }

    private func list(_ request: AdminRequest) async throws -> AdminAnswer {
        let organization = try request.organization
        var wanted: Project?
        if let id = request.query.only("in_project") { wanted = try await project(id, request) }
        let page = try await changes.database.repositories(
            organizationID: organization.id, projectID: wanted?.id, after: request.after, limit: request.limit)
        let projects = try await changes.database.projectIDs(page.elements.compactMap(\.projectID))
        return AdminRequest.answer(
            page, { Self.document($0, project: $0.projectID.flatMap { projects[$0] }) }, key: { $0.name.text })
    }

    private func create(_ request: AdminRequest) async throws -> AdminAnswer {
        let organization = try request.organization
        guard let name = request.text("name").flatMap({ RepositoryName($0) }) else {
            throw Problem(.unprocessableContent, "name must be a repository's name without the organization")
        }
        var wanted: Project?
        if let id = request.text("project") { wanted = try await project(id, request) }
        let link = wanted
        let made = try await changes.make(request) { session throws(DatabaseError) in
            let made = try session.createRepository(organizationID: organization.id, name: name)
            guard made.isNew else { return .unchanged(made) }
            if let link { try session.linkRepository(id: made.repository.id, toProject: link.id) }
            return .changed(made, target: name.text, detail: link.map { "project \($0.publicID)" } ?? "")
        }
        let repository = made.isNew && link != nil ? try await find(request, name) : made.repository
        let document = Self.document(repository, project: try await publicID(of: repository, request))
        return made.isNew ? .document(document) : .found(document)
    }

    private func link(_ request: AdminRequest) async throws -> AdminAnswer {
        let repository = try await find(request)
        guard let value = request.body["project"] else {
            return .document(Self.document(repository, project: try await publicID(of: repository, request)))
        }
        var wanted: Project?
        if let id = value.stringValue { wanted = try await project(id, request) }
        let link = wanted
        try await changes.make(request) { session throws(DatabaseError) in
            try session.linkRepository(id: repository.id, toProject: link?.id)
            return .changed((), target: repository.name.text, detail: "project \(link?.publicID ?? "none")")
        }
        return .document(Self.document(repository, project: link?.publicID))
    }

    // MARK: Looking up

    private func find(_ request: AdminRequest) async throws -> Repository {
        guard let name = RepositoryName(request.parameter("repository")) else { throw Problem.notFound }
        return try await find(request, name)
    }

    private func find(_ request: AdminRequest, _ name: RepositoryName) async throws -> Repository {
        let organization = try request.organization
        guard let found = try await changes.database.repository(organizationID: organization.id, name: name) else {
            throw Problem.notFound
        }
        return found
    }

    private func project(_ id: String, _ request: AdminRequest) async throws -> Project {
        let organization = try request.organization
        guard let found = try await changes.database.project(id, inOrganization: organization.id) else {
            throw Problem(.unprocessableContent, "the organization has no such project")
        }
        return found
    }

    private func publicID(of repository: Repository, _ request: AdminRequest) async throws -> String? {
        guard let id = repository.projectID else { return nil }
        return try await changes.database.projectIDs([id])[id]
    }
}
