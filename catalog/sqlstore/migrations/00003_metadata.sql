-- Self-describing media: the documents that sources give with dumps, and where the catalog records of the runs lie.

-- +goose Up
CREATE TABLE dump_metadata (
    dump     text  NOT NULL REFERENCES dumps (id),
    name     text  NOT NULL,
    document bytea NOT NULL,
    PRIMARY KEY (dump, name)
);

CREATE TABLE records (
    run           text   NOT NULL,
    storage       text   NOT NULL,
    part          bigint NOT NULL,
    dump          text   NOT NULL,
    label         text   NOT NULL REFERENCES volumes (label),
    file          bigint NOT NULL,
    stream_offset bigint NOT NULL,
    bytes         bigint NOT NULL,
    crc           bigint NOT NULL,
    header_crc    bigint NOT NULL,
    PRIMARY KEY (run, storage, part)
);
