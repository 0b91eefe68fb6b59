// SPDX-License-Identifier: Apache-2.0

package import NIOHTTP1

extension HTTPRequestHead {
    /// Whether the decoder reads no further request behind this one: it takes what follows CONNECT, and a wish to
    /// upgrade, for another protocol. Neither is served here, so the answer has to close the connection; kept open it
    /// would be deaf. Java's client and `curl --http2` wish for h2c with every first request.
    package var isLastOfConnection: Bool { method == .CONNECT || headers.contains(name: "upgrade") }
}
