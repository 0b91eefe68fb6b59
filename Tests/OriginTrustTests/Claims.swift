// SPDX-License-Identifier: Apache-2.0

import OCI

/// When `goodClaims` hold.
let goodClaimsUnixSeconds: Int64 = 1_800_000_000

/// Claims of a token that is good in all respects.
/// - Parameter changes: Members in place of the usual ones; `nil` takes one out.
func goodClaims(of issuer: String, _ changes: KeyValuePairs<String, JSONValue?> = [:]) -> JSONValue {
    let now = goodClaimsUnixSeconds
    return object(
        [
            ("iss", .string(issuer)), ("sub", .string("job")), ("aud", .string("https://registry.example")),
            ("jti", .string("one")), ("iat", .number("\(now - 5)")), ("nbf", .number("\(now - 5)")),
            ("exp", .number("\(now + 300)")),
        ], changes)
}

func json(_ text: String) throws -> JSONValue {
    try BoundedJSON.parse(Array(text.utf8), limits: JSONLimits(bytesMax: 1 << 20))
}

/// An object of some members, with others in place of them; `nil` takes one out.
func object(
    _ members: [(String, JSONValue?)], _ changes: KeyValuePairs<String, JSONValue?>
) -> JSONValue {
    let kept = members.filter { member in !changes.contains { $0.key == member.0 } }
    let added = changes.map { ($0.key, $0.value) }
    return .object((kept + added).compactMap { name, value in value.map { JSONMember(name: name, value: $0) } })
}
