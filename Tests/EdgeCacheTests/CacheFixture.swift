// SPDX-License-Identifier: Apache-2.0

import Blocking
import Disk
import EdgeCache
import Foundation
import Glibc
import Hashing
import Logging
import OCI
import Synchronization
import Telemetry

/// A blob with bytes that nothing else has.
struct TestBlob: Sendable {
    let bytes: [UInt8]
    let digest: Digest
    let pieces: PieceList

    init(byteCount: Int, seed: UInt64 = .random(in: 0 ... .max), algorithm: DigestAlgorithm = .sha256) {
        var state = seed
        var bytes = [UInt8](repeating: 0, count: byteCount)
        bytes.withUnsafeMutableBytes { buffer in
            // An xorshift generator, a word at a time: fast enough for debug builds.
            let words = buffer.bindMemory(to: UInt64.self)
            for index in words.indices {
                state ^= state << 13
                state ^= state >> 7
                state ^= state << 17
                words[index] = state
            }
            for index in (words.count * 8)..<buffer.count { buffer[index] = UInt8(truncatingIfNeeded: index) }
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

    func piece(_ piece: Int) -> ArraySlice<UInt8> {
        let range = pieces.range(of: piece)
        return bytes[Int(range.lowerBound)..<Int(range.upperBound)]
    }
}

/// A cache in a directory of its own, which goes with it unless it was given.
final class CacheFixture: Sendable {
    let directory: String
    let cache: BlobCache
    let metrics = Metrics()
    let pool = BlockingPool(name: "disk", threadCount: 2, queueCountMax: 256)
    private let ownsDirectory: Bool

    init(
        directory: String? = nil,
        bytesMax: Int64 = 1 << 30,
        reserveBytes: Int64 = 0,
        configure: (inout BlobCache.Configuration) -> Void = { _ in }
    ) throws {
        ownsDirectory = directory == nil
        self.directory = directory ?? FileManager.default.temporaryDirectory.path + "/depot-cache-\(UUID().uuidString)"
        var configuration = BlobCache.Configuration(
            directory: self.directory, bytesMax: bytesMax, reserveBytes: reserveBytes)
        configure(&configuration)
        cache = try BlobCache(configuration, pool: pool, metrics: metrics, logger: Logger(label: "test"))
    }

    deinit {
        if ownsDirectory { try? FileManager.default.removeItem(atPath: directory) }
    }

    /// Another process on the same directory, as far as the cache can tell.
    func reopened(
        bytesMax: Int64 = 1 << 30, configure: (inout BlobCache.Configuration) -> Void = { _ in }
    ) throws -> CacheFixture {
        try CacheFixture(directory: directory, bytesMax: bytesMax, configure: configure)
    }

    func counter(_ name: String, _ labels: String = "") -> Int {
        let line = metrics.exposition().split(separator: "\n").first { $0.hasPrefix("\(name)\(labels) ") }
        return line.flatMap { $0.split(separator: " ").last }.flatMap { Double($0) }.map { Int($0) } ?? 0
    }

    // MARK: Blobs

    /// A partial blob with these pieces, pinned.
    func partial(_ blob: TestBlob, pieces: [Int] = []) throws -> CachedBlob {
        let cached = try cache.create(blob.digest, sizeBytes: blob.sizeBytes, pieces: blob.pieces)
        for piece in pieces { _ = try store(blob, piece, in: cached) }
        return cached
    }

    /// A complete blob on disk, pinned.
    func complete(_ blob: TestBlob) throws -> CachedBlob {
        let cached = try partial(blob, pieces: Array(0..<blob.pieces.count))
        cache.commit(cached)
        return cached
    }

    func store(_ blob: TestBlob, _ piece: Int, in cached: CachedBlob) throws -> CachedBlob.StoreOutcome {
        try Array(blob.piece(piece)).withUnsafeBytes { try cache.store(cached, piece: piece, bytes: $0) }
    }

    func open(_ blob: TestBlob) async throws -> CachedBlob? {
        try await withCheckedThrowingContinuation { continuation in
            cache.open(blob.digest, sizeBytes: blob.sizeBytes) {
                continuation.resume(with: $0.mapError { $0 as any Error })
            }
        }
    }

    /// What a client would get of the window, with checks on the way; `nil` where a fill would have to help.
    func read(_ window: Range<Int64>, of cached: CachedBlob) async throws -> [UInt8]? {
        var result: [UInt8] = []
        var offset = window.lowerBound
        while offset < window.upperBound {
            switch cached.inspect(offset..<min(window.upperBound, offset + 2 << 20)) {
            case .ready(let range):
                var bytes = [UInt8](repeating: 0, count: range.count)
                let count = try bytes.withUnsafeMutableBytes { try cached.file.read(into: $0, at: range.lowerBound) }
                result += bytes.prefix(count)
                offset = range.upperBound
            case .unchecked(let pieces):
                await check(pieces, of: cached)
            case .readThrough(let piece):
                guard let bytes = cached.readChecked(piece) else { continue }
                let range = cached.pieces.range(of: piece).clamped(to: offset..<window.upperBound)
                let start = cached.pieces.range(of: piece).lowerBound
                result += bytes[Int(range.lowerBound - start)..<Int(range.upperBound - start)]
                offset = range.upperBound
            case .bytes(let bytes):
                result += bytes[Int(offset)..<Int(window.upperBound)]
                offset = window.upperBound
            case .absent, .lost:
                return nil
            }
        }
        return result
    }

    func read(_ cached: CachedBlob) async throws -> [UInt8]? { try await read(0..<cached.sizeBytes, of: cached) }

    func check(_ pieces: Range<Int>, of cached: CachedBlob) async {
        await withCheckedContinuation { continuation in
            let isWaiting = try? cached.check(pieces) { continuation.resume() }
            if isWaiting != true { continuation.resume() }
        }
    }

    // MARK: Files

    func completePath(_ blob: TestBlob) -> String {
        "\(directory)/c/\(blob.digest.hex.prefix(2))/\(blob.digest.hex).\(blob.sizeBytes)"
    }

    func partialPath(_ blob: TestBlob, _ suffix: String) -> String {
        "\(directory)/p/\(blob.digest.hex.prefix(2))/\(blob.digest.hex).\(blob.sizeBytes)\(suffix)"
    }
}

/// Time that passes when it is told to, or when somebody waits for it.
final class TestTime: Sendable {
    private let instant = Mutex(ContinuousClock.Instant.now)

    var now: ContinuousClock.Instant { instant.withLock { $0 } }

    func advance(by duration: Duration) { instant.withLock { $0 += duration } }

    /// As long as nobody else has something to do, the wait is over.
    func pause(_ duration: Duration) async throws {
        advance(by: duration)
        await Task.yield()
        try Task.checkCancellation()
    }
}

/// Whether the condition comes true while others work.
func eventually(_ condition: () -> Bool) async -> Bool {
    let deadline = ContinuousClock.now + .seconds(120)
    while !condition() {
        guard ContinuousClock.now < deadline else { return false }
        await Task.yield()
    }
    return true
}

/// What another process does to a file: through a descriptor of its own.
enum Intruder {
    /// Flips one bit of the byte at `offset`. The change is one that ctime shows: before Linux 6.13, ctime moves with the
    /// tick only, so the flip is repeated, an odd number of times, until it has moved.
    static func flip(_ path: String, at offset: Int64) throws {
        let file = try File.open(path, .readWrite)
        let before = try file.status().changeTime
        var byte: UInt8 = 0
        _ = try withUnsafeMutableBytes(of: &byte) { try file.read(into: $0, at: offset) }
        byte ^= 0x10
        repeat {
            try withUnsafeBytes(of: byte) { try file.write($0, at: offset) }
        } while try file.status().changeTime == before
    }

    /// Puts the file's bytes on the device and takes its pages out of memory.
    static func drop(_ path: String) throws {
        let file = try File.open(path, .readWrite)
        try file.syncData()
        try file.adviseDontNeed(0..<0)
    }

    static func swap(_ path: String, _ first: Range<Int64>, _ second: Range<Int64>) throws {
        let file = try File.open(path, .readWrite)
        var a = [UInt8](repeating: 0, count: first.count)
        var b = [UInt8](repeating: 0, count: second.count)
        _ = try a.withUnsafeMutableBytes { try file.read(into: $0, at: first.lowerBound) }
        _ = try b.withUnsafeMutableBytes { try file.read(into: $0, at: second.lowerBound) }
        try a.withUnsafeBytes { try file.write($0, at: second.lowerBound) }
        try b.withUnsafeBytes { try file.write($0, at: first.lowerBound) }
    }

    static func overwrite(_ path: String, _ bytes: [UInt8], at offset: Int64) throws {
        let file = try File.open(path, .readWrite)
        try bytes.withUnsafeBytes { try file.write($0, at: offset) }
    }
}
