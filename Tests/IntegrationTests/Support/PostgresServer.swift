// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import StackSupport

/// The server of a stack whose origins share a database, for tests that hurt it.
struct PostgresServer: Sendable {
    let url: String
    private let dataDirectory: String

    /// - Parameter stack: With several origins, so that the server is a process of its own.
    init(of stack: RunningStack) {
        url = stack.description.databaseUrl
        dataDirectory = stack.path + "/database/cluster"
    }

    /// The postmaster's number; `nil` while there is none.
    var processID: Int32? {
        guard let text = try? String(contentsOfFile: dataDirectory + "/postmaster.pid", encoding: .utf8),
            let id = text.split(separator: "\n").first.flatMap({ Int32($0) }), ObservedProcess(id).isAlive
        else { return nil }
        return id
    }

    /// The postmaster and all its children.
    private var processIDs: [Int32] {
        guard let postmaster = processID else { return [] }
        let all = (try? FileManager.default.contentsOfDirectory(atPath: "/proc"))?.compactMap { Int32($0) } ?? []
        return [postmaster] + all.filter { Self.parent(of: $0) == postmaster }
    }

    /// `kill -9` of all of it while who would start it again is stopped, as if it had gone for longer.
    /// - Returns: What starts it again.
    func takeAway() async throws -> @Sendable () -> Void {
        guard let postmaster = processID, let keeper = Self.parent(of: postmaster) else {
            throw NotInTime(description: "there is no server")
        }
        kill(keeper, SIGSTOP)
        for id in processIDs { kill(id, SIGKILL) }
        do {
            try await waitUntil("the database is gone") { await !answers() }
        } catch {
            kill(keeper, SIGCONT)
            throw error
        }
        return { kill(keeper, SIGCONT) }
    }

    /// `kill -9` of one connection's process: the server ends all connections and recovers.
    func crashOneBackend() {
        for id in processIDs.dropFirst() where Self.commandLine(of: id).contains("depot") && kill(id, SIGKILL) == 0 {
            return
        }
    }

    /// It holds its connections and answers nothing.
    func freeze() { for id in processIDs { kill(id, SIGSTOP) } }
    func thaw() { for id in processIDs { kill(id, SIGCONT) } }

    /// Takes back all ALTER SYSTEM, from the next start on.
    func forgetSettings() throws {
        try Data().write(to: URL(filePath: dataDirectory + "/postgresql.auto.conf"))
    }

    func run(_ statement: String) async throws {
        try await Command(["psql", "-v", "ON_ERROR_STOP=1", "-qc", statement, url]).run()
    }

    func answers() async -> Bool { (try? await run("SELECT 1")) != nil }

    private static func parent(of id: Int32) -> Int32? {
        guard let stat = try? String(contentsOfFile: "/proc/\(id)/stat", encoding: .utf8) else { return nil }
        // The name, in parentheses, may hold anything.
        let fields = stat.components(separatedBy: ") ").last?.split(separator: " ") ?? []
        return fields.count > 1 ? Int32(fields[1]) : nil
    }

    /// Servers write there what they do: `postgres: depot: depot depot [local] COMMIT`.
    private static func commandLine(of id: Int32) -> String {
        (try? String(contentsOfFile: "/proc/\(id)/cmdline", encoding: .utf8))?
            .components(separatedBy: "[local]").first ?? ""
    }
}
