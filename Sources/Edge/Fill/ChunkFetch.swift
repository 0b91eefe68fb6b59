// SPDX-License-Identifier: Apache-2.0

import EdgeCache
import HTTPFetch
import Hashing
import Synchronization

/// One ranged request to a parent: gathers the body into pieces and hands each on when it is whole. Its answer has to be
/// exactly the range asked for, of a blob of exactly the size in the link.
final class ChunkFetch: FetchHandler {
    let id: FillPlan.FetchID
    let pieces: Range<Int>
    let parent: Int
    let url: String
    private let list: PieceList
    private let fill: Fill
    private let buffers: PieceBuffers
    private let body = Body()

    private struct Control {
        var handle: FetchHandle?
        var isCancelled = false
        var isResumed = false
    }

    /// What only the fetcher's thread touches, between the start of the request and its end.
    private final class Body: @unchecked Sendable {
        // SAFETY: used in the handler's callbacks only, which come from one thread.
        var piece = 0
        /// Where the fetcher puts the piece.
        var buffer: PieceBuffer?
        var failure: FillPlan.FetchFailure?
    }

    private let control = Mutex(Control())

    init(
        id: FillPlan.FetchID,
        pieces: Range<Int>,
        parent: Int,
        url: String,
        list: PieceList,
        fill: Fill,
        buffers: PieceBuffers
    ) {
        self.id = id
        self.pieces = pieces
        self.parent = parent
        self.url = url
        self.list = list
        self.fill = fill
        self.buffers = buffers
        body.piece = pieces.lowerBound
    }

    private var range: Range<Int64> {
        list.range(of: pieces.lowerBound).lowerBound..<list.range(of: pieces.upperBound - 1).upperBound
    }

    /// Starts the request, unless it was cancelled while it waited. Never blocks.
    func start(with fetcher: Fetcher) {
        let range = range
        let request = FetchRequest(
            .get, url, range: range, bodyBytesMax: Int64(range.count), lowSpeed: .parent,
            // Whoever named the parent has judged that.
            allowPlainHTTP: true)
        guard !control.withLock({ $0.isCancelled }) else { return fill.ended(self, nil) }
        do throws(FetchError) {
            let handle = try fetcher.start(request, handler: self)
            let (isCancelled, isResumed) = control.withLock { control in
                control.handle = handle
                return (control.isCancelled, control.isResumed)
            }
            if isCancelled { handle.cancel() } else if isResumed { handle.resume() }
        } catch {
            fill.ended(self, .overloaded)
        }
    }

    func cancel() {
        let handle = control.withLock { control in
            control.isCancelled = true
            return control.handle
        }
        handle?.cancel()
    }

    private func resume() {
        let handle = control.withLock { control in
            control.isResumed = control.handle == nil
            return control.handle
        }
        handle?.resume()
    }

    func fetchReceivedHead(_ head: FetchHead) -> Bool {
        body.failure = failure(of: head)
        return body.failure == nil
    }

    private func failure(of head: FetchHead) -> FillPlan.FetchFailure? {
        switch head.status {
        case 206:
            // A missing Content-Range fails here too: `nil` is not this range.
            head.contentRange?.range == range && head.contentRange?.totalBytes == list.blobSizeBytes ? nil : .lied
        case 200..<400: .lied
        case 401, 403: .refused
        case 404, 410: .notFound
        default: .unreachable
        }
    }

    func fetchRoom() -> UnsafeMutableRawBufferPointer? {
        guard body.piece < pieces.upperBound else { return nil }
        let buffer = buffers.take()
        body.buffer = buffer
        return UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[..<list.range(of: body.piece).count])
    }

    /// One piece, or what there is of one when the answer ends early.
    func fetchReceivedBody(_ bytes: UnsafeRawBufferPointer) -> FetchFlow {
        guard !control.withLock({ $0.isCancelled }) else { return .abort }
        guard let buffer = body.buffer else {
            body.failure = .lied
            return .abort
        }
        let isWhole = bytes.count == list.range(of: body.piece).count
        if isWhole && !fill.enterStore(orNotify: { [self] in resume() }) { return .pause }
        fill.received(bytes.count, from: self)
        body.buffer = nil
        if isWhole {
            fill.arrived(body.piece, in: self, buffer, byteCount: bytes.count)
            body.piece += 1
        }
        return .proceed
    }

    func fetchEnded(_ result: Result<Void, FetchError>) {
        body.buffer = nil
        fill.ended(self, body.failure ?? failure(of: result))
    }

    private func failure(of result: Result<Void, FetchError>) -> FillPlan.FetchFailure? {
        switch result {
        case .success: body.piece == pieces.upperBound ? nil : .broke
        case .failure(let error):
            switch error.kind {
            case .closedEarly: .broke
            // Whether bytes came before it, the plan knows.
            case .timeout, .cancelled: .broke
            case .connect, .invalidRequest, .other: .unreachable
            case .tooLarge, .protocolViolation: .lied
            case .overloaded: .overloaded
            }
        }
    }
}
