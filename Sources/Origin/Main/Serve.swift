// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Config
import Disk
import Telemetry

struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Serves the registry until SIGTERM.",
        discussion: """
            Every option is also a setting of the same name, DEPOT_DATA_DIRECTORY for --data-directory, in the \
            environment or in the file given with --config. A flag wins over the environment, that over the file.

            EXAMPLE
              depot-origin serve --data-directory /var/lib/depot --bootstrap-file /root/depot-bootstrap.json
              depot-origin serve --data-directory /var/lib/depot --listen 0.0.0.0:443 \\
                  --external-url https://registry.example --domain registry.example \\
                  --tls-certificate fullchain.pem --tls-key key.pem --database-url postgresql://db.example/depot
            """)

    @Option(help: "Configuration file: DEPOT_* settings, one KEY=VALUE a line.") var config: String?
    @Option(help: "Where the origin keeps its own files.") var dataDirectory: String?
    @Option(help: "HOST:PORT of the registry (127.0.0.1:8080).") var listen: String?
    @Option(help: "HOST:PORT of the admin API, health and metrics (127.0.0.1:8081).") var adminListen: String?
    @Option(help: "URL that clients reach the registry at.") var externalURL: String?
    @Option(help: "Domain below which each organization has a host of its own.") var domain: String?
    @Option(help: "URL that edges reach this very origin at (from --listen).") var originURL: String?
    @Option(help: "PostgreSQL; without it, the origin runs a private cluster.") var databaseURL: String?
    @Option(help: "Where blobs are kept (the data directory).") var blobDirectory: String?
    @Option(help: "Key that wraps the deployment's secrets (origin.key in the data directory).") var keyFile: String?
    @Option(help: "Where the first start writes its credentials.") var bootstrapFile: String?
    @Option(help: "Name of this origin, a-z, 0-9 and '-' (made once, kept in the data directory).") var originID:
        String?
    @Option(help: "Seconds that a link to an edge counts (900).") var linkTtlSeconds: String?
    @Option(help: "Blobs up to this size are not redirected (64KiB).") var directServeBytesMax: String?
    @Option(help: "Largest manifest taken (4MiB).") var manifestBytesMax: String?
    @Option(help: "none, children or all (children).") var missingReferences: String?
    @Option(help: "Bytes to leave free on the disk (a twentieth of it, at most 20GiB).") var diskReserveBytes: String?
    @Option(help: "Connections at once (16384).") var connectionCountMax: String?
    @Option(help: "Connections at once of one address, or of one IPv6 /64 (4096).")
    var connectionCountPerAddressMax: String?
    @Option(help: "Addresses and blocks of proxies whose X-Forwarded-For counts, separated by commas (none).")
    var trustedProxies: String?
    @Option(help: "Hosts of token issuers inside this network, separated by commas (none).")
    var privateIssuers: String?
    @Option(help: "Requests a second with one token, 0 for no limit (50000).")
    var requestsPerSecondPerToken: String?
    @Option(help: "Requests a second from one address without a token that counts, 0 for no limit (500).")
    var requestsPerSecondPerAddress: String?
    @Option(help: "Seconds that running requests get after SIGTERM (30).") var drainSeconds: String?
    @Option(help: "PEM file: certificate, then intermediates.") var tlsCertificate: String?
    @Option(help: "PEM file: private key.") var tlsKey: String?
    @Option(help: "Writes the bound addresses to this file, as JSON.") var portFile: String?
    @Option(help: "text or json (text).") var logFormat: String?
    @Option(help: "trace, debug, info, notice, warning, error or critical (info).") var logLevel: String?
    @Option(help: "on or off (on).") var accessLog: String?
    @Option(help: "on or off (off): whether a crash may write the memory, secrets included, to a core file.")
    var coreFiles: String?
    @Flag(help: "Checks the settings and exits.") var checkConfig = false

    private var flags: [String: String] {
        let options = [
            "CONFIG": config, "DATA_DIRECTORY": dataDirectory, "LISTEN": listen, "ADMIN_LISTEN": adminListen,
            "EXTERNAL_URL": externalURL, "DOMAIN": domain, "ORIGIN_URL": originURL, "DATABASE_URL": databaseURL,
            "BLOB_DIRECTORY": blobDirectory, "KEY_FILE": keyFile, "BOOTSTRAP_FILE": bootstrapFile,
            "ORIGIN_ID": originID,
            "LINK_TTL_SECONDS": linkTtlSeconds, "DIRECT_SERVE_BYTES_MAX": directServeBytesMax,
            "MANIFEST_BYTES_MAX": manifestBytesMax, "MISSING_REFERENCES": missingReferences,
            "DISK_RESERVE_BYTES": diskReserveBytes, "CONNECTION_COUNT_MAX": connectionCountMax,
            "CONNECTION_COUNT_PER_ADDRESS_MAX": connectionCountPerAddressMax, "DRAIN_SECONDS": drainSeconds,
            "TRUSTED_PROXIES": trustedProxies, "PRIVATE_ISSUERS": privateIssuers,
            "REQUESTS_PER_SECOND_PER_TOKEN": requestsPerSecondPerToken,
            "REQUESTS_PER_SECOND_PER_ADDRESS": requestsPerSecondPerAddress,
            "TLS_CERTIFICATE": tlsCertificate,
            "TLS_KEY": tlsKey, "PORT_FILE": portFile, "LOG_FORMAT": logFormat, "LOG_LEVEL": logLevel,
            "ACCESS_LOG": accessLog, "CORE_FILES": coreFiles,
        ]
        return Dictionary(
            uniqueKeysWithValues: options.compactMap { key, value in value.map { ("DEPOT_" + key, $0) } })
    }

    func run() async throws {
        let settings = try OriginSettings(flags: flags)
        if checkConfig { return }
        LogSetup.bootstrap(format: settings.logFormat, level: settings.logLevel, program: "depot-origin")
        OpenFileLimit.raise()
        if settings.allowsCoreFiles { CrashTraces.allowCoreFiles() }
        try await OriginNode(settings: settings).run()
    }
}
