// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import StackSupport
import Testing

extension RealClients {
    /// Plain programs behind an nginx that ends TLS, by the sample of `Deploy/`.
    @Suite struct ProxyTests {
        /// Its address is ::1, where docker checks certificates; of 127.0.0.0/8 it takes any.
        private static let name = "registry.depot.test"
        private static let edgeHost = "127.0.0.9"

        @Test("docker, podman and ctr push and pull through nginx; every URL they see is nginx's")
        func clients() async throws {
            let scratch = try ScratchDirectory("proxy")
            let authority = CertificateAuthority(scratch.path("tls"))
            let registryPort = try freePort("127.0.0.1")
            let edgePort = try freePort(Self.edgeHost)
            let registry = "127.0.0.1:\(registryPort)"
            let edgeURL = "https://\(Self.edgeHost):\(edgePort)"
            let stack = try await RunningStack.up(
                ["--edges", "0"],
                environment: ["DEPOT_EXTERNAL_URL": "https://\(registry)", "DEPOT_DOMAIN": Self.name])
            var running: [RunningCommand] = []
            do {
                let plainEdge = "\(Self.edgeHost):\(try freePort(Self.edgeHost))"
                let nginx = try await startNginx(
                    scratch, authority, stack.description, registryPort: registryPort, edgePort: edgePort,
                    plainEdge: plainEdge)
                running.append(nginx)
                running.append(try await startEdge(scratch, authority, stack.description, edgeURL, plainEdge))
                try await expectProxyURLs(stack.description, authority, registry, edgeURL)
                try await pushAndPull(scratch, authority, stack.description, registry)
            } catch {
                for command in running.reversed() { _ = try? await command.stop() }
                try? await stack.down()
                throw error
            }
            for command in running.reversed() { try await command.stop() }
            try await stack.down()
        }

        // MARK: Servers

        private func startNginx(
            _ scratch: ScratchDirectory, _ authority: CertificateAuthority, _ stack: StackDescription,
            registryPort: UInt16, edgePort: UInt16, plainEdge: String
        ) async throws -> RunningCommand {
            let registry = try await authority.issue(
                "registry", for: ["IP:127.0.0.1", "IP:::1", "DNS:\(Self.name)", "DNS:stranger.depot.test"])
            let edge = try await authority.issue("edge-1", for: ["IP:\(Self.edgeHost)"])
            var sample = try String(contentsOfFile: "\(RunningStack.repository)/Deploy/nginx.conf", encoding: .utf8)
            let changes = [
                ("127.0.0.1:8080", String(stack.origin.dropFirst("http://".count))), ("127.0.0.1:8090", plainEdge),
                (
                    "listen 443 ssl;\n    server_name registry.example.com;",
                    "listen 127.0.0.1:\(registryPort) ssl;\n    listen [::1]:\(registryPort) ssl;"
                ),
                (
                    "listen 443 ssl;\n    server_name edge-1.example.net;",
                    "listen \(Self.edgeHost):\(edgePort) ssl;"
                ),
                ("/etc/depot/tls/registry.pem", registry.certificatePath),
                ("/etc/depot/tls/registry.key", registry.keyPath),
                ("/etc/depot/tls/edge-1.pem", edge.certificatePath), ("/etc/depot/tls/edge-1.key", edge.keyPath),
            ]
            for (from, to) in changes {
                #expect(sample.contains(from), "the sample has no \(from)")
                sample = sample.replacingOccurrences(of: from, with: to)
            }
            let home = try scratch.folder("nginx")
            try Data(sample.utf8).write(to: URL(filePath: home + "/depot.conf"))
            let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map {
                "\($0)_temp_path \(home)/\($0);"
            }
            let main = """
                daemon off;
                user root;
                pid \(home)/pid;
                error_log \(home)/error.log;
                events { worker_connections 1024; }
                http {
                    access_log \(home)/access.log;
                    \(temporary.joined(separator: "\n    "))
                    include \(home)/depot.conf;
                }
                """
            try Data(main.utf8).write(to: URL(filePath: home + "/nginx.conf"))
            let nginx = try Command(
                ["/usr/sbin/nginx", "-p", home, "-e", home + "/error.log", "-c", home + "/nginx.conf"],
                limit: .seconds(900)
            ).start()
            try await waitUntil("nginx answers") {
                guard nginx.isRunning else { throw CommandFailure(command: "nginx", result: try await nginx.result()) }
                return (try? await authority.servedSerial("127.0.0.1:\(registryPort)").isEmpty == false) ?? false
            }
            return nginx
        }

