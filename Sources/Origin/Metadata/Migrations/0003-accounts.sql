-- SPDX-License-Identifier: Apache-2.0
--
-- Who belongs where, what a token reaches, who was let in from which CI system, and what was done.

CREATE TABLE memberships (
    organization_id bigint NOT NULL REFERENCES organizations ON DELETE CASCADE,
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    role text COLLATE "C" NOT NULL CHECK (role IN ('owner', 'member')),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, user_id)
);
CREATE INDEX memberships_user ON memberships (user_id);

CREATE TABLE projects (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization_id bigint NOT NULL REFERENCES organizations ON DELETE CASCADE,
    -- The name of its repository, and how commands call it. Random, so that no repository has the name before.
    public_id text COLLATE "C" NOT NULL UNIQUE CHECK (public_id ~ '^[a-z0-9]{10}$'),
    name text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (organization_id, name)
);

-- What is named by a project's id is linked to it when it is made; anything else can be linked later.
ALTER TABLE repositories ADD COLUMN project_id bigint REFERENCES projects ON DELETE SET NULL;
CREATE INDEX repositories_project ON repositories (project_id, name) WHERE project_id IS NOT NULL;

ALTER TABLE tokens
    ADD COLUMN project_id bigint REFERENCES projects ON DELETE CASCADE,
    ADD COLUMN repository_id bigint REFERENCES repositories ON DELETE CASCADE,
    -- A tag or a digest: the only content of the repository that the token reaches.
    ADD COLUMN reference text COLLATE "C",
    ADD COLUMN last_used_at timestamptz,
    ADD CHECK (
        CASE kind
            WHEN 'project' THEN project_id IS NOT NULL AND repository_id IS NULL
            WHEN 'trust' THEN project_id IS NOT NULL AND repository_id IS NULL
            WHEN 'pull' THEN num_nonnulls(project_id, repository_id) = 1 AND expires_at IS NOT NULL
            ELSE num_nonnulls(project_id, repository_id) = 0
        END) NOT VALID,
    ADD CHECK (reference IS NULL OR repository_id IS NOT NULL);
CREATE INDEX tokens_project ON tokens (project_id) WHERE project_id IS NOT NULL;
CREATE INDEX tokens_repository ON tokens (repository_id) WHERE repository_id IS NOT NULL;
-- The sweep of tokens that ended long ago.
CREATE INDEX tokens_expiry ON tokens (expires_at) WHERE expires_at IS NOT NULL;

-- A token with all that its rights follow from.
CREATE VIEW token_details AS
SELECT t.id, t.kind, t.name, t.created_at, t.expires_at, t.revoked_at, t.last_used_at, t.organization_id,
    u.id AS user_id, u.name AS user_name, u.is_administrator,
    (SELECT string_agg(m.organization_id || ':' || m.role, ',') FROM memberships m WHERE m.user_id = u.id) AS roles,
    p.id AS project_id, p.public_id, r.id AS repository_id, r.name AS repository_name, t.reference, t.secret_sha256
FROM tokens t
    LEFT JOIN users u ON u.id = t.user_id AND t.kind = 'user'
    LEFT JOIN projects p ON p.id = t.project_id
    LEFT JOIN repositories r ON r.id = t.repository_id;

CREATE TABLE trust_relationships (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization_id bigint NOT NULL REFERENCES organizations ON DELETE CASCADE,
    project_id bigint NOT NULL REFERENCES projects ON DELETE CASCADE,
    name text COLLATE "C" NOT NULL,
    provider text COLLATE "C" NOT NULL,
    issuer text COLLATE "C" NOT NULL,
    audience text COLLATE "C" NOT NULL,
    -- JSON: claims and the values that each may have.
    conditions text NOT NULL,
    allows_forks boolean NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (project_id, name)
);
CREATE INDEX trust_relationships_issuer ON trust_relationships (issuer);

-- Identity tokens that were exchanged: each once.
CREATE TABLE exchanged_identities (
    issuer text COLLATE "C" NOT NULL,
    token_id text COLLATE "C" NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (issuer, token_id)
);
CREATE INDEX exchanged_identities_expiry ON exchanged_identities (expires_at);

-- Of origins that rotate keys at once, one does; the key after the current one is known to all before it signs.
CREATE UNIQUE INDEX wrapped_secrets_next ON wrapped_secrets (name) WHERE state = 'next';

-- What a first start without a terminal is redeemed with, once.
CREATE TABLE bootstrap_tokens (
    secret_sha256 bytea PRIMARY KEY CHECK (octet_length(secret_sha256) = 32)
);

-- Rows stay when what they name is gone, so nothing here refers to another table.
CREATE TABLE audit_events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,
    -- The organization it happened in; NULL: the deployment. Its id, too, if it was there: another one may get the name.
    organization text COLLATE "C",
    organization_id bigint,
    actor text COLLATE "C" NOT NULL,
    action text COLLATE "C" NOT NULL,
    target text COLLATE "C" NOT NULL,
    outcome text COLLATE "C" NOT NULL CHECK (outcome IN ('done', 'denied', 'failed')),
    detail text NOT NULL,
    address text COLLATE "C" NOT NULL,
    request_id text COLLATE "C" NOT NULL,
    -- The same thing so many times within the second that `at` ends.
    count bigint NOT NULL DEFAULT 1 CHECK (count > 0)
);
CREATE INDEX audit_events_organization ON audit_events (organization_id, id) WHERE organization_id IS NOT NULL;

CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit events are only ever added' USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER audit_events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change();
