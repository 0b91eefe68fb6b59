// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
package import OCI

/// `NAME=VALUE[,VALUE…]`: a claim of an identity token, and the values that it may have.
package struct ClaimArgument: ExpressibleByArgument, Sendable, Equatable {
    package let name: String
    package let values: [String]

    package init?(argument: String) {
        guard let sign = argument.firstIndex(of: "="), sign != argument.startIndex else { return nil }
        let values = argument[argument.index(after: sign)...].split(separator: ",", omittingEmptySubsequences: false)
        guard !values.contains(where: \.isEmpty) else { return nil }
        name = String(argument[..<sign])
        self.values = values.map(String.init)
    }

    /// The `conditions` of a trust relationship. A claim that is given twice may have the values of both.
    package static func conditions(_ claims: [ClaimArgument]) -> JSONValue {
        var names: [String] = []
        var values: [String: [String]] = [:]
        for claim in claims {
            if values[claim.name] == nil { names.append(claim.name) }
            values[claim.name, default: []] += claim.values
        }
        return .object(
            names.map { name in
                JSONMember(name: name, value: .array(values[name, default: []].map { .string($0) }))
            })
    }
}
