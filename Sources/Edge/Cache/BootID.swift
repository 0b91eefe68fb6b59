// SPDX-License-Identifier: Apache-2.0

import Disk

/// Which run of the kernel this is. What a process wrote is still there after the process died, but only if the
/// machine did not.
package struct BootID: Sendable, Equatable {
    static let byteCount = 16
    package let bytes: [UInt8]

    /// - Returns: `nil` unless there are 16 bytes.
    package init?(bytes: some Collection<UInt8>) {
        guard bytes.count == Self.byteCount else { return nil }
        self.bytes = Array(bytes)
    }

    /// `/proc/sys/kernel/random/boot_id`; where that cannot be read, a random one, so that nothing is trusted.
    package static func current() -> BootID {
        let text = (try? AtomicFile.read("/proc/sys/kernel/random/boot_id", bytesMax: 256)).flatMap { $0 } ?? []
        let digits = text.compactMap { Character(UnicodeScalar($0)).hexDigitValue }
        let bytes = stride(from: 0, to: digits.count - 1, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
        return BootID(bytes: bytes) ?? .random()
    }

    package static func random() -> BootID {
        BootID(unchecked: (0..<byteCount).map { _ in .random(in: .min ... .max) })
    }

    private init(unchecked bytes: [UInt8]) { self.bytes = bytes }
}
