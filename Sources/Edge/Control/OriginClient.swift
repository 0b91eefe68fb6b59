// SPDX-License-Identifier: Apache-2.0

import EdgeProtocol
import FoundationEssentials
import HTTPFetch

/// Why a call to one origin gave nothing.
enum OriginCallError: Error, CustomStringConvertible {
    /// No connection, no answer in time, or an answer cut short.
    case unreachable(FetchError)
    /// An origin knows of no such thing: a genuine 404.
    case absent
    /// Another status, from an origin or from something on the way to it, with the beginning of the body.
    case status(Int, String)
    /// The answer lacks a `Depot-MAC` or has a wrong one: it is not from an origin, or was changed on its way.
    case notGenuine
    /// Genuine as far as is known, and still not what was asked for.
    case unreadable(String)

    var description: String {
        switch self {
        case .unreachable(let error): "unreachable: \(error)"
        case .absent: "the origin knows of no such thing"
        case .status(let status, let text): "the answer is \(status): \(text)"
        case .notGenuine: "the answer carries no valid Depot-MAC"
        case .unreadable(let why): "the answer cannot be read: \(why)"
        }
    }
}

/// Signed requests to origins under `/edge/v1`.
struct OriginClient: Sendable {
    struct Call: Sendable {
        let method: FetchRequest.Method
        let path: String
        var body: [UInt8] = []
        let answerBytesMax: Int
    }

    /// For a whole answer; piece lists of very large blobs are a few megabytes.
    private static let totalTimeout = Duration.seconds(30)
    /// A refusal in plain text fits, whatever the answer may be long.
    private static let refusalBytesMax = 1024

    let fetcher: Fetcher
    let signer: RequestSigner
    let answerTimeout: Duration

    /// Makes one call to one origin, and returns the body of a 200.
    ///
    /// Neither that nor a 404 is believed without its `Depot-MAC`: keys and piece lists decide what is true here, and a
    /// proxy that does not find its way says 404, too.
    func send(_ call: Call, to origin: OriginAddress) async throws(OriginCallError) -> [UInt8] {
        let nonce = RequestSigner.newNonce()
        let response: FetchResponse
        do throws(FetchError) {
            response = try await fetcher.collect(
                request(call, to: origin, nonce),
                bodyBytesMax: max(call.answerBytesMax, Self.refusalBytesMax)
            )
        } catch {
            throw .unreachable(error)
        }
        guard response.status == 200 || response.status == 404 else {
            throw .status(response.status, Self.printable(response.body))
        }
        let macs = response.head.all(EdgeAPIHeader.mac)
        let isGenuine = signer.verifyAnswer(
            mac: macs.count == 1 ? macs[0] : nil,
            nonce: nonce,
            path: call.path,
            status: response.status,
            body: response.body
        )
        guard isGenuine else { throw .notGenuine }
        guard response.status == 200 else { throw .absent }
        return response.body
    }

    /// The request that opens a control connection: an answer without end.
    func controlRequest(to origin: OriginAddress) -> FetchRequest {
        let call = Call(method: .get, path: EdgeAPIPath.control, answerBytesMax: 0)
        var request = request(call, to: origin, RequestSigner.newNonce())
        request.totalTimeout = nil
        return request
    }

    /// What may stand in a log line.
    private static func printable(_ body: [UInt8]) -> String {
        String(decoding: body.prefix(200).map { (0x20..<0x7f).contains($0) ? $0 : UInt8(ascii: " ") }, as: UTF8.self)
    }

    private func request(_ call: Call, to origin: OriginAddress, _ nonce: String) -> FetchRequest {
        let headers = signer.headers(
            method: call.method.rawValue,
            path: call.path,
            body: call.body,
            now: UnixTime.milliseconds() / 1000,
            nonce: nonce
        )
        return FetchRequest(
            call.method,
            origin.text + call.path,
            headers: headers.map { (name: $0.0, value: $0.1) }
                + (call.body.isEmpty ? [] : [(name: "content-type", value: "application/json")]),
            body: call.body,
            firstByteTimeout: answerTimeout,
            totalTimeout: Self.totalTimeout,
            // Which origins may be spoken to in the clear was decided when their address was taken.
            allowPlainHTTP: origin.isPlainHTTP
        )
    }
}

enum UnixTime {
    static func milliseconds() -> Int64 { Int64(Date().timeIntervalSince1970 * 1000) }
}
