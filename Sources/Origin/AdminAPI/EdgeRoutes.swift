// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import OCI
import OriginAuth
import OriginEdgeControl
import OriginMetadata

/// The fleet.
struct EdgeRoutes {
    let changes: AdminChanges
    let enrollment: EdgeEnrollment
    let fleet: Fleet

    var routes: [AdminRoute] {
        [
            AdminRoute(
                .get, "edges", needs: .administrator, "edge.list",
                "All edges by name, as the origin that answers sees them.",
                answers: Schema("EdgeList", [.required("edges", .list(.object(EdgeDocument.status)))])
            ) { _ in
                let edges = fleet.statuses.sorted { $0.record.name < $1.record.name }
                return .document(["edges": .array(edges.map(EdgeDocument.document))])
            },
            AdminRoute(
                .post, "edges", needs: .administrator, "edge.create",
                "Makes an edge; the credential that it joins with is shown this once.",
                takes: EdgeDocument.description, status: .created, answers: EdgeDocument.created
            ) { request in try await create(request) },
        ]
    }

    private func create(_ request: AdminRequest) async throws -> AdminAnswer {
        do throws(EdgeEnrollmentError) {
            let (record, credential) = try await enrollment.create(EdgeDocument.description(request.body))
            try await log(request.event(.done, target: record.name, detail: "edge \(record.id)"))
            return .document(EdgeDocument.document(record, credential))
        } catch {
            switch error {
            case .invalid(let reason): throw Problem(.unprocessableContent, reason)
            case .nameTaken: throw Problem(.conflict, "there is an edge of this name")
            case .database(let error): throw error
            case .secrets(let error): throw error
            }
        }
    }

    private func log(_ event: AuditEvent) async throws(EdgeEnrollmentError) {
        do throws(DatabaseError) { try await changes.log(event) } catch { throw .database(error) }
    }
}
