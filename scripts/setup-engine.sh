# shellcheck shell=bash
# Part of scripts/setup: the distribution's packages, and a running Docker Engine.
# shellcheck disable=SC2034 # `lack` is read by scripts/setup

state=${SOCKETLAB_STATE:-/run/socketlab} # process id and log of an engine started here
engine_log=$state/dockerd.log
engine_deadline=30                       # seconds in which a started daemon must answer

# --- the distribution ---------------------------------------------------------------------------

distribution() { # "debian 12", from os-release
    # shellcheck source=/dev/null
    (. "${SOCKETLAB_OS_RELEASE:-/etc/os-release}" 2>/dev/null && echo "$ID ${VERSION_ID:-0}") || echo "unknown 0"
}

debian_mirror() { # the address of Debian's packages in this machine's apt sources, in either format
    local address
    # apt reads its own configuration and prints the addresses without fetching them.
    address=$(apt-get update --print-uris | tr -d "'" |
        awk 'match($1, /\/dists\/(bookworm|trixie|stable)\/InRelease$/) {
                 address = substr($1, 1, RSTART - 1)
                 if (address ~ /\/debian$/) { found = address; exit }
                 if (!found) found = address
             }
             END { print found }')
    case $address in # a file that lists mirrors, as in cloud images
        mirror+file:*) address=$(awk '!/^#/ && NF { print $1; exit }' "${address#mirror+file:}") ;;
    esac
    [[ $address ]] || fail "no Debian mirror in this machine's apt configuration"
    echo "${address%/}"
}

