-- A catalogue as facehog wrote it in version 6 of the tables (sqlite3's dump).
PRAGMA user_version = 6;
BEGIN TRANSACTION;
CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num));
INSERT INTO "alembic_version" VALUES('0006');
CREATE TABLE details (
	run_id INTEGER NOT NULL, 
	stream JSON NOT NULL, 
	CONSTRAINT pk_details PRIMARY KEY (run_id), 
	CONSTRAINT fk_details_run_id FOREIGN KEY(run_id) REFERENCES runs (id)
);
INSERT INTO "details" VALUES(1,'{"codec": "h264", "width": 720, "height": 540, "n_frames": 300, "duration_s": 10.0, "path": "20211105_CSE020_plane1_cam0.mp4"}');
INSERT INTO "details" VALUES(2,'{"codec": "h264", "width": 720, "height": 540, "n_frames": 300, "duration_s": 10.0, "path": "20211105_CSE020_plane1_cam0.mp4"}');
INSERT INTO "details" VALUES(3,'{}');
INSERT INTO "details" VALUES(4,'{"codec": "h264", "width": 720, "height": 540, "n_frames": 300, "duration_s": 10.0, "path": "20211231_m 12_cam1.mp4"}');
CREATE TABLE events (
	id INTEGER NOT NULL, 
	file_id INTEGER NOT NULL, 
	run_id INTEGER, 
	at DATETIME NOT NULL, 
	state VARCHAR NOT NULL, 
	reason VARCHAR NOT NULL, 
	CONSTRAINT pk_events PRIMARY KEY (id), 
	CONSTRAINT fk_events_file_id FOREIGN KEY(file_id) REFERENCES files (id), 
	CONSTRAINT fk_events_run_id FOREIGN KEY(run_id) REFERENCES runs (id), 
	CONSTRAINT ck_events_state_is_a_fate CHECK (state IN ('waiting', 'queued', 'running', 'finished', 'failed', 'duplicate', 'quarantined'))
);
INSERT INTO "events" VALUES(1,1,NULL,'2026-11-22 01:31:57.521000','queued','has settled; waits for its run (attempt 1)');
INSERT INTO "events" VALUES(2,1,1,'2026-11-21 12:00:00.000000','running','is being described');
INSERT INTO "events" VALUES(3,1,1,'2026-11-21 12:00:00.000000','finished','300 frames are described');
INSERT INTO "events" VALUES(4,2,3,'2026-11-21 12:00:00.000000','quarantined','it is HEVC');
INSERT INTO "events" VALUES(5,3,2,'2026-11-22 01:31:57.613000','duplicate','holds the same bytes as m12.mp4');
INSERT INTO "events" VALUES(6,4,NULL,'2026-11-22 01:31:57.622000','waiting','the disk is full');
INSERT INTO "events" VALUES(7,5,NULL,'2026-11-22 01:31:57.624000','waiting','is not seen in the inbox any more; it will be taken up when it is back');
INSERT INTO "events" VALUES(8,6,NULL,'2026-11-22 01:31:57.634000','waiting','cannot be looked at, and is looked at again: Input/output error');
INSERT INTO "events" VALUES(9,7,NULL,'2026-11-22 01:31:57.636000','quarantined','what is to be done to it cannot be read: slip.facehog.toml: unknown key crp. Did you mean crop? Choose from crop.');
INSERT INTO "events" VALUES(10,8,NULL,'2026-11-22 01:31:57.639000','quarantined','short.facehog.json: it says n_frames = 9000, and short.mp4 holds 8731. Copy it again from the rig, or mend that file.');
INSERT INTO "events" VALUES(11,9,NULL,'2026-11-22 01:31:57.644000','quarantined','timed_timestamps.csv: line 4: ''lost'' is no number. Mend the file, or `timestamps` (file, column, unit), then process the recording again.');
INSERT INTO "events" VALUES(12,10,4,'2026-11-21 15:00:00.000000','running','is being described');
INSERT INTO "events" VALUES(13,10,4,'2026-11-21 15:00:00.000000','finished','300 frames are described');
INSERT INTO "events" VALUES(14,11,NULL,'2026-11-22 04:25:00.702000','waiting','is not seen in the inbox any more');
INSERT INTO "events" VALUES(15,12,NULL,'2026-11-22 04:25:00.706000','waiting','the disk is full');
CREATE TABLE "files" (
	id INTEGER NOT NULL, 
	path VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	session_id INTEGER, 
	plane VARCHAR, 
	camera VARCHAR, 
	size_bytes BIGINT NOT NULL, 
	mtime_ns BIGINT NOT NULL, 
	inode VARCHAR NOT NULL, 
	state VARCHAR NOT NULL, 
	reason VARCHAR NOT NULL, 
	first_seen_at DATETIME, 
	changed_at DATETIME NOT NULL, 
	attempt BIGINT NOT NULL, 
	flow_run_id VARCHAR, 
	run_id INTEGER, 
	not_before DATETIME, cause VARCHAR, cause_about VARCHAR CONSTRAINT ck_files_cause_is_about_something CHECK (cause_about IS NULL OR cause IS NOT NULL), 
	CONSTRAINT pk_files PRIMARY KEY (id), 
	CONSTRAINT uq_files_path UNIQUE (path), 
	CONSTRAINT fk_files_session_id FOREIGN KEY(session_id) REFERENCES sessions (id), 
	CONSTRAINT ck_files_state_is_a_fate CHECK (state IN ('waiting', 'queued', 'running', 'finished', 'failed', 'duplicate', 'quarantined')), 
	CONSTRAINT ck_files_size_bytes_is_at_least_0 CHECK (size_bytes >= 0), 
	CONSTRAINT fk_files_run_id FOREIGN KEY(run_id) REFERENCES runs (id), 
	CONSTRAINT ck_files_attempt_is_at_least_0 CHECK (attempt >= 0)
, CONSTRAINT ck_files_what_is_done_has_a_run CHECK (state NOT IN ('finished', 'duplicate') OR run_id IS NOT NULL), CONSTRAINT ck_files_only_what_waits_rests CHECK (not_before IS NULL OR state = 'waiting'));
INSERT INTO "files" VALUES(1,'/data/inbox/20211105_CSE020_plane1_cam0.mp4','20211105_CSE020_plane1_cam0.mp4',1,'1','0',1000,1700000000000000000,'9223372036854775813','finished','300 frames are described','2026-11-22 01:31:57.521000','2026-11-21 13:00:00.000000',1,'flow-1',2,NULL,NULL,NULL);
INSERT INTO "files" VALUES(2,'/data/inbox/b.mp4','b.mp4',2,NULL,NULL,1000,0,'0','quarantined','it is HEVC',NULL,'2026-11-21 12:00:00.000000',1,'flow-1',3,NULL,NULL,NULL);
INSERT INTO "files" VALUES(3,'/data/inbox/it''s a copy.mp4','it''s a copy.mp4',NULL,NULL,NULL,1000,1700000000000000000,'9223372036854775813','duplicate','holds the same bytes as m12.mp4','2026-11-22 01:31:57.613000','2026-11-22 01:31:57.613000',0,NULL,2,NULL,NULL,NULL);
INSERT INTO "files" VALUES(4,'/data/inbox/c.mp4','c.mp4',NULL,NULL,NULL,1000,1700000000000000000,'9223372036854775813','waiting','the disk is full','2026-11-22 01:31:57.622000','2026-11-22 01:31:57.622000',0,NULL,NULL,'2026-11-21 12:00:00.000000',NULL,NULL);
INSERT INTO "files" VALUES(5,'/data/inbox/gone.mp4','gone.mp4',NULL,NULL,NULL,1000,1700000000000000000,'9223372036854775813','waiting','is not seen in the inbox any more; it will be taken up when it is back','2026-11-22 01:31:57.624000','2026-11-22 01:31:57.624000',0,NULL,NULL,NULL,'vanished',NULL);
INSERT INTO "files" VALUES(6,'/data/inbox/unread.mp4','unread.mp4',NULL,NULL,NULL,1000,1700000000000000000,'9223372036854775813','waiting','cannot be looked at, and is looked at again: Input/output error','2026-11-22 01:31:57.634000','2026-11-22 01:31:57.634000',0,NULL,NULL,NULL,'unread',NULL);
INSERT INTO "files" VALUES(7,'/data/inbox/slip.mp4','slip.mp4',NULL,NULL,NULL,1000,1700000000000000000,'9223372036854775813','quarantined','what is to be done to it cannot be read: slip.facehog.toml: unknown key crp. Did you mean crop? Choose from crop.','2026-11-22 01:31:57.636000','2026-11-22 01:31:57.636000',0,NULL,NULL,NULL,'sidecar',NULL);
INSERT INTO "files" VALUES(8,'/data/inbox/short.mp4','short.mp4',NULL,NULL,NULL,1000,1700000000000000000,'9223372036854775813','quarantined','short.facehog.json: it says n_frames = 9000, and short.mp4 holds 8731. Copy it again from the rig, or mend that file.','2026-11-22 01:31:57.639000','2026-11-22 01:31:57.639000',0,NULL,NULL,NULL,'manifest','n_frames = 9000');
INSERT INTO "files" VALUES(9,'/data/inbox/timed.mp4','timed.mp4',NULL,NULL,NULL,1000,1700000000000000000,'9223372036854775813','quarantined','timed_timestamps.csv: line 4: ''lost'' is no number. Mend the file, or `timestamps` (file, column, unit), then process the recording again.','2026-11-22 01:31:57.644000','2026-11-22 01:31:57.644000',0,NULL,NULL,NULL,'timestamps','timed_timestamps.csv');
INSERT INTO "files" VALUES(10,'/data/inbox/20211231_m 12_cam1.mp4','20211231_m 12_cam1.mp4',3,NULL,NULL,1000,0,'0','finished','300 frames are described','2026-11-21 15:00:00.000000','2026-11-21 15:00:00.000000',1,'flow-1',4,NULL,NULL,NULL);
INSERT INTO "files" VALUES(11,'/data/inbox/gone again.mp4','gone again.mp4',NULL,NULL,NULL,1000,1700000000000000000,'9223372036854775813','waiting','is not seen in the inbox any more','2026-11-22 04:25:00.702000','2026-11-22 04:25:00.702000',0,NULL,NULL,NULL,'vanished',NULL);
INSERT INTO "files" VALUES(12,'/data/inbox/rests.mp4','rests.mp4',NULL,NULL,NULL,1000,1700000000000000000,'9223372036854775813','waiting','the disk is full','2026-11-22 04:25:00.706000','2026-11-22 04:25:00.706000',0,NULL,NULL,'2026-11-21 21:00:00.000000',NULL,NULL);
CREATE TABLE hosts (
	id INTEGER NOT NULL, 
	content VARCHAR NOT NULL, 
	name VARCHAR, 
	facts JSON NOT NULL, 
	CONSTRAINT pk_hosts PRIMARY KEY (id), 
	CONSTRAINT uq_hosts_content UNIQUE (content)
);
INSERT INTO "hosts" VALUES(1,'74d4657befd43f9240befda5cae7d556','rig','{"name": "rig"}');
CREATE TABLE outputs (
	run_id INTEGER NOT NULL, 
	store VARCHAR NOT NULL, 
	size_bytes BIGINT NOT NULL, 
	grey JSON NOT NULL, 
	arrays JSON NOT NULL, 
	timing JSON NOT NULL, 
	shards JSON NOT NULL, quality JSON, 
	CONSTRAINT pk_outputs PRIMARY KEY (run_id), 
	CONSTRAINT fk_outputs_run_id FOREIGN KEY(run_id) REFERENCES runs (id), 
	CONSTRAINT ck_outputs_size_bytes_is_at_least_0 CHECK (size_bytes >= 0)
);
INSERT INTO "outputs" VALUES(1,'/data/store/1f0c2a9b77d3-5e21c0aa.zarr',123456,'["luma table"]','{"descriptors": {"shape": [300, 32], "dtype": "float32", "dims": ["frame", "feature"]}}','{"source": "container"}','[{"start": 0, "stop": 300, "digest": "00000000000000000000000000000000"}]',NULL);
INSERT INTO "outputs" VALUES(2,'/data/store/aaaaaaaaaaaa-00000000.zarr',123456,'["luma table"]','{"descriptors": {"shape": [300, 32], "dtype": "float32", "dims": ["frame", "feature"]}}','{"source": "container"}','[]',NULL);
INSERT INTO "outputs" VALUES(4,'/data/store/cccccccccccc-5e21c0aa.zarr',123456,'["luma table"]','{"descriptors": {"shape": [300, 32], "dtype": "float32", "dims": ["frame", "feature"]}}','{"source": "container"}','[{"start": 0, "stop": 300, "digest": "11111111111111111111111111111111"}]','{"brightness": {"median": 80.5, "least": 0.0, "most": 99.5}, "saturated": {"median": 0.25, "least": 0.0, "most": 99.5}, "focus": {"median": 12.5, "least": 0.0, "most": 99.5}, "moved": {"median": 3.5, "least": 0.0, "most": 99.5}}');
CREATE TABLE parameters (
	id INTEGER NOT NULL, 
	content VARCHAR NOT NULL, 
	digest VARCHAR NOT NULL, 
	crop VARCHAR, 
	grey VARCHAR NOT NULL, 
	recipe JSON NOT NULL, 
	CONSTRAINT pk_parameters PRIMARY KEY (id), 
	CONSTRAINT uq_parameters_content UNIQUE (content)
);
INSERT INTO "parameters" VALUES(1,'cbae0c252749cc25cd81b0752f431a07','5e21c0aa','0,0,64,64','rgb','{"hog": {"orientations": 8}, "crop": [0, 0, 64, 64], "with_images": false}');
INSERT INTO "parameters" VALUES(2,'d17040434756710f50b7c121422397a3','00000000',NULL,'luma','{"hog": {"orientations": 9}, "crop": null, "with_images": false, "grey": "luma"}');
INSERT INTO "parameters" VALUES(3,'5cd99a996ae88f5ee736b5ca70b5561e','00000000','0,0,64,64','rgb','{"hog": {"orientations": 8}, "crop": [0, 0, 64, 64], "with_images": false}');
CREATE TABLE recordings (
	id INTEGER NOT NULL, 
	digest VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	size_bytes BIGINT NOT NULL, 
	CONSTRAINT pk_recordings PRIMARY KEY (id), 
	CONSTRAINT uq_recordings_digest UNIQUE (digest), 
	CONSTRAINT ck_recordings_size_bytes_is_at_least_0 CHECK (size_bytes >= 0)
);
INSERT INTO "recordings" VALUES(1,'1f0c2a9b77d31f0c2a9b77d3','20211105_CSE020_plane1_cam0.mp4',1000);
INSERT INTO "recordings" VALUES(2,'aaaaaaaaaaaaaaaaaaaaaaaa','20211105_CSE020_plane1_cam0.mp4',1000);
INSERT INTO "recordings" VALUES(3,'bbbbbbbbbbbbbbbbbbbbbbbb','b.mp4',1000);
INSERT INTO "recordings" VALUES(4,'cccccccccccccccccccccccc','20211231_m 12_cam1.mp4',1000);
CREATE TABLE "runs" (
	id INTEGER NOT NULL, 
	run_id VARCHAR NOT NULL, 
	file_id INTEGER NOT NULL, 
	recording_id INTEGER NOT NULL, 
	parameters_id INTEGER NOT NULL, 
	software_id INTEGER NOT NULL, 
	host_id INTEGER NOT NULL, 
	state VARCHAR NOT NULL, 
	reason VARCHAR NOT NULL, 
	changed_at DATETIME NOT NULL, 
	attempt BIGINT NOT NULL, 
	started_at DATETIME NOT NULL, 
	finished_at DATETIME, 
	flow_run_id VARCHAR, 
	n_frames BIGINT, 
	n_corrupt BIGINT, 
	n_dropped BIGINT, 
	n_warnings BIGINT NOT NULL, 
	width BIGINT, 
	height BIGINT, 
	duration_s FLOAT, brightness FLOAT CONSTRAINT ck_runs_brightness_is_a_level CHECK (brightness BETWEEN 0 AND 255), saturated FLOAT CONSTRAINT ck_runs_saturated_is_a_share CHECK (saturated BETWEEN 0 AND 1), focus FLOAT CONSTRAINT ck_runs_focus_is_at_least_0 CHECK (focus >= 0), moved FLOAT CONSTRAINT ck_runs_moved_is_at_least_0 CHECK (moved >= 0), verified_at DATETIME, verdict VARCHAR CONSTRAINT ck_runs_verdict_is_of_a_time CHECK ((verdict IS NULL) = (verified_at IS NULL)), wrong_since DATETIME CONSTRAINT ck_runs_what_is_wrong_is_so_since_a_time CHECK ((wrong_since IS NULL) = (verdict IS NULL OR verdict = 'sound')), 
	CONSTRAINT pk_runs PRIMARY KEY (id), 
	CONSTRAINT uq_runs_run_id UNIQUE (run_id), 
	CONSTRAINT ck_runs_state_is_a_fate CHECK (state IN ('waiting', 'queued', 'running', 'finished', 'failed', 'duplicate', 'quarantined')), 
	CONSTRAINT ck_runs_no_more_are_corrupt_than_there_are CHECK (n_corrupt <= n_frames), 
	CONSTRAINT fk_runs_recording_id FOREIGN KEY(recording_id) REFERENCES recordings (id), 
	CONSTRAINT ck_runs_what_is_finished_has_frames CHECK (state <> 'finished' OR n_frames IS NOT NULL), 
	CONSTRAINT ck_runs_n_corrupt_is_at_least_0 CHECK (n_corrupt >= 0), 
	CONSTRAINT ck_runs_n_warnings_is_at_least_0 CHECK (n_warnings >= 0), 
	CONSTRAINT fk_runs_file_id FOREIGN KEY(file_id) REFERENCES files (id), 
	CONSTRAINT ck_runs_attempt_is_at_least_0 CHECK (attempt >= 0), 
	CONSTRAINT fk_runs_parameters_id FOREIGN KEY(parameters_id) REFERENCES parameters (id), 
	CONSTRAINT fk_runs_host_id FOREIGN KEY(host_id) REFERENCES hosts (id), 
	CONSTRAINT ck_runs_n_frames_is_at_least_0 CHECK (n_frames >= 0), 
	CONSTRAINT ck_runs_n_dropped_is_at_least_0 CHECK (n_dropped >= 0), 
	CONSTRAINT fk_runs_software_id FOREIGN KEY(software_id) REFERENCES software (id)
, CONSTRAINT ck_runs_what_is_finished_has_ended CHECK (state <> 'finished' OR finished_at IS NOT NULL), CONSTRAINT ck_runs_none_ends_before_it_starts CHECK (finished_at >= started_at), CONSTRAINT ck_runs_verdict_is_sound_or_wrong CHECK (verdict IN ('sound', 'wrong')));
INSERT INTO "runs" VALUES(1,'1f0c2a9b77d3-5e21c0aa',1,1,1,1,1,'finished','300 frames are described','2026-11-21 12:00:00.000000',1,'2026-11-21 11:59:00.000000','2026-11-21 12:00:00.000000','flow-1',300,2,3,2,720,540,10.0,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "runs" VALUES(2,'aaaaaaaaaaaa-00000000',1,2,2,1,1,'finished','300 frames are described','2026-11-21 13:00:00.000000',1,'2026-11-21 11:59:00.000000','2026-11-21 12:00:00.000000','flow-1',300,2,3,0,720,540,10.0,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "runs" VALUES(3,'bbbbbbbbbbbb-00000000',2,3,3,1,1,'quarantined','it is HEVC','2026-11-21 12:00:00.000000',1,'2026-11-21 11:59:00.000000',NULL,'flow-1',NULL,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "runs" VALUES(4,'cccccccccccc-5e21c0aa',10,4,1,1,1,'finished','300 frames are described','2026-11-21 15:00:00.000000',1,'2026-11-21 11:59:00.000000','2026-11-21 12:00:00.000000','flow-1',300,2,3,2,720,540,10.0,80.5,0.25,12.5,3.5,'2026-11-22 17:00:00.000000','wrong','2026-11-22 17:00:00.000000');
CREATE TABLE sessions (
	id INTEGER NOT NULL, 
	subject_id INTEGER, 
	date DATE, 
	CONSTRAINT pk_sessions PRIMARY KEY (id), 
	CONSTRAINT fk_sessions_subject_id FOREIGN KEY(subject_id) REFERENCES subjects (id), 
	CONSTRAINT ck_sessions_something_is_known CHECK (subject_id IS NOT NULL OR date IS NOT NULL), 
	CONSTRAINT uq_sessions_subject_id_date UNIQUE (subject_id, date)
);
INSERT INTO "sessions" VALUES(1,1,'2021-11-05');
INSERT INTO "sessions" VALUES(2,2,'2021-12-31');
INSERT INTO "sessions" VALUES(3,2,NULL);
CREATE TABLE software (
	id INTEGER NOT NULL, 
	content VARCHAR NOT NULL, 
	facehog VARCHAR, 
	versions JSON NOT NULL, 
	CONSTRAINT pk_software PRIMARY KEY (id), 
	CONSTRAINT uq_software_content UNIQUE (content)
);
INSERT INTO "software" VALUES(1,'a1d2f17afdcdc794c17628c1f6510133',NULL,'{"av": "18.1.0"}');
CREATE TABLE subjects (
	id INTEGER NOT NULL, 
	name VARCHAR NOT NULL, 
	CONSTRAINT pk_subjects PRIMARY KEY (id), 
	CONSTRAINT uq_subjects_name UNIQUE (name), 
	CONSTRAINT ck_subjects_name_is_given CHECK (name <> '')
);
INSERT INTO "subjects" VALUES(1,'CSE020');
INSERT INTO "subjects" VALUES(2,'m 12');
CREATE TABLE verifications (
	id INTEGER NOT NULL, 
	run_id INTEGER NOT NULL, 
	at DATETIME NOT NULL, 
	is_deep BOOLEAN NOT NULL, 
	source VARCHAR NOT NULL, 
	problems JSON NOT NULL, 
	CONSTRAINT pk_verifications PRIMARY KEY (id), 
	CONSTRAINT fk_verifications_run_id FOREIGN KEY(run_id) REFERENCES runs (id), 
	CONSTRAINT uq_verifications_run_id_at UNIQUE (run_id, at)
);
INSERT INTO "verifications" VALUES(1,4,'2026-11-21 17:00:00.000000',0,'unchanged','[]');
INSERT INTO "verifications" VALUES(2,4,'2026-11-22 17:00:00.000000',1,'unchanged','["frames 0-300: other values are read than were computed"]');
CREATE TABLE warnings (
	run_id INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	text VARCHAR NOT NULL, 
	CONSTRAINT pk_warnings PRIMARY KEY (run_id, number), 
	CONSTRAINT fk_warnings_run_id FOREIGN KEY(run_id) REFERENCES runs (id)
);
INSERT INTO "warnings" VALUES(1,0,'2 of 300 frames are corrupt.');
INSERT INTO "warnings" VALUES(1,1,'3 frames are dropped.');
INSERT INTO "warnings" VALUES(4,0,'2 of 300 frames are corrupt.');
INSERT INTO "warnings" VALUES(4,1,'3 frames are dropped.');
CREATE INDEX ix_parameters_crop ON parameters (crop);
CREATE INDEX ix_parameters_digest ON parameters (digest);
CREATE UNIQUE INDEX uq_sessions_subject_id_alone ON sessions (subject_id) WHERE date IS NULL;
CREATE UNIQUE INDEX uq_sessions_date_alone ON sessions (date) WHERE subject_id IS NULL;
CREATE INDEX ix_events_file_id ON events (file_id);
CREATE INDEX ix_events_run_id ON events (run_id);
CREATE INDEX ix_files_state_changed_at ON files (state, changed_at);
CREATE INDEX ix_files_changed_at ON files (changed_at);
CREATE INDEX ix_files_name ON files (name);
CREATE INDEX ix_files_session_id ON files (session_id);
CREATE INDEX ix_runs_changed_at ON runs (changed_at);
CREATE INDEX ix_runs_state_changed_at ON runs (state, changed_at);
CREATE INDEX ix_runs_recording_id ON runs (recording_id);
CREATE INDEX ix_runs_file_id ON runs (file_id);
CREATE INDEX ix_runs_verified_at ON runs (verified_at);
CREATE INDEX ix_runs_wrong_since ON runs (wrong_since) WHERE wrong_since IS NOT NULL;
CREATE INDEX ix_runs_figures ON runs (parameters_id, n_frames, n_corrupt, n_dropped, n_warnings, brightness, saturated, focus, moved);
CREATE INDEX ix_files_run_id_state ON files (run_id, state);
COMMIT;
