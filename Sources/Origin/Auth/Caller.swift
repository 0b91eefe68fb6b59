// SPDX-License-Identifier: Apache-2.0

package import Hummingbird
package import OriginHTTP
import Telemetry

/// Who sends a request, as far as the connection and its head tell.
package struct Caller: Sendable {
    /// All values of `Authorization`.
    package let authorization: [String]
    /// Of the client: an address, without a port.
    package let address: String
    package let requestID: String

    package init(authorization: [String], address: String, requestID: String) {
        self.authorization = authorization
        self.address = address
        self.requestID = requestID
    }

    package init(_ request: Request, _ context: OriginRequestContext) {
        self.init(
            authorization: request.headers[values: .authorization], address: context.clientAddress(of: request),
            requestID: request.requestID.description)
    }
}
