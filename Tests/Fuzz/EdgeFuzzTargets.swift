// SPDX-License-Identifier: Apache-2.0

import EdgeCache
import EdgeProtocol
import EdgeRequests
import Hashing
import OCI
import SignedURL

/// What an edge reads that others wrote: links of clients, messages of origins, and files that a crash, a failing disk or
/// another program may have left in the cache.
extension FuzzTarget {
    private static let edgeID = "edge0123456789ab"
    private static let linkKey = LinkKey.derive(
        from: LinkMaster(id: "k1", secret: (0..<32).map { UInt8($0) }), edgeID: edgeID)
    private static let verifier = LinkVerifier(edgeID: edgeID, keys: [linkKey], timeToLive: .seconds(900))
    private static let now: Int64 = 1_800_000_000
    private static let digest = SHA256.hash(Array("fuzz".utf8))

    // MARK: Links

    /// What is taken for a link is one by a second reading of the grammar, and what is genuine is the one text that the
    /// origin writes for it.
    static func links(_ text: String) {
        do throws(LinkRefusal) {
            let link = try verifier.verify(target: text, now: now)
            precondition(isLinkText(text), "a genuine link follows the grammar")
            precondition(LinkSigner.target(for: link, key: linkKey) == text, "one link has one text")
            precondition(link.expiry >= now - 60 && link.expiry <= now + 960, "a link that counts now")
        } catch {
            precondition((error == .malformed) == !isLinkText(text), "malformed is what the grammar does not have")
        }
    }

