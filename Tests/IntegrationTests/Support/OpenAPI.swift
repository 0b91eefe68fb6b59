// SPDX-License-Identifier: Apache-2.0

import Foundation
import OCI
import StackSupport
import Testing

/// The OpenAPI document of a running origin, read without any of the origin's code.
struct OpenAPI: Sendable {
    struct Operation: Sendable {
        /// In capitals.
        let method: String
        /// `/organizations/{organization}`.
        let path: String
        let id: String
        let right: String
        /// Schema of the body.
        let body: JSONValue?
        /// Documented statuses, each with the schema of its body if it has one.
        let answers: [Int: JSONValue?]
        /// Schema of one line of a success that has lines.
        let line: JSONValue?
        let queryNames: [String]

        var name: String { "\(method) \(path)" }

        /// A path of this operation, below `/api/v1/`.
        func path(_ values: [String: String]) -> String {
            var text = String(path.dropFirst())
            for (name, value) in values { text = text.replacing("{\(name)}", with: value) }
            return text
        }
    }

    let document: JSONValue
    let operations: [Operation]
    private let schemas: JSONValue

    /// Asks without a credential.
    init(_ client: AdminClient) async throws {
        let answer = try await client.asked(with: nil).ask("GET", "openapi.json")
        try #require(answer.status == 200)
        try #require(answer["content-type"] == "application/json")
        let document = try #require(answer.json)
        self.document = document
        schemas = try #require(document["components"]?["schemas"])
        var operations: [Operation] = []
        for path in try #require(document["paths"]?.objectValue) {
            for member in try #require(path.value.objectValue) {
                operations.append(try Self.operation(member, path: path.name))
            }
        }
        self.operations = operations
    }

    private static func operation(_ member: JSONMember, path: String) throws -> Operation {
        let value = member.value
        var answers: [Int: JSONValue?] = [:]
        for answer in value["responses"]?.objectValue ?? [] {
            guard let status = Int(answer.name) else { continue }
            answers[status] = .some(answer.value["content"]?["application/json"]?["schema"])
        }
        let parameters = value["parameters"]?.arrayValue ?? []
        let contents = value["responses"]?.objectValue?.compactMap { $0.value["content"] } ?? []
        return Operation(
            method: member.name.uppercased(), path: path, id: try #require(value["operationId"]?.stringValue),
            right: try #require(value["x-depot-right"]?.stringValue),
            body: value["requestBody"]?["content"]?["application/json"]?["schema"], answers: answers,
            line: contents.lazy.compactMap { $0["application/x-ndjson"]?["x-depot-line"] }.first,
            queryNames: parameters.filter { $0["in"] == "query" }.compactMap { $0["name"]?.stringValue })
    }

    func operation(_ id: String) throws -> Operation {
        try #require(operations.first { $0.id == id }, "the document has \(id)")
    }

    // MARK: Schemas

    /// A schema itself, or the one that it refers to.
    func resolved(_ schema: JSONValue) -> JSONValue {
        guard let reference = schema["$ref"]?.stringValue else { return schema }
        return schemas[String(reference.split(separator: "/").last ?? "")] ?? [:]
    }

    /// Where a value is not as a schema wants it; empty if it is.
    func violations(_ value: JSONValue, of schema: JSONValue, at place: String = "$") -> [String] {
        let schema = resolved(schema)
        if let choices = schema["enum"]?.arrayValue, !choices.contains(value) {
            return ["\(place): not one of the enum"]
        }
        switch (schema["type"]?.stringValue, value) {
        case ("string", .string(let text)):
            let isInstant = schema["format"] == "date-time"
            return isInstant && (try? Date(text, strategy: .iso8601)) == nil ? ["\(place): no date-time"] : []
        case ("integer", .number):
            guard let number = value.integerValue else { return ["\(place): not a whole number"] }
            let least = schema["minimum"]?.integerValue ?? .min
            let most = schema["maximum"]?.integerValue ?? .max
            return (least...most).contains(number) ? [] : ["\(place): out of its range"]
        case ("number", .number), ("boolean", .bool): return []
        case ("array", .array(let values)):
            guard let items = schema["items"] else { return ["\(place): the schema says nothing of the items"] }
            return values.enumerated().flatMap { violations($1, of: items, at: "\(place)[\($0)]") }
        case ("object", .object(let members)):
            return memberViolations(members, of: schema, at: place)
        case (let type, _): return ["\(place): no \(type ?? "known type")"]
        }
    }

    private func memberViolations(_ members: [JSONMember], of schema: JSONValue, at place: String) -> [String] {
        var found: [String] = []
        for case .string(let name) in schema["required"]?.arrayValue ?? []
        where !members.contains(where: { $0.name == name }) {
            found.append("\(place).\(name): missing")
        }
        for member in members {
            let memberPlace = "\(place).\(member.name)"
            if let known = schema["properties"]?[member.name] {
                found += violations(member.value, of: known, at: memberPlace)
            } else if let others = schema["additionalProperties"], others != false {
                found += violations(member.value, of: others, at: memberPlace)
            } else {
                found.append("\(memberPlace): unknown")
            }
        }
        return found
    }

    /// That a refusal is a problem document which repeats its status.
    func expectProblem(
        _ answer: Answer, _ statuses: Set<Int>, _ what: String, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        #expect(statuses.contains(answer.status), "\(what): \(answer.status)", sourceLocation: sourceLocation)
        #expect(answer["content-type"] == "application/problem+json", "\(what)", sourceLocation: sourceLocation)
        let violations = answer.json.map { self.violations($0, of: ["$ref": "#/components/schemas/Problem"]) }
        #expect(violations == [], "\(what): \(answer.text)", sourceLocation: sourceLocation)
        #expect(
            answer.json?["status"]?.integerValue == Int64(answer.status), "\(what)", sourceLocation: sourceLocation)
    }
}
