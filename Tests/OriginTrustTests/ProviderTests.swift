// SPDX-License-Identifier: Apache-2.0

import OCI
import OriginTrust
import Testing

/// Claims as the providers document them: jobs that match, and jobs that run somebody else's code.
@Suite struct ProviderTests {
    private static let uuid = "c9035eb6-6eb2-4c85-8a81-d9ee6a1fa8c2"
    private static let project = "ecc458d2-fbdc-4d9a-93c4-ac065ed3c3ca"

    private static let github = """
        "iss":"https://token.actions.githubusercontent.com","aud":"https://registry.example","exp":1800000300,
        "sub":"repo:octo-org/octo-repo:ref:refs/heads/main","repository":"octo-org/octo-repo","repository_id":"74",
        "repository_owner":"octo-org","repository_owner_id":"65","actor":"octocat","actor_id":"12","ref":"refs/heads/main",
        "ref_type":"branch","ref_protected":"true","event_name":"push","workflow":"example","head_ref":"","base_ref":"",
        "repository_visibility":"private","runner_environment":"github-hosted","run_id":"1","run_number":"10",
        "job_workflow_ref":"octo-org/octo-automation/.github/workflows/oidc.yml@refs/heads/main"
        """
    private static let gitlab = """
        "iss":"https://gitlab.com","aud":"https://registry.example","exp":1800000300,
        "sub":"project_path:my-group/my-project:ref_type:branch:ref:main","namespace_id":"72","namespace_path":"my-group",
        "project_id":"20","project_path":"my-group/my-project","user_id":"1","user_login":"sample","pipeline_id":"574",
        "pipeline_source":"push","job_id":"302","ref":"main","ref_type":"branch","ref_path":"refs/heads/main",
        "ref_protected":"true","runner_environment":"gitlab-hosted","environment":"production"
        """
    private static let circleci = """
        "iss":"https://oidc.circleci.com/org/\(uuid)","aud":"\(uuid)","exp":1800000300,
        "sub":"org/\(uuid)/project/\(project)/user/\(uuid)/vcs-origin/github.com/acme/app/vcs-ref/refs/heads/main",
        "oidc.circleci.com/project-id":"\(project)","oidc.circleci.com/org-id":"\(uuid)",
        "oidc.circleci.com/context-ids":["58bef0c1-399d-49ca-a5ba-2f4317e4224d"],"oidc.circleci.com/ssh-rerun":false,
        "oidc.circleci.com/vcs-origin":"github.com/acme/app","oidc.circleci.com/vcs-ref":"refs/heads/main"
        """
    private static let buildkite = """
        "iss":"https://agent.buildkite.com","aud":"https://registry.example","exp":1800000300,
        "sub":"organization:acme-inc:pipeline:super-duper-app:ref:refs/heads/main:commit:9f3182:step:build",
        "organization_slug":"acme-inc","pipeline_slug":"super-duper-app","build_number":1,"build_branch":"main",
        "build_commit":"9f3182","step_key":"build","job_id":"0184990a","agent_id":"0184990b","build_source":"ui",
        "runner_environment":"buildkite-hosted"
        """

    private static func policy(
        _ provider: TrustProvider, extra: KeyValuePairs<String, [String]> = [:], allowsForks: Bool = false
    ) throws -> TrustPolicy {
        let conditions: KeyValuePairs<String, [String]> =
            switch provider {
            case .github: ["repository_owner_id": ["65"], "repository_id": ["74"]]
            case .gitlab: ["namespace_id": ["72"], "project_id": ["20"]]
            case .circleci: ["oidc.circleci.com/project-id": [project]]
            case .buildkite: ["organization_slug": ["acme-inc"], "pipeline_slug": ["super-duper-app"]]
            case .generic: ["sub": ["x"]]
            }
        return try TrustPolicy(
            provider: provider, issuer: provider == .circleci ? "https://oidc.circleci.com/org/\(uuid)" : nil,
            audience: provider == .circleci ? uuid : "https://registry.example",
            conditions: (Array(conditions) + Array(extra)).map { try ClaimCondition($0.key, $0.value) },
            allowsForks: allowsForks)
    }

