// SPDX-License-Identifier: Apache-2.0

import Grammar
import Hashing
import Synchronization

/// Why a request of an edge is refused.
package enum RequestRefusal: Error, Sendable, Equatable {
    /// 401: a header is missing or malformed, the edge is unknown, or the signature is wrong; it is not told which.
    case notGenuine
    /// 401: genuine, but the edge's clock is more than a minute off. Told, since only the edge can cause it.
    case clockOff(bySeconds: Int64)
    /// 401: genuine, but seen before.
    case replayed
    /// 503: the edge sent more requests within two minutes than are remembered.
    case tooMany
}

/// A request that an edge signed.
package struct VerifiedRequest: Sendable {
    package let keys: JoinKeys
    package let nonce: String

    package var edgeID: String { keys.edgeID }

    /// The `Depot-MAC` of the answer to it.
    package func answerMAC(path: String, status: Int, body: [UInt8]) -> String {
        AnswerMAC.text(nonce: nonce, path: path, status: status, body: body, keys: keys)
    }
}

/// The origin's side: one for all edges. It remembers nonces in memory, so a request may be replayed once to another
/// origin, or after a restart; within a minute, and none of the requests does harm when repeated.
package final class RequestVerifier: Sendable {
    package static let clockSkewSecondsMax: Int64 = 60
    static let nonceBytes = 16

    private let window: Mutex<ReplayWindow>

    /// - Parameter nonceCountMax: How many nonces are remembered per edge.
    package init(nonceCountMax: Int = 1 << 18) {
        window = Mutex(ReplayWindow(nonceCountMax: nonceCountMax))
    }

    /// - Parameters:
    ///   - path: With the query, exactly as it came.
    ///   - header: The value of a header by its lower-case name; `nil` if it is absent or there are several.
    ///   - now: Unix time in seconds.
    ///   - keys: The keys of an edge that may join.
    package func verify(
        method: String,
        path: String,
        header: (String) -> String?,
        body: [UInt8],
        now: Int64,
        keys: (_ edgeID: String) -> JoinKeys?
    ) throws(RequestRefusal) -> VerifiedRequest {
        guard let edgeID = header(EdgeAPIHeader.edge), let keys = keys(edgeID),
            let timestampText = header(EdgeAPIHeader.timestamp), let timestamp = Int64(timestampText),
            timestamp >= 0, timestampText == String(timestamp),
            let nonceText = header(EdgeAPIHeader.nonce), let nonce = ReplayWindow.Nonce(nonceText),
            let signature = header(EdgeAPIHeader.signature).flatMap({ Base64URL.decode($0) })
        else { throw .notGenuine }
        let fields = RequestFields(method: method, path: path, timestamp: timestamp, nonce: nonceText, body: body)
        guard keys.request.isValid(signature, for: fields.signedBytes) else { throw .notGenuine }

        // From here on the edge itself is speaking: what it is told helps nobody else.
        let (skew, overflow) = timestamp.subtractingReportingOverflow(now)
        guard !overflow, -Self.clockSkewSecondsMax...Self.clockSkewSecondsMax ~= skew else {
            throw .clockOff(bySeconds: overflow ? .max : skew)
        }
        switch window.withLock({ $0.admit(nonce, from: edgeID, sentAt: timestamp, now: now) }) {
        case .fresh: return VerifiedRequest(keys: keys, nonce: nonceText)
        case .replayed: throw .replayed
        case .full: throw .tooMany
        }
    }
}
