// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import OCI
import OriginAuth

/// The admin API as an OpenAPI 3.1 document, made from the routes themselves: it cannot speak of another API than the
/// one that answers.
enum OpenAPIDocument {
    private static let path = "openapi.json"

    static func route(describing described: [AdminRoute]) -> AdminRoute {
        let document = document(of: described)
        return AdminRoute(.get, path, needs: .nothing, "openapi.get", "This document.") { _ in .document(document) }
    }

    static func document(of routes: [AdminRoute]) -> JSONValue {
        var order: [String] = []
        var operations: [String: [JSONMember]] = [:]
        for route in routes {
            let path = "/" + route.path.template.replacing("...}", with: "}")
            if operations[path] == nil { order.append(path) }
            operations[path, default: []].append(
                JSONMember(name: route.method.rawValue.lowercased(), value: operation(route)))
        }
        return [
            "openapi": "3.1.0",
            "info": [
                "title": "Depot Registry, admin API", "version": "1", "license": ["name": "Apache-2.0"],
                "description": "Refusals are problem documents (RFC 9457).",
            ],
            "servers": [["url": .string(AdminAPI.prefix)]],
            "paths": .object(order.map { JSONMember(name: $0, value: .object(operations[$0] ?? [])) }),
            "components": [
                "securitySchemes": ["token": ["type": "http", "scheme": "bearer"]],
                "schemas": schemas(of: routes),
            ],
        ]
    }

    private static func schemas(of routes: [AdminRoute]) -> JSONValue {
        var found: [String: Schema] = [Problem.schema.name: Problem.schema]
        for schema in routes.flatMap({ [$0.body, $0.answer] }).compactMap(\.self) {
            for part in [schema] + schema.parts { found[part.name] = part }
        }
        return .object(found.keys.sorted().map { JSONMember(name: $0, value: found[$0]?.document ?? [:]) })
    }

    private static func operation(_ route: AdminRoute) -> JSONValue {
        var document: JSONValue = [
            "operationId": .string(route.name), "summary": .string(route.summary),
            "x-depot-right": .string(route.right.rawValue),
            "security": route.right == .nothing ? [] : [["token": []]],
            "parameters": .array(pathParameters(route) + queryParameters(route)),
            "responses": .object(responses(route)),
        ]
        if let body = route.body {
            document = document.adding(["requestBody": ["required": true, "content": json(body)]])
        }
        return document
    }

    private static func pathParameters(_ route: AdminRoute) -> [JSONValue] {
        route.path.parts.compactMap { part in
            switch part {
            case .literal: nil
            case .parameter(let name), .rest(let name):
                ["name": .string(name), "in": "path", "required": true, "schema": ["type": "string"]]
            }
        }
    }

    private static func queryParameters(_ route: AdminRoute) -> [JSONValue] {
        route.query.map { field in
            [
                "name": .string(field.name), "in": "query", "description": .string(field.about),
                "schema": field.kind.document,
            ]
        }
    }

    private static func responses(_ route: AdminRoute) -> [JSONMember] {
        let lineContent: JSONValue = route.line.map { [AdminRoute.lineType: lines(of: $0)] } ?? [:]
        let body: JSONValue = route.answer.map { ["content": json($0).adding(lineContent)] } ?? [:]
        let content: JSONValue = ["description": .string(route.status.reasonPhrase)]
        let problem: JSONValue = [
            "description": "A refusal.",
            "content": ["application/problem+json": media(Problem.schema)],
        ]
        let again: JSONValue = ["description": "It was there already."]
        return [JSONMember(name: String(route.status.code), value: content.adding(body))]
            + (route.findsAgain ? [JSONMember(name: "200", value: again.adding(body))] : [])
            + [JSONMember(name: "default", value: problem)]
    }

    private static func json(_ schema: Schema) -> JSONValue { ["application/json": media(schema)] }

    /// OpenAPI 3.1 has no schema for the parts of a stream.
    private static func lines(of schema: Schema) -> JSONValue {
        [
            "schema": ["type": "string", "description": .string("One \(schema.name) a line.")],
            "x-depot-line": Schema.Kind.object(schema).document,
        ]
    }

    private static func media(_ schema: Schema) -> JSONValue { ["schema": Schema.Kind.object(schema).document] }
}
