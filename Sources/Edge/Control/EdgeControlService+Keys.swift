// SPDX-License-Identifier: Apache-2.0

import Blocking
import EdgeProtocol
import HTTPFetch
import Logging
import Synchronization
import Telemetry

/// Link keys: asked for when `KeyRefresh` says so, kept on disk, put into use.
extension EdgeControlService {
    func keepKeysFresh() async {
        repeat {
            let isDue = state.withLock { $0.refresh.begin(at: .now) }
            if isDue { await fetchKeys() }
        } while (try? await Task.sleep(for: configuration.timing.alarmInterval)) != nil
    }

    private func fetchKeys() async {
        let call = OriginClient.Call(
            method: .get,
            path: EdgeAPIPath.keys,
            answerBytesMax: KeysAnswer.bytesMax
        )
        do throws(OriginCallError) {
            let keys = try await ask(call) { body throws(OriginCallError) in
                guard let answer = try? KeysAnswer(json: body),
                    let keys = LinkKeySet(answer, edgeID: self.configuration.credential.edgeID)
                else { throw .unreadable("no link keys") }
                return keys
            }
            install(keys)
            metrics.keysFetched.add()
            logger.info("link keys are up to date", metadata: ["keys.version": "\(keys.answer.keysVersion)"])
            await store(keys)
        } catch {
            metrics.keysFailed.add()
            state.withLock { $0.refresh.failed(at: .now, chance: .random(in: 0..<1)) }
            guard !Task.isCancelled else { return }
            logger.warning("link keys cannot be fetched", metadata: ["error": "\(error)"])
        }
    }

    /// A full disk must not keep links from being verified: the keys are in use already.
    private func store(_ keys: LinkKeySet) async {
        do {
            try await pool.run { [keyFile] in try keyFile.save(keys) }
        } catch {
            logger.error("link keys cannot be stored: a restart needs an origin", metadata: ["error": "\(error)"])
        }
    }
}
