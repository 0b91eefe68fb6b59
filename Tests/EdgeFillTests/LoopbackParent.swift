// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Synchronization

/// A parent on loopback: answers ranged requests for one blob as its script says, keeps connections alive, and writes
/// down what was asked and sent.
final class LoopbackParent: Sendable {
    enum Answer: Sendable {
        /// 206 with the right bytes.
        case honest
        /// The byte at this offset of the blob is wrong.
        case flipped(at: Int)
        /// The connection ends after so many body bytes.
        case cut(afterBytes: Int)
        case status(Int)
        /// 200 with the whole blob, whatever was asked.
        case whole
        /// Another range than asked, with a body that fits it.
        case otherRange
        /// The right range of a blob of another size.
        case otherTotal
        /// Half of the body, with lengths that say so.
        case short
        /// Honest, after the gate opened.
        case held(Gate)
    }

    /// Opens once, for good.
    final class Gate: Sendable {
        private let semaphore = DispatchSemaphore(value: 0)
        func open() { semaphore.signal() }
        fileprivate func pass() {
            semaphore.wait()
            semaphore.signal()
        }
    }

    typealias Script = @Sendable (_ range: Range<Int>, _ number: Int) -> Answer

    private struct Record {
        var ranges: [Range<Int>] = []
        var sentBytes = 0
        var clients: [Int32] = []
        var isClosed = false
    }

    let url: String
    private let blob: [UInt8]
    private let script: Script
    private let listener: Int32
    private let record = Mutex(Record())

    /// - Parameter script: Called for each request with its range and number, from 0, on any thread.
    init(_ blob: [UInt8], script: @escaping Script = { _, _ in .honest }) throws {
        self.blob = blob
        self.script = script
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                bind(listener, pointer, length) == 0 && listen(listener, 64) == 0
                    && getsockname(listener, pointer, &length) == 0
            }
        }
        guard bound else { throw POSIXError(.EADDRNOTAVAIL) }
        self.listener = listener
        url = "http://127.0.0.1:\(UInt16(bigEndian: address.sin_port))/b/v1/blob?a=origin&g=x"
        // Not a task: accept and read block.
        Thread.detachNewThread { [weak self] in
            // Only here: a descriptor that is closed under this thread's feet may become another parent's listener, and
            // this thread would take that one's connections.
            defer { close(listener) }
            while true {
                let client = accept(listener, nil, nil)
                guard client >= 0 else { return }
                guard let self, self.register(client) else {
                    close(client)
                    return
                }
                Thread.detachNewThread { [weak self] in self?.serve(client) }
            }
        }
    }

    deinit { stop() }

    var ranges: [Range<Int>] { record.withLock { $0.ranges } }
    /// Body bytes.
    var sentBytes: Int { record.withLock { $0.sentBytes } }

    func stop() {
        let clients: [Int32]? = record.withLock { record in
            defer { record.isClosed = true }
            return record.isClosed ? nil : record.clients
        }
        guard let clients else { return }
        for client in clients { shutdown(client, Int32(SHUT_RDWR)) }
        shutdown(listener, Int32(SHUT_RDWR))
    }

    private func register(_ client: Int32) -> Bool {
        record.withLock { record in
            if !record.isClosed { record.clients.append(client) }
            return !record.isClosed
        }
    }

    private func serve(_ client: Int32) {
        defer {
            record.withLock { $0.clients.removeAll { $0 == client } }
            close(client)
        }
        while let head = readHead(client) {
            guard let range = Self.range(in: head, size: blob.count) else { return }
            let number = record.withLock { record in
                record.ranges.append(range)
                return record.ranges.count - 1
            }
            guard answer(script(range, number), range, client) else { return }
        }
    }

    /// - Returns: Whether the connection goes on.
    private func answer(_ answer: Answer, _ range: Range<Int>, _ client: Int32) -> Bool {
        switch answer {
        case .honest: return send(206, range, total: blob.count, Array(blob[range]), client)
        case .held(let gate):
            gate.pass()
            return send(206, range, total: blob.count, Array(blob[range]), client)
        case .flipped(let offset):
            var body = Array(blob[range])
            if range.contains(offset) { body[offset - range.lowerBound] ^= 0x40 }
            return send(206, range, total: blob.count, body, client)
        case .cut(let count):
            _ = send(206, range, total: blob.count, Array(blob[range].prefix(count)), length: range.count, client)
            shutdown(client, Int32(SHUT_RDWR))
            return false
        case .status(let status): return send(status, nil, total: 0, Array("no\n".utf8), client)
        case .whole: return send(200, nil, total: 0, blob, client)
        case .otherRange:
            let other = range.count > 1 ? range.lowerBound + 1..<range.upperBound : 0..<1
            return send(206, other, total: blob.count, Array(blob[other]), client)
        case .otherTotal: return send(206, range, total: blob.count + 1, Array(blob[range]), client)
        case .short:
            return send(206, range, total: blob.count, Array(blob[range].prefix(range.count / 2)), client)
        }
    }

    private func send(
        _ status: Int, _ range: Range<Int>?, total: Int, _ body: [UInt8], length: Int? = nil, _ client: Int32
    ) -> Bool {
        var head = "HTTP/1.1 \(status) Status\r\nContent-Length: \(length ?? body.count)\r\n"
        if let range { head += "Content-Range: bytes \(range.lowerBound)-\(range.upperBound - 1)/\(total)\r\n" }
        guard write(Array((head + "\r\n").utf8), client) else { return false }
        guard write(body, client) else { return false }
        record.withLock { $0.sentBytes += body.count }
        return true
    }

    private func write(_ bytes: [UInt8], _ client: Int32) -> Bool {
        var sentCount = 0
        while sentCount < bytes.count {
            let count = bytes[sentCount...].withUnsafeBytes {
                Glibc.send(client, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return false }
            sentCount += count
        }
        return true
    }

    private func readHead(_ client: Int32) -> String? {
        var head: [UInt8] = []
        var byte: UInt8 = 0
        while recv(client, &byte, 1, 0) == 1, head.count < 8192 {
            head.append(byte)
            if head.suffix(4).elementsEqual("\r\n\r\n".utf8) { return String(decoding: head, as: UTF8.self) }
        }
        return nil
    }

    private static func range(in head: String, size: Int) -> Range<Int>? {
        guard let line = head.split(separator: "\r\n").first(where: { $0.lowercased().hasPrefix("range: bytes=") })
        else {
            return nil
        }
        let bounds = line.dropFirst("range: bytes=".count).split(separator: "-").compactMap { Int($0) }
        guard bounds.count == 2, bounds[0] <= bounds[1], bounds[1] < size else { return nil }
        return bounds[0]..<bounds[1] + 1
    }
}
