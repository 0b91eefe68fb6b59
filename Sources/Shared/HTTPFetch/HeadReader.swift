// SPDX-License-Identifier: Apache-2.0

/// Builds a response head from the lines that libcurl delivers. A pure value; one per transfer.
///
/// States: status line → header lines → (interim response: back to the status line) → complete → trailers.
/// Limits: lines and bytes over all interim heads, the final head, and the trailers together.
struct HeadReader {
    struct Limits: Sendable {
        var lineCountMax = 128
        var bytesMax = 64 * 1024
    }

    enum Event {
        case more
        case complete(FetchHead)
    }

    private enum State {
        case statusLine
        case headerLines(status: Int)
        case complete
    }

    private let limits: Limits
    private var state = State.statusLine
    private var headers: [(name: String, value: String)] = []
    private var lineCount = 0
    private var byteCount = 0

    init(limits: Limits) { self.limits = limits }

    var isComplete: Bool { if case .complete = state { true } else { false } }

    /// Takes one line, with its line end.
    /// - Throws: `.tooLarge` above a limit; `.protocolViolation` for a line that is no part of a head.
    mutating func take(_ line: UnsafeRawBufferPointer) throws(FetchError) -> Event {
        lineCount += 1
        byteCount += line.count
        guard lineCount <= limits.lineCountMax, byteCount <= limits.bytesMax else {
            throw FetchError(
                .tooLarge,
                "the answer's head has more than \(limits.lineCountMax) lines or \(limits.bytesMax) bytes"
            )
        }
        let content = trimmingLineEnd(line)
        switch state {
        case .statusLine:
            state = .headerLines(status: try Self.status(of: content))
            return .more
        case .headerLines(let status):
            guard content.isEmpty else {
                headers.append(try Self.header(of: content))
                return .more
            }
            return try endOfHead(status)
        case .complete:
            return .more
        }
    }

    private mutating func endOfHead(_ status: Int) throws(FetchError) -> Event {
        let collected = headers
        headers = []
        guard status >= 200 else {
            guard status != 101 else { throw FetchError(.protocolViolation, "the answer switches protocols") }
            state = .statusLine
            return .more
        }
        state = .complete
        return .complete(try FetchHead(status: status, headers: collected))
    }

    private func trimmingLineEnd(_ line: UnsafeRawBufferPointer) -> Slice<UnsafeRawBufferPointer> {
        var content = line[...]
        if content.last == UInt8(ascii: "\n") { content = content.dropLast() }
        if content.last == UInt8(ascii: "\r") { content = content.dropLast() }
        return content
    }

    /// `HTTP/1.1 200 OK`; the reason may be missing.
    private static func status(of line: Slice<UnsafeRawBufferPointer>) throws(FetchError) -> Int {
        let fields = line.split(separator: UInt8(ascii: " "), maxSplits: 2, omittingEmptySubsequences: false)
        guard fields.count >= 2, fields[0].starts(with: "HTTP/1.".utf8), fields[1].count == 3,
            let status = Int(String(decoding: fields[1], as: UTF8.self)), (100...599).contains(status)
        else { throw FetchError(.protocolViolation, "the answer begins without an HTTP/1 status line") }
        return status
    }

    private static func header(
        of line: Slice<UnsafeRawBufferPointer>
    ) throws(FetchError) -> (
        name: String, value: String
    ) {
        guard let colon = line.firstIndex(of: UInt8(ascii: ":")), FetchRequest.isToken(line[..<colon]) else {
            // A continuation line (obs-fold) ends here, too: it starts with a blank.
            throw FetchError(.protocolViolation, "the answer has a header line without a name")
        }
        let blanks: Set<UInt8> = [UInt8(ascii: " "), UInt8(ascii: "\t")]
        var value = line[(colon + 1)...].drop { blanks.contains($0) }
        while let last = value.last, blanks.contains(last) { value = value.dropLast() }
        return (String(decoding: line[..<colon], as: UTF8.self), String(decoding: value, as: UTF8.self))
    }
}

extension FetchRequest {
    /// RFC 9110, section 5.6.2.
    static func isToken(_ bytes: some Collection<UInt8>) -> Bool {
        !bytes.isEmpty
            && bytes.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "a")...UInt8(ascii: "z"):
                    true
                default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
                }
            }
    }
}
