// SPDX-License-Identifier: Apache-2.0

package import HTTPTypes
package import Hummingbird
import NIOCore
package import OCI
package import Telemetry

extension HTTPField.Name {
    /// A field name that is written in the source.
    package static func literal(_ text: StaticString) -> Self {
        guard let name = Self("\(text)") else { preconditionFailure("\(text) is no field name") }
        return name
    }
}

extension RequestIDHeader {
    package static let field = HTTPField.Name.literal("x-request-id")
}

extension Response {
    /// An answer with the error body of distribution-spec 1.1, "Error Codes".
    package static func ociErrors(
        _ status: HTTPResponse.Status,
        _ errors: [OCIError],
        headers: HTTPFields = [:]
    ) -> Response {
        .bytes(status, OCIErrorBody.encode(errors), contentType: "application/json", headers: headers)
    }

    /// A plain-text answer: everything that is not the registry's own refusal.
    package static func plain(
        _ status: HTTPResponse.Status,
        _ text: String,
        headers: HTTPFields = [:]
    ) -> Response {
        .bytes(status, Array((text + "\n").utf8), contentType: "text/plain; charset=utf-8", headers: headers)
    }

    package static func bytes(
        _ status: HTTPResponse.Status,
        _ body: [UInt8],
        contentType: String,
        headers: HTTPFields = [:]
    ) -> Response {
        var headers = headers
        headers[.contentType] = contentType
        headers[.contentLength] = String(body.count)
        return Response(status: status, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(bytes: body)))
    }

    /// An answer without a body. `contentLength` is set for HEAD, where it speaks of the body that GET would have.
    package static func empty(
        _ status: HTTPResponse.Status,
        headers: HTTPFields = [:],
        contentLength: Int64? = 0
    ) -> Response {
        var headers = headers
        if let contentLength, status != .noContent, status != .notModified {
            headers[.contentLength] = String(contentLength)
        }
        return Response(status: status, headers: headers)
    }

    /// 5xx answers tell nothing but the id to search the log for.
    package static func failure(
        _ status: HTTPResponse.Status,
        requestID: Telemetry.RequestID,
        retryAfterSeconds: Int? = nil
    ) -> Response {
        var headers: HTTPFields = [:]
        if let retryAfterSeconds { headers[.retryAfter] = String(retryAfterSeconds) }
        return .plain(
            status, "\(status.reasonPhrase.lowercased()); request id \(requestID.description)", headers: headers)
    }
}

/// A body was larger than the route takes.
package struct BodyTooLarge: Error {
    package let bytesMax: Int
}

/// Collects a whole request body; sends `100 Continue` first if the client waits for it.
///
/// - Throws: `BodyTooLarge`, before reading if the declared length says so; `BodyCutShort` or a channel error if the
///   client went away.
package func collectBody(
    _ request: Request,
    context: OriginRequestContext,
    bytesMax: Int
) async throws -> [UInt8] {
    let declared = request.headers[.contentLength].flatMap { Int($0) }
    if let declared, declared > bytesMax { throw BodyTooLarge(bytesMax: bytesMax) }
    await context.connection.sendContinue()
    var bytes: [UInt8] = []
    bytes.reserveCapacity(declared ?? 0)
    for try await buffer in request.body {
        guard bytes.count + buffer.readableBytes <= bytesMax else { throw BodyTooLarge(bytesMax: bytesMax) }
        bytes.append(contentsOf: buffer.readableBytesView)
    }
    if let declared, declared != bytes.count { throw BodyCutShort() }
    return bytes
}
