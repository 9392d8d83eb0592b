-- The first catalog. doc.go explains tables and columns; times are nanoseconds since 1970 UTC (0: not yet), sizes bytes.

-- +goose Up
CREATE TABLE runs (
    stamp       text   PRIMARY KEY,
    command     text   NOT NULL,
    started     bigint NOT NULL,
    ended       bigint NOT NULL,
    exit_status bigint NOT NULL,
    pid         bigint NOT NULL
);

CREATE TABLE events (
    run  text   NOT NULL REFERENCES runs (stamp),
    seq  bigint NOT NULL,
    at   bigint NOT NULL,
    kind text   NOT NULL,
    vm   text   NOT NULL,
    disk text   NOT NULL,
    body text   NOT NULL,
    PRIMARY KEY (run, seq)
);

-- One progress line for each running dump, whatever a crash or a second writer does.
CREATE UNIQUE INDEX events_progress ON events (run, vm, disk) WHERE kind = 'dump-progress';

CREATE TABLE dumps (
    id            text   PRIMARY KEY,
    vm            text   NOT NULL,
    disk          text   NOT NULL,
    stamp         text   NOT NULL,
    level         bigint NOT NULL,
    base          text   NOT NULL,
    status        text   NOT NULL,
    image_bytes   bigint NOT NULL,
    orig_bytes    bigint NOT NULL,
    native_crc    bigint NOT NULL,
    stored_bytes  bigint NOT NULL,
    stored_crc    bigint NOT NULL,
    changed_bytes bigint NOT NULL,
    program       text   NOT NULL,
    compress      text   NOT NULL,
    encrypt       text   NOT NULL,
    map_digest    text   NOT NULL,
    identity      text   NOT NULL,
    started       bigint NOT NULL,
    ended         bigint NOT NULL,
    messages      text   NOT NULL
);

CREATE INDEX dumps_dle ON dumps (vm, disk, stamp);
CREATE INDEX dumps_stamp ON dumps (stamp);
CREATE INDEX dumps_base ON dumps (base);

CREATE TABLE holding_chunks (
    dump       text   NOT NULL REFERENCES dumps (id),
    chunk      bigint NOT NULL,
    path       text   NOT NULL,
    bytes      bigint NOT NULL,
    crc        bigint NOT NULL,
    header_crc bigint NOT NULL,
    PRIMARY KEY (dump, chunk)
);

CREATE TABLE volumes (
    label       text    PRIMARY KEY,
    storage     text    NOT NULL,
    slot        text    NOT NULL,
    write_stamp text    NOT NULL,
    bytes       bigint  NOT NULL,
    files       bigint  NOT NULL,
    header_crc  bigint  NOT NULL,
    no_reuse    boolean NOT NULL,
    retired     boolean NOT NULL,
    seen        bigint  NOT NULL
);

CREATE TABLE copies (
    dump        text NOT NULL REFERENCES dumps (id),
    storage     text NOT NULL,
    write_stamp text NOT NULL,
    status      text NOT NULL,
    PRIMARY KEY (dump, storage, write_stamp)
);

CREATE TABLE parts (
    dump          text   NOT NULL,
    storage       text   NOT NULL,
    write_stamp   text   NOT NULL,
    part          bigint NOT NULL,
    label         text   NOT NULL REFERENCES volumes (label),
    file          bigint NOT NULL,
    stream_offset bigint NOT NULL,
    bytes         bigint NOT NULL,
    crc           bigint NOT NULL,
    header_crc    bigint NOT NULL,
    PRIMARY KEY (dump, storage, write_stamp, part),
    FOREIGN KEY (dump, storage, write_stamp) REFERENCES copies (dump, storage, write_stamp),
    -- A file of a volume holds one part: recording a second one there would mean that a recorded part was overwritten.
    UNIQUE (label, file)
);

CREATE TABLE forces (
    vm      text   NOT NULL,
    disk    text   NOT NULL,
    command text   NOT NULL,
    set_at  bigint NOT NULL,
    PRIMARY KEY (vm, disk)
);

CREATE TABLE resources (
    id   text   PRIMARY KEY,
    run  text   NOT NULL,
    kind text   NOT NULL,
    name text   NOT NULL,
    data text   NOT NULL,
    made bigint NOT NULL
);

-- The dumps that can be restored: usable, wholly on volumes or on the holding disk, and so is every dump below them.
CREATE VIEW restorable AS
WITH RECURSIVE
    placed (id, base) AS (
        SELECT id, base FROM dumps
        WHERE status IN ('ok', 'strange')
          AND (EXISTS (SELECT 1 FROM copies WHERE copies.dump = dumps.id AND copies.status IN ('ok', 'strange'))
            OR EXISTS (SELECT 1 FROM holding_chunks WHERE holding_chunks.dump = dumps.id))
    ),
    chain (id) AS (
        SELECT id FROM placed WHERE base = ''
        UNION
        SELECT placed.id FROM placed JOIN chain ON placed.base = chain.id
    )
SELECT id FROM chain;
