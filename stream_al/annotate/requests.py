"""The one thread that uses the store: what arrives while it is busy is done together, in one transaction."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from stream_al.annotate.board import Board, Reply, Request
from stream_al.annotate.usual import Usual

T = TypeVar("T")

_SAMPLE: Final = 500
_SAMPLED: Final = 60.0
"""Seconds for which what is usual is not looked at again."""


class Requests:
    """What annotators ask of a board, in its thread.

    Under load a transaction serves many annotators, as the disk is waited for once for all of them.

    Parameters
    ----------
    board
        The store as the server sees it.
    """

    def __init__(self, board: Board) -> None:
        self.board = board
        self.usual = Usual(())
        self._thread = ThreadPoolExecutor(1, "board")
        self._waiting: list[tuple[str, Request, asyncio.Future[Reply]]] = []
        self._busy: asyncio.Task[None] | None = None
        self._sampled = float("-inf")

    async def do(self, who: str, request: Request) -> Reply:
        """Do what somebody asks for, durably."""
        done: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting.append((who, request, done))
        if self._busy is None or self._busy.done():
            self._busy = asyncio.create_task(self._work())
        return await done

    async def _work(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                replies: list[Reply | Exception] = await self.call(
                    lambda batch=batch: self.board.apply([(who, request) for who, request, _ in batch])  # type: ignore[misc]
                )
            except Exception as error:  # whoever asked is told; the others' next requests are tried again
                replies = [error] * len(batch)
            for (_, _, done), reply in zip(batch, replies, strict=True):
                if done.done():  # whoever asked has gone
                    continue
                if isinstance(reply, Exception):
                    done.set_exception(reply)
                else:
                    done.set_result(reply)

    async def call(self, what: Callable[[], T]) -> T:
        """Call something in the board's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, what)

    async def tick(self) -> None:
        """Do what is due without anybody asking."""
        await self.call(self.board.tick)
        if time.monotonic() - self._sampled >= _SAMPLED:
            self._sampled = time.monotonic()
            self.usual = await self.call(lambda: Usual(self.board.sample(_SAMPLE)))

    def close(self) -> None:
        """Wait for what is being done, and close the board."""
        self._thread.submit(self.board.close).result()
        self._thread.shutdown()
