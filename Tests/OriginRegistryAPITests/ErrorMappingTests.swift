// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import OCI
import OriginAuth
import OriginBlobStore
import OriginMetadata
import OriginRegistryAPI
import OriginUploads
import Testing

@Suite struct ErrorMappingTests {
    private static let digest = Digest(algorithm: .sha512, bytes: [UInt8](repeating: 0, count: 64))

    @Test(
        "uploads: the status and the code of every refusal",
        arguments: [
            (UploadError.unknownSession, 404, OCIErrorCode.blobUploadUnknown),
            (.outOfOrder(sizeBytes: 5), 416, .blobUploadInvalid),
            (.busy(sizeBytes: 5), 416, .blobUploadInvalid),
            (.leaseLost, 416, .blobUploadInvalid),
            (.lengthMismatch, 400, .sizeInvalid),
            (.tooLarge(bytesMax: 5), 413, .sizeInvalid),
            (.bodyCutShort, 400, .sizeInvalid),
            (.overloaded, 503, nil),
            (.leaseExpired, 503, nil),
            (.database(DatabaseError(.unavailable, message: "")), 503, nil),
            (.database(DatabaseError(.other, message: "")), 500, nil),
            (.store(BlobStoreError(.outOfSpace, "")), 507, nil),
            (.store(BlobStoreError(.io, "")), 500, nil),
            (.store(BlobStoreError(.damaged, "")), 500, nil),
        ] as [(UploadError, Int, OCIErrorCode?)])
    func uploads(error: UploadError, status: Int, code: OCIErrorCode?) {
        let failure = OCIFailure(unexpected: error)
        #expect(failure.status.code == status)
        #expect(failure.errors.map(\.code) == (code.map { [$0] } ?? []))
    }

    @Test("a refused digest names what was found, and an unannounced algorithm how to announce it")
    func digests() throws {
        let digest = try #require(Self.digest)
        let mismatch = OCIFailure(unexpected: UploadError.digestMismatch(actual: digest))
        #expect(mismatch.errors.first?.code == .digestInvalid)
        #expect(mismatch.errors.first?.message.contains(digest.description) == true)
        let unannounced = OCIFailure(unexpected: UploadError.algorithmNotAnnounced(digest, rehashBytesMax: 1))
        #expect(unannounced.errors.first?.message.contains("digest-algorithm=sha512") == true)
    }

    @Test(
        "the server's own trouble has no code, and what it is stays in the log",
        arguments: [
            (DatabaseError.Kind.unavailable, 503), (.overloaded, 503), (.timeout, 503), (.serialization, 503),
            (.uniqueViolation(constraint: "c"), 500), (.invalidData, 500), (.schemaTooNew, 500), (.other, 500),
        ] as [(DatabaseError.Kind, Int)])
    func database(kind: DatabaseError.Kind, status: Int) {
        let failure = OCIFailure(unexpected: DatabaseError(kind, message: "secret"))
        #expect(failure.status.code == status)
        #expect(failure.errors.isEmpty)
    }

    @Test("refusals of the gate keep their challenge")
    func refusals() {
        let failure = OCIFailure(unexpected: AuthRefusal(.unauthorized, "who?", challenge: "Bearer realm=\"r\""))
        #expect(failure.status == .unauthorized)
        #expect(failure.errors.map(\.code) == [.unauthorized])
        #expect(failure.headers[.wwwAuthenticate] == "Bearer realm=\"r\"")
        #expect(OCIFailure(unexpected: AuthRefusal(.invisible, "")).status == .notFound)
        #expect(OCIFailure(unexpected: AuthRefusal(.denied, "")).errors.map(\.code) == [.denied])
        #expect(OCIFailure(unexpected: AuthRefusal(.unavailable, "")).status == .serviceUnavailable)
    }

    @Test("a manifest that names missing content lists every digest")
    func missing() throws {
        let digest = try #require(Self.digest)
        let failure = OCIFailure.referencesUnknown([digest, digest])
        #expect(failure.status == .notFound)
        #expect(failure.errors.map(\.code) == [.manifestBlobUnknown, .manifestBlobUnknown])
        #expect(failure.errors.first?.detail?["digest"] == .string(digest.description))
    }
}
