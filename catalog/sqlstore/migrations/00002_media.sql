-- Storages of many kinds: copies still to be made, legal holds, members of parity sets that lag behind, object locks.

-- +goose Up
CREATE TABLE wanted_copies (
    dump    text   NOT NULL REFERENCES dumps (id),
    storage text   NOT NULL,
    due     bigint NOT NULL,
    PRIMARY KEY (dump, storage)
);

ALTER TABLE dumps ADD COLUMN hold text NOT NULL DEFAULT '';
ALTER TABLE volumes ADD COLUMN degraded text NOT NULL DEFAULT '[]';
ALTER TABLE volumes ADD COLUMN locked_until bigint NOT NULL DEFAULT 0;
