// SPDX-License-Identifier: Apache-2.0

/// The head of one request, as far as a blob listener cares for it.
///
/// Everything else that a client sends is checked against the grammar and forgotten, so that a request costs no more
/// than its bytes (`RequestReader`).
package struct BlobRequest: Sendable, Equatable {
    package enum Method: Sendable, Equatable {
        case get, head
        /// The name as it came.
        case other(String)

        package var name: String {
            switch self {
            case .get: "GET"
            case .head: "HEAD"
            case .other(let name): name
            }
        }
    }

    package var method: Method
    /// Path and query, undecoded.
    package var target: String
    /// HTTP/1.0; otherwise 1.1.
    package var isHTTP10 = false
    /// Whether the client wants another answer on this connection.
    package var keepsAlive = true
    /// A body is announced, whatever its length.
    package var hasBody = false
    package var range = RequestField()
    package var ifRange = RequestField()
    package var ifNoneMatch = RequestField()

    package init(method: Method, target: String) {
        self.method = method
        self.target = target
    }
}

/// A header field that may be repeated.
package struct RequestField: Sendable, Equatable {
    /// All values in order, with commas between them (RFC 9110 §5.3); `nil` if there is none.
    package private(set) var joined: String?
    private var isSingle = false

    package init(_ values: String...) {
        for value in values { add(value) }
    }

    /// The value of a field that has to be single to count.
    package var only: String? { isSingle ? joined : nil }

    mutating func add(_ value: String) {
        isSingle = joined == nil
        joined = joined.map { $0 + "," + value } ?? value
    }
}
