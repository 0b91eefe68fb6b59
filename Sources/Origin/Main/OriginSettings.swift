// SPDX-License-Identifier: Apache-2.0

import Config
import HTTPServer
import Logging
import OriginAuth
import OriginMetadata
import SignedURL
import Telemetry

/// Everything that an operator can set, read once at start.
struct OriginSettings: Sendable {
    let dataDirectory: String
    let blobDirectory: String
    let keyFile: String
    let bootstrapFile: String?
    let listen: HostPort
    let adminListen: HostPort
    let hosts: HostPolicy
    let externalURL: BaseURL?
    let originURL: BaseURL?
    let originID: String?
    /// `nil`: a private cluster. It may hold a password.
    let databaseURL: Secret?
    let linkTimeToLive: Duration
    let directServeBytesMax: ByteSize
    let manifestBytesMax: ByteSize
    let missingReferences: MissingReferences
    let diskReserveBytes: ByteSize?
    let connectionCountMax: Int
    let connectionCountPerAddressMax: Int
    let drainTime: Duration
    let trustedProxies: [AddressBlock]
    let rates: RequestLimits.Rates
    /// Hosts of token issuers inside this network, which may use plain http and have private addresses.
    let privateIssuers: Set<String>
    let tls: (certificateFile: String, keyFile: String)?
    let portFile: String?
    let logFormat: LogFormat
    let logLevel: Logger.Level
    let writesAccessLog: Bool
    let allowsCoreFiles: Bool

    enum Switch: String, CaseIterable { case on, off }