    /// The grammar of links once more, slower and in other words than `LinkReader`'s.
    private static func isLinkText(_ text: String) -> Bool {
        let parts = text.utf8.split(separator: UInt8(ascii: "?"), omittingEmptySubsequences: false).map(Array.init)
        guard parts.count == 2 else { return false }
        let path = parts[0].split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).map(Array.init)
        let items = parts[1].split(separator: UInt8(ascii: "&"), omittingEmptySubsequences: false).map(Array.init)
        guard path.count == 5, path[0].isEmpty, path[1] == Array("b".utf8), path[2] == Array("v1".utf8) else {
            return false
        }
        let digitCount = path[3] == Array("sha256".utf8) ? 64 : path[3] == Array("sha512".utf8) ? 128 : -1
        guard path[4].count == digitCount, path[4].allSatisfy({ "0123456789abcdef".utf8.contains($0) }) else {
            return false
        }
        let names = ["a=", "e=", "k=", "s=", "t=", "g="]
        guard items.count == 5 || items.count == 6 else { return false }
        return zip(names, items).allSatisfy { name, item in
            guard item.starts(with: name.utf8) else { return false }
            let value = Array(item.dropFirst(2))
            switch name {
            case "e=", "s=":
                // Leading zeros and numbers beyond 63 bits do not come back as they were.
                return Int64(String(decoding: value, as: UTF8.self)).map { Array("\($0)".utf8) == value && $0 >= 0 }
                    ?? false
            case "g=":
                // 43 characters are 258 bits: the last two are zero.
                let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
                let indices = value.compactMap { alphabet.firstIndex(of: $0) }
                return value.count == 43 && indices.count == 43 && indices[42] % 4 == 0
            default:
                return (1...32).contains(value.count)
                    && value.allSatisfy { "abcdefghijklmnopqrstuvwxyz0123456789-".utf8.contains($0) }
            }
        }
    }

    // MARK: Requests

    /// A head is read once, whatever follows it, and what was malformed stays so; the range that is sent lies in the blob.
    static func requests(_ bytes: [UInt8]) {
        switch read(bytes) {
        case .incomplete: break
        case .malformed: precondition(isMalformed(bytes + [UInt8(ascii: "x")]), "more bytes mend nothing")
        case .request(let request, let byteCount):
            let head = Array(bytes[..<byteCount])
            precondition(head.suffix(4).elementsEqual("\r\n\r\n".utf8), "an empty line ends the head")
            precondition(read(head) == .request(request, byteCount: byteCount), "what follows does not matter")
            precondition(read(Array(head.dropLast())) == .incomplete, "a head that is not whole is not read")
            precondition(request.target.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }, "a target on one line")
            switch DeliveryPlan(request, verifier: verifier, now: now) {
            case .send(let link, let range, let isPart):
                precondition(!range.isEmpty && range.lowerBound >= 0, "bytes to send")
                precondition(range.upperBound <= link.sizeBytes, "inside the blob")
                precondition(isPart || range == 0..<link.sizeBytes, "a part, or all of it")
                precondition(!request.hasBody, "a request with a body ends its connection")
            case .refuse(let refusal): precondition((400..<500).contains(refusal.status), "a client's error")
            case .notModified, .unsatisfiable, .exists: break
            }
        }
    }

    private static func read(_ bytes: [UInt8]) -> RequestReader.Answer {
        bytes.withUnsafeBytes { RequestReader.read($0) }
    }

    private static func isMalformed(_ bytes: [UInt8]) -> Bool {
        if case .malformed = read(bytes) { true } else { false }
    }

    // MARK: Files of the cache

    /// A trailer is its blob's own, whole and unharmed, or none. The first two bytes choose the number of pieces and a
    /// byte to harm.
    static func trailers(_ bytes: [UInt8]) {
        guard bytes.count >= 2 else { return }
        let body = Array(bytes[2...])
        let pieceCount = Int(bytes[0]) % 64
        let sizeBytes = Int64(pieceCount) * PieceList.pieceBytes - (pieceCount > 0 ? Int64(bytes[1]) : 0)
        if let list = BlobTrailer.decode(body, digest: digest, sizeBytes: sizeBytes) {
            precondition(
                BlobTrailer.encode(list, digest: digest, sizeBytes: sizeBytes) == body, "one list has one trailer")
        }
        guard let list = PieceList(rawDigests: body, blobSizeBytes: sizeBytes) else {
            precondition(body.count != pieceCount * 32, "a list has 32 bytes for each piece, and nothing else has")
            return
        }
        for piece in 0..<list.count {
            let range = list.range(of: piece)
            precondition(!range.isEmpty && range.upperBound <= sizeBytes, "a piece lies in its blob")
            precondition(list.digest(of: piece).bytes.elementsEqual(body[piece * 32..<piece * 32 + 32]), "in order")
        }
        var trailer = BlobTrailer.encode(list, digest: digest, sizeBytes: sizeBytes)
        precondition(BlobTrailer.decode(trailer, digest: digest, sizeBytes: sizeBytes) == list, "as it was written")
        precondition(BlobTrailer.decode(trailer, digest: digest, sizeBytes: sizeBytes + 1) == nil, "of another blob")
        trailer[(Int(bytes[1]) * 257 + body.count) % trailer.count] ^= 1
        precondition(BlobTrailer.decode(trailer, digest: digest, sizeBytes: sizeBytes) == nil, "harmed")
    }

    /// A map is its blob's own with an unharmed header, or none; its bits name pieces of the blob alone. The first two
    /// bytes choose the number of pieces, the next sixteen are the boot id.
    static func maps(_ bytes: [UInt8]) {
        guard bytes.count >= 18, let bootID = BootID(bytes: bytes[2..<18]) else { return }
        let pieceCount = (Int(bytes[0]) << 8 | Int(bytes[1])) % 20_000
        let sizeBytes = Int64(pieceCount) * PieceList.pieceBytes
        let body = Array(bytes[18...])
        if let map = PartialMap.decode(body, digest: digest, sizeBytes: sizeBytes) { check(map, pieceCount) }

        var present = PieceSet(pieceCount: pieceCount)
        for (index, byte) in body.enumerated() { present.insert(index * 8 + Int(byte & 7)) }
        let written = PartialMap(bootID: bootID, present: present).encode(digest: digest, sizeBytes: sizeBytes)
        precondition(written.count == PartialMap.byteCount(forBlobOf: sizeBytes), "as long as it has to be")
        let map = PartialMap.decode(written, digest: digest, sizeBytes: sizeBytes)
        precondition(map == PartialMap(bootID: bootID, present: present), "as it was written")
        // Any bits are a bitmap: what they claim is hashed before it is believed.
        let claims = Array(written[..<PartialMap.headerBytes]) + body
        if let map = PartialMap.decode(claims, digest: digest, sizeBytes: sizeBytes) {
            check(map, pieceCount)
            precondition(map.bootID == bootID, "the header's boot id")
        } else {
            precondition(claims.count != written.count, "only the length can be wrong")
        }
        var harmed = written
        harmed[Int(bytes[17]) % PartialMap.headerBytes] ^= 1
        precondition(PartialMap.decode(harmed, digest: digest, sizeBytes: sizeBytes) == nil, "a harmed header")
    }

    private static func check(_ map: PartialMap, _ pieceCount: Int) {
        precondition(map.present.pieceCount == pieceCount, "of this blob")
        precondition(
            (0..<pieceCount).count { map.present.contains($0) } == map.present.count, "pieces of the blob alone")
    }

    /// A name that is understood is the one that is written, and leads to no other folder.
    static func cacheNames(_ text: String) {
        guard let name = BlobName(text) else { return }
        precondition(name.text == text, "one blob has one name")
        precondition((0...BlobName.sizeBytesMax).contains(name.sizeBytes), "a size that is cached")
        precondition(name.folder.utf8.count == 2 && text.hasPrefix(name.folder), "in its folder")
        precondition(!text.utf8.contains(UInt8(ascii: "/")), "no way out")
    }

    // MARK: Messages

    /// What is understood of a message is written so that it reads the same again.
    static func messages(_ bytes: [UInt8]) {
        survives(ControlLine.self, bytes)
        survives(HeartbeatRequest.self, bytes)
        survives(HeartbeatAnswer.self, bytes)
        survives(FillsRequest.self, bytes)
        survives(FillsAnswer.self, bytes)
        survives(KeysAnswer.self, bytes)
        for key in (try? KeysAnswer(json: bytes))?.keys ?? [] {
            precondition(key.secretBytes.map { $0.count == 32 } ?? true, "a key has 32 bytes")
            precondition(!"\(key)".contains(key.secret) || key.secret.utf8.count < 16, "a key does not show itself")
        }
        if let credential = JoinCredential(String(decoding: bytes, as: UTF8.self)) {
            precondition(credential.text.utf8.elementsEqual(bytes), "one credential has one text")
        }
    }

    private static func survives<Message: EdgeMessage>(_ type: Message.Type, _ bytes: [UInt8]) {
        guard let message = try? Message(json: bytes), let written = try? message.json() else { return }
        // Written again it may be longer than what is read: escapes have several spellings.
        guard written.count <= Message.bytesMax else { return }
        precondition((try? Message(json: written)) == message, "a message survives its encoding")
    }
}
