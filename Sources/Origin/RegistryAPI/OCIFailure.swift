// SPDX-License-Identifier: Apache-2.0

package import HTTPTypes
import Hummingbird
import Logging
package import OCI
import OriginHTTP
import Telemetry

/// A request that ends without success, as its client sees it: an OCI error document, or plain text with the request
/// id for everything that is the server's own trouble. What went wrong inside is only logged.
package struct OCIFailure: Error, Sendable {
    package let status: HTTPResponse.Status
    /// Empty: the answer is plain text.
    package let errors: [OCIError]
    package var headers: HTTPFields
    private let retryAfterSeconds: Int?
    private let cause: (any Error)?

    /// A refusal that the client can understand.
    package init(
        _ status: HTTPResponse.Status,
        _ code: OCIErrorCode,
        _ message: String,
        headers: HTTPFields = [:]
    ) {
        self.init(status, errors: [OCIError(code: code, message: message)], headers: headers)
    }

    package init(_ status: HTTPResponse.Status, errors: [OCIError], headers: HTTPFields = [:]) {
        self.status = status
        self.errors = errors
        self.headers = headers
        retryAfterSeconds = nil
        cause = nil
    }

    /// A failure of the server.
    package init(_ status: HTTPResponse.Status, retryAfterSeconds: Int? = nil, logging cause: (any Error)? = nil) {
        self.status = status
        errors = []
        headers = [:]
        self.retryAfterSeconds = retryAfterSeconds
        self.cause = cause
    }

    func log(to logger: Logger, requestID: Telemetry.RequestID) {
        guard let cause else { return }
        logger.error(
            "request failed",
            metadata: ["request.id": "\(requestID)", "status": "\(status.code)", "error": "\(cause)"])
    }

    func response(requestID: Telemetry.RequestID) -> Response {
        guard !errors.isEmpty else {
            var response = Response.failure(status, requestID: requestID, retryAfterSeconds: retryAfterSeconds)
            response.headers.append(contentsOf: headers)
            return response
        }
        return .ociErrors(status, errors, headers: headers)
    }
}
