// SPDX-License-Identifier: Apache-2.0

package import Foundation

/// An answer as it came over the wire.
package struct RawAnswer: Sendable {
    package let status: Int
    package let reason: String
    /// Names in lower case, in the order of arrival.
    package let headers: [(name: String, value: String)]
    package let body: Data
    /// Whether the body reached the length that its head announced.
    package let isWhole: Bool

    package subscript(_ name: String) -> String? { headers.first { $0.name == name.lowercased() }?.value }

    package var text: String { String(decoding: body, as: UTF8.self) }

    /// The codes of an OCI error body; empty for any other body.
    package var errorCodes: [String] {
        struct Body: Decodable {
            struct Entry: Decodable { let code: String }
            let errors: [Entry]
        }
        return (try? JSONDecoder().decode(Body.self, from: body))?.errors.map(\.code) ?? []
    }
}

/// The peer closed, or said something that is no HTTP/1.1 answer.
package struct RawHTTPError: Error, CustomStringConvertible {
    package let description: String
}

/// HTTP/1.1 over a plain socket, byte for byte: nothing is normalised, added, followed or retried.
///
/// Foundation's client cleans up paths and headers, which is what tests of bad input must not have.
package struct RawHTTP: Sendable {
    private static let headBytesMax = 64 << 10

    let host: String
    let port: UInt16
    let limit: Duration

    /// - Parameters:
    ///   - url: `http://address:port`, an IPv4 address in digits.
    ///   - limit: For each wait on the socket.
    package init(_ url: String, limit: Duration = .seconds(60)) throws {
        let parts = url.replacingOccurrences(of: "http://", with: "").split(separator: "/")[0].split(separator: ":")
        guard parts.count == 2, let port = UInt16(parts[1]) else {
            throw RawHTTPError(description: "no address: \(url)")
        }
        host = String(parts[0])
        self.port = port
        self.limit = limit
    }

    /// One request on a connection of its own. `Host`, `Content-Length` of a body and `Connection: close` are added
    /// unless `headers` name them.
    /// - Parameter target: What stands between method and version, verbatim.
    package func request(
        _ method: String, _ target: String, headers: [(String, String)] = [], body: Data? = nil
    ) async throws -> RawAnswer {
        let names = Set(headers.map { $0.0.lowercased() })
        var lines = headers
        if !names.contains("host") { lines.append(("Host", "\(host):\(port)")) }
        if !names.contains("connection") { lines.append(("Connection", "close")) }
        if let body, !names.contains("content-length"), !names.contains("transfer-encoding") {
            lines.append(("Content-Length", "\(body.count)"))
        }
        let head = "\(method) \(target) HTTP/1.1\r\n" + lines.map { "\($0.0): \($0.1)\r\n" }.joined() + "\r\n"
        return try await exchange(Data(head.utf8) + (body ?? Data()), isHead: method == "HEAD")
    }

    /// Sends exactly these bytes and reads one final answer. Informational answers (1xx) are skipped.
    ///
    /// A server may answer and close before it has read everything; what it said still counts.
    package func exchange(_ bytes: Data, isHead: Bool = false) async throws -> RawAnswer {
        try await onThread {
            let socket = try Socket(host: host, port: port, limit: limit)
            let isSent = (try? socket.send(bytes)) != nil
            do {
                return try Self.answer(from: socket, isHead: isHead)
            } catch  where !isSent {
                throw RawHTTPError(description: "the peer closed before it read the request: \(error)")
            }
        }
    }

    private static func answer(from socket: Socket, isHead: Bool) throws -> RawAnswer {
        var received = Data()
        while true {
            let head = try readHead(from: socket, &received)
            if head.status >= 200 {
                return try readBody(of: head, from: socket, received, isHead: isHead)
            }
        }
    }

    private static func readHead(from socket: Socket, _ received: inout Data) throws -> RawAnswer {
        let boundary = try readUntilEmptyLine(from: socket, &received)
        let lines = String(decoding: received[..<boundary.lowerBound], as: UTF8.self).components(separatedBy: "\r\n")
        received = Data(received[boundary.upperBound...])
        let status = lines[0].split(separator: " ", maxSplits: 2)
        guard status.count >= 2, status[0] == "HTTP/1.1", let code = Int(status[1]) else {
            throw RawHTTPError(description: "no status line: \(lines[0])")
        }
        let headers = lines.dropFirst().map { line in
            let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            return (
                name: parts[0].lowercased(), value: parts.count > 1 ? parts[1].trimmingCharacters(in: .whitespaces) : ""
            )
        }
        return RawAnswer(
            status: code, reason: status.count > 2 ? String(status[2]) : "", headers: headers, body: Data(),
            isWhole: true)
    }

    private static func readUntilEmptyLine(from socket: Socket, _ received: inout Data) throws -> Range<Data.Index> {
        while true {
            if let boundary = received.range(of: Data("\r\n\r\n".utf8)) { return boundary }
            guard received.count < headBytesMax else { throw RawHTTPError(description: "endless head") }
            let more = try socket.receive()
            guard !more.isEmpty else {
                throw RawHTTPError(description: "closed inside the head: \(received.count) bytes")
            }
            received += more
        }
    }

    private static func readBody(
        of head: RawAnswer, from socket: Socket, _ beginning: Data, isHead: Bool
    ) throws -> RawAnswer {
        func answer(_ body: Data, isWhole: Bool) -> RawAnswer {
            RawAnswer(status: head.status, reason: head.reason, headers: head.headers, body: body, isWhole: isWhole)
        }
        if isHead || head.status == 204 || head.status == 304 { return answer(Data(), isWhole: true) }
        var body = beginning
        if head["transfer-encoding"]?.lowercased() == "chunked" {
            while true {
                if let whole = ChunkedBody.decode(body) { return answer(whole, isWhole: true) }
                let more = try socket.receive()
                if more.isEmpty { return answer(body, isWhole: false) }
                body += more
            }
        }
        let length = head["content-length"].flatMap { Int($0) }
        while body.count < length ?? .max {
            let more = try socket.receive()
            if more.isEmpty { break }
            body += more
        }
        return answer(body, isWhole: length.map { body.count == $0 } ?? true)
    }
}

enum ChunkedBody {
    /// The body, or nil while it has not ended.
    static func decode(_ bytes: Data) -> Data? {
        var rest = bytes[...]
        var body = Data()
        while let lineEnd = rest.range(of: Data("\r\n".utf8)) {
            let sizeText = String(decoding: rest[..<lineEnd.lowerBound], as: UTF8.self).prefix { $0 != ";" }
            guard let size = Int(sizeText, radix: 16) else { return nil }
            if size == 0 { return body }
            guard rest.distance(from: lineEnd.upperBound, to: rest.endIndex) >= size + 2 else { return nil }
            let end = rest.index(lineEnd.upperBound, offsetBy: size)
            body += rest[lineEnd.upperBound..<end]
            rest = rest[rest.index(end, offsetBy: 2)...]
        }
        return nil
    }
}
