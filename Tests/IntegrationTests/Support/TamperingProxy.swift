// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Synchronization
import Testing

/// A TCP proxy between an edge and its origin that turns one bit over in what the origin sends: the byte that follows
/// a marker, so that it hits the blob whatever the framing.
final class TamperingProxy: OriginProxy {
    struct Plan {
        var marker: [UInt8] = []
        /// How many more times to tamper.
        var remainingCount = 0
        var tamperedCount = 0
    }

    private let target: Mutex<Endpoint?> = Mutex(nil)
    private let plan = Mutex(Plan())
    private let listener: LoopbackListener

    /// Listens at once; connections that come before `forward(to:)` are closed.
    init() throws {
        listener = try LoopbackListener()
        listener.start(for: self) { $0.join($1) }
    }

    /// Takes no more connections; those that are open go on until either side ends them.
    func close() {
        listener.close()
    }

    var url: String { "http://\(listener.endpoint.authority)" }

    func forward(to endpoint: Endpoint) {
        target.withLock { $0 = endpoint }
    }

    /// From now on changes the byte after the marker, this many times.
    func tamper(after marker: [UInt8], count: Int) {
        plan.withLock { $0 = Plan(marker: marker, remainingCount: count) }
    }

    var tamperedCount: Int { plan.withLock(\.tamperedCount) }

    private func join(_ client: Int32) {
        let server = target.withLock { $0 }.flatMap(connectedSocket(to:)) ?? -1
        guard server >= 0 else {
            Glibc.close(client)
            return
        }
        let openSides = OpenSides(descriptors: [client, server])
        Thread.detachNewThread {
            Self.pump(from: client, to: server) { _ in }
            openSides.ended()
        }
        Thread.detachNewThread { [self] in
            var tail: [UInt8] = []
            Self.pump(from: server, to: client) { change(&$0, after: &tail) }
            openSides.ended()
        }
    }

    /// - Parameter tail: The bytes before these, as many as the marker has.
    private func change(_ bytes: inout [UInt8], after tail: inout [UInt8]) {
        plan.withLock { plan in
            guard plan.remainingCount > 0 else { return }
            let seen = tail + bytes
            for end in Self.ends(of: plan.marker, in: seen) where plan.remainingCount > 0 {
                let index = end - tail.count
                guard bytes.indices.contains(index) else { continue }
                bytes[index] ^= 1
                plan.remainingCount -= 1
                plan.tamperedCount += 1
            }
            // A marker that ends with these bytes is found again with the next, whose first byte then changes.
            tail = seen.suffix(plan.marker.count)
        }
    }

    /// Where the marker's occurrences end.
    private static func ends(of marker: [UInt8], in bytes: [UInt8]) -> [Int] {
        guard let first = marker.first else { return [] }
        return bytes.withUnsafeBytes { bytes in
            var ends: [Int] = []
            var start = 0
            // memchr, because a loop over bytes would take longer than the transfer where tests are not optimised.
            while bytes.count - start >= marker.count,
                let found = memchr(bytes.baseAddress! + start, Int32(first), bytes.count - start - marker.count + 1)
            {
                start = UnsafeRawPointer(found) - bytes.baseAddress!
                if memcmp(found, marker, marker.count) == 0 { ends.append(start + marker.count) }
                start += 1
            }
            return ends
        }
    }

    private static func pump(from source: Int32, to destination: Int32, _ change: (inout [UInt8]) -> Void) {
        var buffer = [UInt8](repeating: 0, count: 64 * .kibibyte)
        while true {
            let count = read(source, &buffer, buffer.count)
            guard count > 0 else { break }
            var bytes = Array(buffer[..<count])
            change(&bytes)
            var sent = 0
            while sent < bytes.count {
                let result = bytes.withUnsafeBytes {
                    send(destination, $0.baseAddress.map { $0 + sent }, bytes.count - sent, Int32(MSG_NOSIGNAL))
                }
                guard result > 0 else { break }
                sent += result
            }
            guard sent == bytes.count else { break }
        }
        shutdown(destination, Int32(SHUT_WR))
        shutdown(source, Int32(SHUT_RD))
    }
}
