# Sourced by scripts/check and scripts/test: named steps, each run whatever became
# of the one before, and at the end the names of those that failed.
# shellcheck shell=sh

steps_passed=0
steps_failed=

# step NAME COMMAND…
step() {
    step_name=$1
    shift
    printf '\n== %s\n' "$step_name"
    if "$@"; then
        steps_passed=$((steps_passed + 1))
    else
        printf '== FAILED: %s (status %s)\n' "$step_name" "$?"
        steps_failed="$steps_failed$step_name
"
    fi
}

# finish NAME: the closing lines; its status is that of the whole.
finish() {
    count=$(printf '%s' "$steps_failed" | wc -l)
    printf '\n'
    [ "$count" -eq 0 ] || printf 'Failed:\n%s' "$steps_failed" | sed '2,$s/^/  /'
    printf '%s: %d passed, %d failed\n' "$1" "$steps_passed" "$count"
    [ "$count" -eq 0 ]
}
