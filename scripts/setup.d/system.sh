# Programs of the operating system: asked for by what they bring, so that a machine that has them needs no apt.

missing_packages() {
    local kind=$1
    if [[ $kind == firmware ]]; then
        missing_for_firmware
        return
    fi
    ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || echo postgresql
    has mosquitto || echo mosquitto
    has msgfmt || echo gettext
    if [[ ! -x .venv/bin/python ]]; then
        usable_python >/dev/null || echo python3
        can_make_venv || echo python3-venv
    fi
    [[ $kind == run ]] && return
    has chromium || echo chromium
    has mosquitto_pub || echo mosquitto-clients
    has redis-server || echo redis-server
    has openssl || echo openssl
    has curl || echo curl
    missing_for_firmware
}

# The device code: its compilers and checkers, and what its programs stand on.
missing_for_firmware() {
    has make || echo make
    has gcc && [[ -e /usr/include/stdio.h ]] || echo gcc libc6-dev
    [[ -e /usr/include/openssl/ssl.h ]] || echo libssl-dev
    has cmake || echo cmake
    has ninja || echo ninja-build
    has pkg-config || echo pkg-config
    [[ -e /usr/include/mosquitto.h ]] || echo libmosquitto-dev
    compgen -G '/usr/include/*/curl/curl.h' >/dev/null || [[ -e /usr/include/curl/curl.h ]] || echo libcurl4-openssl-dev
    [[ -e /usr/include/cmocka.h ]] || echo libcmocka-dev
    [[ -e /usr/include/cjson/cJSON.h ]] || echo libcjson-dev
    has clang-14 || echo clang-14
    compgen -G '/usr/lib/llvm-14/lib/clang/*/lib/linux/libclang_rt.fuzzer-*.a' >/dev/null || echo libclang-rt-14-dev
    has clang-format-14 || echo clang-format-14
    has cppcheck || echo cppcheck
    has gcovr || echo gcovr
}

# Debian keeps servers in /usr/sbin, which is not on an ordinary user's PATH.
has() { PATH=$PATH:/usr/sbin:/usr/local/sbin command -v "$1" >/dev/null; }

install_system_packages() {
    local packages line
    packages=$(missing_packages "$1" | tr '\n' ' ')
    packages=${packages% }
    [[ -n $packages ]] || return 0
    line="apt-get install -y --no-install-recommends $packages"
    has apt-get || fail "This machine lacks what the Debian packages $packages bring, and has no apt; install that and run again."
    say "System packages: $packages"
    # shellcheck disable=SC2086  # a list of words
    if [[ $EUID -eq 0 ]]; then
        bash scripts/setup.d/apt-install $packages || fail "apt could not install them; its message is above. Then run again."
    elif has sudo && { [[ -t 0 ]] || sudo -n true 2>/dev/null; }; then
        sudo bash scripts/setup.d/apt-install $packages || fail "Run as root: $line (apt's message is above). Then run again."
    else
        fail "Run as root: $line. Then run again; all the rest needs no special rights."
    fi
}
