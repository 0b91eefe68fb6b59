// SPDX-License-Identifier: Apache-2.0

import OCI

/// How the code of somebody else's fork shows in a job's claims. A pull request's author writes what such a job runs, so
/// its token speaks for the author, not for the repository. Where claims leave it open, the answer is no.
extension TrustPolicy {
    /// The claim that speaks against a job although all conditions hold, and what was expected of it.
    func objection(to claims: JSONValue) -> (claim: String, expected: ExpectedValue)? {
        if provider == .circleci, let objection = circleRerun(claims) { return objection }
        guard !allowsForks else { return nil }
        let claim =
            switch provider {
            case .github: Self.forkOnGitHub(claims)
            case .gitlab: Self.forkOnGitLab(claims)
            case .circleci: Self.forkOnCircleCI(claims)
            case .buildkite: Self.forkOnBuildkite(claims)
            case .generic: String?.none
            }
        return claim.map { ($0, .noFork) }
    }

    /// GitHub gives jobs of a fork's `pull_request` no token unless a private repository sends write tokens to forks
    /// ("Automatic token authentication": permissions of forked repositories), but always to `pull_request_target`, which
    /// runs in the base repository. All claims are about the base repository, none about the head's ("OpenID Connect
    /// reference"), so pull requests of forks and of the repository itself cannot be told apart, and neither matches.
    /// Jobs of `workflow_run` and `issue_comment` run the default branch; whoever fetches a fork's code there has to pin
    /// `event_name`.
    private static func forkOnGitHub(_ claims: JSONValue) -> String? {
        let events = ["pull_request", "pull_request_target", "pull_request_review", "pull_request_review_comment"]
        if let event = claims["event_name"]?.stringValue, events.contains(event) { return "event_name" }
        return starts(claims["ref"], with: "refs/pull/") ? "ref" : nil
    }

    /// In the pipeline of a merge request from a fork, `project_id` named the project that ran it until GitLab 18.2.2 and
    /// names the fork since; `job_project_id`, since 18.4, names the project that ran it (gitlab-org/gitlab#561735 and
    /// #563038; "ID token authentication", token payload). So a merge request matches only if both are there and agree.
    /// Child pipelines have another `pipeline_source`, but the merge request's `ref_path`. External pull requests come
    /// from another host, about whose repositories no claim says anything.
    private static func forkOnGitLab(_ claims: JSONValue) -> String? {
        let project = claims["project_id"]
        let others = ["job_project_id", "source_project_id"]
        if let other = others.first(where: { claims[$0] != nil && claims[$0] != project }) { return other }
        let source = claims["pipeline_source"]?.stringValue
        if source == "external_pull_request_event" { return "pipeline_source" }
        let isOfMergeRequest =
            source == "merge_request_event" || starts(claims["ref_path"], with: "refs/merge-requests/")
        return isOfMergeRequest && claims["job_project_id"] == nil ? "job_project_id" : nil
    }

    /// CircleCI gives jobs of forks a token only if the project passes secrets to them ("OIDC in open source projects");
    /// their branch is called `pull/` and the pull request's number, as in CIRCLE_BRANCH ("Build pull requests from
    /// forked repositories"). A branch of the project that is called so does not match either.
    private static func forkOnCircleCI(_ claims: JSONValue) -> String? {
        let claim = "oidc.circleci.com/vcs-ref"
        return ["refs/heads/pull/", "refs/pull/"].contains { starts(claims[claim], with: $0) } ? claim : nil
    }

    /// Whoever reruns a job with SSH has a shell in it, and with that its token ("OIDC tokens": `ssh-rerun`). A condition
    /// that names the claim decides instead.
    private func circleRerun(_ claims: JSONValue) -> (claim: String, expected: ExpectedValue)? {
        let claim = "oidc.circleci.com/ssh-rerun"
        guard condition(on: claim) == nil, let value = claims[claim], value != .bool(false) else { return nil }
        return (claim, .noRerunWithSSH)
    }

    /// Buildkite has no claim on pull requests. A pipeline that builds forks and prefixes their branches, as its settings
    /// offer, calls them `owner:branch`; Git allows no colon in a branch (git-check-ref-format). Without the prefix a
    /// fork's `main` is `main`: such a pipeline must not be trusted, which only its owner can know.
    private static func forkOnBuildkite(_ claims: JSONValue) -> String? {
        claims["build_branch"]?.stringValue?.utf8.contains(UInt8(ascii: ":")) == true ? "build_branch" : nil
    }

    private static func starts(_ value: JSONValue?, with prefix: String) -> Bool {
        value?.stringValue?.utf8.starts(with: prefix.utf8) ?? false
    }
}
