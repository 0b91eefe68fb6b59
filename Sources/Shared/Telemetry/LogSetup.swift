// SPDX-License-Identifier: Apache-2.0

import Glibc
package import Logging

/// Where finished lines go.
package struct LogSink: Sendable {
    package let write: @Sendable (_ line: [UInt8]) -> Void

    package init(write: @escaping @Sendable (_ line: [UInt8]) -> Void) { self.write = write }

    /// One write(2) per line, so that lines of several threads and processes on one pipe do not mix (up to PIPE_BUF,
    /// 4 KiB). Waits if the reader of a pipe is slow; a line that cannot be written is lost, there being no place to
    /// say so.
    package static let standardError = LogSink { line in
        line.withUnsafeBytes { buffer in
            var doneCount = 0
            while doneCount < buffer.count {
                let rest = UnsafeRawBufferPointer(rebasing: buffer[doneCount...])
                let count = Glibc.write(STDERR_FILENO, rest.baseAddress, rest.count)
                if count > 0 { doneCount += count } else if errno != EINTR { return }
            }
        }
    }
}

/// Turns swift-log into lines on standard error.
package enum LogSetup {
    /// Once per process, before the first logger is made.
    /// - Parameter program: Names the process in JSON lines.
    package static func bootstrap(format: LogFormat, level: Logger.Level, program: String) {
        LoggingSystem.bootstrap(
            { _, provider in
                LineLogHandler(
                    format: format,
                    program: program,
                    sink: .standardError,
                    logLevel: level,
                    metadataProvider: provider
                )
            },
            metadataProvider: nil
        )
    }

    /// A logger apart from the process's: for tests, and before the configuration is read.
    package static func logger(
        format: LogFormat,
        level: Logger.Level,
        program: String,
        sink: LogSink
    ) -> Logger {
        Logger(label: program) { _ in
            LineLogHandler(format: format, program: program, sink: sink, logLevel: level, metadataProvider: nil)
        }
    }
}

/// Writes one line per record.
struct LineLogHandler: LogHandler {
    let format: LogFormat
    let program: String
    let sink: LogSink
    var logLevel: Logger.Level
    var metadataProvider: Logger.MetadataProvider?
    var metadata: Logger.Metadata = [:]

    init(
        format: LogFormat,
        program: String,
        sink: LogSink,
        logLevel: Logger.Level,
        metadataProvider: Logger.MetadataProvider?
    ) {
        self.format = format
        self.program = program
        self.sink = sink
        self.logLevel = logLevel
        self.metadataProvider = metadataProvider
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var fields = metadata
        if let provided = metadataProvider?.get() { fields.merge(provided) { _, new in new } }
        if let own = event.metadata { fields.merge(own) { _, new in new } }
        if let error = event.error, fields["error"] == nil { fields["error"] = "\(error)" }
        var line = LogLine(
            format,
            time: .now(),
            level: event.level,
            program: program,
            message: event.message.description
        )
        for (key, value) in fields.sorted(by: { $0.key < $1.key }) { line.append(key, value) }
        line.finish()
        sink.write(line.bytes)
    }
}
