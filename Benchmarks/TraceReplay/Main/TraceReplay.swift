// SPDX-License-Identifier: Apache-2.0

import EdgeCache
import Foundation
import RegistryTrace

/// Prints what the edge's eviction and LRU miss on the same synthetic trace, as rows of `Benchmarks/RESULTS.md`.
///
///     depot-trace-replay [SEED …]
@main
struct TraceReplay {
    static func main() {
        let seeds = CommandLine.arguments.dropFirst().compactMap { UInt64($0) }
        print(
            "| seed | cache, of the working set | bytes missed, S3-FIFO | LRU | ratio | requests missed, S3-FIFO | LRU |"
        )
        print("| --- | --- | --- | --- | --- | --- | --- |")
        for seed in seeds.isEmpty ? [1, 2, 3] : seeds { replay(seed) }
    }

    private static func replay(_ seed: UInt64) {
        let trace = RegistryTrace(seed: seed)
        let workingSetBytes = trace.workingSetBytes
        let summary =
            "seed \(seed): \(trace.requests.count) requests for \(Set(trace.requests).count) blobs, "
            + "\(trace.requestedBytes >> 30) GiB of \(workingSetBytes >> 30) GiB\n"
        FileHandle.standardError.write(Data(summary.utf8))
        for percent in [5, 10, 25] as [Int64] {
            let bytesMax = workingSetBytes / 100 * percent
            let ours = Replay.edge(trace, bytesMax: bytesMax)
            let peer = Replay.leastRecentlyUsed(trace, bytesMax: bytesMax)
            func text(_ ratio: Double) -> String { String(format: "%.3f", ratio) }
            print(
                "| \(seed) | \(percent) % | \(text(ours.byteRatio(of: trace))) | \(text(peer.byteRatio(of: trace))) | "
                    + "\(text(Double(ours.bytes) / Double(peer.bytes))) | \(text(ours.requestRatio(of: trace))) | "
                    + "\(text(peer.requestRatio(of: trace))) |")
        }
    }
}
