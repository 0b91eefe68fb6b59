// SPDX-License-Identifier: Apache-2.0

/// One entry of an error body. Everything in it reaches the client.
package struct OCIError: Error, Sendable, Equatable {
    package let code: OCIErrorCode
    package let message: String
    package let detail: JSONValue?

    package init(code: OCIErrorCode, message: String, detail: JSONValue? = nil) {
        self.code = code
        self.message = message
        self.detail = detail
    }
}

/// The error body of distribution-spec 1.1: `{"errors":[{"code":…,"message":…,"detail":…}]}`.
package enum OCIErrorBody {
    package static func encode(_ errors: [OCIError]) -> [UInt8] {
        let entries = errors.map { error in
            var members = [
                JSONMember(name: "code", value: .string(error.code.rawValue)),
                JSONMember(name: "message", value: .string(error.message)),
            ]
            if let detail = error.detail { members.append(JSONMember(name: "detail", value: detail)) }
            return JSONValue.object(members)
        }
        return JSONValue.object([JSONMember(name: "errors", value: .array(entries))]).encode()
    }
}