        /// An edge that joins through nginx, and that clients reach through it.
        private func startEdge(
            _ scratch: ScratchDirectory, _ authority: CertificateAuthority, _ stack: StackDescription, _ url: String,
            _ listen: String
        ) async throws -> RunningCommand {
            let admin = stack.origins[0].adminUrl
            let programs = RunningStack.programs
            let created = try await Command(
                ["\(programs)/depot-origin", "edge", "create", "behind-nginx", "--region", "eu-1", "--url", url],
                environment: ["DEPOT_ADMIN_URL": admin, "DEPOT_TOKEN": stack.adminToken]
            ).run()
            let credential = try #require(created.text.split { $0.isWhitespace }.first { $0.hasPrefix("depot-edge.") })
            try Data((credential + "\n").utf8).write(to: scratch.url("credential"))
            let edge = try Command(
                [
                    "\(programs)/depot-edge", "serve", "--cache-directory", scratch.path("cache"), "--credential-file",
                    scratch.path("credential"), "--listen", listen, "--admin-listen",
                    "\(Self.edgeHost):0", "--ca-file", authority.certificatePath,
                ], limit: .seconds(900)
            ).start()
            try await waitUntil("the edge is in rotation", within: .seconds(60)) {
                guard edge.isRunning else {
                    throw CommandFailure(command: "depot-edge", result: try await edge.result())
                }
                let listed = try await RawHTTP(admin).request(
                    "GET", "/api/v1/edges", headers: [("Authorization", "Bearer \(stack.adminToken)")])
                return listed.text.replacingOccurrences(of: " ", with: "").contains(#""in_rotation":true"#)
            }
            return edge
        }

        // MARK: What clients see

        /// Realm, redirect and upload lead to nginx by https, whatever a client claims to have been forwarded.
        private func expectProxyURLs(
            _ stack: StackDescription, _ authority: CertificateAuthority, _ registry: String, _ edgeURL: String
        ) async throws {
            func curl(_ arguments: [String]) async throws -> String {
                let common = [
                    "curl", "--silent", "--show-error", "--noproxy", "*", "--cacert", authority.certificatePath,
                ]
                return try await Command(common + ["--output", "/dev/null"] + arguments).run().text
            }
            let forged = ["--header", "X-Forwarded-Host: evil.example", "--header", "X-Forwarded-Proto: http"]
            let repository = "https://\(registry)/v2/\(stack.organization)/proxied"
            let challenge = try await curl(
                forged + ["--write-out", "%header{www-authenticate}", "https://\(registry)/v2/"])
            #expect(challenge.contains(#"realm="https://\#(registry)/token""#), "\(challenge)")

            let scratch = try ScratchDirectory("proxied")
            try await Command(["sh", "-ec", "head -c 1048576 /dev/urandom > blob"], in: scratch.path).run()
            let hex = try await sha256(of: [scratch.path("blob")])[0]
            let authorization = ["--header", "Authorization: \(stack.basicAuthorization)"] + forged
            let location = ["--write-out", "%header{location}"]
            let upload = try await curl(
                authorization + location + ["--request", "POST", repository + "/blobs/uploads/"])
            #expect(upload.hasPrefix("/v2/") || upload.hasPrefix("https://\(registry)/v2/"), "\(upload)")
            let url = upload.hasPrefix("/") ? "https://\(registry)\(upload)" : upload
            let put = ["--upload-file", scratch.path("blob"), "--write-out", "%{http_code} %header{location}"]
            let stored = try await curl(
                authorization + put + [url + (url.contains("?") ? "&" : "?") + "digest=sha256:\(hex)"])
            #expect(stored.hasPrefix("201 /v2/") || stored.hasPrefix("201 https://\(registry)/v2/"), "\(stored)")
            let link = try await curl(authorization + location + [repository + "/blobs/sha256:\(hex)"])
            #expect(link.hasPrefix(edgeURL + "/b/v1/sha256/\(hex)"), "\(link)")
            let pulled = try await curl(["--write-out", "%{http_code} %{size_download}", link])
            #expect(pulled == "200 1048576", "\(pulled)")
        }

        private func pushAndPull(
            _ scratch: ScratchDirectory, _ authority: CertificateAuthority, _ stack: StackDescription,
            _ registry: String
        ) async throws {
            let named = "\(Self.name):\(registry.split(separator: ":")[1])"
            let stranger = "stranger.depot.test:\(registry.split(separator: ":")[1])"
            let credential = Data("x-token:\(stack.token)".utf8).base64EncodedString()
            let auth = ["auths": [registry: ["auth": credential], named: ["auth": credential]]]
            let authFile = try scratch.folder("auth") + "/config.json"
            try JSONEncoder().encode(auth).write(to: URL(filePath: authFile))
            let certificates = try scratch.folder("certificates")
            try FileManager.default.copyItem(atPath: authority.certificatePath, toPath: certificates + "/ca.crt")

            let docker = try await Docker(
                scratch, configuration: scratch.path("auth"), runner: try dockerView(scratch, authority, named))
            let containerd: Containerd
            do {
                containerd = try await Containerd(
                    scratch, user: "x-token:\(stack.token)", secure: (registry, authority.certificatePath))
            } catch {
                await docker.stop()
                throw error
            }
            do {
                let clients: [(any Client, String)] = [
                    (docker, named), (Podman(authFile: authFile, certificates: certificates), registry),
                    (containerd, registry),
                ]
                for (number, (client, host)) in clients.enumerated() {
                    let layout = try Layout()
                    let (manifest, diffIDs) = try await layout.addImage(layerBytes: [3 << 20, 40 << 20])
                    try layout.finish(["1": manifest])
                    let reference = "\(host)/\(stack.organization)/proxied-\(number):1"
                    try await client.push(layout, "1", to: reference)
                    #expect(try await client.pull(reference) == diffIDs, "\(reference)")
                }
                // The same server by a name for which docker was told of no authority: it does check.
                let refused = try await docker.startPull("\(stranger)/\(stack.organization)/proxied-0:1").result()
                #expect(refused.status != 0 && refused.summary.contains("x509"), "\(refused.summary)")
            } catch {
                await containerd.stop()
                await docker.stop()
                throw error
            }
            await containerd.stop()
            await docker.stop()
            let edgeLog = try String(contentsOfFile: scratch.path("nginx/access.log"), encoding: .utf8)
            #expect(edgeLog.contains("GET /b/v1/sha256/"), "layers came through nginx from the edge")
        }

        /// Runs dockerd with its own view of two places that it looks at and nobody may change for it.
        private func dockerView(
            _ scratch: ScratchDirectory, _ authority: CertificateAuthority, _ named: String
        ) throws -> [String] {
            let folder = try scratch.folder("etc-docker/certs.d/\(named)")
            try FileManager.default.copyItem(atPath: authority.certificatePath, toPath: folder + "/ca.crt")
            try Data("127.0.0.1 localhost\n::1 \(Self.name) stranger.depot.test\n".utf8).write(
                to: scratch.url("etc-hosts"))
            let script = """
                mkdir -p /etc/docker
                mount --bind '\(scratch.path("etc-docker"))' /etc/docker
                mount --bind '\(scratch.path("etc-hosts"))' /etc/hosts
                exec "$@"
                """
            return ["unshare", "--mount", "--propagation", "private", "sh", "-ec", script, "sh"]
        }

        /// A port that is free now.
        private func freePort(_ host: String) throws -> UInt16 {
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            defer { close(descriptor) }
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            try #require(inet_pton(AF_INET, host, &address.sin_addr) == 1)
            var length = socklen_t(MemoryLayout<sockaddr_in>.size)
            let status = withUnsafeMutablePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(descriptor, $0, length) == 0 ? getsockname(descriptor, $0, &length) : -1
                }
            }
            try #require(status == 0)
            return UInt16(bigEndian: address.sin_port)
        }
    }
}