    /// - Throws: All that is wrong, one line each.
    init(flags: [String: String]) throws(SettingsError) {
        var settings = try Settings(flags: flags)
        let notURL: (String) -> String? = { BaseURL($0) == nil ? "must be http[s]://HOST[:PORT]" : nil }
        let listen = settings.value("DEPOT_LISTEN", default: HostPort(host: "127.0.0.1", port: 8080))
        adminListen = settings.value("DEPOT_ADMIN_LISTEN", default: HostPort(host: "127.0.0.1", port: 8081))
        let external: String? = settings.optional("DEPOT_EXTERNAL_URL", check: notURL)
        let own: String? = settings.optional("DEPOT_ORIGIN_URL", check: notURL)
        let domain: String? = settings.optional("DEPOT_DOMAIN")
        originID = settings.optional("DEPOT_ORIGIN_ID") {
            Link.isLabel($0) ? nil : "must be 1 to 32 of a-z, 0-9 and '-'"
        }
        databaseURL = settings.optional("DEPOT_DATABASE_URL")
        let blobDirectory: String? = settings.optional("DEPOT_BLOB_DIRECTORY", check: Self.pathFault)
        let keyFile: String? = settings.optional("DEPOT_KEY_FILE")
        bootstrapFile = settings.optional("DEPOT_BOOTSTRAP_FILE")
        linkTimeToLive =
            settings.value("DEPOT_LINK_TTL_SECONDS", default: Seconds(900), in: Seconds(1)...Seconds(86_400)).duration
        directServeBytesMax = settings.value("DEPOT_DIRECT_SERVE_BYTES_MAX", default: ByteSize(bytes: 64 << 10))
        manifestBytesMax = settings.value(
            "DEPOT_MANIFEST_BYTES_MAX", default: ByteSize(bytes: 4 << 20),
            in: ByteSize(bytes: 4 << 20)...ByteSize(bytes: 64 << 20))
        missingReferences = settings.choice("DEPOT_MISSING_REFERENCES", default: .children)
        diskReserveBytes = settings.optional("DEPOT_DISK_RESERVE_BYTES")
        connectionCountMax = settings.value("DEPOT_CONNECTION_COUNT_MAX", default: 16_384, in: 16...1_000_000)
        connectionCountPerAddressMax = settings.value(
            "DEPOT_CONNECTION_COUNT_PER_ADDRESS_MAX", default: 4096, in: 1...1_000_000)
        drainTime = settings.value("DEPOT_DRAIN_SECONDS", default: Seconds(30), in: Seconds(0)...Seconds(3600)).duration
        let proxies: String? = settings.optional("DEPOT_TRUSTED_PROXIES") { text in
            Self.addressBlocks(text) == nil
                ? "must be addresses or blocks such as 10.0.0.0/8, separated by commas" : nil
        }
        trustedProxies = proxies.flatMap(Self.addressBlocks) ?? []
        let issuers: String? = settings.optional("DEPOT_PRIVATE_ISSUERS")
        privateIssuers = Set((issuers ?? "").lowercased().split(separator: ",").map { $0.filter { $0 != " " } })
        rates = RequestLimits.Rates(
            perToken: settings.value(
                "DEPOT_REQUESTS_PER_SECOND_PER_TOKEN", default: RequestLimits.Rates.perTokenDefault, in: 0...1_000_000),
            perAddress: settings.value(
                "DEPOT_REQUESTS_PER_SECOND_PER_ADDRESS", default: RequestLimits.Rates.perAddressDefault,
                in: 0...1_000_000))
        let certificate: String? = settings.optional("DEPOT_TLS_CERTIFICATE")
        let key: String? = settings.optional("DEPOT_TLS_KEY")
        portFile = settings.optional("DEPOT_PORT_FILE")
        logFormat = settings.choice("DEPOT_LOG_FORMAT", default: .text)
        logLevel = settings.choice("DEPOT_LOG_LEVEL", default: .info)
        writesAccessLog = settings.choice("DEPOT_ACCESS_LOG", default: Switch.on) == .on
        allowsCoreFiles = settings.choice("DEPOT_CORE_FILES", default: Switch.off) == .on
        let dataDirectory: String = try settings.required("DEPOT_DATA_DIRECTORY", check: Self.pathFault)
        try settings.finish()

        self.listen = listen
        self.dataDirectory = dataDirectory
        self.blobDirectory = blobDirectory ?? dataDirectory
        self.keyFile = keyFile ?? dataDirectory + "/origin.key"
        externalURL = external.flatMap { BaseURL($0) }
        originURL = own.flatMap { BaseURL($0) }
        switch (certificate, key) {
        case (let certificate?, let key?): tls = (certificate, key)
        case (nil, nil): tls = nil
        default: throw SettingsError(problems: ["DEPOT_TLS_CERTIFICATE and DEPOT_TLS_KEY: give both or neither"])
        }
        do throws(HostPolicyError) {
            hosts = try HostPolicy(externalURL: external, domain: domain, listenHost: listen.host)
        } catch {
            throw SettingsError(problems: [error.description])
        }
    }

    private static func addressBlocks(_ text: String) -> [AddressBlock]? {
        let blocks = text.split(separator: ",").map { AddressBlock($0.filter { $0 != " " }) }
        return blocks.contains(nil) ? nil : blocks.compactMap(\.self)
    }

    private static func pathFault(_ path: String) -> String? {
        path.hasPrefix("/") ? nil : "must be an absolute path"
    }

    /// Bytes to leave free: as set, or a twentieth of the file system, at most 20 GiB.
    func reserveBytes(totalBytes: Int64) -> Int64 { diskReserveBytes?.bytes ?? min(totalBytes / 20, 20 << 30) }

    /// Where edges reach this origin once it is bound to `port`: as set, or the listener's address. Where that is no place
    /// to call, since it is a wildcard or speaks plain HTTP behind whoever speaks https for it: where clients call.
    func ownURL(port: Int) -> BaseURL {
        if let originURL { return originURL }
        let scheme = tls == nil ? "http" : "https"
        let isWildcard = ["0.0.0.0", "::", "*"].contains(listen.host)
        if let externalURL, isWildcard || tls == nil && externalURL.scheme == "https" { return externalURL }
        let address = HostPort(host: isWildcard ? "127.0.0.1" : listen.host, port: port)
        guard let url = BaseURL("\(scheme)://\(address)") else {
            preconditionFailure("HOST:PORT of a bound listener makes a base URL")
        }
        return url
    }
}
