// SPDX-License-Identifier: Apache-2.0

import Glibc
import Synchronization

/// Fails or kills at the Nth system call, to prove that a crash or a sick disk at any step loses nothing.
///
/// Off unless the environment variable `DEPOT_FAILPOINT` is set when the process starts: rules `call:count:action`,
/// several separated by commas, such as `fsync:3:kill` or `pwrite:10:error=ENOSPC,fdatasync:1:error=EIO`. The count is
/// of the whole process, all threads together, from 1; a rule acts once, before the call is made. `fsync` counts
/// fdatasync(2) too: which of the two makes a byte durable is not the rule's business. While off, a check costs one
/// branch on a flag.
package final class Failpoints: Sendable {
    /// The rules of this process.
    package static let shared = Failpoints(environmentValue: getenv("DEPOT_FAILPOINT").map { String(cString: $0) })

    /// Whether any rule exists; read without the lock on every call.
    private let isActive: Atomic<Bool>
    private let rules: Mutex<[FailpointRule]>

    private init(environmentValue: String?) {
        var parsed: [FailpointRule] = []
        if let environmentValue, !environmentValue.isEmpty {
            guard let valid = FailpointRule.parse(environmentValue) else {
                // A misspelt rule that never fires would make a fault test pass without a fault.
                let line = "DEPOT_FAILPOINT: '\(environmentValue)' is not call:count:kill|error=ENOSPC|error=EIO\n"
                _ = Array(line.utf8).withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
                exit(2)
            }
            parsed = valid
        }
        isActive = Atomic(!parsed.isEmpty)
        rules = Mutex(parsed)
    }

    @inline(__always)
    func check(_ call: SystemCall, _ path: @autoclosure () -> String) throws(DiskError) {
        if isActive.load(ordering: .relaxed) { try act(call, path()) }
    }

    /// For tests: while `body` runs, rules that count only calls on paths below `directory`, so that tests which each
    /// have a directory of their own run in parallel.
    /// - Parameter text: Rules in the syntax of `DEPOT_FAILPOINT`.
    package func withRules<Value>(
        _ text: String,
        below directory: String,
        _ body: () async throws -> Value
    ) async throws -> Value {
        guard let added = FailpointRule.parse(text, below: directory) else {
            preconditionFailure("not a failpoint: \(text)")
        }
        rules.withLock { $0.append(contentsOf: added) }
        isActive.store(true, ordering: .relaxed)
        defer { rules.withLock { $0.removeAll { $0.directory == directory } } }
        return try await body()
    }

    private func act(_ call: SystemCall, _ path: String) throws(DiskError) {
        let action = rules.withLock { rules in
            var action: FailpointRule.Action?
            for index in rules.indices { action = rules[index].saw(call, path) ?? action }
            return action
        }
        switch action {
        case nil: return
        case .error(let code): throw DiskError(call: call.rawValue, path: path, errno: code)
        case .kill:
            kill(getpid(), SIGKILL)
            while true { pause() }
        }
    }
}

/// One rule of `DEPOT_FAILPOINT`. A value: counting is `saw`, acting is the caller's.
struct FailpointRule: Equatable {
    enum Action: Equatable {
        case kill
        case error(Int32)
    }

    let call: SystemCall
    let count: Int
    let action: Action
    /// Only paths that begin with this count; empty for all.
    let directory: String
    private var seenCount = 0

    init(call: SystemCall, count: Int, action: Action, directory: String = "") {
        self.call = call
        self.count = count
        self.action = action
        self.directory = directory
    }

    /// - Returns: `nil` if any of the rules is malformed.
    static func parse(_ text: String, below directory: String = "") -> [FailpointRule]? {
        var rules: [FailpointRule] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let fields = part.split(separator: ":", omittingEmptySubsequences: false)
            guard
                fields.count == 3,
                let call = SystemCall(rawValue: String(fields[0])),
                let count = Int(fields[1]), count > 0,
                let action = Action(String(fields[2]))
            else { return nil }
            rules.append(FailpointRule(call: call, count: count, action: action, directory: directory))
        }
        return rules
    }

    /// Counts one call. Returns the action if this was the call to act on.
    mutating func saw(_ called: SystemCall, _ path: String) -> Action? {
        guard called == call || (call == .fsync && called == .fdatasync), path.hasPrefix(directory) else { return nil }
        seenCount += 1
        return seenCount == count ? action : nil
    }
}

extension FailpointRule.Action {
    fileprivate init?(_ text: String) {
        switch text {
        case "kill": self = .kill
        case "error=ENOSPC": self = .error(ENOSPC)
        case "error=EIO": self = .error(EIO)
        default: return nil
        }
    }
}
