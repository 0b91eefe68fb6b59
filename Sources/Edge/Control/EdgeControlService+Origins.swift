// SPDX-License-Identifier: Apache-2.0

import EdgeProtocol
import HTTPFetch
import Logging
import Synchronization
import Telemetry

/// Heartbeat and control connection of each origin.
extension EdgeControlService {
    /// Clocks further apart than this are worth a warning: links have a minute of leeway.
    private static let clockOffsetMax = Duration.seconds(10)
    /// Lines and alarms waiting to be looked at; older ones say less than newer ones.
    private static let eventCountMax = 64

    /// Keeps heartbeat and control connection up until nobody names the origin any more, or the task is cancelled.
    func attend(to origin: OriginAddress) async {
        repeat {
            await withDiscardingTaskGroup { group in
                group.addTask { await self.keepHeartbeat(to: origin) }
                group.addTask { await self.keepConnection(to: origin) }
            }
        } while !isForgotten(origin)
    }

    private func isKnown(_ origin: OriginAddress) -> Bool {
        state.withLock { $0.origins.isKnown(origin, at: .now) }
    }

    /// Whether attending ends here. An origin may be named again just as its loops end: looked at under the lock that
    /// `found` takes, so that it is attended to once, and not by nobody.
    private func isForgotten(_ origin: OriginAddress) -> Bool {
        state.withLock { state in
            guard Task.isCancelled || !state.origins.isKnown(origin, at: .now) else { return false }
            state.attended.remove(origin)
            return true
        }
    }

    // MARK: Heartbeat

    private func keepHeartbeat(to origin: OriginAddress) async {
        let clock = ContinuousClock()
        while isKnown(origin) {
            let next = clock.now + configuration.timing.heartbeatInterval
            await heartbeat(to: origin)
            guard (try? await clock.sleep(until: next)) != nil else { return }
        }
    }

    /// Sends one heartbeat and takes in the answer. A failure is counted, and costs the origin its place in the order.
    func heartbeat(to origin: OriginAddress) async {
        let sentAt = ContinuousClock.now
        let sentUnixMilliseconds = UnixTime.milliseconds()
        do {
            let call = OriginClient.Call(
                method: .post,
                path: EdgeAPIPath.heartbeat,
                body: try heartbeatRequest(sentUnixMilliseconds).json(),
                answerBytesMax: HeartbeatAnswer.bytesMax
            )
            let answer = try HeartbeatAnswer(json: await client.send(call, to: origin))
            metrics.heartbeatsAnswered.add()
            if state.withLock({ $0.silent.remove(origin) }) != nil {
                logger.info("heartbeat is answered again", metadata: ["origin.url": "\(origin)"])
            }
            take(answer, from: origin, sentAt: sentAt, sentUnixMilliseconds: sentUnixMilliseconds)
        } catch {
            guard !Task.isCancelled else { return }
            metrics.heartbeatsFailed.add()
            let isFirst = state.withLock { state in
                state.origins.failed(origin)
                return state.silent.insert(origin).inserted
            }
            // Once per outage where everybody sees it; the counter tells the rest.
            logger.log(
                level: isFirst ? .warning : .debug,
                "heartbeat failed",
                metadata: ["origin.url": "\(origin)", "error": "\(error)"]
            )
        }
    }

    private func heartbeatRequest(_ unixMilliseconds: Int64) -> HeartbeatRequest {
        let load = load()
        return HeartbeatRequest(
            inflightRequests: load.inflightRequestCount,
            freeBytes: load.freeBytes,
            capacityBytes: load.capacityBytes,
            unixTimeMilliseconds: unixMilliseconds,
            isDraining: state.withLock { $0.isDraining },
            feedCursor: 0,
            version: configuration.version,
            url: configuration.listenURL
        )
    }

