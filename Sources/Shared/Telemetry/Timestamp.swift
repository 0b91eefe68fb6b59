// SPDX-License-Identifier: Apache-2.0

import Glibc

/// An instant of the system clock, written as RFC 3339 in UTC with milliseconds.
struct Timestamp: Equatable {
    let secondsSince1970: Int
    let milliseconds: Int

    static func now() -> Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(secondsSince1970: time.tv_sec, milliseconds: time.tv_nsec / 1_000_000)
    }

    func append(to bytes: inout [UInt8]) {
        var seconds = time_t(secondsSince1970)
        var fields = tm()
        gmtime_r(&seconds, &fields)
        Self.append(Int(fields.tm_year) + 1900, digitCount: 4, to: &bytes)
        bytes.append(UInt8(ascii: "-"))
        Self.append(Int(fields.tm_mon) + 1, digitCount: 2, to: &bytes)
        bytes.append(UInt8(ascii: "-"))
        Self.append(Int(fields.tm_mday), digitCount: 2, to: &bytes)
        bytes.append(UInt8(ascii: "T"))
        Self.append(Int(fields.tm_hour), digitCount: 2, to: &bytes)
        bytes.append(UInt8(ascii: ":"))
        Self.append(Int(fields.tm_min), digitCount: 2, to: &bytes)
        bytes.append(UInt8(ascii: ":"))
        Self.append(Int(fields.tm_sec), digitCount: 2, to: &bytes)
        bytes.append(UInt8(ascii: "."))
        Self.append(milliseconds, digitCount: 3, to: &bytes)
        bytes.append(UInt8(ascii: "Z"))
    }

    private static func append(_ number: Int, digitCount: Int, to bytes: inout [UInt8]) {
        var divisor = 1
        for _ in 1..<digitCount { divisor *= 10 }
        while divisor > 0 {
            bytes.append(UInt8(ascii: "0") + UInt8(number / divisor % 10))
            divisor /= 10
        }
    }
}
