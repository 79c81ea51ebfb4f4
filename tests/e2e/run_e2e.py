#!/usr/bin/env python3
"""Runs one end-to-end test file against the real binary, with real clients.

    run_e2e.py BINARY VENV TEST_FILE

Makes the private virtual environment VENV with the packages below from PyPI at first use. Exit code
77 (skipped) where there is no network to get them from, or where the file says that all of its tests were skipped.
"""
import fcntl
import os
import pathlib
import subprocess
import sys

PACKAGES = ["openai>=1.50,<3", "jsonschema>=4.20,<5", "pyzmq>=25,<28", "msgpack>=1,<2"]
SKIPPED = 77


def make_venv(venv):
    done = venv / "pagoda-ready"
    venv.mkdir(parents=True, exist_ok=True)
    with open(venv / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # test files may start at the same time
        if done.exists() and done.read_text() == str(PACKAGES):
            return True
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        install = [str(venv / "bin" / "pip"), "install", "-q", "--disable-pip-version-check", "--retries", "1",
                   "--timeout", "15", *PACKAGES]
        if subprocess.run(install).returncode != 0:
            return False
        done.write_text(str(PACKAGES))
        return True


def main():
    binary, venv, test = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    if not make_venv(venv):
        print(f"skipped: {', '.join(PACKAGES)} could not be installed from PyPI (no network?)")
        return SKIPPED
    environment = dict(os.environ, PAGODA_BINARY=binary, PYTHONPATH=str(test.parent), PYTHONDONTWRITEBYTECODE="1")
    run = subprocess.run([str(venv / "bin" / "python"), str(test)], env=environment, text=True, stderr=subprocess.PIPE)
    sys.stderr.write(run.stderr)
    tests = [line for line in run.stderr.splitlines() if line.startswith("Ran ")]
    if run.returncode == 0 and "skipped=" in run.stderr.splitlines()[-1] and tests:
        skipped = run.stderr.splitlines()[-1].split("skipped=")[1].rstrip(")")
        if tests[-1].split()[1] == skipped:
            return SKIPPED
    return run.returncode


if __name__ == "__main__":
    sys.exit(main())
