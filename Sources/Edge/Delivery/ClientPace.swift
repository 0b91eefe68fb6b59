// SPDX-License-Identifier: Apache-2.0

/// How large a client's windows may be: what it takes in 5 ms.
///
/// A socket takes bytes in bursts: nothing for as long as its buffer is full, then as much as has become free, at once.
/// So what counts is what was taken over `time` at least, waiting included, and a window at most doubles with each such
/// look.
package struct ClientPace: Equatable {
    package static let time = Duration.milliseconds(5)
    package static let windowBytesMin: Int64 = 16 << 10
    package static let windowBytesMax: Int64 = 2 << 20

    /// Before anything is known of the client, a body of 1 MiB is one window.
    package private(set) var windowBytes: Int64 = 1 << 20
    private var takenBytes: Int64 = 0
    private var waited = Duration.zero

    package init() {}

    /// - Parameter duration: How long the bytes were the next to leave; time in which there were none does not count.
    package mutating func took(_ byteCount: Int64, in duration: Duration) {
        takenBytes += byteCount
        waited += duration
        guard waited >= Self.time else { return }
        let inTime = Int64(Double(takenBytes) * (Self.time / waited))
        windowBytes = min(max(inTime, Self.windowBytesMin), windowBytes * 2, Self.windowBytesMax)
        takenBytes = 0
        waited = .zero
    }
}
