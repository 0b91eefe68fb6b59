// SPDX-License-Identifier: Apache-2.0

import Foundation
import HTTPServer
import StackSupport
import Testing

/// Certificates that change under a real listener; openssl looks at what it shows.
@Suite(.timeLimit(.minutes(1))) struct CertificateTests {
    private let scratch: ScratchDirectory
    private let authority: CertificateAuthority

    init() throws {
        scratch = try ScratchDirectory("certificate")
        authority = CertificateAuthority(scratch.path("tls"))
    }

    @Test("new connections see the certificate of the moment; a running one goes on")
    func replaced() async throws {
        let used = try await authority.issue("used", for: ["IP:127.0.0.1"])
        let next = try await authority.issue("next", for: ["IP:127.0.0.1"])
        let certificate = try ServerCertificate(certificatePath: used.certificatePath, keyPath: used.keyPath)
        let firstSerial = try await used.serial()
        try await Loopback.run(certificate: certificate) { server in
            let address = "127.0.0.1:\(server.port)"
            #expect(try await authority.servedSerial(address) == firstSerial)
            // s_client sends its second request after the certificate was replaced, on the connection of the first.
            let script = """
                (printf 'GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n'; while [ ! -e go ]; do sleep 0.05; done
                printf 'GET / HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n') |
                openssl s_client -quiet -connect \(address) -CAfile \(authority.certificatePath) 2>/dev/null
                """
            let client = try Command(["sh", "-c", script], in: scratch.path, limit: .seconds(30)).start()
            try await waitUntil("the first answer is there") { try client.outputSoFar().count > 0 }
            try next.replace(used)
            #expect(certificate.look() == .unchanged, "it may still change")
            #expect(try await authority.servedSerial(address) == firstSerial)
            #expect(certificate.look() == .replaced)
            #expect(certificate.look() == .unchanged)
            #expect(try await authority.servedSerial(address) == next.serial())
            try Data().write(to: scratch.url("go"))
            let answers = try await client.result().text
            #expect(answers.components(separatedBy: "here\n").count == 3, "\(answers)")
        }
    }

    @Test("a pair that cannot be used is refused once, with the reason, and the one in use stays")
    func refused() async throws {
        let used = try await authority.issue("used", for: ["IP:127.0.0.1"])
        let other = try await authority.issue("other", for: ["IP:127.0.0.1"])
        let serial = try await used.serial()
        let certificate = try ServerCertificate(certificatePath: used.certificatePath, keyPath: used.keyPath)
        let certificatePEM = try Data(contentsOf: URL(filePath: used.certificatePath))
        let keyPEM = try Data(contentsOf: URL(filePath: used.keyPath))
        try await Loopback.run(certificate: certificate) { server in
            let broken: [(certificate: Data?, key: Data?, reason: String)] = [
                (Data("no certificate".utf8), keyPEM, used.certificatePath),
                (certificatePEM, Data("no key".utf8), used.keyPath),
                (certificatePEM, try Data(contentsOf: URL(filePath: other.keyPath)), "do not belong together"),
                (nil, keyPEM, used.certificatePath), (certificatePEM, nil, used.keyPath),
            ]
            for (certificateBytes, keyBytes, reason) in broken {
                for (path, bytes) in [(used.certificatePath, certificateBytes), (used.keyPath, keyBytes)] {
                    try? FileManager.default.removeItem(atPath: path)
                    try bytes?.write(to: URL(filePath: path))
                }
                #expect(certificate.look() == .unchanged)
                guard case .refused(let text) = certificate.look() else {
                    Issue.record("taken: \(reason)")
                    continue
                }
                #expect(text.contains(reason))
                #expect(certificate.look() == .unchanged, "one line, not one every few seconds")
                #expect(try await authority.servedSerial("127.0.0.1:\(server.port)") == serial)
                guard case .refused = certificate.reload() else {
                    Issue.record("taken when told to: \(reason)")
                    continue
                }
            }
            try other.replace(used)
            #expect(certificate.reload() == .replaced)
            #expect(try await authority.servedSerial("127.0.0.1:\(server.port)") == other.serial())
        }
    }

    @Test("a start without a usable pair fails and says which file it is")
    func start() async throws {
        let issued = try await authority.issue("used", for: ["IP:127.0.0.1"])
        let error = #expect(throws: ServerTLSError.self) {
            try ServerCertificate(certificatePath: issued.certificatePath, keyPath: "/nowhere/key.pem")
        }
        #expect(error?.description.contains("/nowhere/key.pem") == true)
    }

    @Test("a pair is loaded when two looks in a row saw the same new files, and once")
    func watch() throws {
        func sight(_ name: String) throws -> CertificateWatch.Sight {
            try Data(name.utf8).write(to: scratch.url(name))
            return CertificateWatch.Sight(scratch.path(name), scratch.path(name))
        }
        let (a, b, c) = (try sight("a"), try sight("b"), try sight("c"))
        var watch = CertificateWatch(tried: a)
        // Still the old; new; changed again while it was looked at; settled; nothing more to do; back; settled.
        let seen = [
            (a, false), (b, false), (c, false), (c, true), (c, false), (a, false), (c, false), (a, false), (a, true),
        ]
        for (sight, isLoaded) in seen {
            let isLoadedNow = watch.saw(sight)
            #expect(isLoadedNow == isLoaded)
        }
        watch.wasTold(b)
        let isLoadedAgain = watch.saw(b)
        #expect(!isLoadedAgain, "what was loaded on demand is not loaded again")
    }
}
