"""Which kind of file system a folder lives on."""

from __future__ import annotations

import os
from pathlib import Path

import psutil

# As the operating systems name them. SQLite's locks cannot be trusted there, and inotify is silent for
# what other machines write.
NETWORK = frozenset(
    {
        "nfs", "nfs3", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "afpfs", "afs", "webdav", "davfs",
        "9p", "ceph", "glusterfs", "lustre", "beegfs", "gpfs", "orangefs", "ncpfs", "pvfs2", "panfs", "gfs2", "ocfs2",
        "wekafs", "virtiofs", "vboxsf", "prl_fs", "drvfs", "remote",
        "fuse.sshfs", "fuse.davfs2", "fuse.davfs", "fuse.rclone", "fuse.glusterfs", "fuse.ceph", "fuse.s3fs",
        "fuse.gcsfuse", "fuse.juicefs", "fuse.mfs", "fuse.vmhgfs-fuse", "fuse.smbnetfs", "fuse.curlftpfs",
        "fuse.gvfsd-fuse", "fuse.seaweedfs", "fuse.goofys",
    }
)  # fmt: skip
# Those that are no share, but give a file another inode each time that it is looked up, or mounted.
_WITHOUT_INODES = frozenset({"vfat", "msdos", "exfat", "fat32", "fuse", "macfuse"})


def name_filesystem(path: str | os.PathLike[str]) -> str:
    """Return the kind of file system that a path lives on, in lower case.

    Parameters
    ----------
    path : str or path-like
        It need not exist. Symbolic links are followed.

    Returns
    -------
    str
        ``"ext4"``, ``"nfs4"``, ``"ntfs"``, ...; ``"remote"`` for a network drive of Windows; ``"unknown"``
        where the system does not say.
    """
    real = Path(path).resolve()
    if real.drive.startswith("\\\\"):
        return "remote"
    mounts = [mount for mount in psutil.disk_partitions(all=True) if real.is_relative_to(mount.mountpoint)]
    if not mounts:
        return "unknown"
    # The last of equal ones is what was mounted over the others.
    nearest = max(enumerate(mounts), key=lambda item: (len(Path(item[1].mountpoint).parts), item[0]))[1]
    return "remote" if "remote" in nearest.opts.split(",") else (nearest.fstype.lower() or "unknown")


def is_network(kind: str) -> bool:
    """Say whether a kind of file system is shared over a network."""
    return kind in NETWORK


def keeps_inodes(kind: str) -> bool:
    """Say whether a file has the same inode as long as it is there, also when its disk is mounted anew.

    Of shares one cannot know: clients of SMB and FUSE make numbers up, and NFS servers restore from backups.
    """
    return not (is_network(kind) or kind in _WITHOUT_INODES or kind.startswith("fuse."))
