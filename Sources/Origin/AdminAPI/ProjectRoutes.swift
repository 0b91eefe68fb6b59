// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Hashing
import OCI
import OriginAuth
import OriginMetadata

/// Projects of an organization.
struct ProjectRoutes {
    private static let publicIDCharacterCount = 10

    let changes: AdminChanges

    static let schema = Schema(
        "Project",
        [
            .required("id", .text, "Name of its repository; what commands call it by."), .required("name", .text),
        ])

    static func document(_ project: Project) -> JSONValue {
        ["id": .string(project.publicID), "name": .string(project.name)]
    }

    var routes: [AdminRoute] {
        [
            AdminRoute(
                .get, "organizations/{organization}/projects", needs: .member, "project.list",
                "Projects of an organization, by name.", query: AdminRoute.paging, answers: Self.schema.page
            ) { request in
                let page = try await changes.database.projects(
                    ofOrganization: request.organization.id, after: request.after, limit: request.limit)
                return AdminRequest.answer(page, Self.document) { $0.name }
            },
            AdminRoute(
                .post, "organizations/{organization}/projects", needs: .member, "project.create",
                "Makes a project; 200 if there is one of the name.",
                takes: Schema("NewProject", [.required("name", .text)]), status: .created, answers: Self.schema,
                findsAgain: true
            ) { request in
                let organization = try request.organization
                let name = try request.name("name", of: request.text("name"))
                let made = try await changes.make(request) { session throws(DatabaseError) in
                    let publicID = SecureRandom.label(Self.publicIDCharacterCount)
                    let made = try session.createProject(
                        name: name, publicID: publicID, inOrganization: organization.id)
                    return made.isNew
                        ? .changed(made, target: made.project.publicID, detail: "name \(name)") : .unchanged(made)
                }
                return made.isNew ? .document(Self.document(made.project)) : .found(Self.document(made.project))
            },
            AdminRoute(
                .get, "organizations/{organization}/projects/{project}", needs: .project, "project.get",
                "One project.", answers: Self.schema
            ) { request in .document(Self.document(try request.project)) },
            AdminRoute(
                .delete, "organizations/{organization}/projects/{project}", needs: .owner, "project.delete",
                "Deletes a project with its tokens and trust relationships; 409 while it has repositories, unless "
                    + "those go, too.",
                query: [.optional("repositories", .boolean, "Whether its repositories are deleted as well.")],
                status: .noContent
            ) { request in
                let project = try request.project
                let withRepositories = try request.queryFlag("repositories")
                let isGone = try await changes.make(
                    request, effect: .deletedRepositories
                ) { session throws(DatabaseError) in
                    try session.deleteProject(id: project.id, withRepositories: withRepositories)
                        ? .changed(true, target: project.publicID, detail: "name \(project.name)") : .unchanged(false)
                }
                guard isGone else { throw Problem(.conflict, "the project still has repositories") }
                return .nothing
            },
        ]
    }
}
