// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Synchronization

/// Stands between an edge and its origin.
protocol OriginProxy: Sendable {
    /// What the edge takes for its origin.
    var url: String { get }
    /// Connections that come before this are closed.
    func forward(to endpoint: Endpoint)
    func close()
}

/// Takes connections on the loopback, on a thread of its own, until it is closed.
final class LoopbackListener: Sendable {
    let endpoint: Endpoint
    private let socket: Socket

    private final class Socket: Sendable {
        /// `nil` once it is closed: the number may be somebody else's by then.
        private let descriptor: Mutex<Int32?>

        init(_ descriptor: Int32) { self.descriptor = Mutex(descriptor) }

        /// Ends `accept`, whoever waits in it.
        func shutDown() { descriptor.withLock { _ = $0.map { shutdown($0, Int32(SHUT_RDWR)) } } }

        func close() {
            descriptor.withLock { descriptor in
                _ = descriptor.map { Glibc.close($0) }
                descriptor = nil
            }
        }

        func acceptNext() -> Int32? {
            guard let listener = descriptor.withLock({ $0 }) else { return nil }
            let client = accept(listener, nil, nil)
            return client >= 0 ? client : nil
        }
    }

    /// Listens at once; connections wait for `start`.
    init() throws {
        let (descriptor, endpoint) = try listenOnLoopback(backlog: 64)
        self.endpoint = endpoint
        socket = Socket(descriptor)
    }

    deinit { close() }

    /// - Parameter take: Gets each connection for as long as the owner lives, and closes it. On the listener's thread.
    func start<Owner: AnyObject & Sendable>(
        for owner: Owner, _ take: @escaping @Sendable (Owner, Int32) -> Void
    ) {
        let socket = socket
        Thread.detachNewThread { [weak owner] in
            while let client = socket.acceptNext() {
                if let owner { take(owner, client) } else { Glibc.close(client) }
            }
            socket.close()
        }
    }

    /// Takes no more connections.
    func close() { socket.shutDown() }
}

/// A blocking socket to a server; `nil` if it cannot be reached. Whoever asked for it closes it.
func connectedSocket(to endpoint: Endpoint) -> Int32? {
    let server = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_in(endpoint)
    let result = withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            connect(server, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
    }
    guard result == 0 else {
        close(server)
        return nil
    }
    return server
}

/// Closes both descriptors of a relay once both directions have ended.
final class OpenSides: Sendable {
    private let descriptors: [Int32]
    private let endedCount = Atomic(0)

    init(descriptors: [Int32]) { self.descriptors = descriptors }

    func ended() {
        guard endedCount.add(1, ordering: .acquiringAndReleasing).newValue == descriptors.count else { return }
        for descriptor in descriptors { close(descriptor) }
    }
}
