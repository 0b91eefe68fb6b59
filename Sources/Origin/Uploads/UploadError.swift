// SPDX-License-Identifier: Apache-2.0

import Blocking
package import OCI
package import OriginBlobStore
package import OriginMetadata

/// Everything an upload can fail with.
package enum UploadError: Error, Sendable {
    /// No such session in this repository: never begun, cancelled, failed its digest, or committed.
    case unknownSession
    /// The part does not start where the session ends. The session lives on.
    case outOfOrder(sizeBytes: Int64)
    /// Another request writes to the session.
    case busy(sizeBytes: Int64)
    /// `Content-Range` and `Content-Length` disagree.
    case lengthMismatch
    /// The blob would be larger than `bytesMax`.
    case tooLarge(bytesMax: Int64)
    /// The bytes have another digest than announced; the session is closed.
    case digestMismatch(actual: Digest)
    /// The session hashed with another algorithm, and the blob is too large to be read again.
    case algorithmNotAnnounced(Digest, rehashBytesMax: Int64)
    /// The client went away before the end of the body. What it sent is kept.
    case bodyCutShort
    /// Too many uploads at once, or a queue is full.
    case overloaded
    /// Another process holds the session now.
    case leaseLost
    /// The lease could not be renewed in time; somebody else may write soon. The session lives on.
    case leaseExpired
    case database(DatabaseError)
    case store(BlobStoreError)

    init(_ error: any Error) {
        switch error {
        case let error as UploadError: self = error
        case let error as BlobStoreError: self = .store(error)
        case let error as DatabaseError: self = .database(error)
        case is BlockingError: self = .overloaded
        default: self = .bodyCutShort  // Only the body throws anything else: a channel error or a cancellation.
        }
    }
}
