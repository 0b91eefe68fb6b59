// SPDX-License-Identifier: Apache-2.0

package import EdgeProtocol
package import OCI
package import OriginEdgeControl
package import OriginMetadata

/// The JSON forms of an edge in `/api/v1`.
package enum EdgeDocument {
    private static let locationSchema = Schema(
        "Location", [.required("latitude", .number, "Degrees."), .required("longitude", .number, "Degrees.")])
    private static let fields: [Schema.Field] = [
        .required("name", .text, "a-z, 0-9, '-' and '.'."), .required("region", .text),
        .required("url", .text, "Where clients reach it: never on the registry's host or a subdomain of it."),
        .optional("location", .object(locationSchema)),
    ]

    /// What makes an edge.
    package static let description = Schema("NewEdge", fields)
    private static let edge = Schema("Edge", [.required("id", .text)] + fields)
    static let created = edge.adding([.required("credential", .text)], named: "NewEdgeAnswer")
    static let status = edge.adding(
        [
            .required("in_rotation", .boolean), .required("state", .text), .optional("free_bytes", .integer),
            .optional("capacity_bytes", .integer), .optional("inflight_requests", .integer),
        ], named: "EdgeStatus")

    /// - Parameter document: Of the schema `description`.
    /// - Throws: `.invalid`.
    package static func description(_ document: JSONValue) throws(EdgeEnrollmentError) -> EdgeDescription {
        try EdgeDescription(
            name: text("name", in: document),
            region: text("region", in: document),
            location: location(in: document),
            url: text("url", in: document))
    }

    private static func text(_ name: String, in document: JSONValue) throws(EdgeEnrollmentError) -> String {
        guard let text = document[name]?.stringValue else { throw .invalid("\(name) must be a text") }
        return text
    }

    private static func location(
        in document: JSONValue
    ) throws(EdgeEnrollmentError) -> (latitude: Double, longitude: Double)? {
        guard let location = document["location"], location != .null else { return nil }
        guard case .number(let latitudeText)? = location["latitude"], let latitude = Double(latitudeText),
            case .number(let longitudeText)? = location["longitude"], let longitude = Double(longitudeText)
        else { throw .invalid("location must have the numbers latitude and longitude") }
        return (latitude, longitude)
    }

    /// The edge, and the credential that is shown this once.
    package static func document(_ record: EdgeRecord, _ credential: JoinCredential) -> JSONValue {
        .object(members(of: record) + [JSONMember(name: "credential", value: .string(credential.text))])
    }

    /// An edge, as the origin that answers sees it.
    package static func document(_ status: Fleet.Status) -> JSONValue {
        var members = members(of: status.record)
        members.append(JSONMember(name: "in_rotation", value: .bool(status.absence == nil)))
        members.append(JSONMember(name: "state", value: .string(stateText(status.absence))))
        if let report = status.report {
            members += [
                JSONMember(name: "free_bytes", value: .number(String(report.freeBytes))),
                JSONMember(name: "capacity_bytes", value: .number(String(report.capacityBytes))),
                JSONMember(name: "inflight_requests", value: .number(String(report.inflightRequestCount))),
            ]
        }
        return .object(members)
    }

    private static func members(of record: EdgeRecord) -> [JSONMember] {
        var members = [
            JSONMember(name: "id", value: .string(record.id)),
            JSONMember(name: "name", value: .string(record.name)),
            JSONMember(name: "region", value: .string(record.region)),
            JSONMember(name: "url", value: .string(record.url)),
        ]
        if let latitude = record.latitude, let longitude = record.longitude {
            members.append(
                JSONMember(
                    name: "location",
                    value: .object([
                        JSONMember(name: "latitude", value: .number(String(latitude))),
                        JSONMember(name: "longitude", value: .number(String(longitude))),
                    ])))
        }
        return members
    }

    private static func stateText(_ absence: FleetState.Absence?) -> String {
        switch absence {
        case nil: "serving"
        case .unknown: "unknown"
        case .disabled: "disabled"
        case .notConnected: "not_connected"
        case .silent: "silent"
        case .draining: "draining"
        case .clockWrong: "clock_wrong"
        }
    }
}
