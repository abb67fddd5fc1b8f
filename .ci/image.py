"""Carries out the Dockerfile's steps without an engine, in folders that stand for the image's.

What it shows: that the steps succeed from the files that the build would be sent, that the environment
they make runs by itself, as a user without rights, in a folder that it may not write to.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HEALTHY_WITHIN_S = 60
sys.path.insert(0, str(ROOT / "tests" / "packaging"))

from dockerfile import Copy, Stage, context, copy_of, stages  # noqa: E402 - found by the line above


def carry_out(stage: Stage, image: Path, *, sent: list[str]) -> Path:
    """Does a stage's COPY and RUN steps in an image folder; answers with its last working folder."""
    workdir = image
    for word, rest in stage.instructions:
        if word == "WORKDIR":
            workdir = image / rest.lstrip("/")
            workdir.mkdir(parents=True, exist_ok=True)
        elif word == "COPY":
            copy_files(copy_of(rest), workdir, sent=sent)
        elif word == "RUN":
            command = re.sub(r"(?<![\w.])/(?=opt/)", f"{image}/", rest)
            print(f"   {rest}", flush=True)
            quiet = {**os.environ, "PIP_QUIET": "1"}
            subprocess.run(["sh", "-ec", command], cwd=workdir, env=quiet, check=True)
    return workdir


def copy_files(copy: Copy, workdir: Path, *, sent: list[str]) -> None:
    """Copies what the build would be sent; what comes from another stage is in place already."""
    if copy.stage:
        return
    for source in copy.sources:
        names = [name for name in sent if name == source or name.startswith(f"{source}/")]
        assert names, f"COPY {source}: nothing is sent"
        for name in names:
            inside = (
                Path(name).relative_to(source).as_posix() if name != source else Path(name).name
            )
            target = workdir / copy.destination / inside
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target)


def run_as_user(stage: Stage, image: Path, workdir: Path) -> None:
    """Runs the help, a replay, and a live process that the health check looks at, as the image would."""
    user = user_id(int(stage.last("USER").partition(":")[0]))
    environment = {
        "PATH": f"{image}/opt/reactor/bin:/usr/bin:/bin",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
    }
    entry = json.loads(stage.last("ENTRYPOINT"))
    health = json.loads(stage.last("HEALTHCHECK").partition("CMD ")[2])
    program = shutil.which(entry[0], path=environment["PATH"])
    assert program is not None, f"{entry[0]} is not in the image"
    assert health[0] == entry[0]
    who = {"user": user, "group": user, "extra_groups": None if user is None else []}

    def run(*arguments: str) -> int:
        done = subprocess.run(
            [program, *arguments],
            cwd=workdir,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            **who,
        )
        last = (done.stdout or done.stderr).strip().splitlines()[-1:]
        print(f"   {' '.join(arguments)} → {done.returncode} {' '.join(last)[:100]}", flush=True)
        return done.returncode

    assert run(*json.loads(stage.last("CMD"))) == 0
    assert run("replay", "fixtures/flash_crash.jsonl.zst", "--json") == 0
    assert run(*health[1:]) == 1, "healthy with nothing running"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment["REACTOR_HTTP_PORT"] = str(port)
    demo = subprocess.Popen(
        [program, "demo", "--port", str(port)],
        cwd=workdir,
        env=environment,
        stdout=subprocess.DEVNULL,
        **who,
    )
    try:
        end = time.monotonic() + HEALTHY_WITHIN_S
        while run(*health[1:]) != 0:
            assert demo.poll() is None, "the live process ended by itself"
            assert time.monotonic() < end, "never healthy"
            time.sleep(1)
    finally:
        started = time.monotonic()
        demo.send_signal(getattr(signal, stage.last("STOPSIGNAL")))
        code = demo.wait(timeout=30)
    print(f"   stopped after {time.monotonic() - started:.1f} s → {code}", flush=True)
    assert code == 0


def user_id(wanted: int) -> int | None:
    """The image's user, where this process may become it and it may run the interpreter; else None."""
    try:
        subprocess.run(
            [os.path.realpath(sys.executable), "-c", ""], user=wanted, group=wanted, check=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"   run as this user, not as {wanted}: {error}", flush=True)
        return None
    return wanted


def main() -> None:
    """Builds and runs."""
    build, final = stages((ROOT / "Dockerfile").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder, "image")
        image.mkdir()
        Path(folder).chmod(0o755)
        sent = context(ROOT)
        carry_out(build, image, sent=sent)
        # The base image's own pip is not this machine's to remove.
        kept = [step for step in final.instructions if step.word != "RUN"]
        workdir = carry_out(final._replace(instructions=kept), image, sent=sent)
        tools = [path.name for path in (image / "opt/reactor/bin").glob("pip*")]
        assert not tools, f"{tools} stayed in the environment"
        run_as_user(final, image, workdir)


if __name__ == "__main__":
    main()
