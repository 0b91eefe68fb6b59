// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Hummingbird
import OCI
import OriginAuth

/// One operation of the admin API: where it is, what it asks of the caller, what goes in and comes out. There is none
/// without a right: the initialiser asks for it.
struct AdminRoute: Sendable {
    let method: HTTPRequest.Method
    let path: AdminPath
    let right: AdminRight
    /// `operationId` in the document, and the action in the audit log: `token.create`.
    let name: String
    let summary: String
    let query: [Schema.Field]
    let body: Schema?
    /// Of a success.
    let status: HTTPResponse.Status
    /// `nil`: nothing.
    let answer: Schema?
    /// What is one line of the answer with `format=ndjson`, for a route that has that.
    let line: Schema?
    /// Whether a repeated call is a success of its own, `AdminAnswer.found`.
    let findsAgain: Bool
    let perform: @Sendable (AdminRequest) async throws -> AdminAnswer

    init(
        _ method: HTTPRequest.Method,
        _ path: String,
        needs right: AdminRight,
        _ name: String,
        _ summary: String,
        query: [Schema.Field] = [],
        takes body: Schema? = nil,
        status: HTTPResponse.Status = .ok,
        answers answer: Schema? = nil,
        orLinesOf line: Schema? = nil,
        findsAgain: Bool = false,
        _ perform: @escaping @Sendable (AdminRequest) async throws -> AdminAnswer
    ) {
        self.method = method
        self.path = AdminPath(path)
        self.right = right
        self.name = name
        self.summary = summary
        self.query = query
        self.body = body
        self.status = status
        self.answer = answer
        self.line = line
        self.findsAgain = findsAgain
        self.perform = perform
    }

    static let lineType = "application/x-ndjson"
    static let paging: [Schema.Field] = [
        .optional("limit", .count(1...Int64(AdminRequest.pageCountMax)), "At most so many; 100 unless given."),
        .optional("after", .text, "`next` of the page before."),
    ]
}

/// What a route answers with.
enum AdminAnswer: Sendable {
    case document(JSONValue)
    /// Something that a repeated call found there already: 200, where the first one was answered as the route says.
    case found(JSONValue)
    case nothing
    case response(Response)
}

/// `organizations/{organization}/projects`, below `/api/v1`. A parameter takes one segment; `{name...}` at the end all
/// that are left.
struct AdminPath: Sendable, Hashable {
    enum Part: Sendable, Hashable {
        case literal(String)
        case parameter(String)
        case rest(String)
    }

    let template: String
    let parts: [Part]

    init(_ template: String) {
        self.template = template
        parts = template.split(separator: "/").map { part in
            guard part.hasPrefix("{") && part.hasSuffix("}") else { return .literal(String(part)) }
            let name = part.dropFirst().dropLast()
            return name.hasSuffix("...") ? .rest(String(name.dropLast(3))) : .parameter(String(name))
        }
    }

    /// - Parameter segments: Of the path called, behind the prefix; not decoded, since nothing here needs it.
    /// - Returns: The parameters; `nil` if the path is another one.
    func match(_ segments: [Substring]) -> [String: String]? {
        var parameters: [String: String] = [:]
        var left = segments[...]
        for part in parts {
            switch part {
            case .literal(let text):
                guard left.popFirst() == text[...] else { return nil }
            case .parameter(let name):
                guard let segment = left.popFirst() else { return nil }
                parameters[name] = String(segment)
            case .rest(let name):
                guard !left.isEmpty else { return nil }
                parameters[name] = left.joined(separator: "/")
                left = []
            }
        }
        return left.isEmpty ? parameters : nil
    }
}
