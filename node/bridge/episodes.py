"""Where an episode begins in what a build says. Pure."""

from .words import ON_EPISODE_BEGIN, Word


class EpisodeRule:
    """One build's. ON_EPISODE_BEGIN begins an episode; so does an `episodeCount` that differs from the last one.

    What comes before the first begin is an episode of its own. The first count after an ON_EPISODE_BEGIN belongs to the
    episode that has just begun, since some builds say both.
    """

    def __init__(self) -> None:
        self._is_first = True
        self._count: int | None = None

    def begins(self, word: Word) -> bool:
        """Whether a new episode begins with this message."""
        is_other = None not in (word.episode_count, self._count) and word.episode_count != self._count
        begins = self._is_first or word.kind == ON_EPISODE_BEGIN or is_other
        self._is_first = False
        if word.kind == ON_EPISODE_BEGIN or word.episode_count is not None:
            self._count = word.episode_count
        return begins
