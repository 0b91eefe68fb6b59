// SPDX-License-Identifier: Apache-2.0

package import OriginMetadata

/// A secret of the deployment, unwrapped. Printing it does not show it.
package struct Secret: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    package let keyID: String
    package let bytes: [UInt8]
    package let state: WrappedSecret.State

    package init(keyID: String, bytes: [UInt8], state: WrappedSecret.State) {
        self.keyID = keyID
        self.bytes = bytes
        self.state = state
    }

    package var description: String { "Secret(\(keyID), \(state), [redacted])" }
    package var debugDescription: String { description }
    package var customMirror: Mirror { Mirror(self, children: []) }
}

/// The deployment's secrets: JWT keys, link masters. They rest in PostgreSQL, wrapped, and all origins share them.
package struct SecretStore: Sendable {
    private let database: Database
    private let wrapping: Wrapping

    package init(database: Database, wrapping: Wrapping) {
        self.database = database
        self.wrapping = wrapping
    }

    /// All secrets of a name, oldest first; the first one is made if there is none. Origins that start at once all
    /// return the one that was written first.
    ///
    /// - Parameter generate: Makes a secret and the id that it is known by.
    /// - Throws: `.notUnwrapped` if the key file is not the one of this database; `.database`.
    package func loadOrCreate(
        name: String,
        generate: @Sendable () -> (keyID: String, bytes: [UInt8])
    ) async throws(SecretsError) -> [Secret] {
        try await ensure(.current, name, generate)
        return try await load(name)
    }

    /// As `loadOrCreate`, with the one that is current after it: every origin knows that before it is used.
    package func loadOrCreateWithNext(
        name: String,
        generate: @Sendable () -> (keyID: String, bytes: [UInt8])
    ) async throws(SecretsError) -> [Secret] {
        try await ensure(.current, name, generate)
        try await ensure(.next, name, generate)
        return try await load(name)
    }

    /// Makes the next secret the current one, and a new next one.
    /// - Parameter age: Only if the last rotation is longer ago.
    /// - Returns: Whether it was done.
    package func rotate(
        name: String,
        ifOlderThan age: Duration,
        generate: @Sendable () -> (keyID: String, bytes: [UInt8])
    ) async throws(SecretsError) -> Bool {
        let (keyID, bytes) = generate()
        let wrapped = try wrapping.wrap(bytes, context: Self.context(name, keyID))
        do throws(DatabaseError) {
            return try await database.rotateWrappedSecrets(
                name: name, keyID: keyID, wrapped: wrapped, ifOlderThan: age)
        } catch {
            throw .database(error)
        }
    }

    private func ensure(
        _ state: WrappedSecret.State, _ name: String, _ generate: @Sendable () -> (keyID: String, bytes: [UInt8])
    ) async throws(SecretsError) {
        guard try await !load(name).contains(where: { $0.state == state }) else { return }
        let (keyID, bytes) = generate()
        let wrapped = try wrapping.wrap(bytes, context: Self.context(name, keyID))
        do throws(DatabaseError) {
            _ = try await database.insertWrappedSecretIfAbsent(
                name: name, keyID: keyID, wrapped: wrapped, state: state)
        } catch {
            throw .database(error)
        }
    }

    private func load(_ name: String) async throws(SecretsError) -> [Secret] {
        let rows: [WrappedSecret]
        do throws(DatabaseError) { rows = try await database.wrappedSecrets(name) } catch { throw .database(error) }
        var secrets: [Secret] = []
        for row in rows {
            let bytes = try wrapping.unwrap(row.wrapped, context: Self.context(name, row.keyID))
            secrets.append(Secret(keyID: row.keyID, bytes: bytes, state: row.state))
        }
        return secrets
    }

    private static func context(_ name: String, _ keyID: String) -> String { "\(name)|\(keyID)" }
}
