"""What several options say together. A command gets each of these as one argument (`gathered`, in cli.options)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.cli.terminal import find_lab
from labctl.errors import UsageError
from labctl.lab import Overrides

if TYPE_CHECKING:
    from labctl.blueprint.record import Request
    from labctl.blueprint.running_lab import Running
    from labctl.engine.client import Engine
    from labctl.images.builder import Options
    from labctl.patch import Patch
    from labctl.scenario.runner import RunOptions


@dataclass(frozen=True)
class Which:
    """The lab that is meant: by its name, by its file, or the only one that there is."""

    name: str | None
    file: str | None = None

    def name_in(self, engine: Engine, *, remnants: bool = False) -> str | None:
        """Its name; None if there is no lab at all.

        With `remnants` a lab of which a network alone is left counts too, if there is no other. Raises UsageError.
        """
        from labctl.cluster import lifecycle
        from labctl.names import check_lab_name

        if self.name is not None:
            check_lab_name(self.name)
            return self.name
        if self.file is not None:
            return find_lab(self.file, Overrides())[0].name
        known = lifecycle.names(engine) or (lifecycle.remnants(engine) if remnants else [])
        if len(known) > 1:
            raise UsageError(f"which lab? These are here: {', '.join(known)}", "--name NAME, or --all where that fits")
        return known[0] if known else None

    def load(self, engine: Engine) -> Running:
        """The lab as Docker holds it. Raises UsageError, LabError."""
        from labctl.cluster import lifecycle

        return lifecycle.load(engine, self.name_in(engine))


@dataclass(frozen=True)
class Making:
    """How images are made. `image` is a node's that was built elsewhere, `patch` the paths of patches and folders,
    `source` a working tree of Asterisk's source."""

    mirror: str
    refresh: bool
    insecure: bool
    image: str | None
    patch: tuple[str, ...]
    source: str | None = None

    @property
    def changed(self) -> bool:
        """Whether nodes are to run anything but Asterisk as it comes."""
        return any(self.patch) or bool(self.source)

    def options(self, kept: Request | None = None) -> Options:
        """The same, with all patches read.

        What flags leave open is as in `kept`, what a lab was made with before; an empty `--patch` takes its patches
        away. Raises UsageError for a patch that is none, and for one that could not be kept.
        """
        from labctl.images.builder import Options

        if kept is None:
            return Options(self.mirror, self.refresh, self._patches(), self.insecure)
        as_kept = not self.patch and not self.source
        if as_kept and kept.lost_patches:
            lost = ", ".join(kept.lost_patches)
            raise UsageError(f"the lab was made with patches too large to stay with it: {lost}", "--patch them again")
        patches = kept.patches if as_kept else self._patches()
        return Options(self.mirror or kept.mirror, self.refresh, patches, self.insecure or kept.insecure)

    def _patches(self) -> tuple[Patch, ...]:
        from labctl.images.working_tree import read_change
        from labctl.labfile.patch_files import read_patches

        if self.source and any(self.patch):
            raise UsageError("--source and --patch do not go together", "apply the patch in the working tree")
        if self.source:
            change = read_change(self.source)
            return (change,) if change else ()
        return read_patches(filter(None, self.patch))


@dataclass(frozen=True)
class Repetition:
    """How often scenarios are run, and in which order: `repeat` each, `retries` what came to no verdict, `watch` again
    as files are saved. `git_bisect`: for whom the exit code is."""

    repeat: int
    retries: int
    jobs: int | None = None
    shuffle: bool = False
    watch: bool = False
    git_bisect: bool = False


@dataclass(frozen=True)
class Conduct:
    """How runs go, and where they are told of. `timeout` is in seconds, `folder` is where run folders go, `report`
    where their pages do."""

    timeout: float
    folder: Path
    quiet: bool
    output: str
    seed: int | None = None
    junit: Path | None = None
    report: Path | None = None
    keep_lab: bool = False
    no_capture: bool = False

    def options(self, making: Making) -> RunOptions:
        """The same, as runs want it. Raises UsageError for a patch that is none."""
        from labctl.scenario.runner import RunOptions

        return RunOptions(
            self.folder, self.timeout, self.keep_lab, self.seed, making.options(), capture=not self.no_capture
        )
