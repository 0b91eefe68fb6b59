// SPDX-License-Identifier: Apache-2.0

import HTTPServer
package import Hummingbird
package import OriginHTTP
import Telemetry

/// Who sends a request, as far as the connection and its head tell.
package struct Caller: Sendable {
    /// All values of `Authorization`.
    package let authorization: [String]
    private let source: Source

    /// What few requests need is not written out for all of them.
    private enum Source: Sendable {
        case request(Request, OriginRequestContext)
        case known(address: String, requestID: String)
    }

    package init(authorization: [String], address: String, requestID: String) {
        self.authorization = authorization
        source = .known(address: address, requestID: requestID)
    }

    package init(_ request: Request, _ context: OriginRequestContext) {
        authorization = request.headers[values: .authorization]
        source = .request(request, context)
    }

    /// Of the client, without a port.
    package var address: String {
        switch source {
        case .request(let request, let context): context.clientAddress(of: request)
        case .known(let address, _): address
        }
    }

    /// For whom limits count; `nil`: all whose address is not known.
    var network: ClientNetwork? { ClientNetwork(address) }

    package var requestID: String {
        switch source {
        case .request(let request, _): request.requestID.description
        case .known(_, let requestID): requestID
        }
    }
}
