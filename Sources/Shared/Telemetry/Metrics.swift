// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// The numbers that a program tells about itself: a registry of instruments, and their text for Prometheus.
///
/// Make an instrument once and keep it: asking for it takes a lock, using it does not. The same name and labels give
/// the same instrument again. Label values come from a fixed set; as a safeguard, a name holds at most
/// `seriesCountMax` label sets, and all further ones share a series whose label values are `other`.
package final class Metrics: Sendable {
    /// Label names with their values, in the order they are shown.
    package typealias Labels = [(String, String)]

    private let seriesCountMax: Int
    private let families = Mutex<[String: MetricFamily]>([:])

    package init(seriesCountMax: Int = 256) {
        precondition(seriesCountMax > 0, "a name holds at least one series")
        self.seriesCountMax = seriesCountMax
    }

    /// - Parameter name: By convention ends in `_total`.
    /// - Precondition: Name and labels are valid for Prometheus, and the name is in use for no other kind.
    package func counter(_ name: String, help: String, labels: Labels = []) -> Counter {
        guard case .counter(let counter) = require(name, .counter, help, labels, make: { .counter(Counter()) }) else {
            preconditionFailure("metric \(name) is a counter read from elsewhere")
        }
        return counter
    }

    /// - Precondition: As for `counter`.
    package func gauge(_ name: String, help: String, labels: Labels = []) -> Gauge {
        guard case .gauge(let gauge) = require(name, .gauge, help, labels, make: { .gauge(Gauge()) }) else {
            preconditionFailure("metric \(name) is a gauge read from elsewhere")
        }
        return gauge
    }

    /// A gauge whose value is asked for at each exposition. The first function given for a name and labels stays.
    /// - Parameter read: Called on the thread that asks for the exposition; quick, and free of calls into `Metrics`.
    /// - Precondition: As for `counter`.
    package func gaugeFunction(
        _ name: String,
        help: String,
        labels: Labels = [],
        _ read: @escaping @Sendable () -> Double
    ) {
        _ = require(name, .gauge, help, labels) { .function(read) }
    }

    /// As `gaugeFunction`, for a count that is kept elsewhere and only grows.
    package func counterFunction(
        _ name: String,
        help: String,
        labels: Labels = [],
        _ read: @escaping @Sendable () -> Double
    ) {
        _ = require(name, .counter, help, labels) { .function(read) }
    }

    /// - Parameter buckets: Upper bounds, ascending; the first ones given for a name and labels stay.
    /// - Precondition: As for `counter`.
    package func histogram(
        _ name: String,
        help: String,
        labels: Labels = [],
        buckets: [Double] = Histogram.secondsBuckets
    ) -> Histogram {
        let instrument = require(name, .histogram, help, labels) { .histogram(Histogram(bounds: buckets)) }
        guard case .histogram(let histogram) = instrument else {
            preconditionFailure("a family of histograms holds histograms only")
        }
        return histogram
    }

    /// All metrics and those of the process, in the Prometheus text format 0.0.4
    /// (`text/plain; version=0.0.4; charset=utf-8`). Reads a few files below `/proc`.
    package func exposition() -> String {
        let own = families.withLock { Array($0.values) }
        return Exposition.render(own + ProcessMetrics.families())
    }

    /// The instrument, made if it is not there yet; `nil` if the name belongs to another kind.
    func instrument(
        _ name: String,
        _ kind: MetricFamily.Kind,
        _ help: String,
        _ labels: Labels,
        make: () -> MetricFamily.Instrument
    ) -> MetricFamily.Instrument? {
        families.withLock { families in
            var family = families[name] ?? MetricFamily(name: name, kind: kind, help: help)
            guard family.kind == kind else { return nil }
            defer { families[name] = family }
            return family.instrument(labels, seriesCountMax: seriesCountMax, make: make)
        }
    }

    private func require(
        _ name: String,
        _ kind: MetricFamily.Kind,
        _ help: String,
        _ labels: Labels,
        make: () -> MetricFamily.Instrument
    ) -> MetricFamily.Instrument {
        precondition(MetricFamily.isValidName(name), "metric name \(name) is not valid")
        precondition(labels.allSatisfy { MetricFamily.isValidLabel($0.0) }, "labels of metric \(name) are not valid")
        guard let instrument = instrument(name, kind, help, labels, make: make) else {
            preconditionFailure("metric \(name) is in use for another kind")
        }
        return instrument
    }
}

/// All series of one metric name. A value; the registry guards it.
struct MetricFamily: Sendable {
    enum Kind: String { case counter, gauge, histogram }

    enum Instrument: Sendable {
        case counter(Counter)
        case gauge(Gauge)
        case histogram(Histogram)
        case function(@Sendable () -> Double)
    }

    let name: String
    let kind: Kind
    let help: String
    /// By rendered labels (`a="b",c="d"`), which are escaped once, here.
    private(set) var series: [String: Instrument] = [:]

    init(name: String, kind: Kind, help: String) {
        self.name = name
        self.kind = kind
        self.help = help
    }

    mutating func instrument(
        _ labels: Metrics.Labels,
        seriesCountMax: Int,
        make: () -> Instrument
    ) -> Instrument {
        var key = Exposition.labels(labels)
        if let present = series[key] { return present }
        if series.count >= seriesCountMax {
            key = Exposition.labels(labels.map { ($0.0, "other") })
            if let present = series[key] { return present }
        }
        let new = make()
        series[key] = new
        return new
    }

    /// `[a-zA-Z_:][a-zA-Z0-9_:]*`
    static func isValidName(_ name: String) -> Bool {
        isValidLabel(name.replacing(":", with: "_"))
    }

    /// `[a-zA-Z_][a-zA-Z0-9_]*`
    static func isValidLabel(_ name: String) -> Bool {
        guard let first = name.unicodeScalars.first, !("0"..."9").contains(first) else { return false }
        return name.unicodeScalars.allSatisfy { scalar in
            switch scalar {
            case "a"..."z", "A"..."Z", "0"..."9", "_": true
            default: false
            }
        }
    }
}
