// SPDX-License-Identifier: Apache-2.0

import EdgeProtocol
import HTTPFetch
package import Hashing
import Logging
package import OCI
import Synchronization

/// What a fill asks of the origins.
extension EdgeControlService: ParentDirectory {
    /// Bytes of the longest piece list that is fetched: a blob of 2 TiB.
    private static let pieceListBytesMax = 64 << 20

    package func parents(forLink target: String) async throws -> FillParents {
        let body: [UInt8]
        do throws(EdgeMessageError) {
            body = try FillsRequest(link: target).json()
        } catch {
            throw ParentDirectoryError.unavailable("the question cannot be written: \(error)")
        }
        let call = OriginClient.Call(
            method: .post,
            path: EdgeAPIPath.fills,
            body: body,
            answerBytesMax: FillsAnswer.bytesMax
        )
        return try await answer(call) { body throws(OriginCallError) in
            guard let answer = try? FillsAnswer(json: body) else { throw .unreadable("no parents") }
            return try self.parents(in: answer, forLink: target)
        }
    }

    package func pieceList(of digest: Digest, sizeBytes: Int64) async throws -> PieceList {
        guard sizeBytes >= 0, sizeBytes <= PieceList.pieceBytes * Int64(Self.pieceListBytesMax / 32) else {
            throw ParentDirectoryError.unavailable("a blob of \(sizeBytes) bytes is above the limit")
        }
        let call = OriginClient.Call(
            method: .get,
            path: EdgeAPIPath.pieces(of: digest),
            answerBytesMax: PieceList.byteCount(forBlobOf: sizeBytes)
        )
        return try await answer(call) { body throws(OriginCallError) in
            guard let list = PieceList(rawDigests: body, blobSizeBytes: sizeBytes) else {
                throw .unreadable("\(body.count) bytes are no piece list of a blob of \(sizeBytes) bytes")
            }
            return list
        }
    }

    private func parents(in answer: FillsAnswer, forLink target: String) throws(OriginCallError) -> FillParents {
        // The answer is for this blob, or it is for nobody: a mix-up here would fetch in vain.
        guard let digest = Digest(answer.digest), answer.sizeBytes >= 0,
            target.hasPrefix("/b/v1/\(digest.algorithm.rawValue)/\(digest.hex)?")
        else { throw .unreadable("the parents are those of another blob") }
        let urls = answer.parents.map(\.url).filter { url in
            guard let address = OriginAddress(String(url.prefix(authorityLength(of: url)))) else { return false }
            return address.isAdmissible(allowsPlainHTTP: configuration.allowsPlainHTTP)
        }
        guard !urls.isEmpty else { throw .unreadable("no parent may be asked") }
        return FillParents(sizeBytes: answer.sizeBytes, urls: urls)
    }

    /// Characters before the path.
    private func authorityLength(of url: String) -> Int {
        var slashCount = 0
        return url.prefix { character in
            if character == "/" { slashCount += 1 }
            return slashCount < 3
        }.count
    }

    private func answer<Value: Sendable>(
        _ call: OriginClient.Call,
        read: ([UInt8]) throws(OriginCallError) -> Value
    ) async throws(ParentDirectoryError) -> Value {
        do throws(OriginCallError) {
            return try await ask(call, read: read)
        } catch {
            if case .absent = error { throw .notFound }
            throw .unavailable("\(error)")
        }
    }
}

extension EdgeControlService {
    /// Asks one origin after the other until one gives an answer that can be read.
    ///
    /// - Throws: `.absent` of the first origin that says so, for they all share one database; else the last
    ///   origin's error.
    func ask<Value: Sendable>(
        _ call: OriginClient.Call,
        read: ([UInt8]) throws(OriginCallError) -> Value
    ) async throws(OriginCallError) -> Value {
        let origins = state.withLock { $0.origins.ordered(at: .now) }
        var last = OriginCallError.unreadable("no origin is known")
        for origin in origins {
            do throws(OriginCallError) {
                let value = try read(await client.send(call, to: origin))
                state.withLock { $0.origins.succeeded(origin) }
                return value
            } catch {
                if case .absent = error { throw error }
                guard !Task.isCancelled else { throw error }
                state.withLock { $0.origins.failed(origin) }
                logger.debug(
                    "origin gave no answer",
                    metadata: ["origin.url": "\(origin)", "path": "\(call.path)", "error": "\(error)"]
                )
                last = error
            }
        }
        throw last
    }
}
