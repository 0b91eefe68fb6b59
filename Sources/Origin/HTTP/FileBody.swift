// SPDX-License-Identifier: Apache-2.0

package import Disk
package import HTTPTypes
package import Hummingbird
import NIOCore

/// Responses whose body is a range of a file.
package enum FileBody {
    /// Bodies up to here are read and sent with their head in one writev.
    static let bufferedBytesMax: Int64 = 64 * 1024

    /// - Parameters:
    ///   - range: Half-open, within the file; its length becomes `Content-Length`.
    ///   - headers: Everything but `Content-Length`.
    ///   - sent: Called with the bytes that were handed to the kernel, once, also when the client went away.
    /// - Throws: `DiskError` or `FileCutShort` for a small body; later errors end the connection before
    ///   `Content-Length` is reached, so that the client sees a short body.
    package static func response(
        file: File,
        range: Range<Int64>,
        status: HTTPResponse.Status,
        headers: HTTPFields,
        context: OriginRequestContext,
        sent: @escaping @Sendable (Int64) -> Void = { _ in }
    ) async throws -> Response {
        let byteCount = range.upperBound - range.lowerBound
        var headers = headers
        headers[.contentLength] = String(byteCount)
        let connection = context.connection
        if byteCount <= bufferedBytesMax {
            let buffer = try await connection.read(file, range: range)
            sent(byteCount)
            return Response(status: status, headers: headers, body: ResponseBody(byteBuffer: buffer))
        }
        let body = ResponseBody(contentLength: Int(byteCount)) { writer in
            if connection.isTLS {
                var offset = range.lowerBound
                while offset < range.upperBound {
                    let end = min(offset + Connection.copyBytes, range.upperBound)
                    try await writer.write(connection.read(file, range: offset..<end))
                    sent(end - offset)
                    offset = end
                }
            } else {
                try await connection.send(file, range: range)
                sent(byteCount)
            }
            try await writer.finish(nil)
        }
        return Response(status: status, headers: headers, body: body)
    }
}
