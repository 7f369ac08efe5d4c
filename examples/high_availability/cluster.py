"""Three etcd and three PostgreSQL under Patroni, on this machine, in a folder that is gone afterwards.

    python cluster.py            # starts them, says their URL, and stops them at Ctrl-C

Each node is a folder with its configuration (`patroni.yml`, filled in) and its logs. Nothing listens beyond 127.0.0.1.
PostgreSQL does not run as root: started by root, all of it runs in a user namespace in which it is nobody.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from string import Template
from urllib.request import urlopen

import psycopg

from tallystick.testing.postgres_server import NoServer, binaries

PATIENCE = 60.0  # seconds until something is taken not to happen
# Of the URL: whichever of the servers takes writes, and how soon one is given up whose machine or network is gone.
OPTIONS = (
    "target_session_attrs=read-write&connect_timeout=2"
    "&tcp_user_timeout=5000&keepalives_idle=5&keepalives_interval=2&keepalives_count=3"
)


class Missing(Exception):
    """What is needed to start a cluster here is not there: the sentence says what to install."""


def program(name: str, package: str) -> str:
    """Where a program is: beside this Python, or in the PATH. Raises Missing."""
    found = shutil.which(name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if found is None:
        raise Missing(f"{name} is not here: {package}")
    return found


def unprivileged() -> list[str]:
    """What stands before a command so that it does not run as root. Raises Missing."""
    if os.geteuid() != 0:
        return []
    there = ["unshare", "--user"]
    if shutil.which(there[0]) is None or subprocess.run([*there, "true"], capture_output=True).returncode:
        raise Missing("PostgreSQL does not run as root, and there are no user namespaces here: be somebody else")
    return there


def wait_until(holds: Callable[[], object], what: str, patience: float = PATIENCE) -> None:
    """Raises AssertionError if it does not come to hold."""
    until = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < until, f"after {patience:.0f} s still not: {what}"
        time.sleep(0.1)


def free_ports(count: int) -> list[int]:
    with ExitStack() as open_:
        sockets = [open_.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]


class Node:
    """One PostgreSQL and its Patroni."""

    def __init__(self, name: str, folder: Path, port: int, rest: int) -> None:
        self.name, self.folder, self.port, self.rest = name, folder, port, rest
        self.process: subprocess.Popen[bytes] | None = None

    def kill(self) -> None:
        """As a power cut does: Patroni, PostgreSQL and all its processes are gone at once."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.kill_server()

    def kill_server(self) -> None:
        """PostgreSQL and all its processes are gone at once, and Patroni sees it. Only on Linux."""
        postmaster, *children = self._server()
        os.kill(postmaster, signal.SIGSTOP)  # it would restart what it loses
        for process in (*children, postmaster):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def hang(self) -> None:
        """Patroni and PostgreSQL do nothing any more, and do not know it. Their lines stay open."""
        self._tell(signal.SIGSTOP)

    def wake(self) -> None:
        """They go on where they were, and think that no time has passed."""
        self._tell(signal.SIGCONT)

    def _tell(self, number: signal.Signals) -> None:
        assert self.process is not None
        for process in (self.process.pid, *self._server()):
            with suppress(ProcessLookupError):
                os.kill(process, number)

    def _server(self) -> list[int]:
        """PostgreSQL's processes, the one that starts the others first."""
        postmaster = (self.folder / "data" / "postmaster.pid").read_text().split()[0]
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        return [int(postmaster), *map(int, children)]


