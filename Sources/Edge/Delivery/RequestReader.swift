// SPDX-License-Identifier: Apache-2.0

/// Reads request heads of HTTP/1.0 and 1.1 (RFC 9112) in place, in one pass. A pure function of the bytes.
///
/// Where the RFC lets a server be lenient, this one is strict: bare line feeds, folded lines, blanks before a colon,
/// control characters, and requests of HTTP/1.1 without exactly one `Host` are malformed, and the connection ends, so
/// that no proxy in front can see other requests in the same bytes. No body is ever read: a request that announces one
/// is the last of its connection.
///
/// It stands in for a general parser because hits of small blobs spend a sixth of their time there
/// (`Benchmarks/RESULTS.md`, P3).
package enum RequestReader {
    /// Bytes of a request line, and of one field line.
    package static let lineBytesMax = 8 * 1024
    /// Bytes of a whole head.
    package static let headBytesMax = 32 * 1024
    package static let fieldCountMax = 100
    private static let methodBytesMax = 32

    package enum Answer: Sendable, Equatable {
        /// The head is not whole yet.
        case incomplete
        /// - byteCount: What the head took, blank line included.
        case request(BlobRequest, byteCount: Int)
        /// Nothing more can be read from this connection.
        case malformed(Fault)
    }

    package enum Fault: Error, Sendable, Equatable {
        /// 400.
        case syntax
        /// 414.
        case targetTooLong
        /// 431.
        case tooLarge
        /// 505.
        case version
    }

    package static func read(_ bytes: UnsafeRawBufferPointer) -> Answer {
        var lines = Lines(bytes: bytes)
        do throws(Fault) {
            guard var request = try requestLine(&lines) else { return .incomplete }
            var fields = Fields()
            while true {
                guard let line = try lines.next(tooLong: .tooLarge) else { return .incomplete }
                if line.isEmpty { break }
                try fields.take(line, into: &request)
            }
            guard fields.hostCount == 1 || request.isHTTP10 && fields.hostCount == 0 else { throw .syntax }
            request.keepsAlive = !fields.saysClose && (!request.isHTTP10 || fields.saysKeepAlive)
            return .request(request, byteCount: lines.offset)
        } catch {
            return .malformed(error)
        }
    }

    /// - Returns: `nil` if the line is not whole yet.
    private static func requestLine(_ lines: inout Lines) throws(Fault) -> BlobRequest? {
        guard var line = try lines.next(tooLong: .targetTooLong) else { return nil }
        // One empty line before a request is what some clients leave behind a body (RFC 9112 §2.2).
        if line.isEmpty {
            guard let second = try lines.next(tooLong: .targetTooLong) else { return nil }
            line = second
        }
        guard let methodEnd = line.firstIndex(of: UInt8(ascii: " ")), methodEnd <= line.startIndex + methodBytesMax,
            methodEnd > line.startIndex, line[..<methodEnd].allSatisfy(isTokenByte),
            let targetEnd = line.lastIndex(of: UInt8(ascii: " ")), targetEnd > methodEnd + 1
        else { throw .syntax }
        let target = line[(methodEnd + 1)..<targetEnd]
        guard target.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else { throw .syntax }
        var request = BlobRequest(method: method(line[..<methodEnd]), target: text(target))
        request.isHTTP10 = try isHTTP10(line[(targetEnd + 1)...])
        return request
    }

    private static func method(_ name: Slice<UnsafeRawBufferPointer>) -> BlobRequest.Method {
        if name.elementsEqual("GET".utf8) { return .get }
        return name.elementsEqual("HEAD".utf8) ? .head : .other(text(name))
    }

    private static func isHTTP10(_ version: Slice<UnsafeRawBufferPointer>) throws(Fault) -> Bool {
        if version.elementsEqual("HTTP/1.1".utf8) { return false }
        if version.elementsEqual("HTTP/1.0".utf8) { return true }
        let isOfHTTP =
            version.count == 8 && version.starts(with: "HTTP/".utf8)
            && isDigit(version[version.startIndex + 5]) && version[version.startIndex + 6] == UInt8(ascii: ".")
            && isDigit(version[version.startIndex + 7])
        throw isOfHTTP ? .version : .syntax
    }

    fileprivate static func text(_ bytes: Slice<UnsafeRawBufferPointer>) -> String {
        String(decoding: UnsafeRawBufferPointer(rebasing: bytes), as: UTF8.self)
    }

    fileprivate static func isDigit(_ byte: UInt8) -> Bool { UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte }

    /// RFC 9110 §5.6.2.
    fileprivate static func isTokenByte(_ byte: UInt8) -> Bool {
        byte < 0x80 && (byte < 0x40 ? tokenLow : tokenHigh) & (1 << UInt64(byte & 63)) != 0
    }

    private static let (tokenLow, tokenHigh): (UInt64, UInt64) = {
        let marks = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
        return marks.utf8.reduce(into: (0, 0)) { sets, byte in
            if byte < 0x40 { sets.0 |= 1 << UInt64(byte) } else { sets.1 |= 1 << UInt64(byte & 63) }
        }
    }()
}

