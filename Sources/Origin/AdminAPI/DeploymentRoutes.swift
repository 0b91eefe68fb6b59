// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import OCI
import OriginAuth
import OriginMetadata

/// The deployment as a whole: its first start, and its keys.
struct DeploymentRoutes {
    let changes: AdminChanges
    let keys: KeyKeeper
    let bootstrap: Bootstrap
    let audit: AuditLog

    private static let first = Schema(
        "FirstCredentials",
        [
            .required("organization", .text), .required("token", .text, "Of the organization: shown this once."),
            .required("admin_token", .text, "Of the first administrator: shown this once."),
        ])

    var routes: [AdminRoute] {
        [
            AdminRoute(
                .post, "bootstrap", needs: .nothing, "deployment.bootstrap",
                "Trades the one-time token of a first start for the first credentials.",
                takes: Schema("Bootstrap", [.required("bootstrap_token", .text)]), status: .created,
                answers: Self.first
            ) { request in
                let credentials: BootstrapCredentials
                do throws(CredentialFault) {
                    credentials = try await bootstrap.redeem(
                        request.text("bootstrap_token") ?? "", of: request.caller, judgedBy: changes.auth)
                } catch {
                    // Nobody was denied anything while the database is away.
                    if error != .storeUnavailable {
                        audit.record(request.event(.denied, target: "one-time token", detail: error.message))
                    }
                    throw Problem(error.refusal(challenge: "Bearer realm=\"depot-origin admin API\""))
                }
                return .document([
                    "organization": .string(credentials.organization.text),
                    "token": .string(credentials.token.secret),
                    "admin_token": .string(credentials.administratorToken.secret),
                ])
            },
            AdminRoute(
                .post, "keys/rotate", needs: .administrator, "deployment.rotate-keys",
                "Signs registry tokens with another key from now on; those of the one before count until they end.",
                status: .noContent
            ) { request in
                try await keys.rotate()
                try await changes.log(request.event(.done, target: "keys of registry tokens"))
                return .nothing
            },
        ]
    }
}
