// SPDX-License-Identifier: Apache-2.0

import OCI

extension TrustPolicy {
    package enum Match: Sendable, Equatable {
        case matched
        case unmatched(ClaimMismatch)
    }

    /// The first claim of an identity that is not as a policy wants it.
    package struct ClaimMismatch: Sendable, Equatable {
        package let claim: String
        package let expected: ExpectedValue
        /// What the token has instead, as JSON, cut to a few bytes; `nil` without the claim.
        package let found: String?
        /// Checks that the identity passed before this one.
        package let passedCount: Int

        private static let foundBytesMax = 256

        init(_ claim: String, _ expected: ExpectedValue, found: JSONValue?, passedCount: Int) {
            self.claim = claim
            self.expected = expected
            self.found = found.map { String(decoding: $0.encode().prefix(Self.foundBytesMax), as: UTF8.self) }
            self.passedCount = passedCount
        }

        package var fault: TrustFault {
            let message = "claim \(claim) does not match: expected \(expected.words)"
            return TrustFault(.unmatched, message, detail: "\(message), found \(found ?? "no such claim")")
        }
    }

    /// Holds an identity against the policy: issuer, audience, the conditions in their order, forks.
    package func evaluate(_ identity: VerifiedIdentity) -> Match {
        func unmatched(_ claim: String, _ expected: ExpectedValue, _ passedCount: Int) -> Match {
            .unmatched(
                ClaimMismatch(claim, expected, found: identity.claims[claim], passedCount: passedCount))
        }
        guard identity.issuer.utf8.elementsEqual(issuer.utf8) else { return unmatched("iss", .issuer, 0) }
        guard isAudience(identity.claims["aud"]) else { return unmatched("aud", .audience, 1) }
        for (index, condition) in conditions.enumerated() where !condition.allows(identity.claims[condition.claim]) {
            return unmatched(condition.claim, ExpectedValue(condition), 2 + index)
        }
        if let (claim, expected) = objection(to: identity.claims) {
            return unmatched(claim, expected, 2 + conditions.count)
        }
        return .matched
    }

    /// The first policy that an identity matches.
    ///
    /// - Returns: Its index.
    /// - Throws: The fault of the policy that got furthest, the first one of several: most likely the one that was meant.
    package static func firstMatch(
        of policies: [TrustPolicy], for identity: VerifiedIdentity
    ) throws(TrustFault) -> Int {
        var furthest: ClaimMismatch?
        for (index, policy) in policies.enumerated() {
            guard case .unmatched(let mismatch) = policy.evaluate(identity) else { return index }
            if mismatch.passedCount > furthest?.passedCount ?? -1 { furthest = mismatch }
        }
        throw furthest?.fault ?? TrustFault(.unmatched, "there is no trust relationship with this issuer")
    }

    /// RFC 7519, section 4.1.3: one text, or a list of them.
    private func isAudience(_ value: JSONValue?) -> Bool {
        switch value {
        case .string(let text): text.utf8.elementsEqual(audience.utf8)
        case .array(let values): values.contains { $0.stringValue?.utf8.elementsEqual(audience.utf8) ?? false }
        case .null, .bool, .number, .object, nil: false
        }
    }
}
