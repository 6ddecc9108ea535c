"""An OpenSSH server that takes and gives files, and an intruder with a key of one of its users."""

import os
import random
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from service_clients import Client

from baseline.demo.attacker import ADDRESS
from baseline.demo.service import Server, Step
from ranges.intruder import Intruder
from ranges.target import Target, require, signal_main

_PROGRAM = "/usr/sbin/sshd"
_CONFIGURATION = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PidFile {folder}/sshd.pid
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
MaxStartups 100
SetEnv HOME={folder}
Subsystem sftp /usr/lib/openssh/sftp-server
"""


class Ssh(Server):
    """sshd with one account and one key."""

    name = "ssh"
    packages = "openssh-server openssh-client"
    ended_by = signal.SIGTERM

    def prepare(self) -> None:
        """Make keys and a folder to exchange."""
        Path("/run/sshd").mkdir(exist_ok=True)  # it asks for this folder
        for name in ("host_key", "key", "wrong_key"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / name)]
            subprocess.run(command, check=True)
        shutil.copy(self.folder / "key.pub", self.folder / "authorized_keys")
        self.exchange = self.folder / "exchange"
        self.exchange.mkdir()
        (self.exchange / "news").write_text("news\n" * 2000)
        self.configuration = self.folder / "sshd_config"
        self.configuration.write_text(_CONFIGURATION.format(port=self.port, folder=self.folder))

    def launch(self) -> None:
        """Start it and return when it answers."""
        self.process = self.cgroup.start([_PROGRAM, "-D", "-f", self.configuration])
        self.await_port()

    def client(
        self, program: str, *words: str, key: str = "key", given: str = "", address: str = ""
    ) -> bytes:
        """Run ``ssh`` or ``sftp``, to its end, however it ends.

        Args:
            program: which.
            words: options and what comes after the host.
            key: which key to use.
            given: what it reads from its stdin.
            address: loopback address to come from.
        """
        options = {
            "IdentityFile": self.folder / key,
            "IdentitiesOnly": "yes",
            "StrictHostKeyChecking": "no",
            "UserKnownHostsFile": "/dev/null",
            "BatchMode": "yes",
            "ConnectTimeout": 10,
            "BindAddress": address or "127.0.0.1",
            "Port": self.port,
        }
        before = [f"-o{name}={value}" for name, value in options.items()]
        switches = [word for word in words if word.startswith("-")]
        command = [word for word in words if not word.startswith("-")]
        return subprocess.run(
            [program, "-F", "/dev/null", *before, *switches, "root@127.0.0.1", *command],
            input=given.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=30,
            check=False,
        ).stdout


class SshClient(Client):
    """A partner that delivers files, fetches others and looks what there is."""

    usual_rate = 1.0
    failures = (OSError, subprocess.TimeoutExpired)

    def __init__(self, service: Any, choose: random.Random) -> None:
        super().__init__(service, choose)
        self._file = f"file-{choose.randrange(20)}"

    def usual(self, writing: float) -> bool:
        """Deliver or fetch a file, or run one of the commands of the job."""
        folder = self.service.exchange
        if self.choose.random() < writing:
            batch = f"cd {folder}\nput {self.service.configuration} {self._file}\n"
            self.service.client("sftp", "-b-", given=batch, address=self.address)
        elif self.choose.random() < 0.5:
            batch = f"cd {folder}\nls -l\nget news /dev/null\n"
            self.service.client("sftp", "-b-", given=batch, address=self.address)
        else:
            job = f"cd {folder}; ls -l | wc -l; cat news | head -3; date"
            self.service.client("ssh", job, address=self.address)
        return False

    def unusual(self) -> Sequence[Callable[[], object]]:
        """Keys that are not known, ports that are tried, a big file, an end in the middle."""
        folder = self.service.exchange
        return (
            lambda: self.service.client("ssh", "date", key="wrong_key", address=self.address),
            self._call_and_hang_up,
            lambda: self.service.client(
                "sftp", "-b-", given=f"put {os.path.realpath('/bin/bash')} {folder}/big\n"
            ),
            lambda: self.service.client("ssh", f"rm -f {folder}/big; df -h {folder}; uptime"),
            lambda: self.service.cgroup.run([_PROGRAM, "-t", "-f", self.service.configuration]),
        )

    def _call_and_hang_up(self) -> None:
        with socket.create_connection(("127.0.0.1", self.service.port), 5) as connection:
            connection.recv(100)

    def close(self) -> None:
        """Every connection is closed already."""


class SshTarget(Target[Ssh]):
    """Its intruders have the key of its account."""

    client = SshClient
    needs = ("sshd", "ssh", "sftp", "ssh-keygen")
    techniques = ("mine", "unshare", "uring", "ptrace")

    def operations(self) -> Sequence[Step]:
        """Reload, tidy up by a cron job, restart."""
        tidy = "find . -name 'file-*' -mmin +60 -delete; ls | wc -l > count"
        return (
            Step("reload", lambda: signal_main(self, signal.SIGHUP)),
            Step(
                "cron job",
                lambda: self.run_inside(["/bin/sh", "-c", tidy], cwd=self.server.exchange),
            ),
            Step("restart", self.restart),
        )

    def ways_in(self, intruder: Intruder) -> Sequence[Step]:
        """What can be done with a stolen key."""
        tool, listener = self.scratch() / "tool", f"{ADDRESS}:{intruder.listener}"
        login = self.server.client
        return (
            Step(
                "a stolen key looks around",
                lambda: require(login("ssh", "id; uname -a; last; ps ax"), b"uid=", "The key"),
            ),
            Step(
                "a stolen key reads secrets with programs that are known",
                lambda: require(login("ssh", "cat /etc/shadow"), b"root:", "The key"),
            ),
            Step(
                "a stolen key uploads a program and runs it",
                lambda: self._upload_and_run(intruder.implant, tool),
            ),
            Step(
                "a stolen key tunnels to another machine",
                lambda: require(login("ssh", f"-W{listener}", given="x"), b"id", "The tunnel"),
            ),
            Step("a stolen key adds another key", self._add_key),
            Step("keys are guessed 20 times", self._guess),
        )

    def _upload_and_run(self, program: Path, tool: Path) -> None:
        tool.unlink(missing_ok=True)
        self.server.client("sftp", "-b-", given=f"put {program} {tool}\nchmod 700 {tool}\n")
        require(self.server.client("ssh", f"{tool} x && id"), b"uid=", "The upload")

    def _add_key(self) -> None:
        keys, copy = self.server.folder / "authorized_keys", self.server.folder / "both_keys"
        before = keys.read_text()
        both = "".join((self.server.folder / f"{n}.pub").read_text() for n in ("key", "host_key"))
        copy.write_text(both)
        self.server.client("sftp", "-b-", given=f"put {copy} {keys}\n")
        require(keys.read_bytes(), both.encode(), "Adding a key")
        keys.write_text(before)

    def _guess(self) -> None:
        for _ in range(20):
            self.server.client("ssh", "id", key="wrong_key")
