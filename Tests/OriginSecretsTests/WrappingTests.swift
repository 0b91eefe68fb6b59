// SPDX-License-Identifier: Apache-2.0

import OriginSecrets
import TestSupport
import Testing

@Suite("wrapping")
struct WrappingTests {
    private let directory: TemporaryDirectory
    private let wrapping: Wrapping

    init() throws {
        directory = try TemporaryDirectory()
        wrapping = Wrapping(try KeyFile.loadOrCreate(directory.file("key")))
    }

    @Test("what is wrapped comes back, also when empty", arguments: [0, 1, 32, 4096])
    func roundTrip(count: Int) throws {
        let secret = (0..<count).map { UInt8(truncatingIfNeeded: $0) }
        let wrapped = try wrapping.wrap(secret, context: "jwt|a")
        #expect(wrapped.count == count + 29)
        #expect(try wrapping.unwrap(wrapped, context: "jwt|a") == secret)
    }

    @Test("the same secret never looks the same twice")
    func nonce() throws {
        #expect(try wrapping.wrap([1], context: "x") != wrapping.wrap([1], context: "x"))
    }

    @Test("a secret does not open under another context or another key file")
    func binding() throws {
        let wrapped = try wrapping.wrap([1, 2, 3], context: "jwt|a")
        #expect(throws: SecretsError.self) { try wrapping.unwrap(wrapped, context: "jwt|b") }
        let other = Wrapping(try KeyFile.loadOrCreate(directory.file("other")))
        #expect(throws: SecretsError.self) { try other.unwrap(wrapped, context: "jwt|a") }
    }

    @Test("every altered bit and every cut is noticed")
    func alteration() throws {
        let wrapped = try wrapping.wrap([1, 2, 3], context: "x")
        for index in wrapped.indices {
            var altered = wrapped
            altered[index] ^= 1
            #expect(throws: SecretsError.self) { try wrapping.unwrap(altered, context: "x") }
            #expect(throws: SecretsError.self) { try wrapping.unwrap(Array(wrapped.prefix(index)), context: "x") }
        }
    }
}
