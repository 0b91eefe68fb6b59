// SPDX-License-Identifier: Apache-2.0

/// `http[s]://HOST[:PORT]`: where a program is reached. No path, query or credentials; in lower case, without a slash
/// at the end.
package struct BaseURL: Sendable, Hashable, CustomStringConvertible {
    package let scheme: String
    /// Host with its port, if one is given, as in a `Host` header.
    package let authority: String
    package let host: String

    /// - Parameter text: A single slash at the end is forgiven.
    package init?(_ text: some StringProtocol) {
        let lowered = text.lowercased()
        guard let scheme = ["https", "http"].first(where: { lowered.hasPrefix("\($0)://") }) else { return nil }
        var authority = lowered.dropFirst(scheme.utf8.count + 3)
        if authority.hasSuffix("/") { authority.removeLast() }
        guard let host = HostPolicy.host(of: String(authority)) else { return nil }
        self.scheme = scheme
        self.authority = String(authority)
        self.host = host
    }

    package var description: String { "\(scheme)://\(authority)" }
}
