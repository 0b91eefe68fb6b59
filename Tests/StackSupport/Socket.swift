// SPDX-License-Identifier: Apache-2.0

package import Foundation
import Glibc

/// A blocking TCP connection with a limit on each wait. For one thread.
package final class Socket {
    private let descriptor: Int32

    /// - Parameter host: An IPv4 address in digits.
    package init(host: String, port: UInt16, limit: Duration = .seconds(60)) throws {
        descriptor = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var wait = timeval(tv_sec: Int(limit.components.seconds), tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &wait, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &wait, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        let isAddress = inet_pton(AF_INET, host, &address.sin_addr) == 1
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard isAddress, status == 0 else {
            let problem = errno
            throw RawHTTPError(description: "connect \(host):\(port): \(String(cString: strerror(problem)))")
        }
    }

    deinit { close(descriptor) }

    /// Sends everything. SIGPIPE is suppressed; a closed peer is an error.
    package func send(_ bytes: Data) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw RawHTTPError(description: "send: \(String(cString: strerror(errno)))") }
            rest = rest.dropFirst(count)
        }
    }

    /// What arrives next; empty when the peer has closed its side.
    /// - Throws: On a reset, and when nothing arrives within the limit.
    package func receive(countMax: Int = 256 << 10) throws -> Data {
        var buffer = Data(count: countMax)
        let count = buffer.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress, $0.count, 0) }
        guard count >= 0 else { throw RawHTTPError(description: "receive: \(String(cString: strerror(errno)))") }
        return buffer.prefix(count)
    }

    /// Ends our side; the peer sees FIN.
    package func finishSending() {
        shutdown(descriptor, Int32(SHUT_WR))
    }
}
