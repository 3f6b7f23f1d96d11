# The virtual environment. A stamp holds the lock file's hash: as long as that is the same, there is nothing to do.

usable_python() {
    local candidate
    for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return 0
        fi
    done
    return 1
}

can_make_venv() { "$(usable_python || echo python3)" -c 'import ensurepip, venv' 2>/dev/null; }

hash_of() { sha256sum "$1" | cut -d' ' -f1; }

python_is_done() { [[ -x .venv/bin/python && $(cat ".venv/.installed-$1" 2>/dev/null) == $(hash_of "requirements/$1.txt") ]]; }

install_python_packages() {
    local kind=$1 python
    python_is_done "$kind" && return
    if ! .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        python=$(usable_python) || fail "Python 3.11 or newer is needed, and python3 is $(python3 --version 2>&1); install it and run again."
        say "Virtual environment .venv with $("$python" --version)"
        "$python" -m venv --clear .venv || fail "Python can't make .venv here; its message is above."
    fi
    say "Python packages of requirements/$kind.txt"
    rm -f .venv/.installed-*
    pip_install "$kind"
    # What the tests need holds all that running needs.
    if [[ $kind == test ]]; then hash_of requirements/run.txt >.venv/.installed-run; fi
    hash_of "requirements/$kind.txt" >".venv/.installed-$kind"
}

pip_install() {
    # Settings that lead pip out of the virtual environment; where it downloads from stays the machine's choice.
    patiently .venv/pip.log env -u PIP_TARGET -u PIP_PREFIX -u PIP_ROOT -u PIP_USER -u PIP_CONSTRAINT \
        .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r "requirements/$1.txt" ||
        fail "pip could not install requirements/$1.txt. The first set-up needs the network: run again when it is there (what pip said is in .venv/pip.log)."
}
