// SPDX-License-Identifier: Apache-2.0

import HTTPServer
import HTTPTypes
package import Hummingbird
package import Logging
package import NIOCore
package import Telemetry

/// What the origin knows of a request besides its head and body.
package struct OriginRequestContext: InitializableFromSource, Sendable {
    package let connection: Connection
    package var logger: Logger

    package init(source: ApplicationRequestContextSource) {
        // `OriginChannel.handle` sets the task-local before Hummingbird calls the responder, in the same task.
        guard let connection = Connection.current else {
            preconditionFailure("a request context is made only inside OriginChannel.handle")
        }
        self.connection = connection
        logger = source.logger
    }

    package var remoteAddress: SocketAddress? { connection.channel.remoteAddress }
    package var isTLS: Bool { connection.isTLS }

    /// The client's address without its port, as `ClientAddresses` of this listener finds it.
    package func clientAddress(of request: Request) -> String {
        connection.clientAddresses.client(
            peer: remoteAddress?.ipAddress, forwardedFor: request.headers[values: .xForwardedFor])
    }
}

extension HTTPField.Name {
    fileprivate static let xForwardedFor = literal("x-forwarded-for")
}

extension Request {
    /// The id that the connection handler gave this request; clients cannot choose it.
    package var requestID: Telemetry.RequestID {
        Telemetry.RequestID(headers[RequestIDHeader.field] ?? "") ?? Telemetry.RequestID()
    }
}
