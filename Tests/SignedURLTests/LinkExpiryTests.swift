// SPDX-License-Identifier: Apache-2.0

import OCI
import SignedURL
import Testing

@Suite("Signed links: time and keys")
struct LinkExpiryTests {
    private static let mintedAt: Int64 = 1_800_000_000
    private static let timeToLive = Duration.seconds(900)

    private let key = LinkKey.derive(
        from: LinkMaster(id: "k1", secret: Array(repeating: 7, count: LinkMaster.secretBytes)), edgeID: "edge1")

    private func target(expiry: Int64 = mintedAt + 900) throws -> String {
        let digest = try #require(Digest(algorithm: .sha256, bytes: Array(repeating: 1, count: 32)))
        return LinkSigner.target(
            for: Link(digest: digest, edgeID: "edge1", expiry: expiry, keyID: "k1", sizeBytes: 1, tenant: "t"), key: key
        )
    }

    private func verifier(_ keys: [LinkKey]) -> LinkVerifier {
        LinkVerifier(edgeID: "edge1", keys: keys, timeToLive: Self.timeToLive)
    }

    @Test(
        "a link holds from a minute before it was minted to a minute after it expired",
        arguments: [
            (-61, LinkRefusal.forbidden), (-60, nil), (0, nil), (900, nil), (960, nil), (961, .expired),
            (1_000_000, .expired),
        ] as [(Int64, LinkRefusal?)])
    func enforced(secondsAfterMinting: Int64, refusal: LinkRefusal?) throws {
        #expect(try answer(secondsAfterMinting, .enforced) == refusal)
    }

    @Test(
        "as proof for a fill, a link counts for a day after it was minted",
        arguments: [
            (-61, LinkRefusal.forbidden), (0, nil), (961, nil), (86_400, nil), (86_460, nil), (86_461, .expired),
        ] as [(Int64, LinkRefusal?)])
    func age(secondsAfterMinting: Int64, refusal: LinkRefusal?) throws {
        #expect(try answer(secondsAfterMinting, .age(atMost: .seconds(86_400))) == refusal)
    }

    @Test("a clock that is far off refuses and does not trap", arguments: [Int64.min, -1_000_000, 1_000_000, .max])
    func absurdClock(now: Int64) throws {
        for expiry in [0, Self.mintedAt, Int64.max - 1_000_000] {
            let target = try target(expiry: expiry)
            #expect(throws: LinkRefusal.self) { try verifier([key]).verify(target: target, now: now) }
        }
    }

    @Test("a time to live beyond all reason does not trap", arguments: [Int64.min, -1, 0, .max])
    func absurdTimeToLive(seconds: Int64) throws {
        let verifier = LinkVerifier(edgeID: "edge1", keys: [key], timeToLive: .seconds(seconds))
        let target = try target(expiry: Self.mintedAt)
        #expect(throws: Never.self) { try verifier.verify(target: target, now: Self.mintedAt) }
        #expect(throws: Never.self) {
            try verifier.verify(target: target, now: Self.mintedAt, expiry: .age(atMost: .seconds(Int64.max)))
        }
    }

    @Test("previous, current and next key verify; a key that was dropped does not")
    func rotation() throws {
        let others = ["k0", "k2"].map { LinkKey(id: $0, secret: Array(repeating: 9, count: 32)) }
        let target = try target()
        #expect(throws: Never.self) {
            try verifier([others[0], key, others[1]]).verify(target: target, now: Self.mintedAt)
        }
        #expect(throws: LinkRefusal.forbidden) { try verifier(others).verify(target: target, now: Self.mintedAt) }
        #expect(throws: LinkRefusal.forbidden) { try verifier([]).verify(target: target, now: Self.mintedAt) }
    }

    /// What verifying answers this long after minting; `nil` if the link holds.
    private func answer(_ secondsAfterMinting: Int64, _ rule: LinkVerifier.Expiry) throws -> LinkRefusal? {
        let target = try target()
        do throws(LinkRefusal) {
            _ = try verifier([key]).verify(target: target, now: Self.mintedAt + secondsAfterMinting, expiry: rule)
            return nil
        } catch {
            return error
        }
    }
}