    /// The claims of a job, with members in place of the usual ones.
    private static func identity(_ provider: TrustProvider, _ changes: String) throws -> VerifiedIdentity {
        let usual =
            switch provider {
            case .github: github
            case .gitlab: gitlab
            case .circleci: circleci
            case .buildkite: buildkite
            case .generic: ""
            }
        let changed = try json("{\(changes)}").objectValue ?? []
        let kept = (try json("{\(usual)}").objectValue ?? []).filter { member in
            !changed.contains { $0.name == member.name }
        }
        return try #require(VerifiedIdentity(verified: .object(kept + changed)))
    }

    private func claim(_ policy: TrustPolicy, _ identity: VerifiedIdentity) -> String? {
        guard case .unmatched(let mismatch) = policy.evaluate(identity) else { return nil }
        return mismatch.claim
    }

    @Test("an ordinary job matches", arguments: [TrustProvider.github, .gitlab, .circleci, .buildkite])
    func ordinary(provider: TrustProvider) throws {
        #expect(try Self.policy(provider).evaluate(Self.identity(provider, "")) == .matched)
    }

    @Test(
        "a job of another owner, or of another project of the owner, does not match",
        arguments: [
            (.github, #""repository_owner_id":"66""#, "repository_owner_id"),
            (.github, #""repository_id":"741""#, "repository_id"),
            (.github, #""repository_id":74,"repository_owner_id":null"#, "repository_owner_id"),
            (.gitlab, #""namespace_id":"73""#, "namespace_id"), (.gitlab, #""project_id":"21""#, "project_id"),
            (
                .circleci, #""oidc.circleci.com/project-id":"58bef0c1-399d-49ca-a5ba-2f4317e4224d""#,
                "oidc.circleci.com/project-id"
            ),
            (.circleci, #""iss":"https://oidc.circleci.com/org/58bef0c1-399d-49ca-a5ba-2f4317e4224d""#, "iss"),
            (.buildkite, #""organization_slug":"acme-inc2""#, "organization_slug"),
            (.buildkite, #""pipeline_slug":"super""#, "pipeline_slug"),
        ] as [(TrustProvider, String, String)])
    func others(provider: TrustProvider, changes: String, claim: String) throws {
        #expect(try self.claim(Self.policy(provider, allowsForks: true), Self.identity(provider, changes)) == claim)
    }

    @Test("further conditions narrow a policy")
    func narrowed() throws {
        let main = try Self.policy(.github, extra: ["ref": ["refs/heads/main"], "environment": ["prod"]])
        #expect(try claim(main, Self.identity(.github, "")) == "environment")
        #expect(try claim(main, Self.identity(.github, #""environment":"prod""#)) == nil)
        #expect(try claim(main, Self.identity(.github, #""environment":"prod","ref":"refs/heads/x""#)) == "ref")
        let context = try Self.policy(
            .circleci, extra: ["oidc.circleci.com/context-ids": ["58bef0c1-399d-49ca-a5ba-2f4317e4224d"]])
        #expect(try claim(context, Self.identity(.circleci, "")) == nil)
        #expect(
            try claim(context, Self.identity(.circleci, #""oidc.circleci.com/context-ids":[]"#))
                == "oidc.circleci.com/context-ids")
    }

    @Test(
        "jobs that may run the code of a fork match only if the policy says so",
        arguments: [
            (.github, #""event_name":"pull_request","ref":"refs/pull/7/merge","head_ref":"x""#, "event_name"),
            (.github, #""event_name":"pull_request_target""#, "event_name"),
            (.github, #""event_name":"pull_request_review""#, "event_name"),
            (.github, #""event_name":"pull_request_review_comment""#, "event_name"),
            (.github, #""event_name":"workflow_call","ref":"refs/pull/7/merge""#, "ref"),
            // Before GitLab 18.2.2: the project is the one that ran the job, and nothing tells of the fork.
            (
                .gitlab, #""pipeline_source":"merge_request_event","ref_path":"refs/merge-requests/1/head""#,
                "job_project_id"
            ),
            (.gitlab, #""pipeline_source":"merge_request_event""#, "job_project_id"),
            // A child pipeline of a merge request's.
            (
                .gitlab, #""pipeline_source":"parent_pipeline","ref_path":"refs/merge-requests/1/merge""#,
                "job_project_id"
            ),
            (.gitlab, #""pipeline_source":"external_pull_request_event","job_project_id":"20""#, "pipeline_source"),
            // A merge request of the trusted project that another project runs.
            (.gitlab, #""pipeline_source":"merge_request_event","job_project_id":"21""#, "job_project_id"),
            (.gitlab, #""job_project_id":"20","source_project_id":"21""#, "source_project_id"),
            (
                .circleci,
                #""oidc.circleci.com/vcs-origin":"github.com/m/app","oidc.circleci.com/vcs-ref":"refs/heads/pull/7""#,
                "oidc.circleci.com/vcs-ref"
            ),
            (.circleci, #""oidc.circleci.com/vcs-ref":"refs/pull/7/head""#, "oidc.circleci.com/vcs-ref"),
            (.buildkite, #""build_branch":"mallory:main""#, "build_branch"),
        ] as [(TrustProvider, String, String)])
    func forks(provider: TrustProvider, changes: String, claim: String) throws {
        let identity = try Self.identity(provider, changes)
        let policy = try Self.policy(provider)
        guard case .unmatched(let mismatch) = policy.evaluate(identity) else {
            Issue.record("matched")
            return
        }
        #expect(mismatch.claim == claim)
        #expect(mismatch.expected == .noFork)
        #expect(mismatch.passedCount == 2 + policy.conditions.count)
        #expect(try Self.policy(provider, allowsForks: true).evaluate(identity) == .matched)
    }

    @Test(
        "jobs that do not are not taken for such",
        arguments: [
            (.github, #""event_name":"schedule""#), (.github, #""event_name":"merge_group","ref":"refs/heads/q/main""#),
            (.github, #""ref":"refs/heads/pull/7""#), (.github, #""ref":"refs/tags/v1","ref_type":"tag""#),
            (.gitlab, #""pipeline_source":"merge_request_event","job_project_id":"20""#),
            (.gitlab, #""pipeline_source":"merge_request_event","job_project_id":"20","source_project_id":"20""#),
            (.gitlab, #""pipeline_source":"schedule""#),
            (.circleci, #""oidc.circleci.com/vcs-ref":"refs/heads/pulled""#),
            (.circleci, #""oidc.circleci.com/vcs-ref":"refs/tags/v1""#), (.buildkite, #""build_branch":"feature/x""#),
        ] as [(TrustProvider, String)])
    func noForks(provider: TrustProvider, changes: String) throws {
        #expect(try Self.policy(provider).evaluate(Self.identity(provider, changes)) == .matched)
    }

    @Test("a job that was run again with SSH does not match, with forks or without, unless a condition names it")
    func sshRerun() throws {
        for value in ["true", "\"true\"", "null", "1"] {
            let identity = try Self.identity(.circleci, "\"oidc.circleci.com/ssh-rerun\":\(value)")
            for allowsForks in [false, true] {
                let policy = try Self.policy(.circleci, allowsForks: allowsForks)
                #expect(claim(policy, identity) == "oidc.circleci.com/ssh-rerun")
            }
        }
        let open = try Self.policy(.circleci, extra: ["oidc.circleci.com/ssh-rerun": ["true", "false"]])
        #expect(try claim(open, Self.identity(.circleci, #""oidc.circleci.com/ssh-rerun":true"#)) == nil)
    }
}
