// SPDX-License-Identifier: Apache-2.0

import Blocking
import EdgeProtocol
import HTTPTypes
import Hashing
import OCI
import OriginAuth
import OriginBlobStore
import OriginMetadata
import SignedURL

extension EdgeAPI {
    /// The edge is alive; it learns of all origins, and whether its keys are old.
    func heartbeat(_ body: [UInt8], _ member: FleetMember) throws -> EdgeAnswer {
        guard let message = try? HeartbeatRequest(json: body) else { return .refused(.badRequest, "not a heartbeat") }
        let now = clock.unixMilliseconds()
        let (offset, overflow) = message.unixTimeMilliseconds.subtractingReportingOverflow(now)
        fleet.heard(
            member.record.id,
            FleetState.Report(
                isDraining: message.isDraining,
                clockOffset: .milliseconds(overflow ? .max : offset),
                freeBytes: message.freeBytes,
                capacityBytes: message.capacityBytes,
                inflightRequestCount: message.inflightRequests))
        return try .json(
            HeartbeatAnswer(
                origins: origins.origins.map { HeartbeatAnswer.Origin(id: $0.id, url: $0.url) },
                linkTTLSeconds: fleet.linkTimeToLiveSeconds,
                keysVersion: masters.version,
                unixTimeMilliseconds: now))
    }

    /// The edge's own link keys, derived: they verify no other edge's links.
    func keys(_ member: FleetMember) throws -> EdgeAnswer {
        try .json(
            KeysAnswer(
                linkTTLSeconds: fleet.linkTimeToLiveSeconds,
                keysVersion: masters.version,
                keys: member.linkKeys.map { state, key in
                    KeysAnswer.Key(id: key.id, secret: key.secret, state: KeysAnswer.State(state))
                }))
    }

    /// Where to fetch a blob from. The right to is the client's link for this very edge, at most a day old.
    func fills(_ body: [UInt8], _ member: FleetMember) async throws -> EdgeAnswer {
        guard let message = try? FillsRequest(json: body) else { return .refused(.badRequest, "not a fills request") }
        let verifier = LinkVerifier(
            edgeID: member.record.id,
            keys: member.linkKeys.map(\.key),
            timeToLive: .seconds(fleet.linkTimeToLiveSeconds))
        let link: Link
        do throws(LinkRefusal) {
            link = try verifier.verify(
                target: message.link, now: clock.unixSeconds, expiry: .age(atMost: Self.fillLinkAgeMax))
        } catch {
            return error == .malformed ? .refused(.badRequest, "not a link") : .refused(.forbidden, "forbidden")
        }
        guard let record = try await locator.blob(link.digest), record.sizeBytes == link.sizeBytes else {
            return .refused(.notFound, "blob unknown")
        }
        let key = LinkKey.derive(from: masters.current, edgeID: LinkedBlobs.edgeID)
        let parentLink = Link(
            digest: link.digest,
            edgeID: LinkedBlobs.edgeID,
            expiry: clock.unixSeconds + fleet.linkTimeToLiveSeconds,
            keyID: key.id,
            sizeBytes: link.sizeBytes,
            tenant: link.tenant)
        let url = origins.url.description + LinkSigner.target(for: parentLink, key: key)
        return try .json(
            FillsAnswer(
                digest: link.digest, sizeBytes: link.sizeBytes, parents: [.init(kind: .origin, url: url)]))
    }

    /// The piece list of a blob: hashes, which are of use only to who has the bytes.
    func pieces(_ digest: Digest) async throws -> EdgeAnswer {
        guard let record = try await locator.blob(digest), record.hasPieces, let key = BlobKey(record.storageKey) else {
            return .refused(.notFound, "no piece list of this blob")
        }
        let store = store
        guard let list = try await diskPool.run({ try store.pieces(key, digest: digest, sizeBytes: record.sizeBytes) })
        else {
            // The row says that there is one: this is damage, not absence.
            throw BlobStoreError(.io, "the piece list of blob \(digest) is missing")
        }
        return EdgeAnswer(
            status: .ok,
            contentType: "application/octet-stream",
            body: list.rawDigests,
            headers: [.eTag: "\"\(digest)\"", .depotSize: String(record.sizeBytes)])
    }
}

extension KeysAnswer.State {
    fileprivate init(_ state: LinkMasters.State) {
        switch state {
        case .previous: self = .previous
        case .current: self = .current
        case .next: self = .next
        }
    }
}
