// SPDX-License-Identifier: Apache-2.0

import Glibc
import Synchronization

/// One connection, seen from the server.
package final class Peer: Sendable {
    private let descriptor: Mutex<Int32?>
    fileprivate let raw: Int32

    init(_ descriptor: Int32) {
        self.descriptor = Mutex(descriptor)
        raw = descriptor
    }

    package struct Request {
        package let head: String
        package let body: [UInt8]

        package func header(_ name: String) -> String? {
            head.split(separator: "\r\n").first { $0.lowercased().hasPrefix(name.lowercased() + ":") }
                .map { $0.drop { $0 != ":" }.dropFirst().drop { $0 == " " } }.map(String.init)
        }

        /// Lower and upper bound as they stand on the wire, inclusive.
        package var range: (first: Int, last: Int)? {
            guard let text = header("Range"), text.hasPrefix("bytes=") else { return nil }
            let bounds = text.dropFirst(6).split(separator: "-").compactMap { Int($0) }
            return bounds.count == 2 ? (bounds[0], bounds[1]) : nil
        }
    }

    /// The next request; `nil` when the client hung up.
    package func request() -> Request? {
        var bytes: [UInt8] = []
        let end = Array("\r\n\r\n".utf8)
        while bytes.suffix(4) != end[...] {
            guard let byte = read(1) else { return nil }
            bytes += byte
        }
        let head = String(decoding: bytes, as: UTF8.self)
        let length = Request(head: head, body: []).header("Content-Length").flatMap(Int.init) ?? 0
        guard length > 0 else { return Request(head: head, body: []) }
        guard let body = read(length) else { return nil }
        return Request(head: head, body: body)
    }

    private func read(_ count: Int) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        var filled = 0
        while filled < count {
            let got = bytes[filled...].withUnsafeMutableBytes { recv(raw, $0.baseAddress, $0.count, 0) }
            guard got > 0 else { return nil }
            filled += got
        }
        return bytes
    }

    /// - Returns: `false` once the client is gone.
    @discardableResult
    package func send(_ text: String) -> Bool { send(Array(text.utf8)) }

    @discardableResult
    package func send(_ bytes: [UInt8]) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let sent = rest.withUnsafeBytes { Glibc.send(raw, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            guard sent > 0 else { return false }
            rest = rest.dropFirst(sent)
        }
        return true
    }

    /// Answers 200 with this body.
    @discardableResult
    package func answer(_ body: String, headers: String = "") -> Bool {
        send("HTTP/1.1 200 OK\r\nContent-Length: \(body.utf8.count)\r\n\(headers)\r\n\(body)")
    }

    /// Waits until the client closes the connection.
    package func waitForHangUp() { while read(1) != nil {} }

    /// Wakes the script's thread; the descriptor stays open until `close`.
    package func hangUp() { descriptor.withLock { if let open = $0 { shutdown(open, Int32(SHUT_RDWR)) } } }

    package func close() {
        descriptor.withLock {
            if let open = $0 { Glibc.close(open) }
            $0 = nil
        }
    }
}

extension Peer {
    /// Waits so long for the client to close the connection, or to send more.
    package func hangsUp(withinMilliseconds milliseconds: Int32) -> Bool {
        var event = pollfd(fd: raw, events: Int16(POLLIN), revents: 0)
        return poll(&event, 1, milliseconds) != 0
    }
}
