// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import OCI
import OriginAuth
import OriginMetadata

/// Users of the deployment.
struct UserRoutes {
    let changes: AdminChanges

    private static let schema = Schema(
        "User",
        [
            .required("name", .text),
            .required("is_administrator", .boolean, "Whether the user may administer the deployment."),
        ])

    private static func document(_ user: UserRecord) -> JSONValue {
        ["name": .string(user.name), "is_administrator": .bool(user.isAdministrator)]
    }

    /// 1 to 128 of letters, digits and `._@+-`: it stands in paths as it is.
    private static func isName(_ text: String) -> Bool {
        (1...128).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "@"),
                    UInt8(ascii: "+"), UInt8(ascii: "-"):
                    true
                default: false
                }
            } && text != "." && text != ".."
    }

    var routes: [AdminRoute] {
        [
            AdminRoute(
                .get, "users", needs: .administrator, "user.list", "All users, by name.", query: AdminRoute.paging,
                answers: Self.schema.page
            ) { request in
                let page = try await changes.database.users(after: request.after, limit: request.limit)
                return AdminRequest.answer(page, Self.document) { $0.name }
            },
            AdminRoute(
                .post, "users", needs: .administrator, "user.create",
                "Makes a user; 200 if there is one of the name, which stays as it is.",
                takes: Schema("NewUser", [.required("name", .text), .optional("is_administrator", .boolean)]),
                status: .created, answers: Self.schema,
                findsAgain: true
            ) { request in
                guard let name = request.text("name"), Self.isName(name) else {
                    throw Problem(.unprocessableContent, "name must be 1 to 128 of letters, digits and ._@+-")
                }
                let isAdministrator = request.flag("is_administrator")
                let made = try await changes.make(request) { session throws(DatabaseError) in
                    let made = try session.createUser(name: name, isAdministrator: isAdministrator)
                    return made.isNew
                        ? .changed(made, target: name, detail: isAdministrator ? "administrator" : "")
                        : .unchanged(made)
                }
                return made.isNew ? .document(Self.document(made.user)) : .found(Self.document(made.user))
            },
            AdminRoute(
                .get, "users/{user}", needs: .user, "user.get", "One user.", answers: Self.schema
            ) { request in
                guard let user = try await changes.database.user(name: request.parameter("user")) else {
                    throw Problem.notFound
                }
                return .document(Self.document(user))
            },
            AdminRoute(
                .delete, "users/{user}", needs: .administrator, "user.delete",
                "Deletes a user with its tokens, all pull tokens made with them, and memberships; 409 for the last administrator.",
                status: .noContent
            ) { request in
                guard let user = try await changes.database.user(name: request.parameter("user")) else {
                    throw Problem.notFound
                }
                let isGone = try await changes.make(request) { session throws(DatabaseError) in
                    try session.deleteUser(id: user.id) ? .changed(true, target: user.name) : .unchanged(false)
                }
                guard isGone else { throw Problem(.conflict, "the last administrator stays") }
                return .nothing
            },
        ]
    }
}
