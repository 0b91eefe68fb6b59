// SPDX-License-Identifier: Apache-2.0

import StackSupport
import Testing

/// Tests of the programs as they are run: origin, edges and a private PostgreSQL, over sockets.
///
/// One after the other, because they count what the programs count, and kill them.
@Suite("Integration", .serialized, .timeLimit(.minutes(3)))
enum Integration {
    /// Suites that leave the system as they found it share one.
    @Suite("One running system", .stack(edges: 2))
    enum OneSystem {}
}

/// A named row of a table.
struct Row<Value: Sendable>: Sendable, CustomTestStringConvertible {
    let name: String
    let value: Value

    init(_ name: String, _ value: Value) {
        self.name = name
        self.value = value
    }

    var testDescription: String { name }
}
