// SPDX-License-Identifier: Apache-2.0

package import FoundationEssentials
package import NIOCore
package import OCI
package import OriginBlobStore

/// The body of one PATCH, PUT or POST, with what its head says of it.
package struct UploadBody<Bytes: AsyncSequence & Sendable>: Sendable where Bytes.Element == ByteBuffer {
    package let bytes: Bytes
    /// `Content-Length`; `nil` for a stream of unknown length.
    package let declaredBytes: Int64?
    /// Half-open; the `Content-Range` of a chunk was inclusive.
    package let chunk: Range<Int64>?
    /// Called once the body is wanted: session, lease, size and space are good. Sends `100 Continue`.
    package let admitted: @Sendable () async -> Void

    package init(
        bytes: Bytes,
        declaredBytes: Int64?,
        chunk: Range<Int64>?,
        admitted: @escaping @Sendable () async -> Void
    ) {
        self.bytes = bytes
        self.declaredBytes = declaredBytes
        self.chunk = chunk
        self.admitted = admitted
    }
}

/// An open session, as its next request finds it.
package struct UploadStatus: Sendable, Equatable {
    package let id: UUID
    /// Bytes that are durable: the next part starts here.
    package let sizeBytes: Int64

    package init(id: UUID, sizeBytes: Int64) {
        self.id = id
        self.sizeBytes = sizeBytes
    }
}

/// A blob whose commit the database has acknowledged.
package struct CommittedBlob: Sendable, Equatable {
    package let digest: Digest
    package let sizeBytes: Int64
    package let key: BlobKey
}
