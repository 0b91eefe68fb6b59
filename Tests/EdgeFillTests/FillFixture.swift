// SPDX-License-Identifier: Apache-2.0

import Blocking
import Disk
import EdgeCache
import EdgeControl
import EdgeFill
import Foundation
import HTTPFetch
import Hashing
import Logging
import OCI
import SignedURL
import Synchronization
import Telemetry

/// A blob with bytes that nothing else has.
struct TestBlob: Sendable {
    let bytes: [UInt8]
    let digest: Digest
    let pieces: PieceList

    init(byteCount: Int, algorithm: DigestAlgorithm = .sha256) {
        var state = UInt64.random(in: 1 ... .max)
        var bytes = [UInt8](repeating: 0, count: byteCount)
        bytes.withUnsafeMutableBytes { buffer in
            for index in buffer.bindMemory(to: UInt64.self).indices {
                state ^= state << 13
                state ^= state >> 7
                state ^= state << 17
                buffer.storeBytes(of: state, toByteOffset: index * 8, as: UInt64.self)
            }
        }
        var hash = StreamingHash(algorithm)
        hash.update(bytes)
        var raw: [UInt8] = []
        for start in stride(from: 0, to: byteCount, by: 1 << 20) {
            raw += SHA256.hash(Array(bytes[start..<min(start + 1 << 20, byteCount)])).bytes
        }
        guard let pieces = PieceList(rawDigests: raw, blobSizeBytes: Int64(byteCount)) else {
            preconditionFailure("a list of its own pieces")
        }
        self.bytes = bytes
        self.pieces = pieces
        digest = hash.finalized()
    }

    var sizeBytes: Int64 { Int64(bytes.count) }
    var link: Link {
        Link(digest: digest, edgeID: "edge", expiry: 0, keyID: "k", sizeBytes: sizeBytes, tenant: "t")
    }
}

/// What the origin would know, as the test says.
final class ScriptedDirectory: ParentDirectory {
    struct Script: Sendable {
        var urls: [String] = []
        var list: PieceList?
        var sizeBytes: Int64?
        var parentsError: ParentDirectoryError?
        var listError: ParentDirectoryError?
        var parentsCount = 0
        var listCount = 0
    }

    let script = Mutex(Script())

    func parents(forLink target: String) async throws -> FillParents {
        let script = script.withLock { script in
            script.parentsCount += 1
            return script
        }
        if let error = script.parentsError { throw error }
        return FillParents(sizeBytes: script.sizeBytes ?? script.list?.blobSizeBytes ?? 0, urls: script.urls)
    }

    func pieceList(of digest: Digest, sizeBytes: Int64) async throws -> PieceList {
        let script = script.withLock { script in
            script.listCount += 1
            return script
        }
        if let error = script.listError { throw error }
        guard let list = script.list else { throw ParentDirectoryError.notFound }
        return list
    }
}

/// Pauses that end when the test says so: the short ones before another try at once, the grace of an idle fill by hand.
final class ManualTiming: Sendable {
    private let waiting = Mutex<[@Sendable () -> Void]>([])
    private let waitingForDisk = Mutex<[@Sendable () -> Void]>([])

    var timing: FillTiming {
        var timing = FillTiming()
        timing.grace = .seconds(3600)
        timing.diskPause = .seconds(7200)
        timing.after = { [self] duration, body in
            switch duration {
            case .seconds(3600): waiting.withLock { $0.append(body) }
            case .seconds(7200): waitingForDisk.withLock { $0.append(body) }
            default: body()
            }
        }
        return timing
    }

    /// Lets the time pass until no idle fill waits for readers any more.
    func endGrace() {
        while true {
            let bodies = waiting.withLock { waiting in
                defer { waiting = [] }
                return waiting
            }
            guard !bodies.isEmpty else { return }
            for body in bodies { body() }
        }
    }

    /// Offers to the disk once more what it did not take.
    func offerToDisk() {
        let bodies = waitingForDisk.withLock { waiting in
            defer { waiting = [] }
            return waiting
        }
        for body in bodies { body() }
    }

    /// Idle fills that wait for readers.
    var waitingCount: Int { waiting.withLock { $0.count } }
}

