// SPDX-License-Identifier: Apache-2.0

import Disk
import EdgeCache
import Foundation
import Glibc
import Testing

@Suite("A disk that fails to write")
struct DiskHealthTests {
    private enum Event: CaseIterable { case wrote, failed, probedGood, probedBad }

    @Test("is off after ten failures in a row, and on after a good probe, whatever comes between")
    func sequences() {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<300 {
            var health = DiskHealth()
            var (isOff, failures) = (false, 0)
            for _ in 0..<200 {
                // Failures often enough that ten in a row happen.
                let number = Int.random(in: 0..<60, using: &random)
                let event = number < Event.allCases.count ? Event.allCases[number] : .failed
                let change: DiskHealth.Change
                var expected = DiskHealth.Change.none
                switch event {
                case .wrote:
                    health.wrote()
                    change = .none
                    failures = 0
                case .failed:
                    change = health.failedToWrite()
                    if !isOff {
                        failures += 1
                        if failures == DiskHealth.failureCountMax { (isOff, expected) = (true, .turnedOff) }
                    }
                case .probedGood:
                    change = health.probed(isGood: true)
                    if isOff { (isOff, failures, expected) = (false, 0, .turnedOn) }
                case .probedBad:
                    change = health.probed(isGood: false)
                }
                #expect(change == expected)
                #expect(health.isOff == isOff)
            }
        }
    }

    @Test("after ten input/output errors nothing is tried any more, hits go on, and a probe ends it")
    func errors() async throws {
        let time = TestTime()
        let fixture = try CacheFixture {
            $0.now = { time.now }
            $0.pause = { try await time.pause($0) }
        }
        let (whole, blob) = (TestBlob(byteCount: 1 << 20), TestBlob(byteCount: 12 << 20))
        let complete = try fixture.complete(whole)
        let partial = try fixture.partial(blob)
        let rules = (1...10).map { "pwrite:\($0):error=EIO" }.joined(separator: ",")
        try await Failpoints.shared.withRules(rules, below: fixture.directory) {
            for number in 1...9 {
                #expect(throws: CacheError.self) { try fixture.store(blob, number, in: partial) }
            }
            #expect(fixture.counter("depot_edge_disk_off") == 0)
            #expect(throws: CacheError.self) { try fixture.store(blob, 10, in: partial) }
            #expect(fixture.counter("depot_edge_disk_off") == 1)
            // The rules are used up: only the cache itself refuses now.
            #expect { try fixture.store(blob, 11, in: partial) } throws: { ($0 as? CacheError)?.kind == .io }
            #expect { try fixture.partial(TestBlob(byteCount: 10)) } throws: { ($0 as? CacheError)?.kind == .io }
        }
        #expect(try await fixture.read(complete) == whole.bytes)
        let probing = Task { await fixture.cache.keepProbing() }
        #expect(await eventually { fixture.counter("depot_edge_disk_off") == 0 })
        probing.cancel()
        await probing.value
        #expect(try fixture.store(blob, 11, in: partial) == .stored)
    }

    @Test("a file system that was made read-only is off, and on again when it is writable", .enabled(if: getuid() == 0))
    func readOnly() async throws {
        let time = TestTime()
        let disk = try SmallDisk(megabytes: 8)
        let fixture = try CacheFixture(directory: disk.path + "/cache") {
            $0.now = { time.now }
            $0.pause = { try await time.pause($0) }
        }
        let blob = TestBlob(byteCount: 1 << 20)
        try disk.remount(isReadOnly: true)
        for _ in 0..<DiskHealth.failureCountMax {
            #expect { try fixture.partial(blob) } throws: { ($0 as? CacheError)?.kind == .io }
        }
        #expect(fixture.counter("depot_edge_disk_off") == 1)
        let probing = Task { await fixture.cache.keepProbing() }
        let before = time.now
        #expect(await eventually { time.now > before + DiskHealth.probePause * 5 })
        #expect(fixture.counter("depot_edge_disk_off") == 1)
        try disk.remount(isReadOnly: false)
        #expect(await eventually { fixture.counter("depot_edge_disk_off") == 0 })
        probing.cancel()
        await probing.value
        #expect(try await fixture.read(fixture.complete(blob)) == blob.bytes)
    }

    @Test("a full disk is not a sick one", .enabled(if: getuid() == 0))
    func full() throws {
        let disk = try SmallDisk(megabytes: 2)
        let fixture = try CacheFixture(directory: disk.path + "/cache")
        let blob = TestBlob(byteCount: 24 << 20)
        let partial = try fixture.partial(blob)
        for piece in 0..<24 { _ = try? fixture.store(blob, piece, in: partial) }
        #expect { try fixture.store(blob, 23, in: partial) } throws: { ($0 as? CacheError)?.kind == .outOfSpace }
        #expect(fixture.counter("depot_edge_disk_off") == 0)
    }
}

extension SmallDisk {
    fileprivate func remount(isReadOnly: Bool) throws {
        let flags = UInt(MS_REMOUNT) | (isReadOnly ? UInt(MS_RDONLY) : 0)
        guard mount("depot-test", path, "tmpfs", flags, nil) == 0 else {
            throw DiskError(call: "mount", path: path, errno: errno)
        }
    }
}
