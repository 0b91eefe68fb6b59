// SPDX-License-Identifier: Apache-2.0

import Disk

/// A file that holds a token and white space after it; `-` is standard input.
enum TokenFile {
    private static let bytesMax = 4096

    static func read(_ path: String) throws(CommandFailure) -> String {
        let content: [UInt8]?
        do throws(DiskError) {
            content = try AtomicFile.read(path == "-" ? "/dev/stdin" : path, bytesMax: bytesMax)
        } catch {
            throw .failed("the token file cannot be read: \(error)")
        }
        guard let content else { throw .failed("there is no token file at \(path)") }
        guard let token = String(validating: content.prefix { $0 > 0x20 }, as: UTF8.self), !token.isEmpty else {
            throw .usage("\(path) holds no token")
        }
        return token
    }
}
