// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

/// `90s`, `30m`, `2h`, `7d`: how long a token counts. Whether that is too long, the origin says.
package struct TokenLifetime: ExpressibleByArgument, Sendable, Equatable {
    private static let units: [Character: Int64] = ["s": 1, "m": 60, "h": 3600, "d": 86_400]

    package let duration: Duration

    package init?(argument: String) {
        let digits = argument.dropLast()
        guard let unit = argument.last.flatMap({ Self.units[$0] }), (1...9).contains(digits.utf8.count),
            digits.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
            let count = Int64(digits), count > 0
        else { return nil }
        duration = .seconds(count * unit)
    }
}
