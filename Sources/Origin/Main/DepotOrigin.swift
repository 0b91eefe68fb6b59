// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Config
import Disk
import Glibc
import OriginCommandLine
import Telemetry

/// `depot-origin`: the registry, and the command line of those who run it. This target reads settings, wires the
/// parts, runs them and drains them; there is no logic here.
struct DepotOrigin: AsyncParsableCommand {
    static let version = "0.1.0"

    static let configuration = CommandConfiguration(
        commandName: "depot-origin",
        abstract: "The origin of Depot Registry: serves the registry, and administers it.",
        discussion: """
            EXAMPLE
              depot-origin serve --data-directory /var/lib/depot --bootstrap-file /root/depot-bootstrap.json
              depot-origin login
              depot-origin edge create fra-1 --region eu --url https://fra-1.blobs.example > fra-1.credential
            """,
        version: version,
        subcommands: [Serve.self, DatabaseCommand.self],
        groupedSubcommands: [CommandGroup(name: "Administration", subcommands: AdminCommands.all)])
}

/// The process: runs one command and ends with 0, with 1 if it failed, or with 2 if the call was wrong.
@main
enum Program {
    static func main() async {
        // A client or a pipe that goes away is an error of the write, not the end of the process.
        signal(SIGPIPE, SIG_IGN)
        CrashTraces.forbid()
        do {
            var command = try DepotOrigin.parseAsRoot()
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch {
            exit(report(error))
        }
    }

    /// Says what went wrong, in one line where it is ours, and returns the exit code.
    private static func report(_ error: any Error) -> Int32 {
        switch error {
        case let failure as CommandFailure:
            return say("\(failure)", code: failure.exitCode)
        case let error as SettingsError:
            return say("\(error)", code: 1)
        case let error as StartFailure:
            return say("\(error)", code: 1)
        default:
            let code = DepotOrigin.exitCode(for: error)
            let text = DepotOrigin.fullMessage(for: error)
            guard !code.isSuccess else {
                // Help and version were asked for.
                print(text)
                return 0
            }
            LogSink.standardError.write(Array((text + "\n").utf8))
            return code == .validationFailure ? 2 : 1
        }
    }

    private static func say(_ text: String, code: Int32) -> Int32 {
        LogSink.standardError.write(Array(("depot-origin: \(text)\n").utf8))
        return code
    }
}

/// Why the origin does not start; one line for the operator.
struct StartFailure: Error, CustomStringConvertible {
    let description: String

    /// - Parameter what: What was being done, in words that precede a colon.
    init(_ what: String, _ error: any Error) { description = "\(what): \(error)" }
}
