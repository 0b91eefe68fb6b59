// SPDX-License-Identifier: Apache-2.0

import Hashing

/// Why a link is refused.
package enum LinkRefusal: Error, Sendable, Equatable {
    /// 400: not a link, or not exactly as links are written.
    case malformed
    /// 403: unsigned, signed by nobody known here, for another edge, or valid for longer than links are.
    case forbidden
    /// 403 with `Depot-Reason: expired`: a genuine link whose time is over; the registry gives a new one.
    case expired
}

/// Verifies links at one edge. A value made once per set of keys; a call takes a few microseconds on any thread.
package struct LinkVerifier: Sendable {
    /// How far clocks may be apart, in seconds.
    package static let leewaySeconds: Int64 = 60

    package enum Expiry: Sendable {
        /// A client's request: the link's time must not be over.
        case enforced
        /// A link as proof that its holder was sent for this blob: it may be up to this old, counted from its minting.
        case age(atMost: Duration)
    }

    private let edgeID: String
    private let keys: [LinkKey]
    private let timeToLiveSeconds: Int64

    /// - Parameters:
    ///   - keys: The keys of this edge under all masters in use: previous, current and next.
    ///   - timeToLive: How long links are minted for.
    package init(edgeID: String, keys: [LinkKey], timeToLive: Duration) {
        self.edgeID = edgeID
        self.keys = keys
        timeToLiveSeconds = Self.bounded(timeToLive)
    }

    /// - Parameters:
    ///   - target: The request target as it came, undecoded.
    ///   - now: Unix time, in seconds.
    /// - Throws: The first that applies of: outside the grammar, not genuine, expired.
    package func verify(
        target: String,
        now: Int64,
        expiry: Expiry = .enforced
    ) throws(LinkRefusal) -> Link {
        var target = target
        return try target.withUTF8 { bytes in
            Result { () throws(LinkRefusal) in try verify(target: bytes, now: now, expiry: expiry) }
        }.get()
    }

    package func verify(
        target: UnsafeBufferPointer<UInt8>,
        now: Int64,
        expiry: Expiry = .enforced
    ) throws(LinkRefusal) -> Link {
        guard let (link, signature) = LinkReader.read(target) else { throw .malformed }
        guard let signature, link.edgeID == edgeID,
            let key = keys.first(where: { $0.id == link.keyID }),
            key.mac.isValid(signature, for: link.signedBytes)
        else { throw .forbidden }
        try check(link.expiry, now: now, expiry)
        return link
    }

    private func check(_ expiry: Int64, now: Int64, _ rule: Expiry) throws(LinkRefusal) {
        let (remainingSeconds, overflow) = expiry.subtractingReportingOverflow(now)
        guard !overflow, remainingSeconds <= timeToLiveSeconds + Self.leewaySeconds else { throw .forbidden }
        let overdueSecondsMax: Int64 =
            switch rule {
            case .enforced: 0
            case .age(let age): max(0, Self.bounded(age) - timeToLiveSeconds)
            }
        guard remainingSeconds >= -(overdueSecondsMax + Self.leewaySeconds) else { throw .expired }
    }

    /// Seconds, no fewer than none and no more than a thousand years: the time to live comes from the network.
    private static func bounded(_ duration: Duration) -> Int64 {
        min(max(0, duration.components.seconds), 1 << 35)
    }
}
