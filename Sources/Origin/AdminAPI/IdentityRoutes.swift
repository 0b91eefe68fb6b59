// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import OCI
import OriginAuth
import OriginMetadata

/// Who the caller is.
struct IdentityRoutes {
    let auth: AuthService

    static let schema = Schema(
        "Identity",
        [
            .required("token_id", .integer),
            .required("kind", .choice(TokenKind.allCases.map(\.rawValue))),
            .required("token_name", .text),
            .optional("user", .text),
            .required("is_administrator", .boolean),
            .optional("project", .text, "The only project that the token reaches."),
            .optional("repository", .text, "The only repository that the token reaches."),
            .optional("reference", .text, "The only tag or digest that the token reaches."),
        ])

    var routes: [AdminRoute] {
        [
            AdminRoute(
                .get, "identity", needs: .credential, "identity.get", "What the presented token stands for.",
                answers: Self.schema
            ) { request in
                let identity = try request.identity
                var body: JSONValue = [
                    "token_id": .integer(identity.tokenID), "kind": .string(identity.kind.rawValue),
                    "token_name": .string(identity.tokenName), "is_administrator": .bool(identity.isAdministrator),
                ]
                switch identity.holder {
                case .user(_, let name, _, _): body = body.adding(["user": .string(name)])
                case .organization: break
                case .project(_, let publicID, _): body = body.adding(["project": .string(publicID)])
                case .repository(_, let name, let reference, _):
                    body = body.adding(["repository": .string(name.text)])
                    if let reference { body = body.adding(["reference": .string(reference)]) }
                }
                return .document(body)
            }
        ]
    }
}
