// SPDX-License-Identifier: Apache-2.0

import CLibcurl

/// One `CURL` handle with the memory that its options point at. Made, used, and released on the fetcher's thread; used
/// again for other requests, since libcurl's start-up of a handle costs more than a small request.
final class EasyHandle {
    let raw: UnsafeMutableRawPointer
    let sink: UnsafeMutablePointer<depot_curl_sink>
    private let errorText: UnsafeMutablePointer<CChar>
    private var headerList: UnsafeMutablePointer<curl_slist>?

    /// - Parameter slabBytes: What is gathered for a handler that has no room of its own.
    /// - Throws: `.other` when there is no memory.
    init(slabBytes: Int) throws(FetchError) {
        guard let raw = curl_easy_init() else { throw FetchError(.other, "libcurl gives no handle") }
        self.raw = raw
        sink = .allocate(capacity: 1)
        sink.initialize(to: depot_curl_sink())
        sink.pointee.slab_capacity = slabBytes
        errorText = .allocate(capacity: Int(CURL_ERROR_SIZE))
        errorText.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
    }

    deinit {
        curl_easy_cleanup(raw)
        curl_slist_free_all(headerList)
        free(sink.pointee.slab)
        sink.deallocate()
        errorText.deallocate()
    }

    /// What libcurl says about the failure; names hosts, never the query.
    var failureText: String { String(cString: errorText) }

    /// Forgets the request and keeps connection, name, and session caches, and the slab.
    func reset() {
        curl_easy_reset(raw)
        curl_slist_free_all(headerList)
        headerList = nil
        let (slab, capacity) = (sink.pointee.slab, sink.pointee.slab_capacity)
        sink.pointee = depot_curl_sink()
        sink.pointee.slab = slab
        sink.pointee.slab_capacity = capacity
        errorText.pointee = 0
    }

    /// Sets every option of a request: first those that hold for all of ours, then its own.
    ///
    /// - Parameters:
    ///   - context: What the callbacks get; outlives the transfer.
    ///   - socketFunction: Called with the address of each connection, unless the request takes any.
    ///   - roomFunction: See `depot_curl_sink.next_room`.
    /// - Throws: `.invalidRequest` for what may not be sent, `.other` for an option that this libcurl refuses.
    func prepare(
        _ request: FetchRequest,
        _ configuration: Fetcher.Configuration,
        context: UnsafeMutableRawPointer,
        socketFunction: curl_opensocket_callback,
        headerFunction: curl_write_callback,
        roomFunction:
            @convention(c) (UnsafeMutableRawPointer?, UnsafeMutablePointer<Int>?) -> UnsafeMutablePointer<
                UInt8
            >?,
        bodyFunction: @convention(c) (UnsafeMutableRawPointer?, UnsafePointer<UInt8>?, Int) -> Int32
    ) throws(FetchError) {
        try check(depot_curl_set_pointer(raw, CURLOPT_ERRORBUFFER, errorText), CURLOPT_ERRORBUFFER)
        try setFixedOptions(configuration)
        try setTarget(request)
        try setMethod(request)
        try setHeaders(request)
        try setLimits(request)
        if request.addresses == .publicOnly { try setSocketFunction(socketFunction, context) }
        sink.pointee.next_room = roomFunction
        sink.pointee.receive = bodyFunction
        sink.pointee.context = context
        try check(depot_curl_attach_sink(raw, sink), CURLOPT_WRITEFUNCTION)
        try check(depot_curl_set_header_function(raw, headerFunction, context), CURLOPT_HEADERFUNCTION)
    }