class Cluster:
    """Three of each. `url` names all servers; the password of its role is in `environment`. Raises Missing."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._prefix = folder, unprivileged()
        self._programs = {
            "etcd": program("etcd", "apt install etcd-server"),
            "patroni": program("patroni", "pip install 'patroni[etcd3,psycopg3]'"),
            "patronictl": program("patronictl", "pip install 'patroni[etcd3,psycopg3]'"),
        }
        try:
            self._binaries = binaries()
        except NoServer as error:
            raise Missing(str(error)) from error
        self._password = secrets.token_urlsafe(16)
        ports = free_ports(12)
        self._peers, self._clients = ports[0:3], ports[3:6]
        names = ("one", "two", "three")
        self.nodes = {
            name: Node(name, folder / name, port, rest)
            for name, port, rest in zip(names, ports[6:9], ports[9:12], strict=True)
        }
        self._etcds: list[subprocess.Popen[bytes]] = []
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes.values())
        self.url = f"postgresql://shop@{hosts}/books?{OPTIONS}"
        self.environment = {"PGPASSFILE": str(folder / "pgpass")}

    # Starting and stopping

    def start(self) -> None:
        """All of it, with a database `books` and its role `shop`. Raises AssertionError if it does not come up."""
        passwords = self.folder / "pgpass"
        passwords.touch(mode=0o600)
        passwords.write_text(f"*:*:*:*:{self._password}\n")
        for number in range(3):
            self._start_etcd(number)
        for node in self.nodes.values():
            node.folder.mkdir(mode=0o700)
            self._configure(node)
            self.start_node(node.name)
        wait_until(lambda: self.leader() and len(self.standbys()) == 2, "a leader and two standbys")
        wait_until(self.synchronous, "a synchronous standby")
        with self._owner("postgres") as connection:
            connection.execute(f"CREATE ROLE shop LOGIN PASSWORD '{self._password}'")
            connection.execute("CREATE DATABASE books OWNER shop")

    def _start_etcd(self, number: int) -> None:
        name, peers = f"etcd{number}", [f"http://127.0.0.1:{port}" for port in self._peers]
        client = f"http://127.0.0.1:{self._clients[number]}"
        self._etcds.append(self._begin(
            name, [
                self._programs["etcd"], "--name", name, "--data-dir", str(self.folder / name),
                "--listen-peer-urls", peers[number], "--initial-advertise-peer-urls", peers[number],
                "--listen-client-urls", client, "--advertise-client-urls", client,
                "--initial-cluster", ",".join(f"etcd{each}={peer}" for each, peer in enumerate(peers)),
            ],
        ))  # fmt: skip

    def _configure(self, node: Node) -> None:
        text = Template((Path(__file__).parent / "patroni.yml").read_text())
        filled = text.substitute(
            name=node.name, folder=node.folder, port=node.port, rest=node.rest, binaries=self._binaries,
            etcd=", ".join(f"127.0.0.1:{port}" for port in self._clients), password=self._password,
        )  # fmt: skip
        path = node.folder / "patroni.yml"
        path.touch(mode=0o600)
        path.write_text(filled)

    def start_node(self, name: str) -> None:
        node = self.nodes[name]
        node.process = self._begin(name, [self._programs["patroni"], str(node.folder / "patroni.yml")])

    def _begin(self, name: str, command: Sequence[str]) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen([*self._prefix, *command], stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def stop(self) -> None:
        """Standbys first: a leader that is stopped waits until they have all it wrote."""
        leader = self.leader()
        for process in [
            *(node.process for node in self.nodes.values() if node.name != leader),
            *(node.process for node in self.nodes.values() if node.name == leader),
            *self._etcds,
        ]:
            if process is not None:
                process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(20)
                process.kill()
                process.wait()
        for node in self.nodes.values():  # Patroni was killed, and its server goes on
            with suppress(OSError, ValueError, IndexError):
                node.kill_server()

    # What is so

    def members(self) -> list[dict[str, object]]:
        """What Patroni says of its nodes, as the first that answers sees it."""
        for node in self.nodes.values():
            with suppress(OSError), urlopen(f"http://127.0.0.1:{node.rest}/cluster", timeout=2) as answer:
                members: list[dict[str, object]] = json.load(answer)["members"]
                return members
        return []

    def _in(self, roles: Sequence[str], states: Sequence[str]) -> list[str]:
        return [str(each["name"]) for each in self.members() if each["role"] in roles and each["state"] in states]

    def leader(self) -> str | None:
        return next(iter(self._in(["leader"], ["running"])), None)

    def standbys(self) -> list[str]:
        """Those that follow the leader."""
        return self._in(["replica", "sync_standby"], ["streaming", "running"])

    def synchronous(self) -> str | None:
        """The standby that has every commit that was acknowledged."""
        return next(iter(self._in(["sync_standby"], ["streaming", "running"])), None)

    # What an operator does

    def switch_over(self) -> str:
        """The synchronous standby takes the leader's place; its name."""
        leader, candidate = self.leader(), self.synchronous()
        assert leader is not None
        assert candidate is not None
        self.patronictl("switchover", "--leader", leader, "--candidate", candidate, "--force")
        wait_until(lambda: self.leader() == candidate, f"{candidate} leads")
        return candidate

    def patronictl(self, *arguments: str) -> str:
        """Raises CalledProcessError."""
        configuration = str(self.nodes["one"].folder / "patroni.yml")
        command = [*self._prefix, self._programs["patronictl"], "-c", configuration, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    @contextmanager
    def _owner(self, database: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
        url = self.url.replace("shop@", "postgres@").replace("/books?", f"/{database}?")
        with psycopg.connect(url, password=self._password, autocommit=True) as connection:
            yield connection

    def versions(self) -> str:
        """What runs here, in words."""
        with self._owner("postgres") as connection:
            row = connection.execute("SELECT current_setting('server_version')").fetchone()
        said = [
            subprocess.run([self._programs[name], "--version"], check=True, capture_output=True, text=True).stdout
            for name in ("etcd", "patroni")
        ]
        return f"PostgreSQL {row[0] if row else '?'}, {said[1].strip()}, {said[0].splitlines()[0]}"


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A cluster that is gone afterwards. Raises Missing, AssertionError."""
    memory = Path("/dev/shm")
    place = memory if os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="tallystick-ha-", dir=place, ignore_cleanup_errors=True) as folder:
        made = Cluster(Path(folder))
        try:
            made.start()
            yield made
        finally:
            made.stop()


def main() -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: nothing is left behind
    try:
        with cluster() as made:
            print(f"export PGPASSFILE={made.environment['PGPASSFILE']}")
            print(f"export TALLYSTICK_STORE='{made.url}'")
            print(f"{' '.join([*made._prefix, 'patronictl'])} -c {made.nodes['one'].folder}/patroni.yml list")
            print("Ctrl-C stops it.", flush=True)
            with suppress(KeyboardInterrupt):
                signal.pause()
    except Missing as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
