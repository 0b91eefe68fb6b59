// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Grammar
import Hummingbird
import OCI
import OriginAuth
import OriginHTTP
import OriginMetadata

/// One admitted request to the admin API.
struct AdminRequest: Sendable {
    static let pageCountMax = 1000
    private static let pageCount = 100

    let route: AdminRoute
    let caller: Caller
    let parameters: [String: String]
    let admission: AdminAdmission
    /// Checked against the route's schema; an empty object if the route takes none.
    let body: JSONValue
    let query: FormItems

    /// What the path names and the gate has looked up.
    /// - Throws: 404; the gate has answered for a path that names one.
    var organization: Organization {
        get throws(Problem) {
            guard let organization = admission.organization else { throw .notFound }
            return organization
        }
    }

    /// - Throws: 404, likewise.
    var project: Project {
        get throws(Problem) {
            guard let project = admission.project else { throw .notFound }
            return project
        }
    }

    /// - Throws: 404, where nothing was asked of the caller.
    var identity: Identity {
        get throws(Problem) {
            guard let identity = admission.identity else { throw .notFound }
            return identity
        }
    }

    func parameter(_ name: String) -> String { parameters[name] ?? "" }

    /// A number in the path.
    /// - Throws: 404 for what is none.
    func id(_ name: String) throws(Problem) -> Int64 {
        guard let id = Int64(parameter(name)), id > 0 else { throw .notFound }
        return id
    }

    func text(_ name: String) -> String? { body[name]?.stringValue }
    func flag(_ name: String) -> Bool { body[name] == .bool(true) }

    /// - Throws: 400 for a flag that is neither `true` nor `false`.
    func queryFlag(_ name: String) throws(Problem) -> Bool {
        switch query.only(name) {
        case nil, "false": false
        case "true": true
        default: throw Problem(.badRequest, "\(name) must be true or false")
        }
    }

    /// A name that people give to users, projects, tokens: 1 to 128 bytes that print.
    /// - Throws: 422.
    func name(_ member: String, of text: String?) throws(Problem) -> String {
        guard let text, (1...128).contains(text.utf8.count), text.first != " ", text.last != " ",
            text.unicodeScalars.allSatisfy({ $0.value >= 0x20 && !(0x7F...0x9F).contains($0.value) })
        else { throw Problem(.unprocessableContent, "\(member) must be 1 to 128 bytes of printable text") }
        return text
    }

    // MARK: Pages

    /// - Throws: 400.
    var limit: Int {
        get throws(Problem) {
            guard let text = query.only("limit") else { return Self.pageCount }
            guard let limit = Int(text), (1...Self.pageCountMax).contains(limit) else {
                throw Problem(.badRequest, "limit must be 1 to \(Self.pageCountMax)")
            }
            return limit
        }
    }

    /// Where the page begins: behind what the last one ended with.
    /// - Throws: 400 for a text that no page has given out.
    var after: String {
        get throws(Problem) {
            guard let text = query.only("after") else { return "" }
            guard let bytes = Base64URL.decode(text), !bytes.contains(0),
                let last = String(validating: bytes, as: UTF8.self)
            else { throw Problem(.badRequest, "after is not the next of another page") }
            return last
        }
    }

    /// As `after`, where pages go by number.
    var afterID: Int64 {
        get throws(Problem) {
            let text = try after
            if text.isEmpty { return 0 }
            guard let id = Int64(text) else { throw Problem(.badRequest, "after is not the next of another page") }
            return id
        }
    }

    static func answer<Element>(
        _ page: Page<Element>, _ document: (Element) -> JSONValue, key: (Element) -> String
    ) -> AdminAnswer {
        var members = [JSONMember(name: "items", value: .array(page.elements.map(document)))]
        if page.isCut, let last = page.elements.last {
            members.append(JSONMember(name: "next", value: .string(Base64URL.encode(Array(key(last).utf8)))))
        }
        return .document(.object(members))
    }

    // MARK: The audit log

    func event(
        _ outcome: AuditEvent.Outcome, target: String, organization: String? = nil, detail: String = ""
    ) -> AuditEvent {
        AuditEvent(
            organization: organization ?? admission.organization?.slug.text,
            actor: admission.identity?.actor ?? "anonymous", action: route.name, target: target, outcome: outcome,
            detail: detail, address: caller.address, requestID: caller.requestID)
    }
}

extension Date {
    /// RFC 3339, UTC.
    var document: JSONValue { .string(formatted(.iso8601)) }
}
