// SPDX-License-Identifier: Apache-2.0

/// A strict JSON reader (RFC 8259) for texts that somebody else wrote.
///
/// Beyond the grammar it refuses what makes two readers of one text disagree: names that occur twice or differ only in
/// case (Go's decoder takes either), a byte order mark, lone surrogates, bytes after the end; and U+0000, which
/// PostgreSQL cannot store. It keeps its own stack, so that depth costs no stack of the thread.
package enum BoundedJSON {
    package static func parse(_ bytes: [UInt8], limits: JSONLimits) throws(JSONError) -> JSONValue {
        guard bytes.count <= limits.bytesMax else { throw JSONError(kind: .tooLarge, offset: limits.bytesMax) }
        guard isUTF8(bytes) else { throw JSONError(kind: .notUTF8, offset: 0) }
        var reader = JSONReader(bytes: bytes, limits: limits)
        return try reader.document()
    }

    /// The form in which names are compared without regard to case, the way Go's decoder folds them: `ſ` and the
    /// Kelvin sign count as `s` and `k`.
    package static func folded(_ name: String) -> String {
        guard !name.utf8.allSatisfy({ $0 < 0x80 && !(UInt8(ascii: "A")...UInt8(ascii: "Z") ~= $0) }) else {
            return name
        }
        return String(name.lowercased().map { $0 == "\u{17F}" ? "s" : $0 })
    }

    private static func isUTF8(_ bytes: [UInt8]) -> Bool {
        guard !bytes.starts(with: [0xEF, 0xBB, 0xBF]) else { return false }
        do {
            _ = try UTF8Span(validating: bytes.span)
            return true
        } catch {
            return false
        }
    }
}

/// Values as they are completed. The open containers lie on a stack and are filled in place.
private struct JSONReader {
    private struct Container {
        let isObject: Bool
        var elements: [JSONValue] = []
        var members: [JSONMember] = []
        var foldedNames: Set<String> = []
        /// Of the member whose value is being read.
        var name = ""

        var value: JSONValue { isObject ? .object(members) : .array(elements) }
    }

    private var tokens: JSONTokens
    private let limits: JSONLimits
    private var stack: [Container] = []
    private var valueCount = 0

    init(bytes: [UInt8], limits: JSONLimits) {
        tokens = JSONTokens(bytes: bytes)
        self.limits = limits
    }

    mutating func document() throws(JSONError) -> JSONValue {
        while true {
            guard var value = try startValue() else { continue }
            // A complete value may complete the container that it is in, and so on outwards.
            while !stack.isEmpty {
                guard let completed = try add(value) else { break }
                value = completed
            }
            guard stack.isEmpty else { continue }
            tokens.skipSpace()
            guard tokens.isAtEnd else { throw tokens.error(.trailingBytes) }
            return value
        }
    }

    /// Reads a scalar or an empty container; `nil` if it opened a container.
    private mutating func startValue() throws(JSONError) -> JSONValue? {
        tokens.skipSpace()
        valueCount += 1
        guard valueCount <= limits.valueCountMax else { throw tokens.error(.tooManyValues) }
        let isObject = tokens.next == UInt8(ascii: "{")
        guard isObject || tokens.next == UInt8(ascii: "[") else { return try tokens.scalar() }
        guard stack.count < limits.depthMax else { throw tokens.error(.tooDeep) }
        tokens.skip()
        tokens.skipSpace()
        if isObject {
            if tokens.take(UInt8(ascii: "}")) { return .object([]) }
            stack.append(Container(isObject: true))
            try startMember()
        } else {
            if tokens.take(UInt8(ascii: "]")) { return .array([]) }
            stack.append(Container(isObject: false))
        }
        return nil
    }

    /// Puts a value into the innermost container.
    /// - Returns: The container, if the value was its last.
    private mutating func add(_ value: JSONValue) throws(JSONError) -> JSONValue? {
        let top = stack.count - 1
        let isObject = stack[top].isObject
        if isObject {
            stack[top].members.append(JSONMember(name: stack[top].name, value: value))
        } else {
            stack[top].elements.append(value)
        }
        tokens.skipSpace()
        if tokens.take(isObject ? UInt8(ascii: "}") : UInt8(ascii: "]")) { return stack.removeLast().value }
        guard tokens.take(UInt8(ascii: ",")) else { throw tokens.error(.syntax) }
        if isObject { try startMember() }
        return nil
    }

    /// Reads a member's name and the colon.
    private mutating func startMember() throws(JSONError) {
        let top = stack.count - 1
        tokens.skipSpace()
        let name = try tokens.string()
        guard stack[top].foldedNames.insert(BoundedJSON.folded(name)).inserted else {
            let isSame = stack[top].members.contains { $0.name == name }
            throw tokens.error(isSame ? .duplicateName : .caseVariantName)
        }
        stack[top].name = name
        tokens.skipSpace()
        guard tokens.take(UInt8(ascii: ":")) else { throw tokens.error(.syntax) }
    }
}
