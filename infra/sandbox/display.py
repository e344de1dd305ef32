"""How progress is shown, always on standard error: live on a terminal, one line a change elsewhere.

Standard output carries data only: the place of the result, or with `--json` every event.
"""

from __future__ import annotations

import sys
from datetime import datetime
from typing import TYPE_CHECKING, Protocol, TextIO

from infra.estimate.words import seconds_text

if TYPE_CHECKING:
    from rich.console import RenderableType

    from infra.sandbox.events import Troubled
    from infra.sandbox.status import View

__all__ = ["Display", "LineDisplay", "LiveDisplay", "choose_display", "one_line"]

HEALTH_STYLES = {"Optimal": "green", "Healthy": "green", "Degraded": "yellow", "Unhealthy": "red"}
BAR_WIDTH = 32


class Display(Protocol):
    """Where progress goes."""

    live: bool

    def show(self, view: View) -> None:
        """Show where the ceremony stands."""
        ...

    def say(self, text: str) -> None:
        """Show a message that stays."""
        ...

    def close(self) -> None:
        """Show nothing any more."""
        ...


def choose_display(stream: TextIO | None = None) -> Display:
    """Return the live display on a terminal, lines elsewhere; standard error by default."""
    stream = stream or sys.stderr
    return LiveDisplay(stream) if stream.isatty() else LineDisplay(stream)


def one_line(view: View) -> str:
    """Return a view as one line."""
    parts = [view.title]
    if view.batches:
        parts.append(f"{view.done}/{view.batches} {view.unit}")
    if view.waiting_for:
        parts.append(f"waits for {_awaited(view)}")
    if view.note:
        parts.append(view.note)
    parts += [_trouble(trouble) for trouble in view.troubles]
    if view.rate:
        parts.append(f"{view.rate:.1f} {view.unit}/s")
    if view.bit_rate:
        parts.append(f"{view.bit_rate:,.0f} bits/s")
    parts += [words] if (words := _how_far(view)) else []
    parts.append(f"{view.health} ({view.up} of {view.operators})")
    if view.starting:
        parts.append(f"starting: {', '.join(view.starting)}")
    if view.down:
        parts.append(f"down: {', '.join(view.down)}")
    return " - ".join(parts)


def _how_far(view: View) -> str:
    """Return how far the whole ceremony is, "" while that is unknown."""
    parts = [] if view.percent is None else [f"{view.percent} %"]
    if view.seconds_left is not None:
        parts.append(f"{seconds_text(view.seconds_left)} left")
    return ", ".join(parts)


def _awaited(view: View) -> str:
    """Return whom the stage waits for, and since when."""
    everybody = len(view.waiting_for) == view.operators
    names = "all operators" if everybody else ", ".join(view.waiting_for)
    return _since(names, view.waiting_since)


def _trouble(trouble: Troubled) -> str:
    """Return whose steps fail, why and since when."""
    return _since(f"{trouble.party} fails again and again with {trouble.code}", trouble.since)


def _since(what: str, moment: str) -> str:
    """Say since when, by the clock on this person's wall."""
    try:
        since = datetime.fromisoformat(moment).astimezone().strftime("%H:%M:%S")
    except ValueError:
        since = moment
    return f"{what} since {since}" if since else what


class LineDisplay:
    """One line for every change."""

    live = False

    def __init__(self, stream: TextIO) -> None:
        """Write to a stream."""
        self._stream = stream
        self._last: tuple[object, ...] = ()

    def show(self, view: View) -> None:
        """Write a line if something changed."""
        if view.change != self._last:
            self._last = view.change
            self.say(one_line(view))

    def say(self, text: str) -> None:
        """Write a message."""
        self._stream.write(text + "\n")
        self._stream.flush()

    def close(self) -> None:
        """Nothing is open."""


class LiveDisplay:
    """A picture that renews itself below the messages."""

    live = True

    def __init__(self, stream: TextIO) -> None:
        """Draw on a terminal."""
        from rich.console import Console  # noqa: PLC0415  # only a terminal pays for it
        from rich.live import Live  # noqa: PLC0415

        self._console = Console(file=stream, highlight=False)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._live.start()

    def show(self, view: View) -> None:
        """Draw a view."""
        self._live.update(_picture(view), refresh=True)

    def say(self, text: str) -> None:
        """Write a message above the picture."""
        self._console.print(text, markup=False, soft_wrap=True)

    def close(self) -> None:
        """Remove the picture."""
        self._live.stop()


def _picture(view: View) -> RenderableType:
    from rich.progress_bar import ProgressBar  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    grid = Table.grid(padding=(0, 2))
    batches = f"{view.done} of {view.batches} {view.unit}" if view.batches else ""
    grid.add_row("stage", Text(f"{view.title}  {batches}", style="bold"))
    if view.batches:
        grid.add_row("", ProgressBar(total=view.batches, completed=view.done, width=BAR_WIDTH))
    if view.waiting_for:
        grid.add_row("waits for", Text(_awaited(view), style="yellow"))
    rates = [f"{view.rate:.1f} {view.unit}/s"] if view.rate else []
    rates += [f"{view.bit_rate:,.0f} bits/s"] if view.bit_rate else []
    if rates:
        grid.add_row("rate", Text(", ".join(rates)))
    if words := _how_far(view):
        grid.add_row("in all", Text(words))
    health = Text(view.health, style=HEALTH_STYLES[view.health])
    grid.add_row("operators", health.append(f"  {view.up} of {view.operators}", style="default"))
    if view.starting:
        grid.add_row("starting", Text(", ".join(view.starting)))
    if view.down:
        grid.add_row("down", Text(", ".join(view.down), style="red"))
    if view.note:
        grid.add_row("note", Text(view.note))
    for trouble in view.troubles:
        grid.add_row("trouble", Text(_trouble(trouble), style="red"))
    return grid
