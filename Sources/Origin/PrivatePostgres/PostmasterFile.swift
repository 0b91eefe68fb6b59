// SPDX-License-Identifier: Apache-2.0

/// What a running server says of itself in `postmaster.pid` (PostgreSQL, `miscadmin.h`, "LOCK_FILE_LINE_…").
package struct PostmasterFile: Equatable {
    package enum Status: Equatable { case starting, stopping, ready }

    package let processID: Int32
    /// Empty until the server has its socket.
    package let socketDirectory: String
    package let status: Status

    /// - Returns: `nil` for a file that is not whole yet, or is none.
    package init?(_ text: String) {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
            .map { $0.trimmingPrefix { $0 == " " } }
        guard let first = lines.first, let processID = Int32(first), processID > 0 else { return nil }
        self.processID = processID
        socketDirectory = lines.count > 4 ? String(lines[4]) : ""
        status =
            switch lines.count > 7 ? lines[7].prefix(while: { $0 != " " }) : "" {
            case "ready", "standby": .ready
            case "stopping": .stopping
            default: .starting
            }
    }
}
