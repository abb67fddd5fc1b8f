"""The control API: health, metrics, the picture as JSON and as a page, and steering.

It stands on loopback or a Unix socket, answers from the picture alone, and hands commands to whoever carries
them out. Nothing here raises into the loop; a request is bounded in size, time and number.
"""

import asyncio
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from reactor.clock import Clock
from reactor.config import HttpConfig
from reactor.control.access import Access, is_loopback
from reactor.control.page import page
from reactor.control.steering import COMMANDS, Steering, steer
from reactor.errors import BadInputError, ConfigError
from reactor.watch import view
from reactor.watch.health import ReadyLimits, liveness, readiness
from reactor.watch.metrics import CONTENT_TYPE, Metrics
from reactor.watch.picture import DECISIONS_KEPT_MAX, Picture
from reactor.watch.pulse import Pulse

BODY_BYTES_MAX: Final = 16 * 1024
REQUESTS_MAX: Final = 32
"""At one time. Each is short; more of them is an accident or an attack."""

STEER_S_MAX: Final = 10.0
"""How long a command may take before its caller is told that its outcome is unknown."""

SHUTDOWN_S: Final = 1.0
SECURITY_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

_log = structlog.get_logger("reactor.control")


class ControlServer:
    """Serves the API.

    Args:
        config: host and port, or a Unix socket, which then is all that is listened on.
        token: from `read_token`; without one only this machine may be served.
        picture: of the session.
        limits: from when on it is not ready.
        metrics: for `/metrics`.
        pulse: for `/healthz`.
        clock: which stamped the events.
        steering: carries commands out; without one they are refused.

    Raises:
        ConfigError: reachable from elsewhere, and no token.
    """

    def __init__(
        self,
        config: HttpConfig,
        *,
        token: str | None,
        picture: Picture,
        limits: ReadyLimits,
        metrics: Metrics,
        pulse: Pulse,
        clock: Clock,
        steering: Steering | None = None,
    ) -> None:
        local = config.socket is not None or is_loopback(config.host)
        if not local and token is None:
            raise ConfigError(
                f"http.host {config.host} is reachable from elsewhere: set REACTOR_HTTP_TOKEN "
                "or REACTOR_HTTP_TOKEN_FILE, or listen on 127.0.0.1"
            )
        self._config = config
        self._access = Access(token=token, by_socket=config.socket is not None, any_host=not local)
        self._picture = picture
        self._limits = limits
        self._metrics = metrics
        self._pulse = pulse
        self._clock = clock
        self._steering = steering
        self._requests = 0
        self._runner: web.AppRunner | None = None
        self._bound: Path | None = None
        self.port = config.port

    def application(self) -> web.Application:
        """The application, for a server of one's own."""
        app = web.Application(client_max_size=BODY_BYTES_MAX, middlewares=[self._guarded])
        get = app.router.add_get
        get("/", self._page)
        get("/healthz", self._healthz)
        get("/readyz", self._readyz)
        get("/metrics", self._scrape)
        get("/api/v1/status", self._status)
        get("/api/v1/positions", self._positions)
        get("/api/v1/decisions", self._decisions)
        get("/api/v1/alarms", self._alarms)
        for command in COMMANDS:
            app.router.add_post(f"/api/v1/{command}", self._steer)
        return app

    async def start(self) -> str:
        """Listens; answers with where. `port` is the real one from then on.

        Raises:
            ConfigError: the address is taken, or cannot be listened on.
        """
        self._runner = web.AppRunner(
            self.application(),
            access_log=None,
            handle_signals=False,
            keepalive_timeout=15.0,
            shutdown_timeout=SHUTDOWN_S,
        )
        await self._runner.setup()
        try:
            if self._config.socket is not None:
                return await self._listen_on_socket(self._runner, self._config.socket)
            return await self._listen_on_port(self._runner)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Ends serving; what is being answered has `SHUTDOWN_S`."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()
        if self._bound is not None:
            self._bound.unlink(missing_ok=True)
            self._bound = None

    async def run(self) -> None:
        """Serves until cancelled, once `start` was called."""
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await self.stop()

    async def _listen_on_port(self, runner: web.AppRunner) -> str:
        host, port = self._config.host, self._config.port
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise ConfigError(
                f"cannot listen on {host}:{port}: {reason}; choose another http.port"
            ) from None
        self.port = int(runner.addresses[0][1])
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    async def _listen_on_socket(self, runner: web.AppRunner, name: str) -> str:
        path = Path(name)
        _clear_stale(path)
        # From the first moment on nobody else may connect: a mode set afterwards would leave a gap.
        mask = os.umask(0o177)
        try:
            await web.UnixSite(runner, str(path)).start()
        except OSError as error:
            raise ConfigError(f"cannot listen on {name}: {error.strerror or error}") from None
        finally:
            os.umask(mask)
        self._bound = path
        return f"unix:{name}"

    # Around every request

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self._requests += 1
        try:
            response = await self._answer(request, handler)
        finally:
            self._requests -= 1
        response.headers.update(SECURITY_HEADERS)
        return response

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self._requests > REQUESTS_MAX:
            return _error(503, "too many requests at once: try again")
        refused = self._access.refusal(request.method, request.path, request.headers)
        if refused is not None:
            response = _error(refused.status, refused.text)
            if refused.status == 401:
                response.headers["WWW-Authenticate"] = 'Basic realm="Exit Reactor"'
            return response
        try:
            return await handler(request)
        except web.HTTPException as error:
            texts = {404: f"no such page: {request.path}", 405: "not by this method"}
            return _error(error.status, texts.get(error.status, error.reason))
        except BadInputError as error:
            return _error(400, str(error))
        except Exception as error:  # noqa: BLE001 - an answer, whatever happened; the log has the rest
            _log.exception("request_failed", path=request.path)
            return _error(500, f"internal error: {type(error).__name__}")

    # Health and metrics

    async def _healthz(self, request: web.Request) -> web.Response:
        state = liveness(self._picture, self._pulse, now_ns=self._clock.now_ns())
        return _json(state, status=200 if state.alive else 503)

    async def _readyz(self, request: web.Request) -> web.Response:
        state = readiness(self._picture, self._limits, now_ns=self._clock.now_ns())
        status = 200 if state.ready else 503
        if not self._access.has_token(request.method, request.headers):
            return _json({"ready": state.ready}, status=status)
        return _json(state, status=status)

    async def _scrape(self, request: web.Request) -> web.Response:
        # Gathered here, at one instant; written out beside the loop.
        families = self._metrics.families(now_ns=self._clock.now_ns())
        body = await asyncio.to_thread(self._metrics.exposition, families)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})

    # The picture

    async def _page(self, request: web.Request) -> web.Response:
        now = view.status(self._picture, self._limits, now_ns=self._clock.now_ns())
        return web.Response(text=page(now), content_type="text/html")

    async def _status(self, request: web.Request) -> web.Response:
        return _json(view.status(self._picture, self._limits, now_ns=self._clock.now_ns()))

    async def _positions(self, request: web.Request) -> web.Response:
        return _json(view.positions(self._picture, self._limits, now_ns=self._clock.now_ns()))

    async def _decisions(self, request: web.Request) -> web.Response:
        return _json(view.decisions(self._picture, count_max=_limit(request.query)))

    async def _alarms(self, request: web.Request) -> web.Response:
        return _json(view.alarms(self._picture, now_ns=self._clock.now_ns()))

    # Steering

    async def _steer(self, request: web.Request) -> web.Response:
        if self._steering is None:
            return _error(503, "nothing to steer: this process only watches")
        body = await request.read()
        command = request.path.rpartition("/")[2]
        # A caller who hangs up does not stop a command half-way.
        task = asyncio.create_task(steer(self._steering, command, body), name=f"steer {command}")
        task.add_done_callback(_retrieve)
        try:
            text = await asyncio.wait_for(asyncio.shield(task), STEER_S_MAX)
        except TimeoutError:
            task.cancel()
            return _error(
                504, f"no answer in {STEER_S_MAX:g} s: its outcome is unknown, see /api/v1/status"
            )
        return _json({"ok": True, "text": text})


def _retrieve(task: "asyncio.Task[str]") -> None:
    """Takes note of an error that nobody waited for."""
    if not task.cancelled():
        task.exception()


def _limit(query: Mapping[str, str]) -> int:
    text = query.get("limit", str(DECISIONS_KEPT_MAX))
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= DECISIONS_KEPT_MAX:
        raise ConfigError(f"limit must be 1 to {DECISIONS_KEPT_MAX}")
    return int(text)


def _json(content: Any, *, status: int = 200) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(content), status=status, content_type="application/json"
    )


def _error(status: int, text: str) -> web.Response:
    line = "".join(char if char.isprintable() else "?" for char in text)[:500]
    return _json({"error": line}, status=status)


def _clear_stale(path: Path) -> None:
    """Removes a socket that a process left behind, and no other file.

    Raises:
        ConfigError: somebody listens there, or it is no socket.
    """
    if not path.exists():
        return
    if not path.is_socket():
        raise ConfigError(f"http.socket {path} is a file and no socket: name another path")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            with suppress(FileNotFoundError):
                path.unlink()
            return
        except OSError as error:
            raise ConfigError(f"http.socket {path}: {error.strerror or error}") from None
    raise ConfigError(f"http.socket {path}: another process listens there already")
