// SPDX-License-Identifier: Apache-2.0

import Disk

/// Decides when a pair of files is worth loading. A pure value.
///
/// Two files cannot be replaced in one step. A new sight has to be there at two looks in a row, so that a look between
/// the two replacements does not find a certificate without its key. What was tried once, used or refused, is not tried
/// again before it changes.
package struct CertificateWatch: Sendable {
    /// What stat(2) tells about both files. Links are followed: certificate managers swap them.
    package struct Sight: Sendable, Equatable {
        private let certificate: FileStatus?
        private let key: FileStatus?

        /// A file that cannot be looked at counts as missing: loading it says what is wrong.
        package init(_ certificatePath: String, _ keyPath: String) {
            certificate = (try? FileStatus.of(certificatePath)) ?? nil
            key = (try? FileStatus.of(keyPath)) ?? nil
        }
    }

    private var tried: Sight
    private var candidate: Sight?

    package init(tried: Sight) { self.tried = tried }

    /// - Returns: Whether to load now.
    package mutating func saw(_ sight: Sight) -> Bool {
        let isSettled = sight == candidate
        candidate = sight == tried || isSettled ? nil : sight
        if isSettled { tried = sight }
        return isSettled
    }

    /// The operator asked to load what is there.
    package mutating func wasTold(_ sight: Sight) {
        tried = sight
        candidate = nil
    }
}
