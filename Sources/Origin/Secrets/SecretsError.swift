// SPDX-License-Identifier: Apache-2.0

package import Disk
package import OriginMetadata

/// Everything the deployment's secrets can fail with. Messages never show a secret.
package enum SecretsError: Error, Sendable, CustomStringConvertible {
    case disk(DiskError)
    case database(DatabaseError)
    /// Others than its owner may read the key file, or it belongs to another user.
    case keyFileExposed(path: String)
    /// The key file does not hold a key.
    case keyFileInvalid(path: String)
    /// The secret was wrapped under another key file, for another use, or was altered.
    case notUnwrapped(context: String)

    package var description: String {
        switch self {
        case .disk(let error): "\(error)"
        case .database(let error): "\(error)"
        case .keyFileExposed(let path): "key file \(path): must belong to this user with mode 0600"
        case .keyFileInvalid(let path): "key file \(path): must hold 32 bytes in base64url (43 characters)"
        case .notUnwrapped(let context):
            "secret \(context) cannot be unwrapped: it is from another key file, or was altered"
        }
    }
}
