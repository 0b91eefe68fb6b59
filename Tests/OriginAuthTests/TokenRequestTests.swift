// SPDX-License-Identifier: Apache-2.0

import OCI
import OriginAuth
import Testing

@Suite("Requests to the token endpoint")
struct TokenRequestTests {
    static let path = RegistryHost(organization: nil, service: "localhost", realm: "http://localhost/token")

    static func texts(_ query: String, on host: RegistryHost = path) throws -> [String] {
        try TokenRequest.query(query[...]).scopes(on: host).map { $0.text(on: host) }
    }

    @Test(
        "scopes are repeated or separated by spaces, and joined per repository",
        arguments: [
            ("scope=repository:demo/a:pull", ["repository:demo/a:pull"]),
            ("scope=repository:demo/a:push,pull", ["repository:demo/a:pull,push"]),
            (
                "scope=repository:demo/a:pull&scope=repository:demo/b:pull",
                ["repository:demo/a:pull", "repository:demo/b:pull"]
            ),
            ("scope=repository:demo/a:pull+repository:demo/a:push", ["repository:demo/a:pull,push"]),
            ("scope=repository%3Ademo%2Fa%3Apull", ["repository:demo/a:pull"]),
            ("scope=repository:demo/a:*", ["repository:demo/a:pull,push,delete"]),
            ("scope=repository:demo/a:", ["repository:demo/a:"]),
            ("scope=repository:demo/a:fly", ["repository:demo/a:"]),
            ("scope=registry:catalog:*", []), ("scope=repository:demo:pull", []), ("scope=", []), ("", []),
        ])
    func scopes(query: String, texts: [String]) throws {
        #expect(try Self.texts(query) == texts)
    }

    @Test("a host of an organization reads names without it")
    func organizationHost() throws {
        let host = RegistryHost(organization: OrganizationSlug("acme"), service: "acme.x", realm: "r")
        let scopes = try TokenRequest.query("scope=repository:team/app:pull").scopes(on: host)
        #expect(scopes.map(\.organization.text) == ["acme"])
        #expect(scopes.map(\.name.text) == ["team/app"])
    }

    @Test(
        "malformed scopes are refused",
        arguments: [
            "scope=x", "scope=repository:demo/a", "scope=:demo/a:pull", "scope=repository::pull",
            "scope=repository:demo/a:Pull", "scope=repository:demo/a:pu/ll", "scope=repository:demo//a:pull",
            "scope=repository:demo/A:pull", "scope=repository:demo/a:pull%00",
            "scope=" + String(repeating: "repository:demo/a:pull+", count: 1000), "scope=%zz",
        ])
    func malformed(query: String) {
        #expect(throws: TokenRequest.Fault.self) { try Self.texts(query) }
    }

    @Test("more than one service is refused")
    func services() throws {
        #expect(try TokenRequest.query("service=a&scope=").service == "a")
        #expect(throws: TokenRequest.Fault.self) { try TokenRequest.query("service=a&service=b") }
    }

    @Test(
        "both grants of the form carry the token",
        arguments: [
            ("grant_type=password&username=x-token&password=s%2Be", "s+e"),
            ("grant_type=refresh_token&refresh_token=s&client_id=containerd-client", "s"),
        ])
    func grants(form: String, secret: String) throws {
        #expect(try TokenRequest.form(Array(form.utf8)).credential == .secret(secret))
    }

    @Test(
        "other forms are refused",
        arguments: [
            "", "grant_type=password", "grant_type=client_credentials&password=x", "password=x",
            "grant_type=password&grant_type=password&password=x", "grant_type=password&password=x&password=y",
        ])
    func badForms(form: String) {
        #expect(throws: TokenRequest.Fault.self) { try TokenRequest.form(Array(form.utf8)) }
    }

    @Test("a form that is not UTF-8 is refused")
    func notUTF8() {
        #expect(throws: TokenRequest.Fault.self) { try TokenRequest.form([0xff, 0xfe]) }
    }
}
