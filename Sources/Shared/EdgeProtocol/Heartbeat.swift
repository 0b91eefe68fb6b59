// SPDX-License-Identifier: Apache-2.0

/// What an edge tells the origin every two seconds.
package struct HeartbeatRequest: EdgeMessage {
    package static let bytesMax = 16 * 1024

    package var inflightRequests: Int
    /// What the cache may still take.
    package var freeBytes: Int64
    package var capacityBytes: Int64
    /// The edge's clock.
    package var unixTimeMilliseconds: Int64
    /// It is about to stop: no new clients.
    package var isDraining: Bool
    /// The last feed entry that it carried out.
    package var feedCursor: Int64
    package var version: String
    /// Where it listens, as it sees it.
    package var url: String

    package init(
        inflightRequests: Int,
        freeBytes: Int64,
        capacityBytes: Int64,
        unixTimeMilliseconds: Int64,
        isDraining: Bool,
        feedCursor: Int64,
        version: String,
        url: String
    ) {
        self.inflightRequests = inflightRequests
        self.freeBytes = freeBytes
        self.capacityBytes = capacityBytes
        self.unixTimeMilliseconds = unixTimeMilliseconds
        self.isDraining = isDraining
        self.feedCursor = feedCursor
        self.version = version
        self.url = url
    }

    private enum CodingKeys: String, CodingKey {
        case inflightRequests = "inflight_requests"
        case freeBytes = "free_bytes"
        case capacityBytes = "capacity_bytes"
        case unixTimeMilliseconds = "unix_time_ms"
        case isDraining = "draining"
        case feedCursor = "feed_cursor"
        case version, url
    }
}

/// What the origin answers.
package struct HeartbeatAnswer: EdgeMessage {
    package static let bytesMax = 64 * 1024

    package struct Origin: Codable, Sendable, Equatable {
        package var id: String
        package var url: String

        package init(id: String, url: String) {
            self.id = id
            self.url = url
        }
    }

    /// Every origin that the edge keeps a control connection to.
    package var origins: [Origin]
    package var linkTTLSeconds: Int64
    /// Changes whenever the edge has to fetch its keys again.
    package var keysVersion: String
    /// The origin's clock.
    package var unixTimeMilliseconds: Int64

    package init(origins: [Origin], linkTTLSeconds: Int64, keysVersion: String, unixTimeMilliseconds: Int64) {
        self.origins = origins
        self.linkTTLSeconds = linkTTLSeconds
        self.keysVersion = keysVersion
        self.unixTimeMilliseconds = unixTimeMilliseconds
    }

    private enum CodingKeys: String, CodingKey {
        case origins
        case linkTTLSeconds = "link_ttl_seconds"
        case keysVersion = "keys_version"
        case unixTimeMilliseconds = "unix_time_ms"
    }
}
