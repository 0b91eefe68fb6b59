// SPDX-License-Identifier: Apache-2.0

import OCI

/// A request as it goes over the wire: nothing is added, decoded or put right, except that `Host` and, for a body,
/// `Content-Length` are written unless given.
struct HTTPRequest: Sendable {
    var method: String
    var target: String
    var headers: [(name: String, value: String)]
    var body: [UInt8]

    init(
        _ method: String, _ target: String, headers: [(name: String, value: String)] = [], body: [UInt8] = []
    ) {
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
    }

    /// A GET.
    init(_ target: String, headers: [(name: String, value: String)] = []) {
        self.init("GET", target, headers: headers)
    }

    func head(for endpoint: Endpoint) -> [UInt8] {
        var text = "\(method) \(target) HTTP/1.1\r\n"
        if !has("host") { text += "Host: \(endpoint.authority)\r\n" }
        let takesBody = ["POST", "PUT", "PATCH"].contains(method)
        if takesBody || !body.isEmpty, !has("content-length"), !has("transfer-encoding") {
            text += "Content-Length: \(body.count)\r\n"
        }
        for (name, value) in headers { text += "\(name): \(value)\r\n" }
        return Array((text + "\r\n").utf8)
    }

    private func has(_ name: String) -> Bool {
        headers.contains { $0.name.lowercased() == name }
    }
}

struct AnswerHead: Sendable {
    let status: Int
    let headers: [(name: String, value: String)]

    /// - Parameter text: Without the empty line.
    init?(_ text: String) {
        let lines = text.split(separator: "\r\n", omittingEmptySubsequences: false)
        guard let first = lines.first, first.hasPrefix("HTTP/1."),
            let status = first.split(separator: " ", maxSplits: 2).dropFirst().first.flatMap({ Int($0) })
        else { return nil }
        self.status = status
        headers = lines.dropFirst().compactMap { line in
            guard let colon = line.firstIndex(of: ":") else { return nil }
            let value = line[line.index(after: colon)...].drop { $0 == " " }
            return (line[..<colon].lowercased(), String(value))
        }
    }

    subscript(_ name: String) -> String? {
        headers.first { $0.name == name.lowercased() }?.value
    }

    enum BodyLength: Equatable {
        case none
        case bytes(Int)
        case chunked
        case untilEnd
    }

    func bodyLength(method: String) -> BodyLength {
        if method == "HEAD" || status == 204 || status == 304 || status < 200 { return .none }
        if self["transfer-encoding"]?.lowercased() == "chunked" { return .chunked }
        if let length = self["content-length"].flatMap({ Int($0) }) { return .bytes(length) }
        return .untilEnd
    }
}

/// An answer, with how it ended.
struct Answer: Sendable {
    enum Ending: Equatable {
        /// All of the declared body came.
        case complete
        /// FIN before the declared end.
        case fin
        /// RST before the declared end.
        case reset
    }

    let head: AnswerHead
    /// Empty if it was not to be kept.
    let body: [UInt8]
    let bodyBytes: Int
    /// SHA-256 of what came.
    let digest: Digest
    let ending: Ending

    var status: Int { head.status }

    subscript(_ header: String) -> String? { head[header] }

    var text: String { String(decoding: body, as: UTF8.self) }

    var json: JSONValue? {
        try? BoundedJSON.parse(body, limits: JSONLimits(bytesMax: 16 << 20))
    }

    private var errors: [JSONValue] { json?["errors"]?.arrayValue ?? [] }

    /// Codes of the OCI error document; empty if the body is none.
    var codes: [String] { errors.compactMap { $0["code"]?.stringValue } }

    /// Digests that the errors name.
    var namedDigests: [String] { errors.compactMap { $0["detail"]?["digest"]?.stringValue } }
}
