// SPDX-License-Identifier: Apache-2.0

import Disk

/// Everything the private cluster can fail with. Each is one line for the operator who starts the origin.
package struct PrivatePostgresError: Error, Sendable, CustomStringConvertible {
    package enum Kind: Sendable, Equatable {
        /// No PostgreSQL server programs, or none of the major version that made the cluster.
        case noServer
        /// Started as root, and there is no user to run the server as.
        case noAccount
        case initializationFailed
        case startFailed
        case stopFailed
        case disk
    }

    package let kind: Kind
    package let message: String

    init(_ kind: Kind, _ message: String) {
        self.kind = kind
        self.message = message
    }

    /// Inside, errors of the disk pass as they are; this is where they leave.
    init(_ error: any Error) {
        switch error {
        case let error as PrivatePostgresError: self = error
        case let error as DiskError: self.init(.disk, error.description)
        default: self.init(.startFailed, "\(error)")
        }
    }

    package var description: String { "private PostgreSQL: \(message)" }
}
