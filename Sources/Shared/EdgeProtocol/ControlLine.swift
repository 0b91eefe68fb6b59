// SPDX-License-Identifier: Apache-2.0

/// One line of the control connection, as JSON with a `type`. The origin sends a tick every two seconds, so that
/// silence is noticed; everything else only says that something is to be asked for.
package enum ControlLine: EdgeMessage {
    package static let bytesMax = 16 * 1024
    package static let tickInterval = Duration.seconds(2)

    /// The first line.
    case hello(originID: String, keysVersion: String)
    /// The origin's clock, in Unix milliseconds.
    case tick(unixTimeMilliseconds: Int64)
    /// The link keys changed.
    case keys(version: String)
    /// The feed has entries up to this number.
    case feed(cursor: Int64)
    /// A type that this version does not know, from a newer origin: to be ignored.
    case other(type: String)

    private enum CodingKeys: String, CodingKey {
        case type
        case originID = "origin_id"
        case keysVersion = "keys_version"
        case unixTimeMilliseconds = "unix_time_ms"
        case cursor
    }

    package init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: CodingKeys.self)
        let type = try fields.decode(String.self, forKey: .type)
        switch type {
        case "hello":
            self = .hello(
                originID: try fields.decode(String.self, forKey: .originID),
                keysVersion: try fields.decode(String.self, forKey: .keysVersion))
        case "tick": self = .tick(unixTimeMilliseconds: try fields.decode(Int64.self, forKey: .unixTimeMilliseconds))
        case "keys": self = .keys(version: try fields.decode(String.self, forKey: .keysVersion))
        case "feed": self = .feed(cursor: try fields.decode(Int64.self, forKey: .cursor))
        default: self = .other(type: type)
        }
    }

    package func encode(to encoder: any Encoder) throws {
        var fields = encoder.container(keyedBy: CodingKeys.self)
        switch self {
        case .hello(let originID, let keysVersion):
            try fields.encode("hello", forKey: .type)
            try fields.encode(originID, forKey: .originID)
            try fields.encode(keysVersion, forKey: .keysVersion)
        case .tick(let unixTimeMilliseconds):
            try fields.encode("tick", forKey: .type)
            try fields.encode(unixTimeMilliseconds, forKey: .unixTimeMilliseconds)
        case .keys(let version):
            try fields.encode("keys", forKey: .type)
            try fields.encode(version, forKey: .keysVersion)
        case .feed(let cursor):
            try fields.encode("feed", forKey: .type)
            try fields.encode(cursor, forKey: .cursor)
        case .other(let type):
            try fields.encode(type, forKey: .type)
        }
    }
}
