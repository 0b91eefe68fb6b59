// SPDX-License-Identifier: Apache-2.0

import Grammar
import HTTPServer
import NIOCore
import NIOHTTP1
import OCI
import SignedURL
import Telemetry

/// Writes response heads. By hand, since there are few and every request pays for them.
struct DeliveryHead {
    var dateSecond: Int64 = -1
    var dateText = ""

    /// What every answer on this connection needs to know.
    struct Exchange {
        let requestID: RequestID
        let keepsAlive: Bool
        let isHTTP10: Bool
        let nowSeconds: Int64
    }

    mutating func write(
        status: Int,
        contentLength: Int64?,
        exchange: Exchange,
        into buffer: inout ByteBuffer,
        fields: (inout ByteBuffer) -> Void = { _ in }
    ) {
        if exchange.nowSeconds != dateSecond {
            dateSecond = exchange.nowSeconds
            dateText = HTTPDate.text(unixSeconds: exchange.nowSeconds)
        }
        switch status {
        case 200: buffer.writeStaticString("HTTP/1.1 200 OK\r\n")
        case 206: buffer.writeStaticString("HTTP/1.1 206 Partial Content\r\n")
        default:
            let reason = HTTPResponseStatus(statusCode: status).reasonPhrase
            buffer.writeString("HTTP/1.1 \(status) \(reason)\r\n")
        }
        if let contentLength {
            buffer.writeStaticString("Content-Length: ")
            buffer.writeString(String(contentLength))
            buffer.writeStaticString("\r\n")
        }
        fields(&buffer)
        buffer.writeStaticString("Date: ")
        buffer.writeString(dateText)
        buffer.writeStaticString("\r\nX-Request-Id: ")
        buffer.writeString(exchange.requestID.description)
        if !exchange.keepsAlive {
            buffer.writeStaticString("\r\nConnection: close\r\n\r\n")
        } else if exchange.isHTTP10 {
            buffer.writeStaticString("\r\nConnection: keep-alive\r\n\r\n")
        } else {
            buffer.writeStaticString("\r\n\r\n")
        }
    }

    /// The fields that describe a blob: immutable, named by its digest, never transformed.
    static func writeBlobFields(_ link: Link, part: Range<Int64>?, into buffer: inout ByteBuffer) {
        let digest = link.digest.description
        buffer.writeStaticString("Content-Type: application/octet-stream\r\nETag: \"")
        buffer.writeString(digest)
        buffer.writeStaticString("\"\r\nDocker-Content-Digest: ")
        buffer.writeString(digest)
        buffer.writeStaticString(
            "\r\nAccept-Ranges: bytes\r\nCache-Control: public, max-age=31536000, immutable\r\n")
        buffer.writeStaticString("X-Content-Type-Options: nosniff\r\n")
        if let part {
            buffer.writeStaticString("Content-Range: ")
            buffer.writeString(ContentRange.part(part, ofBytes: link.sizeBytes))
            buffer.writeStaticString("\r\n")
        }
    }
}
