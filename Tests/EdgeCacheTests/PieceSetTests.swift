// SPDX-License-Identifier: Apache-2.0

import EdgeCache
import Testing

@Suite("A set of pieces")
struct PieceSetTests {
    @Test("counts what is put in and taken out, once each")
    func counts() {
        var set = PieceSet(pieceCount: 130)
        let inserted = [set.insert(0), set.insert(0), set.insert(64), set.insert(129)]
        #expect(inserted == [true, false, true, true])
        #expect(set.count == 3)
        #expect(set.contains(129))
        let removed = [set.remove(64), set.remove(64)]
        #expect(removed == [true, false])
        #expect(set.count == 2)
        set.removeAll()
        #expect(set == PieceSet(pieceCount: 130))
    }

    @Test("pieces outside the blob are never in it")
    func outside() {
        var set = PieceSet(pieceCount: 3)
        for piece in [-1, 3, 64, .max, .min] {
            let isChanged = set.insert(piece) || set.remove(piece)
            #expect(!isChanged)
            #expect(!set.contains(piece))
        }
        #expect(set.count == 0)
    }

    @Test("is full with all pieces", arguments: [0, 1, 63, 64, 65, 200])
    func full(pieceCount: Int) {
        var set = PieceSet(allOf: pieceCount)
        #expect(set.isFull && set.count == pieceCount)
        if set.remove(pieceCount - 1) { #expect(!set.isFull) }
    }
}
