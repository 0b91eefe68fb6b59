// SPDX-License-Identifier: Apache-2.0

import Glibc

/// What one edge is asked for: a synthetic history of pulls, the same for the same seed.
///
/// - **Sizes.** Layers are log-normal (median 1 MiB; one in forty is above 150 MiB), and two in a thousand are Pareto from
///   1 to 40 GiB: models and data sets. Layers of base images are larger and more alike. Each version has a configuration
///   of a few KiB.
/// - **Sharing and churn.** Images stand on few base images, chosen by Zipf. A new version of an image keeps its lower
///   layers and replaces the upper ones; now and then a base image is renewed, which later versions follow.
/// - **Popularity.** Zipf over images; mostly the newest version, often one that was just pushed (a rollout), sometimes
///   an old one. Nodes keep layers and ask only for what they lack; build runners begin with nothing.
/// - **Scans.** Some pulls are a mirror or scanner that takes every version of an image, whoever wants it, and some are one
///   large artifact that nobody asks for again.
package struct RegistryTrace: Sendable {
    package struct Shape: Sendable {
        package var pullCount = 60_000
        package var imageCount = 2_000
        package var baseCount = 60
        package var nodeCount = 300
        /// Of the popularity of images.
        package var zipfExponent = 0.9

        package init() {}
    }

    /// Of each blob, by number.
    package private(set) var sizes: [Int64] = []
    /// Blob numbers in the order of the requests.
    package private(set) var requests: [Int] = []

    /// Bytes of all blobs that are asked for at least once.
    package var workingSetBytes: Int64 { Set(requests).reduce(0) { $0 + sizes[$1] } }
    package var requestedBytes: Int64 { requests.reduce(0) { $0 + sizes[$1] } }

    package init(seed: UInt64, shape: Shape = Shape()) {
        var generator = Generator(seed: seed, shape: shape)
        for _ in 0..<shape.pullCount { generator.pull() }
        (sizes, requests) = (generator.sizes, generator.requests)
    }
}

private struct Generator {
    /// Layers, the lowest first, then the configuration.
    typealias Version = [Int]

    struct Image {
        var base: Int
        var own: [Int]
        var versions: [Version] = []
    }

    /// What a node has, forgotten in the order in which it came.
    struct Node {
        var held: Set<Int> = []
        var order: [Int] = []
        var oldest = 0

        mutating func hold(_ blob: Int) {
            guard held.insert(blob).inserted else { return }
            if order.count < 2_000 {
                order.append(blob)
            } else {
                held.remove(order[oldest])
                order[oldest] = blob
                oldest = (oldest + 1) % order.count
            }
        }
    }

    static let keptVersions = 6
    static let rolloutCount = 20

    var random: SeededRandom
    let shape: RegistryTrace.Shape
    let popularity: Zipf
    var sizes: [Int64] = []
    var requests: [Int] = []
    var bases: [[Int]] = []
    var images: [Image] = []
    var nodes: [Node]
    var rollouts: [Int] = []

    init(seed: UInt64, shape: RegistryTrace.Shape) {
        random = SeededRandom(seed: seed)
        self.shape = shape
        popularity = Zipf(count: shape.imageCount, exponent: shape.zipfExponent)
        nodes = Array(repeating: Node(), count: shape.nodeCount)
        let basePopularity = Zipf(count: shape.baseCount, exponent: 1)
        for _ in 0..<shape.baseCount { bases.append(newBase()) }
        for number in 0..<shape.imageCount {
            let base = basePopularity.draw(&random)
            images.append(Image(base: base, own: (0..<random.within(2...8)).map { _ in newLayer() }))
            push(number)
        }
        rollouts = []
    }

    mutating func blob(_ size: Double) -> Int {
        sizes.append(max(1, Int64(size)))
        return sizes.count - 1
    }

    mutating func newLayer() -> Int {
        if random.happens(0.002) {
            return blob(random.pareto(min: 0x1p30, max: 40 * 0x1p30, exponent: 1.1))
        }
        return blob(min(20 * 0x1p30, random.logNormal(median: 0x1p20, sigma: 2.5)))
    }

    mutating func newBase() -> [Int] {
        (0..<random.within(1...4)).map { _ in
            blob(min(4 * 0x1p30, random.logNormal(median: 24 * 0x1p20, sigma: 1)))
        }
    }

    /// A new version of what the image is now.
    mutating func push(_ number: Int) {
        let configuration = blob(Double(random.within(1_500...12_000)))
        images[number].versions.append(bases[images[number].base] + images[number].own + [configuration])
        if images[number].versions.count > Self.keptVersions { images[number].versions.removeFirst() }
        rollouts.append(number)
        if rollouts.count > Self.rolloutCount { rollouts.removeFirst() }
    }

    mutating func change(_ number: Int) {
        // Mostly the uppermost layers: the build cache keeps what is below the first change.
        let count = images[number].own.count
        let first = count - 1 - min(count - 1, Int(-2 * log2(1 - random.unit())))
        for layer in first..<count { images[number].own[layer] = newLayer() }
        push(number)
    }

    mutating func pull() {
        if random.happens(0.03) { change(popularity.draw(&random)) }
        if random.happens(0.0005) {
            let base = random.below(bases.count)
            bases[base] = newBase()
        }
        let kind = random.unit()
        if kind < 0.004 {
            // A mirror or a scanner.
            for version in images[random.below(images.count)].versions { request(version) }
        } else if kind < 0.006 {
            request([blob(random.pareto(min: 0x1p30, max: 30 * 0x1p30, exponent: 0.9))])
        } else if kind < 0.25, !rollouts.isEmpty {
            pullNewest(rollouts[random.below(rollouts.count)])
        } else if kind < 0.31 {
            let versions = images[popularity.draw(&random)].versions
            pull(versions[random.below(versions.count)])
        } else {
            pullNewest(popularity.draw(&random))
        }
    }

    mutating func pullNewest(_ number: Int) {
        if let newest = images[number].versions.last { pull(newest) }
    }

    mutating func pull(_ version: Version) {
        if random.happens(0.3) {
            request(version)  // A build runner, new each time.
            return
        }
        let node = random.below(nodes.count)
        for blob in version where !nodes[node].held.contains(blob) { requests.append(blob) }
        for blob in version { nodes[node].hold(blob) }
    }

    mutating func request(_ version: Version) { requests += version }
}
