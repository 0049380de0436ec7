"""Takes in the pictures of submissions and hands out the clips of tasks; its methods block."""

import secrets
from dataclasses import dataclass
from hashlib import sha256

from pipeline.emulator.render import BadPictureError, Order, check_picture, picture_bytes, render, tiny_clip
from pipeline.emulator.service import Intake, RemoteTask
from pipeline.emulator.state import Keep, store

_BAD_PICTURE = "code=InvalidParameter, message=invalid image"


@dataclass(frozen=True, slots=True)
class Studio:
    """Pictures in, clips out; both are kept in the emulator's folder by content."""

    keep: Keep
    rendered: bool
    """False: every clip is the tiny one."""

    def take(self, picture: str | None) -> Intake:
        """Decode, check and keep the picture of a submission; a URL is taken as it is."""
        if picture is None:
            return Intake()
        try:
            content = picture_bytes(picture)
            if content is None:
                return Intake(picture)
            name = sha256(content).hexdigest()
            target = self.keep.pictures / name
            if not target.exists():
                check_picture(content)
                store(target, content)
        except BadPictureError:
            return Intake(complaint=_BAD_PICTURE)
        return Intake(name)

    def clip(self, task: RemoteTask, index: int) -> bytes:
        """The bytes of one result file of a task, counted from 0; the same for the same picture and wishes."""
        order = Order(task.prompt, task.size, task.duration, task.seed + index, task.picture or task.prompt)
        target = self.keep.clips / f"{sha256(repr(order).encode()).hexdigest()[:32]}.mp4"
        if target.exists():
            return target.read_bytes()
        unfinished = target.with_name(f"{secrets.token_hex(4)}.tmp.mp4")
        try:
            made = self.rendered and render(order, self._picture(task), unfinished)
        except BadPictureError:  # kept while Pillow was not installed to see it
            made = False
        if not made:
            unfinished.unlink(missing_ok=True)
            return tiny_clip(f"{task.task_id}-{index}")
        unfinished.replace(target)
        return target.read_bytes()

    def _picture(self, task: RemoteTask) -> bytes | None:
        path = self.keep.pictures / (task.picture or "").rpartition("/")[2]
        return path.read_bytes() if task.picture and "/" not in task.picture and path.is_file() else None
