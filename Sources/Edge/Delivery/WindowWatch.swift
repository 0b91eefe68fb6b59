// SPDX-License-Identifier: Apache-2.0

import Disk
import NIOCore

/// The windows of files that are on their way to one connection. A file that is cut short under a window makes
/// sendfile(2) send nothing, again and again, without an error: so a window that does not leave is a reason to look at
/// its file. Lives on the channel's event loop.
final class WindowWatch {
    /// How long a window may take before its file is looked at.
    private static let lookTime = TimeAmount.seconds(1)

    private let eventLoop: any EventLoop
    private let cutShort: () -> Void
    /// Oldest first.
    private var windows: [(file: File, end: Int64)] = []
    private var leftCount: UInt64 = 0
    private var timer: Scheduled<Void>?

    /// - Parameter cutShort: Called when a file is shorter than a window that is on its way.
    init(eventLoop: any EventLoop, cutShort: @escaping () -> Void) {
        self.eventLoop = eventLoop
        self.cutShort = cutShort
    }

    func began(_ file: File, end: Int64) {
        windows.append((file, end))
        if timer == nil { schedule() }
    }

    /// The oldest one has left, or never will.
    func left() {
        leftCount &+= 1
        if !windows.isEmpty { windows.removeFirst() }
    }

    func stop() {
        timer?.cancel()
        timer = nil
        windows = []
    }

    private func schedule() {
        let leftCount = leftCount
        timer = eventLoop.assumeIsolated().scheduleTask(in: Self.lookTime) { [self] in
            timer = nil
            guard let oldest = windows.first else { return }
            if leftCount == self.leftCount, (try? oldest.file.status().sizeBytes) ?? 0 < oldest.end {
                cutShort()
            } else {
                schedule()
            }
        }
    }
}
