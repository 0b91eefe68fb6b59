// SPDX-License-Identifier: Apache-2.0

import Foundation
import StackSupport
import Testing

extension RealClients {
    /// The origin is killed in the middle of a push and started again.
    @Suite struct OriginDeathTests {
        @Test("a killed push loses nothing acknowledged, shows nothing half-written, and succeeds when repeated")
        func killedPush() async throws {
            let clients = try currentClients()
            let registry = try Registry("killed-push")
            let acknowledged = try Layout()
            let (first, firstDiffIDs) = try await acknowledged.addImage(layerBytes: [5 << 20])
            try acknowledged.finish(["1": first])
            try await clients[.skopeo].push(acknowledged, "1", to: registry.reference("1"))
            let before = try await registry.request("GET", "manifests/1", headers: [("Accept", MediaType.image)])

            let layout = try Layout()
            let (second, secondDiffIDs) = try await layout.addImage(layerBytes: [512 << 20])
            try layout.finish(["2": second])
            let data = registry.stack.origins[0].log.replacingOccurrences(
                of: "/log/origin-1.log", with: "/origin-1/data")
            let occupied = occupiedBytes(below: data)
            let push = try Command(
                [
                    "skopeo", "copy", "--quiet", "--authfile", clients.authFile, "--dest-tls-verify=false",
                    "oci:\(layout.path):2", "docker://\(registry.reference("2"))",
                ], limit: .seconds(120)
            ).start()
            try await waitUntil(
                "the origin has written a part of the layer", within: .seconds(60), every: .milliseconds(5)
            ) {
                occupiedBytes(below: data) - occupied >= 64 << 20
            }
            try await ObservedProcess(registry.stack.originPid).killNow()
            #expect(try await push.result().status != 0, "the push was over before the origin was killed")

            try await currentStack().up()
            let restarted = try Registry("killed-push")
            let after = try await restarted.request("GET", "manifests/1", headers: [("Accept", MediaType.image)])
            #expect(after.body == before.body)
            #expect(try await clients[.podman].pull(restarted.reference("1")) == firstDiffIDs)
            let half = try await restarted.request("GET", "manifests/2")
            #expect(half.status == 404 && half.errorCodes == ["MANIFEST_UNKNOWN"])
            let layer = try JSONDecoder().decode(
                Manifest.self, from: Data(contentsOf: URL(filePath: layout.blobPath(second))))
            for blob in layer.layers ?? [] {
                #expect(try await restarted.request("HEAD", "blobs/\(blob.digest)").status == 404)
            }
            try await clients[.skopeo].push(layout, "2", to: restarted.reference("2"))
            #expect(try await clients[.skopeo].pull(restarted.reference("2")) == secondDiffIDs)
        }

        @Test("an upload goes on at the last durable byte after the origin was killed")
        func resumedUpload() async throws {
            let registry = try Registry("resumed")
            let scratch = try ScratchDirectory("resumed")
            let sizeBytes = 256 << 20
            try await Command(["sh", "-ec", "head -c \(sizeBytes) /dev/urandom > blob"], in: scratch.path).run()
            let hex = try await sha256(of: [scratch.path("blob")])[0]

            let begun = try await registry.request("POST", "blobs/uploads/", body: Data())
            let location = try #require(begun["location"])
            let authorization = "Authorization: \(registry.stack.basicAuthorization)"
            func url(_ location: String) -> String {
                location.hasPrefix("/") ? registry.stack.origin + location : location
            }
            // 64 MiB/s, so that there is a middle to be killed in, after at least one durable point.
            let patch = try Command(
                [
                    "curl", "--silent", "--show-error", "--fail", "--noproxy", "*", "--request", "PATCH",
                    "--limit-rate", "64M",
                    "--header", authorization, "--header", "Content-Type: application/octet-stream",
                    "--upload-file", scratch.path("blob"), url(location),
                ], limit: .seconds(60)
            ).start()
            func durableBytes(_ registry: Registry) async throws -> Int {
                let path = try #require(location.range(of: "blobs/uploads/")).lowerBound
                let answer = try await registry.request("GET", String(location[path...]))
                try #require(answer.status == 204, "\(answer.status) \(answer.text)")
                let range = try #require(answer["range"])
                return range == "0-0" ? 0 : (Int(range.dropFirst(2)) ?? -2) + 1
            }
            try await waitUntil("a part is durable, and the upload goes on", within: .seconds(30)) {
                try await durableBytes(registry) >= 64 << 20
            }
            try await ObservedProcess(registry.stack.originPid).killNow()
            #expect(try await patch.result().status != 0)

            try await currentStack().up()
            let restarted = try Registry("resumed")
            let offset = try await durableBytes(restarted)
            #expect(offset >= 64 << 20 && offset < sizeBytes, "durable: \(offset)")
            let finish = """
                tail -c +\(offset + 1) blob | curl --silent --show-error --fail --noproxy '*' --request PUT --upload-file - \
                --header '\(authorization)' --header 'Content-Type: application/octet-stream' \
                '\(url(location))\(location.contains("?") ? "&" : "?")digest=sha256:\(hex)'
                """
            try await Command(["sh", "-ec", finish], in: scratch.path).run()
            let head = try await restarted.request("HEAD", "blobs/sha256:\(hex)")
            #expect(head.status == 200 && head["content-length"] == "\(sizeBytes)")
        }
    }
}