/// The lines of a head, one after the other, without their ends.
private struct Lines {
    let bytes: UnsafeRawBufferPointer
    /// Where the next line begins.
    private(set) var offset = 0

    init(bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    /// - Returns: `nil` if the line has not ended yet.
    mutating func next(tooLong: RequestReader.Fault) throws(RequestReader.Fault) -> Slice<UnsafeRawBufferPointer>? {
        let rest = bytes[offset...]
        guard let end = rest.prefix(RequestReader.lineBytesMax + 2).firstIndex(of: UInt8(ascii: "\n")) else {
            guard rest.count <= RequestReader.lineBytesMax else { throw tooLong }
            guard bytes.count <= RequestReader.headBytesMax else { throw .tooLarge }
            return nil
        }
        guard end < RequestReader.headBytesMax else { throw .tooLarge }
        guard end > offset, bytes[end - 1] == UInt8(ascii: "\r") else { throw .syntax }
        defer { offset = end + 1 }
        return bytes[offset..<(end - 1)]
    }
}

/// What the field lines of one head say.
private struct Fields {
    var hostCount = 0
    var saysClose = false
    var saysKeepAlive = false
    private var count = 0

    mutating func take(
        _ line: Slice<UnsafeRawBufferPointer>, into request: inout BlobRequest
    ) throws(RequestReader.Fault) {
        count += 1
        guard count <= RequestReader.fieldCountMax else { throw .tooLarge }
        // A blank at the start would be a folded line; it is no byte of a name either way.
        guard let colon = line.firstIndex(of: UInt8(ascii: ":")), colon > line.startIndex else { throw .syntax }
        let name = line[..<colon]
        guard name.allSatisfy(RequestReader.isTokenByte) else { throw .syntax }
        let value = trimmed(line[(colon + 1)...])
        guard value.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || $0 == UInt8(ascii: "\t") }) else { throw .syntax }
        // Most fields are not ours: their length alone tells.
        switch name.count {
        case 4 where isName(name, "host"): hostCount += 1
        case 5 where isName(name, "range"): request.range.add(RequestReader.text(value))
        case 8 where isName(name, "if-range"): request.ifRange.add(RequestReader.text(value))
        case 10 where isName(name, "connection"): takeConnection(value)
        case 13 where isName(name, "if-none-match"): request.ifNoneMatch.add(RequestReader.text(value))
        case 14 where isName(name, "content-length"):
            if !value.elementsEqual(CollectionOfOne(UInt8(ascii: "0"))) { request.hasBody = true }
        case 17 where isName(name, "transfer-encoding"): request.hasBody = true
        default: break
        }
    }

    private mutating func takeConnection(_ value: Slice<UnsafeRawBufferPointer>) {
        for option in value.split(separator: UInt8(ascii: ",")) {
            let option = trimmed(option)
            if isName(option, "close") { saysClose = true }
            if isName(option, "keep-alive") { saysKeepAlive = true }
        }
    }

    private func trimmed(_ bytes: Slice<UnsafeRawBufferPointer>) -> Slice<UnsafeRawBufferPointer> {
        var bytes = bytes
        while let first = bytes.first, first == UInt8(ascii: " ") || first == UInt8(ascii: "\t") {
            bytes = bytes.dropFirst()
        }
        while let last = bytes.last, last == UInt8(ascii: " ") || last == UInt8(ascii: "\t") {
            bytes = bytes.dropLast()
        }
        return bytes
    }

    /// - Parameter name: In lower case.
    private func isName(_ bytes: Slice<UnsafeRawBufferPointer>, _ name: StaticString) -> Bool {
        guard bytes.count == name.utf8CodeUnitCount else { return false }
        var position = 0
        for byte in bytes {
            let lower = UInt8(ascii: "A")...UInt8(ascii: "Z") ~= byte ? byte | 0x20 : byte
            guard lower == name.utf8Start[position] else { return false }
            position += 1
        }
        return true
    }
}
