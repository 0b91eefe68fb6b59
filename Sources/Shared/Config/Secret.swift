// SPDX-License-Identifier: Apache-2.0

/// A text that must not reach a log, an error message, or a debugger's listing by accident: whatever prints it shows
/// `[redacted]`. `reveal` is the one way out, and easy to search for.
package struct Secret: SettingValue, Equatable, CustomStringConvertible, CustomDebugStringConvertible,
    CustomReflectable
{
    package static let redacted = "[redacted]"
    package static let settingForm = "a secret"
    package static let isSecret = true

    package let reveal: String

    package init(_ text: String) { reveal = text }
    package init?(settingText: String) { self.init(settingText) }

    package var description: String { Self.redacted }
    package var debugDescription: String { Self.redacted }
    package var customMirror: Mirror { Mirror(self, children: []) }
}
