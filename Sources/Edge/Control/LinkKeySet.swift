// SPDX-License-Identifier: Apache-2.0

import EdgeProtocol
import SignedURL

/// The keys that an origin gave this edge, ready for use.
struct LinkKeySet: Sendable {
    let answer: KeysAnswer
    let verifier: LinkVerifier

    /// More keys in one answer are refused: previous, current, and next are three.
    private static let keyCountMax = 16
    /// Links that live longer than a day are an origin's mistake.
    private static let timeToLiveSeconds: ClosedRange<Int64> = 1...86_400

    /// - Returns: `nil` unless every key, its id, and the time to live are possible, and at least one key is there.
    init?(_ answer: KeysAnswer, edgeID: String) {
        guard (1...Self.keyCountMax).contains(answer.keys.count),
            Self.timeToLiveSeconds.contains(answer.linkTTLSeconds)
        else { return nil }
        var keys: [LinkKey] = []
        for key in answer.keys {
            guard Link.isLabel(key.id), let secret = key.secretBytes else { return nil }
            keys.append(LinkKey(id: key.id, secret: secret))
        }
        self.answer = answer
        verifier = LinkVerifier(edgeID: edgeID, keys: keys, timeToLive: .seconds(answer.linkTTLSeconds))
    }

    /// Whether a link names a key that is held. What is no link names none, and none is missed.
    func holdsKey(of target: String) -> Bool {
        guard let parameter = target.split(separator: "&").first(where: { $0.hasPrefix("k=") }) else { return true }
        let id = parameter.dropFirst(2)
        return !Link.isLabel(String(id)) || answer.keys.contains { $0.id == id }
    }
}
