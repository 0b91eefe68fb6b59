// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The user that the server runs as. PostgreSQL refuses to run as root.
struct ServerAccount: Equatable {
    let userID: uid_t
    let groupID: gid_t
    let name: String

    /// Whether this process runs as that user already.
    var isCurrent: Bool { userID == geteuid() }

    /// - Parameters:
    ///   - ownerID: Of the cluster, if there is one already.
    ///   - name: What a process of root uses for a new cluster.
    static func choose(ownerID: uid_t?, name: String) throws(PrivatePostgresError) -> ServerAccount {
        guard geteuid() == 0 else {
            guard let account = find(userID: geteuid()) else {
                throw PrivatePostgresError(.noAccount, "user \(geteuid()) has no name in the system's user database")
            }
            return account
        }
        let account = if let ownerID { find(userID: ownerID) } else { find(name: name) }
        guard let account, account.userID != 0 else {
            throw PrivatePostgresError(
                .noAccount,
                "the server does not run as root, and there is no user '\(name)' to run it as: create that user, "
                    + "start as another user, or pass a database URL")
        }
        return account
    }

    /// What a command is prefixed with to run as this user. The process stays the same one.
    var commandPrefix: [String] {
        if isCurrent { return [] }
        let options = ["--reuid=\(userID)", "--regid=\(groupID)", "--clear-groups", "--no-new-privs", "--"]
        return ["/usr/bin/setpriv"] + options
    }

    private static func find(userID: uid_t) -> ServerAccount? {
        look { getpwuid_r(userID, $0, $1, $2, $3) }
    }

    private static func find(name: String) -> ServerAccount? {
        look { getpwnam_r(name, $0, $1, $2, $3) }
    }

    private static func look(
        _ ask: (
            UnsafeMutablePointer<passwd>, UnsafeMutablePointer<CChar>, Int,
            UnsafeMutablePointer<UnsafeMutablePointer<passwd>?>
        ) -> Int32
    ) -> ServerAccount? {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 16 * 1024) { buffer in
            var entry = passwd()
            var found: UnsafeMutablePointer<passwd>?
            guard let base = buffer.baseAddress, ask(&entry, base, buffer.count, &found) == 0, found != nil,
                let name = entry.pw_name
            else { return nil }
            return ServerAccount(userID: entry.pw_uid, groupID: entry.pw_gid, name: String(cString: name))
        }
    }
}
