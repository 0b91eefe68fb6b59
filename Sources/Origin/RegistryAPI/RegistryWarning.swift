// SPDX-License-Identifier: Apache-2.0

package import OCI

/// Something that a client's user should know although the request succeeded.
/// Spec: distribution-spec 1.1, "Warnings"; RFC 7234 §5.5 with code 299, agent "-" and no date.
package enum RegistryWarning: Sendable {
    /// An index was stored that cannot be pulled whole yet.
    case childrenMissing([Digest])

    /// At most 4,096 bytes, which is what one answer may carry.
    package var header: String {
        switch self {
        case .childrenMissing(let digests):
            // As many as a person reads; the rest are a number.
            let named = digests.prefix(3).map(\.description).joined(separator: ", ")
            let others = digests.count > 3 ? " and \(digests.count - 3) more" : ""
            return "299 - \"not in this repository yet: \(named)\(others)\""
        }
    }
}
