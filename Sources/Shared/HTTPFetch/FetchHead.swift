// SPDX-License-Identifier: Apache-2.0

/// The head of a response.
package struct FetchHead: Sendable {
    package let status: Int
    /// In order of arrival, values without surrounding blanks.
    package let headers: [(name: String, value: String)]
    /// `nil` when absent, or when the body comes in chunks.
    package let contentLength: Int64?
    package let contentRange: ContentRange?

    package struct ContentRange: Sendable, Equatable {
        /// Half-open; on the wire it is inclusive.
        package let range: Range<Int64>
        package let totalBytes: Int64

        package init?(range: Range<Int64>, totalBytes: Int64) {
            guard !range.isEmpty, range.lowerBound >= 0, range.upperBound <= totalBytes else { return nil }
            self.range = range
            self.totalBytes = totalBytes
        }
    }

    /// - Throws: `.protocolViolation` if lengths contradict each other or are not numbers.
    package init(status: Int, headers: [(name: String, value: String)]) throws(FetchError) {
        self.status = status
        self.headers = headers
        let values = { (name: String) in
            headers.lazy.filter { equalIgnoringCase($0.name, name) }.map(\.value)
        }
        var length: Int64?
        for value in values("Content-Length") {
            guard let number = decimal(value[...]), length == nil || length == number else {
                throw FetchError(.protocolViolation, "the answer's Content-Length is not one number")
            }
            length = number
        }
        contentLength = values("Transfer-Encoding").isEmpty ? length : nil

        let ranges = Array(values("Content-Range"))
        if status == 206, let text = ranges.first {
            guard ranges.count == 1, let range = ContentRange(headerValue: text) else {
                throw FetchError(.protocolViolation, "the answer's Content-Range cannot be read")
            }
            contentRange = range
        } else {
            contentRange = nil
        }
    }

    /// The first value of a header, whatever the case of its name.
    package func first(_ name: String) -> String? {
        headers.first { equalIgnoringCase($0.name, name) }?.value
    }

    /// All values of a header, whatever the case of its name.
    package func all(_ name: String) -> [String] {
        headers.filter { equalIgnoringCase($0.name, name) }.map(\.value)
    }
}

extension FetchHead.ContentRange {
    /// Reads `bytes 0-1023/4096` (RFC 9110, section 14.4). An unknown total (`*`) is refused: no parent of ours lacks it.
    package init?(headerValue text: String) {
        let unit = "bytes "
        guard text.count > unit.count, equalIgnoringCase(String(text.prefix(unit.count)), unit) else { return nil }
        let parts = text.dropFirst(unit.count).split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let total = decimal(parts[1]) else { return nil }
        let bounds = parts[0].split(separator: "-", omittingEmptySubsequences: false)
        guard bounds.count == 2, let first = decimal(bounds[0]), let last = decimal(bounds[1]) else { return nil }
        guard first <= last, last < total else { return nil }
        self.init(range: first..<(last + 1), totalBytes: total)
    }
}

extension FetchHead {
    /// Holds the head against the request.
    /// - Returns: How many body bytes must come, where head or request tell.
    /// - Throws: `.protocolViolation` for another range than asked, `.tooLarge` for a body above the request's limit.
    func bodyBytes(for request: FetchRequest) throws(FetchError) -> Int64? {
        guard request.method != .head else { return nil }
        var expected = contentLength
        if status == 206 {
            guard let range = request.range, let contentRange else {
                throw FetchError(.protocolViolation, "a part came that was not asked for, or without Content-Range")
            }
            guard range.clamped(to: 0..<contentRange.totalBytes) == contentRange.range else {
                throw FetchError(.protocolViolation, "asked for bytes \(range), got bytes \(contentRange.range)")
            }
            let count = Int64(contentRange.range.count)
            guard expected == nil || expected == count else {
                throw FetchError(.protocolViolation, "Content-Length and Content-Range contradict each other")
            }
            expected = count
        }
        if let expected, expected > request.bodyBytesMax {
            throw FetchError(.tooLarge, "a body of \(expected) bytes is above the limit of \(request.bodyBytesMax)")
        }
        return expected
    }
}

/// ASCII digits only, no sign, no overflow.
private func decimal(_ text: Substring) -> Int64? {
    guard !text.isEmpty, text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else {
        return nil
    }
    return Int64(text)
}

private func equalIgnoringCase(_ a: String, _ b: String) -> Bool {
    a.utf8.count == b.utf8.count && zip(a.utf8, b.utf8).allSatisfy { lowercased($0) == lowercased($1) }
}

private func lowercased(_ byte: UInt8) -> UInt8 {
    (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte
}
