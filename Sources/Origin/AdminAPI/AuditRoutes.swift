// SPDX-License-Identifier: Apache-2.0

import Grammar
import HTTPTypes
import Hummingbird
import NIOCore
import OCI
import OriginAuth
import OriginHTTP
import OriginMetadata

/// Who did what.
struct AuditRoutes {
    let database: Database

    private static let schema = Schema(
        "AuditEvent",
        [
            .required("id", .integer), .required("at", .instant), .optional("organization", .text),
            .required("actor", .text), .required("action", .text), .required("target", .text),
            .required("outcome", .choice(["done", "denied", "failed"])), .required("detail", .text),
            .required("address", .text), .required("request_id", .text),
            .required("count", .integer, "Equal events of one second are one, with the id of the first request."),
        ])
    private static let about =
        "What was changed and denied, oldest first; with `format=ndjson` all that follows, one event a line."
    private static let query =
        AdminRoute.paging + [.optional("format", .choice(["json", "ndjson"]), "json unless given.")]

    var routes: [AdminRoute] {
        [
            AdminRoute(
                .get, "audit", needs: .administrator, "audit.list", Self.about + " Of the whole deployment.",
                query: Self.query, answers: Self.schema.page, orLinesOf: Self.schema
            ) { request in try await list(request, organizationID: nil) },
            AdminRoute(
                .get, "organizations/{organization}/audit", needs: .owner, "organization.audit.list",
                Self.about + " Of one organization.", query: Self.query, answers: Self.schema.page,
                orLinesOf: Self.schema
            ) { request in try await list(request, organizationID: request.organization.id) },
        ]
    }

    private func list(_ request: AdminRequest, organizationID: Int64?) async throws -> AdminAnswer {
        let (after, limit) = (try request.afterID, try request.limit)
        switch request.query.only("format") {
        case nil, "json":
            let page = try await database.auditEvents(organizationID: organizationID, after: after, limit: limit)
            return AdminRequest.answer(page, Self.document) { String($0.id) }
        case "ndjson":
            return .response(export(organizationID: organizationID, after: after))
        default:
            throw Problem(.badRequest, "format must be json or ndjson")
        }
    }

    /// A page at a time, so that it takes no more memory than one.
    private func export(organizationID: Int64?, after first: Int64) -> Response {
        let body = ResponseBody { [database] writer in
            var after = first
            while true {
                let page = try await database.auditEvents(
                    organizationID: organizationID, after: after, limit: AdminRequest.pageCountMax)
                var buffer = ByteBuffer()
                for record in page.elements {
                    buffer.writeBytes(Self.document(record).encode())
                    buffer.writeStaticString("\n")
                    after = record.id
                }
                if buffer.readableBytes > 0 { try await writer.write(buffer) }
                if !page.isCut { break }
            }
            try await writer.finish(nil)
        }
        return Response(
            status: .ok, headers: [.contentType: AdminRoute.lineType, .cacheControl: "no-store"], body: body)
    }

    private static func document(_ record: AuditRecord) -> JSONValue {
        let event = record.event
        let place: JSONValue = event.organization.map { ["organization": .string($0)] } ?? [:]
        let head: JSONValue = ["id": .integer(record.id), "at": record.at.document]
        return head.adding(place).adding([
            "actor": .string(event.actor), "action": .string(event.action), "target": .string(event.target),
            "outcome": .string(event.outcome.rawValue), "detail": .string(event.detail),
            "address": .string(event.address), "request_id": .string(event.requestID),
            "count": .integer(record.count),
        ])
    }
}
