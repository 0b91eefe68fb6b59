// SPDX-License-Identifier: Apache-2.0

import Glibc
import Testing

/// A blocking TCP socket on which everything ends at a deadline. Confined to one thread at a time.
final class DeadlineSocket {
    /// What became of the other side.
    enum Received: Equatable {
        case bytes(Int)
        /// FIN: the other side ended its stream in order.
        case fin
        /// RST: the other side threw the connection away.
        case reset
    }

    enum Failure: Error, Equatable {
        case timedOut
        /// The other side no longer takes bytes; how many it took of this write.
        case closed(sentBytes: Int)
        case system(call: String, errno: Int32)
    }

    let descriptor: Int32
    private let deadline: ContinuousClock.Instant

    /// - Parameters:
    ///   - source: The address to come from; `nil`: the system's choice.
    ///   - limit: For everything that is done with the socket, counted from now.
    init(to endpoint: Endpoint, from source: String? = nil, limit: Duration, receiveBufferBytes: Int32?) throws {
        deadline = .now + limit
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw Failure.system(call: "socket", errno: errno) }
        if var bytes = receiveBufferBytes {
            setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &bytes, socklen_t(MemoryLayout<Int32>.size))
        }
        if let source {
            var address = sockaddr_in(Endpoint(host: source, port: 0))
            let result = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            guard result == 0 else { throw Failure.system(call: "bind", errno: errno) }
        }
        var address = sockaddr_in(endpoint)
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else { throw Failure.system(call: "connect", errno: errno) }
        guard fcntl(descriptor, F_SETFL, O_NONBLOCK) == 0 else { throw Failure.system(call: "fcntl", errno: errno) }
    }

    deinit { close(descriptor) }

    /// Writes all of it.
    func send(_ bytes: UnsafeRawBufferPointer) throws {
        var sent = 0
        while sent < bytes.count {
            let result = Glibc.send(descriptor, bytes.baseAddress! + sent, bytes.count - sent, Int32(MSG_NOSIGNAL))
            if result >= 0 {
                sent += result
                continue
            }
            switch errno {
            case EAGAIN: try wait(for: POLLOUT)
            case EINTR: continue
            case EPIPE, ECONNRESET: throw Failure.closed(sentBytes: sent)
            default: throw Failure.system(call: "send", errno: errno)
            }
        }
    }

    /// Waits for bytes, or for the end.
    func receive(into buffer: UnsafeMutableRawBufferPointer) throws -> Received {
        while true {
            let result = recv(descriptor, buffer.baseAddress, buffer.count, 0)
            if result > 0 { return .bytes(result) }
            if result == 0 { return .fin }
            switch errno {
            case EAGAIN: try wait(for: POLLIN)
            case EINTR: continue
            case ECONNRESET, EPIPE: return .reset
            default: throw Failure.system(call: "recv", errno: errno)
            }
        }
    }

    /// Whether bytes or the end of the stream can be received now.
    func hasInput() -> Bool {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&entry, 1, 0) > 0
    }

    /// Ends our side of the stream; the other may go on.
    func finishSending() {
        shutdown(descriptor, Int32(SHUT_WR))
    }

    /// Ends both sides without order: RST.
    func abort() {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
        // Connecting to no address dissolves the association; the descriptor stays ours.
        var nobody = sockaddr(sa_family: sa_family_t(AF_UNSPEC), sa_data: (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))
        _ = connect(descriptor, &nobody, socklen_t(MemoryLayout<sockaddr>.size))
    }

    private func wait(for events: Int32) throws {
        let remaining = deadline - .now
        guard remaining > .zero else { throw Failure.timedOut }
        var entry = pollfd(fd: descriptor, events: Int16(events), revents: 0)
        let result = poll(&entry, 1, Int32(min(remaining / .milliseconds(1), 3_600_000)) + 1)
        guard result >= 0 || errno == EINTR else { throw Failure.system(call: "poll", errno: errno) }
    }
}

extension sockaddr_in {
    init(_ endpoint: Endpoint) {
        self.init()
        sin_family = sa_family_t(AF_INET)
        sin_port = endpoint.port.bigEndian
        inet_pton(AF_INET, endpoint.host, &sin_addr)
    }
}

/// A socket that listens on a free port of the loopback. Whoever asked for it closes it.
func listenOnLoopback(backlog: Int32) throws -> (descriptor: Int32, endpoint: Endpoint) {
    let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_in(Endpoint(host: "127.0.0.1", port: 0))
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isListening = withUnsafeMutablePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            bind(listener, $0, length) == 0 && listen(listener, backlog) == 0 && getsockname(listener, $0, &length) == 0
        }
    }
    try #require(isListening)
    return (listener, Endpoint(host: "127.0.0.1", port: UInt16(bigEndian: address.sin_port)))
}
