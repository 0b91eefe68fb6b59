// SPDX-License-Identifier: Apache-2.0

import Glibc

/// What Prometheus clients report of every process, by the names that dashboards know. A number that the system does
/// not give is left out.
enum ProcessMetrics {
    static func families() -> [MetricFamily] {
        let memory = pageCounts()
        let pageBytes = Double(sysconf(Int32(_SC_PAGESIZE)))
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        return [
            family("process_cpu_seconds_total", .counter, "CPU time used, user and system.", cpuSeconds(usage)),
            family("process_open_fds", .gauge, "Open file descriptors.", openDescriptorCount()),
            family("process_max_fds", .gauge, "Limit of open file descriptors.", descriptorCountMax()),
            family("process_virtual_memory_bytes", .gauge, "Address space.", memory.map { $0.virtual * pageBytes }),
            family("process_resident_memory_bytes", .gauge, "Resident memory.", memory.map { $0.resident * pageBytes }),
            family(
                "process_resident_memory_peak_bytes",
                .gauge,
                "Highest resident memory so far.",
                Double(usage.ru_maxrss) * 1024
            ),
            family("process_start_time_seconds", .gauge, "Start, in seconds since 1970.", startTime),
        ].compactMap { $0 }
    }

    private static func family(
        _ name: String,
        _ kind: MetricFamily.Kind,
        _ help: String,
        _ value: Double?
    ) -> MetricFamily? {
        guard let value else { return nil }
        var family = MetricFamily(name: name, kind: kind, help: help)
        _ = family.instrument([], seriesCountMax: 1) { .function { value } }
        return family
    }

    private static func cpuSeconds(_ usage: rusage) -> Double {
        func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
        return seconds(usage.ru_utime) + seconds(usage.ru_stime)
    }

    private static func openDescriptorCount() -> Double? {
        guard let stream = opendir("/proc/self/fd") else { return nil }
        defer { closedir(stream) }
        var count = 0
        while readdir(stream) != nil { count += 1 }
        // Less the two dots and the descriptor of this very listing.
        return Double(count - 3)
    }

    private static func descriptorCountMax() -> Double? {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return nil }
        return Double(limit.rlim_cur)
    }

    private static func pageCounts() -> (virtual: Double, resident: Double)? {
        let fields = contents(of: "/proc/self/statm").split(separator: " ")
        guard fields.count >= 2, let virtual = Double(fields[0]), let resident = Double(fields[1]) else { return nil }
        return (virtual, resident)
    }

    /// Field 22 of proc_pid_stat(5) counts ticks from boot; `btime` of proc_stat(5) is the boot.
    private static let startTime: Double? = {
        // The second field is the program's name in parentheses and may hold anything, so fields count from its end.
        let stat = contents(of: "/proc/self/stat")
        guard let nameEnd = stat.lastIndex(of: ")") else { return nil }
        let fields = stat[nameEnd...].split(separator: " ")
        let boot = contents(of: "/proc/stat").split(separator: "\n").first { $0.hasPrefix("btime ") }
        guard
            fields.count > 20, let ticks = Double(fields[20]),
            let bootSeconds = boot.flatMap({ Double($0.dropFirst("btime ".count)) })
        else { return nil }
        return bootSeconds + ticks / Double(sysconf(Int32(_SC_CLK_TCK)))
    }()

    /// A small file of `/proc`; empty if it cannot be read.
    private static func contents(of path: String) -> String {
        guard let file = fopen(path, "r") else { return "" }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        let count = fread(&bytes, 1, bytes.count, file)
        return String(decoding: bytes.prefix(count), as: UTF8.self)
    }
}
