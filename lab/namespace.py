"""A mount namespace of the lab's own, for machines whose /sys/fs/cgroup is cgroup v1.

systemd in a container needs cgroup2. Such a machine is left as it is: a background process (the *holder*) lives in a
private mount namespace with a cgroup2 mount, and every podman call goes through nsenter into it.

All labs of a machine share one, as podman keeps one list of containers, and knows each by a mount that other namespaces
do not have. Containers keep the namespace alive when the holder dies, so a new holder looks for it first: the source of
the cgroup2 mount names it, and every process of the namespace shows it in its mountinfo.
"""

from pathlib import Path

from lab.errors import LabError
from lab.host import Host
from lab.paths import Paths
from lab.process import end, exclusively, read_pid, run, start_detached, wait_until

# Only /sys is taken out of the machine's mount propagation: podman's network namespaces (/run/netns) stay visible
# outside, so that a podman of the user's own still works beside the lab.
#
# Where an earlier namespace died with all that lived in it, podman still takes its containers for running: it refuses
# every command where their networks' mounts went, too, and believes itself where these were visible outside. What a
# reboot would empty is emptied then: where networks are left and no container lives, each of which has a conmon.
_MAKE = """
set -e
mount --make-rprivate /sys
umount -R /sys/fs/cgroup
mount -t cgroup2 "$1" /sys/fs/cgroup
if ls /run/netns/netns-* >/dev/null 2>&1 && ! grep -sq '^[0-9]* (conmon) [^ZX]' /proc/[0-9]*/stat; then
    umount --quiet /run/netns/netns-* || true
    rm -rf /run/libpod /run/crun /run/containers/networks /run/containers/storage
    rm -f /run/netns/netns-* /dev/shm/libpod_lock
fi
"""
MARK = "centralino-lab"
"""Source of the cgroup2 mount, by which the namespace is known."""
_HOLD = """
echo $$ > "$2.new"
mv "$2.new" "$2"
exec sleep infinity
"""


class Namespace:
    """The lab's mount namespace; does nothing where the machine has cgroup v2."""

    def __init__(self, host: Host, paths: Paths) -> None:
        self._host = host
        self._state = paths.state
        self._pid_file = paths.state / "namespace.pid"
        self._lock = paths.cache / "namespace.lock"

    @property
    def needed(self) -> bool:
        """Whether podman has to run in a namespace of the lab's own."""
        return not self._host.cgroup_v2

    @property
    def pid(self) -> int | None:
        """The holder's process id, where it runs."""
        return read_pid(self._pid_file, runs="sleep") if self.needed else None

    def prefix(self) -> list[str]:
        """Return what has to stand before a command so that it runs as root in the namespace.

        Starts the holder where it does not run.
        """
        if not self.needed:
            return list(self._host.sudo)
        pid = self.pid or self._start()
        return [*self._host.sudo, "nsenter", "--target", str(pid), "--mount", "--"]

    def stop(self) -> None:
        """End the holder; the namespace goes with the last container in it."""
        with exclusively(self._lock):
            if pid := self.pid:
                if self._host.root:
                    end(pid)
                else:
                    run([*self._host.sudo, "kill", str(pid)])
            self._pid_file.unlink(missing_ok=True)

    def _start(self) -> int:
        with exclusively(self._lock):
            if pid := self.pid:  # another command was faster
                return pid
            survivor = self._find_survivor()
            if survivor:
                enter, script = ["nsenter", "--target", str(survivor), "--mount", "--"], _HOLD
            else:
                enter, script = ["unshare", "--mount", "--propagation", "unchanged", "--"], _MAKE + _HOLD
            log = self._state / "namespace.log"
            shell = ["sh", "-c", script, "lab-namespace", MARK, str(self._pid_file)]
            start_detached([*self._host.sudo, *enter, *shell], log=log)
            if not wait_until(lambda: self.pid is not None, seconds=5):
                raise LabError(f"no mount namespace with cgroup2 could be made: the kernel's answer is in {log}")
            pid = self.pid
            if pid is None:
                raise LabError(f"the namespace holder ended at once: the reason is in {log}")
            return pid

    def _find_survivor(self) -> int | None:
        search = 'grep -sl -F -- " cgroup2 $1 " /proc/[0-9]*/mountinfo || true'
        found = run([*self._host.sudo, "sh", "-c", search, "lab-search", MARK]).split()
        return int(Path(found[0]).parent.name) if found else None
