// SPDX-License-Identifier: Apache-2.0

/// One request. Nothing is added to it beyond what HTTP/1.1 needs: no cookies, no credentials, no encodings.
package struct FetchRequest: Sendable {
    package enum Method: String, Sendable {
        case get = "GET"
        case head = "HEAD"
        case post = "POST"
        case put = "PUT"
        case patch = "PATCH"
        case delete = "DELETE"
    }

    package var method: Method
    /// Absolute, without user or password. The path and the query travel byte for byte as given.
    package var url: String
    /// Sent as given. A name that is no token, or a value with a line break, fails the request.
    package var headers: [(name: String, value: String)]
    /// Sent with `Content-Length`; never with `GET` or `HEAD`.
    package var body: [UInt8]
    /// Half-open and not empty. An answer 206 with another range than this one (cut at the end of the content) fails
    /// the request; an answer 200 is for the handler to judge.
    package var range: Range<Int64>?
    /// A longer body fails the request with `.tooLarge`, before its first byte where `Content-Length` tells.
    package var bodyBytesMax: Int64
    /// Name look-up, TCP, and TLS.
    package var connectTimeout: Duration
    /// From the start to the end of the response head. `nil`: only the other limits apply.
    package var firstByteTimeout: Duration?
    /// Slower than this, on average, for as long as that: the request fails. A paused transfer is not measured.
    package var lowSpeed: LowSpeed?
    /// From the start to the last byte, pauses included.
    package var totalTimeout: Duration?
    /// Without it, `http` URLs fail the request.
    package var allowPlainHTTP: Bool
    /// Which addresses the host may have. Judged after the name is resolved, for each address before it is connected to.
    package var addresses: Addresses

    package enum Addresses: Sendable {
        /// For hosts that the operator named.
        case any
        /// For hosts that somebody else named: nothing inside this network answers. See `PublicAddress`.
        case publicOnly
    }

    package struct LowSpeed: Sendable {
        package var bytesPerSecond: Int
        package var during: Duration

        /// Below this a parent is as good as gone, and another one is asked.
        package static let parent = LowSpeed(bytesPerSecond: 64 * 1024, during: .seconds(10))

        package init(bytesPerSecond: Int, during: Duration) {
            self.bytesPerSecond = bytesPerSecond
            self.during = during
        }
    }

    package init(
        _ method: Method = .get,
        _ url: String,
        headers: [(name: String, value: String)] = [],
        body: [UInt8] = [],
        range: Range<Int64>? = nil,
        bodyBytesMax: Int64 = .max,
        connectTimeout: Duration = .seconds(3),
        firstByteTimeout: Duration? = .seconds(30),
        lowSpeed: LowSpeed? = nil,
        totalTimeout: Duration? = nil,
        allowPlainHTTP: Bool = false,
        addresses: Addresses = .any
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.range = range
        self.bodyBytesMax = bodyBytesMax
        self.connectTimeout = connectTimeout
        self.firstByteTimeout = firstByteTimeout
        self.lowSpeed = lowSpeed
        self.totalTimeout = totalTimeout
        self.allowPlainHTTP = allowPlainHTTP
        self.addresses = addresses
    }
}

/// A whole answer, gathered in memory.
package struct FetchResponse: Sendable {
    package let head: FetchHead
    package let body: [UInt8]

    package var status: Int { head.status }
}
