// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import OCI

/// A JSON body of the internal surface. Fields may be added: readers ignore those they do not know.
package protocol EdgeMessage: Codable, Sendable, Equatable {
    /// Longest text that is read, in bytes.
    static var bytesMax: Int { get }
}

package struct EdgeMessageError: Error, CustomStringConvertible {
    package let description: String
}

extension EdgeMessage {
    /// - Throws: The bounded scan's or the decoder's complaint.
    package init(json: [UInt8]) throws(EdgeMessageError) {
        do {
            _ = try BoundedJSON.parse(json, limits: JSONLimits(bytesMax: Self.bytesMax))
            self = try JSONDecoder().decode(Self.self, from: Data(json))
        } catch {
            throw EdgeMessageError(description: "\(Self.self): \(error)")
        }
    }

    package func json() throws(EdgeMessageError) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return try Array(encoder.encode(self))
        } catch {
            throw EdgeMessageError(description: "\(Self.self): \(error)")
        }
    }
}
