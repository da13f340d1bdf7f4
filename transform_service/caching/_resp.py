"""A client for Redis' protocol, RESP2, in which no reply is longer than allowed, and none reaches another command.

redis-py has no limit on replies: whoever answers in place of Redis could fill this process. Its pools lose connections
when commands are cancelled, which happens here whenever a client hangs up.
"""

import asyncio
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_CONNECTIONS = 64
_LONGEST_LINE = 4096

Reply = bytes | int | None
Word = bytes | str | int


class ErrorReply(Exception):
    """Redis refused a command."""


class InvalidReply(Exception):
    """What answers is no Redis, or sends more than any command of ours needs."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where Redis is, and how to log in."""

    host: str
    port: int
    tls: bool
    database: int
    user: str | None
    password: str | None

    def greeting(self) -> Iterator[Sequence[Word]]:
        """The first commands on a connection."""
        if self.password:
            yield ("AUTH", self.user, self.password) if self.user else ("AUTH", self.password)
        if self.database:
            yield "SELECT", self.database


class Client:
    """Connections to one Redis: one for each command in progress, and at most 64."""

    def __init__(self, endpoint: Endpoint, longest: int) -> None:
        """No reply may have more than `longest` bytes."""
        self._endpoint = endpoint
        self._longest = longest
        self._idle: list[_Connection] = []
        self._room = asyncio.Semaphore(_CONNECTIONS)

    async def run(self, *command: Word) -> Reply:
        """Run a command. Raises OSError, EOFError, ErrorReply or InvalidReply. Has no time limit of its own."""
        async with self._room:
            connection = await self._connection()
            try:
                reply = await connection.ask(command)
            except BaseException:  # the reply may still come, and no other command must read it
                connection.close()
                raise
            self._idle.append(connection)
        return reply

    async def close(self) -> None:
        """Close the connections."""
        while self._idle:
            self._idle.pop().close()

    async def _connection(self) -> "_Connection":
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                return connection
            connection.close()
        endpoint = self._endpoint
        tls = ssl.create_default_context() if endpoint.tls else None
        reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port, ssl=tls, limit=_LONGEST_LINE)
        connection = _Connection(reader, writer, self._longest)
        try:
            for command in endpoint.greeting():
                await connection.ask(command)
        except BaseException:
            connection.close()
            raise
        return connection


class _Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, longest: int) -> None:
        self._reader = reader
        self._writer = writer
        self._longest = longest

    @property
    def is_open(self) -> bool:
        """Whether the other end has not closed it."""
        return not self._reader.at_eof() and not self._writer.is_closing()

    def close(self) -> None:
        """Close it at once."""
        self._writer.transport.abort()

    async def ask(self, command: Sequence[Word]) -> Reply:
        """Send a command, and read its reply."""
        words = [word if isinstance(word, bytes) else str(word).encode() for word in command]
        parts = [b"*%d\r\n" % len(words)]
        for word in words:
            parts += (b"$%d\r\n" % len(word), word, b"\r\n")
        self._writer.write(b"".join(parts))
        await self._writer.drain()
        return await self._reply()

    async def _reply(self) -> Reply:
        line = await self._line()
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return rest
        if kind == b"-":
            raise ErrorReply(rest.decode(errors="replace"))
        try:
            number = int(rest)
        except ValueError:
            raise InvalidReply(f"a reply begins with {line[:20]!r}") from None
        if kind == b":":
            return number
        if kind != b"$" or not -1 <= number <= self._longest:
            raise InvalidReply(f"a reply begins with {line[:20]!r}; it is too long, or a list")
        if number == -1:
            return None
        return (await self._reader.readexactly(number + 2))[:-2]

    async def _line(self) -> bytes:
        try:
            line = await self._reader.readuntil(b"\r\n")
        except asyncio.LimitOverrunError:
            raise InvalidReply(f"a line of a reply is longer than {_LONGEST_LINE} bytes") from None
        return line[:-2]
