// SPDX-License-Identifier: Apache-2.0

import Configuration
import FoundationEssentials

/// The settings of one program, each asked for by its `DEPOT_*` name.
///
/// Sources, the first that has a value wins: flag, environment, configuration file, default. An empty value counts as
/// none. Bad values do not stop the reading: they are collected, and `finish()` throws all of them, one line each, so
/// that an operator repairs a file once. Values read before `finish()` returned are not to be used.
///
/// ```swift
/// var settings = try Settings(flags: ["DEPOT_LISTEN": listen].compactMapValues { $0 })
/// let address = settings.value("DEPOT_LISTEN", default: HostPort(host: "127.0.0.1", port: 8080))
/// let directory: String = try settings.required("DEPOT_DATA_DIRECTORY")
/// try settings.finish()
/// ```
package struct Settings {
    /// Names the configuration file; a flag or an environment variable, never a line of the file itself.
    package static let fileKey = "DEPOT_CONFIG"
    static let prefix = "DEPOT_"

    private struct Layer {
        let source: Source
        let provider: EnvironmentVariablesProvider

        init(_ source: Source, _ values: [String: String]) {
            self.source = source
            provider = EnvironmentVariablesProvider(environmentVariables: values, secretsSpecifier: .all)
        }
    }

    private enum Source {
        case flag, environment
        case file(ConfigFile)
    }

    private let layers: [Layer]
    private let flags: [String: String]
    private let file: ConfigFile?
    private var askedKeys: Set<String> = [Settings.fileKey]
    private var problems: [String] = []

    /// - Parameters:
    ///   - flags: What the command line gave, by `DEPOT_*` name: `DEPOT_CACHE_BYTES_MAX` for `--cache-bytes-max`.
    ///   - environment: Of the process, unless a test brings its own.
    /// - Throws: A configuration file that cannot be read, or lines of it that are no settings.
    package init(
        flags: [String: String],
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) throws(SettingsError) {
        self.flags = flags
        let path = [flags, environment].lazy.compactMap { $0[Self.fileKey] }.first { !$0.isEmpty }
        if let path { file = try ConfigFile(path: path) } else { file = nil }
        var layers = [Layer(.flag, flags), Layer(.environment, environment)]
        if let file { layers.append(Layer(.file(file), file.values)) }
        self.layers = layers
    }

    /// The setting, or `default` where no source has one.
    /// - Parameter check: What is wrong with a value of the right form, in words that follow a colon; `nil` if nothing.
    package mutating func value<Value: SettingValue>(
        _ key: String,
        default defaultValue: Value,
        check: (Value) -> String? = { _ in nil }
    ) -> Value {
        optional(key, check: check) ?? defaultValue
    }

    /// The setting, or `default` where no source has one; a value outside of `range` is an error.
    package mutating func value<Value: SettingValue & Comparable>(
        _ key: String,
        default defaultValue: Value,
        in range: ClosedRange<Value>
    ) -> Value {
        value(key, default: defaultValue) { value in
            range.contains(value) ? nil : "must be from \(range.lowerBound) to \(range.upperBound)"
        }
    }

    /// The setting, or `nil` where no source has one.
    package mutating func optional<Value: SettingValue>(
        _ key: String,
        as type: Value.Type = Value.self,
        check: (Value) -> String? = { _ in nil }
    ) -> Value? {
        guard let (text, source) = find(key) else { return nil }
        guard let value = Value(settingText: text) else {
            problems.append(problem(key, text, source, "expected \(Value.settingForm)", isSecret: Value.isSecret))
            return nil
        }
        if let reason = check(value) {
            problems.append(problem(key, text, source, reason, isSecret: Value.isSecret))
            return nil
        }
        return value
    }

    /// The setting, which has no default.
    /// - Throws: At once if no source has it or it is bad, with what was collected so far: ask for these last.
    package mutating func required<Value: SettingValue>(
        _ key: String,
        as type: Value.Type = Value.self,
        check: (Value) -> String? = { _ in nil }
    ) throws(SettingsError) -> Value {
        let problemCount = problems.count
        if let value = optional(key, as: type, check: check) { return value }
        if problems.count == problemCount {
            problems.append("\(key): missing; give \(Self.flagName(key)), or \(key) in the environment or the file")
        }
        throw SettingsError(problems: problems)
    }

    /// One of the cases of an enumeration, by its raw value.
    package mutating func choice<Choice: RawRepresentable & CaseIterable>(
        _ key: String,
        default defaultChoice: Choice
    ) -> Choice where Choice.RawValue == String {
        guard let (text, source) = find(key) else { return defaultChoice }
        if let choice = Choice(rawValue: text) { return choice }
        let names = Choice.allCases.map(\.rawValue).joined(separator: ", ")
        problems.append(problem(key, text, source, "expected one of \(names)", isSecret: false))
        return defaultChoice
    }

    /// Call after the last setting was asked for: names never asked for are misspelt, so they are errors in a file or
    /// among the flags. (The environment may hold settings of other programs.)
    /// - Throws: Everything wrong with the settings, if anything is.
    package mutating func finish() throws(SettingsError) {
        for key in flags.keys.sorted() where !askedKeys.contains(key) {
            problems.append("\(key) (flag \(Self.flagName(key))): not a setting of this program")
        }
        if let file {
            for (key, line) in file.lines.sorted(by: { $0.value < $1.value })
            where key.hasPrefix(Self.prefix) && (!askedKeys.contains(key) || key == Self.fileKey) {
                problems.append("\(key) (\(file.path), line \(line)): not a setting of this program's file")
            }
        }
        if !problems.isEmpty { throw SettingsError(problems: problems) }
    }

    private mutating func find(_ key: String) -> (text: String, source: Source)? {
        precondition(key.hasPrefix(Self.prefix), "the name of a setting begins with DEPOT_")
        askedKeys.insert(key)
        let configKey = AbsoluteConfigKey(key.lowercased().split(separator: "_").map(String.init))
        for layer in layers {
            // A provider of environment variables fails only to convert, and a string needs no conversion.
            guard
                let content = try? layer.provider.value(forKey: configKey, type: .string).value?.content,
                case .string(let text) = content, !text.isEmpty
            else { continue }
            if text.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) {
                problems.append(problem(key, text, layer.source, "holds a control character", isSecret: true))
                return nil
            }
            return (text, layer.source)
        }
        return nil
    }

    private func problem(
        _ key: String,
        _ text: String,
        _ source: Source,
        _ reason: String,
        isSecret: Bool
    ) -> String {
        let shown = isSecret ? Secret.redacted : "\"\(text.prefix(80))\""
        let place =
            switch source {
            case .flag: "flag \(Self.flagName(key))"
            case .environment: "environment"
            case .file(let file): file.lines[key].map { "\(file.path), line \($0)" } ?? file.path
            }
        return "\(key)=\(shown) (\(place)): \(reason)"
    }

    /// `--cache-bytes-max` for `DEPOT_CACHE_BYTES_MAX`.
    private static func flagName(_ key: String) -> String {
        "--" + key.dropFirst(prefix.count).lowercased().replacing("_", with: "-")
    }
}

/// What is wrong with a program's settings, one line per problem. Secrets are not shown.
package struct SettingsError: Error, Equatable, CustomStringConvertible {
    package let problems: [String]

    package init(problems: [String]) { self.problems = problems }

    package var description: String { problems.joined(separator: "\n") }
}