debian_keyring() { # the key with which this machine verifies the mirror's packages
    local SOURCES='' PARTS='' key
    eval "$(apt-config shell SOURCES Dir::Etc::sourcelist/f PARTS Dir::Etc::sourceparts/d)"
    # shellcheck disable=SC2016
    key=$({ cat "$SOURCES" "$PARTS"/*.list "$PARTS"/*.sources 2>/dev/null || true; } | awk -v mirror="$1" '
        /^$/ { uri = "" }
        index($0, mirror) { uri = 1 }
        tolower($1) == "signed-by:" && uri { print $2; exit }
        uri && match($0, /signed-by=[^] ]+/) { print substr($0, RSTART + 10, RLENGTH - 10); exit }')
    [[ -f $key ]] || key=/usr/share/keyrings/debian-archive-keyring.gpg
    echo "$key"
}

install_packages() {
    need_root "installing $*"
    need_space /var 1500 "installing packages"
    say "installing $* (apt)"
    export DEBIAN_FRONTEND=noninteractive
    local log
    log=$(mktemp)
    # A failing update is ignored, because a third-party source may be unreachable: the installation decides.
    # The locks are closed, so that a daemon started by a package doesn't keep them.
    apt-get update -qq >"$log" 2>&1 || true
    if ! apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300 "$@" \
        >>"$log" 2>&1 8>&- 9>&-; then
        tail -n 8 "$log" >&2
        rm -f "$log"
        fail "apt could not install $*; see above (is the mirror reachable?)"
    fi
    rm -f "$log"
}

# --- engine -------------------------------------------------------------------------------------

probe_engine() { # sets the versions `engine` and `compose`, or the problem, `lack`
    local error
    engine='' compose='' lack=''
    have docker || { lack="no docker client"; return 1; }
    if ! error=$(within 20 docker version --format '{{.Server.Version}}' 2>&1); then
        lack="no Docker Engine answers"
        case $error in *"permission denied"*)
            fail "this user may not use the Docker Engine: add it to the group docker, or use root" ;;
        esac
        return 1
    fi
    engine=$error
    at_least "$engine" 26 || fail "Docker Engine $engine is too old: the lab needs 26. Update it with the tool that installed it"
    compose=$(docker compose version --short 2>/dev/null) || compose=''
    compose=${compose#v}
    [[ $compose ]] || fail "Docker Engine $engine is installed without Compose: install the Compose plugin (docker-compose, docker-compose-v2 or docker-compose-plugin)"
    at_least "$compose" 2.24 || fail "Docker Compose $compose is too old: the lab needs 2.24. Update it with the tool that installed it"
}

remedy_engine() {
    [[ -z ${DOCKER_HOST:-} ]] || fail "DOCKER_HOST=$DOCKER_HOST does not answer"
    if have docker && [[ $(docker context show 2>/dev/null) != default ]]; then
        fail "Docker's context $(docker context show) does not answer"
    fi
    if ! have dockerd || ! have docker; then
        install_engine
        if probe_engine; then return; fi # the package has started it
    fi
    start_engine
}

install_engine() {
    local of
    of=$(distribution)
    case $of in
        "debian 12")
            need_root "installing a Docker Engine"
            offer_trixie
            install_packages docker.io/trixie docker-cli/trixie docker-compose/trixie docker-buildx/trixie ;;
        "debian 13"*)
            install_packages docker.io docker-cli docker-compose docker-buildx ;;
        "ubuntu "*)
            at_least "${of#ubuntu }" 22.04 || unsupported "$of"
            install_packages docker.io docker-compose-v2 docker-buildx ;;
        *) unsupported "$of" ;;
    esac
}

unsupported() {
    fail "no Docker Engine, and this script can't install one on $1, only on Debian 12 and 13 and Ubuntu 22.04 or later. Install Docker Engine 26 or later with Compose 2.24 or later"
}

offer_trixie() { # Debian 12's own engine is too old; only the packages named with /trixie come from there
    local mirror
    mirror=$(debian_mirror)
    say "adding trixie's packages as an apt source, pinned below this release's"
    printf 'Package: *\nPin: release n=trixie\nPin-Priority: 100\n' >/etc/apt/preferences.d/socketlab
    printf 'Types: deb\nURIs: %s\nSuites: trixie\nComponents: main\nSigned-By: %s\n' \
        "$mirror" "$(debian_keyring "$mirror")" >/etc/apt/sources.list.d/socketlab-trixie.sources
}

start_engine() {
    need_root "starting the Docker Engine"
    local version
    version=$(dockerd --version | sed -n 's/^Docker version \([0-9.]*\).*/\1/p')
    at_least "$version" 26 || fail "Docker Engine $version is too old: the lab needs 26. Update it with the tool that installed it"
    if [[ -d /run/systemd/system ]] && have systemctl; then
        say "starting docker (systemd)"
        systemctl start docker || fail "systemd could not start docker: see journalctl -u docker"
        await_engine true
    else
        say "starting dockerd, because this machine has no systemd (log: $engine_log)"
        mkdir -p "$state"
        setsid dockerd </dev/null >"$engine_log" 2>&1 8>&- 9>&- &
        local pid=$!
        echo "$pid $(started "$pid")" >"$state/engine"
        await_engine kill -0 "$pid"
    fi
}

started() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20; } # start time: with the pid it identifies one process

await_engine() { # command that fails if the engine can't start any more
    local until=$((SECONDS + engine_deadline))
    until docker version >/dev/null 2>&1; do
        if ! "$@" 2>/dev/null || ((SECONDS >= until)); then
            tail -n 5 "$engine_log" >&2 2>/dev/null || true
            fail "the Docker Engine did not start; see above"
        fi
        sleep 0.1
    done
}

stop_engine() {
    local pid='' since=''
    [[ ! -f $state/engine ]] || read -r pid since <"$state/engine"
    if [[ -z $pid || $(started "$pid") != "$since" ]]; then
        say "no engine that was started from here is running"
        return
    fi
    need_root "stopping the engine"
    kill "$pid"
    local until=$((SECONDS + engine_deadline))
    while [[ $(started "$pid") == "$since" ]]; do
        ((SECONDS < until)) || fail "dockerd ($pid) did not stop within $engine_deadline s"
        sleep 0.1
    done
    rm -f "$state/engine"
    say "the engine is stopped"
}
