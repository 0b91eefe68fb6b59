// SPDX-License-Identifier: Apache-2.0

package import Disk
package import NIOCore

/// One stretch of a file on its way to a socket by sendfile(2).
///
/// NIO wants a handle of its own for each send (sharing one between connections throws EBUSY), and a handle that still
/// owns its descriptor may not be dropped. This type lends the descriptor of a shared `File` for one write.
///
/// The caller has made sure that the pages are resident (`Docs/architecture.md`, "Hits"): sendfile waits for the disk
/// otherwise, and with it the event loop. The file is never truncated while a window exists: a region beyond the end
/// of the file makes NIO's write loop spin.
package struct FileWindow {
    package let region: FileRegion
    private let handle: NIOFileHandle
    private let file: File

    /// - Parameter range: Half-open, within the file.
    package init(file: File, range: Range<Int64>) {
        self.file = file
        handle = NIOFileHandle(_deprecatedTakingOwnershipOfDescriptor: file.descriptor)
        region = FileRegion(fileHandle: handle, readerIndex: Int(range.lowerBound), endIndex: Int(range.upperBound))
    }

    /// Takes the descriptor back. Call exactly once, when the write has succeeded or failed.
    package func release() {
        _ = try? handle.takeDescriptorOwnership()
        withExtendedLifetime(file) {}
    }
}
