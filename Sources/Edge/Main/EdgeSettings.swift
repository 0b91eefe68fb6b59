// SPDX-License-Identifier: Apache-2.0

import Config
import Disk
import Logging
import Telemetry

/// Everything that an operator can set, read once at start.
struct EdgeSettings: Sendable {
    let cacheDirectory: String
    let credentialFile: String
    let listen: HostPort
    let adminListen: HostPort
    let allowsPlainHTTPJoin: Bool
    let cacheBytesMax: ByteSize?
    let diskReserveBytes: ByteSize?
    let scrubBytesPerSecond: ByteSize
    let connectionCountMax: Int
    let connectionCountPerAddressMax: Int
    let drainTime: Duration
    let tls: (certificateFile: String, keyFile: String)?
    let authorityFile: String?
    let portFile: String?
    let logFormat: LogFormat
    let logLevel: Logger.Level
    let writesAccessLog: Bool
    let allowsCoreFiles: Bool

    enum Switch: String, CaseIterable { case on, off }

    /// - Throws: All that is wrong, one line each.
    init(flags: [String: String]) throws(SettingsError) {
        var settings = try Settings(flags: flags)
        listen = settings.value("DEPOT_LISTEN", default: HostPort(host: "127.0.0.1", port: 8090))
        adminListen = settings.value("DEPOT_ADMIN_LISTEN", default: HostPort(host: "127.0.0.1", port: 8091))
        allowsPlainHTTPJoin = settings.value("DEPOT_ALLOW_PLAIN_HTTP_JOIN", default: false)
        cacheBytesMax = settings.optional("DEPOT_CACHE_BYTES_MAX") { size in
            size.bytes >= 16 << 20 ? nil : "must be at least 16MiB"
        }
        diskReserveBytes = settings.optional("DEPOT_DISK_RESERVE_BYTES")
        scrubBytesPerSecond = settings.value(
            "DEPOT_SCRUB_BYTES_PER_SECOND", default: ByteSize(bytes: 4 << 20),
            in: ByteSize(bytes: 0)...ByteSize(bytes: 1 << 40))
        connectionCountMax = settings.value("DEPOT_CONNECTION_COUNT_MAX", default: 16_384, in: 16...1_000_000)
        connectionCountPerAddressMax = settings.value(
            "DEPOT_CONNECTION_COUNT_PER_ADDRESS_MAX", default: 4096, in: 1...1_000_000)
        drainTime = settings.value("DEPOT_DRAIN_SECONDS", default: Seconds(30), in: Seconds(0)...Seconds(3600)).duration
        let certificate: String? = settings.optional("DEPOT_TLS_CERTIFICATE")
        let key: String? = settings.optional("DEPOT_TLS_KEY")
        authorityFile = settings.optional("DEPOT_CA_FILE")
        portFile = settings.optional("DEPOT_PORT_FILE")
        logFormat = settings.choice("DEPOT_LOG_FORMAT", default: .text)
        logLevel = settings.choice("DEPOT_LOG_LEVEL", default: .info)
        writesAccessLog = settings.choice("DEPOT_ACCESS_LOG", default: Switch.on) == .on
        allowsCoreFiles = settings.choice("DEPOT_CORE_FILES", default: Switch.off) == .on
        cacheDirectory = try settings.required("DEPOT_CACHE_DIRECTORY")
        credentialFile = try settings.required("DEPOT_CREDENTIAL_FILE")
        try settings.finish()
        switch (certificate, key) {
        case (let certificate?, let key?): tls = (certificate, key)
        case (nil, nil): tls = nil
        default: throw SettingsError(problems: ["DEPOT_TLS_CERTIFICATE and DEPOT_TLS_KEY: give both or neither"])
        }
    }

    /// Bytes of blobs to keep: as set, or four fifths of the file system.
    func cacheBytes(totalBytes: Int64) -> Int64 { cacheBytesMax?.bytes ?? totalBytes / 5 * 4 }

    /// Bytes to leave free: as set, or a twentieth of the file system, at most 20 GiB.
    func reserveBytes(totalBytes: Int64) -> Int64 { diskReserveBytes?.bytes ?? min(totalBytes / 20, 20 << 30) }
}
