// SPDX-License-Identifier: Apache-2.0
// libcurl for Swift: variadic functions do not import, and calling them through a fixed prototype is wrong on arm64, so
// each use has a typed wrapper here. The body sink is C because libcurl hands over at most 16 KiB per call.
#pragma once

#include <curl/curl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

// MARK: Typed variadics

static inline CURLcode depot_curl_set_long(CURL *easy, CURLoption option, long value) {
    return (curl_easy_setopt)(easy, option, value);
}

static inline CURLcode depot_curl_set_offset(CURL *easy, CURLoption option, curl_off_t value) {
    return (curl_easy_setopt)(easy, option, value);
}

static inline CURLcode depot_curl_set_string(CURL *easy, CURLoption option, const char *value) {
    return (curl_easy_setopt)(easy, option, value);
}

static inline CURLcode depot_curl_set_pointer(CURL *easy, CURLoption option, void *value) {
    return (curl_easy_setopt)(easy, option, value);
}

static inline CURLcode depot_curl_set_header_function(CURL *easy, curl_write_callback function, void *context) {
    CURLcode code = (curl_easy_setopt)(easy, CURLOPT_HEADERFUNCTION, function);
    return code == CURLE_OK ? (curl_easy_setopt)(easy, CURLOPT_HEADERDATA, context) : code;
}

static inline CURLcode depot_curl_set_open_socket_function(
    CURL *easy, curl_opensocket_callback function, void *context) {
    CURLcode code = (curl_easy_setopt)(easy, CURLOPT_OPENSOCKETFUNCTION, function);
    return code == CURLE_OK ? (curl_easy_setopt)(easy, CURLOPT_OPENSOCKETDATA, context) : code;
}

static inline CURLMcode depot_curl_multi_set_long(CURLM *multi, CURLMoption option, long value) {
    return (curl_multi_setopt)(multi, option, value);
}

/// The easy handle and the result of a finished transfer; false when no message is left.
static inline bool depot_curl_next_done(CURLM *multi, CURL **easy, CURLcode *result) {
    int left = 0;
    CURLMsg *message;
    while ((message = curl_multi_info_read(multi, &left)) != NULL) {
        if (message->msg != CURLMSG_DONE) continue;
        *easy = message->easy_handle;
        *result = message->data.result;
        return true;
    }
    return false;
}

// MARK: Addresses

/// Copies the IP address that libcurl is about to connect to, in network order.
/// @return Its bytes, 4 or 16; 0 for a family that is neither IPv4 nor IPv6.
static inline size_t depot_curl_copy_address(const struct curl_sockaddr *address, unsigned char bytes[16]) {
    // libcurl declares the address as a `sockaddr`, but stores one of its family's size.
    if (address->family == AF_INET && address->addrlen >= sizeof(struct sockaddr_in)) {
        memcpy(bytes, &((const struct sockaddr_in *)(const void *)&address->addr)->sin_addr, 4);
        return 4;
    }
    if (address->family == AF_INET6 && address->addrlen >= sizeof(struct sockaddr_in6)) {
        memcpy(bytes, &((const struct sockaddr_in6 *)(const void *)&address->addr)->sin6_addr, 16);
        return 16;
    }
    return 0;
}

/// What libcurl does itself where no function is set, for no child process to inherit.
static inline curl_socket_t depot_curl_open_socket(const struct curl_sockaddr *address) {
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

// MARK: Body sink

/// What the receiver says about a slab. The values are those of `FetchFlow`.
enum { DEPOT_SINK_PROCEED = 0, DEPOT_SINK_PAUSE = 1, DEPOT_SINK_ABORT = 2 };

/// Gathers the body of one transfer and hands it over: in a slab, when that is full or the caller flushes it, or in rooms
/// of the receiver's own, each when it is full or the body is over. Owned by the thread of the multi handle.
struct depot_curl_sink {
    unsigned char *slab;  // allocated with the first body byte, kept for the next transfer of the handle
    size_t slab_capacity;
    unsigned char *room;  // where the next bytes go; NULL: to be asked for
    size_t capacity;      // of the room
    size_t count;         // of the bytes in the room
    size_t taken;         // of the write that libcurl repeats after a pause: bytes that are in a room already
    /// The receiver's next room, and its size; NULL: the slab.
    unsigned char *(*next_room)(void *context, size_t *capacity);
    int (*receive)(void *context, const unsigned char *bytes, size_t count);
    void *context;
    bool is_blocked;  // the receiver refused what the room holds until it says otherwise
    bool is_paused;   // libcurl was told to stop reading
    bool is_aborted;
};

/// Offers what the room holds. The room is let go only if the answer is DEPOT_SINK_PROCEED.
static inline int depot_curl_sink_flush(struct depot_curl_sink *sink) {
    if (sink->is_aborted) return DEPOT_SINK_ABORT;
    if (sink->is_blocked) return DEPOT_SINK_PAUSE;
    if (sink->count == 0) return DEPOT_SINK_PROCEED;
    int flow = sink->receive(sink->context, sink->room, sink->count);
    if (flow == DEPOT_SINK_PROCEED) {
        sink->count = 0;
        sink->room = NULL;
    } else if (flow == DEPOT_SINK_PAUSE) {
        sink->is_blocked = true;
    } else {
        sink->is_aborted = true;
    }
    return flow;
}

/// Whether there is a room with space left.
static inline bool depot_curl_sink_make_room(struct depot_curl_sink *sink) {
    sink->room = sink->next_room(sink->context, &sink->capacity);
    if (sink->room == NULL) {
        if (sink->slab == NULL) sink->slab = (unsigned char *)malloc(sink->slab_capacity);
        sink->room = sink->slab;
        sink->capacity = sink->slab_capacity;
    }
    return sink->room != NULL && sink->capacity > 0;
}

/// CURLOPT_WRITEFUNCTION. Takes all of the bytes or, with CURL_WRITEFUNC_PAUSE, leaves libcurl to repeat the write with
/// the same bytes first, perhaps with more behind them; 0 ends the transfer.
static inline size_t depot_curl_sink_write(char *bytes, size_t unit, size_t unit_count, void *context) {
    struct depot_curl_sink *sink = (struct depot_curl_sink *)context;
    size_t count = unit * unit_count;
    size_t done = sink->taken < count ? sink->taken : count;
    while (done < count) {
        if (sink->room != NULL && sink->count == sink->capacity) {
            int flow = depot_curl_sink_flush(sink);
            if (flow == DEPOT_SINK_ABORT) return 0;
            if (flow == DEPOT_SINK_PAUSE) {
                sink->taken = done;
                sink->is_paused = true;
                return CURL_WRITEFUNC_PAUSE;
            }
        }
        if (sink->room == NULL && !depot_curl_sink_make_room(sink)) return 0;
        size_t free_count = sink->capacity - sink->count;
        size_t part = count - done < free_count ? count - done : free_count;
        memcpy(sink->room + sink->count, bytes + done, part);
        sink->count += part;
        done += part;
    }
    sink->taken = 0;
    if (sink->room != NULL && sink->count == sink->capacity && depot_curl_sink_flush(sink) == DEPOT_SINK_ABORT) return 0;
    return count;
}

static inline CURLcode depot_curl_attach_sink(CURL *easy, struct depot_curl_sink *sink) {
    CURLcode code = (curl_easy_setopt)(easy, CURLOPT_WRITEFUNCTION, depot_curl_sink_write);
    return code == CURLE_OK ? (curl_easy_setopt)(easy, CURLOPT_WRITEDATA, sink) : code;
}
