// SPDX-License-Identifier: Apache-2.0

package import EdgeFill
package import SignedURL
package import Telemetry

/// What all connections of the edge's listener share.
package struct DeliveryEnvironment: Sendable {
    let source: BlobSource
    let verifier: @Sendable () -> LinkVerifier
    let refused: @Sendable (_ target: String) -> Void
    let metrics: DeliveryMetrics
    let accessLog: AccessLog?
    let isTLS: Bool

    /// - Parameters:
    ///   - verifier: The link keys in force; called for each request on an event loop.
    ///   - refused: Told of targets that are no genuine links, since one may name a key that is not held yet. Quick.
    ///   - accessLog: `nil` writes no access log.
    package init(
        source: BlobSource,
        verifier: @escaping @Sendable () -> LinkVerifier,
        refused: @escaping @Sendable (_ target: String) -> Void,
        metrics: DeliveryMetrics,
        accessLog: AccessLog?,
        isTLS: Bool
    ) {
        self.source = source
        self.verifier = verifier
        self.refused = refused
        self.metrics = metrics
        self.accessLog = accessLog
        self.isTLS = isTLS
    }
}
