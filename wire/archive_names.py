"""Which names and links an archive of a build may have: none that leads out of the folder it is unpacked into."""

import re
from dataclasses import dataclass, field

MAX_NAME_BYTES, MAX_PART_BYTES, MAX_DEPTH = 1_000, 255, 64
_DRIVE = re.compile(r"[A-Za-z]:")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
FILE, FOLDER, LINK = "file", "folder", "link"


class BadArchive(ValueError):
    """An archive that is refused. The text is one sentence that says why."""


def clean(name: str) -> str:
    """The name as parts joined by "/", without "." and empty parts; "" is the archive's root. Raises BadArchive."""
    shown = repr(name[:120])
    if _CONTROL.search(name):
        raise BadArchive(f"The archive has a name with a NUL or another control character in it: {shown}.")
    if "\\" in name:
        raise BadArchive(f"The archive has a name with a backslash, {shown}: folders are parted by '/'.")
    if name.startswith("/") or _DRIVE.match(name):
        raise BadArchive(f"The archive has an absolute name, {shown}: names are relative to the build's folder.")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise BadArchive(f"The archive has a name that leads out of its folder, {shown}.")
    _check_length(parts, shown)
    return "/".join(parts)


def _check_length(parts: list[str], shown: str) -> None:
    try:
        sizes = [len(part.encode()) for part in parts]
    except UnicodeEncodeError:
        raise BadArchive(f"The archive has a name that is not UTF-8: {shown}.") from None
    if len(parts) > MAX_DEPTH or sum(sizes) + len(parts) > MAX_NAME_BYTES or max(sizes, default=0) > MAX_PART_BYTES:
        raise BadArchive(f"The archive has a name that is too long or too deep, {shown}: at most {MAX_NAME_BYTES} "
                         f"bytes, {MAX_PART_BYTES} a part, {MAX_DEPTH} folders deep.")  # fmt: skip


@dataclass(slots=True)
class Names:
    """What the archive has so far: the kind of each name, and where its links lead."""

    kinds: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, kind: str) -> None:
        """Raises BadArchive for a file or link of a name that is taken, and for anything beneath a file or a link.

        A folder may be named more than once.
        """
        if not name and kind != FOLDER:
            raise BadArchive("The archive has a file without a name.")
        if name in self.kinds and (kind != FOLDER or self.kinds[name] != FOLDER):
            raise BadArchive(f"The archive has the name {name!r} twice.")
        if name:
            self.kinds[name] = kind
            self._add_folders_above(name)

    def add_link(self, name: str, target: str) -> None:
        """A symbolic link. Where it leads is checked by `check_links`, once all names are known."""
        self.add(name, LINK)
        self.links[name] = _end_of(name, target)

    def check_links(self) -> None:
        """Every link leads to something of the archive. Raises BadArchive.

        Nothing lies beneath a link, so a target that is in the archive is reached through real folders only.
        """
        for name, end in self.links.items():
            if end and end not in self.kinds:
                raise BadArchive(f"The archive's link {name!r} leads to {end!r}, which is not in the archive.")

    def root(self) -> str:
        """The one folder that everything lies in, or ""."""
        tops = {name.partition("/")[0] for name in self.kinds}
        top = tops.pop() if len(tops) == 1 else ""
        return top if self.kinds.get(top) == FOLDER else ""

    def _add_folders_above(self, name: str) -> None:
        above = name.rpartition("/")[0]
        while above and self.kinds.get(above) != FOLDER:
            if above in self.kinds:
                raise BadArchive(f"The archive has {name!r} beneath {above!r}, which is a {self.kinds[above]}.")
            self.kinds[above] = FOLDER
            above = above.rpartition("/")[0]


def _end_of(name: str, target: str) -> str:
    """What a link leads to, as a name of the archive. ".." may only come first: behind a link it would mean another
    place than it seems to."""
    if target.startswith("/"):
        raise BadArchive(f"The archive's link {name!r} leads to an absolute place, {target[:120]!r}.")
    folder, parts = name.split("/")[:-1], [part for part in target.split("/") if part not in ("", ".")]
    while parts and parts[0] == "..":
        if not folder:
            raise BadArchive(f"The archive's link {name!r} leads out of its folder, to {target[:120]!r}.")
        folder.pop()
        parts.pop(0)
    return clean("/".join([*folder, *parts]))
