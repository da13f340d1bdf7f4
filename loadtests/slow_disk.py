"""A disk that takes its time: few writes a second for all containers of the stack, by their control groups.

Done from a container beside them, as the Docker Engine may run elsewhere, with the kernel's files of the control groups
mounted; it needs an engine that is root. Both versions of control groups:
https://docs.kernel.org/admin-guide/cgroup-v2.html#io-interface-files,
https://docs.kernel.org/admin-guide/cgroup-v1/blkio-controller.html#throttling-upper-limit-policy-files
"""

from loadtests.stack import Stack

_WRITES_PER_SECOND = 4
"""For each container. A spinning disk does some eighty; a network volume whose credit is used up, few."""

_SCRIPT = """
set -eu
limit=$1; shift
# The device below PostgreSQL's volume; of a partition its disk, since disks are what can be limited.
device=$(awk '$5 ~ "^/var/lib/postgresql" { print $3; exit }' /proc/self/mountinfo)
if [ -e "/sys/dev/block/$device/partition" ]; then device=$(cat "/sys/dev/block/$device/../dev"); fi
for process; do
  group=$(sed -n 's/^[0-9]*:blkio://p' "/proc/$process/cgroup")
  if [ -n "$group" ]; then
    echo "$device $limit" >"/cgroups/blkio$group/blkio.throttle.write_iops_device"
  else
    if [ "$limit" = 0 ]; then limit=max; fi
    group=$(sed -n 's/^0:://p' "/proc/$process/cgroup")
    echo "$device wiops=$limit" >"/cgroups$group/io.max"
  fi
done
"""


def slow(stack: Stack) -> None:
    """Slow down every write that reaches the disk.

    Raises:
        subprocess.CalledProcessError: the engine does not allow it.

    """
    _limit(stack, _WRITES_PER_SECOND)


def mend(stack: Stack) -> None:
    """Take the limits away; the same error."""
    _limit(stack, 0)


def _limit(stack: Stack, writes: int) -> None:
    postgres = stack.ids("postgres")[0]
    image = stack.run("inspect", "-f", "{{.Image}}", postgres)
    processes = stack.run("inspect", "-f", "{{.State.Pid}}", *stack.containers).split()
    beside = ["--rm", "--network=none", "--pid=host", "--cgroupns=host", "--user=0", "--entrypoint=sh"]
    mounts = ["-v", "/sys/fs/cgroup:/cgroups", f"--volumes-from={postgres}:ro"]
    stack.run("run", *beside, *mounts, image, "-c", _SCRIPT, "sh", str(writes), *processes)
