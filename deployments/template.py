"""The configuration that `facehog init` writes, every key explained."""

from __future__ import annotations

TEMPLATE = """\
# facehog: which recordings are processed, how, and where the results go.
# Relative paths start from the folder of this file. Each value can also be set in the environment:
# FACEHOG_STORE=/data/store, FACEHOG_HOG__ORIENTATIONS=9, FACEHOG_INBOX='[{"path": "/data/inbox"}]'.

store = "store"                              # where <recording stem>/<run id>.zarr go
catalogue = "sqlite:///catalogue.db"         # on a disk of this machine, not on a share; for more than one machine
                                             # "postgresql://user@host/name" (its password in ~/.pgpass)
keep_partial_days = 30                       # what is half done and no run goes on with is removed after so many days
images = false                               # write HOG pictures too (large; they can be rendered at any time)

[[inbox]]                                    # repeat this table for each folder in which recordings land
path = "inbox"
patterns = ["*.mp4", "*.mov", "*.mkv", "*.avi", "*.ts", "*.m2ts", "*.flv", "*.h264"]
# Add "*.png", "*.jpg" or "*.tif", and each sub-folder of numbered images is a recording too.
settle_s = 10                                # seconds that a file or folder must stand still before it is taken up
# depth = 1                                  # levels of sub-folders that are searched; left out: all
# ready = "{stem}.done"                      # a recording is taken up once this file lies beside it
priority = 0                                 # recordings of the inbox with the highest number come first
# crop = [53, 22, 916, 475]                  # x, y, width, height in pixels; left out: the whole frame
# reference = "face.png"                     # a frame saved as a picture: where the face should lie; left out: none
grey = "rgb"                                 # the grey of RGB, as in 2020; "luma": Y as it is stored
downsample = 1                               # 2: the mean of 2 x 2 pixels of the crop is one pixel
masks = []                                   # what has no say, in pixels of the whole frame, such as
                                             # [{ box = [600, 400, 80, 60] }, { polygon = [[0, 0], [90, 0], [0, 70]] }]
apply_rotation = false                       # true: turn frames as the file asks for, before crop and masks
# frames = [0, 9000]                         # the first, and the one after the last; left out: all
# seconds = [60, 360]                        # instead of frames, by their times: from 60 s on, before 360 s
every = 1                                    # 10: every tenth frame of those
max_corrupt = 0.05                           # with more damaged or missing frames than this share it is quarantined
# keep_bits = 10                             # round values to so many bits, as float16 does; left out: float32 as it is
# stream = 0                                 # number of the video stream; left out: the best one
# frame_rate = 30                            # of raw .h264 and of images, which are not timed; also "30000/1001"
# The time of each frame, one a line, where the rig writes it beside the recording. {stem} is its name without ".mp4";
# column: a name, or a number from 1 on, and not needed where there is one alone; unit: s, ms, us or ns.
# timestamps = { file = "{stem}_timestamps.csv", column = "time", unit = "s" }
# A file m12_cam0.facehog.toml (or .json) beside m12_cam0.mp4 sets these keys, from crop on, for that recording alone;
# also size_bytes, n_frames and digest ("sha256:9f86..."), which are checked, and subject, session_date, plane and
# camera. Otherwise these four are read from the name, such as 20211105_CSE020_plane1.mp4:
# name_pattern = '(?P<subject>[^_]+)_(?P<date>\\d{8})_cam(?P<camera>\\d)'    # or year, month and day instead of date
# [inbox.crops]                              # crops by name, instead of the inbox's; the first that matches counts
# "*m12*" = [60, 30, 916, 475]

[hog]                                        # Dolensek et al. 2020, doi 10.1126/science.aaz9468
orientations = 8
pixels_per_cell = [32, 32]                   # rows, columns
cells_per_block = [1, 1]                     # rows, columns
block_norm = "L2-Hys"                        # L1, L1-sqrt, L2 or L2-Hys
transform_sqrt = true

[dask]
n_workers = "auto"                           # worker processes, with one thread each; "auto": one for each core
# host = "192.168.0.5"                       # lets workers of other machines join, over TLS; see docs/service.md
# scheduler = "tcp://host:8786"              # a Dask cluster that runs already, or its scheduler file. Start its
                                             # workers with --nthreads 1: a decoder that crashes ends its whole process

[prefect]
port = 4200                                  # of the server that `facehog up` starts; 0: a free one
# host = "0.0.0.0"                           # others in the network may look, too; needs auth_string
# auth_string = "user:password"              # a secret: better FACEHOG_PREFECT__AUTH_STRING
# api_url = "http://127.0.0.1:4200/api"      # a Prefect server that runs already
max_runs = 4                                 # recordings that are processed at once; they share the workers
runner = true                                # false: a worker of yours runs what `facehog prefect` prints

[sensor]
interval_s = 10                              # seconds between two looks at the inboxes

# Who is told when a recording is quarantined or has failed for good; `facehog notify` tries it. These are secrets:
# better set in the environment (FACEHOG_NOTIFY__SLACK=...), or let nobody else read this file.
# [notify]
# slack = "https://hooks.slack.com/services/..."
# webhook = "https://example.org/facehog"    # is sent {"subject": ..., "body": ...}
# mail = "mailtos://user:password@smtp.example.org?from=facehog@example.org&to=me@example.org"

[health]
port = 0                                     # of http://127.0.0.1:PORT/health; 0: a free one, as `facehog status` says
"""
