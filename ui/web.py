"""Serves a Flet page to this machine's browser: loopback only, with a token and an Origin check.

Flet itself checks neither, so any page in the same browser could drive a screen. The address
carries a token of this start; the first request trades it for a cookie, and everything else needs
that cookie.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.cookies
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable
from importlib import resources
from pathlib import Path
from typing import Any

import flet as ft
import flet_web
import uvicorn

from ui.format import font_file
from ui.theme import FONT_FILES

Scope = dict[str, Any]
MAX_MESSAGE_BYTES = 64 << 20
"""A file that a person chooses comes in one message; what is larger ends the connection."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "microsoft-edge")


def prepare_assets(folder: Path) -> None:
    """Fill Flet's assets folder: our page, our script, and the font's files."""
    bundled = Path(str(flet_web.__file__)).parent / "web" / "index.html"
    page = bundled.read_text(encoding="utf-8")
    page = page.replace("<html>", '<html translate="no">', 1)
    page = page.replace("</head>", '<script src="cabina.js"></script>\n</head>', 1)
    (folder / "index.html").write_text(page, encoding="utf-8")
    script = resources.files("ui").joinpath("assets/cabina.js").read_text(encoding="utf-8")
    (folder / "cabina.js").write_text(script, encoding="utf-8")
    (folder / "fonts").mkdir(exist_ok=True)
    for name in FONT_FILES:
        shutil.copy(font_file(name), folder / "fonts")


class Guard:
    """ASGI middleware: no cookie, no page; a websocket also needs our own Origin."""

    def __init__(self, app: Any, token: str, port: int) -> None:
        self._app, self._token = app, token
        self._cookie = f"cabina-{port}"
        self._origins = {f"http://127.0.0.1:{port}", f"http://localhost:{port}"}
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in scope["headers"]
        }
        cookies: http.cookies.SimpleCookie = http.cookies.SimpleCookie()
        with contextlib.suppress(http.cookies.CookieError):
            cookies.load(headers.get("cookie", ""))
        known = cookies.get(self._cookie)
        allowed = (
            headers.get("host") in self._hosts
            and known is not None
            and secrets.compare_digest(known.value, self._token)
        )
        if scope["type"] == "websocket":
            if allowed and headers.get("origin") in self._origins:
                await self._app(scope, receive, _forgiving(send))
            else:
                await send({"type": "websocket.close", "code": 4403})
            return
        asked = scope.get("query_string", b"").decode("latin-1")
        if asked == f"token={self._token}" and headers.get("host") in self._hosts:
            cookie = f"{self._cookie}={self._token}; HttpOnly; SameSite=Strict; Path=/"
            await _answer(send, 303, [(b"location", b"/"), (b"set-cookie", cookie.encode())])
        elif allowed:
            await self._app(scope, receive, send)
        else:
            await _answer(send, 403, [], b"This page opens by the address that Cabina printed.")


def _forgiving(send: Any) -> Any:
    """What cannot be sent any more is dropped: the end of a browser that has gone is received.
    Flet would forget to disconnect a page whose sending has failed."""

    async def forgiving(message: Any) -> None:
        with contextlib.suppress(OSError, RuntimeError):  # uvicorn's, behind its own close
            await send(message)

    return forgiving


async def _answer(
    send: Any, status: int, headers: list[tuple[bytes, bytes]], body: bytes = b""
) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers: who serves decides when to stop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield


@contextlib.asynccontextmanager
async def serving(main: Callable[[ft.Page], Any], port: int = 0) -> AsyncIterator[str]:
    """Serve ``main`` on loopback; yields the address to open. `OSError` if the port is taken."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    port = listener.getsockname()[1]
    token = secrets.token_urlsafe(24)
    with tempfile.TemporaryDirectory(prefix="cabina-screen-") as folder:
        prepare_assets(Path(folder))
        app: Any = ft.run(main, export_asgi_app=True, no_cdn=True, assets_dir=folder)
        config = uvicorn.Config(
            Guard(app, token, port),
            log_level="warning",
            ws="websockets-sansio",
            ws_max_size=MAX_MESSAGE_BYTES,
            lifespan="on",
        )
        server = _Server(config)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            while not server.started:
                await asyncio.sleep(0.02)
                if task.done():
                    task.result()
            yield f"http://127.0.0.1:{port}/?token={token}"
        finally:
            server.should_exit = True
            server.force_exit = True
            await task
            listener.close()


def browser() -> str:
    """Path of a browser that can show an app's window; empty if none is here."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), "")


def open_window(url: str) -> subprocess.Popen[bytes] | None:
    """The address in an app window of a browser that is there; None if none is."""
    path = browser()
    if not path:
        return None
    command = [path, f"--app={url}", "--no-first-run", "--disable-features=Translate"]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, stdout=quiet, stderr=quiet)  # noqa: S603 - our own list
