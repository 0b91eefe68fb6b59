// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc

/// The samples of one `/metrics` page.
package struct MetricsPage: Sendable {
    private let samples: [(name: String, labels: String, value: Double)]

    /// - Parameter adminURL: `http://address:port` of an admin listener.
    package static func read(_ adminURL: String) async throws -> MetricsPage {
        let answer = try await RawHTTP(adminURL).request("GET", "/metrics")
        guard answer.status == 200 else { throw RawHTTPError(description: "/metrics: \(answer.status)") }
        return MetricsPage(answer.text)
    }

    init(_ text: String) {
        samples = text.split(separator: "\n").compactMap { line in
            guard !line.hasPrefix("#"), let space = line.lastIndex(of: " "),
                let value = Double(line[line.index(after: space)...])
            else { return nil }
            let name = line[..<space].prefix { $0 != "{" }
            return (String(name), String(line[name.endIndex..<space]), value)
        }
    }

    /// Sum over all samples of this name that carry these labels; 0 if there is none.
    package func sum(_ name: String, _ labels: [String: String] = [:]) -> Int {
        Int(
            samples.filter { sample in
                sample.name == name && labels.allSatisfy { sample.labels.contains("\($0.key)=\"\($0.value)\"") }
            }.reduce(0) { $0 + $1.value })
    }
}

/// Who has sent blob bytes so far.
package struct Traffic: Sendable, Equatable {
    /// By edges, to clients.
    package var edgeBytes = 0
    /// By origins, to clients.
    package var directBytes = 0
    /// By origins, to edges.
    package var fillBytes = 0

    package init(edgeBytes: Int = 0, directBytes: Int = 0, fillBytes: Int = 0) {
        self.edgeBytes = edgeBytes
        self.directBytes = directBytes
        self.fillBytes = fillBytes
    }

    package static func of(_ stack: StackDescription) async throws -> Traffic {
        var traffic = Traffic()
        for edge in stack.edges {
            traffic.edgeBytes += try await MetricsPage.read(edge.adminUrl).sum("depot_edge_served_bytes_total")
        }
        for origin in stack.origins {
            let page = try await MetricsPage.read(origin.adminUrl)
            traffic.directBytes += page.sum("depot_origin_blob_bytes_total", ["via": "direct"])
            traffic.fillBytes += page.sum("depot_origin_blob_bytes_total", ["via": "fill"])
        }
        return traffic
    }

    package static func - (later: Traffic, earlier: Traffic) -> Traffic {
        Traffic(
            edgeBytes: later.edgeBytes - earlier.edgeBytes, directBytes: later.directBytes - earlier.directBytes,
            fillBytes: later.fillBytes - earlier.fillBytes)
    }
}

/// A process that tests look at and kill.
package struct ObservedProcess: Sendable {
    package let pid: Int32

    package init(_ pid: Int32) { self.pid = pid }

    /// Forgets the highest memory use so far.
    package func resetPeakMemory() throws {
        try Data("5".utf8).write(to: URL(filePath: "/proc/\(pid)/clear_refs"))
    }

    /// VmHWM: the highest resident memory since the start or the last reset.
    package func peakMemoryBytes() throws -> Int {
        let status = try String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
        let kibibytes = line?.split(separator: " ").compactMap { Int($0) }.first
        guard let kibibytes else { throw RawHTTPError(description: "process \(pid) has no VmHWM") }
        return kibibytes * 1024
    }

    /// `kill -9`, and waits until it is gone.
    package func killNow() async throws {
        kill(pid, SIGKILL)
        try await waitUntil("process \(pid) ended") { !isAlive }
    }

    package var isAlive: Bool {
        guard let stat = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8) else { return false }
        return !(stat.components(separatedBy: ") ").last ?? "Z").hasPrefix("Z")
    }
}

/// Bytes that the files of a folder occupy on disk. Sparse files count what was written.
package func occupiedBytes(below folder: String) -> Int {
    var total = 0
    let names = FileManager.default.enumerator(atPath: folder)
    while let name = names?.nextObject() as? String {
        var status = stat()
        if lstat("\(folder)/\(name)", &status) == 0, status.st_mode & S_IFMT == S_IFREG {
            total += Int(status.st_blocks) * 512
        }
    }
    return total
}