    /// What libcurl would do by itself and must not: follow redirects, use proxies and credentials of the environment,
    /// decode bodies, speak other protocols, raise signals.
    private func setFixedOptions(_ configuration: Fetcher.Configuration) throws(FetchError) {
        try set(CURLOPT_NOSIGNAL, 1)
        try set(CURLOPT_FOLLOWLOCATION, 0)
        try set(CURLOPT_PROXY, "")
        try set(CURLOPT_NETRC, Int(CURL_NETRC_IGNORED.rawValue))
        try set(CURLOPT_DISALLOW_USERNAME_IN_URL, 1)
        try set(CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1))
        try set(CURLOPT_HTTP09_ALLOWED, 0)
        try set(CURLOPT_HTTP_CONTENT_DECODING, 0)
        try set(CURLOPT_SSLVERSION, Int(CURL_SSLVERSION_TLSv1_2))
        try set(CURLOPT_SSL_VERIFYPEER, 1)
        try set(CURLOPT_SSL_VERIFYHOST, 2)
        try set(CURLOPT_TCP_KEEPALIVE, 1)
        try set(CURLOPT_TCP_KEEPIDLE, 15)
        try set(CURLOPT_TCP_KEEPINTVL, 5)
        try set(CURLOPT_MAXLIFETIME_CONN, 300)
        try set(CURLOPT_BUFFERSIZE, 128 * 1024)
        try set(CURLOPT_PATH_AS_IS, 1)
        try set(CURLOPT_USERAGENT, configuration.userAgent)
        if let file = configuration.certificateAuthorityFile { try set(CURLOPT_CAINFO, file) }
    }

    private func setTarget(_ request: FetchRequest) throws(FetchError) {
        // libcurl takes C strings: a NUL would cut the URL, a blank or line break would end the request line.
        guard request.url.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7f }) else {
            throw FetchError(.invalidRequest, "the URL has a blank or a control character")
        }
        let scheme = request.url.prefix { $0 != ":" }.lowercased()
        guard scheme == "https" || scheme == "http" && request.allowPlainHTTP else {
            throw FetchError(.invalidRequest, "the URL is not \(request.allowPlainHTTP ? "http or https" : "https")")
        }
        try set(CURLOPT_PROTOCOLS_STR, request.allowPlainHTTP ? "http,https" : "https")
        try set(CURLOPT_URL, request.url)
    }

    private func setMethod(_ request: FetchRequest) throws(FetchError) {
        switch request.method {
        case .get: try set(CURLOPT_HTTPGET, 1)
        case .head: try set(CURLOPT_NOBODY, 1)
        case .delete where request.body.isEmpty: try set(CURLOPT_CUSTOMREQUEST, request.method.rawValue)
        case .post, .put, .patch, .delete:
            try set(CURLOPT_POST, 1)
            if request.method != .post { try set(CURLOPT_CUSTOMREQUEST, request.method.rawValue) }
            try setOffset(CURLOPT_POSTFIELDSIZE_LARGE, Int64(request.body.count))
            // Never empty, so that there is an address to copy from; the size above rules.
            var copy = request.body + [0]
            let code = copy.withUnsafeMutableBytes {
                depot_curl_set_pointer(raw, CURLOPT_COPYPOSTFIELDS, $0.baseAddress)
            }
            try check(code, CURLOPT_COPYPOSTFIELDS)
        }
    }

    private func setHeaders(_ request: FetchRequest) throws(FetchError) {
        // "Name:" takes away what libcurl adds by itself: a pause for 100-continue, a form's media type.
        try appendHeader("Expect:")
        let hasMediaType = request.headers.contains { $0.name.lowercased() == "content-type" }
        if !hasMediaType { try appendHeader("Content-Type:") }
        for (name, value) in request.headers {
            guard FetchRequest.isToken(name.utf8), value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7f || $0 == 0x09 })
            else {
                throw FetchError(.invalidRequest, "a request header has a bad name or a control character")
            }
            // "Name;" is libcurl's way to send a header without a value.
            try appendHeader(value.isEmpty ? "\(name);" : "\(name): \(value)")
        }
        if let range = request.range {
            guard !range.isEmpty, range.lowerBound >= 0 else {
                throw FetchError(.invalidRequest, "the range is empty or negative")
            }
            try appendHeader("Range: bytes=\(range.lowerBound)-\(range.upperBound - 1)")
        }
        try check(depot_curl_set_pointer(raw, CURLOPT_HTTPHEADER, headerList), CURLOPT_HTTPHEADER)
    }

    private func setLimits(_ request: FetchRequest) throws(FetchError) {
        try set(CURLOPT_CONNECTTIMEOUT_MS, request.connectTimeout.milliseconds)
        if let lowSpeed = request.lowSpeed {
            try set(CURLOPT_LOW_SPEED_LIMIT, lowSpeed.bytesPerSecond)
            try set(CURLOPT_LOW_SPEED_TIME, max(1, Int(lowSpeed.during.components.seconds)))
        }
        if let total = request.totalTimeout { try set(CURLOPT_TIMEOUT_MS, total.milliseconds) }
    }

    private func setSocketFunction(
        _ function: curl_opensocket_callback, _ context: UnsafeMutableRawPointer
    ) throws(FetchError) {
        try check(depot_curl_set_open_socket_function(raw, function, context), CURLOPT_OPENSOCKETFUNCTION)
        // A connection of the pool may go to an address that another request was free to use.
        try set(CURLOPT_FRESH_CONNECT, 1)
    }

    private func appendHeader(_ line: String) throws(FetchError) {
        guard let list = curl_slist_append(headerList, line) else { throw FetchError(.other, "no memory for a header") }
        headerList = list
    }

    private func set(_ option: CURLoption, _ value: Int) throws(FetchError) {
        try check(depot_curl_set_long(raw, option, value), option)
    }

    private func setOffset(_ option: CURLoption, _ value: Int64) throws(FetchError) {
        try check(depot_curl_set_offset(raw, option, curl_off_t(value)), option)
    }

    private func set(_ option: CURLoption, _ value: String) throws(FetchError) {
        try check(depot_curl_set_string(raw, option, value), option)
    }

    private func check(_ code: CURLcode, _ option: CURLoption) throws(FetchError) {
        guard code != CURLE_OK else { return }
        throw FetchError(.other, "libcurl refuses option \(option.rawValue)", curlCode: Int(code.rawValue))
    }
}

extension Duration {
    /// Whole milliseconds, at least 1 (0 means "no limit" to libcurl), at most what 32 bits hold.
    var milliseconds: Int {
        let (seconds, attoseconds) = components
        guard seconds < Int64(Int32.max) / 1000 else { return Int(Int32.max) }
        return max(1, Int(seconds * 1000 + attoseconds / 1_000_000_000_000_000))
    }
}
