// SPDX-License-Identifier: Apache-2.0

import Blocking
import HTTPTypes
package import OCI
import OriginAuth
import OriginBlobStore
import OriginHTTP
import OriginMetadata
import OriginUploads

/// Every status and code of the registry's surface. Codes: distribution-spec 1.1, "Error Codes", and no others.
extension OCIFailure {
    // MARK: Requests

    static let notServed = OCIFailure(.notFound, .unsupported, "the registry has no such endpoint")
    static let misdirected = OCIFailure(.misdirectedRequest, .unsupported, "this host is not served here")
    static let badQuery = OCIFailure(.badRequest, .unsupported, "the query is not valid")
    static let bodyCutShort = OCIFailure(.badRequest, .sizeInvalid, "the body ended before its declared length")

    static func methodNotAllowed(allowed: [String]) -> OCIFailure {
        OCIFailure(
            .methodNotAllowed,
            .unsupported,
            "the method is not supported here",
            headers: [.allow: allowed.joined(separator: ", ")])
    }

    static let dotSegment = OCIFailure(.badRequest, .nameInvalid, "a path may not have . or .. as a segment")

    static func nameInvalid(isPathForm: Bool) -> OCIFailure {
        OCIFailure(
            .badRequest,
            .nameInvalid,
            isPathForm ? "names are ORGANIZATION/REPOSITORY on this host" : "invalid repository name")
    }

    static let nameUnknown = OCIFailure(.notFound, .nameUnknown, "repository name not known to registry")

    // MARK: Blobs and uploads

    static let digestInvalid = OCIFailure(
        .badRequest, .digestInvalid, "exactly one digest is needed, as sha256:HEX or sha512:HEX in lower case")
    static let blobUnknown = OCIFailure(.notFound, .blobUnknown, "blob unknown to registry")
    static let blobInUse = OCIFailure(
        .methodNotAllowed, .unsupported, "a manifest of this repository uses the blob", headers: [.allow: "GET, HEAD"])
    static let uploadUnknown = OCIFailure(.notFound, .blobUploadUnknown, "blob upload unknown to registry")
    static let chunkRangeInvalid = OCIFailure(
        .badRequest, .blobUploadInvalid, "Content-Range of a chunk is START-END, both inclusive")

    static func rangeNotSatisfiable(_ contentRange: String) -> OCIFailure {
        OCIFailure(
            .rangeNotSatisfiable,
            .unsupported,
            "the range lies outside the blob",
            headers: [.contentRange: contentRange])
    }

    /// - Parameter uploadHeaders: Where the session stands, for the answers that ask the client to go on from there.
    init(_ error: UploadError, uploadHeaders: (_ sizeBytes: Int64) -> HTTPFields = { _ in [:] }) {
        switch error {
        case .unknownSession: self = .uploadUnknown
        case .outOfOrder(let sizeBytes):
            self.init(
                .rangeNotSatisfiable,
                .blobUploadInvalid,
                "the part does not start at byte \(sizeBytes)",
                headers: uploadHeaders(sizeBytes))
        case .busy(let sizeBytes):
            self.init(
                .rangeNotSatisfiable,
                .blobUploadInvalid,
                "another request writes to this upload",
                headers: uploadHeaders(sizeBytes))
        case .leaseLost:
            self.init(.rangeNotSatisfiable, .blobUploadInvalid, "another request writes to this upload")
        case .lengthMismatch:
            self.init(.badRequest, .sizeInvalid, "Content-Range and Content-Length disagree")
        case .tooLarge(let bytesMax):
            self.init(.contentTooLarge, .sizeInvalid, "blobs may have at most \(bytesMax) bytes")
        case .digestMismatch(let actual):
            self.init(.badRequest, .digestInvalid, "the uploaded content has digest \(actual)")
        case .algorithmNotAnnounced(let digest, let rehashBytesMax):
            self.init(
                .badRequest,
                .digestInvalid,
                """
                blobs over \(rehashBytesMax) bytes need the algorithm when the upload begins: \
                POST .../blobs/uploads/?digest-algorithm=\(digest.algorithm.rawValue)
                """)
        case .bodyCutShort: self = .bodyCutShort
        case .overloaded, .leaseExpired: self.init(.serviceUnavailable, retryAfterSeconds: 1)
        case .database(let error): self.init(error)
        case .store(let error): self.init(error)
        }
    }

