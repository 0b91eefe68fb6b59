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
