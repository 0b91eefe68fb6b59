// SPDX-License-Identifier: Apache-2.0

import OCI
import OriginAuth
import Testing

@Suite("Hosts")
struct HostPolicyTests {
    static func local() throws -> HostPolicy {
        try HostPolicy(externalURL: nil, domain: nil, listenHost: "127.0.0.1")
    }

    static func production() throws -> HostPolicy {
        try HostPolicy(externalURL: "https://Registry.example.com/", domain: "depot.example", listenHost: "0.0.0.0")
    }

    @Test("loopback names are served in path form, with the scheme they were called by")
    func loopback() throws {
        let policy = try Self.local()
        let host = try #require(policy.resolve("LocalHost:5000", isTLS: false))
        #expect(
            host == RegistryHost(organization: nil, service: "localhost:5000", realm: "http://localhost:5000/token"))
        #expect(policy.resolve("127.0.0.1:1", isTLS: true)?.realm == "https://127.0.0.1:1/token")
        #expect(policy.resolve("[::1]:8080", isTLS: false)?.service == "[::1]:8080")
    }

    @Test("the external URL is the realm of every host")
    func external() throws {
        let policy = try Self.production()
        let realm = "https://registry.example.com/token"
        #expect(policy.resolve("registry.example.com", isTLS: false)?.realm == realm)
        #expect(policy.resolve("depot.example:443", isTLS: false)?.isPathForm == true)
        let host = try #require(policy.resolve("Acme.depot.example:443", isTLS: false))
        #expect(host.organization?.text == "acme")
        #expect(host.service == "acme.depot.example:443")
        #expect(host.realm == realm)
    }

    @Test(
        "hosts that are not ours are refused",
        arguments: [
            nil, "", "evil.example", "registry.example.com.evil.example", "a.b.depot.example", "-.depot.example",
            ".depot.example", "evildepot.example", "registry.example.com:5000", "127.0.0.1.evil", "127.0.0.256",
            "localhost:", "localhost:70000", "localhost:5a", "user@localhost", "local host", "[::1", "[::1]x",
            "localhost/x", "localhost\"", String(repeating: "a", count: 300),
        ])
    func foreign(authority: String?) throws {
        #expect(try Self.production().resolve(authority, isTLS: false) == nil)
    }

    @Test(
        "settings that name no host are refused with one line",
        arguments: [
            ("ftp://x", nil), ("registry.example.com", nil), ("https://u@x", nil), ("https://x/path", nil),
            ("https://", nil), (nil, "a..b"), (nil, "under_score.example"),
        ] as [(String?, String?)])
    func badSettings(externalURL: String?, domain: String?) {
        #expect(throws: HostPolicyError.self) {
            try HostPolicy(externalURL: externalURL, domain: domain, listenHost: "127.0.0.1")
        }
    }

    @Test("a blob host never shares credentials with the registry")
    func blobHosts() throws {
        let policy = try Self.production()
        for host in [
            "registry.example.com", "x.registry.example.com", "depot.example", "EDGE.depot.example", "localhost",
        ] {
            #expect(policy.sharesCredentials(with: host))
        }
        for host in ["edge.example.com", "notregistry.example.com", "127.0.0.2"] {
            #expect(!policy.sharesCredentials(with: host))
        }
        #expect(try Self.local().sharesCredentials(with: "127.0.0.1"))
    }

    @Test("names are written and read as the host called writes them")
    func nameForms() throws {
        let organization = try #require(OrganizationSlug("acme"))
        let repository = try #require(RepositoryName("team/app"))
        let path = RegistryHost(organization: nil, service: "s", realm: "r")
        let own = RegistryHost(organization: organization, service: "s", realm: "r")
        #expect(path.name(of: repository, in: organization) == "acme/team/app")
        #expect(own.name(of: repository, in: organization) == "team/app")
        #expect(path.split("acme/team/app")?.repository == repository)
        #expect(path.split("acme/team/app")?.organization == organization)
        #expect(own.split("team/app")?.repository == repository)
        #expect(path.split("acme") == nil)
        #expect(path.split("acme/") == nil)
        #expect(path.split("/app") == nil)
        #expect(path.split("Acme/app") == nil)
    }
}