    init(_ error: BlobStoreError) {
        switch error.kind {
        case .outOfSpace:
            self.init(HTTPResponse.Status(code: 507, reasonPhrase: "Insufficient Storage"), logging: error)
        case .io, .damaged: self.init(.internalServerError, logging: error)
        }
    }

    // MARK: Manifests and tags

    static let manifestUnknown = OCIFailure(.notFound, .manifestUnknown, "manifest unknown to registry")
    static let tagInvalid = OCIFailure(.badRequest, .manifestInvalid, "invalid tag")

    static func tooManyTags(countMax: Int) -> OCIFailure {
        OCIFailure(.uriTooLong, .unsupported, "one push may set at most \(countMax) tags")
    }

    static let pageInvalid = OCIFailure(
        .badRequest, .unsupported, "n is one decimal number, last is one item of the list")

    static func manifestNeeded(by index: Digest) -> OCIFailure {
        OCIFailure(.forbidden, .denied, "index \(index) needs this manifest, and this organization keeps indexes whole")
    }

    static func manifestTooLarge(bytesMax: Int) -> OCIFailure {
        OCIFailure(.contentTooLarge, .sizeInvalid, "manifests may have at most \(bytesMax) bytes")
    }

    /// A manifest that cannot be stored as it is.
    init(_ error: OCIError) { self.init(.badRequest, errors: [error]) }

    static func digestMismatch(_ actual: Digest) -> OCIFailure {
        OCIFailure(.badRequest, .digestInvalid, "the manifest has digest \(actual)")
    }

    /// Names each missing digest; of very many the first thousand, since no client can use an answer of megabytes.
    package static func referencesUnknown(_ digests: [Digest]) -> OCIFailure {
        let named = digests.prefix(1000)
        let message =
            named.count == digests.count
            ? "manifest references content that this repository lacks"
            : "manifest references content that this repository lacks, one of \(digests.count)"
        return OCIFailure(
            .notFound,
            errors: named.map { digest in
                OCIError(
                    code: .manifestBlobUnknown,
                    message: message,
                    detail: .object([JSONMember(name: "digest", value: .string(digest.description))]))
            })
    }

    static func sizeMismatch(_ digest: Digest, sizeBytes: Int64) -> OCIFailure {
        OCIFailure(.badRequest, .manifestInvalid, "\(digest) has \(sizeBytes) bytes, and the manifest says otherwise")
    }

    // MARK: Everything below

    init(_ error: DatabaseError) {
        switch error.kind {
        case .unavailable, .overloaded, .timeout, .serialization:
            self.init(.serviceUnavailable, retryAfterSeconds: 1, logging: error)
        case .uniqueViolation, .foreignKeyViolation, .schemaTooNew, .invalidData, .other:
            self.init(.internalServerError, logging: error)
        }
    }

    init(_ refusal: AuthRefusal) {
        guard let code = refusal.code else {
            self.init(HTTPResponse.Status(code: refusal.status), retryAfterSeconds: refusal.retryAfterSeconds)
            return
        }
        self.init(HTTPResponse.Status(code: refusal.status), code, refusal.message, headers: refusal.headers)
    }

    /// What library code threw.
    package init(unexpected error: any Error) {
        switch error {
        case let error as OCIFailure: self = error
        case let error as UploadError: self.init(error)
        case let error as BlobStoreError: self.init(error)
        case let error as DatabaseError: self.init(error)
        case let error as AuthRefusal: self.init(error)
        case is BlockingError: self.init(.serviceUnavailable, retryAfterSeconds: 1)
        case is CancellationError, is BodyCutShort: self = .bodyCutShort
        default: self.init(.internalServerError, logging: error)
        }
    }
}
