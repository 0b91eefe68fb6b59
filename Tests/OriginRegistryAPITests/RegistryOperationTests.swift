// SPDX-License-Identifier: Apache-2.0

import Grammar
import HTTPTypes
import OCI
import OriginAuth
import OriginRegistryAPI
import Testing

@Suite struct RegistryOperationTests {
    private static let resources: [RegistryPath.Resource] = [
        .base, .catalog, .blob(digest: "d"), .uploads, .upload(id: "i"), .manifest(reference: "r"), .tags,
        .referrers(digest: "d"),
    ]
    private static let allMethods: [HTTPRequest.Method] = [
        .get, .head, .post, .put, .patch, .delete, .trace, .connect, .options,
    ]

    @Test(
        "a method that a resource lacks is 405 with Allow", arguments: resources,
        allMethods)
    func methods(resource: RegistryPath.Resource, method: HTTPRequest.Method) throws {
        let allowed = resource.operations.map(\.method)
        do {
            _ = try resource.operation(for: method)
            #expect(allowed.contains(method))
        } catch {
            #expect(!allowed.contains(method))
            #expect(error.status == .methodNotAllowed)
            #expect(error.errors.map(\.code) == [.unsupported])
            #expect(error.headers[.allow] == allowed.map(\.rawValue).joined(separator: ", "))
        }
    }

    @Test("a method that HTTP does not know is 501")
    func unknownMethod() throws {
        let method = try #require(HTTPRequest.Method("FOO"))
        #expect { try RegistryPath.Resource.tags.operation(for: method) } throws: {
            ($0 as? OCIFailure)?.status == .notImplemented
        }
    }

    @Test("reading needs pull, writing needs push, deleting needs delete", arguments: resources)
    func rights(resource: RegistryPath.Resource) {
        for (method, operation) in resource.operations {
            guard case .repository(let operation) = operation else { continue }
            switch operation {
            case .getUploadStatus, .cancelUpload: #expect(operation.requiredRight == .push)
            default:
                let isRead = method == .get || method == .head
                #expect(operation.requiredRight == (isRead ? .pull : method == .delete ? .delete : .push))
            }
        }
    }
}
