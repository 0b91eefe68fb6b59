// SPDX-License-Identifier: Apache-2.0

package import CoreMetrics

/// Lets libraries that report to swift-metrics report to our registry:
/// `MetricsSystem.bootstrap(SwiftMetricsBackend(metrics))`.
///
/// Names become valid for Prometheus (`http.requests` is `http_requests`), counters end in `_total`, timers in
/// `_seconds`. A name that already belongs to another kind gets an instrument that nobody sees: a library's choice of
/// names must not stop the program.
package struct SwiftMetricsBackend: MetricsFactory {
    private let metrics: Metrics

    package init(_ metrics: Metrics) { self.metrics = metrics }

    package func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        let found = instrument(label, suffix: "_total", .counter, dimensions) { .counter(Counter()) }
        guard case .counter(let counter) = found else { return CounterAdapter(Counter()) }
        return CounterAdapter(counter)
    }

    package func makeFloatingPointCounter(
        label: String,
        dimensions: [(String, String)]
    ) -> any FloatingPointCounterHandler {
        let found = instrument(label, suffix: "_total", .counter, dimensions) { .gauge(Gauge()) }
        guard case .gauge(let gauge) = found else { return FloatingPointCounterAdapter(Gauge()) }
        return FloatingPointCounterAdapter(gauge)
    }

    package func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        MeterAdapter(gauge(label, dimensions))
    }

    package func makeRecorder(
        label: String,
        dimensions: [(String, String)],
        aggregate: Bool
    ) -> any RecorderHandler {
        guard aggregate else { return MeterAdapter(gauge(label, dimensions)) }
        return RecorderAdapter(histogram(label, suffix: "", dimensions, Histogram.bytesBuckets))
    }

    package func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        TimerAdapter(histogram(label, suffix: "_seconds", dimensions, Histogram.secondsBuckets))
    }

    // Series stay when a library drops its handle: Prometheus wants a counter to go on where it was.
    package func destroyCounter(_ handler: any CounterHandler) {}
    package func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) {}
    package func destroyMeter(_ handler: any MeterHandler) {}
    package func destroyRecorder(_ handler: any RecorderHandler) {}
    package func destroyTimer(_ handler: any TimerHandler) {}

    private func gauge(_ label: String, _ dimensions: [(String, String)]) -> Gauge {
        let found = instrument(label, suffix: "", .gauge, dimensions) { .gauge(Gauge()) }
        guard case .gauge(let gauge) = found else { return Gauge() }
        return gauge
    }

    private func histogram(
        _ label: String,
        suffix: String,
        _ dimensions: [(String, String)],
        _ bounds: [Double]
    ) -> Histogram {
        let found = instrument(label, suffix: suffix, .histogram, dimensions) { .histogram(Histogram(bounds: bounds)) }
        guard case .histogram(let histogram) = found else { return Histogram(bounds: bounds) }
        return histogram
    }

    private func instrument(
        _ label: String,
        suffix: String,
        _ kind: MetricFamily.Kind,
        _ dimensions: [(String, String)],
        make: () -> MetricFamily.Instrument
    ) -> MetricFamily.Instrument? {
        var name = Self.validName(label)
        if !name.hasSuffix(suffix) { name += suffix }
        let labels = dimensions.map { (Self.validName($0.0), $0.1) }
        return metrics.instrument(name, kind, "Reported by a library as \(label).", labels, make: make)
    }

    private static func validName(_ label: String) -> String {
        let name = String(label.map { MetricFamily.isValidLabel("_\($0)") ? $0 : "_" })
        return MetricFamily.isValidLabel(name) ? name : "_" + name
    }
}

private final class CounterAdapter: CounterHandler {
    private let counter: Counter
    init(_ counter: Counter) { self.counter = counter }
    func increment(by amount: Int64) { counter.add(Int(amount)) }
    // A count of Prometheus only grows.
    func reset() {}
}

private final class FloatingPointCounterAdapter: FloatingPointCounterHandler {
    private let gauge: Gauge
    init(_ gauge: Gauge) { self.gauge = gauge }
    func increment(by amount: Double) { gauge.add(amount) }
    func reset() {}
}

private final class MeterAdapter: MeterHandler, RecorderHandler {
    private let gauge: Gauge
    init(_ gauge: Gauge) { self.gauge = gauge }
    func set(_ value: Int64) { gauge.set(value) }
    func set(_ value: Double) { gauge.set(value) }
    func increment(by amount: Double) { gauge.add(amount) }
    func decrement(by amount: Double) { gauge.add(-amount) }
    func record(_ value: Int64) { gauge.set(value) }
    func record(_ value: Double) { gauge.set(value) }
}

private final class RecorderAdapter: RecorderHandler {
    private let histogram: Histogram
    init(_ histogram: Histogram) { self.histogram = histogram }
    func record(_ value: Int64) { histogram.observe(Double(value)) }
    func record(_ value: Double) { histogram.observe(value) }
}

private final class TimerAdapter: TimerHandler {
    private let histogram: Histogram
    init(_ histogram: Histogram) { self.histogram = histogram }
    func recordNanoseconds(_ duration: Int64) { histogram.observe(Double(duration) / 1e9) }
}
