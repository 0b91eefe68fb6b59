// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import OCI
import StackSupport

/// `depot-origin serve` or `depot-edge serve`, which a test lets crash.
struct CrashingProgram {
    /// How it crashed, and what it had written until then.
    struct End {
        let hasWrittenCore: Bool
        let log: String
    }

    /// Runs a program until a file bids it crash, and says whether the kernel wrote a core file. A small limit cuts that
    /// short, and does not keep it from being written.
    private static let script = """
        import os, resource, signal, sys, time
        hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
        limit = 65536 if hard == resource.RLIM_INFINITY else min(65536, hard)
        resource.setrlimit(resource.RLIMIT_CORE, (limit, limit))
        os.chdir(sys.argv[1])
        pid = os.fork()
        if pid == 0:
            os.execv(sys.argv[2], sys.argv[2:])
        def end(*_):
            os.kill(pid, signal.SIGTERM)
            sys.exit(1)
        signal.signal(signal.SIGTERM, end)
        while not os.path.exists("crash"):
            if os.waitpid(pid, os.WNOHANG)[0]:
                sys.exit("ended by itself")
            time.sleep(0.02)
        os.kill(pid, signal.SIGSEGV)
        status = os.waitpid(pid, 0)[1]
        print("core" if os.WCOREDUMP(status) else "no core", flush=True)
        sys.exit(0 if os.WIFSIGNALED(status) else 1)
        """

    /// Whether the kernel would write one of a process that this one starts.
    static let machineWritesCoreFiles: Bool = {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &limit)
        let pattern = try? String(contentsOfFile: "/proc/sys/kernel/core_pattern", encoding: .utf8)
        return limit.rlim_max >= 4096 && pattern?.trimmingCharacters(in: .newlines).isEmpty == false
    }()

    private let folder: ScratchDirectory
    private let process: RunningCommand

    /// Runs the body and stops the program if that fails.
    static func run(
        _ arguments: [String], environment: [String: String] = [:],
        _ body: (_ program: CrashingProgram, _ ports: JSONValue) async throws -> Void
    ) async throws {
        let program = try CrashingProgram(arguments, environment)
        do {
            try await body(program, try await program.ports())
        } catch {
            _ = try? await program.process.stop()
            throw error
        }
    }

    private init(_ arguments: [String], _ environment: [String: String]) throws {
        folder = try ScratchDirectory("crash")
        process = try Command(
            ["python3", "-c", Self.script, folder.path, "\(RunningStack.programs)/\(arguments[0])"]
                + arguments.dropFirst() + ["--port-file", folder.path("ports")],
            environment: environment
        ).start()
    }

    /// Addresses as the port file names them: `listen` and `admin`.
    private func ports() async throws -> JSONValue {
        try await waitUntil("the program listens", within: .seconds(60)) {
            guard process.isRunning else {
                throw CommandFailure(command: "the program", result: try await process.result())
            }
            return FileManager.default.fileExists(atPath: folder.path("ports"))
        }
        return try BoundedJSON.parse(
            Array(Data(contentsOf: folder.url("ports"))), limits: JSONLimits(bytesMax: 4096))
    }

    func crash() async throws -> End {
        try Data().write(to: folder.url("crash"))
        let result = try await process.result()
        guard result.status == 0 else { throw CommandFailure(command: "the program", result: result) }
        return End(
            hasWrittenCore: result.text.split(separator: "\n").last == "core", log: result.errors + result.text)
    }
}
