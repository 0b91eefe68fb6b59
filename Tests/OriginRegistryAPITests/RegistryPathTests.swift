// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import OCI
import OriginAuth
import OriginRegistryAPI
import Testing

@Suite struct RegistryPathTests {
    private func parse(_ path: String) -> RegistryPath? { RegistryPath(path[...]) }

    @Test(
        "every route of the specification",
        arguments: [
            ("/v2", RegistryPath.Resource.base, ""),
            ("/v2/", .base, ""),
            ("/v2/_catalog", .catalog, ""),
            ("/v2/a/blobs/sha256:0", .blob(digest: "sha256:0"), "a"),
            ("/v2/a/blobs/uploads/", .uploads, "a"),
            ("/v2/a/blobs/uploads/1", .upload(id: "1"), "a"),
            ("/v2/a/manifests/latest", .manifest(reference: "latest"), "a"),
            ("/v2/a/tags/list", .tags, "a"),
            ("/v2/a/referrers/sha256:0", .referrers(digest: "sha256:0"), "a"),
            ("/v2/org/a/b/c/manifests/latest", .manifest(reference: "latest"), "org/a/b/c"),
        ])
    func routes(path: String, resource: RegistryPath.Resource, name: String) throws {
        let parsed = try #require(parse(path))
        #expect(parsed.resource == resource)
        #expect(parsed.name == name)
    }

    @Test(
        "a name may hold every word of a route, since paths are read from the right",
        arguments: [
            ("/v2/blobs/uploads/blobs/uploads/", RegistryPath.Resource.uploads, "blobs/uploads"),
            ("/v2/a/blobs/manifests/latest", .manifest(reference: "latest"), "a/blobs"),
            ("/v2/a/manifests/tags/list", .tags, "a/manifests"),
            ("/v2/tags/list/tags/list", .tags, "tags/list"),
            ("/v2/a/manifests/list", .manifest(reference: "list"), "a"),
            ("/v2/v2/_catalog/manifests/x", .manifest(reference: "x"), "v2/_catalog"),
            ("/v2/uploads/blobs/uploads/x", .upload(id: "x"), "uploads"),
        ])
    func ambiguity(path: String, resource: RegistryPath.Resource, name: String) throws {
        let parsed = try #require(parse(path))
        #expect(parsed.resource == resource)
        #expect(parsed.name == name)
    }

    @Test(
        "what is odd in a name stays in the name, to be refused with it",
        arguments: [
            ("/v2//manifests/x", ""), ("/v2/manifests/x", ""), ("/v2/a//manifests/x", "a/"),
            ("/v2//a/manifests/x", "/a"),
            ("/v2/a//b/manifests/x", "a//b"), ("/v2/a/../b/manifests/x", "a/../b"), ("/v2/a%2fb/manifests/x", "a%2fb"),
            ("/v2/%2e%2e/b/manifests/x", "%2e%2e/b"), ("/v2/a;b/manifests/x", "a;b"), ("/v2/a\\b/manifests/x", "a\\b"),
            ("/v2/tags/list", ""), ("/v2/blobs/uploads/", ""),
        ])
    func oddNames(path: String, name: String) throws {
        #expect(try #require(parse(path)).name == name)
    }

    @Test(
        "everything else is no route",
        arguments: [
            "/", "/v1/_ping", "/v2x", "/v2/a", "/v2/a/b", "/v2/a/tags", "/v2/a/tags/list/", "/v2/a/tags/other",
            "/v2/_catalog/",
            "/v2/a/uploads/x", "/v2/a/blobs/uploads/x/y", "/v2/a/manifests/x/", "/V2/a/tags/list",
        ])
    func noRoutes(path: String) {
        #expect(parse(path) == nil)
    }
}

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
            switch operation {
            case .checkVersion: #expect(operation.requiredRight == .credential)
            case .listCatalog: #expect(operation.requiredRight == .catalog)
            case .getUploadStatus, .cancelUpload: #expect(operation.requiredRight == .repository(.push))
            default:
                let isRead = method == .get || method == .head
                #expect(operation.requiredRight == .repository(isRead ? .pull : method == .delete ? .delete : .push))
            }
        }
    }
}
