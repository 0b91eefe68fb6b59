// SPDX-License-Identifier: Apache-2.0

import Blocking
import Disk
import HTTPServer
package import NIOCore

/// What route code may ask of the connection that its request came on. Safe from any thread.
package struct Connection: Sendable {
    /// Bytes of one sendfile: a fast reader may not own the event loop for longer (nginx stops at 2 MiB).
    static let windowBytes: Int64 = 1 << 20
    /// Bytes of one copy under TLS, where a file region cannot go.
    static let copyBytes: Int64 = 256 * 1024

    @TaskLocal static var current: Connection?

    package let channel: any Channel
    package let isTLS: Bool
    let handler: NIOLoopBound<ConnectionHandler>
    let clientAddresses: ClientAddresses
    let diskPool: BlockingPool

    /// Sends `100 Continue` if the client waits for it and has not got it. Call once the request has been found
    /// acceptable, before its body is read: authenticated, authorised, small enough, room on disk (RFC 9110 §10.1.1).
    package func sendContinue() async {
        try? await channel.eventLoop.submit { handler.value.sendContinue() }.get()
    }

    /// Succeeds when the client has closed its side, or the connection is gone.
    package var inputClosed: EventLoopFuture<Void> {
        channel.eventLoop.flatSubmit { handler.value.inputClosed.futureResult }
    }

    /// Sends a range of a file after the response's head: by sendfile, two windows in flight. Pages that are not
    /// resident are read on the disk pool first, never on the event loop.
    ///
    /// - Throws: `ChannelError` if the connection went away; `DiskError`.
    func send(_ file: File, range: Range<Int64>) async throws {
        var previous: EventLoopFuture<Void>?
        var offset = range.lowerBound
        while offset < range.upperBound {
            let window = offset..<min(offset + Self.windowBytes, range.upperBound)
            if try file.isResident(window) != true {
                try await diskPool.run { try Self.bringIn(file, window) }
            }
            let sent = channel.eventLoop.flatSubmit {
                handler.value.write(FileWindow(file: file, range: window))
            }
            try await previous?.get()
            previous = sent
            offset = window.upperBound
        }
        try await previous?.get()
    }

    private static func bringIn(_ file: File, _ window: Range<Int64>) throws {
        try withUnsafeTemporaryAllocation(byteCount: Int(copyBytes), alignment: 4096) { scratch in
            for start in stride(from: window.lowerBound, to: window.upperBound, by: Int(copyBytes)) {
                let count = Int(min(copyBytes, window.upperBound - start))
                _ = try file.read(into: UnsafeMutableRawBufferPointer(rebasing: scratch[..<count]), at: start)
            }
        }
    }

    /// Reads a range of a file into a buffer on the disk pool.
    /// - Throws: `FileCutShort` if the file ends early; `DiskError`.
    func read(_ file: File, range: Range<Int64>) async throws -> ByteBuffer {
        let count = Int(range.upperBound - range.lowerBound)
        return try await diskPool.run {
            var buffer = ByteBufferAllocator().buffer(capacity: count)
            let readCount = try buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { bytes in
                try file.read(into: UnsafeMutableRawBufferPointer(rebasing: bytes[..<count]), at: range.lowerBound)
            }
            guard readCount == count else { throw FileCutShort(path: file.path) }
            return buffer
        }
    }
}

/// A stored file is shorter than its metadata says.
package struct FileCutShort: Error {
    package let path: String
}
