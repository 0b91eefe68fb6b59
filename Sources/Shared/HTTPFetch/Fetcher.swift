// SPDX-License-Identifier: Apache-2.0

import Blocking
import CLibcurl

/// Outbound HTTP/1.1 of both programs, over libcurl. One thread owns one multi handle; requests, pauses, and ends reach
/// it through a mailbox, and handlers are called on it.
///
/// Connections are kept and shared by all requests of one fetcher; a fetcher per purpose keeps one purpose from taking
/// the connections of another. Redirects are answers, not steps. Nothing comes from the environment: no proxy, no
/// `.netrc`, no cookies.
///
/// Limits: requests (`transferCountMax`), connections per host, lines and bytes of a head, bytes of a body, time.
package final class Fetcher: Sendable {
    package struct Configuration: Sendable {
        package var userAgent = "depot-registry"
        /// PEM file of trusted authorities; `nil`: those of the system.
        package var certificateAuthorityFile: String?
        /// Requests above it wait for a connection.
        package var hostConnectionCountMax = 32
        /// Requests running and waiting.
        package var transferCountMax = 1024
        /// At most so many body bytes are gathered for one call of a handler that has no room of its own.
        package var slabBytes = 256 * 1024
        var headLimits = HeadReader.Limits()

        package init() {}
    }

    private let mailbox: Mailbox
    private let thread: OwnerThread<CurlLoop>

    /// Starts the thread.
    /// - Parameter name: Of the thread; the kernel keeps 15 bytes.
    /// - Throws: `FetchError` if libcurl does not start or refuses an option.
    package init(name: String, configuration: Configuration = Configuration()) throws(FetchError) {
        precondition(configuration.slabBytes > 0, "a slab holds something")
        let multi = try MultiHandle([
            (CURLMOPT_MAX_HOST_CONNECTIONS, configuration.hostConnectionCountMax),
            (CURLMOPT_MAXCONNECTS, 128),
            (CURLMOPT_PIPELINING, CURLPIPE_NOTHING),
        ])
        let mailbox = Mailbox(multi: multi, transferCountMax: configuration.transferCountMax)
        self.mailbox = mailbox
        thread = OwnerThread(name: name, queueCountMax: 1) { CurlLoop(multi, mailbox, configuration) }
        do throws(BlockingError) {
            try thread.submit { loop in loop.run() }
        } catch {
            throw FetchError(.other, "the fetcher's thread takes no work")
        }
    }

    /// Dropping a fetcher closes it without waiting.
    deinit { mailbox.close() }

    /// Starts a request. Any thread; never blocks.
    ///
    /// - Throws: `.overloaded` or, after `close()`, `.cancelled`; the handler is then never called. Every other failure,
    ///   a bad URL too, reaches `fetchEnded`.
    @discardableResult
    package func start(_ request: FetchRequest, handler: any FetchHandler) throws(FetchError) -> FetchHandle {
        FetchHandle(id: try mailbox.start(request, handler), mailbox: mailbox)
    }

    /// Ends every request with `.cancelled`, refuses further ones, and waits for the thread. Blocks; not to be called
    /// from a handler.
    package func close() {
        mailbox.close()
        thread.close()
    }
}
