// SPDX-License-Identifier: Apache-2.0

import StackSupport

/// The oras client of PyPI, which `Scripts/install-dependencies test` puts below `.build`.
struct Oras {
    let authFile: String

    private static let program = """
        import sys
        from oras.client import OrasClient
        reference, auth_file, folder = sys.argv[1:]
        client = OrasClient(hostname=reference.partition("/")[0], insecure=True)
        client.pull(target=reference, config_path=auth_file, outdir=folder)
        """

    /// Pulls the artifact's file into a folder.
    func pull(_ reference: String, into folder: String) async throws {
        let environment = ["PYTHONPATH": RunningStack.repository + "/.build/oras", "PYTHONDONTWRITEBYTECODE": "1"]
        try await Command(["python3", "-c", Self.program, reference, authFile, folder], environment: environment)
            .run()
    }
}
