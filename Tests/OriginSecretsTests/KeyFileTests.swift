// SPDX-License-Identifier: Apache-2.0

import Disk
import OriginSecrets
import TestSupport
import Testing

@Suite("key file")
struct KeyFileTests {
    private let directory: TemporaryDirectory
    private var path: String { directory.file("key") }

    init() throws { directory = try TemporaryDirectory() }

    @Test("the key is made once, for its owner alone, and read again")
    func roundTrip() throws {
        let made = try KeyFile.loadOrCreate(path)
        #expect(try FileStatus.of(path)?.permissions == 0o600)
        let wrapped = try Wrapping(made).wrap([1, 2, 3], context: "test")
        let read = try KeyFile.loadOrCreate(path)
        #expect(try Wrapping(read).unwrap(wrapped, context: "test") == [1, 2, 3])
    }

    @Test("a file that others may read is refused", arguments: [0o640, 0o604, 0o660, 0o644] as [UInt16])
    func exposed(permissions: UInt16) throws {
        try AtomicFile.write(Array(String(repeating: "A", count: 43).utf8), to: path, permissions: permissions)
        #expect {
            try KeyFile.loadOrCreate(path)
        } throws: { error in
            guard case .keyFileExposed? = error as? SecretsError else { return false }
            return true
        }
    }

    @Test(
        "a file that holds no key is refused",
        arguments: ["", "\n", "short", String(repeating: "A", count: 44), String(repeating: "A", count: 42) + "="])
    func invalid(text: String) throws {
        try AtomicFile.write(Array(text.utf8), to: path, permissions: 0o600)
        #expect {
            try KeyFile.loadOrCreate(path)
        } throws: { error in
            guard case .keyFileInvalid? = error as? SecretsError else { return false }
            return true
        }
    }

    @Test("printing does not show the key")
    func redaction() throws {
        let file = try KeyFile.loadOrCreate(path)
        let text = String(decoding: try #require(try AtomicFile.read(path, bytesMax: 100)), as: UTF8.self)
        var dumped = ""
        dump(file, to: &dumped)
        for shown in ["\(file)", String(reflecting: file), dumped] {
            #expect(!shown.contains(text.prefix(43)))
            #expect(!shown.contains("key:"))
        }
    }
}
