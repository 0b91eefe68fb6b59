// SPDX-License-Identifier: Apache-2.0

import Grammar
package import SignedURL

/// What a request at the edge asks for, decided before anything is looked up. A pure function of the request, the
/// link keys and the time; the order of the checks is the table in `Docs/architecture.md`, "Signed links".
package enum DeliveryPlan: Equatable {
    /// Answer without a look at the cache.
    case refuse(Refusal)
    /// 304: the client holds these bytes.
    case notModified(Link)
    /// 416.
    case unsatisfiable(Link)
    /// HEAD, or a blob of no bytes: is the blob here or at a parent? `isHead` says whether a body would follow.
    case exists(Link, isHead: Bool)
    /// 200 or 206 with these bytes.
    case send(Link, Range<Int64>, isPart: Bool)

    package struct Refusal: Equatable, Sendable {
        package let status: Int
        package let message: String
        /// `Depot-Reason` header: tells clients and operators why a good-looking link was refused.
        package var reason: String?
        package var allow: String?
        /// Seconds.
        package var retryAfter: Int?
        /// The message's framing is in doubt: nothing more is read from this connection.
        package var closes = false

        package init(
            status: Int,
            message: String,
            reason: String? = nil,
            allow: String? = nil,
            retryAfter: Int? = nil,
            closes: Bool = false
        ) {
            self.status = status
            self.message = message
            self.reason = reason
            self.allow = allow
            self.retryAfter = retryAfter
            self.closes = closes
        }
    }

    package init(_ request: BlobRequest, verifier: LinkVerifier, now: Int64) {
        let isHead = request.method == .head
        guard isHead || request.method == .get else {
            self = .refuse(Refusal(status: 405, message: "method not allowed", allow: "GET, HEAD", closes: true))
            return
        }
        guard !request.hasBody else {
            self = .refuse(Refusal(status: 400, message: "a request for a blob has no body", closes: true))
            return
        }
        let link: Link
        do throws(LinkRefusal) {
            link = try verifier.verify(target: request.target, now: now)
        } catch {
            self = .refuse(Self.refusal(of: error))
            return
        }
        if let tags = request.ifNoneMatch.joined,
            Precondition.noneMatchHolds(header: tags, entityTag: Self.entityTag(of: link))
        {
            self = .notModified(link)
            return
        }
        guard !isHead, link.sizeBytes > 0 else {
            let isEmptyRange =
                !isHead && RangeSelection(header: request.range.only, sizeBytes: 0) == .unsatisfiable
            self = isEmptyRange ? .unsatisfiable(link) : .exists(link, isHead: isHead)
            return
        }
        // More than one If-Range names no validator, as if there were none.
        let isRanged =
            request.ifRange.only.map { Precondition.rangeApplies(ifRange: $0, entityTag: Self.entityTag(of: link)) }
            ?? true
        switch RangeSelection(header: isRanged ? request.range.only : nil, sizeBytes: link.sizeBytes) {
        case .whole: self = .send(link, 0..<link.sizeBytes, isPart: false)
        case .part(let range): self = .send(link, range, isPart: true)
        case .unsatisfiable: self = .unsatisfiable(link)
        }
    }

    private static func entityTag(of link: Link) -> String { "\"\(link.digest)\"" }

    private static func refusal(of error: LinkRefusal) -> Refusal {
        switch error {
        case .malformed: Refusal(status: 400, message: "not a blob link")
        case .forbidden: Refusal(status: 403, message: "this link is not valid here")
        case .expired: Refusal(status: 403, message: "this link has expired", reason: "expired")
        }
    }
}
