// SPDX-License-Identifier: Apache-2.0

import HTTPFetch
import OCI

/// Fetches an issuer's keys: its configuration, then the JWK set that this names (OpenID Connect Discovery 1.0, section 4).
///
/// Two requests, 5 seconds together unless told otherwise, 256 KiB each, no redirects. Only hosts that the operator named may have addresses
/// inside this network or speak `http`; a public issuer cannot lead there, whatever it names and however it resolves.
struct IssuerDocuments: Sendable {
    let fetcher: Fetcher
    /// As `TrustPolicy` takes them.
    let privateHosts: Set<String>
    /// For both requests.
    let totalTimeout: Duration

    /// - Throws: `KeySetError` for whatever is not as it should be.
    func keys(of issuer: TrustURL) async throws(KeySetError) -> KeySet {
        // Real time, for it bounds real I/O; tests set the clock that ages what was fetched.
        let deadline = ContinuousClock.now + totalTimeout
        let isPrivate = privateHosts.contains(issuer.host)
        let place = issuer.text + "/.well-known/openid-configuration"
        let configuration = try await document(place, "configuration", isPrivate: isPrivate, by: deadline)
        // A document about another issuer would make that one's keys count for this one (section 4.3).
        guard let stated = configuration["issuer"]?.stringValue, stated.utf8.elementsEqual(issuer.text.utf8) else {
            throw KeySetError("the configuration is that of another issuer")
        }
        guard let text = configuration["jwks_uri"]?.stringValue, let url = TrustURL(text) else {
            throw KeySetError("the configuration names no plain URL of keys")
        }
        let areKeysPrivate = isPrivate && privateHosts.contains(url.host)
        guard !url.isPlainHTTP || areKeysPrivate else { throw KeySetError("the keys are not served by https") }
        return try KeySet(try await document(url.text, "key set", isPrivate: areKeysPrivate, by: deadline))
    }

    private func document(
        _ url: String, _ name: String, isPrivate: Bool, by deadline: ContinuousClock.Instant
    ) async throws(KeySetError) -> JSONValue {
        let left = deadline - ContinuousClock.now
        guard left > .zero else { throw KeySetError("the issuer took too long") }
        let request = FetchRequest(
            .get, url, headers: [("Accept", "application/json")], connectTimeout: left, firstByteTimeout: nil,
            totalTimeout: left, allowPlainHTTP: isPrivate, addresses: isPrivate ? .any : .publicOnly)
        let response: FetchResponse
        do throws(FetchError) {
            response = try await fetcher.collect(request, bodyBytesMax: KeySet.bytesMax)
        } catch {
            throw KeySetError("the \(name) cannot be fetched: \(error)")
        }
        guard response.status == 200 else { throw KeySetError("the \(name) came with status \(response.status)") }
        do throws(JSONError) {
            let limits = JSONLimits(bytesMax: KeySet.bytesMax, depthMax: 16, valueCountMax: 1 << 14)
            return try BoundedJSON.parse(response.body, limits: limits)
        } catch {
            throw KeySetError("the \(name) cannot be read: \(error)")
        }
    }
}
