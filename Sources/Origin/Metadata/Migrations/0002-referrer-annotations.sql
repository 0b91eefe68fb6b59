-- SPDX-License-Identifier: Apache-2.0
--
-- Of a manifest with a subject that has any: a JSON object, for the list of the subject's referrers.

ALTER TABLE manifests ADD COLUMN annotations bytea;

UPDATE manifests SET annotations = convert_to((convert_from(body, 'UTF8')::jsonb -> 'annotations')::text, 'UTF8')
WHERE subject_digest IS NOT NULL
    AND jsonb_typeof(convert_from(body, 'UTF8')::jsonb -> 'annotations') = 'object'
    AND convert_from(body, 'UTF8')::jsonb -> 'annotations' <> '{}';
