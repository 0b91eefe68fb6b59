// SPDX-License-Identifier: Apache-2.0

import Disk

/// A file that holds a token and white space after it; `-` is standard input.
enum TokenFile {
    private static let bytesMax = 4096

    static func read(_ path: String) throws(CommandFailure) -> String {
        let content = try path == "-" ? StandardStreams.readInput(bytesMax: bytesMax) : file(path)
        guard let token = token(in: content) else {
            throw .usage("\(path == "-" ? "standard input" : path) holds no token")
        }
        return token
    }

    /// - Returns: `nil` if there is none before the first white space.
    static func token(in content: some Collection<UInt8>) -> String? {
        String(validating: content.prefix { $0 > 0x20 }, as: UTF8.self).flatMap { $0.isEmpty ? nil : $0 }
    }

    private static func file(_ path: String) throws(CommandFailure) -> [UInt8] {
        let content: [UInt8]?
        do throws(DiskError) {
            content = try AtomicFile.read(path, bytesMax: bytesMax)
        } catch {
            throw .failed("the token file cannot be read: \(error)")
        }
        guard let content else { throw .failed("there is no token file at \(path)") }
        return content
    }
}
