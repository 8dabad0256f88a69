-- A catalogue as facehog wrote it in version 1 of the tables (sqlite3's dump).
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE events (
	id INTEGER NOT NULL,
	file_id INTEGER NOT NULL,
	at DATETIME NOT NULL,
	state VARCHAR NOT NULL,
	reason VARCHAR NOT NULL,
	PRIMARY KEY (id),
	FOREIGN KEY(file_id) REFERENCES files (id)
);
INSERT INTO "events" VALUES(1,1,'2026-11-21 12:00:00.000000','running','is being read');
INSERT INTO "events" VALUES(2,1,'2026-11-21 12:00:00.000000','running','is being described');
INSERT INTO "events" VALUES(3,1,'2026-11-21 12:00:00.000000','finished','300 frames are described');
INSERT INTO "events" VALUES(4,2,'2026-11-21 12:00:01.000000','duplicate','holds the same bytes as m12.mp4');
INSERT INTO "events" VALUES(5,3,'2026-11-21 12:00:00.000000','quarantined','it is HEVC');
INSERT INTO "events" VALUES(6,4,'2026-11-21 12:00:02.000000','waiting','is new');
CREATE TABLE files (
	id INTEGER NOT NULL,
	path VARCHAR NOT NULL,
	size_bytes BIGINT NOT NULL,
	mtime_ns BIGINT NOT NULL,
	inode VARCHAR NOT NULL,
	state VARCHAR NOT NULL,
	reason VARCHAR NOT NULL,
	first_seen_at DATETIME NOT NULL,
	changed_at DATETIME NOT NULL,
	attempt BIGINT NOT NULL,
	flow_run_id VARCHAR,
	run_id VARCHAR,
	not_before DATETIME,
	PRIMARY KEY (id),
	CONSTRAINT state_is_a_fate CHECK (state IN ('waiting', 'queued', 'running', 'finished', 'failed', 'duplicate', 'quarantined')),
	UNIQUE (path),
	FOREIGN KEY(run_id) REFERENCES runs (run_id)
);
INSERT INTO "files" VALUES(1,'/data/inbox/m12.mp4',1000,1700000000000000000,'9223372036854775813','finished','300 frames are described','2026-11-21 12:00:00.000000','2026-11-21 12:00:00.000000',1,NULL,'1f0c2a9b77d3-5e21c0aa',NULL);
INSERT INTO "files" VALUES(2,'/data/inbox/copy.mp4',1000,1700000000000000000,'9223372036854775813','duplicate','holds the same bytes as m12.mp4','2026-11-21 12:00:01.000000','2026-11-21 12:00:01.000000',1,NULL,'1f0c2a9b77d3-5e21c0aa',NULL);
INSERT INTO "files" VALUES(3,'/data/inbox/hevc.mp4',1000,0,'0','quarantined','it is HEVC','2026-11-21 12:00:00.000000','2026-11-21 12:00:00.000000',1,'flow-1','aaaaaaaaaaaa-00000000',NULL);
INSERT INTO "files" VALUES(4,'/data/inbox/new.mp4',1000,1700000000000000000,'9223372036854775813','waiting','is new','2026-11-21 12:00:02.000000','2026-11-21 12:00:02.000000',0,NULL,NULL,NULL);
CREATE TABLE outputs (
	run_id VARCHAR NOT NULL,
	store VARCHAR NOT NULL,
	size_bytes BIGINT NOT NULL,
	n_frames BIGINT NOT NULL,
	n_corrupt BIGINT NOT NULL,
	grey JSON NOT NULL,
	arrays JSON NOT NULL,
	PRIMARY KEY (run_id),
	FOREIGN KEY(run_id) REFERENCES runs (run_id)
);
INSERT INTO "outputs" VALUES('1f0c2a9b77d3-5e21c0aa','/data/store/1f0c2a9b77d3-5e21c0aa.zarr',123456,300,2,'["luma table"]','{"descriptors": {"shape": [300, 32], "dtype": "float32", "dims": ["frame", "feature"]}}');
CREATE TABLE recordings (
	digest VARCHAR NOT NULL,
	name VARCHAR NOT NULL,
	size_bytes BIGINT NOT NULL,
	codec VARCHAR,
	width BIGINT,
	height BIGINT,
	n_frames BIGINT,
	duration_s FLOAT,
	stream JSON NOT NULL,
	PRIMARY KEY (digest)
);
INSERT INTO "recordings" VALUES('1f0c2a9b77d31f0c2a9b77d3','m12.mp4',1000,'h264',720,540,300,10.0,'{"codec": "h264", "width": 720, "height": 540, "n_frames": 300, "duration_s": 10.0, "path": "m12.mp4"}');
INSERT INTO "recordings" VALUES('aaaaaaaaaaaaaaaaaaaaaaaa','hevc.mp4',1000,NULL,NULL,NULL,NULL,NULL,'{}');
CREATE TABLE runs (
	run_id VARCHAR NOT NULL,
	digest VARCHAR NOT NULL,
	path VARCHAR NOT NULL,
	state VARCHAR NOT NULL,
	reason VARCHAR NOT NULL,
	changed_at DATETIME NOT NULL,
	attempt BIGINT NOT NULL,
	recipe JSON NOT NULL,
	software JSON NOT NULL,
	host JSON NOT NULL,
	started_at DATETIME NOT NULL,
	finished_at DATETIME,
	flow_run_id VARCHAR,
	PRIMARY KEY (run_id),
	CONSTRAINT state_is_a_fate CHECK (state IN ('waiting', 'queued', 'running', 'finished', 'failed', 'duplicate', 'quarantined')),
	FOREIGN KEY(digest) REFERENCES recordings (digest)
);
INSERT INTO "runs" VALUES('1f0c2a9b77d3-5e21c0aa','1f0c2a9b77d31f0c2a9b77d3','/data/inbox/m12.mp4','finished','300 frames are described','2026-11-21 12:00:00.000000',1,'{"hog": {"orientations": 8}, "crop": [0, 0, 64, 64], "with_images": false}','{"av": "18.1.0"}','{"name": "rig"}','2026-11-21 11:59:00.000000','2026-11-21 12:00:00.000000','flow-1');
INSERT INTO "runs" VALUES('aaaaaaaaaaaa-00000000','aaaaaaaaaaaaaaaaaaaaaaaa','/data/inbox/hevc.mp4','quarantined','it is HEVC','2026-11-21 12:00:00.000000',1,'{"hog": {"orientations": 8}, "crop": [0, 0, 64, 64], "with_images": false}','{"av": "18.1.0"}','{"name": "rig"}','2026-11-21 11:59:00.000000','2026-11-21 12:00:00.000000','flow-1');
CREATE INDEX ix_runs_digest ON runs (digest);
CREATE INDEX ix_runs_state ON runs (state);
CREATE INDEX ix_files_state ON files (state);
CREATE INDEX ix_files_run_id ON files (run_id);
CREATE INDEX ix_events_file_id ON events (file_id);
COMMIT;
