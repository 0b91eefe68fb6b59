// SPDX-License-Identifier: Apache-2.0

import Testing

/// What each layer may import of ours. Packages are in the manifest; this table is the picture of the whole, and says
/// no where a target was added to the manifest in the wrong direction.
@Suite struct LayerTests {
    private static let shared: [String: Set<String>] = [
        "OCI": [],
        "Grammar": ["OCI"],
        "Blocking": [],
        "Telemetry": [],
        "Config": ["Telemetry"],
        "Hashing": ["OCI", "CLibcrypto"],
        "SignedURL": ["OCI", "Grammar", "Hashing"],
        "EdgeProtocol": ["OCI", "Grammar", "Hashing"],
        "Disk": ["Blocking", "CLinux"],
        "HTTPServer": ["Blocking", "Telemetry", "Disk", "CLinux"],
        "HTTPFetch": ["Blocking", "Telemetry", "CLibcurl"],
    ]
    private static let origin: [String: Set<String>] = [
        "HTTP": ["HTTPServer", "Disk", "Blocking"],
        "Metadata": ["Blocking", "CLibpq"],
        "PrivatePostgres": ["Disk", "Blocking", "CLinux"],
        "Secrets": ["OriginMetadata", "Disk", "Hashing"],
        "BlobStore": ["Hashing", "Disk", "Blocking"],
        "Uploads": ["OriginMetadata", "OriginBlobStore", "Hashing", "Blocking"],
        "Lifecycle": ["OriginMetadata", "OriginBlobStore", "Blocking"],
        "Auth": ["HTTPServer", "OriginHTTP", "OriginMetadata", "OriginSecrets", "OriginTrust", "Hashing", "Disk"],
        "Trust": ["HTTPFetch"],
        "EdgeControl": [
            "OriginHTTP", "OriginAuth", "OriginMetadata", "OriginBlobStore", "OriginSecrets", "SignedURL",
            "EdgeProtocol",
            "HTTPServer", "Hashing", "Disk", "Blocking",
        ],
        "RegistryAPI": [
            "OriginHTTP", "OriginAuth", "OriginMetadata", "OriginBlobStore", "OriginUploads", "OriginEdgeControl",
            "SignedURL", "HTTPServer", "Hashing", "Disk", "Blocking",
        ],
        "AdminAPI": [
            "OriginHTTP", "OriginAuth", "OriginTrust", "OriginMetadata", "OriginEdgeControl", "EdgeProtocol",
            "HTTPServer", "Hashing",
        ],
        "CommandLine": ["HTTPFetch", "Blocking", "Config", "Disk"],
    ]
    private static let edge: [String: Set<String>] = [
        "Cache": ["Disk", "Hashing", "Blocking"],
        "Control": ["EdgeCache", "EdgeProtocol", "HTTPFetch", "SignedURL", "Hashing", "Disk", "Blocking"],
        "Fill": ["EdgeCache", "EdgeControl", "EdgeProtocol", "HTTPFetch", "SignedURL", "Hashing", "Disk", "Blocking"],
        "Delivery": ["EdgeCache", "EdgeFill", "SignedURL", "HTTPServer", "Disk", "Blocking"],
    ]

    private static let originTargets = Set(origin.keys.map { "Origin\($0)" })
    private static let edgeTargets = Set(edge.keys.map { "Edge\($0)" })
    /// Names of our modules: of this table, and of the C shims.
    private static let ours = originTargets.union(edgeTargets).union(shared.keys).union([
        "CLibcurl", "CLibpq", "CLibcrypto", "CLinux",
    ])

    @Test("a source file imports only what its layer may", arguments: SourceTree.swiftSources)
    func imports(file: SourceFile) throws {
        let path = file.path.split(separator: "/").map(String.init)
        let (layer, folder) = (path[1], path[2])
        var allowed: Set<String>
        switch (layer, folder) {
        case (_, "Main"): allowed = Self.ours.subtracting(layer == "Origin" ? Self.edgeTargets : Self.originTargets)
        case ("Shared", _): allowed = try #require(Self.shared[folder], "no row for Sources/Shared/\(folder)")
        case ("Origin", _): allowed = try #require(Self.origin[folder], "no row for Sources/Origin/\(folder)")
        case ("Edge", _): allowed = try #require(Self.edge[folder], "no row for Sources/Edge/\(folder)")
        default: allowed = []
        }
        if layer != "Shared" { allowed.formUnion(["OCI", "Grammar", "Telemetry"]) }
        let forbidden = Set(file.imports).intersection(Self.ours).subtracting(allowed)
        #expect(forbidden.isEmpty, "\(file) may not import \(forbidden.sorted().joined(separator: ", "))")
    }

    @Test(
        "a C library or framework has the importers it is meant for, and no others",
        arguments: [
            ("CLibpq", "Sources/Origin/Metadata/"), ("CLibcurl", "Sources/Shared/HTTPFetch/"),
            ("CLibcrypto", "Sources/Shared/Hashing/"), ("JWTKit", "Sources/Origin/Auth/"),
            ("Hummingbird", "Sources/Origin/"), ("HummingbirdCore", "Sources/Origin/"),
            ("HummingbirdTLS", "Sources/Origin/"), ("Mustache", "Sources/Origin/Explorer/"),
        ])
    func soleImporters(module: String, folder: String) {
        let others = SourceTree.swiftSources.filter { $0.imports.contains(module) && !$0.path.hasPrefix(folder) }
        #expect(others.isEmpty, "only \(folder) imports \(module): \(others)")
    }

    @Test("layers without I/O import nothing that does I/O")
    func pureLayers() {
        for (folder, allowed) in [("OCI", ["Synchronization"]), ("Grammar", ["OCI", "FoundationEssentials"])] {
            for file in SourceTree.swiftSources where file.path.hasPrefix("Sources/Shared/\(folder)/") {
                #expect(Set(file.imports).isSubset(of: allowed), "\(file) imports \(file.imports)")
            }
        }
        let noNetwork: Set<String> = [
            "NIOCore", "NIOPosix", "NIOHTTP1", "NIOSSL", "CLibcurl", "HTTPFetch", "HTTPServer",
        ]
        for file in SourceTree.swiftSources where file.path.hasPrefix("Sources/Edge/Cache/") {
            #expect(noNetwork.isDisjoint(with: file.imports), "the cache knows no network: \(file)")
        }
    }
}
