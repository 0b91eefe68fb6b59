// SPDX-License-Identifier: Apache-2.0

import Grammar
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
