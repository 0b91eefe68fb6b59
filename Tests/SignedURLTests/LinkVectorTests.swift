// SPDX-License-Identifier: Apache-2.0

import Hashing
import SignedURL
import Testing

@Suite("Signed links: vectors")
struct LinkVectorTests {
    let vectors: LinkVectors

    init() throws { vectors = try LinkVectors.all.get() }

    static var valid: [LinkVectors.Valid] { (try? LinkVectors.all.get().valid) ?? [] }
    static var refused: [LinkVectors.Refused] { (try? LinkVectors.all.get().refused) ?? [] }

    @Test("the file has its vectors")
    func fileIsComplete() {
        #expect(vectors.valid.count >= 10)
        #expect(vectors.refused.count >= 110)
    }

    @Test("an edge's key is derived from the master and its id", arguments: valid)
    func derive(_ vector: LinkVectors.Valid) throws {
        #expect(try Hex.encode(vectors.key(vector.keyID, edgeID: vector.edgeID).secret) == vector.edgeKey)
    }

    @Test("minting gives the text of the vector", arguments: valid)
    func mint(_ vector: LinkVectors.Valid) throws {
        let key = try vectors.key(vector.keyID, edgeID: vector.edgeID)
        #expect(LinkSigner.target(for: try vector.link, key: key) == vector.target)
    }

    @Test("verifying gives the link of the vector", arguments: valid)
    func verify(_ vector: LinkVectors.Valid) throws {
        let verifier = try vectors.verifier(edgeID: vector.edgeID)
        #expect(try verifier.verify(target: vector.target, now: vector.now) == vector.link)
    }

    @Test("a link that is not right is refused for the first reason that applies", arguments: refused)
    func refuse(_ vector: LinkVectors.Refused) throws {
        let verifier = try vectors.verifier(edgeID: vectors.edgeID)
        #expect(throws: vector.refusal) {
            try verifier.verify(target: vector.target, now: vector.now)
        }
    }

    @Test("no change of a single byte leaves a link valid")
    func everyByteCounts() throws {
        let vector = try #require(vectors.valid.first)
        let verifier = try vectors.verifier(edgeID: vector.edgeID)
        for offset in 0..<vector.target.utf8.count {
            for replacement in [UInt8(ascii: "0"), UInt8(ascii: "a"), UInt8(ascii: "&"), 0xFF] {
                var bytes = Array(vector.target.utf8)
                guard bytes[offset] != replacement else { continue }
                bytes[offset] = replacement
                let isRefused = bytes.withUnsafeBufferPointer { changed in
                    (try? verifier.verify(target: changed, now: vector.now)) == nil
                }
                #expect(isRefused, "byte \(offset)")
            }
        }
    }

    @Test("no beginning of a link is a link")
    func everyPrefixIsRefused() throws {
        let vector = try #require(vectors.valid.first)
        let verifier = try vectors.verifier(edgeID: vector.edgeID)
        for count in 0..<vector.target.utf8.count {
            #expect(throws: LinkRefusal.self) {
                try verifier.verify(target: String(vector.target.prefix(count)), now: vector.now)
            }
        }
    }
}
