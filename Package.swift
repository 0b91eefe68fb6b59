// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0

import PackageDescription

/// One list for every Swift target: Swift 6 mode comes from the tools version; the rest is `Docs/decisions/0001-language-settings.md`.
let settings: [SwiftSetting] = [
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

enum Layer: String { case shared = "Shared", origin = "Origin", edge = "Edge" }

func target(
    _ name: String, in layer: Layer, _ folder: String, imports: [Target.Dependency], resources: [Resource] = []
) -> Target {
    .target(
        name: name, dependencies: imports, path: "Sources/\(layer.rawValue)/\(folder)", resources: resources,
        swiftSettings: settings)
}

func fixtures(_ name: String, imports: [Target.Dependency], resources: [Resource] = []) -> Target {
    .target(name: name, dependencies: imports, path: "Tests/\(name)", resources: resources, swiftSettings: settings)
}

func tests(_ name: String, imports: [Target.Dependency], resources: [Resource] = []) -> Target {
    .testTarget(
        name: name, dependencies: imports, path: "Tests/\(name)", resources: resources, swiftSettings: settings)
}

extension Target.Dependency {
    static let argumentParser = product(name: "ArgumentParser", package: "swift-argument-parser")
    static let configuration = product(name: "Configuration", package: "swift-configuration")
    static let crypto = product(name: "Crypto", package: "swift-crypto")
    static let cryptoExtras = product(name: "CryptoExtras", package: "swift-crypto")
    static let deque = product(name: "DequeModule", package: "swift-collections")
    static let hummingbird = product(name: "Hummingbird", package: "hummingbird")
    static let hummingbirdCore = product(name: "HummingbirdCore", package: "hummingbird")
    static let hummingbirdTLS = product(name: "HummingbirdTLS", package: "hummingbird")
    static let httpTypes = product(name: "HTTPTypes", package: "swift-http-types")
    static let jwt = product(name: "JWTKit", package: "jwt-kit")
    static let lifecycle = product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
    static let unixSignals = product(name: "UnixSignals", package: "swift-service-lifecycle")
    static let logging = product(name: "Logging", package: "swift-log")
    static let metrics = product(name: "Metrics", package: "swift-metrics")
    static let coreMetrics = product(name: "CoreMetrics", package: "swift-metrics")
    static let nioCore = product(name: "NIOCore", package: "swift-nio")
    static let nioEmbedded = product(name: "NIOEmbedded", package: "swift-nio")
    static let nioHTTP1 = product(name: "NIOHTTP1", package: "swift-nio")
    static let nioPosix = product(name: "NIOPosix", package: "swift-nio")
    static let nioHTTPTypes = product(name: "NIOHTTPTypes", package: "swift-nio-extras")
    static let nioHTTPTypesHTTP1 = product(name: "NIOHTTPTypesHTTP1", package: "swift-nio-extras")
    static let nioSSL = product(name: "NIOSSL", package: "swift-nio-ssl")
    static let nioTLS = product(name: "NIOTLS", package: "swift-nio")
}

let package = Package(
    name: "depot-registry",
    platforms: [.macOS(.v15)],  // Only Linux is supported; this silences availability checks of the dependencies.
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0", traits: []),
        .package(url: "https://github.com/apple/swift-crypto", "4.0.0"..<"5.0.0"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-extras", from: "1.35.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/vapor/jwt-kit", from: "5.7.1"),
    ],
    targets: [
        // C libraries: module maps and static inline wrappers for what Swift cannot import.
        .systemLibrary(
            name: "CLibcurl", path: "Sources/CLibcurl", pkgConfig: "libcurl",
            providers: [.apt(["libcurl4-openssl-dev"])]),
        .systemLibrary(name: "CLibpq", path: "Sources/CLibpq", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
        .systemLibrary(
            name: "CLibcrypto", path: "Sources/CLibcrypto", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
        .target(name: "CLinux", path: "Sources/CLinux"),

        // Shared
        target("OCI", in: .shared, "OCI", imports: []),
        target("Grammar", in: .shared, "Grammar", imports: ["OCI"]),
        target("Blocking", in: .shared, "Blocking", imports: [.deque]),
        target("Telemetry", in: .shared, "Telemetry", imports: [.coreMetrics, .logging]),
        target("Config", in: .shared, "Config", imports: [.configuration]),
        target("Hashing", in: .shared, "Hashing", imports: ["CLibcrypto", "OCI", .crypto]),
        target("SignedURL", in: .shared, "SignedURL", imports: ["OCI", "Grammar", "Hashing"]),
        target("EdgeProtocol", in: .shared, "EdgeProtocol", imports: ["OCI", "Grammar", "Hashing"]),
        target("Disk", in: .shared, "Disk", imports: ["CLinux"]),
        target(
            "HTTPServer", in: .shared, "HTTPServer",
            imports: [
                "CLinux", "Blocking", "Telemetry", "Disk", .logging, .nioCore, .nioHTTP1, .nioPosix, .nioSSL, .nioTLS,
                .unixSignals,
            ]),
        target("HTTPFetch", in: .shared, "HTTPFetch", imports: ["CLibcurl", "Blocking"]),

        // Origin
        target(
            "OriginHTTP", in: .origin, "HTTP",
            imports: [
                "Grammar", "OCI", "Blocking", "Telemetry", "Disk", "HTTPServer", .httpTypes, .hummingbird,
                .hummingbirdCore,
                .logging, .nioCore, .nioHTTP1, .nioHTTPTypes, .nioHTTPTypesHTTP1, .nioPosix, .nioSSL, .lifecycle,
            ]),
        target(
            "OriginMetadata", in: .origin, "Metadata",
            imports: ["CLibpq", "OCI", "Blocking", "Telemetry", .deque, .logging],
            resources: [.embedInCode("Migrations")]),
        target(
            "OriginPrivatePostgres", in: .origin, "PrivatePostgres",
            imports: ["CLinux", "Blocking", "Disk", .logging]),
        target(
            "OriginSecrets", in: .origin, "Secrets", imports: ["Grammar", "Hashing", "Disk", "OriginMetadata", .crypto]),
        target("OriginBlobStore", in: .origin, "BlobStore", imports: ["OCI", "Hashing", "Disk"]),
        target(
            "OriginUploads", in: .origin, "Uploads",
            imports: [
                "OCI", "Blocking", "Telemetry", "Hashing", "OriginMetadata", "OriginBlobStore", .logging, .nioCore,
            ]),
        target(
            "OriginLifecycle", in: .origin, "Lifecycle",
            imports: ["Blocking", "Telemetry", "OriginMetadata", "OriginBlobStore", .logging]),
        target(
            "OriginAuth", in: .origin, "Auth",
            imports: [
                "Grammar", "OCI", "Telemetry", "Hashing", "Disk", "HTTPServer", "OriginHTTP", "OriginMetadata",
                "OriginSecrets", "OriginTrust", .crypto,
                .httpTypes, .hummingbird, .jwt, .logging,
            ]),
        target(
            "OriginTrust", in: .origin, "Trust",
            imports: ["Grammar", "OCI", "Telemetry", "HTTPFetch", .crypto, .cryptoExtras, .logging]),
        target(
            "OriginEdgeControl", in: .origin, "EdgeControl",
            imports: [
                "Grammar", "OCI", "Blocking", "Telemetry", "Hashing", "SignedURL", "EdgeProtocol", "HTTPServer",
                "OriginHTTP",
                "OriginMetadata", "OriginSecrets", "OriginBlobStore", "OriginAuth", .httpTypes, .hummingbird,
                .logging, .nioCore,
            ]),
        target(
            "OriginRegistryAPI", in: .origin, "RegistryAPI",
            imports: [
                "Grammar", "OCI", "Blocking", "Telemetry", "Hashing", "HTTPServer", "OriginHTTP", "OriginMetadata",
                "OriginBlobStore", "OriginUploads", "OriginAuth", "OriginEdgeControl", .httpTypes, .hummingbird,
                .logging,
            ]),
        target(
            "OriginAdminAPI", in: .origin, "AdminAPI",
            imports: [
                "Grammar", "OCI", "Telemetry", "Hashing", "EdgeProtocol", "OriginHTTP", "OriginMetadata",
                "OriginTrust", "OriginAuth", "OriginEdgeControl", .httpTypes, .hummingbird, .nioCore,
            ]),
        target(
            "OriginCommandLine", in: .origin, "CommandLine",
            imports: ["Grammar", "OCI", "Disk", "HTTPFetch", .argumentParser]),
        .executableTarget(
            name: "depot-origin",
            dependencies: [
                "OCI", "Blocking", "Telemetry", "Config", "Hashing", "SignedURL", "Disk", "HTTPServer", "HTTPFetch",
                "OriginHTTP", "OriginTrust", "OriginMetadata", "OriginPrivatePostgres", "OriginSecrets",
                "OriginBlobStore", "OriginUploads",
                "OriginLifecycle", "OriginAuth", "OriginEdgeControl", "OriginRegistryAPI", "OriginAdminAPI",
                "OriginCommandLine",
                .argumentParser, .logging, .nioCore, .lifecycle, .unixSignals,
            ],
            path: "Sources/Origin/Main", swiftSettings: settings),

        // Edge
        target(
            "EdgeCache", in: .edge, "Cache",
            imports: ["OCI", "Blocking", "Telemetry", "Hashing", "Disk", .logging]),
        target(
            "EdgeControl", in: .edge, "Control",
            imports: [
                "OCI", "Blocking", "Telemetry", "Hashing", "SignedURL", "EdgeProtocol", "Disk", "HTTPFetch",
                .logging,
            ]),
        target(
            "EdgeFill", in: .edge, "Fill",
            imports: [
                "OCI", "Blocking", "Telemetry", "Hashing", "SignedURL", "Disk", "HTTPFetch", "EdgeCache",
                "EdgeControl", .logging,
            ]),
        target(
            "EdgeDelivery", in: .edge, "Delivery",
            imports: [
                "Grammar", "OCI", "Telemetry", "SignedURL", "Disk", "HTTPServer", "EdgeFill", .nioCore, .nioHTTP1,
            ]),
        .executableTarget(
            name: "depot-edge",
            dependencies: [
                "Blocking", "Telemetry", "Config", "Disk", "HTTPServer", "HTTPFetch", "EdgeCache", "EdgeControl",
                "EdgeFill", "EdgeDelivery", .argumentParser, .logging, .nioCore, .nioPosix, .lifecycle,
                .unixSignals,
            ],
            path: "Sources/Edge/Main", swiftSettings: settings),

        // Tests: fixtures, then one target for each target under test.
        fixtures("LoopbackServer", imports: ["Blocking"]),
        .target(
            name: "RegistryTrace", dependencies: ["OCI", "EdgeCache"], path: "Benchmarks/TraceReplay/Trace",
            swiftSettings: settings),
        fixtures("StackSupport", imports: [], resources: [.copy("issuer.py")]),
        fixtures("TestSupport", imports: ["OCI", "Telemetry", "OriginMetadata", "OriginPrivatePostgres", .logging]),
        tests("BlockingTests", imports: ["Blocking"]),
        tests("ClientTests", imports: ["StackSupport"]),
        tests("ConfigTests", imports: ["Config"]),
        tests("DiskTests", imports: ["Disk"]),
        tests(
            "EdgeCacheTests",
            imports: ["OCI", "Blocking", "Telemetry", "Hashing", "Disk", "EdgeCache", "RegistryTrace", .logging]),
        tests(
            "EdgeControlTests",
            imports: [
                "OCI", "Blocking", "Telemetry", "Hashing", "SignedURL", "EdgeProtocol", "Disk", "HTTPFetch",
                "EdgeControl", "LoopbackServer", .logging,
            ]),
        tests("EdgeDeliveryTests", imports: ["OCI", "SignedURL", "EdgeDelivery", .nioHTTP1]),
        tests(
            "EdgeFillTests",
            imports: [
                "OCI", "Blocking", "Telemetry", "Hashing", "SignedURL", "Disk", "HTTPFetch", "EdgeCache",
                "EdgeControl", "EdgeFill", "LoopbackServer", .logging,
            ]),
        tests("EdgeProtocolTests", imports: ["Grammar", "OCI", "Hashing", "EdgeProtocol"]),
        tests("HTTPFetchTests", imports: ["HTTPFetch", "LoopbackServer"]),
        tests("GrammarTests", imports: ["OCI", "Grammar"]),
        tests(
            "HTTPServerTests",
            imports: ["Telemetry", "HTTPServer", "StackSupport", .nioCore, .nioHTTP1, .nioPosix]),
        tests("HashingTests", imports: ["OCI", "Grammar", "Hashing"]),
        tests(
            "IntegrationTests", imports: ["OCI", "Grammar", "Hashing", "SignedURL", "StackSupport", .crypto],
            resources: [.copy("BadInput")]),
        tests("OCITests", imports: ["OCI"]),
        tests(
            "OriginAdminAPITests",
            imports: [
                "OCI", "EdgeProtocol", "OriginMetadata", "OriginAuth", "OriginEdgeControl", "OriginAdminAPI",
            ]),
        tests(
            "OriginAuthTests",
            imports: [
                "Grammar", "OCI", "Hashing", "Disk", "HTTPServer", "OriginMetadata", "OriginAuth", "TestSupport",
                .crypto,
                .logging,
            ]),
        tests("OriginBlobStoreTests", imports: ["OCI", "Hashing", "Disk", "OriginBlobStore", "TestSupport"]),
        tests("OriginCommandLineTests", imports: ["OCI", "OriginCommandLine", .argumentParser]),
        tests(
            "OriginEdgeControlTests",
            imports: [
                "OCI", "Telemetry", "Hashing", "SignedURL", "EdgeProtocol", "OriginMetadata", "OriginSecrets",
                "OriginAuth", "OriginEdgeControl", "TestSupport", .logging,
            ]),
        tests("OriginHTTPTests", imports: ["Telemetry", "OriginHTTP"]),
        tests(
            "OriginMetadataTests", imports: ["OCI", "Telemetry", "Hashing", "OriginMetadata", "TestSupport", .logging]),
        tests(
            "OriginLifecycleTests",
            imports: [
                "OCI", "Blocking", "Telemetry", "OriginMetadata", "OriginBlobStore", "OriginLifecycle", "TestSupport",
                .logging,
            ]),
        tests(
            "OriginPrivatePostgresTests",
            imports: [
                "Telemetry", "Disk", "OriginMetadata", "OriginPrivatePostgres", "TestSupport", .logging,
            ]),
        tests(
            "OriginRegistryAPITests",
            imports: [
                "Grammar", "OCI", "OriginHTTP", "OriginMetadata", "OriginBlobStore", "OriginUploads", "OriginAuth",
                "OriginRegistryAPI", .httpTypes,
            ]),
        tests("OriginSecretsTests", imports: ["Disk", "OriginMetadata", "OriginSecrets", "TestSupport"]),
        tests(
            "OriginTrustTests",
            imports: [
                "Grammar", "OCI", "Telemetry", "HTTPFetch", "OriginTrust", "LoopbackServer", "StackSupport", .crypto,
                .cryptoExtras, .logging,
            ]),
        tests(
            "OriginUploadsTests",
            imports: [
                "OCI", "Blocking", "Telemetry", "Hashing", "Disk", "OriginMetadata", "OriginBlobStore",
                "OriginUploads", "TestSupport", .logging, .nioCore,
            ]),
        tests("SignedURLTests", imports: ["OCI", "Hashing", "SignedURL"], resources: [.copy("link-vectors.json")]),
        tests("TelemetryTests", imports: ["Telemetry", .coreMetrics, .logging]),
        tests("TidyTests", imports: []),
    ]
)

// Built by Scripts/fuzz alone: it needs libFuzzer, which is there only with the sanitizer's options.
if Context.environment["DEPOT_FUZZ"] != nil {
    // What reads requests, without the rest of its target, which would bring SwiftNIO and libcurl along.
    let others: Set = ["EdgeDelivery", "EdgeDeliveryTests", "depot-edge"]
    package.targets.removeAll { others.contains($0.name) }
    package.targets += [
        .target(
            name: "EdgeRequests", dependencies: ["Grammar", "OCI", "SignedURL"], path: "Sources/Edge/Delivery",
            sources: ["BlobRequest.swift", "DeliveryPlan.swift", "RequestReader.swift"], swiftSettings: settings),
        .executableTarget(
            name: "depot-fuzz",
            dependencies: ["OCI", "Grammar", "Hashing", "SignedURL", "EdgeProtocol", "EdgeCache", "EdgeRequests"],
            path: "Tests/Fuzz", exclude: ["Corpus"], swiftSettings: settings),
    ]
}

// Built by hand, for Benchmarks/RESULTS.md.
if Context.environment["DEPOT_BENCH"] != nil {
    package.targets.append(
        .executableTarget(
            name: "depot-trace-replay", dependencies: ["EdgeCache", "RegistryTrace"],
            path: "Benchmarks/TraceReplay/Main", swiftSettings: settings))
}
