// SPDX-License-Identifier: Apache-2.0

package import HTTPTypes
import Hummingbird
import OCI
import OriginAuth
import OriginHTTP

/// A refusal as RFC 9457 words it.
package struct Problem: Error {
    package let status: HTTPResponse.Status
    /// For who called; names nothing that the caller may not know.
    package let detail: String
    let headers: HTTPFields

    init(_ status: HTTPResponse.Status, _ detail: String, headers: HTTPFields = [:]) {
        self.status = status
        self.detail = detail
        self.headers = headers
    }

    init(_ refusal: AuthRefusal) {
        self.init(
            HTTPResponse.Status(integerLiteral: refusal.status), refusal.message, headers: refusal.headers)
    }

    static let notFound = Problem(.notFound, "there is no such resource")

    static let schema = Schema(
        "Problem",
        [.required("title", .text), .required("status", .integer), .required("detail", .text)])

    var response: Response {
        let body: JSONValue = [
            "title": .string(status.reasonPhrase), "status": .integer(status.code), "detail": .string(detail),
        ]
        return .bytes(status, body.encode(), contentType: "application/problem+json", headers: headers)
    }
}
