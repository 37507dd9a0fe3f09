"""scripts/setup on machines that lack something: made up with a PATH of stand-ins."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import ROOT

# What the script needs of a machine. What could change this one (apt-get, docker, dockerd) is left
# out, or stood in for.
TOOLS = """apt-config awk bash cat chown cut date df dirname env find flock grep head id kill
           mkdir mktemp python3 rm sed setsid sha256sum sleep sort tail timeout touch tr uname""".split()

SetUp = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """The directory of a made-up machine's commands."""
    commands = tmp_path / "bin"
    commands.mkdir()
    for tool in TOOLS:
        if found := shutil.which(tool):
            (commands / tool).symlink_to(found)
    return commands


def stand_in(machine: Path, name: str, script: str) -> None:
    (machine / name).unlink(missing_ok=True)
    (machine / name).write_text(f"#!/bin/bash\n{script}\n")
    (machine / name).chmod(0o755)


@pytest.fixture
def setup(machine: Path, tmp_path: Path) -> SetUp:
    def run(*argv: str, call: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        """The whole script with argv, or one of its functions."""
        script = (
            ["-c", f'source "{ROOT}/scripts/setup"; {call}'] if call else [f"{ROOT}/scripts/setup", *argv]
        )
        return subprocess.run(
            [str(machine / "bash"), *script],
            env={"PATH": str(machine), "SOCKETLAB_STATE": str(tmp_path / "state"), **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 3, done.stdout + done.stderr
    for word in words:
        assert word in done.stderr


ENGINE_26 = """
case "$*" in
    "version"*) echo 26.1.5+dfsg1 ;;
    "compose version"*) echo 2.26.1-4 ;;
    *) exit 1 ;;
esac"""


# --- this machine -------------------------------------------------------------------------------


@pytest.mark.lab
def test_a_machine_that_is_ready_is_left_alone() -> None:
    for argv in [], ["--check"]:
        done = subprocess.run([ROOT / "scripts/setup", *argv], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "nothing to do" in done.stdout


def test_a_wrong_option_is_a_usage_error(setup: SetUp) -> None:
    assert setup("--frobnicate").returncode == 2


def test_help_explains(setup: SetUp) -> None:
    done = setup("--help")
    assert done.returncode == 0
    for word in "engine", "base", "images", "python", "--check", "--stop-engine":
        assert word in done.stdout


# --- no engine ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "release",
    ["ID=fedora\nVERSION_ID=41", "ID=debian\nVERSION_ID=11", "ID=ubuntu\nVERSION_ID=20.04", ""],
)
def test_an_unknown_distribution_is_told_what_to_install(setup: SetUp, tmp_path: Path, release: str) -> None:
    (tmp_path / "os-release").write_text(release)
    done = setup(SOCKETLAB_OS_RELEASE=str(tmp_path / "os-release"))
    refused(done, "Docker Engine 26", "Compose 2.24", release.split("\n")[0].removeprefix("ID="))


@pytest.mark.parametrize("release", ["ID=debian\nVERSION_ID=12", "ID=debian\nVERSION_ID=13"])
def test_installing_needs_root_and_says_so(machine: Path, setup: SetUp, tmp_path: Path, release: str) -> None:
    (tmp_path / "os-release").write_text(release)
    stand_in(machine, "id", "echo 1000")
    done = setup(SOCKETLAB_OS_RELEASE=str(tmp_path / "os-release"))
    refused(done, "needs root", f"sudo {ROOT}/scripts/setup")


@pytest.mark.parametrize("release", ["ID=debian\nVERSION_ID=13", "ID=ubuntu\nVERSION_ID=24.04"])
def test_what_apt_says_is_shown(machine: Path, setup: SetUp, tmp_path: Path, release: str) -> None:
    (tmp_path / "os-release").write_text(release)
    stand_in(machine, "id", "echo 0")
    stand_in(machine, "apt-get", "echo E: Temporary failure resolving the mirror; exit 100")
    done = setup(call="remedy_engine", SOCKETLAB_OS_RELEASE=str(tmp_path / "os-release"))
    refused(done, "Temporary failure resolving the mirror", "could not install docker.io")


def test_a_full_disk_is_reported_before_anything_is_done(machine: Path, setup: SetUp) -> None:
    stand_in(machine, "id", "echo 0")
    stand_in(machine, "df", "echo header; echo /dev/x 100 90 10 90% /")
    stand_in(machine, "apt-get", "exit 100")
    refused(setup(call="install_packages docker.io"), "10 MiB are free")


# --- an engine that isn't ours ------------------------------------------------------------------


def test_a_remote_engine_that_is_silent_is_not_replaced(machine: Path, setup: SetUp) -> None:
    stand_in(machine, "docker", "exit 1")
    stand_in(machine, "dockerd", "touch started")
    refused(setup(DOCKER_HOST="tcp://192.0.2.1:2376"), "DOCKER_HOST=tcp://192.0.2.1:2376 does not answer")


@pytest.mark.parametrize(
    ("engine", "compose", "words"),
    [
        ("20.10.24+dfsg1", "2.26.1", ["Docker Engine 20.10.24", "26"]),
        ("26.1.5", "2.20.0", ["Compose 2.20.0", "2.24"]),
        ("28.5.2", "", ["without Compose"]),
    ],
)
def test_an_old_engine_is_named_and_not_touched(
    machine: Path, setup: SetUp, engine: str, compose: str, words: list[str]
) -> None:
    stand_in(
        machine,
        "docker",
        f'case "$1" in version) echo {engine} ;; *) [[ "{compose}" ]] && echo {compose} ;; esac',
    )
    refused(setup(), *words)


def test_a_user_who_may_not_use_the_engine_is_told(machine: Path, setup: SetUp) -> None:
    stand_in(machine, "docker", "echo permission denied while trying to connect >&2; exit 1")
    refused(setup(), "group docker")


# --- an engine of our own -----------------------------------------------------------------------


@pytest.fixture
def startable(machine: Path, tmp_path: Path) -> Path:
    """A machine with an engine that nobody has started; the client answers once it runs."""
    stand_in(machine, "id", "echo 0")
    stand_in(
        machine,
        "docker",
        f"[[ $1 == context ]] && echo default && exit; [[ -e {tmp_path}/up ]] || exit 1\n{ENGINE_26}",
    )
    stand_in(
        machine,
        "dockerd",
        f'[[ $1 == --version ]] && echo "Docker version 26.1.5, build x" && exit\n'
        f"echo hello; touch {tmp_path}/up; exec sleep 300",
    )
    return machine


@pytest.mark.usefixtures("startable")
def test_an_engine_that_we_started_is_the_one_we_stop(setup: SetUp, tmp_path: Path) -> None:
    started = setup(call="remedy_engine; probe_engine")
    assert started.returncode == 0, started.stderr
    pid = int((tmp_path / "state/engine").read_text().split()[0])
    os.kill(pid, 0)
    assert "hello" in (tmp_path / "state/dockerd.log").read_text()

    stopped = setup("--stop-engine")
    assert stopped.returncode == 0, stopped.stderr
    assert "stopped" in stopped.stdout
    assert not Path(f"/proc/{pid}").exists()
    assert "no engine that was started from here" in setup("--stop-engine").stdout


def test_a_process_that_has_the_engines_old_id_is_left_alone(setup: SetUp, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    with subprocess.Popen(["sleep", "300"]) as stranger:
        try:
            (tmp_path / "state/engine").write_text(f"{stranger.pid} 1\n")
            assert "no engine that was started from here" in setup("--stop-engine").stdout
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_a_daemon_that_dies_is_noticed_and_its_log_shown(startable: Path, setup: SetUp) -> None:
    stand_in(
        startable,
        "dockerd",
        '[[ $1 == --version ]] && echo "Docker version 26.1.5, build x" && exit\n'
        "echo failed to mount cgroup >&2; exit 1",
    )
    refused(setup(call="remedy_engine"), "failed to mount cgroup", "did not start")


def test_an_old_daemon_is_not_even_started(startable: Path, setup: SetUp) -> None:
    stand_in(startable, "dockerd", 'echo "Docker version 20.10.24, build x"')
    refused(setup(call="remedy_engine"), "Docker Engine 20.10.24 is too old")


# --- the base image -----------------------------------------------------------------------------


def test_without_a_registry_only_debian_can_build_the_base(
    startable: Path, setup: SetUp, tmp_path: Path
) -> None:
    (tmp_path / "os-release").write_text("ID=ubuntu\nVERSION_ID=24.04")
    done = setup(call="remedy_base", SOCKETLAB_OS_RELEASE=str(tmp_path / "os-release"))
    refused(done, "debian:trixie-slim can't be pulled")
    refused(
        setup(call="remedy_base", SERVER_BASE="example/other", CLIENT_BASE="example/other"),
        "example/other can't be pulled",
    )
    refused(
        setup(call="remedy_base", SERVER_BASE="kalilinux/kali-rolling", CLIENT_BASE="kalilinux/kali-rolling"),
        "kalilinux/kali-rolling can't be pulled (does an image registry answer?)",
        "only debian:trixie-slim can be built here",
    )


# --- images -------------------------------------------------------------------------------------

BUILDS = """
case "$*" in
    "image inspect"*windows*) [[ -e windows ]] ;;
    "image inspect --format"*) exit 1 ;;
    "compose build"*) echo "build ${*:3} of ${PROFILE:-the default}" ;;
    *) exit 0 ;;
esac"""


@pytest.mark.parametrize(
    ("profile", "options", "built"),
    [
        ("", "", ["build of the default"]),
        ("windows", "", ["build of the default", "build server of windows"]),
        ("", "with_windows;", ["build of the default", "build server of windows"]),
    ],
)
def test_the_profiles_image_is_built_if_it_is_wanted_and_its_size_is_printed_first(
    machine: Path, setup: SetUp, profile: str, options: str, built: list[str]
) -> None:
    stand_in(machine, "docker", BUILDS)
    call = f'[[ "$PROFILE" ]] && with_windows; {options} remedy_images'
    lines = setup(call=call, PROFILE=profile).stdout.splitlines()
    assert [" ".join(line.split()) for line in lines if line.startswith("build ")] == built
    told = [number for number, line in enumerate(lines) if "150 MB larger" in line]
    assert bool(told) == (len(built) == 2)
    assert all(number < lines.index("build server of windows") for number in told)


def test_who_has_the_profiles_image_keeps_it_as_new_as_the_others(machine: Path, setup: SetUp) -> None:
    stand_in(machine, "docker", BUILDS.replace("[[ -e windows ]]", "exit 0"))
    assert setup(call='probe_images || true; echo "${flavours[@]}"').stdout.split()[-1] == "windows"


def test_an_unknown_profile_is_wrong_use(setup: SetUp) -> None:
    done = setup(PROFILE="dos")
    assert done.returncode == 2
    assert "no profile dos" in done.stderr


DEB822 = """Types: deb
URIs: http://security.example/debian-security
Suites: bookworm-security
Components: main

Types: deb
URIs: http://mirror.example/debian/
Suites: bookworm bookworm-updates
Components: main
Signed-By: {key}
"""
ONE_LINE = """deb http://security.example/debian-security bookworm-security main
# deb http://commented.example/debian bookworm main
deb [arch=amd64 signed-by={key}] http://mirror.example/debian bookworm main contrib
deb http://other.example/tool stable extra
"""
LISTED = "deb mirror+file:{parts}/debian.mirrors bookworm main\n"
ONE_LINE_BARE = "deb http://mirror.example/debian bookworm main\n"


@pytest.fixture
def apt(machine: Path) -> None:
    """The real apt-get, for its reading of a configuration."""
    found = shutil.which("apt-get")
    if not found:
        pytest.skip("this machine has no apt to configure")
    (machine / "apt-get").symlink_to(found)


@pytest.mark.usefixtures("apt")
@pytest.mark.parametrize(
    ("name", "text"),
    [("a.sources", DEB822), ("a.list", ONE_LINE), ("a.list", ONE_LINE_BARE), ("a.list", LISTED)],
)
def test_the_mirror_is_the_one_of_this_machine(setup: SetUp, tmp_path: Path, name: str, text: str) -> None:
    key = tmp_path / "mirror.gpg"
    key.touch()
    parts = tmp_path / "sources.list.d"
    parts.mkdir()
    (parts / name).write_text(text.format(key=key, parts=parts))
    (parts / "debian.mirrors").write_text("http://mirror.example/debian/\n")
    conf = tmp_path / "apt.conf"
    conf.write_text(
        f'Dir::Etc::sourcelist "{tmp_path}/none"; Dir::Etc::sourceparts "{parts}"; '
        f'Dir::State::lists "{tmp_path}/lists"; Dir::Cache "{tmp_path}/cache";'
    )
    call = 'mirror=$(debian_mirror); echo "$mirror"; debian_keyring "$mirror"'
    done = setup(call=call, APT_CONFIG=str(conf))
    assert done.returncode == 0, done.stderr
    mirror, keyring = done.stdout.splitlines()
    assert mirror == "http://mirror.example/debian"
    assert keyring == str(key) if "{key}" in text else keyring.endswith("debian-archive-keyring.gpg")


@pytest.mark.usefixtures("apt")
def test_no_mirror_at_all_is_told(setup: SetUp, tmp_path: Path) -> None:
    conf = tmp_path / "apt.conf"
    conf.write_text(f'Dir::Etc::sourcelist "{tmp_path}/none"; Dir::Etc::sourceparts "{tmp_path}/none.d";')
    refused(setup(call="debian_mirror", APT_CONFIG=str(conf)), "no Debian mirror")


# --- Python -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("file", "least"), [("requirements.txt", 20), ("tests/browser/requirements.txt", 1)])
def test_requirements_are_pinned_hashed_and_name_no_index(file: str, least: int) -> None:
    text = (ROOT / file).read_text()
    assert "://" not in text
    assert not any(line.startswith("-") for line in text.splitlines())
    pins = text.replace("\\\n", " ").splitlines()
    packages = [line for line in pins if line and not line.lstrip().startswith("#")]
    assert len(packages) >= least
    for line in packages:
        assert "==" in line
        assert "--hash=sha256:" in line


def test_an_old_python_is_not_taken(machine: Path, setup: SetUp) -> None:
    stand_in(machine, "python3", "exit 1")
    refused(setup(call="remedy_python", SOCKETLAB_OS_RELEASE="/dev/null"), "no Python 3.11")


# --- Mermaid ------------------------------------------------------------------------------------


def test_mermaid_is_there_when_its_very_version_was_installed(setup: SetUp, tmp_path: Path) -> None:
    root = tmp_path / "checkout"
    pins = root / "tests/browser/requirements.txt"
    (root / ".venv/bin").mkdir(parents=True)
    pins.parent.mkdir(parents=True)
    pins.write_text("mermaidx==1")
    stand_in(root / ".venv/bin", "pip", "echo $*")
    probe = f"root={root}; probe_mermaid && echo there || echo $lack"
    assert "no Mermaid" in setup(call=probe).stdout
    done = setup(call=f"root={root}; remedy_mermaid").stdout
    assert f"--require-hashes --no-deps -r {pins}" in done
    assert setup(call=probe).stdout == "there\n"
    pins.write_text("mermaidx==2")
    assert "no Mermaid" in setup(call=probe).stdout


# --- browser ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["chromium", "chromium-browser", "google-chrome"])
def test_a_browser_and_its_driver_are_both_needed(machine: Path, setup: SetUp, name: str) -> None:
    probe = "probe_browser && echo there || echo $lack"
    assert "no Chromium and chromedriver" in setup(call=probe).stdout
    stand_in(machine, name, "exit 1")
    assert "no Chromium and chromedriver" in setup(call=probe).stdout
    stand_in(machine, "chromedriver", "exit 1")
    assert setup(call=probe).stdout == "there\n"


def test_debian_has_a_browser_elsewhere_it_is_told_what_to_install(
    machine: Path, setup: SetUp, tmp_path: Path
) -> None:
    stand_in(machine, "id", "echo 0")
    stand_in(machine, "apt-get", "echo $*; exit 100")
    release = tmp_path / "os-release"
    release.write_text("ID=debian\nVERSION_ID=13")
    refused(setup(call="remedy_browser", SOCKETLAB_OS_RELEASE=str(release)), "chromium chromium-driver")
    release.write_text("ID=fedora\nVERSION_ID=41")
    refused(
        setup(call="probe_browser || remedy_browser", SOCKETLAB_OS_RELEASE=str(release)),
        "no Chromium and chromedriver",
    )
