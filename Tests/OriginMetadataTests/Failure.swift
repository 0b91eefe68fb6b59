// SPDX-License-Identifier: Apache-2.0

import OriginMetadata
import Testing

/// How `body` fails; `nil` if it does not.
func failure<Value>(_ body: () async throws -> Value) async -> DatabaseError.Kind? {
    do {
        _ = try await body()
    } catch let error as DatabaseError {
        return error.kind
    } catch {
        Issue.record(error)
    }
    return nil
}
