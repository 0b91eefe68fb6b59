// SPDX-License-Identifier: Apache-2.0

package import HTTPTypes
package import OriginAuth

/// What a request asks the registry to do, and the right it needs. The switches have no default: an operation without
/// a right, or a resource without its methods, does not compile.
package enum RegistryOperation: Equatable, Sendable {
    case checkVersion
    case listCatalog
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

    package enum RequiredRight: Equatable, Sendable {
        /// Any valid credential.
        case credential
        /// A credential for the list of repositories, which then has those that it may see.
        case catalog
        case repository(Action)
    }

    package var requiredRight: RequiredRight {
        switch self {
        case .checkVersion: .credential
        case .listCatalog: .catalog
        case .getBlob, .headBlob, .getManifest, .headManifest, .listTags, .listReferrers: .repository(.pull)
        case .startUpload, .getUploadStatus, .appendToUpload, .finishUpload, .cancelUpload, .putManifest:
            .repository(.push)
        case .deleteBlob, .deleteManifest: .repository(.delete)
        }
    }
}

extension RegistryPath.Resource {
    /// The methods of the resource, in the order of `Allow`.
    package var operations: [(method: HTTPRequest.Method, operation: RegistryOperation)] {
        switch self {
        case .base: [(.get, .checkVersion), (.head, .checkVersion)]
        case .blob(let digest):
            [
                (.get, .getBlob(digest: digest)),
                (.head, .headBlob(digest: digest)),
                (.delete, .deleteBlob(digest: digest)),
            ]
        case .uploads: [(.post, .startUpload)]
        case .upload(let id):
            [
                (.get, .getUploadStatus(id: id)),
                (.patch, .appendToUpload(id: id)),
                (.put, .finishUpload(id: id)),
                (.delete, .cancelUpload(id: id)),
            ]
        case .manifest(let reference):
            [
                (.get, .getManifest(reference: reference)),
                (.head, .headManifest(reference: reference)),
                (.put, .putManifest(reference: reference)),
                (.delete, .deleteManifest(reference: reference)),
            ]
        case .tags: [(.get, .listTags)]
        case .referrers(let digest): [(.get, .listReferrers(digest: digest))]
        case .catalog: [(.get, .listCatalog)]
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
