// SPDX-License-Identifier: Apache-2.0

import HTTPFetch
import LoopbackServer
import Synchronization

/// Keeps what a fetcher reports, and pauses or aborts when told. One that hesitates refuses every other offer, and asks for
/// it again at once, from the fetcher's own thread.
final class RecordingHandler: FetchHandler {
    struct Record: Sendable {
        var head: FetchHead?
        var body: [UInt8] = []
        var pieceCounts: [Int] = []
        var endCount = 0
        var result: Result<Void, FetchError>?
        var isPausing = false
        var offeredWhilePaused = 0
        var isOfferedAgain = false
        var roomsLeft: Int
    }

    private struct Room: @unchecked Sendable {
        // SAFETY: used by the fetcher's thread only, until the handler's end.
        let bytes: UnsafeMutableRawBufferPointer
    }

    private let state: Mutex<Record>
    private let acceptsHead: Bool
    private let abortsBody: Bool
    private let hesitates: Bool
    private let room: Room
    private let handle = Mutex<FetchHandle?>(nil)
    let gotHead = Gate()
    let gotBody = Gate()
    let paused = Gate()
    let ended = Gate()

    /// - Parameters:
    ///   - roomBytes: Size of the handler's own rooms.
    ///   - roomCount: How many of them it gives.
    init(
        acceptsHead: Bool = true,
        abortsBody: Bool = false,
        isPausing: Bool = false,
        hesitates: Bool = false,
        roomBytes: Int = 0,
        roomCount: Int = 0
    ) {
        self.acceptsHead = acceptsHead
        self.abortsBody = abortsBody
        self.hesitates = hesitates
        room = Room(bytes: .allocate(byteCount: roomBytes, alignment: 1))
        state = Mutex(Record(isPausing: isPausing, roomsLeft: roomCount))
    }

    deinit { room.bytes.deallocate() }

    /// Starts the request so that this handler can resume it.
    func start(_ request: FetchRequest, with fetcher: Fetcher) throws {
        try handle.withLock { $0 = try fetcher.start(request, handler: self) }
    }

    var record: Record { state.withLock { $0 } }

    func stopPausing() { state.withLock { $0.isPausing = false } }

    /// The error that ended it; `nil` for success.
    func failure() async -> FetchError? {
        await ended.passed()
        guard case .failure(let error) = record.result else { return nil }
        return error
    }

    func fetchReceivedHead(_ head: FetchHead) -> Bool {
        state.withLock { $0.head = head }
        gotHead.open()
        return acceptsHead
    }

    func fetchRoom() -> UnsafeMutableRawBufferPointer? {
        state.withLock { record in
            record.roomsLeft -= 1
            return record.roomsLeft >= 0 ? room : nil
        }?.bytes
    }

    func fetchReceivedBody(_ bytes: UnsafeRawBufferPointer) -> FetchFlow {
        if abortsBody { return .abort }
        if hesitates && state.withLock({ $0.hesitate() }) {
            handle.withLock { $0 }?.resume()
            return .pause
        }
        let flow: FetchFlow = state.withLock { record in
            guard !record.isPausing else {
                record.offeredWhilePaused += 1
                return .pause
            }
            record.body.append(contentsOf: bytes)
            record.pieceCounts.append(bytes.count)
            return .proceed
        }
        flow == .pause ? paused.open() : gotBody.open()
        return flow
    }

    func fetchEnded(_ result: Result<Void, FetchError>) {
        state.withLock { record in
            record.endCount += 1
            record.result = result
        }
        ended.open()
    }
}

extension RecordingHandler.Record {
    fileprivate mutating func hesitate() -> Bool {
        isOfferedAgain.toggle()
        return isOfferedAgain
    }
}

/// Bytes whose period fits no buffer size, so that a block lost, repeated, or moved shows.
func pattern(_ count: Int) -> [UInt8] {
    let block = (0..<9973).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count + block.count)
    while bytes.count < count { bytes += block }
    bytes.removeLast(bytes.count - count)
    return bytes
}
