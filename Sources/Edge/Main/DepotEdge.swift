// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Disk

/// `depot-edge`: serves blobs from a local disk cache to holders of signed links. This target reads settings, wires the
/// parts, runs them and drains them; there is no logic here.
struct DepotEdge: AsyncParsableCommand {
    static let version = "0.1.0"

    static let configuration = CommandConfiguration(
        commandName: "depot-edge",
        abstract: "An edge node of Depot Registry: serves blobs from disk, fills misses from its parent.",
        version: version,
        subcommands: [Serve.self])
}

/// The process.
@main
enum Program {
    static func main() async {
        CrashTraces.forbid()
        await DepotEdge.main()
    }
}
