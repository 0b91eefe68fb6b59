// SPDX-License-Identifier: Apache-2.0

package import Grammar
package import HTTPTypes
package import OriginAuth

/// What a request asks the registry to do. The switches have no default: an operation without a right, or a resource
/// without its methods, does not compile.
package enum RegistryOperation: Equatable, Sendable {
    /// Needs any valid credential.
    case checkVersion
    /// Needs a credential for the list of repositories, which then has those that it may see.
    case listCatalog
    /// Needs the operation's right to the repository of the path.
    case repository(RepositoryOperation)
}

/// What a request asks of one repository.
package enum RepositoryOperation: Equatable, Sendable {
    case getBlob(digest: Substring)
    case headBlob(digest: Substring)
    case deleteBlob(digest: Substring)
    case startUpload
    case getUploadStatus(id: Substring)
    case appendToUpload(id: Substring)
    case finishUpload(id: Substring)
    case cancelUpload(id: Substring)
    case getManifest(reference: Substring)
    case headManifest(reference: Substring)
    case putManifest(reference: Substring)
    case deleteManifest(reference: Substring)
    case listTags
    case listReferrers(digest: Substring)

    package var requiredRight: Action {
        switch self {
        case .getBlob, .headBlob, .getManifest, .headManifest, .listTags, .listReferrers: .pull
        case .startUpload, .getUploadStatus, .appendToUpload, .finishUpload, .cancelUpload, .putManifest: .push
        case .deleteBlob, .deleteManifest: .delete
        }
    }

    /// What of the repository it is about.
    package var content: RequestedContent {
        switch self {
        case .getBlob(let digest), .headBlob(let digest), .deleteBlob(let digest): .blob(digest)
        case .getManifest(let reference), .headManifest(let reference), .putManifest(let reference),
            .deleteManifest(let reference):
            .manifest(reference)
        case .listReferrers(let digest): .manifest(digest)
        case .startUpload, .getUploadStatus, .appendToUpload, .finishUpload, .cancelUpload, .listTags: .whole
        }
    }

    /// Whether a success is in the audit log. Uploads are not: what they bring is nothing before a manifest names it.
    var changes: Bool {
        switch self {
        case .putManifest, .deleteManifest, .deleteBlob: true
        case .getBlob, .headBlob, .startUpload, .getUploadStatus, .appendToUpload, .finishUpload, .cancelUpload,
            .getManifest, .headManifest, .listTags, .listReferrers:
            false
        }
    }

    /// As the audit log names it.
    var name: String {
        switch self {
        case .getBlob, .headBlob: "blob.pull"
        case .deleteBlob: "blob.delete"
        case .startUpload, .getUploadStatus, .appendToUpload, .finishUpload, .cancelUpload: "blob.push"
        case .getManifest, .headManifest: "manifest.pull"
        case .putManifest: "manifest.push"
        case .deleteManifest: "manifest.delete"
        case .listTags: "tag.list"
        case .listReferrers: "referrer.list"
        }
    }

    /// What follows the repository's name where that is not all: `:TAG` or `@DIGEST`.
    var subject: String {
        switch content {
        case .whole: ""
        case .blob(let digest): "@\(digest)"
        case .manifest(let reference): reference.contains(":") ? "@\(reference)" : ":\(reference)"
        }
    }

    /// The answer where the content is not there, or the client may not know that it is.
    var absence: OCIFailure {
        switch content {
        case .blob: .blobUnknown
        case .manifest: .manifestUnknown
        case .whole: .nameUnknown
        }
    }
}

extension RegistryPath.Resource {
    /// The methods of the resource, in the order of `Allow`.
    package var operations: [(method: HTTPRequest.Method, operation: RegistryOperation)] {
        switch self {
        case .base: [(.get, .checkVersion), (.head, .checkVersion)]
        case .catalog: [(.get, .listCatalog)]
        case .blob(let digest):
            [
                (.get, .repository(.getBlob(digest: digest))),
                (.head, .repository(.headBlob(digest: digest))),
                (.delete, .repository(.deleteBlob(digest: digest))),
            ]
        case .uploads: [(.post, .repository(.startUpload))]
        case .upload(let id):
            [
                (.get, .repository(.getUploadStatus(id: id))),
                (.patch, .repository(.appendToUpload(id: id))),
                (.put, .repository(.finishUpload(id: id))),
                (.delete, .repository(.cancelUpload(id: id))),
            ]
        case .manifest(let reference):
            [
                (.get, .repository(.getManifest(reference: reference))),
                (.head, .repository(.headManifest(reference: reference))),
                (.put, .repository(.putManifest(reference: reference))),
                (.delete, .repository(.deleteManifest(reference: reference))),
            ]
        case .tags: [(.get, .repository(.listTags))]
        case .referrers(let digest): [(.get, .repository(.listReferrers(digest: digest)))]
        }
    }

    /// - Throws: 501 for a method that HTTP does not know, 405 with `Allow` otherwise.
    package func operation(for method: HTTPRequest.Method) throws(OCIFailure) -> RegistryOperation {
        let operations = operations
        if let match = operations.first(where: { $0.method == method }) { return match.operation }
        guard Self.knownMethods.contains(method) else { throw OCIFailure(.notImplemented) }
        throw .methodNotAllowed(allowed: operations.map(\.method.rawValue))
    }

    private static let knownMethods: Set<HTTPRequest.Method> = [
        .get, .head, .post, .put, .delete, .connect, .options, .trace, .patch,
    ]
}
