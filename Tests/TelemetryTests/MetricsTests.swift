// SPDX-License-Identifier: Apache-2.0

import CoreMetrics
import Telemetry
import Testing

@Suite("Metrics")
struct MetricsTests {
    private let metrics = Telemetry.Metrics(seriesCountMax: 3)

    /// The exposition's lines about one name, without those of the process.
    private func lines(_ name: String) -> [String] {
        metrics.exposition().split(separator: "\n").map(String.init).filter { line in
            line.hasPrefix(name) || line.hasPrefix("# HELP \(name) ") || line.hasPrefix("# TYPE \(name) ")
        }
    }

    @Test("a counter: help, type, value; the same name and labels give the same counter")
    func counter() {
        let hits = metrics.counter("depot_hits_total", help: "Requests served from disk.")
        hits.add()
        metrics.counter("depot_hits_total", help: "Requests served from disk.").add(41)
        #expect(hits.value == 42)
        #expect(
            lines("depot_hits_total") == [
                "# HELP depot_hits_total Requests served from disk.", "# TYPE depot_hits_total counter",
                "depot_hits_total 42",
            ]
        )
    }

    @Test("labels make series, sorted, and everything is escaped")
    func labels() {
        metrics.counter("m_total", help: "a\\b\nc \"d\"", labels: [("via", "fill")]).add(1)
        metrics.counter("m_total", help: "", labels: [("via", "a\\b\n\"c\"")]).add(2)
        #expect(
            lines("m_total") == [
                #"# HELP m_total a\\b\nc "d""#, "# TYPE m_total counter", #"m_total{via="a\\b\n\"c\""} 2"#,
                #"m_total{via="fill"} 1"#,
            ]
        )
    }

    @Test("gauges and functions")
    func gauges() {
        let gauge = metrics.gauge("g", help: "G.")
        gauge.set(2.5)
        gauge.add(3)
        gauge.subtract(1)
        metrics.gaugeFunction("f", help: "F.") { .infinity }
        metrics.counterFunction("c_total", help: "C.") { 7 }
        #expect(gauge.value == 4.5)
        #expect(lines("g").last == "g 4.5")
        #expect(lines("f").last == "f +Inf")
        #expect(lines("c_total") == ["# HELP c_total C.", "# TYPE c_total counter", "c_total 7"])
    }

    @Test("a histogram: cumulative buckets, bounds inclusive, sum and count")
    func histogram() {
        let histogram = metrics.histogram("h_seconds", help: "H.", labels: [("op", "x")], buckets: [0.25, 1])
        for value in [0.25, 0.5, 1.0, 4.0] { histogram.observe(value) }
        histogram.observe(Duration.milliseconds(250))
        #expect(
            lines("h_seconds") == [
                "# HELP h_seconds H.", "# TYPE h_seconds histogram", #"h_seconds_bucket{op="x",le="0.25"} 2"#,
                #"h_seconds_bucket{op="x",le="1"} 4"#, #"h_seconds_bucket{op="x",le="+Inf"} 5"#,
                #"h_seconds_sum{op="x"} 6"#, #"h_seconds_count{op="x"} 5"#,
            ]
        )
    }

    @Test("label sets beyond the maximum share one series")
    func bounded() {
        for number in 0..<100 { metrics.counter("b_total", help: "", labels: [("k", "\(number)")]).add() }
        #expect(lines("b_total").count == 2 + 3 + 1)
        #expect(lines("b_total").contains(#"b_total{k="other"} 97"#))
    }

    @Test("every line of the exposition is a comment or a sample")
    func syntax() {
        _ = metrics.histogram("h", help: "H.", buckets: Histogram.bytesBuckets)
        let text = metrics.exposition()
        #expect(text.hasSuffix("\n"))
        for line in text.split(separator: "\n") {
            #expect(line.wholeMatch(of: /# (HELP|TYPE) [a-z_]+ .+|[a-z_]+({.*})? [0-9.e+Inf-]+/) != nil, "\(line)")
        }
    }

    @Test("the process reports itself")
    func process() throws {
        let text = metrics.exposition()
        func value(_ name: String) throws -> Double {
            let line = try #require(text.split(separator: "\n").first { $0.hasPrefix(name + " ") }, "\(name)")
            return try #require(Double(line.dropFirst(name.count + 1)))
        }
        #expect(try value("process_resident_memory_bytes") > 1_000_000)
        #expect(try value("process_resident_memory_peak_bytes") > 1_000_000)
        #expect(try value("process_virtual_memory_bytes") > value("process_resident_memory_bytes"))
        #expect(try value("process_open_fds") >= 3)
        #expect(try value("process_max_fds") >= value("process_open_fds"))
        #expect(try value("process_cpu_seconds_total") > 0)
        #expect(try value("process_start_time_seconds") > 1_600_000_000)
    }

    @Test("counting from many tasks at once loses nothing")
    func parallel() async {
        let counter = metrics.counter("p_total", help: "")
        let gauge = metrics.gauge("p", help: "")
        let histogram = metrics.histogram("p_seconds", help: "")
        await withTaskGroup { group in
            for _ in 0..<8 {
                group.addTask {
                    for _ in 0..<10_000 {
                        counter.add()
                        gauge.add(1)
                        histogram.observe(1.0)
                    }
                }
            }
        }
        #expect(counter.value == 80_000)
        #expect(gauge.value == 80_000)
        #expect(histogram.counts.reduce(0, +) == 80_000)
        #expect(histogram.sum == 80_000)
    }

    @Test("libraries report through swift-metrics; odd names and clashes of kinds do no harm")
    func backend() {
        let backend = SwiftMetricsBackend(metrics)
        backend.makeCounter(label: "http.requests", dimensions: [("status.code", "200")]).increment(by: 3)
        backend.makeFloatingPointCounter(label: "9lives", dimensions: []).increment(by: 0.5)
        backend.makeTimer(label: "http.duration", dimensions: []).recordNanoseconds(1_000_000_000)
        backend.makeMeter(label: "in-flight", dimensions: []).set(4.0)
        backend.makeRecorder(label: "size", dimensions: [], aggregate: true).record(Int64(2048))
        backend.makeRecorder(label: "last", dimensions: [], aggregate: false).record(1.5)
        backend.makeMeter(label: "size", dimensions: []).set(4.0)
        #expect(lines("http_requests_total").last == #"http_requests_total{status_code="200"} 3"#)
        #expect(lines("_9lives_total").last == "_9lives_total 0.5")
        #expect(lines("http_duration_seconds").last == "http_duration_seconds_count 1")
        #expect(lines("in_flight").last == "in_flight 4")
        #expect(lines("size").contains(#"size_bucket{le="4096"} 1"#))
        #expect(lines("last").last == "last 1.5")
    }

    @Test("a name of another kind is a mistake in the program")
    func kinds() async {
        await #expect(processExitsWith: .failure) {
            let metrics = Telemetry.Metrics()
            _ = metrics.counter("x", help: "")
            _ = metrics.gauge("x", help: "")
        }
    }
}
