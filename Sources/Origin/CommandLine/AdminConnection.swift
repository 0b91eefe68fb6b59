// SPDX-License-Identifier: Apache-2.0

import HTTPFetch
import OCI

/// Speaks to the admin API.
struct AdminConnection {
    private static let bodyBytesMax = 16 << 20
    private static let pageCount = "500"

    let url: String
    let token: String
    private let fetcher: Fetcher

    /// - Parameter url: Without a slash at its end.
    init(url: String, token: String) throws(CommandFailure) {
        self.url = url
        self.token = token
        do throws(FetchError) { fetcher = try Fetcher(name: "admin") } catch {
            throw .failed("requests cannot be made: \(error)")
        }
    }

    /// - Returns: The document of a 2xx answer; `null` for one without content.
    /// - Throws: `CommandFailure` with one line: no answer, a refusal, or an answer that is no JSON.
    func send(
        _ method: FetchRequest.Method, _ target: AdminTarget, _ document: JSONValue? = nil
    ) async throws(CommandFailure) -> JSONValue {
        var headers = [(name: "Authorization", value: "Bearer \(token)")]
        if document != nil { headers.append((name: "Content-Type", value: "application/json")) }
        let request = FetchRequest(
            method, "\(url)\(target)", headers: headers, body: document?.encode() ?? [], totalTimeout: .seconds(30),
            allowPlainHTTP: true)
        let response: FetchResponse
        do throws(FetchError) {
            response = try await fetcher.collect(request, bodyBytesMax: Self.bodyBytesMax)
        } catch {
            throw .failed("\(url) does not answer: \(error)")
        }
        if response.status == 204 { return .null }
        let answer = try? BoundedJSON.parse(response.body, limits: JSONLimits(bytesMax: Self.bodyBytesMax))
        guard (200..<300).contains(response.status) else { throw refusal(response.status, answer) }
        guard let answer else { throw .failed("\(url) does not answer with JSON: is it the admin listener?") }
        return answer
    }

    /// All pages of a list, one after the other.
    /// - Parameters:
    ///   - member: The answer's member that holds the list.
    ///   - body: Called at least once.
    func pages(
        of target: AdminTarget, in member: String = "items",
        _ body: ([JSONValue]) throws(CommandFailure) -> Void
    ) async throws(CommandFailure) {
        // What is answered whole takes no limit.
        let isPaged = member == "items"
        var page = isPaged ? target.asking("limit", Self.pageCount) : target
        var last: String?
        while true {
            let answer = try await send(.get, page)
            guard let elements = answer[member]?.arrayValue else { throw .failed("the answer holds no \(member)") }
            try body(elements)
            guard let next = answer["next"]?.stringValue else { return }
            guard next != last else { throw .failed("the pages of \(url) do not end") }
            last = next
            page = target.asking("limit", Self.pageCount).asking("after", next)
        }
    }

    private func refusal(_ status: Int, _ problem: JSONValue?) -> CommandFailure {
        let detail = problem?["detail"]?.stringValue.map { Printable.text($0) } ?? "no reason given"
        let remedy =
            status == 401 ? "; log in with `depot-origin login`, or set DEPOT_TOKEN to a token that counts" : ""
        return .failed("\(url) refuses (\(status)): \(detail)\(remedy)")
    }
}
