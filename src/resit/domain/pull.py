"""Which tests the lanes of one session execute next, where a lane can take a single test at next to no cost.

A lane takes whole files, longest first, and goes through one in the suite's order: fixtures of a module are paid once,
and tests that lean on their neighbours find them. Two things break a file up, and only where it may be. A piece so long
that the end would wait for it begins at once, wherever it stands. And when no file is left untouched, a lane without
work helps another one with its file, longest piece first. So the lanes end together: over synthetic suites, without any
cost of processes, within 1.01 of the ideal with known durations, 1.02 with rough ones, and 1.04 to 1.25 with none (the
simulation is in the tests).
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush

from resit.domain.balance import UNKNOWN_SECONDS, pieces
from resit.domain.plan import PlannedTest

MARGIN = 1.5
"""How much earlier than its expected duration asks for a long piece begins: expectations are wrong."""

LEAST_CRITICAL = 0.1
"""Seconds; whatever is shorter is not worth a step out of the suite's order."""

CLEARLY = 1.25
"""So much longer than the next one in its file must a piece be for a lane to leave that file."""


@dataclass(eq=False, slots=True)
class _Piece:
    tests: tuple[PlannedTest, ...]
    seconds: float
    file: "_File"
    taken: bool = False


@dataclass(eq=False, slots=True)
class _File:
    """What is left of a file, and which lanes are at it. Pieces that were taken go from deque and heap when met."""

    place: int
    name: str
    order: deque[_Piece] = field(default_factory=deque[_Piece])
    longest: list[tuple[float, int, _Piece]] = field(default_factory=list[tuple[float, int, _Piece]])
    lanes: set[int] = field(default_factory=set[int])
    first: int = -1
    """The lane that keeps the suite's order."""
    pieces: int = 0
    seconds: float = 0.0


class Pull:
    """The tests that a session holds and that none of its ``lanes`` (numbers from 0) has yet."""

    def __init__(self, lanes: int) -> None:
        self._lanes = lanes
        self._files: dict[tuple[str, str], _File] = {}
        self._at: dict[int, _File] = {}
        self._longest: list[tuple[float, int, _Piece]] = []
        self._costs: dict[str, float] = {}
        self._added = 0
        self._seconds = 0.0
        self.left = 0
        """How many tests no lane has yet."""

    def add(self, tests: Sequence[PlannedTest], expected: Mapping[str, float], usual: float = UNKNOWN_SECONDS) -> None:
        """More tests, with the seconds that they are expected to take; ``usual``: those of which nothing is known."""
        for group in pieces(tests):
            key = group[0].file, group[0].variant
            file = self._files.setdefault(key, _File(len(self._files), key[0]))
            piece = _Piece(group, sum(expected.get(test.id, usual) for test in group), file)
            self._added += 1
            file.order.append(piece)
            heappush(file.longest, (-piece.seconds, self._added, piece))
            heappush(self._longest, (-piece.seconds, self._added, piece))
            self._count(piece, 1)

    @property
    def seconds(self) -> float:
        """What is expected of the tests that no lane has yet, one after the other."""
        return self._seconds if self.left else 0.0

    def learn(self, file: str, seconds: float) -> None:
        """A lane has set up what the tests of ``file`` share, in so many seconds: a lane that helps pays it again."""
        self._costs[file] = seconds

    def take(self, lane: int) -> tuple[PlannedTest, ...]:
        """The next tests of ``lane``, to be executed in this order; none: there is nothing (more) for it to do."""
        own = self._at.get(lane)
        critical, following = self._critical(), _next(own.order) if own is not None else None
        if critical is not None and (following is None or critical.seconds > CLEARLY * following.seconds):
            return self._given(lane, critical)
        if own is None or not own.pieces:
            own = self._file(lane)
            if own is None:
                self.leave(lane)
                return ()
        helps = own.first not in (-1, lane)
        return self._given(lane, _top(own.longest) if helps else _next(own.order))

    def leave(self, lane: int) -> None:
        """``lane`` is gone, or done with its file; what is left of that is everybody's."""
        file = self._at.pop(lane, None)
        if file is not None:
            file.lanes.discard(lane)
            file.first = -1 if file.first == lane else file.first

    def clear(self) -> list[PlannedTest]:
        """Give up what no lane has; returns it."""
        rest = [
            test for file in self._files.values() for piece in file.order if not piece.taken for test in piece.tests
        ]
        self.__init__(self._lanes)
        return rest

    def _given(self, lane: int, piece: _Piece | None) -> tuple[PlannedTest, ...]:
        if piece is None:  # the file had pieces
            raise AssertionError
        file = piece.file
        if self._at.get(lane) is not file:
            self.leave(lane)
            self._at[lane] = file
            file.first = lane if not file.lanes else file.first
            file.lanes.add(lane)
        piece.taken = True
        self._count(piece, -1)
        return piece.tests

    def _count(self, piece: _Piece, sign: int) -> None:
        self.left += sign * len(piece.tests)
        self._seconds += sign * piece.seconds
        piece.file.pieces += sign
        piece.file.seconds += sign * piece.seconds

    def _critical(self) -> _Piece | None:
        """The piece that the end waits for if it does not begin now."""
        piece = _top(self._longest)
        if piece is None or self._lanes == 1 or piece.seconds < LEAST_CRITICAL:
            return None
        return piece if piece.seconds * self._lanes * MARGIN >= self._seconds else None

    def _file(self, lane: int) -> _File | None:
        """The file that ``lane`` goes to: the longest untouched one, else where help is wanted most."""
        there = [file for file in self._files.values() if file.pieces]
        if untouched := [file for file in there if not file.lanes - {lane}]:
            return max(untouched, key=lambda file: (file.seconds, -file.place))

        def share(file: _File) -> float:
            """What each of the lanes that are at it has still to do."""
            return file.seconds / len(file.lanes)

        worth = [file for file in there if share(file) > self._costs.get(file.name, 0.0)]
        return max(worth, key=lambda file: (share(file), -file.place), default=None)


def _top(heap: list[tuple[float, int, _Piece]]) -> _Piece | None:
    while heap and heap[0][2].taken:
        heappop(heap)
    return heap[0][2] if heap else None


def _next(order: deque[_Piece]) -> _Piece | None:
    while order and order[0].taken:
        order.popleft()
    return order[0] if order else None
