// SPDX-License-Identifier: Apache-2.0

import Blocking
import Glibc
import Synchronization

/// A server on the loopback that sends whatever bytes a test wants, at the moment it wants. Each connection runs the
/// script on a thread of its own.
package final class ScriptedServer: Sendable {
    package typealias Script = @Sendable (Peer) -> Void

    package let port: UInt16
    private let listener: Mutex<Int32?>
    private let pool = BlockingPool(name: "scripted", threadCount: 12, queueCountMax: 64)
    private let peers = Mutex<[Peer]>([])

    package init(_ script: @escaping Script) throws {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        listener = Mutex(descriptor)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { raw in
                bind(descriptor, raw, length) == 0 && listen(descriptor, 64) == 0
                    && getsockname(descriptor, raw, &length) == 0
            }
        }
        guard status else { throw SetupFailure() }
        port = UInt16(bigEndian: address.sin_port)
        try pool.submit { [self] in
            while true {
                let accepted = accept(descriptor, nil, nil)
                guard accepted >= 0 else { return closeListener() }
                let peer = Peer(accepted)
                peers.withLock { $0.append(peer) }
                do {
                    try pool.submit {
                        script(peer)
                        peer.close()
                    }
                } catch { peer.close() }
            }
        }
    }

    package struct SetupFailure: Error {}

    package var url: String { "http://127.0.0.1:\(port)" }

    /// Connections that clients have opened so far.
    package var acceptCount: Int { peers.withLock { $0.count } }

    /// Ends all connections and threads, and waits for them. Not to be called by a script.
    package func close() {
        stop()
        pool.close()
    }

    /// Ends all connections and threads, and waits for nobody.
    package func stop() {
        listener.withLock { if let open = $0 { _ = shutdown(open, Int32(SHUT_RDWR)) } }
        for peer in peers.withLock({ $0 }) { peer.hangUp() }
    }

    private func closeListener() {
        listener.withLock {
            if let open = $0 { Glibc.close(open) }
            $0 = nil
        }
    }
}
