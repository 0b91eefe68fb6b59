// SPDX-License-Identifier: Apache-2.0

import Grammar
import HTTPServer
package import NIOHTTP1
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
        /// The message's framing is in doubt: nothing more is read from this connection.
        package var closes = false

        package init(
            status: Int,
            message: String,
            reason: String? = nil,
            allow: String? = nil,
            closes: Bool = false
        ) {
            self.status = status
            self.message = message
            self.reason = reason
            self.allow = allow
            self.closes = closes
        }
    }

    package init(head: HTTPRequestHead, verifier: LinkVerifier, now: Int64) {
        let isHead = head.method == .HEAD
        guard isHead || head.method == .GET else {
            self = .refuse(Refusal(status: 405, message: "method not allowed", allow: "GET, HEAD", closes: true))
            return
        }
        guard !Self.hasBody(head) else {
            self = .refuse(Refusal(status: 400, message: "a request for a blob has no body", closes: true))
            return
        }
        let link: Link
        do throws(LinkRefusal) {
            link = try verifier.verify(target: head.uri, now: now)
        } catch {
            self = .refuse(Self.refusal(of: error))
            return
        }
        let entityTag = "\"\(link.digest)\""
        if Precondition.noneMatchHolds(header: head.headers.joined("if-none-match"), entityTag: entityTag) {
            self = .notModified(link)
            return
        }
        guard !isHead, link.sizeBytes > 0 else {
            let isEmptyRange =
                !isHead && RangeSelection(header: head.headers.only("range"), sizeBytes: 0) == .unsatisfiable
            self = isEmptyRange ? .unsatisfiable(link) : .exists(link, isHead: isHead)
            return
        }
        let ranged = Precondition.rangeApplies(ifRange: head.headers.only("if-range"), entityTag: entityTag)
        switch RangeSelection(header: ranged ? head.headers.only("range") : nil, sizeBytes: link.sizeBytes) {
        case .whole: self = .send(link, 0..<link.sizeBytes, isPart: false)
        case .part(let range): self = .send(link, range, isPart: true)
        case .unsatisfiable: self = .unsatisfiable(link)
        }
    }

    private static func hasBody(_ head: HTTPRequestHead) -> Bool {
        head.headers.contains(name: "transfer-encoding")
            || head.headers["content-length"].contains { $0 != "0" }
    }

    private static func refusal(of error: LinkRefusal) -> Refusal {
        switch error {
        case .malformed: Refusal(status: 400, message: "not a blob link")
        case .forbidden: Refusal(status: 403, message: "this link is not valid here")
        case .expired: Refusal(status: 403, message: "this link has expired", reason: "expired")
        }
    }
}

extension HTTPHeaders {
    /// The value of a header that has to be single to count.
    fileprivate func only(_ name: String) -> String? {
        let values = self[name]
        return values.count == 1 ? values[0] : nil
    }

    /// All values of a list header as one.
    fileprivate func joined(_ name: String) -> String? {
        let values = self[name]
        return values.isEmpty ? nil : values.joined(separator: ",")
    }
}
