// SPDX-License-Identifier: Apache-2.0

import Config
import Disk
import Logging
import NIOCore
import OCI

/// Waits until both listeners are bound, then says so: in the log, and in the port file if one is asked for.
actor BoundAddresses {
    enum Listener { case listen, admin }

    private let portFile: String?
    private let logger: Logger
    private var texts: [Listener: String] = [:]

    init(portFile: String?, logger: Logger) {
        self.portFile = portFile
        self.logger = logger
    }

    func bound(_ listener: Listener, to address: SocketAddress) {
        texts[listener] = HostPort(host: address.ipAddress ?? "", port: address.port ?? 0).description
        guard let listen = texts[.listen], let admin = texts[.admin] else { return }
        logger.info("origin started", metadata: ["listen": "\(listen)", "admin": "\(admin)"])
        guard let portFile else { return }
        let content = JSONValue.object([
            JSONMember(name: "listen", value: .string(listen)), JSONMember(name: "admin", value: .string(admin)),
        ])
        do throws(DiskError) {
            try AtomicFile.write(content.encode() + [UInt8(ascii: "\n")], to: portFile, permissions: 0o644)
        } catch {
            logger.error("port file not written", metadata: ["error": "\(error)"])
        }
    }
}
