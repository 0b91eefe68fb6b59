-- SPDX-License-Identifier: Apache-2.0
--
-- Names, tags and digests compare by bytes (COLLATE "C"): the order of the specification, and indexes that survive an
-- upgrade of the C library. Digests are stored as their text, `algorithm:hex`.
--
-- Locks: whoever locks several rows takes blobs before repository_blobs before manifests before tags, each in the order
-- of their digests or names. What refers to a blob locks its row FOR KEY SHARE (foreign keys do the same); what
-- removes one takes FOR UPDATE and looks for references in a statement of its own after that.

CREATE TABLE organizations (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    slug text COLLATE "C" NOT NULL UNIQUE,
    -- Names the organization in links, where its slug would tell too much.
    label text COLLATE "C" NOT NULL UNIQUE CHECK (label ~ '^[a-z0-9]{16}$'),
    -- NULL: the deployment's default.
    missing_references text COLLATE "C" CHECK (missing_references IN ('none', 'children', 'all')),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text COLLATE "C" NOT NULL UNIQUE,
    is_administrator boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE tokens (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text COLLATE "C" NOT NULL CHECK (kind IN ('user', 'organization', 'project', 'trust', 'pull')),
    organization_id bigint REFERENCES organizations ON DELETE CASCADE,
    user_id bigint REFERENCES users ON DELETE CASCADE,
    name text COLLATE "C" NOT NULL,
    secret_sha256 bytea NOT NULL UNIQUE CHECK (octet_length(secret_sha256) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz,
    CHECK (CASE kind WHEN 'user' THEN user_id IS NOT NULL ELSE organization_id IS NOT NULL END)
);
CREATE INDEX tokens_organization ON tokens (organization_id) WHERE organization_id IS NOT NULL;
CREATE INDEX tokens_user ON tokens (user_id) WHERE user_id IS NOT NULL;

CREATE TABLE repositories (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization_id bigint NOT NULL REFERENCES organizations ON DELETE CASCADE,
    name text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (organization_id, name)
);

-- Stored bytes, once per digest for all organizations. Access goes by repository_blobs, never by this table alone.
CREATE TABLE blobs (
    digest text COLLATE "C" PRIMARY KEY,
    -- The file, or object, that the digest points at now. A repair points it at another one.
    storage_key text COLLATE "C" NOT NULL UNIQUE,
    size_bytes bigint NOT NULL CHECK (size_bytes >= 0),
    has_pieces boolean NOT NULL,
    -- Tombstoned: its file is going to be removed; it counts as missing, and a push brings it back with another file.
    state text COLLATE "C" NOT NULL DEFAULT 'live' CHECK (state IN ('live', 'tombstoned')),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE repository_blobs (
    repository_id bigint NOT NULL REFERENCES repositories ON DELETE CASCADE,
    digest text COLLATE "C" NOT NULL REFERENCES blobs,
    linked_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (repository_id, digest)
);
-- Who still links a blob: the foreign key's check, and the collector's question.
CREATE INDEX repository_blobs_digest ON repository_blobs (digest);

CREATE TABLE upload_sessions (
    id uuid PRIMARY KEY,
    repository_id bigint NOT NULL REFERENCES repositories ON DELETE CASCADE,
    algorithm text COLLATE "C" NOT NULL CHECK (algorithm IN ('sha256', 'sha512')),
    storage_key text COLLATE "C" NOT NULL UNIQUE,
    -- Bytes that are durable, and the two running hashes as they stood there.
    offset_bytes bigint NOT NULL DEFAULT 0 CHECK (offset_bytes >= 0),
    hash_state bytea NOT NULL DEFAULT '',
    piece_state bytea NOT NULL DEFAULT '',
    state text COLLATE "C" NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'committed')),
    committed_digest text COLLATE "C",
    -- The one process that may write. All three are set or none is.
    lease_origin text COLLATE "C",
    lease_process text COLLATE "C",
    lease_expires_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((state = 'committed') = (committed_digest IS NOT NULL)),
    CHECK (num_nulls(lease_origin, lease_process, lease_expires_at) IN (0, 3))
) WITH (fillfactor = 70);  -- Rows change at each durable point; room on the page keeps the indexes out of it.
CREATE INDEX upload_sessions_repository ON upload_sessions (repository_id);

CREATE TABLE manifests (
    repository_id bigint NOT NULL REFERENCES repositories ON DELETE CASCADE,
    digest text COLLATE "C" NOT NULL,
    media_type text COLLATE "C" NOT NULL,
    -- Byte for byte as pushed.
    body bytea NOT NULL,
    artifact_type text COLLATE "C",
    -- What it points at; that may be pushed later, or never.
    subject_digest text COLLATE "C",
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (repository_id, digest)
);
CREATE INDEX manifests_subject ON manifests (repository_id, subject_digest, digest) WHERE subject_digest IS NOT NULL;

-- Everything a manifest names, there or not, in the manifest's order.
CREATE TABLE manifest_references (
    -- By itself, and not only through the manifest: then a repository's references are gone before the links are
    -- checked that they protect.
    repository_id bigint NOT NULL REFERENCES repositories ON DELETE CASCADE,
    manifest_digest text COLLATE "C" NOT NULL,
    position bigint NOT NULL,
    kind text COLLATE "C" NOT NULL CHECK (kind IN ('config', 'layer', 'child')),
    digest text COLLATE "C" NOT NULL,
    size_bytes bigint NOT NULL,
    -- The digest again if it is a blob that the repository held at the last push of the manifest; then the link cannot
    -- be removed, whatever a collector believes.
    linked_digest text COLLATE "C",
    PRIMARY KEY (repository_id, manifest_digest, position),
    FOREIGN KEY (repository_id, manifest_digest) REFERENCES manifests ON DELETE CASCADE,
    FOREIGN KEY (repository_id, linked_digest) REFERENCES repository_blobs,
    CHECK (linked_digest = digest),
    CHECK (kind <> 'child' OR linked_digest IS NULL)
);
CREATE INDEX manifest_references_digest ON manifest_references (repository_id, digest);
CREATE INDEX manifest_references_link ON manifest_references (repository_id, linked_digest)
    WHERE linked_digest IS NOT NULL;

CREATE TABLE tags (
    repository_id bigint NOT NULL,
    name text COLLATE "C" NOT NULL,
    digest text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (repository_id, name),
    -- Deleting a manifest takes its tags along.
    FOREIGN KEY (repository_id, digest) REFERENCES manifests ON DELETE CASCADE
);
CREATE INDEX tags_digest ON tags (repository_id, digest);

CREATE TABLE edges (
    id text COLLATE "C" PRIMARY KEY CHECK (id ~ '^[a-z0-9]{16}$'),
    name text COLLATE "C" NOT NULL UNIQUE,
    region text COLLATE "C" NOT NULL,
    latitude double precision CHECK (latitude BETWEEN -90 AND 90),
    longitude double precision CHECK (longitude BETWEEN -180 AND 180),
    url text COLLATE "C" NOT NULL,
    wrapped_join_secret bytea NOT NULL,
    is_enabled boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((latitude IS NULL) = (longitude IS NULL))
);

-- Secrets of the deployment, wrapped under the key file, which is never here.
CREATE TABLE wrapped_secrets (
    name text COLLATE "C" NOT NULL,
    key_id text COLLATE "C" NOT NULL,
    wrapped bytea NOT NULL,
    state text COLLATE "C" NOT NULL CHECK (state IN ('previous', 'current', 'next')),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (name, key_id)
);
-- Of origins that make the first secret at once, one wins.
CREATE UNIQUE INDEX wrapped_secrets_current ON wrapped_secrets (name) WHERE state = 'current';

CREATE TABLE origins (
    id text COLLATE "C" PRIMARY KEY,
    url text COLLATE "C" NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now()
);

-- What other origins may hold in memory and must forget, in the order of the commits.
CREATE TABLE changes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
