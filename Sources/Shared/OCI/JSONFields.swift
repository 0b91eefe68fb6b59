// SPDX-License-Identifier: Apache-2.0

/// The fields that an object of a manifest may have, and readers for those that occur in several. `null` counts as
/// absent, as Go's encoder writes it for an empty list.
struct JSONFields {
    private let names: Set<String>
    private let foldedNames: Set<String>

    init(_ names: Set<String>) {
        self.names = names
        foldedNames = Set(names.map(BoundedJSON.folded))
    }

    /// Refuses a value that is no object, and a name that a reader without regard to case takes for one of the fields.
    func check(_ value: JSONValue, at place: String) throws(OCIError) {
        guard let members = value.objectValue else { throw .manifestInvalid("\(place) is not an object") }
        for member in members
        where !names.contains(member.name) && foldedNames.contains(BoundedJSON.folded(member.name)) {
            throw .manifestInvalid("\(place) has a field in the wrong case: \(member.name)")
        }
    }

    /// A media type; an empty text counts as absent.
    static func mediaType(_ value: JSONValue?, at place: String) throws(OCIError) -> String? {
        guard let value, value != .null, value != .string("") else { return nil }
        guard let text = value.stringValue, MediaType.isValid(text) else {
            throw .manifestInvalid("\(place) is no media type")
        }
        return text
    }

    static func annotations(_ value: JSONValue?, at place: String) throws(OCIError) -> [String: String] {
        guard let value, value != .null else { return [:] }
        guard let members = value.objectValue else { throw .manifestInvalid("\(place) is not an object") }
        var annotations: [String: String] = [:]
        for member in members {
            guard let text = member.value.stringValue else {
                throw .manifestInvalid("\(place) has a value that is no string")
            }
            annotations[member.name] = text
        }
        return annotations
    }

    static func strings(_ value: JSONValue?, at place: String) throws(OCIError) -> [String] {
        guard let value, value != .null else { return [] }
        let strings = value.arrayValue?.compactMap(\.stringValue)
        guard let strings, strings.count == value.arrayValue?.count else {
            throw .manifestInvalid("\(place) is not a list of strings")
        }
        return strings
    }

    static func descriptors(_ value: JSONValue?, at place: String) throws(OCIError) -> [Descriptor] {
        guard let value else { throw .manifestInvalid("\(place) is missing") }
        guard value != .null else { return [] }
        guard let values = value.arrayValue else { throw .manifestInvalid("\(place) is not a list") }
        var descriptors: [Descriptor] = []
        descriptors.reserveCapacity(values.count)
        for (index, value) in values.enumerated() {
            descriptors.append(try Descriptor(value, at: "\(place)[\(index)]"))
        }
        return descriptors
    }
}

extension OCIError {
    static func manifestInvalid(_ message: String) -> OCIError { OCIError(code: .manifestInvalid, message: message) }
}
