"""A Python that starts at once: processes that a session starts are forked from one that has imported the libraries.

Sessions under test start workers of pytest-xdist and trials of plugins, and each took eight seconds of a processor to import
torch, diffusers and SciPy. `executable()` is a small program that stands for the interpreter there. It hands its streams,
arguments, environment and folder to a process beside each test worker, which forks; it ends as the fork ends, and where
somebody ends it, the fork and all that it started are ended.
"""

import atexit
import json
import os
import random
import select
import signal
import socket
import sys
import tempfile
import threading
import traceback
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import ModuleType

PROGRAM = """#!{python} -IS
import json, os, signal, socket, sys
given = [one for one in sys.argv[1:] if one not in ("-u", "-B")]
paths = [one for one in os.environ.get("PYTHONPATH", "").split(os.pathsep) if one]
if given[:1] != ["-c"] or any(os.path.exists(os.path.join(one, "sitecustomize.py")) for one in paths):
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
line.connect({address!r})
asked = json.dumps([sys.argv[0], given[1:], dict(os.environ), os.getcwd()]).encode()
socket.send_fds(line, [len(asked).to_bytes(8, "big")], [0, 1, 2])
line.sendall(asked)
null = os.open(os.devnull, os.O_RDWR)
for stream in range(3):
    os.dup2(null, stream)
told = line.recv(4)
status = int.from_bytes(told, "big") if told else 98 << 8
if os.WIFSIGNALED(status):
    signal.signal(os.WTERMSIG(status), signal.SIG_DFL) if os.WTERMSIG(status) != signal.SIGKILL else None
    os.kill(os.getpid(), os.WTERMSIG(status))
os._exit(os.waitstatus_to_exitcode(status))
"""


@cache
def executable(forking, python):
    """The path of the program, for as long as this process lives; `forking` is a context of a fork server."""
    folder = Path(tempfile.mkdtemp(prefix="quick-"))
    program, address = folder / "python", str(folder / "socket")
    program.write_text(PROGRAM.format(python=python, address=address))
    program.chmod(0o700)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(address)
    listening.listen(64)
    forking.Process(target=serve, args=(listening,), daemon=True).start()
    listening.close()
    return str(program)


def serve(listening):
    """Fork for whoever asks, until the fork server has gone."""
    parent, forks = os.getppid(), {}
    while os.getppid() == parent:
        watched = [listening, *forks, *(line for _, line in forks.values())]
        for ready in select.select(watched, [], [], 5)[0]:
            if ready is listening:
                fork_for(listening.accept()[0], listening, forks)
            elif ready in forks:  # it has ended
                pid, line = forks.pop(ready)
                os.close(ready)
                with suppress(OSError), line:
                    line.sendall(os.waitpid(pid, 0)[1].to_bytes(4, "big"))
            else:  # who asked has been ended
                pid = next((pid for pid, line in forks.values() if line is ready), None)
                if pid is not None:
                    end(pid)
    for pid, _ in forks.values():
        end(pid)


def fork_for(line, listening, forks):
    size, streams, _, _ = socket.recv_fds(line, 8, 3)
    asked = b""
    while len(asked) < int.from_bytes(size, "big") and (more := line.recv(1 << 16)):
        asked += more
    if not asked or len(asked) < int.from_bytes(size, "big"):  # who asks was ended meanwhile
        line.close()
        for stream in streams:
            os.close(stream)
        return
    pid = os.fork()
    if not pid:
        listening.close()
        for other, (_, their) in forks.items():
            os.close(other)
            their.close()
        line.close()
        try:
            run(streams, *json.loads(asked))
        finally:
            os._exit(97)
    for stream in streams:
        os.close(stream)
    forks[os.pidfd_open(pid)] = pid, line


def end(pid):
    for kill in (os.killpg, os.kill):
        with suppress(OSError):
            kill(pid, signal.SIGKILL)


def run(streams, program, arguments, environment, folder):
    """What the fork does: become the process that was asked for, and end as it would."""
    os.setsid()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout, sys.stderr = (open(number, "w", buffering=1, closefd=False) for number in (1, 2))  # noqa: SIM115
    become(folder, environment, program)
    sys.path.insert(0, "")
    sys.argv = sys.orig_argv = ["-c", *arguments[1:]]
    main = sys.modules["__main__"] = ModuleType("__main__")
    code = 0
    try:
        exec(arguments[0], main.__dict__)
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
    except BaseException:
        traceback.print_exc()
        code = 1
    with suppress(BaseException):
        threading._shutdown()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def become(folder, environment, python, packages=()):
    """Take folder, environment and interpreter of a new process, and forget what is another's.

    `packages` are folders of an environment that adds to the one that has started this process.
    """
    from importlib.metadata import entry_points

    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.dont_write_bytecode = bool(environment.get("PYTHONDONTWRITEBYTECODE"))
    sys.executable = python
    random.seed()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()
    here = {"", str(Path(__file__).parent), str(Path(__file__).parents[1])}
    paths = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:] = [*paths, *packages, *(path for path in sys.path if path not in here)]
    plugins = {entry.module.partition(".")[0] for entry in entry_points(group="pytest11")}
    for name in [name for name in sys.modules if name.partition(".")[0] in plugins]:
        del sys.modules[name]  # what a library has imported of them: pytest has to see their import
