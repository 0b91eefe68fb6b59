// SPDX-License-Identifier: Apache-2.0

import Disk
import Glibc
import Testing

@Suite("File and the page cache")
struct PageCacheTests {
    static let pieceBytes: Int64 = 1 << 20
    static let pageBytes = Int64(sysconf(Int32(_SC_PAGESIZE)))

    let directory: TemporaryDirectory
    let file: File

    /// Four pieces, durable, dropped from memory, read-ahead off.
    init() throws {
        directory = try TemporaryDirectory()
        file = try File.open(directory.file("blob"), .createExclusive)
        for piece in 0..<4 {
            let bytes = [UInt8](repeating: UInt8(piece + 1), count: Int(Self.pieceBytes))
            try file.write(bytes, at: Int64(piece) * Self.pieceBytes)
        }
        try file.startWriteback(0..<Self.pieceBytes)
        try file.startWriteback(9..<9)
        try file.syncData()
        try file.adviseRandom()
        try file.adviseDontNeed(0..<(4 * Self.pieceBytes))
    }

    static func range(_ piece: Int64) -> Range<Int64> { (piece * pieceBytes)..<((piece + 1) * pieceBytes) }

    /// A file system in memory (tmpfs) cannot drop its pages.
    static let canDrop: Bool = {
        guard let suite = try? PageCacheTests(), let count = try? suite.file.missingPages(range(0)) else {
            return false
        }
        return count > 0
    }()

    enum Method: CaseIterable { case best, cachestat, mincore }

    private func missingPages(_ range: Range<Int64>, by method: Method) throws -> Int? {
        switch method {
        case .best: try file.missingPages(range)
        case .cachestat: try file.missingPagesByCachestat(range)
        case .mincore: try file.missingPagesByMapping(range)
        }
    }

    /// cachestat is younger than the kernels we run on; the other ways must always answer.
    static let methods: [Method] = {
        guard let suite = try? PageCacheTests(), (try? suite.file.missingPagesByCachestat(range(0))) != nil else {
            return [.best, .mincore]
        }
        return Method.allCases
    }()

    @Test("dropped pieces are told from read ones", .enabled(if: canDrop), arguments: methods)
    func missingPages(by method: Method) throws {
        let pagesPerPiece = Int(Self.pieceBytes / Self.pageBytes)
        #expect(try missingPages(Self.range(1), by: method) == pagesPerPiece)
        _ = try file.bytes(Int(Self.pieceBytes), at: Self.pieceBytes)
        #expect(try missingPages(Self.range(1), by: method) == 0)
        #expect(try missingPages(Self.range(0), by: method) == pagesPerPiece, "read-ahead is off")
        #expect(try missingPages(Self.range(2), by: method) == pagesPerPiece, "read-ahead is off")
        #expect(try missingPages(0..<(4 * Self.pieceBytes), by: method) == 3 * pagesPerPiece)
    }

    @Test(
        "a range that is not aligned to pages is judged by the pages it touches",
        .enabled(if: canDrop),
        arguments: methods
    )
    func unaligned(method: Method) throws {
        _ = try file.bytes(Int(Self.pieceBytes), at: Self.pieceBytes)
        let piece = Self.range(1)
        #expect(try missingPages((piece.lowerBound + 1)..<(piece.upperBound - 1), by: method) == 0)
        #expect(try missingPages((piece.lowerBound - 1)..<piece.upperBound, by: method) == 1)
        #expect(try missingPages((piece.lowerBound + 1)..<(piece.upperBound + 1), by: method) == 1)
        #expect(try missingPages(piece.lowerBound..<piece.lowerBound, by: method) == 0, "nothing is always there")
    }

    @Test("pages behind the end of the file count as missing", arguments: methods)
    func behindTheEnd(method: Method) throws {
        let end = 4 * Self.pieceBytes
        #expect(try missingPages(end..<(end + 10), by: method) == 1)
    }

    @Test("isResident is whether nothing is missing", .enabled(if: canDrop))
    func isResident() throws {
        #expect(try file.isResident(Self.range(3)) == false)
        _ = try file.bytes(Int(Self.pieceBytes), at: 3 * Self.pieceBytes)
        #expect(try file.isResident(Self.range(3)) == true)
    }

    @Test("a range larger than one mincore call is counted whole", .enabled(if: canDrop))
    func manyPages() throws {
        let sizeBytes = 20_000 * Self.pageBytes
        let sparse = try File.open(directory.file("sparse"), .createExclusive)
        try sparse.truncate(to: sizeBytes)
        _ = try sparse.bytes(Int(Self.pageBytes), at: 4_096 * Self.pageBytes)
        #expect(try sparse.missingPagesByMapping(0..<sizeBytes) == 19_999)
        #expect(try sparse.missingPages(0..<sizeBytes) == 19_999)
    }
}
