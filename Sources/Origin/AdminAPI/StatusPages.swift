// SPDX-License-Identifier: Apache-2.0

import Grammar
import HTTPTypes
package import Hummingbird
package import OriginHTTP
import Synchronization
package import Telemetry

/// What the origin says about itself on the admin listener: `/healthz`, `/readyz`, `/metrics`. No credential needed:
/// none of it names a tenant.
package struct StatusPages: RouteGroup {
    private let readiness: Readiness
    private let metrics: Metrics

    package init(readiness: Readiness, metrics: Metrics) {
        self.readiness = readiness
        self.metrics = metrics
    }

    package var prefixes: [String] { ["/healthz", "/readyz", "/metrics"] }

    package func respond(to request: Request, context: OriginRequestContext) async throws -> Response {
        guard request.method == .get || request.method == .head else {
            return .plain(.methodNotAllowed, "method not allowed", headers: [.allow: "GET, HEAD"])
        }
        let uncached: HTTPFields = [.cacheControl: "no-store"]
        switch RawTarget(request).path {
        case "/healthz":
            return .plain(.ok, "ok", headers: uncached)
        case "/readyz":
            let faults = await readiness.faults()
            return faults.isEmpty
                ? .plain(.ok, "ready", headers: uncached)
                : .plain(.serviceUnavailable, faults.joined(separator: "\n"), headers: uncached)
        case "/metrics":
            return .bytes(
                .ok, Array(metrics.exposition().utf8), contentType: "text/plain; version=0.0.4; charset=utf-8",
                headers: uncached)
        default:
            return .plain(.notFound, "404 page not found")
        }
    }
}

/// Whether the origin can serve: its checks, and whether it is being stopped.
package final class Readiness: Sendable {
    /// One thing that the origin cannot serve without.
    package struct Check: Sendable {
        let fault: String
        let passes: @Sendable () async -> Bool

        /// - Parameter fault: What is said when it does not pass.
        package init(_ fault: String, passes: @escaping @Sendable () async -> Bool) {
            self.fault = fault
            self.passes = passes
        }
    }

    private let checks: [Check]
    private let isDraining = Atomic(false)

    package init(_ checks: [Check]) { self.checks = checks }

    /// From now on the origin is not ready, so that load balancers send no more clients.
    package func beginDrain() { isDraining.store(true, ordering: .relaxed) }

    /// What keeps the origin from serving; empty if nothing does.
    package func faults() async -> [String] {
        if isDraining.load(ordering: .relaxed) { return ["draining"] }
        var faults: [String] = []
        for check in checks where await !check.passes() { faults.append(check.fault) }
        return faults
    }
}
