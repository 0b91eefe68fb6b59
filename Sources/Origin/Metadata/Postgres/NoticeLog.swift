// SPDX-License-Identifier: Apache-2.0

import CLibpq
import Logging

/// Takes what the server says beside its answers, to the log.
final class NoticeLog {
    private let logger: Logger

    init(logger: Logger) { self.logger = logger }

    /// - Precondition: This object outlives the connection's use.
    func attach(to connection: OpaquePointer) {
        PQsetNoticeReceiver(
            connection,
            { context, raw in
                guard let context, let raw else { return }
                Unmanaged<NoticeLog>.fromOpaque(context).takeUnretainedValue().log(raw)
            },
            Unmanaged.passUnretained(self).toOpaque())
    }

    /// The result belongs to libpq, which clears it after the call.
    private func log(_ raw: OpaquePointer) {
        func field(_ field: Int32) -> String { PQresultErrorField(raw, field).map { String(cString: $0) } ?? "" }
        let severity = field(clibpq_field_severity)
        logger.log(
            level: ["NOTICE", "INFO", "LOG", "DEBUG"].contains(severity) ? .debug : .warning,
            "database notice",
            metadata: [
                "database.severity": "\(severity)",
                "database.sqlstate": "\(field(clibpq_field_sqlstate))",
                "database.message": "\(field(clibpq_field_message))",
            ])
    }
}
