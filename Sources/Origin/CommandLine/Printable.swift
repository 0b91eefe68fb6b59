// SPDX-License-Identifier: Apache-2.0

import OCI

/// Values of the API as people see them.
enum Printable {
    /// Without what a terminal would obey rather than show: some of these texts were written by strangers.
    static func text(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: isObeyed) else { return text }
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars { result.append(isObeyed(scalar) ? "?" : scalar) }
        return String(result)
    }

    /// - Parameter value: `nil`: the document has no such member, which reads as empty.
    static func text(_ value: JSONValue?) -> String {
        switch value {
        case nil, .null?: ""
        case .string(let text)?: self.text(text)
        case .number(let text)?: text
        case .bool(let flag)?: flag ? "yes" : "no"
        case .array(let values)?: values.map { text($0) }.joined(separator: ",")
        case .object(let members)?: members.map { "\(text($0.name))=\(text($0.value))" }.joined(separator: " ")
        }
    }

    private static func isObeyed(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator: true
        default: false
        }
    }
}
