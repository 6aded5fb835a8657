#!/bin/sh
# Checks the documents: links lead to files, settings are all described, and nothing of a workplace slipped in.
# usage: docs/check.sh
set -eu

cd "$(dirname "$0")/.."
bad=0
complain() {
    echo "docs/check.sh: $*" >&2
    bad=1
}
found=$(mktemp)
trap 'rm -f "$found"' EXIT

# Every document of the repository, whether committed yet or not.
documents() {
    find . \( -name target -o -name .git \) -prune -o -type f -name '*.md' -print
}
manuals() {
    find daemon/man docs/man -type f
}

# Relative links, without their fragments.
count=0
for document in $(documents); do
    count=$((count + 1))
    folder=$(dirname "$document")
    # shellcheck disable=SC2016 # a fence, not a command
    sed -n '/^```/,/^```/!p' "$document" | grep -o '](\([^)]*\))' >"$found" || true
    while IFS= read -r link; do
        link=${link#](}
        link=${link%)}
        case $link in
        http://* | https://* | mailto:* | '#'*) continue ;;
        esac
        [ -e "$folder/${link%%#*}" ] || complain "$document: nothing is at $link"
    done <"$found"
done

# Files that prose names.
for document in $(documents); do
    grep -oE '(^|[ `(])(daemon|protocol|audit|formats|agent-cli|linux|softhsm|systemd|tests|fuzz|docs|scripts)/[A-Za-z0-9_./-]+' \
        "$document" >"$found" || true
    while IFS= read -r name; do
        name=$(printf '%s' "$name" | sed 's/^[ `(]//; s/[.,:]*$//')
        [ -e "$name" ] || [ -e "$(dirname "$document")/$name" ] || complain "$document: names $name, which is not there"
    done <"$found"
done

# Tests that the threat model names exist.
# shellcheck disable=SC2016 # code in a document, not a command
grep -oE '`[a-z0-9]+(_[a-z0-9]+){3,}`' docs/THREAT-MODEL.md | tr -d '`' | sort -u >"$found"
while IFS= read -r test; do
    grep -rqE --include='*.rs' "fn $test\(" daemon protocol audit formats agent-cli linux softhsm tests fuzz ||
        complain "docs/THREAT-MODEL.md: no test is called $test"
done <"$found"

# Every setting is described, in the guide and in its man page.
settings() {
    sed -n '/^#\[cfg(test)\]/q; /deny_unknown_fields/,/^}/s/^    pub \([a-z_]*\):.*/\1/p' "$1" | tr _ -
}
described() {
    for setting in $(settings "$1"); do
        # Tables, whose settings are looked at one by one.
        case $setting in audit | limits | token | allow) continue ;; esac
        grep -qF "\`$setting\`" docs/OPERATING.md || complain "docs/OPERATING.md: the setting $setting of $1 is missing"
        sed 's/\\-/-/g' "$2" | grep -qF "fB$setting" || complain "$2: the setting $setting of $1 is missing"
    done
}
described daemon/src/config.rs daemon/man/chanceryd.toml.5
described daemon/src/policy/file.rs daemon/man/chancery-keys.5

# Man pages that people write are well formed.
if command -v groff >/dev/null; then
    for page in daemon/man/*; do
        said=$(groff -man -Tutf8 -ww -z "$page" 2>&1) || complain "$page: $said"
        [ -z "$said" ] || complain "$page: $said"
    done
else
    [ -z "${CI:-}" ] || complain "groff is missing; install it: apt-get install groff-base"
fi

# The project speaks of itself alone. The words are split so that this file does not hold them.
for word in "/wo""rk/" "/ho""me/" "/ro""ot/" "/tm""p/bash" "TO""DO" "FIX""ME" "XX""X"; do
    if { documents; manuals; } | xargs grep -nF -- "$word" >"$found"; then
        complain "the word $word does not belong into a document: $(cat "$found")"
    fi
done

# ARCHITECTURE.md is told in one sitting.
[ "$(wc -l <ARCHITECTURE.md)" -lt 150 ] || complain "ARCHITECTURE.md has 150 lines or more"

[ "$bad" = 0 ] || exit 1
echo "documents: $count, links, settings and names are good"
