// SPDX-License-Identifier: Apache-2.0

import EdgeProtocol
import HTTPTypes
import Hummingbird
import NIOCore
import OriginHTTP
import OriginMetadata

extension EdgeAPI {
    /// The control connection: lines of JSON for as long as it lives. Its end, by whichever side and however noticed,
    /// takes the edge out of rotation at once.
    func control(_ member: FleetMember, _ context: OriginRequestContext) -> Response {
        let edge = member.record.id
        let connection = fleet.connected(edge)
        let lines = controls.open(connection)
        let clock = clock
        let controls = controls
        let fleet = fleet
        controls.send(.hello(originID: origins.id, keysVersion: masters.version), to: connection)
        let interval = TimeAmount(ControlLine.tickInterval)
        let ticker = context.connection.channel.eventLoop.scheduleRepeatedTask(
            initialDelay: interval, delay: interval
        ) { _ in
            controls.send(.tick(unixTimeMilliseconds: clock.unixMilliseconds()), to: connection)
        }
        let end: @Sendable () -> Void = {
            fleet.disconnected(edge, connection: connection)
            controls.close(connection)
            ticker.cancel()
        }
        context.connection.inputClosed.whenComplete { _ in end() }
        let body = ResponseBody { writer in
            defer { end() }
            for await line in lines {
                guard let json = try? line.json() else { continue }
                try await writer.write(ByteBuffer(bytes: json + [UInt8(ascii: "\n")]))
            }
            try await writer.finish(nil)
        }
        return Response(
            status: .ok, headers: [.contentType: "application/x-ndjson", .cacheControl: "no-store"], body: body)
    }
}
