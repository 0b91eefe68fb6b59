// SPDX-License-Identifier: Apache-2.0

package import Grammar
package import Hummingbird

extension RawTarget {
    /// What stood between the method and the version.
    package init(_ request: Request) { self.init(request.head.path ?? "") }
}