    private func take(
        _ answer: HeartbeatAnswer,
        from origin: OriginAddress,
        sentAt: ContinuousClock.Instant,
        sentUnixMilliseconds: Int64
    ) {
        let now = ContinuousClock.now
        let named = answer.origins.compactMap { OriginAddress($0.url) }.filter {
            $0.isAdmissible(allowsPlainHTTP: configuration.allowsPlainHTTP)
        }
        let (found, offset) = state.withLock { state in
            state.clockOffset.heard(
                originUnixMilliseconds: answer.unixTimeMilliseconds,
                sentUnixMilliseconds: sentUnixMilliseconds,
                roundTrip: now - sentAt
            )
            state.refresh.named(version: answer.keysVersion, timeToLiveSeconds: answer.linkTTLSeconds)
            return (state.origins.answered(origin, naming: named, at: now), state.clockOffset.offset ?? .zero)
        }
        self.found(found)
        metrics.clockOffset.set(Double(offset.components.seconds) + Double(offset.components.attoseconds) * 1e-18)
        if offset > Self.clockOffsetMax || offset < .zero - Self.clockOffsetMax {
            logger.warning(
                "the clock differs from the origin's: links may be refused",
                metadata: ["origin.url": "\(origin)", "clock.offset_seconds": "\(offset.components.seconds)"]
            )
        }
    }

    // MARK: Control connection

    private func keepConnection(to origin: OriginAddress) async {
        let (events, continuation) = AsyncStream.makeStream(
            of: ControlEvent.self,
            bufferingPolicy: .bufferingNewest(Self.eventCountMax)
        )
        await withDiscardingTaskGroup { group in
            group.addTask { await self.ring(continuation, whileKnown: origin) }
            await self.follow(events, continuation, of: origin)
            group.cancelAll()
        }
    }

    /// Rings the alarm until the origin is forgotten, which ends the stream of events.
    private func ring(_ events: AsyncStream<ControlEvent>.Continuation, whileKnown origin: OriginAddress) async {
        repeat {
            events.yield(.alarm)
        } while (try? await Task.sleep(for: configuration.timing.alarmInterval)) != nil && isKnown(origin)
        events.finish()
    }

    private func follow(
        _ events: AsyncStream<ControlEvent>,
        _ continuation: AsyncStream<ControlEvent>.Continuation,
        of origin: OriginAddress
    ) async {
        var connection = ControlConnection(timing: configuration.timing, at: .now)
        var handle: FetchHandle?
        for await event in events {
            let wasOpen = connection.isOpen
            var reason = ""
            switch event {
            case .line(let line):
                connection.heard(at: .now)
                take(line)
            case .ended(let why):
                reason = why
                logger.debug("control connection ended", metadata: ["origin.url": "\(origin)", "reason": "\(why)"])
                connection.ended(at: .now, chance: .random(in: 0..<1))
            case .alarm:
                break
            }
            switch connection.step(at: .now) {
            case .open: handle = open(origin, continuation)
            case .hangUp: handle?.cancel()
            case .wait: break
            }
            if connection.isOpen != wasOpen { note(origin, isOpen: connection.isOpen, reason) }
        }
        handle?.cancel()
        if connection.isOpen { note(origin, isOpen: false, "given up") }
    }

    private func open(_ origin: OriginAddress, _ events: AsyncStream<ControlEvent>.Continuation) -> FetchHandle? {
        do throws(FetchError) {
            return try client.fetcher.start(
                client.controlRequest(to: origin),
                handler: ControlStream(events: events)
            )
        } catch {
            events.yield(.ended("\(error)"))
            return nil
        }
    }

    private func take(_ line: ControlLine) {
        switch line {
        case .hello(_, let version), .keys(let version): state.withLock { $0.refresh.named(version: version) }
        case .tick, .feed, .other: break
        }
    }

    private func note(_ origin: OriginAddress, isOpen: Bool, _ reason: String) {
        let count = state.withLock { state in
            if isOpen { state.connected.insert(origin) } else { state.connected.remove(origin) }
            return state.connected.count
        }
        metrics.connected.set(count)
        if isOpen {
            logger.info("control connection is open", metadata: ["origin.url": "\(origin)"])
        } else {
            logger.warning(
                "control connection is closed",
                metadata: ["origin.url": "\(origin)", "reason": "\(reason)"]
            )
        }
    }
}
