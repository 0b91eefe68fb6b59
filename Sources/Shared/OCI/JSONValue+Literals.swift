// SPDX-License-Identifier: Apache-2.0

/// Documents are written as they read: `["name": .string(name), "layers": [], "size": 3]`.
extension JSONValue: ExpressibleByDictionaryLiteral, ExpressibleByArrayLiteral, ExpressibleByStringLiteral,
    ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral
{
    /// - Precondition: No name stands twice.
    package init(dictionaryLiteral elements: (String, JSONValue)...) {
        self = .object(elements.map { JSONMember(name: $0, value: $1) })
    }

    package init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
    package init(stringLiteral value: String) { self = .string(value) }
    package init(integerLiteral value: Int64) { self = .integer(value) }
    package init(booleanLiteral value: Bool) { self = .bool(value) }

    package static func integer(_ value: some BinaryInteger) -> JSONValue { .number(String(value)) }

    /// `null` where there is no text.
    package static func text(_ value: String?) -> JSONValue { value.map { .string($0) } ?? .null }

    /// An object of the members that have a value.
    package static func present(_ members: [(name: String, value: JSONValue?)]) -> JSONValue {
        .object(members.compactMap { member in member.value.map { JSONMember(name: member.name, value: $0) } })
    }

    /// This object with the other one's members behind its own.
    package func adding(_ other: JSONValue) -> JSONValue {
        .object((objectValue ?? []) + (other.objectValue ?? []))
    }
}
