// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import HTTPFetch

/// `depot-origin key`: keys of the deployment.
struct KeyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        "key", "Rotates the keys that sign registry tokens.", example: "depot-origin key rotate",
        subcommands: [Rotate.self])

    struct Rotate: AdminCommand {
        static let configuration = CommandConfiguration(
            abstract: "Signs registry tokens with another key from now on.",
            note: """
                Origins do this by themselves every thirty days. Registry tokens of the key before count until they \
                end, within 15 minutes. If a key may be known to others, rotate twice: then they end at once.
                """,
            example: "depot-origin key rotate")

        @OptionGroup var admin: AdminOptions

        func perform(in session: AdminSession) async throws(CommandFailure) {
            _ = try await session.connection.send(.post, AdminTarget.root.appending("keys", "rotate"))
            StandardStreams.tell("rotated")
        }
    }
}
