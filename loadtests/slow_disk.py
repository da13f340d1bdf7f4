"""A slow disk: only a few writes per second for each container of the stack, by their control groups.

This runs in a container, because the Docker Engine may be on another machine, with the kernel's files of the control
groups mounted. The engine must run as root. Both versions of control groups:
https://docs.kernel.org/admin-guide/cgroup-v2.html#io-interface-files,
https://docs.kernel.org/admin-guide/cgroup-v1/blkio-controller.html#throttling-upper-limit-policy-files
"""

from loadtests.stack import Stack

_WRITES_PER_SECOND = 4
"""For each container. A spinning disk does about eighty; a network volume without credit does few."""

_SCRIPT = """
set -eu
limit=$1; shift
# The device below PostgreSQL's volume; for a partition its disk, because only disks can be limited.
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


def slow(stack: Stack, writes: int = _WRITES_PER_SECOND) -> None:
    """Slow down every write that reaches the disk.

    Raises:
        subprocess.CalledProcessError: the engine does not allow it.

    """
    postgres = stack.ids("postgres")[0]
    image = stack.run("inspect", "-f", "{{.Image}}", postgres)
    processes = stack.run("inspect", "-f", "{{.State.Pid}}", *stack.containers).split()
    options = ["--rm", "--network=none", "--pid=host", "--cgroupns=host", "--user=0", "--entrypoint=sh"]
    mounts = ["-v", "/sys/fs/cgroup:/cgroups", f"--volumes-from={postgres}:ro"]
    stack.run("run", *options, *mounts, image, "-c", _SCRIPT, "sh", str(writes), *processes)


def mend(stack: Stack) -> None:
    """Remove the limits. Raises the same error."""
    slow(stack, 0)
