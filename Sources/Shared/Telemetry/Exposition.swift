// SPDX-License-Identifier: Apache-2.0

/// The Prometheus text format 0.0.4.
enum Exposition {
    static func render(_ families: [MetricFamily]) -> String {
        var text = ""
        for family in families.sorted(by: { $0.name < $1.name }) {
            text += "# HELP \(family.name) \(escaped(family.help, quotesToo: false))\n"
            text += "# TYPE \(family.name) \(family.kind.rawValue)\n"
            for (labels, instrument) in family.series.sorted(by: { $0.key < $1.key }) {
                switch instrument {
                case .counter(let counter): sample(family.name, labels, "\(counter.value)", to: &text)
                case .gauge(let gauge): sample(family.name, labels, number(gauge.value), to: &text)
                case .function(let read): sample(family.name, labels, number(read()), to: &text)
                case .histogram(let histogram): render(histogram, family.name, labels, to: &text)
                }
            }
        }
        return text
    }

    /// `a="b",c="d"`, without braces.
    static func labels(_ labels: Metrics.Labels) -> String {
        labels.map { "\($0.0)=\"\(escaped($0.1, quotesToo: true))\"" }.joined(separator: ",")
    }

    private static func render(_ histogram: Histogram, _ name: String, _ labels: String, to text: inout String) {
        let prefix = labels.isEmpty ? "" : labels + ","
        var cumulativeCount = 0
        for (bound, count) in zip(histogram.bounds + [.infinity], histogram.counts) {
            cumulativeCount += count
            sample("\(name)_bucket", "\(prefix)le=\"\(number(bound))\"", "\(cumulativeCount)", to: &text)
        }
        sample("\(name)_sum", labels, number(histogram.sum), to: &text)
        sample("\(name)_count", labels, "\(cumulativeCount)", to: &text)
    }

    private static func sample(_ name: String, _ labels: String, _ value: String, to text: inout String) {
        text += labels.isEmpty ? "\(name) \(value)\n" : "\(name){\(labels)} \(value)\n"
    }

    private static func escaped(_ text: String, quotesToo: Bool) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": result += #"\\"#
            case "\n": result += #"\n"#
            case "\"" where quotesToo: result += #"\""#
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    private static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value > 0 ? "+Inf" : "-Inf" }
        return Int64(exactly: value).map { "\($0)" } ?? "\(value)"
    }
}
