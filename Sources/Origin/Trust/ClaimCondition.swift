// SPDX-License-Identifier: Apache-2.0

package import OCI

/// One claim and the values that a policy allows it to have. All conditions of a policy hold together.
package struct ClaimCondition: Sendable, Equatable {
    package static let valueCountMax = 32
    /// Of a claim's name, and of each value.
    package static let textBytesMax = 512

    /// The name of a member at the top of the claims.
    package let claim: String
    package let values: [AllowedValue]

    /// - Parameter values: As `AllowedValue` reads them.
    package init(_ claim: String, _ values: [String]) throws(TrustPolicyError) {
        guard !claim.isEmpty, claim.utf8.count <= Self.textBytesMax, claim.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f })
        else { throw TrustPolicyError("a claim's name is 1 to \(Self.textBytesMax) visible ASCII characters") }
        guard !values.isEmpty, values.count <= Self.valueCountMax else {
            throw TrustPolicyError("claim \(claim): give 1 to \(Self.valueCountMax) values")
        }
        self.claim = claim
        self.values = try values.map { text throws(TrustPolicyError) in try AllowedValue(text, of: claim) }
    }

    /// Whether a claim's value is allowed. Texts compare byte for byte, numbers and booleans by their JSON text; of an
    /// array one element is enough. `null`, objects, and arrays of arrays never match.
    func allows(_ value: JSONValue?) -> Bool {
        if case .array(let elements)? = value { return elements.contains(where: allowsScalar) }
        return allowsScalar(value)
    }

    private func allowsScalar(_ value: JSONValue?) -> Bool {
        let text: String
        switch value {
        case .string(let string): text = string
        case .number(let digits): text = digits
        case .bool(let isTrue): text = isTrue ? "true" : "false"
        case .null, .array, .object, nil: return false
        }
        return values.contains { $0.allows(text) }
    }

    var isExact: Bool { values.allSatisfy(\.isExact) }
}

/// A value as a policy writes it: a text, or the start of one before a trailing `*`.
package enum AllowedValue: Sendable, Equatable {
    case exact(String)
    /// Empty for a bare `*`: the claim only has to be there.
    case prefix(String)

    init(_ text: String, of claim: String) throws(TrustPolicyError) {
        guard !text.isEmpty, text.utf8.count <= ClaimCondition.textBytesMax else {
            throw TrustPolicyError("claim \(claim): a value is 1 to \(ClaimCondition.textBytesMax) bytes")
        }
        guard text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7f }) else {
            throw TrustPolicyError("claim \(claim): a value has a control character")
        }
        let isPrefix = text.utf8.last == UInt8(ascii: "*")
        // Bytes: the last character may be more than the asterisk.
        let rest = isPrefix ? String(decoding: text.utf8.dropLast(), as: UTF8.self) : text
        guard !rest.utf8.contains(UInt8(ascii: "*")) else {
            throw TrustPolicyError("claim \(claim): * stands at the end of a value, once, or not at all")
        }
        self = isPrefix ? .prefix(rest) : .exact(rest)
    }

    /// As a policy writes it.
    package var text: String {
        switch self {
        case .exact(let text): text
        case .prefix(let text): text + "*"
        }
    }

    var isExact: Bool { if case .exact = self { true } else { false } }

    var isBareWildcard: Bool { if case .prefix(let text) = self { text.isEmpty } else { false } }

    func allows(_ text: String) -> Bool {
        // Bytes: Swift's strings are equal, and prefixes of one another, across forms of one character.
        switch self {
        case .exact(let exact): text.utf8.elementsEqual(exact.utf8)
        case .prefix(let prefix): text.utf8.starts(with: prefix.utf8)
        }
    }
}

extension ClaimCondition {
    /// Of conditions as JSON; the claims of 32 conditions fit with room.
    private static let jsonLimits = JSONLimits(bytesMax: 1 << 20, depthMax: 4, valueCountMax: 4096)

    /// `{"repository_id": ["123"], "ref": ["refs/heads/main", "refs/tags/v*"]}`: for a column, and for the API.
    package static func encode(_ conditions: [ClaimCondition]) -> JSONValue {
        .object(
            conditions.map { condition in
                JSONMember(name: condition.claim, value: .array(condition.values.map { .string($0.text) }))
            })
    }

    /// Reads what `encode` writes, in order.
    package static func decode(_ value: JSONValue) throws(TrustPolicyError) -> [ClaimCondition] {
        guard let members = value.objectValue else {
            throw TrustPolicyError("conditions are an object of claims, each with a list of values")
        }
        return try members.map { member throws(TrustPolicyError) in
            let values = member.value.arrayValue ?? []
            let texts = values.compactMap(\.stringValue)
            guard texts.count == values.count, !texts.isEmpty else {
                throw TrustPolicyError("claim \(member.name): the values are a list of texts")
            }
            return try ClaimCondition(member.name, texts)
        }
    }

    /// Reads the text of a column.
    package static func decode(text: String) throws(TrustPolicyError) -> [ClaimCondition] {
        let value: JSONValue
        do throws(JSONError) {
            value = try BoundedJSON.parse(Array(text.utf8), limits: jsonLimits)
        } catch {
            throw TrustPolicyError("the conditions cannot be read: \(error)")
        }
        return try decode(value)
    }
}