/// One edge: cache, fetcher, fills, and a blob that its parents have.
final class FillFixture: Sendable {
    let directory: String
    let blob: TestBlob
    let cache: BlobCache
    let source: BlobSource
    let origin = ScriptedDirectory()
    let clock = ManualTiming()
    let metrics = Metrics()
    private let pool = BlockingPool(name: "disk", threadCount: 3, queueCountMax: 1024)
    private let fetcher: Fetcher
    private let ownsDirectory: Bool

    init(
        _ blob: TestBlob,
        parents: [LoopbackParent],
        directory: String? = nil,
        bytesMax: Int64 = 1 << 30,
        configure: (inout BlobCache.Configuration) -> Void = { _ in }
    ) throws {
        self.blob = blob
        ownsDirectory = directory == nil
        self.directory = directory ?? FileManager.default.temporaryDirectory.path + "/depot-fill-\(UUID().uuidString)"
        var configuration = BlobCache.Configuration(directory: self.directory, bytesMax: bytesMax, reserveBytes: 0)
        configure(&configuration)
        cache = try BlobCache(configuration, pool: pool, metrics: metrics, logger: Logger(label: "test"))
        fetcher = try Fetcher(name: "fetch")
        source = BlobSource(
            cache: cache, fetcher: fetcher, parents: origin, pool: pool, metrics: metrics,
            logger: Logger(label: "test"),
            timing: clock.timing)
        origin.script.withLock { script in
            script.urls = parents.map(\.url)
            script.list = blob.pieces
        }
    }

    deinit {
        fetcher.close()
        if ownsDirectory { try? FileManager.default.removeItem(atPath: directory) }
    }

    func reader(of blob: TestBlob? = nil) -> BlobReader {
        source.reader(for: (blob ?? self.blob).link, target: "/b/v1/blob?a=edge")
    }

    func counter(_ name: String, _ labels: String = "") -> Int {
        let line = metrics.exposition().split(separator: "\n").first { $0.hasPrefix("\(name)\(labels) ") }
        return line.flatMap { $0.split(separator: " ").last }.flatMap { Double($0) }.map { Int($0) } ?? 0
    }

    /// What a client gets of the range.
    func get(_ range: Range<Int64>? = nil, of blob: TestBlob? = nil) async throws -> [UInt8] {
        let reader = reader(of: blob)
        defer { reader.close() }
        return try await reader.read(range ?? 0..<(blob ?? self.blob).sizeBytes)
    }

    var completePath: String { "\(directory)/c/\(blob.digest.hex.prefix(2))/\(blob.digest.hex).\(blob.sizeBytes)" }
    var partialPath: String { "\(directory)/p/\(blob.digest.hex.prefix(2))/\(blob.digest.hex).\(blob.sizeBytes).data" }
}

extension BlobReader {
    /// As delivery does it: ask, send, wait.
    func read(_ range: Range<Int64>) async throws -> [UInt8] {
        var result: [UInt8] = []
        var offset = range.lowerBound
        while offset < range.upperBound {
            switch try await step(from: offset, upTo: range.upperBound) {
            case .bytes(let bytes):
                result += bytes
                offset += Int64(bytes.count)
            case .file(let file, let part):
                var bytes = [UInt8](repeating: 0, count: part.count)
                _ = try bytes.withUnsafeMutableBytes { try file.read(into: $0, at: part.lowerBound) }
                result += bytes
                offset = part.upperBound
            }
        }
        return result
    }

    /// The next window, after as many waits as it takes.
    func step(from offset: Int64, upTo end: Int64) async throws -> Window {
        while true {
            // A stream ends at once for a task that was cancelled: a test that is out of time would spin here.
            try Task.checkCancellation()
            let (wakes, wake) = AsyncStream<Void>.makeStream()
            switch next(from: offset, upTo: end, atMost: 2 << 20, wake: { wake.yield() }) {
            case .ready(let window): return window
            case .failed(let failure): throw failure
            case .later: for await _ in wakes { break }
            }
        }
    }

    func exists() async throws {
        while true {
            let (wakes, wake) = AsyncStream<Void>.makeStream()
            switch exists(wake: { wake.yield() }) {
            case .ready: return
            case .failed(let failure): throw failure
            case .later: for await _ in wakes { break }
            }
        }
    }
}
