"""Hold what stands between the run and its devices: SuperLink, reverse proxy, relay."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from devices.own_modules import module_words
from harness.core.errors import FleetError, UsageError
from harness.fleet.flower_lines import Tls, require_flower
from harness.fleet.keys import SERVER, ServerKeys
from harness.fleet.programs import ChildPrograms, SuperLink
from harness.fleet.relay_link import RelayLink

if TYPE_CHECKING:
    from harness.fleet.commands.server import ServerOptions

PROXY = "reverse-proxy"
RELAY_S = 90.0
MOST_STARTS = 5
"""How often Flower's server may end before the run is given up."""


class Gateway:
    """Start everything, keep it going, end it."""

    def __init__(
        self, options: ServerOptions, folder: Path, relay: Path, note: Callable[[str], None]
    ) -> None:
        self._run_options = options
        self._note = note
        self._programs = ChildPrograms(folder)
        self._keys = None if options.insecure else ServerKeys((options.keys / SERVER).resolve())
        tls = None
        if self._keys is not None:
            tls = Tls(self._keys.authority, self._keys.certificate, self._keys.key)
        self._line = require_flower()
        self._superlink = SuperLink(self._programs, self._line, (options.host, options.port), tls)
        self._starts = 0
        self._opening = False
        self.link = RelayLink(relay, self._keep_alive)

    def open(self) -> None:
        """Start Flower's server and the reverse proxy, and meet the relay.

        Raises:
            FleetError: if one of them does not start.
            UsageError: if the address cannot be listened on.
        """
        self._check_address()
        self._start_flower()
        self._open_door()

    def close(self) -> None:
        """End all of it."""
        self.link.close()
        self._programs.stop()

    def _check_address(self) -> None:
        host, port = self._run_options.host, self._run_options.port
        try:
            with socket.socket() as one:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                one.bind((host, port))
        except OSError as error:
            raise UsageError(
                f"cannot listen on {host}:{port}: {error.strerror}",
                "Choose another --port, or an address of this host.",
            ) from None

    def _start_flower(self) -> None:
        self._opening = True
        self._starts += 1
        self._superlink.start()
        for key in self._keys.nodes if self._keys else ():
            self._superlink.register(key)
        self._superlink.submit(self.link.path)
        self.link.meet(RELAY_S)
        self._opening = False

    def _open_door(self) -> None:
        """Let devices in, where Flower has no port for them alone."""
        if not self._line.has_own_door:
            self._start_proxy()

    def _start_proxy(self) -> None:
        options, keys = self._run_options, self._keys
        scheme = "http" if keys is None else "https"
        words = [
            *module_words("harness.fleet.reverse_proxy"),
            "--host",
            options.host,
            "--port",
            str(options.port),
            "--target",
            f"{scheme}://{self._superlink.address}",
            "--most-body-bytes",
            str(options.most_body_bytes),
        ]
        if keys is not None:
            words += [
                "--authority",
                str(keys.authority),
                "--certificate",
                str(keys.certificate),
                "--key",
                str(keys.key),
            ]
        self._programs.start(PROXY, words)
        end_s = time.monotonic() + 30.0
        while True:
            self._programs.check(PROXY)
            try:
                socket.create_connection((options.host, options.port), 1.0).close()
            except OSError:
                time.sleep(0.1)
            else:
                return
            if time.monotonic() > end_s:
                raise FleetError(
                    "the reverse proxy did not open", f"See {self._programs.log(PROXY)}."
                )

    def _keep_alive(self) -> None:
        """Start again what has ended; a run outlives Flower's server.

        Raises:
            FleetError: if it keeps ending.
        """
        if self._opening:
            self._superlink.check()
            return
        try:
            self._superlink.check()
            if not self._line.has_own_door:
                self._programs.check(PROXY)
        except FleetError as error:
            if self._starts >= MOST_STARTS:
                raise
            self._note(f"{error.message}; it is started anew")
            self.link.drop()
            self._programs.stop([PROXY, SuperLink.NAME])
            self._start_flower()
            self._open_door()
