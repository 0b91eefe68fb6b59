// SPDX-License-Identifier: Apache-2.0

import StackSupport

/// The oras client of PyPI, which `Scripts/install-dependencies test` puts below `.build`.
struct Oras {
    let authFile: String

    private static let program = """
        import os, sys
        from oras.client import OrasClient
        verb, reference, auth_file, folder = sys.argv[1:]
        client = OrasClient(hostname=reference.partition("/")[0], insecure=True)
        os.chdir(folder)
        if verb == "push":
            client.push(target=reference, config_path=auth_file, files=["weights:application/vnd.example.model.weights"],
                        manifest_config="config.json:application/vnd.example.model.config.v1+json")
        else:
            client.pull(target=reference, config_path=auth_file, outdir=folder)
        """

    /// Pushes the file `weights` of a folder, with `config.json` as its config.
    func push(folder: String, to reference: String) async throws { try await run("push", reference, folder) }

    /// Pulls the artifact's file into a folder.
    func pull(_ reference: String, into folder: String) async throws { try await run("pull", reference, folder) }

    private func run(_ verb: String, _ reference: String, _ folder: String) async throws {
        let environment = ["PYTHONPATH": RunningStack.repository + "/.build/oras", "PYTHONDONTWRITEBYTECODE": "1"]
        try await Command(["python3", "-c", Self.program, verb, reference, authFile, folder], environment: environment)
            .run()
    }
}
