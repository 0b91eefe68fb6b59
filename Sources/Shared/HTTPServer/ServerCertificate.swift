// SPDX-License-Identifier: Apache-2.0

package import Blocking
package import Logging
package import NIOSSL
import Synchronization
import UnixSignals

/// The certificate of a listener, which may change while the listener runs: each accepted connection takes the context
/// of that moment and keeps it, so that running transfers do not notice.
///
/// New files are looked for every few seconds and at SIGHUP. A pair that cannot be used is refused with one line in the
/// log, and the one in use stays.
package final class ServerCertificate: Sendable {
    package enum Outcome: Sendable, Equatable {
        /// The files are those of the last attempt, or still change.
        case unchanged
        case replaced
        /// The reason, for the log.
        case refused(String)
    }

    /// Between two looks at the files. stat(2) of two paths costs nothing beside a connection.
    private static let interval = Duration.seconds(2)

    private struct State {
        var pair: ServerTLS.Pair
        var watch: CertificateWatch
    }

    private let certificatePath: String
    private let keyPath: String
    private let state: Mutex<State>

    /// Blocks on the disk; called at start.
    /// - Parameters:
    ///   - certificatePath: PEM, leaf first, then intermediates.
    ///   - keyPath: PEM.
    /// - Throws: `ServerTLSError`.
    package init(certificatePath: String, keyPath: String) throws(ServerTLSError) {
        self.certificatePath = certificatePath
        self.keyPath = keyPath
        let watch = CertificateWatch(tried: CertificateWatch.Sight(certificatePath, keyPath))
        let pair = try ServerTLS.pair(certificatePath: certificatePath, keyPath: keyPath)
        state = Mutex(State(pair: pair, watch: watch))
    }

    /// For one new connection.
    package var context: NIOSSLContext { state.withLock { $0.pair.context } }

    /// End of the leaf certificate's validity, seconds since 1970.
    package var expirySeconds: Int64 { state.withLock { $0.pair.expirySeconds } }

    /// Takes the files into use if they have changed and rest. Blocks on the disk; calls follow one another.
    package func look() -> Outcome {
        let sight = CertificateWatch.Sight(certificatePath, keyPath)
        return state.withLock({ $0.watch.saw(sight) }) ? load() : .unchanged
    }

    /// Takes the files into use whether or not they seem to have changed. As `look`.
    package func reload() -> Outcome {
        let sight = CertificateWatch.Sight(certificatePath, keyPath)
        state.withLock { $0.watch.wasTold(sight) }
        return load()
    }

    private func load() -> Outcome {
        do throws(ServerTLSError) {
            let pair = try ServerTLS.pair(certificatePath: certificatePath, keyPath: keyPath)
            state.withLock { $0.pair = pair }
            return .replaced
        } catch {
            return .refused(error.description)
        }
    }

    /// Follows the files of a program's certificate until the task is cancelled. Without a certificate SIGHUP does
    /// nothing, so that the same `reload` of the service manager is right for every configuration.
    ///
    /// Call once in a process: it owns SIGHUP.
    package static func follow(_ certificate: ServerCertificate?, pool: BlockingPool, logger: Logger) async {
        let hangups = await UnixSignalsSequence(trapping: .sighup)
        // More than come during one load: a signal that is dropped for a look would be a reload that never happens.
        let (reasons, continuation) = AsyncStream.makeStream(of: Bool.self, bufferingPolicy: .bufferingNewest(16))
        await withDiscardingTaskGroup { group in
            group.addTask {
                for await _ in hangups { continuation.yield(true) }
                continuation.finish()
            }
            group.addTask {
                while (try? await Task.sleep(for: interval)) != nil { continuation.yield(false) }
            }
            for await isTold in reasons {
                guard let certificate else { continue }
                let outcome = try? await pool.run { isTold ? certificate.reload() : certificate.look() }
                certificate.log(outcome ?? .refused("the disk pool is full"), to: logger)
            }
            group.cancelAll()
        }
    }

    private func log(_ outcome: Outcome, to logger: Logger) {
        switch outcome {
        case .unchanged: break
        case .replaced:
            let serial = state.withLock { $0.pair.serial }
            logger.notice(
                "certificate replaced", metadata: ["certificate": "\(certificatePath)", "serial": "\(serial)"])
        case .refused(let reason):
            logger.error("certificate refused, the one in use stays", metadata: ["error": "\(reason)"])
        }
    }
}
