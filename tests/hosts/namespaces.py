"""Two hosts on one machine: network namespaces, a cable between them, names of their own."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)


@dataclass(frozen=True)
class Host:
    """A network namespace with one interface.

    Args:
        namespace: its name for `ip netns`.
        name: what `hostname` says in it.
        address: of its interface, eth0.
    """

    namespace: str
    name: str
    address: str

    def start(self, command: list[str], environment: dict[str, str], log: str) -> subprocess.Popen[str]:
        """Run a command on this host, output and errors into a file."""
        inside = f'hostname {self.name} && exec "$@"'
        with open(log, "w") as file:
            return subprocess.Popen(
                ["ip", "netns", "exec", self.namespace, "unshare", "--uts", "sh", "-c", inside, "sh", *command],
                env={**os.environ, "GLOO_SOCKET_IFNAME": "eth0", **environment},
                stdout=file,
                stderr=subprocess.STDOUT,
                text=True,
            )

    def cut_off(self) -> None:
        run("ip", "netns", "exec", self.namespace, "ip", "link", "set", "eth0", "down")

    def reconnect(self) -> None:
        run("ip", "netns", "exec", self.namespace, "ip", "link", "set", "eth0", "up")


@contextmanager
def two_hosts() -> Iterator[tuple[Host, Host]]:
    """Hosts `worker-0` and `worker-1`, gone afterwards.

    Raises:
        PermissionError: this user, or this container, may not make namespaces.
    """
    mark = f"gf{os.getpid() % 100_000}"
    hosts = tuple(Host(f"{mark}{end}", f"worker-{end}", f"10.77.0.{end + 1}") for end in (0, 1))
    made: list[Host] = []
    try:
        try:
            for host in hosts:
                run("ip", "netns", "add", host.namespace)
                made.append(host)
            ends = [f"{mark}v{end}" for end in (0, 1)]
            run("ip", "link", "add", ends[0], "type", "veth", "peer", "name", ends[1])
            for host, end in zip(hosts, ends, strict=True):
                inside = ("ip", "netns", "exec", host.namespace, "ip")
                run("ip", "link", "set", end, "netns", host.namespace)
                run(*inside, "link", "set", end, "name", "eth0")
                run(*inside, "addr", "add", f"{host.address}/24", "dev", "eth0")
                run(*inside, "link", "set", "eth0", "up")
                run(*inside, "link", "set", "lo", "up")
        except (OSError, subprocess.CalledProcessError) as error:
            reason = getattr(error, "stderr", "") or str(error)
            raise PermissionError(f"network namespaces cannot be made here: {reason.strip()}") from error
        yield hosts[0], hosts[1]
    finally:
        for host in made:
            subprocess.run(["ip", "netns", "del", host.namespace], check=False, capture_output=True)
