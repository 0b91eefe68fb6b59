// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
package import OCI

/// What a JSON object of the admin API looks like: bodies are read by it, and the OpenAPI document shows it.
package struct Schema: Sendable {
    indirect enum Kind: Sendable {
        case text
        case integer
        /// A whole number of a range.
        case count(ClosedRange<Int64>)
        case number
        case boolean
        /// RFC 3339, UTC.
        case instant
        case choice([String])
        case list(Kind)
        /// Any names, each with a list of texts.
        case values
        case object(Schema)
    }

    struct Field: Sendable {
        let name: String
        let kind: Kind
        let isOptional: Bool
        let about: String

        static func required(_ name: String, _ kind: Kind, _ about: String = "") -> Field {
            Field(name: name, kind: kind, isOptional: false, about: about)
        }

        static func optional(_ name: String, _ kind: Kind, _ about: String = "") -> Field {
            Field(name: name, kind: kind, isOptional: true, about: about)
        }
    }

    /// Of the schema in the document.
    let name: String
    let fields: [Field]

    init(_ name: String, _ fields: [Field]) {
        self.name = name
        self.fields = fields
    }

    /// This one with fields added.
    func adding(_ more: [Field], named name: String) -> Schema { Schema(name, fields + more) }

    /// A page of these: `{"items": […], "next": "…"}`.
    var page: Schema {
        Schema(
            name + "Page",
            [
                .required("items", .list(.object(self))),
                .optional("next", .text, "Value of `after` for the next page; absent on the last one."),
            ])
    }

    /// - Throws: 422 that names the first member which is missing, of another type, or not known: it may be misspelt.
    package func check(_ document: JSONValue) throws(Problem) {
        guard case .object(let members) = document else {
            throw Problem(.unprocessableContent, "the body must be a JSON object")
        }
        for member in members {
            guard let field = fields.first(where: { $0.name == member.name }) else {
                throw Problem(.unprocessableContent, "unknown member \"\(member.name.prefix(64))\"")
            }
            if member.value == .null && field.isOptional { continue }
            try field.kind.check(member.value, named: field.name)
        }
        for field in fields where !field.isOptional && document[field.name] == nil {
            throw Problem(.unprocessableContent, "\(field.name) is missing")
        }
    }
}

extension Schema.Kind {
    fileprivate func check(_ value: JSONValue, named name: String) throws(Problem) {
        func refuse(_ what: String) -> Problem { Problem(.unprocessableContent, "\(name) must be \(what)") }
        switch self {
        case .text, .instant: guard value.stringValue != nil else { throw refuse("a text") }
        case .integer: guard value.integerValue != nil else { throw refuse("a whole number") }
        case .count(let range):
            guard let number = value.integerValue, range.contains(number) else {
                throw refuse("\(range.lowerBound) to \(range.upperBound)")
            }
        case .number: guard case .number = value else { throw refuse("a number") }
        case .boolean: guard case .bool = value else { throw refuse("true or false") }
        case .choice(let choices):
            guard let text = value.stringValue, choices.contains(text) else {
                throw refuse("one of \(choices.joined(separator: ", "))")
            }
        case .list(let element):
            guard let values = value.arrayValue else { throw refuse("a list") }
            for value in values { try element.check(value, named: name) }
        case .values:
            guard let members = value.objectValue,
                members.allSatisfy({ $0.value.arrayValue?.allSatisfy { $0.stringValue != nil } == true })
            else { throw refuse("an object of lists of texts") }
        case .object(let schema):
            do throws(Problem) { try schema.check(value) } catch {
                throw Problem(error.status, "\(name): \(error.detail)")
            }
        }
    }

    /// In the document.
    var document: JSONValue {
        switch self {
        case .text: ["type": "string"]
        case .integer: ["type": "integer", "format": "int64"]
        case .count(let range):
            [
                "type": "integer", "format": "int64", "minimum": .integer(range.lowerBound),
                "maximum": .integer(range.upperBound),
            ]
        case .number: ["type": "number"]
        case .boolean: ["type": "boolean"]
        case .instant: ["type": "string", "format": "date-time"]
        case .choice(let choices): ["type": "string", "enum": .array(choices.map { .string($0) })]
        case .list(let element): ["type": "array", "items": element.document]
        case .values:
            [
                "type": "object",
                "additionalProperties": ["type": "array", "items": ["type": "string"]],
            ]
        case .object(let schema): ["$ref": .string("#/components/schemas/\(schema.name)")]
        }
    }

    fileprivate var schemas: [Schema] {
        switch self {
        case .object(let schema): [schema] + schema.parts
        case .list(let element): element.schemas
        default: []
        }
    }
}

extension Schema {
    /// Those that its fields refer to, and so on.
    var parts: [Schema] { fields.flatMap(\.kind.schemas) }

    /// In the document.
    var document: JSONValue {
        [
            "type": "object",
            "required": .array(fields.filter { !$0.isOptional }.map { .string($0.name) }),
            "additionalProperties": false,
            "properties": .object(
                fields.map { field in
                    let about: JSONValue = field.about.isEmpty ? [:] : ["description": .string(field.about)]
                    return JSONMember(name: field.name, value: field.kind.document.adding(about))
                }),
        ]
    }
}
