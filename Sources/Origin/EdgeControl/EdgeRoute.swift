// SPDX-License-Identifier: Apache-2.0

import EdgeProtocol
import HTTPTypes
import OCI

/// What `/edge/v1` answers; the paths are those of `EdgeAPIPath`.
enum EdgeRoute: Equatable {
    case control, heartbeat, keys, fills
    case pieces(Digest)

    init?(path: some StringProtocol) {
        switch String(path) {
        case EdgeAPIPath.control: self = .control
        case EdgeAPIPath.heartbeat: self = .heartbeat
        case EdgeAPIPath.keys: self = .keys
        case EdgeAPIPath.fills: self = .fills
        default:
            let parts = path.dropFirst(EdgeAPIPath.prefix.count)
                .split(separator: "/", omittingEmptySubsequences: false)
            guard parts.count == 4, parts[0].isEmpty, parts[1] == "blobs", parts[3] == "pieces",
                let digest = Digest(parts[2])
            else { return nil }
            self = .pieces(digest)
        }
    }

    var method: HTTPRequest.Method {
        switch self {
        case .control, .keys, .pieces: .get
        case .heartbeat, .fills: .post
        }
    }

    /// Longest body taken, in bytes.
    var bodyBytesMax: Int {
        switch self {
        case .control, .keys, .pieces: 0
        case .heartbeat: HeartbeatRequest.bytesMax
        case .fills: FillsRequest.bytesMax
        }
    }
}
