// SPDX-License-Identifier: Apache-2.0

import CLibcurl

extension FetchError {
    /// The one place where a `CURLcode` becomes an error of ours.
    /// - Parameter text: libcurl's words for this failure; its general ones if empty.
    init(_ code: CURLcode, _ text: String) {
        let words = text.isEmpty ? String(cString: curl_easy_strerror(code)) : text
        self.init(Self.kind(of: code), words, curlCode: Int(code.rawValue))
    }

    private static func kind(of code: CURLcode) -> Kind {
        switch code {
        case CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_CONNECT, CURLE_INTERFACE_FAILED, CURLE_SSL_CONNECT_ERROR,
            CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CACERT_BADFILE, CURLE_SSL_CERTPROBLEM, CURLE_SSL_CIPHER,
            CURLE_SSL_ISSUER_ERROR, CURLE_SSL_INVALIDCERTSTATUS, CURLE_USE_SSL_FAILED:
            .connect
        case CURLE_OPERATION_TIMEDOUT:
            .timeout
        case CURLE_PARTIAL_FILE, CURLE_GOT_NOTHING, CURLE_RECV_ERROR, CURLE_SEND_ERROR, CURLE_SSL_SHUTDOWN_FAILED:
            .closedEarly
        case CURLE_FILESIZE_EXCEEDED:
            .tooLarge
        case CURLE_ABORTED_BY_CALLBACK, CURLE_WRITE_ERROR:
            .cancelled
        case CURLE_WEIRD_SERVER_REPLY, CURLE_HTTP_RETURNED_ERROR, CURLE_RANGE_ERROR, CURLE_BAD_CONTENT_ENCODING,
            CURLE_HTTP2, CURLE_HTTP2_STREAM, CURLE_CHUNK_FAILED, CURLE_UNSUPPORTED_PROTOCOL:
            // The last one is an answer without a head (HTTP/0.9): our own URLs are checked before libcurl sees them.
            .protocolViolation
        case CURLE_URL_MALFORMAT, CURLE_LOGIN_DENIED, CURLE_BAD_FUNCTION_ARGUMENT,
            CURLE_UNKNOWN_OPTION:
            .invalidRequest
        default:
            .other
        }
    }
}
