-- SPDX-License-Identifier: Apache-2.0
--
-- A pull token ends when the token that it was made with is revoked or deleted, and with the membership of who made it.
-- It may outlive the other's expiry: a CI job makes one for machines that pull when the job is long over.

ALTER TABLE tokens
    ADD COLUMN made_with bigint REFERENCES tokens ON DELETE CASCADE,
    -- Who made it as a member of the organization: it goes with the membership.
    ADD COLUMN member_id bigint,
    ADD FOREIGN KEY (organization_id, member_id) REFERENCES memberships (organization_id, user_id) ON DELETE CASCADE,
    ADD CHECK (num_nonnulls(made_with, member_id) = 0 OR kind = 'pull' AND made_with IS NOT NULL);
CREATE INDEX tokens_made_with ON tokens (made_with) WHERE made_with IS NOT NULL;
CREATE INDEX tokens_member ON tokens (organization_id, member_id) WHERE member_id IS NOT NULL;

CREATE OR REPLACE VIEW token_details AS
SELECT t.id, t.kind, t.name, t.created_at, t.expires_at, least(t.revoked_at, maker.revoked_at) AS revoked_at,
    t.last_used_at, t.organization_id,
    u.id AS user_id, u.name AS user_name, u.is_administrator,
    (SELECT string_agg(m.organization_id || ':' || m.role, ',') FROM memberships m WHERE m.user_id = u.id) AS roles,
    p.id AS project_id, p.public_id, r.id AS repository_id, r.name AS repository_name, t.reference, t.secret_sha256,
    t.made_with
FROM tokens t
    LEFT JOIN tokens maker ON maker.id = t.made_with
    LEFT JOIN users u ON u.id = t.user_id AND t.kind = 'user'
    LEFT JOIN projects p ON p.id = t.project_id
    LEFT JOIN repositories r ON r.id = t.repository_id;

-- A one-time token yields the same credentials again for a while: its answer may have been lost. They follow from it and
-- the salt, so that what is left of the one is worth nothing once the row is gone.
ALTER TABLE bootstrap_tokens
    ADD COLUMN redeemed_at timestamptz,
    ADD COLUMN salt bytea,
    ADD CHECK (num_nonnulls(redeemed_at, salt) IN (0, 2));
