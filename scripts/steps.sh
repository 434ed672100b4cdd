# Sourced by scripts/check and scripts/test: named steps, each run whatever became
# of the one before, and at the end the names of those that failed, each with the
# lines that say what in it did.
# shellcheck shell=sh

steps_passed=0
steps_failed=
steps_count=0
steps_logs=$(mktemp -d)
trap 'rm -rf "$steps_logs"' EXIT

# step NAME COMMAND…
step() {
    step_name=$1
    shift
    step_log=$steps_logs/$steps_count
    steps_count=$((steps_count + 1))
    printf '\n== %s\n' "$step_name"
    {
        "$@"
        echo $? >"$step_log.status"
    } 2>&1 | tee "$step_log"
    step_status=$(cat "$step_log.status")
    if [ "$step_status" -eq 0 ]; then
        steps_passed=$((steps_passed + 1))
    else
        printf '== FAILED: %s (status %s)\n' "$step_name" "$step_status"
        steps_failed="$steps_failed  $step_name
$(grep -E 'FAIL|ERROR|^error' "$step_log" | sort -u | head -n 12 | cut -c 1-200 | sed 's/^ */    /')
"
    fi
}

# finish NAME: the closing lines; its status is that of the whole.
finish() {
    count=$((steps_count - steps_passed))
    printf '\n'
    [ "$count" -eq 0 ] || printf 'Failed:\n%s' "$steps_failed"
    printf '%s: %d passed, %d failed\n' "$1" "$steps_passed" "$count"
    [ "$count" -eq 0 ]
}
