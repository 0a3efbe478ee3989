"""Another build of Asterisk on one node of a running lab: its container is replaced, and what it kept goes along."""

from __future__ import annotations

from labctl.blueprint import drawing
from labctl.blueprint.running_lab import Running
from labctl.cluster import changed_files, image_delivery
from labctl.cluster.changed_files import Before
from labctl.cluster.node_logs import LOG_BEFORE, stamped_log
from labctl.engine.actions import ContainerSpec, CreateContainer, File, RemoveContainer, RenameContainer
from labctl.engine.client import Engine
from labctl.errors import LabctlError, LabError, UsageError
from labctl.images import lab_images
from labctl.images.builder import Options
from labctl.lab import Version
from labctl.labfile.node_versions import mismatch, with_versions
from labctl.names import container_name
from labctl.progress import Progress

KEPT = ("/var/lib/asterisk/astdb.sqlite3", "/var/spool/asterisk")
"""What a node keeps over an upgrade: registrations and other entries of its database, and voicemail."""

BEFORE = ".before"
"""What the name of a container ends with while another takes its place."""


def prepare(
    engine: Engine, running: Running, node: str, version: Version, options: Options, progress: Progress
) -> ContainerSpec:
    """Make the image, and say what the node's container will be; the node goes on meanwhile.

    Raises UsageError for a stack that cannot be in one ring with the others; BuildError.
    """
    lab, network = running.lab, running.observation.networks[0]
    own = version.of(running.stack)
    for other in lab.cluster_of(node) if lab.rings else ():
        if other.name != node and (why := mismatch(own, running.stack_of(other.name))):
            raise UsageError(f"{node} and {other.name} cannot be in one ring: {why}", "a stack of the same kind")
    wanted = with_versions(lab, {**running.upgraded, node: version})
    images = lab_images.build(engine, wanted, running.stack, options, progress)
    hosts = engine.hosts(lab.name)
    blueprint = drawing.draw(wanted, running.stack, images, network.subnet, network.seed, hosts=hosts)
    image_delivery.deliver(engine, blueprint.containers, progress)
    name = container_name(lab.name, node)
    return next(spec for spec in blueprint.containers if spec.name == name)


def swap(engine: Engine, running: Running, node: str, spec: ContainerSpec) -> None:
    """Put a container in the place of a node's that has ended, with what that kept, and with the files that were
    changed since it came up. It does not run yet.

    Where that fails, the old one has its place again. Raises LabError.
    """
    name = container_name(running.lab.name, node)
    old = next((part for part in engine.observe(running.lab.name).containers if part.name == name), None)
    if old is None:
        raise LabError(f"the container of {node} is gone", f"labctl up --name {running.lab.name} makes it again")
    aside = f"{name}{BEFORE}"
    engine.apply(RenameContainer(name, aside))
    try:
        engine.apply(CreateContainer(spec))
        for path in KEPT:
            engine.copy_between(aside, name, path)
        _change_as_before(engine, aside, name)
        log = "".join(f"{line}\n" for line in stamped_log(engine, old.id))
        engine.put_files(name, (File(LOG_BEFORE, log, 0o600),))
    except LabctlError:
        new = next((part for part in engine.observe(running.lab.name).containers if part.name == name), None)
        if new:
            engine.apply(RemoveContainer(name, new.id))
        engine.apply(RenameContainer(aside, name))
        raise
    engine.apply(RemoveContainer(aside, old.id))


def _change_as_before(engine: Engine, old: str, new: str) -> None:
    """Have a container's files be what they were changed to in another, and know what they are without that."""
    changes = changed_files.changed(engine, old)
    if not changes:
        return
    made = {path: Before(engine.find_file(new, f"/etc/{path}"), before.reload) for path, before in changes.items()}
    changed_files.keep(engine, new, made)
    texts = {path: engine.find_file(old, f"/etc/{path}") for path in changes}
    engine.put_files(new, tuple(drawing.file_of(path, text) for path, text in texts.items() if text is not None))
