// SPDX-License-Identifier: Apache-2.0

import OCI
import Testing

@Suite("Error bodies")
struct OCIErrorTests {
    @Test("the codes are the 14 of the specification")
    func codes() {
        #expect(
            Set(OCIErrorCode.allCases.map(\.rawValue)) == [
                "BLOB_UNKNOWN", "BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN", "DIGEST_INVALID", "MANIFEST_BLOB_UNKNOWN",
                "MANIFEST_INVALID", "MANIFEST_UNKNOWN", "NAME_INVALID", "NAME_UNKNOWN", "SIZE_INVALID", "UNAUTHORIZED",
                "DENIED", "UNSUPPORTED", "TOOMANYREQUESTS",
            ])
    }

    @Test("a body is valid JSON whatever is in the message, and keeps it")
    func encode() throws {
        let message = "\"a\\b\"\n\r\t\u{1}\u{7F} é 😀 </script>"
        let body = OCIErrorBody.encode([
            OCIError(code: .nameInvalid, message: message),
            OCIError(code: .denied, message: "", detail: .object([JSONMember(name: "n", value: .number("1"))])),
        ])
        let root = try BoundedJSON.parse(body, limits: JSONLimits(bytesMax: body.count))
        let errors = try #require(root["errors"]?.arrayValue)
        #expect(errors.count == 2)
        #expect(errors[0]["code"] == .string("NAME_INVALID"))
        #expect(errors[0]["message"] == .string(message))
        #expect(errors[0]["detail"] == nil)
        #expect(errors[1]["detail"]?["n"]?.integerValue == 1)
        #expect(String(decoding: OCIErrorBody.encode([]), as: UTF8.self) == #"{"errors":[]}"#)
    }
}
