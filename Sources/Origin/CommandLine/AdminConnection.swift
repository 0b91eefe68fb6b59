// SPDX-License-Identifier: Apache-2.0

import HTTPFetch
import OCI

/// Speaks to the admin API.
struct AdminConnection {
    private static let bodyBytesMax = 4 << 20

    let url: String
    let token: String

    /// - Parameter path: Below the URL, beginning with a slash.
    /// - Returns: The document of a 2xx answer.
    /// - Throws: `CommandFailure` with one line: no answer, a refusal, or an answer that is no JSON.
    func send(
        _ method: FetchRequest.Method, _ path: String, _ document: JSONValue? = nil
    ) async throws(CommandFailure) -> JSONValue {
        var headers = [(name: "Authorization", value: "Bearer \(token)")]
        if document != nil { headers.append((name: "Content-Type", value: "application/json")) }
        let request = FetchRequest(
            method, url + path, headers: headers, body: document?.encode() ?? [], totalTimeout: .seconds(30),
            allowPlainHTTP: true)
        let response: FetchResponse
        do throws(FetchError) {
            let fetcher = try Fetcher(name: "admin")
            defer { fetcher.close() }
            response = try await fetcher.collect(request, bodyBytesMax: Self.bodyBytesMax)
        } catch {
            throw .failed("\(url) does not answer: \(error)")
        }
        let answer = try? BoundedJSON.parse(response.body, limits: JSONLimits(bytesMax: Self.bodyBytesMax))
        guard (200..<300).contains(response.status) else {
            throw .failed("\(url) refuses (\(response.status)): \(answer?["detail"]?.stringValue ?? "no reason given")")
        }
        guard let answer else { throw .failed("\(url) does not answer with JSON: is it the admin listener?") }
        return answer
    }
}
