// SPDX-License-Identifier: Apache-2.0

/// Why a request did not end well. An answer with a status of 400 and above is not an error here: it is an answer.
package struct FetchError: Error, Sendable, Equatable, CustomStringConvertible {
    package enum Kind: Sendable, Equatable {
        /// No name, no route, refused, or no trusted TLS session: nothing was asked yet.
        case connect
        /// A limit on time ran out, or the peer was too slow.
        case timeout
        /// The connection ended before the message did.
        case closedEarly
        /// The head or the body is larger than the request allows.
        case tooLarge
        /// The caller, the handler, or `Fetcher.close()` ended it.
        case cancelled
        /// The answer is not the HTTP that was agreed: another range, a broken head, a length that lies.
        case protocolViolation
        /// The request itself is not one that may be sent: bad URL, `http` where it is not allowed, bad header.
        case invalidRequest
        /// The fetcher has as many requests as it may.
        case overloaded
        case other
    }

    package let kind: Kind
    /// The `CURLcode`, for the log; 0 when the failure is not libcurl's.
    package let curlCode: Int
    /// For the operator's log. Names hosts, never a query string.
    package let message: String

    package init(_ kind: Kind, _ message: String, curlCode: Int = 0) {
        self.kind = kind
        self.curlCode = curlCode
        self.message = message
    }

    package var description: String {
        curlCode == 0 ? "\(kind): \(message)" : "\(kind): \(message) (curl \(curlCode))"
    }

    static let closed = FetchError(.cancelled, "the fetcher is closed")
}
