# What the pages load (npm) and say (gettext).

npm_is_done() {
    local stamp
    stamp=$(cat node_modules/.installed 2>/dev/null) || return 1
    # An installation for tests holds all that running needs.
    [[ $stamp == "$(hash_of package-lock.json) $1" || $stamp == "$(hash_of package-lock.json) test" ]]
}

install_npm_packages() {
    local kind=$1 cache='' status=0
    npm_is_done "$kind" && return
    install_npm
    say "npm packages of package-lock.json"
    # An account without a home of its own has no place for npm's cache.
    if [[ ! -w ${HOME:-/nonexistent} ]]; then
        cache=$(mktemp -d)
        export npm_config_cache=$cache
    fi
    if [[ $kind == test ]]; then set -- --include=dev; else set -- --omit=dev; fi
    PATH=$PATH:$PWD/.venv/bin patiently .venv/npm.log npm ci "$@" --ignore-scripts --no-audit --no-fund --loglevel=error --no-update-notifier || status=$?
    [[ -z $cache ]] || rm -rf "$cache"
    [[ $status -eq 0 ]] || fail "npm could not install package-lock.json. The first set-up needs the network: run again when it is there (what npm said is in .venv/npm.log)."
    echo "$(hash_of package-lock.json) $kind" >node_modules/.installed
}

# The machine's own, or else the one that Python's package index carries: Debian's npm brings 400 packages.
install_npm() {
    has npm || [[ -x .venv/bin/npm ]] && return
    say "npm, for .venv"
    pip_install npm
}

compile_messages() {
    local source compiled
    for source in src/tds/locale/*/LC_MESSAGES/*.po; do
        [[ -e $source ]] || continue
        compiled=${source%.po}.mo
        [[ $compiled -nt $source ]] && continue
        say "Messages of $source"
        msgfmt --check-format -o "$compiled" "$source" || fail "$source has a mistake; msgfmt's message is above."
    done
}
