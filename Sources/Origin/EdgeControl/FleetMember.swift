// SPDX-License-Identifier: Apache-2.0

package import EdgeProtocol
package import OriginMetadata
package import SignedURL

/// An edge as this origin works with it: its row, with the join secret unwrapped and its keys derived.
package struct FleetMember: Sendable {
    package let record: EdgeRecord
    package let joinKeys: JoinKeys
    package let linkKeys: [(state: LinkMasters.State, key: LinkKey)]
    /// Signs its links now.
    let currentKey: LinkKey

    package init(record: EdgeRecord, joinKeys: JoinKeys, masters: LinkMasters) {
        self.record = record
        self.joinKeys = joinKeys
        linkKeys = masters.keys(forEdge: record.id)
        currentKey = LinkKey.derive(from: masters.current, edgeID: record.id)
    }
}
