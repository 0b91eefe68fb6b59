// SPDX-License-Identifier: Apache-2.0

import StackSupport

/// The oras client of PyPI, which `Scripts/install-dependencies test` puts below `.build`.
struct Oras {
    let authFile: String

    /// Basic authentication for both: with registry tokens this client keeps the first one it gets, which is for
    /// pulling, and never asks for more.
    private static let program = """
        import sys
        from oras.client import OrasClient
        operation, reference, auth_file, folder = sys.argv[1:]
        client = OrasClient(hostname=reference.partition("/")[0], insecure=True, auth_backend="basic")
        if operation == "push":
            client.push(target=reference, config_path=auth_file, files=["weights:application/vnd.example.model.weights"],
                        manifest_config="config:application/vnd.example.model.config.v1+json")
        else:
            client.pull(target=reference, config_path=auth_file, outdir=folder)
        """

    /// Pulls the artifact's file into a folder.
    func pull(_ reference: String, into folder: String) async throws {
        try await run("pull", reference, folder)
    }

    /// Pushes the file `weights` of a folder, with its file `config`.
    func push(_ folder: String, to reference: String) async throws {
        try await run("push", reference, folder)
    }

    private func run(_ operation: String, _ reference: String, _ folder: String) async throws {
        let environment = ["PYTHONPATH": RunningStack.repository + "/.build/oras", "PYTHONDONTWRITEBYTECODE": "1"]
        try await Command(
            ["python3", "-c", Self.program, operation, reference, authFile, folder], environment: environment,
            in: folder
        ).run()
    }
}
