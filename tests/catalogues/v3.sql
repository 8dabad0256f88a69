-- A catalogue as facehog wrote it in version 3 of the tables (sqlite3's dump).
PRAGMA user_version = 3;
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
INSERT INTO "events" VALUES(1,1,'2026-11-21 14:00:00.000000','waiting','is new');
INSERT INTO "events" VALUES(2,1,'2026-11-21 14:00:01.000000','queued','has settled; waits for its run (attempt 1)');
INSERT INTO "events" VALUES(3,1,'2026-11-21 11:59:00.000000','running','is being described');
INSERT INTO "events" VALUES(4,1,'2026-11-21 12:00:00.000000','finished','300 frames are described');
INSERT INTO "events" VALUES(5,2,'2026-11-21 14:00:02.000000','duplicate','holds the same bytes as m12.mp4');
INSERT INTO "events" VALUES(6,3,'2026-11-21 12:00:00.000000','quarantined','it is HEVC');
INSERT INTO "events" VALUES(7,4,'2026-11-21 12:00:00.000000','running','is being described');
INSERT INTO "events" VALUES(8,5,'2026-11-21 12:00:00.000000','failed','disk I/O error');
INSERT INTO "events" VALUES(9,6,'2026-11-21 14:00:03.000000','waiting','the disk is full');
INSERT INTO "events" VALUES(10,7,'2026-11-21 14:00:04.000000','queued','has settled; waits for its run (attempt 1)');
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
INSERT INTO "files" VALUES(1,'/data/inbox/m12.mp4',1000,1700000000000000000,'9223372036854775813','finished','300 frames are described','2026-11-21 14:00:00.000000','2026-11-21 12:00:00.000000',1,'flow-1','1f0c2a9b77d3-5e21c0aa',NULL);
INSERT INTO "files" VALUES(2,'/data/inbox/copy.mp4',1000,1700000000000000000,'9223372036854775813','duplicate','holds the same bytes as m12.mp4','2026-11-21 14:00:02.000000','2026-11-21 14:00:02.000000',1,NULL,'1f0c2a9b77d3-5e21c0aa',NULL);
INSERT INTO "files" VALUES(3,'/data/inbox/hevc.mp4',1000,0,'0','quarantined','it is HEVC','2026-11-21 12:00:00.000000','2026-11-21 12:00:00.000000',1,'flow-1','aaaaaaaaaaaa-00000000',NULL);
INSERT INTO "files" VALUES(4,'/data/inbox/going.mp4',1000,0,'0','running','is being described','2026-11-21 12:00:00.000000','2026-11-21 12:00:00.000000',1,'flow-2','bbbbbbbbbbbb-00000000',NULL);
INSERT INTO "files" VALUES(5,'/data/inbox/died.mp4',1000,0,'0','failed','disk I/O error','2026-11-21 12:00:00.000000','2026-11-21 12:00:00.000000',1,'flow-1','cccccccccccc-00000000',NULL);
INSERT INTO "files" VALUES(6,'/data/inbox/it''s, "quoted".mp4',1000,1700000000000000000,'9223372036854775813','waiting','the disk is full','2026-11-21 14:00:03.000000','2026-11-21 14:00:03.000000',0,NULL,NULL,'2026-11-22 12:00:00.000000');
INSERT INTO "files" VALUES(7,'/data/inbox/next.mp4',1000,1700000000000000000,'9223372036854775813','queued','has settled; waits for its run (attempt 1)','2026-11-21 14:00:04.000000','2026-11-21 14:00:04.000000',1,'flow-3',NULL,NULL);
CREATE TABLE outputs (
	run_id VARCHAR NOT NULL,
	store VARCHAR NOT NULL,
	size_bytes BIGINT NOT NULL,
	n_frames BIGINT NOT NULL,
	n_corrupt BIGINT NOT NULL,
	n_dropped BIGINT,
	grey JSON NOT NULL,
	arrays JSON NOT NULL,
	timing JSON DEFAULT '{}' NOT NULL,
	PRIMARY KEY (run_id),
	FOREIGN KEY(run_id) REFERENCES runs (run_id)
);
INSERT INTO "outputs" VALUES('1f0c2a9b77d3-5e21c0aa','/data/store/1f0c2a9b77d3-5e21c0aa.zarr',123456,300,2,3,'["luma table"]','{"descriptors": {"shape": [300, 32], "dtype": "float32", "dims": ["frame", "feature"]}}','{"source": "container"}');
INSERT INTO "outputs" VALUES('1f0c2a9b77d3-11111111','/data/store/1f0c2a9b77d3-11111111.zarr',123456,300,2,NULL,'["luma table"]','{"descriptors": {"shape": [300, 32], "dtype": "float32", "dims": ["frame", "feature"]}}','{"source": "container"}');
CREATE TABLE recordings (
	digest VARCHAR NOT NULL,
	name VARCHAR NOT NULL,
	size_bytes BIGINT NOT NULL,
	PRIMARY KEY (digest)
);
INSERT INTO "recordings" VALUES('1f0c2a9b77d31f0c2a9b77d3','m12.mp4',1000);
INSERT INTO "recordings" VALUES('aaaaaaaaaaaaaaaaaaaaaaaa','hevc.mp4',1000);
INSERT INTO "recordings" VALUES('bbbbbbbbbbbbbbbbbbbbbbbb','going.mp4',1000);
INSERT INTO "recordings" VALUES('cccccccccccccccccccccccc','died.mp4',1000);
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
	warnings JSON DEFAULT '[]' NOT NULL,
	stream JSON DEFAULT '{}' NOT NULL,
	PRIMARY KEY (run_id),
	CONSTRAINT state_is_a_fate CHECK (state IN ('waiting', 'queued', 'running', 'finished', 'failed', 'duplicate', 'quarantined')),
	FOREIGN KEY(digest) REFERENCES recordings (digest)
);
INSERT INTO "runs" VALUES('1f0c2a9b77d3-5e21c0aa','1f0c2a9b77d31f0c2a9b77d3','/data/inbox/m12.mp4','finished','300 frames are described','2026-11-21 12:00:00.000000',1,'{"hog": {"orientations": 8}, "crop": [0, 0, 64, 64], "with_images": false}','{"av": "18.1.0"}','{"name": "rig"}','2026-11-21 11:59:00.000000','2026-11-21 12:00:00.000000','flow-1','["2 of 300 frames are corrupt.", "3 frames are dropped."]','{"codec": "h264", "width": 720, "height": 540, "n_frames": 300, "duration_s": 10.0, "path": "m12.mp4"}');
INSERT INTO "runs" VALUES('1f0c2a9b77d3-11111111','1f0c2a9b77d31f0c2a9b77d3','/data/inbox/m12.mp4','finished','300 frames are described','2026-11-21 11:00:00.000000',1,'{"hog": {"orientations": 8}, "crop": [0, 0, 64, 64], "with_images": false}','{"av": "18.1.0"}','{"name": "rig"}','2026-11-21 11:59:00.000000','2026-11-21 12:00:00.000000','flow-1','[]','{"codec": "h264", "width": 720, "height": 540, "n_frames": 300, "duration_s": 10.0, "path": "m12.mp4", "stream_index": 1}');
INSERT INTO "runs" VALUES('aaaaaaaaaaaa-00000000','aaaaaaaaaaaaaaaaaaaaaaaa','/data/inbox/hevc.mp4','quarantined','it is HEVC','2026-11-21 12:00:00.000000',1,'{"hog": {"orientations": 8}, "crop": [0, 0, 64, 64], "with_images": false}','{"av": "18.1.0"}','{"name": "rig"}','2026-11-21 11:59:00.000000','2026-11-21 12:00:00.000000','flow-1','[]','{}');
INSERT INTO "runs" VALUES('bbbbbbbbbbbb-00000000','bbbbbbbbbbbbbbbbbbbbbbbb','/data/inbox/going.mp4','running','is being described','2026-11-21 12:00:00.000000',1,'{"hog": {"orientations": 8}, "crop": [0, 0, 64, 64], "with_images": false}','{"av": "18.1.0"}','{"name": "rig"}','2026-11-21 11:59:00.000000',NULL,'flow-2','[]','{"codec": "h264", "width": 720, "height": 540, "n_frames": 300, "duration_s": 10.0, "path": "going.mp4"}');
INSERT INTO "runs" VALUES('cccccccccccc-00000000','cccccccccccccccccccccccc','/data/inbox/died.mp4','failed','disk I/O error','2026-11-21 12:00:00.000000',1,'{"hog": {"orientations": 8}, "crop": [0, 0, 64, 64], "with_images": false}','{"av": "18.1.0"}','{"name": "rig"}','2026-11-21 11:59:00.000000','2026-11-21 12:00:00.000000','flow-1','[]','{"codec": "h264", "width": 720, "height": 540, "n_frames": 300, "duration_s": 10.0, "path": "died.mp4"}');
CREATE INDEX ix_runs_state ON runs (state);
CREATE INDEX ix_runs_digest ON runs (digest);
CREATE INDEX ix_files_state ON files (state);
CREATE INDEX ix_files_run_id ON files (run_id);
CREATE INDEX ix_events_file_id ON events (file_id);
COMMIT;
