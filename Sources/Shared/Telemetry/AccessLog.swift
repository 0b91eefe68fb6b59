// SPDX-License-Identifier: Apache-2.0

import Logging

/// One answered request.
package struct AccessRecord: Sendable {
    package var method: String
    /// Without the query: signatures and tokens travel in queries.
    package private(set) var path: String
    package var status: Int
    /// Body bytes that left.
    package var bytes: Int64
    /// From the head of the request to the last byte of the answer.
    package var duration: Duration
    /// Address of the client, without its port.
    package var remote: String
    package var requestID: RequestID
    package var userAgent: String?
    /// How the answer came about: `hit`, `miss`, `coalesced`, `redirect`; a fixed word, never text from outside.
    package var outcome: String?

    /// - Parameter target: The request's target; what follows `?` is dropped here, so that no caller can forget it.
    package init(
        method: String,
        target: some StringProtocol,
        status: Int,
        bytes: Int64,
        duration: Duration,
        remote: String,
        requestID: RequestID,
        userAgent: String? = nil,
        outcome: String? = nil
    ) {
        self.method = method
        path = String(target[..<(target.utf8.firstIndex(of: UInt8(ascii: "?")) ?? target.endIndex)])
        self.status = status
        self.bytes = bytes
        self.duration = duration
        self.remote = remote
        self.requestID = requestID
        self.userAgent = userAgent
        self.outcome = outcome
    }
}

/// Writes one line per request, without the detour over a metadata dictionary: an edge does this tens of thousands of
/// times per second.
package struct AccessLog: Sendable {
    private let format: LogFormat
    private let program: String
    private let sink: LogSink

    package init(format: LogFormat, program: String, sink: LogSink = .standardError) {
        self.format = format
        self.program = program
        self.sink = sink
    }

    package func log(_ record: AccessRecord) {
        var line = LogLine(format, time: .now(), level: .info, program: program, message: "request")
        line.append("request.id", record.requestID.description)
        line.append("http.method", record.method)
        line.append("http.path", record.path)
        line.append("http.status", record.status)
        line.append("http.bytes", record.bytes)
        line.append("http.microseconds", record.duration.microseconds)
        line.append("client.address", record.remote)
        if let userAgent = record.userAgent { line.append("client.agent", userAgent) }
        if let outcome = record.outcome { line.append("outcome", outcome) }
        line.finish()
        sink.write(line.bytes)
    }
}

extension Duration {
    fileprivate var microseconds: Int64 {
        let (seconds, attoseconds) = components
        return seconds &* 1_000_000 &+ attoseconds / 1_000_000_000_000
    }
}
